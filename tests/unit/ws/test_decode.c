/*
 * The frame decoder: a table of inputs, each run whole, byte by byte and in random pieces, on buffers that end at an
 * unmapped page. What comes out is written down as text: "T:" text, "B:" binary, "-:" continuation, "X:" close, "I:" ping,
 * "O:" pong, the payload, "+" for more fragments, "~" for rsv1; "!1002" is a refusal.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "ws/ws_decode.h"
#include "support/guard.h"
#include "frames.h"

#define LOG_SIZE 4096

struct stream {
    struct ws_decoder decoder;
    struct bytes rest; /* came, but not yet a frame */
    size_t known_total;
    bool refused;
    char log[LOG_SIZE];
    size_t log_size;
};

static void log_frame(struct stream *stream, const struct ws_frame *frame)
{
    static const char names[] = "-TB.....XIO";
    char *log = stream->log + stream->log_size;
    size_t room = LOG_SIZE - stream->log_size;
    bool is_long = frame->size > 20;
    if (is_long) { /* a digest instead of the bytes */
        unsigned sum = 0;
        for (size_t i = 0; i < frame->size; i++)
            sum = sum * 31 + (uint8_t)frame->payload[i];
        snprintf(log, room, "%c#%zu/%08x%s%s ", names[frame->opcode], frame->size, sum,
                 frame->fin ? "" : "+", frame->rsv1 ? "~" : "");
    } else {
        snprintf(log, room, "%c:%.*s%s%s ", names[frame->opcode], (int)frame->size, frame->payload,
                 frame->fin ? "" : "+", frame->rsv1 ? "~" : "");
    }
    stream->log_size += strlen(log);
}

/* Everything that `stream->rest` gives, each time from a fresh copy in front of an unmapped page. */
static void decode_rest(struct stream *stream)
{
    size_t done = 0;
    while (!stream->refused) {
        struct ws_frame frame;
        size_t used = SIZE_MAX;
        enum ws_status status;
        size_t size = stream->rest.size - done;
        char *copy = guard_copy(stream->rest.data + done, size);
        enum ws_decode result = ws_decode(&stream->decoder, copy, size, &frame, &used, &status);
        if (result == WS_FRAME) {
            assert_true(used <= size);
            assert_ptr_equal(frame.payload + frame.size, copy + used);
            if (stream->known_total != 0)
                assert_int_equal(used, stream->known_total);
            stream->known_total = 0;
            log_frame(stream, &frame);
            done += used;
        } else if (result == WS_REFUSED) {
            snprintf(stream->log + stream->log_size, LOG_SIZE - stream->log_size, "!%d", status);
            stream->refused = true;
        } else {
            if (size > 0)
                assert_memory_equal(copy, stream->rest.data + done, size);
            assert_true(used == 0 || used > size);
            if (stream->known_total != 0)
                assert_int_equal(used, stream->known_total);
            stream->known_total = used;
        }
        guard_free(copy, size);
        if (result == WS_NEED_MORE)
            break;
    }
    struct bytes rest = {0};
    bytes_add(&rest, stream->rest.data + done, stream->rest.size - done);
    bytes_release(&stream->rest);
    stream->rest = rest;
}

static void feed(struct stream *stream, const char *data, size_t size)
{
    bytes_add(&stream->rest, data, size);
    decode_rest(stream);
}

enum split { WHOLE, BYTEWISE, RANDOM };

static void run(const struct ws_decoder *start, const struct bytes *input, enum split split,
                unsigned seed, char ret[LOG_SIZE])
{
    struct stream stream = {.decoder = *start};
    size_t at = 0;
    while (at < input->size) {
        size_t left = input->size - at;
        size_t piece = split == WHOLE      ? left
                       : split == BYTEWISE ? 1
                                           : 1 + next_random(&seed) % (1 + input->size / 3);
        if (piece > left)
            piece = left;
        feed(&stream, input->data + at, piece);
        at += piece;
    }
    memcpy(ret, stream.log, LOG_SIZE);
    bytes_release(&stream.rest);
}

/* All ways to split give `expected`. */
static void expect_of(const struct ws_decoder *start, struct bytes *input, const char *expected)
{
    char log[LOG_SIZE];
    run(start, input, WHOLE, 0, log);
    assert_string_equal(log, expected);
    if (input->size < 2000) {
        run(start, input, BYTEWISE, 0, log);
        assert_string_equal(log, expected);
    }
    for (unsigned seed = 1; seed <= 10; seed++) {
        run(start, input, RANDOM, seed, log);
        assert_string_equal(log, expected);
    }
    bytes_release(input);
}

