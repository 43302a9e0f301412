/*
 * The WebSocket connection with permessage-deflate: compressed messages in every split, their bounds and faults, and what goes out
 * compressed. The cases are those of RFC 7692 sections 6 and 7.2.3. How it is told is in peer.h.
 */
#include "base/mem.h"
#include "peer.h"

#define THRESHOLD 100

#define HELLO      "\xf2\x48\xcd\xc9\xc9\x07\x00"
#define HELLO_SIZE 7

static struct ws_deflate deflate;
static struct deflater client; /* what the client compresses with */

static int start(void **state)
{
    (void)state;
    ws_deflate_init(&deflate, THRESHOLD);
    deflater_init(&client, DEFLATER_MAX_WINDOW);
    peer_deflate = &deflate;
    peer_window = 15;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    mem_fail_after(0, 0);
    peer_deflate = NULL;
    deflater_release(&client);
    ws_deflate_release(&deflate);
    return 0;
}

/* `text` compressed; to be freed. */
static char *deflated(const char *text, size_t size, size_t *ret_size)
{
    size_t room = size + size / 1000 + 64;
    char *out = malloc(room);
    assert_non_null(out);
    assert_true(deflater_run(&client, DEFLATER_MESSAGE, slice_of(text, size), out, room, ret_size));
    return out;
}

/* A compressed message in `fragments` frames of about the same size. */
static void add_message(struct bytes *out, unsigned opcode, const char *payload, size_t size,
                        size_t fragments)
{
    for (size_t i = 0, done = 0; i < fragments; i++) {
        size_t piece = i + 1 == fragments ? size - done : size / fragments;
        unsigned first = i == 0 ? RSV1 | opcode : OP_CONT;
        frame_add(out, (i + 1 == fragments ? FIN : 0) | first, payload + done, piece, MASKED);
        done += piece;
    }
}

static void add_text(struct bytes *out, unsigned opcode, const char *text, size_t size,
                     size_t fragments)
{
    size_t packed_size;
    char *packed = deflated(text, size, &packed_size);
    add_message(out, opcode, packed, packed_size, fragments);
    free(packed);
}

static void test_examples(void **state)
{
    (void)state;
    struct bytes in = {0};
    add_message(&in, OP_TEXT, HELLO, HELLO_SIZE, 1);
    add_message(&in, OP_TEXT, HELLO, HELLO_SIZE, 2);
    frame_add(&in, RSV1 | OP_TEXT, HELLO, 3, MASKED);
    frame_add(&in, OP_CONT, "", 0, MASKED);
    frame_add(&in, FIN | OP_CONT, &HELLO[3], 4, MASKED);
    add_message(&in, OP_BINARY, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, 1);
    add_message(&in, OP_TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, 1);
    add_message(&in, OP_TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00", 7, 1);
    add_message(&in, OP_TEXT, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, 1);
    add_message(&in, OP_TEXT, "\x00", 1, 1);
    add_message(&in, OP_BINARY, "", 0, 1);
    client_add(&in, FIN | OP_TEXT, "plain"); /* each message as its sender likes */
    client_add(&in, OP_TEXT, "pl");
    client_add(&in, FIN | OP_CONT, "ain");
    expect(&in,
           "T:Hello T:Hello T:Hello B:Hello T:Hello T:Hello T:Hello T: B: T:plain T:plain c1006 ",
           "");
}

/* A message in any number of fragments, with an empty one before, between or behind, and pings in between. */
static void test_fragments(void **state)
{
    (void)state;
    char text[MAX_MESSAGE], heard[LOG_SIZE] = "";
    size_t size;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i % 19);
    put_payload(heard, 'T', text, sizeof text);
    strcat(heard, "c1006 ");
    for (size_t fragments = 1; fragments <= 8; fragments++) {
        struct bytes in = {0};
        add_text(&in, OP_TEXT, text, sizeof text, fragments);
        expect(&in, heard, "");
    }
    char *packed = deflated(text, sizeof text, &size);
    for (size_t cut = 0; cut <= size; cut++) {
        struct bytes in = {0};
        frame_add(&in, RSV1 | OP_TEXT, packed, cut, MASKED);
        client_add(&in, FIN | OP_PING, "p");
        frame_add(&in, FIN | OP_CONT, packed + cut, size - cut, MASKED);
        struct peer peer;
        open_peer(&peer);
        arrive_bytes(&peer, &in);
        fake_conn_turn(&peer.conn);
        assert_string_equal(received(&peer), "O:p ");
        close_peer(&peer);
        assert_string_equal(peer.heard, heard);
    }
    free(packed);
}

