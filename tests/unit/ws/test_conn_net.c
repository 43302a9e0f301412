/*
 * The WebSocket connection on a real worker and a real socket pair over loopback. The client's end is watched by the same
 * loop; a test waits for what it expects to happen, and a deadline fails it. Time that must pass is given to the wheel.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/conn.h"
#include "ws/ws_conn.h"
#include "ws/ws_encode.h"
#include "frames.h"

#define DEADLINE_MS 30000

enum action { DO_ECHO, DO_COUNT, DO_CLOSE, DO_ABORT };

struct world {
    struct worker worker;
    struct conn *conn;
    struct ws_conn *ws; /* NULL after on_close */
    enum action action;
    size_t messages; /* heard */
    unsigned status;
    bool clean;
    enum conn_reason reason;

    int client; /* descriptor, -1 when closed */
    uv_poll_t client_poll;
    bool client_ended; /* end of stream or reset */
    struct bytes received;
    uv_timer_t deadline;
};

static void on_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    struct world *world = ws_conn_owner(ws);
    world->messages++;
    switch (world->action) {
    case DO_ECHO: {
        struct message *message =
            ws_encode_copy(binary ? WS_BINARY : WS_TEXT, slice_of(data, size));
        assert_non_null(message);
        ws_conn_send(ws, message);
        message_unref(message);
        break;
    }
    case DO_CLOSE:
        ws_conn_close(ws, WS_STATUS_GOING_AWAY, SLICE("bye"));
        break;
    case DO_ABORT:
        ws_conn_abort(ws, CONN_TIMEOUT);
        break;
    case DO_COUNT:
        break;
    }
}

static void on_close(struct ws_conn *ws, unsigned status, bool clean, enum conn_reason reason)
{
    struct world *world = ws_conn_owner(ws);
    assert_ptr_equal(ws, world->ws);
    world->ws = NULL;
    world->conn = NULL;
    world->status = status;
    world->clean = clean;
    world->reason = reason;
}

static const struct ws_events events = {.on_message = on_message, .on_close = on_close};
static const struct ws_limits limits = {.max_message = 1000000};
static const struct conn_limits conn_limits = {.high_water = 1 << 20, .max = 4 << 20};

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened within %d ms", DEADLINE_MS);
}

static void on_client_readable(uv_poll_t *poll, int status, int poll_events)
{
    struct world *world = poll->data;
    char chunk[65536];
    (void)poll_events;
    ssize_t size = status < 0 ? -1 : recv(world->client, chunk, sizeof chunk, 0);
    if (size > 0) {
        bytes_add(&world->received, chunk, (size_t)size);
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        world->client_ended = true;
        uv_poll_stop(poll);
    }
}

static void read_from_now_on(struct world *world)
{
    assert_int_equal(uv_poll_start(&world->client_poll, UV_READABLE, on_client_readable), 0);
}

