/*
 * Dynamic namespaces of a running server with two workers: the same names come and go on both at once while other threads use them. What
 * the sanitizers make of it counts as much as what is asserted.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "client.h"

#define CLIENTS 6
#define NAMES   3
#define ROUNDS  40
#define BATCH   8 /* joins and leaves that are on their way together */

static cvn_server *server;
static cvn_namespace *parent;
static uint16_t port;
static atomic_bool is_over;
static atomic_uint in, out;

static void on_connection(cvn_socket *socket, void *data)
{
    (void)data;
    in++;
    if (cvn_namespace_parent(cvn_socket_namespace(socket)) != parent)
        abort();
    if (cvn_join(socket, "room") != CVN_OK)
        abort();
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket;
    (void)reason;
    (void)data;
    out++;
}

static void on_echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    cvn_socket_emit(socket, "echo", cvn_event_args(event));
}

static bool is_wanted(const char *name, const cvn_connect_request *request, void *data)
{
    (void)data;
    return strncmp(name, "/who-", 5) == 0 &&
           cvn_json_type_of(cvn_json_get(cvn_connect_auth(request), "me")) == CVN_JSON_TRUE;
}

static int setup_with(uint32_t recovery_window_ms)
{
    notes_open();
    is_over = false;
    in = out = 0;
    server = cvn_server_new(&(cvn_options){.host = "127.0.0.1",
                                           .workers = 2,
                                           .hide_client = true,
                                           .max_dynamic_namespaces = NAMES,
                                           .ping_interval_ms = 600000,
                                           .recovery_window_ms = recovery_window_ms});
    assert_non_null(server);
    assert_non_null(cvn_of(server, "d-registered"));
    parent = cvn_of_pattern(server, "^/d-[a-z0-9]+$");
    cvn_on_connection(parent, on_connection, NULL);
    cvn_on_disconnect(parent, on_disconnect, NULL);
    cvn_on(parent, "echo", on_echo, NULL);
    cvn_namespace *other = cvn_of_predicate(server, is_wanted, NULL);
    cvn_on(other, "echo", on_echo, NULL);
    assert_null(cvn_find_namespace(server, "/")); /* it does not run yet */
    port = server_start(server);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(0);
}

static int setup_recovery(void **state)
{
    (void)state;
    return setup_with(60000);
}

static int teardown(void **state)
{
    (void)state;
    cvn_server_free(server);
    notes_close();
    return 0;
}

static const char *name_of(unsigned number)
{
    static const char *const names[NAMES] = {"/d-0", "/d-1", "/d-2"};
    return names[number % NAMES];
}

static void on_posted(void *data)
{
    note("%s", (const char *)data);
}

/* Whatever was posted to the workers before has been done. */
static void wait_for_workers(void)
{
    for (unsigned i = 0; i < cvn_server_workers(server); i++) {
        assert_int_equal(cvn_post(server, i, on_posted, (void *)"posted"), CVN_OK);
        assert_note("posted");
    }
}

static void test_life(void **state)
{
    struct client *a = ws_open(port), *b = ws_open(port);
    (void)state;
    assert_null(cvn_of(server, "/d-1"));
    assert_null(cvn_find_namespace(server, "/d-1"));
    join_with(a, "/d-1,", "");
    join_with(b, "/d-1,", "");
    cvn_namespace *child = cvn_of(server, "d-1");
    assert_non_null(child);
    assert_string_equal(cvn_namespace_name(child), "/d-1");
    assert_ptr_equal(cvn_namespace_server(child), server);
    assert_ptr_equal(cvn_namespace_parent(child), parent);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = child, .rooms = {"room"}}, "e", cvn_json("1")),
                     CVN_OK);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = parent}, "e", cvn_json("2")), CVN_OK);
    for (int i = 0; i < 2; i++) {
        assert_ws_text(i ? b : a, "42/d-1,[\"e\",1]");
        assert_ws_text(i ? b : a, "42/d-1,[\"e\",2]");
    }
    cvn_namespace *held = cvn_find_namespace(server, "d-1");
    assert_ptr_equal(held, child);
    ws_send(a, "41/d-1,");
    ws_send(b, "41/d-1,");
    assert_ws_silent(a);
    assert_ws_silent(b);
    assert_ptr_equal(cvn_of(server, "/d-1"), held);
    cvn_namespace_unref(held);
    wait_for_workers();
    assert_null(cvn_of(server, "/d-1"));
    assert_int_equal(in, 2);
    assert_int_equal(out, 2);

    /* Registered names are nobody's children, and are found in the same way. */
    join_with(a, "/d-registered,", "");
    held = cvn_find_namespace(server, "d-registered");
    assert_ptr_equal(held, cvn_of(server, "/d-registered"));
    assert_null(cvn_namespace_parent(held));
    cvn_namespace_unref(held);
    char name[300];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_null(cvn_find_namespace(server, name));
    assert_null(cvn_of(server, name));

    join_with(b, "/who-1,", "{\"me\":true}");
    ws_send(b, "42/who-1,[\"echo\",3]");
    assert_ws_text(b, "42/who-1,[\"echo\",3]");
    ws_send(a, "40/who-1,{\"me\":false}");
    assert_ws_text(a, "44/who-1,{\"message\":\"Invalid namespace\"}");
    client_free(a);
    client_free(b);
}

