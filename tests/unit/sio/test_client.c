/*
 * One connection and its packets: what joins, what the protocol forbids and so ends the connection, attachments, timeouts, and that an end
 * in whatever state leaves nothing behind.
 */
#include "io.h"

static struct io *started(void)
{
    struct io *io = io_new(1);
    io_log_all(io_namespace(io, "/"));
    io_log_all(io_namespace(io, "/chat"));
    io_start(io);
    return io;
}

static void test_join_and_leave(void **state)
{
    struct io *io = started();
    struct client *client = io_client(io, 0);
    (void)state;
    assert_int_equal(io->workers[0].connections, 1);
    assert_int_equal(io->workers[0].sockets, 0);
    cvn_socket *root = io_join(client, "/");
    cvn_socket *chat = io_join(client, "/chat");
    assert_reported("in/;in/chat;");
    assert_int_equal(io->workers[0].sockets, 2);
    assert_string_not_equal(cvn_socket_id(root), cvn_socket_id(chat));
    assert_true(cvn_socket_is_connected(root));
    assert_string_equal(cvn_socket_transport(root), "websocket");
    assert_string_equal(cvn_socket_address(root), "127.0.0.1");
    assert_true(slice_eq(cvn_socket_auth(root), SLICE("{}")));
    assert_true(slice_eq(cvn_socket_query(root, "EIO"), SLICE("4")));
    assert_null(cvn_socket_query(root, "sid").data);
    assert_true(slice_eq(cvn_socket_header(root, "HOST"), SLICE("localhost")));
    assert_null(cvn_socket_header(root, "cookie").data);

    ws_send(client, "42/chat,[\"a\",1]");
    ws_send(client, "42[\"b\"]");
    assert_reported("any:a(1);any:b();");
    ws_send(client, "41/chat,");
    assert_reported("leaving(client namespace disconnect);left(client namespace disconnect);");
    assert_int_equal(io->workers[0].sockets, 1);
    io_join(client, "/chat"); /* anew */
    assert_reported("in/chat;");
    client_vanish(client, false);
    assert_reported("leaving(transport close);left(transport close);"
                    "leaving(transport close);left(transport close);");
    assert_int_equal(io->workers[0].connections, 0);
    assert_int_equal(io->workers[0].sockets, 0);
    assert_int_equal(io->workers[0].connections_total, 1);
    io_free(io);
}

static void test_auth(void **state)
{
    struct io *io = started();
    struct client *client = io_client(io, 0);
    (void)state;
    ws_send(client, "40{\"token\":\"se\\u0063ret\",\"n\":[1]}");
    io_read(client);
    assert_true(
        slice_eq(cvn_socket_auth(io->last), SLICE("{\"token\":\"se\\u0063ret\",\"n\":[1]}")));
    client_free(client);
    io_free(io);
}

static void test_unknown_namespace(void **state)
{
    struct io *io = started();
    struct client *client = io_client(io, 0);
    (void)state;
    ws_send(client, "40/x,");
    assert_ws_text(client, "44/x,{\"message\":\"Invalid namespace\"}");
    ws_send(client, "40/chat/,{}");
    assert_ws_text(client, "44/chat/,{\"message\":\"Invalid namespace\"}");
    ws_send(client, "40/Chat");
    assert_ws_text(client, "44/Chat,{\"message\":\"Invalid namespace\"}");
    io_join(client, "/"); /* the connection stays open */
    assert_int_equal(io->workers[0].sockets, 1);
    client_free(client);
    io_free(io);
}

