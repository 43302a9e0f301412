/*
 * The request head parser: what it takes, what it refuses and with which status, each case whole, byte by
 * byte, in random pieces, and at the edge of a page.
 */
#include "pieces.h"
#include "http/http_head.h"

#define CRLF "\r\n"
#define HOST "Host: a.example" CRLF
#define GET  "GET / HTTP/1.1" CRLF

struct verdict {
    enum http_decode result;
    int status;       /* of a refusal */
    size_t used;      /* of a head */
    char summary[64]; /* of a head: what the pieces must agree on */
};

static void summarize(const struct http_head *head, cvn_slice data, struct verdict *ret)
{
    snprintf(ret->summary, sizeof ret->summary, "%d %u %d%d%d%d%d %llu %zu", (int)head->method,
             head->minor_version, head->keep_alive, head->chunked, head->has_length,
             head->expects_continue, head->wants_upgrade, (unsigned long long)head->content_length,
             head->field_count);
    cvn_slice inside[3 + 2 * HTTP_MAX_FIELDS] = {head->method_name, head->target, head->path};
    for (size_t i = 0; i < head->field_count; i++) {
        inside[3 + 2 * i] = head->fields[i].name;
        inside[4 + 2 * i] = head->fields[i].value;
    }
    for (size_t i = 0; i < 3 + 2 * head->field_count; i++) {
        assert_true(inside[i].data >= data.data);
        assert_true(inside[i].data + inside[i].size <= data.data + ret->used);
    }
}

/* The first `size` bytes, as a copy of their own. The copy is kept when `ret_head` wants to look at it. */
static struct verdict decode(cvn_slice bytes, size_t size, struct http_head *ret_head,
                             char **ret_copy)
{
    static struct http_head head;
    struct verdict verdict = {.status = -1};
    char *copy = guard_copy(bytes.data, size);
    memset(&head, 0x55, sizeof head);
    size_t used = SIZE_MAX;
    int status = -1;
    verdict.result = http_head_decode(slice_of(copy, size), &head, &used, &status);
    if (verdict.result == HTTP_COMPLETE) {
        verdict.used = used;
        summarize(&head, slice_of(copy, size), &verdict);
    } else { /* untouched on failure */
        assert_int_equal(used, SIZE_MAX);
        assert_int_equal(head.field_count, (size_t)0x5555555555555555);
    }
    verdict.status = status;
    if (ret_head != NULL) {
        *ret_head = head;
        *ret_copy = copy;
    } else {
        guard_free(copy, size);
    }
    return verdict;
}

/* The verdict in one way of arriving: the first that is not HTTP_NEED_MORE. */
static struct verdict decode_in_pieces(cvn_slice bytes, unsigned way)
{
    struct verdict verdict = {.result = HTTP_NEED_MORE};
    unsigned seed = way;
    for (size_t have = 0; have < bytes.size && verdict.result == HTTP_NEED_MORE;) {
        have += pieces_next(way, &seed, bytes.size, bytes.size - have);
        verdict = decode(bytes, have, NULL, NULL);
    }
    return verdict;
}

static void assert_refused_bytes(cvn_slice bytes, int status)
{
    for (unsigned way = 0; way < PIECES_WAYS; way++) {
        struct verdict verdict = decode_in_pieces(bytes, way);
        if (verdict.result != HTTP_REFUSED || verdict.status != status)
            fail_msg("way %u, result %d, status %d instead of %d: %.*s", way, (int)verdict.result,
                     verdict.status, status, SLICE_ARG(bytes));
    }
}

static void assert_refused(const char *text, int status)
{
    assert_refused_bytes(cvn_str(text), status);
}

