/* The log: levels, the sink's data, long messages, the default sink on standard error; and the words of the error codes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <convene/types.h>
#include "base/log.h"

struct record {
    int count;
    enum log_level level;
    char message[3000];
};

static void write_down(void *data, enum log_level level, const char *message)
{
    struct record *record = data;
    record->count++;
    record->level = level;
    snprintf(record->message, sizeof record->message, "%s", message);
}

static void test_levels(void **state)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    (void)state;
    for (size_t least = 0; least < 4; least++)
        for (size_t level = 0; level < 4; level++) {
            struct record record = {.count = 0};
            log_set_sink(write_down, &record, levels[least]);
            log_write(levels[level], "%s %d", "number", 7);
            assert_int_equal(record.count, level >= least);
            if (level < least)
                continue;
            assert_int_equal(record.level, levels[level]);
            assert_string_equal(record.message, "number 7");
        }
    log_set_sink(NULL, NULL, LOG_DEBUG);
}

static void test_long(void **state)
{
    static struct record record;
    static char text[2500];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    log_set_sink(write_down, &record, LOG_DEBUG);
    log_write(LOG_INFO, "%s", text);
    log_set_sink(NULL, NULL, LOG_DEBUG);
    size_t size = strlen(record.message); /* cut, but told */
    assert_true(size > 500 && size < sizeof text);
    assert_memory_equal(record.message, text, size);
}

/* Standard error goes into a pipe meanwhile. */
static void test_default(void **state)
{
    struct record record = {.count = 0};
    int ends[2], old = dup(STDERR_FILENO);
    char text[200];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    log_set_sink(write_down, &record, LOG_DEBUG);
    log_set_sink(NULL, &record, LOG_DEBUG); /* back to the default, with its own level */
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    log_write(LOG_INFO, "not told");
    log_write(LOG_WARN, "first %d", 1);
    log_write(LOG_ERROR, "second");
    fflush(stderr);
    dup2(old, STDERR_FILENO);
    close(old);
    close(ends[1]);
    ssize_t size = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    assert_true(size > 0);
    text[size] = '\0';
    assert_string_equal(text, "convene: warning: first 1\nconvene: error: second\n");
    assert_int_equal(record.count, 0);
}

static void test_error_words(void **state)
{
    (void)state;
    const char *unknown = cvn_strerror((enum cvn_error)1000);
    assert_non_null(unknown);
    for (int error = CVN_OK; error <= CVN_ERR_TIMEOUT; error++) {
        const char *words = cvn_strerror((enum cvn_error)error);
        assert_non_null(words);
        assert_string_not_equal(words, unknown);
        for (int other = CVN_OK; other < error; other++)
            assert_string_not_equal(words, cvn_strerror((enum cvn_error)other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_error_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
