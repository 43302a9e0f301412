/*
 * The hash map against an array of what should be in it: random changes, runs of colliding keys that wrap around the end,
 * growing and shrinking, growth that fails; and SipHash-1-3 itself.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/map.h"
#include "base/mem.h"
#include "support/guard.h"

struct entry {
    char name[24];
    size_t size;
    bool present;
    bool seen;
};

static cvn_slice name_of(const void *value)
{
    const struct entry *entry = value;
    return slice_of(entry->name, entry->size);
}

static void name_entry(struct entry *entry, unsigned number)
{
    *entry = (struct entry){.present = false};
    entry->size = (size_t)snprintf(entry->name, sizeof entry->name, "room %u", number);
}

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

/* All of `entries` that are present are found, by key and by iteration, once each; the others are not. */
static void assert_model(const struct map *map, struct entry *entries, size_t count)
{
    size_t present = 0, seen = 0, cursor = 0;
    for (size_t i = 0; i < count; i++) {
        struct entry *found = map_get(map, name_of(&entries[i]));
        if (found != (entries[i].present ? &entries[i] : NULL))
            fail_msg("%s", entries[i].name);
        present += entries[i].present;
        entries[i].seen = false;
    }
    assert_int_equal(map->count, present);
    for (struct entry *entry; (entry = map_next(map, &cursor)) != NULL; seen++) {
        assert_true(entry->present && !entry->seen);
        entry->seen = true;
    }
    assert_int_equal(seen, present);
    assert_null(map_next(map, &cursor));                           /* the end stays the end */
    assert_true(map->capacity == 0 || map->count < map->capacity); /* a search must end */
    assert_int_equal(map->capacity & (map->capacity - 1), 0);
}

static void test_empty(void **state)
{
    struct map map;
    size_t cursor = 0;
    (void)state;
    map_init(&map, name_of);
    assert_null(map_get(&map, SLICE("a")));
    assert_null(map_get(&map, slice_of(NULL, 0)));
    assert_null(map_remove(&map, SLICE("a")));
    assert_null(map_next(&map, &cursor));
    assert_int_equal(map.count, 0);
    map_release(&map);
    map_release(&map); /* twice does no harm, and it may be used again */
    struct entry entry;
    name_entry(&entry, 1);
    assert_true(map_put(&map, &entry));
    assert_ptr_equal(map_get(&map, SLICE("room 1")), &entry);
    map_release(&map);
    assert_int_equal(map.count, 0);
    assert_null(map_get(&map, SLICE("room 1")));
}

/* Keys are bytes: NULs, the empty key, one a prefix of the other. */
static void test_keys(void **state)
{
    struct entry entries[] = {
        {"", 0, true, false},     {"\0", 1, true, false},  {"\0\0", 2, true, false},
        {"a", 1, true, false},    {"a\0", 2, true, false}, {"a\0b", 3, true, false},
        {"a\0c", 3, true, false}, {"A", 1, true, false},   {"\xff", 1, true, false}};
    struct map map;
    (void)state;
    map_init(&map, name_of);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        assert_true(map_put(&map, &entries[i]));
    assert_model(&map, entries, sizeof entries / sizeof *entries);
    assert_ptr_equal(map_get(&map, slice_of(NULL, 0)), &entries[0]);
    assert_null(map_get(&map, SLICE("a\0d")));
    assert_ptr_equal(map_remove(&map, SLICE("")), &entries[0]);
    entries[0].present = false;
    assert_model(&map, entries, sizeof entries / sizeof *entries);
    map_release(&map);
}

static void test_model(void **state)
{
    static struct entry entries[600];
    (void)state;
    for (unsigned round = 1; round <= 12; round++) {
        struct map map;
        seed = round;
        size_t count = 20 + random_below(580);
        map_init(&map, name_of);
        for (size_t i = 0; i < count; i++)
            name_entry(&entries[i], (unsigned)i);
        /* Tides: mostly putting, then mostly removing, so that it grows and shrinks. */
        for (unsigned step = 0; step < 6000; step++) {
            struct entry *entry = &entries[random_below((unsigned)count)];
            bool put = random_below(10) < (step / 1000 % 2 ? 2u : 8u);
            if (put && !entry->present) {
                assert_true(map_put(&map, entry));
                entry->present = true;
            } else if (!put) {
                struct entry copy = *entry; /* a key need not be the value's own bytes */
                assert_ptr_equal(map_remove(&map, name_of(&copy)), entry->present ? entry : NULL);
                entry->present = false;
            }
            if (step % 97 == 0)
                assert_model(&map, entries, count);
        }
        assert_model(&map, entries, count);
        for (size_t i = 0; i < count; i++)
            assert_ptr_equal(map_remove(&map, name_of(&entries[i])),
                             entries[i].present ? &entries[i] : NULL);
        assert_int_equal(map.count, 0);
        assert_true(map.capacity <= 16); /* it has shrunk */
        map_release(&map);
    }
}

/* Where `entry` would live in a map of `capacity` slots, were it alone. */
static size_t home_of(struct entry *entry, size_t capacity)
{
    struct map map;
    size_t home = SIZE_MAX;
    map_init(&map, name_of);
    assert_true(map_put(&map, entry));
    for (size_t i = 0; i < map.capacity; i++)
        if (map.slots[i].value != NULL)
            home = map.slots[i].hash & (capacity - 1);
    map_release(&map);
    return home;
}

