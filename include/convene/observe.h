/**
 * @file
 * Watching a whole server: who comes and goes, which rooms they are in, what is said. For tools that
 * show it, such as an admin's console; what an application does itself belongs into its handlers.
 */
#ifndef CONVENE_OBSERVE_H
#define CONVENE_OBSERVE_H

#include <convene/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What an observer is told, of all namespaces, children of dynamic ones included. A function that is
 * NULL is not called. Each runs on the socket's worker at the moment the thing happens, so it may
 * look at sockets and emit, but must not change rooms or end sockets; what it is given is valid
 * during the call.
 */
typedef struct cvn_observer {
    /** The socket is in the room: the reference's adapter event "join-room". The room of its own id
     * is the first of each socket, told when it joins its namespace and before its connection
     * handlers run. */
    void (*on_join)(cvn_socket *socket, const char *room, void *data);
    /** It has left the room: "leave-room". When it leaves its namespace, all its rooms, that of its
     * own id last, between the disconnecting and the disconnect handlers. */
    void (*on_leave)(cvn_socket *socket, const char *room, void *data);
    /** It has left its namespace, after the disconnect handlers. `reason` is static. */
    void (*on_disconnect)(cvn_socket *socket, const char *reason, void *data);
    /** Its connection was upgraded, see cvn_socket_transport. */
    void (*on_upgrade)(cvn_socket *socket, void *data);
    /** An event came from its client and has passed the event middlewares; before any handler. */
    void (*on_event)(cvn_socket *socket, const cvn_event *event, void *data);
    /** An event was queued for it: as cvn_on_any_outgoing. What the observer emits in here is told
     * of, too. */
    void (*on_outgoing)(cvn_socket *socket, const char *event, cvn_args args, void *data);
    void *data; /**< given to the functions */
} cvn_observer;

/** Sets the observer, which is copied; it is told nothing until cvn_observe. Before the server
 * starts, on the thread that will start it. CVN_ERR_STATE later, or when there is one already;
 * CVN_ERR_ARGUMENT. */
CVN_API enum cvn_error cvn_set_observer(cvn_server *server, const cvn_observer *observer);
/** Begins or ends to tell the observer. Nothing that is observable costs more than a look at a flag
 * while it is not told; while it is, a broadcast copies its name and arguments for the other
 * workers. Workers take notice at once, and at the latest with what is posted to them afterwards
 * (cvn_post). Does nothing without an observer. Any thread. */
CVN_API void cvn_observe(cvn_server *server, bool on);

/**
 * Walks the sockets of the calling worker in `nsp`, from *cursor = 0 on; NULL behind the last. The
 * walk may go on in a later turn of the worker: a socket that was there at its beginning and still
 * is at its end is met at least once, one that came in between perhaps not. NULL on a thread that
 * is no worker of the server.
 */
CVN_API cvn_socket *cvn_next_socket(const cvn_namespace *nsp, size_t *cursor);

/** Calls `fn` for each namespace that exists now: those made by cvn_of and the children of dynamic
 * ones, kept during the call; not for the parents. Any thread once the server has started, before
 * that the one that will start it. CVN_ERR_MEMORY: children were left out. */
CVN_API enum cvn_error cvn_each_namespace(cvn_server *server,
                                          void (*fn)(cvn_namespace *nsp, void *data), void *data);

#ifdef __cplusplus
}
#endif
#endif
