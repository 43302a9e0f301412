/* The log: what an entry looks like whatever is in it, that it is one piece, and correlation ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>
#include "observe/log_format.h"

#define NOW 1763723754007 /* 2025-11-21T11:15:54.007Z */

static json_t *parse(const char *bytes, size_t size)
{
    json_error_t error;
    assert_true(size > 0 && size <= LOG_MAX_ENTRY && bytes[size - 1] == '\n');
    assert_null(memchr(bytes, '\n', size - 1));
    json_t *entry = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (entry == NULL)
        fail_msg("%s in %.*s", error.text, (int)size, bytes);
    return entry;
}

static json_t *entry_of(enum log_level level, const char *message, const struct log_field *fields)
{
    char bytes[LOG_MAX_ENTRY];
    return parse(bytes, log_format_json(bytes, NOW, level, message, fields));
}

static void assert_text(const json_t *entry, const char *name, const char *expected)
{
    assert_non_null(json_string_value(json_object_get(entry, name)));
    assert_string_equal(json_string_value(json_object_get(entry, name)), expected);
}

static void test_json(void **state)
{
    (void)state;
    char bytes[LOG_MAX_ENTRY];
    size_t size = log_format_json(bytes, NOW, LOG_WARN, "refused",
                                  (const struct log_field[]){LOG_CORRELATION("abc"), LOG_USER("u1"),
                                                             LOG_NSP("/chat"), LOG_EVENT("message"),
                                                             LOG_TEXT("empty", NULL),
                                                             LOG_NUMBER("after_ms", -12), LOG_END});
    const char *expected =
        "{\"time\":\"2025-11-21T11:15:54.007Z\",\"level\":\"warn\",\"msg\":\"refused\","
        "\"correlation_id\":\"abc\",\"user\":\"u1\",\"namespace\":\"/chat\",\"event\":\"message\","
        "\"after_ms\":-12}\n";
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size);
    size = log_format_json(bytes, 0, LOG_ERROR, "m", NULL);
    assert_true(strncmp(bytes, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\"", 50) ==
                0);
}

static void test_any_bytes(void **state)
{
    (void)state;
    char all[256];
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    json_t *entry =
        entry_of(LOG_INFO, all, (const struct log_field[]){LOG_TEXT(all, all), LOG_END});
    const char *message = json_string_value(json_object_get(entry, "msg"));
    assert_memory_equal(message, all,
                        127); /* plain and control characters are there as they were */
    assert_int_equal(strlen(message), 127 + 128 * 3);
    for (int i = 0; i < 128; i++) /* lone bytes of no character */
        assert_memory_equal(message + 127 + 3 * i, "\xef\xbf\xbd", 3);
    assert_null(json_object_get(entry, "truncated"));
    json_decref(entry);

    entry = entry_of(LOG_INFO, "Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \xed\xa0\x80 \xc0\x80 \xe2\x82",
                     NULL);
    assert_text(entry, "msg",
                "Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 "
                "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd "
                "\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(entry);
}

static void test_bounds(void **state)
{
    (void)state;
    char *large = malloc(100001);
    assert_non_null(large);
    for (int step = 0; step < 3; step++) {
        memset(large, "x\x01\xff"[step], 100000); /* one, six and three bytes each */
        large[100000] = '\0';
        struct log_field fields[20];
        for (int i = 0; i < 18; i++) {
            static const char names[] = "a\0b\0c\0d\0e\0f\0g\0h\0i\0j\0k\0l\0m\0n\0o\0p\0q\0r";
            fields[i] = LOG_TEXT(names + (size_t)2 * (size_t)i, large);
        }
        fields[18] = LOG_NUMBER("last", 7); /* still fits where larger ones did not */
        fields[19] = LOG_END;
        json_t *entry = entry_of(LOG_INFO, "large", fields);
        assert_true(json_is_true(json_object_get(entry, "truncated")));
        assert_int_equal(json_integer_value(json_object_get(entry, "last")), 7);
        json_decref(entry);
        entry = entry_of(LOG_INFO, large, fields);
        assert_true(json_is_true(json_object_get(entry, "truncated")));
        json_decref(entry);
        char bytes[LOG_MAX_ENTRY];
        size_t size = log_format_pretty(bytes, NOW, LOG_INFO, large, fields, true);
        assert_true(size <= LOG_MAX_ENTRY && bytes[size - 1] == '\n');
        assert_null(memchr(bytes, '\n', size - 1));
    }
    /* A text of exactly so many bytes is whole; a character is never torn. */
    memset(large, 'x', LOG_MAX_TEXT);
    large[LOG_MAX_TEXT] = '\0';
    json_t *entry = entry_of(LOG_INFO, large, NULL);
    assert_text(entry, "msg", large);
    json_decref(entry);
    memcpy(large + LOG_MAX_TEXT - 1, "\xc3\xbc", 3);
    entry = entry_of(LOG_INFO, large, NULL);
    memcpy(large + LOG_MAX_TEXT - 1, "...", 4);
    assert_text(entry, "msg", large);
    json_decref(entry);
    free(large);
}

static void test_pretty(void **state)
{
    (void)state;
    char bytes[LOG_MAX_ENTRY];
    const struct log_field fields[] = {LOG_TEXT("who", "a\n\x1b[31mb\xc2\x9b\xe2\x80\xae"),
                                       LOG_NUMBER("n", 3), LOG_END};
    size_t size = log_format_pretty(bytes, NOW, LOG_INFO, "hello", fields, false);
    const char *expected = "2025-11-21T11:15:54.007Z info  hello  "
                           "who=a\\u000a\\u001b[31mb\\u009b\\u202e  n=3\n";
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size);
    size = log_format_pretty(bytes, NOW, LOG_ERROR, "hello", fields, true);
    bytes[size] = '\0';
    assert_non_null(strstr(bytes, "\x1b[31merror\x1b[0m hello"));
}

