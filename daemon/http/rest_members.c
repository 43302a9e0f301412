/*
 * Who is a member of what, for administrators: read, add, change, take out. A change is answered when it is in the store; by then whoever asks sees it, and
 * the sockets concerned are being asked for again. On workers.
 */
#include "http/rest_admin_internal.h"
#include "observe/clock.h"
#include <stdlib.h>

#define DEFAULT_PAGE       100
#define DEFAULT_PERMISSION "member"
#define SUBJECT_SIZE       AUDIT_MAX_TEXT

/* The table judges these; organisations and divisions are what tokens say. */
static bool is_kind(const char *name)
{
    enum resource_kind kind;
    return resource_parse(name, &kind) && kind != RESOURCE_ORG;
}

/* kind, id and, when the path has one, the user. */
static bool take_names(struct request *request, bool has_user)
{
    const char *user_id = has_user ? request->params[2] : "any";
    bool is_good = is_kind(request->params[0]) &&
                   access_member_is_valid(request->params[0], request->params[1], user_id, "any");
    if (!is_good)
        request_refuse(request, 400, "VALIDATION",
                       "the path is KIND/ID/USER: a kind of resource, an id of up to 255 bytes, a "
                       "user of up to 128, without control characters",
                       0);
    return is_good;
}

static void subject_of(const struct request *request, const char *word, char ret[SUBJECT_SIZE])
{
    bool has_user = request->params[2] != NULL;
    snprintf(ret, SUBJECT_SIZE, "%s:%s%s%s%s%s", request->params[0], request->params[1],
             has_user ? " " : "", has_user ? request->params[2] : "", word[0] != '\0' ? " " : "",
             word);
}

/* --- Changes --- */

static void on_put(enum store_result result, bool is_changed, void *data)
{
    struct pending *pending = data;
    struct request *request = pending->request;
    char subject[SUBJECT_SIZE];
    subject_of(request, pending->text, subject);
    if (rest_admin_stored(pending, result, "admin_member_put", subject)) {
        if (is_changed)
            frame_check_user(pending->admin->parts.frame, request->params[2]);
        rest_answer_data(request, json_pack("{s:s,s:s,s:s,s:s,s:b}", "kind", request->params[0],
                                            "id", request->params[1], "user_id", request->params[2],
                                            "permission", pending->text, "changed", is_changed));
    }
    free(pending);
}

static void put_member(struct request *request, void *data)
{
    static const char *const known[] = {"permission", NULL};
    struct rest_admin *admin = data;
    json_t *body = take_names(request, true) ? rest_admin_body(request, known) : NULL;
    if (body == NULL)
        return;
    const json_t *value = json_object_get(body, "permission");
    const char *permission = value != NULL ? json_string_value(value) : DEFAULT_PERMISSION;
    if (permission == NULL || !access_member_is_valid("any", "any", "any", permission)) {
        request_refuse(request, 400, "VALIDATION", "permission is 1 to 32 of a-z and _", 0);
    } else {
        const struct access_member member = {
            .kind = request->params[0],
            .id = request->params[1],
            .user_id = request->params[2],
            .permission = permission,
            .added_by = request->principal->user_id,
            .added_at = clock_wall_ms() / 1000,
        };
        struct pending *pending = rest_admin_wait(admin, request, permission);
        if (pending != NULL)
            access_members_put(admin->parts.members, &member, on_put, pending);
    }
    json_decref(body);
}

static void on_removed(enum store_result result, bool is_changed, void *data)
{
    struct pending *pending = data;
    struct request *request = pending->request;
    bool is_one = request->params[2] != NULL;
    char subject[SUBJECT_SIZE], room[SUBJECT_SIZE];
    subject_of(request, "", subject);
    snprintf(room, sizeof room, "%s:%s", request->params[0], request->params[1]);
    if (rest_admin_stored(pending, result, "admin_member_remove", subject)) {
        if (is_changed && is_one)
            frame_check_user(pending->admin->parts.frame, request->params[2]);
        else if (is_changed)
            frame_check_room(pending->admin->parts.frame, room);
        rest_answer_data(request, json_pack("{s:b}", "removed", is_changed));
    }
    free(pending);
}

static void remove_member(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    struct pending *pending =
        take_names(request, true) ? rest_admin_wait(admin, request, NULL) : NULL;
    if (pending != NULL)
        access_members_remove(admin->parts.members, request->params[0], request->params[1],
                              request->params[2], on_removed, pending);
}

static void remove_all(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    struct pending *pending =
        take_names(request, false) ? rest_admin_wait(admin, request, NULL) : NULL;
    if (pending != NULL)
        access_members_remove_all(admin->parts.members, request->params[0], request->params[1],
                                  on_removed, pending);
}

/* --- Questions --- */

static void refuse_unread(struct request *request)
{
    request_refuse(request, 503, "UNAVAILABLE", "the store does not answer", 1000);
}

