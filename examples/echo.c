/*
 * The smallest server: whatever a client sends as "echo" comes back as an event "echo", and as the
 * acknowledgement if one is wanted.
 *
 *     echo [PORT]          the default is 3000; 0 takes any free one
 *
 * Try it:  npm install socket.io-client, then
 *     node -e 'const socket = require("socket.io-client").io("http://localhost:3000");
 *              socket.on("echo", (...args) => console.log("event", args));
 *              socket.emit("echo", 1, {two: 2}, (...args) => console.log("ack", args));'
 */
#include <convene/convene.h>
#include <stdio.h>
#include <stdlib.h>

/* Runs on the worker that the socket lives on. Arguments may hold binary data, and go back as they
 * came. */
static void on_echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    cvn_socket_emit(socket, "echo", cvn_event_args(event));
    cvn_ack_args(event,
                 cvn_event_args(event)); /* nothing happens when no acknowledgement is wanted */
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
    cvn_on(cvn_of(server, "/"), "echo", on_echo, NULL);
    return cvn_server_run_then(server, on_listening, NULL); /* until SIGINT or SIGTERM; frees it */
}
