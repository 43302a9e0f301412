/*
 * What the workers of one server share (options and namespaces, read-only once started) and what each of them has for
 * itself (its Engine.IO instance and its counters).
 */
#ifndef SIO_SERVER_H
#define SIO_SERVER_H

#include <convene/observe.h>
#include <pthread.h>
#include <stdatomic.h>
#include "eio/eio_server.h"
#include "sio/sio_encode.h"

/* Every session by its pid, and the lock that guards that and their homes. See sio_session.h. */
struct sio_registry {
    pthread_mutex_t lock;
    struct map sessions;
};

struct sio_adapter;
struct sio_dynamic;
struct sio_worker;

struct sio_options {
    struct sio_packet_limits packets; /* of what clients send */
    struct sio_encode_limits emits;   /* of what the application sends */
    uint64_t connect_timeout_ms;
    unsigned max_sockets_per_connection;
    unsigned max_rooms_per_socket;
    unsigned max_pending_acks;
    unsigned max_dynamic_namespaces;
    size_t max_attachment_bytes; /* of one packet, together */
    struct {
        uint64_t window_ms;    /* for which a session waits for its client; 0: no recovery */
        uint64_t heartbeat_ms; /* after which a silent connection is found dead */
        size_t max_bytes;      /* of logs, a worker */
        size_t max_sessions;   /* parked, a worker */
        bool skip_middlewares; /* for a recovered socket */
    } recovery;
};

struct sio_server {
    cvn_server *owner;
    struct sio_options options;
    struct map namespaces;       /* of struct cvn_namespace, by name: those registered by name */
    struct sio_dynamic *dynamic; /* patterns, predicates and their children; NULL: there are none */
    bool started;                /* namespaces and handlers may no longer change */
    atomic_bool ended;           /* no worker runs any more: nothing can be sent */
    enum cvn_error registration; /* the first that failed before the start, or CVN_OK */
    struct sio_adapter *adapter;
    unsigned worker_count;
    struct sio_worker **workers;       /* by worker index; NULL before the start */
    atomic_uint_fast64_t last_request; /* numbers given to questions, see sio_request.h */
    struct sio_registry registry;      /* of sessions that clients may recover */
    cvn_observer observer;
    bool has_observer;
    atomic_bool is_observed;
};

struct sio_worker {
    struct sio_server *server;
    struct worker *worker;
    struct eio_server *eio;
    uint64_t stamp;      /* last mark given to a walk, see sio_select.h */
    struct map requests; /* questions whose home this is, see sio_request.c */
    size_t log_bytes;    /* of all logs, see sio_log.h */
    size_t claims;       /* sessions on their way to a socket here, see sio_recovery.c */
    struct list parked;  /* of struct sio_session, oldest first */
    size_t parked_count;
    /* Read by any thread, written by this worker. */
    atomic_size_t connections, polling, sockets;
    atomic_uint_fast64_t connections_total;
    struct counter recovered;
};

void sio_server_init(struct sio_server *server, cvn_server *owner,
                     const struct sio_options *options);
void sio_server_release(struct sio_server *server);
/* Makes the per-worker parts of every namespace; nothing may be registered afterwards. CVN_ERR_MEMORY. */
enum cvn_error sio_server_prepare(struct sio_server *server, struct sio_worker **workers,
                                  unsigned worker_count);

/* Adds up what all namespaces count, children that have gone included. Any thread, once started. */
void sio_server_count(const struct sio_server *server, cvn_namespace_counters *ret);

/* The calling thread's worker, if it is one of this server's; else NULL. */
struct sio_worker *sio_server_own_worker(const struct sio_server *server);

/* Remembers the error of a registration before the start; returns it. */
enum cvn_error sio_server_note(struct sio_server *server, enum cvn_error error);

/* The public functions of convene/observe.h, see sio_observe.c. */
enum cvn_error sio_set_observer(struct sio_server *server, const cvn_observer *observer);
void sio_observe(struct sio_server *server, bool on);
enum cvn_error sio_each_namespace(struct sio_server *server,
                                  void (*fn)(cvn_namespace *nsp, void *data), void *data);

/* The hooks that the application may have for requests; set in the eio_events beside ours. */
extern const struct eio_events sio_client_events;

#endif
