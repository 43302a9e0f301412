/* How connections end: timeouts, clients that leave, orderly and abrupt closes. Time is moved by hand. */
#include "peer.h"

#define HOST "Host: a\r\n"

static void test_idle_timeout(void **state)
{
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer_advance(&peer, IDLE_MS - 100000);
    assert_idle(&peer);
    peer_print(&peer, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    assert_idle(&peer);
    peer_advance(&peer, IDLE_MS - 100000); /* counted anew from the answer */
    assert_idle(&peer);
    peer_advance(&peer, 101000);
    assert_string_equal(peer.answered, "200 |"); /* without a word */
    assert_false(peer_has_conn(&peer));
    peer_release(&peer);
    /* Also when nothing was ever asked. */
    peer_open(&peer);
    peer_advance(&peer, IDLE_MS + 1);
    assert_string_equal(peer.answered, "|");
    peer_release(&peer);
}

static void test_head_timeout(void **state)
{
    static const char head[] = "GET /now HTTP/1.1\r\n" HOST "X: y\r\n\r\n";
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer_advance(&peer, IDLE_MS - 100000); /* idleness does not count */
    for (size_t i = 0; i < 9; i++) {       /* each byte in time, all of them too slow */
        peer_send(&peer, head + i, 1);
        assert_string_equal(peer.answered, "");
        peer_advance(&peer, HEAD_MS / 10);
    }
    assert_string_equal(peer.answered, "");
    peer_send(&peer, head + 9, 1);
    peer_advance(&peer, HEAD_MS / 10 + 1);
    assert_string_equal(peer.answered, "408c:Request Timeout\n |");
    assert_string_equal(peer.heard, "");
    peer_release(&peer);

    /* The next head has its own time, from its own first byte. */
    peer_open(&peer);
    peer_print(&peer, "GET");
    peer_advance(&peer, HEAD_MS - 100000);
    peer_print(&peer, " /now HTTP/1.1\r\n" HOST "\r\nGET");
    peer_advance(&peer, HEAD_MS - 100000);
    assert_string_equal(peer.answered, "200 ");
    peer_advance(&peer, 100001);
    assert_string_equal(peer.answered, "200 408c:Request Timeout\n |");
    peer_release(&peer);
}

/* The time of a head that waits behind a pending request begins when its turn comes. */
static void test_head_behind_pending(void **state)
{
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /now");
    peer_advance(&peer, 10ull * IDLE_MS); /* a pending request has no end */
    assert_string_equal(peer.answered, "");
    peer_answer(&peer, "");
    peer_turn(&peer);
    peer_advance(&peer, HEAD_MS - 100000);
    assert_string_equal(peer.answered, "200 ");
    peer_advance(&peer, 100001);
    assert_string_equal(peer.answered, "200 408c:Request Timeout\n |");
    peer_release(&peer);
}

static void test_body_timeout(void **state)
{
    static const char *const framings[] = {"Content-Length: 20\r\n\r\n",
                                           "Transfer-Encoding: chunked\r\n\r\n14\r\n"};
    static struct peer peer;
    (void)state;
    for (int i = 0; i < 2; i++) {
        peer_open(&peer);
        peer_print(&peer, "POST /body HTTP/1.1\r\n" HOST);
        peer_print(&peer, framings[i]);
        for (int part = 0; part < 10; part++) {
            peer_print(&peer, "x");
            assert_string_equal(peer.answered, "");
            peer_advance(&peer, BODY_MS / 10 - 1000);
        }
        assert_string_equal(peer.answered, "");
        peer_advance(&peer, 10001);
        assert_string_equal(peer.answered, "408c:Request Timeout\n |");
        assert_string_equal(peer.heard, "POST /body;abort;");
        peer_release(&peer);
    }
    /* What nobody reads has an end too, but its request is answered already. */
    peer_open(&peer);
    peer_print(&peer, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 20\r\n\r\nx");
    peer_advance(&peer, BODY_MS - 100000);
    assert_string_equal(peer.answered, "200 ");
    peer_advance(&peer, 100001);
    assert_string_equal(peer.answered, "200 |");
    assert_string_equal(peer.heard, "POST /now;");
    peer_release(&peer);
    /* A whole one has stopped the clock. */
    peer_open(&peer);
    peer_print(&peer, "POST /body-later HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx");
    peer_advance(&peer, 10ull * BODY_MS);
    peer_answer(&peer, "a");
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200:a ");
    peer_release(&peer);
}

/* A request and the end of the stream that arrive together: the request is served. */
static void test_request_with_end(void **state)
{
    static const char *const scripts[] = {
        "GET /now?a HTTP/1.1\r\n" HOST "\r\nGET /now?b HTTP/1.1\r\n" HOST "\r\n",
        "GET /now?a HTTP/1.1\r\n" HOST "\r\nPOST /body HTTP/1.1\r\n" HOST
        "Content-Length: 1\r\n\r\nb"};
    static struct peer peer;
    (void)state;
    for (int i = 0; i < 2; i++) {
        peer_open(&peer);
        size_t size = strlen(scripts[i]);
        assert_int_equal(send(peer.fd, scripts[i], size, MSG_NOSIGNAL), size);
        peer_half_close(&peer);
        assert_string_equal(peer.answered, "200:a 200:b |");
        assert_false(peer_has_conn(&peer));
        peer_release(&peer);
    }
}

/* The client leaves, in every state, by ending its side or altogether. */
static void test_client_leaves(void **state)
{
    static const struct {
        const char *script, *heard;
    } cases[] = {
        {"", ""},
        {"GET /n", ""},
        {"GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now;"},
        {"GET /later HTTP/1.1\r\n" HOST "\r\n", "GET /later;abort;"},
        {"GET /later HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n",
         "GET /later;abort;"},
        {"POST /body HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n", "POST /body;abort;"},
        {"POST /body HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc", "POST /body;abort;"},
        {"POST /body HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
         "POST /body;abort;"},
        {"POST /body-later HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx",
         "POST /body-later;body 1 x;abort;"},
        {"POST /now HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc", "POST /now;"},
        {"GET /close HTTP/1.1\r\n" HOST "\r\n", "GET /close;"},
        {"GET /upgrade HTTP/1.1\r\n" HOST "\r\n", "GET /upgrade;raw end;"}};
    static struct peer peer;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int way = 0; way < 3; way++) {
            peer_open(&peer);
            peer.reads = way != 2; /* 2: unread answers make it a reset */
            peer_print(&peer, cases[i].script);
            if (way == 0)
                peer_half_close(&peer);
            else
                peer_vanish(&peer);
            assert_string_equal(peer.heard, cases[i].heard);
            assert_false(peer_has_conn(&peer));
            peer_release(&peer);
        }
    }
}