/* Sent by a client that has joined "/" only. */
static void test_violations(void **state)
{
    static const char *const packets[] = {
        "4",
        "47",
        "48[\"a\"]",
        "42",
        "42{}",
        "42\"a\"",
        "42[]",
        "42[null]",
        "42[{\"a\":1}]",
        "42[\"a\"",
        "42[\"a\",]",
        "42[\"connect\"]",
        "42[\"connect_error\"]",
        "42[\"disconnect\"]",
        "42[\"disconnecting\"]",
        "42[\"newListener\"]",
        "42[\"removeListener\"]",
        "42[\"disconne\\u0063t\"]",
        "43",
        "43{}",
        "431{}",
        "44",
        "44{\"message\":\"x\"}",
        "45[\"a\"]",
        "450-[\"a\"]",
        "454-[\"a\"]",
        "451-[\"a\",{\"_placeholder\":true,\"num\":1}]",
        "460-[]",
        "40",         /* a second CONNECT */
        "40{}",       /* the same */
        "40[]",       /* not an object */
        "40/chat,[]", /* nor here */
        "40\"x\"",
        "41{}",
        "42/chat,[\"a\"]",    /* not joined */
        "451-/chat,[\"a\"]",  /* not joined, and no attachment is waited for */
        "43/chat,1[]",        /* not joined */
        "41/chat",            /* not joined */
        "42/nowhere,[\"a\"]", /* not there */
        "461-/nowhere,1[\"a\"]",
        "4garbage",
    };
    struct io *io = started();
    (void)state;
    for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
        struct client *client = io_joined(io, 0, NULL);
        ws_send(client, packets[i]);
        const char *reported = world_reported(io->world);
        if (strcmp(reported, "in/;leaving(parse error);left(parse error);") != 0)
            fail_msg("%s: %s", packets[i], reported);
        assert_ws_closed(client, 1005);
        client_free(client);
        world_turn(io->world);
        assert_int_equal(io->workers[0].connections, 0);
    }
    io_free(io);
}

/* A name longer than any namespace may have, joined or left. */
static void test_long_namespace(void **state)
{
    char text[512];
    struct io *io = started();
    (void)state;
    for (size_t size = 254; size <= 256; size++) {
        struct client *client = io_client(io, 0);
        memset(text, 'n', sizeof text);
        memcpy(text, "40/", 3);
        memcpy(text + 2 + size, ",", 2);
        ws_send(client, text);
        if (size <= SIO_MAX_NAMESPACE_NAME)
            assert_memory_equal(io_read(client), "44/n", 4);
        else
            assert_ws_closed(client, 1005);
        client_free(client);
        world_turn(io->world);
    }
    io_free(io);
}

static void test_attachments(void **state)
{
    struct io *io = started();
    struct client *client = io_joined(io, 0, NULL);
    (void)state;
    assert_reported("in/;");
    ws_send(client, "452-[\"a\",{\"_placeholder\":true,\"num\":1},2]");
    ws_send_frame(client, 0x82, "one", 3);
    assert_reported("");
    ws_send_frame(client, 0x82, "", 0);
    assert_reported("any:a({\"_placeholder\":true,\"num\":1},2);");
    ws_send(client, "42[\"b\"]");
    assert_reported("any:b();");
    ws_send(client, "461-9[{\"_placeholder\":true,\"num\":0}]"); /* nobody asked: ignored */
    ws_send_frame(client, 0x82, "x", 1);
    ws_send(client, "42[\"c\"]");
    assert_reported("any:c();");
    client_free(client);
    io_free(io);
}

static void test_text_while_binary_is_due(void **state)
{
    static const char *const next[] = {"42[\"b\"]", "41", "40/chat,", "451-[\"a\"]"};
    struct io *io = started();
    (void)state;
    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        struct client *client = io_joined(io, 0, NULL);
        ws_send(client, "452-[\"a\"]");
        ws_send_frame(client, 0x82, "one", 3);
        ws_send(client, next[i]);
        assert_reported("in/;leaving(parse error);left(parse error);");
        assert_ws_closed(client, 1005);
        client_free(client);
        world_turn(io->world);
    }
    io_free(io);
}

static void test_unexpected_binary(void **state)
{
    struct io *io = started();
    struct client *client = io_joined(io, 0, NULL);
    (void)state;
    ws_send_frame(client, 0x82, "x", 1);
    assert_reported("in/;leaving(parse error);left(parse error);");
    client_free(client);

    client = io_joined(io, 0, NULL); /* one more than was said */
    ws_send(client, "451-[\"a\"]");
    ws_send_frame(client, 0x82, "x", 1);
    assert_reported("in/;any:a();");
    ws_send_frame(client, 0x82, "x", 1);
    assert_reported("leaving(parse error);left(parse error);");
    client_free(client);

    client = io_client(io, 0); /* before any join */
    ws_send_frame(client, 0x82, "x", 1);
    assert_ws_closed(client, 1005);
    client_free(client);
    io_free(io);
}

