/*
 * A server and its clients in one thread: workers whose loops are turned by hand, a log of what the layer under test reported, and
 * blocking-free clients that speak HTTP and WebSocket over loopback. Loopback delivers at once, so a fixed number of turns shows
 * everything that will happen; time moves only when a test says so.
 */
#ifndef EIO_TEST_WORLD_H
#define EIO_TEST_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "eio/eio_server.h"
#include "http/http_conn.h"
#include "net/listener.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */

#define WORLD_WORKERS 2
#define WORLD_TURNS   12 /* of every loop: more than any exchange here needs */

struct world {
    struct worker workers[WORLD_WORKERS];
    struct worker *pointers[WORLD_WORKERS];
    struct listener *listeners[WORLD_WORKERS];
    struct eio_server *servers[WORLD_WORKERS];
    unsigned worker_count;
    struct eio_options options;
    struct eio_events events;
    struct conn_limits limits;
    struct http_limits http_limits;
    struct eio_session *last; /* opened last; NULL after its on_close */
    unsigned live;            /* on_open without on_close */
    char log[8192];           /* what was reported: "open;message(hi);close(transport close);" */
    size_t log_size;
    bool echo;             /* send every message back */
    bool close_on_message; /* close the session from inside on_message */
    const char *on_open;   /* text to send when a session opens */
    uint64_t late_ms;      /* passes in the midst of the next message's handling */
};

static struct world *the_world; /* for callbacks that get no app */

static void world_log(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void world_log(struct world *world, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof world->log - world->log_size;
    int size = vsnprintf(world->log + world->log_size, room, format, args);
    va_end(args);
    if (size > 0)
        world->log_size += (size_t)size < room ? (size_t)size : room - 1;
}

/* What was reported since the last call. */
static const char *world_reported(struct world *world)
{
    static char copy[sizeof world->log];
    memcpy(copy, world->log, world->log_size + 1);
    world->log_size = 0;
    world->log[0] = '\0';
    return copy;
}

/* --- What the layer reports --- */

static void world_send_text(struct eio_session *session, const char *text)
{
    struct message *packet = eio_packet_encode(EIO_MESSAGE, cvn_str(text));
    if (packet != NULL)
        eio_session_send(session, packet);
    message_unref(packet);
}

static void world_on_open(struct eio_session *session, const struct http_request *request,
                          void *app)
{
    struct world *world = app;
    assert_non_null(request->head);
    assert_true(eio_session_is_open(session));
    assert_string_equal(eio_session_peer_address(session), "127.0.0.1");
    world->last = session;
    world->live++;
    eio_session_set_owner(session, world);
    world_log(world, "open;");
    if (world->on_open != NULL)
        world_send_text(session, world->on_open);
}

static void world_on_message(struct eio_session *session, char *data, size_t size, bool binary)
{
    struct world *world = eio_session_owner(session);
    const char *kind = binary ? "bytes" : "message";
    if (size > 100)
        world_log(world, "%s(#%zu);", kind, size);
    else
        world_log(world, "%s(%.*s);", kind, (int)size, data);
    struct wheel *wheel = &world->workers[0].wheel;
    wheel_set_now(wheel, wheel->now_ms + world->late_ms);
    world->late_ms = 0;
    if (world->close_on_message)
        eio_session_close(session, EIO_FORCED_CLOSE);
    if (!world->echo)
        return;
    struct message *packet = binary ? eio_packet_encode_binary(slice_of(data, size))
                                    : eio_packet_encode(EIO_MESSAGE, slice_of(data, size));
    if (packet != NULL)
        eio_session_send(session, packet);
    message_unref(packet);
    if (size > 0)
        memset(data, '!', size); /* the bytes are ours to write */
}

static void world_on_upgrade(struct eio_session *session)
{
    world_log(eio_session_owner(session), "upgrade;");
    assert_int_equal(eio_session_transport(session), EIO_WEBSOCKET);
}

static void world_on_close(struct eio_session *session, enum eio_reason reason)
{
    struct world *world = eio_session_owner(session);
    assert_false(eio_session_is_open(session));
    world_log(world, "close(%s);", eio_reason_text(reason));
    world->live--;
    if (world->last == session)
        world->last = NULL;
}

/* --- The server --- */

static struct eio_server *world_server_of(struct http_request *request)
{
    return conn_worker(http_request_conn(request))->app;
}

static void world_on_head(struct http_request *request, void *app)
{
    struct eio_server *server = world_server_of(request);
    (void)app;
    if (eio_server_owns_path(server, request->head->path))
        eio_server_on_head(server, request);
    else
        http_respond(request, 404, SLICE("text/plain"), SLICE("nothing here"));
}

static void world_on_body(struct http_request *request, char *body, size_t size, void *app)
{
    (void)app;
    eio_server_on_body(world_server_of(request), request, body, size);
}

static void world_on_abort(struct http_request *request, void *app)
{
    (void)app;
    eio_server_on_abort(world_server_of(request), request);
}

static const struct http_events world_http_events = {
    .on_head = world_on_head, .on_body = world_on_body, .on_abort = world_on_abort};

static void world_on_accept(struct conn *conn, void *app)
{
    struct world *world = app;
    (void)http_conn_start(conn, &world_http_events, &world->http_limits, world);
}

/* Options first, so that a test may change them before world_start. */
static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    the_world = world;
    eio_options_default(&world->options);
    world->limits = (struct conn_limits){.high_water = (size_t)1 << 20, .max = (size_t)32 << 20};
    world->http_limits = (struct http_limits){10000000, 10000000, 10000000};
    world->events = (struct eio_events){.on_open = world_on_open,
                                        .on_message = world_on_message,
                                        .on_upgrade = world_on_upgrade,
                                        .on_close = world_on_close};
    world->worker_count = 1;
    world->echo = true;
    return world;
}

