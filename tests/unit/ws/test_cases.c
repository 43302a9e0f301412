/*
 * An echo endpoint put through the groups of cases that WebSocket implementations are commonly judged by: framing, pings,
 * reserved bits, opcodes, fragmentation, UTF-8, closing, sizes. The cases are our own; how they are told is in peer.h.
 */
#include "peer.h"

#define BYTES(literal) (literal), sizeof(literal) - 1
#define COUNT(array)   (sizeof(array) / sizeof(array)[0])

static const struct ws_limits echo_limits = {.max_message = 16 << 20, .max_fragments = 65536};

/* Feeds the script in pieces of `piece` bytes (at most; 0: random ones) to an endpoint that echoes. */
static void run_case(const struct bytes *in, size_t piece, const char *expected, const char *end)
{
    struct peer peer;
    unsigned seed = 7;
    open_limited(&peer, &echo_limits);
    peer.echoes = true;
    for (size_t at = 0; at < in->size;) {
        size_t size = piece != 0 ? piece : 1 + next_random(&seed) % (1 + in->size / 2);
        if (size > in->size - at)
            size = in->size - at;
        arrive(&peer, in->data + at, size);
        at += size;
    }
    fake_conn_turn(&peer.conn);
    assert_string_equal(received(&peer), expected);
    close_peer(&peer);
    assert_true(strlen(peer.heard) >= strlen(end));
    assert_string_equal(peer.heard + strlen(peer.heard) - strlen(end), end);
}

/* `expected` reaches the peer and the connection ends as `end` says, in whatever pieces the script comes. */
static void check(struct bytes *in, const char *expected, const char *end)
{
    run_case(in, SIZE_MAX, expected, end);
    run_case(in, 65536, expected, end);
    run_case(in, 0, expected, end);
    if (in->size < 300000)
        run_case(in, 997, expected, end);
    if (in->size < 3000)
        run_case(in, 1, expected, end);
    bytes_release(in);
}

/* The script, closed in order by the client, gives `expected` and the echo of the close frame. */
static void check_good(struct bytes *in, const char *expected)
{
    char all[LOG_SIZE] = "";
    client_add_close(in, 1000, "");
    put(all, "%sX1000 ", expected);
    check(in, all, "C1000 ");
}

/* The script gives `expected` and is then refused. */
static void check_bad(struct bytes *in, unsigned status, const char *expected)
{
    char all[LOG_SIZE] = "", end[16];
    client_add(in, FIN | OP_TEXT, "never echoed");
    put(all, "%sX%u ", expected, status);
    snprintf(end, sizeof end, "c%u ", status);
    check(in, all, end);
}

static char *make_payload(size_t size)
{
    char *payload = malloc(size + 1);
    assert_non_null(payload);
    for (size_t i = 0; i < size; i++)
        payload[i] = (char)('!' + i * 13 % 90);
    return payload;
}

/* --- Framing and sizes --- */

static void test_framing(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 128, 65535, 65536};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (unsigned opcode = OP_TEXT; opcode <= OP_BINARY; opcode++) {
            char *payload = make_payload(sizes[i]);
            char expected[LOG_SIZE] = "";
            struct bytes in = {0};
            frame_add(&in, FIN | opcode, payload, sizes[i], MASKED);
            put_payload(expected, opcode == OP_TEXT ? 'T' : 'B', payload, sizes[i]);
            check_good(&in, expected);
            free(payload);
        }
    }
}

static void test_large_messages(void **state)
{
    (void)state;
    static const size_t sizes[] = {1 << 18, 1 << 20, 16 << 20};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *payload = make_payload(sizes[i] + 1);
        char expected[LOG_SIZE] = "";
        struct bytes in = {0};
        frame_add(&in, FIN | OP_TEXT, payload, sizes[i], MASKED);
        put_payload(expected, 'T', payload, sizes[i]);
        check_good(&in, expected);
        free(payload);
    }
    char *payload = make_payload((16 << 20) + 1);
    struct bytes in = {0};
    frame_add(&in, FIN | OP_TEXT, payload, (16 << 20) + 1, MASKED);
    check_bad(&in, 1009, "");
    free(payload);
}