/* All attachments of a packet together have a limit. */
static void test_attachment_bytes(void **state)
{
    static const char bytes[1001];
    struct io *io = started();
    (void)state;
    for (size_t second = 500; second <= 501; second++) {
        struct client *client = io_joined(io, 0, NULL);
        ws_send(client, "453-[\"a\"]");
        ws_send_frame(client, 0x82, bytes, 500);
        ws_send_frame(client, 0x82, bytes, second);
        ws_send_frame(client, 0x82, bytes, 0);
        assert_reported(second == 500 ? "in/;any:a();"
                                      : "in/;leaving(parse error);left(parse error);");
        client_free(client);
        world_turn(io->world);
        world_reported(io->world);
    }
    io_free(io);
}

/* The client leaves in the midst of a packet. */
static void test_gone_while_binary_is_due(void **state)
{
    struct io *io = started();
    struct client *client = io_joined(io, 0, NULL);
    (void)state;
    ws_send(client, "452-[\"a\"]");
    ws_send_frame(client, 0x82, "one", 3);
    client_vanish(client, true);
    world_turn(io->world);
    assert_int_equal(io->workers[0].connections, 0);
    /* And the server lets the socket go: the rest of the packet crosses its DISCONNECT. */
    cvn_socket *socket;
    client = io_joined(io, 0, &socket);
    ws_send(client, "451-[\"a\"]");
    cvn_disconnect(socket, false);
    assert_ws_text(client, "41");
    world_reported(io->world);
    ws_send_frame(client, 0x82, "one", 3);
    ws_send(client, "42[\"late\"]");
    assert_reported("");
    io_join(client, "/");
    ws_send(client, "42[\"now\"]");
    assert_reported("in/;any:now();");
    client_free(client);
    io_free(io);
}

static void test_server_disconnects(void **state)
{
    struct io *io = started();
    cvn_socket *root, *chat;
    struct client *client = io_joined(io, 0, &root);
    (void)state;
    chat = io_join(client, "/chat");
    world_reported(io->world);
    cvn_disconnect(chat, false);
    assert_reported("leaving(server namespace disconnect);left(server namespace disconnect);");
    assert_ws_text(client, "41/chat,");
    assert_false(cvn_socket_is_connected(chat));
    cvn_disconnect(chat, false); /* nothing more happens */
    assert_reported("");
    assert_ws_silent(client);
    chat = io_join(client, "/chat");
    world_reported(io->world);

    cvn_disconnect(chat, true); /* everything */
    assert_false(cvn_socket_is_connected(root));
    assert_reported("leaving(server namespace disconnect);left(server namespace disconnect);"
                    "leaving(server namespace disconnect);left(server namespace disconnect);");
    assert_ws_text(client, "41");
    assert_ws_text(client, "41/chat,");
    assert_ws_closed(client, 1005);
    client_free(client);
    world_turn(io->world);
    assert_reported("");
    io_free(io);
}

/* A socket that has gone answers sensibly as long as somebody holds it. */
static void test_gone_socket(void **state)
{
    struct io *io = started();
    cvn_socket *socket;
    struct client *client = io_joined(io, 0, &socket);
    char id[SIO_ID_SIZE + 1];
    (void)state;
    cvn_socket_ref(socket);
    memcpy(id, cvn_socket_id(socket), sizeof id);
    assert_int_equal(cvn_join(socket, "room"), CVN_OK);
    client_vanish(client, false);
    assert_false(cvn_socket_is_connected(socket));
    assert_string_equal(cvn_socket_id(socket), id);
    assert_int_equal(cvn_join(socket, "room"), CVN_ERR_STATE);
    assert_int_equal(cvn_socket_emit(socket, "a", cvn_json("")), CVN_ERR_STATE);
    assert_int_equal(cvn_socket_emit_volatile(socket, "a", cvn_json("")), CVN_ERR_STATE);
    assert_int_equal(cvn_socket_emit_ack(socket, "a", cvn_json(""), 1, NULL, NULL), CVN_ERR_STATE);
    assert_false(cvn_socket_in_room(socket, "room"));
    assert_false(cvn_socket_in_room(socket, id));
    assert_null(cvn_socket_room(socket, 0));
    assert_non_null(cvn_socket_transport(socket));
    assert_string_equal(cvn_socket_address(socket), "127.0.0.1");
    cvn_leave(socket, "room");
    cvn_disconnect(socket, true);
    cvn_disconnect(socket, false);
    cvn_socket_unref(socket);
    io_free(io);
}

