/*
 * The WebSocket connection on a TCP connection that the test moves by hand. Every script of input is run whole, byte by
 * byte and in random pieces, on buffers that end at an unmapped page; what the layer above heard and what the peer
 * received are written down as text and compared:
 * heard: "T:" text, "B:" binary, "D" drained, "C<status>" clean and "c<status>" unclean end;
 * received: "T:", "B:", "O:" pong, "X<status>" close with its reason, "X" an empty one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "ws/ws_conn.h"
#include "ws/ws_encode.h"
#include "support/guard.h"
#include "fake_conn.h"

#define LOG_SIZE    8192
#define MAX_MESSAGE 1000

struct peer {
    struct conn conn;
    struct ws_conn *ws; /* NULL after on_close */
    char heard[LOG_SIZE];
    enum conn_reason reason;
    bool allow_drain_log;
    /* What the callback does on the next message. */
    void (*on_next)(struct peer *peer);
};

static void put(char log[LOG_SIZE], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(char log[LOG_SIZE], const char *format, ...)
{
    size_t used = strlen(log);
    va_list args;
    va_start(args, format);
    vsnprintf(log + used, LOG_SIZE - used, format, args);
    va_end(args);
}

static void put_payload(char log[LOG_SIZE], char type, const char *data, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + (uint8_t)data[i];
    if (size > 30)
        put(log, "%c#%zu/%08x ", type, size, sum);
    else
        put(log, "%c:%.*s ", type, (int)size, data);
}

static void on_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    struct peer *peer = ws_conn_owner(ws);
    assert_non_null(data);
    put_payload(peer->heard, binary ? 'B' : 'T', data, size);
    void (*on_next)(struct peer *) = peer->on_next;
    peer->on_next = NULL;
    if (on_next != NULL)
        on_next(peer);
    if (size > 0)
        memset(data, 'w', size); /* writable and still there, whatever the callback did */
}

static void on_drain(struct ws_conn *ws)
{
    struct peer *peer = ws_conn_owner(ws);
    if (peer->allow_drain_log)
        put(peer->heard, "D ");
}

static void on_close(struct ws_conn *ws, unsigned status, bool clean, enum conn_reason reason)
{
    struct peer *peer = ws_conn_owner(ws);
    put(peer->heard, "%c%u ", clean ? 'C' : 'c', status);
    peer->reason = reason;
    peer->ws = NULL;
}

static const struct ws_events events = {on_message, on_drain, on_close};
static const struct ws_limits limits = {.max_message = MAX_MESSAGE, .max_fragments = 8};

static void open_limited(struct peer *peer, const struct ws_limits *own_limits)
{
    memset(peer, 0, sizeof *peer);
    fake_conn_init(&peer->conn);
    peer->ws = ws_conn_start(&peer->conn, &events, own_limits, peer);
    assert_non_null(peer->ws);
}

static void open_peer(struct peer *peer)
{
    open_limited(peer, &limits);
}

/* Bytes arrive, as from the worker's buffer: gone after the call. */
static void arrive(struct peer *peer, const char *data, size_t size)
{
    if (!conn_is_open(&peer->conn) || size == 0)
        return;
    char *copy = guard_copy(data, size);
    peer->conn.events->on_data(&peer->conn, copy, size);
    guard_free(copy, size);
}

static void arrive_bytes(struct peer *peer, struct bytes *in)
{
    arrive(peer, in->data, in->size);
    bytes_release(in);
}

/* What the peer has received so far, as text. */
static const char *received(struct peer *peer)
{
    static char log[LOG_SIZE];
    static const char names[] = "-TB.....XIO";
    struct ws_decoder decoder;
    struct ws_frame frame;
    size_t used, done = 0;
    enum ws_status status;
    log[0] = '\0';
    ws_decode_init(&decoder, SIZE_MAX, false);
    while (done < peer->conn.sent.size) {
        assert_int_equal(ws_decode(&decoder, peer->conn.sent.data + done,
                                   peer->conn.sent.size - done, &frame, &used, &status),
                         WS_FRAME);
        done += used;
        if (frame.opcode != WS_CLOSE)
            put_payload(log, names[frame.opcode], frame.payload, frame.size);
        else if (frame.size == 0)
            put(log, "X ");
        else
            put(log, "X%u%.*s ", (uint8_t)frame.payload[0] << 8 | (uint8_t)frame.payload[1],
                (int)frame.size - 2, frame.payload + 2);
    }
    assert_int_equal(done, peer->conn.sent.size);
    return log;
}

