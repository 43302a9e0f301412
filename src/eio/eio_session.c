/*
 * A session, whatever carries it: its states, its heartbeat, its queue, its end. Runs on the instance's worker.
 *
 * States only go forward: OPEN, CLOSING (an ordered close of a polling session waits for a poll), ENDED. The one timer serves in turn
 * the next ping, the pong's deadline and the limit of CLOSING. The queue holds packets while the transport cannot take them: always when
 * polling, on WebSocket only until the 101 is written. Engine.IO protocol revision 4, "Heartbeat" and "Protocol".
 */
#include <stdio.h>
#include "eio/eio_session.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/rand.h"

/* A loop that was late by up to this much still counts a pong's time from when the ping was due. */
#define PING_SLACK_MS 50

static void session_on_timer(struct timer *timer);

static struct wheel *session_wheel(const struct eio_session *session)
{
    return &session->server->worker->wheel;
}

struct eio_session *eio_session_new(struct eio_server *server, enum eio_transport transport,
                                    const char *address)
{
    uint8_t bytes[15];

    struct eio_session *session = mem_zalloc(sizeof *session);
    if (session == NULL)
        return NULL;
    session->server = server;
    session->timer.fire = session_on_timer;
    session->transport = (uint8_t)transport;
    session->state = EIO_STATE_OPEN;
    snprintf(session->address, sizeof session->address, "%s", address);

    /* 112 random bits behind the worker's index: unguessable, and they do not repeat. */
    bytes[0] = (uint8_t)server->worker->index;
    rand_bytes(bytes + 1, sizeof bytes - 1);
    base64url_encode15(bytes, session->id);
    if (!map_put(&server->sessions, session)) {
        mem_free(session);
        return NULL;
    }
    list_append(&server->live, &session->link);
    server->count++;
    return session;
}

static void session_clear_queue(struct eio_session *session)
{
    struct message *packet;
    while ((packet = eio_session_take(session)) != NULL)
        message_unref(packet);
    mem_free(session->queue);
    session->queue = NULL;
    session->queue_capacity = 0;
}

void eio_session_free(struct eio_session *session)
{
    session_clear_queue(session);
    mem_free(session);
}

size_t eio_session_write_open(const struct eio_session *session, char ret[EIO_OPEN_PACKET_SIZE])
{
    const struct eio_options *options = session->server->options;
    bool can_upgrade = session->transport == EIO_POLLING && options->allow_upgrades &&
                       (options->transports & EIO_WEBSOCKET) != 0;
    int size = snprintf(ret, EIO_OPEN_PACKET_SIZE,
                        "0{\"sid\":\"%.*s\",\"upgrades\":[%s],\"pingInterval\":%llu,"
                        "\"pingTimeout\":%llu,\"maxPayload\":%zu}",
                        EIO_SID_SIZE, session->id, can_upgrade ? "\"websocket\"" : "",
                        (unsigned long long)options->ping_interval_ms,
                        (unsigned long long)options->ping_timeout_ms, options->max_payload);
    return (size_t)size; /* at most 157 with the largest numbers */
}

void eio_session_announce(struct eio_session *session, const struct http_request *request)
{
    wheel_arm(session_wheel(session), &session->timer, session->server->options->ping_interval_ms);
    session->is_announced = true;
    session->server->events->on_open(session, request, session->server->app);
}

/* --- Heartbeat: the server pings --- */

static void session_ping(struct eio_session *session)
{
    const struct eio_options *options = session->server->options;
    uint64_t now = worker_now_ms(session->server->worker);
    uint64_t late = now > session->timer.due_ms ? now - session->timer.due_ms : 0;

    /* Ticks must not add up: the deadline counts from when the ping was due. After a long stall it counts from now, or every
     * session would end at once. */
    uint64_t delay = options->ping_timeout_ms;
    if (late <= PING_SLACK_MS && late < delay)
        delay -= late;
    wheel_arm(session_wheel(session), &session->timer, delay);
    session->awaits_pong = true;
    session->is_extended = false;
    eio_session_send(session, session->server->ping);
}

