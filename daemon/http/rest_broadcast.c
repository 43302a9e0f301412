/* What an operator does by HTTP: say something to many, and change how much is logged. Both are audited. On workers. */
#include "http/rest_internal.h"
#include "observe/clock.h"
#include <stdlib.h>

#define MAX_ROOMS 100
#define MAX_NAME  128 /* bytes of an event's name */
#define MAX_ROOM  255

static bool is_reserved(const char *event)
{
    static const char *const names[] = {"connect",       "connect_error", "disconnect",
                                        "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(event, names[i]) == 0)
            return true;
    return false;
}

/* What is asked for, borrowed from the body. */
struct broadcast {
    const char *event;
    bool in_envelope; /* {event_type, data, user_id, timestamp}, as /workspace has it */
    const char *nsp;
    const char *rooms[MAX_ROOMS];
    size_t room_count;
    const json_t *data;
};

static bool take_room(struct broadcast *broadcast, const json_t *room)
{
    size_t size = json_is_string(room) ? json_string_length(room) : 0;
    if (size == 0 || size > MAX_ROOM || broadcast->room_count == MAX_ROOMS)
        return false;
    broadcast->rooms[broadcast->room_count++] = json_string_value(room);
    return true;
}

/* NULL, or what is wrong. */
static const char *read_broadcast(const json_t *body, struct broadcast *ret)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value)
    {
        if (strcmp(key, "event") == 0 || strcmp(key, "event_type") == 0) {
            size_t size = json_is_string(value) ? json_string_length(value) : 0;
            if (ret->event != NULL || size == 0 || size > MAX_NAME ||
                is_reserved(json_string_value(value)))
                return "event (or event_type) is the name of one event, of at most 128 bytes";
            ret->event = json_string_value(value);
            ret->in_envelope = strcmp(key, "event_type") == 0;
        } else if (strcmp(key, "data") == 0) {
            ret->data = value;
        } else if (strcmp(key, "namespace") == 0) {
            if (!json_is_string(value) || json_string_value(value)[0] != '/')
                return "namespace is a name that begins with a slash";
            ret->nsp = json_string_value(value);
        } else if (strcmp(key, "room") == 0) {
            if (!take_room(ret, value))
                return "room is a name of 1 to 255 bytes";
        } else if (strcmp(key, "rooms") == 0) {
            size_t index;
            json_t *room;
            if (!json_is_array(value) || json_array_size(value) == 0)
                return "rooms is a list of 1 to 100 names";
            json_array_foreach(value, index, room)
            {
                if (!take_room(ret, room))
                    return "rooms is a list of 1 to 100 names of 1 to 255 bytes";
            }
        } else {
            return "only event or event_type, data, namespace, room and rooms are known";
        }
    }
    return ret->event == NULL ? "event (or event_type) is needed" : NULL;
}

/* The one argument of the event. */
static char *argument_of(const struct broadcast *broadcast, const struct request *request)
{
    char now[REST_TIME_SIZE];
    json_t *data = broadcast->data != NULL ? json_incref((json_t *)broadcast->data) : json_null();
    rest_time(clock_wall_ms(), now);
    if (broadcast->in_envelope)
        data = json_pack("{s:s,s:o,s:s,s:s}", "event_type", broadcast->event, "data", data,
                         "user_id", request->principal->user_id, "timestamp", now);
    char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(data);
    return text;
}

static enum cvn_error emit(cvn_namespace *nsp, const struct broadcast *broadcast, const char *json)
{
    const cvn_target target = {
        .nsp = nsp, .more_rooms = broadcast->rooms, .more_room_count = broadcast->room_count};
    return cvn_emit(&target, broadcast->event, cvn_json(json));
}

static void answer_broadcast(struct request *request, void *data)
{
    struct rest *rest = data;
    struct broadcast broadcast = {.event = NULL};
    json_t *body = request_json(request);
    if (body == NULL)
        return;
    const char *wrong = read_broadcast(body, &broadcast);
    if (broadcast.nsp == NULL)
        broadcast.nsp = broadcast.in_envelope ? "/workspace" : "/";
    cvn_namespace *nsp =
        wrong == NULL ? cvn_find_namespace(rest->parts.server, broadcast.nsp) : NULL;
    if (wrong != NULL) {
        request_refuse(request, 400, "VALIDATION", wrong, 0);
    } else if (nsp == NULL) {
        request_refuse(request, 404, "NOT_FOUND", "there is no such namespace", 0);
    } else {
        char *argument = argument_of(&broadcast, request);
        enum cvn_error error = argument != NULL ? emit(nsp, &broadcast, argument) : CVN_ERR_MEMORY;
        free(argument);
        if (error == CVN_OK) {
            rest_audit(rest, request, "admin_broadcast", broadcast.event, broadcast.nsp);
            rest_answer_data(request,
                             json_pack("{s:s,s:s,s:I}", "event", broadcast.event, "namespace",
                                       broadcast.nsp, "rooms", (json_int_t)broadcast.room_count));
        } else {
            request_refuse(request, 503, "UNAVAILABLE", cvn_strerror(error), 1000);
        }
    }
    cvn_namespace_unref(nsp);
    json_decref(body);
}

/* --- The log's level --- */

static json_t *level_json(enum log_level previous)
{
    return json_pack("{s:s,s:s}", "level", log_level_name(log_get_level()), "previous",
                     log_level_name(previous));
}

static void show_level(struct request *request, void *data)
{
    (void)data;
    rest_answer_data(request, json_pack("{s:s}", "level", log_level_name(log_get_level())));
}

static void change_level(struct request *request, void *data)
{
    enum log_level level, previous = log_get_level();
    json_t *body = request_json(request);
    if (body == NULL)
        return;
    const char *name = json_string_value(json_object_get(body, "level"));
    if (name != NULL && log_parse_level(cvn_str(name), &level)) {
        log_set_level(level);
        rest_audit(data, request, "admin_log_level", log_level_name(level), NULL);
        log_entry(LOG_WARN, "the log's level was changed", LOG_CORRELATION(request->correlation_id),
                  LOG_USER(request->principal->user_id), LOG_TEXT("from", log_level_name(previous)),
                  LOG_TEXT("to", log_level_name(level)), LOG_END);
        rest_answer_data(request, level_json(previous));
    } else {
        request_refuse(request, 400, "VALIDATION", "level is debug, info, warn or error", 0);
    }
    json_decref(body);
}

bool rest_broadcast_add(struct rest *rest)
{
    static const struct route routes[] = {
        {"POST", "/api/v1/websocket/broadcast", ROUTE_ADMIN, answer_broadcast,
         "Emits one event to a namespace, or to rooms of it", NULL},
        {"GET", "/api/v1/admin/log-level", ROUTE_ADMIN, show_level, "How much is logged", NULL},
        {"POST", "/api/v1/admin/log-level", ROUTE_ADMIN, change_level,
         "Changes that until the next reload", NULL},
    };
    return router_add(rest->parts.router, routes, sizeof routes / sizeof *routes, rest);
}
