/* A namespace: its handlers, shared and read-only once the server runs, and its sockets and rooms, apart for each worker. */
#ifndef SIO_NAMESPACE_H
#define SIO_NAMESPACE_H

#include "base/counter.h"
#include "sio/sio_server.h"

#define SIO_MAX_NAMESPACE_NAME 255

struct sio_handler {
    union {
        cvn_middleware_fn middleware;
        cvn_connection_fn connection;
        cvn_disconnect_fn disconnect;
        cvn_event_fn event;
    } fn;
    void *data;
};

struct sio_handlers {
    struct sio_handler *items;
    size_t count;
};

/* The handlers of one event name. */
struct sio_event_entry {
    struct sio_handlers handlers;
    size_t name_size;
    char name[];
};

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
    struct sio_handlers middlewares, connection, disconnecting, disconnect, any;
    struct sio_handlers high_water, drain; /* fn.connection */
    struct map events;                     /* of struct sio_event_entry */
    struct sio_local *locals;              /* one a worker; NULL before the start */
    struct sio_outside outside;
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
void sio_namespace_free(struct cvn_namespace *nsp);
/* Makes the local parts. CVN_ERR_MEMORY. */
enum cvn_error sio_namespace_prepare(struct cvn_namespace *nsp, struct sio_worker **workers,
                                     unsigned count);
/* The handlers of an event, NULL when there are none. */
const struct sio_handlers *sio_namespace_event(const struct cvn_namespace *nsp, cvn_slice event);

/* Adds and removes a connected socket. False when memory has run out. */
bool sio_local_add(struct sio_local *local, struct cvn_socket *socket);
void sio_local_remove(struct sio_local *local, struct cvn_socket *socket);

#endif
