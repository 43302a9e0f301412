/* Token buckets: what may come at once, what after which time; the clock is a number. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "access/access_rate.h"
#include <pthread.h>

#define SECOND 1000000LL

static void test_burst_then_steady(void **state)
{
    (void)state;
    struct rate_bucket bucket = {0};
    const struct config_rate rate = {10, 60000}; /* 10 a minute */
    uint32_t retry = 0;
    int64_t now = 5 * SECOND;
    for (int i = 0; i < 10; i++)
        assert_true(rate_take(&bucket, rate, now, &retry));
    assert_false(rate_take(&bucket, rate, now, &retry));
    assert_int_equal(retry, 6000); /* one each 6 s */
    assert_false(rate_take(&bucket, rate, now + 6 * SECOND - 1, &retry));
    assert_int_equal(retry, 1);
    assert_true(rate_take(&bucket, rate, now + 6 * SECOND, &retry));
    assert_false(rate_take(&bucket, rate, now + 6 * SECOND, &retry));
    /* A refusal costs nothing. */
    for (int i = 0; i < 100; i++)
        assert_false(rate_take(&bucket, rate, now + 6 * SECOND, &retry));
    assert_true(rate_take(&bucket, rate, now + 12 * SECOND, &retry));
    /* After a quiet period all of it is there again, and no more than that. */
    now += 1000 * SECOND;
    for (int i = 0; i < 10; i++)
        assert_true(rate_take(&bucket, rate, now, &retry));
    assert_false(rate_take(&bucket, rate, now, &retry));
}

static void test_no_limit(void **state)
{
    (void)state;
    struct rate_bucket bucket = {0};
    uint32_t retry = 7;
    for (int i = 0; i < 1000; i++)
        assert_true(rate_take(&bucket, (struct config_rate){0, 0}, 1, &retry));
    assert_int_equal(retry, 7);
}

static void test_a_smaller_rate_holds_at_once(void **state)
{
    (void)state;
    struct rate_bucket bucket = {0};
    uint32_t retry = 0;
    for (int i = 0; i < 5; i++)
        assert_true(rate_take(&bucket, (struct config_rate){100, 60000}, SECOND, &retry));
    /* 5 taken at 600 ms each: full again 3 s from now. One a minute must wait for that, too. */
    assert_false(rate_take(&bucket, (struct config_rate){1, 60000}, SECOND, &retry));
    assert_int_equal(retry, 3000);
}

static void test_a_greater_rate_forgives_at_once(void **state)
{
    (void)state;
    struct rate_bucket bucket = {0};
    uint32_t retry = 0;
    while (rate_take(&bucket, (struct config_rate){10, 86400000}, SECOND, &retry))
        ;
    assert_true(retry > 8000000);
    /* Ten a second now: nobody waits for hours on account of yesterday's rate. */
    assert_false(rate_take(&bucket, (struct config_rate){10, 1000}, SECOND, &retry));
    assert_int_equal(retry, 100);
    assert_true(rate_take(&bucket, (struct config_rate){10, 1000}, SECOND + SECOND / 10, &retry));
}

static void test_the_greatest_rates_are_limits_still(void **state)
{
    (void)state;
    struct rate_bucket bucket = {0};
    uint32_t retry = 0;
    int taken = 0;
    while (taken < 5000 && rate_take(&bucket, (struct config_rate){4000000000U, 1}, SECOND, &retry))
        taken++;
    assert_int_equal(taken, 1000); /* one a microsecond */
}

static struct rate_bucket shared;
static atomic_uint taken;

static void *take_many(void *data)
{
    (void)data;
    uint32_t retry;
    for (int i = 0; i < 5000; i++)
        if (rate_take(&shared, (struct config_rate){1000, 60000}, SECOND, &retry))
            atomic_fetch_add(&taken, 1);
    return NULL;
}

static void test_threads_share_exactly(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&taken), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_steady),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_a_smaller_rate_holds_at_once),
        cmocka_unit_test(test_a_greater_rate_forgives_at_once),
        cmocka_unit_test(test_the_greatest_rates_are_limits_still),
        cmocka_unit_test(test_threads_share_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