static void test_reserved_bits(void **state)
{
    (void)state;
    struct bytes in = {0};
    client_add(&in, RSV1 | FIN | OP_PING, "");
    expect(&in, "c1002 ", "X1002 ");
    client_add(&in, RSV1 | FIN | OP_PONG, "");
    expect(&in, "c1002 ", "X1002 ");
    client_add(&in, RSV1 | FIN | OP_CLOSE, "");
    expect(&in, "c1002 ", "X1002 ");
    frame_add(&in, RSV1 | OP_TEXT, HELLO, 3, MASKED);
    frame_add(&in, RSV1 | FIN | OP_CONT, &HELLO[3], 4, MASKED);
    expect(&in, "c1002 ", "X1002 ");
    client_add(&in, OP_TEXT, "a"); /* a message that began plain does not become compressed */
    frame_add(&in, RSV1 | FIN | OP_CONT, HELLO, HELLO_SIZE, MASKED);
    expect(&in, "c1002 ", "X1002 ");
    client_add(&in, RSV1 | FIN | 3, "");
    expect(&in, "c1002 ", "X1002 ");
    client_add(&in, RSV1 | 0x20 | FIN | OP_TEXT, "");
    expect(&in, "c1002 ", "X1002 ");
    peer_deflate = NULL; /* not negotiated */
    frame_add(&in, RSV1 | FIN | OP_TEXT, HELLO, HELLO_SIZE, MASKED);
    expect(&in, "c1002 ", "X1002 ");
}

/* A message may be as large as ever, compressed or not, and no larger by being compressed. */
static void test_limits(void **state)
{
    (void)state;
    static char text[100 * MAX_MESSAGE];
    memset(text, 'z', sizeof text);
    for (size_t fragments = 1; fragments <= 2; fragments++) {
        char heard[LOG_SIZE] = "";
        struct bytes in = {0};
        add_text(&in, OP_TEXT, text, MAX_MESSAGE, fragments);
        frame_add(&in, FIN | OP_TEXT, text, MAX_MESSAGE, MASKED);
        put_payload(heard, 'T', text, MAX_MESSAGE);
        put_payload(heard, 'T', text, MAX_MESSAGE);
        strcat(heard, "c1006 ");
        expect(&in, heard, "");
        add_text(&in, OP_TEXT, text, MAX_MESSAGE + 1, fragments);
        expect(&in, "c1009 ", "X1009 ");
        add_text(&in, OP_BINARY, text, sizeof text, fragments); /* a bomb */
        client_add(&in, FIN | OP_TEXT, "late");
        expect(&in, "c1009 ", "X1009 ");
    }
    /* The frame's own size counts too, and is refused by its header. */
    struct bytes in = {0};
    static char blocks[MAX_MESSAGE + 1];
    frame_add(&in, RSV1 | FIN | OP_TEXT, blocks, sizeof blocks, MASKED);
    in.size = 8;
    expect(&in, "c1009 ", "X1009 ");
    frame_add(&in, RSV1 | OP_TEXT, blocks, 600, MASKED);
    size_t whole = in.size;
    frame_add(&in, FIN | OP_CONT, blocks, 401, MASKED);
    in.size = whole + 8;
    expect(&in, "c1009 ", "X1009 ");
    /* And the number of fragments. */
    add_text(&in, OP_TEXT, text, 500, 9);
    expect(&in, "c1009 ", "X1009 ");
}

