/* The histogram of the load generator: every quantile against the sorted values themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "load.h"

#define COUNT 100000

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Values of every size, from a fixed seed. */
static void test_quantiles(void **state)
{
    static const double shares[] = {0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 0.99999, 1};
    static struct load_hist hist;
    static uint64_t values[COUNT];
    uint64_t random = 1;
    (void)state;
    memset(&hist, 0, sizeof hist);
    for (size_t i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        values[i] = (random >> 1) >> (random >> 3) % 60;
        load_hist_add(&hist, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    assert_int_equal(hist.count, COUNT);
    assert_int_equal(hist.max, values[COUNT - 1]);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        size_t rank = (size_t)(shares[i] * COUNT);
        uint64_t exact = values[rank < COUNT ? rank : COUNT - 1];
        uint64_t got = load_hist_at(&hist, shares[i]);
        assert_true(got >= exact);
        assert_true(got - exact <= exact / 127);
    }
}

static void test_extremes(void **state)
{
    static struct load_hist hist;
    (void)state;
    memset(&hist, 0, sizeof hist);
    assert_int_equal(load_hist_at(&hist, 0.5), 0);
    load_hist_add(&hist, UINT64_MAX);
    assert_true(load_hist_at(&hist, 0.5) == UINT64_MAX);
    load_hist_add(&hist, 0);
    assert_int_equal(load_hist_at(&hist, 0), 0);
    assert_true(load_hist_at(&hist, 1) == UINT64_MAX);
}

/* Small values are exact, and the borders between two widths of slots are in the right one. */
static void test_borders(void **state)
{
    static struct load_hist hist;
    (void)state;
    for (uint64_t value = 0; value < 1024; value++) {
        memset(&hist, 0, sizeof hist);
        load_hist_add(&hist, value);
        load_hist_add(&hist, 1000000);
        uint64_t got = load_hist_at(&hist, 0);
        assert_true(got >= value && got <= value + value / 128);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
