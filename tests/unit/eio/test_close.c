/* How the server ends sessions: an ordered close waits for a poll, a shutdown not for long, callbacks may close anything. */
#include "support/world.h"

static void close_last(struct world *world, enum eio_reason reason)
{
    worker_enter(&world->workers[0]);
    eio_session_close(world->last, reason);
}

static void test_poll_pending(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *get = client_new(world), *post = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    polling_open(post, sid);
    poll_pending(get, sid);
    worker_enter(&world->workers[0]);
    world_send_text(world->last, "bye");
    close_last(world, EIO_FORCED_CLOSE);
    assert_string_equal(world_reported(world), "open;");
    assert_polled(get, "4bye"); /* by itself: what comes with a close some clients do not see */
    assert_string_equal(world_reported(world), "");
    assert_poll(get, sid, "1");
    assert_string_equal(world_reported(world), "close(forced close);");
    assert_gone(get, sid);
    client_free(get);
    client_free(post);
    world_free(world);
}

static void test_waits_for_poll(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *get = client_new(world), *post = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    polling_open(post, sid);
    worker_enter(&world->workers[0]);
    world_send_text(world->last, "bye");
    close_last(world, EIO_FORCED_SERVER_CLOSE);
    world_turn(world);
    world_advance(world, 29999);
    assert_string_equal(world_reported(world), "open;"); /* no ping meanwhile either */
    assert_post(post, sid, "4unheard");
    assert_poll(get, sid, "4bye");
    assert_poll(get, sid, "1");
    assert_string_equal(world_reported(world), "close(forced server close);");
    assert_gone(get, sid);
    client_free(get);
    client_free(post);
    world_free(world);
}

/* Who takes what was queued and does not come back for the close is not waited for any longer than others. */
static void test_polls_only_once(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *get = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    polling_open(get, sid);
    worker_enter(&world->workers[0]);
    world_send_text(world->last, "bye");
    close_last(world, EIO_FORCED_CLOSE);
    world_advance(world, 20000);
    assert_poll(get, sid, "4bye");
    world_advance(world, 9000);
    assert_string_equal(world_reported(world), "open;");
    world_advance(world, 1500);
    assert_string_equal(world_reported(world), "close(forced close);");
    assert_gone(get, sid);
    client_free(get);
    world_free(world);
}

static void test_nobody_polls(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *post = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    polling_open(post, sid);
    close_last(world, EIO_FORCED_CLOSE);
    world_advance(world, 30000);
    assert_string_equal(world_reported(world), "open;close(forced close);");
    assert_gone(post, sid);
    client_free(post);
    world_free(world);
}

/* A closing session ends for other reasons too; on_close tells the one it was closed with. */
static void test_ends_while_closing(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct world *world = world_started();
        struct client *get = client_new(world), *post = client_new(world);
        char sid[EIO_SID_SIZE + 1];
        polling_open(post, sid);
        if (way == 3) {
            http_send(get, "POST", sid_target(sid), "Content-Length: 10\r\n", NULL);
            close_last(world, EIO_FORCED_CLOSE);
            client_vanish(get, true);
            get = NULL;
        } else {
            static const char *const bodies[] = {"1", "abc", "4x\x1e\x31"};
            close_last(world, EIO_FORCED_CLOSE);
            assert_post(post, sid, bodies[way]);
        }
        assert_string_equal(world_reported(world), "open;close(forced close);");
        assert_gone(post, sid);
        client_free(get);
        client_free(post);
        world_free(world);
    }
}

/* From inside on_message, with more packets behind. */
static void test_from_message(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *get = client_new(world), *post = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    world->close_on_message = true;
    world->echo = false;
    polling_open(post, sid);
    poll_pending(get, sid);
    assert_post(post, sid,
                "4a\x1e"
                "4b\x1e"
                "4c");
    assert_polled(get, "1");
    assert_string_equal(world_reported(world), "open;message(a);close(forced close);");
    client_free(get);
    client_free(post);
    world_free(world);
}

