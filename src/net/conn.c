/*
 * Connections: readiness in, bytes up; messages down, one send a turn. Runs on the connection's worker.
 *
 * Descriptors are non-blocking; libuv only tells when to try (uv_poll), reads and writes are direct. A connection is in
 * worker->conns while it is open, flushing or lingering; in worker->closing once conn_close was called; nowhere while it moves.
 */
#include "net/net_internal.h"
#include "net/tls.h"
#include "base/mem.h"
#include "base/log.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_VECTORS        32
#define TLS_READS_PER_TURN 8 /* full buffers of one connection before others get their turn */

static void on_poll(uv_poll_t *poll, int status, int events);

void conn_set_owner(struct conn *conn, const struct conn_events *events, void *owner)
{
    conn->events = events;
    conn->owner = owner;
}

void *conn_owner(const struct conn *conn)
{
    return conn->owner;
}

struct worker *conn_worker(const struct conn *conn)
{
    return conn->worker;
}

const char *conn_peer_address(const struct conn *conn)
{
    return conn->peer_address;
}

unsigned conn_peer_port(const struct conn *conn)
{
    return conn->peer_port;
}

bool conn_is_secure(const struct conn *conn)
{
    return conn->tls != NULL;
}

bool conn_is_open(const struct conn *conn)
{
    return conn->state == CONN_OPEN;
}

size_t conn_queued(const struct conn *conn)
{
    return conn->out.bytes;
}

/* --- Readiness --- */

/* Tells libuv what this connection waits for, if that has changed. */
static void arm(struct conn *conn)
{
    int wanted = 0;
    switch (conn->state) {
    case CONN_OPEN:
        wanted = conn->paused ? UV_DISCONNECT : UV_READABLE;
        break;
    case CONN_FLUSHING:
    case CONN_LINGERING:
        wanted = UV_READABLE; /* what comes is dropped; the end of the stream is what we wait for */
        break;
    default:
        break;
    }
    if (wanted != 0 && conn->blocked)
        wanted |= UV_WRITABLE;
    if (wanted == conn->armed)
        return;
    conn->armed = (uint8_t)wanted;
    int error =
        wanted != 0 ? uv_poll_start(&conn->poll, wanted, on_poll) : uv_poll_stop(&conn->poll);
    if (error != 0)
        conn_close(conn, CONN_ERROR);
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
    arm(conn);
}

static void on_more(struct worker_task *task);

void conn_resume(struct conn *conn)
{
    conn->paused = false;
    arm(conn);
    if (conn->tls != NULL && conn->state == CONN_OPEN && tls_session_has_pending(conn->tls))
        worker_defer(conn->worker, &conn->more);
}

/* --- Receiving --- */

/* The peer has sent its last byte. What was queued in answer still goes out. */
static void on_end_of_stream(struct conn *conn)
{
    if (conn->state == CONN_OPEN && conn->out.bytes > 0 && !conn->blocked)
        conn_flush(conn);
    conn_close(conn, conn->state == CONN_OPEN ? CONN_PEER_CLOSED : CONN_LOCAL_CLOSE);
}

void conn_deliver(struct conn *conn, char *data, size_t size)
{
    if (conn->state == CONN_OPEN)
        conn->events->on_data(conn, data, size);
    /* FLUSHING and LINGERING read only to see the end of the stream. */
}

static void receive_plain(struct conn *conn)
{
    ssize_t size = recv(conn->fd, conn->worker->read_buffer, WORKER_READ_BUFFER, 0);
    if (size > 0)
        conn_deliver(conn, conn->worker->read_buffer, (size_t)size);
    else if (size == 0)
        on_end_of_stream(conn);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        conn_close(conn, CONN_ERROR);
}

static void receive_tls(struct conn *conn)
{
    conn->tls_reads_on_write = false;
    for (int i = 0; i < TLS_READS_PER_TURN && conn->state <= CONN_LINGERING; i++) {
        size_t size = 0;
        if (conn->state == CONN_OPEN && conn->paused)
            return;
        switch (tls_session_recv(conn->tls, conn->worker->read_buffer, WORKER_READ_BUFFER, &size)) {
        case TLS_OK:
            conn_deliver(conn, conn->worker->read_buffer, size);
            break;
        case TLS_WANT_READ:
            return;
        case TLS_WANT_WRITE:
            conn->tls_reads_on_write = conn->blocked = true;
            arm(conn);
            return;
        case TLS_CLOSED:
            on_end_of_stream(conn);
            return;
        case TLS_FAILED:
            conn_close(conn, CONN_ERROR);
            return;
        }
    }
    if (conn->state <= CONN_LINGERING && tls_session_has_pending(conn->tls))
        worker_defer(conn->worker, &conn->more);
}

