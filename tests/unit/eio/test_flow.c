/*
 * Flow control of sessions: packets with a key that take each other's place, over polling, WebSocket and through the upgrade from one
 * to the other; and the two marks of the queue.
 */
#include "support/world.h"

static void on_water(struct eio_session *session, bool is_high)
{
    world_log(eio_session_owner(session), is_high ? "high;" : "low;");
}

static struct world *start(void)
{
    struct world *world = world_new();
    world->events.on_water = on_water;
    world->options.send_high_water = world->limits.high_water = 20000;
    world->options.send_low_water = world->limits.low_water = 8000;
    world->options.send_max = world->limits.max = 400000;
    world_start(world);
    return world;
}

/* Sends "4text" under a key, with up to three attachments; returns the bytes that it took the place of. */
static size_t conflate(struct eio_session *session, uint64_t key, const char *text,
                       unsigned attachments, bool *ret_sent)
{
    struct message *unit[4] = {eio_packet_encode(EIO_MESSAGE, cvn_str(text))};
    size_t replaced = 0;
    assert_non_null(unit[0]);
    for (unsigned i = 1; i <= attachments; i++)
        assert_non_null(unit[i] = eio_packet_encode_binary(slice_of(text, 1)));
    unit[0]->flags |= MESSAGE_CONFLATE;
    unit[0]->key = key;
    unit[0]->followers = (uint8_t)attachments;
    bool is_sent = eio_session_send_conflated(session, unit, &replaced);
    if (ret_sent != NULL)
        *ret_sent = is_sent;
    else
        assert_true(is_sent);
    for (unsigned i = 0; i <= attachments; i++)
        message_unref(unit[i]);
    return replaced;
}

static void send_large(struct eio_session *session, size_t size)
{
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    struct message *packet = eio_packet_encode(EIO_MESSAGE, slice_of(text, size));
    assert_non_null(packet);
    assert_true(eio_session_send(session, packet));
    message_unref(packet);
    free(text);
}

static void test_polling(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    polling_open(client, sid);
    struct eio_session *session = world->last;
    assert_int_equal(conflate(session, 1, "a1", 0, NULL), 0);
    world_send_text(session, "between");
    assert_int_equal(conflate(session, 2, "b1", 0, NULL), 0);
    assert_true(conflate(session, 1, "a2", 2, NULL) > 0); /* in the place of the older one */
    assert_true(conflate(session, 2, "b2", 0, NULL) > 0);
    assert_poll(client, sid,
                "4a2\x1e"
                "bYQ==\x1e"
                "bYQ==\x1e"
                "4between\x1e"
                "4b2");
    assert_int_equal(conflate(session, 1, "a3", 1, NULL), 0); /* what has gone has gone */
    assert_true(conflate(session, 1, "a4", 0, NULL) > 0);     /* fewer attachments */
    assert_poll(client, sid, "4a4");
    assert_int_equal(eio_session_queued(session), 0);

    /* Within one turn, with a poll that waits. */
    poll_pending(client, sid);
    assert_int_equal(conflate(session, 1, "a5", 0, NULL), 0);
    assert_true(conflate(session, 1, "a6", 0, NULL) > 0);
    assert_polled(client, "4a6");
    client_free(client);
    world_free(world);
}

static void test_websocket(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    unsigned opcode;
    char *data;
    size_t size;
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    ws_open(client, sid);
    struct eio_session *session = world->last;
    assert_int_equal(conflate(session, 1, "a1", 1, NULL), 0);
    world_send_text(session, "between");
    assert_true(conflate(session, 1, "a2", 2, NULL) > 0);
    assert_ws_text(client, "4a2");
    for (int i = 0; i < 2; i++) {
        assert_true(ws_receive(client, &opcode, &data, &size));
        assert_int_equal(opcode, 2);
        assert_int_equal(size, 1);
    }
    assert_ws_text(client, "4between");
    assert_ws_silent(client);
    assert_int_equal(conflate(session, 1, "a3", 0, NULL), 0);
    assert_ws_text(client, "4a3");
    client_free(client);
    world_free(world);
}

/* What waits for polls goes over to the WebSocket, and stays replaceable there. */
static void test_upgrade(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    struct world *world = start();
    struct client *polling = client_new(world), *ws = client_new(world);
    polling_open(polling, sid);
    struct eio_session *session = world->last;
    assert_int_equal(ws_connect(ws, sid), 101);
    ws_send(ws, "2probe");
    assert_ws_text(ws, "3probe");
    assert_int_equal(conflate(session, 1, "a1", 0, NULL), 0);
    world_send_text(session, "between");
    assert_int_equal(conflate(session, 2, "b1", 3, NULL), 0);
    assert_true(conflate(session, 1, "a2", 1, NULL) > 0);
    world_reported(world);
    ws_send(ws, "5");
    unsigned opcode;
    char *data;
    size_t size;
    assert_ws_text(ws, "4a2");
    assert_true(ws_receive(ws, &opcode, &data, &size) && opcode == 2);
    assert_ws_text(ws, "4between");
    assert_ws_text(ws, "4b1");
    for (int i = 0; i < 3; i++)
        assert_true(ws_receive(ws, &opcode, &data, &size) && opcode == 2);
    assert_ws_silent(ws);
    assert_string_equal(world_reported(world), "upgrade;");
    client_free(polling);
    client_free(ws);
    world_free(world);
}

