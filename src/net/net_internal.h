/* What the files of net/ tell each other and nobody else. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "net/conn.h"
#include "net/outq.h"

#define WORKER_FLUSH_SLICE                                                                         \
    1000 /* connections flushed before the loop may look at its input again */

enum conn_state {
    CONN_OPEN,      /* reads and sends */
    CONN_FLUSHING,  /* conn_finish: sends what is queued, drops what comes */
    CONN_LINGERING, /* sending side shut down: waits for the peer to close */
    CONN_MOVING,    /* between two workers */
    CONN_CLOSING    /* on the worker's closing list */
};

/* The fields that a send and a receive touch come first and share a cache line or two. */
struct conn {
    int fd;
    uint8_t state;           /* enum conn_state */
    uint8_t armed;           /* UV_READABLE, UV_WRITABLE, UV_DISCONNECT as given to libuv */
    bool paused;             /* the layer above wants no data */
    bool blocked;            /* the kernel's buffer is full: waits for UV_WRITABLE */
    bool tls_reads_on_write; /* TLS must send before it can receive again */
    bool tls_sends_on_read;  /* TLS must receive before it can send */
    bool is_high;            /* above the high-water mark, and not yet down to the low one */
    uint8_t reason;          /* enum conn_reason, once closing */
    struct worker *worker;
    const struct conn_events *events;
    void *owner;
    const struct conn_limits *limits;
    struct tls_session *tls; /* NULL: plain TCP */
    struct outq out;
    size_t counted;          /* of its bytes in worker->queued: as of the last flush */
    struct list dirty_link;  /* in worker->dirty, later in worker->closing */
    struct list link;        /* in worker->conns */
    struct worker_task more; /* TLS holds decrypted bytes that the descriptor will not announce */
    struct timer linger;
    uv_poll_t poll;
    uint16_t peer_port;
    char peer_address[46]; /* INET6_ADDRSTRLEN */
};

/* Sends what the queue holds, as far as the kernel takes it. */
void conn_flush(struct conn *conn);
/* Calls on_close and gives the connection back to libuv to close; from the end of a turn. */
void conn_dispose(struct conn *conn);

#endif
