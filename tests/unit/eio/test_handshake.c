/* Who gets in, and what the others are told: every row of the protocol's error table over both transports. */
#include "support/world.h"

#define CODE_0 "{\"code\":0,\"message\":\"Transport unknown\"}"
#define CODE_1 "{\"code\":1,\"message\":\"Session ID unknown\"}"
#define CODE_2 "{\"code\":2,\"message\":\"Bad handshake method\"}"
#define CODE_3 "{\"code\":3,\"message\":\"Bad request\"}"
#define CODE_4 "{\"code\":4,\"message\":\"Forbidden\"}"
#define CODE_5 "{\"code\":5,\"message\":\"Unsupported protocol version\"}"

static void test_open_polling(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *client = client_new(world);
    struct response *response = http_exchange(client, "GET", BASE, "", NULL);
    char expected[256];
    snprintf(expected, sizeof expected,
             "0{\"sid\":\"%.20s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
             "\"pingTimeout\":20000,\"maxPayload\":1000000}",
             response->body + 9);
    assert_response(response, 200, expected);
    assert_non_null(strstr(response->head, "\r\nContent-Type: text/plain; charset=UTF-8\r\n"));
    assert_non_null(strstr(response->head, "\r\ncache-control: no-store\r\n"));
    assert_null(strcasestr(response->head, "access-control"));
    assert_int_equal(strspn(response->body + 9, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
                                                "yz0123456789-_"),
                     EIO_SID_SIZE);
    assert_string_equal(world_reported(world), "open;");
    assert_int_equal(eio_server_session_count(world->servers[0]), 1);
    client_free(client);
    world_free(world);
}

static void test_open_websocket(void **state)
{
    (void)state;
    struct world *world = world_new();
    unsigned opcode;
    char *data, expected[256];
    size_t size;
    world->on_open = "welcome";
    world_start(world);
    struct client *client = client_new(world);
    assert_int_equal(ws_connect(client, NULL), 101);
    assert_true(ws_receive(client, &opcode, &data, &size));
    snprintf(expected, sizeof expected,
             "0{\"sid\":\"%.20s\",\"upgrades\":[],\"pingInterval\":25000,"
             "\"pingTimeout\":20000,\"maxPayload\":1000000}",
             data + 9);
    assert_string_equal(data, expected);
    assert_ws_text(client, "4welcome"); /* behind the open packet, although it was sent before */
    assert_string_equal(world_reported(world), "open;");
    client_free(client);
    world_free(world);
}

static void test_upgrades_offered(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        struct world *world = world_new();
        world->options.allow_upgrades = variant != 1;
        if (variant == 2)
            world->options.transports = EIO_POLLING;
        world_start(world);
        struct client *client = client_new(world);
        char sid[EIO_SID_SIZE + 1];
        struct response *response = http_exchange(client, "GET", BASE, "", NULL);
        assert_int_equal(strstr(response->body, "\"upgrades\":[\"websocket\"]") != NULL,
                         variant == 0);
        assert_int_equal(strstr(response->body, "\"upgrades\":[]") != NULL, variant != 0);
        polling_open(client, sid);
        struct client *ws = client_new(world);
        assert_int_equal(ws_connect(ws, sid), variant == 0 ? 101 : 400);
        client_free(ws);
        client_free(client);
        world_free(world);
    }
}

