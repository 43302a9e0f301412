/* Origins and CORS: verdicts by the list, and the fields of answers and preflights. */
#include "pieces.h"
#include "http/http_origin.h"
#include "base/mem.h"

static struct http_head head;
static char head_text[4096];

/* Parses a request with these fields. */
static const struct http_head *with_fields(const char *method, const char *fields)
{
    size_t used;
    int status,
        size = snprintf(head_text, sizeof head_text, "%s / HTTP/1.1\r\n%s\r\n", method, fields);
    assert_int_equal(http_head_decode(slice_of(head_text, (size_t)size), &head, &used, &status),
                     HTTP_COMPLETE);
    return &head;
}

static enum http_origin_verdict check(const char *allowed, const char *host, const char *origin)
{
    const char *list[] = {"https://listed.example", allowed};
    struct http_origin_policy policy = {.allowed = list, .allowed_count = allowed != NULL ? 2 : 0};
    char fields[1000];
    snprintf(fields, sizeof fields, "Host: %s\r\nOrigin: %s\r\n", host, origin);
    return http_origin_check(&policy, with_fields("GET", fields));
}

static void test_lists(void **state)
{
    static const struct {
        const char *allowed, *origin;
        enum http_origin_verdict verdict;
    } cases[] = {
        {"https://a.example", "https://a.example", HTTP_ORIGIN_ALLOWED},
        {"https://a.example", "https://listed.example", HTTP_ORIGIN_ALLOWED},
        {"https://a.example", "HTTPS://A.Example", HTTP_ORIGIN_ALLOWED},
        {"HTTPS://A.Example", "https://a.example", HTTP_ORIGIN_ALLOWED},
        {"https://a.example", "http://a.example", HTTP_ORIGIN_REFUSED},
        {"https://a.example", "https://a.example:8443", HTTP_ORIGIN_REFUSED},
        {"https://a.example", "https://a.example.evil", HTTP_ORIGIN_REFUSED},
        {"https://a.example", "https://evila.example", HTTP_ORIGIN_REFUSED},
        {"https://a.example", "https://a.exampl", HTTP_ORIGIN_REFUSED},
        {"https://a.example", "https://a.example/", HTTP_ORIGIN_REFUSED},
        {"https://a.example", "null", HTTP_ORIGIN_REFUSED},
        {"null", "null", HTTP_ORIGIN_ALLOWED},
        {"*", "https://anything.example", HTTP_ORIGIN_ALLOWED},
        {"*", "null", HTTP_ORIGIN_ALLOWED},
        {"*", "file://", HTTP_ORIGIN_ALLOWED},
        {"", "https://a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://b.a.example", HTTP_ORIGIN_ALLOWED},
        {"https://*.a.example", "https://c.b.a.example", HTTP_ORIGIN_ALLOWED},
        {"https://*.a.example", "HTTPS://B-1_x.A.EXAMPLE", HTTP_ORIGIN_ALLOWED},
        {"https://*.a.example", "https://a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://b..a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://.b.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://evila.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "http://b.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://b.a.example:444", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example:444", "https://b.a.example:444", HTTP_ORIGIN_ALLOWED},
        {"https://*.a.example", "https://evil/.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://evil#.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://evil?.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://evil@b.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://evil:80.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://evil\\.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*.a.example", "https://b.a.example.evil", HTTP_ORIGIN_REFUSED},
        /* A star is nothing special elsewhere. */
        {"https://a*.example", "https://ab.example", HTTP_ORIGIN_REFUSED},
        {"https://x*.a.example", "https://xb.a.example", HTTP_ORIGIN_REFUSED},
        {"https://*", "https://a.example", HTTP_ORIGIN_REFUSED},
        {"*.a.example", "https://b.a.example", HTTP_ORIGIN_REFUSED},
        {"*://b.a.example", "https://b.a.example", HTTP_ORIGIN_REFUSED},
        {"://*.a", "://b.a", HTTP_ORIGIN_REFUSED},
        {NULL, "https://a.example", HTTP_ORIGIN_REFUSED},
        /* Not an origin at all, whatever the list says. */
        {"*", "", HTTP_ORIGIN_INVALID},
        {"*", "https://a b", HTTP_ORIGIN_INVALID},
        {"*", "https://\xc3\xa4.example", HTTP_ORIGIN_INVALID},
        {"*", "https://a\tb", HTTP_ORIGIN_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum http_origin_verdict verdict = check(cases[i].allowed, "host.example", cases[i].origin);
        if (verdict != cases[i].verdict)
            fail_msg("%s by %s: %d instead of %d", cases[i].origin,
                     cases[i].allowed != NULL ? cases[i].allowed : "nothing", (int)verdict,
                     (int)cases[i].verdict);
    }
}

static void test_same_origin(void **state)
{
    static const struct {
        const char *host, *origin;
        bool same;
    } cases[] = {{"a", "http://a", true},
                 {"a", "https://a", true},
                 {"A.example", "HTTP://a.EXAMPLE", true},
                 {"a:3000", "http://a:3000", true},
                 {"a:80", "http://a", true},
                 {"a", "http://a:80", true},
                 {"a:443", "https://a", true},
                 {"a", "https://a:443", true},
                 {"[::1]:80", "http://[::1]", true},
                 {"a:443", "http://a", false},
                 {"a", "http://a:443", false},
                 {"a:80", "https://a", false},
                 {"a:3000", "http://a", false},
                 {"a", "http://a:3000", false},
                 {"a:3000", "http://a:3001", false},
                 {"a", "http://b", false},
                 {"a", "http://a.b", false},
                 {"a", "http://a/", false},
                 {"a", "ftp://a", false},
                 {"a", "chrome-extension://a", false},
                 {"a", "a", false},
                 {"a", "//a", false},
                 {"a", "://a", false},
                 {"a", "http:a", false},
                 {"null", "null", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum http_origin_verdict verdict = check(NULL, cases[i].host, cases[i].origin);
        if (verdict != (cases[i].same ? HTTP_ORIGIN_SAME : HTTP_ORIGIN_REFUSED))
            fail_msg("%s at %s: %d", cases[i].origin, cases[i].host, (int)verdict);
    }
    /* Listed counts before same: the answer gets its fields. */
    assert_int_equal(check("http://a", "a", "http://a"), HTTP_ORIGIN_ALLOWED);
}

static void test_number_of_fields(void **state)
{
    static const char *const any[] = {"*"};
    struct http_origin_policy policy = {.allowed = any, .allowed_count = 1};
    (void)state;
    assert_int_equal(http_origin_check(&policy, with_fields("GET", "Host: a\r\n")),
                     HTTP_ORIGIN_NONE);
    assert_int_equal(http_origin_check(&policy, with_fields("GET", "Host: a\r\nOrigin: http://a\r\n"
                                                                   "origin: http://a\r\n")),
                     HTTP_ORIGIN_INVALID);
    /* 1.0 without Host: nothing is the same as nothing. */
    struct http_origin_policy nobody = {.allowed_count = 0};
    size_t used;
    int status;
    cvn_slice text = SLICE("GET / HTTP/1.0\r\nOrigin: http://\r\n\r\n");
    assert_int_equal(http_head_decode(text, &head, &used, &status), HTTP_COMPLETE);
    assert_int_equal(http_origin_check(&nobody, &head), HTTP_ORIGIN_REFUSED);
}

/* --- Fields --- */

static void assert_fields(const char *const *allowed, size_t count, bool credentials,
                          const char *origin, const char *expected)
{
    struct http_origin_policy policy = {
        .allowed = allowed, .allowed_count = count, .credentials = credentials};
    struct http_request request = {.head = with_fields("GET", origin)};
    buf_init(&request.fields, 1000);
    assert_true(http_origin_add_fields(&policy, &request, http_origin_check(&policy, &head)));
    if (!slice_eq(buf_slice(&request.fields), cvn_str(expected)))
        fail_msg("\"%.*s\" instead of \"%s\"", SLICE_ARG(buf_slice(&request.fields)), expected);
    buf_release(&request.fields);
}

static void test_fields(void **state)
{
    static const char *const any[] = {"*"}, *const one[] = {"http://b"};
    static const char other[] = "Host: a\r\nOrigin: http://B\r\n", none[] = "Host: a\r\n",
                      same[] = "Host: a\r\nOrigin: http://a\r\n",
                      bad[] = "Host: a\r\nOrigin: http://c\r\n";
    (void)state;
    assert_fields(any, 1, false, other, "Access-Control-Allow-Origin: *\r\n");
    assert_fields(any, 1, false, none, "");
    assert_fields(any, 1, true, other,
                  "Vary: Origin\r\nAccess-Control-Allow-Origin: http://B\r\n"
                  "Access-Control-Allow-Credentials: true\r\n");
    assert_fields(any, 1, true, none, "Vary: Origin\r\n");
    assert_fields(one, 1, false, other,
                  "Vary: Origin\r\nAccess-Control-Allow-Origin: http://B\r\n");
    assert_fields(one, 1, true, other,
                  "Vary: Origin\r\nAccess-Control-Allow-Origin: http://B\r\n"
                  "Access-Control-Allow-Credentials: true\r\n");
    assert_fields(one, 1, true, none, "Vary: Origin\r\n");
    assert_fields(one, 1, true, same, "Vary: Origin\r\n");
    assert_fields(one, 1, true, bad, "Vary: Origin\r\n");
    assert_fields(NULL, 0, true, same, "");
    assert_fields(NULL, 0, true, bad, "");
}

static void test_fields_without_memory(void **state)
{
    static const char *const one[] = {"http://b"};
    struct http_origin_policy policy = {.allowed = one, .allowed_count = 1, .credentials = true};
    (void)state;
    struct http_request request = {.head = with_fields("GET", "Host: a\r\nOrigin: http://b\r\n")};
    buf_init(&request.fields, 1000);
    mem_fail_after(0, 1);
    assert_false(http_origin_add_fields(&policy, &request, HTTP_ORIGIN_ALLOWED));
    mem_fail_after(0, 0);
    buf_release(&request.fields);
}

static void test_is_preflight(void **state)
{
    static const char all[] =
        "Host: a\r\nOrigin: http://b\r\nAccess-Control-Request-Method: PUT\r\n";
    (void)state;
    assert_true(http_origin_is_preflight(with_fields("OPTIONS", all)));
    assert_false(http_origin_is_preflight(with_fields("GET", all)));
    assert_false(
        http_origin_is_preflight(with_fields("OPTIONS", "Host: a\r\nOrigin: http://b\r\n")));
    assert_false(http_origin_is_preflight(
        with_fields("OPTIONS", "Host: a\r\nAccess-Control-Request-Method: PUT\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_same_origin),
        cmocka_unit_test(test_number_of_fields),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_fields_without_memory),
        cmocka_unit_test(test_is_preflight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
