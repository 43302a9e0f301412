/*
 * allow_request that decides later, on two workers: from the test's thread, from another worker, inside the hook, for clients that have
 * left, and for a server that has stopped.
 */
#include "client.h"
#include "base/mem.h"

#define WORKERS   2
#define MAX_ASKED 64
#define POLLING   "/socket.io/?EIO=4&transport=polling"
#define WEBSOCKET "/socket.io/?EIO=4&transport=websocket"

static cvn_server *server;
static uint16_t port;

/* The hook tells of each admission by its address. */
static bool put_off(cvn_http_request *request, const char **ret_message, void *hook_data)
{
    assert_ptr_equal(hook_data, &server);
    cvn_slice how = cvn_http_query(request, "how");
    if (how.size == 3 && memcmp(how.data, "now", 3) == 0)
        return true;
    if (how.size == 2 && memcmp(how.data, "no", 2) == 0) {
        *ret_message = "said at once";
        return false;
    }
    cvn_admission *admission = cvn_allow_later(request);
    assert_null(cvn_allow_later(request)); /* once */
    const cvn_header later = {"Retry-After", "1"};
    if (how.size == 6 && memcmp(how.data, "inside", 6) == 0)
        cvn_allow(admission);
    else if (how.size == 4 && memcmp(how.data, "busy", 4) == 0)
        cvn_deny_with(admission, &(cvn_denial){429, "busy", &later, 1});
    else
        note("%p", (void *)admission);
    return false; /* does not count any more */
}

static cvn_admission *asked(void)
{
    void *admission = NULL;
    assert_int_equal(sscanf(next_note(), "%p", &admission), 1);
    assert_non_null(admission);
    return admission;
}

static void on_http(cvn_http_request *request, void *data)
{
    (void)data;
    note("%s", cvn_allow_later(request) == NULL ? "not here" : "?");
    cvn_http_respond(request, 200, NULL, cvn_str("fine"));
}

static int setup(void **state)
{
    (void)state;
    notes_open();
    server = cvn_server_new(&(cvn_options){.host = "127.0.0.1",
                                           .workers = WORKERS,
                                           .hide_client = true,
                                           .allow_request = put_off,
                                           .hook_data = &server});
    assert_non_null(server);
    cvn_on_http(server, on_http, NULL);
    port = server_start(server);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cvn_server_free(server);
    notes_close();
    return 0;
}

static void allow(void *data)
{
    cvn_allow(data);
}

static void test_from_this_thread(void **state)
{
    struct client *client = client_new(port);
    (void)state;
    http_send(client, "GET", POLLING, "", NULL);
    cvn_allow(asked());
    struct response *response = http_receive(client, true);
    assert_int_equal(response->status, 200);
    keep_sid(client, response->body);
    polling_post(client, "40");
    assert_memory_equal(polling_get(client), "40{\"sid\":\"", 10);
    client_free(client);

    client = client_new(port);
    http_send(client, "GET", POLLING, "", NULL);
    char message[] = "come back tomorrow";
    cvn_deny(asked(), message);
    memset(message, '?', sizeof message - 1); /* it was copied */
    assert_response(http_receive(client, true), 403,
                    "{\"code\":4,\"message\":\"come back tomorrow\"}");
    http_send(client, "GET", POLLING, "", NULL); /* over the same connection */
    cvn_deny(asked(), NULL);
    assert_response(http_receive(client, true), 403, "{\"code\":4,\"message\":\"Forbidden\"}");
    client_free(client);
}

static void test_websocket(void **state)
{
    struct client *client = client_new(port);
    (void)state;
    http_send(client, "GET", WEBSOCKET, WS_FIELDS, NULL);
    ws_send(client, "40"); /* behind the handshake, before its answer */
    cvn_allow(asked());
    assert_int_equal(http_receive(client, false)->status, 101);
    keep_sid(client, ws_read(client));
    assert_memory_equal(ws_read(client), "40{\"sid\":\"", 10);
    client_free(client);
    client = client_new(port);
    http_send(client, "GET", WEBSOCKET, WS_FIELDS, NULL);
    cvn_deny(asked(), "not you");
    assert_response(http_receive(client, true), 400, "not you");
    assert_ended(client);
    client_free(client);
}

static void assert_turned_away(const char *target, const char *fields, const cvn_denial *denial,
                               int status, const char *body, const char *line)
{
    struct client *client = client_new(port);
    http_send(client, "GET", target, fields, NULL);
    cvn_deny_with(asked(), denial);
    struct response *response = http_receive(client, true);
    assert_response(response, status, body);
    if (line != NULL)
        assert_header(response, line);
    client_free(client);
}

