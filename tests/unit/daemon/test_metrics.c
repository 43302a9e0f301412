/* Metrics: the text format to the byte, bounded series, and counting from many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <pthread.h>
#include <cmocka.h>
#include "observe/metrics.h"

static void assert_print(struct metrics *metrics, const char *expected)
{
    cvn_text *text = cvn_text_new(1 << 20);
    assert_non_null(text);
    metrics_print(metrics, text);
    cvn_slice found = cvn_text_slice(text);
    assert_false(cvn_text_failed(text));
    if (found.size != strlen(expected) || memcmp(found.data, expected, found.size) != 0)
        fail_msg("expected:\n%s\nfound:\n%.*s", expected, (int)found.size, found.data);
    cvn_text_free(text);
}

static void test_format(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    assert_non_null(metrics);
    struct metric *plain =
        metrics_counter(metrics, "convened_a_total", "Back\\slash,\nline \"x\".", NULL, 1);
    struct metric *labelled =
        metrics_counter(metrics, "convened_b_total", "B.", "namespace,event", 10);
    struct metric *gauge = metrics_gauge(metrics, "convened_c_bytes", "C.", "kind", 2);
    metric_add(plain, 3, NULL, NULL, NULL);
    metric_add(labelled, 1, "/chat", "a\"b\\c\nd", NULL);
    metric_add(labelled, 2, "/", NULL, NULL);
    metric_add(labelled, 4, "/chat", "a\"b\\c\nd", NULL);
    series_set(metric_series(gauge, "x", NULL, NULL), -5);
    assert_print(metrics, "# HELP convened_a_total Back\\\\slash,\\nline \"x\".\n"
                          "# TYPE convened_a_total counter\n"
                          "convened_a_total 3\n"
                          "# HELP convened_b_total B.\n"
                          "# TYPE convened_b_total counter\n"
                          "convened_b_total{namespace=\"/chat\",event=\"a\\\"b\\\\c\\nd\"} 5\n"
                          "convened_b_total{namespace=\"/\",event=\"\"} 2\n"
                          "# HELP convened_c_bytes C.\n"
                          "# TYPE convened_c_bytes gauge\n"
                          "convened_c_bytes{kind=\"x\"} -5\n");
    metrics_free(metrics);
}

static void test_histogram(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *histogram = metrics_histogram(metrics, "convened_h_seconds", "H.", "event",
                                                 (const double[]){0.001, 0.0025, 1, 0}, 4);
    struct series *series = metric_series(histogram, "x", NULL, NULL);
    series_observe(series, 0.001); /* a bound belongs to its bucket */
    series_observe(series, 0.002);
    series_observe(series, 0.5);
    series_observe(series, 2);
    series_observe(series, -1);
    series_observe(series, NAN);
    series_add(series, 7);  /* does nothing: no counter */
    series_set(series, 10); /* nor a gauge */
    assert_print(metrics, "# HELP convened_h_seconds H.\n"
                          "# TYPE convened_h_seconds histogram\n"
                          "convened_h_seconds_bucket{event=\"x\",le=\"0.001\"} 3\n"
                          "convened_h_seconds_bucket{event=\"x\",le=\"0.0025\"} 4\n"
                          "convened_h_seconds_bucket{event=\"x\",le=\"1\"} 5\n"
                          "convened_h_seconds_bucket{event=\"x\",le=\"+Inf\"} 6\n"
                          "convened_h_seconds_sum{event=\"x\"} 2.503\n"
                          "convened_h_seconds_count{event=\"x\"} 6\n");
    metrics_free(metrics);

    metrics = metrics_new();
    histogram = metrics_histogram(metrics, "h", "H.", NULL, NULL, 1);
    series_observe(metric_series(histogram, NULL, NULL, NULL), INFINITY);
    cvn_text *text = cvn_text_new(1 << 20);
    metrics_print(metrics, text);
    cvn_text_append_slice(text, (cvn_slice){"", 1});
    const char *found = cvn_text_slice(text).data;
    assert_non_null(strstr(found, "h_bucket{le=\"0.0001\"} 0\n"));
    assert_non_null(
        strstr(found, "h_bucket{le=\"10\"} 0\nh_bucket{le=\"+Inf\"} 1\nh_sum 1000000\n"));
    assert_non_null(strstr(found, "h_count 1\n"));
    cvn_text_free(text);
    metrics_free(metrics);
}

static void test_bounded(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *counter = metrics_counter(metrics, "c_total", "C.", "event,result", 3);
    char name[200];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "e%d", i);
        metric_add(counter, 1, name, "ok", NULL);
    }
    metric_add(counter, 10, "e1", "ok", NULL);    /* known ones still count for themselves */
    metric_add(counter, 100, "\xff", "ok", NULL); /* no UTF-8 */
    metric_add(counter, 1000, "\xed\xa0\x80", "ok", NULL); /* a surrogate */
    memset(name, 'x', 129);
    name[129] = '\0';
    metric_add(counter, 10000, name, "ok", NULL);
    metric_add(counter, 100000, "other", "other", NULL); /* not a series of its own */
    assert_print(metrics, "# HELP c_total C.\n# TYPE c_total counter\n"
                          "c_total{event=\"e0\",result=\"ok\"} 1\n"
                          "c_total{event=\"e1\",result=\"ok\"} 11\n"
                          "c_total{event=\"e2\",result=\"ok\"} 1\n"
                          "c_total{event=\"other\",result=\"other\"} 112097\n");
    metrics_free(metrics);
}

