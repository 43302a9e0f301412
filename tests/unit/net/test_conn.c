/* Connections on socket pairs: what a turn gathers, order, back pressure, every way to end, and memory that runs out. */
#include "rig.h"

static void send_text(struct ear *ear, const char *text)
{
    struct message *message = message_of(text);
    assert_true(conn_send(ear->conn, message, 0));
    message_unref(message);
}

/* Everything the peer can read now. */
static size_t read_some(int peer, char *ret, size_t size)
{
    ssize_t got = recv(peer, ret, size, 0);
    return got > 0 ? (size_t)got : 0;
}

static void test_a_turn_is_one_write(void **state)
{
    struct rig rig;
    struct ear ear;
    char got[4096];
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_SEQPACKET, &peer); /* keeps each send apart */
    for (int i = 0; i < 100; i++)
        send_text(&ear, "0123456789");
    assert_int_equal(conn_queued(ear.conn), 1000);
    UNTIL(&rig, ear.drains == 1);
    assert_int_equal(recv(peer, got, sizeof got, 0), 1000);
    assert_int_equal(recv(peer, got, sizeof got, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(conn_queued(ear.conn), 0);
    close(peer);
    rig_end(&rig);
    assert_int_equal(ear.closes, 1);
    ear_free(&ear);
}

static void test_echo_in_order(void **state)
{
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    assert_int_equal(write(peer, "hello ", 6), 6);
    UNTIL(&rig, ear.heard.size == 6);
    assert_int_equal(write(peer, "again", 5), 5);
    UNTIL(&rig, ear.heard.size == 11);
    assert_true(ear_heard(&ear, "hello again"));
    close(peer);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_PEER_CLOSED);
    rig_end(&rig);
    assert_int_equal(ear.closes, 1);
    ear_free(&ear);
}

/* Many sizes through a peer that reads slowly: nothing lost, nothing out of order. */
static void test_slow_reader_gets_all(void **state)
{
    static char got[70000];
    struct rig rig;
    struct ear ear;
    uint32_t sent = 0, next = 0;
    size_t odd = 0;
    char rest[4];
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    while (conn_queued(ear.conn) < 4 << 20) {
        size_t count = sent % 7 == 0 ? 20000 : 1 + sent % 50;
        struct message *message = message_new(count * 4);
        for (size_t i = 0; i < count; i++, sent++)
            memcpy(message->data + i * 4, &sent, 4);
        assert_true(conn_send(ear.conn, message, 0));
        message_unref(message);
    }
    while (next < sent) {
        rig_turns(&rig, 1);
        size_t size = odd + read_some(peer, got + odd, sizeof got - odd);
        for (size_t at = 0; at + 4 <= size; at += 4, next++)
            assert_memory_equal(got + at, &next, 4);
        odd = size % 4;
        memcpy(rest, got + size - odd, odd);
        memcpy(got, rest, odd);
    }
    UNTIL(&rig, ear.drains > 0);
    assert_int_equal(conn_queued(ear.conn), 0);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_back_pressure(void **state)
{
    static const struct conn_limits limits = {.high_water = 100000, .max = 1000000};
    struct rig rig;
    struct ear ear, other;
    int peer, other_peer;
    char got[16];
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &limits, SOCK_STREAM, &peer);
    ear_open(&rig, &other, &limits, SOCK_STREAM, &other_peer);
    struct message *message = message_new(50000), *dropped = message_new(10);
    memset(message->data, 'm', message->size);
    memset(dropped->data, 'd', dropped->size);
    dropped->flags = MESSAGE_VOLATILE;
    assert_false(conn_is_congested(ear.conn));
    assert_true(conn_send(ear.conn, dropped, 0));
    while (!conn_is_congested(ear.conn)) {
        assert_true(conn_send(ear.conn, message, 0));
        rig_turns(&rig, 1);
    }
    size_t queued = conn_queued(ear.conn);
    assert_false(conn_send(ear.conn, dropped, 0));
    assert_int_equal(conn_queued(ear.conn), queued);
    assert_int_equal(dropped->refs, 1);
    assert_true(conn_is_open(ear.conn));
    bool taken = true;
    while (taken) {
        taken = conn_send(ear.conn, message, 0);
        assert_int_equal(taken, conn_is_open(ear.conn));
    }
    assert_true(queued + 1000000 > conn_queued(ear.conn));
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_SLOW_CONSUMER);
    send_text(&other, "fine");
    UNTIL(&rig, other.drains == 1);
    assert_int_equal(read_some(other_peer, got, sizeof got), 4);
    rig_end(&rig);
    assert_int_equal(message->refs, 1);
    message_unref(message);
    message_unref(dropped);
    close(peer);
    close(other_peer);
    ear_free(&ear);
    ear_free(&other);
}

