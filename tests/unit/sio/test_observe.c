/*
 * The observer: what it is told and when, silence while nobody wants to know; and walks over the sockets of a worker that others leave and
 * join in the midst of.
 */
#include "io.h"
#include "sio/sio_dynamic.h"

static void on_join(cvn_socket *socket, const char *room, void *data)
{
    bool is_own = strcmp(room, cvn_socket_id(socket)) == 0;
    assert_true(cvn_socket_in_room(socket, room));
    world_log(data, "+%s;", is_own ? "own" : room);
}

static void on_leave(cvn_socket *socket, const char *room, void *data)
{
    bool is_own = strcmp(room, cvn_socket_id(socket)) == 0;
    assert_true(is_own || !cvn_socket_in_room(socket, room));
    world_log(data, "-%s;", is_own ? "own" : room);
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket;
    world_log(data, "gone(%s);", reason);
}

static void on_upgrade(cvn_socket *socket, void *data)
{
    world_log(data, "up(%s,%s);", cvn_namespace_name(cvn_socket_namespace(socket)),
              cvn_socket_transport(socket));
}

static void on_event(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket;
    world_log(data, "in %.*s(%.*s);", SLICE_ARG(cvn_event_name(event)),
              SLICE_ARG(cvn_event_args(event).json));
}

static void on_outgoing(cvn_socket *socket, const char *event, cvn_args args, void *data)
{
    (void)socket;
    world_log(data, "out %s(%.*s);", event, SLICE_ARG(args.json));
}

static cvn_observer observer_of(struct io *io)
{
    return (cvn_observer){on_join,  on_leave,    on_disconnect, on_upgrade,
                          on_event, on_outgoing, io->world};
}

static bool refuse_no(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket;
    (void)data;
    return !slice_eq(cvn_event_name(event), SLICE("no"));
}

static struct io *observed_io(unsigned workers)
{
    struct io *io = io_new(workers);
    cvn_observer observer = observer_of(io);
    assert_int_equal(sio_set_observer(&io->server, &observer), CVN_OK);
    assert_int_equal(sio_set_observer(&io->server, &observer), CVN_ERR_STATE);
    assert_int_equal(cvn_use_event(io_namespace(io, "/"), refuse_no, NULL), CVN_OK);
    io_log_all(io_namespace(io, "/"));
    io_start(io);
    assert_int_equal(sio_set_observer(&io->server, &observer), CVN_ERR_STATE);
    return io;
}

static void test_life(void **state)
{
    struct io *io = observed_io(1);
    cvn_socket *socket;
    (void)state;
    sio_observe(&io->server, true);
    struct client *client = io_joined(io, 0, &socket);
    assert_reported("+own;in/;");
    assert_int_equal(cvn_join(socket, "x"), CVN_OK);
    assert_int_equal(cvn_join(socket, "x"), CVN_OK);
    assert_int_equal(cvn_join(socket, "y"), CVN_OK);
    cvn_leave(socket, "x");
    cvn_leave(socket, "x");
    assert_reported("+x;+y;-x;");
    ws_send(client, "42[\"say\",1,\"a\"]");
    ws_send(client, "42[\"no\"]"); /* a middleware's no */
    assert_reported("in say(1,\"a\");any:say(1,\"a\");");
    assert_int_equal(cvn_socket_emit(socket, "hear", cvn_json("2")), CVN_OK);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = io_namespace(io, "/"), .rooms = {"y"}}, "all",
                              cvn_json("{}")),
                     CVN_OK);
    assert_reported("out hear(2);out all({});");
    ws_send(client, "41");
    assert_reported("leaving(client namespace disconnect);-y;-own;left(client namespace "
                    "disconnect);gone(client namespace disconnect);");
    client_free(client);
    io_free(io);
}

static void test_silence(void **state)
{
    struct io *io = observed_io(1);
    cvn_socket *socket;
    (void)state;
    struct client *client = io_joined(io, 0, &socket);
    assert_int_equal(cvn_join(socket, "x"), CVN_OK);
    assert_int_equal(cvn_socket_emit(socket, "hear", cvn_json("")), CVN_OK);
    assert_reported("in/;");
    sio_observe(&io->server, true);
    cvn_leave(socket, "x");
    assert_reported("-x;");
    sio_observe(&io->server, false);
    assert_int_equal(cvn_join(socket, "x"), CVN_OK);
    client_vanish(client, false);
    assert_reported("leaving(transport close);left(transport close);");
    io_free(io);
}

static void test_without_observer(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    (void)state;
    io_start(io);
    sio_observe(&io->server, true); /* there is nobody to tell */
    struct client *client = io_joined(io, 0, &socket);
    assert_int_equal(cvn_socket_emit(socket, "hear", cvn_json("")), CVN_OK);
    client_free(client);
    io_free(io);
}

