/*
 * The server that is measured: the benchmark's contract on the public API. On "/" and "/bench": `echo` gives its arguments back in the
 * acknowledgement, `join` puts the sender into a room, `pub` sends `msg` to a room.
 */
#include <convene/convene.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void on_echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket;
    (void)data;
    cvn_ack_args(event, cvn_event_args(event));
}

static bool room_of(const cvn_event *event, char room[256])
{
    return cvn_json_string(cvn_event_arg(event, 0), room, 256) && room[0] != '\0';
}

static void on_join(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[256];
    (void)data;
    if (room_of(event, room) && cvn_join(socket, room) == CVN_OK)
        cvn_ack(event, NULL);
}

static void on_pub(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[256];
    cvn_args args = cvn_event_args(event);
    (void)data;
    if (!room_of(event, room))
        return;
    cvn_target target = {.nsp = cvn_socket_namespace(socket), .rooms = {room}};
    args.json = cvn_args_at(args, 1);
    cvn_emit(&target, "msg", args);
}

static void serve(cvn_server *server, const char *name)
{
    cvn_namespace *nsp = cvn_of(server, name);
    cvn_on(nsp, "echo", on_echo, NULL);
    cvn_on(nsp, "join", on_join, NULL);
    cvn_on(nsp, "pub", on_pub, NULL);
}

/* Thousands of connections need as many descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_listening(cvn_server *server, void *data)
{
    (void)data;
    printf("listening on 127.0.0.1:%u\n", cvn_server_port(server));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                          {"workers", required_argument, NULL, 'w'},
                                          {NULL, 0, NULL, 0}};
    const char *port = getenv("PORT");
    cvn_options options = {.host = "127.0.0.1", .workers = 1};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'p')
            port = optarg;
        else if (option == 'w')
            options.workers = (unsigned)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    options.port = port != NULL ? (uint16_t)strtoul(port, NULL, 10) : 0;
    raise_descriptor_limit();
    cvn_server *server = cvn_server_new(&options);
    if (server == NULL)
        return 1;
    serve(server, "/");
    serve(server, "/bench");
    return cvn_server_run_then(server, on_listening, NULL);
}
