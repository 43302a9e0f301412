/*
 * Events: from the client to the handlers, their acknowledgements back, and emits to one socket. Worker's thread, but for the
 * acknowledgements that were put off, which any thread may send.
 */
#include "sio/sio_client.h"
#include "sio/sio_observe.h"
#include "sio/sio_outgoing.h"
#include "sio/sio_recovery.h"
#include "base/mem.h"

struct cvn_event {
    struct cvn_socket *socket;
    cvn_slice name;
    cvn_args args;
    bool wants_ack;
    uint64_t ack_id;
    bool *acked; /* the handlers see a const event */
};

/* An acknowledgement put off: also the mail that brings its frames home from another thread. */
struct cvn_later {
    struct mail mail;
    struct cvn_socket *socket; /* a reference */
    uint64_t ack_id;
    struct sio_frames frames;
};

static void run_handlers(struct cvn_socket *socket, const struct sio_handlers *handlers,
                         const struct cvn_event *event)
{
    for (size_t i = 0; handlers != NULL && i < handlers->count; i++)
        if (socket->state == SIO_SOCKET_CONNECTED)
            handlers->items[i].fn.event(socket, event, handlers->items[i].data);
}

/* Whether every filter lets the event pass, and the socket is still there after the last. */
static bool passes_filters(struct cvn_socket *socket, const struct sio_handlers *filters,
                           const struct cvn_event *event)
{
    for (size_t i = 0; i < filters->count; i++)
        if (!filters->items[i].fn.filter(socket, event, filters->items[i].data) ||
            socket->state != SIO_SOCKET_CONNECTED)
            return false;
    return true;
}

void sio_socket_on_event(struct cvn_socket *socket, const struct sio_packet *packet,
                         const cvn_slice *attachments)
{
    struct buf decoded;
    buf_init(&decoded, packet->event.size);
    bool acked = false;
    struct cvn_event event = {
        .socket = socket,
        .name = packet->event,
        .args = {packet->args, attachments, packet->attachments},
        .wants_ack = packet->has_id,
        .ack_id = packet->id,
        .acked = &acked,
    };
    if (json_type(packet->event) == JSON_STRING && !json_plain_string(packet->event, &event.name)) {
        if (!json_unescape(&decoded, packet->event)) {
            eio_session_close(socket->client->session, EIO_FORCED_SERVER_CLOSE);
            goto out;
        }
        event.name = buf_slice(&decoded);
    }
    cvn_socket_ref(socket); /* a handler may end it */
    const struct sio_handlers_set *handlers = socket->local->nsp->handlers;
    if (passes_filters(socket, &handlers->filters, &event)) {
        if (sio_is_observed(socket->local->nsp))
            sio_observe_event(socket, &event);
        run_handlers(socket, &handlers->any, &event);
        run_handlers(socket, sio_handlers_of_event(handlers, event.name), &event);
    }
    cvn_socket_unref(socket);

out:
    buf_release(&decoded);
}

cvn_slice cvn_event_name(const cvn_event *event)
{
    return event->name;
}

cvn_args cvn_event_args(const cvn_event *event)
{
    return event->args;
}

cvn_slice cvn_event_arg(const cvn_event *event, size_t index)
{
    return cvn_args_at(event->args, index);
}

bool cvn_event_wants_ack(const cvn_event *event)
{
    return event->wants_ack;
}

/* --- Acknowledging --- */

static enum cvn_error encode_ack(const struct cvn_socket *socket, uint64_t id, cvn_args args,
                                 struct sio_frames *ret)
{
    const struct cvn_namespace *nsp = socket->local->nsp;
    return sio_encode_event(sio_namespace_name(nsp), NULL, &id, args, &nsp->server->options.emits,
                            ret);
}

enum cvn_error cvn_ack_args(const cvn_event *event, cvn_args args)
{
    if (!event->wants_ack)
        return CVN_OK;
    if (*event->acked || event->socket->state != SIO_SOCKET_CONNECTED)
        return CVN_ERR_STATE;
    struct sio_frames frames;
    enum cvn_error error = encode_ack(event->socket, event->ack_id, args, &frames);
    if (error != CVN_OK)
        return error;
    *event->acked = true;
    sio_socket_send_ack(event->socket, &frames);
    sio_frames_release(&frames);
    return CVN_OK;
}

enum cvn_error cvn_ack(const cvn_event *event, const char *json)
{
    return cvn_ack_args(event, cvn_json(json));
}

cvn_later *cvn_ack_later(const cvn_event *event)
{
    if (!event->wants_ack || *event->acked)
        return NULL;
    struct cvn_later *later = mem_zalloc(sizeof *later);
    if (later == NULL)
        return NULL;
    later->socket = cvn_socket_ref(event->socket);
    later->ack_id = event->ack_id;
    atomic_fetch_add_explicit(&later->socket->handshake->owed, 1, memory_order_relaxed);
    *event->acked = true;
    return later;
}