/* A turn may make more than the budget when the peer takes it as fast as it comes. */
static void test_budget_counts_what_the_peer_does_not_take(void **state)
{
    static const struct conn_limits limits = {.high_water = 1000, .max = 2000};
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &limits, SOCK_STREAM, &peer);
    struct message *message = message_new(600);
    memset(message->data, 'm', message->size);
    message->flags = MESSAGE_VOLATILE;
    for (int i = 0; i < 20; i++)
        assert_true(conn_send(ear.conn, message, 0));
    rig_end(&rig);
    message_unref(message);
    close(peer);
    ear_free(&ear);
}

static void test_water(void **state)
{
    static const struct conn_limits limits = {
        .high_water = 200000, .max = 10000000, .low_water = 100000};
    static char got[70000], bytes[50000];
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &limits, SOCK_STREAM, &peer);
    for (size_t round = 1; round <= 3; round++) {
        while (conn_queued(ear.conn) <= limits.high_water) {
            assert_int_equal(ear.highs, round - 1);
            assert_true(conn_write(ear.conn, slice_of(bytes, sizeof bytes)));
        }
        assert_int_equal(ear.highs, round); /* at once, and once */
        assert_true(conn_write(ear.conn, slice_of(bytes, sizeof bytes)));
        assert_int_equal(ear.highs, round);
        while (ear.lows < round) {
            assert_true(conn_queued(ear.conn) > limits.low_water);
            read_some(peer, got, sizeof got);
            rig_turns(&rig, 2);
        }
        assert_true(conn_queued(ear.conn) <= limits.low_water);
        if (round == 2) /* from empty as well as from the low mark */
            while (conn_queued(ear.conn) > 0) {
                read_some(peer, got, sizeof got);
                rig_turns(&rig, 2);
            }
    }
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

/* What one turn makes is no congestion as long as the peer takes it. */
static void test_water_counts_what_the_peer_does_not_take(void **state)
{
    static const struct conn_limits limits = {.high_water = 1000, .max = 2000, .low_water = 500};
    static char got[70000];
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &limits, SOCK_STREAM, &peer);
    for (int i = 0; i < 300; i++)
        assert_true(conn_write(ear.conn, slice_of(got, 100)));
    assert_int_equal(ear.highs, 0);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

