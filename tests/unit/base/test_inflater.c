/*
 * Decompression: the examples of RFC 7692, every bound to the byte, bombs, texts that break off or have any bit turned over, memory that
 * runs out. zlib is not built with the sanitizers, so inputs and outputs end at an unmapped page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/deflater.h"
#include "base/inflater.h"
#include "base/mem.h"
#include "support/guard.h"

static struct inflater inflater;

static int start(void **state)
{
    (void)state;
    inflater_init(&inflater);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    mem_fail_after(0, 0);
    inflater_release(&inflater);
    return 0;
}

/* Decodes into a buffer that may grow to `max`. */
static enum inflater_result run(const void *data, size_t size, size_t max, struct buf *ret)
{
    char *copy = guard_copy(data, size);
    buf_init(ret, max);
    enum inflater_result result = inflater_run(&inflater, slice_of(copy, size), ret);
    assert_true(ret->size <= max);
    guard_free(copy, size);
    return result;
}

static void assert_result(enum inflater_result expected, const void *data, size_t size, size_t max)
{
    struct buf out;
    assert_int_equal(run(data, size, max, &out), expected);
    buf_release(&out);
}

/* It comes to `text`, within just that room and without touching what lies behind; in a byte less it does not. */
static void assert_inflates(const void *data, size_t size, cvn_slice text)
{
    struct buf out;
    assert_int_equal(run(data, size, 1 << 20, &out), INFLATER_DONE);
    assert_true(slice_eq(buf_slice(&out), text));
    buf_release(&out);
    char *room = guard_copy(text.data, text.size);
    struct buf just = {.data = room, .capacity = text.size, .max = text.size};
    assert_int_equal(inflater_run(&inflater, slice_of(data, size), &just), INFLATER_DONE);
    assert_true(slice_eq(buf_slice(&just), text));
    guard_free(room, text.size);
    if (text.size > 0)
        assert_result(INFLATER_TOO_BIG, data, size, text.size - 1);
}

#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00"

/* RFC 7692 section 7.2.3 */
static void test_examples(void **state)
{
    (void)state;
    assert_inflates(HELLO, 7, SLICE("Hello"));
    assert_inflates("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11,
                    SLICE("Hello"));                                        /* stored */
    assert_inflates("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, SLICE("Hello")); /* a final block */
    assert_inflates("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13,
                    SLICE("Hello")); /* two blocks */
    assert_inflates("\x00", 1, SLICE(""));
}

static void test_other_endings(void **state)
{
    (void)state;
    assert_inflates("", 0, SLICE("")); /* as some make an empty text */
    assert_inflates("\xf3\x48\xcd\xc9\xc9\x07\x00", 7,
                    SLICE("Hello")); /* nothing after a final block */
    /* What follows a final block is a text of its own. */
    assert_inflates("\xf3\x48\xcd\xc9\xc9\x07\x00" HELLO, 14, SLICE("HelloHello"));
    assert_inflates("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00", 14,
                    SLICE("HelloHello"));
    assert_inflates("\x03\x00\x03\x00\x03\x00", 6,
                    SLICE("")); /* final blocks with nothing in them */
}

/* Section 7.2.3.2: with context takeover the second "Hello" refers to the first. Ours are never to. */
static void test_no_takeover(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_inflates(HELLO, 7, SLICE("Hello"));
        assert_result(INFLATER_CORRUPT, "\xf2\x00\x11\x00\x00", 5, 1000);
    }
}

