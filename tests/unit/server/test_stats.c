/* Counters read by a thread of no worker while the workers count: never torn, never less than before, and exact in the end. */
#include <pthread.h>
#include <stdatomic.h>
#include "client.h"

#define WORKERS 2
#define CLIENTS 4
#define ROUNDS  100

static cvn_server *server;
static cvn_namespace *root;
static uint16_t port;
static cvn_socket *sockets[CLIENTS]; /* a reference each */
static atomic_uint socket_count;
static atomic_bool is_over;

static void on_connection(cvn_socket *socket, void *data)
{
    (void)data;
    unsigned index = atomic_fetch_add(&socket_count, 1);
    assert_true(index < CLIENTS);
    sockets[index] = cvn_socket_ref(socket);
    note("in");
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket, (void)data;
    note("out %s", reason);
}

static void on_echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    cvn_socket_emit(socket, "echo", cvn_event_args(event));
}

static void *watch(void *data)
{
    uint64_t events = 0, packets[CLIENTS] = {0};
    (void)data;
    while (!is_over) {
        cvn_namespace_counters counters;
        cvn_namespace_stats(root, &counters);
        assert_true(counters.events_in >= events && counters.events_in <= CLIENTS * ROUNDS);
        assert_int_equal(counters.sockets, CLIENTS);
        events = counters.events_in;
        for (int i = 0; i < CLIENTS; i++) {
            cvn_socket_counters own;
            cvn_socket_stats(sockets[i], &own);
            assert_true(own.packets_in >= packets[i] && own.packets_in <= ROUNDS);
            assert_int_equal(own.queued, 0); /* only its worker may look */
            packets[i] = own.packets_in;
        }
    }
    return NULL;
}

static void test_counters(void **state)
{
    struct client *clients[CLIENTS];
    pthread_t watcher;
    (void)state;
    notes_open();
    server = server_new(WORKERS);
    root = cvn_of(server, "/");
    cvn_on_connection(root, on_connection, NULL);
    cvn_on_disconnect(root, on_disconnect, NULL);
    cvn_on(root, "echo", on_echo, NULL);
    port = server_start(server);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = joined(port);
        assert_note("in");
    }
    assert_int_equal(pthread_create(&watcher, NULL, watch, NULL), 0);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < CLIENTS; i++) {
            ws_send(clients[i], "42[\"echo\",1]");
            assert_ws_text(clients[i], "42[\"echo\",1]");
        }
    is_over = true;
    assert_int_equal(pthread_join(watcher, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        client_free(clients[i]);
        assert_note("out transport close");
    }
    cvn_namespace_counters counters;
    cvn_namespace_stats(root, &counters);
    assert_int_equal(counters.sockets, 0);
    assert_int_equal(counters.connections_total, CLIENTS);
    assert_int_equal(counters.events_in, CLIENTS * ROUNDS);
    assert_int_equal(counters.events_out, CLIENTS * ROUNDS);
    for (int i = 0; i < CLIENTS; i++) {
        cvn_socket_counters own;
        cvn_socket_stats(sockets[i], &own);
        assert_int_equal(own.packets_in, ROUNDS);
        assert_int_equal(own.packets_out, 1 + ROUNDS);
        assert_int_equal(own.bytes_in, ROUNDS * strlen("2[\"echo\",1]"));
        cvn_socket_unref(sockets[i]);
    }
    cvn_server_free(server);
    notes_close();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_counters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
