/* The application's requests in pieces, through the public names and over real connections. */
#include "client.h"

#define MANY (20u << 20)

static cvn_server *server;
static uint16_t port;
static cvn_http_request *owed; /* an answer to */

/* --- The application --- */

struct upload {
    size_t total;
    bool waits; /* for the client to read */
};

static void echo_body(cvn_http_request *request, cvn_slice piece, void *data)
{
    struct upload *upload = data;
    upload->total += piece.size;
    if (!cvn_http_write(request, piece)) {
        upload->waits = true;
        cvn_http_pause(request);
    }
}

static void echo_end(cvn_http_request *request, void *data)
{
    note("echoed %zu", ((struct upload *)data)->total);
    free(data);
    cvn_http_end(request);
}

static void echo_drain(cvn_http_request *request, void *data)
{
    struct upload *upload = data;
    upload->waits = false;
    cvn_http_resume(request);
}

static void echo_gone(cvn_http_request *request, void *data)
{
    (void)request;
    note("gone");
    free(data);
}

static const cvn_http_stream_events echo_events = {echo_body, echo_end, echo_drain, echo_gone};

static void raw_body(cvn_http_request *request, cvn_slice piece, void *data)
{
    (void)data;
    if (memchr(piece.data, '.', piece.size) != NULL) {
        cvn_http_write(request, cvn_str("bye"));
        cvn_http_end(request);
    } else {
        cvn_http_write(request, piece);
    }
}

static void raw_gone(cvn_http_request *request, void *data)
{
    (void)request;
    (void)data;
    note("raw gone");
}

static const cvn_http_stream_events raw_events = {.on_body = raw_body, .on_gone = raw_gone};
/* Nothing but what is required: bodies are dropped. */
static const cvn_http_stream_events least_events = {.on_gone = raw_gone};

static bool is_path(cvn_http_request *request, const char *path)
{
    cvn_slice found = cvn_http_path(request);
    return found.size == strlen(path) && memcmp(found.data, path, found.size) == 0;
}

static void describe(cvn_http_request *request)
{
    char text[256];
    cvn_slice target = cvn_http_target(request);
    uint64_t length = cvn_http_length(request);
    int size = snprintf(text, sizeof text, "%.*s 1.%u %s%llu%s%s", (int)target.size, target.data,
                        cvn_http_minor_version(request), length == CVN_HTTP_UNKNOWN ? "?" : "",
                        length == CVN_HTTP_UNKNOWN ? 0 : (unsigned long long)length,
                        cvn_http_wants_upgrade(request) ? " upgrade" : "",
                        cvn_http_is_secure(request) ? " secure" : "");
    assert_false(cvn_http_add_header(request, "content-length", cvn_str("1")));
    assert_false(cvn_http_add_header(request, "Transfer-Encoding", cvn_str("chunked")));
    assert_false(cvn_http_add_header(request, "CONNECTION", cvn_str("close")));
    assert_false(cvn_http_add_header(request, "X", cvn_str("a\r\nY: b")));
    assert_true(cvn_http_add_header(request, "X-Yes", cvn_str("1")));
    cvn_http_respond(request, 200, "text/plain", (cvn_slice){text, (size_t)size});
}

