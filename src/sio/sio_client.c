/*
 * A connection's packets: decoded, joined with their attachments, shared out to the namespaces. What the protocol forbids ends
 * the connection, and it alone. Worker's thread.
 *
 * Attachments are only waited for once the namespace has been joined, so nobody holds memory here without having been let in.
 */
#include "sio/sio_client.h"
#include "sio/sio_dynamic.h"
#include "sio/sio_msgpack.h"
#include "sio/sio_observe.h"
#include "sio/sio_recovery.h"
#include "base/mem.h"
#include <time.h>

struct sio_pending {
    struct sio_packet packet; /* points into text */
    unsigned received;
    size_t text_size;
    size_t bytes;                               /* of the attachments so far */
    cvn_slice attachments[SIO_MAX_ATTACHMENTS]; /* the data is ours */
    char text[];
};

static const struct sio_options *options_of(const struct sio_client *client)
{
    return &client->worker->server->options;
}

static void close_for(struct sio_client *client, enum eio_reason reason)
{
    eio_session_close(client->session, reason);
}

void sio_client_send(struct sio_client *client, struct message *packet)
{
    if (packet == NULL) { /* a client that misses a packet is worse off than one that reconnects */
        close_for(client, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    eio_session_send(client->session, packet);
    message_unref(packet);
}

/* --- Its sockets --- */

static struct cvn_socket *find_socket(const struct sio_client *client, cvn_slice nsp)
{
    LIST_FOR_EACH (node, &client->sockets) {
        struct cvn_socket *socket = CONTAINER_OF(node, struct cvn_socket, client_link);
        if (slice_eq(sio_namespace_name(socket->local->nsp), nsp))
            return socket;
    }
    return NULL;
}

void sio_client_remove(struct sio_client *client, struct cvn_socket *socket)
{
    list_remove(&socket->client_link);
    client->socket_count--;
    socket->client = NULL;
    cvn_socket_unref(socket);
}

void sio_client_joined(struct sio_client *client)
{
    wheel_cancel(&client->worker->worker->wheel, &client->connect_timer);
}

void sio_client_disconnect(struct sio_client *client)
{
    LIST_FOR_EACH (node, &client->sockets)
        cvn_disconnect(CONTAINER_OF(node, struct cvn_socket, client_link), false);
    close_for(client, EIO_FORCED_CLOSE);
}

static void refuse(struct sio_client *client, cvn_slice nsp, cvn_slice json)
{
    enum cvn_parser parser = options_of(client)->emits.parser;
    sio_client_send(client, sio_encode_control(parser, SIO_CONNECT_ERROR, nsp, json));
}

/* The namespace that a client wants to join, with a reference. */
static enum cvn_error find_namespace(const struct sio_client *client,
                                     const struct sio_packet *packet, struct cvn_namespace **ret)
{
    struct sio_server *server = client->worker->server;
    bool is_full = client->socket_count >= server->options.max_sockets_per_connection;
    *ret = sio_namespace_find(server, packet->nsp);
    if (is_full && (*ret != NULL || server->dynamic != NULL))
        return CVN_ERR_LIMIT;
    if (*ret != NULL)
        return CVN_OK;
    struct cvn_connect_request request = {packet->data, client->handshake};
    return sio_dynamic_admit(server, packet->nsp, &request, ret);
}

static void on_connect(struct sio_client *client, const struct sio_packet *packet)
{
    struct cvn_socket *old = find_socket(client, packet->nsp);
    if (old != NULL) {
        if (old->state != SIO_SOCKET_GONE) { /* a second CONNECT */
            close_for(client, EIO_PARSE_ERROR);
            return;
        }
        sio_client_remove(client, old);
    }
    if (packet->nsp.size > SIO_MAX_NAMESPACE_NAME) {
        close_for(client, EIO_PARSE_ERROR);
        return;
    }
    struct cvn_namespace *nsp = NULL;
    switch (find_namespace(client, packet, &nsp)) {
    case CVN_OK:
        break;
    case CVN_ERR_NOT_FOUND:
        refuse(client, packet->nsp, SLICE("{\"message\":\"Invalid namespace\"}"));
        return;
    case CVN_ERR_LIMIT:
        refuse(client, packet->nsp, SLICE("{\"message\":\"Too many namespaces\"}"));
        return;
    default:
        close_for(client, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    struct cvn_socket *socket =
        sio_socket_new(client, &nsp->locals[client->worker->worker->index], packet->data);
    sio_namespace_unref(nsp); /* the socket has its own */
    if (socket == NULL) {
        close_for(client, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    list_append(&client->sockets, &socket->client_link);
    client->socket_count++;
    sio_recovery_begin(socket);
}

/* --- Packets --- */

/* `size`: of the packet's text and its attachments together. */
static void on_packet(struct sio_client *client, const struct sio_packet *packet,
                      const cvn_slice *attachments, size_t size)
{
    if (packet->type == SIO_CONNECT) {
        on_connect(client, packet);
        return;
    }
    struct cvn_socket *socket = find_socket(client, packet->nsp);
    if (socket == NULL || socket->state == SIO_SOCKET_CONNECTING) {
        close_for(client, EIO_PARSE_ERROR);
        return;
    }
    if (socket->state != SIO_SOCKET_CONNECTED)
        return; /* it crossed our DISCONNECT on the way */
    sio_socket_count_in(socket, size);
    switch (packet->type) {
    case SIO_DISCONNECT:
        sio_socket_end(socket, "client namespace disconnect", false);
        sio_client_remove(client, socket);
        break;
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        if (client->is_leaving && packet->has_id)
            break; /* unanswered, the client knows that it was not taken on */
        counter_add(&socket->local->events_in, 1);
        sio_socket_on_event(socket, packet, attachments);
        break;
    case SIO_ACK:
    case SIO_BINARY_ACK:
        if (packet->has_id)
            sio_ack_resolve(socket, packet->id,
                            (cvn_args){packet->args, attachments, packet->attachments});
        break;
    default:
        break;
    }
}

static void free_pending(struct sio_client *client)
{
    struct sio_pending *pending = client->pending;
    client->pending = NULL;
    if (pending == NULL)
        return;
    for (unsigned i = 0; i < pending->received; i++)
        mem_free((char *)pending->attachments[i].data);
    mem_free(pending);
}

/* The slice of `text` at the same place in its copy; slices from elsewhere stay. */
static cvn_slice moved(cvn_slice slice, cvn_slice text, const char *copy)
{
    if (slice.data < text.data || slice.data > text.data + text.size)
        return slice;
    return slice_of(copy + (slice.data - text.data), slice.size);
}

/* Remembers a binary packet until its attachments have come. */
static void await_attachments(struct sio_client *client, const struct sio_packet *packet,
                              cvn_slice text)
{
    const struct cvn_socket *socket = find_socket(client, packet->nsp);
    if (socket == NULL || socket->state == SIO_SOCKET_CONNECTING) {
        close_for(client, EIO_PARSE_ERROR);
        return;
    }
    struct sio_pending *pending = mem_alloc(sizeof *pending + text.size);
    if (pending == NULL) {
        close_for(client, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    pending->received = 0;
    pending->text_size = text.size;
    pending->bytes = 0;
    memcpy(pending->text, text.data, text.size);
    pending->packet = *packet;
    pending->packet.nsp = moved(packet->nsp, text, pending->text);
    pending->packet.data = moved(packet->data, text, pending->text);
    pending->packet.event = moved(packet->event, text, pending->text);
    pending->packet.args = moved(packet->args, text, pending->text);
    client->pending = pending;
}

static void on_text(struct sio_client *client, cvn_slice text)
{
    struct sio_packet packet;
    if (client->pending != NULL ||
        !sio_packet_decode(text, &options_of(client)->packets, &packet)) {
        close_for(client, EIO_PARSE_ERROR);
        return;
    }
    if (packet.attachments > 0)
        await_attachments(client, &packet, text);
    else
        on_packet(client, &packet, NULL, text.size);
}

static void on_binary(struct sio_client *client, cvn_slice bytes)
{
    struct sio_pending *pending = client->pending;
    if (pending == NULL || bytes.size > options_of(client)->max_attachment_bytes - pending->bytes) {
        close_for(client, EIO_PARSE_ERROR);
        return;
    }
    char *copy = mem_dup(bytes.data, bytes.size);
    if (copy == NULL && bytes.size > 0) {
        close_for(client, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    pending->bytes += bytes.size;
    pending->attachments[pending->received++] = slice_of(copy, bytes.size);
    if (pending->received < pending->packet.attachments)
        return;
    on_packet(client, &pending->packet, pending->attachments, pending->text_size + pending->bytes);
    free_pending(client);
}

/* A packet is one message, attachments and all. */
static void on_msgpack(struct sio_client *client, cvn_slice bytes)
{
    struct sio_packet packet;
    struct sio_msgpack_room room;
    if (sio_msgpack_decode(bytes, &options_of(client)->packets, &room, &packet))
        on_packet(client, &packet, room.attachments, bytes.size);
    else
        close_for(client, room.json.failed ? EIO_FORCED_SERVER_CLOSE : EIO_PARSE_ERROR);
    sio_msgpack_release(&room);
}

/* --- What Engine.IO tells --- */

static void on_connect_timeout(struct timer *timer)
{
    close_for(CONTAINER_OF(timer, struct sio_client, connect_timer), EIO_FORCED_SERVER_CLOSE);
}

int64_t sio_client_wall_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void count(atomic_size_t *counter, ptrdiff_t by)
{
    atomic_fetch_add_explicit(counter, (size_t)by, memory_order_relaxed);
}

static void on_open(struct eio_session *session, const struct http_request *request, void *app)
{
    struct sio_worker *worker = app;
    struct sio_client *client = mem_zalloc(sizeof *client);
    if (client == NULL) {
        eio_session_close(session, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    struct conn *conn = http_request_conn(request);
    client->handshake = sio_handshake_new(request->head, eio_session_peer_address(session),
                                          conn_is_secure(conn), sio_client_wall_clock_ms());
    if (client->handshake == NULL) {
        mem_free(client);
        eio_session_close(session, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    client->worker = worker;
    client->session = session;
    list_init(&client->sockets);
    client->connect_timer.fire = on_connect_timeout;
    wheel_arm(&worker->worker->wheel, &client->connect_timer,
              worker->server->options.connect_timeout_ms);
    eio_session_set_owner(session, client);
    count(&worker->connections, 1);
    atomic_fetch_add_explicit(&worker->connections_total, 1, memory_order_relaxed);
    if (eio_session_transport(session) == EIO_POLLING)
        count(&worker->polling, 1);
}

static void on_message(struct eio_session *session, char *data, size_t size, bool binary)
{
    struct sio_client *client = eio_session_owner(session);
    if (client == NULL)
        return;
    if (options_of(client)->emits.parser == CVN_PARSER_MSGPACK) {
        if (binary)
            on_msgpack(client, slice_of(data, size));
        else
            close_for(client, EIO_PARSE_ERROR);
    } else if (binary) {
        on_binary(client, slice_of(data, size));
    } else {
        on_text(client, slice_of(data, size));
    }
}

/* Acknowledgements that were put off go out first. One that another thread sends counts until it has been queued here. */
static bool may_leave(struct eio_session *session)
{
    struct sio_client *client = eio_session_owner(session);
    if (client == NULL)
        return true;
    client->is_leaving = true;
    return atomic_load_explicit(&client->handshake->owed, memory_order_relaxed) == 0;
}

static void on_upgrade(struct eio_session *session)
{
    struct sio_client *client = eio_session_owner(session);
    if (client == NULL)
        return;
    count(&client->worker->polling, -1);
    LIST_FOR_EACH (node, &client->sockets) {
        struct cvn_socket *socket = CONTAINER_OF(node, struct cvn_socket, client_link);
        if (socket->state == SIO_SOCKET_CONNECTED && sio_is_observed(socket->local->nsp))
            sio_observe_upgrade(socket);
    }
}

/* Whether the connection was lost rather than ended on purpose or for misbehaving. */
static bool may_return(enum eio_reason reason)
{
    return reason != EIO_PARSE_ERROR && reason != EIO_SHUTDOWN;
}

static void on_close(struct eio_session *session, enum eio_reason reason)
{
    struct sio_client *client = eio_session_owner(session);
    if (client == NULL)
        return; /* on_open ran out of memory */
    struct sio_worker *worker = client->worker;
    wheel_cancel(&worker->worker->wheel, &client->connect_timer);
    while (!list_is_empty(&client->sockets)) {
        struct cvn_socket *socket =
            CONTAINER_OF(client->sockets.next, struct cvn_socket, client_link);
        sio_socket_end(socket, eio_reason_text(reason), may_return(reason));
        sio_client_remove(client, socket);
    }
    free_pending(client);
    worker_task_cancel(&client->water_task);
    count(&worker->connections, -1);
    if (eio_session_transport(session) == EIO_POLLING)
        count(&worker->polling, -1);
    eio_session_set_owner(session, NULL);
    sio_handshake_unref(client->handshake);
    mem_free(client);
}

const struct eio_events sio_client_events = {
    .on_open = on_open,
    .on_message = on_message,
    .on_water = sio_water_on_change,
    .may_leave = may_leave,
    .on_upgrade = on_upgrade,
    .on_close = on_close,
};