/* A connected pair; a small window makes a client that does not read felt soon. */
static void connect_pair(int ret[2], bool small_window)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int one = 1, window = 16384;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ret[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (small_window)
        setsockopt(ret[0], SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    assert_int_equal(connect(ret[0], (struct sockaddr *)&address, sizeof address), 0);
    ret[1] = accept(listener, NULL, NULL);
    assert_true(ret[1] >= 0);
    close(listener);
    if (small_window)
        setsockopt(ret[1], SOL_SOCKET, SO_SNDBUF, &window, sizeof window);
    for (int i = 0; i < 2; i++) {
        setsockopt(ret[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        assert_int_equal(fcntl(ret[i], F_SETFL, O_NONBLOCK), 0);
    }
}

static void open_with(struct world *world, enum action action, const struct conn_limits *budget,
                      bool client_reads)
{
    int pair[2];
    memset(world, 0, sizeof *world);
    world->action = action;
    assert_int_equal(worker_init(&world->worker, 0, NULL), CVN_OK);
    connect_pair(pair, !client_reads);
    world->client = pair[0];
    world->conn = conn_adopt(&world->worker, pair[1], budget, NULL);
    assert_non_null(world->conn);
    world->ws = ws_conn_start(world->conn, &events, &limits, world);
    assert_non_null(world->ws);
    assert_ptr_equal(ws_conn_conn(world->ws), world->conn);
    assert_int_equal(uv_poll_init_socket(world->worker.loop, &world->client_poll, world->client),
                     0);
    world->client_poll.data = world;
    if (client_reads)
        read_from_now_on(world);
    uv_timer_init(world->worker.loop, &world->deadline);
    uv_timer_start(&world->deadline, on_deadline, DEADLINE_MS, 0);
    world->deadline.data = world;
}

static void open_world(struct world *world, enum action action)
{
    open_with(world, action, &conn_limits, true);
}

static void turn(struct world *world)
{
    uv_run(world->worker.loop, UV_RUN_ONCE);
}

static void wait_received(struct world *world, size_t size)
{
    while (world->received.size < size && !world->client_ended)
        turn(world);
    assert_int_equal(world->received.size, size);
}

static void wait_closed(struct world *world)
{
    while (world->ws != NULL)
        turn(world);
}

static void wait_client_ended(struct world *world)
{
    while (!world->client_ended)
        turn(world);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct world *world = handle->data;
    if (world->client >= 0)
        close(world->client);
    world->client = -1;
}

static void close_client(struct world *world)
{
    if (!uv_is_closing((uv_handle_t *)&world->client_poll))
        uv_close((uv_handle_t *)&world->client_poll, on_client_closed);
    while (world->client >= 0)
        uv_run(world->worker.loop, UV_RUN_NOWAIT);
}

static void close_world(struct world *world)
{
    close_client(world);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    worker_stop(&world->worker);
    worker_run(&world->worker);
    assert_null(world->ws);
    assert_int_equal(world->worker.wheel.armed, 0);
    worker_release(&world->worker);
    bytes_release(&world->received);
}

/* Sends all of it, the loop running on meanwhile. */
static void client_send(struct world *world, struct bytes *out)
{
    for (size_t done = 0; done < out->size;) {
        ssize_t sent = send(world->client, out->data + done, out->size - done, MSG_NOSIGNAL);
        if (sent > 0)
            done += (size_t)sent;
        else
            assert_true(errno == EAGAIN);
        uv_run(world->worker.loop, UV_RUN_NOWAIT);
    }
    bytes_release(out);
}

static void expect_close_frame(struct world *world, unsigned status, const char *reason)
{
    char frame[4] = {(char)0x88, (char)(2 + strlen(reason)), (char)(status >> 8), (char)status};
    wait_received(world, 4 + strlen(reason));
    assert_memory_equal(world->received.data, frame, 4);
    assert_memory_equal(world->received.data + 4, reason, strlen(reason));
}

static void test_echo_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536, 200000, 1000000};
    struct world world;
    struct bytes out = {0};
    size_t expected = 0;
    open_world(&world, DO_ECHO);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *payload = malloc(sizes[i] + 1);
        for (size_t j = 0; j < sizes[i]; j++)
            payload[j] = (char)(j * 31 + i);
        frame_add(&out, FIN | OP_BINARY, payload, sizes[i], MASKED);
        client_send(&world, &out);
        expected += sizes[i] + (sizes[i] < 126 ? 2 : sizes[i] < 65536 ? 4 : 10);
        wait_received(&world, expected);
        if (sizes[i] > 0)
            assert_memory_equal(world.received.data + expected - sizes[i], payload, sizes[i]);
        free(payload);
    }
    assert_int_equal(world.messages, sizeof sizes / sizeof sizes[0]);
    close_world(&world);
    assert_int_equal(world.status, 1006);
    assert_int_equal(world.reason, CONN_PEER_CLOSED);
}

static void test_one_byte_writes(void **state)
{
    (void)state;
    struct world world;
    struct bytes all = {0};
    open_world(&world, DO_ECHO);
    client_add(&all, OP_TEXT, "one ");
    client_add(&all, FIN | OP_PING, "p");
    client_add(&all, FIN | OP_CONT, "byte");
    char payload[300];
    memset(payload, 'x', sizeof payload);
    frame_add(&all, FIN | OP_BINARY, payload, sizeof payload, MASKED);
    for (size_t i = 0; i < all.size; i++) {
        assert_int_equal(send(world.client, all.data + i, 1, MSG_NOSIGNAL), 1);
        uv_run(world.worker.loop, UV_RUN_NOWAIT);
    }
    wait_received(&world, 3 + 10 + 304);
    assert_memory_equal(world.received.data, "\x8a\x01p\x81\x08one byte\x82\x7e\x01\x2cxx", 19);
    bytes_release(&all);
    close_world(&world);
}