static void test_denial(void **state)
{
    const cvn_header headers[] = {{"Retry-After", "7"},
                                  {"bad name", "x"},
                                  {"X-Bad", "a\r\nb"},
                                  {NULL, NULL},
                                  {"X-Empty", ""}};
    cvn_denial busy = {429, "slow down", headers, 5};
    (void)state;
    assert_turned_away(POLLING, "", &busy, 429, "{\"code\":4,\"message\":\"slow down\"}",
                       "Retry-After: 7");
    assert_turned_away(WEBSOCKET, WS_FIELDS, &busy, 429, "slow down", "Retry-After: 7");
    busy = (cvn_denial){.status = 503, .headers = headers, .header_count = 5};
    assert_turned_away(POLLING, "", &busy, 503, "{\"code\":4,\"message\":\"Forbidden\"}",
                       "X-Empty: ");
    assert_turned_away(POLLING, "", &(cvn_denial){.status = 200}, 403,
                       "{\"code\":4,\"message\":\"Forbidden\"}", NULL);
    assert_turned_away(POLLING, "", NULL, 403, "{\"code\":4,\"message\":\"Forbidden\"}", NULL);

    /* Without memory it is still a refusal. */
    struct client *client = client_new(port);
    http_send(client, "GET", POLLING, "", NULL);
    cvn_admission *admission = asked();
    mem_fail_after(0, 1);
    cvn_deny_with(admission, &busy);
    mem_fail_after(0, 0);
    assert_response(http_receive(client, true), 403, "{\"code\":4,\"message\":\"Forbidden\"}");
    client_free(client);
}

/* On a worker, which may be the one that asks. */
static void test_from_workers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct client *client = client_new(port);
        http_send(client, "GET", POLLING, "", NULL);
        assert_int_equal(cvn_post(server, i % WORKERS, allow, asked()), CVN_OK);
        assert_int_equal(http_receive(client, true)->status, 200);
        client_free(client);
    }
}

static void test_at_once(void **state)
{
    struct client *client = client_new(port);
    (void)state;
    assert_int_equal(http_exchange(client, "GET", POLLING "&how=now", "", NULL)->status, 200);
    assert_int_equal(http_exchange(client, "GET", POLLING "&how=inside", "", NULL)->status, 200);
    assert_response(http_exchange(client, "GET", POLLING "&how=no", "", NULL), 403,
                    "{\"code\":4,\"message\":\"said at once\"}");
    struct response *busy = http_exchange(client, "GET", POLLING "&how=busy", "", NULL);
    assert_response(busy, 429, "{\"code\":4,\"message\":\"busy\"}");
    assert_header(busy, "Retry-After: 1");
    assert_response(http_exchange(client, "GET", "/elsewhere", "", NULL), 200, "fine");
    assert_note("not here");
    assert_no_note();
    client_free(client);
}

/* Clients that do not wait, in any order with the decision. */
static void test_clients_leave(void **state)
{
    (void)state;
    for (int i = 0; i < MAX_ASKED; i++) {
        struct client *client = client_new(port);
        http_send(client, "GET", i % 2 ? WEBSOCKET : POLLING, i % 2 ? WS_FIELDS : "", NULL);
        cvn_admission *admission = asked();
        if (i % 4 < 2)
            client_free(client);
        if (i % 8 < 4)
            cvn_allow(admission);
        else
            cvn_deny(admission, "nobody is there");
        if (i % 4 >= 2)
            client_free(client);
    }
    struct client *client = client_new(port); /* it still serves */
    assert_int_equal(http_exchange(client, "GET", POLLING "&how=now", "", NULL)->status, 200);
    client_free(client);
}

static void test_server_stops(void **state)
{
    struct client *clients[4];
    cvn_admission *admissions[4];
    (void)state;
    for (int i = 0; i < 4; i++) {
        clients[i] = client_new(port);
        http_send(clients[i], "GET", POLLING, "", NULL);
        admissions[i] = asked();
    }
    cvn_server_stop(server);
    cvn_allow(admissions[0]);
    cvn_server_wait(server);
    cvn_allow(admissions[1]);
    cvn_deny(admissions[2], "too late");
    cvn_deny(admissions[3], NULL);
    for (int i = 0; i < 4; i++)
        client_free(clients[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_from_this_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_websocket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_denial, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_stops, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