static void test_large_messages_in_fragments(void **state)
{
    (void)state;
    static const size_t fragments[] = {64, 1300, 65536, 1 << 18};
    size_t size = 1 << 20;
    char *payload = make_payload(size);
    for (size_t i = 0; i < COUNT(fragments); i++) {
        char expected[LOG_SIZE] = "";
        struct bytes in = {0};
        for (size_t at = 0; at < size; at += fragments[i]) {
            size_t piece = size - at < fragments[i] ? size - at : fragments[i];
            frame_add(&in, (at == 0 ? OP_TEXT : OP_CONT) | (at + piece == size ? FIN : 0),
                      payload + at, piece, MASKED);
        }
        put_payload(expected, 'T', payload, size);
        check_good(&in, expected);
    }
    free(payload);
}

static void test_many_messages(void **state)
{
    (void)state;
    struct bytes in = {0};
    char expected[LOG_SIZE] = "";
    for (int i = 0; i < 300; i++) {
        client_add(&in, FIN | (i % 3 == 0 ? OP_BINARY : OP_TEXT), "message");
        put_payload(expected, i % 3 == 0 ? 'B' : 'T', "message", 7);
    }
    check_good(&in, expected);
}

/* --- Pings and pongs --- */

static void test_pings(void **state)
{
    (void)state;
    struct bytes in = {0};
    char *payload = make_payload(126);
    char expected[LOG_SIZE] = "";
    client_add(&in, FIN | OP_PING, "");
    check_good(&in, "O: ");
    client_add(&in, FIN | OP_PING, "Hello, world!");
    check_good(&in, "O:Hello, world! ");
    client_add(&in, FIN | OP_PING, "\xff\xfe\xfd\xfc\xfb\x01");
    check_good(&in, "O:\xff\xfe\xfd\xfc\xfb\x01 ");
    frame_add(&in, FIN | OP_PING, payload, 125, MASKED);
    put_payload(expected, 'O', payload, 125);
    check_good(&in, expected);
    frame_add(&in, FIN | OP_PING, payload, 126, MASKED);
    check_bad(&in, 1002, "");
    client_add(&in, FIN | OP_PONG, "");
    client_add(&in, FIN | OP_PONG, "unasked");
    client_add(&in, FIN | OP_PING, "asked");
    check_good(&in, "O:asked ");
    expected[0] = '\0';
    for (int i = 0; i < 10; i++) { /* a burst is answered ping by ping, in order */
        char text[20];
        snprintf(text, sizeof text, "payload-%d", i);
        client_add(&in, FIN | OP_PING, text);
        put(expected, "O:%s ", text);
    }
    check_good(&in, expected);
    free(payload);
}

/* --- Reserved bits and opcodes --- */

static void test_reserved_bits(void **state)
{
    (void)state;
    static const unsigned opcodes[] = {OP_TEXT, OP_BINARY, OP_PING, OP_PONG, OP_CLOSE};
    for (unsigned bits = 1; bits <= 7; bits++) {
        for (size_t i = 0; i < COUNT(opcodes); i++) {
            struct bytes in = {0};
            client_add(&in, FIN | OP_TEXT, "fine");
            client_add(&in, FIN | bits << 4 | opcodes[i], "not fine");
            client_add(&in, FIN | OP_PING, "");
            check_bad(&in, 1002, "T:fine ");
        }
    }
}

