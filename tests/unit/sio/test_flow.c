/*
 * Flow control as applications see it: handlers for the two marks, run at the end of the turn and for every socket in turns; events with keys, to
 * one socket and to many; and the reason of those who read too slowly.
 */
#include "io.h"
#include <convene/sockets.h>

static char large[60001]; /* a JSON string */

static void on_water(cvn_socket *socket, void *data)
{
    world_log(the_io->world, "%s%s(%d);", (const char *)data,
              cvn_namespace_name(cvn_socket_namespace(socket)), cvn_socket_queued(socket) > 100000);
}

static struct io *start(unsigned workers, const char *second)
{
    struct io *io = io_new(workers);
    const char *names[] = {"/", second};
    memset(large, 'x', sizeof large - 1);
    large[0] = large[sizeof large - 2] = '"';
    for (int i = 0; i < 2 && names[i] != NULL; i++) {
        cvn_namespace *nsp = io_namespace(io, names[i]);
        assert_int_equal(cvn_on_high_water(nsp, on_water, (void *)"high"), CVN_OK);
        assert_int_equal(cvn_on_drain(nsp, on_water, (void *)"low"), CVN_OK);
        assert_int_equal(cvn_on_disconnect(nsp, io_on_leave, (void *)"left"), CVN_OK);
    }
    assert_int_equal(cvn_on_drain(io_namespace(io, "/"), NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_on_high_water(NULL, on_water, NULL), CVN_ERR_ARGUMENT);
    io->server.registration = CVN_OK; /* those two on purpose */
    io->world->limits =
        (struct conn_limits){.high_water = 500000, .max = 2000000, .low_water = 100000};
    io->world->options.send_high_water = 500000;
    io->world->options.send_low_water = 100000;
    io->world->options.send_max = 2000000;
    io_start(io);
    return io;
}

/* Emits until the mark is passed; the client does not read. */
static void fill(cvn_socket *socket)
{
    for (int i = 0; cvn_socket_queued(socket) <= 500000; i++) {
        assert_true(i < 1000);
        assert_int_equal(cvn_socket_emit(socket, "n", cvn_json(large)), CVN_OK);
    }
}

static void read_all(struct client *client)
{
    unsigned opcode;
    char *data;
    size_t size;
    while (ws_receive(client, &opcode, &data, &size))
        ;
}

static void test_marks(void **state)
{
    cvn_socket *socket;
    (void)state;
    struct io *io = start(1, "/chat");
    struct client *client = io_joined(io, 0, &socket);
    cvn_socket *chat = io_join(client, "/chat");
    assert_int_equal(cvn_on_drain(cvn_socket_namespace(socket), on_water, NULL), CVN_ERR_STATE);
    for (int round = 0; round < 2; round++) {
        fill(socket);
        assert_reported(""); /* no handler runs from inside an emit */
        assert_int_equal(cvn_socket_queued(chat), cvn_socket_queued(socket)); /* one connection */
        uv_run(io->world->workers[0].loop, UV_RUN_NOWAIT);
        assert_reported("high/(1);high/chat(1);");
        assert_int_equal(cvn_socket_emit(socket, "n", cvn_json(large)), CVN_OK);
        uv_run(io->world->workers[0].loop, UV_RUN_NOWAIT);
        assert_reported("");
        read_all(client);
        assert_reported("low/(0);low/chat(0);");
        assert_int_equal(cvn_socket_queued(socket), 0);
    }
    client_free(client);
    io_free(io);
}

/* Who joins while the mark is passed was not told of it and hears of no drain. */
static void test_late_joiner(void **state)
{
    cvn_socket *socket;
    (void)state;
    struct io *io = start(1, "/chat");
    struct client *client = io_joined(io, 0, &socket);
    fill(socket);
    uv_run(io->world->workers[0].loop, UV_RUN_NOWAIT);
    assert_reported("high/(1);");
    ws_send(client, "40/chat,");
    for (int i = 0; i < 3; i++)
        uv_run(io->world->workers[0].loop, UV_RUN_NOWAIT);
    read_all(client);
    assert_reported("low/(0);");
    client_free(client);
    io_free(io);
}

static void leave_all(cvn_socket *socket, void *data)
{
    (void)data;
    world_log(the_io->world, "leave;");
    cvn_disconnect(socket, true);
}

static void test_disconnect_in_handler(void **state)
{
    cvn_socket *socket;
    (void)state;
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/"), *chat = io_namespace(io, "/chat");
    memset(large, 'x', sizeof large - 1);
    large[0] = large[sizeof large - 2] = '"';
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cvn_on_high_water(i ? chat : root, leave_all, NULL), CVN_OK);
        assert_int_equal(cvn_on_disconnect(i ? chat : root, io_on_leave, (void *)"left"), CVN_OK);
    }
    io->world->limits = (struct conn_limits){.high_water = 500000, .max = 2000000};
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    io_join(client, "/chat");
    fill(socket);
    world_turn(io->world);
    assert_reported("leave;left(server namespace disconnect);left(server namespace disconnect);");
    client_free(client);
    io_free(io);
}