/* A slow reader of a stream with keys gets every message without one, and of each key the latest. */
static void test_conflated_through_a_slow_reader(void **state)
{
    enum { ROUNDS = 6000 };
    static char got[70000];
    struct numbered numbered = {.size = 0};
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        assert_true(numbered_send(ear.conn, 1 + i % NUMBERED_KEYS, i));
        if (i % 20 == 0)
            assert_true(numbered_send(ear.conn, 0, i / 20));
        if (i % 10 == 0) {
            rig_turns(&rig, 1);
            numbered_receive(&numbered, got, read_some(peer, got, 1777));
        }
    }
    while (numbered.last[0] < ROUNDS / 20) { /* the last that was sent */
        rig_turns(&rig, 1);
        numbered_receive(&numbered, got, read_some(peer, got, sizeof got));
    }
    for (uint64_t key = 1; key <= NUMBERED_KEYS; key++)
        assert_true(numbered.last[key] > ROUNDS - NUMBERED_KEYS);
    assert_true(numbered.received < ROUNDS);
    assert_int_equal(numbered.size, 0);
    assert_int_equal(conn_queued(ear.conn), 0);
    assert_int_equal(ear.highs, 0); /* it never came to much */
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_conflated_and_volatile(void **state)
{
    static const struct conn_limits limits = {.high_water = 1000, .max = 300000};
    static char bytes[5000];
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &limits, SOCK_STREAM, &peer);
    while (!conn_is_high(ear.conn))
        assert_true(conn_write(ear.conn, slice_of(bytes, sizeof bytes)));
    struct message *old = message_of("old one"), *new = message_of("new"), *other = message_of("x");
    size_t replaced = 1;
    old->flags = MESSAGE_CONFLATE;
    new->flags = other->flags = MESSAGE_CONFLATE | MESSAGE_VOLATILE;
    old->key = new->key = 7;
    other->key = 8;
    size_t queued = conn_queued(ear.conn);
    assert_true(conn_send_conflated(ear.conn, &old, &replaced));
    assert_int_equal(replaced, 0);
    assert_int_equal(conn_queued(ear.conn), queued + 7);
    assert_true(conn_send_conflated(ear.conn, &new, &replaced)); /* costs no more than there was */
    assert_int_equal(replaced, 7);
    assert_int_equal(conn_queued(ear.conn), queued + 3);
    assert_false(conn_send_conflated(ear.conn, &other, &replaced)); /* this one is dropped */
    assert_int_equal(conn_queued(ear.conn), queued + 3);
    assert_true(conn_is_open(ear.conn));

    /* One that is too large for the budget ends the connection, as any. */
    struct message *huge = message_new(300001);
    assert_non_null(huge);
    memset(huge->data, 0, huge->size);
    huge->flags = MESSAGE_CONFLATE;
    huge->key = 7;
    assert_false(conn_send_conflated(ear.conn, &huge, &replaced));
    UNTIL(&rig, ear.closes == 1);
    assert_int_equal(ear.reason, CONN_SLOW_CONSUMER);
    message_unref(old);
    message_unref(new);
    message_unref(other);
    message_unref(huge);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_conflated_without_memory(void **state)
{
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    struct message *message = message_of("x");
    size_t replaced = 0;
    message->flags = MESSAGE_CONFLATE;
    mem_fail_after(0, 1);
    assert_false(conn_send_conflated(ear.conn, &message, &replaced));
    mem_fail_after(0, 0);
    UNTIL(&rig, ear.closes == 1);
    assert_int_equal(ear.reason, CONN_NO_MEMORY);
    assert_int_equal(message->refs, 1);
    message_unref(message);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_finish(void **state)
{
    struct rig rig;
    struct ear ear;
    char got[64];
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    send_text(&ear, "last words");
    conn_finish(ear.conn, 5000);
    assert_false(conn_is_open(ear.conn));
    struct message *late = message_of("too late");
    assert_false(conn_send(ear.conn, late, 0));
    message_unref(late);
    assert_false(conn_write(ear.conn, SLICE("too late")));
    assert_int_equal(write(peer, "ignored", 7), 7);
    while (read_some(peer, got, sizeof got) == 0)
        uv_run(rig.worker.loop, UV_RUN_NOWAIT);
    assert_memory_equal(got, "last words", 10);
    rig_turns(&rig, 5);
    assert_int_equal(recv(peer, got, sizeof got, 0), 0); /* our side has ended */
    assert_int_equal(ear.closes, 0);
    assert_int_equal(ear.heard.size, 0);
    close(peer);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_LOCAL_CLOSE);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_finish_does_not_wait_for_ever(void **state)
{
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    conn_finish(ear.conn, 5000);
    rig_turns(&rig, 3);
    assert_int_equal(ear.closes, 0);
    wheel_advance(&rig.worker.wheel, worker_now_ms(&rig.worker) + 5001);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_LOCAL_CLOSE);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_pause(void **state)
{
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    conn_pause(ear.conn);
    assert_int_equal(write(peer, "wait", 4), 4);
    rig_turns(&rig, 5);
    assert_int_equal(ear.heard.size, 0);
    conn_resume(ear.conn);
    UNTIL(&rig, ear_heard(&ear, "wait"));
    conn_pause(ear.conn);
    close(peer);
    UNTIL(&rig, ear.conn == NULL); /* noticed although nobody reads */
    rig_end(&rig);
    ear_free(&ear);
}

static void close_it(struct ear *ear, const char *data, size_t size)
{
    (void)data;
    (void)size;
    assert_true(conn_write(ear->conn, SLICE("lost")));
    conn_close(ear->conn, CONN_TIMEOUT);
    conn_close(ear->conn, CONN_ERROR); /* the first reason stays */
    assert_int_equal(ear->closes, 0);  /* only at the end of the turn */
}

static void test_close_inside_a_callback(void **state)
{
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    ear.also_on_data = close_it;
    assert_int_equal(write(peer, "x", 1), 1);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_TIMEOUT);
    assert_int_equal(ear.closes, 1);
    assert_int_equal(rig.worker.conn_count, 0);
    close(peer);
    rig_end(&rig);
    assert_int_equal(ear.closes, 1);
    ear_free(&ear);
}

