/*
 * Who may come in: a middleware looks at the token in the client's `auth` and refuses those that it
 * does not know. Handlers then find the user in the socket's data.
 *
 *     auth [PORT]
 *
 * Try it:  npm install socket.io-client, then
 *     node -e 'const { io } = require("socket.io-client");
 *              const socket = io("http://localhost:3000", {auth: {token: "tangerine"}});
 *              socket.on("connect_error", (error) => console.log(error.message, error.data));
 *              socket.emit("whoami", (name) => console.log(name));'
 * With another token it prints: unauthorized { code: 401 }
 */
#include <convene/convene.h>
#include <stdio.h>
#include <stdlib.h>

/* Yours would verify a signature, or ask a database; docs/embedding.md shows answering later. */
struct user {
    const char *token, *name;
};

static struct user users[] = {{"tangerine", "Ada"}, {"grapefruit", "Grace"}};

/* Takes as long for a wrong token as for a right one of its length: the time tells nothing. */
static bool is_same(const char *a, const char *b)
{
    size_t size = strlen(a);
    unsigned char difference = 0;
    if (size != strlen(b))
        return false;
    for (size_t i = 0; i < size; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

static void check_token(cvn_socket *socket, cvn_next *next, void *data)
{
    char token[256];
    (void)data;
    if (cvn_json_string(cvn_json_get(cvn_socket_auth(socket), "token"), token, sizeof token)) {
        for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
            if (is_same(token, users[i].token)) {
                cvn_socket_set_data(socket, &users[i], NULL); /* lives longer than the socket */
                cvn_next_accept(next);
                return;
            }
        }
    }
    cvn_next_refuse(next, "unauthorized", "{\"code\":401}");
}

static void on_whoami(cvn_socket *socket, const cvn_event *event, void *data)
{
    const struct user *user = cvn_socket_data(socket);
    char json[64];
    (void)data;
    snprintf(json, sizeof json, "\"%s\"", user->name); /* names that need no escaping */
    cvn_ack(event, json);
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
    cvn_use(nsp, check_token, NULL);
    cvn_on(nsp, "whoami", on_whoami, NULL);
    return cvn_server_run_then(server, on_listening, NULL);
}
