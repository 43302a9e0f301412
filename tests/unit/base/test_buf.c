/*
 * The growable buffer against a plain array: random operations, limits to the byte, formatted text of every length around
 * its inner buffer, and memory that runs out at each allocation in turn.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/mem.h"
#include "support/guard.h"

static unsigned seed;

static unsigned random_below(unsigned bound)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16 & 0x7fff) % bound;
}

static int off(void **state)
{
    (void)state;
    mem_fail_after(0, 0);
    return 0;
}

static void assert_holds(const struct buf *buf, cvn_slice bytes)
{
    assert_int_equal(buf->size, bytes.size);
    if (bytes.size > 0)
        assert_memory_equal(buf->data, bytes.data, bytes.size);
    assert_true(slice_eq(buf_slice(buf), bytes));
    assert_true(buf->size <= buf->capacity && buf->capacity <= buf->max);
}

static void test_life(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 100);
    assert_null(buf.data);
    assert_holds(&buf, slice_of(NULL, 0));
    assert_true(buf_append(&buf, slice_of(NULL, 0)));
    assert_true(buf_append(&buf, SLICE("")));
    assert_true(buf_append_str(&buf, "abc"));
    assert_true(buf_append_byte(&buf, '\0'));
    assert_true(buf_append(&buf, slice_of("d\0e", 3)));
    assert_true(buf_append_str(&buf, NULL)); /* as cvn_str */
    assert_holds(&buf, slice_of("abc\0d\0e", 7));
    char *data = buf.data;
    buf_clear(&buf);
    assert_holds(&buf, slice_of(NULL, 0));
    assert_ptr_equal(buf.data, data); /* keeps the memory */
    assert_true(buf_append_str(&buf, "x"));
    buf_release(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max, 100);
    assert_true(buf_append_str(&buf, "again"));
    assert_holds(&buf, SLICE("again"));
    buf_release(&buf);
    buf_release(&buf); /* twice does no harm */
}

static void test_numbers(void **state)
{
    static const uint64_t numbers[] = {
        0,         1, 9, 10, 99, 100, 4294967295, 4294967296, 9999999999999999999u, UINT64_MAX - 1,
        UINT64_MAX};
    struct buf buf;
    (void)state;
    buf_init(&buf, 100);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char expected[30];
        int size = snprintf(expected, sizeof expected, "%llu", (unsigned long long)numbers[i]);
        buf_clear(&buf);
        assert_true(buf_append_u64(&buf, numbers[i]));
        assert_holds(&buf, slice_of(expected, (size_t)size));
    }
    buf_release(&buf);
}

/* Each limit: a piece that fills it is taken, one byte more is not, and nothing of it. */
static void test_limit(void **state)
{
    static const char letters[300] = {'a', 'b', 'c'};
    (void)state;
    for (size_t max = 0; max <= 200; max++)
        for (size_t first = 0; first <= max; first += 1 + max / 7) {
            struct buf buf;
            buf_init(&buf, max);
            assert_true(buf_append(&buf, slice_of(letters, first)));
            assert_false(buf_append(&buf, slice_of(letters, max - first + 1)));
            assert_true(buf.failed);
            assert_holds(&buf, slice_of(letters, first));
            assert_true(buf_append(&buf, slice_of(letters, max - first)));
            assert_true(buf.failed); /* stays */
            assert_int_equal(buf.size, max);
            assert_false(buf_append_byte(&buf, 'x'));
            assert_false(buf_append_u64(&buf, 7));
            assert_false(buf_printf(&buf, "%c", 'x'));
            assert_false(buf_reserve(&buf, 1));
            assert_false(buf_reserve(&buf, SIZE_MAX));
            assert_true(buf_reserve(&buf, 0));
            assert_int_equal(buf.size, max);
            buf_clear(&buf);
            assert_false(buf.failed);
            assert_true(buf_append(&buf, slice_of(letters, max)));
            buf_release(&buf);
        }
}

/* Doubling: a million single bytes cost a handful of allocations; unlimited buffers refuse what no machine has. */
static void test_growth(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, SIZE_MAX);
    uint64_t before = mem_allocation_count();
    for (size_t i = 0; i < 1000000; i++)
        assert_true(buf_append_byte(&buf, (char)i));
    assert_true(mem_allocation_count() - before < 30);
    for (size_t i = 0; i < buf.size; i++)
        if (buf.data[i] != (char)i)
            fail_msg("byte %zu", i);
    assert_false(buf_reserve(&buf, SIZE_MAX / 2 + 2));
    assert_true(buf.failed);
    assert_int_equal(buf.size, 1000000);
    assert_int_equal(buf.data[999999], (char)999999);
    buf_release(&buf);

    buf_init(&buf, 1 << 20);
    assert_true(buf_reserve(&buf, 5000)); /* reserved room needs no allocation later */
    before = mem_allocation_count();
    for (int i = 0; i < 5000; i++)
        assert_true(buf_append_byte(&buf, 'a'));
    assert_true(mem_allocation_count() == before);
    buf_release(&buf);
}