static void world_start(struct world *world)
{
    for (unsigned i = 0; i < world->worker_count; i++) {
        struct worker *worker = &world->workers[i];
        assert_int_equal(worker_init(worker, i, NULL), CVN_OK);
        /* A day ahead of the clock, which can never catch up: time stands still unless a test moves it. */
        wheel_advance(&worker->wheel, worker->wheel.now_ms + 86400000);
        world->pointers[i] = worker;
        world->servers[i] = eio_server_new(worker, &world->options, &world->events, world);
        assert_non_null(world->servers[i]);
        eio_server_set_peers(world->servers[i], world->pointers, world->worker_count);
        worker->app = world->servers[i];
        struct listener_options options = {.host = "127.0.0.1",
                                           .backlog = 64,
                                           .limits = &world->limits,
                                           .on_accept = world_on_accept,
                                           .app = world};
        assert_int_equal(listener_open(worker, &options, &world->listeners[i]), CVN_OK);
    }
}

static struct world *world_started(void)
{
    struct world *world = world_new();
    world_start(world);
    return world;
}

/* Some turns of every loop. */
static void world_turn(struct world *world)
{
    for (int turn = 0; turn < WORLD_TURNS; turn++) {
        for (unsigned i = 0; i < world->worker_count; i++)
            uv_run(world->workers[i].loop, UV_RUN_NOWAIT);
    }
}

/* Time passes on every worker, then what it brought happens. */
static void world_advance(struct world *world, uint64_t ms)
{
    for (unsigned i = 0; i < world->worker_count; i++) {
        worker_enter(&world->workers[i]);
        wheel_advance(&world->workers[i].wheel, world->workers[i].wheel.now_ms + ms);
    }
    world_turn(world);
}

