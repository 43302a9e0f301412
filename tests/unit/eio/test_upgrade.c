/* From polling to WebSocket: the orders in which it may happen, what may go wrong at every step, and that nothing is lost or
 * overtakes. */
#include "support/world.h"

struct upgrade {
    struct world *world;
    struct client *get, *post, *ws;
    char sid[EIO_SID_SIZE + 1];
};

static void upgrade_begin(struct upgrade *u, struct world *world)
{
    u->world = world;
    u->get = client_new(world);
    u->post = client_new(world);
    u->ws = client_new(world);
    polling_open(u->post, u->sid);
    assert_int_equal(ws_connect(u->ws, u->sid), 101);
    assert_string_equal(world_reported(world), "open;");
}

static void upgrade_end(struct upgrade *u)
{
    client_free(u->get);
    client_free(u->post);
    client_free(u->ws);
    world_free(u->world);
}

static void probe(struct upgrade *u)
{
    ws_send(u->ws, "2probe");
    assert_ws_text(u->ws, "3probe");
}

static void test_with_poll_pending(void **state)
{
    (void)state;
    struct upgrade u;
    struct response response;
    upgrade_begin(&u, world_started());
    poll_pending(u.get, u.sid);
    probe(&u);
    world_advance(u.world, 99);
    assert_false(http_receive(u.get, &response));
    world_advance(u.world, 1);
    assert_polled(u.get, "6");
    poll_pending(u.get, u.sid); /* a client that polls once more gets another */
    world_advance(u.world, 100);
    assert_polled(u.get, "6");
    assert_int_equal(eio_session_transport(u.world->last), EIO_POLLING);
    ws_send(u.ws, "5");
    assert_string_equal(world_reported(u.world), "upgrade;");
    ws_send(u.ws, "4hello");
    assert_ws_text(u.ws, "4hello");
    assert_string_equal(world_reported(u.world), "message(hello);");
    assert_request(u.world, "GET", sid_target(u.sid), "", NULL, 400,
                   "{\"code\":3,\"message\":\"Bad request\"}");
    assert_request(u.world, "POST", sid_target(u.sid), "", "4x", 400,
                   "{\"code\":3,\"message\":\"Bad request\"}");
    ws_send(u.ws, "4still");
    assert_ws_text(u.ws, "4still");
    upgrade_end(&u);
}

static void test_without_poll(void **state)
{
    (void)state;
    struct upgrade u;
    upgrade_begin(&u, world_started());
    probe(&u);
    world_advance(u.world, 150);
    poll_pending(u.get, u.sid);
    world_advance(u.world, 100);
    assert_polled(u.get, "6");
    ws_send(u.ws, "5");
    ws_send_frame(u.ws, 0x81, "4a", 2);
    assert_ws_text(u.ws, "4a");
    upgrade_end(&u);
}

/* "5" at once, with the poll still out: it goes home. */
static void test_poll_pending_at_the_end(void **state)
{
    (void)state;
    struct upgrade u;
    upgrade_begin(&u, world_started());
    probe(&u);
    poll_pending(u.get, u.sid);
    ws_send(u.ws, "5");
    assert_polled(u.get, "6");
    assert_string_equal(world_reported(u.world), "upgrade;");
    upgrade_end(&u);
}

/* What is sent during the upgrade comes out once and in order, whichever way each part takes. */
static void test_order(void **state)
{
    (void)state;
    struct upgrade u;
    upgrade_begin(&u, world_started());
    assert_post(u.post, u.sid, "41");
    probe(&u);
    assert_post(u.post, u.sid, "42");
    assert_poll(u.get, u.sid,
                "41\x1e"
                "42"); /* polling still delivers */
    poll_pending(u.get, u.sid);
    assert_post(u.post, u.sid, "43");
    assert_polled(u.get, "43");
    assert_post(u.post, u.sid,
                "44\x1e"
                "45"); /* nobody polls any more */
    world_advance(u.world, 100);
    ws_send(u.ws, "5");
    assert_ws_text(u.ws, "44");
    assert_ws_text(u.ws, "45");
    ws_send(u.ws, "46");
    assert_ws_text(u.ws, "46");
    assert_string_equal(
        world_reported(u.world),
        "message(1);message(2);message(3);message(4);message(5);upgrade;message(6);");
    upgrade_end(&u);
}

