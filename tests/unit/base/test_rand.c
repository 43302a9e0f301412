/*
 * Random bytes: every size within and beyond a batch is filled and not a byte more, nothing is given out twice, here or on other threads.
 * What is judged of randomness could only fail by an error of the program: the odds are below 2^-35.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>
#include "base/rand.h"
#include "support/guard.h"

/* Each place gets something in ten tries, whatever the size; the bytes around stay. */
static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 200, 479, 480, 481, 482, 1000, 100000};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t size = sizes[s];
        uint8_t *seen = calloc(1, size + 1), *zeros = calloc(1, size + 1);
        assert_true(seen != NULL && zeros != NULL);
        for (int try = 0; try < 10; try++) {
            char *area = guard_copy(zeros, size + 1);
            rand_bytes(area + 1, size); /* up to the unmapped page */
            assert_int_equal(area[0], 0);
            for (size_t i = 0; i < size; i++)
                seen[i] |= (uint8_t)area[i + 1];
            guard_free(area, size + 1);
        }
        for (size_t i = 0; i < size; i++)
            assert_int_not_equal(seen[i], 0);
        free(seen);
        free(zeros);
    }
}

#define NUMBERS 5000
#define THREADS 3

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void *draw(void *numbers)
{
    for (size_t i = 0; i < NUMBERS; i++)
        ((uint64_t *)numbers)[i] = rand_u64();
    return NULL;
}

static void test_unique(void **state)
{
    static uint64_t numbers[(THREADS + 1) * NUMBERS];
    const size_t count = sizeof numbers / sizeof *numbers;
    pthread_t threads[THREADS];
    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw, numbers + i * NUMBERS), 0);
    draw(numbers + THREADS * NUMBERS);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    qsort(numbers, count, sizeof *numbers, compare);
    for (size_t i = 1; i < count; i++)
        assert_true(numbers[i - 1] != numbers[i]);

    uint64_t any = 0, all = UINT64_MAX; /* every bit is now set, now not */
    for (size_t i = 0; i < count; i++) {
        any |= numbers[i];
        all &= numbers[i];
    }
    assert_true(any == UINT64_MAX && all == 0);
}

/* Odd sizes leave rests in the batch; none of it is used again. */
static void test_rests(void **state)
{
    enum { PIECES = 2000, SIZE = 9 };
    static uint64_t numbers[PIECES];
    (void)state;
    for (size_t i = 0; i < PIECES; i++) {
        uint8_t bytes[SIZE], skipped[300];
        rand_bytes(bytes, SIZE);
        memcpy(&numbers[i], bytes + SIZE - 8, 8);
        rand_bytes(skipped, i % sizeof skipped);
    }
    qsort(numbers, PIECES, sizeof *numbers, compare);
    for (size_t i = 1; i < PIECES; i++)
        assert_true(numbers[i - 1] != numbers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_unique),
        cmocka_unit_test(test_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
