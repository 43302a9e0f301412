/* The WebSocket transport: packets as frames, the ways it ends, and the heartbeat, which is the same over both transports. */
#include "support/world.h"

struct socket {
    struct world *world;
    struct client *ws;
    char sid[EIO_SID_SIZE + 1];
};

static void socket_begin(struct socket *s, struct world *world)
{
    s->world = world;
    s->ws = client_new(world);
    ws_open(s->ws, s->sid);
    assert_string_equal(world_reported(world), "open;");
}

static void socket_end(struct socket *s)
{
    client_free(s->ws);
    world_free(s->world);
}

static void test_echo(void **state)
{
    (void)state;
    struct socket s;
    unsigned opcode;
    char *data;
    size_t size;
    socket_begin(&s, world_started());
    ws_send(s.ws, "4hello");
    assert_ws_text(s.ws, "4hello");
    ws_send(s.ws, "4");
    assert_ws_text(s.ws, "4");
    ws_send_frame(s.ws, 0x82, "\x00\x01\xff", 3);
    assert_true(ws_receive(s.ws, &opcode, &data, &size));
    assert_int_equal(opcode, 2);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "\x00\x01\xff", 3);
    ws_send_frame(s.ws, 0x82, "", 0);
    assert_true(ws_receive(s.ws, &opcode, &data, &size));
    assert_int_equal(opcode, 2);
    assert_int_equal(size, 0);
    assert_int_equal(eio_session_transport(s.world->last), EIO_WEBSOCKET);
    assert_true(slice_eq(eio_session_id(s.world->last), cvn_str(s.sid)));
    socket_end(&s);
}

/* In, decode, handler: not one allocation; out: none either but the handler's own message. */
static void test_no_allocation(void **state)
{
    (void)state;
    struct socket s;
    struct message *packet = eio_packet_encode(EIO_MESSAGE, SLICE("out"));
    socket_begin(&s, world_started());
    s.world->echo = false;
    for (int i = 0; i < 4; i++) { /* queues of the layers below have grown to their size */
        eio_session_send(s.world->last, packet);
        assert_ws_text(s.ws, "4out");
    }
    uint64_t before = mem_allocation_count();
    for (int i = 0; i < 50; i++) {
        ws_send(s.ws, "4in");
        eio_session_send(s.world->last, packet);
        assert_ws_text(s.ws, "4out");
    }
    assert_int_equal(mem_allocation_count() - before, 0);
    message_unref(packet);
    socket_end(&s);
}

static void test_bad_packets(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"abc", "close(parse error);"},   {"", "close(parse error);"},
        {"bAAEC", "close(parse error);"}, {"7", "close(parse error);"},
        {"2", "close(transport error);"}, {"2probe", "close(transport error);"},
        {"1", "close(transport close);"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct socket s;
        socket_begin(&s, world_started());
        ws_send(s.ws, cases[i].text);
        assert_ws_closed(s.ws, 1005);
        assert_string_equal(world_reported(s.world), cases[i].reason);
        assert_int_equal(eio_server_session_count(s.world->servers[0]), 0);
        socket_end(&s);
    }
}

static void test_packets_out_of_place(void **state)
{
    (void)state;
    struct socket s;
    socket_begin(&s, world_started());
    ws_send(s.ws, "3");
    ws_send(s.ws, "5");
    ws_send(s.ws, "6");
    ws_send(s.ws, "0{}");
    assert_ws_silent(s.ws);
    ws_send(s.ws, "4alive");
    assert_ws_text(s.ws, "4alive");
    socket_end(&s);
}

static void test_too_large(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct socket s;
    char text[102];
    world->options.max_payload = 100;
    world_start(world);
    socket_begin(&s, world);
    memset(text, 'x', sizeof text);
    text[0] = '4';
    text[100] = '\0';
    ws_send(s.ws, text);
    assert_ws_text(s.ws, text);
    world_reported(world);
    text[100] = 'x';
    text[101] = '\0';
    ws_send(s.ws, text);
    assert_ws_closed(s.ws, 1009);
    client_vanish(s.ws, false);
    s.ws = NULL;
    assert_string_equal(world_reported(world), "close(transport error);");
    socket_end(&s);
}

/* How it may end, and what that is called. */
static void test_ends(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct socket s;
        socket_begin(&s, world_started());
        if (way == 0) { /* a close frame */
            ws_send_frame(s.ws, 0x88, "\x03\xe8", 2);
            assert_ws_closed(s.ws, 1000);
            client_vanish(s.ws, false);
        } else if (way == 1) { /* bad UTF-8: refused by the layer below */
            ws_send_frame(s.ws, 0x81, "4\xff", 2);
            assert_ws_closed(s.ws, 1007);
            client_vanish(s.ws, false);
        } else {
            client_vanish(s.ws, way == 3);
        }
        s.ws = NULL;
        assert_string_equal(world_reported(s.world),
                            way == 1 ? "close(transport error);" : "close(transport close);");
        assert_int_equal(eio_server_session_count(s.world->servers[0]), 0);
        socket_end(&s);
    }
}