static void test_corrupt(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
    } cases[] = {
        {"\xff\xff\xff\xff", 4},
        {"Hello, this is plain text", 25},
        {"\xf2\x48\xcd", 3},
        {"\xf2\x00\x11\x00\x00", 5}, /* "Hello" by reference to an earlier message */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t fragments = 1; fragments <= 3; fragments += 2) {
            struct bytes in = {0};
            add_message(&in, OP_TEXT, HELLO, HELLO_SIZE, 1);
            add_message(&in, OP_BINARY, cases[i].data, cases[i].size, fragments);
            client_add(&in, FIN | OP_TEXT, "late");
            expect(&in, "T:Hello c1007 ", "X1007 ");
        }
    }
}

static void test_utf8(void **state)
{
    (void)state;
    for (size_t fragments = 1; fragments <= 4; fragments++) {
        struct bytes in = {0};
        add_text(&in, OP_TEXT, "gr\xc3\xbc\xc3\x9f", 6, fragments);
        add_text(&in, OP_BINARY, "\xff\xfe", 2, fragments);
        expect(&in, "T:gr\xc3\xbc\xc3\x9f B:\xff\xfe c1006 ", "");
        add_text(&in, OP_TEXT, "a\xff", 2, fragments);
        expect(&in, "c1007 ", "X1007 ");
        add_text(&in, OP_TEXT, "cut \xc3", 5, fragments);
        expect(&in, "c1007 ", "X1007 ");
    }
}

/* --- Callbacks that end it all, while they look at bytes that were made for them --- */

static void close_now(struct peer *peer)
{
    ws_conn_close(peer->ws, WS_STATUS_NORMAL, SLICE("enough"));
}

static void abort_now(struct peer *peer)
{
    ws_conn_abort(peer->ws, CONN_ERROR);
}

static void test_ends_inside(void **state)
{
    (void)state;
    for (size_t fragments = 1; fragments <= 2; fragments++) {
        struct bytes in = {0};
        add_text(&in, OP_TEXT, "last", 4, fragments);
        add_text(&in, OP_TEXT, "lost", 4, fragments);
        expect_with(&in, &limits, close_now, "T:last c1006 ", "X1000enough ");
        add_text(&in, OP_TEXT, "last", 4, fragments);
        add_text(&in, OP_TEXT, "lost", 4, fragments);
        expect_with(&in, &limits, abort_now, "T:last c1006 ", "");
    }
}

/* --- Output --- */

static void send_payload(struct peer *peer, enum ws_opcode opcode, size_t size, uint8_t flags)
{
    struct message *message = ws_encode_new(opcode, size);
    assert_non_null(message);
    memset(message->data + message->prefix, 'o', size);
    message->flags |= flags;
    assert_true(ws_conn_send(peer->ws, message));
    message_unref(message);
}

static void test_output(void **state)
{
    (void)state;
    char text[70000], expected[LOG_SIZE] = "";
    struct peer peer;
    memset(text, 'o', sizeof text);
    open_peer(&peer);
    send_payload(&peer, WS_TEXT, THRESHOLD - 1, 0);
    put_payload(expected, 'T', text, THRESHOLD - 1);
    static const size_t sizes[] = {THRESHOLD, 70000};
    for (size_t i = 0; i < 2; i++) {
        send_payload(&peer, WS_TEXT, sizes[i], 0);
        strcat(expected, "z");
        put_payload(expected, 'T', text, sizes[i]);
        send_payload(&peer, WS_BINARY, sizes[i], MESSAGE_VOLATILE);
        strcat(expected, "z");
        put_payload(expected, 'B', text, sizes[i]);
        send_payload(&peer, WS_TEXT, sizes[i], MESSAGE_NO_COMPRESS);
        put_payload(expected, 'T', text, sizes[i]);
    }
    assert_true(peer.conn.sent.size < 72000); /* one of the large ones went as it is */
    ws_conn_close(peer.ws, WS_STATUS_NORMAL, SLICE(""));
    strcat(expected, "X1000 ");
    assert_string_equal(received(&peer), expected);
    close_peer(&peer);
}

/* The budget counts what is really queued. */
static void test_budget(void **state)
{
    (void)state;
    struct peer peer;
    open_peer(&peer);
    peer.conn.max_queued = 10000;
    for (int i = 0; i < 10; i++)
        send_payload(&peer, WS_TEXT, 50000, 0);
    assert_true(conn_is_open(&peer.conn));
    close_peer(&peer);
}