static void receive(struct conn *conn)
{
    if (conn->tls != NULL)
        receive_tls(conn);
    else
        receive_plain(conn);
}

static void on_more(struct worker_task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, more);
    if (conn->state <= CONN_LINGERING)
        receive(conn);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *conn = CONTAINER_OF(poll, struct conn, poll);
    worker_enter(conn->worker);
    if (status < 0) { /* libuv has stopped polling: a reset, usually */
        conn->armed = 0;
        conn_close(conn, CONN_ERROR);
        return;
    }
    if (events & UV_WRITABLE) {
        conn->blocked = false;
        if (conn->tls_reads_on_write)
            receive(conn);
        if (conn->state <= CONN_LINGERING) {
            conn_flush(conn);
            arm(conn);
        }
    }
    if ((events & UV_READABLE) && conn->state <= CONN_LINGERING) {
        receive(conn);
        if (conn->tls_sends_on_read)
            conn_flush(conn);
    } else if ((events & UV_DISCONNECT) && conn->state == CONN_OPEN)
        conn_close(conn, CONN_PEER_CLOSED);
}

/* --- Sending --- */

/* The kernel's buffer is full: waits until it is not. */
static void block(struct conn *conn)
{
    conn->blocked = true;
    arm(conn);
}

static void send_tls(struct conn *conn)
{
    char *joined = conn->worker->write_buffer;
    size_t size = outq_peek(&conn->out, joined, WORKER_WRITE_BUFFER);
    size_t sent = 0;
    switch (tls_session_send(conn->tls, joined, size, &sent)) {
    case TLS_OK:
        outq_consume(&conn->out, sent);
        break;
    case TLS_WANT_WRITE: /* encrypted already: the same bytes must be offered again */
        outq_pin(&conn->out, size);
        block(conn);
        break;
    case TLS_WANT_READ: /* in the midst of a handshake: what the peer sends will bring it on */
        outq_pin(&conn->out, size);
        conn->tls_sends_on_read = true;
        break;
    default:
        conn_close(conn, CONN_ERROR);
    }
}

static void send_plain(struct conn *conn)
{
    struct iovec vectors[MAX_VECTORS];
    size_t count = outq_gather(&conn->out, vectors, MAX_VECTORS, conn->worker->write_buffer,
                               WORKER_WRITE_BUFFER);
    size_t gathered = 0;
    for (size_t i = 0; i < count; i++)
        gathered += vectors[i].iov_len;
    struct msghdr header = {.msg_iov = vectors, .msg_iovlen = count};
    ssize_t sent = count == 1 ? send(conn->fd, vectors[0].iov_base, gathered, MSG_NOSIGNAL)
                              : sendmsg(conn->fd, &header, MSG_NOSIGNAL);
    if (sent >= 0) {
        outq_consume(&conn->out, (size_t)sent);
        if ((size_t)sent < gathered)
            block(conn);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS) {
        block(conn);
    } else {
        conn_close(conn, CONN_ERROR);
    }
}

/* Everything queued has been sent after conn_finish: ends our side and waits for the peer's. */
static void shut_down_sending(struct conn *conn)
{
    if (conn->tls != NULL)
        tls_session_shutdown(conn->tls);
    if (shutdown(conn->fd, SHUT_WR) != 0) {
        conn_close(conn, CONN_LOCAL_CLOSE);
        return;
    }
    conn->state = CONN_LINGERING;
    arm(conn);
}

/* The queue was above the high-water mark: is it low enough again? */
static void look_for_low(struct conn *conn)
{
    if (conn->out.bytes > conn->limits->low_water)
        return;
    conn->is_high = false;
    if (conn->state == CONN_OPEN && conn->events->on_water != NULL)
        conn->events->on_water(conn, false);
}

/* What is left of the queue when the kernel takes no more: mostly nothing, as before. */
static void count_queued(struct conn *conn, size_t queued)
{
    if (queued == conn->counted)
        return;
    counter_add(&conn->worker->queued, queued - conn->counted); /* or less: it wraps */
    conn->counted = queued;
}

