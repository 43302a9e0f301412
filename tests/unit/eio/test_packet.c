/* Packets and polling payloads: what decodes, what is refused, and that encoding and decoding are each other's inverse. Every
 * decoder runs on buffers that end at an unmapped page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "eio/eio_packet.h"
#include "base/base64.h"
#include "base/mem.h"
#include "support/guard.h"

static bool decode(const char *text, size_t size, bool from_polling, struct eio_packet *ret)
{
    return eio_packet_decode(slice_of(text, size), from_polling, ret);
}

static void test_types(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (int polling = 0; polling < 2; polling++) {
            struct eio_packet packet = {.type = EIO_NOOP, .binary = true};
            char text[3] = {(char)byte, 'x', 'y'};
            char *copy = guard_copy(text, sizeof text);
            bool is_type = byte >= '0' && byte <= '6';
            bool is_binary = byte == 'b' && polling;
            assert_int_equal(decode(copy, 3, polling, &packet), is_type || is_binary);
            if (is_type || is_binary) {
                assert_int_equal(packet.type, is_type ? byte - '0' : EIO_MESSAGE);
                assert_int_equal(packet.binary, is_binary);
                assert_ptr_equal(packet.data.data, copy + 1);
                assert_int_equal(packet.data.size, 2);
            } else { /* untouched on failure */
                assert_int_equal(packet.type, EIO_NOOP);
                assert_true(packet.binary);
            }
            guard_free(copy, sizeof text);
        }
    }
}

static void test_bare_types(void **state)
{
    (void)state;
    struct eio_packet packet;
    assert_false(decode("", 0, true, &packet));
    assert_false(decode(NULL, 0, false, &packet));
    char *copy = guard_copy("3", 1);
    assert_true(decode(copy, 1, false, &packet));
    assert_int_equal(packet.type, EIO_PONG);
    assert_int_equal(packet.data.size, 0);
    guard_free(copy, 1);
    copy = guard_copy("b", 1);
    assert_true(decode(copy, 1, true, &packet));
    assert_true(packet.binary);
    assert_int_equal(packet.data.size, 0);
    assert_false(decode(copy, 1, false, &packet));
    guard_free(copy, 1);
}

static void assert_message(struct message *packet, const char *payload, size_t size, unsigned flags)
{
    assert_non_null(packet);
    assert_int_equal(message_payload(packet).size, size);
    assert_memory_equal(message_payload(packet).data, payload, size);
    assert_int_equal(packet->flags, flags);
}

static void test_encode_text(void **state)
{
    (void)state;
    struct message *packet = eio_packet_encode(EIO_MESSAGE, SLICE("hello"));
    assert_message(packet, "4hello", 6, 0);
    assert_int_equal(packet->prefix, 2);
    assert_memory_equal(packet->data, "\x81\x06", 2); /* final text frame of 6 bytes, unmasked */
    message_unref(packet);

    packet = eio_packet_encode(EIO_PING, (cvn_slice){NULL, 0});
    assert_message(packet, "2", 1, 0);
    message_unref(packet);

    char *data;
    packet = eio_packet_new_text(300, &data);
    assert_non_null(packet);
    memset(data, 'q', 300);
    assert_int_equal(packet->prefix, 4);
    assert_memory_equal(packet->data, "\x81\x7e\x01\x2d", 4); /* 301 bytes */
    assert_int_equal(message_payload(packet).data[0], '4');
    assert_ptr_equal(message_payload(packet).data + 1, data);
    assert_ptr_equal(data + 300, packet->data + packet->size);
    message_unref(packet);
}

static void test_encode_binary(void **state)
{
    (void)state;
    struct message *packet = eio_packet_encode_binary(slice_of("\x00\x01\x1e\xff", 4));
    assert_message(packet, "\x00\x01\x1e\xff", 4, MESSAGE_BINARY);
    assert_memory_equal(packet->data, "\x82\x04", 2);
    message_unref(packet);

    packet = eio_packet_encode_binary(SLICE(""));
    assert_message(packet, "", 0, MESSAGE_BINARY);
    message_unref(packet);

    char *data;
    packet = eio_packet_new_binary(300, &data);
    assert_non_null(packet);
    memset(data, 'q', 300);
    assert_int_equal(packet->prefix, 4);
    assert_memory_equal(packet->data, "\x82\x7e\x01\x2c", 4);
    assert_int_equal(packet->flags, MESSAGE_BINARY);
    assert_ptr_equal(message_payload(packet).data, data);
    assert_ptr_equal(data + 300, packet->data + packet->size);
    message_unref(packet);
}

static void test_no_memory(void **state)
{
    (void)state;
    char *data = (char *)state;
    mem_fail_after(0, 4);
    assert_null(eio_packet_encode(EIO_MESSAGE, SLICE("x")));
    assert_null(eio_packet_new_text(10, &data));
    assert_null(eio_packet_new_binary(10, &data));
    assert_ptr_equal(data, state);
    assert_null(eio_packet_encode_binary(SLICE("x")));
    mem_fail_after(0, 0);
    assert_null(eio_packet_encode(EIO_MESSAGE, slice_of("", SIZE_MAX)));
    assert_null(eio_packet_new_text(SIZE_MAX, &data));
}

/* --- Payloads --- */

/* Cuts `text`, on a guarded copy, and joins the packets again with '|'. */
static char *cut(const char *text, size_t size)
{
    char *copy = guard_copy(text, size);
    char *joined = malloc(2 * size + 4), *end = joined;
    struct eio_payload payload = {.rest = slice_of(copy, size)};
    cvn_slice packet;
    while (eio_payload_next(&payload, &packet)) {
        memcpy(end, packet.data, packet.size);
        end += packet.size;
        *end++ = '|';
    }
    *end = '\0';
    assert_false(eio_payload_next(&payload, &packet)); /* the end stays the end */
    guard_free(copy, size);
    return joined;
}