/* Dies in the midst of the handshake's bytes, and in the midst of a frame. */
static void test_dies_early(void **state)
{
    (void)state;
    static const char head[] = "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
                               "Host: localhost\r\n" WS_FIELDS "\r\n";
    struct world *world = world_started();
    for (size_t size = 0; size < sizeof head - 1; size += 7) {
        struct client *client = client_new(world);
        client_write(client, head, size);
        client_vanish(client, size % 2);
    }
    assert_string_equal(world_reported(world), "");
    for (size_t size = 1; size < 9; size++) {
        struct client *client = client_new(world);
        client_write(client, head, sizeof head - 1);
        client_write(client, "\x81\x83\x01\x02\x03\x04\x35", size > 7 ? 7 : size);
        client_vanish(client, size % 2);
        assert_string_equal(world_reported(world), "open;close(transport close);");
    }
    /* Head and first frame in one segment. */
    struct client *client = client_new(world);
    client_write(client, head, sizeof head - 1);
    world_reported(world);
    client_free(client);
    world_turn(world);
    client = client_new(world);
    char both[1024];
    memcpy(both, head, sizeof head - 1);
    memcpy(both + sizeof head - 1,
           "\x81\x82\x00\x00\x00\x00"
           "4x",
           8);
    world_reported(world);
    client_write(client, both, sizeof head - 1 + 8);
    assert_string_equal(world_reported(world), "open;message(x);");
    client_free(client);
    world_free(world);
}

static void test_server_closes(void **state)
{
    (void)state;
    struct socket s;
    socket_begin(&s, world_started());
    struct eio_session *session = s.world->last;
    worker_enter(&s.world->workers[0]);
    world_send_text(session, "last words");
    eio_session_close(session, EIO_FORCED_SERVER_CLOSE);
    assert_string_equal(world_reported(s.world), ""); /* at the end of the turn */
    assert_false(eio_session_is_open(session));
    eio_session_close(session, EIO_FORCED_CLOSE); /* again: nothing */
    world_send_text(session, "too late");
    assert_ws_text(s.ws, "4last words");
    assert_string_equal(world_reported(s.world), "close(forced server close);");
    ws_send(s.ws, "4unheard");
    assert_ws_closed(s.ws, 1005);
    assert_string_equal(world_reported(s.world), "");
    socket_end(&s);
}

static void test_closes_from_message(void **state)
{
    (void)state;
    struct socket s;
    socket_begin(&s, world_started());
    s.world->close_on_message = true;
    ws_send_frame(s.ws, 0x81, "4x", 2);
    assert_string_equal(world_reported(s.world), "message(x);close(forced close);");
    assert_ws_closed(s.ws, 1005);
    socket_end(&s);
}

/* --- Back pressure --- */

static void test_slow_consumer(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct socket s;
    world->limits = (struct conn_limits){.high_water = 100000, .max = 1000000};
    world_start(world);
    socket_begin(&s, world);
    char *data;
    struct message *packet = eio_packet_new_text(50000, &data);
    struct message *lossy = eio_packet_encode(EIO_MESSAGE, SLICE("v"));
    bool dropped = false;
    memset(data, 'x', 50000);
    lossy->flags |= MESSAGE_VOLATILE;
    worker_enter(&world->workers[0]);
    assert_true(eio_session_send(world->last, lossy));
    for (int i = 0; i < 2000 && eio_session_send(world->last, packet); i++)
        dropped = dropped || !eio_session_send(world->last, lossy); /* nobody reads */
    assert_true(dropped);
    world_turn(world);
    assert_string_equal(world_reported(world), "close(slow consumer);");
    message_unref(packet);
    message_unref(lossy);
    socket_end(&s);
}

/* --- Heartbeat --- */

static void test_heartbeat(void **state)
{
    (void)state;
    struct socket s;
    socket_begin(&s, world_started());
    for (int i = 0; i < 5; i++) {
        world_advance(s.world, 24999);
        assert_ws_silent(s.ws);
        world_advance(s.world, 1);
        assert_ws_text(s.ws, "2");
        world_advance(s.world, 19000);
        ws_send(s.ws, "3");
        assert_ws_silent(s.ws);
    }
    assert_string_equal(world_reported(s.world), "");
    socket_end(&s);
}

static void test_ping_timeout(void **state)
{
    (void)state;
    struct socket s;
    socket_begin(&s, world_started());
    world_advance(s.world, 25000);
    assert_ws_text(s.ws, "2");
    world_advance(s.world, 19999);
    assert_string_equal(world_reported(s.world), "");
    world_advance(s.world, 1);
    assert_string_equal(world_reported(s.world), "close(ping timeout);");
    assert_ws_closed(s.ws, 1005);
    socket_end(&s);
}

