/*
 * What an application registers: its rules before the start, the order in which handlers run, middlewares that answer at once, later, or
 * when nobody is left.
 */
#include "io.h"

static char first[] = "first", second[] = "second", third[] = "third";

/* --- Registration --- */

static void test_names(void **state)
{
    struct io *io = io_new(1);
    char name[300];
    (void)state;
    cvn_namespace *chat = io_namespace(io, "/chat");
    assert_non_null(chat);
    assert_string_equal(cvn_namespace_name(chat), "/chat");
    assert_ptr_equal(io_namespace(io, "/chat"), chat);
    assert_ptr_not_equal(io_namespace(io, "/Chat"), chat);
    assert_ptr_not_equal(io_namespace(io, "/chat/"), chat);
    assert_null(sio_namespace_find(&io->server, SLICE("/nobody")));
    assert_int_equal(io->server.registration, CVN_OK);

    memset(name, 'n', sizeof name);
    name[0] = '/';
    name[SIO_MAX_NAMESPACE_NAME] = '\0';
    assert_non_null(io_namespace(io, name));
    assert_int_equal(io->server.registration, CVN_OK);
    name[SIO_MAX_NAMESPACE_NAME] = 'n';
    name[SIO_MAX_NAMESPACE_NAME + 1] = '\0';
    assert_null(io_namespace(io, name));
    assert_int_equal(io->server.registration, CVN_ERR_ARGUMENT);
    io_start(io);
    assert_ptr_equal(io_namespace(io, "/chat"), chat);
    assert_null(io_namespace(io, "/more"));
    io_free(io);

    io = io_new(1);
    assert_null(io_namespace(io, "/a,b")); /* no client could name it */
    assert_int_equal(io->server.registration, CVN_ERR_ARGUMENT);
    io_start(io);
    io_free(io);
}

static void on_middleware(cvn_socket *socket, cvn_next *next, void *data)
{
    assert_false(cvn_socket_is_connected(socket));
    world_log(the_io->world, "%s?;", (const char *)data);
    cvn_next_accept(next);
}

static bool on_filter(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket;
    (void)event;
    (void)data;
    return true;
}

static void on_outgoing(cvn_socket *socket, const char *event, cvn_args args, void *data)
{
    (void)socket;
    (void)event;
    (void)args;
    (void)data;
}

static void assert_all_refused(cvn_namespace *nsp, enum cvn_error expected)
{
    assert_int_equal(cvn_use(nsp, on_middleware, NULL), expected);
    assert_int_equal(cvn_on_connection(nsp, io_on_connection, NULL), expected);
    assert_int_equal(cvn_on_disconnecting(nsp, io_on_leave, NULL), expected);
    assert_int_equal(cvn_on_disconnect(nsp, io_on_leave, NULL), expected);
    assert_int_equal(cvn_on_any(nsp, io_on_event, NULL), expected);
    assert_int_equal(cvn_on(nsp, "a", io_on_event, NULL), expected);
    assert_int_equal(cvn_use_event(nsp, on_filter, NULL), expected);
    assert_int_equal(cvn_on_any_outgoing(nsp, on_outgoing, NULL), expected);
}

