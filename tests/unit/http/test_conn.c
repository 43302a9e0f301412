/* Requests and answers over a real socket: framing of both, keep-alive, pipelining, bodies. */
#include "peer.h"

#define HOST  "Host: a\r\n"
#define ENDED "\r\n\r\n"

static void test_answers(void **state)
{
    (void)state;
    peer_expect("GET /now?hi HTTP/1.1\r\n" HOST "\r\n", "GET /now;", "200:hi ");
    peer_expect("GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now;", "200 ");
    peer_expect("DELETE /fields HTTP/1.1\r\n" HOST "\r\n", "DELETE /fields;",
                "200[X-One: 1][X-Two: 2 2]:x ");
    peer_expect("GET /none HTTP/1.1\r\n" HOST "\r\nGET /now?a HTTP/1.1\r\n" HOST "\r\n",
                "GET /none;GET /now;", "204 200:a ");
    peer_expect("GET /same HTTP/1.1\r\n" HOST "\r\nGET /now?a HTTP/1.1\r\n" HOST "\r\n",
                "GET /same;GET /now;", "304 200:a ");
    peer_expect("GET /close HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n",
                "GET /close;", "403c:bye |");
    char shared[LOG_SIZE] = "200:";
    peer_put_bytes(shared, peer_shared->data + 10, peer_shared->size - 10);
    strcat(shared, " ");
    peer_expect("GET /shared HTTP/1.1\r\n" HOST "\r\n", "GET /shared;", shared);
}

static void test_keep_alive(void **state)
{
    (void)state;
    peer_expect("GET /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /now HTTP/1.1\r\n" HOST
                "\r\n",
                "GET /now;", "200c |");
    peer_expect("GET /now HTTP/1.0\r\n\r\nGET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now;",
                "200c |");
    peer_expect("GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /now?a HTTP/1.1\r\n" HOST
                "\r\n",
                "GET /now;GET /now;", "200k 200:a ");
    peer_expect("GET /close HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /close;",
                "403c:bye |");
    /* An empty line between two requests is forgiven. */
    peer_expect("GET /now?a HTTP/1.1\r\n" HOST "\r\n\r\nGET /now?b HTTP/1.1\r\n" HOST "\r\n",
                "GET /now;GET /now;", "200:a 200:b ");
}

/* HEAD: the length of what would come, and nothing of it. */
static void test_head_answers(void **state)
{
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer.reads = false;
    peer_print(&peer, "HEAD /now?four HTTP/1.1\r\n" HOST "\r\nHEAD /shared HTTP/1.1\r\n" HOST
                      "\r\nGET /now?x HTTP/1.1\r\n" HOST "\r\n");
    peer.in_size = (size_t)recv(peer.fd, peer.in, IN_SIZE - 1, 0);
    peer_write_down(&peer, 2);
    assert_string_equal(peer.answered, "200(4) 200(69990) 200:x ");
    assert_int_equal(peer.in_size, 0);
    peer.reads = true;
    assert_idle(&peer);
    peer_release(&peer);
}

/* --- Bodies --- */

static void test_sized_bodies(void **state)
{
    (void)state;
    peer_expect("POST /body HTTP/1.1\r\n" HOST
                "Content-Length: 5\r\n\r\nhelloGET /now?a HTTP/1.1\r\n" HOST "\r\n",
                "POST /body;body 5 hello;GET /now;", "200:hello 200:a ");
    peer_expect("POST /body HTTP/1.1\r\n" HOST
                "Content-Length: 0\r\n\r\nGET /now?a HTTP/1.1\r\n" HOST "\r\n",
                "POST /body;body 0 ;GET /now;", "200 200:a ");
    peer_expect("GET /body HTTP/1.1\r\n" HOST "\r\nGET /now?a HTTP/1.1\r\n" HOST "\r\n",
                "GET /body;body 0 ;GET /now;", "200 200:a ");
    peer_expect("POST /body HTTP/1.0\r\n\r\n", "POST /body;body 0 ;", "200c |");
    peer_expect("POST /body-none HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
                "POST /body-none;body 0 ;", "200 ");
    peer_expect("POST /body-close HTTP/1.1\r\n" HOST
                "Content-Length: 5\r\n\r\nhelloGET /now HTTP/1.1\r\n",
                "POST /body-close;body 5 hello;", "200c:hello |");
    peer_expect("POST /body-drop HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
                "POST /body-drop;body 5 hello;abort;", "|");
}

