/* The WebSocket connection: how it ends, callbacks that act on it, memory that runs out. How it is told is in peer.h. */
#include "base/mem.h"
#include "peer.h"

/* --- Closing --- */

static void test_peer_closes(void **state)
{
    (void)state;
    static const unsigned valid[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                     1010, 1011, 1012, 1013, 1014, 3000, 4999};
    static const unsigned invalid[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                       1016, 1100, 2000, 2999, 5000, 65535};
    char heard[32], sent[32];
    struct bytes in = {0};
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        snprintf(heard, sizeof heard, "C%u ", valid[i]);
        snprintf(sent, sizeof sent, "X%u ", valid[i]);
        client_add_close(&in, valid[i], "");
        expect(&in, heard, sent);
        client_add_close(&in, valid[i], "because \xe2\x82\xac");
        client_add(&in, FIN | OP_TEXT, "nothing comes behind a close frame");
        client_add(&in, FIN | OP_PING, "");
        client_add_close(&in, 1000, "");
        expect(&in, heard, sent);
    }
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        client_add_close(&in, invalid[i], "");
        expect(&in, "c1002 ", "X1002 ");
    }
    client_add(&in, FIN | OP_CLOSE, "");
    expect(&in, "C1005 ", "X ");
    client_add_close(&in, 1000, "bad \xff");
    expect(&in, "c1007 ", "X1007 ");
    client_add_close(&in, 1000, "cut \xe2\x82");
    expect(&in, "c1007 ", "X1007 ");
    char reason[124];
    memset(reason, 'r', 123);
    reason[123] = '\0';
    client_add_close(&in, 1000, reason);
    expect(&in, "C1000 ", "X1000 ");
}

static void test_we_close(void **state)
{
    (void)state;
    struct peer peer;
    struct bytes in = {0};
    open_peer(&peer);
    peer.conn.paused = true;
    ws_conn_close(peer.ws, WS_STATUS_GOING_AWAY, SLICE("moving"));
    ws_conn_close(peer.ws, WS_STATUS_NORMAL, SLICE("again")); /* idempotent */
    assert_false(peer.conn.paused);
    send_text(&peer, "nothing follows a close frame");
    client_add(&in, FIN | OP_TEXT, "dropped");
    client_add(&in, OP_TEXT, "dropped");
    client_add(&in, FIN | OP_PING, "dropped");
    arrive_bytes(&peer, &in);
    fake_conn_turn(&peer.conn);
    assert_true(conn_is_open(&peer.conn));
    wheel_advance(&peer.conn.worker.wheel, 1000 + 2000);
    client_add_close(&in, 1001, "moving");
    client_add(&in, FIN | OP_TEXT, "dropped");
    arrive_bytes(&peer, &in);
    assert_true(peer.conn.finishing);
    assert_int_equal(peer.conn.linger_ms, 3000); /* one timeout for all of it */
    assert_string_equal(received(&peer), "X1001moving ");
    close_peer(&peer);
    assert_string_equal(peer.heard, "C1001 ");
    assert_int_equal(peer.reason, CONN_LOCAL_CLOSE);
}

static void test_close_is_answered_differently(void **state)
{
    (void)state;
    static const struct {
        unsigned status; /* of the peer's close frame; 0: an empty one */
        const char *heard;
    } cases[] = {
        {1000, "C1000 "}, {4000, "C4000 "}, {0, "C1005 "}, {1005, "c1002 "}, {9, "c1002 "}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer peer;
        struct bytes in = {0};
        open_peer(&peer);
        ws_conn_close(peer.ws, WS_STATUS_NONE, (cvn_slice){NULL, 0});
        if (cases[i].status != 0)
            client_add_close(&in, cases[i].status, "");
        else
            client_add(&in, FIN | OP_CLOSE, "");
        arrive_bytes(&peer, &in);
        assert_string_equal(received(&peer), "X "); /* one close frame only */
        assert_true(peer.conn.finishing);
        close_peer(&peer);
        assert_string_equal(peer.heard, cases[i].heard);
    }
}

