/*
 * See rest_admin.h: revoking, disconnecting and the drain. A revocation takes effect at once, in who is let in and on the sockets that are open, and is
 * answered when the store has it. On workers.
 */
#include "http/rest_admin.h"
#include "http/rest_admin_internal.h"
#include "observe/clock.h"
#include <stdlib.h>

#define MAX_SOCKET_ID 64
#define MAX_TIME      253402300799 /* the end of the year 9999: what is later are milliseconds */

/* --- What all have in common --- */

struct pending *rest_admin_wait(struct rest_admin *admin, struct request *request, const char *text)
{
    size_t size = text != NULL ? strlen(text) + 1 : 1;
    struct pending *pending = calloc(1, sizeof *pending + size);
    if (pending == NULL) {
        request_refuse(request, 503, "UNAVAILABLE", "out of memory", 1000);
        return NULL;
    }
    pending->admin = admin;
    pending->request = request;
    if (text != NULL)
        memcpy(pending->text, text, size);
    return pending;
}

void rest_admin_audit(struct rest_admin *admin, const struct request *request, const char *action,
                      const char *subject, const char *code)
{
    const struct audit_entry entry = {
        .action = action,
        .user_id = request->principal->user_id,
        .subject = subject,
        .address = request->address,
        .code = code,
        .correlation_id = request->correlation_id,
    };
    audit_write(admin->parts.audit, &entry);
}

bool rest_admin_stored(struct pending *pending, enum store_result result, const char *action,
                       const char *subject)
{
    bool is_done = result == STORE_OK;
    if (cvn_worker_index(pending->admin->parts.server) != CVN_NO_WORKER)
        rest_admin_audit(pending->admin, pending->request, action, subject,
                         is_done ? NULL : "UNAVAILABLE");
    if (is_done)
        return true;
    log_entry(LOG_ERROR, "the store has not taken what an administrator wants",
              LOG_TEXT("action", action), LOG_TEXT("subject", subject),
              LOG_USER(pending->request->principal->user_id),
              LOG_CORRELATION(pending->request->correlation_id), LOG_END);
    request_refuse(pending->request, 503, "UNAVAILABLE", "the store has not taken it: try again",
                   1000);
    return false;
}

json_t *rest_admin_body(struct request *request, const char *const *known)
{
    const char *key;
    json_t *value, *body = request_json(request);
    json_object_foreach(body, key, value)
    {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] != NULL)
            continue;
        request_refuse(request, 400, "VALIDATION", "the body has a member that is not known", 0);
        json_decref(body);
        return NULL;
    }
    return body;
}

/* The one name in the path, of a user or a token. */
static bool take_name(struct request *request)
{
    size_t size = strlen(request->params[0]);
    bool is_name = size > 0 && size <= PRINCIPAL_MAX_ID;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)request->params[0][i] < 0x20 || request->params[0][i] == 0x7f)
            is_name = false;
    if (!is_name)
        request_refuse(request, 400, "VALIDATION",
                       "the name has 1 to 128 bytes and no control characters", 0);
    return is_name;
}

/* A moment in the body, in Unix seconds, or `fallback`. False: the request was refused. */
static bool take_time(struct request *request, const char *name, int64_t fallback, int64_t *ret)
{
    const char *const known[] = {name, NULL};
    json_t *body = rest_admin_body(request, known);
    if (body == NULL)
        return false;
    const json_t *value = json_object_get(body, name);
    int64_t time = json_is_integer(value) ? json_integer_value(value) : -1;
    bool is_good = value == NULL || (time >= 0 && time <= MAX_TIME);
    if (is_good)
        *ret = value != NULL ? time : fallback;
    else
        request_refuse(request, 400, "VALIDATION", "a moment is a number of seconds since 1970", 0);
    json_decref(body);
    return is_good;
}

/* --- Revoking --- */

static void on_user_revoked(enum store_result result, void *data)
{
    struct pending *pending = data;
    struct request *request = pending->request;
    if (rest_admin_stored(pending, result, "revoke_user", request->params[0]))
        rest_answer_data(request, json_pack("{s:s,s:I}", "user_id", request->params[0],
                                            "issued_until", (json_int_t)pending->moment));
    free(pending);
}

static void revoke_user(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    int64_t now = clock_wall_ms() / 1000, until = 0;
    if (!take_name(request) || !take_time(request, "issued_until", now, &until))
        return;
    struct pending *pending = rest_admin_wait(admin, request, NULL);
    if (pending == NULL)
        return;
    pending->moment = until;
    char user_id[PRINCIPAL_MAX_ID +
                 1]; /* the request may be answered before the next line is over */
    snprintf(user_id, sizeof user_id, "%s", request->params[0]);
    if (access_revocations_user(admin->parts.revocations, user_id, until,
                                request->principal->user_id, now, on_user_revoked, pending)) {
        frame_disconnect_user(admin->parts.frame, user_id);
        return;
    }
    free(pending);
    request_refuse(request, 503, "UNAVAILABLE", "too much is revoked already", 0);
}

