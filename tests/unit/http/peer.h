/*
 * A connection under test and its client, in one thread: real workers whose loops are turned by hand, a
 * socket pair between, which delivers at once. The path of a request says what the layer above does
 * with it. Both sides are written down as text:
 * heard: "GET /now;" on_head, "body 5 hello;" on_body, "abort;" on_abort, "raw 3 abc;" after an upgrade,
 * "raw end;".
 * answered: "200:now " status and body; "c" behind the status for Connection: close, "k" for keep-alive, "[Name: value]"
 * for other fields that a test added; "~" for a chunked one; "cut" what came of an answer that was not whole; "|" the end of the stream.
 * Time moves only when a test says so: the limits are far beyond what a test takes.
 */
#ifndef HTTP_TEST_PEER_H
#define HTTP_TEST_PEER_H

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pieces.h"
#include "http/http_internal.h"
#include "base/mem.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */

#define PEER_WORKERS  2
#define PEER_TURNS    6
#define PEER_BODY_MAX 1000
#define HEAD_MS       10000000
#define BODY_MS       30000000
#define IDLE_MS       50000000
#define LINGER_MS     5000
#define LOG_SIZE      65536
#define IN_SIZE       (1 << 20)

struct peer {
    struct worker workers[PEER_WORKERS];
    struct conn *conn; /* NULL after on_close */
    int fd;            /* the client's end, -1 when closed */
    bool ended;        /* the server has ended the stream */
    bool reads;        /* the client takes in what comes */
    char heard[LOG_SIZE];
    char answered[LOG_SIZE];
    char *in; /* what the client received and was not yet written down */
    size_t in_size;
    int begun, done; /* requests: on_head, and what ended them */
    struct http_request *pending[4];
    size_t pending_count;
    struct http_request *parked;
    struct peer *other;     /* whose pending request "/other" answers */
    char *lowest, *highest; /* frames of on_head */
    size_t largest_raw;     /* on_data after an upgrade */
};

static const struct conn_limits peer_budget = {.high_water = 1 << 20, .max = 8 << 20};
static const struct http_limits peer_limits = {HEAD_MS, BODY_MS, IDLE_MS};
static struct message *peer_shared; /* a large body for all */