/* Sent in one turn with the "5", and a poll is pending: all of it goes over the WebSocket. */
static void test_order_in_one_turn(void **state)
{
    (void)state;
    struct upgrade u;
    struct response response;
    upgrade_begin(&u, world_started());
    probe(&u);
    poll_pending(u.get, u.sid);
    worker_enter(&u.world->workers[0]);
    world_send_text(u.world->last, "first");
    world_send_text(u.world->last, "second");
    world_turn(u.world);
    assert_polled(u.get, "4first\x1e"
                         "4second");
    world_send_text(u.world->last, "third");
    ws_send(u.ws, "5");
    assert_ws_text(u.ws, "4third");
    assert_false(http_receive(u.get, &response));
    upgrade_end(&u);
}

static void test_post_under_way(void **state)
{
    (void)state;
    struct upgrade u;
    struct response response;
    upgrade_begin(&u, world_started());
    http_send(u.post, "POST", sid_target(u.sid), "Content-Length: 5\r\n", NULL);
    client_print(u.post, "4la");
    probe(&u);
    ws_send(u.ws, "5");
    client_print(u.post, "te");
    assert_true(http_receive(u.post, &response));
    assert_response(&response, 200, "ok");
    assert_ws_text(u.ws, "4late");
    assert_string_equal(world_reported(u.world), "upgrade;message(late);");
    upgrade_end(&u);
}

static void test_volatile_during(void **state)
{
    (void)state;
    struct upgrade u;
    struct message *packet = eio_packet_encode(EIO_MESSAGE, SLICE("v"));
    packet->flags |= MESSAGE_VOLATILE;
    upgrade_begin(&u, world_started());
    poll_pending(u.get, u.sid);
    worker_enter(&u.world->workers[0]);
    assert_false(eio_session_send(u.world->last, packet)); /* in the midst of an upgrade */
    probe(&u);
    ws_send(u.ws, "5");
    assert_true(eio_session_send(u.world->last, packet));
    assert_ws_text(u.ws, "4v");
    message_unref(packet);
    upgrade_end(&u);
}

static void assert_still_polling(struct upgrade *u)
{
    assert_post(u->post, u->sid, "4alive");
    assert_poll(u->get, u->sid, "4alive");
    assert_string_equal(world_reported(u->world), "message(alive);");
}

/* Whatever the probing WebSocket does wrong costs it alone. */
static void test_wrong_probes(void **state)
{
    (void)state;
    static const char *const texts[] = {"2", "2prob", "2probe!", "3probe", "4hello", "abc",
                                        "",  "1",     "6",       "0{}",    "b",      "probe"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (int probed = 0; probed < 2; probed++) {
            struct upgrade u;
            upgrade_begin(&u, world_started());
            if (probed)
                probe(&u);
            ws_send(u.ws, texts[i]);
            assert_ws_closed(u.ws, 1005);
            assert_still_polling(&u);
            upgrade_end(&u);
        }
    }
    struct upgrade u;
    upgrade_begin(&u, world_started());
    ws_send_frame(u.ws, 0x82, "2probe", 6);
    assert_ws_closed(u.ws, 1005);
    assert_still_polling(&u);
    upgrade_end(&u);
}

/* It goes away, in every state and in every way, and may come again. */
static void test_vanishes(void **state)
{
    (void)state;
    for (int step = 0; step < 3; step++) {
        for (int way = 0; way < 4; way++) {
            struct upgrade u;
            upgrade_begin(&u, world_started());
            if (step == 2)
                poll_pending(u.get, u.sid);
            if (step > 0)
                probe(&u);
            if (way == 2)
                ws_send_frame(u.ws, 0x88, "", 0);
            else if (way == 3)
                ws_send_frame(u.ws, 0xf1, "rsv", 3);
            client_vanish(u.ws, way == 1);
            u.ws = NULL;
            assert_string_equal(world_reported(u.world), "");
            if (step == 2) {
                assert_post(u.post, u.sid, "4x");
                assert_polled(u.get, "4x");
                assert_string_equal(world_reported(u.world), "message(x);");
            }
            world_advance(u.world, 11000); /* no timer of it is left */
            assert_still_polling(&u);
            u.ws = client_new(u.world);
            assert_int_equal(ws_connect(u.ws, u.sid), 101);
            probe(&u);
            ws_send(u.ws, "5");
            assert_string_equal(world_reported(u.world), "upgrade;");
            upgrade_end(&u);
        }
    }
}

static void test_timeout(void **state)
{
    (void)state;
    for (int probed = 0; probed < 2; probed++) {
        struct upgrade u;
        upgrade_begin(&u, world_started());
        if (probed)
            probe(&u);
        world_advance(u.world, 9999);
        assert_ws_silent(u.ws);
        world_advance(u.world, 1);
        assert_ws_closed(u.ws, 1005);
        assert_still_polling(&u);
        upgrade_end(&u);
    }
}