static void on_found(enum store_result result, const char *permission, void *data)
{
    struct pending *pending = data;
    struct request *request = pending->request;
    if (result != STORE_OK)
        refuse_unread(request);
    else if (permission == NULL)
        request_refuse(request, 404, "NOT_FOUND", "this user is no member of that", 0);
    else
        rest_answer_data(request, json_pack("{s:s,s:s,s:s,s:s}", "kind", request->params[0], "id",
                                            request->params[1], "user_id", request->params[2],
                                            "permission", permission));
    free(pending);
}

static void show_member(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    struct pending *pending =
        take_names(request, true) ? rest_admin_wait(admin, request, NULL) : NULL;
    if (pending != NULL)
        access_members_find(admin->parts.members, request->params[0], request->params[1],
                            request->params[2], on_found, pending);
}

static json_t *member_json(const struct access_member *member)
{
    char time[REST_TIME_SIZE];
    rest_time(member->added_at * 1000, time);
    return json_pack("{s:s,s:s,s:s,s:s,s:s?,s:s}", "kind", member->kind, "id", member->id,
                     "user_id", member->user_id, "permission", member->permission, "added_by",
                     member->added_by, "added_at", time);
}

static void on_listed(enum store_result result, const struct access_member *items, size_t count,
                      bool has_more, void *data)
{
    struct pending *pending = data;
    bool is_of_user = strcmp(pending->text, "user") == 0;
    if (result != STORE_OK) {
        refuse_unread(pending->request);
    } else {
        json_t *list = json_array();
        const char *next = NULL;
        for (size_t i = 0; i < count; i++)
            json_array_append_new(list, member_json(&items[i]));
        if (has_more && count > 0)
            next = is_of_user ? items[count - 1].id : items[count - 1].user_id;
        rest_answer_data(pending->request, json_pack("{s:o,s:b,s:s?}", "members", list, "has_more",
                                                     has_more, "next", next));
    }
    free(pending);
}

/* `after` and `limit` of the query. False: the request was refused. */
static bool take_page(struct request *request, char *after, size_t after_size, size_t *ret_limit)
{
    char text[8], *end;
    long limit = DEFAULT_PAGE;
    after[0] = '\0';
    if (request_has_query(request, "after") &&
        !request_query(request, "after", after, after_size)) {
        request_refuse(request, 400, "VALIDATION", "after is the last name of the page before", 0);
        return false;
    }
    if (request_has_query(request, "limit")) {
        limit =
            request_query(request, "limit", text, sizeof text) && text[0] >= '0' && text[0] <= '9'
                ? strtol(text, &end, 10)
                : 0;
        if (limit < 1 || limit > ACCESS_MEMBERS_MAX_PAGE || *end != '\0') {
            request_refuse(request, 400, "VALIDATION", "limit is a number of 1 to 1000", 0);
            return false;
        }
    }
    *ret_limit = (size_t)limit;
    return true;
}

static void list_members(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    char after[ACCESS_MEMBER_MAX_USER + 1];
    size_t limit;
    if (!take_names(request, false) || !take_page(request, after, sizeof after, &limit))
        return;
    struct pending *pending = rest_admin_wait(admin, request, NULL);
    if (pending != NULL)
        access_members_list(admin->parts.members, request->params[0], request->params[1],
                            after[0] != '\0' ? after : NULL, limit, on_listed, pending);
}

static void list_of_user(struct request *request, void *data)
{
    struct rest_admin *admin = data;
    char after[ACCESS_MEMBER_MAX_ID + 1];
    size_t limit;
    if (!access_member_is_valid("any", "any", request->params[0], "any") ||
        !is_kind(request->params[1])) {
        request_refuse(request, 400, "VALIDATION", "the path is USER/members/KIND", 0);
        return;
    }
    if (!take_page(request, after, sizeof after, &limit))
        return;
    struct pending *pending = rest_admin_wait(admin, request, "user");
    if (pending != NULL)
        access_members_list_of(admin->parts.members, request->params[0], request->params[1],
                               after[0] != '\0' ? after : NULL, limit, on_listed, pending);
}

bool rest_members_add(struct rest_admin *admin)
{
    static const struct route routes[] = {
        {"GET", "/api/v1/admin/members/:kind/:id", ROUTE_ADMIN, list_members,
         "The members of a resource", "after,limit"},
        {"DELETE", "/api/v1/admin/members/:kind/:id", ROUTE_ADMIN, remove_all,
         "Takes everybody out, of a resource that is gone", NULL},
        {"GET", "/api/v1/admin/members/:kind/:id/:userId", ROUTE_ADMIN, show_member,
         "Whether somebody is a member, and with which permission", NULL},
        {"PUT", "/api/v1/admin/members/:kind/:id/:userId", ROUTE_ADMIN, put_member,
         "Makes somebody a member, or changes the permission", NULL},
        {"DELETE", "/api/v1/admin/members/:kind/:id/:userId", ROUTE_ADMIN, remove_member,
         "Takes somebody out", NULL},
        {"GET", "/api/v1/admin/users/:userId/members/:kind", ROUTE_ADMIN, list_of_user,
         "What somebody is a member of", "after,limit"},
    };
    return router_add(admin->parts.router, routes, sizeof routes / sizeof *routes, admin);
}