static void close_peer(struct peer *peer)
{
    fake_conn_turn(&peer->conn);
    fake_conn_end(&peer->conn);
    assert_null(peer->ws);
    assert_int_equal(peer->conn.worker.wheel.armed, 0);
    fake_conn_release(&peer->conn);
}

/* Runs the script in every split; the end of the stream follows. `on_next` runs in the first message. */
static void expect_with(struct bytes *in, const struct ws_limits *own_limits,
                        void (*on_next)(struct peer *peer), const char *heard,
                        const char *reached_peer)
{
    for (unsigned split = 0; split < 12; split++) {
        struct peer peer;
        unsigned seed = split;
        open_limited(&peer, own_limits);
        peer.on_next = on_next;
        for (size_t at = 0; at < in->size;) {
            size_t left = in->size - at;
            size_t piece = split == 0   ? left
                           : split == 1 ? 1
                                        : 1 + next_random(&seed) % (1 + in->size / 3);
            if (piece > left)
                piece = left;
            arrive(&peer, in->data + at, piece);
            at += piece;
        }
        fake_conn_turn(&peer.conn);
        assert_string_equal(received(&peer), reached_peer);
        close_peer(&peer);
        assert_string_equal(peer.heard, heard);
    }
    bytes_release(in);
}

static void expect(struct bytes *in, const char *heard, const char *reached_peer)
{
    expect_with(in, &limits, NULL, heard, reached_peer);
}

/* --- Messages --- */

static void test_messages(void **state)
{
    (void)state;
    struct bytes in = {NULL, 0};
    client_add(&in, FIN | OP_TEXT, "one");
    client_add(&in, FIN | OP_BINARY, "two\xff");
    client_add(&in, FIN | OP_TEXT, "");
    client_add(&in, FIN | OP_BINARY, "");
    client_add(&in, FIN | OP_TEXT,
               "gr\xc3\xbc\xc3\x9f"
               "e \xf0\x9f\x98\x80");
    expect(&in,
           "T:one B:two\xff T: B: T:gr\xc3\xbc\xc3\x9f"
           "e \xf0\x9f\x98\x80 c1006 ",
           "");
}

static void test_fragments(void **state)
{
    (void)state;
    struct bytes in = {NULL, 0};
    client_add(&in, OP_TEXT, "Hel");
    client_add(&in, OP_CONT, "");
    client_add(&in, FIN | OP_CONT, "lo");
    client_add(&in, OP_BINARY, "");
    client_add(&in, FIN | OP_CONT, "");
    client_add(&in, OP_BINARY, "");
    client_add(&in, FIN | OP_CONT, "\xff");
    client_add(&in, FIN | OP_TEXT, "next");
    expect(&in, "T:Hello B: B:\xff T:next c1006 ", "");
}

static void test_control_frames_between_fragments(void **state)
{
    (void)state;
    struct bytes in = {NULL, 0};
    client_add(&in, OP_TEXT, "a");
    client_add(&in, FIN | OP_PING, "p");
    client_add(&in, OP_CONT, "b");
    client_add(&in, FIN | OP_PONG, "unasked");
    client_add(&in, FIN | OP_CONT, "c");
    expect(&in, "T:abc c1006 ", "O:p ");
    client_add(&in, OP_TEXT, "a");
    client_add_close(&in, 1000, "");
    client_add(&in, FIN | OP_CONT, "b");
    expect(&in, "C1000 ", "X1000 ");
}

