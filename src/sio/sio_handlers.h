/* What the application has registered on a namespace. Filled before the server starts, read-only from then on: no lock. */
#ifndef SIO_HANDLERS_H
#define SIO_HANDLERS_H

#include <convene/namespace.h>
#include <convene/serverside.h>
#include "base/map.h"

struct sio_handler {
    union {
        cvn_middleware_fn middleware;
        cvn_connection_fn connection;
        cvn_disconnect_fn disconnect;
        cvn_event_fn event;
        cvn_event_filter_fn filter;
        cvn_outgoing_fn outgoing;
        cvn_server_side_fn server_side;
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

/* All of a namespace's handlers. A parent shares its set with its children. */
struct sio_handlers_set {
    struct sio_handlers middlewares, connection, disconnecting, disconnect, filters, any, outgoing;
    struct sio_handlers high_water, drain; /* fn.connection */
    struct map events;                     /* of struct sio_event_entry: what clients send */
    struct map server_side;                /* the same: what other servers send */
};

/* Empty; NULL when memory has run out. */
struct sio_handlers_set *sio_handlers_new(void);
/* NULL is accepted. */
void sio_handlers_free(struct sio_handlers_set *set);
/* The handlers of an event of clients, or of other servers; NULL when there are none. */
const struct sio_handlers *sio_handlers_of_event(const struct sio_handlers_set *set,
                                                 cvn_slice event);
const struct sio_handlers *sio_handlers_of_server_event(const struct sio_handlers_set *set,
                                                        cvn_slice event);

#endif