/* A pong that waited for its turn is dropped: nothing goes behind a close frame. */
static void test_close_with_a_late_pong(void **state)
{
    (void)state;
    for (int with_abort = 0; with_abort < 2; with_abort++) {
        struct peer peer;
        char sent[LOG_SIZE] = "";
        open_peer(&peer);
        for (int i = 0; i < 17; i++) {
            ping(&peer, "p");
            put(sent, "%s", i < 16 ? "O:p " : "");
        }
        if (with_abort)
            ws_conn_abort(peer.ws, CONN_TIMEOUT);
        else
            ws_conn_close(peer.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
        fake_conn_turn(&peer.conn);
        put(sent, "%s", with_abort ? "" : "X1000 ");
        assert_string_equal(received(&peer), sent);
        close_peer(&peer);
    }
}

static void test_close_timeout(void **state)
{
    (void)state;
    static const struct ws_limits stated = {.max_message = 100, .close_timeout_ms = 70};
    for (int i = 0; i < 2; i++) {
        uint64_t timeout_ms = i == 0 ? 5000 : 70;
        struct peer peer;
        open_limited(&peer, i == 0 ? &limits : &stated);
        ws_conn_close(peer.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
        wheel_advance(&peer.conn.worker.wheel, 1000 + timeout_ms - 1);
        assert_true(conn_is_open(&peer.conn));
        wheel_advance(&peer.conn.worker.wheel, 1000 + timeout_ms);
        assert_false(conn_is_open(&peer.conn));
        close_peer(&peer);
        assert_string_equal(peer.heard, "c1006 ");
        assert_int_equal(peer.reason, CONN_TIMEOUT);
    }
}

/* A violation while we wait for the close frame ends the wait; there is no second close frame. */
static void test_violation_while_closing(void **state)
{
    (void)state;
    struct peer peer;
    struct bytes in = {0};
    open_peer(&peer);
    ws_conn_close(peer.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
    bytes_add(&in, "\xff", 1);
    arrive_bytes(&peer, &in);
    assert_true(peer.conn.finishing);
    assert_string_equal(received(&peer), "X1000 ");
    close_peer(&peer);
    assert_string_equal(peer.heard, "c1002 ");
}

/* What is dropped while closing is held to the limits all the same, and holds no memory. */
static void test_flood_while_closing(void **state)
{
    (void)state;
    struct peer peer;
    struct bytes in = {0};
    char payload[MAX_MESSAGE + 1];
    memset(payload, 'f', sizeof payload);
    open_peer(&peer);
    client_add(&in, OP_TEXT, "started before");
    arrive_bytes(&peer, &in);
    ws_conn_close(peer.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
    uint64_t before = mem_allocation_count();
    for (int i = 0; i < 100; i++) {
        frame_add(&in, OP_CONT, payload, MAX_MESSAGE, MASKED);
        arrive_bytes(&peer, &in);
    }
    assert_int_equal(mem_allocation_count(), before);
    assert_true(conn_is_open(&peer.conn));
    frame_add(&in, OP_CONT, payload, MAX_MESSAGE + 1, MASKED);
    arrive_bytes(&peer, &in);
    assert_false(conn_is_open(&peer.conn));
    close_peer(&peer);
    assert_string_equal(peer.heard, "c1009 ");
}

static void test_peer_vanishes(void **state)
{
    (void)state;
    static const char *fronts[] = {
        "", "\x81", "\x81\x85", "\x81\x85\1\2\3\4ab", "\x81\xfe\x02", "\x88\x82\1\2\3\4a"};
    for (size_t i = 0; i < sizeof fronts / sizeof fronts[0]; i++) {
        struct peer peer;
        open_peer(&peer);
        arrive(&peer, fronts[i], strlen(fronts[i]));
        fake_conn_end(&peer.conn);
        assert_null(peer.ws);
        assert_string_equal(peer.heard, "c1006 ");
        assert_int_equal(peer.reason, CONN_PEER_CLOSED);
        fake_conn_release(&peer.conn);
    }
    struct peer peer;
    open_peer(&peer);
    ws_conn_close(peer.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
    fake_conn_end(&peer.conn); /* without its close frame */
    assert_string_equal(peer.heard, "c1006 ");
    assert_int_equal(peer.conn.worker.wheel.armed, 0);
    fake_conn_release(&peer.conn);
}

/* --- Callbacks that act --- */

static void close_normally(struct peer *peer)
{
    ws_conn_close(peer->ws, WS_STATUS_NORMAL, SLICE("enough"));
}

static void abort_it(struct peer *peer)
{
    ws_conn_abort(peer->ws, CONN_TIMEOUT);
    ws_conn_abort(peer->ws, CONN_ERROR);
    ws_conn_close(peer->ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
    send_text(peer, "too late");
}

static void close_and_abort(struct peer *peer)
{
    close_normally(peer);
    abort_it(peer);
}

static void test_callback_closes(void **state)
{
    (void)state;
    static const struct {
        void (*act)(struct peer *peer);
        const char *heard, *received;
    } cases[] = {{close_normally, "C1000 ", "X1000enough "},
                 {abort_it, "c1006 ", ""},
                 {close_and_abort, "c1006 ", "X1000enough "}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char heard[64];
        struct bytes in = {0};
        snprintf(heard, sizeof heard, "T:one %s", cases[i].heard);
        client_add(&in, FIN | OP_TEXT, "one");
        client_add(&in, FIN | OP_TEXT, "two");
        client_add(&in, FIN | OP_PING, "three");
        client_add_close(&in, 1000, "");
        expect_with(&in, &limits, cases[i].act, heard, cases[i].received);
        client_add(&in, OP_TEXT, "o"); /* also while the fragments of a message are being shown */
        client_add(&in, FIN | OP_CONT, "ne");
        client_add(&in, OP_TEXT, "two");
        client_add_close(&in, 1000, "");
        expect_with(&in, &limits, cases[i].act, heard, cases[i].received);
    }
}

static void on_other_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    struct peer *peer = ws_conn_owner(ws);
    (void)binary;
    put_payload(peer->heard, 't', data, size);
}

static const struct ws_events other_events = {on_other_message, NULL, on_close, NULL};

static void change_owner(struct peer *peer)
{
    ws_conn_set_owner(peer->ws, &other_events, peer);
}

static void test_callback_changes_owner(void **state)
{
    (void)state;
    struct bytes in = {0};
    client_add(&in, FIN | OP_TEXT, "one");
    client_add(&in, FIN | OP_TEXT, "two");
    expect_with(&in, &limits, change_owner, "T:one t:two c1006 ", "");
}

static void answer_it(struct peer *peer)
{
    send_text(peer, "answer");
}

static void test_callback_sends(void **state)
{
    (void)state;
    struct bytes in = {0};
    client_add(&in, FIN | OP_TEXT, "one");
    client_add(&in, FIN | OP_PING, "p");
    expect_with(&in, &limits, answer_it, "T:one c1006 ", "T:answer O:p ");
}

static void test_drain_is_passed_on(void **state)
{
    (void)state;
    struct peer peer;
    open_peer(&peer);
    peer.allow_drain_log = true;
    send_text(&peer, "a");
    fake_conn_turn(&peer.conn);
    assert_string_equal(peer.heard, "D ");
    ws_conn_close(peer.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
    fake_conn_turn(&peer.conn);
    assert_string_equal(peer.heard, "D "); /* none while closing */
    close_peer(&peer);
}

static void on_drain_close(struct ws_conn *ws)
{
    struct peer *peer = ws_conn_owner(ws);
    ws_conn_close(ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
    send_text(peer, "dropped");
}

/* The TCP connection may flush within conn_send: then on_drain comes from within, and may close. */
static void test_drain_from_within(void **state)
{
    (void)state;
    static const struct ws_events closing_events = {on_message, on_drain_close, on_close, NULL};
    struct peer peer;
    struct bytes in = {0};
    open_peer(&peer);
    peer.conn.flushes_in_send = true;
    ping(&peer, "1");
    ping(&peer, "2");
    assert_string_equal(received(&peer), "O:1 O:2 ");
    ws_conn_set_owner(peer.ws, &closing_events, &peer);
    bytes_add(&in, "\xff", 1); /* refused: its close frame is the only one and the last */
    arrive_bytes(&peer, &in);
    assert_string_equal(received(&peer), "O:1 O:2 X1002 ");
    close_peer(&peer);
    assert_string_equal(peer.heard, "c1002 ");
}

static void test_drain_closes_within_send(void **state)
{
    (void)state;
    static const struct ws_events closing_events = {on_message, on_drain_close, on_close, NULL};
    struct peer peer;
    open_peer(&peer);
    ws_conn_set_owner(peer.ws, &closing_events, &peer);
    peer.conn.flushes_in_send = true;
    send_text(&peer, "a");
    assert_string_equal(received(&peer), "T:a X1000 ");
    ping(&peer, "late");
    close_peer(&peer);
    assert_string_equal(peer.heard, "c1006 ");
}

/* --- Memory --- */

/* Nothing is allocated for messages that come whole. */
static void test_fast_path_allocates_nothing(void **state)
{
    (void)state;
    struct peer peer;
    struct bytes in = {0};
    open_peer(&peer);
    for (int i = 0; i < 20; i++)
        client_add(&in, FIN | OP_TEXT, "message");
    uint64_t before = mem_allocation_count();
    arrive_bytes(&peer, &in);
    assert_int_equal(mem_allocation_count(), before);
    close_peer(&peer);
}

/* A header that claims much makes nothing be allocated but for the bytes that came. */
static void test_claimed_length_costs_nothing(void **state)
{
    (void)state;
    static const struct ws_limits roomy = {.max_message = (size_t)1 << 40};
    struct peer peer;
    open_limited(&peer, &roomy);
    arrive(&peer, "\x82\xff\0\0\0\xff\0\0\0\0\1\2\3\4abc", 17); /* a terabyte, it says */
    assert_true(conn_is_open(&peer.conn));                      /* ASan would refuse to give it */
    close_peer(&peer);
}

/* Every allocation of a script fails once: the connection is lost, and nothing else happens. */
static void test_no_memory(void **state)
{
    (void)state;
    struct bytes in = {0};
    char payload[500];
    memset(payload, 'n', sizeof payload);
    client_add(&in, FIN | OP_TEXT, "one");
    client_add(&in, OP_TEXT, "two ");
    client_add(&in, FIN | OP_PING, "p");
    client_add(&in, FIN | OP_PING, "q");
    frame_add(&in, FIN | OP_CONT, payload, sizeof payload, MASKED);
    frame_add(&in, FIN | OP_BINARY, payload, sizeof payload, MASKED);
    client_add_close(&in, 1000, "");
    unsigned failed = 0;
    for (uint64_t successes = 0;; successes++) {
        struct peer peer;
        memset(&peer, 0, sizeof peer);
        fake_conn_init(&peer.conn);
        mem_fail_after(successes, 1);
        peer.ws = ws_conn_start(&peer.conn, &events, &limits, &peer);
        for (size_t at = 0; at < in.size; at += 7)
            arrive(&peer, in.data + at, in.size - at < 7 ? in.size - at : 7);
        mem_fail_after(0, 0);
        bool is_whole = peer.conn.finishing;
        fake_conn_turn(&peer.conn);
        if (is_whole) { /* got through without meeting the failure */
            close_peer(&peer);
            assert_non_null(strstr(peer.heard, "C1000 "));
            break;
        }
        failed++;
        assert_true(peer.conn.gone);
        assert_null(peer.ws);
        assert_int_equal(peer.conn.reason, CONN_NO_MEMORY);
        assert_int_equal(peer.conn.worker.wheel.armed, 0);
        fake_conn_release(&peer.conn);
    }
    assert_true(failed > 8);
    bytes_release(&in);
}

static void test_no_memory_for_our_close(void **state)
{
    (void)state;
    struct peer peer;
    open_peer(&peer);
    mem_fail_after(0, 1);
    ws_conn_close(peer.ws, WS_STATUS_NORMAL, (cvn_slice){NULL, 0});
    mem_fail_after(0, 0);
    fake_conn_turn(&peer.conn);
    assert_string_equal(peer.heard, "c1006 ");
    assert_int_equal(peer.reason, CONN_NO_MEMORY);
    assert_int_equal(peer.conn.worker.wheel.armed, 0);
    fake_conn_release(&peer.conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_closes),
        cmocka_unit_test(test_we_close),
        cmocka_unit_test(test_close_is_answered_differently),
        cmocka_unit_test(test_close_with_a_late_pong),
        cmocka_unit_test(test_close_timeout),
        cmocka_unit_test(test_violation_while_closing),
        cmocka_unit_test(test_flood_while_closing),
        cmocka_unit_test(test_peer_vanishes),
        cmocka_unit_test(test_callback_closes),
        cmocka_unit_test(test_callback_changes_owner),
        cmocka_unit_test(test_callback_sends),
        cmocka_unit_test(test_drain_is_passed_on),
        cmocka_unit_test(test_drain_from_within),
        cmocka_unit_test(test_drain_closes_within_send),
        cmocka_unit_test(test_fast_path_allocates_nothing),
        cmocka_unit_test(test_claimed_length_costs_nothing),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_for_our_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