/* --- To standard error --- */

static int real_stderr = -1, pipe_fds[2];

static void capture(void)
{
    fflush(stderr);
    assert_int_equal(pipe(pipe_fds), 0);
    real_stderr = dup(STDERR_FILENO);
    assert_true(real_stderr >= 0);
    assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
    close(pipe_fds[1]);
}

static void restore(void)
{
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
}

static void configure(enum config_log_level level, enum config_log_format format)
{
    struct config *config = calloc(1, sizeof *config);
    assert_non_null(config);
    config->log.level = level;
    config->log.format = format;
    log_configure(config);
    free(config);
}

static void test_levels(void **state)
{
    (void)state;
    char bytes[LOG_MAX_ENTRY];
    enum log_level level = LOG_ERROR;
    capture();
    configure(CONFIG_LOG_WARN, CONFIG_LOG_AUTO); /* a pipe is no terminal */
    log_entry(LOG_INFO, "unseen", LOG_END);
    log_from_library(CVN_LOG_DEBUG, "unseen", NULL);
    log_entry(LOG_WARN, "seen", LOG_TEXT("a", "b"), LOG_END);
    restore();
    ssize_t size = read(pipe_fds[0], bytes, sizeof bytes);
    assert_true(size > 0);
    json_t *entry = parse(bytes, (size_t)size);
    assert_text(entry, "msg", "seen");
    assert_text(entry, "level", "warn");
    json_decref(entry);
    assert_int_equal(read(pipe_fds[0], bytes, 1), 0);
    close(pipe_fds[0]);
    assert_false(log_is_on(LOG_INFO));
    log_set_level(LOG_DEBUG);
    assert_true(log_is_on(LOG_DEBUG));
    assert_true(log_parse_level(cvn_str("warning"), &level) && level == LOG_WARN);
    assert_true(log_parse_level(cvn_str("debug"), &level) && level == LOG_DEBUG);
    assert_false(log_parse_level(cvn_str("verbose"), &level));
    assert_false(log_parse_level(cvn_str(""), &level));
    assert_false(log_parse_level(cvn_str("INFO"), &level));
}

#define THREADS 4
#define ENTRIES 50

static void *log_much(void *data)
{
    char text[900];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < ENTRIES; i++)
        log_entry(LOG_ERROR, "much", LOG_NUMBER("thread", (intptr_t)data), LOG_NUMBER("i", i),
                  LOG_TEXT("text", text), LOG_END);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    capture();
    configure(CONFIG_LOG_INFO, CONFIG_LOG_JSON);
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, (void *)i), 0);
    FILE *stream = fdopen(pipe_fds[0], "r");
    char line[LOG_MAX_ENTRY + 1];
    int next[THREADS] = {0};
    for (int i = 0; i < THREADS * ENTRIES; i++) {
        if (fgets(line, sizeof line, stream) == NULL)
            break;
        json_t *entry = parse(line, strlen(line));
        int thread = (int)json_integer_value(json_object_get(entry, "thread"));
        if (json_integer_value(json_object_get(entry, "i")) == next[thread])
            next[thread]++;
        json_decref(entry);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    restore();
    fclose(stream);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], ENTRIES);
    assert_int_equal(log_lost(), 0);
}

static void test_correlation(void **state)
{
    (void)state;
    char id[CORRELATION_ID_SIZE], other[CORRELATION_ID_SIZE], longest[CORRELATION_ID_SIZE + 1];
    correlation_id_take(cvn_str("Ab-9_.z"), id);
    assert_string_equal(id, "Ab-9_.z");
    memset(longest, 'a', sizeof longest);
    correlation_id_take((cvn_slice){longest, 64}, id);
    assert_int_equal(strlen(id), 64);
    const char *const insane[] = {"", "a b", "a\r\nSet-Cookie: x", "\xc3\xbc", "a\"b", "{}"};
    for (size_t i = 0; i < sizeof insane / sizeof *insane; i++) {
        correlation_id_take(cvn_str(insane[i]), id);
        assert_int_equal(strlen(id), 16);
        assert_int_equal(strspn(id, "0123456789abcdef"), 16);
    }
    correlation_id_take((cvn_slice){longest, 65}, id);
    assert_int_equal(strlen(id), 16);
    for (int i = 0; i < 100; i++) { /* over more than one batch */
        correlation_id_take((cvn_slice){NULL, 0}, other);
        assert_string_not_equal(id, other);
        strcpy(id, other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_bounds),      cmocka_unit_test(test_pretty),
        cmocka_unit_test(test_levels),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_correlation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