/* A child that the application holds outlives the server; nothing but giving it back is left to do. */
static void test_outlives_the_server(void **state)
{
    struct client *client = ws_open(port);
    (void)state;
    join_with(client, "/d-1,", "");
    cvn_namespace *held = cvn_find_namespace(server, "/d-1");
    assert_non_null(held);
    cvn_server_stop(server);
    cvn_server_wait(server);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = held}, "e", cvn_json("1")), CVN_ERR_STATE);
    cvn_server_free(server);
    server = NULL;
    cvn_namespace_unref(held);
    client_free(client);
}

static void on_fetched(enum cvn_error error, const cvn_remote_socket *const *sockets, size_t count,
                       void *data)
{
    (void)data;
    for (size_t i = 0; i < count; i++)
        if (cvn_remote_id(sockets[i])[ID_SIZE] != '\0')
            abort();
    if (error != CVN_OK)
        abort();
}

static void on_turn(void *data)
{
    sem_post(data);
}

/* No faster than the workers. */
static void wait_for_turn(sem_t *turn)
{
    for (unsigned i = 0; i < 2; i++)
        if (cvn_post(server, i, on_turn, turn) != CVN_OK)
            abort();
    for (unsigned i = 0; i < 2; i++)
        while (sem_wait(turn) != 0)
            ;
}

/* Another thread, all the time: emits to the parent, and finds, uses and gives back its children. */
static void *use_children(void *data)
{
    sem_t turn;
    (void)data;
    sem_init(&turn, 0, 0);
    for (unsigned i = 0; !is_over; i++) {
        wait_for_turn(&turn);
        if (cvn_emit(&(cvn_target){.nsp = parent}, "all", cvn_json("1")) != CVN_OK)
            abort();
        cvn_namespace *child = cvn_find_namespace(server, name_of(i));
        if (child == NULL)
            continue;
        if (cvn_emit(&(cvn_target){.nsp = child, .rooms = {"room"}}, "one", cvn_json("1")) !=
                CVN_OK ||
            cvn_sockets_leave(&(cvn_target){.nsp = child}, "room") != CVN_OK ||
            cvn_fetch_sockets(&(cvn_target){.nsp = child}, 60000, on_fetched, NULL) != CVN_OK)
            abort();
        cvn_namespace_unref(child);
    }
    sem_destroy(&turn);
    return NULL;
}

/* Reads until the `count`th yes; events in between are for sockets that were in just then. */
static void read_joins(struct client *client, unsigned count)
{
    while (count > 0) {
        const char *text = ws_read(client);
        if (strncmp(text, "40/d-", 5) == 0)
            count--;
        else if (strncmp(text, "42/d-", 5) != 0)
            fail_msg("unexpected: %s", text);
    }
}

static void test_race(void **state)
{
    struct client *clients[CLIENTS];
    pthread_t threads[2];
    char text[64];
    (void)state;
    for (unsigned i = 0; i < CLIENTS; i++) /* the kernel spreads them over the workers */
        clients[i] = ws_open(port);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_children, NULL), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            for (unsigned k = 0; k < BATCH; k++) {
                snprintf(text, sizeof text, "40%s,", name_of(round + k));
                ws_send(clients[i], text);
                text[1] = '1';
                ws_send(clients[i], text);
            }
        for (unsigned i = 0; i < CLIENTS; i++)
            read_joins(clients[i], BATCH);
    }
    is_over = true;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ws_send(clients[i], "40/end,");
        while (strcmp(ws_read(clients[i]), "44/end,{\"message\":\"Invalid namespace\"}") != 0)
            ;
    }
    assert_int_equal(in, CLIENTS * ROUNDS * BATCH);
    assert_int_equal(out, in);
    wait_for_workers(); /* replies to questions are posted after the questions */
    wait_for_workers();
    for (unsigned i = 0; i < NAMES; i++)
        assert_null(cvn_of(server, name_of(i)));
    cvn_stats stats;
    cvn_server_stats(server, &stats);
    assert_int_equal(stats.sockets, 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_free(clients[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_life),
        TEST(test_outlives_the_server),
        TEST(test_race),
        cmocka_unit_test_setup_teardown(test_race, setup_recovery, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