/* While a pong is awaited any one other packet moves the deadline, once. */
static void test_extension(void **state)
{
    (void)state;
    static const char *const packets[] = {"4x", "6", "5"};
    for (size_t i = 0; i < 3; i++) {
        struct socket s;
        socket_begin(&s, world_started());
        s.world->echo = false;
        world_advance(s.world, 25000);
        assert_ws_text(s.ws, "2");
        world_advance(s.world, 15000);
        ws_send(s.ws, packets[i]); /* the deadline is now at 60 s */
        world_advance(s.world, 15000);
        ws_send(s.ws, packets[i]); /* changes nothing */
        world_reported(s.world);
        world_advance(s.world, 4999);
        assert_string_equal(world_reported(s.world), "");
        world_advance(s.world, 1);
        assert_string_equal(world_reported(s.world), "close(ping timeout);");
        socket_end(&s);
    }
}

/* Each ping has its own extension, and a pong that nobody asked for puts off nothing. */
static void test_extension_again(void **state)
{
    (void)state;
    struct socket s;
    socket_begin(&s, world_started());
    s.world->echo = false;
    for (int i = 0; i < 3; i++) {
        world_advance(s.world, 20000);
        ws_send(s.ws, "3"); /* unasked */
        world_advance(s.world, 5000);
        assert_ws_text(s.ws, "2");
        world_advance(s.world, 19000);
        ws_send(s.ws, "4x");
        world_advance(s.world, 19000);
        ws_send(s.ws, "3");
    }
    assert_string_equal(world_reported(s.world), "message(x);message(x);message(x);");
    socket_end(&s);
}

static void test_heartbeat_polling(void **state)
{
    (void)state;
    struct world *world = world_started();
    struct client *get = client_new(world), *post = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    polling_open(post, sid);
    poll_pending(get, sid);
    world_advance(world, 25000);
    assert_polled(get, "2");
    assert_post(post, sid, "3");
    /* Without a poll it waits for the next. */
    world_advance(world, 25000);
    assert_poll(get, sid, "2");
    poll_pending(get, sid);
    world_advance(world, 20000);
    assert_polled(get, "1");
    assert_string_equal(world_reported(world), "open;close(ping timeout);");
    assert_gone(post, sid);
    /* A client that never comes back. */
    polling_open(post, sid);
    world_advance(world, 25000);
    world_advance(world, 20000);
    assert_string_equal(world_reported(world), "open;close(ping timeout);");
    assert_int_equal(eio_server_session_count(world->servers[0]), 0);
    client_free(get);
    client_free(post);
    world_free(world);
}

/* The time is up, but its timer has not fired yet in this turn: a request does not find the session any more. */
static void test_overdue(void **state)
{
    (void)state;
    struct socket s;
    struct response response;
    char sid[EIO_SID_SIZE + 1], text[256];
    socket_begin(&s, world_started());
    struct client *get = client_new(s.world);
    polling_open(get, sid);
    world_advance(s.world, 25000);
    assert_poll(get, sid, "2");
    assert_ws_text(s.ws, "2");
    world_reported(s.world);
    s.world->echo = false;
    s.world->late_ms = 20000;
    /* Both are there when the loop wakes up; the frame is handled first. */
    static const unsigned char frame[] = {0x81, 0x82, 0, 0, 0, 0, '4', 'x'};
    assert_int_equal(send(s.ws->fd, frame, sizeof frame, 0), sizeof frame);
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", sid_target(sid));
    assert_int_equal(send(get->fd, text, (size_t)size, 0), size);
    assert_true(http_receive(get, &response));
    assert_response(&response, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
    assert_int_equal(strncmp(world_reported(s.world), "message(x);close(ping timeout);", 31), 0);
    client_free(get);
    socket_end(&s);
}

/* After a stall (a suspended machine) the clients get their time: nobody is dropped for the server's own absence. */
static void test_stall(void **state)
{
    (void)state;
    struct socket s;
    socket_begin(&s, world_started());
    struct wheel *wheel = &s.world->workers[0].wheel;
    wheel_set_now(wheel, wheel->now_ms + 3600000);
    world_advance(s.world, 0);
    assert_ws_text(s.ws, "2");
    world_advance(s.world, 19999);
    ws_send(s.ws, "3");
    ws_send(s.ws, "4x");
    assert_ws_text(s.ws, "4x");
    socket_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_bad_packets),
        cmocka_unit_test(test_packets_out_of_place),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_dies_early),
        cmocka_unit_test(test_server_closes),
        cmocka_unit_test(test_closes_from_message),
        cmocka_unit_test(test_slow_consumer),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_ping_timeout),
        cmocka_unit_test(test_extension),
        cmocka_unit_test(test_extension_again),
        cmocka_unit_test(test_heartbeat_polling),
        cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