static void test_peer_closes(void **state)
{
    (void)state;
    struct world world;
    struct bytes out = {0};
    open_world(&world, DO_ECHO);
    client_add(&out, FIN | OP_TEXT, "a");
    client_add_close(&out, 4001, "done");
    client_add(&out, FIN | OP_TEXT, "never echoed");
    client_send(&world, &out);
    wait_client_ended(&world); /* the server ends the stream first (section 7.1.1) */
    wait_received(&world, 3 + 4);
    assert_memory_equal(world.received.data,
                        "\x81\x01"
                        "a"
                        "\x88\x02\x0f\xa1",
                        7);
    assert_non_null(world.ws);
    close_client(&world);
    wait_closed(&world);
    assert_int_equal(world.status, 4001);
    assert_true(world.clean);
    assert_int_equal(world.reason, CONN_LOCAL_CLOSE);
    close_world(&world);
}

static void test_we_close(void **state)
{
    (void)state;
    struct world world;
    struct bytes out = {0};
    open_world(&world, DO_CLOSE);
    client_add(&out, FIN | OP_TEXT, "close, please");
    client_send(&world, &out);
    expect_close_frame(&world, 1001, "bye");
    assert_false(world.client_ended); /* our close frame is waited for */
    client_add(&out, FIN | OP_TEXT, "never heard");
    client_add_close(&out, 1001, "");
    client_send(&world, &out);
    wait_client_ended(&world);
    close_client(&world);
    wait_closed(&world);
    assert_int_equal(world.messages, 1);
    assert_int_equal(world.status, 1001);
    assert_true(world.clean);
    close_world(&world);
}

static void test_violation(void **state)
{
    (void)state;
    struct world world;
    struct bytes out = {0};
    open_world(&world, DO_ECHO);
    frame_add(&out, FIN | OP_TEXT, "unmasked", 8, UNMASKED);
    client_send(&world, &out);
    expect_close_frame(&world, 1002, "");
    wait_client_ended(&world);
    close_client(&world);
    wait_closed(&world);
    assert_int_equal(world.status, 1002);
    assert_false(world.clean);
    close_world(&world);
}

/* A peer that says nothing any more loses its connection when the timeout is over, not before. */
static void test_silent_peer_while_closing(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, DO_ECHO);
    ws_conn_close(world.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
    expect_close_frame(&world, 1000, "");
    assert_false(world.client_ended);
    wheel_advance(&world.worker.wheel, world.worker.wheel.now_ms + 5000);
    wait_closed(&world);
    assert_int_equal(world.status, 1006);
    assert_int_equal(world.reason, CONN_TIMEOUT);
    close_world(&world);
}

static void test_peer_that_keeps_tcp_open(void **state)
{
    (void)state;
    struct world world;
    struct bytes out = {0};
    open_world(&world, DO_ECHO);
    client_add_close(&out, 1000, "");
    client_send(&world, &out);
    wait_client_ended(&world);
    assert_non_null(world.ws);
    wheel_advance(&world.worker.wheel, world.worker.wheel.now_ms + 5000);
    wait_closed(&world);
    assert_int_equal(world.status, 1000);
    assert_true(world.clean);
    close_world(&world);
}

