/* The door to the heap: what it gives, and the faults it makes for tests, counted per thread. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static int off(void **state)
{
    (void)state;
    mem_fail_after(0, 0);
    return 0;
}

static void test_memory(void **state)
{
    (void)state;
    char *bytes = mem_alloc(100);
    assert_non_null(bytes);
    memset(bytes, 'a', 100);
    bytes = mem_realloc(bytes, 5000);
    assert_non_null(bytes);
    for (int i = 0; i < 100; i++)
        assert_int_equal(bytes[i], 'a');
    mem_free(bytes);

    char *zeros = mem_zalloc(1000);
    assert_non_null(zeros);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(zeros[i], 0);
    mem_free(zeros);

    char *copy = mem_dup("a\0b", 3);
    assert_non_null(copy);
    assert_memory_equal(copy, "a\0b", 3);
    mem_free(copy);
    mem_free(NULL);

    char *fresh = mem_realloc(NULL, 10); /* as malloc */
    assert_non_null(fresh);
    mem_free(fresh);
}

/* No bytes are memory too: NULL always means failure. */
static void test_nothing(void **state)
{
    (void)state;
    void *memory[] = {mem_alloc(0), mem_zalloc(0), mem_dup(NULL, 0), mem_realloc(NULL, 0),
                      mem_realloc(mem_alloc(10), 0)};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
        assert_non_null(memory[i]);
        mem_free(memory[i]);
    }
}

static void test_too_much(void **state)
{
    (void)state;
    volatile size_t size = SIZE_MAX / 2 + 1; /* out of the compiler's sight */
    char *old = mem_dup("abc", 3);
    assert_null(mem_alloc(size));
    assert_null(mem_zalloc(size));
    assert_null(mem_realloc(old, size));
    assert_memory_equal(old, "abc", 3); /* still there */
    mem_free(old);
}

/* One of the four ways in turn; whether it gave memory. */
static bool ask(unsigned way)
{
    char *old = NULL, *memory = NULL;
    switch (way % 4) {
    case 0:
        memory = mem_alloc(8);
        break;
    case 1:
        memory = mem_zalloc(8);
        break;
    case 2:
        memory = mem_dup("12345678", 8);
        break;
    default:
        memory = mem_realloc(old, 8);
        break;
    }
    bool given = memory != NULL;
    mem_free(memory);
    return given;
}

static void test_faults(void **state)
{
    static const struct {
        uint64_t successes, failures;
    } plans[] = {{0, 1}, {0, 3},          {1, 1},          {5, 2},         {7, 0},
                 {0, 0}, {3, UINT64_MAX}, {0, UINT64_MAX}, {UINT64_MAX, 1}};
    (void)state;
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++)
        for (unsigned way = 0; way < 4; way++) {
            uint64_t before = mem_allocation_count();
            mem_fail_after(plans[p].successes, plans[p].failures);
            for (unsigned i = 0; i < 20; i++) {
                bool fails = i >= plans[p].successes && i - plans[p].successes < plans[p].failures;
                if (ask(way + i) == fails)
                    fail_msg("plan %zu, allocation %u", p, i);
            }
            assert_true(mem_allocation_count() == before + 20); /* the failed ones included */
            mem_fail_after(0, 0);
            assert_true(ask(way));
        }
}

/* A plan replaces the one before, from here on. */
static void test_replaced(void **state)
{
    (void)state;
    mem_fail_after(2, 1);
    assert_true(ask(0));
    mem_fail_after(1, 2);
    assert_true(ask(1));
    assert_false(ask(2));
    assert_false(ask(3));
    assert_true(ask(0));
}

static void test_realloc_keeps(void **state)
{
    (void)state;
    char *bytes = mem_dup("abc", 3);
    assert_non_null(bytes);
    mem_fail_after(0, 1);
    assert_null(mem_realloc(bytes, 100));
    assert_memory_equal(bytes, "abc", 3);
    mem_free(bytes);
}

static void *other_thread(void *failed)
{
    uint64_t before = mem_allocation_count();
    for (unsigned i = 0; i < 10; i++)
        if (!ask(i))
            *(bool *)failed = true;
    if (before != 0 || mem_allocation_count() != 10)
        *(bool *)failed = true;
    return NULL;
}

static void test_per_thread(void **state)
{
    pthread_t thread;
    bool failed = false;
    (void)state;
    mem_fail_after(0, 2);
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &failed), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(failed);
    assert_false(ask(0));
    assert_false(ask(0));
    assert_true(ask(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_memory, off),
        cmocka_unit_test_teardown(test_nothing, off),
        cmocka_unit_test_teardown(test_too_much, off),
        cmocka_unit_test_teardown(test_faults, off),
        cmocka_unit_test_teardown(test_replaced, off),
        cmocka_unit_test_teardown(test_realloc_keeps, off),
        cmocka_unit_test_teardown(test_per_thread, off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
