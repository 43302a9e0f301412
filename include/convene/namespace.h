/**
 * @file
 * Namespaces and what they do with their sockets. Handlers are registered before the server starts
 * and are read-only from then on; they run on the worker of the socket concerned.
 */
#ifndef CONVENE_NAMESPACE_H
#define CONVENE_NAMESPACE_H

#include <convene/json.h>
#include <convene/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A namespace: its handlers and its sockets. One made by cvn_of lives as long as its server;
 * others come and go, see dynamic.h. */
typedef struct cvn_namespace cvn_namespace;
/** One client in one namespace; see socket.h. */
typedef struct cvn_socket cvn_socket;
/** An event that came from a client. */
typedef struct cvn_event cvn_event;
/** The decision that a middleware owes. */
typedef struct cvn_next cvn_next;

/*
 * Registration: before the server starts, on the thread that will start it. A call that fails
 * returns its error (CVN_ERR_ARGUMENT, CVN_ERR_MEMORY; CVN_ERR_STATE once the server has started),
 * and the server remembers the first one before its start: cvn_server_start then fails with it. So
 * a program may register everything without looking, and check once.
 */

/** The namespace of that name ("/", "/chat"), made when it does not exist. NULL when memory has run
 * out, the name is longer than 255 bytes or has a comma, or the server runs already and has no such
 * namespace; registering on NULL does nothing. A missing leading slash is added. Owned by the
 * server, unless it is the child of a dynamic one: see dynamic.h for how long that one stays. On
 * the thread that starts the server, and once it runs on any. */
CVN_API cvn_namespace *cvn_of(cvn_server *server, const char *name);
/** Its name with the slash; valid as long as it is. Of the parents in dynamic.h the pattern, or "".
 * Any thread. */
CVN_API const char *cvn_namespace_name(const cvn_namespace *nsp);
/** The server that it belongs to. Any thread. */
CVN_API cvn_server *cvn_namespace_server(const cvn_namespace *nsp);

/** Numbers of one namespace since the server started, on all workers of this process. */
typedef struct cvn_namespace_counters {
    uint64_t sockets;           /**< in it now */
    uint64_t connections_total; /**< sockets that ever joined */
    uint64_t refused;           /**< by its middlewares */
    uint64_t events_in;         /**< from clients */
    uint64_t events_out;        /**< to clients: an emit to ten sockets counts ten times */
    uint64_t dropped;           /**< volatile events that a client could not take */
    uint64_t conflated;         /**< events that newer ones of their key took the place of */
    uint64_t bytes_in;          /**< of packets from clients, as cvn_socket_counters counts them */
    uint64_t bytes_out;         /**< of packets to clients, likewise */
} cvn_namespace_counters;
/** Any thread. */
CVN_API void cvn_namespace_stats(const cvn_namespace *nsp, cvn_namespace_counters *ret);

/**
 * A connection middleware: decides whether `socket` may join, now or later, by calling
 * cvn_next_accept or cvn_next_refuse exactly once (on the socket's worker). Middlewares run in the
 * order of registration. The socket cannot emit, join rooms or be found before the last has
 * accepted.
 */
typedef void (*cvn_middleware_fn)(cvn_socket *socket, cvn_next *next, void *data);
/** Adds a connection middleware behind those that are there. */
CVN_API enum cvn_error cvn_use(cvn_namespace *nsp, cvn_middleware_fn fn, void *data);
/** Hands the socket on to the next middleware; after the last it joins. */
CVN_API void cvn_next_accept(cvn_next *next);
/** The client gets CONNECT_ERROR with `message` and, unless NULL, `data` (one JSON value). */
CVN_API void cvn_next_refuse(cvn_next *next, const char *message, const char *data);

/** A socket has joined the namespace. Its client has already been told. */
typedef void (*cvn_connection_fn)(cvn_socket *socket, void *data);
/** Several handlers run in the order of registration. */
CVN_API enum cvn_error cvn_on_connection(cvn_namespace *nsp, cvn_connection_fn fn, void *data);

/** A socket is about to leave (its rooms are still there) or has left. `reason` is static:
 * "transport close", "client namespace disconnect", ... */
typedef void (*cvn_disconnect_fn)(cvn_socket *socket, const char *reason, void *data);
/** Called while the socket's rooms are still there. */
CVN_API enum cvn_error cvn_on_disconnecting(cvn_namespace *nsp, cvn_disconnect_fn fn, void *data);
/** Called once it has left them. */
CVN_API enum cvn_error cvn_on_disconnect(cvn_namespace *nsp, cvn_disconnect_fn fn, void *data);