static void test_sizes_and_limits(void **state)
{
    (void)state;
    char payload[MAX_MESSAGE + 1];
    memset(payload, 'm', sizeof payload);
    struct bytes in = {NULL, 0};
    for (size_t size = MAX_MESSAGE - 2; size <= MAX_MESSAGE + 1; size++) {
        char heard[64] = "";
        if (size <= MAX_MESSAGE)
            put_payload(heard, 'B', payload, size);
        strcat(heard, size <= MAX_MESSAGE ? "c1006 " : "c1009 ");
        const char *sent = size <= MAX_MESSAGE ? "" : "X1009 ";
        frame_add(&in, FIN | OP_BINARY, payload, size, MASKED);
        expect(&in, heard, sent);
        frame_add(&in, OP_BINARY, payload, 900, MASKED);
        frame_add(&in, FIN | OP_CONT, payload, size - 900, MASKED);
        expect(&in, heard, sent);
    }
    /* After a fragmented message a single one may be as large as ever. */
    char heard[64] = "";
    frame_add(&in, OP_BINARY, payload, 900, MASKED);
    frame_add(&in, FIN | OP_CONT, payload, 100, MASKED);
    frame_add(&in, FIN | OP_BINARY, payload, MAX_MESSAGE, MASKED);
    put_payload(heard, 'B', payload, MAX_MESSAGE);
    put_payload(heard, 'B', payload, MAX_MESSAGE);
    strcat(heard, "c1006 ");
    expect(&in, heard, "");
    /* The header of a fragment that will be too much is enough. */
    frame_add(&in, OP_BINARY, payload, MAX_MESSAGE, MASKED);
    bytes_add(&in, "\x00\x81", 2);
    expect(&in, "c1009 ", "X1009 ");
}

static void test_fragmented_forever(void **state)
{
    (void)state;
    struct bytes in = {NULL, 0};
    client_add(&in, OP_TEXT, "");
    for (int i = 0; i < 7; i++)
        client_add(&in, OP_CONT, "");
    struct bytes one_more = {NULL, 0};
    bytes_add(&one_more, in.data, in.size);
    expect(&in, "c1006 ", ""); /* 8 fragments may come */
    client_add(&one_more, FIN | OP_CONT, "");
    expect(&one_more, "c1009 ", "X1009 ");

    for (int i = 0; i < 3; i++) { /* each message has its own count */
        client_add(&in, OP_TEXT, "a");
        for (int j = 0; j < 3; j++)
            client_add(&in, OP_CONT, "");
        client_add(&in, FIN | OP_CONT, "b");
    }
    expect(&in, "T:ab T:ab T:ab c1006 ", "");

    /* The default bound holds when none was stated. */
    static const struct ws_limits unstated = {.max_message = MAX_MESSAGE};
    struct peer peer;
    open_limited(&peer, &unstated);
    client_add(&in, OP_BINARY, "");
    for (int i = 1; i < 4096; i++)
        client_add(&in, OP_CONT, "");
    arrive_bytes(&peer, &in);
    assert_string_equal(received(&peer), "");
    client_add(&in, OP_CONT, "");
    arrive_bytes(&peer, &in);
    assert_string_equal(received(&peer), "X1009 ");
    close_peer(&peer);
}

