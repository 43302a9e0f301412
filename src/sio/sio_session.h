/*
 * What is kept of a socket for a client that may come back: who it was, its rooms and data, and which emits it may not have got.
 *
 * A session belongs to one worker, its home: that of its socket, or of the socket that has gone. Between two homes it is nobody's but the
 * claim's that carries it, see sio_recovery.c.
 */
#ifndef SIO_SESSION_H
#define SIO_SESSION_H

#include "sio/sio_log.h"

/* A room of a parked session. */
struct sio_session_room {
    uint64_t since; /* number in the home's log from which on its events were for this session */
    cvn_slice name; /* with a NUL behind it */
};

struct sio_session {
    char pid[SIO_ID_SIZE + 1]; /* the client's secret */
    char sid[SIO_ID_SIZE + 1];
    struct sio_local *home; /* written under the registry's lock */
    bool is_registered;
    struct cvn_socket *socket; /* connected or about to be; NULL while parked or on its way */
    struct list link;          /* parked: in the worker's list, oldest first */
    struct timer timer;        /* parked: its end; connected: when the prefix has surely arrived */
    uint64_t parked_ms;

    /* What the client may not have got: first the prefix, emits that were sent to it when it came back, in that order; then what is
     * for it in the home's log from number `start` on. With `seen` the session has come from another worker, whose emits up to those numbers
     * of each lane have had their chance. */
    struct sio_op **prefix; /* references */
    size_t prefix_count;
    uint64_t start;
    uint64_t *seen; /* by shared lane; or NULL */

    /* Of the socket that has gone. */
    struct sio_session_room *rooms; /* with the names in the same allocation */
    size_t room_count;
    struct message *attributes; /* a reference, or NULL */
    void *data;
    void (*destroy_data)(void *data);
};

void sio_registry_init(struct sio_registry *registry);
void sio_registry_release(struct sio_registry *registry);
/* The worker that has the session, NULL when there is none in that namespace. Any thread; it may have moved when you look. */
struct sio_worker *sio_registry_home(struct sio_registry *registry, cvn_slice pid,
                                     const struct cvn_namespace *nsp);
/* The session if `local` is its home; on that worker. */
struct sio_session *sio_registry_find(struct sio_registry *registry, cvn_slice pid,
                                      const struct sio_local *local);

/* A registered session of a socket that joins now. NULL when memory has run out. */
struct sio_session *sio_session_new(struct cvn_socket *socket);
/* Ends it for good, wherever it is but in a list of another worker. NULL is accepted. */
void sio_session_free(struct sio_session *session);
void sio_session_set_home(struct sio_session *session, struct sio_local *home);

/* Copies the rooms of its socket. False when memory has run out. */
bool sio_session_keep_rooms(struct sio_session *session);
/* Without its socket: waits on its home for the client, or its time. */
void sio_session_park(struct sio_session *session);
/* Is taken from there. */
void sio_session_unpark(struct sio_session *session);

/*
 * Whom the client says it got last: everything up to there is dropped. A position that is not found lies before everything kept.
 * False: emits are missing that it may not have got.
 */
bool sio_session_seek(struct sio_session *session, const struct sio_position *last);
/* Makes all that it may not have got, up to now, its prefix; the log follows from its end. False when something is missing or memory
 * has run out: nothing changed. On its home, its rooms kept. */
bool sio_session_collect(struct sio_session *session);
/* Readies a collected session for another worker: remembers what of each lane it has had. False when memory has run out. */
bool sio_session_leave_home(struct sio_session *session);
void sio_session_drop_prefix(struct sio_session *session);

/* Whether an op's target has the parked session in it. */
bool sio_session_matches(const struct sio_session *session, const struct sio_op *op);

#endif