static void test_chunked_bodies(void **state)
{
    static const char head[] = "POST /body HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
    char script[1000];
    (void)state;
    snprintf(script, sizeof script, "%s5\r\nhello\r\n1;x\r\n!\r\n0\r\nT: v\r\n\r\n%s", head,
             "GET /now?a HTTP/1.1\r\n" HOST "\r\n");
    peer_expect(script, "POST /body;body 6 hello!;GET /now;", "200:hello! 200:a ");
    snprintf(script, sizeof script, "%s0\r\n\r\nGET /now?a HTTP/1.1\r\n" HOST "\r\n", head);
    peer_expect(script, "POST /body;body 0 ;GET /now;", "200 200:a ");
    static const char *const bad[] = {"x",    "5\nhello", "5\r\nhello0\r\n",
                                      "\r\n", "0\r\n\n",  "000000001\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(script, sizeof script, "%s%s", head, bad[i]);
        peer_expect(script, "POST /body;abort;", "400c:Bad Request\n |");
    }
}

static char *fill(char *at, char c, size_t size)
{
    memset(at, c, size);
    return at + size;
}

static void test_body_limits(void **state)
{
    static char script[4000];
    (void)state;
    /* By its length: at once, without waiting for a byte of it. */
    peer_expect("POST /body HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n", "POST /body;abort;",
                "413c |");
    peer_expect("POST /body HTTP/1.1\r\n" HOST "Content-Length: 999999999999999999\r\n\r\n",
                "POST /body;abort;", "413c |");
    peer_expect("POST /body-none HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n",
                "POST /body-none;abort;", "413c |");
    /* Fields that were added for the answer that never came are not in this one. */
    peer_expect("POST /body-fields HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n",
                "POST /body-fields;abort;", "413c |");
    /* Exactly the limit. */
    size_t head =
        (size_t)sprintf(script, "POST /body-none HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    memcpy(script, "POST /body     ", 15);
    memmove(script + 10, script + 15, head - 15);
    fill(script + head - 5, 'x', 1000);
    char heard[LOG_SIZE] = "POST /body;body 1000 ", answered[LOG_SIZE] = "200:";
    peer_put_bytes(heard, script + head - 5, 1000);
    peer_put_bytes(answered, script + head - 5, 1000);
    strcat(heard, ";");
    strcat(answered, " ");
    peer_expect_bytes(slice_of(script, head - 5 + 1000), heard, answered);

    /* Chunked: when it is exceeded, or a chunk is announced that will. */
    static const char chunked[] =
        "POST /body HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
    snprintf(script, sizeof script, "%s%s", chunked, "3e9\r\n");
    peer_expect(script, "POST /body;abort;", "413c |");
    char *at = script + sprintf(script, "%s3e8\r\n", chunked);
    at = fill(at, 'x', 1000);
    memcpy(at, "\r\n1\r\n", 5);
    peer_expect_bytes(slice_of(script, (size_t)(at + 5 - script)), "POST /body;abort;", "413c |");
    memcpy(at, "\r\n0\r\n\r\n", 7);
    peer_expect_bytes(slice_of(script, (size_t)(at + 7 - script)), heard, answered);
}

static void test_expect_continue(void **state)
{
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer_print(&peer,
               "POST /body HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_string_equal(peer.answered, "100 ");
    peer_print(&peer, "hi");
    assert_string_equal(peer.answered, "100 200:hi ");
    peer_print(&peer, "POST /body HTTP/1.1\r\n" HOST
                      "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer_print(&peer, "0\r\n\r\n");
    assert_string_equal(peer.answered, "100 200:hi 100 200 ");
    /* Nothing to continue with. */
    peer_print(&peer,
               "POST /body HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(peer.answered, "100 200:hi 100 200 200 ");
    peer_release(&peer);
    /* Refused: nobody is asked to continue. */
    peer_expect("POST /body HTTP/1.1\r\n" HOST
                "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n",
                "POST /body;abort;", "413c |");
    /* Answered without reading: the client may now leave the body out, so the next bytes could be either. */
    peer_expect("POST /now HTTP/1.1\r\n" HOST
                "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nGET /now HTTP/1.1\r\n" HOST
                "\r\n",
                "POST /now;", "200c |");
    peer_expect("POST /now?a HTTP/1.1\r\n" HOST
                "Expect: 100-continue\r\nContent-Length: 0\r\n\r\nGET /now?b HTTP/1.1\r\n" HOST
                "\r\n",
                "POST /now;GET /now;", "200:a 200:b ");
}

static void test_unread_bodies(void **state)
{
    (void)state;
    peer_expect("POST /now?a HTTP/1.1\r\n" HOST
                "Content-Length: 26\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
                "GET /now?b HTTP/1.1\r\n" HOST "\r\n",
                "POST /now;GET /now;", "200:a 200:b ");
    peer_expect("POST /now HTTP/1.1\r\n" HOST
                "Content-Length: 65537\r\n\r\nGET /now HTTP/1.1\r\n" HOST "\r\n",
                "POST /now;", "200c |");
    peer_expect("POST /now HTTP/1.1\r\n" HOST
                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /now HTTP/1.1\r\n" HOST "\r\n",
                "POST /now;", "200c |");
    peer_expect("POST /now HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 3\r\n\r\nabc",
                "POST /now;", "200c |");
}

/* The answer comes while the body is still on its way. */
static void test_answer_before_body(void **state)
{
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer_print(&peer, "POST /body-taken-later HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n01234");
    assert_string_equal(peer.answered, "");
    peer_answer(&peer, "early");
    peer_print(&peer, "567");
    assert_string_equal(peer.answered, "200:early ");
    peer_print(&peer, "89GET /now?a HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(peer.answered, "200:early 200:a ");
    assert_idle(&peer);
    peer_print(&peer, "POST /body-taken-later HTTP/1.1\r\n" HOST
                      "Transfer-Encoding: chunked\r\n\r\n5\r\nhel");
    peer_answer(&peer, "early");
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200:early 200:a 200c:early |");
    assert_string_equal(peer.heard, "POST /body-taken-later;GET /now;POST /body-taken-later;");
    peer_release(&peer);
}

/* --- Refused heads --- */

static void test_refused_heads(void **state)
{
    static char script[HTTP_MAX_HEAD + 100];
    (void)state;
    peer_expect("GET /now?a HTTP/1.1\r\n" HOST "\r\nGET\r\n", "GET /now;",
                "200:a 400c:Bad Request\n |");
    peer_expect("GET / HTTP/1.1\r\n\r\n", "", "400c:Bad Request\n |");
    peer_expect("POST / HTTP/1.1\r\n" HOST
                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "", "400c:Bad Request\n |");
    peer_expect("GET / HTTP/2.0\r\n" HOST "\r\n", "", "505c:HTTP Version Not Supported\n |");
    peer_expect("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: br\r\n\r\n", "",
                "501c:Not Implemented\n |");
    peer_expect("GET / HTTP/1.1\r\n" HOST "Expect: more\r\n\r\n", "",
                "417c:Expectation Failed\n |");
    peer_expect("HEAD / HTTP/1.1\r\n\r\n", "", "400c:Bad Request\n |");

    static struct peer peer;
    for (int line = 0; line <= 1; line++) { /* never ending: a line, or a head */
        peer_open(&peer);
        int size =
            line ? sprintf(script, "GET / HTTP/1.1\r\n" HOST "X: ") : sprintf(script, "GET /");
        fill(script + size, 'x', sizeof script - (size_t)size);
        peer_send(&peer, script, sizeof script);
        assert_string_equal(peer.answered, line ? "431c:Request Header Fields Too Large\n |"
                                                : "414c:URI Too Long\n |");
        peer_release(&peer);
    }
}

/* A head sent in the smallest of pieces is not parsed once a byte. */
static void test_small_pieces(void **state)
{
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer_print(&peer, "GET /");
    assert_int_equal(peer_http(&peer)->tried, 5);
    size_t tries = 0, last = 5;
    for (int i = 0; i < 1000; i++) {
        peer_print(&peer, "x");
        tries += peer_http(&peer)->tried != last;
        last = peer_http(&peer)->tried;
    }
    assert_true(tries >= 5 && tries <= 10);
    peer_print(&peer, " HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(peer.answered, "200 ");
    assert_idle(&peer);
    peer_release(&peer);
}

/* --- Pipelining --- */

static void test_pipelining(void **state)
{
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer_print(&peer,
               "GET /later HTTP/1.1\r\n" HOST "\r\nGET /now?b HTTP/1.1\r\n" HOST
               "\r\nPOST /body-later HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcGET /now?d "
               "HTTP/1.1\r\n" HOST "\r\nGET /");
    assert_string_equal(peer.heard, "GET /later;");
    assert_string_equal(peer.answered, "");
    peer_answer(&peer, "a");
    peer_turn(&peer);
    assert_string_equal(peer.heard, "GET /later;GET /now;POST /body-later;body 3 abc;");
    assert_string_equal(peer.answered, "200:a 200:b ");
    peer_answer(&peer, "c");
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200:a 200:b 200:c 200:d ");
    peer_print(&peer, "now?e HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(peer.answered, "200:a 200:b 200:c 200:d 200:e ");
    assert_idle(&peer);
    peer_release(&peer);
}

/* Thousands in a row take no more stack than one. */
static void test_no_recursion(void **state)
{
    static struct peer peer;
    static char script[65000];
    static const char request[] = "GET /n HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t size = 0, count = 0;
    (void)state;
    for (; size + sizeof request < sizeof script; size += sizeof request - 1, count++)
        memcpy(script + size, request, sizeof request - 1);
    peer_open(&peer);
    peer_send(&peer, script, size);
    assert_int_equal(peer.begun, count);
    assert_int_equal(strlen(peer.answered), count * 4);
    assert_ptr_equal(peer.lowest, peer.highest);
    peer_release(&peer);
}

/* Whoever pipelines without end behind a request that waits is not read from any more. */
static void test_pipelining_is_bounded(void **state)
{
    static struct peer peer;
    static char script[3000000];
    static const char request[] = "GET /n HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t size = 0;
    (void)state;
    for (; size + sizeof request < sizeof script; size += sizeof request - 1)
        memcpy(script + size, request, sizeof request - 1);
    peer_open(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    size_t sent = peer_send_some(&peer, script, size);
    assert_true(sent < size);
    assert_true(peer_http(&peer)->in.size > HTTP_MAX_HEAD);
    assert_true(peer_http(&peer)->in.size <= HTTP_MAX_HEAD + WORKER_READ_BUFFER);
    /* Answered, it goes on where it stopped. */
    size_t whole = sent / (sizeof request - 1);
    peer.answered[0] = '\0';
    peer_answer(&peer, "");
    for (int i = 0; i < 20; i++)
        peer_turn(&peer);
    assert_int_equal(peer.begun, 1 + whole);
    assert_int_equal(strlen(peer.answered), 4 * (1 + whole));
    peer_release(&peer);
    /* A paused one that leaves is noticed. */
    peer_open(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    peer_send_some(&peer, script, 100000);
    peer_vanish(&peer);
    assert_string_equal(peer.heard, "GET /later;abort;");
    assert_false(peer_has_conn(&peer));
    peer_release(&peer);
}

/* Answers may come from inside the callbacks of another connection. */
static void test_answer_from_another(void **state)
{
    static struct peer a, b;
    (void)state;
    peer_open(&a);
    peer_open(&b);
    b.other = &a;
    peer_print(&a, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /now?next HTTP/1.1\r\n" HOST "\r\n");
    peer_print(&b, "GET /other?x HTTP/1.1\r\n" HOST "\r\n");
    peer_turn(&a);
    assert_string_equal(a.answered, "200:from afar 200:next ");
    assert_string_equal(b.answered, "200:x ");
    peer_release(&a);
    peer_release(&b);
}

/* --- Fields of answers --- */

static void test_added_fields(void **state)
{
    static struct peer peer;
    static char long_value[17000];
    (void)state;
    peer_open(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    struct http_request *request = peer.pending[0];
    static const char *const bad_names[] = {"", "a b", "a:", "a\r", "\xc3\xa4", "a\n"};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++)
        assert_false(http_request_add_field(request, cvn_str(bad_names[i]), SLICE("x")));
    assert_false(http_request_add_field(request, slice_of("a\0b", 3), SLICE("x")));
    assert_false(http_request_add_field(request, SLICE("X-A"), SLICE("x\r\nX-Evil: y")));
    assert_false(http_request_add_field(request, SLICE("X-A"), SLICE("x\n")));
    assert_false(http_request_add_field(request, SLICE("X-A"), slice_of("x\0", 2)));
    assert_int_equal(request->fields.size, 0);
    assert_true(http_request_add_field(request, SLICE("X-A"), SLICE("1\t\xc3\xa4")));
    assert_true(http_request_add_field(request, SLICE("X-A"), SLICE("")));
    fill(long_value, 'v', sizeof long_value);
    assert_false(
        http_request_add_field(request, SLICE("X-Long"), slice_of(long_value, sizeof long_value)));
    mem_fail_after(0, 1);
    assert_false(http_request_add_field(request, SLICE("X-Memory"), slice_of(long_value, 9000)));
    mem_fail_after(0, 0);
    assert_true(http_request_add_field(request, SLICE("X-B"), SLICE("2")));
    peer_answer(&peer, "x");
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200[X-A: 1\t\xc3\xa4][X-A: ][X-B: 2]:x ");
    peer_print(&peer, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(peer.answered, "200[X-A: 1\t\xc3\xa4][X-A: ][X-B: 2]:x 200 ");
    peer_release(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_head_answers),
        cmocka_unit_test(test_sized_bodies),
        cmocka_unit_test(test_chunked_bodies),
        cmocka_unit_test(test_body_limits),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_unread_bodies),
        cmocka_unit_test(test_answer_before_body),
        cmocka_unit_test(test_refused_heads),
        cmocka_unit_test(test_small_pieces),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_no_recursion),
        cmocka_unit_test(test_pipelining_is_bounded),
        cmocka_unit_test(test_answer_from_another),
        cmocka_unit_test(test_added_fields),
    };
    return cmocka_run_group_tests(tests, peer_make_shared, peer_free_shared);
}