/* A head that is taken, in every way, and the same each time; what follows it is left alone. */
static void assert_taken(const char *text)
{
    cvn_slice bytes = cvn_str(text);
    struct verdict first = decode(bytes, bytes.size, NULL, NULL);
    if (first.result != HTTP_COMPLETE)
        fail_msg("result %d, status %d: %s", (int)first.result, first.status, text);
    assert_int_equal(first.used, bytes.size);
    for (unsigned way = 1; way < PIECES_WAYS; way++) {
        struct verdict verdict = decode_in_pieces(bytes, way);
        assert_int_equal(verdict.result, HTTP_COMPLETE);
        assert_int_equal(verdict.used, first.used);
        assert_string_equal(verdict.summary, first.summary);
    }
    char followed[4096];
    size_t size = (size_t)snprintf(followed, sizeof followed, "%s\r\n\n:GET", text);
    struct verdict verdict = decode(slice_of(followed, size), size, NULL, NULL);
    assert_int_equal(verdict.result, HTTP_COMPLETE);
    assert_int_equal(verdict.used, first.used);
    assert_string_equal(verdict.summary, first.summary);
}

static char *kept_copy;
static size_t kept_size;

/* The same, and the head to look at; its bytes live until the next call. */
static const struct http_head *parse(const char *text)
{
    static struct http_head head;
    assert_taken(text);
    if (kept_copy != NULL)
        guard_free(kept_copy, kept_size);
    kept_size = strlen(text);
    decode(cvn_str(text), kept_size, &head, &kept_copy);
    return &head;
}

static int free_kept(void **state)
{
    (void)state;
    if (kept_copy != NULL)
        guard_free(kept_copy, kept_size);
    kept_copy = NULL;
    return 0;
}

static void assert_slice(cvn_slice slice, const char *text)
{
    if (!slice_eq(slice, cvn_str(text)))
        fail_msg("\"%.*s\" instead of \"%s\"", SLICE_ARG(slice), text);
}

/* --- What is taken --- */

static void test_whole_head(void **state)
{
    (void)state;
    const struct http_head *head = parse(
        "POST /chat/room?a=1&b=%20 HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 12\r\n"
        "X-Empty:\r\nX-Blank: \t \r\nX-Text:\t in the \t middle \r\nx-obs: \xc3\xa4\xff\r\n\r\n");
    assert_int_equal(head->method, HTTP_POST);
    assert_slice(head->method_name, "POST");
    assert_slice(head->target, "/chat/room?a=1&b=%20");
    assert_slice(head->path, "/chat/room");
    assert_slice(head->query, "a=1&b=%20");
    assert_slice(head->host, "a.example:8080");
    assert_int_equal(head->minor_version, 1);
    assert_true(head->keep_alive);
    assert_false(head->chunked);
    assert_true(head->has_length);
    assert_int_equal(head->content_length, 12);
    assert_int_equal(head->field_count, 6);
    assert_slice(head->fields[0].name, "Host");
    assert_slice(http_head_get(head, SLICE("x-EMPTY")), "");
    assert_non_null(http_head_get(head, SLICE("x-empty")).data);
    assert_slice(http_head_get(head, SLICE("x-blank")), "");
    assert_slice(http_head_get(head, SLICE("X-TEXT")), "in the \t middle");
    assert_slice(http_head_get(head, SLICE("X-Obs")), "\xc3\xa4\xff");
    assert_null(http_head_get(head, SLICE("x-none")).data);
}

static void test_methods(void **state)
{
    static const struct {
        const char *name;
        enum http_method method;
    } cases[] = {
        {"GET", HTTP_GET},         {"HEAD", HTTP_HEAD},   {"POST", HTTP_POST},
        {"PUT", HTTP_PUT},         {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE},
        {"OPTIONS", HTTP_OPTIONS}, {"get", HTTP_OTHER},   {"PROPFIND", HTTP_OTHER},
        {"GE", HTTP_OTHER},        {"GETS", HTTP_OTHER},  {"!#$%&'*+-.^_`|~09azAZ", HTTP_OTHER}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\n" HOST CRLF, cases[i].name);
        assert_int_equal(parse(text)->method, cases[i].method);
    }
}

