/*
 * The contract "sio-recovery": connection state recovery for the official client, on the public API alone.
 *
 * On "/": `join` room, ack; `attributes` value, ack; `publish` {room, event, volatile} value, ack: emits `event` to the room (to all without one) but the
 * sender; `whoami`, ack with {id, recovered, worker, rooms, attributes}. A token "expired" in auth is refused, "another" declines recovery. On
 * "/watch" everybody hears `left` id reason when a socket of "/" has gone.
 */
#include "conformance.h"
#include <convene/convene.h>
#include <stdio.h>
#include <string.h>

#define UNUSED(name) (void)(name)

static void check_token(cvn_socket *socket, cvn_next *next, void *data)
{
    char token[16] = "";
    UNUSED(data);
    cvn_json_string(cvn_json_get(cvn_socket_auth(socket), "token"), token, sizeof token);
    if (strcmp(token, "another") == 0)
        cvn_decline_recovery(socket);
    if (strcmp(token, "expired") == 0)
        cvn_next_refuse(next, "token expired", "{\"code\":\"expired\"}");
    else
        cvn_next_accept(next);
}

static void on_join(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[64];
    UNUSED(data);
    bool ok = cvn_json_string(cvn_event_arg(event, 0), room, sizeof room) &&
              cvn_join(socket, room) == CVN_OK;
    cvn_ack(event, ok ? "true" : "false");
}

static void on_attributes(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_slice value = cvn_event_arg(event, 0);
    char json[256];
    UNUSED(data);
    snprintf(json, sizeof json, "%.*s", (int)value.size, value.data);
    cvn_ack(event, cvn_socket_set_attributes(socket, json) == CVN_OK ? "true" : "false");
}

static void on_publish(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_slice options = cvn_event_arg(event, 0);
    cvn_args args = cvn_event_args(event);
    char room[64] = "", name[64] = "";
    UNUSED(data);
    cvn_json_string(cvn_json_get(options, "room"), room, sizeof room);
    cvn_json_string(cvn_json_get(options, "event"), name, sizeof name);
    args.json = cvn_event_arg(event, 1);
    const cvn_target target = {
        .nsp = cvn_socket_namespace(socket),
        .rooms = {room[0] != '\0' ? room : NULL},
        .except = {cvn_socket_id(socket)},
        .flags =
            cvn_json_type_of(cvn_json_get(options, "volatile")) == CVN_JSON_TRUE ? CVN_VOLATILE : 0,
    };
    cvn_ack(event, cvn_emit(&target, name, args) == CVN_OK ? "true" : "false");
}

static void on_whoami(cvn_socket *socket, const cvn_event *event, void *data)
{
    const char *room;
    cvn_text *text = cvn_text_new(65536);
    UNUSED(data);
    if (text == NULL)
        return;
    cvn_text_printf(text, "{\"id\":\"%s\",\"recovered\":%s,\"worker\":%u,\"rooms\":[",
                    cvn_socket_id(socket), cvn_socket_recovered(socket) ? "true" : "false",
                    cvn_socket_worker(socket));
    for (size_t i = 1; (room = cvn_socket_room(socket, i)) != NULL; i++) {
        cvn_text_append(text, i > 1 ? "," : "");
        cvn_text_append_json_string(text, cvn_str(room));
    }
    cvn_text_append(text, "],\"attributes\":");
    cvn_text_append_slice(text, cvn_socket_attributes(socket));
    cvn_text_append(text, "}");
    cvn_ack_args(event, cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

static void on_left(cvn_socket *socket, const char *reason, void *data)
{
    char json[96];
    snprintf(json, sizeof json, "\"%s\",\"%s\"", cvn_socket_id(socket), reason);
    cvn_emit(&(cvn_target){.nsp = data}, "left", cvn_json(json));
}

void conformance_setup_recovery(cvn_server *server)
{
    cvn_namespace *root = cvn_of(server, "/"), *watch = cvn_of(server, "/watch");
    cvn_use(root, check_token, NULL);
    cvn_on(root, "join", on_join, NULL);
    cvn_on(root, "attributes", on_attributes, NULL);
    cvn_on(root, "publish", on_publish, NULL);
    cvn_on(root, "whoami", on_whoami, NULL);
    cvn_on_disconnect(root, on_left, watch);
}