static void test_reserved_opcodes(void **state)
{
    (void)state;
    static const unsigned opcodes[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    for (size_t i = 0; i < COUNT(opcodes); i++) {
        struct bytes in = {0};
        client_add(&in, FIN | opcodes[i], "");
        check_bad(&in, 1002, "");
        client_add(&in, FIN | OP_TEXT, "fine");
        client_add(&in, FIN | opcodes[i], "reserved");
        client_add(&in, FIN | OP_PING, "");
        check_bad(&in, 1002, "T:fine ");
    }
}

/* --- Fragmentation --- */

static void test_fragmentation(void **state)
{
    (void)state;
    struct bytes in = {0};
    client_add(&in, OP_PING, "frag");
    client_add(&in, FIN | OP_CONT, "ment");
    check_bad(&in, 1002, "");
    client_add(&in, OP_PONG, "frag");
    client_add(&in, FIN | OP_CONT, "ment");
    check_bad(&in, 1002, "");
    client_add(&in, OP_TEXT, "frag");
    client_add(&in, FIN | OP_CONT, "ment");
    check_good(&in, "T:fragment ");
    client_add(&in, OP_TEXT, "frag");
    client_add(&in, FIN | OP_PING, "between");
    client_add(&in, FIN | OP_CONT, "ment");
    check_good(&in, "O:between T:fragment ");
    client_add(&in, OP_TEXT, "a");
    client_add(&in, OP_CONT, "b");
    client_add(&in, FIN | OP_PING, "1");
    client_add(&in, OP_CONT, "c");
    client_add(&in, OP_CONT, "d");
    client_add(&in, FIN | OP_PING, "2");
    client_add(&in, FIN | OP_CONT, "e");
    check_good(&in, "O:1 O:2 T:abcde ");
}

static void test_fragments_out_of_order(void **state)
{
    (void)state;
    for (unsigned fin = 0; fin <= FIN; fin += FIN) {
        struct bytes in = {0};
        client_add(&in, fin | OP_CONT, "continues nothing");
        client_add(&in, FIN | OP_TEXT, "text");
        check_bad(&in, 1002, "");
        client_add(&in, OP_TEXT, "frag");
        client_add(&in, FIN | OP_CONT, "ment");
        client_add(&in, fin | OP_CONT, "continues nothing");
        check_bad(&in, 1002, "T:fragment ");
        client_add(&in, OP_TEXT, "first");
        client_add(&in, fin | OP_TEXT, "second, the first being open");
        check_bad(&in, 1002, "");
        client_add(&in, OP_TEXT, "first");
        client_add(&in, fin | OP_BINARY, "second");
        check_bad(&in, 1002, "");
    }
}

/* --- UTF-8 --- */

/* As one frame, and as one frame a byte. */
static void check_text(const char *text, size_t size, bool is_valid)
{
    struct bytes in = {0};
    char expected[LOG_SIZE] = "";
    if (is_valid)
        put_payload(expected, 'T', text, size);
    frame_add(&in, FIN | OP_TEXT, text, size, MASKED);
    if (is_valid)
        check_good(&in, expected);
    else
        check_bad(&in, 1007, "");
    for (size_t i = 0; i < size; i++)
        frame_add(&in, i == 0 ? OP_TEXT : OP_CONT, text + i, 1, MASKED);
    frame_add(&in, FIN | (size == 0 ? OP_TEXT : OP_CONT), "", 0, MASKED);
    if (is_valid)
        check_good(&in, expected);
    else
        check_bad(&in, 1007, "");
}

static void test_valid_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } texts[] = {
        {BYTES("")},
        {BYTES("Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!")},
        {BYTES("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5")},
        {BYTES("\x01")}, /* the first and the last of each length */
        {BYTES("\x7f")},
        {BYTES("\xc2\x80")},
        {BYTES("\xdf\xbf")},
        {BYTES("\xe0\xa0\x80")},
        {BYTES("\xef\xbf\xbf")},
        {BYTES("\xf0\x90\x80\x80")},
        {BYTES("\xf4\x8f\xbf\xbf")},
        {BYTES("\xed\x9f\xbf")}, /* around the surrogates */
        {BYTES("\xee\x80\x80")},
        {BYTES("\xef\xbf\xbd")}, /* the replacement character */
        {BYTES("\xef\xbf\xbe")}, /* characters that are none are text all the same */
        {BYTES("\xf0\x9f\xbf\xbf")},
        {BYTES("\xef\xbb\xbf with a byte order mark")},
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        check_text(texts[i].text, texts[i].size, true);
}

