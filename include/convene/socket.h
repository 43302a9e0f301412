/**
 * @file
 * One client in one namespace. All functions are for the socket's worker, unless they say "any
 * thread".
 */
#ifndef CONVENE_SOCKET_H
#define CONVENE_SOCKET_H

#include <convene/namespace.h>

#ifdef __cplusplus
extern "C" {
#endif

/** 20 characters, public (not the Engine.IO session's id); valid as long as the socket. Any
 * thread. */
CVN_API const char *cvn_socket_id(const cvn_socket *socket);
/** The namespace that it is in. Any thread. */
CVN_API cvn_namespace *cvn_socket_namespace(const cvn_socket *socket);
/** The server that it belongs to. Any thread. */
CVN_API cvn_server *cvn_socket_server(const cvn_socket *socket);
/** Index of its worker, for cvn_post. Any thread. */
CVN_API unsigned cvn_socket_worker(const cvn_socket *socket);
/** A number that the sockets of one connection share, in whatever namespaces they are, and that no
 * other connection of the process has or had. Not 0. A client that comes back comes by a new
 * connection. Any thread. */
CVN_API uint64_t cvn_socket_connection(const cvn_socket *socket);
/** From the last middleware's yes until it is about to leave. */
CVN_API bool cvn_socket_is_connected(const cvn_socket *socket);
/** Whether it has recovered the session of an earlier connection: its id, rooms, attributes and
 * data pointer are those of the socket that was lost, and its client gets what it missed before
 * anything else. Final in the connection handler; in a middleware it tells that this is about to
 * happen. */
CVN_API bool cvn_socket_recovered(const cvn_socket *socket);
/** In a middleware: the socket shall start anew, with a new id and nothing of the lost session,
 * which ends. For a client that comes back as somebody else. */
CVN_API void cvn_decline_recovery(cvn_socket *socket);
/** "polling" or "websocket", as of now. */
CVN_API const char *cvn_socket_transport(const cvn_socket *socket);

/** Keeps the memory (not the connection) beyond the socket's end, e.g. while another thread works
 * for it. Any thread. */
CVN_API cvn_socket *cvn_socket_ref(cvn_socket *socket);
/** Gives back what cvn_socket_ref kept. Any thread. */
CVN_API void cvn_socket_unref(cvn_socket *socket);

/** Numbers of one socket since it joined. A packet is one of Socket.IO's with its attachments; its
 * bytes are those of its text and of its attachments, whatever the transport makes of them. */
typedef struct cvn_socket_counters {
    uint64_t packets_in;  /**< events, acknowledgements, and the client's DISCONNECT */
    uint64_t packets_out; /**< queued for it: events, acknowledgements, CONNECT, DISCONNECT */
    uint64_t bytes_in;    /**< of those packets */
    uint64_t bytes_out;   /**< of those packets */
    uint64_t dropped;     /**< volatile events that it could not take */
    uint64_t conflated;   /**< of those sent: newer ones of their key took their place */
    int64_t connected_ms; /**< when it joined: wall clock, milliseconds since 1970; 0 before */
    size_t queued;        /**< cvn_socket_queued on its worker; 0 when asked elsewhere */
} cvn_socket_counters;
/** Any thread that has the socket's memory (see cvn_socket_ref); a moment behind on others. */
CVN_API void cvn_socket_stats(const cvn_socket *socket, cvn_socket_counters *ret);
/** Bytes that wait to be sent over its connection, which it may share with sockets of other
 * namespaces: queued, and not yet taken by the kernel or, on polling, by a poll. */
CVN_API size_t cvn_socket_queued(const cvn_socket *socket);

/* --- How it came in --- */

/** Fields of the opening request, by name in any case; an empty slice with NULL data when absent.
 * Valid as long as the socket. */
CVN_API cvn_slice cvn_socket_header(const cvn_socket *socket, const char *name);
/** A query parameter, still percent-encoded. */
CVN_API cvn_slice cvn_socket_query(const cvn_socket *socket, const char *name);
/** The auth payload of the CONNECT packet: a JSON object, "{}" when none was sent. */
CVN_API cvn_slice cvn_socket_auth(const cvn_socket *socket);
/** The peer's numeric address. */
CVN_API const char *cvn_socket_address(const cvn_socket *socket);
/** Whether it came over TLS. */
CVN_API bool cvn_socket_is_secure(const cvn_socket *socket);
/** Appends the whole handshake as the reference server shows it: {headers, time, address, xdomain,
 * secure, issued, url, query, auth}. */
CVN_API void cvn_socket_handshake_json(const cvn_socket *socket, cvn_text *text);

/* --- The application's own data --- */

/** Replaces the pointer; the old one is given to its destructor. `destroy` (may be NULL) runs after
 * the disconnect handlers, on the thread that drops the last reference. */
CVN_API void cvn_socket_set_data(cvn_socket *socket, void *data, void (*destroy)(void *data));
/** The pointer that was set last; NULL before. */
CVN_API void *cvn_socket_data(const cvn_socket *socket);

/** Replaces the pointer that all sockets of its connection share, in whatever namespaces they are;
 * the old one is given to its destructor. Set in a middleware, it is there for those of the client's
 * next namespaces. `destroy` (may be NULL) runs when the connection has ended and the last of its
 * sockets has been freed (see cvn_socket_ref), and what cvn_fetch_sockets told of them, on the thread
 * that drops the last reference. A
 * recovered socket has the data of its new connection. */
CVN_API void cvn_socket_set_connection_data(cvn_socket *socket, void *data,
                                            void (*destroy)(void *data));
/** The pointer that was set last by any socket of its connection; NULL before. */
CVN_API void *cvn_socket_connection_data(const cvn_socket *socket);

/** One JSON value that describes the socket to others ("{}" at first): what the reference server
 * calls socket.data. cvn_fetch_sockets shows it, on every worker. Copied. CVN_ERR_JSON,
 * CVN_ERR_MEMORY. */
CVN_API enum cvn_error cvn_socket_set_attributes(cvn_socket *socket, const char *json);
/** Valid until it is set again. */
CVN_API cvn_slice cvn_socket_attributes(const cvn_socket *socket);

/* --- Rooms --- */

/** Joins; CVN_OK too when it is in already. CVN_ERR_STATE when not connected, CVN_ERR_LIMIT,
 * CVN_ERR_ARGUMENT for an empty name, CVN_ERR_MEMORY. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_join(cvn_socket *socket, const char *room);
/** Leaves; nothing happens when it is not in. The room of its own id cannot be left. */
CVN_API void cvn_leave(cvn_socket *socket, const char *room);
/** Whether it is in the room. */
CVN_API bool cvn_socket_in_room(const cvn_socket *socket, const char *room);
/** Room number `index`, its own id first; NULL behind the last. Valid until the next join or
 * leave. */
CVN_API const char *cvn_socket_room(const cvn_socket *socket, size_t index);

/* --- Ending --- */

/** Leaves the namespace ("server namespace disconnect"); with `close` every namespace of the
 * client, and the connection. The disconnect handlers run before it returns. */
CVN_API void cvn_disconnect(cvn_socket *socket, bool close);

#ifdef __cplusplus
}
#endif
#endif