static bool vprint(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool vprint(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool done = buf_vprintf(buf, format, args);
    va_end(args);
    return done;
}

static void test_printf(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 100000);
    assert_true(buf_printf(&buf, "%s", ""));
    assert_holds(&buf, SLICE(""));
    assert_true(buf_printf(&buf, "%d %s %.*s %c", -5, "text", SLICE_ARG(SLICE("slice")), '\0'));
    assert_holds(&buf, slice_of("-5 text slice \0", 15));
    assert_true(vprint(&buf, "|%5.2f|%%|%zu", 1.5, (size_t)7));
    assert_holds(&buf, slice_of("-5 text slice \0| 1.50|%|7", 25));
    /* All lengths around the 256 bytes it keeps at hand; arguments are read twice then. */
    for (int width = 0; width < 1000; width = width < 240 || width > 270 ? width + 13 : width + 1) {
        char expected[1100];
        int size = snprintf(expected, sizeof expected, "%*s-%d", width, "x", width);
        buf_clear(&buf);
        assert_true(vprint(&buf, "%*s-%d", width, "x", width));
        assert_holds(&buf, slice_of(expected, (size_t)size));
    }
    buf_release(&buf);

    for (size_t max = 0; max < 600; max += 7) { /* what does not fit leaves nothing */
        buf_init(&buf, max);
        assert_true(buf_printf(&buf, "%*s", (int)max, ""));
        assert_false(buf_printf(&buf, "%*s", 1, ""));
        assert_int_equal(buf.size, max);
        buf_release(&buf);
        buf_init(&buf, max);
        assert_false(buf_printf(&buf, "%*s", (int)max + 1, ""));
        assert_true(buf.failed);
        assert_int_equal(buf.size, 0);
        buf_release(&buf);
    }
}

/* A format that snprintf itself refuses: a wide character that the C locale cannot say. */
static void test_unprintable(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 100);
    buf_append_str(&buf, "kept");
    assert_false(buf_printf(&buf, "%ls", L"\x20ac"));
    assert_true(buf.failed);
    assert_holds(&buf, SLICE("kept"));
    buf_release(&buf);
}

static void test_consume(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 100);
    buf_consume(&buf, 0);
    buf_append_str(&buf, "abcdefgh");
    buf_consume(&buf, 0);
    assert_holds(&buf, SLICE("abcdefgh"));
    buf_consume(&buf, 3);
    assert_holds(&buf, SLICE("defgh"));
    buf_append_str(&buf, "i");
    buf_consume(&buf, 1);
    assert_holds(&buf, SLICE("efghi"));
    buf_consume(&buf, 5);
    assert_holds(&buf, SLICE(""));
    buf_append_str(&buf, "z");
    assert_holds(&buf, SLICE("z"));
    buf_release(&buf);
}

#define MODEL_MAX 700

static void test_model(void **state)
{
    (void)state;
    for (unsigned round = 1; round < 300; round++) {
        seed = round;
        char model[MODEL_MAX], piece[400];
        size_t size = 0, max = random_below(MODEL_MAX + 1);
        bool failed = false;
        struct buf buf;
        buf_init(&buf, max);
        for (int step = 0; step < 100; step++) {
            size_t length = random_below(random_below(10) == 0 ? 400 : 40);
            bool fits, done;
            for (size_t i = 0; i < length; i++)
                piece[i] = (char)(1 + random_below(255));
            switch (random_below(8)) {
            case 0:
                length = 1;
                fits = 1 <= max - size;
                done = buf_append_byte(&buf, piece[0] = 'b');
                break;
            case 1:
                fits = length <= max - size;
                done = buf_printf(&buf, "%.*s", (int)length, piece);
                break;
            case 2:
                length = random_below((unsigned)size + 1);
                buf_consume(&buf, length);
                memmove(model, model + length, size - length);
                size -= length;
                length = 0;
                done = fits = true;
                break;
            case 3:
                fits = done = true;
                length = 0;
                if (random_below(10) == 0) {
                    buf_clear(&buf);
                    size = 0;
                    failed = false;
                } else if (random_below(10) == 0) {
                    buf_release(&buf);
                    size = 0;
                    failed = false;
                }
                break;
            default: {
                char *copy = guard_copy(piece, length);
                fits = length <= max - size;
                done = buf_append(&buf, slice_of(copy, length));
                guard_free(copy, length);
                break;
            }
            }
            assert_int_equal(done, fits);
            if (fits && length > 0) {
                memcpy(model + size, piece, length);
                size += length;
            }
            failed = failed || !fits;
            assert_int_equal(buf.failed, failed);
            assert_holds(&buf, slice_of(model, size));
        }
        buf_release(&buf);
    }
}

/* The same chain with the first allocation failing, then the second, ... until none does. */
static void test_memory(void **state)
{
    static const char letters[200] = {'a'};
    uint64_t number = 0;
    bool whole = false;
    (void)state;
    for (; !whole; number++) {
        struct buf buf;
        size_t size = 0;
        bool failed = false;
        buf_init(&buf, 100000);
        mem_fail_after(number, 1);
        for (int step = 0; step < 6; step++) {
            static const size_t sizes[] = {1, 200, 20, 300, 1000, 150};
            bool done = step == 0   ? buf_append_byte(&buf, 'x')
                        : step == 1 ? buf_append(&buf, slice_of(letters, 200))
                        : step == 2 ? buf_append_u64(&buf, UINT64_MAX)
                                    : buf_printf(&buf, "%*s", (int)sizes[step], "");
            size += done ? sizes[step] : 0;
            failed = failed || !done;
            assert_int_equal(buf.failed, failed);
            assert_int_equal(buf.size, size);
        }
        whole = !failed;
        mem_fail_after(0, 0);
        buf_release(&buf);
    }
    assert_true(number > 4); /* some did fail */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_unprintable),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_model),
        cmocka_unit_test_teardown(test_memory, off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
