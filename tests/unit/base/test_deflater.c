/*
 * Compression: every format against zlib's own decoder, windows, room that is too small, memory that runs out. zlib is not built with the
 * sanitizers, so inputs and outputs end at an unmapped page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <zlib.h>
#include "base/deflater.h"
#include "base/mem.h"
#include "support/guard.h"

#define MAX_TEXT 300000

static char *text;  /* words with some order in them */
static char *noise; /* bytes without any */

static int make_texts(void **state)
{
    unsigned seed = 7;
    (void)state;
    text = malloc(MAX_TEXT);
    noise = malloc(MAX_TEXT);
    assert_true(text != NULL && noise != NULL);
    for (size_t i = 0; i < MAX_TEXT; i++) {
        seed = seed * 1103515245u + 12345u;
        noise[i] = (char)(seed >> 16);
        text[i] = "{\"user\":\"anna\",\"text\":\"hello\",\"at\":17}"[i % 32 ^ (seed >> 30)];
    }
    return 0;
}

static int free_texts(void **state)
{
    (void)state;
    free(text);
    free(noise);
    return 0;
}

static int off(void **state)
{
    (void)state;
    mem_fail_after(0, 0);
    return 0;
}

/* Decodes with zlib, which must find `size` bytes equal to `expected` and stand where a text ends. */
static void assert_decodes(enum deflater_format format, unsigned window_bits, const char *data,
                           size_t size, cvn_slice expected)
{
    int bits = format == DEFLATER_GZIP   ? 16 + MAX_WBITS
               : format == DEFLATER_ZLIB ? MAX_WBITS
                                         : -(int)window_bits;
    Bytef *out = malloc(expected.size + 1);
    z_stream stream = {0};
    assert_non_null(out);
    assert_int_equal(inflateInit2(&stream, bits), Z_OK);
    stream.next_in = (Bytef *)data;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)expected.size + 1;
    int status = inflate(&stream, Z_SYNC_FLUSH);
    if (format == DEFLATER_MESSAGE) {
        Bytef tail[] = {0, 0, 0xff, 0xff};
        assert_true(status == Z_OK || status == Z_BUF_ERROR);
        stream.next_in = tail;
        stream.avail_in = sizeof tail;
        assert_int_equal(inflate(&stream, Z_SYNC_FLUSH), Z_OK);
        assert_int_equal(stream.data_type & 128, 128);
    } else {
        assert_int_equal(status, Z_STREAM_END);
    }
    assert_int_equal(stream.avail_in, 0);
    assert_int_equal(stream.total_out, expected.size);
    if (expected.size > 0)
        assert_memory_equal(out, expected.data, expected.size);
    inflateEnd(&stream);
    free(out);
}

static const enum deflater_format formats[] = {DEFLATER_MESSAGE, DEFLATER_ZLIB, DEFLATER_GZIP};

/* One state makes all of them, one after the other, and each as if it were the first. */
static void test_formats(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 100, 1024, 32768, 32769, 65536, MAX_TEXT};
    struct deflater deflater;
    (void)state;
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t f = 0; f < 3; f++) {
            for (int kind = 0; kind < 2; kind++) {
                size_t capacity = sizes[i] + sizes[i] / 1000 + 64, used = 0;
                char *in = guard_copy(kind == 0 ? text : noise, sizes[i]);
                char *out = malloc(capacity);
                assert_non_null(out);
                assert_true(deflater_run(&deflater, formats[f], slice_of(in, sizes[i]), out,
                                         capacity, &used));
                assert_decodes(formats[f], DEFLATER_MAX_WINDOW, out, used, slice_of(in, sizes[i]));
                if (kind == 0 && sizes[i] > 100)
                    assert_true(used < sizes[i] * 2 / 3);
                guard_free(in, sizes[i]);
                free(out);
            }
        }
    }
    deflater_release(&deflater);
    deflater_release(&deflater); /* as after init */
}

static void test_empty_slice(void **state)
{
    struct deflater deflater;
    char out[64];
    size_t used;
    (void)state;
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    for (size_t f = 0; f < 3; f++) {
        assert_true(
            deflater_run(&deflater, formats[f], (cvn_slice){NULL, 0}, out, sizeof out, &used));
        assert_decodes(formats[f], DEFLATER_MAX_WINDOW, out, used, SLICE(""));
    }
    /* RFC 7692 section 7.2.3.6 */
    assert_true(deflater_run(&deflater, DEFLATER_MESSAGE, SLICE(""), out, sizeof out, &used));
    assert_int_equal(used, 1);
    assert_int_equal(out[0], 0);
    deflater_release(&deflater);
}

