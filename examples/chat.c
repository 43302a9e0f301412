/*
 * A chat: clients say who they are; then everybody sees what each of them says, and who comes and
 * goes. The server serves the page as well.
 *
 *     chat [PORT]
 *
 * Try it:  open http://localhost:3000 in two windows.
 *
 *   client → server   enter NAME           acknowledged with true or false
 *                     say TEXT             acknowledged with true or false
 *   server → client   entered {name}  said {name, text}  left {name}
 */
#include <convene/convene.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM     "everybody"
#define MAX_NAME 32   /* bytes, with the NUL */
#define MAX_TEXT 1000 /* likewise */

static const char page[] =
    "<!doctype html><meta charset=utf-8><title>Chat</title>\n"
    "<ul id=log></ul><form><input id=text autofocus autocomplete=off placeholder='Your "
    "name'></form>\n"
    "<script src=/socket.io/socket.io.js></script>\n"
    "<script>\n"
    "const socket = io(), input = document.getElementById('text');\n"
    "let verb = 'enter';\n"
    "const show = (line) => {\n"
    "  document.getElementById('log').appendChild(document.createElement('li')).textContent = "
    "line;\n"
    "};\n"
    "document.forms[0].onsubmit = (event) => {\n"
    "  event.preventDefault();\n"
    "  socket.emit(verb, input.value, (ok) => {\n"
    "    if (!ok) return show('(not accepted)');\n"
    "    verb = 'say';\n"
    "    input.value = input.placeholder = '';\n"
    "  });\n"
    "};\n"
    "socket.on('entered', ({ name }) => show(`${name} is here`));\n"
    "socket.on('said', ({ name, text }) => show(`${name}: ${text}`));\n"
    "socket.on('left', ({ name }) => show(`${name} has left`));\n"
    "</script>\n";

/* Tells the room something about the socket: {"name":...} or {"name":...,"text":...}. */
static void tell(cvn_socket *socket, const char *event, const char *text)
{
    cvn_text *json = cvn_text_new(16384); /* as large as it may get */
    if (json == NULL)
        return;
    cvn_text_append(json, "{\"name\":");
    cvn_text_append_json_string(json, cvn_str(cvn_socket_data(socket)));
    if (text != NULL) {
        cvn_text_append(json, ",\"text\":");
        cvn_text_append_json_string(json, cvn_str(text));
    }
    cvn_text_append(json, "}");
    if (!cvn_text_failed(json))
        cvn_emit(&(cvn_target){.nsp = cvn_socket_namespace(socket), .rooms = {ROOM}}, event,
                 cvn_json_slice(cvn_text_slice(json)));
    cvn_text_free(json);
}

static bool enter(cvn_socket *socket, cvn_slice wanted)
{
    char name[MAX_NAME];
    if (cvn_socket_data(socket) != NULL || /* has entered already */
        !cvn_json_string(wanted, name, sizeof name) || name[0] == '\0' ||
        cvn_join(socket, ROOM) != CVN_OK)
        return false;
    cvn_socket_set_data(socket, strdup(name), free); /* freed with the socket */
    return cvn_socket_data(socket) != NULL;
}

static void on_enter(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    bool ok = enter(socket, cvn_event_arg(event, 0));
    cvn_ack(event, ok ? "true" : "false");
    if (ok)
        tell(socket, "entered", NULL);
}

static void on_say(cvn_socket *socket, const cvn_event *event, void *data)
{
    char text[MAX_TEXT];
    (void)data;
    if (cvn_socket_data(socket) == NULL ||
        !cvn_json_string(cvn_event_arg(event, 0), text, sizeof text) || text[0] == '\0') {
        cvn_ack(event, "false");
        return;
    }
    cvn_ack(event, "true");
    tell(socket, "said", text);
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)reason, (void)data;
    if (cvn_socket_data(socket) != NULL)
        tell(socket, "left", NULL);
}

/* All requests that are not Socket.IO's. */
static void on_http(cvn_http_request *request, void *data)
{
    cvn_slice path = cvn_http_path(request);
    (void)data;
    if (path.size == 1 && path.data[0] == '/')
        cvn_http_respond(request, 200, "text/html; charset=utf-8", cvn_str(page));
    else
        cvn_http_respond(request, 404, "text/plain", cvn_str("Not Found\n"));
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
    cvn_on(nsp, "enter", on_enter, NULL);
    cvn_on(nsp, "say", on_say, NULL);
    cvn_on_disconnect(nsp, on_disconnect, NULL);
    cvn_on_http(server, on_http, NULL);
    return cvn_server_run_then(server, on_listening, NULL);
}