static void session_on_timer(struct timer *timer)
{
    struct eio_session *session = CONTAINER_OF(timer, struct eio_session, timer);

    if (session->state == EIO_STATE_CLOSING)
        eio_session_end(session, (enum eio_reason)session->reason);
    else if (session->awaits_pong)
        eio_session_end(session, EIO_PING_TIMEOUT);
    else
        session_ping(session);
}

bool eio_session_is_overdue(const struct eio_session *session)
{
    return session->state == EIO_STATE_OPEN && session->awaits_pong &&
           session->timer.due_ms <= worker_now_ms(session->server->worker);
}

static void session_on_pong(struct eio_session *session)
{
    if (!session->awaits_pong)
        return; /* nobody asked: it must not put off the next ping */
    session->awaits_pong = false;
    wheel_arm(session_wheel(session), &session->timer, session->server->options->ping_interval_ms);
}

/* Whatever else arrives shows that the client lives and that its pong may be queued behind: once a ping. */
static void session_extend(struct eio_session *session)
{
    session->is_extended = true;
    wheel_arm(session_wheel(session), &session->timer, session->server->options->ping_timeout_ms);
}

void eio_session_restart_heartbeat(struct eio_session *session)
{
    if (session->state == EIO_STATE_OPEN && session->awaits_pong)
        wheel_arm(session_wheel(session), &session->timer,
                  session->server->options->ping_timeout_ms);
}

/* --- Packets in --- */

void eio_session_receive(struct eio_session *session, const struct eio_packet *packet, char *data,
                         size_t size)
{
    if (session->state != EIO_STATE_OPEN)
        return;
    if (session->awaits_pong && !session->is_extended && packet->type != EIO_PONG)
        session_extend(session);

    switch (packet->type) {
    case EIO_MESSAGE:
        session->server->events->on_message(session, data, size, packet->binary);
        break;
    case EIO_PONG:
        session_on_pong(session);
        break;
    case EIO_PING: /* in revision 4 only the server pings */
        eio_session_end(session, EIO_TRANSPORT_ERROR);
        break;
    case EIO_CLOSE:
        eio_session_end(session, EIO_TRANSPORT_CLOSE);
        break;
    case EIO_OPEN:
    case EIO_UPGRADE:
    case EIO_NOOP:
        break; /* meaningless here; the reference ignores them too */
    }
}

/* --- Packets out --- */

bool eio_session_enqueue(struct eio_session *session, struct message *packet)
{
    if (session->queue_first + session->queue_count == session->queue_capacity) {
        if (session->queue_first > session->queue_capacity / 2) { /* room enough in front: slide */
            memmove(session->queue, session->queue + session->queue_first,
                    session->queue_count * sizeof *session->queue);
            session->queue_first = 0;
        } else {
            uint32_t capacity = session->queue_capacity == 0 ? 4 : session->queue_capacity * 2;
            struct message **queue =
                mem_realloc(session->queue, (size_t)capacity * sizeof *session->queue);
            if (queue == NULL) {
                eio_session_end(session, EIO_TRANSPORT_ERROR);
                return false;
            }
            session->queue = queue;
            session->queue_capacity = capacity;
        }
    }
    session->queue[session->queue_first + session->queue_count++] = message_ref(packet);
    session->queued_bytes += packet->size;
    return true;
}

struct message *eio_session_peek(const struct eio_session *session)
{
    return session->queue_count > 0 ? session->queue[session->queue_first] : NULL;
}

struct message *eio_session_take(struct eio_session *session)
{
    struct message *packet = eio_session_peek(session);
    if (packet == NULL)
        return NULL;
    session->queue_first++;
    session->queue_count--;
    session->queued_bytes -= packet->size;
    if (session->queue_count == 0) {
        session->queue_first = 0;
        if (session->queue_capacity > 16) { /* a burst is over */
            mem_free(session->queue);
            session->queue = NULL;
            session->queue_capacity = 0;
        }
    }
    return packet;
}

