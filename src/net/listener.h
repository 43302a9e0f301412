/*
 * A listening socket of one worker. Every worker opens its own on the same address (SO_REUSEPORT), so
 * the kernel spreads the connections. Accepts in bounded batches; out of descriptors it pauses instead
 * of spinning. One thread.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/conn.h"

struct listener;

struct listener_options {
    const char *host; /* address to bind, "::" or "0.0.0.0" for all */
    uint16_t port;    /* 0: any; the first listener's port is then given to the others */
    int backlog;
    bool
        exclusive; /* fail with EADDRINUSE when somebody listens there already; for a server's first listener */
    struct tls_context *tls; /* NULL: plain */
    const struct conn_limits *limits;
    /* A connection came in; call conn_set_owner or conn_close before returning. */
    void (*on_accept)(struct conn *conn, void *app);
    void *app;
};

/* CVN_ERR_SYSTEM with errno, CVN_ERR_ARGUMENT for a bad host, CVN_ERR_MEMORY. */
enum cvn_error listener_open(struct worker *worker, const struct listener_options *options,
                             struct listener **ret) __attribute__((warn_unused_result));
/* The port it is bound to. */
uint16_t listener_port(const struct listener *listener);
/* For what is accepted from now on; old connections stay with the context that they have. */
void listener_set_tls(struct listener *listener, struct tls_context *tls);
/* Accepts all that the kernel has queued. Before closing: closing resets them. */
void listener_drain(struct listener *listener);
/* Stops accepting; frees itself through the loop. NULL is accepted. */
void listener_close(struct listener *listener);

#endif
