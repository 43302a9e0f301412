/*
 * A TCP connection without TCP, for tests of what sits on one: it keeps what was sent, and the test says when the queue is
 * flushed, what arrives and when the turn ends. Promises the same as net/conn.h, so it takes the place of conn.c at link
 * time: include it in one file of a program that uses no other part of net/.
 */
#ifndef WS_TEST_FAKE_CONN_H
#define WS_TEST_FAKE_CONN_H

#include "net/conn.h"
#include "frames.h"

struct conn {
    const struct conn_events *events;
    void *owner;
    struct worker worker; /* only its wheel is used */
    struct bytes sent;    /* everything ever queued */
    size_t queued;        /* how much of its end was not flushed */
    size_t max_queued;    /* the output budget */
    bool flushes_in_send; /* conn_send flushes at once, and so calls on_drain */
    bool paused;
    bool closing, finishing, gone;
    enum conn_reason reason;
    uint64_t linger_ms; /* as given to conn_finish */
};

static inline void fake_conn_init(struct conn *conn)
{
    memset(conn, 0, sizeof *conn);
    conn->max_queued = SIZE_MAX;
    wheel_init(&conn->worker.wheel, 1000);
}

static inline void fake_conn_release(struct conn *conn)
{
    bytes_release(&conn->sent);
}

static inline void fake_conn_flush(struct conn *conn)
{
    bool had_output = conn->queued > 0;
    conn->queued = 0;
    if (had_output && !conn->closing && !conn->finishing && conn->events->on_drain != NULL)
        conn->events->on_drain(conn);
}

/* The end of a turn: everything is sent, what was closed is told so. */
static inline void fake_conn_turn(struct conn *conn)
{
    while (conn->queued > 0)
        fake_conn_flush(conn);
    if (conn->closing && !conn->gone) {
        conn->gone = true;
        conn->events->on_close(conn, conn->reason);
    }
}

/* The peer ends the stream. */
static inline void fake_conn_end(struct conn *conn)
{
    if (!conn->gone)
        conn_close(conn, conn->finishing ? CONN_LOCAL_CLOSE : CONN_PEER_CLOSED);
    fake_conn_turn(conn);
}

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
    return (struct worker *)&conn->worker;
}

bool conn_is_open(const struct conn *conn)
{
    return !conn->closing && !conn->finishing;
}

size_t conn_queued(const struct conn *conn)
{
    return conn->queued;
}

bool conn_send(struct conn *conn, struct message *message, size_t skip)
{
    if (!conn_is_open(conn))
        return false;
    bytes_add(&conn->sent, message->data + skip, message->size - skip);
    conn->queued += message->size - skip;
    if (conn->flushes_in_send)
        fake_conn_flush(conn);
    if (conn->queued > conn->max_queued)
        conn_close(conn, CONN_SLOW_CONSUMER);
    return conn_is_open(conn);
}

/* Has no queue to look into: the unit goes to the end. */
bool conn_send_conflated(struct conn *conn, struct message *const *unit, size_t *ret_replaced)
{
    *ret_replaced = 0;
    for (unsigned i = 0; i <= unit[0]->followers; i++)
        if (!conn_send(conn, unit[i], 0))
            return false;
    return true;
}

void conn_resume(struct conn *conn)
{
    conn->paused = false;
}

void conn_close(struct conn *conn, enum conn_reason reason)
{
    if (conn->closing)
        return;
    conn->closing = true;
    conn->reason = reason;
}

void conn_finish(struct conn *conn, uint64_t linger_ms)
{
    if (!conn_is_open(conn))
        return;
    conn->finishing = true;
    conn->linger_ms = linger_ms;
}

#endif
