/*
 * Requests and answers in pieces. The path says what the layer above does: see app_on_head. Pieces are written down joined, when the body ends:
 * "all 5 hello;", so that the log does not depend on how they came.
 */
#include "peer.h"

#define HOST    "Host: a\r\n"
#define UPGRADE "Connection: upgrade\r\nUpgrade: tea\r\n"

struct app {
    struct peer *peer;
    struct http_request *request; /* the current one; NULL when over */
    char got[LOG_SIZE];
    size_t got_size, total;
    int drains;
    bool echoes, ends_at_piece, pauses_at_piece, is_full;
};

static struct app app;

static bool is(const struct http_request *request, const char *path)
{
    return slice_eq(request->head->path, cvn_str(path));
}

/* The query as a number. */
static uint64_t number_of(const struct http_request *request)
{
    uint64_t number = HTTP_UNKNOWN_LENGTH;
    if (request->head->query.size > 0)
        assert_true(slice_to_u64(request->head->query, &number));
    return number;
}

static void end_request(void)
{
    struct http_request *request = app.request;
    app.request = NULL;
    app.peer->done++;
    http_stream_end(request);
}

static void app_on_head(struct http_request *request, void *data)
{
    struct peer *peer = data;
    peer_put(peer->heard, "%.*s %.*s;", SLICE_ARG(request->head->method_name),
             SLICE_ARG(request->head->path));
    struct app fresh = {.peer = peer, .request = request};
    app = fresh;
    peer->begun++;
    request->user = peer;
    request->route = 7;
    if (is(request, "/echo")) { /* at once, "?N" so many bytes long */
        app.echoes = true;
        if (http_stream_read(request))
            (void)!http_stream_begin(request, 200, SLICE(""), number_of(request));
        else
            conn_close(peer->conn, CONN_NO_MEMORY);
    } else if (is(request, "/read") || is(request, "/first") || is(request, "/pausing")) {
        app.ends_at_piece = is(request, "/first");
        app.pauses_at_piece = is(request, "/pausing");
        if (!http_stream_read(request))
            conn_close(peer->conn, CONN_NO_MEMORY);
    } else if (is(request, "/paused")) {
        assert_true(http_stream_read(request));
        http_stream_pause(request);
    } else if (is(request, "/status")) { /* answered with it, and four bytes that may not come */
        assert_true(http_stream_begin(request, (int)number_of(request), SLICE("text/plain"), 4));
        http_stream_write(request, SLICE("four"));
        end_request();
    } else if (is(request, "/unread")) {
        assert_true(http_stream_begin(request, 200, SLICE(""), HTTP_UNKNOWN_LENGTH));
        http_stream_write(request, SLICE("x"));
        end_request();
    } else { /* "/later": the test does it */
        assert_true(is(request, "/later"));
    }
}

static void app_on_body(struct http_request *request, char *body, size_t size, void *data)
{
    (void)request;
    (void)body;
    (void)size;
    (void)data;
    fail_msg("nobody asked for a whole body");
}

static void keep(const char *data, size_t size)
{
    app.total += size;
    if (app.got_size + size < sizeof app.got) {
        memcpy(app.got + app.got_size, data, size);
        app.got_size += size;
    }
}

static void app_on_piece(struct http_request *request, char *data, size_t size, void *peer)
{
    assert_ptr_equal(request, app.request);
    assert_ptr_equal(app.peer, peer);
    assert_null(request->head);
    assert_true(size > 0);
    keep(data, size);
    if (app.echoes)
        app.is_full = !http_stream_write(request, slice_of(data, size));
    memset(data, 'p', size);
    if (app.pauses_at_piece)
        http_stream_pause(request);
    if (app.ends_at_piece) {
        assert_true(http_stream_begin(request, 403, SLICE(""), 2));
        http_stream_write(request, SLICE("no"));
        end_request();
    }
}

static void app_on_end(struct http_request *request, void *data)
{
    struct peer *peer = data;
    assert_ptr_equal(request, app.request);
    peer_put(peer->heard, "all %zu ", app.total);
    peer_put_bytes(peer->heard, app.got, app.got_size);
    peer_put(peer->heard, ";");
    if (app.echoes)
        end_request();
}

