/* Preflights answered over a real socket. */
#include "peer.h"
#include "http/http_origin.h"

static struct http_origin_policy policy;

static void on_head(struct http_request *request, void *app)
{
    (void)app;
    assert_true(http_origin_is_preflight(request->head));
    http_origin_preflight(&policy, request);
}

static const struct http_events preflight_events = {
    .on_head = on_head, .on_body = peer_on_body, .on_abort = peer_on_abort};

/* The whole answer to a preflight from `origin`, byte by byte as it is. */
static void assert_answer(const char *origin, const char *wanted_headers, const char *expected)
{
    static struct peer peer;
    char request[500], answer[1000];
    int pair[2];
    memset(&peer, 0, sizeof peer);
    assert_int_equal(worker_init(&peer.workers[0], 0, NULL), CVN_OK);
    assert_int_equal(worker_init(&peer.workers[1], 1, NULL), CVN_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    peer.fd = pair[0];
    peer.conn = conn_adopt(&peer.workers[0], pair[1], &peer_budget, NULL);
    assert_non_null(peer.conn);
    assert_true(http_conn_start(peer.conn, &preflight_events, &peer_limits, &peer));
    snprintf(request, sizeof request,
             "OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: %s\r\nAccess-Control-Request-Method: "
             "POST\r\n%s\r\n",
             origin, wanted_headers);
    peer_print(&peer, request);
    ssize_t size = recv(peer.fd, answer, sizeof answer - 1, 0);
    assert_true(size > 0);
    answer[size] = '\0';
    assert_string_equal(answer, expected);
    peer_release(&peer);
}

#define ANSWER  "HTTP/1.1 204 No Content\r\n"
#define VARY    "Vary: Origin, Access-Control-Request-Headers\r\n"
#define METHODS "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n"

static void test_preflights(void **state)
{
    static const char *const any[] = {"*"}, *const one[] = {"https://b"};
    static const char headers[] = "Access-Control-Request-Headers: content-type,x-a\r\n";
    (void)state;
    policy = (struct http_origin_policy){.allowed = any, .allowed_count = 1};
    assert_answer("http://b", headers,
                  ANSWER "Access-Control-Allow-Origin: *\r\n" VARY METHODS
                         "Access-Control-Allow-Headers: content-type,x-a\r\n\r\n");
    policy = (struct http_origin_policy){.allowed = one, .allowed_count = 1, .credentials = true};
    assert_answer("https://b", "",
                  ANSWER "Access-Control-Allow-Origin: https://b\r\n"
                         "Access-Control-Allow-Credentials: true\r\n" VARY METHODS "\r\n");
    assert_answer("http://a", "", ANSWER VARY METHODS "\r\n"); /* our own */
    assert_answer("http://evil", headers, ANSWER VARY "\r\n");
    assert_answer("not an origin", headers, ANSWER VARY "\r\n");
    policy = (struct http_origin_policy){.allowed = NULL};
    assert_answer("http://b", headers, ANSWER VARY "\r\n");
}

static void test_told_more(void **state)
{
    static const char *const one[] = {"https://b"};
    static const char headers[] = "Access-Control-Request-Headers: content-type,x-a\r\n";
    (void)state;
    policy = (struct http_origin_policy){.allowed = one,
                                         .allowed_count = 1,
                                         .methods = SLICE("GET,POST"),
                                         .headers = SLICE("x-token"),
                                         .exposed = SLICE("x-id, x-more"),
                                         .max_age_s = 4294967295};
    assert_answer("https://b", headers,
                  ANSWER "Access-Control-Allow-Origin: https://b\r\n"
                         "Access-Control-Expose-Headers: x-id, x-more\r\n" VARY
                         "Access-Control-Allow-Methods: GET,POST\r\n"
                         "Access-Control-Allow-Headers: x-token\r\n"
                         "Access-Control-Max-Age: 4294967295\r\n\r\n");
    assert_answer("http://evil", headers, ANSWER VARY "\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_preflights),
                                       cmocka_unit_test(test_told_more)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