static void test_connect_timeout(void **state)
{
    struct io *io = started();
    struct client *idle = io_client(io, 0), *refused = io_client(io, 0);
    struct client *joined = io_joined(io, 0, NULL);
    (void)state;
    ws_send(refused, "40/x");
    assert_ws_text(refused, "44/x,{\"message\":\"Invalid namespace\"}");
    world_advance(io->world, 44990);
    assert_ws_silent(idle);
    assert_ws_silent(refused);
    world_advance(io->world, 20);
    assert_ws_closed(idle, 1005);
    assert_ws_closed(refused, 1005);
    world_advance(io->world, 1000000);
    assert_ws_silent(joined);
    assert_reported("in/;");
    client_free(idle);
    client_free(refused);
    client_free(joined);
    io_free(io);
}

static void test_too_many_namespaces(void **state)
{
    struct io *io = io_new(1);
    static const char *const names[] = {"/1", "/2", "/3", "/4", "/5"};
    (void)state;
    for (size_t i = 0; i < 5; i++)
        io_namespace(io, names[i]);
    io_start(io);
    struct client *client = io_client(io, 0);
    for (size_t i = 0; i < 4; i++)
        io_join(client, names[i]);
    ws_send(client, "40/5,");
    assert_ws_text(client, "44/5,{\"message\":\"Too many namespaces\"}");
    ws_send(client, "41/2,");
    io_join(client, "/5");
    assert_int_equal(io->workers[0].sockets, 4);
    client_free(client);
    io_free(io);
}

/* The same packets over polling: several in one body, and one that ends the session in its midst. */
static void test_polling(void **state)
{
    struct io *io = started();
    struct client *client = client_new(io->world);
    char sid[EIO_SID_SIZE + 1], expected[64];
    (void)state;
    polling_open(client, sid);
    assert_int_equal(io->workers[0].polling, 1);
    assert_post(client, sid,
                "40\x1e"
                "451-[\"a\",{\"_placeholder\":true,\"num\":0}]\x1e"
                "bAAEC\x1e"
                "42[\"b\"]");
    assert_reported("in/;any:a({\"_placeholder\":true,\"num\":0});any:b();");
    snprintf(expected, sizeof expected, "40{\"sid\":\"%s\"}", cvn_socket_id(io->last));
    assert_poll(client, sid, expected);
    assert_string_equal(cvn_socket_transport(io->last), "polling");
    assert_post(client, sid,
                "42[\"c\"]\x1e"
                "42[]\x1e"
                "42[\"d\"]");
    assert_reported("any:c();"); /* the session closes in order: the next poll is told */
    assert_poll(client, sid, "1");
    assert_reported("leaving(parse error);left(parse error);");
    assert_gone(client, sid);
    assert_int_equal(io->workers[0].polling, 0);
    client_free(client);
    io_free(io);
}

static void test_upgrade_counts(void **state)
{
    struct io *io = started();
    struct client *client = client_new(io->world), *ws = client_new(io->world);
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    polling_open(client, sid);
    assert_post(client, sid, "40");
    assert_int_equal(io->workers[0].polling, 1);
    assert_int_equal(ws_connect(ws, sid), 101);
    ws_send(ws, "2probe");
    assert_ws_text(ws, "3probe");
    ws_send(ws, "5");
    assert_memory_equal(io_read(ws), "40{\"sid\":\"", 9);
    assert_int_equal(io->workers[0].polling, 0);
    assert_int_equal(io->workers[0].connections, 1);
    assert_string_equal(cvn_socket_transport(io->last), "websocket");
    ws_send(ws, "42[\"a\"]");
    assert_reported("in/;any:a();");
    client_free(client);
    client_free(ws);
    world_turn(io->world);
    assert_int_equal(io->workers[0].polling, 0);
    io_free(io);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join_and_leave),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_unknown_namespace),
        cmocka_unit_test(test_violations),
        cmocka_unit_test(test_long_namespace),
        cmocka_unit_test(test_attachments),
        cmocka_unit_test(test_text_while_binary_is_due),
        cmocka_unit_test(test_unexpected_binary),
        cmocka_unit_test(test_attachment_bytes),
        cmocka_unit_test(test_gone_while_binary_is_due),
        cmocka_unit_test(test_server_disconnects),
        cmocka_unit_test(test_gone_socket),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_too_many_namespaces),
        cmocka_unit_test(test_polling),
        cmocka_unit_test(test_upgrade_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
