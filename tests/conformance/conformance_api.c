/*
 * The contract "sio-api": what a server does with many sockets, dynamic namespaces, listeners and middlewares, for the official client to
 * order and to see; on the public API alone.
 *
 * On "/", on names that match ^/dynamic-[0-9]+$, and on /key-NAME for clients whose auth says {"key":"NAME"}. A TARGET is {nsp, rooms, except, flags}: all
 * may be absent; nsp "parent" is that of the dynamic ones. All are acknowledged, those that do something with "ok" or the error's words:
 *
 *   whoami -> {id, worker, nsp, parent, rooms, auth}       exists NAME -> whether there is such a namespace
 *   join ROOM, leave ROOM                                  attributes VALUE
 *   emit TARGET EVENT VALUE                                others ROOM|null EVENT VALUE: to all but oneself
 *   sockets-join TARGET ROOM, sockets-leave TARGET ROOM    sockets-disconnect TARGET CLOSE
 *   ask TARGET TIMEOUT EVENT VALUE -> {error, asked, answers: [{id, args}]}
 *   fetch TARGET -> {error, sockets: [{id, worker, rooms, attributes, handshake}]}
 *   flood COUNT: so many events of 100 kB each to oneself, with no answer
 *   record TEXT: a line "recorded TEXT" on standard output 10 ms later, then the acknowledgement
 *   drain MS: the server is drained over that time, and ends
 *   app:denied: dropped by a middleware with {"error":"denied"}; app:swallowed: dropped in silence
 *
 * On "/watch" everybody hears "saw" KIND NSP ID ...: in, out (of events "app:..." with their arguments), disconnecting REASON ROOMS,
 * disconnect REASON ROOMS. The latter also go to standard output. And "saw" "refused" CODE STATUS MESSAGE REASON METHOD PATH TRANSPORT TAG
 * ADDRESS of every request that got no session, TAG being the header "x-tag"; who says "deny" in the query is refused with "denied".
 */
#include "conformance.h"
#include <convene/convene.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED(name) (void)(name)
#define TEXT_MAX     ((size_t)1 << 20)

static cvn_namespace *dynamic_parent, *watch;

/* --- JSON in --- */

/* Element `index` of an array; empty behind the last. */
static cvn_slice at(cvn_slice array, size_t index)
{
    if (cvn_json_type_of(array) != CVN_JSON_ARRAY)
        return (cvn_slice){NULL, 0};
    cvn_slice inside = {array.data + 1, array.size - 2};
    return cvn_args_at(cvn_json_slice(inside), index);
}

struct target {
    cvn_target target;
    char rooms[CVN_TARGET_ROOMS][64], except[CVN_TARGET_ROOMS][64];
    cvn_namespace *held;
};

static void read_names(cvn_slice array, char names[CVN_TARGET_ROOMS][64], const char **ret)
{
    for (size_t i = 0; i < CVN_TARGET_ROOMS && cvn_json_string(at(array, i), names[i], 64); i++)
        ret[i] = names[i];
}

static void read_flags(cvn_slice array, cvn_target *target)
{
    char flag[32];
    for (size_t i = 0; cvn_json_string(at(array, i), flag, sizeof flag); i++) {
        if (strcmp(flag, "volatile") == 0)
            target->flags |= CVN_VOLATILE;
        else if (strcmp(flag, "local") == 0)
            target->flags |= CVN_LOCAL;
        else if (strcmp(flag, "local worker") == 0)
            target->flags |= CVN_LOCAL_WORKER;
    }
}

static void read_target(cvn_socket *socket, cvn_slice object, struct target *ret)
{
    char name[256];
    memset(ret, 0, sizeof *ret);
    ret->target.nsp = cvn_socket_namespace(socket);
    if (cvn_json_string(cvn_json_get(object, "nsp"), name, sizeof name)) {
        if (strcmp(name, "parent") == 0)
            ret->target.nsp = dynamic_parent;
        else
            ret->target.nsp = ret->held = cvn_find_namespace(cvn_socket_server(socket), name);
    }
    read_names(cvn_json_get(object, "rooms"), ret->rooms, ret->target.rooms);
    read_names(cvn_json_get(object, "except"), ret->except, ret->target.except);
    read_flags(cvn_json_get(object, "flags"), &ret->target);
}