static void test_invalid_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } texts[] = {
        {BYTES("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
               "edited")},
        {BYTES("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80"
               "edited")},
        {BYTES("\xce")}, /* cut short */
        {BYTES("\xce\xba\xe1")},
        {BYTES("\xce\xba\xe1\xbd")},
        {BYTES("\xf0\x90\x80")},
        {BYTES("\x80")}, /* continuations of nothing */
        {BYTES("\xbf")},
        {BYTES("\x80\xbf\x80\xbf\x80\xbf")},
        {BYTES("a\xbfz")},
        {BYTES("\xc3 ")}, /* starts without an end */
        {BYTES("\xe2\x82 ")},
        {BYTES("\xf0\x9f\x98 ")},
        {BYTES("\xc0\xdf\xe0\xef\xf0\xf7")},
        {BYTES("\xc3\xe2\x82\xac")},
        {BYTES("\xfe")}, /* bytes that never occur */
        {BYTES("\xff")},
        {BYTES("\xfe\xfe\xff\xff")},
        {BYTES("\xf8\x88\x80\x80\x80")}, /* five and six bytes */
        {BYTES("\xfc\x84\x80\x80\x80\x80")},
        {BYTES("\xf7\xbf\xbf\xbf")}, /* above U+10FFFF */
        {BYTES("\xf4\x90\x80\x80")},
        {BYTES("\xf5\x80\x80\x80")},
        {BYTES("\xc0\xaf")}, /* too long for what they say */
        {BYTES("\xe0\x80\xaf")},
        {BYTES("\xf0\x80\x80\xaf")},
        {BYTES("\xc1\xbf")},
        {BYTES("\xe0\x9f\xbf")},
        {BYTES("\xf0\x8f\xbf\xbf")},
        {BYTES("\xc0\x80")},
        {BYTES("\xe0\x80\x80")},
        {BYTES("\xed\xa0\x80")}, /* surrogates, alone and in pairs */
        {BYTES("\xed\xad\xbf")},
        {BYTES("\xed\xae\x80")},
        {BYTES("\xed\xbf\xbf")},
        {BYTES("\xed\xa0\x80\xed\xb0\x80")},
        {BYTES("\xed\xaf\xbf\xed\xbf\xbf")},
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        check_text(texts[i].text, texts[i].size, false);
}