void conn_flush(struct conn *conn)
{
    if (conn->state > CONN_FLUSHING)
        return;
    bool had_output = conn->out.bytes > 0;
    conn->tls_sends_on_read = false;
    while (conn->out.bytes > 0 && !conn->blocked && !conn->tls_sends_on_read &&
           conn->state <= CONN_FLUSHING) {
        if (conn->tls != NULL)
            send_tls(conn);
        else
            send_plain(conn);
    }
    count_queued(conn, conn->out.bytes);
    if (conn->is_high)
        look_for_low(conn);
    if (conn->state > CONN_FLUSHING || conn->out.bytes > 0)
        return;
    if (conn->state == CONN_FLUSHING)
        shut_down_sending(conn);
    else if (had_output && conn->events->on_drain != NULL)
        conn->events->on_drain(conn);
}

bool conn_is_congested(const struct conn *conn)
{
    return conn->out.bytes > conn->limits->high_water;
}

bool conn_is_high(const struct conn *conn)
{
    return conn->is_high;
}

/* Above the high-water mark, although the kernel was asked: a turn may produce much at once, only what the peer does not take
 * counts. */
static bool is_congested_now(struct conn *conn)
{
    if (conn_is_congested(conn) && !conn->blocked && conn->state == CONN_OPEN)
        conn_flush(conn);
    return conn_is_congested(conn);
}

/* More is queued than the high-water mark. */
static void judge_queue(struct conn *conn)
{
    if (!is_congested_now(conn) || conn->state != CONN_OPEN)
        return;
    if (conn->out.bytes > conn->limits->max) {
        conn_close(conn, CONN_SLOW_CONSUMER);
    } else if (!conn->is_high) {
        conn->is_high = true;
        if (conn->events->on_water != NULL)
            conn->events->on_water(conn, true);
    }
}

/* Has output flushed at the end of the turn. */
static void mark_dirty(struct conn *conn)
{
    if (list_is_linked(&conn->dirty_link) || conn->blocked)
        return;
    worker_rouse(conn->worker);
    list_append(&conn->worker->dirty, &conn->dirty_link);
}

/* Something was queued: it is to be flushed, and judged. */
static inline bool after_push(struct conn *conn)
{
    mark_dirty(conn);
    if (conn_is_congested(conn))
        judge_queue(conn);
    return conn->state == CONN_OPEN;
}

bool conn_send(struct conn *conn, struct message *message, size_t skip)
{
    if (conn->state != CONN_OPEN)
        return false;
    if ((message->flags & MESSAGE_VOLATILE) && is_congested_now(conn))
        return false;
    if (!outq_push(&conn->out, message, skip)) {
        conn_close(conn, CONN_NO_MEMORY);
        return false;
    }
    return after_push(conn);
}

bool conn_send_conflated(struct conn *conn, struct message *const *unit, size_t *ret_replaced)
{
    if (conn->state != CONN_OPEN)
        return false;
    size_t replaced = outq_replace(&conn->out, unit);
    if (replaced == 0) {
        if ((unit[0]->flags & MESSAGE_VOLATILE) && is_congested_now(conn))
            return false;
        if (!outq_push_unit(&conn->out, unit)) {
            conn_close(conn, CONN_NO_MEMORY);
            return false;
        }
    }
    *ret_replaced = replaced;
    return after_push(conn);
}

bool conn_write(struct conn *conn, cvn_slice bytes)
{
    if (conn->state != CONN_OPEN)
        return false;
    struct message *message = message_copy(bytes);
    if (message == NULL) {
        conn_close(conn, CONN_NO_MEMORY);
        return false;
    }
    bool queued = conn_send(conn, message, 0);
    message_unref(message);
    return queued;
}

/* --- Ending --- */

void conn_close(struct conn *conn, enum conn_reason reason)
{
    if (conn->state == CONN_CLOSING || conn->state == CONN_MOVING)
        return;
    conn->state = CONN_CLOSING;
    conn->reason = (uint8_t)reason;
    worker_rouse(conn->worker);
    list_remove(&conn->dirty_link);
    list_append(&conn->worker->closing, &conn->dirty_link);
    if (conn->armed != 0)
        uv_poll_stop(&conn->poll);
    conn->armed = 0;
}

static void on_linger_timeout(struct timer *timer)
{
    conn_close(CONTAINER_OF(timer, struct conn, linger), CONN_LOCAL_CLOSE);
}

void conn_finish(struct conn *conn, uint64_t linger_ms)
{
    if (conn->state != CONN_OPEN)
        return;
    conn->state = CONN_FLUSHING;
    wheel_arm(&conn->worker->wheel, &conn->linger, linger_ms);
    mark_dirty(conn);
    arm(conn);
}