static void test_cut(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "|"},
        {"4a", "4a|"},
        {"4a\x1e"
         "4b",
         "4a|4b|"},
        {"\x1e", "||"},
        {"4a\x1e", "4a||"},
        {"\x1e\x1e\x1e", "||||"},
        {"2probe\x1e"
         "bAAEC\x1e"
         "6",
         "2probe|bAAEC|6|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *joined = cut(cases[i][0], strlen(cases[i][0]));
        assert_string_equal(joined, cases[i][1]);
        free(joined);
    }
}

/* What is cut off a prefix of a body is a prefix of what is cut off the body: a cut looks at nothing behind itself. */
static void test_cut_every_prefix(void **state)
{
    (void)state;
    static const char body[] = "4hello\x1e\x1e"
                               "bAAEC\x1e"
                               "3\x1e"
                               "4x";
    char *whole = cut(body, sizeof body - 1);
    for (size_t size = 0; size < sizeof body; size++) {
        char *part = cut(body, size);
        assert_int_equal(strlen(part), size + 1);
        assert_memory_equal(part, whole, size);
        free(part);
    }
    free(whole);
}

static unsigned next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static struct message *random_packet(uint32_t *seed)
{
    char bytes[70];
    size_t size = next_random(seed) % sizeof bytes;
    bool binary = next_random(seed) % 3 == 0;
    for (size_t i = 0; i < size; i++)
        bytes[i] = binary ? (char)next_random(seed) : (char)(' ' + next_random(seed) % 95);
    return binary ? eio_packet_encode_binary(slice_of(bytes, size))
                  : eio_packet_encode(EIO_MESSAGE, slice_of(bytes, size));
}

static void assert_same(const struct message *sent, cvn_slice text)
{
    struct eio_packet packet;
    assert_true(eio_packet_decode(text, true, &packet));
    assert_int_equal(packet.type, EIO_MESSAGE);
    assert_int_equal(packet.binary, (sent->flags & MESSAGE_BINARY) != 0);
    if (packet.binary) {
        struct buf bytes;
        buf_init(&bytes, 1000);
        assert_true(base64_decode(&bytes, packet.data));
        assert_true(slice_eq(buf_slice(&bytes), message_payload(sent)));
        buf_release(&bytes);
    } else {
        assert_true(slice_eq(packet.data, slice_from(message_payload(sent), 1)));
    }
}

/* Random packets into bodies of random lengths and back. */
static void test_round_trips(void **state)
{
    (void)state;
    uint32_t seed = 20240607;
    for (int round = 0; round < 300; round++) {
        struct message *packets[40];
        size_t count = 1 + next_random(&seed) % 40, cost = 0, seen = 0;
        struct buf body;
        cvn_slice text;
        buf_init(&body, 100000);
        for (size_t i = 0; i < count; i++) {
            packets[i] = random_packet(&seed);
            cost += eio_payload_cost(packets[i]);
            assert_true(eio_payload_append(&body, packets[i]));
            assert_int_equal(body.size, cost - 1); /* the first has no separator */
        }
        char *copy = guard_copy(body.data, body.size);
        struct eio_payload payload = {.rest = slice_of(copy, body.size)};
        while (eio_payload_next(&payload, &text)) {
            assert_true(seen < count);
            assert_same(packets[seen++], text);
        }
        assert_int_equal(seen, count);
        guard_free(copy, body.size);
        buf_release(&body);
        for (size_t i = 0; i < count; i++)
            message_unref(packets[i]);
    }
}

static void test_append(void **state)
{
    (void)state;
    struct buf body;
    struct message *text = eio_packet_encode(EIO_MESSAGE, SLICE("hi"));
    struct message *bytes = eio_packet_encode_binary(slice_of("\x00\x01\x02\x03\x04", 5));
    struct message *nothing = eio_packet_encode_binary(SLICE(""));
    buf_init(&body, 1000);
    assert_true(eio_payload_append(&body, bytes));
    assert_true(eio_payload_append(&body, text));
    assert_true(eio_payload_append(&body, nothing));
    assert_true(slice_eq(buf_slice(&body), SLICE("bAAECAwQ=\x1e"
                                                 "4hi\x1e"
                                                 "b")));
    buf_release(&body);
    message_unref(text);
    message_unref(bytes);
    message_unref(nothing);
}

/* A body that cannot take a packet keeps what it had, to the byte. */
static void test_append_too_much(void **state)
{
    (void)state;
    struct message *text = eio_packet_encode(EIO_MESSAGE, SLICE("12345"));
    struct message *bytes = eio_packet_encode_binary(SLICE("12345"));
    for (size_t max = 6; max < 13; max++) {
        struct buf body;
        buf_init(&body, max);
        assert_true(eio_payload_append(&body, text));
        assert_false(eio_payload_append(&body, text)); /* needs 7 more */
        assert_true(body.failed);
        assert_true(slice_eq(buf_slice(&body), SLICE("412345")));
        assert_false(eio_payload_append(&body, bytes));
        buf_release(&body);
        buf_init(&body, max);
        assert_true(eio_payload_append(&body, text));
        assert_false(eio_payload_append(&body, bytes)); /* needs 10 more */
        assert_true(slice_eq(buf_slice(&body), SLICE("412345")));
        buf_release(&body);
    }
    message_unref(text);
    message_unref(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_bare_types),
        cmocka_unit_test(test_encode_text),
        cmocka_unit_test(test_encode_binary),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_every_prefix),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_append_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