static void test_errors_polling(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        int status;
        const char *body;
    } cases[] = {
        {"GET", "/engine.io/", 400, CODE_0},
        {"GET", "/engine.io/?EIO=4", 400, CODE_0},
        {"GET", "/engine.io/?EIO=4&transport=", 400, CODE_0},
        {"GET", "/engine.io/?EIO=4&transport=abc", 400, CODE_0},
        {"GET", "/engine.io/?EIO=4&transport=pollin", 400, CODE_0},
        {"GET", "/engine.io/?EIO=4&transport=pollingx", 400, CODE_0},
        {"GET", "/engine.io/?EIO=4&transport=__proto__", 400, CODE_0},
        {"GET", "/engine.io/?EIO=4&transport=webtransport", 400, CODE_0},
        {"GET", "/engine.io/?EIO=4&transport=%00polling", 400, CODE_0},
        {"GET", "/engine.io/?transport=polling", 400, CODE_5},
        {"GET", "/engine.io/?EIO=&transport=polling", 400, CODE_5},
        {"GET", "/engine.io/?EIO=3&transport=polling", 400, CODE_5},
        {"GET", "/engine.io/?EIO=5&transport=polling", 400, CODE_5},
        {"GET", "/engine.io/?EIO=44&transport=polling", 400, CODE_5},
        {"GET", "/engine.io/?EIO=abc&transport=polling", 400, CODE_5},
        {"GET", "/engine.io/?EIO=4&transport=websocket", 400, CODE_3},
        {"GET", BASE "&sid=abc", 400, CODE_1},
        {"GET", BASE "&sid=AAAAAAAAAAAAAAAAAAAA", 400, CODE_1},
        {"GET", BASE "&sid=_____________________", 400, CODE_1},
        {"GET", BASE "&sid=____________________", 400, CODE_1},
        {"GET", BASE "&sid=AA%00AAAAAAAAAAAAAAAAA", 400, CODE_1},
        {"POST", BASE "&sid=AAAAAAAAAAAAAAAAAAAA", 400, CODE_1},
        {"POST", BASE, 400, CODE_2},
        {"PUT", BASE, 400, CODE_2},
        {"DELETE", BASE, 400, CODE_2},
        {"BREW", BASE, 400, CODE_2},
        {"OPTIONS", BASE, 400, CODE_2},
        {"POST", "/engine.io/?EIO=3&transport=polling", 400, CODE_2},
        {"GET", "/elsewhere/?EIO=4&transport=polling", 404, "nothing here"},
    };
    struct world *world = world_started();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client *client = client_new(world);
        struct response *response =
            http_exchange(client, cases[i].method, cases[i].target, "", NULL);
        assert_int_equal(response->status, cases[i].status);
        assert_string_equal(response->body, cases[i].body);
        if (cases[i].status == 400)
            assert_non_null(strstr(response->head, "\r\nContent-Type: application/json\r\n"));
        client_free(client);
    }
    assert_int_equal(eio_server_session_count(world->servers[0]), 0);
    assert_string_equal(world_reported(world), "");
    world_free(world);
}

/* Over an upgrade: plain text, always 400, the connection closed. */
static void test_errors_websocket(void **state)
{
    (void)state;
    static const struct {
        const char *target, *fields, *body;
        int status;
    } cases[] = {
        {"/engine.io/?EIO=4", "", "Transport unknown", 400},
        {"/engine.io/?EIO=4&transport=abc", "", "Transport unknown", 400},
        {"/engine.io/?EIO=3&transport=websocket", "", "Unsupported protocol version", 400},
        {"/engine.io/?transport=websocket", "", "Unsupported protocol version", 400},
        {"/engine.io/?EIO=4&transport=polling", "", "Bad request", 400},
        {"/engine.io/?EIO=4&transport=websocket&sid=abc", "", "Session ID unknown", 400},
        {"/engine.io/?EIO=4&transport=websocket", "Origin: https://evil.example\r\n", "Forbidden",
         403},
        {"/engine.io/?EIO=4&transport=websocket", "Origin: https://\x80\r\n", "Bad request", 400},
    };
    struct world *world = world_started();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client *client = client_new(world);
        struct response response;
        char fields[512];
        snprintf(fields, sizeof fields, WS_FIELDS "%s", cases[i].fields);
        http_send(client, "GET", cases[i].target, fields, NULL);
        assert_true(http_receive(client, &response));
        assert_response(&response, cases[i].status, cases[i].body);
        assert_non_null(strstr(response.head, "\r\nContent-Type: text/html\r\n"));
        assert_non_null(strstr(response.head, "\r\nConnection: close\r\n"));
        assert_true(client->ended);
        client_free(client);
    }
    assert_int_equal(eio_server_session_count(world->servers[0]), 0);
    world_free(world);
}

/* An upgrade that is no correct WebSocket handshake. */
static void test_bad_websocket_handshake(void **state)
{
    (void)state;
    struct world *world = world_started();
    static const char target[] = "/engine.io/?EIO=4&transport=websocket";
    struct client *client = client_new(world);
    struct response *response = http_exchange(client, "GET", target,
                                              "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                              "Sec-WebSocket-Version: 13\r\n",
                                              NULL);
    assert_int_equal(response->status, 400);
    client_free(client);

    client = client_new(world);
    response = http_exchange(client, "GET", target,
                             "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                             "Sec-WebSocket-Version: 8\r\n",
                             NULL);
    assert_int_equal(response->status, 426);
    assert_non_null(strcasestr(response->head, "\r\nSec-WebSocket-Version: 13\r\n"));
    client_free(client);
    assert_string_equal(world_reported(world), "");
    world_free(world);
}