static void test_second_websocket(void **state)
{
    (void)state;
    for (int step = 0; step < 3; step++) {
        struct upgrade u;
        upgrade_begin(&u, world_started());
        if (step > 0)
            probe(&u);
        if (step > 1)
            ws_send(u.ws, "5");
        struct client *second = client_new(u.world);
        assert_int_equal(ws_connect(second, u.sid), 101);
        assert_ws_closed(second, 1005);
        client_free(second);
        if (step < 2) {
            probe(&u); /* again, for all the first knows */
            ws_send(u.ws, "5");
        }
        ws_send(u.ws, "4first");
        assert_ws_text(u.ws, "4first");
        assert_string_equal(world_reported(u.world), "upgrade;message(first);");
        upgrade_end(&u);
    }
}

/* Also for a session that was a WebSocket from the start. */
static void test_websocket_has_no_upgrade(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *first = client_new(world), *second = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    ws_open(first, sid);
    assert_int_equal(ws_connect(second, sid), 101);
    ws_send(second, "2probe");
    assert_ws_closed(second, 1005);
    ws_send(first, "4x");
    assert_ws_text(first, "4x");
    client_free(first);
    client_free(second);
    world_free(world);
}

/* The reference asks for no probe before the "5". */
static void test_without_probe(void **state)
{
    (void)state;
    struct upgrade u;
    upgrade_begin(&u, world_started());
    assert_post(u.post, u.sid, "4x");
    ws_send(u.ws, "5");
    assert_ws_text(u.ws, "4x");
    upgrade_end(&u);
}

/* The session ends while a WebSocket probes: that is closed too. */
static void test_session_ends(void **state)
{
    (void)state;
    for (int probed = 0; probed < 2; probed++) {
        struct upgrade u;
        upgrade_begin(&u, world_started());
        if (probed)
            probe(&u);
        assert_post(u.post, u.sid, "1");
        assert_string_equal(world_reported(u.world), "close(transport close);");
        assert_ws_closed(u.ws, 1005);
        upgrade_end(&u);
    }
}

/* A session that waits for a poll to be closed in order is closed over the WebSocket when that comes first. */
static void test_closing(void **state)
{
    (void)state;
    struct upgrade u;
    upgrade_begin(&u, world_started());
    probe(&u);
    worker_enter(&u.world->workers[0]);
    world_send_text(u.world->last, "bye");
    eio_session_close(u.world->last, EIO_FORCED_CLOSE);
    world_turn(u.world);
    assert_string_equal(world_reported(u.world), "");
    ws_send(u.ws, "5");
    assert_ws_text(u.ws, "4bye");
    assert_string_equal(world_reported(u.world), "close(forced close);");
    assert_ws_closed(u.ws, 1005);
    upgrade_end(&u);
}

/* A ping that went out by polling is answered over the WebSocket, with a fresh deadline. */
static void test_pong_after_upgrade(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct upgrade u = {.world = world};
    u.get = client_new(world);
    u.post = client_new(world);
    u.ws = client_new(world);
    polling_open(u.post, u.sid);
    world_advance(world, 25000);
    assert_poll(u.get, u.sid, "2");
    world_advance(world, 15000);
    assert_int_equal(ws_connect(u.ws, u.sid), 101);
    probe(&u);
    ws_send(u.ws, "5");
    world_advance(world, 19000);
    ws_send(u.ws, "3");
    world_advance(world, 24999);
    assert_ws_silent(u.ws);
    world_advance(world, 1);
    assert_ws_text(u.ws, "2");
    assert_string_equal(world_reported(world), "open;upgrade;");
    world_advance(world, 20000);
    assert_string_equal(world_reported(world), "close(ping timeout);");
    upgrade_end(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_poll_pending),
        cmocka_unit_test(test_without_poll),
        cmocka_unit_test(test_poll_pending_at_the_end),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_in_one_turn),
        cmocka_unit_test(test_post_under_way),
        cmocka_unit_test(test_volatile_during),
        cmocka_unit_test(test_wrong_probes),
        cmocka_unit_test(test_vanishes),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_second_websocket),
        cmocka_unit_test(test_websocket_has_no_upgrade),
        cmocka_unit_test(test_without_probe),
        cmocka_unit_test(test_session_ends),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_pong_after_upgrade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