static struct ws_decoder server(void)
{
    struct ws_decoder decoder;
    ws_decode_init(&decoder, 1 << 20, true);
    return decoder;
}

static void expect(struct bytes *input, const char *expected)
{
    struct ws_decoder decoder = server();
    expect_of(&decoder, input, expected);
}

static void test_rfc_examples(void **state)
{
    (void)state;
    /* Section 5.7. */
    struct bytes in = {0};
    bytes_add(&in, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    expect(&in, "T:Hello ");
    bytes_add(&in, "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    bytes_add(&in, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    expect(&in, "I:Hello O:Hello ");

    struct ws_decoder client;
    ws_decode_init(&client, 1 << 20, false);
    bytes_add(&in, "\x81\x05Hello\x01\x03Hel\x80\x02lo", 16);
    expect_of(&client, &in, "T:Hello T:Hel+ -:lo ");
}

static void test_every_opcode(void **state)
{
    (void)state;
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        struct bytes in = {0};
        client_add(&in, FIN | opcode, "ab");
        switch (opcode) {
        case OP_TEXT:
            expect(&in, "T:ab ");
            break;
        case OP_BINARY:
            expect(&in, "B:ab ");
            break;
        case OP_CLOSE:
            expect(&in, "X:ab ");
            break;
        case OP_PING:
            expect(&in, "I:ab ");
            break;
        case OP_PONG:
            expect(&in, "O:ab ");
            break;
        default: /* reserved ones, and a continuation of nothing */
            expect(&in, "!1002");
        }
    }
}

static void test_reserved_bits(void **state)
{
    (void)state;
    static const unsigned opcodes[] = {OP_TEXT, OP_BINARY, OP_CLOSE, OP_PING, OP_PONG};
    for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++) {
        for (unsigned bits = 0x10; bits <= 0x70; bits += 0x10) {
            struct bytes in = {0};
            client_add(&in, FIN | bits | opcodes[i], "");
            expect(&in, "!1002");
        }
    }
}

static void test_rsv1_with_deflate(void **state)
{
    (void)state;
    struct ws_decoder decoder = server();
    decoder.allow_rsv1 = true;
    struct bytes in = {0};
    client_add(&in, FIN | RSV1 | OP_TEXT, "a");
    client_add(&in, RSV1 | OP_BINARY, "b");
    client_add(&in, FIN | OP_CONT, "c");
    client_add(&in, FIN | OP_TEXT, "d");
    expect_of(&decoder, &in, "T:a~ B:b+~ -:c T:d ");
    client_add(&in, RSV1 | OP_BINARY, "b");
    client_add(&in, FIN | RSV1 | OP_CONT, "c"); /* only the first frame of a message has it */
    expect_of(&decoder, &in, "B:b+~ !1002");
    client_add(&in, FIN | RSV1 | OP_PING, "");
    expect_of(&decoder, &in, "!1002");
    client_add(&in, FIN | 0x20 | OP_TEXT, "");
    expect_of(&decoder, &in, "!1002");
}

static void test_masking_is_by_side(void **state)
{
    (void)state;
    struct bytes in = {0};
    frame_add(&in, FIN | OP_TEXT, "a", 1, UNMASKED);
    expect(&in, "!1002");
    frame_add(&in, FIN | OP_PING, "", 0, UNMASKED);
    expect(&in, "!1002");
    struct ws_decoder client;
    ws_decode_init(&client, 100, false);
    frame_add(&in, FIN | OP_TEXT, "a", 1, MASKED);
    expect_of(&client, &in, "!1002");
    frame_add(&in, FIN | OP_TEXT, "a", 1, UNMASKED);
    expect_of(&client, &in, "T:a ");
}

static void test_lengths(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,   1,   2,     125,   126,   127,   128,
                                   255, 256, 65534, 65535, 65536, 65537, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t size = sizes[i];
        char *payload = malloc(size + 1);
        assert_non_null(payload);
        unsigned sum = 0;
        for (size_t j = 0; j < size; j++) {
            payload[j] = (char)('a' + j % 23);
            sum = sum * 31 + (uint8_t)payload[j];
        }
        char expected[64];
        if (size > 20)
            snprintf(expected, sizeof expected, "B#%zu/%08x ", size, sum);
        else
            snprintf(expected, sizeof expected, "B:%.*s ", (int)size, payload);
        struct bytes in = {0};
        frame_add(&in, FIN | OP_BINARY, payload, size, MASKED);
        expect(&in, expected);
        free(payload);
    }
}

