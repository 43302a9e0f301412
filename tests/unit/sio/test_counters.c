/* The counters of sockets and namespaces: exactly what came, went, was dropped or refused, over both transports and on two workers. */
#include "io.h"
#include <pthread.h>
#include <time.h>

static void refuse_some(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)data;
    if (cvn_socket_auth(socket).size > 2)
        cvn_next_refuse(next, "no", NULL);
    else
        cvn_next_accept(next);
}

static void echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    cvn_socket_emit(socket, "echo", cvn_event_args(event));
    cvn_ack_args(event, cvn_event_args(event));
}

static void ask_back(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    (void)socket, (void)args;
    assert_int_equal(error, CVN_OK);
    ++*(int *)data;
}

static cvn_socket_counters counters_of(const cvn_socket *socket)
{
    cvn_socket_counters counters;
    memset(&counters, 0xff, sizeof counters);
    cvn_socket_stats(socket, &counters);
    return counters;
}

static cvn_namespace_counters counters_in(const cvn_namespace *nsp)
{
    cvn_namespace_counters counters;
    memset(&counters, 0xff, sizeof counters);
    cvn_namespace_stats(nsp, &counters);
    return counters;
}

static void assert_socket(const cvn_socket *socket, uint64_t packets_in, uint64_t bytes_in,
                          uint64_t packets_out, uint64_t bytes_out)
{
    cvn_socket_counters counters = counters_of(socket);
    assert_int_equal(counters.packets_in, packets_in);
    assert_int_equal(counters.bytes_in, bytes_in);
    assert_int_equal(counters.packets_out, packets_out);
    assert_int_equal(counters.bytes_out, bytes_out);
}

static void test_socket(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    int answered = 0;
    (void)state;
    cvn_namespace *root = io_namespace(io, "/");
    cvn_on(root, "echo", echo, NULL);
    io_start(io);
    int64_t before = (int64_t)time(NULL) * 1000;
    struct client *client = io_joined(io, 0, &socket);
    /* The CONNECT packet as it was: "40" and so on, of which the 4 is Engine.IO's but counts as sent. */
    const uint64_t hello = strlen("40{\"sid\":\"\"}") + SIO_ID_SIZE;
    assert_socket(socket, 0, 0, 1, hello);
    cvn_socket_counters counters = counters_of(socket);
    assert_in_range(counters.connected_ms, before, before + 3600000);
    assert_int_equal(counters.dropped, 0);
    assert_int_equal(counters.queued, 0);

    ws_send(client, "42[\"echo\",1]"); /* 11 bytes without the 4, and its echo with it */
    assert_ws_text(client, "42[\"echo\",1]");
    assert_socket(socket, 1, 11, 2, hello + 12);
    ws_send(client, "425[\"echo\",1]");
    assert_ws_text(client, "42[\"echo\",1]");
    assert_ws_text(client, "435[1]");
    assert_socket(socket, 2, 23, 4, hello + 24 + 6);
    /* Attachments are of the packet. */
    const char *binary = "51-[\"echo\",{\"_placeholder\":true,\"num\":0}]";
    char text[64];
    snprintf(text, sizeof text, "4%s", binary);
    ws_send(client, text);
    assert_int_equal(counters_of(socket).packets_in, 2); /* not before it is whole */
    ws_send_frame(client, 0x82, "\0\1\2", 3);
    assert_ws_text(client, text);
    assert_binary(client, SLICE("\0\1\2"));
    assert_socket(socket, 3, 23 + strlen(binary) + 3, 5, hello + 30 + strlen(text) + 3);

    assert_int_equal(cvn_socket_emit_ack(socket, "q", cvn_json(""), 0, ask_back, &answered),
                     CVN_OK);
    assert_ws_text(client, "420[\"q\"]");
    ws_send(client, "430[]");
    client_turn(client);
    assert_int_equal(answered, 1);
    assert_int_equal(counters_of(socket).packets_in, 4);
    assert_int_equal(counters_of(socket).packets_out, 6);

    cvn_namespace_counters of_root = counters_in(root);
    assert_int_equal(of_root.sockets, 1);
    assert_int_equal(of_root.connections_total, 1);
    assert_int_equal(of_root.events_in, 3); /* acknowledgements are no events */
    assert_int_equal(of_root.events_out, 4);
    counters = counters_of(socket);
    assert_int_equal(of_root.bytes_in, counters.bytes_in);
    assert_int_equal(of_root.bytes_out, counters.bytes_out);
    cvn_socket_ref(socket);
    ws_send(client, "41");
    client_turn(client);
    assert_int_equal(counters_of(socket).packets_in, 5);
    assert_int_equal(counters_in(root).sockets, 0);
    assert_int_equal(counters_in(root).connections_total, 1);
    assert_int_equal(counters_in(root).bytes_in, of_root.bytes_in + 1); /* its leaving, too */
    assert_int_equal(counters_in(root).bytes_out, of_root.bytes_out);
    assert_int_equal(cvn_socket_queued(socket), 0); /* of one that has gone */
    cvn_socket_unref(socket);
    client_free(client);
    io_free(io);
}