/* --- From inside on_open --- */

static void open_and_close(struct eio_session *session, const struct http_request *request,
                           void *app)
{
    world_on_open(session, request, app);
    world_send_text(session, "no");
    eio_session_close(session, EIO_FORCED_CLOSE);
}

static void open_and_flood(struct eio_session *session, const struct http_request *request,
                           void *app)
{
    char *data;
    struct message *packet = eio_packet_new_text(2000, &data);
    world_on_open(session, request, app);
    memset(data, 'x', 2000);
    assert_false(eio_session_send(session, packet));
    assert_false(eio_session_is_open(session));
    message_unref(packet);
}

static void test_from_open(void **state)
{
    (void)state;
    struct world *world = world_new();
    char sid[EIO_SID_SIZE + 1];
    world->events.on_open = open_and_close;
    world_start(world);
    struct client *client = client_new(world);
    polling_open(client, sid);
    assert_string_equal(world_reported(world), "open;");
    assert_poll(client, sid, "4no");
    assert_poll(client, sid, "1");
    assert_string_equal(world_reported(world), "close(forced close);");
    client_free(client);
    client = client_new(world);
    ws_open(client, sid);
    assert_ws_text(client, "4no");
    assert_ws_closed(client, 1005);
    assert_string_equal(world_reported(world), "open;close(forced close);");
    client_free(client);
    world_free(world);
}

static void test_ended_in_open(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->events.on_open = open_and_flood;
    world->options.send_max = 1000;
    world_start(world);
    struct client *client = client_new(world);
    assert_int_equal(http_exchange(client, "GET", BASE, "", NULL)->status, 503);
    client_free(client);
    client = client_new(world);
    assert_int_equal(ws_connect(client, NULL), 503);
    client_free(client);
    assert_string_equal(world_reported(world),
                        "open;close(slow consumer);open;close(slow consumer);");
    world_free(world);
}

/* --- Sessions that end each other --- */

static struct eio_session *sessions[8];
static size_t session_count;

static void open_listed(struct eio_session *session, const struct http_request *request, void *app)
{
    world_on_open(session, request, app);
    sessions[session_count++] = session;
}

static void close_all_others(struct eio_session *session, enum eio_reason reason)
{
    for (size_t i = 0; i < session_count; i++) {
        if (sessions[i] == session)
            sessions[i] = NULL;
        else if (sessions[i] != NULL)
            eio_session_close(sessions[i], EIO_FORCED_CLOSE);
    }
    world_on_close(session, reason);
}

static void test_close_each_other(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct client *clients[8];
    char sids[8][EIO_SID_SIZE + 1];
    session_count = 0;
    world->events.on_open = open_listed;
    world->events.on_close = close_all_others;
    world_start(world);
    for (int i = 0; i < 8; i++) {
        clients[i] = client_new(world);
        if (i % 2)
            ws_open(clients[i], sids[i]);
        else
            polling_open(clients[i], sids[i]);
    }
    for (int i = 0; i < 8; i += 4)
        poll_pending(clients[i], sids[i]);
    client_vanish(clients[1], true);
    clients[1] = NULL;
    assert_polled(clients[0], "1");
    assert_ws_closed(clients[3], 1005);
    assert_poll(clients[2], sids[2], "1");
    assert_poll(clients[6], sids[6], "1");
    assert_int_equal(world->live, 0);
    assert_int_equal(eio_server_session_count(world->servers[0]), 0);
    for (int i = 0; i < 8; i++)
        client_free(clients[i]);
    world_free(world);
}

/* --- Shutdown --- */