static void test_peer_vanishes(void **state)
{
    (void)state;
    for (int with_reset = 0; with_reset < 2; with_reset++) {
        struct world world;
        struct bytes out = {0};
        struct linger hard = {.l_onoff = 1, .l_linger = 0};
        open_world(&world, DO_ECHO);
        client_add(&out, OP_TEXT, "half of a message");
        bytes_add(&out, "\x80\xfe\x01", 3);
        client_send(&world, &out);
        if (with_reset)
            setsockopt(world.client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close_client(&world);
        wait_closed(&world);
        assert_int_equal(world.status, 1006);
        assert_false(world.clean);
        assert_int_equal(world.reason, with_reset ? CONN_ERROR : CONN_PEER_CLOSED);
        close_world(&world);
    }
}

static void test_close_frame_and_gone(void **state)
{
    (void)state;
    struct world world;
    struct bytes out = {0};
    open_world(&world, DO_ECHO);
    client_add_close(&out, 1000, "");
    assert_int_equal(send(world.client, out.data, out.size, 0), out.size);
    bytes_release(&out);
    close_client(&world);
    wait_closed(&world);
    assert_int_equal(world.status, 1000);
    assert_true(world.clean);
    close_world(&world);
}

static void test_abort_inside_callback(void **state)
{
    (void)state;
    struct world world;
    struct bytes out = {0};
    open_world(&world, DO_ABORT);
    client_add(&out, FIN | OP_TEXT, "one");
    client_add(&out, FIN | OP_TEXT, "two");
    client_send(&world, &out);
    wait_closed(&world);
    assert_int_equal(world.messages, 1);
    assert_int_equal(world.status, 1006);
    assert_int_equal(world.reason, CONN_TIMEOUT);
    wait_client_ended(&world);
    assert_int_equal(world.received.size, 0);
    close_world(&world);
}

/* Sends `out` again and again, at most `rounds` times; the client reads nothing. Returns the bytes that went out. */
static size_t flood(struct world *world, const struct bytes *out, size_t rounds, size_t *ret_most)
{
    size_t total = 0, done = 0; /* `done` of `out`, when it went out in part */
    for (size_t i = 0; i < rounds && world->conn != NULL; i++) {
        ssize_t sent = send(world->client, out->data + done, out->size - done, MSG_NOSIGNAL);
        if (sent > 0)
            total += (size_t)sent;
        done = total % out->size;
        uv_run(world->worker.loop, UV_RUN_NOWAIT);
        if (world->conn != NULL && conn_queued(world->conn) > *ret_most)
            *ret_most = conn_queued(world->conn);
    }
    return total;
}

static void test_ping_flood(void **state)
{
    (void)state;
    struct world world;
    struct bytes out = {0};
    size_t most = 0;
    char payload[126];
    memset(payload, 'p', 125);
    payload[125] = '\0';
    open_with(&world, DO_ECHO, &conn_limits, false);
    for (int i = 0; i < 50; i++)
        client_add(&out, FIN | OP_PING, payload);
    assert_true(flood(&world, &out, 3000, &most) > 5000000); /* up to 20 MB of pings */
    assert_true(most > 0);                                   /* the window is full */
    assert_true(most <= 16 * 127);
    assert_non_null(world.ws); /* it costs nothing, so it may go on */
    bytes_release(&out);
    close_world(&world);
}

static void test_peer_that_never_reads(void **state)
{
    (void)state;
    static const struct conn_limits small = {.high_water = 10000, .max = 100000};
    struct world world;
    struct bytes out = {0};
    size_t most = 0;
    char payload[5000];
    memset(payload, 'e', sizeof payload);
    open_with(&world, DO_ECHO, &small, false);
    frame_add(&out, FIN | OP_BINARY, payload, sizeof payload, MASKED);
    flood(&world, &out, 100000, &most);
    assert_null(world.ws);
    assert_int_equal(world.reason, CONN_SLOW_CONSUMER);
    assert_int_equal(world.status, 1006);
    bytes_release(&out);
    close_world(&world);
}

static void test_worker_stops(void **state)
{
    (void)state;
    for (int closing = 0; closing < 2; closing++) {
        struct world world;
        struct bytes out = {0};
        open_world(&world, DO_COUNT);
        client_add(&out, OP_TEXT, "half");
        bytes_add(&out, "\x00\xfe\x01", 3);
        client_send(&world, &out);
        if (closing)
            ws_conn_close(world.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
        worker_stop(&world.worker);
        wait_closed(&world);
        assert_int_equal(world.reason, CONN_SHUTDOWN);
        assert_int_equal(world.status, 1006);
        if (!uv_is_closing((uv_handle_t *)&world.client_poll))
            uv_close((uv_handle_t *)&world.client_poll, on_client_closed);
        uv_close((uv_handle_t *)&world.deadline, NULL);
        worker_run(&world.worker);
        worker_release(&world.worker);
        bytes_release(&world.received);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_of_all_sizes),
        cmocka_unit_test(test_one_byte_writes),
        cmocka_unit_test(test_peer_closes),
        cmocka_unit_test(test_we_close),
        cmocka_unit_test(test_violation),
        cmocka_unit_test(test_silent_peer_while_closing),
        cmocka_unit_test(test_peer_that_keeps_tcp_open),
        cmocka_unit_test(test_peer_vanishes),
        cmocka_unit_test(test_close_frame_and_gone),
        cmocka_unit_test(test_abort_inside_callback),
        cmocka_unit_test(test_ping_flood),
        cmocka_unit_test(test_peer_that_never_reads),
        cmocka_unit_test(test_worker_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
