/* What on_connection_error is told, for every refusal over both transports; and that the answers are what they were. */
#include "client.h"

#define PATH      "/socket.io/"
#define POLLING   PATH "?EIO=4&transport=polling"
#define WEBSOCKET PATH "?EIO=4&transport=websocket"
#define ORIGIN    "Origin: https://evil.example\r\n"

static cvn_admission *admission;

static bool allow(cvn_http_request *request, const char **ret_message, void *hook_data)
{
    cvn_slice how = cvn_http_query(request, "how");
    (void)hook_data;
    if (how.size == 5 && memcmp(how.data, "later", 5) == 0) {
        admission = cvn_allow_later(request);
        note("asked");
    } else if (how.size == 2) {
        *ret_message = "come back tomorrow";
        return false;
    } else if (how.size == 4) {
        return false; /* without a word */
    }
    return true;
}

/* One line a refusal, of all that can be known. */
static void on_connection_error(cvn_http_request *request, const cvn_connection_error *error,
                                void *hook_data)
{
    cvn_slice method = cvn_http_method(request), path = cvn_http_path(request);
    cvn_slice version = cvn_http_query(request, "EIO"), host = cvn_http_header(request, "host");
    (void)hook_data;
    assert_string_equal(cvn_http_address(request), "127.0.0.1");
    assert_int_equal(host.size, strlen("localhost"));
    note("%d %d %s (%s) %.*s %.*s %.*s", error->code, error->status, error->message, error->reason,
         (int)method.size, method.data, (int)path.size, path.data, (int)version.size,
         version.data != NULL ? version.data : "");
    assert_true(cvn_http_add_header(request, "X-Told", cvn_str("yes")));
}

static cvn_server *start(cvn_options options, uint16_t *ret_port)
{
    options.host = "127.0.0.1";
    options.workers = 1;
    options.hide_client = true;
    options.allow_request = allow;
    options.on_connection_error = on_connection_error;
    notes_open();
    cvn_server *server = cvn_server_new(&options);
    assert_non_null(server);
    *ret_port = server_start(server);
    return server;
}

static void end(cvn_server *server)
{
    cvn_server_free(server);
    assert_no_note();
    notes_close();
}

static void assert_refused(uint16_t port, const char *method, const char *target,
                           const char *fields, int status, const char *body, const char *told)
{
    struct client *client = client_new(port);
    struct response *response = http_exchange(client, method, target, fields, NULL);
    if (response->status != status || strcmp(response->body, body) != 0)
        fail_msg("%s %s: %d %s", method, target, response->status, response->body);
    assert_header(response, "X-Told: yes");
    assert_note(told);
    client_free(client);
}

static void test_polling(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = start((cvn_options){0}, &port);
    assert_refused(port, "GET", PATH "?EIO=4", "", 400,
                   "{\"code\":0,\"message\":\"Transport unknown\"}",
                   "0 400 Transport unknown () GET /socket.io/ 4");
    assert_refused(port, "GET", POLLING "&sid=AAAAAAAAAAAAAAAAAAAA", "", 400,
                   "{\"code\":1,\"message\":\"Session ID unknown\"}",
                   "1 400 Session ID unknown () GET /socket.io/ 4");
    assert_refused(port, "DELETE", POLLING, "", 400,
                   "{\"code\":2,\"message\":\"Bad handshake method\"}",
                   "2 400 Bad handshake method () DELETE /socket.io/ 4");
    assert_refused(port, "GET", WEBSOCKET, "", 400, "{\"code\":3,\"message\":\"Bad request\"}",
                   "3 400 Bad request (TRANSPORT_HANDSHAKE_ERROR) GET /socket.io/ 4");
    assert_refused(port, "GET", POLLING, "Origin: a b\r\n", 400,
                   "{\"code\":3,\"message\":\"Bad request\"}",
                   "3 400 Bad request (INVALID_ORIGIN) GET /socket.io/ 4");
    assert_refused(port, "GET", POLLING, ORIGIN, 403, "{\"code\":4,\"message\":\"Forbidden\"}",
                   "4 403 Forbidden (ORIGIN_NOT_ALLOWED) GET /socket.io/ 4");
    assert_refused(port, "GET", POLLING "&how=no", "", 403,
                   "{\"code\":4,\"message\":\"come back tomorrow\"}",
                   "4 403 Forbidden (come back tomorrow) GET /socket.io/ 4");
    assert_refused(port, "GET", POLLING "&how=mute", "", 403,
                   "{\"code\":4,\"message\":\"Forbidden\"}",
                   "4 403 Forbidden () GET /socket.io/ 4");
    assert_refused(port, "GET", PATH "?EIO=3&transport=polling", "", 400,
                   "{\"code\":5,\"message\":\"Unsupported protocol version\"}",
                   "5 400 Unsupported protocol version () GET /socket.io/ 3");
    end(server);
}