static void free_conn(struct conn *conn)
{
    tls_session_free(conn->tls);
    outq_release(&conn->out);
    if (conn->fd >= 0)
        close(conn->fd);
    mem_free(conn);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct conn *conn = CONTAINER_OF((uv_poll_t *)handle, struct conn, poll);
    struct worker *worker = conn->worker;
    free_conn(conn);
    worker_handle_closed(worker);
}

/* Takes the connection off everything its worker knows it by. */
static void unlink_conn(struct conn *conn)
{
    wheel_cancel(&conn->worker->wheel, &conn->linger);
    worker_task_cancel(&conn->more);
    count_queued(conn, 0);
    list_remove(&conn->dirty_link);
    list_remove(&conn->link);
    conn->worker->conn_count--;
}

void conn_dispose(struct conn *conn)
{
    unlink_conn(conn);
    if (conn->events != NULL)
        conn->events->on_close(conn, conn->reason);
    uv_close((uv_handle_t *)&conn->poll, on_handle_closed);
}

/* --- Beginning and moving --- */

/* Puts the connection on `worker`'s loop. */
static bool attach(struct conn *conn, struct worker *worker)
{
    if (uv_poll_init_socket(worker->loop, &conn->poll, conn->fd) != 0)
        return false;
    conn->worker = worker;
    conn->state = CONN_OPEN;
    conn->armed = 0;
    list_append(&worker->conns, &conn->link);
    worker->conn_count++;
    worker->handles++;
    arm(conn);
    return true;
}

struct conn *conn_adopt(struct worker *worker, int fd, const struct conn_limits *limits,
                        struct tls_context *tls)
{
    struct conn *conn = mem_zalloc(sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->fd = fd;
    conn->limits = limits;
    conn->more.run = on_more;
    conn->linger.fire = on_linger_timeout;
    outq_init(&conn->out);
    if (tls != NULL) {
        conn->tls = tls_session_new(tls, fd);
        if (conn->tls == NULL)
            goto fail;
    }
    if (!worker->stopping && attach(conn, worker))
        return conn;

fail:
    conn->fd = -1; /* stays the caller's */
    free_conn(conn);
    return NULL;
}

struct conn_arrival {
    struct mail mail;
    struct conn *conn;
    struct worker *to;
    void (*arrived)(struct conn *conn);
};

/* There is no loop to live on any more. */
static void drop_homeless(struct conn_arrival *arrival)
{
    struct conn *conn = arrival->conn;
    conn->state = CONN_CLOSING;
    conn->events->on_close(conn, CONN_SHUTDOWN);
    free_conn(conn);
    mem_free(arrival);
}

static void on_arrival_discarded(struct mail *mail)
{
    drop_homeless(CONTAINER_OF(mail, struct conn_arrival, mail));
}

static void on_arrival(struct mail *mail, struct worker *worker)
{
    struct conn_arrival *arrival = CONTAINER_OF(mail, struct conn_arrival, mail);
    struct conn *conn = arrival->conn;
    if (!attach(conn, worker)) {
        drop_homeless(arrival);
        return;
    }
    if (conn->out.bytes > 0)
        list_append(&worker->dirty, &conn->dirty_link);
    arrival->arrived(conn);
    if (conn->tls != NULL && conn->state == CONN_OPEN && tls_session_has_pending(conn->tls))
        worker_defer(worker, &conn->more);
    mem_free(arrival);
}

static void on_left_loop(uv_handle_t *handle)
{
    struct conn *conn = CONTAINER_OF((uv_poll_t *)handle, struct conn, poll);
    struct conn_arrival *arrival = conn->poll.data;
    struct worker *from = conn->worker;
    conn->poll.data = NULL;
    worker_post(arrival->to, &arrival->mail);
    worker_handle_closed(from);
}

void conn_move(struct conn *conn, struct worker *to, void (*arrived)(struct conn *conn))
{
    if (conn->state != CONN_OPEN)
        return;
    struct conn_arrival *arrival = mem_zalloc(sizeof *arrival);
    if (arrival == NULL) {
        conn_close(conn, CONN_NO_MEMORY);
        return;
    }
    arrival->mail.deliver = on_arrival;
    arrival->mail.discard = on_arrival_discarded;
    arrival->conn = conn;
    arrival->to = to;
    arrival->arrived = arrived;
    unlink_conn(conn);
    conn->state = CONN_MOVING;
    conn->blocked = false;
    conn->poll.data = arrival;
    uv_close((uv_handle_t *)&conn->poll, on_left_loop);
}
