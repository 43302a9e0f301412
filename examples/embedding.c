/*
 * Convene inside a program that has a libuv loop already: a line server on TCP, a clock and
 * Socket.IO, all on one loop and one thread. Lines from TCP go to all Socket.IO clients as "line";
 * what those send as "line" goes to all TCP connections; "tick" counts.
 *
 *     embedding [PORT [TCP-PORT [TICK-MS]]]        defaults 3000, 3001, 1000
 *
 * Try it:  npm install socket.io-client, then in two terminals
 *     node -i -e 'const socket = require("socket.io-client").io("http://localhost:3000");
 *                 socket.onAny(console.log)'
 *     nc localhost 3001
 */
#include <convene/convene.h>
#include <convene/uv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define MAX_LINE 1024

/* One TCP connection, in the program's list. */
struct peer {
    uv_tcp_t tcp;
    struct program *program;
    struct peer *next, **link; /* link: where the one before points to us */
    char line[MAX_LINE];
    size_t size;
};

struct program {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_timer_t timer;
    uv_signal_t signals[2];
    struct peer *peers;
    unsigned ticks;
    cvn_server *server;
    cvn_namespace *nsp;
};

/* --- From TCP to Socket.IO --- */

static void emit_line(struct program *program, cvn_slice line)
{
    cvn_text *json = cvn_text_new(8 * MAX_LINE);
    if (json == NULL)
        return;
    cvn_text_append_json_string(json, line);
    if (!cvn_text_failed(json)) /* queued now, sent at the end of this turn of the loop */
        cvn_emit(&(cvn_target){.nsp = program->nsp}, "line", cvn_json_slice(cvn_text_slice(json)));
    cvn_text_free(json);
}

static void on_peer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop(struct peer *peer)
{
    if (uv_is_closing((uv_handle_t *)&peer->tcp))
        return;
    *peer->link = peer->next;
    if (peer->next != NULL)
        peer->next->link = peer->link;
    uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct peer *peer = handle->data;
    (void)suggested;
    *ret = uv_buf_init(peer->line + peer->size, (unsigned)(MAX_LINE - peer->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct peer *peer = stream->data;
    char *end;
    (void)buf;
    if (size < 0) { /* the end, an error, or a line that is too long */
        drop(peer);
        return;
    }
    peer->size += (size_t)size;
    while ((end = memchr(peer->line, '\n', peer->size)) != NULL) {
        size_t length = (size_t)(end - peer->line);
        emit_line(peer->program, (cvn_slice){peer->line, length});
        peer->size -= length + 1;
        memmove(peer->line, end + 1, peer->size);
    }
}

static void on_tcp_connection(uv_stream_t *listener, int status)
{
    struct program *program = listener->data;
    struct peer *peer = status == 0 ? calloc(1, sizeof *peer) : NULL;
    if (peer == NULL)
        return;
    peer->program = program;
    peer->tcp.data = peer;
    peer->link = &program->peers;
    peer->next = program->peers;
    if (peer->next != NULL)
        peer->next->link = &peer->next;
    program->peers = peer;
    uv_tcp_init(&program->loop, &peer->tcp);
    if (uv_accept(listener, (uv_stream_t *)&peer->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read) != 0)
        drop(peer);
}

/* --- From Socket.IO to TCP: handlers run on the loop's thread, so there is nothing to lock --- */

static void on_line(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct program *program = data;
    char line[MAX_LINE + 1];
    (void)socket;
    if (!cvn_json_string(cvn_event_arg(event, 0), line, MAX_LINE)) {
        cvn_ack(event, "false");
        return;
    }
    size_t size = strlen(line);
    line[size++] = '\n';
    struct peer *next;
    for (struct peer *peer = program->peers; peer != NULL; peer = next) {
        uv_buf_t buf = uv_buf_init(line, (unsigned)size);
        next = peer->next;
        if (uv_try_write((uv_stream_t *)&peer->tcp, &buf, 1) != (int)buf.len)
            drop(peer); /* does not read what it is sent */
    }
    cvn_ack(event, "true");
}

/* --- The clock, and the end --- */

static void on_tick(uv_timer_t *timer)
{
    struct program *program = timer->data;
    char json[16];
    snprintf(json, sizeof json, "%u", ++program->ticks);
    cvn_emit(&(cvn_target){.nsp = program->nsp}, "tick", cvn_json(json));
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct program *program = handle->data;
    (void)number;
    cvn_server_stop(program->server); /* tells its clients, which takes some turns */
}

/* Convene has left the loop; now the rest does, and uv_run returns. */
static void on_stopped(cvn_server *server, void *data)
{
    struct program *program = data;
    cvn_server_free(server);
    while (program->peers != NULL)
        drop(program->peers);
    uv_close((uv_handle_t *)&program->listener, NULL);
    uv_close((uv_handle_t *)&program->timer, NULL);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&program->signals[i], NULL);
}

static bool listen_tcp(struct program *program, int port)
{
    struct sockaddr_in address;
    uv_tcp_init(&program->loop, &program->listener);
    program->listener.data = program;
    return uv_ip4_addr("127.0.0.1", port, &address) == 0 &&
           uv_tcp_bind(&program->listener, (struct sockaddr *)&address, 0) == 0 &&
           uv_listen((uv_stream_t *)&program->listener, 16, on_tcp_connection) == 0;
}

static unsigned tcp_port(const struct program *program)
{
    struct sockaddr_in address = {0};
    int size = sizeof address;
    uv_tcp_getsockname(&program->listener, (struct sockaddr *)&address, &size);
    const unsigned char *bytes = (const unsigned char *)&address.sin_port;
    return bytes[0] * 256U + bytes[1];
}

static int argument(int argc, char **argv, int index, int otherwise)
{
    return argc > index ? (int)strtol(argv[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    static const int numbers[2] = {SIGINT, SIGTERM};
    static struct program program;
    if (uv_loop_init(&program.loop) != 0 || !listen_tcp(&program, argument(argc, argv, 2, 3001))) {
        fprintf(stderr, "cannot listen on TCP\n");
        return 1;
    }
    uv_timer_init(&program.loop, &program.timer);
    uv_timer_start(&program.timer, on_tick, 0, (uint64_t)argument(argc, argv, 3, 1000));
    program.timer.data = &program;
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&program.loop, &program.signals[i]);
        uv_signal_start(&program.signals[i], on_signal, numbers[i]);
        program.signals[i].data = &program;
    }

    program.server =
        cvn_server_new(&(cvn_options){.port = (uint16_t)argument(argc, argv, 1, 3000)});
    program.nsp = cvn_of(program.server, "/");
    cvn_on(program.nsp, "line", on_line, &program);
    enum cvn_error error =
        cvn_server_start_on_loop(program.server, &program.loop, on_stopped, &program);
    if (error != CVN_OK) {
        fprintf(stderr, "cannot start: %s\n", cvn_strerror(error));
        cvn_server_free(program.server);
        return 1;
    }
    printf("lines on port %u\nlistening on http://localhost:%u\n", tcp_port(&program),
           cvn_server_port(program.server));
    fflush(stdout);

    uv_run(&program.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&program.loop) == 0 ? 0 : 1;
}