static void test_refused_registrations(void **state)
{
    static const char *const names[] = {"",           NULL,          "connect",
                                        "disconnect", "newListener", "connect_error"};
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/");
    (void)state;
    assert_all_refused(NULL, CVN_ERR_ARGUMENT);
    assert_int_equal(io->server.registration, CVN_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(cvn_on(root, names[i], io_on_event, NULL), CVN_ERR_ARGUMENT);
        assert_int_equal(io->server.registration, CVN_ERR_ARGUMENT);
        io->server.registration = CVN_OK;
    }
    assert_int_equal(cvn_on(root, "a", NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_on_any(root, NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_use(root, NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_on_connection(root, NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_on_disconnecting(root, NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_on_disconnect(root, NULL, NULL), CVN_ERR_ARGUMENT);
    io->server.registration = CVN_OK;
    io_start(io);
    assert_all_refused(root, CVN_ERR_STATE);
    assert_int_equal(io->server.registration, CVN_OK);
    io_free(io);
}

/* Every allocation of a registration fails once: said, remembered, nothing leaks, and a later one works. */
static void test_registration_without_memory(void **state)
{
    (void)state;
    for (uint64_t failing = 0, failed = true; failed; failing++) {
        struct io *io = io_new(1);
        mem_fail_after(failing, 1);
        cvn_namespace *nsp = io_namespace(io, "/chat");
        cvn_on(nsp, "a", io_on_event, first);
        cvn_on(nsp, "a", io_on_event, second);
        cvn_on(nsp, "b", io_on_event, first);
        cvn_use(nsp, on_middleware, first);
        cvn_on_any(nsp, io_on_event, first);
        cvn_use_event(nsp, on_filter, first);
        cvn_on_any_outgoing(nsp, on_outgoing, first);
        cvn_on_connection(nsp, io_on_connection, first);
        cvn_on_disconnecting(nsp, io_on_leave, first);
        cvn_on_disconnect(nsp, io_on_leave, first);
        mem_fail_after(0, 0);
        failed = io->server.registration != CVN_OK;
        assert_true(!failed || io->server.registration == CVN_ERR_MEMORY);
        assert_non_null(io_namespace(io, "/chat"));
        assert_int_equal(cvn_on(io_namespace(io, "/chat"), "a", io_on_event, third), CVN_OK);
        io_start(io);
        io_free(io);
    }
}

/* --- Handlers --- */

static void test_order(void **state)
{
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/"), *chat = io_namespace(io, "/chat");
    (void)state;
    cvn_on(root, "a", io_on_event, first);
    cvn_on_any(root, io_on_event, second);
    cvn_on(root, "a", io_on_event, third);
    cvn_on_any(root, io_on_event, third);
    cvn_on(chat, "a", io_on_event, (void *)"chat");
    cvn_on(root, "7", io_on_event, (void *)"number");
    cvn_on(root, "gr\xc3\xbc\xc3\x9f \"\n", io_on_event, (void *)"odd");
    io_start(io);
    struct client *client = io_joined(io, 0, NULL);
    io_join(client, "/chat");
    ws_send(client, "42[\"a\",1]");
    assert_reported("second:a(1);third:a(1);first:a(1);third:a(1);");
    ws_send(client, "42/chat,[\"a\",2]");
    assert_reported("chat:a(2);");
    ws_send(client, "42[7,\"x\"]");
    assert_reported("second:7(\"x\");third:7(\"x\");number:7(\"x\");");
    ws_send(client, "42[\"\\u0061\"]"); /* the name as it reads, not as it is written */
    assert_reported("second:a();third:a();first:a();third:a();");
    ws_send(client, "42[\"gr\\u00fc\\u00df \\\"\\n\"]");
    assert_memory_equal(strstr(world_reported(io->world), "odd:"), "odd:gr\xc3\xbc\xc3\x9f", 10);
    ws_send(client, "42[\"A\"]");
    assert_reported("second:A();third:A();");
    ws_send(client, "42[\"\"]");
    assert_reported("second:();third:();");
    client_free(client);
    io_free(io);
}

static void on_kick(cvn_socket *socket, const cvn_event *event, void *data)
{
    world_log(the_io->world, "kick;");
    cvn_disconnect(socket, data != NULL);
    assert_false(cvn_socket_is_connected(socket));
    assert_int_equal(cvn_ack(event, "1"), CVN_ERR_STATE);
}

/* A handler ends its socket: the event's other handlers do not see it any more. */
static void test_disconnect_in_handler(void **state)
{
    (void)state;
    for (int close = 0; close <= 1; close++) {
        struct io *io = io_new(1);
        cvn_namespace *root = io_namespace(io, "/");
        cvn_on(root, "a", io_on_event, first);
        cvn_on(root, "a", on_kick, close ? first : NULL);
        cvn_on(root, "a", io_on_event, second);
        cvn_on_disconnect(root, io_on_leave, (void *)"left");
        io_start(io);
        struct client *client = io_joined(io, 0, NULL);
        ws_send(client, "420[\"a\"]");
        assert_reported("first:a();kick;left(server namespace disconnect);");
        assert_ws_text(client, "41");
        if (close)
            assert_ws_closed(client, 1005);
        client_free(client);
        io_free(io);
    }
}

static void on_connection_kick(cvn_socket *socket, void *data)
{
    (void)data;
    cvn_disconnect(socket, true);
}

static void test_disconnect_on_connection(void **state)
{
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/");
    (void)state;
    cvn_on_connection(root, io_on_connection, first);
    cvn_on_connection(root, on_connection_kick, NULL);
    cvn_on_connection(root, io_on_connection, second);
    cvn_on_disconnect(root, io_on_leave, (void *)"left");
    io_start(io);
    struct client *client = io_client(io, 0);
    ws_send(client, "40");
    assert_reported("first/;left(server namespace disconnect);");
    assert_memory_equal(io_read(client), "40{\"sid\":\"", 9);
    assert_ws_text(client, "41");
    assert_ws_closed(client, 1005);
    client_free(client);
    io_free(io);
}

/* In disconnecting handlers the rooms are there, in disconnect handlers they are not. */
static void on_leaving_rooms(cvn_socket *socket, const char *reason, void *data)
{
    bool leaving = data != NULL;
    (void)reason;
    assert_false(cvn_socket_is_connected(socket));
    assert_int_equal(cvn_socket_in_room(socket, "room"), leaving);
    assert_int_equal(cvn_socket_in_room(socket, cvn_socket_id(socket)), leaving);
    if (leaving)
        assert_string_equal(cvn_socket_room(socket, 1), "room");
    else
        assert_null(cvn_socket_room(socket, 1));
    assert_int_equal(cvn_join(socket, "late"), CVN_ERR_STATE);
    assert_int_equal(cvn_socket_emit(socket, "a", cvn_json("")), CVN_ERR_STATE);
    cvn_disconnect(socket, false); /* it leaves already */
    world_log(the_io->world, leaving ? "leaving;" : "left;");
}

static void test_rooms_when_leaving(void **state)
{
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/");
    cvn_socket *socket;
    (void)state;
    cvn_on_disconnecting(root, on_leaving_rooms, first);
    cvn_on_disconnect(root, on_leaving_rooms, NULL);
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    assert_int_equal(cvn_join(socket, "room"), CVN_OK);
    client_vanish(client, false);
    assert_reported("leaving;left;");
    io_free(io);
}

/* --- Middlewares --- */

static cvn_next *kept;

static void on_later(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)socket;
    world_log(the_io->world, "%s...;", (const char *)data);
    kept = next;
}

static void on_refuse(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)socket;
    world_log(the_io->world, "no;");
    cvn_next_refuse(next, "not \"authorized\"", data);
}

static void test_accepting(void **state)
{
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/");
    (void)state;
    cvn_use(root, on_middleware, first);
    cvn_use(root, on_middleware, second);
    io_log_all(root);
    io_start(io);
    struct client *client = io_joined(io, 0, NULL);
    assert_reported("first?;second?;in/;");
    client_free(client);
    io_free(io);
}

static void test_refusing(void **state)
{
    static const struct {
        const char *data, *expected;
    } cases[] = {
        {NULL, "44{\"message\":\"not \\\"authorized\\\"\"}"},
        {"{\"code\":1}", "44{\"message\":\"not \\\"authorized\\\"\",\"data\":{\"code\":1}}"},
        {"\"x\"", "44{\"message\":\"not \\\"authorized\\\"\",\"data\":\"x\"}"},
        {"{broken", "44{\"message\":\"not \\\"authorized\\\"\"}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct io *io = io_new(1);
        cvn_namespace *root = io_namespace(io, "/");
        cvn_use(root, on_middleware, first);
        cvn_use(root, on_refuse, (void *)cases[i].data);
        cvn_use(root, on_middleware, third);
        io_log_all(root);
        io_start(io);
        struct client *client = io_client(io, 0);
        for (int again = 0; again < 2; again++) { /* a refused client may try anew */
            ws_send(client, "40");
            assert_reported("first?;no;");
            assert_ws_text(client, cases[i].expected);
            assert_ws_silent(client);
        }
        ws_send(client, "42[\"a\"]"); /* and is not in */
        assert_reported("");
        assert_ws_closed(client, 1005);
        client_free(client);
        io_free(io);
    }
}

static struct io *later_started(void)
{
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/");
    kept = NULL;
    cvn_use(root, on_later, first);
    cvn_use(root, on_middleware, second);
    io_log_all(root);
    io_start(io);
    return io;
}

static void test_later(void **state)
{
    struct io *io = later_started();
    struct client *client = io_client(io, 0);
    (void)state;
    ws_send(client, "40");
    assert_reported("first...;");
    assert_ws_silent(client);
    assert_int_equal(io->workers[0].sockets, 0);
    cvn_next_accept(kept);
    assert_reported("second?;in/;");
    assert_memory_equal(io_read(client), "40{\"sid\":\"", 9);

    struct client *other = io_client(io, 0);
    ws_send(other, "40");
    assert_reported("first...;");
    cvn_next_refuse(kept, "no", NULL);
    assert_ws_text(other, "44{\"message\":\"no\"}");
    assert_reported("");
    client_free(client);
    client_free(other);
    io_free(io);
}

/* A client that is not in yet may neither speak nor ask again. */
static void test_impatient(void **state)
{
    static const char *const packets[] = {"42[\"a\"]", "40", "41", "431[]", "451-[\"a\"]"};
    struct io *io = later_started();
    (void)state;
    for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
        struct client *client = io_client(io, 0);
        ws_send(client, "40");
        ws_send(client, packets[i]);
        assert_ws_closed(client, 1005);
        client_free(client);
        world_turn(io->world);
        if (i % 2)
            cvn_next_accept(kept);
        else
            cvn_next_refuse(kept, "too late", NULL);
        assert_reported("first...;"); /* nobody joins, nobody leaves */
        assert_int_equal(io->workers[0].connections, 0);
    }
    io_free(io);
}

static void test_gone_before_the_answer(void **state)
{
    struct io *io = later_started();
    (void)state;
    for (int accept = 0; accept <= 1; accept++) {
        struct client *client = io_client(io, 0);
        ws_send(client, "40");
        client_vanish(client, accept);
        world_turn(io->world);
        if (accept)
            cvn_next_accept(kept);
        else
            cvn_next_refuse(kept, "no", "1");
        assert_reported("first...;");
        assert_int_equal(io->workers[0].sockets, 0);
    }
    io_free(io);
}

/* While a middleware ponders, the limit to join goes on. */
static void test_timeout_before_the_answer(void **state)
{
    struct io *io = later_started();
    struct client *client = io_client(io, 0);
    (void)state;
    ws_send(client, "40");
    world_advance(io->world, 45010);
    assert_ws_closed(client, 1005);
    cvn_next_accept(kept);
    assert_reported("first...;");
    client_free(client);
    io_free(io);
}

static void on_kick_and_accept(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)data;
    cvn_disconnect(socket, true);
    cvn_next_accept(next);
}

/* A middleware that cuts the client off does not let it in, whatever it says next. */
static void test_kick_and_accept(void **state)
{
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/");
    (void)state;
    cvn_use(root, on_kick_and_accept, NULL);
    io_log_all(root);
    io_start(io);
    struct client *client = io_client(io, 0);
    ws_send(client, "40");
    assert_ws_closed(client, 1005);
    assert_reported("");
    client_free(client);
    io_free(io);
}

/* A refusal too large to be said at once is still said. */
static void test_large_refusal(void **state)
{
    struct io *io = io_new(1);
    char *data = malloc(200003);
    (void)state;
    assert_non_null(data);
    memset(data, 'd', 200003);
    data[0] = data[200001] = '"';
    data[200002] = '\0';
    cvn_use(io_namespace(io, "/"), on_refuse, data);
    io_start(io);
    struct client *client = io_client(io, 0);
    ws_send(client, "40");
    const char *answer = io_read(client);
    assert_memory_equal(answer, "44{\"message\":\"not \\\"authorized\\\"\",\"data\":\"ddd", 43);
    assert_int_equal(strlen(answer), 41 + 200002 + 1);
    client_free(client);
    io_free(io);
    free(data);
}

/* --- The application's data --- */

static unsigned destroyed;

static void on_destroy(void *data)
{
    ++*(unsigned *)data;
    destroyed++;
}

static void test_data(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    unsigned a = 0, b = 0;
    (void)state;
    destroyed = 0;
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    assert_null(cvn_socket_data(socket));
    cvn_socket_set_data(socket, &a, on_destroy);
    assert_ptr_equal(cvn_socket_data(socket), &a);
    cvn_socket_set_data(socket, &a, on_destroy); /* the same again: still in use */
    assert_int_equal(destroyed, 0);
    cvn_socket_set_data(socket, &b, on_destroy);
    assert_int_equal(a, 1);
    cvn_socket_set_data(socket, NULL, NULL);
    assert_int_equal(b, 1);
    cvn_socket_set_data(socket, &b, NULL);
    cvn_socket_set_data(socket, &a, on_destroy);
    assert_int_equal(b, 1);
    cvn_socket_ref(socket);
    client_vanish(client, false);
    assert_int_equal(a, 1); /* somebody holds the socket */
    assert_ptr_equal(cvn_socket_data(socket), &a);
    cvn_socket_unref(socket);
    assert_int_equal(a, 2);
    assert_int_equal(destroyed, 3);
    io_free(io);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refused_registrations),
        cmocka_unit_test(test_registration_without_memory),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_disconnect_in_handler),
        cmocka_unit_test(test_disconnect_on_connection),
        cmocka_unit_test(test_rooms_when_leaving),
        cmocka_unit_test(test_accepting),
        cmocka_unit_test(test_refusing),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_impatient),
        cmocka_unit_test(test_gone_before_the_answer),
        cmocka_unit_test(test_timeout_before_the_answer),
        cmocka_unit_test(test_kick_and_accept),
        cmocka_unit_test(test_large_refusal),
        cmocka_unit_test(test_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