static void test_text_must_be_utf8(void **state)
{
    (void)state;
    static const char *bad[] = {
        "\xff", "\xc3", "a\x80", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80", "\xf0\x9f\x98"};
    struct bytes in = {NULL, 0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        client_add(&in, FIN | OP_TEXT, bad[i]);
        client_add(&in, FIN | OP_TEXT, "never seen");
        expect(&in, "c1007 ", "X1007 ");
        client_add(&in, OP_TEXT, "");
        client_add(&in, FIN | OP_CONT, bad[i]);
        expect(&in, "c1007 ", "X1007 ");
        client_add(&in, FIN | OP_BINARY, bad[i]); /* bytes may be anything */
        char heard[64] = "";
        put_payload(heard, 'B', bad[i], strlen(bad[i]));
        strcat(heard, "c1006 ");
        expect(&in, heard, "");
    }
}

static void test_text_split_within_characters(void **state)
{
    (void)state;
    static const char text[] = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
    for (size_t first = 0; first < sizeof text; first++) {
        for (size_t second = first; second < sizeof text; second++) {
            struct bytes in = {NULL, 0};
            frame_add(&in, OP_TEXT, text, first, MASKED);
            frame_add(&in, OP_CONT, text + first, second - first, MASKED);
            frame_add(&in, FIN | OP_CONT, text + second, sizeof text - 1 - second, MASKED);
            expect(&in, "T:\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z c1006 ", "");
        }
    }
}

/* Garbage is refused with the fragment it is in; the end of the message is not waited for. */
static void test_bad_text_is_refused_early(void **state)
{
    (void)state;
    struct bytes in = {NULL, 0};
    client_add(&in, OP_TEXT, "a\xff");
    expect(&in, "c1007 ", "X1007 ");
    client_add(&in, OP_TEXT, "\xe2\x82");
    client_add(&in, OP_CONT, "x");
    expect(&in, "c1007 ", "X1007 ");
    client_add(&in, OP_TEXT, "\xe2\x82"); /* a new text starts anew */
    client_add(&in, FIN | OP_CONT, "\xac");
    client_add(&in, OP_BINARY, "\xff");
    client_add(&in, FIN | OP_CONT, "");
    client_add(&in, OP_TEXT, "b");
    client_add(&in, FIN | OP_CONT, "c");
    expect(&in, "T:\xe2\x82\xac B:\xff T:bc c1006 ", "");
}

/* --- Violations --- */

static void test_violations(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x81\x01z", 3},        /* unmasked */
        {"\x83\x80\0\0\0\0", 6}, /* reserved opcodes */
        {"\x87\x80\0\0\0\0", 6},
        {"\x8b\x80\0\0\0\0", 6},
        {"\x8f\x80\0\0\0\0", 6},
        {"\xc1\x80\0\0\0\0", 6}, /* reserved bits */
        {"\xa1\x80\0\0\0\0", 6},
        {"\x91\x80\0\0\0\0", 6},
        {"\xc9\x80\0\0\0\0", 6},
        {"\x09\x80\0\0\0\0", 6},             /* a fragmented control frame */
        {"\x89\xfe\0\x7e\0\0\0\0", 8},       /* a long one */
        {"\x80\x80\0\0\0\0", 6},             /* a continuation of nothing */
        {"\x01\x80\0\0\0\0\x81\x80", 8},     /* a message within a message */
        {"\x81\xfe\0\x05\0\0\0\0abcde", 13}, /* a length that is too long */
        {"\x88\x81\0\0\0\0a", 7},            /* half of a status */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes in = {NULL, 0};
        client_add(&in, FIN | OP_TEXT, "before");
        bytes_add(&in, cases[i].bytes, cases[i].size);
        client_add(&in, FIN | OP_TEXT, "never seen");
        client_add(&in, FIN | OP_PING, "never seen");
        expect(&in, "T:before c1002 ", "X1002 ");
    }
}

/* --- Pings --- */

static void test_ping(void **state)
{
    (void)state;
    struct bytes in = {NULL, 0};
    char payload[126];
    memset(payload, 'p', 125);
    payload[125] = '\0';
    client_add(&in, FIN | OP_PING, "");
    expect(&in, "c1006 ", "O: ");
    client_add(&in, FIN | OP_PING, "\xff data");
    expect(&in, "c1006 ", "O:\xff data ");
    client_add(&in, FIN | OP_PING, payload);
    char sent[64] = "";
    put_payload(sent, 'O', payload, 125);
    expect(&in, "c1006 ", sent);
    client_add(&in, FIN | OP_PONG, "unasked");
    expect(&in, "c1006 ", "");
}

/* Of pings that come faster than pongs leave only the latest is answered; the queue holds one. */
static void test_ping_flood(void **state)
{
    (void)state;
    struct peer peer;
    open_peer(&peer);
    for (int i = 0; i < 1000; i++) {
        struct bytes in = {NULL, 0};
        char payload[10];
        snprintf(payload, sizeof payload, "%d", i);
        client_add(&in, FIN | OP_PING, payload);
        arrive_bytes(&peer, &in);
        assert_true(conn_queued(&peer.conn) < 10);
    }
    assert_string_equal(received(&peer), "O:0 ");
    fake_conn_turn(&peer.conn);
    assert_string_equal(received(&peer), "O:0 O:999 ");
    fake_conn_turn(&peer.conn);
    assert_string_equal(received(&peer), "O:0 O:999 ");
    struct bytes in = {NULL, 0};
    client_add(&in, FIN | OP_PING, "later");
    arrive_bytes(&peer, &in);
    assert_string_equal(received(&peer), "O:0 O:999 O:later ");
    close_peer(&peer);
}