static void answer_and_leave(struct ear *ear, const char *data, size_t size)
{
    assert_true(conn_write(ear->conn, slice_of(data, size)));
}

/* A client that sends its request and shuts down its side at once still gets the answer. */
static void test_half_closed_peer_gets_its_answer(void **state)
{
    struct rig rig;
    struct ear ear;
    char got[16];
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    ear.also_on_data = answer_and_leave;
    assert_int_equal(write(peer, "ask", 3), 3);
    shutdown(peer, SHUT_WR);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(read_some(peer, got, sizeof got), 3);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_write_to_a_gone_peer(void **state)
{
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    conn_pause(ear.conn);
    close(peer);
    send_text(&ear, "anybody?"); /* no SIGPIPE */
    UNTIL(&rig, ear.conn == NULL);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_memory_runs_out(void **state)
{
    struct rig rig;
    struct ear ear;
    int ends[2], peer;
    (void)state;
    rig_start(&rig);
    make_pair(SOCK_STREAM, ends);
    mem_fail_after(0, 1);
    assert_null(conn_adopt(&rig.worker, ends[0], &wide_limits, NULL));
    mem_fail_after(0, 0);
    assert_true(fcntl(ends[0], F_GETFD) >= 0); /* still ours */
    close(ends[0]);
    close(ends[1]);

    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    mem_fail_after(0, 1);
    assert_false(conn_write(ear.conn, SLICE("x")));
    mem_fail_after(0, 0);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_NO_MEMORY);
    close(peer);
    ear_free(&ear);

    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    struct message *message = message_of("x");
    for (int i = 0; i < OUTQ_INLINE; i++)
        assert_true(conn_send(ear.conn, message, 0));
    mem_fail_after(0, 1);
    assert_false(conn_send(ear.conn, message, 0));
    mem_fail_after(0, 0);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_NO_MEMORY);
    assert_int_equal(message->refs, 1);
    message_unref(message);
    close(peer);
    ear_free(&ear);
    rig_end(&rig);
}

static void test_worker_stops(void **state)
{
    struct rig rig;
    struct ear ears[5];
    int peers[5];
    (void)state;
    rig_start(&rig);
    for (int i = 0; i < 5; i++)
        ear_open(&rig, &ears[i], &wide_limits, SOCK_STREAM, &peers[i]);
    conn_finish(ears[0].conn, 1000000);
    conn_pause(ears[1].conn);
    rig_end(&rig);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ears[i].closes, 1);
        assert_int_equal(ears[i].reason, CONN_SHUTDOWN);
        ear_free(&ears[i]);
        close(peers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_is_one_write),
        cmocka_unit_test(test_echo_in_order),
        cmocka_unit_test(test_slow_reader_gets_all),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_budget_counts_what_the_peer_does_not_take),
        cmocka_unit_test(test_water),
        cmocka_unit_test(test_water_counts_what_the_peer_does_not_take),
        cmocka_unit_test(test_conflated_through_a_slow_reader),
        cmocka_unit_test(test_conflated_and_volatile),
        cmocka_unit_test(test_conflated_without_memory),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_finish_does_not_wait_for_ever),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_close_inside_a_callback),
        cmocka_unit_test(test_half_closed_peer_gets_its_answer),
        cmocka_unit_test(test_write_to_a_gone_peer),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_worker_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
