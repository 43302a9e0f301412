/* A server's life: starting, ports, refusals to start, work posted to its workers, numbers, and the orderly stop with clients of every kind. */
#include <pthread.h>
#include <signal.h>
#include "client.h"

static void on_connection(cvn_socket *socket, void *data)
{
    (void)socket;
    note("in %s", (const char *)data);
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket;
    note("%s %s", (const char *)data, reason);
}

static cvn_server *noting_server(unsigned workers, const char *name)
{
    cvn_server *server = server_new(workers);
    cvn_on_connection(cvn_of(server, "/"), on_connection, (void *)name);
    cvn_on_disconnect(cvn_of(server, "/"), on_disconnect, (void *)name);
    return server;
}

/* --- States --- */

static void test_never_started(void **state)
{
    cvn_server *server = server_new(2);
    cvn_stats stats;
    (void)state;
    assert_int_equal(cvn_server_port(server), 0);
    assert_int_equal(cvn_server_workers(server), 2);
    cvn_server_stats(server, &stats);
    assert_int_equal(stats.connections + stats.polling + stats.sockets, 0);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = cvn_of(server, "/")}, "a", cvn_json("")),
                     CVN_ERR_STATE);
    assert_int_equal(cvn_post(server, 0, free, NULL), CVN_ERR_STATE);
    cvn_server_wait(server); /* nothing to wait for */
    cvn_server_free(server);
}

static void test_start_and_stop(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        cvn_server *server = server_new(workers);
        uint16_t port = server_start(server);
        assert_int_equal(cvn_server_start(server), CVN_ERR_STATE);
        struct client *client = client_new(port);
        assert_response(http_exchange(client, "GET", "/", "", NULL), 404, "Not Found\n");
        client_free(client);
        cvn_server_stop(server);
        cvn_server_stop(server);
        cvn_server_wait(server);
        assert_int_equal(cvn_server_start(server), CVN_ERR_STATE); /* not again */
        assert_int_equal(cvn_post(server, 0, free, NULL), CVN_ERR_STATE);
        assert_int_equal(cvn_emit(&(cvn_target){.nsp = cvn_of(server, "/")}, "a", cvn_json("")),
                         CVN_ERR_STATE);
        cvn_server_free(server);
    }
}

static void test_freed_while_it_runs(void **state)
{
    (void)state;
    cvn_server *server = noting_server(2, "a");
    struct client *client = joined(server_start(server));
    assert_note("in a");
    cvn_server_free(server); /* stops and waits by itself */
    assert_note("a server shutting down");
    client_free(client);
}