/* Stops the workers; their memory is still there for what lies above. */
static void world_end(struct world *world)
{
    for (unsigned i = 0; i < world->worker_count; i++) {
        listener_close(world->listeners[i]);
        worker_stop(&world->workers[i]);
    }
    for (unsigned i = 0; i < world->worker_count; i++)
        worker_run(&world->workers[i]);
    for (unsigned i = 0; i < world->worker_count; i++) {
        eio_server_free(world->servers[i]);
        worker_release(&world->workers[i]);
    }
    assert_int_equal(world->live, 0);
}

static void world_free(struct world *world)
{
    world_end(world);
    free(world);
}

/* --- Clients --- */

#define CLIENT_BUFFER (4 << 20)

struct client {
    struct world *world;
    int fd;
    bool ended; /* the server has ended the stream */
    char *in;
    size_t in_size;
};

static struct client *client_new_on(struct world *world, unsigned worker)
{
    struct client *client = calloc(1, sizeof *client);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(listener_port(world->listeners[worker])),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_non_null(client);
    client->world = world;
    client->in = malloc(CLIENT_BUFFER);
    assert_non_null(client->in);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return client;
}

static struct client *client_new(struct world *world)
{
    return client_new_on(world, 0);
}

static void client_free(struct client *client)
{
    if (client == NULL)
        return;
    if (client->fd >= 0)
        close(client->fd);
    free(client->in);
    free(client);
}

/* The connection is torn down: RST instead of FIN with `reset`. The server sees it. */
static void client_vanish(struct client *client, bool reset)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(client->fd);
    client->fd = -1;
    struct world *world = client->world;
    client_free(client);
    world_turn(world);
}

/* Turns the loops and takes in what they brought. */
static void client_turn(struct client *client)
{
    world_turn(client->world);
    while (!client->ended && client->in_size < CLIENT_BUFFER) {
        ssize_t size =
            recv(client->fd, client->in + client->in_size, CLIENT_BUFFER - client->in_size, 0);
        if (size > 0)
            client->in_size += (size_t)size;
        else if (size == 0 || (errno != EAGAIN && errno != EINTR))
            client->ended = true;
        else
            break;
        world_turn(client->world); /* there was room again */
    }
}

static void client_drop(struct client *client, size_t size)
{
    client->in_size -= size;
    memmove(client->in, client->in + size, client->in_size);
}

