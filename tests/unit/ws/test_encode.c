/* Frames of the server: headers bit by bit, and every message read back by the decoder. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "ws/ws_decode.h"
#include "ws/ws_encode.h"
#include "frames.h"

static void test_header_bytes(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *bytes;
        size_t header;
    } cases[] = {
        {0, "\x82\x00", 2},
        {1, "\x82\x01", 2},
        {125, "\x82\x7d", 2},
        {126, "\x82\x7e\x00\x7e", 4},
        {127, "\x82\x7e\x00\x7f", 4},
        {65535, "\x82\x7e\xff\xff", 4},
        {65536, "\x82\x7f\0\0\0\0\0\x01\0\0", 10},
        {0x01020304, "\x82\x7f\0\0\0\0\1\2\3\4", 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[WS_MAX_SERVER_HEADER];
        assert_int_equal(ws_encode_header(header, WS_BINARY, false, cases[i].size),
                         cases[i].header);
        assert_int_equal(ws_encode_header_size(cases[i].size), cases[i].header);
        assert_memory_equal(header, cases[i].bytes, cases[i].header);
    }
    char header[WS_MAX_SERVER_HEADER];
    assert_int_equal(ws_encode_header(header, WS_TEXT, true, 5), 2);
    assert_memory_equal(header, "\xc1\x05", 2);
    assert_int_equal(ws_encode_header(header, WS_CLOSE, false, 0), 2);
    assert_memory_equal(header, "\x88\x00", 2);
}

/* Decodes the one frame a message is; what is returned points into it. */
static struct ws_frame read_back(struct message *message)
{
    struct ws_decoder decoder;
    struct ws_frame frame;
    size_t used = 0;
    enum ws_status status;
    ws_decode_init(&decoder, SIZE_MAX, false);
    assert_int_equal(ws_decode(&decoder, message->data, message->size, &frame, &used, &status),
                     WS_FRAME);
    assert_int_equal(used, message->size);
    assert_true(frame.fin);
    assert_int_equal(message->prefix, message->size - frame.size);
    return frame;
}

static void test_messages_read_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 9, 125, 126, 65535, 65536, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *payload = malloc(sizes[i] + 1);
        memset(payload, 'x', sizes[i]);
        struct message *message = ws_encode_copy(WS_TEXT, slice_of(payload, sizes[i]));
        assert_non_null(message);
        assert_int_equal(message->flags, 0);
        struct ws_frame frame = read_back(message);
        assert_int_equal(frame.opcode, WS_TEXT);
        assert_int_equal(frame.size, sizes[i]);
        if (sizes[i] > 0)
            assert_memory_equal(frame.payload, payload, sizes[i]);
        message_unref(message);
        free(payload);
    }
}

static void test_payload_is_written_behind_the_prefix(void **state)
{
    (void)state;
    struct message *message = ws_encode_new(WS_BINARY, 3);
    assert_non_null(message);
    assert_int_equal(message->flags, MESSAGE_BINARY);
    memcpy(message->data + message->prefix, "abc", 3);
    assert_true(slice_eq(message_payload(message), SLICE("abc")));
    struct ws_frame frame = read_back(message);
    assert_int_equal(frame.opcode, WS_BINARY);
    assert_memory_equal(frame.payload, "abc", 3);
    message_unref(message);
}

static void test_close(void **state)
{
    (void)state;
    struct message *message = ws_encode_close(WS_STATUS_NONE, SLICE("dropped"));
    assert_int_equal(read_back(message).size, 0);
    assert_int_equal(read_back(message).opcode, WS_CLOSE);
    message_unref(message);

    message = ws_encode_close(WS_STATUS_GOING_AWAY, SLICE("bye"));
    struct ws_frame frame = read_back(message);
    assert_int_equal(frame.size, 5);
    assert_memory_equal(frame.payload,
                        "\x03\xe9"
                        "bye",
                        5);
    message_unref(message);

    message = ws_encode_close((enum ws_status)4999, (cvn_slice){NULL, 0});
    frame = read_back(message);
    assert_int_equal(frame.size, 2);
    assert_memory_equal(frame.payload, "\x13\x87", 2);
    message_unref(message);
}

/* A reason of 123 bytes fits; a longer one is cut in front of a character, never within. */
static void test_close_reason_is_cut(void **state)
{
    (void)state;
    static const char *characters[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < 4; i++) {
        for (size_t lead = 0; lead < 5; lead++) {
            char reason[600] = "";
            size_t size = lead;
            memset(reason, '-', lead);
            while (size < 300) {
                strcpy(reason + size, characters[i]);
                size += strlen(characters[i]);
            }
            struct message *message = ws_encode_close(WS_STATUS_NORMAL, slice_of(reason, size));
            struct ws_frame frame = read_back(message);
            assert_true(frame.size <= WS_MAX_CONTROL);
            assert_true(frame.size > WS_MAX_CONTROL - strlen(characters[i]));
            assert_true(utf8_is_valid(slice_of(frame.payload + 2, frame.size - 2)));
            assert_memory_equal(frame.payload + 2, reason, frame.size - 2);
            message_unref(message);
        }
    }
    char exact[123];
    memset(exact, 'r', sizeof exact);
    struct message *message = ws_encode_close(WS_STATUS_NORMAL, slice_of(exact, sizeof exact));
    assert_int_equal(read_back(message).size, 125);
    message_unref(message);

    char bad[200]; /* not UTF-8 at all: nothing is left of it, and nothing is read before it */
    memset(bad, '\x80', sizeof bad);
    message = ws_encode_close(WS_STATUS_NORMAL, slice_of(bad, sizeof bad));
    assert_int_equal(read_back(message).size, 2);
    message_unref(message);
}

static void test_no_memory(void **state)
{
    (void)state;
    mem_fail_after(0, 1);
    assert_null(ws_encode_new(WS_TEXT, 10));
    mem_fail_after(0, 1);
    assert_null(ws_encode_copy(WS_TEXT, SLICE("a")));
    mem_fail_after(0, 1);
    assert_null(ws_encode_close(WS_STATUS_NORMAL, SLICE("a")));
    mem_fail_after(0, 0);
    assert_null(ws_encode_new(WS_TEXT, SIZE_MAX));
    assert_null(ws_encode_new(WS_TEXT, SIZE_MAX - 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_bytes),
        cmocka_unit_test(test_messages_read_back),
        cmocka_unit_test(test_payload_is_written_behind_the_prefix),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_reason_is_cut),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