static void app_on_drain(struct http_request *request, void *data)
{
    (void)data;
    assert_ptr_equal(request, app.request);
    app.drains++;
    app.is_full = false;
}

static void app_on_abort(struct http_request *request, void *data)
{
    struct peer *peer = data;
    assert_ptr_equal(request, app.request);
    app.request = NULL;
    peer->done++;
    peer_put(peer->heard, "gone %zu;", app.total);
}

static const struct http_events app_events = {.on_head = app_on_head,
                                              .on_body = app_on_body,
                                              .on_abort = app_on_abort,
                                              .on_piece = app_on_piece,
                                              .on_end = app_on_end,
                                              .on_drain = app_on_drain};

static void open_peer(struct peer *peer)
{
    peer_open(peer);
    peer_http(peer)->events = &app_events;
}

/* peer_expect for this layer above. */
static void expect(const char *script, const char *heard, const char *answered)
{
    size_t total = strlen(script);
    for (unsigned way = 0; way < PIECES_WAYS; way++) {
        static struct peer peer;
        unsigned seed = way;
        open_peer(&peer);
        for (size_t at = 0; at < total;) {
            size_t piece = pieces_next(way, &seed, total, total - at);
            peer_send(&peer, script + at, piece);
            at += piece;
        }
        if (strcmp(peer.heard, heard) != 0 || strcmp(peer.answered, answered) != 0)
            fail_msg("way %u of %s\n heard    \"%s\"\n expected \"%s\"\n answered \"%s\"\n "
                     "expected \"%s\"",
                     way, script, peer.heard, heard, peer.answered, answered);
        peer_release(&peer);
    }
}

/* --- Bodies --- */

static void test_echo(void **state)
{
    (void)state;
    expect("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
           "POST /echo;all 5 hello;", "200~:hello ");
    expect("POST /echo?5 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
           "POST /echo;all 5 hello;", "200:hello ");
    expect("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: t\r\n\r\n",
           "POST /echo;all 5 hello;", "200~:hello ");
    expect("POST /echo HTTP/1.1\r\n" HOST "\r\n", "POST /echo;all 0 ;", "200~ ");
    expect("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST /echo;all 0 ;",
           "200~ ");
    expect("POST /echo?0 HTTP/1.1\r\n" HOST "\r\n", "POST /echo;all 0 ;", "200 ");
}

static void test_pipelined(void **state)
{
    (void)state;
    expect("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
           "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "3\r\nGET\r\n0\r\n\r\n"
           "GET /status?204 HTTP/1.1\r\n" HOST "\r\n"
           "GET /echo?0 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
           "GET /echo HTTP/1.1\r\n" HOST "\r\n",
           "POST /echo;all 5 hello;POST /echo;all 3 GET;GET /status;GET /echo;all 0 ;",
           "200~:hello 200~:GET 204 200c |");
}

/* The next request waits, however it comes, until the answer before it is whole. */
static void test_pipelined_behind_a_slow_answer(void **state)
{
    static struct peer peer;
    (void)state;
    open_peer(&peer);
    peer_print(&peer,
               "GET /later HTTP/1.1\r\n" HOST "\r\nGET /status?200 HTTP/1.1\r\n" HOST "\r\n");
    assert_true(http_stream_begin(app.request, 200, SLICE(""), HTTP_UNKNOWN_LENGTH));
    assert_true(http_stream_write(app.request, SLICE("one ")));
    peer_turn(&peer);
    peer_advance(&peer, 10ull * IDLE_MS); /* an answer may take its time */
    assert_true(http_stream_write(app.request, SLICE("two")));
    assert_string_equal(peer.heard, "GET /later;");
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.heard, "GET /later;GET /status;");
    assert_string_equal(peer.answered, "200~:one two 200:four ");
    peer_release(&peer);
}

static void test_old_version(void **state)
{
    (void)state;
    expect("POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "POST /echo;all 5 hello;",
           "200c:hello |");
    expect("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
           "POST /echo;all 5 hello;", "200c:hello |");
    expect("POST /echo?5 HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
           "POST /echo;all 5 hello;", "200k:hello ");
    expect("POST /echo?5 HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "POST /echo;all 5 hello;",
           "200c:hello |");
}

