/*
 * A namespace: its handlers, shared and read-only once the server runs, and its sockets and rooms, apart for each worker. Most are
 * registered by name and live as long as the server; a child of a dynamic one (sio_dynamic.h) lives while it is referred to.
 */
#ifndef SIO_NAMESPACE_H
#define SIO_NAMESPACE_H

#include "base/counter.h"
#include "sio/sio_handlers.h"
#include "sio/sio_server.h"

#define SIO_MAX_NAMESPACE_NAME 255

/* The part of a namespace that lives on one worker. */
struct sio_local {
    struct cvn_namespace *nsp;
    struct sio_worker *worker;
    struct map sockets;          /* by id */
    struct cvn_socket **members; /* the same, dense, for broadcasts */
    uint32_t member_count, member_capacity;
    struct map rooms; /* of struct sio_room, by name */
    /* Counted by this worker, read by any thread. */
    struct counter socket_count, connections, refused, events_in, events_out, dropped, conflated;
    struct counter bytes_in, bytes_out;
    /* With recovery: */
    struct sio_log *log;             /* else NULL */
    size_t parked_count;             /* sessions that wait for their clients */
    uint64_t emitted, emitted_alone; /* positions given out: to all, to this worker's sockets */
};

/* What threads emit that are no workers: the lock keeps their order. */
struct sio_outside {
    pthread_mutex_t lock;
    uint64_t emitted;
};

struct cvn_namespace {
    struct sio_server *server;
    struct sio_handlers_set *handlers; /* a child's are its parent's */
    struct sio_local *locals;          /* one a worker; NULL before the start, and of a parent */
    unsigned local_count;
    struct sio_outside outside;
    struct cvn_namespace *parent; /* of a child; else NULL */
    struct sio_rule *rule;        /* of a parent: who may be its child; else NULL */
    struct sio_dynamic *dynamic;  /* of a child: the registry that it is in */
    struct list sibling;          /* of a child: in its parent's rule */
    atomic_uint refs;             /* of a child, see sio_namespace_ref */
    size_t name_size;
    char name[];
};

static inline cvn_slice sio_namespace_name(const struct cvn_namespace *nsp)
{
    return slice_of(nsp->name, nsp->name_size);
}

/* The registered one, or NULL. */
struct cvn_namespace *sio_namespace_find(const struct sio_server *server, cvn_slice name);
/* Finds or makes; `name` has its slash. NULL: memory, too long, or not there and the server has started. */
struct cvn_namespace *sio_namespace_get(struct sio_server *server, cvn_slice name);
/* Without a parent it has handlers of its own. NULL when memory has run out. */
struct cvn_namespace *sio_namespace_new(struct sio_server *server, cvn_slice name,
                                        struct cvn_namespace *parent);
/* NULL is accepted. */
void sio_namespace_free(struct cvn_namespace *nsp);
/* Makes the local parts. CVN_ERR_MEMORY. */
enum cvn_error sio_namespace_prepare(struct cvn_namespace *nsp, struct sio_worker **workers,
                                     unsigned count);

/* Keeps a child; costs nothing for the others, which stay anyway. Any thread that knows it to live: one that holds a reference,
 * directly or through one of its sockets or ops. */
static inline struct cvn_namespace *sio_namespace_ref(struct cvn_namespace *nsp)
{
    if (nsp->parent != NULL)
        atomic_fetch_add_explicit(&nsp->refs, 1, memory_order_relaxed);
    return nsp;
}
/* NULL is accepted. The last one frees the child. Any thread. */
void sio_namespace_unref(struct cvn_namespace *nsp);

/* Adds what the namespace has counted. */
void sio_namespace_add_counters(const struct cvn_namespace *nsp, cvn_namespace_counters *sum);

/* Adds and removes a connected socket. False when memory has run out. */
bool sio_local_add(struct sio_local *local, struct cvn_socket *socket);
void sio_local_remove(struct sio_local *local, struct cvn_socket *socket);

#endif