/* "ab","c" and "a","bc" are two. */
static void test_borders(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *counter = metrics_counter(metrics, "c_total", "C.", "a,b", 10);
    metric_add(counter, 1, "ab", "c", NULL);
    metric_add(counter, 2, "a", "bc", NULL);
    metric_add(counter, 4, "", "abc", NULL);
    assert_print(metrics, "# HELP c_total C.\n# TYPE c_total counter\n"
                          "c_total{a=\"ab\",b=\"c\"} 1\n"
                          "c_total{a=\"a\",b=\"bc\"} 2\n"
                          "c_total{a=\"\",b=\"abc\"} 4\n");
    metrics_free(metrics);
}

static void test_refused(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    const double unsorted[] = {2, 1, 0};
    assert_null(metrics_counter(metrics, "9a", "", NULL, 1));
    assert_null(metrics_counter(metrics, "a-b", "", NULL, 1));
    assert_null(metrics_counter(metrics, "", "", NULL, 1));
    assert_null(metrics_counter(metrics, "a", "", "a,b,c,d", 1));
    assert_null(metrics_counter(metrics, "a", "", "a b", 1));
    assert_null(metrics_histogram(metrics, "a", "", "le", NULL, 1));
    assert_null(metrics_histogram(metrics, "a", "", NULL, unsorted, 1));
    assert_non_null(metrics_counter(metrics, "a", "", NULL, 1));
    assert_null(metrics_counter(metrics, "a", "", NULL, 1)); /* taken */
    assert_null(metrics_counter(NULL, "b", "", NULL, 1));
    /* Counting on nothing does nothing. */
    assert_null(metric_series(NULL, "x", NULL, NULL));
    series_add(NULL, 1);
    series_set(NULL, 1);
    series_observe(NULL, 1);
    metric_add(NULL, 1, "x", NULL, NULL);
    metrics_free(metrics);
    metrics_free(NULL);
}

static void collect(struct metrics *metrics, cvn_text *text, void *data)
{
    (void)metrics;
    metrics_write_family(text, "convened_x", "gauge", "X.");
    metrics_write_sample(text, "convened_x", NULL, NULL, *(double *)data);
    metrics_write_sample(text, "convened_x", "a,b", (const char *const[]){"1\"", "2"}, 0.1);
    metrics_write_sample(text, "convened_x", "a", (const char *const[]){"\xff"}, 1e300);
    metrics_write_sample(text, "convened_x", "a", (const char *const[]){"n"}, NAN);
    metrics_write_sample(text, "convened_x", "a", (const char *const[]){"i"}, -INFINITY);
}

static void test_collectors(void **state)
{
    (void)state;
    double value = 123456789012345;
    struct metrics *metrics = metrics_new();
    assert_true(metrics_collect(metrics, collect, &value));
    assert_print(metrics, "# HELP convened_x X.\n# TYPE convened_x gauge\n"
                          "convened_x 123456789012345\n"
                          "convened_x{a=\"1\\\"\",b=\"2\"} 0.1\n"
                          "convened_x{a=\"invalid\"} 1e+300\n"
                          "convened_x{a=\"n\"} NaN\n"
                          "convened_x{a=\"i\"} -Inf\n");
    metrics_free(metrics);
}

#define THREADS 10
#define ROUNDS  2000

struct shared {
    struct metrics *metrics;
    struct metric *counter, *histogram;
};

static void *count_much(void *data)
{
    struct shared *shared = data;
    for (int i = 0; i < ROUNDS; i++) {
        char name[16];
        snprintf(name, sizeof name, "e%d", i % 50);
        metric_add(shared->counter, 1, name, NULL, NULL);
        series_observe(metric_series(shared->histogram, NULL, NULL, NULL), 0.25);
    }
    return NULL;
}

static void *print_much(void *data)
{
    struct shared *shared = data;
    for (int i = 0; i < 100; i++) {
        cvn_text *text = cvn_text_new(1 << 20);
        metrics_print(shared->metrics, text);
        cvn_text_free(text);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct shared shared = {.metrics = metrics_new()};
    pthread_t threads[THREADS];
    shared.counter = metrics_counter(shared.metrics, "c_total", "C.", "event", 40);
    shared.histogram =
        metrics_histogram(shared.metrics, "h", "H.", NULL, (const double[]){1, 0}, 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i == 0 ? print_much : count_much, &shared), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cvn_text *text = cvn_text_new(1 << 20);
    metrics_print(shared.metrics, text);
    cvn_text_append_slice(text, (cvn_slice){"", 1});
    const char *at = cvn_text_slice(text).data;
    unsigned long total = 0, series = 0;
    for (const char *line = at; (line = strstr(line, "\nc_total{")) != NULL; line++, series++)
        total += strtoul(strchr(line, '}') + 1, NULL, 10);
    assert_int_equal(series, 41);
    assert_int_equal(total, (THREADS - 1) * ROUNDS);
    char sum[64];
    snprintf(sum, sizeof sum, "\nh_sum %d\nh_count %d\n", (THREADS - 1) * ROUNDS / 4,
             (THREADS - 1) * ROUNDS);
    assert_non_null(strstr(at, sum));
    cvn_text_free(text);
    metrics_free(shared.metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),  cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_bounded), cmocka_unit_test(test_borders),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_collectors),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
