/*
 * Base64: the vectors of RFC 4648 section 10, every length against an encoder of ten lines, every byte in every place of a
 * text, padding in every place; texts end at an unmapped page, buffers that are just large enough suffice.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/base64.h"
#include "base/mem.h"
#include "support/guard.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static unsigned seed = 1;

static unsigned random_byte(void)
{
    seed = seed * 1103515245u + 12345u;
    return seed >> 16 & 0xff;
}

/* The slow way: a bit at a time. */
static size_t model_encode(const unsigned char *bytes, size_t size, char *ret)
{
    size_t out = 0;
    for (size_t bit = 0; bit < size * 8; bit += 6) {
        unsigned value = 0;
        for (size_t i = bit; i < bit + 6; i++)
            value = value * 2 + (i < size * 8 ? bytes[i / 8] >> (7 - i % 8) & 1u : 0);
        ret[out++] = alphabet[value];
    }
    while (out % 4 != 0)
        ret[out++] = '=';
    return out;
}

static void assert_decodes(cvn_slice text, cvn_slice bytes)
{
    struct buf buf;
    char *copy = guard_copy(text.data, text.size);
    buf_init(&buf, 1 << 20);
    buf_append_str(&buf, "front");
    if (!base64_decode(&buf, slice_of(copy, text.size)))
        fail_msg("'%.*s'", SLICE_ARG(text));
    assert_int_equal(buf.size, 5 + bytes.size);
    assert_memory_equal(buf.data, "front", 5);
    if (bytes.size > 0)
        assert_memory_equal(buf.data + 5, bytes.data, bytes.size);
    assert_false(buf.failed);
    buf_release(&buf);
    guard_free(copy, text.size);
}

static void assert_refused(cvn_slice text)
{
    struct buf buf;
    char *copy = guard_copy(text.data, text.size);
    buf_init(&buf, 1 << 20);
    buf_append_str(&buf, "front");
    if (base64_decode(&buf, slice_of(copy, text.size)) || buf.size != 5)
        fail_msg("'%.*s'", SLICE_ARG(text));
    assert_memory_equal(buf.data, "front", 5);
    assert_false(buf.failed); /* the text is at fault, not the buffer */
    buf_release(&buf);
    guard_free(copy, text.size);
}

static void assert_encodes(cvn_slice bytes, cvn_slice text)
{
    struct buf buf;
    char *copy = guard_copy(bytes.data, bytes.size);
    buf_init(&buf, 1 << 20);
    buf_append_str(&buf, "front");
    assert_true(base64_append(&buf, slice_of(copy, bytes.size)));
    assert_int_equal(buf.size, 5 + text.size);
    assert_memory_equal(buf.data, "front", 5);
    if (text.size > 0)
        assert_memory_equal(buf.data + 5, text.data, text.size);
    assert_int_equal(base64_encoded_size(bytes.size), text.size);
    buf_release(&buf);
    guard_free(copy, bytes.size);
}

static void test_vectors(void **state)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"},
                 {"\xfb\xff\xbf", "+/+/"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_encodes(cvn_str(cases[i].bytes), cvn_str(cases[i].text));
        assert_decodes(cvn_str(cases[i].text), cvn_str(cases[i].bytes));
    }
    assert_encodes(slice_of("\0\0\0\0", 4), SLICE("AAAAAA=="));
}

static void test_every_length(void **state)
{
    unsigned char bytes[1000];
    char text[1400];
    (void)state;
    for (size_t size = 0; size <= sizeof bytes; size++) {
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)random_byte();
        size_t length = model_encode(bytes, size, text);
        assert_encodes(slice_of(bytes, size), slice_of(text, length));
        assert_decodes(slice_of(text, length), slice_of(bytes, size));
    }
}

/* OpenSSL is fed in pieces of 49152: sizes around one, two and three of them, of bytes and of characters. */
static void test_pieces(void **state)
{
    static unsigned char bytes[150000];
    static char text[200000];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)random_byte();
    static const size_t middles[] = {36864, 49152, 73728, 98304, 110592, 147456};
    for (size_t m = 0; m < sizeof middles / sizeof *middles; m++)
        for (size_t size = middles[m] - 4; size <= middles[m] + 4; size++) {
            size_t length = model_encode(bytes, size, text);
            assert_encodes(slice_of(bytes, size), slice_of(text, length));
            assert_decodes(slice_of(text, length), slice_of(bytes, size));
        }
    /* One wrong character far behind. */
    size_t length = model_encode(bytes, 147456, text);
    text[length - 3] = '-';
    assert_refused(slice_of(text, length));
}