static void test_smuggling_is_refused(void **state)
{
    (void)state;
    expect("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
           "", "400c:Bad Request\n |");
    expect("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "",
           "400c:Bad Request\n |");
}

static void test_malformed_body(void **state)
{
    static struct peer peer;
    (void)state;
    expect("POST /read HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nx",
           "POST /read;gone 0;", "400c:Bad Request\n |");
    /* An answer that has begun cannot be taken back. */
    open_peer(&peer);
    peer_print(&peer, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    peer_print(&peer, "1\r\na");
    peer_print(&peer, "\r\nx");
    assert_string_equal(peer.heard, "POST /echo;gone 1;");
    assert_string_equal(peer.answered, "cut |");
    peer_release(&peer);
}

static void test_continue(void **state)
{
    static struct peer peer;
    (void)state;
    expect("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
           "POST /echo;all 0 ;", "200~ ");
    open_peer(&peer);
    peer_print(&peer, "POST /paused HTTP/1.1\r\n" HOST
                      "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_string_equal(peer.answered, "");
    http_stream_resume(app.request);
    peer_turn(&peer);
    assert_string_equal(peer.answered, "100 ");
    peer_print(&peer, "ab");
    assert_string_equal(peer.heard, "POST /paused;all 2 ab;");
    assert_true(http_stream_begin(app.request, 200, SLICE(""), 0));
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "100 200 ");
    peer_release(&peer);
    /* Answered without wanting it: whether the body comes is uncertain, so the connection ends. */
    open_peer(&peer);
    peer_print(&peer, "POST /paused HTTP/1.1\r\n" HOST
                      "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_true(http_stream_begin(app.request, 403, SLICE(""), 0));
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "403 |");
    peer_release(&peer);
    /* It came early. */
    open_peer(&peer);
    peer_print(&peer, "POST /read HTTP/1.1\r\n" HOST
                      "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab");
    assert_string_equal(peer.heard, "POST /read;all 2 ab;");
    assert_true(http_stream_begin(app.request, 200, SLICE(""), 0));
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "100 200 ");
    peer_release(&peer);
}

/* A client that is not read from comes to a halt; nothing is lost when it is read again. */
static void test_pause(void **state)
{
    static char body[600000];
    static struct peer peer;
    (void)state;
    memset(body, 'u', sizeof body);
    open_peer(&peer);
    peer_print(&peer, "POST /paused HTTP/1.1\r\n" HOST "Content-Length: 600000\r\n\r\n");
    size_t sent = peer_send_some(&peer, body, sizeof body);
    assert_true(sent < sizeof body);
    assert_int_equal(app.total, 0);
    assert_true(peer_http(&peer)->in.size <= 2 * WORKER_READ_BUFFER);
    peer_advance(&peer, 10ull * BODY_MS); /* no fault of the client's */
    assert_string_equal(peer.heard, "POST /paused;");
    http_stream_resume(app.request);
    peer_turn(&peer);
    http_stream_pause(app.request);
    http_stream_pause(app.request); /* the second time: nothing */
    size_t before = app.total;
    peer_turn(&peer);
    assert_int_equal(app.total, before);
    http_stream_resume(app.request);
    http_stream_resume(app.request);
    peer_turn(&peer);
    peer_send(&peer, body + sent, sizeof body - sent);
    assert_int_equal(app.total, sizeof body);
    assert_non_null(strstr(peer.heard, "all 600000 "));
    assert_true(http_stream_begin(app.request, 200, SLICE(""), 0));
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200 ");
    assert_idle(&peer);
    peer_release(&peer);
}