static bool on_head(cvn_http_request *request, void *data)
{
    assert_string_equal(data, "data");
    if (is_path(request, "/describe")) {
        describe(request);
    } else if (is_path(request, "/echo")) {
        struct upload *upload = calloc(1, sizeof *upload);
        assert_non_null(upload);
        uint64_t length = cvn_http_length(request);
        assert_true(cvn_http_stream(request, &echo_events, upload));
        assert_false(cvn_http_stream(request, &echo_events, upload));
        assert_true(cvn_http_begin(request, 200, "text/plain", length));
    } else if (is_path(request, "/raw")) {
        assert_true(cvn_http_stream(request, &raw_events, NULL));
        if (!cvn_http_upgrade(request)) {
            assert_true(cvn_http_begin(request, 426, NULL, 0));
            cvn_http_end(request);
            return true;
        }
        cvn_http_write(request,
                       cvn_str("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                               "Upgrade: raw\r\n\r\n"));
    } else if (is_path(request, "/twice")) {
        assert_true(cvn_http_stream(request, &least_events, NULL));
        assert_true(cvn_http_begin(request, 200, NULL, 100));
        cvn_http_respond(request, 200, NULL, cvn_str("a second head"));
    } else {
        return false;
    }
    return true;
}

/* Whole bodies may have answers in pieces, too. */
static void on_http(cvn_http_request *request, void *data)
{
    (void)data;
    if (is_path(request, "/pieces")) {
        cvn_slice body = cvn_http_body(request);
        static const cvn_http_stream_events no_gone;
        assert_false(cvn_http_stream(request, &no_gone, NULL));
        assert_true(cvn_http_stream(request, &least_events, NULL));
        assert_true(cvn_http_begin(request, 201, NULL, body.size * 2));
        assert_true(cvn_http_write(request, body));
        assert_true(cvn_http_write(request, body));
        cvn_http_end(request);
    } else if (is_path(request, "/forever")) {
        assert_true(cvn_http_stream(request, &least_events, NULL));
        assert_true(cvn_http_begin(request, 200, "text/event-stream", CVN_HTTP_UNKNOWN));
        assert_true(cvn_http_write(request, cvn_str("data: 1\n\n")));
    } else if (is_path(request, "/owed")) {
        owed = request;
        note("owed");
    } else if (is_path(request, "/abort")) {
        cvn_http_abort(request);
    } else {
        cvn_http_respond(request, 200, NULL, cvn_http_body(request));
    }
}

static int start(void **state)
{
    (void)state;
    notes_open();
    server = cvn_server_new(
        &(cvn_options){.host = "127.0.0.1", .workers = 1, .shutdown_timeout_ms = 1000});
    if (server == NULL)
        return -1;
    cvn_on_http(server, on_http, NULL);
    static char data[] = "data";
    cvn_on_http_head(server, on_head, data);
    if (cvn_server_start(server) != CVN_OK)
        return -1;
    port = cvn_server_port(server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cvn_server_free(server);
    notes_close();
    return 0;
}

/* --- Tests --- */

static void test_what_is_told_at_the_head(void **state)
{
    (void)state;
    struct client *client = client_new(port);
    struct response *response = http_exchange(client, "GET", "/describe?a=%20b&c", NULL, NULL);
    assert_response(response, 200, "/describe?a=%20b&c 1.1 0");
    assert_header(response, "X-Yes: 1");
    assert_null(strstr(response->head, "\nY:"));
    response = http_exchange(client, "POST", "http://localhost/describe?x", NULL, "four");
    assert_response(response, 200, "/describe?x 1.1 4");
    response =
        http_exchange(client, "GET", "/describe", "Connection: upgrade\r\nUpgrade: x\r\n", NULL);
    assert_response(response, 200, "/describe 1.1 0 upgrade");
    http_send(client, "POST", "/describe", "Transfer-Encoding: chunked\r\n", NULL);
    client_write(client, "0\r\n\r\n", 5);
    response = http_receive(client, true);
    assert_response(response, 200, "/describe 1.1 ?0");
    client_free(client);
}

static void test_others_are_asked(void **state)
{
    (void)state;
    struct client *client = client_new(port);
    assert_response(http_exchange(client, "POST", "/else", NULL, "whole"), 200, "whole");
    assert_response(http_exchange(client, "POST", "/pieces", NULL, "ab"), 201, "abab");
    assert_response(http_exchange(client, "POST", "/else", NULL, "again"), 200, "again");
    client_free(client);
}

/* Far more than any buffer, both ways on one connection, while the client does not read for long stretches. */
static void test_large_echo(void **state)
{
    (void)state;
    struct client *client = client_new(port);
    static char block[65536];
    char fields[64];
    size_t sent = 0, got = 0;
    snprintf(fields, sizeof fields, "Content-Length: %u\r\n", MANY);
    http_send(client, "POST", "/echo", fields, NULL);
    struct response *response = http_receive(client, false);
    assert_int_equal(response->status, 200);
    got = client->in_size;
    client->in_size = 0;
    while (got < MANY) {
        while (sent < MANY) {
            for (size_t i = 0; i < sizeof block; i++)
                block[i] = (char)((sent + i) % 251);
            size_t size = MANY - sent < sizeof block ? MANY - sent : sizeof block;
            ssize_t done = send(client->fd, block, size, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (done < 0)
                break;
            sent += (size_t)done;
        }
        assert_true(client_more(client));
        for (size_t i = 0; i < client->in_size; i++)
            if (client->in[i] != (char)((got + i) % 251))
                fail_msg("byte %zu differs", got + i);
        got += client->in_size;
        client->in_size = 0;
    }
    assert_int_equal(got, MANY);
    assert_note("echoed 20971520");
    assert_response(http_exchange(client, "POST", "/else", NULL, "next"), 200, "next");
    client_free(client);
}

static void test_upgrade(void **state)
{
    (void)state;
    struct client *client = client_new(port);
    http_send(client, "GET", "/raw", "Connection: Upgrade\r\nUpgrade: raw\r\n", NULL);
    client_write(client, "abc", 3);
    struct response *response = http_receive(client, false);
    assert_int_equal(response->status, 101);
    assert_header(response, "Upgrade: raw");
    while (client->in_size < 3)
        assert_true(client_more(client));
    assert_memory_equal(client->in, "abc", 3);
    client_drop(client, 3);
    client_write(client, ".", 1);
    while (client->in_size < 3)
        assert_true(client_more(client));
    assert_memory_equal(client->in, "bye", 3);
    client_drop(client, 3);
    assert_ended(client);
    client_free(client);

    client = client_new(port);
    assert_response(http_exchange(client, "GET", "/raw", NULL, NULL), 426, "");
    client_free(client);

    client = client_new(port);
    http_send(client, "GET", "/raw", "Connection: Upgrade\r\nUpgrade: raw\r\n", NULL);
    assert_int_equal(http_receive(client, false)->status, 101);
    client_free(client);
    assert_note("raw gone");
}

static void test_client_leaves(void **state)
{
    (void)state;
    struct client *client = client_new(port);
    http_send(client, "POST", "/echo", "Content-Length: 10\r\n", NULL);
    assert_int_equal(http_receive(client, false)->status, 200);
    client_free(client);
    assert_note("gone");

    client = client_new(port);
    http_send(client, "GET", "/forever", NULL, NULL);
    assert_int_equal(http_receive(client, false)->status, 200);
    client_free(client);
    assert_note("raw gone");
}

static void test_cut_answers(void **state)
{
    (void)state;
    struct client *client = client_new(port);
    http_send(client, "GET", "/abort", NULL, NULL);
    assert_ended(client);
    client_free(client);
    client = client_new(port);
    http_send(client, "GET", "/twice", NULL, NULL);
    while (client_more(client))
        ;
    client->in[client->in_size] = '\0';
    assert_null(strstr(client->in, "a second head"));
    client_free(client);
}

static void answer_owed(void *data)
{
    (void)data;
    cvn_http_respond(owed, 200, NULL, cvn_str("after all"));
}

/* A stop waits for answers that are owed, and for no others. */
static void test_stop_with_an_answer_owed(void **state)
{
    (void)state;
    struct client *upgraded = client_new(port);
    http_send(upgraded, "GET", "/raw", "Connection: Upgrade\r\nUpgrade: raw\r\n", NULL);
    assert_int_equal(http_receive(upgraded, false)->status, 101);
    struct client *client = client_new(port);
    http_send(client, "GET", "/owed", NULL, NULL);
    assert_note("owed");
    cvn_server_stop(server);
    assert_int_equal(cvn_post(server, 0, answer_owed, NULL), CVN_OK);
    assert_response(http_receive(client, true), 200, "after all");
    cvn_server_wait(server);
    assert_note("raw gone");
    client_free(client);
    client_free(upgraded);
}

/* A stop cuts what has no end. */
static void test_stop_with_a_request(void **state)
{
    (void)state;
    struct client *client = client_new(port);
    http_send(client, "GET", "/forever", NULL, NULL);
    assert_int_equal(http_receive(client, false)->status, 200);
    cvn_server_stop(server);
    cvn_server_wait(server);
    assert_note("raw gone");
    assert_no_note();
    client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_told_at_the_head, start, stop),
        cmocka_unit_test_setup_teardown(test_others_are_asked, start, stop),
        cmocka_unit_test_setup_teardown(test_large_echo, start, stop),
        cmocka_unit_test_setup_teardown(test_upgrade, start, stop),
        cmocka_unit_test_setup_teardown(test_client_leaves, start, stop),
        cmocka_unit_test_setup_teardown(test_cut_answers, start, stop),
        cmocka_unit_test_setup_teardown(test_stop_with_a_request, start, stop),
        cmocka_unit_test_setup_teardown(test_stop_with_an_answer_owed, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
