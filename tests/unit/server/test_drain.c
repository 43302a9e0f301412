/* Clients sent away one after the other: who is let in meanwhile, what is answered first, and how it ends. */
#include "client.h"
#include "convene_server.h"

#define POLLING "/socket.io/?EIO=4&transport=polling"
#define WS      "/socket.io/?EIO=4&transport=websocket"
#define AN_HOUR 3600000

static cvn_later *later;

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket, (void)data;
    note("out %s", reason);
}

static void on_echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    note("heard");
    if (cvn_event_wants_ack(event))
        cvn_ack_args(event, cvn_event_args(event));
    else
        cvn_socket_emit(socket, "echo", cvn_event_args(event));
}

static void on_later(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket, (void)data;
    later = cvn_ack_later(event);
    note("put off");
}

static void on_flood(cvn_socket *socket, const cvn_event *event, void *data)
{
    size_t size = (size_t)1 << 20;
    char *json = malloc(size + 3);
    (void)event, (void)data;
    assert_non_null(json);
    memset(json, 'x', size + 2);
    json[0] = json[size + 1] = '"';
    json[size + 2] = '\0';
    for (int i = 0; i < 15; i++) /* more than the kernel takes */
        cvn_socket_emit(socket, "data", cvn_json(json));
    free(json);
}

static void on_http(cvn_http_request *request, void *data)
{
    (void)data;
    cvn_http_respond(request, 200, NULL, cvn_str("fine"));
}

static cvn_server *drain_server(unsigned workers, uint32_t shutdown_timeout_ms, uint16_t *ret_port)
{
    cvn_server *server = cvn_server_new(&(cvn_options){.host = "127.0.0.1",
                                                       .workers = workers,
                                                       .hide_client = true,
                                                       .shutdown_timeout_ms = shutdown_timeout_ms});
    assert_non_null(server);
    notes_open();
    cvn_namespace *nsp = cvn_of(server, "/");
    cvn_on_disconnect(nsp, on_disconnect, NULL);
    cvn_on(nsp, "echo", on_echo, NULL);
    cvn_on(nsp, "later", on_later, NULL);
    cvn_on(nsp, "flood", on_flood, NULL);
    cvn_of(server, "/other");
    cvn_on_http(server, on_http, NULL);
    *ret_port = server_start(server);
    return server;
}

static void end(cvn_server *server)
{
    cvn_server_free(server);
    assert_no_note();
    notes_close();
}

/* From here on the server lets nobody in, on any worker; the first sessions have been asked to leave. */
static void assert_draining(uint16_t port, const char *retry_after)
{
    char line[64];
    snprintf(line, sizeof line, "Retry-After: %s", retry_after);
    for (int refused = 0; refused < 8;) {
        struct client *client = client_new(port);
        struct response *response = http_exchange(client, "GET", POLLING, "", NULL);
        if (response->status != 200) {
            assert_int_equal(response->status, 503);
            assert_header(response, line);
            refused++;
        }
        client_free(client);
    }
}

static void test_pace(void **state)
{
    (void)state;
    assert_int_equal(server_drain_due(0, 0, 1000), 0);
    assert_int_equal(server_drain_due(0, 5000, 1000), 0);
    assert_int_equal(server_drain_due(100, 0, 0), 100); /* all at once */
    assert_int_equal(server_drain_due(100, 0, 1000), 1);
    assert_int_equal(server_drain_due(100, 9, 1000), 1);
    assert_int_equal(server_drain_due(100, 10, 1000), 2);
    assert_int_equal(server_drain_due(100, 500, 1000), 51);
    assert_int_equal(server_drain_due(100, 999, 1000), 100);
    assert_int_equal(server_drain_due(100, 1000, 1000), 100);
    assert_int_equal(server_drain_due(3, UINT64_MAX, UINT32_MAX), 3);
    size_t before = 0;
    for (uint64_t ms = 0; ms < 1000; ms++) {
        size_t due = server_drain_due(10000, ms, 1000);
        assert_in_range(due - before, ms == 0 ? 1 : 10, 10);
        before = due;
    }
}

/* Over an hour: the first has to go, the others are served. */
static void test_meanwhile(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = drain_server(1, 0, &port);
    struct client *first = joined(port), *second = joined(port), *third = polling_open(port);
    polling_post(third, "40");
    polling_get(third);
    struct client *http = client_new(port);
    cvn_server_drain(server, AN_HOUR);
    cvn_server_drain(server, 0); /* only the first call counts */
    assert_draining(port, "3601");
    assert_ws_closed(first);
    assert_note("out server shutting down");
    struct client *refused = client_new(port);
    http_send(refused, "GET", WS, WS_FIELDS, NULL);
    assert_int_equal(http_receive(refused, true)->status, 503);
    client_free(refused);

    assert_response(http_exchange(http, "GET", "/x", "", NULL), 200, "fine");
    ws_send(second, "421[\"echo\",1]");
    assert_ws_text(second, "431[1]");
    assert_note("heard");
    join_with(second, "/other,", "");
    polling_post(third, "422[\"echo\",2]");
    assert_string_equal(polling_get(third), "432[2]");
    assert_note("heard");

    cvn_server_stop(server); /* takes over */
    assert_ws_closed(second);
    assert_string_equal(polling_get(third), "1");
    assert_note("out server shutting down");
    assert_note("out server shutting down");
    cvn_server_wait(server);
    client_free(first);
    client_free(second);
    client_free(third);
    client_free(http);
    end(server);
}