/* All orders of putting and removing six keys that crowd around the end of eight slots: holes close across it. */
static void test_collisions(void **state)
{
    static const size_t homes[][6] = {{7, 7, 7, 7, 7, 7}, {6, 6, 7, 7, 0, 0}, {7, 0, 7, 0, 1, 1},
                                      {5, 5, 5, 6, 7, 0}, {7, 7, 1, 1, 2, 0}, {0, 1, 2, 3, 4, 5}};
    (void)state;
    for (size_t h = 0; h < sizeof homes / sizeof *homes; h++) {
        struct entry entries[6];
        unsigned number = 0;
        for (size_t i = 0; i < 6; i++)
            do
                name_entry(&entries[i], number++);
            while (home_of(&entries[i], 8) != homes[h][i]);
        for (unsigned order = 0; order < 720; order++) {
            size_t sequence[6];
            unsigned rest = order;
            bool used[6] = {false};
            for (size_t i = 0; i < 6; i++) { /* the permutation of that number */
                size_t skip = rest % (6 - i), at = 0;
                rest /= (unsigned)(6 - i);
                while (used[at] || skip > 0)
                    skip -= !used[at++];
                used[at] = true;
                sequence[i] = at;
            }
            struct map map;
            map_init(&map, name_of);
            for (size_t i = 0; i < 6; i++) {
                assert_true(map_put(&map, &entries[i]));
                entries[i].present = true;
            }
            assert_int_equal(map.capacity, 8);
            for (size_t i = 0; i < 6; i++) {
                struct entry *entry = &entries[sequence[i]];
                assert_ptr_equal(map_remove(&map, name_of(entry)), entry);
                entry->present = false;
                assert_model(&map, entries, 6);
            }
            map_release(&map);
        }
    }
}

/* Memory may fail at any growth: the map is as before, and grows the next time. */
static void test_memory(void **state)
{
    static struct entry entries[2000];
    struct map map;
    size_t failures = 0;
    (void)state;
    map_init(&map, name_of);
    for (size_t i = 0; i < 2000; i++)
        name_entry(&entries[i], (unsigned)i);
    for (size_t i = 0; i < 2000; i++) {
        uint64_t before = mem_allocation_count();
        mem_fail_after(0, 1);
        bool put = map_put(&map, &entries[i]);
        mem_fail_after(0, 0);
        assert_int_equal(put, mem_allocation_count() == before);
        if (!put) {
            failures++;
            assert_model(&map, entries, i + 1);
            assert_true(map_put(&map, &entries[i]));
        }
        entries[i].present = true;
    }
    assert_model(&map, entries, 2000);
    assert_true(failures >= 8 && failures <= 10); /* it doubles, from few to 2000 */

    /* Shrinking needs memory too; without it the map stays large, and right. */
    size_t capacity = map.capacity;
    mem_fail_after(0, UINT64_MAX);
    for (size_t i = 0; i < 1990; i++) {
        assert_ptr_equal(map_remove(&map, name_of(&entries[i])), &entries[i]);
        entries[i].present = false;
    }
    mem_fail_after(0, 0);
    assert_int_equal(map.capacity, capacity);
    assert_model(&map, entries, 2000);
    for (size_t i = 1990; i < 2000; i++) {
        assert_ptr_equal(map_remove(&map, name_of(&entries[i])), &entries[i]);
        entries[i].present = false;
    }
    assert_true(map.capacity < capacity);
    assert_model(&map, entries, 2000);
    map_release(&map);
}

/* CPython 3.11 hashes bytes this way; its values under PYTHONHASHSEED=42, whose key is the one below. */
static void test_siphash(void **state)
{
    static const uint8_t key[16] = {0xaf, 0x90, 0xcd, 0x68, 0xd3, 0x4f, 0x50, 0xdc,
                                    0xc1, 0xe9, 0x99, 0xfe, 0x9f, 0xbb, 0x20, 0xb9};
    static const struct {
        size_t size;
        uint64_t hash;
    } cases[] = {{1, 0xce880c366bcf3489},   {2, 0xef32fbc0469f0756},   {3, 0xef4b9dcae9b04417},
                 {4, 0x79793200f3b3b3db},   {5, 0xbe8653fc64f95fbd},   {6, 0xb32b5a11619800dd},
                 {7, 0xce280fabc397fbda},   {8, 0x60866c3c108c6afb},   {9, 0x68814005f7469e03},
                 {10, 0x060a514cd0a2e301},  {15, 0x94ace24d68c18cf8},  {16, 0x339176f3ac59ce05},
                 {17, 0xed2706b414c296f1},  {63, 0x06e24d6f0d014c37},  {64, 0x91639ef7de8d52cb},
                 {255, 0xd02008474fae02c8}, {256, 0x0d0624090d255259}, {300, 0x5d61c2bcdcce71cc}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[300];
        for (size_t k = 0; k < cases[i].size; k++)
            bytes[k] = (uint8_t)k;
        char *copy = guard_copy(bytes, cases[i].size);
        if (siphash13(slice_of(copy, cases[i].size), key) != cases[i].hash)
            fail_msg("%zu bytes", cases[i].size);
        guard_free(copy, cases[i].size);
    }
    /* No bytes, under the key that its authors' vectors use. */
    static const uint8_t counting[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    assert_true(siphash13(slice_of(NULL, 0), counting) == 0xabac0158050fc4dc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test_teardown(test_memory, off),
        cmocka_unit_test(test_siphash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