static void test_refusals_to_start(void **state)
{
    char name[400];
    (void)state;
    cvn_server *first = server_new(1);
    uint16_t port = server_start(first);
    cvn_server *second =
        cvn_server_new(&(cvn_options){.host = "127.0.0.1", .port = port, .hide_client = true});
    assert_non_null(second);
    errno = 0;
    assert_int_equal(cvn_server_start(second), CVN_ERR_SYSTEM);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(cvn_server_start(second), CVN_ERR_STATE);
    cvn_server_free(second);
    cvn_server_free(first);

    static const char *const hosts[] = {"no host", "localhost", "127.0.0.1:80", "256.1.1.1", ""};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) { /* numeric addresses only */
        cvn_server *server =
            cvn_server_new(&(cvn_options){.host = hosts[i], .workers = 2, .hide_client = true});
        assert_non_null(server);
        assert_int_equal(cvn_server_start(server), CVN_ERR_ARGUMENT);
        cvn_server_free(server);
    }
    cvn_server *server = cvn_server_new(&(cvn_options){
        .tls_cert_file = "/no/such.pem", .tls_key_file = "/no/such.pem", .hide_client = true});
    assert_non_null(server);
    assert_int_equal(cvn_server_start(server), CVN_ERR_TLS);
    cvn_server_free(server);

    /* The first registration that failed is the start's error. */
    server = server_new(1);
    assert_int_equal(cvn_on(cvn_of(server, "/"), "disconnect", NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_start(server), CVN_ERR_ARGUMENT);
    cvn_server_free(server);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    server = server_new(1);
    assert_null(cvn_of(server, name));
    assert_int_equal(cvn_on_connection(NULL, on_connection, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_start(server), CVN_ERR_ARGUMENT);
    cvn_server_free(server);
}

static void test_namespaces(void **state)
{
    cvn_server *server = server_new(1);
    (void)state;
    cvn_namespace *root = cvn_of(server, "/"), *chat = cvn_of(server, "chat");
    assert_ptr_equal(cvn_of(server, ""), root);
    assert_ptr_equal(cvn_of(server, NULL), root);
    assert_ptr_equal(cvn_of(server, "/chat"), chat);
    assert_string_equal(cvn_namespace_name(chat), "/chat");
    assert_ptr_equal(cvn_namespace_server(chat), server);
    assert_null(cvn_of(NULL, "/"));
    server_start(server);
    assert_ptr_equal(cvn_of(server, "chat"), chat);
    assert_null(cvn_of(server, "/later"));
    assert_int_equal(cvn_on_connection(chat, on_connection, NULL), CVN_ERR_STATE);
    cvn_server_free(server);
}

/* --- Two at once --- */

static void test_two_servers(void **state)
{
    cvn_server *a = noting_server(1, "a"), *b = noting_server(2, "b");
    (void)state;
    uint16_t port_a = server_start(a), port_b = server_start(b);
    assert_true(port_a != port_b);
    struct client *to_a = joined(port_a), *to_b = NULL;
    assert_note("in a");
    to_b = joined(port_b);
    assert_note("in b");
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = cvn_of(a, "/")}, "from a", cvn_json("")),
                     CVN_OK);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = cvn_of(b, "/")}, "from b", cvn_json("")),
                     CVN_OK);
    assert_ws_text(to_a, "42[\"from a\"]");
    assert_ws_text(to_b, "42[\"from b\"]");
    assert_ws_silent(to_a);
    cvn_server_free(a);
    assert_note("a server shutting down");
    assert_ws_silent(to_b); /* lives on */
    client_free(to_a);
    client_free(to_b);
    assert_note("b transport close");
    cvn_server_free(b);
}

/* --- Posting --- */

struct posted {
    cvn_server *server;
    unsigned index;
    pthread_t thread;
};

static void on_posted(void *data)
{
    struct posted *posted = data;
    posted->thread = pthread_self();
    note("posted %u on %d", posted->index, (int)cvn_worker_index(posted->server));
}

static void test_post(void **state)
{
    cvn_server *server = server_new(2);
    struct posted posted[2] = {{server, 0, pthread_self()}, {server, 1, pthread_self()}};
    (void)state;
    assert_int_equal((int)cvn_worker_index(server), -1);
    server_start(server);
    assert_int_equal((int)cvn_worker_index(server), -1);
    assert_int_equal(cvn_post(server, 2, on_posted, NULL), CVN_ERR_ARGUMENT);
    for (unsigned i = 0; i < 2; i++) {
        char expected[32];
        assert_int_equal(cvn_post(server, i, on_posted, &posted[i]), CVN_OK);
        snprintf(expected, sizeof expected, "posted %u on %u", i, i);
        assert_note(expected);
        assert_false(pthread_equal(posted[i].thread, pthread_self()));
    }
    assert_false(pthread_equal(posted[0].thread, posted[1].thread));
    struct posted many[100];
    for (unsigned i = 0; i < 100; i++) {
        many[i] = (struct posted){server, i, pthread_self()};
        assert_int_equal(cvn_post(server, 0, on_posted, &many[i]), CVN_OK);
    }
    cvn_server_free(server); /* which was asked for later, so they run first */
    for (unsigned i = 0; i < 100; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "posted %u on 0", i);
        assert_note(expected);
    }
}

static void on_stop(void *data)
{
    cvn_server_stop(data);
    note("stopping");
}

/* A worker may stop its own server. */
static void test_stop_from_a_worker(void **state)
{
    cvn_server *server = server_new(2);
    (void)state;
    server_start(server);
    assert_int_equal(cvn_post(server, 1, on_stop, server), CVN_OK);
    cvn_server_wait(server);
    assert_note("stopping");
    cvn_server_free(server);
}

/* --- Numbers --- */