/* Paused at each piece, the last one too: the end waits for its turn. */
static void test_pause_at_pieces(void **state)
{
    static struct peer peer;
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        open_peer(&peer);
        peer_print(&peer, "POST /pausing HTTP/1.1\r\n" HOST);
        peer_print(&peer, chunked ? "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
                                  : "Content-Length: 4\r\n\r\nab");
        assert_int_equal(app.total, 2);
        peer_print(&peer, chunked ? "2\r\ncd\r\n0\r\n\r\n" : "cd");
        assert_int_equal(app.total, 2);
        http_stream_resume(app.request);
        peer_turn(&peer);
        assert_int_equal(app.total, 4);
        assert_string_equal(peer.heard, "POST /pausing;");
        http_stream_resume(app.request);
        peer_turn(&peer);
        assert_string_equal(peer.heard, "POST /pausing;all 4 abcd;");
        /* A request that ends while it is paused leaves a connection that reads. */
        http_stream_pause(app.request);
        assert_true(http_stream_begin(app.request, 200, SLICE(""), 0));
        end_request();
        peer_print(&peer, "GET /status?204 HTTP/1.1\r\n" HOST "\r\n");
        assert_string_equal(peer.answered, "200 204 ");
        peer_release(&peer);
    }
}

static void test_body_timeout(void **state)
{
    static struct peer peer;
    (void)state;
    open_peer(&peer);
    peer_print(&peer, "POST /read HTTP/1.1\r\n" HOST "Content-Length: 20\r\n\r\n");
    for (int part = 0; part < 10; part++) { /* all of it may take as long as it likes */
        peer_advance(&peer, BODY_MS - 100000);
        peer_print(&peer, "x");
    }
    assert_string_equal(peer.heard, "POST /read;");
    peer_advance(&peer, BODY_MS + 1);
    assert_string_equal(peer.heard, "POST /read;gone 10;");
    assert_string_equal(peer.answered, "408c:Request Timeout\n |");
    peer_release(&peer);

    open_peer(&peer);
    peer_print(&peer, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 20\r\n\r\nab");
    peer_advance(&peer, BODY_MS + 1);
    assert_string_equal(peer.heard, "POST /echo;gone 2;");
    assert_string_equal(peer.answered, "cut |");
    peer_release(&peer);
}

/* --- Answers --- */

static void test_answers_without_body(void **state)
{
    static struct peer peer;
    (void)state;
    expect("GET /status?204 HTTP/1.1\r\n" HOST "\r\nGET /status?304 HTTP/1.1\r\n" HOST
           "\r\nGET /status?200 HTTP/1.1\r\n" HOST "\r\n",
           "GET /status;GET /status;GET /status;", "204 304 200:four ");
    open_peer(&peer);
    peer.reads = false;
    peer_print(&peer, "HEAD /status?200 HTTP/1.1\r\n" HOST "\r\nHEAD /unread HTTP/1.1\r\n" HOST
                      "\r\nGET /status?200 HTTP/1.1\r\n" HOST "\r\n");
    peer.in_size = (size_t)recv(peer.fd, peer.in, IN_SIZE - 1, 0);
    peer_write_down(&peer, 2);
    assert_string_equal(peer.answered, "200(4) 200(0) 200:four ");
    peer_release(&peer);
}

static void test_lengths_are_kept(void **state)
{
    static struct peer peer;
    (void)state;
    /* Never more than was announced. */
    open_peer(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_true(http_stream_begin(app.request, 200, SLICE(""), 5));
    assert_true(http_stream_write(app.request, SLICE("hel")));
    assert_true(http_stream_write(app.request, SLICE("lo HTTP/1.1 200 OK")));
    assert_true(http_stream_write(app.request, SLICE("more")));
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200:hello ");
    /* Less is no answer. */
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_true(http_stream_begin(app.request, 200, SLICE(""), 5));
    http_stream_write(app.request, SLICE("hell"));
    peer_turn(&peer);
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200:hello cut |");
    assert_false(peer_has_conn(&peer));
    peer_release(&peer);
}

static void test_bad_beginnings(void **state)
{
    static struct peer peer;
    (void)state;
    open_peer(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_false(http_stream_write(app.request, SLICE("too early")));
    assert_false(http_stream_begin(app.request, 199, SLICE(""), 0));
    assert_false(http_stream_begin(app.request, 1000, SLICE(""), 0));
    assert_false(http_stream_begin(app.request, 200, SLICE("text/plain\r\nX: y"), 0));
    assert_false(http_request_add_field(app.request, SLICE("X"), SLICE("y\r\nZ: z")));
    assert_true(http_request_add_field(app.request, SLICE("X-One"), SLICE("1")));
    assert_true(http_stream_begin(app.request, 200, SLICE("text/plain"), 0));
    assert_false(http_stream_begin(app.request, 200, SLICE("text/plain"), 0));
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200[X-One: 1] ");
    assert_idle(&peer);
    /* Ended without having begun. */
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "200[X-One: 1] |");
    peer_release(&peer);
}

/* The answer is whole before the body is: a short rest is read over, another costs the connection. */
static void test_answer_before_the_body(void **state)
{
    (void)state;
    expect("POST /unread HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
           "GET /status?204 HTTP/1.1\r\n" HOST "\r\n",
           "POST /unread;GET /status;", "200~:x 204 ");
    expect("POST /unread HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "POST /unread;",
           "200~c:x |");
    expect("POST /first HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
           "GET /status?204 HTTP/1.1\r\n" HOST "\r\n",
           "POST /first;GET /status;", "403:no 204 ");
    expect("POST /first HTTP/1.1\r\n" HOST "Content-Length: 70000\r\n\r\nhello", "POST /first;",
           "403:no |");
    expect("POST /first HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
           "POST /first;", "403:no |");
}

static void test_abort(void **state)
{
    static const char *const scripts[] = {
        "GET /later HTTP/1.1\r\n" HOST "\r\n",
        "POST /read HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na",
        "POST /paused HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na"};
    static struct peer peer;
    (void)state;
    for (int i = 0; i < 4; i++) {
        open_peer(&peer);
        peer_print(&peer, scripts[i]);
        http_stream_abort(app.request);
        peer.done++;
        peer_turn(&peer);
        assert_string_equal(peer.answered, i == 3 ? "cut |" : "|");
        assert_null(strstr(peer.heard, "gone"));
        assert_false(peer_has_conn(&peer));
        peer_release(&peer);
    }
}

/* --- The client does not read --- */

static void test_slow_reader(void **state)
{
    static char piece[30000];
    static struct peer peer;
    size_t written = 0;
    (void)state;
    memset(piece, 'd', sizeof piece);
    open_peer(&peer);
    peer.reads = false;
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_true(http_stream_begin(app.request, 200, SLICE(""), HTTP_UNKNOWN_LENGTH));
    for (int stop = 0; stop < 2; stop++) {
        do {
            written += sizeof piece;
            peer_turn(&peer);
        } while (http_stream_write(app.request, slice_of(piece, sizeof piece)));
        assert_true(conn_queued(peer.conn) > HTTP_STREAM_HIGH);
        assert_true(conn_queued(peer.conn) < HTTP_STREAM_HIGH + 2 * sizeof piece);
        assert_int_equal(app.drains, stop);
        peer.reads = true;
        peer_turn(&peer);
        peer_turn(&peer);
        assert_int_equal(app.drains, stop + 1);
        assert_int_equal(conn_queued(peer.conn), 0);
        peer.reads = false;
    }
    end_request();
    peer.reads = true;
    peer_turn(&peer);
    char expected[64];
    snprintf(expected, sizeof expected, "200~:#%zu/", written);
    assert_memory_equal(peer.answered, expected, strlen(expected));
    peer_release(&peer);
}

/* Who reads nothing at all is given up, in either role. */
static void test_stalled_reader(void **state)
{
    static char piece[HTTP_STREAM_HIGH + 1];
    static struct peer peer;
    (void)state;
    memset(piece, 'd', sizeof piece);
    for (int raw = 0; raw < 2; raw++) {
        open_peer(&peer);
        peer.reads = false;
        peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST UPGRADE "\r\n");
        if (raw)
            assert_true(http_stream_upgrade(app.request));
        else
            assert_true(http_stream_begin(app.request, 200, SLICE(""), sizeof piece * 4));
        while (http_stream_write(app.request, slice_of(piece, sizeof piece)))
            peer_turn(&peer);
        peer_advance(&peer, BODY_MS - 100000);
        assert_string_equal(peer.heard, "GET /later;");
        peer_advance(&peer, 200000);
        assert_string_equal(peer.heard, "GET /later;gone 0;");
        assert_false(peer_has_conn(&peer));
        peer_release(&peer);
    }
}

/* Who does not heed the result meets the connection's budget. */
static void test_writer_without_measure(void **state)
{
    static char piece[100000];
    static struct peer peer;
    (void)state;
    open_peer(&peer);
    peer.reads = false;
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_true(http_stream_begin(app.request, 200, SLICE(""), HTTP_UNKNOWN_LENGTH));
    for (int i = 0; i < 200 && conn_is_open(peer.conn); i++)
        http_stream_write(app.request, slice_of(piece, sizeof piece));
    assert_false(conn_is_open(peer.conn));
    assert_false(http_stream_write(app.request, SLICE("x")));
    assert_string_equal(peer.heard, "GET /later;"); /* not from inside */
    peer_turn(&peer);
    assert_string_equal(peer.heard, "GET /later;gone 0;");
    peer_release(&peer);
}

/* --- The client leaves --- */

static void test_client_leaves(void **state)
{
    static const char *const scripts[] = {
        "GET /later HTTP/1.1\r\n" HOST "\r\n",
        "POST /read HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na",
        "POST /read HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na",
        "POST /read HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\na",
        "POST /paused HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na",
        "POST /paused HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "POST /pausing HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na"};
    static struct peer peer;
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        for (int way = 0; way < 3; way++) {
            open_peer(&peer);
            peer.reads = way != 2;
            peer_print(&peer, scripts[i]);
            assert_null(strstr(peer.heard, "gone"));
            if (way == 0)
                peer_half_close(&peer);
            else
                peer_vanish(&peer);
            assert_non_null(strstr(peer.heard, "gone"));
            assert_false(peer_has_conn(&peer));
            peer_release(&peer);
        }
    }
}

static void test_ended_in_the_turn_of_a_close(void **state)
{
    static struct peer peer;
    (void)state;
    open_peer(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_true(http_stream_begin(app.request, 200, SLICE(""), 1));
    conn_close(peer.conn, CONN_ERROR);
    assert_false(http_stream_write(app.request, SLICE("x")));
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.heard, "GET /later;");
    peer_release(&peer);
}

/* --- Another protocol --- */

static void test_upgrade(void **state)
{
    static struct peer peer;
    (void)state;
    open_peer(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST UPGRADE "\r\nearly");
    assert_true(http_stream_upgrade(app.request));
    assert_false(http_stream_upgrade(app.request));
    assert_false(http_stream_begin(app.request, 200, SLICE(""), 0));
    assert_int_equal(app.total, 0); /* not from inside */
    http_stream_write(app.request, SLICE("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
    peer_turn(&peer);
    assert_int_equal(app.total, 5);
    assert_string_equal(peer.answered, "101 ");
    peer_advance(&peer, 10ull * IDLE_MS);
    peer_print(&peer, " late");
    assert_memory_equal(app.got, "early late", 10);
    http_stream_write(app.request, SLICE("raw bytes"));
    peer.reads = false;
    peer_turn(&peer);
    char text[32] = "";
    assert_int_equal(recv(peer.fd, text, sizeof text, 0), 9);
    assert_string_equal(text, "raw bytes");
    peer.reads = true;
    http_stream_pause(app.request);
    peer_print(&peer, "not yet");
    assert_int_equal(app.total, 10);
    http_stream_resume(app.request);
    peer_turn(&peer);
    assert_int_equal(app.total, 17);
    end_request();
    peer_turn(&peer);
    assert_string_equal(peer.answered, "101 |");
    assert_string_equal(peer.heard, "GET /later;");
    peer_release(&peer);
}

/* Much behind the head: it waits, bounded, and is not lost. */
static void test_upgrade_with_much_behind(void **state)
{
    static char body[600000];
    static struct peer peer;
    (void)state;
    open_peer(&peer);
    peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST UPGRADE "\r\n");
    size_t sent = peer_send_some(&peer, body, sizeof body);
    assert_true(sent < sizeof body);
    assert_true(http_stream_upgrade(app.request));
    peer_turn(&peer);
    peer_send(&peer, body + sent, sizeof body - sent);
    assert_int_equal(app.total, sizeof body);
    peer_release(&peer);
}

static void test_upgrade_refused(void **state)
{
    static const char *const scripts[] = {
        "GET /later HTTP/1.1\r\n" HOST "\r\n",
        "GET /later HTTP/1.1\r\n" HOST "Upgrade: tea\r\n\r\n",
        "GET /later HTTP/1.0\r\n" UPGRADE "\r\n",
        "GET /later HTTP/1.1\r\n" HOST UPGRADE "Content-Length: 1\r\n\r\n",
        "GET /later HTTP/1.1\r\n" HOST UPGRADE "Transfer-Encoding: chunked\r\n\r\n"};
    static struct peer peer;
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        open_peer(&peer);
        peer_print(&peer, scripts[i]);
        assert_false(http_stream_upgrade(app.request));
        assert_true(http_stream_begin(app.request, 426, SLICE(""), 0));
        end_request();
        peer_turn(&peer);
        assert_memory_equal(peer.answered, "426", 3);
        peer_release(&peer);
    }
}

static void test_upgrade_and_leave(void **state)
{
    static struct peer peer;
    (void)state;
    for (int way = 0; way < 4; way++) {
        open_peer(&peer);
        peer_print(&peer, "GET /later HTTP/1.1\r\n" HOST UPGRADE "\r\nabc");
        assert_true(http_stream_upgrade(app.request));
        if (way == 0) {
            peer_half_close(&peer);
        } else if (way == 1) {
            peer_vanish(&peer);
        } else if (way == 2) { /* paused, with bytes that wait */
            http_stream_pause(app.request);
            peer_vanish(&peer);
        } else {
            http_stream_abort(app.request);
            peer.done++;
            peer_turn(&peer);
        }
        assert_string_equal(peer.heard, way == 3   ? "GET /later;"
                                        : way == 2 ? "GET /later;gone 0;"
                                                   : "GET /later;gone 3;");
        assert_false(peer_has_conn(&peer));
        peer_release(&peer);
    }
}

/* --- Memory runs out --- */

static void run_out_of_memory(unsigned way, uint64_t successes, uint64_t failures, char *ret,
                              uint64_t *ret_count)
{
    static const char script[] =
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    static struct peer peer;
    unsigned seed = way;
    size_t total = sizeof script - 1;
    open_peer(&peer);
    uint64_t before = mem_allocation_count();
    mem_fail_after(successes, failures);
    for (size_t at = 0; at < total && !peer.ended;) {
        size_t piece = pieces_next(way, &seed, total, total - at);
        peer_send(&peer, script + at, piece);
        at += piece;
    }
    mem_fail_after(0, 0);
    *ret_count = mem_allocation_count() - before;
    peer_turn(&peer);
    memcpy(ret, peer.answered, sizeof peer.answered);
    peer_release(&peer);
}

static void test_failing_allocations(void **state)
{
    static char all[LOG_SIZE], some[LOG_SIZE];
    (void)state;
    for (unsigned way = 0; way < PIECES_WAYS; way += 3) {
        uint64_t count = 0, ignored;
        run_out_of_memory(way, UINT64_MAX, 0, all, &count);
        assert_string_equal(all, "200~:hello 200~:ab ");
        size_t complete = 0;
        for (uint64_t n = 0; n < count; n++) {
            run_out_of_memory(way, n, 1, some, &ignored);
            if (strcmp(some, all) == 0) {
                complete++;
                continue;
            }
            char *end = strstr(some, "cut |");
            if (end == NULL)
                end = strchr(some, '|');
            assert_non_null(end); /* the connection is over, visibly */
            assert_memory_equal(some, all, (size_t)(end - some));
        }
        assert_true(complete < count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_pipelined_behind_a_slow_answer),
        cmocka_unit_test(test_old_version),
        cmocka_unit_test(test_smuggling_is_refused),
        cmocka_unit_test(test_malformed_body),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_pause_at_pieces),
        cmocka_unit_test(test_body_timeout),
        cmocka_unit_test(test_answers_without_body),
        cmocka_unit_test(test_lengths_are_kept),
        cmocka_unit_test(test_bad_beginnings),
        cmocka_unit_test(test_answer_before_the_body),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_stalled_reader),
        cmocka_unit_test(test_writer_without_measure),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_ended_in_the_turn_of_a_close),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_upgrade_with_much_behind),
        cmocka_unit_test(test_upgrade_refused),
        cmocka_unit_test(test_upgrade_and_leave),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