/* A client with a small window gets what it can read: peer.h's decoder knows every window, zlib's with that one is asked in base. */
static void test_window(void **state)
{
    (void)state;
    struct peer small, full;
    struct message *message = ws_encode_new(WS_TEXT, 5000);
    assert_non_null(message);
    memset(message->data + message->prefix, 'o', 5000);
    open_peer(&full);
    peer_window = 9;
    open_peer(&small);
    assert_true(ws_conn_send(full.ws, message) && ws_conn_send(small.ws, message));
    char expected[LOG_SIZE] = "z";
    put_payload(expected, 'T', message->data + message->prefix, 5000);
    assert_string_equal(received(&full), expected);
    assert_string_equal(received(&small), expected);
    assert_int_equal(small.conn.sent.size, message_twin(message, MESSAGE_DEFLATED_SMALL)->size);
    message_unref(message);
    close_peer(&full);
    close_peer(&small);
}

static void test_echo(void **state)
{
    (void)state;
    char text[900], expected[LOG_SIZE] = "z";
    struct bytes in = {0};
    struct peer peer;
    memset(text, 'e', sizeof text);
    open_peer(&peer);
    peer.echoes = true;
    add_text(&in, OP_TEXT, text, sizeof text, 3);
    arrive_bytes(&peer, &in);
    put_payload(expected, 'T', text, sizeof text);
    assert_string_equal(received(&peer), expected);
    close_peer(&peer);
}

/* --- Memory --- */

/* An allocation that fails costs the connection, or nothing. */
static void test_memory(void **state)
{
    (void)state;
    char text[900];
    memset(text, 'm', sizeof text);
    bool was_whole = false;
    uint64_t lost = 0;
    for (uint64_t i = 0; !was_whole; i++) {
        struct peer peer;
        struct bytes in = {0};
        stop(NULL); /* from nothing each time */
        start(NULL);
        add_text(&in, OP_TEXT, text, sizeof text, 2);
        add_text(&in, OP_TEXT, text, sizeof text, 1);
        open_peer(&peer);
        uint64_t before = mem_allocation_count();
        mem_fail_after(i, 1);
        arrive_bytes(&peer, &in);
        was_whole = mem_allocation_count() - before <= i;
        mem_fail_after(0, 0);
        bool is_lost = peer.conn.closing;
        close_peer(&peer);
        if (is_lost) {
            lost++;
            assert_int_equal(peer.reason, CONN_NO_MEMORY);
        } else {
            assert_int_equal(peer.reason, CONN_PEER_CLOSED);
        }
        assert_true(i < 200);
    }
    assert_true(lost > 3);
}

/* Until something is compressed, negotiating it costs nothing. */
static void test_lazy(void **state)
{
    (void)state;
    struct peer peer;
    struct bytes in = {0};
    open_peer(&peer);
    client_add(&in, FIN | OP_TEXT, "hi");
    arrive_bytes(&peer, &in);
    send_text(&peer, "hi");
    assert_null(deflate.full.stream);
    assert_null(deflate.small.stream);
    assert_null(deflate.inflater.stream);
    close_peer(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_examples, start, stop),
        cmocka_unit_test_setup_teardown(test_fragments, start, stop),
        cmocka_unit_test_setup_teardown(test_reserved_bits, start, stop),
        cmocka_unit_test_setup_teardown(test_limits, start, stop),
        cmocka_unit_test_setup_teardown(test_corrupt, start, stop),
        cmocka_unit_test_setup_teardown(test_utf8, start, stop),
        cmocka_unit_test_setup_teardown(test_ends_inside, start, stop),
        cmocka_unit_test_setup_teardown(test_output, start, stop),
        cmocka_unit_test_setup_teardown(test_budget, start, stop),
        cmocka_unit_test_setup_teardown(test_window, start, stop),
        cmocka_unit_test_setup_teardown(test_echo, start, stop),
        cmocka_unit_test_setup_teardown(test_memory, start, stop),
        cmocka_unit_test_setup_teardown(test_lazy, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
