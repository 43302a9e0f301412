/*
 * A socket's life: middlewares, joining, events, leaving. Runs on its worker; only references may be taken and dropped elsewhere.
 *
 * References: the client's list holds one until the connection ends or the namespace is joined anew; cvn_next, cvn_later and the application hold
 * others. A socket that has gone keeps its memory, and every function on it answers sensibly.
 */
#include "sio/sio_client.h"
#include "sio/sio_observe.h"
#include "sio/sio_recovery.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/base64.h"
#include "base/log.h"

/* A middleware chain in the midst of its decisions. */
struct cvn_next {
    struct cvn_socket *socket; /* a reference */
    size_t index;              /* of the middleware that decides */
    bool running; /* inside the middleware's call: an answer now is taken up after it */
    bool accepted;
};

void sio_socket_make_id(char ret[SIO_ID_SIZE + 1])
{
    uint8_t bytes[15];
    rand_bytes(bytes, sizeof bytes);
    base64url_encode15(bytes, ret);
    ret[SIO_ID_SIZE] = '\0';
}

struct cvn_socket *sio_socket_new(struct sio_client *client, struct sio_local *local,
                                  cvn_slice auth)
{
    struct cvn_socket *socket = mem_zalloc(sizeof *socket);
    if (socket == NULL)
        return NULL;
    if (auth.size > 0) {
        socket->auth = message_copy(auth);
        if (socket->auth == NULL) {
            mem_free(socket);
            return NULL;
        }
    }
    atomic_init(&socket->refs, 1);
    sio_socket_make_id(socket->id);
    socket->client = client;
    socket->local = local;
    if (local->nsp->parent != NULL)
        socket->kept_nsp = sio_namespace_ref(local->nsp);
    socket->handshake = sio_handshake_ref(client->handshake);
    list_init(&socket->acks);
    return socket;
}

cvn_socket *cvn_socket_ref(cvn_socket *socket)
{
    atomic_fetch_add_explicit(&socket->refs, 1, memory_order_relaxed);
    return socket;
}

void cvn_socket_unref(cvn_socket *socket)
{
    if (socket == NULL || atomic_fetch_sub_explicit(&socket->refs, 1, memory_order_acq_rel) != 1)
        return;
    cvn_socket_set_data(socket, NULL, NULL);
    sio_handshake_unref(socket->handshake);
    message_unref(socket->auth);
    message_unref(socket->attributes);
    sio_namespace_unref(socket->kept_nsp);
    mem_free(socket);
}

/* --- Sending --- */

static void count_out(struct cvn_socket *socket, size_t bytes)
{
    counter_add(&socket->packets_out, 1);
    counter_add(&socket->bytes_out, bytes);
    counter_add(&socket->local->bytes_out, bytes);
}

/* What was not taken: only a volatile packet may be lost to a client that stays. */
static void count_dropped(struct cvn_socket *socket, const struct message *text)
{
    if (!(text->flags & MESSAGE_VOLATILE) || !eio_session_is_open(socket->client->session))
        return;
    counter_add(&socket->dropped, 1);
    counter_add(&socket->local->dropped, 1);
}

/* The packet as one unit, in the place of an older one of its key if that still waits. */
static bool send_conflated(struct cvn_socket *socket, const struct sio_frames *frames)
{
    struct message *unit[1 + SIO_MAX_ATTACHMENTS] = {frames->text};
    size_t replaced = 0, bytes = frames->text->size - frames->text->prefix;
    for (size_t i = 0; i < frames->binary_count; i++) {
        unit[1 + i] = frames->binaries[i];
        bytes += unit[1 + i]->size - unit[1 + i]->prefix;
    }
    if (!eio_session_send_conflated(socket->client->session, unit, &replaced)) {
        count_dropped(socket, frames->text);
        return false;
    }
    if (replaced > 0) {
        counter_add(&socket->conflated, 1);
        counter_add(&socket->local->conflated, 1);
    }
    count_out(socket, bytes);
    return true;
}