static void test_length_forms_must_be_minimal(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        unsigned form;
        bool is_valid;
    } cases[] = {
        {0, 2, false},   {1, 2, false},   {125, 2, false},   {126, 2, true},   {0, 8, false},
        {125, 8, false}, {126, 8, false}, {65535, 8, false}, {65535, 2, true}, {65536, 8, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *payload = calloc(1, cases[i].size + 1);
        struct bytes in = {0};
        frame_add_form(&in, FIN | OP_BINARY, payload, cases[i].size, MASKED, cases[i].form);
        char log[LOG_SIZE];
        struct ws_decoder decoder = server();
        run(&decoder, &in, RANDOM, 5, log);
        assert_int_equal(log[0], cases[i].is_valid ? 'B' : '!');
        if (!cases[i].is_valid)
            expect(&in, "!1002");
        bytes_release(&in);
        free(payload);
    }
}

static void test_length_with_top_bit(void **state)
{
    (void)state;
    struct bytes in = {0};
    bytes_add(&in, "\x82\xff\x80\0\0\0\0\0\0\x01", 10);
    expect(&in, "!1002");
    bytes_add(&in, "\x82\xff\x80", 3); /* seen by its first byte */
    expect(&in, "!1002");
    bytes_add(&in, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10);
    expect(&in, "!1009");
    struct ws_decoder decoder = server();
    decoder.max_payload = UINT64_MAX;
    bytes_add(&in, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4abc", 17);
    expect_of(&decoder, &in, ""); /* waits; no arithmetic overflows */
}

static void test_max_payload(void **state)
{
    (void)state;
    struct ws_decoder decoder = server();
    decoder.max_payload = 10;
    struct bytes in = {0};
    client_add(&in, FIN | OP_TEXT, "0123456789");
    client_add(&in, FIN | OP_TEXT, "0123456789a");
    expect_of(&decoder, &in, "T:0123456789 !1009");
    bytes_add(&in, "\x81\x8b", 2); /* refused by its header */
    expect_of(&decoder, &in, "!1009");
    bytes_add(&in, "\x81\xfe\x01\x00", 4);
    expect_of(&decoder, &in, "!1009");
    decoder.max_payload = 0;
    client_add(&in, FIN | OP_TEXT, "");
    client_add(&in, FIN | OP_PING, "a control frame"); /* has a limit of its own */
    client_add(&in, FIN | OP_BINARY, "x");
    expect_of(&decoder, &in, "T: I:a control frame !1009");
}

static void test_fragments(void **state)
{
    (void)state;
    struct bytes in = {0};
    client_add(&in, OP_TEXT, "a");
    client_add(&in, FIN | OP_PING, "p");
    client_add(&in, OP_CONT, "");
    client_add(&in, FIN | OP_PONG, "");
    client_add(&in, FIN | OP_CONT, "b");
    client_add(&in, FIN | OP_BINARY, "c");
    expect(&in, "T:a+ I:p -:+ O: -:b B:c ");

    client_add(&in, OP_TEXT, "a");
    client_add(&in, FIN | OP_TEXT, "b"); /* a new message within a message */
    expect(&in, "T:a+ !1002");
    client_add(&in, OP_BINARY, "a");
    client_add(&in, OP_BINARY, "b");
    expect(&in, "B:a+ !1002");
    client_add(&in, OP_TEXT, "a");
    client_add(&in, FIN | OP_CONT, "b");
    client_add(&in, FIN | OP_CONT, "c"); /* of nothing */
    expect(&in, "T:a+ -:b !1002");
    client_add(&in, OP_CONT, "c");
    expect(&in, "!1002");
}

static void test_control_frame_rules(void **state)
{
    (void)state;
    static const unsigned opcodes[] = {OP_CLOSE, OP_PING, OP_PONG};
    char payload[200];
    memset(payload, 'p', sizeof payload);
    for (size_t i = 0; i < 3; i++) {
        struct bytes in = {0};
        client_add(&in, opcodes[i], "ab"); /* fragmented */
        expect(&in, "!1002");
        frame_add(&in, FIN | opcodes[i], payload, 126, MASKED);
        expect(&in, "!1002");
        frame_add_form(&in, FIN | opcodes[i], payload, 5, MASKED, 2);
        expect(&in, "!1002");
        frame_add_form(&in, FIN | opcodes[i], payload, 5, MASKED, 8);
        expect(&in, "!1002");
        frame_add(&in, FIN | opcodes[i], payload, 125, MASKED);
        char log[LOG_SIZE];
        struct ws_decoder decoder = server();
        run(&decoder, &in, BYTEWISE, 0, log);
        assert_int_equal(log[1], '#');
        bytes_release(&in);
    }
    struct bytes in = {0};
    client_add(&in, FIN | OP_CLOSE, "a"); /* half of a status */
    expect(&in, "!1002");
    client_add(&in, FIN | OP_CLOSE, "");
    expect(&in, "X: ");
}

/* Wrong bytes are refused when they come, not when the frame is complete. */
static void test_refuses_early(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {{"\x83", 1},     {"\xc1", 1},         {"\x09", 1},     {"\x80", 1},
                 {"\x81\x05", 2}, {"\x89\xfe", 2},     {"\x88\x81", 2}, {"\x81\xfe\x00\x7d", 4},
                 {"\x8b", 1},     {"\x82\xff\x80", 3}, {"\x89\xff", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes in = {0};
        bytes_add(&in, cases[i].bytes, cases[i].size);
        expect(&in, "!1002");
    }
}

/* A refusal and an incomplete frame leave the decoder as it was. */
static void test_state_changes_with_whole_frames_only(void **state)
{
    (void)state;
    struct ws_decoder decoder = server();
    struct ws_frame frame;
    size_t used;
    enum ws_status status;
    struct bytes in = {0};
    client_add(&in, OP_TEXT, "ab");
    assert_int_equal(ws_decode(&decoder, in.data, in.size - 1, &frame, &used, &status),
                     WS_NEED_MORE);
    assert_int_equal(used, in.size);
    assert_false(decoder.in_message);
    assert_int_equal(ws_decode(&decoder, in.data, in.size, &frame, &used, &status), WS_FRAME);
    assert_true(decoder.in_message);
    bytes_release(&in);
    assert_int_equal(ws_decode(&decoder, NULL, 0, &frame, &used, &status), WS_NEED_MORE);
    assert_int_equal(used, 0);
}

/* What is told of a frame that has come in part. */
static void test_front(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536};
    static const size_t headers[] = {6, 6, 6, 8, 8, 14};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct bytes payload = {0}, in = {0};
        for (size_t j = 0; j < sizes[i]; j++)
            bytes_add(&payload, &(char){(char)(j * 7)}, 1);
        frame_add(&in, (i % 2 == 0 ? FIN : RSV1) | OP_TEXT, payload.data, sizes[i], MASKED);
        for (size_t have = headers[i] - 4; have < in.size; have += have < 300 ? 1 : 997) {
            struct ws_frame front;
            uint8_t mask[4];
            char *copy = guard_copy(in.data, have);
            ws_decode_front(copy, have, &front, mask);
            assert_int_equal(front.opcode, WS_TEXT);
            assert_int_equal(front.fin, i % 2 == 0);
            assert_int_equal(front.rsv1, i % 2 != 0);
            assert_int_equal(front.size, have > headers[i] ? have - headers[i] : 0);
            assert_ptr_equal(front.payload + front.size, copy + have);
            for (size_t j = 0; j < front.size; j++)
                assert_int_equal((uint8_t)front.payload[j] ^ mask[j % 4], (uint8_t)payload.data[j]);
            guard_free(copy, have);
        }
        bytes_release(&in);
        bytes_release(&payload);
    }
}

static void test_status_codes(void **state)
{
    (void)state;
    for (unsigned status = 0; status <= 70000; status++) {
        bool expected = (status >= 1000 && status <= 1014 && status != 1004 && status != 1005 &&
                         status != 1006) ||
                        (status >= 3000 && status <= 4999);
        assert_int_equal(ws_status_is_valid(status), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_examples),
        cmocka_unit_test(test_every_opcode),
        cmocka_unit_test(test_reserved_bits),
        cmocka_unit_test(test_rsv1_with_deflate),
        cmocka_unit_test(test_masking_is_by_side),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_length_forms_must_be_minimal),
        cmocka_unit_test(test_length_with_top_bit),
        cmocka_unit_test(test_max_payload),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_control_frame_rules),
        cmocka_unit_test(test_refuses_early),
        cmocka_unit_test(test_state_changes_with_whole_frames_only),
        cmocka_unit_test(test_front),
        cmocka_unit_test(test_status_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