size_t eio_session_queued(const struct eio_session *session)
{
    size_t queued = session->queued_bytes;
    if (session->ws != NULL)
        queued += conn_queued(ws_conn_conn(session->ws));
    return queued;
}

/* The queue's budget. A WebSocket needs none: its connection keeps to its own limits, which it judges after a flush, so that a
 * turn that produces much is not taken for a client that reads little. */
static bool session_may_enqueue(struct eio_session *session, const struct message *packet)
{
    const struct eio_options *options = session->server->options;

    if ((packet->flags & MESSAGE_VOLATILE) != 0) {
        if (session->queued_bytes > options->send_high_water)
            return false;
        if (session->transport == EIO_POLLING &&
            (session->poll == NULL || session->upgrade != NULL))
            return false; /* not there to take it at once */
    }
    if (packet->size > options->send_max - session->queued_bytes) {
        eio_session_end(session, EIO_SLOW_CONSUMER);
        return false;
    }
    return true;
}

bool eio_session_send(struct eio_session *session, struct message *packet)
{
    if (session->state != EIO_STATE_OPEN)
        return false;
    if (session->ws != NULL)
        return ws_conn_send(session->ws, packet);
    if (!session_may_enqueue(session, packet) || !eio_session_enqueue(session, packet))
        return false;
    if (session->poll != NULL && !list_is_linked(&session->ready_link)) {
        list_append(&session->server->ready, &session->ready_link);
        eio_server_schedule(session->server);
    }
    return true;
}

/* --- The end --- */

void eio_session_close(struct eio_session *session, enum eio_reason reason)
{
    if (session->state != EIO_STATE_OPEN)
        return;
    if (session->ws != NULL) {
        eio_session_end(session, reason);
        return;
    }

    /* Polling, or a WebSocket whose 101 is about to be written. */
    const struct eio_options *options = session->server->options;
    uint64_t patience = options->polling_close_timeout_ms;
    if (reason == EIO_SHUTDOWN && patience > EIO_SHUTDOWN_TIMEOUT_MS)
        patience = EIO_SHUTDOWN_TIMEOUT_MS;
    session->state = EIO_STATE_CLOSING;
    session->reason = (uint8_t)reason;
    wheel_arm(session_wheel(session), &session->timer, patience);
    eio_polling_flush(session);
}

/* What a pending poll is told when the session ends. A client that sent its close packet expects a noop. */
static char session_last_packet(const struct eio_session *session)
{
    return session->reason == EIO_TRANSPORT_CLOSE ? '0' + EIO_NOOP : '0' + EIO_CLOSE;
}

void eio_session_end(struct eio_session *session, enum eio_reason reason)
{
    struct eio_server *server = session->server;

    if (session->state == EIO_STATE_ENDED)
        return;
    if (session->state == EIO_STATE_OPEN)
        session->reason = (uint8_t)reason;
    session->state = EIO_STATE_ENDED;
    wheel_cancel(&server->worker->wheel, &session->timer);
    map_remove(&server->sessions, slice_of(session->id, EIO_SID_SIZE));
    list_remove(&session->link);
    list_append(&server->ended, &session->link);
    list_remove(&session->ready_link);
    eio_server_schedule(server);

    eio_upgrade_cancel(session);
    eio_websocket_release(session, (enum eio_reason)session->reason);
    eio_polling_release(session, session_last_packet(session));
    session_clear_queue(session);
}

/* --- Small questions --- */

void eio_session_set_owner(struct eio_session *session, void *owner)
{
    session->owner = owner;
}

void *eio_session_owner(const struct eio_session *session)
{
    return session->owner;
}

struct eio_server *eio_session_server(const struct eio_session *session)
{
    return session->server;
}

cvn_slice eio_session_id(const struct eio_session *session)
{
    return slice_of(session->id, EIO_SID_SIZE);
}

enum eio_transport eio_session_transport(const struct eio_session *session)
{
    return (enum eio_transport)session->transport;
}

bool eio_session_is_open(const struct eio_session *session)
{
    return session->state == EIO_STATE_OPEN;
}

const char *eio_session_peer_address(const struct eio_session *session)
{
    return session->address;
}