static void test_stats(void **state)
{
    cvn_server *server = noting_server(2, "s");
    cvn_stats stats;
    (void)state;
    cvn_of(server, "/chat");
    uint16_t port = server_start(server);
    struct client *ws = joined(port), *polling = polling_open(port), *idle = ws_open(port);
    assert_note("in s");
    join_with(ws, "/chat,", "");
    cvn_server_stats(server, &stats);
    assert_int_equal(stats.connections, 3);
    assert_int_equal(stats.polling, 1);
    assert_int_equal(stats.sockets, 2);
    assert_int_equal(stats.connections_total, 3);
    client_free(ws);
    assert_note("s transport close");
    polling_post(polling, "40");
    assert_note("in s");
    polling_post(polling, "1");
    assert_note("s transport close");
    ws_send(idle, "4?"); /* closed as malformed */
    assert_ws_closed(idle);
    cvn_server_stop(server);
    cvn_server_wait(server);
    cvn_server_stats(server, &stats);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.polling, 0);
    assert_int_equal(stats.sockets, 0);
    assert_int_equal(stats.connections_total, 3);
    client_free(polling);
    client_free(idle);
    cvn_server_free(server);
}

/* --- The orderly stop --- */

static void test_graceful_stop(void **state)
{
    enum { COUNT = 8 };
    cvn_server *server = noting_server(2, "s");
    struct client *clients[COUNT];
    (void)state;
    uint16_t port = server_start(server);
    for (int i = 0; i < COUNT; i++) {
        clients[i] = joined(port);
        assert_note("in s");
    }
    struct client *polling = polling_open(port);
    polling_post(polling, "40");
    assert_note("in s");
    polling_get(polling);
    http_send(polling, "GET", polling_target(polling), "", NULL); /* stays pending */
    struct client *keep_alive = client_new(port); /* an HTTP connection that idles */
    assert_int_equal(http_exchange(keep_alive, "GET", "/", "", NULL)->status, 404);

    /* What was emitted before the stop is out before the end. */
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = cvn_of(server, "/")}, "last", cvn_json("")),
                     CVN_OK);
    cvn_server_stop(server);
    for (int i = 0; i < COUNT; i++) {
        assert_ws_text(clients[i], "42[\"last\"]");
        assert_ws_closed(clients[i]);
    }
    /* The pending poll brings both, or the first, when it was answered before the stop: then the next one brings the end. */
    struct response *response = http_receive(polling, true);
    assert_int_equal(response->status, 200);
    if (strcmp(response->body, "42[\"last\"]\x1e"
                               "1") != 0) {
        assert_string_equal(response->body, "42[\"last\"]");
        assert_string_equal(polling_get(polling), "1");
    }
    cvn_server_wait(server);
    for (int i = 0; i < COUNT + 1; i++)
        assert_note("s server shutting down");
    assert_no_note();
    assert_ended(keep_alive);
    for (int i = 0; i < COUNT; i++)
        client_free(clients[i]);
    client_free(polling);
    client_free(keep_alive);
    cvn_server_free(server);
}

/* --- Running --- */

static void on_listening(cvn_server *server, void *data)
{
    note("listening %d", cvn_server_port(server) > 0);
    if (data == NULL)
        cvn_server_stop(server);
    else
        kill(getpid(), *(int *)data);
}

static void test_run(void **state)
{
    int numbers[] = {SIGTERM, SIGINT};
    (void)state;
    assert_int_equal(cvn_server_run(NULL), 1);
    assert_int_equal(cvn_server_run_then(server_new(2), on_listening, NULL), 0);
    assert_note("listening 1");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(cvn_server_run_then(server_new(1), on_listening, &numbers[i]), 0);
        assert_note("listening 1");
    }
    cvn_server *bad = cvn_server_new(&(cvn_options){.host = "nowhere", .hide_client = true});
    assert_int_equal(cvn_server_run_then(bad, on_listening, NULL), 1);
    assert_no_note();
}

static int setup(void **state)
{
    (void)state;
    notes_open();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    notes_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_never_started),
        TEST(test_start_and_stop),
        TEST(test_freed_while_it_runs),
        TEST(test_refusals_to_start),
        TEST(test_namespaces),
        TEST(test_two_servers),
        TEST(test_post),
        TEST(test_stop_from_a_worker),
        TEST(test_stats),
        TEST(test_graceful_stop),
        TEST(test_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
