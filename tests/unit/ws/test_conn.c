/* The WebSocket connection: messages and their limits, violations, pings. How it is told is in peer.h. */
#include "base/mem.h"
#include "peer.h"

/* --- Messages --- */

static void test_messages(void **state)
{
    (void)state;
    struct bytes in = {0};
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
    struct bytes in = {0};
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
    struct bytes in = {0};
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
    struct bytes in = {0};
    for (size_t size = MAX_MESSAGE - 2; size <= MAX_MESSAGE + 1; size++) {
        char heard[LOG_SIZE] = "";
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
    char heard[LOG_SIZE] = "";
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
    struct bytes in = {0};
    client_add(&in, OP_TEXT, "");
    for (int i = 0; i < 7; i++)
        client_add(&in, OP_CONT, "");
    struct bytes one_more = {0};
    bytes_add(&one_more, in.data, in.size);
    struct bytes and_bad = {0};
    bytes_add(&and_bad, in.data, in.size);
    expect(&in, "c1006 ", ""); /* 8 fragments may come */
    client_add(&one_more, FIN | OP_CONT, "");
    expect(&one_more, "c1009 ", "X1009 ");
    client_add(&and_bad, FIN | OP_CONT, "bad \xff"); /* too many for all that */
    expect(&and_bad, "c1009 ", "X1009 ");

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
    struct bytes in = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        client_add(&in, FIN | OP_TEXT, bad[i]);
        client_add(&in, FIN | OP_TEXT, "never seen");
        expect(&in, "c1007 ", "X1007 ");
        client_add(&in, OP_TEXT, "");
        client_add(&in, FIN | OP_CONT, bad[i]);
        expect(&in, "c1007 ", "X1007 ");
        client_add(&in, FIN | OP_BINARY, bad[i]); /* bytes may be anything */
        char heard[LOG_SIZE] = "";
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
            struct bytes in = {0};
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
    struct bytes in = {0};
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
        struct bytes in = {0};
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
    struct bytes in = {0};
    char payload[126];
    memset(payload, 'p', 125);
    payload[125] = '\0';
    client_add(&in, FIN | OP_PING, "");
    expect(&in, "c1006 ", "O: ");
    client_add(&in, FIN | OP_PING, "\xff data");
    expect(&in, "c1006 ", "O:\xff data ");
    client_add(&in, FIN | OP_PING, payload);
    char sent[LOG_SIZE] = "";
    put_payload(sent, 'O', payload, 125);
    expect(&in, "c1006 ", sent);
    client_add(&in, FIN | OP_PONG, "unasked");
    expect(&in, "c1006 ", "");
}

/* A burst is answered ping by ping. Of pings that come much faster than pongs leave only the latest is answered. */
static void test_ping_flood(void **state)
{
    (void)state;
    struct peer peer;
    char sent[LOG_SIZE] = "";
    open_peer(&peer);
    for (int i = 0; i < 1000; i++) {
        char payload[16];
        snprintf(payload, sizeof payload, "%d", i);
        ping(&peer, payload);
        if (i < 16)
            put(sent, "O:%d ", i);
    }
    assert_string_equal(received(&peer), sent);
    fake_conn_turn(&peer.conn);
    put(sent, "O:999 ");
    assert_string_equal(received(&peer), sent);
    fake_conn_turn(&peer.conn);
    assert_string_equal(received(&peer), sent);
    for (int i = 0; i < 20; i++) { /* the flush lets as many more go out at once */
        ping(&peer, "later");
        if (i < 16)
            put(sent, "O:later ");
    }
    assert_string_equal(received(&peer), sent);
    close_peer(&peer);
}

/* A queue that never becomes empty does not keep a pong: it goes once those before it have left. */
static void test_pong_on_a_busy_connection(void **state)
{
    (void)state;
    struct peer peer;
    char sent[LOG_SIZE] = "T:data ";
    open_peer(&peer);
    send_text(&peer, "data");
    for (int i = 0; i < 16; i++) {
        ping(&peer, "1");
        put(sent, "O:1 ");
    }
    send_text(&peer, "more");
    put(sent, "T:more ");
    ping(&peer, "2");
    assert_string_equal(received(&peer), sent);
    peer.conn.queued = 7; /* "more" has 6 bytes: the last byte of the pongs is still here */
    ping(&peer, "3");
    assert_string_equal(received(&peer), sent);
    peer.conn.queued = 6;
    send_text(&peer, "last");
    put(sent, "T:last O:3 ");
    assert_string_equal(received(&peer), sent);
    for (int i = 0; i < 15; i++) {
        ping(&peer, "4");
        put(sent, "O:4 ");
    }
    peer.conn.queued = 1; /* the last byte of the last pong */
    ping(&peer, "5");
    assert_string_equal(received(&peer), sent);
    fake_conn_turn(&peer.conn);
    put(sent, "O:5 ");
    assert_string_equal(received(&peer), sent);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