static void on_token_revoked(enum store_result result, void *data)
{
    struct pending *pending = data;
    struct request *request = pending->request;
    if (rest_admin_stored(pending, result, "revoke_token", request->params[0]))
        rest_answer_data(request, json_pack("{s:s,s:I}", "jti", request->params[0], "expires_at",
                                            (json_int_t)pending->moment));
    free(pending);
}

static void revoke_token(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    int64_t now = clock_wall_ms() / 1000, expires_at = 0;
    if (!take_name(request) || !take_time(request, "expires_at", 0, &expires_at))
        return;
    if (expires_at != 0 && expires_at <= now) {
        request_refuse(request, 400, "VALIDATION", "a token that has expired needs no revoking", 0);
        return;
    }
    struct pending *pending = rest_admin_wait(admin, request, NULL);
    if (pending == NULL)
        return;
    pending->moment = expires_at;
    char jti[PRINCIPAL_MAX_ID + 1];
    snprintf(jti, sizeof jti, "%s", request->params[0]);
    if (access_revocations_token(admin->parts.revocations, jti, expires_at,
                                 request->principal->user_id, now, on_token_revoked, pending)) {
        frame_disconnect_token(admin->parts.frame, jti);
        return;
    }
    free(pending);
    request_refuse(request, 503, "UNAVAILABLE", "too much is revoked already", 0);
}

/* --- Disconnecting --- */

static const char *const nothing[] = {NULL};

static void disconnect_user(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    json_t *body = take_name(request) ? rest_admin_body(request, nothing) : NULL;
    if (body == NULL)
        return;
    json_decref(body);
    frame_disconnect_user(admin->parts.frame, request->params[0]);
    rest_admin_audit(admin, request, "admin_disconnect", request->params[0], NULL);
    rest_answer_data(request, json_pack("{s:s}", "user_id", request->params[0]));
}

static void disconnect_socket(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    const char *id = request->params[0];
    size_t size = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    if (size == 0 || size > MAX_SOCKET_ID || id[size] != '\0') { /* it names no other room */
        request_refuse(request, 400, "VALIDATION", "this is no id of a socket", 0);
        return;
    }
    json_t *body = rest_admin_body(request, nothing);
    if (body == NULL)
        return;
    json_decref(body);
    frame_disconnect_socket(admin->parts.frame, id);
    rest_admin_audit(admin, request, "admin_disconnect", id, NULL);
    rest_answer_data(request, json_pack("{s:s}", "socket_id", id));
}

/* --- The drain --- */

static void begin_drain(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    json_t *body = rest_admin_body(request, nothing);
    if (body == NULL)
        return;
    json_decref(body);
    rest_admin_audit(admin, request, "admin_drain", NULL, NULL);
    log_entry(LOG_WARN, "an administrator drains the server", LOG_USER(request->principal->user_id),
              LOG_CORRELATION(request->correlation_id), LOG_END);
    request_answer_json(request, 202, json_pack("{s:b,s:{s:b}}", "ok", 1, "data", "draining", 1));
    admin->parts.drain();
}

/* --- Life --- */

struct rest_admin *rest_admin_new(const struct rest_admin_parts *parts)
{
    static const struct route routes[] = {
        {"POST", "/api/v1/admin/users/:userId/revoke", ROUTE_ADMIN, revoke_user,
         "Refuses all tokens of a user that were issued up to now", NULL},
        {"POST", "/api/v1/admin/tokens/:jti/revoke", ROUTE_ADMIN, revoke_token, "Refuses one token",
         NULL},
        {"POST", "/api/v1/admin/users/:userId/disconnect", ROUTE_ADMIN, disconnect_user,
         "Ends all sockets of a user", NULL},
        {"POST", "/api/v1/admin/sockets/:id/disconnect", ROUTE_ADMIN, disconnect_socket,
         "Ends a socket", NULL},
        {"POST", "/api/v1/admin/drain", ROUTE_ADMIN, begin_drain,
         "Sends everybody away and ends the server", NULL},
    };
    struct rest_admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return NULL;
    admin->parts = *parts;
    if (router_add(parts->router, routes, sizeof routes / sizeof *routes, admin) &&
        rest_members_add(admin))
        return admin;
    free(admin);
    return NULL;
}

void rest_admin_free(struct rest_admin *admin)
{
    free(admin);
}