/* A request for a session that does not fit it: code 3, and the session lives. */
static void test_mismatch(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *client = client_new(world);
    char sid[EIO_SID_SIZE + 1], target[256];
    polling_open(client, sid);
    static const char *const queries[] = {"EIO=3&transport=polling", "transport=polling",
                                          "EIO=4&transport=websocket"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(target, sizeof target, "/engine.io/?%s&sid=%s", queries[i], sid);
        assert_request(world, "GET", target, "", NULL, 400, CODE_3);
        assert_request(world, "POST", target, "", "4x", 400, CODE_3);
    }
    static const char *const methods[] = {"PUT", "DELETE", "PATCH", "OPTIONS", "BREW"};
    for (size_t i = 0; i < 5; i++)
        assert_request(world, methods[i], sid_target(sid), "", NULL, 400, CODE_3);
    struct client *ws = client_new(world);
    snprintf(target, sizeof target, "/engine.io/?EIO=3&transport=websocket&sid=%s", sid);
    assert_int_equal(ws_connect_with(ws, target, ""), 400);
    client_free(ws);

    assert_post(client, sid, "4still here");
    assert_poll(client, sid, "4still here");

    struct client *other = client_new(world);
    ws_open(other, sid);
    assert_request(world, "GET", sid_target(sid), "", NULL, 400, CODE_3);
    assert_request(world, "POST", sid_target(sid), "", "4x", 400, CODE_3);
    ws_send(other, "4alive");
    assert_ws_text(other, "4alive");
    client_free(other);
    client_free(client);
    world_free(world);
}

static void test_encoded_query(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *client = client_new(world);
    char sid[EIO_SID_SIZE + 1], target[256];
    assert_int_equal(
        http_exchange(client, "GET", "/engine.io/?EIO=%34&t=a%20b&transport=%70oll%69ng", "", NULL)
            ->status,
        200);
    polling_open(client, sid);
    assert_post(client, sid, "4x");
    snprintf(target, sizeof target, "/engine.io/?sid=%%%02X%%%02x%s&EIO=4&transport=polling",
             (unsigned)sid[0], (unsigned)sid[1], sid + 2);
    assert_response(http_exchange(client, "GET", target, "", NULL), 200, "4x");
    /* An escape that is none, at the very end. */
    assert_request(world, "GET", "/engine.io/?EIO=4&transport=polling%", "", NULL, 400, CODE_0);
    assert_request(world, "GET", "/engine.io/?EIO=4&transport=polling%7", "", NULL, 400, CODE_0);
    assert_request(world, "GET", "/engine.io/?transport=polling&EIO=%zz", "", NULL, 400, CODE_5);
    client_free(client);
    world_free(world);
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool slash;
        const char *asked;
        bool is_ours;
    } cases[] = {
        {"/engine.io", true, "/engine.io/", true},
        {"/engine.io", true, "/engine.io", true},
        {"/engine.io/", true, "/engine.io/", true},
        {"/engine.io/", true, "/engine.io", true},
        {"/engine.io", false, "/engine.io", true},
        {"/engine.io", false, "/engine.io/", false},
        {"/engine.io", true, "/engine.io//", false},
        {"/engine.io", true, "/engine.iox", false},
        {"/engine.io", true, "/engine.i", false},
        {"/engine.io", true, "/engine.io/x", false},
        {"/", true, "/", true},
        {"/a/b", true, "/a/b/", true},
        {"/a/b", true, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *world = world_new();
        world->options.path = cvn_str(cases[i].path);
        world->options.add_trailing_slash = cases[i].slash;
        world_start(world);
        assert_int_equal(eio_server_owns_path(world->servers[0], cvn_str(cases[i].asked)),
                         cases[i].is_ours);
        world_free(world);
    }
}

/* --- Origin --- */