static void test_water_polling(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    polling_open(client, sid);
    world_reported(world);
    for (int round = 0; round < 2; round++) {
        send_large(world->last, 15000);
        assert_string_equal(world_reported(world), "");
        send_large(world->last, 15000);
        assert_string_equal(world_reported(world), "high;");
        send_large(world->last, 15000);
        assert_string_equal(world_reported(world), ""); /* once */
        struct response *response = http_exchange(client, "GET", sid_target(sid), "", NULL);
        assert_int_equal(response->body_size, 3 * 15001 + 2);
        assert_string_equal(world_reported(world), "low;");
    }
    client_free(client);
    world_free(world);
}

/* A WebSocket that does not read, then reads all. */
static void test_water_websocket(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    unsigned opcode;
    char *data;
    size_t size;
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    ws_open(client, sid);
    world_reported(world);
    for (int round = 0; round < 2; round++) {
        int count = 0;
        do
            send_large(world->last, 15000);
        while (eio_session_queued(world->last) <= 20000 && ++count < 10000);
        assert_string_equal(world_reported(world), "high;");
        while (ws_receive(client, &opcode, &data, &size))
            ;
        assert_int_equal(eio_session_queued(world->last), 0);
        assert_string_equal(world_reported(world), "low;");
    }
    client_free(client);
    world_free(world);
}

/* High on polling; the WebSocket takes it all: drained. */
static void test_water_upgrade(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    struct world *world = start();
    struct client *polling = client_new(world), *ws = client_new(world);
    polling_open(polling, sid);
    assert_int_equal(ws_connect(ws, sid), 101);
    ws_send(ws, "2probe");
    assert_ws_text(ws, "3probe");
    world_reported(world);
    send_large(world->last, 15000);
    send_large(world->last, 15000);
    assert_string_equal(world_reported(world), "high;");
    ws_send(ws, "5");
    client_turn(ws);
    assert_string_equal(world_reported(world), "low;upgrade;");
    client_free(polling);
    client_free(ws);
    world_free(world);
}

/* Above the maximum the session ends, with keys as without; replacing what waits costs nothing. */
static void test_slow_consumer(void **state)
{
    char sid[EIO_SID_SIZE + 1], text[300001];
    bool is_sent;
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    polling_open(client, sid);
    world_reported(world);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 100; i++)
        assert_int_equal(conflate(world->last, 1, text, 0, NULL) > 0, i > 0);
    assert_string_equal(world_reported(world), "high;");
    text[150000] = '\0';
    conflate(world->last, 2, text, 0, &is_sent);
    assert_false(is_sent);
    world_turn(world);
    assert_string_equal(world_reported(world), "close(slow consumer);");

    /* A larger one that takes a smaller one's place may be too much, too. */
    polling_open(client, sid);
    world_reported(world);
    send_large(world->last, 300000);
    assert_string_equal(world_reported(world), "high;");
    conflate(world->last, 1, "small", 0, NULL);
    conflate(world->last, 1, text, 0, &is_sent);
    assert_false(is_sent);
    world_turn(world);
    assert_string_equal(world_reported(world), "close(slow consumer);");
    client_free(client);
    world_free(world);
}

static void test_closed(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    bool is_sent;
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    polling_open(client, sid);
    eio_session_close(world->last, EIO_FORCED_CLOSE);
    conflate(world->last, 1, "late", 0, &is_sent);
    assert_false(is_sent);
    assert_poll(client, sid, "1");
    client_free(client);
    world_free(world);
}

static void test_memory_runs_out(void **state)
{
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    struct world *world = start();
    struct client *client = client_new(world);
    polling_open(client, sid);
    struct message *unit[1] = {eio_packet_encode(EIO_MESSAGE, SLICE("x"))};
    size_t replaced = 0;
    unit[0]->flags |= MESSAGE_CONFLATE;
    mem_fail_after(0, 1);
    assert_false(eio_session_send_conflated(world->last, unit, &replaced));
    mem_fail_after(0, 0);
    message_unref(unit[0]);
    world_turn(world);
    assert_string_equal(world_reported(world), "open;close(transport error);");
    client_free(client);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_polling),         cmocka_unit_test(test_websocket),
        cmocka_unit_test(test_upgrade),         cmocka_unit_test(test_water_polling),
        cmocka_unit_test(test_water_websocket), cmocka_unit_test(test_water_upgrade),
        cmocka_unit_test(test_slow_consumer),   cmocka_unit_test(test_closed),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
