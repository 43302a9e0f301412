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
    session->queue = mem_alloc(sizeof *session->queue);
    if (session->queue == NULL)
        goto fail;
    outq_init(session->queue);
    session->transport = (uint8_t)transport;
    session->state = EIO_STATE_OPEN;
    snprintf(session->address, sizeof session->address, "%s", address);

    /* 112 random bits behind the worker's index: unguessable, and they do not repeat. */
    bytes[0] = (uint8_t)server->worker->index;
    rand_bytes(bytes + 1, sizeof bytes - 1);
    base64url_encode15(bytes, session->id);
    if (!map_put(&server->sessions, session))
        goto fail;
    list_append(&server->live, &session->link);
    server->count++;
    return session;

fail:
    eio_session_free(session);
    return NULL;
}

/* What waits for a poll, for whoever asks how much is queued. */
static void session_count_queue(struct eio_session *session)
{
    size_t queued = session->queue->bytes;
    if (queued != session->counted)
        counter_add(&session->server->worker->queued, queued - session->counted);
    session->counted = queued;
}

void eio_session_free_queue(struct eio_session *session)
{
    if (session->queue == NULL)
        return;
    outq_release(session->queue);
    session_count_queue(session);
    mem_free(session->queue);
    session->queue = NULL;
}

void eio_session_free(struct eio_session *session)
{
    eio_session_free_queue(session);
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

size_t eio_session_queued(const struct eio_session *session)
{
    size_t queued = session->queue != NULL ? session->queue->bytes : 0;
    if (session->ws != NULL)
        queued += conn_queued(ws_conn_conn(session->ws));
    return queued;
}

void eio_session_set_water(struct eio_session *session, bool is_high)
{
    if (session->is_high == is_high)
        return;
    session->is_high = is_high;
    if (session->state == EIO_STATE_OPEN && session->server->events->on_water != NULL)
        session->server->events->on_water(session, is_high);
}

void eio_session_after_take(struct eio_session *session)
{
    session_count_queue(session);
    if (session->is_high && session->queue->bytes <= session->server->options->send_low_water)
        eio_session_set_water(session, false);
}

/* Whether a volatile packet must be dropped. A WebSocket's connection judges that itself. */
static bool session_is_busy(const struct eio_session *session)
{
    if (session->queue->bytes > session->server->options->send_high_water)
        return true;
    return session->transport == EIO_POLLING &&
           (session->poll == NULL || session->upgrade != NULL); /* not there to take it at once */
}

/* The queue's budget. A WebSocket needs none: its connection keeps to its own limits, which it judges after a flush, so that a
 * turn that produces much is not taken for a client that reads little. */
static bool session_may_enqueue(struct eio_session *session, size_t size)
{
    if (size <= session->server->options->send_max - session->queue->bytes)
        return true;
    eio_session_end(session, EIO_SLOW_CONSUMER);
    return false;
}

/* Something was queued, or memory for that has run out. */
static bool session_after_enqueue(struct eio_session *session, bool is_queued)
{
    if (!is_queued) {
        eio_session_end(session, EIO_TRANSPORT_ERROR);
        return false;
    }
    session_count_queue(session);
    if (session->poll != NULL && !list_is_linked(&session->ready_link)) {
        list_append(&session->server->ready, &session->ready_link);
        eio_server_schedule(session->server);
    }
    if (session->queue->bytes > session->server->options->send_high_water)
        eio_session_set_water(session, true);
    return true;
}

bool eio_session_send(struct eio_session *session, struct message *packet)
{
    if (session->state != EIO_STATE_OPEN)
        return false;
    if (session->ws != NULL)
        return ws_conn_send(session->ws, packet);
    if ((packet->flags & MESSAGE_VOLATILE) != 0 && session_is_busy(session))
        return false;
    return session_may_enqueue(session, packet->size) &&
           session_after_enqueue(session, outq_push(session->queue, packet, 0));
}

bool eio_session_send_conflated(struct eio_session *session, struct message *const *unit,
                                size_t *ret_replaced)
{
    if (session->state != EIO_STATE_OPEN)
        return false;
    if (session->ws != NULL)
        return ws_conn_send_conflated(session->ws, unit, ret_replaced);

    size_t replaced = outq_replace(session->queue, unit), size = 0;
    *ret_replaced = replaced;
    if (replaced > 0) /* a larger one may have taken the place of a smaller */
        return session->queue->bytes <= session->server->options->send_max
                   ? session_after_enqueue(session, true)
                   : session_may_enqueue(session, SIZE_MAX);
    if ((unit[0]->flags & MESSAGE_VOLATILE) != 0 && session_is_busy(session))
        return false;
    for (unsigned i = 0; i <= unit[0]->followers; i++)
        size += unit[i]->size;
    return session_may_enqueue(session, size) &&
           session_after_enqueue(session, outq_push_unit(session->queue, unit));
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
    if (session->queue != NULL) {
        outq_release(session->queue);
        session_count_queue(session);
    }
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
