/* Limits as workers read them: classes by name, what is taken over on reload, no rate that is half an old one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "access/access_limits.h"
#include <pthread.h>
#include <stdio.h>

static void assert_rate(struct config_rate rate, uint32_t count, uint32_t per_ms)
{
    assert_int_equal(rate.count, count);
    assert_int_equal(rate.per_ms, per_ms);
}

static void test_classes_are_numbered_once(void **state)
{
    struct access_limits *limits = access_limits_new();
    char name[16];
    (void)state;
    assert_non_null(limits);
    assert_int_equal(access_limits_class(limits, NULL), 0);
    assert_int_equal(access_limits_class(limits, "default"), 0);
    assert_int_equal(access_limits_class(limits, "status"), 1);
    assert_int_equal(access_limits_class(limits, "status"), 1);
    for (int i = 2; i < LIMITS_MAX_CLASSES; i++) {
        snprintf(name, sizeof name, "class %d", i);
        assert_int_equal(access_limits_class(limits, name), i);
    }
    assert_int_equal(access_limits_class(limits, "one more"), -1);
    assert_int_equal(access_limits_class(limits, "class 63"), 63); /* those that are there still */
    assert_int_equal(access_limits_class_count(limits), LIMITS_MAX_CLASSES);
    access_limits_free(limits);
    access_limits_free(NULL);
}

static void test_takes_over_what_is_configured(void **state)
{
    struct config config = {0};
    struct access_limits *limits = access_limits_new();
    (void)state;
    assert_non_null(limits);
    int status = access_limits_class(limits, "status"), join = access_limits_class(limits, "join");
    access_limits_reconfigure(limits, &config);
    assert_rate(access_limits_of_class(limits, status), 0, 0); /* not even a default: no limit */
    config.limits.connections_per_ip = (struct config_rate){1, 10};
    config.limits.events_per_connection = (struct config_rate){2, 20};
    config.limits.events_per_user = (struct config_rate){3, 30};
    config.limits.events_per_ip = (struct config_rate){UINT32_MAX, UINT32_MAX};
    config.limits.max_connections = 5;
    config.limits.max_rooms_per_connection = 6;
    config.limits.max_members_per_room = 7;
    struct config_class_rate classes[] = {
        {.name = "default", .rate = {10, 1000}},
        {.name = "status", .rate = {20, 2000}},
        {.name = "nobody's", .rate = {30, 3000}},
    };
    config.limits.classes = classes;
    config.limits.class_count = 3;
    access_limits_reconfigure(limits, &config);
    assert_rate(access_limits_of_class(limits, status), 20, 2000);
    assert_rate(access_limits_of_class(limits, join), 10, 1000); /* as the default */
    assert_rate(access_limits_attempts_per_ip(limits), 1, 10);
    assert_rate(access_limits_events_per_connection(limits), 2, 20);
    assert_rate(access_limits_events_per_user(limits), 3, 30);
    assert_rate(access_limits_events_per_ip(limits), UINT32_MAX, UINT32_MAX);
    assert_int_equal(access_limits_max_connections(limits), 5);
    assert_int_equal(access_limits_max_rooms(limits), 6);
    assert_int_equal(access_limits_max_members(limits), 7);
    config.limits.class_count = 1; /* a reload that no longer names it */
    access_limits_reconfigure(limits, &config);
    assert_rate(access_limits_of_class(limits, status), 10, 1000);
    access_limits_free(limits);
}

static void *read_rates(void *data)
{
    const struct access_limits *limits = data;
    for (int i = 0; i < 20000; i++) {
        struct config_rate rate = access_limits_of_class(limits, 0);
        if (rate.per_ms != rate.count * 100)
            return data;
    }
    return NULL;
}

static void test_a_reader_sees_no_half_of_a_rate(void **state)
{
    struct config_class_rate class = {.name = "default", .rate = {1, 100}};
    struct config config = {.limits = {.classes = &class, .class_count = 1}};
    struct access_limits *limits = access_limits_new();
    pthread_t reader;
    void *torn = NULL;
    (void)state;
    assert_non_null(limits);
    assert_int_equal(access_limits_class(limits, NULL), 0);
    access_limits_reconfigure(limits, &config);
    assert_int_equal(pthread_create(&reader, NULL, read_rates, limits), 0);
    for (uint32_t i = 1; i < 2000; i++) {
        class.rate = (struct config_rate){i, i * 100};
        access_limits_reconfigure(limits, &config);
    }
    pthread_join(reader, &torn);
    assert_null(torn);
    access_limits_free(limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_are_numbered_once),
        cmocka_unit_test(test_takes_over_what_is_configured),
        cmocka_unit_test(test_a_reader_sees_no_half_of_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
