/* The opening handshake: which requests pass, what the others are refused with, and the answer byte by byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include "base/mem.h"
#include "ws/ws_handshake.h"
#include "support/guard.h"

#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define HOST    "Host: a\r\n"

/* Parses a request that ends at an unmapped page; call guard_free(*ret_copy, strlen(text)) when done. */
static struct http_head parse(const char *text, char **ret_copy)
{
    struct http_head head;
    size_t used = 0;
    int status = 0;
    size_t size = strlen(text);
    *ret_copy = guard_copy(text, size);
    assert_int_equal(http_head_decode(slice_of(*ret_copy, size), &head, &used, &status),
                     HTTP_COMPLETE);
    return head;
}

static int check(const char *text)
{
    char *copy;
    struct http_head head = parse(text, &copy);
    int status = ws_handshake_check(&head);
    guard_free(copy, strlen(text));
    return status;
}

static bool is_wanted(const char *text)
{
    char *copy;
    struct http_head head = parse(text, &copy);
    bool result = ws_handshake_is_wanted(&head);
    guard_free(copy, strlen(text));
    return result;
}

static void test_accepted(void **state)
{
    (void)state;
    static const char *good[] = {
        "GET /chat HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "\r\n",
        "GET /chat?EIO=4 HTTP/1.1\r\n" VERSION KEY HOST "upgrade: WebSocket\r\nCONNECTION: "
        "keep-alive, upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n" KEY VERSION
        "\r\n",
        "GET / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "Content-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST UPGRADE
        "Sec-WebSocket-Key:  ++//++//++//++//++//+w==  \r\n" VERSION "\r\n",
        "GET / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION
        "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(is_wanted(good[i]));
        assert_int_equal(check(good[i]), 0);
    }
}

static void test_not_wanted(void **state)
{
    (void)state;
    static const char *others[] = {
        "GET / HTTP/1.1\r\n" HOST "\r\n",
        "POST / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "\r\n",
        "GET / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n" KEY VERSION "\r\n",
        "GET / HTTP/1.1\r\n" HOST "Upgrade: websockets\r\nConnection: Upgrade\r\n" KEY VERSION
        "\r\n",
        "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\n" KEY VERSION "\r\n",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(is_wanted(others[i]));
        assert_int_equal(check(others[i]), 400);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET / HTTP/1.0\r\n" HOST UPGRADE KEY VERSION "\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n" KEY VERSION "\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: close\r\n" KEY VERSION "\r\n",
         400},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE VERSION "\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE VERSION KEY KEY "\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "Content-Length: 5\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "Transfer-Encoding: chunked\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY "\r\n", 426},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY "Sec-WebSocket-Version: 013\r\n\r\n", 426},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n", 426},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY "Sec-WebSocket-Version:\r\n\r\n", 426},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION VERSION "\r\n", 426},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(check(cases[i].text), cases[i].status);
}

static void test_bad_keys(void **state)
{
    (void)state;
    static const char *keys[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",   /* 23 characters */
        "dGhlIHNhbXBsZSBub25jZQ",    /* no padding */
        "dGhlIHNhbXBsZSBub25jZQ===", /* 25 */
        "dGhlIHNhbXBsZSBub25jZQA=",  /* 17 bytes */
        "dGhlIHNhbXBsZSBub25jZQAA",  /* 18 bytes */
        "dGhlIHNhbXBsZSBub25j====",  /* 15 bytes and too much padding */
        "dGhlIHNhbXBs SBub25jZQ==",  /* not of the alphabet */
        "dGhlIHNhbXBs-SBub25jZQ==",
        "dGhlIHNhbXBs=SBub25jZQ==",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "GET / HTTP/1.1\r\n" HOST UPGRADE VERSION "Sec-WebSocket-Key: %s\r\n\r\n",
                 keys[i]);
        assert_int_equal(check(text), 400);
    }
}

static void answer(const char *text, cvn_slice extra, const char *expected)
{
    char *copy;
    struct http_head head = parse(text, &copy);
    struct buf buf;
    buf_init(&buf, 1000);
    assert_true(ws_handshake_answer(&buf, &head, extra));
    assert_int_equal(buf.size, strlen(expected));
    assert_memory_equal(buf.data, expected, buf.size);
    buf_release(&buf);
    guard_free(copy, strlen(text));
}

static const char request[] = "GET /chat HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "\r\n";

static void test_answer(void **state)
{
    (void)state;
    /* The example of section 1.3. */
    answer(request, (cvn_slice){NULL, 0},
           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    answer(request, SLICE("Set-Cookie: a=b\r\nX-Y: z\r\n"),
           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
           "Set-Cookie: a=b\r\nX-Y: z\r\n\r\n");
}

/* Too little room leaves nothing of an answer behind. */
static void test_answer_does_not_fit(void **state)
{
    (void)state;
    char *copy;
    struct http_head head = parse(request, &copy);
    for (size_t max = 0; max < 129; max++) {
        struct buf buf;
        buf_init(&buf, max);
        assert_false(ws_handshake_answer(&buf, &head, (cvn_slice){NULL, 0}));
        assert_true(buf.failed);
        assert_int_equal(buf.size, 0);
        buf_release(&buf);
    }
    struct buf buf;
    buf_init(&buf, 129);
    assert_true(ws_handshake_answer(&buf, &head, (cvn_slice){NULL, 0}));
    assert_int_equal(buf.size, 129);
    buf_release(&buf);

    buf_init(&buf, 1000);
    mem_fail_after(0, 1);
    assert_false(ws_handshake_answer(&buf, &head, (cvn_slice){NULL, 0}));
    mem_fail_after(0, 0);
    buf_release(&buf);
    guard_free(copy, strlen(request));
}

static void *answer_on_a_thread(void *arg)
{
    char *copy;
    struct http_head head = parse(request, &copy);
    size_t *answered = arg;
    for (int i = 0; i < 200; i++) {
        struct buf buf;
        buf_init(&buf, 1000);
        if (ws_handshake_answer(&buf, &head, (cvn_slice){NULL, 0}))
            *answered += 1;
        buf_release(&buf);
    }
    guard_free(copy, strlen(request));
    return NULL;
}

/* Several workers answer at once; under TSan this is where the shared SHA-1 would show. */
static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    size_t answered[4] = {0};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, answer_on_a_thread, &answered[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(answered[i], 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads), /* first: the fetch itself is part of it */
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_not_wanted),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_answer),   cmocka_unit_test(test_answer_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