/* The layer above closes. */
static void test_drop(void **state)
{
    static struct peer peer;
    (void)state;
    peer_expect("GET /drop HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n",
                "GET /drop;abort;", "|");
    peer_expect("POST /body-and-drop HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
                "POST /body-and-drop;abort;", "|");

    /* Closed from elsewhere, then answered in the same turn: neither sent nor aborted. */
    peer_open(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    conn_close(peer.conn, CONN_ERROR);
    peer_answer(&peer, "never");
    peer_turn(&peer);
    assert_string_equal(peer.heard, "GET /later;");
    assert_string_equal(peer.answered, "|");
    peer_release(&peer);

    /* Closed in the turn in which a timer runs out. */
    static const char *const begun[] = {"", "GET",
                                        "POST /body HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n"};
    for (int i = 0; i < 3; i++) {
        peer_open(&peer);
        peer_print(&peer, begun[i]);
        conn_close(peer.conn, CONN_ERROR);
        peer_advance(&peer, IDLE_MS + 1);
        assert_string_equal(peer.answered, "|");
        assert_string_equal(peer.heard, i == 2 ? "POST /body;abort;" : "");
        peer_release(&peer);
    }
}

static void test_worker_stops(void **state)
{
    static struct peer peer;
    (void)state;
    peer_open(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    worker_stop(&peer.workers[0]);
    worker_stop(&peer.workers[1]);
    for (int i = 0; i < PEER_WORKERS; i++) {
        worker_run(&peer.workers[i]);
        worker_release(&peer.workers[i]);
    }
    assert_string_equal(peer.heard, "GET /later;abort;");
    assert_int_equal(peer.begun, peer.done);
    close(peer.fd);
    free(peer.in);
}

/* After an answer with "Connection: close": our side ends at once, what the client still sends is dropped
 * unread, and its end, or the linger time, is the end. */
static void test_orderly_close(void **state)
{
    static struct peer peer;
    (void)state;
    for (int patient = 0; patient <= 1; patient++) {
        peer_open(&peer);
        peer_print(&peer, "GET /close HTTP/1.1\r\n" HOST "\r\n");
        assert_string_equal(peer.answered, "403c:bye |");
        peer_print(&peer, "GET /now HTTP/1.1\r\n" HOST "\r\n");
        assert_true(peer_has_conn(&peer));
        if (patient)
            peer_advance(&peer, LINGER_MS + 1000);
        else
            peer_half_close(&peer);
        assert_false(peer_has_conn(&peer));
        assert_string_equal(peer.heard, "GET /close;");
        peer_release(&peer);
    }
}

/* A large answer that is read slowly is no idleness; one that is not read at all comes to an end. */
static void test_slow_reader(void **state)
{
    static struct peer peer;
    (void)state;
    for (int closing = 0; closing <= 1; closing++) {
        for (int patient = 0; patient <= 1; patient++) {
            peer_open_with(&peer, &peer_budget, 4096);
            peer.reads = false;
            peer_print(&peer, closing ? "GET /shared HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
                                      : "GET /shared HTTP/1.1\r\n" HOST "\r\n");
            size_t queued = conn_queued(peer.conn);
            assert_true(queued > 40000);
            peer_advance(&peer, (closing ? LINGER_MS : IDLE_MS) + 1000);
            assert_true(peer_has_conn(&peer));
            if (patient) {
                peer.reads = true;
                for (int i = 0; i < 30; i++)
                    peer_turn(&peer);
                assert_memory_equal(peer.answered, closing ? "200c:#69990/" : "200:#69990/",
                                    closing ? 12 : 11);
            } else {
                peer_advance(&peer, 70000 / 16);
                assert_false(peer_has_conn(&peer));
            }
            peer_release(&peer);
        }
    }
}

/* A reader beyond the budget costs its connection and nothing else; the request counts as answered. */
static void test_budget(void **state)
{
    static const struct conn_limits small = {.high_water = 1000, .max = 20000};
    static struct peer peer;
    (void)state;
    peer_open_with(&peer, &small, 4096);
    peer.reads = false;
    peer_print(&peer, "GET /shared HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(peer.heard, "GET /shared;");
    assert_false(peer_has_conn(&peer));
    peer_release(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_timeout),
        cmocka_unit_test(test_head_timeout),
        cmocka_unit_test(test_head_behind_pending),
        cmocka_unit_test(test_body_timeout),
        cmocka_unit_test(test_request_with_end),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_worker_stops),
        cmocka_unit_test(test_orderly_close),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, peer_make_shared, peer_free_shared);
}