static void test_origin_refused(void **state)
{
    (void)state;
    struct world *world = world_started(); /* nobody is allowed */
    char sid[EIO_SID_SIZE + 1];
    struct client *client = client_new(world);
    assert_response(http_exchange(client, "GET", BASE, "Origin: https://evil.example\r\n", NULL),
                    403, CODE_4);
    polling_open(client, sid);
    /* Nor for a session that exists. */
    assert_response(
        http_exchange(client, "POST", sid_target(sid), "Origin: https://evil.example\r\n", "4x"),
        403, CODE_4);
    struct response *response =
        http_exchange(client, "GET", BASE, "Origin: https://\x01\r\n", NULL);
    assert_int_equal(response->status, 400); /* refused by the head's parser or as code 3 */
    client_free(client);
    client = client_new(world);
    assert_response(http_exchange(client, "GET", BASE, "Origin: https://a b\r\n", NULL), 400,
                    CODE_3);
    /* The page of the server's own host may. */
    assert_int_equal(
        http_exchange(client, "GET", BASE, "Origin: http://localhost\r\n", NULL)->status, 200);
    client_free(client);
    world_free(world);
}

static void test_origin_allowed(void **state)
{
    (void)state;
    static const char *const allowed[] = {"https://app.example"};
    static const char origin[] = "Origin: https://app.example\r\n";
    static const char answer[] = "Access-Control-Allow-Origin: https://app.example\r\n";
    struct world *world = world_new();
    world->options.origins =
        (struct http_origin_policy){.allowed = allowed, .allowed_count = 1, .credentials = true};
    world_start(world);
    struct client *client = client_new(world), *ws = client_new(world);
    struct response *response = http_exchange(client, "GET", BASE, origin, NULL);
    char sid[EIO_SID_SIZE + 1], target[128], fields[512];
    assert_int_equal(response->status, 200);
    assert_non_null(strcasestr(response->head, answer));
    assert_non_null(strcasestr(response->head, "Access-Control-Allow-Credentials: true\r\n"));
    memcpy(sid, response->body + 9, EIO_SID_SIZE);
    sid[EIO_SID_SIZE] = '\0';
    response = http_exchange(client, "POST", sid_target(sid), origin, "4x");
    assert_response(response, 200, "ok");
    assert_non_null(strcasestr(response->head, answer));
    response = http_exchange(client, "GET", sid_target(sid), origin, NULL);
    assert_response(response, 200, "4x");
    assert_non_null(strcasestr(response->head, answer));
    /* Errors too, or the browser would hide them. */
    response = http_exchange(client, "GET", "/engine.io/?EIO=4", origin, NULL);
    assert_response(response, 400, CODE_0);
    assert_non_null(strcasestr(response->head, answer));
    /* And the 101. */
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    snprintf(fields, sizeof fields, WS_FIELDS "%s", origin);
    response = http_exchange(ws, "GET", target, fields, NULL);
    assert_int_equal(response->status, 101);
    assert_non_null(strcasestr(response->head, answer));
    client_free(ws);
    client_free(client);
    world_free(world);
}

static void test_preflight(void **state)
{
    (void)state;
    static const char *const allowed[] = {"*"};
    struct world *world = world_new();
    world->options.origins = (struct http_origin_policy){.allowed = allowed, .allowed_count = 1};
    world_start(world);
    struct client *client = client_new(world);
    struct response *response = http_exchange(client, "OPTIONS", BASE,
                                              "Origin: https://a.example\r\n"
                                              "Access-Control-Request-Method: POST\r\n"
                                              "Access-Control-Request-Headers: x-one\r\n",
                                              NULL);
    assert_int_equal(response->status, 204);
    assert_non_null(
        strcasestr(response->head, "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE"));
    assert_non_null(strcasestr(response->head, "Access-Control-Allow-Headers: x-one"));
    client_free(client);
    world_free(world);
}

/* --- The layer above decides --- */

static enum eio_verdict refuse_all(struct http_request *request, const char **message, void *app)
{
    (void)app;
    cvn_slice query = request->head->query;
    if (memmem(query.data, query.size, "words", 5) != NULL)
        *message = "not \"you\"";
    return memmem(query.data, query.size, "yes", 3) != NULL ? EIO_ALLOW : EIO_DENY;
}

static void test_allow(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->events.on_allow = refuse_all;
    world_start(world);
    assert_request(world, "GET", BASE, "", NULL, 403, CODE_4);
    assert_request(world, "GET", BASE "&words", "", NULL, 403,
                   "{\"code\":4,\"message\":\"not \\\"you\\\"\"}");
    assert_request(world, "GET", "/engine.io/?EIO=3&transport=polling", "", NULL, 400, CODE_5);
    struct client *client = client_new(world);
    struct response *response = http_exchange(
        client, "GET", "/engine.io/?EIO=4&transport=websocket&words", WS_FIELDS, NULL);
    assert_response(response, 400, "not \"you\"");
    client_free(client);
    assert_string_equal(world_reported(world), "");
    client = client_new(world);
    response = http_exchange(client, "GET", BASE "&yes", "", NULL);
    assert_int_equal(response->status, 200);
    assert_string_equal(world_reported(world), "open;");
    client_free(client);
    world_free(world);
}