void cvn_later_drop(cvn_later *later)
{
    if (later == NULL)
        return;
    atomic_fetch_sub_explicit(&later->socket->handshake->owed, 1, memory_order_relaxed);
    sio_frames_release(&later->frames);
    cvn_socket_unref(later->socket);
    mem_free(later);
}

static void on_later(struct mail *mail, struct worker *worker)
{
    struct cvn_later *later = CONTAINER_OF(mail, struct cvn_later, mail);
    (void)worker;
    sio_socket_send_ack(later->socket, &later->frames);
    cvn_later_drop(later);
}

static void on_later_discarded(struct mail *mail)
{
    cvn_later_drop(CONTAINER_OF(mail, struct cvn_later, mail));
}

enum cvn_error cvn_later_send(cvn_later *later, cvn_args args)
{
    struct worker *home = later->socket->local->worker->worker;
    enum cvn_error error = encode_ack(later->socket, later->ack_id, args, &later->frames);
    const struct sio_server *server = later->socket->local->nsp->server;
    if (error == CVN_OK && atomic_load_explicit(&server->ended, memory_order_relaxed))
        error = CVN_ERR_STATE;
    if (error == CVN_OK && worker_current() != home) {
        later->mail.deliver = on_later;
        later->mail.discard = on_later_discarded;
        worker_post(home, &later->mail);
        return CVN_OK;
    }
    if (error == CVN_OK && later->socket->state != SIO_SOCKET_CONNECTED)
        error = CVN_ERR_STATE;
    if (error == CVN_OK)
        sio_socket_send_ack(later->socket, &later->frames);
    cvn_later_drop(later);
    return error;
}

/* --- Emitting to one socket --- */

/* `flags`: enum cvn_emit_flags; `conflate`: a key, or NULL. */
static enum cvn_error emit(struct cvn_socket *socket, const char *event, const uint64_t *id,
                           cvn_args args, unsigned flags, const char *conflate)
{
    const struct cvn_namespace *nsp = socket->local->nsp;
    struct sio_frames frames;
    if (socket->state != SIO_SOCKET_CONNECTED)
        return CVN_ERR_STATE;
    if (event == NULL)
        return CVN_ERR_ARGUMENT;
    if (id == NULL && socket->local->log != NULL)
        return sio_recovery_emit_to(socket, event, args, flags, conflate);
    enum cvn_error error = sio_encode_event(sio_namespace_name(nsp), event, id, args,
                                            &nsp->server->options.emits, &frames);
    if (error != CVN_OK)
        return error;
    error = sio_frames_mark(&frames, flags, sio_namespace_name(nsp), conflate);
    if (error != CVN_OK)
        return error;
    bool is_queued = sio_socket_send(socket, &frames);
    sio_frames_release(&frames);
    if (is_queued && sio_outgoing_is_heard(nsp))
        sio_outgoing_tell(socket, event, args);
    return CVN_OK;
}

enum cvn_error cvn_socket_emit(cvn_socket *socket, const char *event, cvn_args args)
{
    return emit(socket, event, NULL, args, 0, NULL);
}

enum cvn_error cvn_socket_emit_with(cvn_socket *socket, const char *event, cvn_args args,
                                    unsigned flags, const char *conflate)
{
    return emit(socket, event, NULL, args, flags & (CVN_VOLATILE | CVN_NO_COMPRESS), conflate);
}

enum cvn_error cvn_socket_emit_volatile(cvn_socket *socket, const char *event, cvn_args args)
{
    return emit(socket, event, NULL, args, CVN_VOLATILE, NULL);
}

enum cvn_error cvn_socket_emit_conflated(cvn_socket *socket, const char *event, cvn_args args,
                                         const char *key)
{
    return key != NULL ? emit(socket, event, NULL, args, 0, key) : CVN_ERR_ARGUMENT;
}

enum cvn_error cvn_socket_emit_ack(cvn_socket *socket, const char *event, cvn_args args,
                                   uint32_t timeout_ms, cvn_ack_fn fn, void *data)
{
    if (socket->state != SIO_SOCKET_CONNECTED)
        return CVN_ERR_STATE;
    uint64_t id = socket->next_ack_id;
    enum cvn_error error = sio_ack_add(socket, id, timeout_ms, fn, data);
    if (error != CVN_OK)
        return error;
    socket->next_ack_id++;
    error = emit(socket, event, &id, args, 0, NULL);
    if (error != CVN_OK)
        sio_ack_remove(socket, id);
    return error;
}