/* At once, and the server ends by itself. */
static void test_ends(void **state)
{
    struct client *clients[6];
    uint16_t port;
    (void)state;
    cvn_server *server = drain_server(2, 0, &port);
    for (int i = 0; i < 6; i++)
        clients[i] = joined(port);
    cvn_server_drain(server, 40);
    for (int i = 0; i < 6; i++)
        assert_ws_closed(clients[i]);
    for (int i = 0; i < 6; i++) {
        assert_note("out server shutting down");
        client_free(clients[i]);
    }
    cvn_server_wait(server);
    cvn_server_drain(server, 0); /* nothing */
    end(server);
}

static void test_nobody_there(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = drain_server(2, 0, &port);
    cvn_server_drain(server, AN_HOUR);
    cvn_server_wait(server);
    cvn_server_drain(NULL, 0);
    end(server);
    server = drain_server(2, 0, &port);
    cvn_server_stop(server);
    cvn_server_drain(server, AN_HOUR); /* too late */
    end(server);
}

/* What was taken on is answered before the connection ends. */
static void test_owed(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = drain_server(1, 0, &port);
    struct client *ws = joined(port), *polling = polling_open(port);
    polling_post(polling, "40");
    polling_get(polling);
    ws_send(ws, "421[\"later\"]");
    assert_note("put off");
    cvn_later *of_ws = later;
    polling_post(polling, "427[\"later\"]");
    assert_note("put off");
    cvn_later *of_polling = later;
    cvn_server_drain(server, 0);
    assert_draining(port, "1");

    ws_send(ws, "422[\"later\"]"); /* not taken on any more */
    ws_send(ws, "42[\"echo\",3]"); /* while this one wants no answer */
    assert_note("heard");
    assert_ws_text(ws, "42[\"echo\",3]");
    cvn_later_send(of_ws, cvn_json("1"));
    assert_ws_text(ws, "431[1]");
    assert_ws_closed(ws);
    assert_note("out server shutting down");

    polling_post(polling, "428[\"later\"]"); /* likewise */
    client_free(ws);
    cvn_later_send(of_polling, cvn_json("2"));
    const char *packets = polling_get(polling);
    assert_non_null(strstr(packets, "437[2]"));
    assert_string_equal(polling_get(polling), "1");
    assert_note("out server shutting down");
    client_free(polling);
    cvn_server_wait(server);
    end(server);
}

/* An acknowledgement that is dropped is owed no more. */
static void test_dropped(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = drain_server(1, 0, &port);
    struct client *client = joined(port);
    ws_send(client, "421[\"later\"]");
    assert_note("put off");
    cvn_server_drain(server, 0);
    assert_draining(port, "1");
    cvn_later_drop(later);
    assert_ws_closed(client);
    assert_note("out server shutting down");
    client_free(client);
    end(server);
}

static void on_slow_timer(cvn_timer *timer, void *data)
{
    (void)data;
    note("later");
    cvn_timer_free(timer);
}

static void start_slow_timer(void *data)
{
    cvn_timer *timer = cvn_timer_new(data, on_slow_timer, on_slow_timer, NULL);
    assert_int_equal(cvn_timer_start(timer, 600), CVN_OK);
}

/* What is queued for a slow client goes first, although nothing but that keeps the server up; for longer
 * than mere bytes on the way are waited for. */
static void test_slow_reader(void **state)
{
    uint16_t port;
    char *data = NULL;
    size_t size = 0;
    (void)state;
    cvn_server *server = drain_server(1, 0, &port);
    struct client *client = joined(port);
    ws_send(client, "42[\"flood\"]");
    ws_send(client, "421[\"echo\",1]");
    assert_note("heard");
    assert_int_equal(cvn_post(server, 0, start_slow_timer, server), CVN_OK);
    cvn_server_drain(server, 0);
    assert_note("out server shutting down");
    assert_note("later"); /* it waits still */
    for (int i = 0; i < 15; i++)
        assert_true(strlen(ws_read(client)) > (size_t)1 << 20);
    assert_ws_text(client, "431[1]");
    assert_int_equal(ws_receive(client, &data, &size), 8);
    client_free(client);
    cvn_server_wait(server);
    end(server);
}

/* Nobody ever answers: the stop comes all the same, and what is answered then goes nowhere. */
static void test_never_answered(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = drain_server(2, 30, &port);
    struct client *client = joined(port);
    ws_send(client, "421[\"later\"]");
    assert_note("put off");
    cvn_server_drain(server, 0);
    assert_ws_closed(client);
    assert_note("out server shutting down");
    cvn_server_wait(server);
    assert_int_equal(cvn_later_send(later, cvn_json("")), CVN_ERR_STATE);
    client_free(client);
    end(server);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace),           cmocka_unit_test(test_meanwhile),
        cmocka_unit_test(test_ends),           cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_owed),           cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_never_answered), cmocka_unit_test(test_slow_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