/* Each of 256 bytes at each place of texts with and without padding. */
static void test_every_byte(void **state)
{
    static const char *const texts[] = {"Zm9v", "Zm8=", "Zg==", "Zm9vYmFy", "Zm9vYg=="};
    (void)state;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        size_t size = strlen(texts[t]);
        for (size_t at = 0; at < size; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                char text[8];
                memcpy(text, texts[t], size);
                text[at] = (char)byte;
                /* Right if nothing but the alphabet comes before at most two '=' at the end. */
                size_t clean = 0, padding;
                while (clean < size && text[clean] != '\0' && strchr(alphabet, text[clean]) != NULL)
                    clean++;
                padding = size - clean;
                bool right = padding <= 2 && memcmp(text + clean, "==", padding) == 0;
                if (!right) {
                    assert_refused(slice_of(text, size));
                    continue;
                }
                struct buf buf;
                buf_init(&buf, 100);
                assert_true(base64_decode(&buf, slice_of(text, size)));
                assert_int_equal(buf.size, size / 4 * 3 - padding);
                buf_release(&buf);
            }
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "Z",        "Zm",       "Zm9",      "Zm9vY",        "=",
        "==",       "===",      "====",     "Z===",         "=m9v",
        "Zg=v",     "Z=9v",     "Zg==Zg==", "Zm8=Zm8=",     "Zg==\n",
        " Zg==",    "Zg== ",    "Zm9v\r\n", "Zm9v\r\n\r\n", "    ",
        "Zm9v    ", "    Zm9v", "Zm 9",     "Zm\n9",        "Zm9-",
        "Zm9_",     "Zm9.",     "Zm9*",     "Zm9v====",     "Zm9vZ===",
        "----",     "Zm9v-",    "Zm9v----", "Zm\xc3\xa4",   "Zm9\x80",
        "%3D%3D"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_refused(cvn_str(texts[i]));
    assert_refused(slice_of("Zm9\0", 4));
    assert_refused(slice_of("\0\0\0\0", 4));
}

/* Bits that padding cuts off are ignored, as by JavaScript's atob() and Node's Buffer. */
static void test_loose_bits(void **state)
{
    (void)state;
    for (const char *c = alphabet; *c != '\0'; c++) {
        unsigned value = (unsigned)(c - alphabet);
        char one[] = {'Z', *c, '=', '='}, two[] = {'Z', 'm', *c, '='};
        unsigned char first = (unsigned char)(25 << 2 | value >> 4);
        unsigned char both[] = {'f', (unsigned char)((38 & 15) << 4 | value >> 2)};
        assert_decodes(slice_of(one, 4), slice_of(&first, 1));
        assert_decodes(slice_of(two, 4), slice_of(both, 2));
    }
}

/* Into memory that ends at an unmapped page, because no sanitizer sees what OpenSSL writes. */
static void test_edge_of_memory(void **state)
{
    (void)state;
    for (size_t size = 0; size < 200; size++) {
        unsigned char bytes[200] = {0};
        char text[300];
        size_t length = model_encode(bytes, size, text);
        char *memory = guard_copy(text, length);
        struct buf buf = {.data = memory, .capacity = length, .max = length};
        assert_true(base64_append(&buf, slice_of(bytes, size)));
        assert_true(slice_eq(buf_slice(&buf), slice_of(text, length)));
        guard_free(memory, length);

        memory = guard_copy(bytes, size);
        buf = (struct buf){.data = memory, .capacity = size, .max = size};
        assert_true(base64_decode(&buf, slice_of(text, length)));
        assert_true(slice_eq(buf_slice(&buf), slice_of(bytes, size)));
        guard_free(memory, size);
    }
}

/* What fits fits, to the byte; what does not leaves all as it was. */
static void test_limits(void **state)
{
    (void)state;
    for (size_t size = 0; size < 30; size++) {
        char bytes[30] = {0}, text[50];
        size_t length = model_encode((unsigned char *)bytes, size, text);
        struct buf buf;
        buf_init(&buf, 3 + length);
        buf_append_str(&buf, "abc");
        assert_true(base64_append(&buf, slice_of(bytes, size)));
        assert_int_equal(buf.size, 3 + length);
        buf_release(&buf);
        if (size == 0)
            continue;
        buf_init(&buf, 3 + length - 1);
        buf_append_str(&buf, "abc");
        assert_false(base64_append(&buf, slice_of(bytes, size)));
        assert_true(buf.failed);
        assert_int_equal(buf.size, 3);
        buf_release(&buf);

        buf_init(&buf, 3 + size);
        buf_append_str(&buf, "abc");
        assert_true(base64_decode(&buf, slice_of(text, length)));
        assert_int_equal(buf.size, 3 + size);
        buf_release(&buf);
        buf_init(&buf, 3 + size - 1);
        buf_append_str(&buf, "abc");
        assert_false(base64_decode(&buf, slice_of(text, length)));
        assert_true(buf.failed);
        assert_int_equal(buf.size, 3);
        buf_release(&buf);
    }
}

static void test_memory(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 1000);
    mem_fail_after(0, 1);
    assert_false(base64_append(&buf, SLICE("foobar")));
    assert_true(buf.failed);
    assert_int_equal(buf.size, 0);
    buf_clear(&buf);
    mem_fail_after(0, 1);
    assert_false(base64_decode(&buf, SLICE("Zm9vYmFy")));
    assert_true(buf.failed);
    assert_int_equal(buf.size, 0);
    mem_fail_after(0, 0);
    buf_release(&buf);
}

/* The URL alphabet, without a byte behind the twentieth character. */
static void test_url15(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        unsigned char bytes[15];
        char expected[20];
        for (size_t i = 0; i < 15; i++)
            bytes[i] = round == 0 ? 0xff : (unsigned char)random_byte();
        assert_int_equal(model_encode(bytes, 15, expected), 20);
        for (size_t i = 0; i < 20; i++)
            expected[i] = expected[i] == '+' ? '-' : expected[i] == '/' ? '_' : expected[i];
        char *from = guard_copy(bytes, 15), *to = guard_copy(expected, 20);
        memset(to, 'x', 20);
        base64url_encode15((const uint8_t *)from, to);
        assert_memory_equal(to, expected, 20);
        guard_free(from, 15);
        guard_free(to, 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_pieces),         cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_loose_bits),
        cmocka_unit_test(test_edge_of_memory), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_memory),         cmocka_unit_test(test_url15),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