static void peer_put(char log[LOG_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void peer_put(char log[LOG_SIZE], const char *format, ...)
{
    size_t used = strlen(log);
    va_list args;
    va_start(args, format);
    int size = vsnprintf(log + used, LOG_SIZE - used, format, args);
    va_end(args);
    assert_true(size >= 0 && (size_t)size < LOG_SIZE - used);
}

static void peer_put_bytes(char log[LOG_SIZE], const char *data, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + (uint8_t)data[i];
    if (size > 60)
        peer_put(log, "#%zu/%08x", size, sum);
    else
        peer_put(log, "%.*s", (int)size, data);
}

/* --- The layer above --- */

static bool peer_is(const struct http_request *request, const char *path)
{
    return slice_eq(request->head->path, cvn_str(path));
}

static void peer_answer(struct peer *peer, const char *body)
{
    assert_true(peer->pending_count > 0);
    struct http_request *request = peer->pending[0];
    peer->pending_count--;
    memmove(peer->pending, peer->pending + 1, peer->pending_count * sizeof peer->pending[0]);
    peer->done++;
    http_respond(request, 200, SLICE(""), cvn_str(body));
}

static void peer_on_raw(struct conn *conn, char *data, size_t size)
{
    struct peer *peer = conn_owner(conn);
    if (size > peer->largest_raw)
        peer->largest_raw = size;
    peer_put(peer->heard, "raw ");
    peer_put_bytes(peer->heard, data, size);
    peer_put(peer->heard, ";");
    memset(data, 'r', size);
}

static void peer_on_raw_end(struct conn *conn, enum conn_reason reason)
{
    struct peer *peer = conn_owner(conn);
    (void)reason;
    peer->conn = NULL;
    peer_put(peer->heard, "raw end;");
}

static const struct conn_events peer_raw_events = {.on_data = peer_on_raw,
                                                   .on_close = peer_on_raw_end};

static void peer_upgrade(struct peer *peer, struct http_request *request, bool closes)
{
    struct conn *conn = http_request_upgrade(request);
    assert_ptr_equal(conn, peer->conn);
    conn_set_owner(conn, &peer_raw_events, peer);
    conn_write(conn, SLICE("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
    if (closes)
        conn_close(conn, CONN_ERROR);
}

static void peer_keep(struct peer *peer, struct http_request *request)
{
    assert_true(peer->pending_count < 4);
    peer->pending[peer->pending_count++] = request;
}

static void peer_add_fields(struct http_request *request)
{
    http_request_add_field(request, SLICE("X-One"), SLICE("1"));
    http_request_add_field(request, SLICE("X-Two"), SLICE("2 2"));
}

/* A parked request: "/park" is answered, "/park-upgrade", "/park-body" and "/park-move" are what they say. */
static bool peer_comes_again(struct peer *peer, struct http_request *request)
{
    if (request->user != peer)
        return false;
    assert_int_equal(request->route, 7);
    if (peer_is(request, "/park-body")) {
        http_request_read_body(request, PEER_BODY_MAX);
        return true;
    }
    if (peer_is(request, "/park-move") && conn_worker(peer->conn)->index == 0) {
        peer->done++;
        http_request_move(request, &peer->workers[1]);
        return true;
    }
    peer->done++;
    if (peer_is(request, "/park-upgrade"))
        peer_upgrade(peer, request, false);
    else
        http_respond(request, 200, SLICE(""), request->head->query);
    return true;
}

static void peer_resume(struct peer *peer)
{
    struct http_request *request = peer->parked;
    assert_non_null(request);
    assert_true(request->parked);
    peer->parked = NULL;
    http_request_resume(request);
}

static void peer_on_head(struct http_request *request, void *app)
{
    struct peer *peer = app;
    char *frame = __builtin_frame_address(0);
    if (peer->lowest == NULL || frame < peer->lowest)
        peer->lowest = frame;
    if (frame > peer->highest)
        peer->highest = frame;
    assert_ptr_equal(http_request_conn(request), peer->conn);
    assert_int_equal(request->fields.size, 0);
    assert_false(request->parked);
    peer_put(peer->heard, "%.*s %.*s;", SLICE_ARG(request->head->method_name),
             SLICE_ARG(request->head->path));
    if (peer_comes_again(peer, request))
        return;
    peer->begun++;
    assert_null(request->user);
    assert_int_equal(request->route, 0);
    request->user = peer;
    request->route = 7;
    if (slice_starts_with(request->head->path, SLICE("/park"))) {
        http_request_park(request);
        peer->parked = request;
        return;
    }
    if (peer_is(request, "/later"))
        peer_keep(peer, request);
    else if (peer_is(request, "/body") || peer_is(request, "/body-later") ||
             peer_is(request, "/body-close") || peer_is(request, "/body-drop"))
        http_request_read_body(request, PEER_BODY_MAX);
    else if (peer_is(request, "/body-and-drop")) {
        http_request_read_body(request, PEER_BODY_MAX);
        conn_close(peer->conn, CONN_ERROR);
    } else if (peer_is(request, "/body-fields")) {
        peer_add_fields(request);
        http_request_read_body(request, PEER_BODY_MAX);
    } else if (peer_is(request, "/body-none"))
        http_request_read_body(request, 0);
    else if (peer_is(request, "/body-taken-later")) {
        http_request_read_body(request, PEER_BODY_MAX);
        peer_keep(peer, request); /* for an answer before the body is there */
    } else if (peer_is(request, "/drop"))
        conn_close(peer->conn, CONN_ERROR);
    else if (peer_is(request, "/upgrade") || peer_is(request, "/upgrade-close")) {
        peer->done++;
        peer_upgrade(peer, request, peer_is(request, "/upgrade-close"));
    } else if (peer_is(request, "/upgrade-forgotten")) {
        peer->done++;
        http_request_upgrade(request);
    } else if (peer_is(request, "/move") && conn_worker(peer->conn)->index == 0) {
        peer->done++;
        http_request_move(request, &peer->workers[1]);
    } else {
        peer->done++;
        if (peer_is(request, "/other"))
            peer_answer(peer->other, "from afar");
        if (peer_is(request, "/close"))
            http_respond_close(request, 403, SLICE("text/plain"), SLICE("bye"));
        else if (peer_is(request, "/none"))
            http_respond(request, 204, SLICE(""), SLICE("not sent"));
        else if (peer_is(request, "/same"))
            http_respond_message(request, 304, SLICE(""), peer_shared);
        else if (peer_is(request, "/shared"))
            http_respond_message(request, 200, SLICE(""), peer_shared);
        else if (peer_is(request, "/fields")) {
            peer_add_fields(request);
            http_respond(request, 200, SLICE(""), SLICE("x"));
        } else
            http_respond(request, 200, SLICE(""), request->head->query);
    }
}

static void peer_on_body(struct http_request *request, char *body, size_t size, void *app)
{
    struct peer *peer = app;
    assert_ptr_equal(request->user, peer);
    assert_int_equal(request->route, 7);
    assert_non_null(body);
    peer_put(peer->heard, "body %zu ", size);
    peer_put_bytes(peer->heard, body, size);
    peer_put(peer->heard, ";");
    const struct http_head *head = request->head;
    assert_true(slice_starts_with(head->path, SLICE("/body")) ||
                slice_starts_with(head->path, SLICE("/park"))); /* valid again */
    if (peer_is(request, "/body-later")) {
        peer_keep(peer, request);
    } else if (peer_is(request, "/body-drop")) {
        conn_close(peer->conn, CONN_ERROR);
    } else if (!peer_is(request, "/body-taken-later")) {
        peer->done++;
        if (peer_is(request, "/body-close"))
            http_respond_close(request, 200, SLICE(""), slice_of(body, size));
        else
            http_respond(request, 200, SLICE(""), slice_of(body, size));
    }
    memset(body, 'b', size); /* valid and writable until the end, whatever was done */
}

static void peer_on_abort(struct http_request *request, void *app)
{
    struct peer *peer = app;
    size_t kept = 0;
    assert_ptr_equal(request->user, peer);
    peer_put(peer->heard, "abort;");
    if (peer->parked == request)
        peer->parked = NULL;
    peer->done++;
    for (size_t i = 0; i < peer->pending_count; i++)
        if (peer->pending[i] != request)
            peer->pending[kept++] = peer->pending[i];
    peer->pending_count = kept;
}

static const struct http_events peer_events = {
    .on_head = peer_on_head, .on_body = peer_on_body, .on_abort = peer_on_abort};

/* --- The client --- */

/* A chunked body behind the head: its size, or what is not whole yet: SIZE_MAX. *ret_used bytes of input were it; it lies decoded in place. */
static size_t peer_chunked(struct peer *peer, size_t head, size_t *ret_used)
{
    struct http_chunked decoder = {0};
    size_t size = 0, left = peer->in_size - head;
    char *copy = malloc(left + 1);
    assert_non_null(copy);
    memcpy(copy, peer->in + head, left);
    enum http_decode result = http_chunked_decode(&decoder, copy, left, &size, ret_used);
    assert_int_not_equal(result, HTTP_REFUSED);
    if (result == HTTP_COMPLETE)
        memcpy(peer->in + head, copy, size);
    free(copy);
    return result == HTTP_COMPLETE ? size : SIZE_MAX;
}

static bool peer_field(const char *head, const char *field)
{
    return strstr(head, field) != NULL;
}

/* Writes down the whole responses that have come. HEAD answers have no body: the test says how many come first. */
static void peer_write_down(struct peer *peer, unsigned bodiless)
{
    for (;;) {
        peer->in[peer->in_size] = '\0';
        char *end = strstr(peer->in, "\r\n\r\n");
        if (end == NULL)
            break;
        int status = 0, length_end = 0;
        size_t length = 0, head = (size_t)(end + 4 - peer->in);
        char text[2048];
        assert_true(head < sizeof text);
        memcpy(text, peer->in, head);
        text[head] = '\0';
        assert_int_equal(sscanf(text, "HTTP/1.1 %d %*[^\r]%n", &status, &length_end), 1);
        const char *field = strstr(text, "\r\nContent-Length: ");
        if (field != NULL)
            length = strtoul(field + 18, NULL, 10);
        bool chunked = bodiless == 0 && peer_field(text, "\r\nTransfer-Encoding: chunked\r\n");
        bool until_end = field == NULL && !chunked && bodiless == 0 && status >= 200 &&
                         status != 204 && status != 304;
        assert_true(!until_end || peer_field(text, "\r\nConnection: close\r\n"));
        size_t body = bodiless > 0 || status == 304 ? 0 : length;
        if (chunked && (length = peer_chunked(peer, head, &body)) == SIZE_MAX)
            break;
        if (until_end) {
            if (!peer->ended)
                break;
            length = body = peer->in_size - head;
        }
        if (peer->in_size < head + body)
            break;
        peer_put(peer->answered, "%d%s%s%s", status, chunked ? "~" : "",
                 peer_field(text, "\r\nConnection: close\r\n") ? "c" : "",
                 peer_field(text, "\r\nConnection: keep-alive\r\n") ? "k" : "");
        for (const char *extra = text; (extra = strstr(extra, "\r\nX-")) != NULL; extra += 2)
            peer_put(peer->answered, "[%.*s]", (int)strcspn(extra + 2, "\r"), extra + 2);
        if (bodiless > 0) {
            peer_put(peer->answered, "(%zu)", length);
            bodiless--;
        } else if (length > 0) {
            peer_put(peer->answered, ":");
            peer_put_bytes(peer->answered, peer->in + head, length);
        }
        peer_put(peer->answered, " ");
        peer->in_size -= head + body;
        memmove(peer->in, peer->in + head + body, peer->in_size);
    }
}

static void peer_receive(struct peer *peer)
{
    while (peer->reads && !peer->ended && peer->fd >= 0) {
        assert_true(peer->in_size + 1 < IN_SIZE);
        ssize_t size = recv(peer->fd, peer->in + peer->in_size, IN_SIZE - 1 - peer->in_size, 0);
        if (size > 0) {
            peer->in_size += (size_t)size;
            peer_write_down(peer, 0);
        } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
            peer->ended = true;
            peer_write_down(peer, 0);
            if (peer->in_size > 0) /* an answer that was cut */
                peer_put(peer->answered, "cut ");
            peer->in_size = 0;
            peer_put(peer->answered, "|");
        } else {
            break;
        }
    }
}

/* Some turns of every loop; the client takes in what comes. */
static void peer_turn(struct peer *peer)
{
    for (int turn = 0; turn < PEER_TURNS; turn++) {
        for (int i = 0; i < PEER_WORKERS; i++)
            uv_run(peer->workers[i].loop, UV_RUN_NOWAIT);
        peer_receive(peer);
    }
}

static void peer_advance(struct peer *peer, uint64_t ms)
{
    for (int i = 0; i < PEER_WORKERS; i++) {
        struct wheel *wheel = &peer->workers[i].wheel;
        worker_enter(&peer->workers[i]);
        wheel_advance(wheel, wheel->now_ms + ms);
    }
    peer_turn(peer);
}

/* As much as the server takes; how much that was. */
static size_t peer_send_some(struct peer *peer, const char *data, size_t size)
{
    size_t sent = 0;
    for (int stalled = 0; sent < size && stalled < 3; stalled++) {
        ssize_t done = send(peer->fd, data + sent, size - sent, MSG_NOSIGNAL);
        if (done > 0) {
            sent += (size_t)done;
            stalled = 0;
        } else if (errno != EAGAIN) {
            break;
        }
        peer_turn(peer);
    }
    return sent;
}

static void peer_send(struct peer *peer, const char *data, size_t size)
{
    peer_send_some(peer, data, size);
    peer_turn(peer);
}

static void peer_print(struct peer *peer, const char *text)
{
    peer_send(peer, text, strlen(text));
}

static void peer_half_close(struct peer *peer)
{
    shutdown(peer->fd, SHUT_WR);
    peer_turn(peer);
}

static void peer_vanish(struct peer *peer)
{
    close(peer->fd);
    peer->fd = -1;
    peer_turn(peer);
}

/* --- Both --- */

static struct http_conn *peer_http(const struct peer *peer)
{
    return conn_owner(peer->conn);
}

/* What the machine holds: nothing while it idles. */
static void assert_idle(const struct peer *peer)
{
    const struct http_conn *http = peer_http(peer);
    assert_null(http->in.data);
    assert_null(http->body.collected.data);
    assert_null(http->body.saved);
    assert_null(http->request.fields.data);
    assert_null(http->request.head);
    assert_true(timer_is_armed(&http->timer));
    assert_true(conn_is_open(peer->conn));
}

static bool peer_has_conn(const struct peer *peer)
{
    return !list_is_empty(&peer->workers[0].conns) || !list_is_empty(&peer->workers[1].conns);
}

static void peer_open_with(struct peer *peer, const struct conn_limits *budget, int buffer)
{
    int pair[2];
    memset(peer, 0, sizeof *peer);
    peer->in = malloc(IN_SIZE);
    assert_non_null(peer->in);
    for (unsigned i = 0; i < PEER_WORKERS; i++)
        assert_int_equal(worker_init(&peer->workers[i], i, NULL), CVN_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    if (buffer > 0)
        setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    peer->fd = pair[0];
    peer->reads = true;
    peer->conn = conn_adopt(&peer->workers[0], pair[1], budget, NULL);
    if (peer->conn == NULL)
        close(pair[1]);
    else if (!http_conn_start(peer->conn, &peer_events, &peer_limits, peer))
        peer->conn = NULL; /* closed already */
}

static void peer_open(struct peer *peer)
{
    peer_open_with(peer, &peer_budget, 0);
    assert_non_null(peer->conn);
    assert_idle(peer);
}

/* Every request that was begun has ended exactly once by now. */
static void peer_release(struct peer *peer)
{
    if (peer->fd >= 0)
        peer_vanish(peer);
    peer_advance(peer, LINGER_MS);
    for (int i = 0; i < PEER_WORKERS; i++) {
        assert_int_equal(peer->workers[i].conn_count, 0);
        assert_int_equal(peer->workers[i].wheel.armed, 0);
        worker_stop(&peer->workers[i]);
    }
    for (int i = 0; i < PEER_WORKERS; i++) {
        worker_run(&peer->workers[i]);
        worker_release(&peer->workers[i]);
    }
    assert_int_equal(peer->begun, peer->done);
    assert_int_equal(peer->pending_count, 0);
    free(peer->in);
}

/* Sends the script in every way bytes may arrive and compares both logs each time. */
static void peer_expect_bytes(cvn_slice script, const char *heard, const char *answered)
{
    for (unsigned way = 0; way < PIECES_WAYS; way++) {
        static struct peer peer;
        unsigned seed = way;
        peer_open(&peer);
        for (size_t at = 0; at < script.size;) {
            size_t piece = pieces_next(way, &seed, script.size, script.size - at);
            peer_send(&peer, script.data + at, piece);
            at += piece;
        }
        if (strcmp(peer.heard, heard) != 0 || strcmp(peer.answered, answered) != 0)
            fail_msg(
                "way %u of %.*s\n heard    \"%s\"\n expected \"%s\"\n answered \"%s\"\n expected "
                "\"%s\"",
                way, (int)(script.size < 300 ? script.size : 300), script.data, peer.heard, heard,
                peer.answered, answered);
        peer_release(&peer);
    }
}

static void peer_expect(const char *script, const char *heard, const char *answered)
{
    peer_expect_bytes(cvn_str(script), heard, answered);
}

static int peer_make_shared(void **state)
{
    (void)state;
    peer_shared = message_new(70000);
    assert_non_null(peer_shared);
    for (size_t i = 0; i < peer_shared->size; i++)
        peer_shared->data[i] = (char)('a' + i % 23);
    peer_shared->prefix = 10;
    return 0;
}

static int peer_free_shared(void **state)
{
    (void)state;
    /* Nobody kept a reference. */
    unsigned refs = atomic_load(&peer_shared->refs);
    message_unref(peer_shared);
    return refs == 1 ? 0 : -1;
}

#endif