static bool get_text(const cvn_event *event, size_t index, char ret[64])
{
    return cvn_json_string(cvn_event_arg(event, index), ret, 64);
}

/* --- JSON out --- */

static void append_string(cvn_text *text, const char *value)
{
    cvn_text_append_json_string(text, cvn_str(value));
}

static void append_error(cvn_text *text, enum cvn_error error)
{
    append_string(text, error == CVN_OK ? "ok" : cvn_strerror(error));
}

static void answer_error(const cvn_event *event, enum cvn_error error)
{
    cvn_text *text = cvn_text_new(TEXT_MAX);
    if (text == NULL)
        return;
    append_error(text, error);
    cvn_ack_args(event, cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

static void append_rooms(cvn_text *text, const cvn_socket *socket)
{
    const char *room;
    cvn_text_append(text, "[");
    for (size_t i = 0; (room = cvn_socket_room(socket, i)) != NULL; i++) {
        cvn_text_append(text, i > 0 ? "," : "");
        append_string(text, room);
    }
    cvn_text_append(text, "]");
}

/* --- Oneself --- */

static void on_whoami(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_text *text = cvn_text_new(TEXT_MAX);
    const cvn_namespace *nsp = cvn_socket_namespace(socket);
    const cvn_namespace *parent = cvn_namespace_parent(nsp);
    UNUSED(data);
    if (text == NULL)
        return;
    cvn_text_printf(text, "{\"id\":\"%s\",\"worker\":%u,\"nsp\":", cvn_socket_id(socket),
                    cvn_socket_worker(socket));
    append_string(text, cvn_namespace_name(nsp));
    cvn_text_append(text, ",\"parent\":");
    if (parent != NULL)
        append_string(text, cvn_namespace_name(parent));
    else
        cvn_text_append(text, "null");
    cvn_text_append(text, ",\"rooms\":");
    append_rooms(text, socket);
    cvn_text_append(text, ",\"auth\":");
    cvn_text_append_slice(text, cvn_socket_auth(socket));
    cvn_text_append(text, "}");
    cvn_ack_args(event, cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

static void on_exists(cvn_socket *socket, const cvn_event *event, void *data)
{
    char name[64] = "";
    UNUSED(data);
    get_text(event, 0, name);
    cvn_namespace *found = cvn_find_namespace(cvn_socket_server(socket), name);
    cvn_ack(event, found != NULL ? "true" : "false");
    cvn_namespace_unref(found);
}

static void on_join(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[64] = "";
    UNUSED(data);
    get_text(event, 0, room);
    answer_error(event, cvn_join(socket, room));
}

static void on_leave(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[64] = "";
    UNUSED(data);
    get_text(event, 0, room);
    cvn_leave(socket, room);
    answer_error(event, CVN_OK);
}

static void on_attributes(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_slice value = cvn_event_arg(event, 0);
    char json[1024];
    UNUSED(data);
    snprintf(json, sizeof json, "%.*s", (int)value.size, value.data);
    answer_error(event, cvn_socket_set_attributes(socket, json));
}

static void on_flood(cvn_socket *socket, const cvn_event *event, void *data)
{
    static char text[100003];
    uint64_t count = 0;
    UNUSED(data);
    cvn_json_integer(cvn_event_arg(event, 0), &count);
    if (text[0] == '\0') { /* the same bytes, whoever writes them */
        memset(text, 'x', sizeof text - 1);
        text[0] = text[sizeof text - 2] = '"';
    }
    while (count-- > 0 && cvn_socket_emit(socket, "flood", cvn_json(text)) == CVN_OK)
        ;
}

/* --- Many --- */

/* An event's arguments from number `index` on, attachments and all. */
static cvn_args args_from(const cvn_event *event, size_t index)
{
    cvn_args args = cvn_event_args(event);
    args.json = cvn_event_arg(event, index);
    return args;
}

static void on_emit(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct target target;
    char name[64] = "";
    UNUSED(data);
    read_target(socket, cvn_event_arg(event, 0), &target);
    get_text(event, 1, name);
    answer_error(event, cvn_emit(&target.target, name, args_from(event, 2)));
    cvn_namespace_unref(target.held);
}

static void on_others(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_target others = cvn_others(socket);
    char room[64], name[64] = "";
    UNUSED(data);
    if (get_text(event, 0, room))
        others.rooms[0] = room;
    get_text(event, 1, name);
    answer_error(event, cvn_emit(&others, name, args_from(event, 2)));
}

/* data: 'j', 'l' or 'd' */
static void on_change(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct target target;
    char room[64] = "";
    enum cvn_error error;
    read_target(socket, cvn_event_arg(event, 0), &target);
    get_text(event, 1, room);
    switch (*(const char *)data) {
    case 'j':
        error = cvn_sockets_join(&target.target, room);
        break;
    case 'l':
        error = cvn_sockets_leave(&target.target, room);
        break;
    default:
        error = cvn_sockets_disconnect(&target.target,
                                       cvn_json_type_of(cvn_event_arg(event, 1)) == CVN_JSON_TRUE);
        break;
    }
    answer_error(event, error);
    cvn_namespace_unref(target.held);
}

static void on_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    cvn_text *text = cvn_text_new(TEXT_MAX);
    if (text == NULL) {
        cvn_later_drop(data);
        return;
    }
    cvn_text_append(text, "{\"error\":");
    append_error(text, error);
    cvn_text_printf(text, ",\"asked\":%zu,\"answers\":[", answers->asked);
    for (size_t i = 0; i < answers->count; i++) {
        cvn_text_printf(text, "%s{\"id\":\"%s\",\"args\":[", i > 0 ? "," : "",
                        answers->items[i].socket_id);
        cvn_text_append_slice(text, answers->items[i].args.json);
        cvn_text_append(text, "]}");
    }
    cvn_text_append(text, "]}");
    cvn_later_send(data, cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

static void on_ask(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct target target;
    char name[64] = "";
    uint64_t timeout_ms = 0;
    UNUSED(data);
    read_target(socket, cvn_event_arg(event, 0), &target);
    cvn_json_integer(cvn_event_arg(event, 1), &timeout_ms);
    get_text(event, 2, name);
    cvn_later *later = cvn_ack_later(event);
    if (later == NULL)
        goto out;
    enum cvn_error error = cvn_emit_ack(&target.target, name, args_from(event, 3),
                                        (uint32_t)timeout_ms, on_answers, later);
    if (error != CVN_OK)
        on_answers(error, &(cvn_answers){0}, later);
out:
    cvn_namespace_unref(target.held);
}

static void append_remote(cvn_text *text, const cvn_remote_socket *remote)
{
    const char *room;
    cvn_text_printf(text, "{\"id\":\"%s\",\"worker\":%u,\"rooms\":[", cvn_remote_id(remote),
                    cvn_remote_worker(remote));
    for (size_t i = 0; (room = cvn_remote_room(remote, i)) != NULL; i++) {
        cvn_text_append(text, i > 0 ? "," : "");
        append_string(text, room);
    }
    cvn_text_append(text, "],\"attributes\":");
    cvn_text_append_slice(text, cvn_remote_attributes(remote));
    cvn_text_append(text, ",\"handshake\":");
    cvn_remote_handshake_json(remote, text);
    cvn_text_append(text, "}");
}

static void on_fetched(enum cvn_error error, const cvn_remote_socket *const *sockets, size_t count,
                       void *data)
{
    cvn_text *text = cvn_text_new(TEXT_MAX);
    if (text == NULL) {
        cvn_later_drop(data);
        return;
    }
    cvn_text_append(text, "{\"error\":");
    append_error(text, error);
    cvn_text_append(text, ",\"sockets\":[");
    for (size_t i = 0; i < count; i++) {
        cvn_text_append(text, i > 0 ? "," : "");
        append_remote(text, sockets[i]);
    }
    cvn_text_append(text, "]}");
    cvn_later_send(data, cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

static void on_fetch(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct target target;
    UNUSED(data);
    read_target(socket, cvn_event_arg(event, 0), &target);
    cvn_later *later = cvn_ack_later(event);
    if (later == NULL)
        goto out;
    enum cvn_error error = cvn_fetch_sockets(&target.target, 0, on_fetched, later);
    if (error != CVN_OK)
        on_fetched(error, NULL, 0, later);
out:
    cvn_namespace_unref(target.held);
}

/* --- Watching --- */

/* "saw" KIND NSP ID and what `rest` has, to all watchers. */
static void tell_watchers(const cvn_socket *socket, const char *kind, cvn_slice rest)
{
    cvn_text *text = cvn_text_new(TEXT_MAX);
    if (text == NULL)
        return;
    append_string(text, kind);
    cvn_text_append(text, ",");
    append_string(text, cvn_namespace_name(cvn_socket_namespace(socket)));
    cvn_text_printf(text, ",\"%s\"%s", cvn_socket_id(socket), rest.size > 0 ? "," : "");
    cvn_text_append_slice(text, rest);
    cvn_emit(&(cvn_target){.nsp = watch}, "saw", cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

static bool is_watched(cvn_slice event)
{
    return event.size > 4 && memcmp(event.data, "app:", 4) == 0;
}

static void tell_of_event(const cvn_socket *socket, const char *kind, cvn_slice event,
                          cvn_args args)
{
    cvn_text *text = cvn_text_new(TEXT_MAX);
    if (text == NULL)
        return;
    cvn_text_append_json_string(text, event);
    cvn_text_append(text, args.json.size > 0 ? "," : "");
    cvn_text_append_slice(text, args.json);
    tell_watchers(socket, kind, cvn_text_slice(text));
    cvn_text_free(text);
}

static void on_any(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(data);
    if (is_watched(cvn_event_name(event)))
        tell_of_event(socket, "in", cvn_event_name(event), cvn_event_args(event));
}

static void on_any_outgoing(cvn_socket *socket, const char *event, cvn_args args, void *data)
{
    UNUSED(data);
    if (is_watched(cvn_str(event)))
        tell_of_event(socket, "out", cvn_str(event), args);
}

/* data: the kind */
static void on_gone(cvn_socket *socket, const char *reason, void *data)
{
    cvn_text *text = cvn_text_new(TEXT_MAX);
    if (text == NULL)
        return;
    append_string(text, reason);
    cvn_text_append(text, ",");
    append_rooms(text, socket);
    tell_watchers(socket, data, cvn_text_slice(text));
    cvn_text_free(text);
    printf("%s %s: %s\n", (const char *)data, cvn_socket_id(socket), reason);
    fflush(stdout);
}

static void append_slice(cvn_text *text, cvn_slice value)
{
    cvn_text_append(text, ",");
    cvn_text_append_json_string(text, value);
}

bool conformance_api_allow(cvn_http_request *request, const char **ret_message, void *hook_data)
{
    UNUSED(hook_data);
    *ret_message = "denied";
    return cvn_http_query(request, "deny").data == NULL;
}

/* On the worker that refuses, which is any. */
void conformance_api_refused(cvn_http_request *request, const cvn_connection_error *error,
                             void *hook_data)
{
    cvn_text *text = cvn_text_new(TEXT_MAX);
    UNUSED(hook_data);
    if (text == NULL)
        return;
    cvn_text_printf(text, "\"refused\",%d,%d", (int)error->code, error->status);
    append_slice(text, cvn_str(error->message));
    append_slice(text, cvn_str(error->reason));
    append_slice(text, cvn_http_method(request));
    append_slice(text, cvn_http_path(request));
    append_slice(text, cvn_http_query(request, "transport"));
    append_slice(text, cvn_http_header(request, "x-tag"));
    append_slice(text, cvn_str(cvn_http_address(request)));
    cvn_emit(&(cvn_target){.nsp = watch}, "saw", cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

/* --- Middlewares --- */

static bool filter(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_slice name = cvn_event_name(event);
    UNUSED(socket);
    UNUSED(data);
    if (name.size == 10 && memcmp(name.data, "app:denied", 10) == 0) {
        cvn_ack(event, "{\"error\":\"denied\"}");
        return false;
    }
    return name.size != 13 || memcmp(name.data, "app:swallowed", 13) != 0;
}

static bool has_key(const char *name, const cvn_connect_request *request, void *data)
{
    char key[64];
    UNUSED(data);
    return strncmp(name, "/key-", 5) == 0 &&
           cvn_json_string(cvn_json_get(cvn_connect_auth(request), "key"), key, sizeof key) &&
           strcmp(name + 5, key) == 0;
}

/* --- The end --- */

struct record {
    cvn_later *later;
    char text[64];
};

static void on_recorded(cvn_timer *timer, void *data)
{
    struct record *record = data;
    printf("recorded %s\n", record->text);
    fflush(stdout);
    cvn_later_send(record->later, cvn_json("\"ok\""));
    free(record);
    cvn_timer_free(timer);
}

static void on_not_recorded(cvn_timer *timer, void *data)
{
    struct record *record = data;
    cvn_later_drop(record->later);
    free(record);
    cvn_timer_free(timer);
}

static void on_record(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct record *record = calloc(1, sizeof *record);
    UNUSED(data);
    if (record == NULL || !get_text(event, 0, record->text)) {
        free(record);
        return;
    }
    cvn_timer *timer =
        cvn_timer_new(cvn_socket_server(socket), on_recorded, on_not_recorded, record);
    if (timer == NULL) {
        free(record);
        return;
    }
    record->later = cvn_ack_later(event);
    cvn_timer_start(timer, 10);
}

static void on_drain(cvn_socket *socket, const cvn_event *event, void *data)
{
    uint64_t spread_ms = 0;
    UNUSED(data);
    cvn_json_integer(cvn_event_arg(event, 0), &spread_ms);
    answer_error(event, CVN_OK);
    cvn_server_drain(cvn_socket_server(socket), (uint32_t)spread_ms);
}

static void add_all(cvn_namespace *nsp)
{
    static char join_change[] = "j", leave_change[] = "l", disconnect_change[] = "d";
    static char disconnecting[] = "disconnecting", disconnect[] = "disconnect";
    static const struct {
        const char *event;
        cvn_event_fn fn;
        void *data;
    } routes[] = {
        {"whoami", on_whoami, NULL},
        {"exists", on_exists, NULL},
        {"join", on_join, NULL},
        {"leave", on_leave, NULL},
        {"attributes", on_attributes, NULL},
        {"flood", on_flood, NULL},
        {"emit", on_emit, NULL},
        {"others", on_others, NULL},
        {"sockets-join", on_change, join_change},
        {"sockets-leave", on_change, leave_change},
        {"sockets-disconnect", on_change, disconnect_change},
        {"ask", on_ask, NULL},
        {"fetch", on_fetch, NULL},
        {"record", on_record, NULL},
        {"drain", on_drain, NULL},
    };
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        cvn_on(nsp, routes[i].event, routes[i].fn, routes[i].data);
    cvn_use_event(nsp, filter, NULL);
    cvn_on_any(nsp, on_any, NULL);
    cvn_on_any_outgoing(nsp, on_any_outgoing, NULL);
    cvn_on_disconnecting(nsp, on_gone, disconnecting);
    cvn_on_disconnect(nsp, on_gone, disconnect);
}

void conformance_setup_api(cvn_server *server)
{
    watch = cvn_of(server, "/watch");
    dynamic_parent = cvn_of_pattern(server, "^/dynamic-[0-9]+$");
    add_all(cvn_of(server, "/"));
    add_all(dynamic_parent);
    add_all(cvn_of_predicate(server, has_key, NULL));
    cvn_of(server, "/dynamic-0"); /* a name of its own: nobody's child */
}