static void test_targets(void **state)
{
    static const struct {
        const char *target, *path, *query;
    } cases[] = {{"/", "/", ""},
                 {"/?", "/", ""},
                 {"/a?b?c", "/a", "b?c"},
                 {"//x/y", "//x/y", ""},
                 {"/%00%2F", "/%00%2F", ""},
                 {"http://a.example/p?q", "/p", "q"},
                 {"HTTPS://A.EXAMPLE/", "/", ""},
                 {"http://a.example/?x=http://b/", "/", "x=http://b/"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST CRLF, cases[i].target);
        const struct http_head *head = parse(text);
        assert_slice(head->target, cases[i].target);
        assert_slice(head->path, cases[i].path);
        assert_slice(head->query, cases[i].query);
        assert_true(slice_eq_nocase(head->host, SLICE("a.example")));
    }
    assert_slice(parse("OPTIONS * HTTP/1.1\r\n" HOST CRLF)->path, "*");
    /* Under 1.0 a Host is not needed; an absolute target has one. */
    assert_slice(parse("GET http://b/ HTTP/1.0\r\n\r\n")->host, "b");
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n")->host.size, 0);
}

static void test_one_empty_line_first(void **state)
{
    (void)state;
    assert_slice(parse(CRLF GET HOST CRLF)->method_name, "GET");
    assert_refused(CRLF CRLF GET HOST CRLF, 400);
    assert_refused("\n" GET HOST CRLF, 400);
    assert_refused("\r\r\n" GET HOST CRLF, 400);
}