/* The fragment that makes the text impossible is answered at once. */
static void test_invalid_text_fails_fast(void **state)
{
    (void)state;
    static const char *pieces[] = {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4", "\x90"};
    struct peer peer;
    open_limited(&peer, &echo_limits);
    for (size_t i = 0; i < 2; i++) {
        struct bytes in = {0};
        assert_string_equal(received(&peer), "");
        client_add(&in, i == 0 ? OP_TEXT : OP_CONT, pieces[i]);
        arrive_bytes(&peer, &in);
    }
    assert_string_equal(received(&peer), "X1007 ");
    close_peer(&peer);
}

/* So is the byte of a large frame that does, wherever it is and however the frame began. */
static void check_fails_fast(unsigned opcode, size_t spoilt_at)
{
    struct peer peer;
    struct bytes before = {0}, in = {0};
    size_t size = 70000, header = 14;
    char *payload = make_payload(size);
    payload[spoilt_at] = (char)0xff;
    open_limited(&peer, &echo_limits);
    if (opcode == OP_CONT) {
        client_add(&before, OP_TEXT, "begun \xe2\x82");
        arrive_bytes(&peer, &before);
        memcpy(payload, spoilt_at == 0 ? "\xff" : "\xac", 1); /* goes on in a letter */
    }
    frame_add(&in, opcode | FIN, payload, size, MASKED);
    for (size_t at = 0; at < header + spoilt_at;) { /* all that is good */
        size_t left = header + spoilt_at - at, piece = left < 999 ? left : 999;
        arrive(&peer, in.data + at, piece);
        at += piece;
    }
    assert_string_equal(received(&peer), "");
    assert_true(conn_is_open(&peer.conn));
    arrive(&peer, in.data + header + spoilt_at, 1);
    assert_string_equal(received(&peer), "X1007 ");
    close_peer(&peer);
    assert_string_equal(peer.heard, "c1007 ");
    bytes_release(&in);
    free(payload);
}

static void test_invalid_text_fails_fast_within_a_frame(void **state)
{
    (void)state;
    static const size_t places[] = {0, 1, 2, 3, 4, 998, 999, 1000, 4095, 4096, 4097, 8192, 69998};
    for (size_t i = 0; i < COUNT(places); i++) {
        check_fails_fast(OP_TEXT, places[i]);
        check_fails_fast(OP_CONT, places[i]);
    }
}

/* Letters that are cut by reads, by frames, and by the pieces in which a frame is looked at. */
static void test_large_text_of_wide_letters(void **state)
{
    (void)state;
    size_t letters = 20001;
    for (size_t before = 0; before < 3; before++) {
        size_t size = before + 3 * letters, half = size / 2;
        char expected[LOG_SIZE] = "";
        struct bytes in = {0};
        char *payload = malloc(size);
        assert_non_null(payload);
        memset(payload, 'a', before);
        for (size_t i = 0; i < letters; i++)
            memcpy(payload + before + 3 * i, "\xe2\x82\xac", 3);
        frame_add(&in, FIN | OP_TEXT, payload, size, MASKED);
        put_payload(expected, 'T', payload, size);
        frame_add(&in, OP_TEXT, payload, half, MASKED);
        client_add(&in, FIN | OP_PING, "");
        frame_add(&in, FIN | OP_CONT, payload + half, size - half, MASKED);
        put(expected, "O: ");
        put_payload(expected, 'T', payload, size);
        frame_add(&in, FIN | OP_BINARY, payload + 1, size - 2, MASKED); /* anything goes */
        put_payload(expected, 'B', payload + 1, size - 2);
        check_good(&in, expected);
        frame_add(&in, FIN | OP_TEXT, payload, size - 1, MASKED);
        check_bad(&in, 1007, "");
        frame_add(&in, OP_TEXT, payload, size - 1, MASKED);
        frame_add(&in, FIN | OP_CONT, payload, size, MASKED);
        check_bad(&in, 1007, "");
        free(payload);
    }
}

/* --- Closing --- */

static void test_closing(void **state)
{
    (void)state;
    struct bytes in = {0};
    client_add(&in, FIN | OP_TEXT, "Hello World!");
    check_good(&in, "T:Hello World! ");
    client_add_close(&in, 1000, "");
    client_add_close(&in, 1000, "");
    check(&in, "X1000 ", "C1000 ");
    client_add_close(&in, 1000, "");
    client_add(&in, FIN | OP_PING, "late");
    check(&in, "X1000 ", "C1000 ");
    client_add_close(&in, 1000, "");
    client_add(&in, FIN | OP_TEXT, "late");
    check(&in, "X1000 ", "C1000 ");
    client_add(&in, OP_TEXT, "frag");
    client_add_close(&in, 1000, "");
    client_add(&in, FIN | OP_CONT, "ment");
    check(&in, "X1000 ", "C1000 ");

    size_t size = 256 * 1024;
    char *payload = make_payload(size);
    char expected[LOG_SIZE] = "";
    frame_add(&in, FIN | OP_TEXT, payload, size, MASKED);
    put_payload(expected, 'T', payload, size);
    strcat(expected, "X1000 ");
    client_add_close(&in, 1000, "");
    client_add(&in, FIN | OP_PING, "late");
    check(&in, expected, "C1000 ");
    free(payload);
}

static void test_close_payloads(void **state)
{
    (void)state;
    struct bytes in = {0};
    char payload[126];
    frame_add(&in, FIN | OP_CLOSE, "", 0, MASKED);
    check(&in, "X ", "C1005 ");
    frame_add(&in, FIN | OP_CLOSE, "a", 1, MASKED);
    check_bad(&in, 1002, "");
    client_add_close(&in, 1000, "Hello World!");
    check(&in, "X1000 ", "C1000 ");
    memset(payload, '*', sizeof payload);
    payload[0] = 3;
    payload[1] = (char)0xe8;
    frame_add(&in, FIN | OP_CLOSE, payload, 125, MASKED);
    check(&in, "X1000 ", "C1000 ");
    frame_add(&in, FIN | OP_CLOSE, payload, 126, MASKED);
    check_bad(&in, 1002, "");
    client_add_close(&in, 1000,
                     "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
                     "edited");
    check_bad(&in, 1007, "");
}

static void test_close_statuses(void **state)
{
    (void)state;
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                    1010, 1011, 3000, 3999, 4000, 4999};
    static const unsigned bad[] = {0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < COUNT(good); i++) {
        struct bytes in = {0};
        char expected[16], end[16];
        client_add_close(&in, good[i], "");
        snprintf(expected, sizeof expected, "X%u ", good[i]);
        snprintf(end, sizeof end, "C%u ", good[i]);
        check(&in, expected, end);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct bytes in = {0};
        client_add_close(&in, bad[i], "");
        check_bad(&in, 1002, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_large_messages),
        cmocka_unit_test(test_large_messages_in_fragments),
        cmocka_unit_test(test_many_messages),
        cmocka_unit_test(test_pings),
        cmocka_unit_test(test_reserved_bits),
        cmocka_unit_test(test_reserved_opcodes),
        cmocka_unit_test(test_fragmentation),
        cmocka_unit_test(test_fragments_out_of_order),
        cmocka_unit_test(test_valid_text),
        cmocka_unit_test(test_invalid_text),
        cmocka_unit_test(test_invalid_text_fails_fast),
        cmocka_unit_test(test_invalid_text_fails_fast_within_a_frame),
        cmocka_unit_test(test_large_text_of_wide_letters),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_close_payloads),
        cmocka_unit_test(test_close_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
