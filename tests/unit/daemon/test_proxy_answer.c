/* Heads of the application's answers, as libcurl hands them out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "http/proxy_answer.h"

static struct proxy_answer answer;

/* Feeds lines; the state behind the last one. */
static enum proxy_answer_state feed(const char *text)
{
    enum proxy_answer_state state = answer.state;
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        size_t size = end != NULL ? (size_t)(end + 1 - text) : strlen(text);
        char *line = malloc(size); /* the sanitizer sees who reads beyond */
        assert_non_null(line);
        memcpy(line, text, size);
        state = proxy_answer_line(&answer, line, size);
        free(line);
        text += size;
    }
    return state;
}

static enum proxy_answer_state head(const char *text)
{
    memset(&answer, 0, sizeof answer);
    return feed(text);
}

static void assert_forwarded(const char *expected)
{
    struct proxy_field fields[PROXY_ANSWER_MAX_FIELDS];
    char text[4096] = "";
    size_t count = proxy_answer_forward(&answer, fields);
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s=%.*s|",
                 (int)fields[i].name.size, fields[i].name.data, (int)fields[i].value.size,
                 fields[i].value.data);
    assert_string_equal(text, expected);
}

static void test_heads(void **state)
{
    (void)state;
    assert_int_equal(head("HTTP/1.1 200 OK\r\nA: b\r\nSet-Cookie:  x=1 \r\nSet-Cookie: y=2\r\n"
                          "Empty:\r\n\r\n"),
                     PROXY_ANSWER_WHOLE);
    assert_int_equal(answer.status, 200);
    assert_true(answer.length == PROXY_UNKNOWN_LENGTH);
    assert_forwarded("A=b|Set-Cookie=x=1|Set-Cookie=y=2|Empty=|");
    assert_int_equal(head("HTTP/1.0 404\r\ncontent-length: 012\r\n\r\n"), PROXY_ANSWER_WHOLE);
    assert_int_equal(answer.status, 404);
    assert_int_equal(answer.length, 12);
    assert_forwarded("");
    assert_int_equal(head("HTTP/1.1 200 \r\n\r\n"), PROXY_ANSWER_WHOLE);
    assert_int_equal(head("HTTP/1.1 200 OK\r\nA: b\r\n"), PROXY_ANSWER_LINES);
    /* What comes behind it is not looked at. */
    assert_int_equal(head("HTTP/1.1 200 OK\r\n\r\nTrailer: x\r\nrubbish\r\n"), PROXY_ANSWER_WHOLE);
    assert_int_equal(answer.field_count, 0);
}

static void test_lengths(void **state)
{
    (void)state;
    assert_int_equal(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
                     PROXY_ANSWER_WHOLE);
    assert_int_equal(answer.length, 5);
    assert_int_equal(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
                     PROXY_ANSWER_WRONG);
    assert_int_equal(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
                          "\r\n"),
                     PROXY_ANSWER_WHOLE);
    assert_true(answer.length == PROXY_UNKNOWN_LENGTH);
    static const char *const bad[] = {"-1", "+1", "1,1", "0x1", "", "1 2", "9999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", bad[i]);
        assert_int_equal(head(text), PROXY_ANSWER_WRONG);
    }
}

static void test_interim(void **state)
{
    (void)state;
    assert_int_equal(head("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), PROXY_ANSWER_EMPTY);
    assert_int_equal(feed("HTTP/1.1 100 Continue\r\n\r\n"), PROXY_ANSWER_EMPTY);
    assert_int_equal(feed("HTTP/1.1 201 Created\r\nA: b\r\n\r\n"), PROXY_ANSWER_WHOLE);
    assert_int_equal(answer.status, 201);
    assert_forwarded("A=b|");
    assert_int_equal(head("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                          "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"),
                     PROXY_ANSWER_WHOLE);
    assert_int_equal(answer.status, 101);
    assert_forwarded("Sec-WebSocket-Accept=x|");
}

static void test_hop_by_hop(void **state)
{
    (void)state;
    assert_int_equal(
        head("HTTP/1.1 200 OK\r\nConnection: X-Own, close\r\nX-Own: 1\r\nKeep-Alive: 5\r\n"
             "Transfer-Encoding: chunked\r\nX-Other: 2\r\nDate: now\r\n\r\n"),
        PROXY_ANSWER_WHOLE);
    assert_forwarded("X-Other=2|Date=now|");
}

static void test_malformed(void **state)
{
    static const char *const cases[] = {
        "rubbish\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1.1 20\r\n",
        "HTTP/1.1 2000\r\n",
        "HTTP/1.1 abc\r\n",
        "HTTP/1.1 099 x\r\n",
        "HTTP/1.1  200\r\n",
        "\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n",
        "HTTP/1.1 200 OK\r\nA b: c\r\n",
        "HTTP/1.1 200 OK\r\nA : c\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rInjected: c\r\n",
        "HTTP/1.1 200 OK\r\nA: \x01\r\n",
        "HTTP/1.1 200 OK\r\nA: \x7f\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(head(cases[i]), PROXY_ANSWER_WRONG);
        assert_int_equal(feed("HTTP/1.1 200 OK\r\n\r\n"), PROXY_ANSWER_WRONG); /* for good */
    }
    static const char nul[] = "A: b\0c\r\n";
    head("HTTP/1.1 200 OK\r\n");
    assert_int_equal(proxy_answer_line(&answer, nul, sizeof nul - 1), PROXY_ANSWER_WRONG);
    static const char nul_name[] = "A\0: b\r\n";
    head("HTTP/1.1 200 OK\r\n");
    assert_int_equal(proxy_answer_line(&answer, nul_name, sizeof nul_name - 1), PROXY_ANSWER_WRONG);
}

static void test_limits(void **state)
{
    static char line[PROXY_ANSWER_MAX_SIZE + 16];
    (void)state;
    head("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < PROXY_ANSWER_MAX_FIELDS; i++)
        assert_int_equal(feed("A: b\r\n"), PROXY_ANSWER_LINES);
    assert_int_equal(feed("A: b\r\n"), PROXY_ANSWER_WRONG);
    memset(line, 'v', sizeof line);
    memcpy(line, "A:", 2);
    head("HTTP/1.1 200 OK\r\n");
    assert_int_equal(proxy_answer_line(&answer, line, PROXY_ANSWER_MAX_SIZE + 1),
                     PROXY_ANSWER_LINES);
    assert_int_equal(answer.size, PROXY_ANSWER_MAX_SIZE);
    assert_int_equal(feed("\r\n"), PROXY_ANSWER_WHOLE);
    head("HTTP/1.1 200 OK\r\n");
    assert_int_equal(proxy_answer_line(&answer, line, PROXY_ANSWER_MAX_SIZE + 2),
                     PROXY_ANSWER_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),     cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_interim),   cmocka_unit_test(test_hop_by_hop),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
