/* Handshakes on which the layer above decides later: either way, over both transports, too late, or for a client that has left. */
#include "support/world.h"
#include "net/net_internal.h" /* the connections of a worker */

#define WS_TARGET "/engine.io/?EIO=4&transport=websocket"
#define FORBIDDEN "{\"code\":4,\"message\":\"Forbidden\"}"

static struct eio_admission *waiting[4];
static size_t waiting_count;
static int at_once; /* decide inside on_allow: 1 yes, -1 no */

static void decide(size_t index, bool is_allowed, const char *message)
{
    struct eio_admission *admission = waiting[index];
    waiting[index] = NULL;
    assert_non_null(admission);
    struct eio_denial *denial = message != NULL ? mem_zalloc(sizeof *denial) : NULL;
    if (denial != NULL)
        denial->message = message; /* static */
    eio_admission_decide(admission, is_allowed, denial);
}

static enum eio_verdict put_off(struct http_request *request, const char **message, void *app)
{
    struct world *world = app;
    struct eio_server *server = conn_worker(http_request_conn(request))->app;
    world_log(world, "asked;");
    assert_true(waiting_count < 4);
    waiting[waiting_count] = eio_admission_new(server, request);
    if (waiting[waiting_count] == NULL) {
        *message = "no memory";
        return EIO_DENY;
    }
    waiting_count++;
    if (at_once != 0)
        decide(waiting_count - 1, at_once > 0, at_once > 0 ? NULL : "not now");
    return EIO_LATER;
}

static struct world *start(void)
{
    struct world *world = world_new();
    waiting_count = 0;
    at_once = 0;
    world->events.on_allow = put_off;
    world->options.max_sessions = 3;
    world_start(world);
    return world;
}

static void test_polling_allowed(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    struct response response;
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    http_send(client, "GET", BASE, "", NULL);
    assert_false(http_receive(client, &response));
    assert_string_equal(world_reported(world), "asked;");
    world_advance(world, world->options.allow_timeout_ms - 1);
    assert_false(http_receive(client, &response));
    decide(0, true, NULL);
    assert_true(http_receive(client, &response));
    assert_int_equal(response.status, 200);
    assert_string_equal(world_reported(world), "open;");
    memcpy(sid, response.body + 9, EIO_SID_SIZE);
    sid[EIO_SID_SIZE] = '\0';
    assert_post(client, sid, "4x"); /* nobody is asked about a session that exists */
    assert_poll(client, sid, "4x");
    assert_string_equal(world_reported(world), "message(x);");
    world_advance(world, 2); /* its time is not running any more */
    assert_int_equal(world->live, 1);
    client_free(client);
    world_free(world);
}

