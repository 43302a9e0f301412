/*
 * Who is let into a namespace: limits first, then the token, then the role. A refusal is a CONNECT_ERROR with {code, retryable,
 * retry_after_ms?}. What was found out waits in the connection's link from the middleware until the connection handler, because a socket
 * that recovers an earlier session gets that one's data in between. On the socket's worker.
 */
#include "access/access_proxies.h"
#include "event/frame_internal.h"
#include "event/rooms.h"
#include <stdio.h>
#include <stdlib.h>

#define FULL_RETRY_MS 5000

/* --- The link of a connection --- */

static void link_free(void *data)
{
    struct link *link = data;
    while (link->admissions != NULL) {
        struct admission *next = link->admissions->next;
        principal_unref(link->admissions->principal);
        free(link->admissions);
        link->admissions = next;
    }
    subjects_leave(link->frame->addresses, link->address_subject);
    if (link->is_let_in)
        atomic_fetch_sub(&link->frame->connections, 1);
    free(link);
}

struct link *entry_link(struct frame *frame, cvn_socket *socket)
{
    struct link *link = cvn_socket_connection_data(socket);
    char key[SUBJECTS_ADDRESS_SIZE];
    if (link != NULL)
        return link;
    link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->frame = frame;
    access_proxies_of_socket(socket, link->address);
    subjects_address_key(link->address, key);
    correlation_id_take(cvn_socket_header(socket, "x-request-id"), link->correlation_id);
    link->address_subject = subjects_enter(frame->addresses, key);
    if (link->address_subject == NULL) {
        free(link);
        return NULL;
    }
    cvn_socket_set_connection_data(socket, link, link_free);
    return link;
}

static bool link_keep_admission(struct link *link, cvn_socket *socket, struct principal *principal)
{
    struct admission *admission = calloc(1, sizeof *admission);
    if (admission == NULL)
        return false;
    *admission = (struct admission){socket, principal_ref(principal), link->admissions};
    link->admissions = admission;
    return true;
}

/* Only who is let in takes a place; who is refused may stay connected for a while, and must not keep the others out. */
static bool link_take_place(struct link *link)
{
    struct frame *frame = link->frame;
    size_t max = access_limits_max_connections(frame->limits);
    if (link->is_let_in)
        return true;
    if (atomic_fetch_add(&frame->connections, 1) >= max && max > 0) {
        atomic_fetch_sub(&frame->connections, 1);
        return false;
    }
    link->is_let_in = true;
    return true;
}

/* The principal that was let in as `socket`; the caller's reference. NULL: none. */
static struct principal *link_take_admission(struct link *link, cvn_socket *socket)
{
    for (struct admission **at = &link->admissions; *at != NULL; at = &(*at)->next) {
        if ((*at)->socket != socket)
            continue;
        struct admission *admission = *at;
        struct principal *principal = admission->principal;
        *at = admission->next;
        free(admission);
        return principal;
    }
    return NULL;
}

/* --- Refusing --- */

bool entry_role_may(unsigned roles, enum role role)
{
    return roles == 0 || (roles & ROLE_BIT(role)) != 0;
}

void entry_refuse(struct frame_nsp *nsp, cvn_socket *socket, cvn_next *next,
                  const struct principal *principal, const char *code, const char *message,
                  bool retryable, uint32_t retry_after_ms)
{
    const struct link *link = cvn_socket_connection_data(socket);
    char data[160];
    int size = snprintf(data, sizeof data, "{\"code\":\"%s\",\"retryable\":%s", code,
                        retryable ? "true" : "false");
    if (retry_after_ms > 0)
        size += snprintf(data + size, sizeof data - (size_t)size, ",\"retry_after_ms\":%u",
                         retry_after_ms);
    snprintf(data + size, sizeof data - (size_t)size, "}");
    const struct audit_entry entry = {
        .action = "connect_refused",
        .user_id = principal != NULL ? principal->user_id : NULL,
        .nsp = nsp->name,
        .address = link != NULL ? link->address : NULL,
        .code = code,
        .correlation_id = link != NULL ? link->correlation_id : NULL,
    };
    audit_write(nsp->frame->parts.audit, &entry);
    metric_add(nsp->frame->refused, 1, nsp->name, code, NULL);
    cvn_next_refuse(next, message, data);
}

/* --- The middleware --- */

struct asking {
    struct frame_nsp *nsp;
    cvn_socket *socket;
    cvn_next *next;
};