static void test_shutdown(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *polling = client_new(world), *away = client_new(world), *ws = client_new(world);
    struct client *back = client_new(world), *late = client_new(world);
    char sid[EIO_SID_SIZE + 1], away_sid[EIO_SID_SIZE + 1], back_sid[EIO_SID_SIZE + 1];
    ws_open(ws, sid);
    polling_open(away, away_sid);
    polling_open(back, back_sid);
    polling_open(polling, sid);
    poll_pending(polling, sid);
    world_reported(world);
    worker_enter(&world->workers[0]);
    eio_server_shutdown(world->servers[0]);
    assert_polled(polling, "1");
    assert_ws_closed(ws, 1005);
    assert_int_equal(http_exchange(late, "GET", BASE, "", NULL)->status, 503);
    assert_poll(back, back_sid, "1");
    assert_int_equal(eio_server_session_count(world->servers[0]), 1);
    world_advance(world, 1000);
    assert_int_equal(eio_server_session_count(world->servers[0]), 0);
    assert_string_equal(world_reported(world),
                        "close(server shutting down);close(server shutting down);"
                        "close(server shutting down);close(server shutting down);");
    client_free(polling);
    client_free(away);
    client_free(back);
    client_free(late);
    client_free(ws);
    world_free(world);
}

/* From inside on_headers: the request it was called for is answered, not left to a session that is gone. */
static void flood(struct http_request *request, bool initial, void *app)
{
    struct world *world = app;
    (void)request;
    if (initial)
        return;
    char *data;
    struct message *packet = eio_packet_new_text(2000, &data);
    memset(data, 'x', 2000);
    eio_session_send(world->last, packet);
    message_unref(packet);
}

static void test_ended_in_headers(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST"};
    for (int i = 0; i < 2; i++) {
        struct world *world = world_new();
        char sid[EIO_SID_SIZE + 1];
        world->events.on_headers = flood;
        world->options.send_max = 1000;
        world_start(world);
        struct client *client = client_new(world);
        polling_open(client, sid);
        assert_int_equal(http_exchange(client, methods[i], sid_target(sid), "", NULL)->status, 400);
        assert_string_equal(world_reported(world), "open;close(slow consumer);");
        client_free(client);
        world_free(world);
    }
}

/* A WebSocket in its closing handshake outlives its session, and may outlive the instance. */
static void test_free_before_websocket(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *ws = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    ws_open(ws, sid);
    close_last(world, EIO_FORCED_CLOSE);
    world_turn(world);
    assert_string_equal(world_reported(world), "open;close(forced close);");
    assert_int_equal(eio_server_session_count(world->servers[0]), 0);
    eio_server_free(world->servers[0]);
    world->servers[0] = NULL;
    ws_send(ws, "4anybody there?");
    assert_ws_closed(ws, 1005);
    client_free(ws);
    world_turn(world);
    world_free(world);
}

/* The worker stops without a shutdown before: every session still gets its on_close (world_free checks), in whatever state. */
static void test_stop_at_once(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *clients[6];
    char sid[EIO_SID_SIZE + 1];
    for (int i = 0; i < 6; i++)
        clients[i] = client_new(world);
    ws_open(clients[0], sid);
    polling_open(clients[1], sid);
    polling_open(clients[2], sid);
    poll_pending(clients[2], sid);
    polling_open(clients[3], sid);
    http_send(clients[3], "POST", sid_target(sid), "Content-Length: 10\r\n", NULL);
    polling_open(clients[4], sid);
    assert_int_equal(ws_connect(clients[5], sid), 101);
    ws_send(clients[5], "2probe");
    polling_open(clients[1], sid);
    close_last(world, EIO_FORCED_CLOSE);
    for (int i = 0; i < 6; i++)
        client_turn(clients[i]);
    world_free(world);
    for (int i = 0; i < 6; i++)
        client_free(clients[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poll_pending),
        cmocka_unit_test(test_waits_for_poll),
        cmocka_unit_test(test_polls_only_once),
        cmocka_unit_test(test_nobody_polls),
        cmocka_unit_test(test_ends_while_closing),
        cmocka_unit_test(test_from_message),
        cmocka_unit_test(test_from_open),
        cmocka_unit_test(test_ended_in_open),
        cmocka_unit_test(test_close_each_other),
        cmocka_unit_test(test_ended_in_headers),
        cmocka_unit_test(test_free_before_websocket),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_stop_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