static void test_polling_denied(void **state)
{
    struct response response;
    char words[8001];
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    static const char *const messages[] = {NULL, "you are \"not\" wanted"};
    static const char *const expected[] = {
        FORBIDDEN, "{\"code\":4,\"message\":\"you are \\\"not\\\" wanted\"}"};
    for (size_t i = 0; i < 2; i++) {
        http_send(client, "GET", BASE, "", NULL);
        client_turn(client);
        decide(i, false, messages[i]);
        assert_true(http_receive(client, &response));
        assert_response(&response, 403, expected[i]);
    }
    memset(words, '"', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    http_send(client, "GET", BASE, "", NULL);
    client_turn(client);
    decide(2, false, words);
    assert_true(http_receive(client, &response));
    assert_int_equal(response.status, 403);
    assert_int_equal(response.body_size, 23 + 2 * 8000);
    assert_string_equal(world_reported(world), "asked;asked;asked;");
    client_free(client);
    world_free(world);
}

/* What a WebSocket client sends behind its handshake waits, too. */
static void test_websocket(void **state)
{
    struct response response;
    unsigned opcode;
    char *data;
    size_t size;
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    http_send(client, "GET", WS_TARGET, WS_FIELDS, NULL);
    ws_send(client, "4early");
    client_turn(client);
    assert_string_equal(world_reported(world), "asked;");
    assert_int_equal(client->in_size, 0);
    decide(0, true, NULL);
    assert_true(http_receive(client, &response));
    assert_int_equal(response.status, 101);
    assert_true(ws_receive(client, &opcode, &data, &size));
    assert_memory_equal(data, "0{\"sid\":\"", 9);
    assert_ws_text(client, "4early");
    assert_string_equal(world_reported(world), "open;message(early);");
    client_free(client);

    client = client_new(world);
    http_send(client, "GET", WS_TARGET, WS_FIELDS, NULL);
    client_turn(client);
    decide(1, false, "no");
    assert_true(http_receive(client, &response));
    assert_response(&response, 400, "no");
    client_turn(client);
    assert_true(client->ended);
    client_free(client);
    world_free(world);
}

static void test_at_once(void **state)
{
    struct response *response;
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    at_once = -1;
    response = http_exchange(client, "GET", BASE, "", NULL);
    assert_response(response, 403, "{\"code\":4,\"message\":\"not now\"}");
    at_once = 1;
    response = http_exchange(client, "GET", BASE, "", NULL);
    assert_int_equal(response->status, 200);
    client_free(client);
    client = client_new(world);
    assert_int_equal(ws_connect(client, NULL), 101);
    assert_string_equal(world_reported(world), "asked;asked;open;asked;open;");
    client_free(client);
    world_free(world);
}

/* Nobody decides in time: the client is sent away; a decision that comes yet goes nowhere. */
static void test_timeout(void **state)
{
    struct response response;
    (void)state;
    struct world *world = start();
    struct client *clients[2] = {client_new(world), client_new(world)};
    http_send(clients[0], "GET", BASE, "", NULL);
    client_turn(clients[0]);
    http_send(clients[1], "GET", WS_TARGET, WS_FIELDS, NULL);
    client_turn(clients[1]);
    world_advance(world, world->options.allow_timeout_ms);
    for (size_t i = 0; i < 2; i++) {
        assert_true(http_receive(clients[i], &response));
        assert_response(&response, 503, "");
        client_turn(clients[i]);
        assert_true(clients[i]->ended);
    }
    decide(0, true, NULL);
    decide(1, false, "late words");
    world_turn(world);
    assert_string_equal(world_reported(world), "asked;asked;");
    client_free(clients[0]);
    client_free(clients[1]);
    world_free(world);
}

static void test_client_leaves(void **state)
{
    (void)state;
    struct world *world = start();
    for (size_t i = 0; i < 2; i++) {
        struct client *client = client_new(world);
        http_send(client, "GET", i == 0 ? BASE : WS_TARGET, i == 0 ? "" : WS_FIELDS, NULL);
        client_turn(client);
        client_free(client);
        world_turn(world);
        world_advance(world,
                      world->options.allow_timeout_ms); /* its time is not running any more */
        decide(i, i == 0, i == 0 ? NULL : "nobody hears it");
        world_turn(world);
    }
    /* Decided, and gone before the loop came to it. */
    struct client *client = client_new(world);
    http_send(client, "GET", BASE, "", NULL);
    client_turn(client);
    decide(2, true, NULL);
    LIST_FOR_EACH (node, &world->workers[0].conns)
        conn_close(CONTAINER_OF(node, struct conn, link), CONN_ERROR);
    world_turn(world);
    client_free(client);
    assert_string_equal(world_reported(world), "asked;asked;asked;");
    world_free(world);
}

/* Those who wait count: a crowd at the door is a crowd. */
static void test_limit(void **state)
{
    struct response response;
    (void)state;
    struct world *world = start();
    struct client *clients[3];
    for (size_t i = 0; i < 3; i++) {
        clients[i] = client_new(world);
        http_send(clients[i], "GET", BASE, "", NULL);
        client_turn(clients[i]);
    }
    assert_request(world, "GET", BASE, "", NULL, 503, "");
    decide(0, false, NULL);
    assert_true(http_receive(clients[0], &response));
    http_send(clients[0], "GET", BASE, "", NULL);
    client_turn(clients[0]);
    for (size_t i = 1; i < 4; i++) /* everybody who was asked about comes in */
        decide(i, true, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_true(http_receive(clients[i], &response));
        assert_int_equal(response.status, 200);
    }
    assert_int_equal(world->live, 3);
    assert_request(world, "GET", BASE, "", NULL, 503, "");
    for (size_t i = 0; i < 3; i++)
        client_free(clients[i]);
    world_free(world);
}

static void test_shutdown(void **state)
{
    struct response response;
    (void)state;
    struct world *world = start();
    struct client *clients[2] = {client_new(world), client_new(world)};
    for (size_t i = 0; i < 2; i++) {
        http_send(clients[i], "GET", BASE, "", NULL);
        client_turn(clients[i]);
    }
    eio_server_shutdown(world->servers[0]);
    decide(0, true, NULL);
    assert_true(http_receive(clients[0], &response));
    assert_int_equal(response.status, 503);
    client_free(clients[0]);
    client_free(clients[1]);
    world_free(world); /* ends while the other still waits */
    decide(1, true, NULL);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    struct world *world = start();
    for (uint64_t after = 0; after < 40; after++) {
        struct client *client = client_new(world);
        waiting_count = 0;
        waiting[0] = NULL;
        http_send(client, "GET", BASE, "", NULL);
        mem_fail_after(after, UINT64_MAX);
        client_turn(client);
        if (waiting[0] != NULL)
            decide(0, true, NULL);
        client_turn(client);
        mem_fail_after(0, 0);
        if (world->last != NULL) /* whoever came in leaves, before the limit is reached */
            eio_session_close(world->last, EIO_FORCED_CLOSE);
        client_free(client);
        world_advance(world, world->options.polling_close_timeout_ms);
        assert_int_equal(world->live, 0);
    }
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_polling_allowed), cmocka_unit_test(test_polling_denied),
        cmocka_unit_test(test_websocket),       cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_timeout),         cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_limit),           cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
