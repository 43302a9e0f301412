/**
 * @file
 * Sending events: to one socket, to rooms, to a namespace.
 */
#ifndef CONVENE_EMIT_H
#define CONVENE_EMIT_H

#include <convene/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Rooms that fit into a cvn_target itself. */
#define CVN_TARGET_ROOMS 8

/** Bits of cvn_target.flags. */
enum cvn_emit_flags {
    CVN_VOLATILE = 1,     /**< drop it for a client that cannot take it now */
    CVN_LOCAL_WORKER = 2, /**< only the sockets of the calling worker */
    CVN_NO_COMPRESS = 4,  /**< send it as it is, whatever the options say of compression; a poll's
                               answer is compressed as a whole when anything else in it may be */
    CVN_LOCAL = 8 /**< only the sockets of this server, all its workers, whatever the adapter */
};

/** Whom an emit reaches: the sockets of `nsp` that are in at least one of `rooms` (no rooms: all)
 * and in none of `except`. A socket's id is a room. Each socket gets it once. The lists end at the
 * first NULL. */
typedef struct cvn_target {
    cvn_namespace *nsp;                   /**< whose sockets; a parent's: all its children's */
    const char *rooms[CVN_TARGET_ROOMS];  /**< in one of these; none: all */
    const char *except[CVN_TARGET_ROOMS]; /**< and in none of these */
    const char *const *more_rooms;        /**< for lists longer than `rooms`; may be NULL */
    size_t more_room_count;               /**< how many */
    const char *const *more_except;       /**< for lists longer than `except`; may be NULL */
    size_t more_except_count;             /**< how many */
    unsigned flags;                       /**< enum cvn_emit_flags */
    /** NULL, or a key of 1 to 255 bytes: the event takes the place of an older one of that key
     * which still waits in a socket's queue, see cvn_socket_emit_conflated. Not with
     * acknowledgements (CVN_ERR_ARGUMENT). */
    const char *conflate;
} cvn_target;

/** All other sockets of its namespace, as the reference server's socket.broadcast: a target to be
 * made narrower with rooms and flags. Valid as long as the socket. Any thread. */
static inline cvn_target cvn_others(const cvn_socket *socket)
{
    cvn_target target;
    memset(&target, 0, sizeof target);
    target.nsp = cvn_socket_namespace(socket);
    target.except[0] = cvn_socket_id(socket);
    return target;
}

/**
 * Emits to every socket of the target, on all workers and on all servers of the cluster, if there
 * is an adapter (adapter.h). Encoded once (for a parent of dynamic namespaces once a child); what it points to may be freed when it returns. Any thread: sockets of
 * the calling worker have it queued when this returns, others soon after. Order is kept between
 * emits of one thread. CVN_ERR_JSON when `args` are malformed or do not fit the attachments,
 * CVN_ERR_ARGUMENT (a reserved or missing event name), CVN_ERR_LIMIT (too large, too many
 * attachments), CVN_ERR_MEMORY, CVN_ERR_STATE when the server does not run; besides, the adapter's
 * errors, when own sockets alone have got it.
 */
CVN_API enum cvn_error cvn_emit(const cvn_target *target, const char *event, cvn_args args);

/** Emits to one socket. Besides the errors of cvn_emit CVN_ERR_STATE when it is not connected. */
CVN_API enum cvn_error cvn_socket_emit(cvn_socket *socket, const char *event, cvn_args args);
/** The same, but dropped (CVN_OK) for a client that cannot take it now. */
CVN_API enum cvn_error cvn_socket_emit_volatile(cvn_socket *socket, const char *event,
                                                cvn_args args);

/**
 * Emits to one socket; the latest value wins: if an older event of the same key waits in the
 * socket's queue, whole, its place is taken, attachments and all, and the older one is never sent.
 * A client that keeps up gets everything but what was overtaken within one turn of the worker; a
 * slow one gets the latest of each key, in bounded memory. Events of one key arrive in the order
 * they were emitted in, and so do those without a key; an event with a key may arrive before others
 * that were emitted between the older one and it. So what must be seen in order with other events
 * needs no key. Keys of different namespaces do not meet. With CVN_VOLATILE (on a target) one that
 * takes no other's place may be dropped. CVN_ERR_ARGUMENT too for a key that is NULL, empty or
 * longer than 255 bytes.
 */
CVN_API enum cvn_error cvn_socket_emit_conflated(cvn_socket *socket, const char *event,
                                                 cvn_args args, const char *key);

/** Emits to one socket with all that may be said: CVN_VOLATILE and CVN_NO_COMPRESS of `flags` (others
 * mean nothing here), and `conflate`, NULL or a key as above. */
CVN_API enum cvn_error cvn_socket_emit_with(cvn_socket *socket, const char *event, cvn_args args,
                                            unsigned flags, const char *conflate);

/** What the client answered: CVN_OK and its arguments (valid during the call), CVN_ERR_TIMEOUT, or
 * CVN_ERR_STATE when it has gone. Called exactly once, on the socket's worker. */
typedef void (*cvn_ack_fn)(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data);
/** Emits and asks for an acknowledgement within `timeout_ms` (0: until it disconnects). When this
 * returns an error `fn` is not called. CVN_ERR_LIMIT when too many are pending. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_socket_emit_ack(cvn_socket *socket, const char *event,
                                                          cvn_args args, uint32_t timeout_ms,
                                                          cvn_ack_fn fn, void *data);

#ifdef __cplusplus
}
#endif
#endif
