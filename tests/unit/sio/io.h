/*
 * Socket.IO above the world of Engine.IO's tests: the same workers turned by hand, the same clients, time that moves only when a test
 * says so. What handlers are told goes to the world's log. Broadcasts go through an adapter that delivers to every worker at once.
 */
#ifndef SIO_TEST_IO_H
#define SIO_TEST_IO_H

#include "eio/support/world.h"
#include "sio/sio_adapter.h"
#include "sio/sio_client.h"

struct io {
    struct world *world;
    struct sio_server server;
    struct sio_worker workers[WORLD_WORKERS];
    struct sio_worker *pointers[WORLD_WORKERS];
    struct sio_adapter adapter;
    unsigned broadcasts; /* that the adapter was given */
    cvn_socket *last;    /* joined last */
};

static struct io *the_io; /* for callbacks that get no app */

static enum cvn_error io_on_publish(struct sio_adapter *adapter, const struct sio_op *op)
{
    struct io *io = CONTAINER_OF(adapter, struct io, adapter);
    io->broadcasts++;
    for (unsigned i = 0; i < io->world->worker_count; i++)
        sio_op_apply(&io->workers[i], op);
    return CVN_OK;
}

static void io_on_adapter_freed(struct sio_adapter *adapter)
{
    (void)adapter;
}

static void io_on_open(struct eio_session *session, const struct http_request *request, void *app)
{
    unsigned index = conn_worker(http_request_conn(request))->index;
    (void)app;
    assert_ptr_equal(eio_session_server(session), the_io->world->servers[index]);
    sio_client_events.on_open(session, request, &the_io->workers[index]);
}

/* Namespaces and handlers next, then io_start. */
static struct io *io_new(unsigned workers)
{
    static const struct sio_options options = {
        .packets = {.max_attachments = 3, .max_depth = 16},
        .emits = {.max_attachments = SIO_MAX_ATTACHMENTS, .max_depth = 16},
        .connect_timeout_ms = 45000,
        .max_sockets_per_connection = 4,
        .max_rooms_per_socket = 1000,
        .max_pending_acks = 4,
        .max_dynamic_namespaces = 4,
        .max_attachment_bytes = 1000,
    };
    struct io *io = calloc(1, sizeof *io);
    assert_non_null(io);
    the_io = io;
    io->world = world_new();
    io->world->worker_count = workers;
    io->world->options.ping_interval_ms = 100000000; /* heartbeats are the layer below's */
    sio_server_init(&io->server, NULL, &options);
    io->adapter.publish = io_on_publish;
    io->adapter.free = io_on_adapter_freed;
    io->server.adapter = &io->adapter;
    assert_non_null(sio_namespace_get(&io->server, SLICE("/")));
    return io;
}

static void io_start(struct io *io)
{
    io->world->events = sio_client_events;
    io->world->events.on_open = io_on_open;
    world_start(io->world);
    for (unsigned i = 0; i < io->world->worker_count; i++) {
        io->workers[i].server = &io->server;
        io->workers[i].worker = &io->world->workers[i];
        io->workers[i].eio = io->world->servers[i];
        io->pointers[i] = &io->workers[i];
    }
    assert_int_equal(sio_server_prepare(&io->server, io->pointers, io->world->worker_count),
                     CVN_OK);
}

static void io_free(struct io *io)
{
    world_end(io->world);
    for (unsigned i = 0; i < WORLD_WORKERS; i++) {
        assert_int_equal(io->workers[i].connections, 0);
        assert_int_equal(io->workers[i].polling, 0);
        assert_int_equal(io->workers[i].sockets, 0);
    }
    sio_server_release(&io->server);
    free(io->world);
    free(io);
}

static cvn_namespace *io_namespace(struct io *io, const char *name)
{
    return sio_namespace_get(&io->server, cvn_str(name));
}

/* --- Handlers that write down what they are told --- */

static void io_on_connection(cvn_socket *socket, void *data)
{
    the_io->last = socket;
    world_log(the_io->world, "%s%s;", (const char *)data,
              cvn_namespace_name(cvn_socket_namespace(socket)));
}

static void io_on_leave(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket;
    world_log(the_io->world, "%s(%s);", (const char *)data, reason);
}

static void io_on_event(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket;
    world_log(the_io->world, "%s:%.*s(%.*s);", (const char *)data, SLICE_ARG(cvn_event_name(event)),
              SLICE_ARG(cvn_event_args(event).json));
}

/* Connections, both ends of leaving, and every event. */
static void io_log_all(cvn_namespace *nsp)
{
    assert_int_equal(cvn_on_connection(nsp, io_on_connection, (void *)"in"), CVN_OK);
    assert_int_equal(cvn_on_disconnecting(nsp, io_on_leave, (void *)"leaving"), CVN_OK);
    assert_int_equal(cvn_on_disconnect(nsp, io_on_leave, (void *)"left"), CVN_OK);
    assert_int_equal(cvn_on_any(nsp, io_on_event, (void *)"any"), CVN_OK);
}

static void assert_reported(const char *expected)
{
    assert_string_equal(world_reported(the_io->world), expected);
}

/* --- Clients --- */

/* A WebSocket that has not joined any namespace. */
static struct client *io_client(struct io *io, unsigned worker)
{
    struct client *client = client_new_on(io->world, worker);
    char sid[EIO_SID_SIZE + 1];
    ws_open(client, sid);
    return client;
}

/* The client's next packet as text; fails when there is none. */
static const char *io_read(struct client *client)
{
    unsigned opcode = 0;
    char *data = NULL;
    size_t size = 0;
    if (!ws_receive(client, &opcode, &data, &size))
        fail_msg("nothing to read");
    assert_int_equal(opcode, 1);
    return data;
}

/* Joins and returns the server's socket; "/" or "/name". */
static cvn_socket *io_join(struct client *client, const char *nsp)
{
    char text[128], expected[128], id[SIO_ID_SIZE + 1];
    const char *comma = nsp[1] != '\0' ? "," : "", *name = nsp[1] != '\0' ? nsp : "";
    snprintf(text, sizeof text, "40%s%s", name, comma);
    ws_send(client, text);
    const char *answer = io_read(client);
    int head = snprintf(expected, sizeof expected, "40%s%s{\"sid\":\"", name, comma);
    assert_memory_equal(answer, expected, head);
    assert_string_equal(answer + head + SIO_ID_SIZE, "\"}");
    snprintf(id, sizeof id, "%.*s", SIO_ID_SIZE, answer + head);
    const cvn_namespace *found = io_namespace(the_io, nsp);
    for (unsigned i = 0; i < the_io->world->worker_count; i++) {
        cvn_socket *socket = map_get(&found->locals[i].sockets, cvn_str(id));
        if (socket != NULL)
            return socket;
    }
    fail_msg("no socket %s", id);
    return NULL;
}

static struct client *io_joined(struct io *io, unsigned worker, cvn_socket **ret_socket)
{
    struct client *client = io_client(io, worker);
    cvn_socket *socket = io_join(client, "/");
    if (ret_socket != NULL)
        *ret_socket = socket;
    return client;
}

static void assert_binary(struct client *client, cvn_slice expected)
{
    unsigned opcode = 0;
    char *data = NULL;
    size_t size = 0;
    assert_true(ws_receive(client, &opcode, &data, &size));
    assert_int_equal(opcode, 2);
    assert_true(slice_eq(slice_of(data, size), expected));
}

#endif