static void test_keep_alive(void **state)
{
    static const struct {
        const char *version, *fields;
        bool keep_alive;
    } cases[] = {{"1.1", "", true},
                 {"1.1", "Connection: close\r\n", false},
                 {"1.1", "connection: x , CLOSE\r\n", false},
                 {"1.1", "Connection: keep-alive\r\nConnection: close\r\n", false},
                 {"1.1", "Connection: closed\r\n", true},
                 {"1.1", "Connection: ,,\r\n", true},
                 {"1.0", "", false},
                 {"1.0", "Connection: Keep-Alive\r\n", true},
                 {"1.0", "Connection: keep-alive, close\r\n", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        snprintf(text, sizeof text, "GET / HTTP/%s\r\n" HOST "%s\r\n", cases[i].version,
                 cases[i].fields);
        assert_int_equal(parse(text)->keep_alive, cases[i].keep_alive);
    }
}

static void test_upgrade_and_expect(void **state)
{
    (void)state;
    assert_true(parse(GET HOST "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
                    ->wants_upgrade);
    assert_false(parse(GET HOST "Upgrade: websocket\r\n\r\n")->wants_upgrade);
    assert_false(parse(GET HOST "Connection: upgrade\r\n\r\n")->wants_upgrade);
    assert_false(
        parse("GET / HTTP/1.0\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            ->wants_upgrade);

    assert_true(parse(GET HOST "expect: 100-Continue\r\n\r\n")->expects_continue);
    assert_false(parse("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n")->expects_continue);
    assert_false(parse("GET / HTTP/1.0\r\nExpect: magic\r\n\r\n")->expects_continue);
    assert_refused(GET HOST "Expect: 200-ok\r\n\r\n", 417);
    assert_refused(GET HOST "Expect:\r\n\r\n", 417);
    assert_refused(GET HOST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 417);
}

static void test_body_framing(void **state)
{
    (void)state;
    const struct http_head *head = parse(GET HOST "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(head->chunked);
    assert_false(head->has_length);
    assert_true(parse(GET HOST "transfer-encoding:\t ChUnKeD \t\r\n\r\n")->chunked);
    assert_int_equal(parse(GET HOST "content-length:0\r\n\r\n")->content_length, 0);
    assert_true(parse(GET HOST "content-length:0\r\n\r\n")->has_length);
    assert_int_equal(parse(GET HOST "Content-Length: \t007 \r\n\r\n")->content_length, 7);
    assert_int_equal(parse(GET HOST "Content-Length: 999999999999999999\r\n\r\n")->content_length,
                     999999999999999999);
    /* Neither name is special with something behind or before it. */
    head =
        parse(GET HOST "X-Content-Length: 5\r\nContent-Length2: 6\r\nTransfer-Encodin: x\r\n\r\n");
    assert_false(head->has_length || head->chunked);
}

/* --- What is refused --- */

static void test_smuggling(void **state)
{
    static const char *const bodies[] = {
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: x\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\x0b"
        "chunked\r\n",
        "Transfer-Encoding: chunked\x0c\r\n",
        "Transfer-Encoding: \x01\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5,5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5a\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: 1e3\r\n",
        "Content-Length: \r\n",
        "Content-Length:\r\n",
        "Content-Length : 5\r\n",
        "Content-Length: \x0b"
        "5\r\n",
        "Content-Length: \xc2\xa0"
        "5\r\n",
        "Content-Length: 1000000000000000000\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 18446744073709551621\r\n",
        "Content-Length: 99999999999999999999999999999999999999\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char text[300];
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "%s\r\n", bodies[i]);
        assert_refused(text, 400);
    }
    static const char *const codings[] = {"identity",    "gzip",        "xchunked", "chunkedx",
                                          "\"chunked\"", "chunked;a=b", "chunk ed", ""};
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        char text[300];
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: %s\r\n\r\n",
                 codings[i]);
        assert_refused(text, 501);
    }
    assert_refused("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400);
}

static void test_line_ends(void **state)
{
    static const char *const heads[] = {"GET / HTTP/1.1\nHost: a\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: a\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: a\r\n\n",
                                        "GET / HTTP/1.1\n\nHost: a\r\n\r\n",
                                        "GET / HTTP/1.1\rHost: a\r\n\r\n",
                                        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n",
                                        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        assert_refused(heads[i], 400);
}

static void test_request_lines(void **state)
{
    static const struct {
        const char *line;
        int status;
    } cases[] = {
        {"", 400},
        {" ", 400},
        {"GET", 400},
        {"GET ", 400},
        {"GET /", 400},
        {"GET / ", 400},
        {" GET / HTTP/1.1", 400},
        {"GET  / HTTP/1.1", 400},
        {"GET /  HTTP/1.1", 400},
        {"GET / HTTP/1.1 ", 400},
        {"GET\t/ HTTP/1.1", 400},
        {"GET /\tHTTP/1.1", 400},
        {"GET / x HTTP/1.1", 400},
        {"GET / http/1.1", 400},
        {"GET / HTTP/1", 400},
        {"GET / HTTP/11", 400},
        {"GET / HTTP/1.10", 400},
        {"GET / HTTP/1,1", 400},
        {"GET / HTTP/a.1", 400},
        {"GET / HTTP/1.x", 400},
        {"GET / HTTPS/1.1", 400},
        {"GET / ICY/1.1", 400},
        {"GET / HTTP/0.9", 505},
        {"GET / HTTP/1.2", 505},
        {"GET / HTTP/2.0", 505},
        {"PRI * HTTP/2.0", 400},
        {"G(T / HTTP/1.1", 400},
        {"G\xc3\x84T / HTTP/1.1", 400},
        {"\"GET\" / HTTP/1.1", 400},
        {"GET:/ HTTP/1.1", 400},
        {"GET path HTTP/1.1", 400},
        {"GET ?q HTTP/1.1", 400},
        {"GET * HTTP/1.1", 400},
        {"OPTIONS *x HTTP/1.1", 400},
        {"CONNECT a.example:80 HTTP/1.1", 400},
        {"GET a.example/ HTTP/1.1", 400},
        {"GET /#fragment HTTP/1.1", 400},
        {"GET /\x7f HTTP/1.1", 400},
        {"GET /\x01 HTTP/1.1", 400},
        {"GET /\xc3\xa4 HTTP/1.1", 400},
        {"GET ftp://a.example/ HTTP/1.1", 400},
        {"GET http:/a.example/ HTTP/1.1", 400},
        {"GET http:// HTTP/1.1", 400},
        {"GET http:/// HTTP/1.1", 400},
        {"GET http://a.example HTTP/1.1", 400},
        {"GET http://a.example?x=/admin HTTP/1.1", 400},
        {"GET http://b.example/ HTTP/1.1", 400},    /* not the Host's */
        {"GET http://a.example:80/ HTTP/1.1", 400}, /* not letter by letter */
        {"GET http://user@a.example/ HTTP/1.1", 400},
        {"GET http://a.example\\@b/ HTTP/1.1", 400},
        {"GET x-http://a.example/ HTTP/1.1", 400},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        snprintf(text, sizeof text, "%s\r\n" HOST CRLF, cases[i].line);
        /* An empty line may come first, so that the Host field is the request line here. */
        assert_refused(text, cases[i].status);
    }
}

static void test_fields(void **state)
{
    static const char *const fields[] = {
        "Name : x",    "Name\t: x",   " Name: x",   "\tName: x",   ": x",
        ":",           "Name",        "Na me: x",   "Na(me: x",    "N\xc3\xa4me: x",
        "Name\x7f: x", "\"Name\": x", "Name: \x01", "Name: a\x7f", "Name: a\x08z",
        "Na[me]: x",   "Name;: x",    "N\x1f: x",   "{N}: x",      "N/: x"};
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char text[300];
        snprintf(text, sizeof text, GET HOST "%s\r\n\r\n", fields[i]);
        assert_refused(text, 400);
        snprintf(text, sizeof text, GET "%s\r\n" HOST CRLF, fields[i]);
        assert_refused(text, 400);
    }
}

/* Every byte in a name and in a value: RFC 9110 sections 5.5 and 5.6.2, written a second time. */
static void test_every_byte(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char name[] = GET HOST "Na?me: x\r\n\r\n", value[] = GET HOST "Name: a?b\r\n\r\n";
        bool is_token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') ||
                        (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL);
        bool is_value = c == '\t' || (c >= ' ' && c != 0x7f);
        *strchr(name, '?') = *strchr(value, '?') = (char)c;
        struct verdict in_name = decode_in_pieces(slice_of(name, sizeof name - 1), 0);
        struct verdict in_value = decode_in_pieces(slice_of(value, sizeof value - 1), 0);
        /* A colon only ends the name earlier. */
        assert_int_equal(in_name.result, is_token || c == ':' ? HTTP_COMPLETE : HTTP_REFUSED);
        assert_int_equal(in_value.result, is_value ? HTTP_COMPLETE : HTTP_REFUSED);
        char single = (char)c;
        assert_int_equal(http_head_is_token(slice_of(&single, 1)), is_token);
        if (!is_token && c != ':' && c != '\n')
            assert_refused_bytes(slice_of(name, sizeof name - 1), 400);
        if (!is_value)
            assert_refused_bytes(slice_of(value, sizeof value - 1), 400);
    }
    assert_false(http_head_is_token(SLICE("")));
}

static void test_hosts(void **state)
{
    static const char *const bad[] = {"",
                                      "Host:\r\n",
                                      "Host: \t\r\n",
                                      "Host: a\r\nHost: a\r\n",
                                      "Host: a\r\nhost: b\r\n",
                                      "Host: a b\r\n",
                                      "Host: a\tb\r\n",
                                      "Host: a,b\r\n",
                                      "Host: a/b\r\n",
                                      "Host: a?b\r\n",
                                      "Host: a#b\r\n",
                                      "Host: u@a\r\n",
                                      "Host: a\\b\r\n",
                                      "Host: <a>\r\n",
                                      "Host: \xc3\xa4\r\n"};
    static const char *const good[] = {"a",        "a:1",          "127.0.0.1:3000",
                                       "[::1]:80", "a_b.example.", "xn--4ca.example"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        snprintf(text, sizeof text, GET "%s\r\n", bad[i]);
        assert_refused(text, 400);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[200];
        snprintf(text, sizeof text, GET "Host: %s\r\n\r\n", good[i]);
        assert_slice(parse(text)->host, good[i]);
    }
    assert_refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    assert_refused("GET / HTTP/1.0\r\nHost:\r\n\r\n", 400);
}

static void test_nul(void **state)
{
    static const char head[] = GET HOST "Name: value\r\n\r\n";
    (void)state;
    for (size_t i = 0; i + 1 < sizeof head; i++) {
        char copy[sizeof head];
        memcpy(copy, head, sizeof head);
        copy[i] = '\0';
        assert_refused_bytes(slice_of(copy, sizeof head - 1), 400);
    }
}

/* --- Limits --- */

/* `prefix`, then `count` times `fill`, then `suffix`. */
static char *build(const char *prefix, size_t count, char fill, const char *suffix)
{
    size_t head = strlen(prefix), tail = strlen(suffix);
    char *text = malloc(head + count + tail + 1);
    assert_non_null(text);
    memcpy(text, prefix, head);
    memset(text + head, fill, count);
    memcpy(text + head + count, suffix, tail + 1);
    return text;
}

/* Large inputs byte by byte are slow under the sanitizers: whole, halves, and all but the last byte. */
static struct verdict decode_large(const char *text)
{
    cvn_slice bytes = cvn_str(text);
    struct verdict whole = decode(bytes, bytes.size, NULL, NULL);
    for (size_t have = bytes.size / 2; have < bytes.size; have += 1 + (bytes.size - have) / 3) {
        struct verdict verdict = decode(bytes, have, NULL, NULL);
        if (verdict.result == HTTP_NEED_MORE)
            continue;
        assert_int_equal(verdict.result, whole.result);
        assert_int_equal(verdict.status, whole.status);
        assert_int_equal(verdict.result, HTTP_REFUSED);
    }
    return whole;
}

static void test_long_target(void **state)
{
    static const char rest[] = " HTTP/1.1\r\n" HOST CRLF;
    (void)state;
    for (int more = 0; more <= 1; more++) {
        char *text = build("GET /", HTTP_MAX_TARGET - 1 + (size_t)more, 'x', rest);
        struct verdict verdict = decode_large(text);
        assert_int_equal(verdict.result, more ? HTTP_REFUSED : HTTP_COMPLETE);
        assert_int_equal(verdict.status, more ? 414 : -1);
        free(text);
    }
    /* A target without an end is not waited for. */
    char *text = build("GET /", HTTP_MAX_TARGET + 20, 'x', "");
    assert_int_equal(decode_large(text).status, 414);
    free(text);
    /* Nor is a method. */
    text = build("G", HTTP_MAX_HEAD, 'E', "");
    assert_int_equal(decode_large(text).status, 431);
    free(text);
}

static void test_long_head(void **state)
{
    static const char before[] = GET HOST "X: ", after[] = CRLF CRLF;
    size_t room = HTTP_MAX_HEAD - (sizeof before - 1) - (sizeof after - 1);
    (void)state;
    for (int more = 0; more <= 1; more++) {
        char *text = build(before, room + (size_t)more, 'x', after);
        struct verdict verdict = decode_large(text);
        assert_int_equal(verdict.result, more ? HTTP_REFUSED : HTTP_COMPLETE);
        assert_int_equal(verdict.status, more ? 431 : -1);
        if (!more)
            assert_int_equal(verdict.used, HTTP_MAX_HEAD);
        free(text);
    }
    char *text = build(before, HTTP_MAX_HEAD, 'x', "");
    assert_int_equal(decode_large(text).status, 431);
    free(text);
}

static void test_many_fields(void **state)
{
    (void)state;
    for (size_t count = HTTP_MAX_FIELDS - 1; count <= HTTP_MAX_FIELDS + 1; count++) {
        char text[4096] = GET HOST;
        for (size_t i = 1; i < count; i++) /* Host is one of them */
            strcat(text, "a:b\r\n");
        strcat(text, CRLF);
        if (count > HTTP_MAX_FIELDS)
            assert_refused(text, 431);
        else
            assert_int_equal(parse(text)->field_count, count);
    }
}

/* What is wrong already is not waited for. */
static void test_early_refusal(void **state)
{
    static const char *const begun[] = {"\x16",
                                        "\n",
                                        " ",
                                        "GET / HTTP/1.1\n",
                                        "GE(",
                                        "GET / FTP/1.1\r\n",
                                        GET HOST "X : y\r\n",
                                        GET HOST "a\rb",
                                        GET " "
                                            "x\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof begun / sizeof *begun; i++)
        assert_refused(begun[i], 400);
    cvn_slice nul = slice_of("GET /\0", 6);
    assert_refused_bytes(nul, 400);
    /* And nothing is refused that may still be right. */
    static const char head[] = CRLF GET HOST "Content-Length: 1\r\n\r\n";
    for (size_t have = 0; have + 1 < sizeof head - 1; have++)
        assert_int_equal(decode(slice_of(head, sizeof head - 1), have, NULL, NULL).result,
                         HTTP_NEED_MORE);
}

/* --- Looking things up --- */

static void test_tokens(void **state)
{
    (void)state;
    const struct http_head *head =
        parse(GET HOST
              "Connection: keep-alive , Upgrade\r\nCONNECTION:x,,close\r\nOther: closed\r\n\r\n");
    assert_true(http_head_has_token(head, SLICE("connection"), SLICE("upgrade")));
    assert_true(http_head_has_token(head, SLICE("Connection"), SLICE("KEEP-ALIVE")));
    assert_true(http_head_has_token(head, SLICE("Connection"), SLICE("x")));
    assert_true(http_head_has_token(head, SLICE("Connection"), SLICE("close")));
    assert_false(http_head_has_token(head, SLICE("Connection"), SLICE("clos")));
    assert_false(http_head_has_token(head, SLICE("Connection"), SLICE("keep")));
    assert_false(http_head_has_token(head, SLICE("Other"), SLICE("close")));
    assert_false(http_head_has_token(head, SLICE("Missing"), SLICE("close")));
}

static void test_query(void **state)
{
    (void)state;
    cvn_slice query = SLICE("EIO=4&transport=polling&&t=&flag&x=a=b&EIO=3&=y&sid=%20");
    assert_slice(http_query_get(query, SLICE("EIO")), "4");
    assert_slice(http_query_get(query, SLICE("transport")), "polling");
    assert_slice(http_query_get(query, SLICE("t")), "");
    assert_non_null(http_query_get(query, SLICE("t")).data);
    assert_slice(http_query_get(query, SLICE("flag")), "");
    assert_non_null(http_query_get(query, SLICE("flag")).data);
    assert_slice(http_query_get(query, SLICE("x")), "a=b");
    assert_slice(http_query_get(query, SLICE("")), "y");
    assert_slice(http_query_get(query, SLICE("sid")), "%20");
    assert_null(http_query_get(query, SLICE("eio")).data);
    assert_null(http_query_get(query, SLICE("transpor")).data);
    assert_null(http_query_get(SLICE(""), SLICE("")).data);
    assert_null(http_query_get(SLICE("&&&"), SLICE("")).data);

    static const char *const pairs[][2] = {{"EIO", "4"}, {"transport", "polling"},
                                           {"t", ""},    {"flag", ""},
                                           {"x", "a=b"}, {"EIO", "3"},
                                           {"", "y"},    {"sid", "%20"}};
    char *copy = guard_copy(query.data, query.size);
    cvn_slice rest = slice_of(copy, query.size), name, value;
    size_t count = 0;
    while (http_query_next(&rest, &name, &value)) {
        assert_true(count < sizeof pairs / sizeof *pairs);
        assert_slice(name, pairs[count][0]);
        assert_slice(value, pairs[count][1]);
        count++;
    }
    assert_int_equal(count, sizeof pairs / sizeof *pairs);
    guard_free(copy, query.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_head),   cmocka_unit_test(test_methods),
        cmocka_unit_test(test_targets),      cmocka_unit_test(test_one_empty_line_first),
        cmocka_unit_test(test_keep_alive),   cmocka_unit_test(test_upgrade_and_expect),
        cmocka_unit_test(test_body_framing), cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_line_ends),    cmocka_unit_test(test_request_lines),
        cmocka_unit_test(test_fields),       cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_hosts),        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_long_target),  cmocka_unit_test(test_long_head),
        cmocka_unit_test(test_many_fields),  cmocka_unit_test(test_early_refusal),
        cmocka_unit_test(test_tokens),       cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, free_kept);
}