static void client_write(struct client *client, const void *data, size_t size)
{
    const char *bytes = data;
    while (size > 0) {
        ssize_t sent = send(client->fd, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (sent < 0 && errno != EAGAIN) {
            break; /* the server has closed it: what it answered is still to be read */
        }
        world_turn(client->world);
    }
    world_turn(client->world);
}

static void client_print(struct client *client, const char *text)
{
    client_write(client, text, strlen(text));
}

/* --- HTTP --- */

struct response {
    int status;
    char head[4096];
    char *body; /* in the client's buffer, NUL-terminated, valid until the next call */
    size_t body_size;
};

/* Sends a request; `fields` are whole lines. */
static void http_send(struct client *client, const char *method, const char *target,
                      const char *fields, const char *body)
{
    size_t capacity = 1024 + strlen(target) + strlen(fields) + (body ? strlen(body) : 0);
    char *text = malloc(capacity);
    assert_non_null(text);
    int size =
        snprintf(text, capacity, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, target, fields);
    if (body != NULL)
        size += snprintf(text + size, capacity - (size_t)size, "Content-Length: %zu\r\n\r\n%s",
                         strlen(body), body);
    else
        size += snprintf(text + size, capacity - (size_t)size, "\r\n");
    client_write(client, text, (size_t)size);
    free(text);
}

/* Whether a whole response is there; it is taken out of the buffer. */
static bool http_receive(struct client *client, struct response *ret)
{
    static char body[CLIENT_BUFFER];
    client_turn(client);
    client->in[client->in_size < CLIENT_BUFFER ? client->in_size : CLIENT_BUFFER - 1] = '\0';
    char *end = strstr(client->in, "\r\n\r\n");
    if (end == NULL)
        return false;
    size_t head_size = (size_t)(end + 4 - client->in);
    assert_true(head_size < sizeof ret->head);
    memcpy(ret->head, client->in, head_size);
    ret->head[head_size] = '\0';
    assert_int_equal(sscanf(ret->head, "HTTP/1.1 %d ", &ret->status), 1);
    const char *length = strcasestr(ret->head, "\r\ncontent-length:");
    size_t body_size = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    if (client->in_size < head_size + body_size)
        return false;
    memcpy(body, client->in + head_size, body_size);
    body[body_size] = '\0';
    ret->body = body;
    ret->body_size = body_size;
    client_drop(client, head_size + body_size);
    return true;
}

/* A request and its response over one connection. */
static struct response *http_exchange(struct client *client, const char *method, const char *target,
                                      const char *fields, const char *body)
{
    static struct response response;
    http_send(client, method, target, fields, body);
    if (!http_receive(client, &response))
        fail_msg("no answer to %s %s", method, target);
    return &response;
}

static void assert_response(const struct response *response, int status, const char *body)
{
    assert_int_equal(response->status, status);
    assert_string_equal(response->body, body);
}

#define BASE "/engine.io/?EIO=4&transport=polling"

/* A request on a connection of its own, which is closed afterwards. */
static void assert_request(struct world *world, const char *method, const char *target,
                           const char *fields, const char *body, int status, const char *expected)
{
    struct client *client = client_new(world);
    assert_response(http_exchange(client, method, target, fields, body), status, expected);
    client_free(client);
    world_turn(world);
}

static const char *sid_target(const char *sid)
{
    static char target[4][128];
    static unsigned next;
    char *ret = target[next++ % 4];
    snprintf(ret, sizeof target[0], BASE "&sid=%s", sid);
    return ret;
}

/* Opens a polling session over `client`. */
static void polling_open(struct client *client, char ret_sid[EIO_SID_SIZE + 1])
{
    struct response *response = http_exchange(client, "GET", BASE, "", NULL);
    assert_int_equal(response->status, 200);
    assert_memory_equal(response->body, "0{\"sid\":\"", 9);
    memcpy(ret_sid, response->body + 9, EIO_SID_SIZE);
    ret_sid[EIO_SID_SIZE] = '\0';
}

static void assert_post(struct client *client, const char *sid, const char *body)
{
    assert_response(http_exchange(client, "POST", sid_target(sid), "", body), 200, "ok");
}

static void assert_poll(struct client *client, const char *sid, const char *expected)
{
    assert_response(http_exchange(client, "GET", sid_target(sid), "", NULL), 200, expected);
}

/* Sends a poll that is expected to stay pending. */
static void poll_pending(struct client *client, const char *sid)
{
    struct response response;
    http_send(client, "GET", sid_target(sid), "", NULL);
    assert_false(http_receive(client, &response));
    assert_false(client->ended);
}

/* The pending poll has been answered. */
static void assert_polled(struct client *client, const char *expected)
{
    struct response response;
    assert_true(http_receive(client, &response));
    assert_response(&response, 200, expected);
}

static void assert_gone(struct client *client, const char *sid)
{
    assert_response(http_exchange(client, "GET", sid_target(sid), "", NULL), 400,
                    "{\"code\":1,\"message\":\"Session ID unknown\"}");
}

/* --- WebSocket --- */

#define WS_FIELDS                                                                                  \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* Asks for a WebSocket; returns the status. 101 leaves the connection in frames. */
static int ws_connect_with(struct client *client, const char *target, const char *fields)
{
    struct response response;
    char all[1024];
    snprintf(all, sizeof all, WS_FIELDS "%s", fields);
    http_send(client, "GET", target, all, NULL);
    assert_true(http_receive(client, &response));
    if (response.status == 101)
        assert_non_null(
            strstr(response.head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    return response.status;
}

static int ws_connect(struct client *client, const char *sid)
{
    char target[128];
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket%s%s", sid ? "&sid=" : "",
             sid ? sid : "");
    return ws_connect_with(client, target, "");
}

/* A masked frame. */
static void ws_send_frame(struct client *client, unsigned char first, const void *data, size_t size)
{
    unsigned char *frame = malloc(size + 14);
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t head = 2;
    assert_non_null(frame);
    frame[0] = first;
    if (size < 126) {
        frame[1] = (unsigned char)(0x80 | size);
    } else if (size < 65536) {
        frame[1] = 0x80 | 126;
        frame[2] = (unsigned char)(size >> 8);
        frame[3] = (unsigned char)size;
        head = 4;
    } else {
        frame[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++)
            frame[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
        head = 10;
    }
    memcpy(frame + head, mask, 4);
    for (size_t i = 0; i < size; i++)
        frame[head + 4 + i] = ((const unsigned char *)data)[i] ^ mask[i % 4];
    client_write(client, frame, head + 4 + size);
    free(frame);
}

static void ws_send(struct client *client, const char *text)
{
    ws_send_frame(client, 0x81, text, strlen(text));
}

/* Takes a frame; its payload lies in a static buffer. False when there is none. */
static bool ws_receive(struct client *client, unsigned *ret_opcode, char **ret_data,
                       size_t *ret_size)
{
    static char data[CLIENT_BUFFER + 1];
    const unsigned char *in = (const unsigned char *)client->in;
    client_turn(client);
    if (client->in_size < 2)
        return false;
    size_t head = 2, size = in[1] & 0x7f;
    assert_int_equal(in[0] & 0x80, 0x80);
    assert_int_equal(in[1] & 0x80, 0);
    if (size == 126) {
        size = (size_t)in[2] << 8 | in[3];
        head = 4;
    } else if (size == 127) {
        size = 0;
        for (int i = 0; i < 8; i++)
            size = size << 8 | in[2 + i];
        head = 10;
    }
    if (client->in_size < head + size)
        return false;
    *ret_opcode = in[0] & 0x0f;
    memcpy(data, client->in + head, size);
    data[size] = '\0';
    *ret_data = data;
    *ret_size = size;
    client_drop(client, head + size);
    return true;
}

static void assert_ws_text(struct client *client, const char *expected)
{
    unsigned opcode;
    char *data;
    size_t size;
    if (!ws_receive(client, &opcode, &data, &size))
        fail_msg("no frame, expected \"%s\"", expected);
    assert_int_equal(opcode, 1);
    assert_string_equal(data, expected);
}

static void assert_ws_silent(struct client *client)
{
    client_turn(client);
    assert_int_equal(client->in_size, 0);
    assert_false(client->ended);
}

/* A close frame with `status` (1005: without one) came, and after ours the stream ends. */
static void assert_ws_closed(struct client *client, unsigned status)
{
    unsigned opcode;
    char *data;
    size_t size;
    if (!ws_receive(client, &opcode, &data, &size))
        fail_msg("no close frame%s", client->ended ? ", the stream just ended" : "");
    assert_int_equal(opcode, 8);
    assert_int_equal(size, status == 1005 ? 0 : 2);
    if (size == 2)
        assert_int_equal((unsigned char)data[0] << 8 | (unsigned char)data[1], status);
    ws_send_frame(client, 0x88, data, size);
    client_turn(client);
    assert_true(client->ended);
}

/* Opens a WebSocket session; the open packet has been read. */
static void ws_open(struct client *client, char ret_sid[EIO_SID_SIZE + 1])
{
    unsigned opcode;
    char *data;
    size_t size;
    assert_int_equal(ws_connect(client, NULL), 101);
    assert_true(ws_receive(client, &opcode, &data, &size));
    assert_int_equal(opcode, 1);
    assert_memory_equal(data, "0{\"sid\":\"", 9);
    memcpy(ret_sid, data + 9, EIO_SID_SIZE);
    ret_sid[EIO_SID_SIZE] = '\0';
}

#endif