/* A broadcast from one worker to sockets of another carries what the observer there is told. */
static void test_broadcast(void **state)
{
    struct io *io = observed_io(2);
    (void)state;
    struct client *a = io_joined(io, 0, NULL), *b = io_joined(io, 1, NULL);
    world_reported(io->world);
    sio_observe(&io->server, true);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = io_namespace(io, "/")}, "all", cvn_json("7")),
                     CVN_OK);
    assert_reported("out all(7);out all(7);");
    client_free(a);
    client_free(b);
    io_free(io);
}

static void test_upgrade(void **state)
{
    struct io *io = observed_io(1);
    struct client *client = client_new(io->world), *ws = client_new(io->world);
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    sio_observe(&io->server, true);
    polling_open(client, sid);
    assert_post(client, sid, "40");
    assert_reported("+own;in/;");
    assert_string_equal(cvn_socket_transport(io->last), "polling");
    assert_int_equal(ws_connect(ws, sid), 101);
    ws_send(ws, "2probe");
    assert_ws_text(ws, "3probe");
    ws_send(ws, "5");
    assert_reported("up(/,websocket);");
    client_free(client);
    client_free(ws);
    io_free(io);
}

/* --- Walks --- */

#define WALKERS 6

struct walk {
    size_t cursor;
    size_t steps; /* to take now */
    unsigned met[WALKERS + 1];
    cvn_socket *sockets[WALKERS + 1];
    bool is_over;
};

/* Some steps of the walk, in a turn of the worker. */
static void on_walk(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct walk *walk = data;
    (void)event;
    for (size_t i = 0; i < walk->steps && !walk->is_over; i++) {
        const cvn_socket *next = cvn_next_socket(cvn_socket_namespace(socket), &walk->cursor);
        walk->is_over = next == NULL;
        for (size_t j = 0; next != NULL && j <= WALKERS; j++)
            walk->met[j] += walk->sockets[j] == next;
    }
}

/* Whoever stays is met, whatever leaves at whichever step. */
static void test_walk(void **state)
{
    (void)state;
    for (size_t when = 0; when <= WALKERS; when++)
        for (size_t who = 0; who < WALKERS; who++) {
            struct io *io = io_new(2);
            struct walk walk = {0};
            struct client *clients[WALKERS + 1];
            assert_int_equal(cvn_on(io_namespace(io, "/"), "walk", on_walk, &walk), CVN_OK);
            io_start(io);
            struct client *elsewhere = io_joined(io, 1, NULL);
            for (size_t i = 0; i < WALKERS; i++)
                clients[i] = io_joined(io, 0, &walk.sockets[i]);
            size_t driver = who == 0 ? 1 : 0;
            walk.steps = when;
            ws_send(clients[driver], "42[\"walk\"]");
            client_vanish(clients[who], false);
            clients[WALKERS] = io_joined(io, 0, &walk.sockets[WALKERS]);
            walk.steps = 100;
            ws_send(clients[driver], "42[\"walk\"]");
            assert_true(walk.is_over);
            for (size_t i = 0; i < WALKERS; i++)
                if (i != who)
                    assert_in_range(walk.met[i], 1, 2);
            assert_null(cvn_next_socket(io_namespace(io, "/"), &walk.cursor)); /* no worker */
            for (size_t i = 0; i <= WALKERS; i++)
                if (i != who)
                    client_free(clients[i]);
            client_free(elsewhere);
            io_free(io);
        }
}

static void log_name(cvn_namespace *nsp, void *data)
{
    char *names = data;
    strcat(names, cvn_namespace_name(nsp));
    strcat(names, ";");
}

static void test_namespaces(void **state)
{
    struct io *io = io_new(1);
    char names[256] = "";
    (void)state;
    io_namespace(io, "/chat");
    assert_non_null(sio_dynamic_add_pattern(&io->server, "^/room-[0-9]$"));
    assert_int_equal(sio_each_namespace(&io->server, log_name, names), CVN_OK);
    assert_int_equal(strlen(names), strlen("/;/chat;"));
    io_start(io);
    struct client *client = io_client(io, 0);
    ws_send(client, "40/room-1,");
    assert_non_null(strstr(io_read(client), "40/room-1,"));
    names[0] = '\0';
    assert_int_equal(sio_each_namespace(&io->server, log_name, names), CVN_OK);
    assert_non_null(strstr(names, "/chat;"));
    assert_non_null(strstr(names, "/room-1;"));
    assert_int_equal(strlen(names), strlen("/;/chat;/room-1;"));
    client_free(client);
    world_turn(io->world);
    names[0] = '\0';
    assert_int_equal(sio_each_namespace(&io->server, log_name, names), CVN_OK);
    assert_null(strstr(names, "/room-1;")); /* gone with its socket */
    io_free(io);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_without_observer),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_namespaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
