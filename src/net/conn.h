/*
 * One TCP connection: bytes in through a callback, messages out through a queue that is flushed once
 * per loop turn with one system call. Optionally under TLS. Belongs to one worker at a time.
 *
 * Life: after conn_close nothing is read or sent any more and no on_data comes; on_close comes exactly
 * once, at the end of the turn; then the connection is freed. Any callback may close any connection.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/message.h"
#include "net/worker.h"

struct conn;
struct tls_context;

enum conn_reason {
    CONN_PEER_CLOSED,   /* the peer ended the stream */
    CONN_ERROR,         /* the system or TLS reported an error */
    CONN_LOCAL_CLOSE,   /* conn_close or conn_finish from above */
    CONN_SLOW_CONSUMER, /* the output budget was exceeded: the peer does not read */
    CONN_TIMEOUT,       /* a timer of the layer above ran out */
    CONN_NO_MEMORY,
    CONN_SHUTDOWN /* the worker is stopping */
};

struct conn_events {
    /* Bytes arrived. They lie in the worker's read buffer, may be changed in place, and are gone after
     * the call. At most WORKER_READ_BUFFER bytes. */
    void (*on_data)(struct conn *conn, char *data, size_t size);
    /* The queue has become empty after it was not. May be NULL. */
    void (*on_drain)(struct conn *conn);
    /* The last call for this connection. */
    void (*on_close)(struct conn *conn, enum conn_reason reason);
    /* More than high_water bytes are queued (is_high) that the kernel does not take; or again no more than low_water. In turns, the first
     * time high. From inside conn_send or a flush: only take note. May be NULL. */
    void (*on_water)(struct conn *conn, bool is_high);
};

/* Output budget of each connection, in queued bytes. */
struct conn_limits {
    size_t high_water; /* above it volatile messages are dropped; at most max */
    size_t max;        /* above it the connection is closed with CONN_SLOW_CONSUMER */
    size_t
        low_water; /* at most high_water; where a connection that was above that counts as drained */
};

/* --- The layer above --- */

void conn_set_owner(struct conn *conn, const struct conn_events *events, void *owner);
void *conn_owner(const struct conn *conn);
struct worker *conn_worker(const struct conn *conn);
/* "127.0.0.1", "2001:db8::1"; valid as long as the connection. */
const char *conn_peer_address(const struct conn *conn);
unsigned conn_peer_port(const struct conn *conn);
bool conn_is_secure(const struct conn *conn);
/* False from conn_close or conn_finish on. */
bool conn_is_open(const struct conn *conn);
/* Bytes queued and not yet given to the kernel. */
size_t conn_queued(const struct conn *conn);
/* Whether one of the worker's connections has something queued. */
bool conn_any_queued(const struct worker *worker);
/* Whether the queue is above the high-water mark. */
bool conn_is_congested(const struct conn *conn);
/* Whether on_water(low) is still to come. */
bool conn_is_high(const struct conn *conn);

/*
 * Queues the bytes of `message` from its offset `skip` on (0: all; message->prefix: the payload alone).
 * Takes a reference of its own. A MESSAGE_VOLATILE one is dropped, false, while the connection is
 * congested. False too when the connection is not open. An exceeded budget or no memory closes it.
 */
bool conn_send(struct conn *conn, struct message *message, size_t skip);
/*
 * Queues a MESSAGE_CONFLATE message with its followers behind it. In the place of an older one of that key, if one waits of which not a byte
 * is on its way: *ret_replaced are the bytes of that, else 0. A volatile one that replaces none is dropped as above.
 */
bool conn_send_conflated(struct conn *conn, struct message *const *unit, size_t *ret_replaced);
/* Queues a copy of `bytes`. */
bool conn_write(struct conn *conn, cvn_slice bytes);

/* Gives bytes to the owner as if they had just arrived: for whoever hands the connection over. */
void conn_deliver(struct conn *conn, char *data, size_t size);

/* Stops and resumes reading; a paused connection still notices that its peer has gone. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* Ends the connection now; queued output is lost. Idempotent. */
void conn_close(struct conn *conn, enum conn_reason reason);
/* Ends it in order: sends what is queued, shuts down the sending side, then reads and drops what the peer
 * still sends until it closes too, for `linger_ms` at most in all. on_data stops at once; on_close comes
 * at the end with CONN_LOCAL_CLOSE. */
void conn_finish(struct conn *conn, uint64_t linger_ms);

/* Moves the connection with its queue to another worker. Neither events nor timers of the layer above may
 * be touched until `arrived` runs over there; until then the connection reads nothing. A connection that
 * cannot arrive any more gets on_close, on either worker. */
void conn_move(struct conn *conn, struct worker *to, void (*arrived)(struct conn *conn));

/* --- Whoever accepts --- */

/* Adopts a connected non-blocking socket. `tls` is NULL for plain TCP. `limits` must outlive it. NULL when
 * memory has run out or the loop refuses; the descriptor stays the caller's then. */
struct conn *conn_adopt(struct worker *worker, int fd, const struct conn_limits *limits,
                        struct tls_context *tls) __attribute__((warn_unused_result));

#endif
