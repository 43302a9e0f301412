/**
 * @file
 * What is done to many sockets at once, on whichever worker they are: change their rooms, end them,
 * ask them, look at them.
 */
#ifndef CONVENE_SOCKETS_H
#define CONVENE_SOCKETS_H

#include <convene/emit.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * These take a target as cvn_emit does and, like it, may be called on any thread: for sockets of
 * the calling worker it is done when the call returns, for others soon after, in the order of the
 * calls of one thread. What is done to the parent of dynamic namespaces is done to each of its
 * children; only asking a parent is CVN_ERR_ARGUMENT. Errors: CVN_ERR_ARGUMENT (no namespace; no
 * room name), CVN_ERR_MEMORY (some sockets may not be reached), CVN_ERR_STATE when the server does
 * not run.
 */

/** Makes the sockets join `room`. One that is in too many rooms already does not, which is said to
 * the log. */
CVN_API enum cvn_error cvn_sockets_join(const cvn_target *target, const char *room);
/** Makes the sockets leave `room`. */
CVN_API enum cvn_error cvn_sockets_leave(const cvn_target *target, const char *room);
/** Disconnects the sockets as cvn_disconnect does; with `close` their connections. */
CVN_API enum cvn_error cvn_sockets_disconnect(const cvn_target *target, bool close);

/* --- Acknowledgements of many --- */

/** What one socket answered. */
typedef struct cvn_answer {
    const char *socket_id; /**< whose; "" when that was not said, or it is no socket's */
    cvn_args args;         /**< what it said */
    const char *node;      /**< id of the node it came from; "" for this one, or when not said */
} cvn_answer;

/** What came back for one cvn_emit_ack. All of it is valid during the call that hands it over. */
typedef struct cvn_answers {
    const cvn_answer *items; /**< in the order of arrival */
    size_t count;            /**< of items */
    size_t asked;            /**< sockets that were to answer */
} cvn_answers;

/**
 * Called exactly once: on the worker that called cvn_emit_ack, on worker 0 when another thread did;
 * when the server ends before, on the thread that frees it. CVN_OK: all have answered. Else some
 * answers are missing, what came is there: CVN_ERR_TIMEOUT, CVN_ERR_STATE (those who did not answer
 * have gone), CVN_ERR_LIMIT (a socket owes too many acknowledgements already, or the answers
 * together are larger than 64 MiB), CVN_ERR_MEMORY.
 */
typedef void (*cvn_answers_fn)(enum cvn_error error, const cvn_answers *answers, void *data);

/** Emits to every socket of the target and collects their acknowledgements for `timeout_ms` (0:
 * 5000). `fn` is not called before this returns, and never when this returns an error: those of
 * cvn_emit. CVN_LOCAL_WORKER needs a worker as the caller. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_emit_ack(const cvn_target *target, const char *event,
                                                   cvn_args args, uint32_t timeout_ms,
                                                   cvn_answers_fn fn, void *data);

/* --- Who is there --- */

/** A connected socket as it was when it was looked at. */
typedef struct cvn_remote_socket cvn_remote_socket;

/** Called exactly once, on the thread that cvn_answers_fn names. `sockets` are valid during the
 * call. CVN_OK: these are all; CVN_ERR_TIMEOUT, CVN_ERR_MEMORY, CVN_ERR_STATE (the server ends):
 * some may be missing. */
typedef void (*cvn_fetch_fn)(enum cvn_error error, const cvn_remote_socket *const *sockets,
                             size_t count, void *data);
/** Asks every worker, and every server of the cluster, for the sockets of the target. To do something to one of them use its id as a
 * target's room. Waits `timeout_ms` (0: 5000). Errors and `fn` as for cvn_emit_ack. */
CVN_API CVN_MUST_CHECK enum cvn_error
cvn_fetch_sockets(const cvn_target *target, uint32_t timeout_ms, cvn_fetch_fn fn, void *data);

/** The socket's id. */
CVN_API const char *cvn_remote_id(const cvn_remote_socket *remote);
/** Id of its node when that is another server of the cluster, or "?" when that did not say; "" for
 * this server's sockets. */
CVN_API const char *cvn_remote_node(const cvn_remote_socket *remote);
/** Index of its worker; 0 for those of other nodes. */
CVN_API unsigned cvn_remote_worker(const cvn_remote_socket *remote);
/** Room number `index`, its own id first; NULL behind the last. */
CVN_API const char *cvn_remote_room(const cvn_remote_socket *remote, size_t index);
/** As cvn_socket_attributes. */
CVN_API cvn_slice cvn_remote_attributes(const cvn_remote_socket *remote);
/** As cvn_socket_handshake_json. */
CVN_API void cvn_remote_handshake_json(const cvn_remote_socket *remote, cvn_text *text);

#ifdef __cplusplus
}
#endif
#endif
