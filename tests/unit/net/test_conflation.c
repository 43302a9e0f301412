/* The table of keys and places against a plain list, over random puts, shifts and forgotten places. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "net/conflation.h"

#define KEYS 300

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % limit;
}

/* Keys that all fall on a few slots, and some that are nobody's favourites. */
static uint64_t key_of(uint32_t index)
{
    switch (index) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    default:
        return index % 3 == 0 ? (uint64_t)index << 32 : index * 0x9e3779b97f4a7c15;
    }
}

static void check(const struct conflation *table, const uint64_t places[KEYS], uint64_t first)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        uint64_t place = 12345678901;
        bool is_there = conflation_get(table, key_of(i), &place);
        if (places[i] >= first && places[i] != UINT64_MAX)
            assert_true(is_there && place == places[i]);
        else if (places[i] == UINT64_MAX)
            assert_true(!is_there && place == 12345678901);
        else if (is_there) /* stale ones may be there still */
            assert_int_equal(place, places[i]);
    }
}

static void test_random(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 30; seed++) {
        struct conflation *table = conflation_new();
        uint64_t places[KEYS], first = 0, next = 0;
        assert_non_null(table);
        random_state = seed;
        for (uint32_t i = 0; i < KEYS; i++)
            places[i] = UINT64_MAX;
        for (int step = 0; step < 1500; step++) {
            uint32_t what = random_below(100), index = random_below(KEYS);
            if (what < 70) {
                assert_true(conflation_reserve(table, first));
                places[index] = next++;
                conflation_put(table, key_of(index), places[index]);
            } else if (what < 80) { /* the queue becomes longer or shorter behind a place */
                uint64_t from = first + random_below((uint32_t)(next - first) + 1);
                int64_t by = (int64_t)random_below(7) - 3;
                bool collides = false;
                for (uint32_t i = 0; by < 0 && i < KEYS; i++)
                    collides |= places[i] != UINT64_MAX && places[i] > from &&
                                places[i] <= from + (uint64_t)-by;
                if (collides)
                    continue;
                conflation_shift(table, from, by);
                for (uint32_t i = 0; i < KEYS; i++)
                    if (places[i] != UINT64_MAX && places[i] > from)
                        places[i] += (uint64_t)by;
                if (by > 0 || next > from + 3)
                    next += (uint64_t)by;
            } else if (what < 85) {
                first += random_below((uint32_t)(next - first) + 1);
            }
            if (step % 10 == 0)
                check(table, places, first);
            assert_true(conflation_capacity(table) <= 1024);
        }
        check(table, places, first);
        conflation_free(table);
    }
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    mem_fail_after(0, 1);
    assert_null(conflation_new());
    struct conflation *table = conflation_new();
    uint64_t place;
    assert_non_null(table);
    assert_false(conflation_get(table, 1, &place));
    mem_fail_after(0, 1);
    assert_false(conflation_reserve(table, 0));
    for (uint64_t key = 0; key < 6; key++) {
        assert_true(conflation_reserve(table, 0));
        conflation_put(table, key, key);
    }
    mem_fail_after(0, 1);
    assert_false(conflation_reserve(table, 0));
    for (uint64_t key = 0; key < 6; key++)
        assert_true(conflation_get(table, key, &place) && place == key);
    assert_false(conflation_get(table, 6, &place));
    conflation_free(table);
    conflation_free(NULL);
    mem_fail_after(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