static bool send_frames(struct cvn_socket *socket, const struct sio_frames *frames)
{
    if (socket->state != SIO_SOCKET_CONNECTED || socket->client == NULL)
        return false;
    struct eio_session *session = socket->client->session;
    if (frames->text->flags & MESSAGE_CONFLATE)
        return send_conflated(socket, frames);
    if (!eio_session_send(session, frames->text)) {
        count_dropped(socket, frames->text);
        return false;
    }
    size_t bytes = frames->text->size - frames->text->prefix;
    for (size_t i = 0; i < frames->binary_count; i++) {
        if (!eio_session_send(session, frames->binaries[i]))
            return false;
        bytes += frames->binaries[i]->size - frames->binaries[i]->prefix;
    }
    count_out(socket, bytes);
    return true;
}

bool sio_socket_send(struct cvn_socket *socket, const struct sio_frames *frames)
{
    if (!send_frames(socket, frames))
        return false;
    counter_add(&socket->local->events_out, 1);
    return true;
}

bool sio_socket_send_ack(struct cvn_socket *socket, const struct sio_frames *frames)
{
    return send_frames(socket, frames);
}

void sio_socket_send_control(struct cvn_socket *socket, enum sio_type type, cvn_slice json)
{
    if (socket->client == NULL)
        return;
    const struct cvn_namespace *nsp = socket->local->nsp;
    struct message *packet =
        sio_encode_control(nsp->server->options.emits.parser, type, sio_namespace_name(nsp), json);
    if (packet != NULL)
        count_out(socket, packet->size - packet->prefix);
    sio_client_send(socket->client, packet);
}

/* --- Joining --- */

static void send_connect(struct cvn_socket *socket)
{
    char memory[2 * SIO_ID_SIZE + 32];
    const char *pid = socket->session != NULL ? socket->session->pid : NULL;
    int size =
        snprintf(memory, sizeof memory, "{\"sid\":\"%s\"%s%s%s}", socket->id,
                 pid != NULL ? ",\"pid\":\"" : "", pid != NULL ? pid : "", pid != NULL ? "\"" : "");
    sio_socket_send_control(socket, SIO_CONNECT, slice_of(memory, (size_t)size));
}