static void test_namespaces(void **state)
{
    struct io *io = io_new(2);
    struct client *clients[3];
    (void)state;
    cvn_namespace *root = io_namespace(io, "/"), *chat = io_namespace(io, "/chat");
    assert_int_equal(cvn_use(chat, refuse_some, NULL), CVN_OK);
    assert_int_equal(counters_in(chat).connections_total, 0); /* before the start */
    io_start(io);
    for (unsigned i = 0; i < 3; i++) {
        clients[i] = io_joined(io, i % 2, NULL);
        io_join(clients[i], "/chat");
    }
    struct client *refused = io_client(io, 0);
    ws_send(refused, "40/chat,{\"a\":1}");
    assert_ws_text(refused, "44/chat,{\"message\":\"no\"}");
    ws_send(refused, "40/nowhere,");
    assert_ws_text(refused, "44/nowhere,{\"message\":\"Invalid namespace\"}");

    const cvn_target all = {.nsp = chat};
    assert_int_equal(cvn_emit(&all, "n", cvn_json("1")), CVN_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_ws_text(clients[i], "42/chat,[\"n\",1]");
    ws_send(clients[0], "42/chat,[\"whatever\"]");
    client_turn(clients[0]);
    cvn_namespace_counters counters = counters_in(chat);
    assert_int_equal(counters.sockets, 3);
    assert_int_equal(counters.connections_total, 3);
    assert_int_equal(counters.refused, 1);
    assert_int_equal(counters.events_in, 1);
    assert_int_equal(counters.events_out, 3);
    assert_int_equal(counters.dropped, 0);
    counters = counters_in(root);
    assert_int_equal(counters.sockets, 3);
    assert_int_equal(counters.refused, 0);
    assert_int_equal(counters.events_in + counters.events_out, 0);

    client_free(clients[1]);
    client_free(refused);
    world_turn(io->world);
    assert_int_equal(counters_in(chat).sockets, 2);
    assert_int_equal(counters_in(chat).connections_total, 3);
    client_free(clients[0]);
    client_free(clients[2]);
    io_free(io);
}

/* On a thread of no worker: the numbers, but for what only the worker may look at. */
static void *look(void *data)
{
    cvn_socket_counters counters = counters_of(data);
    assert_int_equal(counters.dropped, 2);
    assert_int_equal(counters.queued, 0);
    return NULL;
}

static void test_dropped(void **state)
{
    struct io *io = io_new(1);
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    cvn_namespace *root = io_namespace(io, "/");
    cvn_on_connection(root, io_on_connection, (void *)"in");
    io_start(io);
    struct client *client = client_new(io->world);
    polling_open(client, sid);
    assert_post(client, sid, "40");
    assert_int_equal(http_exchange(client, "GET", sid_target(sid), "", NULL)->status, 200);
    const cvn_target target = {.nsp = root, .flags = CVN_VOLATILE};
    uint64_t out = counters_of(io->last).packets_out;
    assert_int_equal(cvn_emit(&target, "dropped", cvn_json("")), CVN_OK);
    assert_int_equal(cvn_socket_emit_volatile(io->last, "dropped", cvn_json("")), CVN_OK);
    assert_int_equal(counters_of(io->last).dropped, 2);
    assert_int_equal(counters_of(io->last).packets_out, out);
    assert_int_equal(counters_in(root).dropped, 2);
    assert_int_equal(counters_in(root).events_out, 0);
    assert_int_equal(cvn_socket_emit(io->last, "kept", cvn_json("")), CVN_OK);
    assert_int_equal(cvn_socket_queued(io->last),
                     strlen("42[\"kept\"]") + 2); /* and its frame's head */
    assert_int_equal(counters_of(io->last).queued, cvn_socket_queued(io->last));
    pthread_t elsewhere;
    assert_int_equal(pthread_create(&elsewhere, NULL, look, io->last), 0);
    assert_int_equal(pthread_join(elsewhere, NULL), 0);
    assert_poll(client, sid, "42[\"kept\"]");
    assert_int_equal(cvn_socket_queued(io->last), 0);
    client_free(client);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_socket),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