/* The cookie of the session, on the answer that opens it over polling and on no other. */
static void test_cookie(void **state)
{
    char sid[EIO_SID_SIZE + 1], expected[200];
    (void)state;
    struct world *world = world_new();
    world->options.cookie_name = SLICE("io");
    world->options.cookie_attributes = SLICE("; Path=/; HttpOnly; SameSite=Lax");
    world_start(world);
    struct client *client = client_new(world), *ws = client_new(world);
    struct response *response = http_exchange(client, "GET", BASE, "", NULL);
    memcpy(sid, response->body + 9, EIO_SID_SIZE);
    sid[EIO_SID_SIZE] = '\0';
    snprintf(expected, sizeof expected, "\r\nSet-Cookie: io=%s; Path=/; HttpOnly; SameSite=Lax\r\n",
             sid);
    assert_non_null(strstr(response->head, expected));
    response = http_exchange(client, "POST", sid_target(sid), "", "4x");
    assert_response(response, 200, "ok");
    assert_null(strstr(response->head, "Set-Cookie"));
    response = http_exchange(ws, "GET", "/engine.io/?EIO=4&transport=websocket", WS_FIELDS, NULL);
    assert_int_equal(response->status, 101);
    assert_null(strstr(response->head, "Set-Cookie"));
    client_free(ws);
    client_free(client);
    world_free(world);
}

static void add_headers(struct http_request *request, bool initial, void *app)
{
    (void)app;
    if (initial)
        http_request_add_field(request, SLICE("Set-Cookie"), SLICE("a=1"));
    http_request_add_field(request, SLICE("X-Every"), SLICE("one"));
}

static void test_headers(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->events.on_headers = add_headers;
    world_start(world);
    struct client *client = client_new(world), *ws = client_new(world);
    struct response *response = http_exchange(client, "GET", BASE, "", NULL), late;
    char sid[EIO_SID_SIZE + 1], target[128];
    assert_non_null(strstr(response->head, "\r\nSet-Cookie: a=1\r\n"));
    assert_non_null(strstr(response->head, "\r\nX-Every: one\r\n"));
    memcpy(sid, response->body + 9, EIO_SID_SIZE);
    sid[EIO_SID_SIZE] = '\0';
    poll_pending(ws, sid);
    response = http_exchange(client, "POST", sid_target(sid), "", "4x");
    assert_null(strstr(response->head, "Set-Cookie"));
    assert_non_null(strstr(response->head, "\r\nX-Every: one\r\n"));
    assert_true(http_receive(ws, &late));
    assert_non_null(strstr(late.head, "\r\nX-Every: one\r\n"));
    assert_null(strstr(late.head, "Set-Cookie"));
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    response = http_exchange(ws, "GET", target, WS_FIELDS, NULL);
    assert_int_equal(response->status, 101);
    assert_non_null(strstr(response->head, "\r\nX-Every: one\r\n"));
    assert_null(strstr(response->head, "Set-Cookie"));
    client_free(ws);
    client_free(client);
    world_free(world);
}

static void test_max_sessions(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->options.max_sessions = 2;
    world_start(world);
    struct client *one = client_new(world), *two = client_new(world), *three = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    polling_open(one, sid);
    ws_open(two, sid);
    assert_int_equal(http_exchange(three, "GET", BASE, "", NULL)->status, 503);
    client_free(three);
    client_vanish(two, false);
    three = client_new(world);
    polling_open(three, sid);
    client_free(three);
    client_free(one);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_polling),
        cmocka_unit_test(test_open_websocket),
        cmocka_unit_test(test_upgrades_offered),
        cmocka_unit_test(test_errors_polling),
        cmocka_unit_test(test_errors_websocket),
        cmocka_unit_test(test_bad_websocket_handshake),
        cmocka_unit_test(test_mismatch),
        cmocka_unit_test(test_encoded_query),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_origin_refused),
        cmocka_unit_test(test_origin_allowed),
        cmocka_unit_test(test_preflight),
        cmocka_unit_test(test_allow),
        cmocka_unit_test(test_cookie),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_max_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