static void test_websocket(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = start((cvn_options){0}, &port);
    assert_refused(port, "GET", PATH "?EIO=4&transport=x", WS_FIELDS, 400, "Transport unknown",
                   "0 400 Transport unknown () GET /socket.io/ 4");
    assert_refused(port, "GET", WEBSOCKET "&sid=x", WS_FIELDS, 400, "Session ID unknown",
                   "1 400 Session ID unknown () GET /socket.io/ 4");
    assert_refused(port, "GET", POLLING, WS_FIELDS, 400, "Bad request",
                   "3 400 Bad request (TRANSPORT_HANDSHAKE_ERROR) GET /socket.io/ 4");
    assert_refused(port, "GET", WEBSOCKET,
                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
                   "Sec-WebSocket-Version: 13\r\n",
                   400, "Bad Request",
                   "3 400 Bad request (WEBSOCKET_HANDSHAKE_ERROR) GET /socket.io/ 4");
    assert_refused(port, "GET", WEBSOCKET, WS_FIELDS ORIGIN, 403, "Forbidden",
                   "4 403 Forbidden (ORIGIN_NOT_ALLOWED) GET /socket.io/ 4");
    assert_refused(port, "GET", WEBSOCKET "&how=no", WS_FIELDS, 400, "come back tomorrow",
                   "4 400 Forbidden (come back tomorrow) GET /socket.io/ 4");
    assert_refused(port, "GET", PATH "?EIO=3&transport=websocket", WS_FIELDS, 400,
                   "Unsupported protocol version",
                   "5 400 Unsupported protocol version () GET /socket.io/ 3");
    end(server);
}

/* Requests of a session that exists. */
static void test_session(void **state)
{
    uint16_t port;
    char target[160];
    (void)state;
    cvn_server *server = start((cvn_options){0}, &port);
    struct client *client = polling_open(port);
    snprintf(target, sizeof target, PATH "?EIO=3&transport=polling&sid=%s", client->sid);
    assert_refused(port, "GET", target, "", 400, "{\"code\":3,\"message\":\"Bad request\"}",
                   "3 400 Bad request (PROTOCOL_MISMATCH) GET /socket.io/ 3");
    snprintf(target, sizeof target, WEBSOCKET "&sid=%s", client->sid);
    assert_refused(port, "GET", target, "", 400, "{\"code\":3,\"message\":\"Bad request\"}",
                   "3 400 Bad request (TRANSPORT_MISMATCH) GET /socket.io/ 4");
    snprintf(target, sizeof target, POLLING "&sid=%s", client->sid);
    assert_refused(port, "PUT", target, "", 400, "{\"code\":3,\"message\":\"Bad request\"}",
                   "3 400 Bad request (METHOD_NOT_SUPPORTED) PUT /socket.io/ 4");
    polling_post(client, "40"); /* it has come to no harm, and nobody was told of it */
    client_free(client);
    end(server);
}

/* What only this server has: all 503. */
static void test_unavailable(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server =
        start((cvn_options){.max_connections_per_worker = 1, .allow_timeout_ms = 1}, &port);
    struct client *client = client_new(port);
    http_send(client, "GET", POLLING "&how=later", "", NULL);
    assert_note("asked");
    assert_note("8 503 Not decided in time () GET /socket.io/ 4");
    struct response *response = http_receive(client, true);
    assert_int_equal(response->status, 503);
    assert_header(response, "X-Told: yes");
    cvn_allow(admission);
    client_free(client);

    client = polling_open(port);
    assert_refused(port, "GET", POLLING, "", 503, "", "6 503 Server full () GET /socket.io/ 4");
    cvn_server_stop(server);
    assert_string_equal(polling_get(client), "1");
    client_free(client);
    cvn_server_wait(server);
    end(server);
}

/* While it stops: a session that has not fetched its end yet keeps the server up. */
static void test_stopping(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = start((cvn_options){0}, &port);
    struct client *holder = client_new(port), *late = polling_open(port);
    struct client *ws = joined(port); /* does not answer the close: its connection stays a while */
    assert_int_equal(http_exchange(holder, "GET", "/x", "", NULL)->status, 404);
    cvn_server_stop(server);
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(ws_receive(ws, &data, &size), 8); /* it stops now */
    http_send(holder, "GET", POLLING, "", NULL);
    assert_note("7 503 Server stopping () GET /socket.io/ 4");
    assert_int_equal(http_receive(holder, true)->status, 503);
    client_free(ws);
    client_free(late);
    client_free(holder);
    end(server);
}

/* Nobody wants to know: nothing else changes. */
static void test_no_hook(void **state)
{
    (void)state;
    cvn_server *server = server_new(1);
    struct client *client = client_new(server_start(server));
    assert_response(http_exchange(client, "GET", POLLING "&sid=x", "", NULL), 400,
                    "{\"code\":1,\"message\":\"Session ID unknown\"}");
    client_free(client);
    cvn_server_free(server);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_polling),  cmocka_unit_test(test_websocket),
        cmocka_unit_test(test_session),  cmocka_unit_test(test_unavailable),
        cmocka_unit_test(test_stopping), cmocka_unit_test(test_no_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
