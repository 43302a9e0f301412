/*
 * Writing JSON strings: what comes out is JSON and reads, here and in jansson, as what went in; invalid UTF-8 becomes U+FFFD. Every
 * code point, every short sequence of bytes, limits and memory that runs out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "oracle.h"
#include "support/guard.h"

static unsigned seed = 1;

static unsigned random_below(unsigned bound)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16 & 0x7fff) % bound;
}

static void assert_written(cvn_slice text, const char *string)
{
    struct buf buf;
    char *copy = text.data != NULL ? guard_copy(text.data, text.size) : NULL;
    buf_init(&buf, 1000);
    buf_append_str(&buf, "front");
    assert_true(json_append_string(&buf, slice_of(copy, text.size)));
    if (!slice_eq(slice_from(buf_slice(&buf), 5), cvn_str(string)))
        fail_msg("%.*s instead of %s", SLICE_ARG(buf_slice(&buf)), string);
    buf_release(&buf);
    if (copy != NULL)
        guard_free(copy, text.size);
}

static void test_by_hand(void **state)
{
    (void)state;
    assert_written(SLICE(""), "\"\"");
    assert_written(slice_of(NULL, 0), "\"\"");
    assert_written(SLICE("a"), "\"a\"");
    assert_written(SLICE("\"\\/"), "\"\\\"\\\\/\"");
    assert_written(SLICE("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    assert_written(slice_of("a\0b", 3), "\"a\\u0000b\"");
    assert_written(SLICE("\x01\x1f\x7f"), "\"\\u0001\\u001f\x7f\"");
    assert_written(SLICE("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
                   "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    assert_written(SLICE("\xff"), "\"\xef\xbf\xbd\"");
    assert_written(SLICE("a\xffz"), "\"a\xef\xbf\xbdz\"");
    assert_written(SLICE("\xc3"), "\"\xef\xbf\xbd\"");
    assert_written(SLICE("\xc3\""), "\"\xef\xbf\xbd\\\"\""); /* the quote is not swallowed */
    assert_written(SLICE("\xf0\x9f\x98\\"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\\\\\"");
}

/* It is JSON, and it reads as it should. */
static void assert_reads(cvn_slice text, cvn_slice expected)
{
    struct buf buf, read;
    buf_init(&buf, 1 << 20);
    buf_init(&read, 1 << 20);
    assert_true(json_append_string(&buf, text));
    assert_true(json_is_valid(buf_slice(&buf), 0));
    assert_true(json_unescape(&read, buf_slice(&buf)));
    json_t *tree = json_loadb(buf.data, buf.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(tree);
    if (!slice_eq(buf_slice(&read), expected) ||
        !slice_eq(slice_of(json_string_value(tree), json_string_length(tree)), expected))
        fail_msg("%.*s", SLICE_ARG(buf_slice(&buf)));
    json_decref(tree);
    buf_release(&buf);
    buf_release(&read);
}

static size_t encode(unsigned point, char ret[4])
{
    size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i > 0; i--, point >>= 6)
        ret[i] = (char)(0x80 | (point & 0x3f));
    ret[0] = (char)(leads[size] | point);
    return size;
}

static void test_every_code_point(void **state)
{
    char text[64 * 4];
    size_t size = 0;
    (void)state;
    for (unsigned point = 0; point <= 0x10ffff; point++) {
        if (point < 0xd800 || point > 0xdfff)
            size += encode(point, text + size);
        if (point % 64 == 63) { /* a bunch at a time */
            assert_reads(slice_of(text, size), slice_of(text, size));
            size = 0;
        }
    }
}

/* The slow way, with the tested validator: the character at the front if there is one, else a replacement for one byte. */
static size_t model(cvn_slice text, char *ret)
{
    size_t out = 0;
    while (text.size > 0) {
        size_t size = 1;
        while (size < 4 && size < text.size && !utf8_is_valid(slice_of(text.data, size)))
            size++;
        if (utf8_is_valid(slice_of(text.data, size))) {
            memcpy(ret + out, text.data, size);
            out += size;
        } else {
            memcpy(ret + out, "\xef\xbf\xbd", 3);
            out += 3;
            size = 1;
        }
        text = slice_from(text, size);
    }
    return out;
}

static void test_any_bytes(void **state)
{
    static const char menu[] =
        "a\"\\\n\x1f\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xe2\xed\xef\xf0\xf4\xf5\xff";
    char text[40], expected[120];
    (void)state;
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++) {
            text[0] = (char)first;
            text[1] = (char)second;
            assert_reads(slice_of(text, 2), slice_of(expected, model(slice_of(text, 2), expected)));
        }
    for (int round = 0; round < 50000; round++) {
        size_t size = random_below(9);
        for (size_t i = 0; i < size; i++)
            text[i] = menu[random_below(sizeof menu - 1)];
        char *copy = guard_copy(text, size);
        assert_reads(slice_of(copy, size),
                     slice_of(expected, model(slice_of(text, size), expected)));
        guard_free(copy, size);
    }
}

/* It says so when it does not fit, whichever piece it is, and when memory runs out. */
static void test_limits(void **state)
{
    static const char text[] = "plain \" \n \x01 \xff \xc3\xa4 end";
    struct buf whole;
    (void)state;
    buf_init(&whole, 1000);
    assert_true(json_append_string(&whole, SLICE(text)));
    for (size_t max = 0; max <= whole.size; max++) {
        struct buf buf;
        buf_init(&buf, max);
        assert_int_equal(json_append_string(&buf, SLICE(text)), max == whole.size);
        assert_int_equal(buf.failed, max < whole.size);
        assert_true(buf.size <= max);
        buf_release(&buf);
    }
    buf_release(&whole);

    bool done = false;
    uint64_t number = 0;
    for (; !done; number++) {
        struct buf buf;
        char large[1000];
        memset(large, '\n', sizeof large);
        buf_init(&buf, 10000);
        mem_fail_after(number, 1);
        done = json_append_string(&buf, slice_of(large, sizeof large));
        mem_fail_after(0, 0);
        assert_int_equal(buf.failed, !done);
        assert_true(!done || buf.size == 2002);
        buf_release(&buf);
    }
    assert_true(number > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