static void join(struct cvn_socket *socket)
{
    struct sio_client *client = socket->client;
    const struct cvn_namespace *nsp = socket->local->nsp;
    sio_recovery_settle(socket);
    if (!sio_local_add(socket->local, socket)) {
        eio_session_close(client->session, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    socket->state = SIO_SOCKET_CONNECTED;
    counter_set(&socket->connected_ms, (uint64_t)sio_client_wall_clock_ms());
    sio_client_joined(client);
    if (sio_is_observed(nsp))
        sio_observe_join(socket, socket->id);
    if (!sio_recovery_restore(socket)) {
        eio_session_close(client->session, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    send_connect(socket);
    const struct sio_handlers *handlers = &nsp->handlers->connection;
    for (size_t i = 0; i < handlers->count && socket->state == SIO_SOCKET_CONNECTED; i++)
        handlers->items[i].fn.connection(socket, handlers->items[i].data);
}

static void free_next(struct cvn_next *next)
{
    cvn_socket_unref(next->socket);
    mem_free(next);
}

/* Whether it may still join: a middleware may have cut the connection that only ends with the turn. */
static bool is_waiting(const struct cvn_socket *socket)
{
    return socket->state == SIO_SOCKET_CONNECTING && eio_session_is_open(socket->client->session);
}

/* Asks one middleware after the other, as long as they answer within their call. */
static void run_middlewares(struct cvn_next *next)
{
    struct cvn_socket *socket = next->socket;
    const struct sio_handlers *middlewares = &socket->local->nsp->handlers->middlewares;
    while (is_waiting(socket) && next->index < middlewares->count) {
        const struct sio_handler *handler = &middlewares->items[next->index];
        next->running = true;
        next->accepted = false;
        handler->fn.middleware(socket, next, handler->data);
        if (next->running && !next->accepted) {
            next->running = false; /* it will answer later */
            return;
        }
        next->index++;
    }
    if (is_waiting(socket))
        join(socket);
    free_next(next);
}

void cvn_next_accept(cvn_next *next)
{
    next->accepted = true;
    if (next->running)
        return; /* run_middlewares goes on when the middleware returns */
    next->index++;
    run_middlewares(next);
}

/* {"message":M} or {"message":M,"data":D}. Without memory for it the connection ends: a client must not wait for an answer in vain. */
static void send_refusal(struct cvn_socket *socket, const char *message, const char *data)
{
    struct buf json;
    buf_init(&json, 64 + 6 * cvn_str(message).size + cvn_str(data).size); /* 6: an escape */
    buf_append_str(&json, "{\"message\":");
    json_append_string(&json, cvn_str(message));
    if (data != NULL && json_is_valid(cvn_str(data), JSON_MAX_DEPTH)) {
        buf_append_str(&json, ",\"data\":");
        buf_append_str(&json, data);
    } else if (data != NULL) {
        log_write(LOG_ERROR, "the data of a refusal in %s is no JSON", socket->local->nsp->name);
    }
    buf_append_byte(&json, '}');
    if (json.failed)
        sio_client_send(socket->client, NULL);
    else
        sio_socket_send_control(socket, SIO_CONNECT_ERROR, buf_slice(&json));
    buf_release(&json);
}

void cvn_next_refuse(cvn_next *next, const char *message, const char *data)
{
    struct cvn_socket *socket = next->socket;
    if (socket->state == SIO_SOCKET_CONNECTING) {
        counter_add(&socket->local->refused, 1);
        send_refusal(socket, message, data);
        socket->state = SIO_SOCKET_GONE;
        sio_recovery_park(socket);
        sio_client_remove(socket->client, socket);
    }
    if (next->running)
        next->accepted = true; /* run_middlewares sees the state and frees */
    else
        free_next(next);
}

void sio_socket_begin(struct cvn_socket *socket)
{
    const struct cvn_namespace *nsp = socket->local->nsp;
    if (nsp->handlers->middlewares.count == 0 ||
        (socket->recovered && nsp->server->options.recovery.skip_middlewares)) {
        join(socket);
        return;
    }
    struct cvn_next *next = mem_zalloc(sizeof *next);
    if (next == NULL) {
        eio_session_close(socket->client->session, EIO_FORCED_SERVER_CLOSE);
        return;
    }
    next->socket = cvn_socket_ref(socket);
    run_middlewares(next);
}

/* --- Leaving --- */

static void tell_disconnect(struct cvn_socket *socket, const struct sio_handlers *handlers,
                            const char *reason)
{
    for (size_t i = 0; i < handlers->count; i++)
        handlers->items[i].fn.disconnect(socket, reason, handlers->items[i].data);
}

void sio_socket_end(struct cvn_socket *socket, const char *reason, bool may_return)
{
    const struct cvn_namespace *nsp = socket->local->nsp;
    if (socket->state == SIO_SOCKET_CONNECTING) {
        socket->state = SIO_SOCKET_GONE;
        sio_recovery_park(socket);
    }
    if (socket->state != SIO_SOCKET_CONNECTED)
        return;
    cvn_socket_ref(socket);
    socket->state = SIO_SOCKET_LEAVING;
    tell_disconnect(socket, &nsp->handlers->disconnecting, reason);
    sio_recovery_leave(socket, may_return);
    sio_room_leave_all(socket);
    if (sio_is_observed(nsp))
        sio_observe_leave(socket, socket->id);
    sio_local_remove(socket->local, socket);
    socket->state = SIO_SOCKET_GONE;
    sio_ack_fail_all(socket);
    tell_disconnect(socket, &nsp->handlers->disconnect, reason);
    if (sio_is_observed(nsp))
        sio_observe_disconnect(socket, reason);
    sio_recovery_park(socket);
    sio_log_settle(socket->local);
    cvn_socket_unref(socket);
}

void cvn_disconnect(cvn_socket *socket, bool close)
{
    if (socket->client == NULL)
        return;
    if (close) {
        sio_client_disconnect(socket->client);
        return;
    }
    if (socket->state != SIO_SOCKET_CONNECTED)
        return;
    sio_socket_send_control(socket, SIO_DISCONNECT, SLICE(""));
    sio_socket_end(socket, "server namespace disconnect", false);
}

/* --- What it is --- */

const char *cvn_socket_id(const cvn_socket *socket)
{
    return socket->id;
}

cvn_namespace *cvn_socket_namespace(const cvn_socket *socket)
{
    return socket->local->nsp;
}

cvn_server *cvn_socket_server(const cvn_socket *socket)
{
    return socket->local->nsp->server->owner;
}

unsigned cvn_socket_worker(const cvn_socket *socket)
{
    return socket->local->worker->worker->index;
}

bool cvn_socket_is_connected(const cvn_socket *socket)
{
    return socket->state == SIO_SOCKET_CONNECTED;
}

const char *cvn_socket_transport(const cvn_socket *socket)
{
    if (socket->client != NULL && eio_session_transport(socket->client->session) == EIO_WEBSOCKET)
        return "websocket";
    return "polling";
}

size_t cvn_socket_queued(const cvn_socket *socket)
{
    return socket->client != NULL ? eio_session_queued(socket->client->session) : 0;
}

void cvn_socket_stats(const cvn_socket *socket, cvn_socket_counters *ret)
{
    *ret = (cvn_socket_counters){
        .packets_in = counter_get(&socket->packets_in),
        .packets_out = counter_get(&socket->packets_out),
        .bytes_in = counter_get(&socket->bytes_in),
        .bytes_out = counter_get(&socket->bytes_out),
        .dropped = counter_get(&socket->dropped),
        .conflated = counter_get(&socket->conflated),
        .connected_ms = (int64_t)counter_get(&socket->connected_ms),
    };
    if (worker_current() == socket->local->worker->worker)
        ret->queued = cvn_socket_queued(socket);
}

cvn_slice cvn_socket_header(const cvn_socket *socket, const char *name)
{
    return sio_handshake_header(socket->handshake, cvn_str(name));
}

cvn_slice cvn_socket_query(const cvn_socket *socket, const char *name)
{
    return sio_handshake_query(socket->handshake, cvn_str(name));
}

cvn_slice cvn_socket_auth(const cvn_socket *socket)
{
    return socket->auth != NULL ? message_payload(socket->auth) : SLICE("{}");
}

const char *cvn_socket_address(const cvn_socket *socket)
{
    return socket->handshake->address.data;
}

bool cvn_socket_is_secure(const cvn_socket *socket)
{
    return socket->handshake->secure;
}

void cvn_socket_set_data(cvn_socket *socket, void *data, void (*destroy)(void *data))
{
    void *old = socket->data;
    void (*destroy_old)(void *) = socket->destroy_data;
    socket->data = data;
    socket->destroy_data = destroy;
    if (destroy_old != NULL && old != NULL && old != data)
        destroy_old(old);
}

void *cvn_socket_data(const cvn_socket *socket)
{
    return socket->data;
}

uint64_t cvn_socket_connection(const cvn_socket *socket)
{
    return socket->handshake->connection;
}

void cvn_socket_set_connection_data(cvn_socket *socket, void *data, void (*destroy)(void *data))
{
    sio_handshake_set_data(socket->handshake, data, destroy);
}

void *cvn_socket_connection_data(const cvn_socket *socket)
{
    return socket->handshake->data;
}

enum cvn_error cvn_socket_set_attributes(cvn_socket *socket, const char *json)
{
    cvn_slice text = cvn_str(json);
    if (!json_is_valid(text, JSON_MAX_DEPTH))
        return CVN_ERR_JSON;
    struct message *attributes = message_copy(text);
    if (attributes == NULL)
        return CVN_ERR_MEMORY;
    message_unref(socket->attributes);
    socket->attributes = attributes;
    return CVN_OK;
}

cvn_slice cvn_socket_attributes(const cvn_socket *socket)
{
    return socket->attributes != NULL ? message_payload(socket->attributes) : SLICE("{}");
}