static void test_conflated(void **state)
{
    cvn_socket *socket, *chat;
    const cvn_slice bytes[] = {SLICE("1"), SLICE("2")};
    const cvn_args binary = {
        SLICE("{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}"), bytes, 2};
    (void)state;
    struct io *io = start(1, "/chat");
    struct client *client = io_joined(io, 0, &socket);
    chat = io_join(client, "/chat");
    assert_int_equal(cvn_socket_emit_conflated(socket, "p", cvn_json("1"), "a"), CVN_OK);
    assert_int_equal(cvn_socket_emit(socket, "x", cvn_json("")), CVN_OK);
    assert_int_equal(cvn_socket_emit_conflated(socket, "p", cvn_json("2"), "b"), CVN_OK);
    assert_int_equal(cvn_socket_emit_conflated(chat, "p", cvn_json("3"), "a"), CVN_OK);
    assert_int_equal(cvn_socket_emit_conflated(socket, "p", binary, "a"), CVN_OK);
    const cvn_target all = {.nsp = cvn_socket_namespace(socket), .conflate = "b"};
    assert_int_equal(cvn_emit(&all, "p", cvn_json("5")), CVN_OK);
    assert_ws_text(client, "452-[\"p\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,"
                           "\"num\":1}]");
    assert_binary(client, bytes[0]);
    assert_binary(client, bytes[1]);
    assert_ws_text(client, "42[\"x\"]");
    assert_ws_text(client, "42[\"p\",5]");
    assert_ws_text(client, "42/chat,[\"p\",3]"); /* another namespace's "a" */
    assert_ws_silent(client);
    cvn_socket_counters counters;
    cvn_socket_stats(socket, &counters);
    assert_int_equal(counters.conflated, 2);
    assert_int_equal(counters.packets_out, 1 + 5);
    cvn_namespace_counters of_root;
    cvn_namespace_stats(all.nsp, &of_root);
    assert_int_equal(of_root.conflated, 2);
    assert_int_equal(of_root.events_out, 5);

    char key[258];
    memset(key, 'k', sizeof key);
    key[256] = '\0';
    assert_int_equal(cvn_socket_emit_conflated(socket, "p", cvn_json(""), key), CVN_ERR_ARGUMENT);
    key[255] = '\0';
    assert_int_equal(cvn_socket_emit_conflated(socket, "p", cvn_json(""), key), CVN_OK);
    assert_ws_text(client, "42[\"p\"]");
    assert_int_equal(cvn_socket_emit_conflated(socket, "p", cvn_json(""), ""), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_socket_emit_conflated(socket, "p", cvn_json(""), NULL), CVN_ERR_ARGUMENT);
    const cvn_target none = {.nsp = all.nsp, .conflate = ""};
    assert_int_equal(cvn_emit(&none, "p", cvn_json("")), CVN_ERR_ARGUMENT);
    assert_ws_silent(client);
    client_free(client);
    io_free(io);
}

static void never(enum cvn_error error, const cvn_answers *answers, void *data)
{
    (void)error, (void)answers, (void)data;
    fail_msg("nobody was asked");
}

static void test_no_acks_with_keys(void **state)
{
    (void)state;
    struct io *io = start(1, NULL);
    const cvn_target target = {.nsp = io_namespace(io, "/"), .conflate = "a"};
    assert_int_equal(cvn_emit_ack(&target, "q", cvn_json(""), 100, never, NULL), CVN_ERR_ARGUMENT);
    io_free(io);
}

/* One slow client among others: the latest of each key in bounded memory, for the quick ones everything. */
static void test_slow_one(void **state)
{
    enum { ROUNDS = 2000 };
    cvn_socket *slow, *quick;
    (void)state;
    struct io *io = start(1, NULL);
    struct client *clients[2] = {io_joined(io, 0, &slow), io_joined(io, 0, &quick)};
    cvn_namespace *root = cvn_socket_namespace(slow);
    char expected[64];
    fill(slow);
    size_t filled = cvn_socket_queued(slow);
    for (int i = 0; i < ROUNDS; i++) {
        char json[16], key[8];
        snprintf(json, sizeof json, "%d", i);
        snprintf(key, sizeof key, "k%d", i % 3);
        const cvn_target all = {.nsp = root, .conflate = key};
        assert_int_equal(cvn_emit(&all, "n", cvn_json(json)), CVN_OK);
        snprintf(expected, sizeof expected, "42[\"n\",%d]", i);
        assert_ws_text(clients[1], expected); /* turns pass */
        assert_true(cvn_socket_queued(slow) < filled + 100);
    }
    unsigned opcode;
    char *data = NULL;
    size_t size, small = 0;
    char got[4][64] = {{0}};
    while (ws_receive(clients[0], &opcode, &data, &size))
        if (size < 60 && small < 4)
            memcpy(got[small++], data, size + 1);
    assert_int_equal(small, 3);
    for (int i = 0; i < 3; i++) {
        int number = -1;
        assert_int_equal(sscanf(got[i], "42[\"n\",%d]", &number), 1);
        assert_true(number >= ROUNDS - 3);
        assert_int_equal(number % 3, i); /* in the places of their first ones */
    }
    cvn_socket_counters counters;
    cvn_socket_stats(slow, &counters);
    assert_int_equal(counters.conflated, ROUNDS - 3);
    client_free(clients[0]);
    client_free(clients[1]);
    io_free(io);
}

static void test_slow_consumer(void **state)
{
    cvn_socket *socket;
    (void)state;
    struct io *io = start(1, NULL);
    struct client *client = io_joined(io, 0, &socket), *other = io_joined(io, 0, NULL);
    fill(socket);
    cvn_socket_ref(socket);
    for (int i = 0; cvn_socket_queued(socket) <= 2000000; i++) {
        assert_true(i < 1000);
        assert_int_equal(cvn_socket_emit(socket, "n", cvn_json(large)), CVN_OK);
    }
    world_turn(io->world);
    assert_reported("high/(1);left(slow consumer);");
    assert_ws_silent(other);
    cvn_socket_unref(socket);
    client_free(client);
    client_free(other);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_late_joiner),
        cmocka_unit_test(test_disconnect_in_handler),
        cmocka_unit_test(test_conflated),
        cmocka_unit_test(test_no_acks_with_keys),
        cmocka_unit_test(test_slow_one),
        cmocka_unit_test(test_slow_consumer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