static void admit(struct frame_nsp *nsp, cvn_socket *socket, cvn_next *next,
                  struct principal *principal)
{
    struct link *link = cvn_socket_connection_data(socket);
    char lost[PRINCIPAL_MAX_ID + 1];
    if (!entry_role_may(nsp->roles, principal->role)) {
        entry_refuse(nsp, socket, next, principal, "FORBIDDEN", "This role may not enter here",
                     false, 0);
        return;
    }
    /* Somebody else's session is not taken over with one's own token. */
    if (cvn_socket_recovered(socket) &&
        (!cvn_json_string(cvn_json_get(cvn_socket_attributes(socket), "userId"), lost,
                          sizeof lost) ||
         strcmp(lost, principal->user_id) != 0))
        cvn_decline_recovery(socket);
    if (link != NULL && !link_take_place(link))
        entry_refuse(nsp, socket, next, principal, "SERVER_FULL", "The server is full", true,
                     FULL_RETRY_MS);
    else if (link == NULL || !link_keep_admission(link, socket, principal))
        entry_refuse(nsp, socket, next, principal, "SERVER_FULL", "Out of memory", true,
                     FULL_RETRY_MS);
    else
        cvn_next_accept(next);
}

static const char *words_of(enum auth_refusal refusal)
{
    switch (refusal) {
    case AUTH_REQUIRED:
        return "Authentication required";
    case AUTH_EXPIRED:
        return "The token has expired";
    case AUTH_FORBIDDEN:
        return "This token does not let you in here";
    case AUTH_UNAVAILABLE:
        return "Tokens cannot be verified at the moment";
    default:
        return "The token is not valid";
    }
}

static void on_verified(enum auth_refusal refusal, struct principal *principal, const char *why,
                        void *data)
{
    struct asking *asking = data;
    struct frame_nsp *nsp = asking->nsp;
    if (refusal == AUTH_OK) {
        admit(nsp, asking->socket, asking->next, principal);
    } else {
        log_entry(LOG_INFO, "a token was refused", LOG_TEXT("code", auth_refusal_code(refusal)),
                  LOG_TEXT("why", why), LOG_NSP(nsp->name), LOG_END);
        entry_refuse(nsp, asking->socket, asking->next, NULL, auth_refusal_code(refusal),
                     words_of(refusal), auth_refusal_is_retryable(refusal), 0);
    }
    principal_unref(principal);
    cvn_socket_unref(asking->socket);
    free(asking);
}

/* Where no token is asked for (auth.required: false): somebody of this socket's own, with the default role and no rights beyond. */
static struct principal *anonymous(const struct frame *frame, const cvn_socket *socket)
{
    char id[64];
    enum role role = ROLE_STUDENT;
    snprintf(id, sizeof id, "anonymous:%s", cvn_socket_id(socket));
    if (frame->parts.config->auth.default_role != NULL)
        role_parse(frame->parts.config->auth.default_role, &role);
    return principal_new(&(struct principal){.user_id = id, .role = role});
}

static void ask_for_token(struct frame_nsp *nsp, cvn_socket *socket, cvn_next *next)
{
    struct frame *frame = nsp->frame;
    char buffer[AUTH_TOKEN_BUFFER];
    cvn_slice token = auth_token_of_socket(frame->parts.auth, socket, buffer, sizeof buffer);
    if (token.size == 0) {
        struct principal *nobody =
            frame->parts.config->auth.required ? NULL : anonymous(frame, socket);
        if (nobody == NULL)
            entry_refuse(nsp, socket, next, NULL, "AUTH_REQUIRED", words_of(AUTH_REQUIRED), false,
                         0);
        else
            admit(nsp, socket, next, nobody);
        principal_unref(nobody);
        return;
    }
    struct asking *asking = malloc(sizeof *asking);
    if (asking == NULL) {
        entry_refuse(nsp, socket, next, NULL, "SERVER_FULL", "Out of memory", true, FULL_RETRY_MS);
        return;
    }
    *asking = (struct asking){nsp, cvn_socket_ref(socket), next};
    auth_verify(frame->parts.auth, token, on_verified, asking);
}

/* Until a connection is let in, each CONNECT on it is an attempt: who was refused may try again on the same one. Then they count as its events. */
static bool take_attempt(struct link *link, uint32_t *ret_retry_ms)
{
    const struct access_limits *limits = link->frame->limits;
    if (link->is_let_in)
        return rate_take(&link->events, access_limits_events_per_connection(limits), rate_now_us(),
                         ret_retry_ms);
    return rate_take(&link->address_subject->buckets[ADDRESS_ATTEMPTS],
                     access_limits_attempts_per_ip(limits), rate_now_us(), ret_retry_ms);
}