/**
 * The output queued for the socket's connection has risen above send_high_water, because its client
 * reads slower than it is sent to: the application may send less, or only what matters
 * (CVN_VOLATILE, cvn_target.conflate). Each socket hears of it once, and again only after the
 * cvn_on_drain handlers. At the end of the worker's turn; what rose and fell within one is not
 * told.
 */
CVN_API enum cvn_error cvn_on_high_water(cvn_namespace *nsp, cvn_connection_fn fn, void *data);
/** After cvn_on_high_water: no more than send_low_water is queued again. Sockets that leave before
 * do not hear of it. */
CVN_API enum cvn_error cvn_on_drain(cvn_namespace *nsp, cvn_connection_fn fn, void *data);

/** An event came from a client. `event` and all it holds are valid until the handler returns. */
typedef void (*cvn_event_fn)(cvn_socket *socket, const cvn_event *event, void *data);
/** Several handlers of one event run in the order of registration. */
CVN_API enum cvn_error cvn_on(cvn_namespace *nsp, const char *event, cvn_event_fn fn, void *data);
/** For every event, before the handlers of its name. */
CVN_API enum cvn_error cvn_on_any(cvn_namespace *nsp, cvn_event_fn fn, void *data);

/**
 * An event middleware: looks at an event before any handler, the catch-all ones included, does. On
 * false the event is dropped; the filter may have told the client why with cvn_ack. Filters run in
 * the order of registration and answer at once, so a client's events stay in order by themselves;
 * what takes time (a look into a database) belongs into the handler, whose acknowledgement may come
 * later, or into a connection middleware.
 */
typedef bool (*cvn_event_filter_fn)(cvn_socket *socket, const cvn_event *event, void *data);
/** Adds an event middleware behind those that are there. */
CVN_API enum cvn_error cvn_use_event(cvn_namespace *nsp, cvn_event_filter_fn fn, void *data);

/** `event` was emitted to `socket`, by whatever call: for a broadcast this is called once for each
 * socket that it reached. All arguments are valid during the call. An event emitted in here is told
 * of, too. */
typedef void (*cvn_outgoing_fn)(cvn_socket *socket, const char *event, cvn_args args, void *data);
/** For every event that has been queued for a socket, after that; not for volatile ones that were
 * dropped, for acknowledgements, or for what a recovered client is given again. Without a listener
 * emitting costs nothing more; with one, a broadcast copies its name and arguments for the other
 * workers. */
CVN_API enum cvn_error cvn_on_any_outgoing(cvn_namespace *nsp, cvn_outgoing_fn fn, void *data);

/* --- An event in its handler --- */

/** Its name, decoded. A numeric name is its digits. */
CVN_API cvn_slice cvn_event_name(const cvn_event *event);
/** Its arguments without the name. */
CVN_API cvn_args cvn_event_args(const cvn_event *event);
/** Shorthand for cvn_args_at(cvn_event_args(event), index). */
CVN_API cvn_slice cvn_event_arg(const cvn_event *event, size_t index);
/** Whether the client waits for an acknowledgement. */
CVN_API bool cvn_event_wants_ack(const cvn_event *event);

/** Acknowledges with JSON arguments ("1,2", "" or NULL for none). Does nothing, CVN_OK, when the
 * client does not wait. CVN_ERR_STATE when already acknowledged or the socket has gone;
 * CVN_ERR_JSON; CVN_ERR_MEMORY. */
CVN_API enum cvn_error cvn_ack(const cvn_event *event, const char *json);
/** The same with arguments that may hold binary data; besides, CVN_ERR_LIMIT. */
CVN_API enum cvn_error cvn_ack_args(const cvn_event *event, cvn_args args);

/** An acknowledgement that is still owed. */
typedef struct cvn_later cvn_later;
/** Puts the acknowledgement off: it keeps the socket's memory until it is sent or dropped. NULL
 * when the client does not wait, it was acknowledged already, or memory has run out. */
CVN_API cvn_later *cvn_ack_later(const cvn_event *event);
/** Sends and frees it; any thread. With CVN_ERR_STATE when the server no longer runs, else as
 * cvn_ack_args on the worker itself; from another thread the arguments are checked and copied at
 * once and sending is left to the worker. */
CVN_API enum cvn_error cvn_later_send(cvn_later *later, cvn_args args);
/** Frees it without answering; any thread. NULL is accepted. */
CVN_API void cvn_later_drop(cvn_later *later);

#ifdef __cplusplus
}
#endif
#endif
