/* Response heads as bytes, and the words of a status. */
#include "pieces.h"
#include "http/http_conn.h"
#include "http/http_response.h"
#include "base/mem.h"

static void assert_encoded(const struct http_response *response, const char *expected)
{
    char *body = NULL;
    struct message *message = http_response_encode(response, 7, &body);
    assert_non_null(message);
    assert_int_equal(message->size, strlen(expected) + 7);
    assert_memory_equal(message->data, expected, strlen(expected));
    assert_ptr_equal(body, message->data + strlen(expected));
    memset(body, 'x', 7); /* it is ours to fill */
    message_unref(message);
}

static void test_heads(void **state)
{
    (void)state;
    assert_encoded(&(struct http_response){.status = 200, .minor_version = 1, .keep_alive = true},
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_encoded(
        &(struct http_response){.status = 404,
                                .minor_version = 1,
                                .keep_alive = false,
                                .content_type = SLICE("text/plain"),
                                .fields = SLICE("A: b\r\nC: d\r\n"),
                                .body_size = 1234567},
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 1234567\r\n"
        "A: b\r\nC: d\r\nConnection: close\r\n\r\n");
    assert_encoded(&(struct http_response){.status = 200, .minor_version = 0, .keep_alive = true},
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    assert_encoded(&(struct http_response){.status = 204, .minor_version = 1, .keep_alive = true},
                   "HTTP/1.1 204 No Content\r\n\r\n");
    assert_encoded(
        &(struct http_response){
            .status = 304, .minor_version = 1, .keep_alive = true, .body_size = 9},
        "HTTP/1.1 304 Not Modified\r\n\r\n");
    assert_encoded(&(struct http_response){.status = -2147483647 - 1,
                                           .minor_version = 1,
                                           .keep_alive = true,
                                           .body_size = SIZE_MAX},
                   "HTTP/1.1 -2147483648 Unknown\r\nContent-Length: 18446744073709551615\r\n\r\n");
}

static void test_no_memory(void **state)
{
    struct http_response response = {.status = 200};
    char untouched, *body = &untouched;
    (void)state;
    mem_fail_after(0, 1);
    assert_null(http_response_encode(&response, 3, &body));
    mem_fail_after(0, 0);
    assert_ptr_equal(body, &untouched);
}

static void test_phrases(void **state)
{
    static const struct {
        int status;
        const char *phrase;
    } cases[] = {{101, "Switching Protocols"},
                 {200, "OK"},
                 {400, "Bad Request"},
                 {403, "Forbidden"},
                 {408, "Request Timeout"},
                 {413, "Payload Too Large"},
                 {414, "URI Too Long"},
                 {417, "Expectation Failed"},
                 {426, "Upgrade Required"},
                 {431, "Request Header Fields Too Large"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {505, "HTTP Version Not Supported"},
                 {0, "Unknown"},
                 {299, "Unknown"},
                 {-1, "Unknown"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(http_reason_phrase(cases[i].status), cases[i].phrase);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heads),
                                       cmocka_unit_test(test_no_memory),
                                       cmocka_unit_test(test_phrases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