static void on_middleware(cvn_socket *socket, cvn_next *next, void *data)
{
    struct frame_nsp *nsp = data;
    struct frame *frame = nsp->frame;
    struct link *link = entry_link(frame, socket);
    uint32_t retry_ms = 0;
    if (link == NULL)
        entry_refuse(nsp, socket, next, NULL, "SERVER_FULL", "Out of memory", true, FULL_RETRY_MS);
    else if (!take_attempt(link, &retry_ms))
        entry_refuse(nsp, socket, next, NULL, "RATE_LIMITED", "Too many connection attempts", true,
                     retry_ms);
    else if (nsp->is_disabled)
        entry_refuse(nsp, socket, next, NULL, "NAMESPACE_DISABLED", "Invalid namespace", false, 0);
    else if (atomic_load(&frame->is_draining))
        entry_refuse(nsp, socket, next, NULL, "SERVER_FULL", "The server is going down", true,
                     FULL_RETRY_MS);
    else
        ask_for_token(nsp, socket, next);
}

/* --- In and out --- */

static void set_attributes(struct member *member)
{
    const struct principal *principal = member->principal;
    cvn_text *text = cvn_text_new(2048);
    if (text == NULL)
        return;
    cvn_text_append(text, "{\"userId\":");
    cvn_text_append_json_string(text, cvn_str(principal->user_id));
    if (principal->name != NULL) {
        cvn_text_append(text, ",\"name\":");
        cvn_text_append_json_string(text, cvn_str(principal->name));
    }
    cvn_text_printf(text, ",\"role\":\"%s\"}", role_name(principal->role));
    char json[2048];
    cvn_slice slice = cvn_text_slice(text);
    if (!cvn_text_failed(text) && slice.size < sizeof json) {
        memcpy(json, slice.data, slice.size);
        json[slice.size] = '\0';
        if (cvn_socket_set_attributes(member->socket, json) != CVN_OK)
            log_entry(LOG_WARN, "a socket's attributes could not be set",
                      LOG_USER(principal->user_id), LOG_END);
    }
    cvn_text_free(text);
}

static void release_member(void *data)
{
    member_unref(data);
}

/* A new member, with the rooms of the one whose session the socket has recovered. That one is not used again: it may be another worker's, whose
 * calls still hold it. */
static struct member *settle(struct frame_nsp *nsp, struct link *link, cvn_socket *socket,
                             struct principal *principal)
{
    struct member *lost = cvn_socket_recovered(socket) ? member_of(socket) : NULL;
    struct member *member = member_new(nsp, link, socket, principal);
    if (member == NULL)
        return NULL;
    if (lost != NULL) {
        member_leave_own_rooms(lost, member);
        rooms_adopt(member, lost);
    }
    cvn_socket_set_data(socket, member, release_member); /* lets go of the lost one */
    return member;
}

static void on_connection(cvn_socket *socket, void *data)
{
    struct frame_nsp *nsp = data;
    struct link *link = cvn_socket_connection_data(socket);
    struct principal *principal = link != NULL ? link_take_admission(link, socket) : NULL;
    struct member *member = NULL;
    /* Between the check of the token and this a session may have been fetched from another worker. */
    bool is_revoked = principal != NULL && auth_is_revoked(nsp->frame->parts.auth, principal);
    if (principal != NULL && !is_revoked)
        member = settle(nsp, link, socket, principal);
    principal_unref(principal);
    if (member == NULL || !member_join_own_rooms(member)) {
        cvn_disconnect(socket, !is_revoked); /* out of memory: its client comes back */
        return;
    }
    set_attributes(member);
    member->is_in = true;
    series_move(nsp->members, 1);
    member_audit(member, cvn_socket_recovered(socket) ? "recover" : "connect", NULL, NULL);
    member_ref(member); /* each of these may end the socket */
    expiry_start(member);
    for (size_t i = 0; member->link != NULL && i < nsp->frame->module_count; i++) {
        const struct frame_module *added = &nsp->frame->modules[i];
        if (added->nsp == nsp && added->module->on_enter != NULL)
            added->module->on_enter(member, added->state);
    }
    if (member->link != NULL && member->rooms != NULL)
        rooms_check_again(member); /* recovered ones, with the new token */
    member_unref(member);
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    struct frame_nsp *nsp = data;
    struct member *member = member_of(socket);
    if (member == NULL || member->link == NULL)
        return;
    expiry_stop(member);
    rooms_release(member);
    for (size_t i = nsp->frame->module_count; member->is_in && i-- > 0;) {
        const struct frame_module *added = &nsp->frame->modules[i];
        if (added->nsp == nsp && added->module->on_leave != NULL)
            added->module->on_leave(member, reason, added->state);
    }
    if (member->is_in) {
        member_audit(member, "disconnect", reason, NULL);
        series_move(nsp->members, -1);
    }
    member->is_in = false;
    member->socket = NULL;
    member->link = NULL; /* goes with the connection, which a recovered session outlives */
}

void entry_register(struct frame_nsp *nsp)
{
    cvn_use(nsp->nsp, on_middleware, nsp);
    if (nsp->is_disabled)
        return;
    cvn_on_connection(nsp->nsp, on_connection, nsp);
    cvn_on_disconnect(nsp->nsp, on_disconnect, nsp);
}