static void test_corrupt(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
    } cases[] = {
        {"\x07", 1},                             /* block type 3 */
        {"\xff\xff\xff\xff", 4},                 /* the same */
        {"\x00\x05\x00\xfa\xfe Hello", 11},      /* a length that does not fit its complement */
        {"\x00\x05\x00\xfa\xff Hel", 9},         /* a stored block that breaks off */
        {"\xf2\x48\xcd", 3},                     /* a block that breaks off */
        {"\xf3\x48\xcd", 3},                     /* a final one */
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\x07", 8}, /* nonsense after a final block */
        {"\x04\x00\x00\x00", 4}, /* a dynamic block that breaks off within its codes */
        {"\x00\x00", 2},         /* the ending, broken off */
        {"\x00\x00\x00\xff", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_result(INFLATER_CORRUPT, cases[i].data, cases[i].size, 1000);
    assert_inflates(HELLO, 7, SLICE("Hello")); /* none left a trace */
}

/* A text of `size` bytes, compressed; for the caller to free. */
static char *deflate_text(const char *text, size_t size, size_t *ret_size)
{
    struct deflater deflater;
    char *out = malloc(size + size / 1000 + 64);
    assert_non_null(out);
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    assert_true(deflater_run(&deflater, DEFLATER_MESSAGE, slice_of(text, size), out,
                             size + size / 1000 + 64, ret_size));
    deflater_release(&deflater);
    return out;
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {1, 511, 512, 513, 1024, 32768, 65537, 500000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned seed = 1;
        char *text = malloc(sizes[i]);
        size_t size;
        assert_non_null(text);
        for (size_t j = 0; j < sizes[i]; j++) {
            seed = seed * 1103515245u + 12345u;
            text[j] = (char)('a' + (seed >> 16) % (i % 2 == 0 ? 3 : 200));
        }
        char *packed = deflate_text(text, sizes[i], &size);
        assert_inflates(packed, size, slice_of(text, sizes[i]));
        free(packed);
        free(text);
    }
}

/* A thousand times as much comes of it: memory stays within the bound, and grows only with what came out. */
static void test_bomb(void **state)
{
    (void)state;
    size_t size, max = 100000;
    char *zeros = calloc(1, 50 << 20);
    assert_non_null(zeros);
    char *bomb = deflate_text(zeros, 50 << 20, &size);
    free(zeros);
    assert_true(size < 500000);
    struct buf out;
    assert_int_equal(run(bomb, size, max, &out), INFLATER_TOO_BIG);
    assert_int_equal(out.size, max);
    assert_true(out.capacity <= max);
    buf_release(&out);
    assert_int_equal(run(bomb, size, 0, &out), INFLATER_TOO_BIG);
    assert_null(out.data);
    buf_release(&out);
    free(bomb);
}

static void test_empty_blocks_for_long(void **state)
{
    (void)state;
    char *blocks = malloc(500000);
    assert_non_null(blocks);
    for (size_t i = 0; i < 500000; i += 5)
        memcpy(blocks + i, "\x00\x00\x00\xff\xff", 5);
    assert_inflates(blocks, 499996, SLICE("")); /* the last without its ending */
    free(blocks);
}

/* Whatever is turned over or cut off: an answer, within the bounds, the same each time, and the next text is right. */
static void test_damage(void **state)
{
    (void)state;
    char text[800];
    size_t size;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "the quick brown fox jumps over the lazy dog "[i * i / 7 % 44];
    char *packed = deflate_text(text, sizeof text, &size);
    size_t corrupt = 0;
    for (size_t bit = 0; bit < size * 8; bit++) {
        struct buf first, second;
        packed[bit / 8] = (char)(packed[bit / 8] ^ (1 << bit % 8));
        enum inflater_result result = run(packed, size, 1000, &first);
        assert_int_equal(run(packed, size, 1000, &second), result);
        assert_true(slice_eq(buf_slice(&first), buf_slice(&second)));
        corrupt += result == INFLATER_CORRUPT;
        buf_release(&first);
        buf_release(&second);
        packed[bit / 8] = (char)(packed[bit / 8] ^ (1 << bit % 8));
    }
    assert_true(corrupt > size);
    for (size_t cut = 1; cut < size; cut++) { /* 0 is an empty text */
        struct buf out;
        enum inflater_result result = run(packed, cut, 1000, &out);
        assert_int_equal(result, INFLATER_CORRUPT);
        buf_release(&out);
    }
    assert_inflates(packed, size, slice_of(text, sizeof text));
    free(packed);
}

static void test_memory(void **state)
{
    (void)state;
    char *text = malloc(100000);
    size_t size;
    assert_non_null(text);
    for (size_t i = 0; i < 100000; i++)
        text[i] = (char)('a' + i * i % 23);
    char *packed = deflate_text(text, 100000, &size);
    uint64_t before = mem_allocation_count(), failures = 0;
    inflater_release(&inflater);
    assert_int_equal(mem_allocation_count(), before); /* nothing before it is needed */
    for (;; failures++) {
        struct buf out;
        mem_fail_after(failures, 1);
        enum inflater_result result = run(packed, size, 100000, &out);
        mem_fail_after(0, 0);
        if (result == INFLATER_DONE) {
            assert_true(slice_eq(buf_slice(&out), slice_of(text, 100000)));
            buf_release(&out);
            break;
        }
        assert_int_equal(result, INFLATER_NO_MEMORY);
        buf_release(&out);
        assert_true(failures < 100);
        if (failures % 2 == 1)
            inflater_release(&inflater); /* from the beginning, or from what was reached */
    }
    assert_true(failures > 5);
    free(packed);
    free(text);
}

static void test_huge(void **state)
{
    struct buf out;
    volatile size_t size = (size_t)UINT32_MAX + 1;
    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(inflater_run(&inflater, slice_of(HELLO, size), &out), INFLATER_TOO_BIG);
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_examples, start, stop),
        cmocka_unit_test_setup_teardown(test_other_endings, start, stop),
        cmocka_unit_test_setup_teardown(test_no_takeover, start, stop),
        cmocka_unit_test_setup_teardown(test_corrupt, start, stop),
        cmocka_unit_test_setup_teardown(test_sizes, start, stop),
        cmocka_unit_test_setup_teardown(test_bomb, start, stop),
        cmocka_unit_test_setup_teardown(test_empty_blocks_for_long, start, stop),
        cmocka_unit_test_setup_teardown(test_damage, start, stop),
        cmocka_unit_test_setup_teardown(test_memory, start, stop),
        cmocka_unit_test_setup_teardown(test_huge, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