static void send_text(struct peer *peer, const char *text)
{
    struct message *message = ws_encode_copy(WS_TEXT, cvn_str(text));
    assert_non_null(message);
    ws_conn_send(peer->ws, message);
    message_unref(message);
}

static void ping(struct peer *peer, const char *payload)
{
    struct bytes in = {NULL, 0};
    client_add(&in, FIN | OP_PING, payload);
    arrive_bytes(peer, &in);
}

/* A queue that never becomes empty does not keep the pong: it goes once the one before it has left. */
static void test_pong_on_a_busy_connection(void **state)
{
    (void)state;
    struct peer peer;
    open_peer(&peer);
    send_text(&peer, "data"); /* 6 bytes */
    ping(&peer, "1");         /* 3 bytes */
    send_text(&peer, "more"); /* 6 bytes */
    ping(&peer, "2");
    assert_string_equal(received(&peer), "T:data O:1 T:more ");
    peer.conn.queued -= 8; /* the last byte of the pong is still here */
    ping(&peer, "3");
    assert_string_equal(received(&peer), "T:data O:1 T:more ");
    peer.conn.queued -= 1;
    send_text(&peer, "last");
    assert_string_equal(received(&peer), "T:data O:1 T:more T:last O:3 ");
    ping(&peer, "4");
    peer.conn.queued = 1;
    ping(&peer, "5");
    assert_string_equal(received(&peer), "T:data O:1 T:more T:last O:3 ");
    fake_conn_turn(&peer.conn);
    assert_string_equal(received(&peer), "T:data O:1 T:more T:last O:3 O:5 ");
    close_peer(&peer);
}

/* The peer that reads nothing costs its budget and then its connection. */
static void test_output_budget(void **state)
{
    (void)state;
    struct peer peer;
    open_peer(&peer);
    peer.conn.max_queued = 100;
    char payload[101];
    memset(payload, 'x', 100);
    payload[100] = '\0';
    ping(&peer, payload);
    fake_conn_turn(&peer.conn);
    assert_null(peer.ws);
    assert_string_equal(peer.heard, "c1006 ");
    assert_int_equal(peer.reason, CONN_SLOW_CONSUMER);
    fake_conn_release(&peer.conn);
}

/* --- Closing --- */

static void test_peer_closes(void **state)
{
    (void)state;
    static const unsigned valid[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                     1010, 1011, 1012, 1013, 1014, 3000, 4999};
    static const unsigned invalid[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                       1016, 1100, 2000, 2999, 5000, 65535};
    char heard[32], sent[32];
    struct bytes in = {NULL, 0};
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
    struct bytes in = {NULL, 0};
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
        struct bytes in = {NULL, 0};
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
    struct bytes in = {NULL, 0};
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
    struct bytes in = {NULL, 0};
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
        struct bytes in = {NULL, 0};
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

static const struct ws_events other_events = {on_other_message, NULL, on_close};

static void change_owner(struct peer *peer)
{
    ws_conn_set_owner(peer->ws, &other_events, peer);
}

static void test_callback_changes_owner(void **state)
{
    (void)state;
    struct bytes in = {NULL, 0};
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
    struct bytes in = {NULL, 0};
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
    static const struct ws_events closing_events = {on_message, on_drain_close, on_close};
    struct peer peer;
    struct bytes in = {NULL, 0};
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
    static const struct ws_events closing_events = {on_message, on_drain_close, on_close};
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
    struct bytes in = {NULL, 0};
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
    struct bytes in = {NULL, 0};
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
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_control_frames_between_fragments),
        cmocka_unit_test(test_sizes_and_limits),
        cmocka_unit_test(test_fragmented_forever),
        cmocka_unit_test(test_text_must_be_utf8),
        cmocka_unit_test(test_text_split_within_characters),
        cmocka_unit_test(test_bad_text_is_refused_early),
        cmocka_unit_test(test_violations),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_ping_flood),
        cmocka_unit_test(test_pong_on_a_busy_connection),
        cmocka_unit_test(test_output_budget),
        cmocka_unit_test(test_peer_closes),
        cmocka_unit_test(test_we_close),
        cmocka_unit_test(test_close_is_answered_differently),
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
