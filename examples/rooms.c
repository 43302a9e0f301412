/*
 * Rooms: clients join and leave them, and say things to a room, or to a room but not to those in
 * another.
 *
 *     rooms [PORT]
 *
 *   client → server   join ROOM           acknowledged with the rooms that the client is in now
 *                     leave ROOM          likewise
 *                     say ROOM, TEXT      to the others in the room; acknowledged, true or false
 *                     quietly ROOM, MUTED, TEXT   the same, but not to those in the room MUTED
 *                     ask ID, QUESTION    to one client, whose answer is the acknowledgement
 *   server → client   said ROOM, TEXT     asked QUESTION (to be acknowledged)
 *
 * Try it:  npm install socket.io-client, then in two terminals
 *     node -i -e 'const socket = require("socket.io-client").io("http://localhost:3000");
 *                 socket.on("said", (room, text) => console.log(room, text));
 *                 socket.emit("join", "cooking", console.log)'
 *     > socket.emit("say", "cooking", "anyone hungry?", console.log)
 */
#include <convene/convene.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ROOM 64 /* bytes, with the NUL */

/* Argument `index` as the name of a room; false when it is none. */
static bool room_of(const cvn_event *event, size_t index, char ret[MAX_ROOM])
{
    return cvn_json_string(cvn_event_arg(event, index), ret, MAX_ROOM) && ret[0] != '\0';
}

static void acknowledge_rooms(cvn_socket *socket, const cvn_event *event)
{
    cvn_text *json = cvn_text_new(1 << 20);
    const char *room;
    if (json == NULL)
        return;
    cvn_text_append(json, "[");
    for (size_t i = 1; (room = cvn_socket_room(socket, i)) != NULL; i++) { /* 0 is its own id */
        cvn_text_append(json, i > 1 ? "," : "");
        cvn_text_append_json_string(json, cvn_str(room));
    }
    cvn_text_append(json, "]");
    if (!cvn_text_failed(json))
        cvn_ack_args(event, cvn_json_slice(cvn_text_slice(json)));
    cvn_text_free(json);
}

static void on_join(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[MAX_ROOM];
    (void)data;
    if (room_of(event, 0, room)) {
        enum cvn_error error = cvn_join(socket, room);
        if (error != CVN_OK)
            fprintf(stderr, "cannot join \"%s\": %s\n", room, cvn_strerror(error));
    }
    acknowledge_rooms(socket, event);
}

static void on_leave(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[MAX_ROOM];
    (void)data;
    if (room_of(event, 0, room))
        cvn_leave(socket, room);
    acknowledge_rooms(socket, event);
}

/* Emits "said" with the room and the text as the client sent them: known to be valid JSON. */
static void say(cvn_socket *socket, const cvn_event *event, const char *room, const char *muted,
                cvn_slice text)
{
    cvn_text *json = cvn_text_new(1 << 20);
    enum cvn_error error = CVN_ERR_MEMORY;
    if (json != NULL) {
        cvn_text_append_slice(json, cvn_event_arg(event, 0));
        cvn_text_append(json, ",");
        cvn_text_append_slice(json, text);
    }
    if (json != NULL && !cvn_text_failed(json))
        error = cvn_emit(&(cvn_target){.nsp = cvn_socket_namespace(socket),
                                       .rooms = {room},
                                       .except = {cvn_socket_id(socket), muted}},
                         "said", cvn_json_slice(cvn_text_slice(json)));
    cvn_text_free(json);
    cvn_ack(event, error == CVN_OK ? "true" : "false");
}

static void on_say(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[MAX_ROOM];
    cvn_slice text = cvn_event_arg(event, 1);
    (void)data;
    if (room_of(event, 0, room) && cvn_json_type_of(text) == CVN_JSON_STRING)
        say(socket, event, room, NULL, text);
    else
        cvn_ack(event, "false");
}

static void on_quietly(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[MAX_ROOM], muted[MAX_ROOM];
    cvn_slice text = cvn_event_arg(event, 2);
    (void)data;
    if (room_of(event, 0, room) && room_of(event, 1, muted) &&
        cvn_json_type_of(text) == CVN_JSON_STRING)
        say(socket, event, room, muted, text);
    else
        cvn_ack(event, "false");
}

/* What the asked client answered, or that it did not; goes to the one who asked. */
static void on_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    cvn_later *later = data;
    if (answers->count > 0)
        cvn_later_send(later, answers->items[0].args);
    else
        cvn_later_send(later, cvn_json(error == CVN_ERR_TIMEOUT ? "null,\"no answer\""
                                                                : "null,\"nobody there\""));
}

static void on_ask(cvn_socket *socket, const cvn_event *event, void *data)
{
    char id[MAX_ROOM];
    cvn_later *later = cvn_ack_later(event); /* outlives the event */
    (void)data;
    if (later == NULL)
        return; /* who does not want the answer need not ask */
    /* A socket's id is a room of its own, whichever worker it lives on. */
    if (!room_of(event, 0, id) || cvn_event_arg(event, 1).size == 0 ||
        cvn_emit_ack(&(cvn_target){.nsp = cvn_socket_namespace(socket), .rooms = {id}}, "asked",
                     cvn_json_slice(cvn_event_arg(event, 1)), 5000, on_answers, later) != CVN_OK)
        cvn_later_send(later, cvn_json("null,\"not possible\""));
}

static void on_listening(cvn_server *server, void *data)
{
    (void)data;
    printf("listening on http://localhost:%u\n", cvn_server_port(server));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint16_t port = argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 3000;
    cvn_server *server = cvn_server_new(&(cvn_options){.port = port});
    if (server == NULL)
        return 1;
    cvn_namespace *nsp = cvn_of(server, "/");
    cvn_on(nsp, "join", on_join, NULL);
    cvn_on(nsp, "leave", on_leave, NULL);
    cvn_on(nsp, "say", on_say, NULL);
    cvn_on(nsp, "quietly", on_quietly, NULL);
    cvn_on(nsp, "ask", on_ask, NULL);
    return cvn_server_run_then(server, on_listening, NULL);
}