/* No reference reaches farther back than was promised: a decoder with just that window understands all of it. */
static void test_windows(void **state)
{
    (void)state;
    for (unsigned bits = DEFLATER_MIN_WINDOW; bits <= DEFLATER_MAX_WINDOW; bits++) {
        struct deflater deflater;
        size_t used;
        char *out = malloc(MAX_TEXT);
        assert_non_null(out);
        deflater_init(&deflater, bits);
        assert_true(deflater_run(&deflater, DEFLATER_MESSAGE, slice_of(text, MAX_TEXT), out,
                                 MAX_TEXT, &used));
        assert_decodes(DEFLATER_MESSAGE, bits, out, used, slice_of(text, MAX_TEXT));
        /* A text no longer than a window suits that window, with whatever it was made. */
        size_t size = (size_t)1 << bits;
        struct deflater full;
        deflater_init(&full, DEFLATER_MAX_WINDOW);
        assert_true(
            deflater_run(&full, DEFLATER_MESSAGE, slice_of(text, size), out, MAX_TEXT, &used));
        assert_decodes(DEFLATER_MESSAGE, bits, out, used, slice_of(text, size));
        deflater_release(&full);
        deflater_release(&deflater);
        free(out);
    }
}

/* Any room: it fits and is right, or is refused, and not a byte is written beyond. */
static void test_room(void **state)
{
    struct deflater deflater;
    char first[600];
    (void)state;
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    for (size_t f = 0; f < 3; f++) {
        cvn_slice in = slice_of(noise, 400);
        size_t first_size, fitted = 0;
        assert_true(deflater_run(&deflater, formats[f], in, first, sizeof first, &first_size));
        for (size_t room = 0; room < 440; room++) {
            size_t used = 12345;
            char *out = guard_copy(noise, room);
            if (deflater_run(&deflater, formats[f], in, out, room, &used)) {
                assert_true(used <= room);
                assert_int_equal(used, first_size);
                assert_memory_equal(out, first, used); /* what came before leaves no trace */
                fitted++;
            } else {
                assert_int_equal(used, 12345);
                assert_true(room < first_size + 16);
            }
            guard_free(out, room);
        }
        assert_true(fitted > 10);
    }
    deflater_release(&deflater);
}

static void test_memory(void **state)
{
    struct deflater deflater;
    char out[2000];
    size_t used;
    uint64_t failures = 0;
    (void)state;
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    uint64_t before = mem_allocation_count();
    deflater_release(&deflater);
    assert_int_equal(mem_allocation_count(), before); /* nothing before it is needed */
    for (;; failures++) {
        mem_fail_after(failures, 1);
        bool done =
            deflater_run(&deflater, DEFLATER_GZIP, slice_of(text, 1500), out, sizeof out, &used);
        mem_fail_after(0, 0);
        if (done)
            break;
        assert_null(deflater.stream);
        assert_true(failures < 100);
    }
    assert_true(failures > 3);
    assert_decodes(DEFLATER_GZIP, DEFLATER_MAX_WINDOW, out, used, slice_of(text, 1500));
    before = mem_allocation_count();
    assert_true(
        deflater_run(&deflater, DEFLATER_ZLIB, slice_of(text, 1500), out, sizeof out, &used));
    assert_int_equal(mem_allocation_count(), before); /* the state is there */
    deflater_release(&deflater);
}

/* zlib counts in 32 bits. The bytes are not there, and must not be looked at. */
static void test_huge(void **state)
{
    struct deflater deflater;
    char out[64];
    size_t used;
    volatile size_t size = (size_t)UINT32_MAX + 1;
    (void)state;
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    assert_false(
        deflater_run(&deflater, DEFLATER_GZIP, slice_of(text, size), out, sizeof out, &used));
    assert_true(
        deflater_run(&deflater, DEFLATER_MESSAGE, SLICE("a"), out, (size_t)UINT32_MAX + 2, &used));
    deflater_release(&deflater);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_empty_slice),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_room),
        cmocka_unit_test_teardown(test_memory, off),
        cmocka_unit_test(test_huge),
    };
    return cmocka_run_group_tests(tests, make_texts, free_texts);
}
