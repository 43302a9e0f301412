/* What the sockets of one connection share: its number and the application's data. */
#include <inttypes.h>
#include "client.h"

static cvn_socket *kept; /* a reference of the test's */

static void destroy(void *data)
{
    note("destroyed %s", (char *)data);
    free(data);
}

/* The first namespace's middleware remembers, as one does who has checked a token. */
static void remember(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)data;
    if (cvn_socket_connection_data(socket) == NULL)
        cvn_socket_set_connection_data(socket, strdup("first"), destroy);
    cvn_next_accept(next);
}

static void on_connection(cvn_socket *socket, void *data)
{
    (void)data;
    note("%s %" PRIu64 " %s", cvn_namespace_name(cvn_socket_namespace(socket)),
         cvn_socket_connection(socket), (char *)cvn_socket_connection_data(socket));
}

static void on_replace(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)event, (void)data;
    void *same = cvn_socket_connection_data(socket);
    cvn_socket_set_connection_data(socket, same, destroy); /* destroys nothing */
    cvn_socket_set_connection_data(socket, strdup("second"), destroy);
    note("replaced");
}

static void on_keep(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)event, (void)data;
    kept = cvn_socket_ref(socket);
    note("kept");
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)data, (void)reason;
    note("out %s %s", cvn_namespace_name(cvn_socket_namespace(socket)),
         (char *)cvn_socket_connection_data(socket));
}

static uint64_t number_in(const char *line, const char *format)
{
    uint64_t number = 0;
    if (sscanf(line, format, &number) != 1)
        fail_msg("unexpected: %s", line);
    assert_true(number > 0);
    return number;
}

static cvn_server *connection_server(void)
{
    static const char *const names[] = {"/", "/chat"};
    cvn_server *server = server_new(2);
    notes_open();
    for (int i = 0; i < 2; i++) {
        cvn_namespace *nsp = cvn_of(server, names[i]);
        cvn_use(nsp, remember, NULL);
        cvn_on_connection(nsp, on_connection, NULL);
        cvn_on_disconnect(nsp, on_disconnect, NULL);
        cvn_on(nsp, "replace", on_replace, NULL);
        cvn_on(nsp, "keep", on_keep, NULL);
    }
    return server;
}

static void test_shared(void **state)
{
    cvn_server *server = connection_server();
    uint16_t port = server_start(server);
    (void)state;
    struct client *client = joined(port);
    uint64_t number = number_in(next_note(), "/ %" SCNu64 " first");
    join_with(client, "/chat,", "");
    assert_int_equal(number_in(next_note(), "/chat %" SCNu64 " first"), number);

    ws_send(client, "42[\"replace\"]");
    assert_note("destroyed first");
    assert_note("replaced");
    ws_send(client, "41"); /* leaves one namespace; the connection stays */
    assert_note("out / second");
    join_with(client, "", "");
    assert_int_equal(number_in(next_note(), "/ %" SCNu64 " second"), number);
    ws_send(client, "42/chat,[\"keep\"]");
    assert_note("kept");

    struct client *other = joined(port);
    assert_int_not_equal(number_in(next_note(), "/ %" SCNu64 " first"), number);
    client_free(other);
    assert_note("out / first");
    assert_note("destroyed first");

    client_free(client);
    const char *line = next_note();
    assert_memory_equal(line, "out /", 5);
    line = next_note();
    assert_memory_equal(line, "out /", 5);
    cvn_server_free(server);
    assert_no_note(); /* one socket of it is still there */
    assert_int_equal(cvn_socket_connection(kept), number);
    assert_string_equal(cvn_socket_connection_data(kept), "second");
    cvn_socket_unref(kept);
    assert_note("destroyed second");
    notes_close();
}

/* Numbers do not begin anew with another server. */
static void test_process(void **state)
{
    uint64_t last = 0;
    (void)state;
    for (int i = 0; i < 3; i++) {
        cvn_server *server = connection_server();
        struct client *client = joined(server_start(server));
        uint64_t number = number_in(next_note(), "/ %" SCNu64 " first");
        assert_int_not_equal(number, last);
        last = number;
        client_free(client);
        assert_note("out / first");
        assert_note("destroyed first");
        cvn_server_free(server);
        notes_close();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_shared),
                                              cmocka_unit_test(test_process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
