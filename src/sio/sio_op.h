/*
 * One thing done to the sockets of a target, wherever they are: an emit, a change of rooms, a disconnect, a question. What an adapter
 * carries to every worker and node; each worker applies it to its own sockets.
 */
#ifndef SIO_OP_H
#define SIO_OP_H

#include "sio/sio_socket.h"

enum sio_op_type {
    SIO_OP_EMIT,       /* frames; with an origin the sockets are to acknowledge */
    SIO_OP_JOIN,       /* name: the room */
    SIO_OP_LEAVE,      /* name: the room */
    SIO_OP_DISCONNECT, /* close: the whole connection */
    SIO_OP_FETCH,      /* origin: who wants to know what sockets there are */
    SIO_OP_SERVER_EMIT /* event, args: to the other nodes themselves, to no socket */
};

/* Who waits for answers, see sio_request.h; request 0: nobody does. */
struct sio_origin {
    unsigned worker;
    uint64_t request;
};

/* What an emit is known by where clients may come back for it, see sio_log.h; number 0: it is not logged. */
struct sio_position {
    unsigned lane; /* who emits, see below */
    uint64_t number;
};

/*
 * Lanes of a server with n workers: 0 to n - 1 are what each worker emits to all, n is all other threads, and n + 1 + i what worker i emits to its
 * own sockets alone. Workers see the emits of one lane in the same order, those of different lanes in any.
 */
#define SIO_LANES(workers) (2 * (workers) + 1)

static inline bool sio_lane_is_shared(unsigned lane, unsigned workers)
{
    return lane <= workers;
}

/* On the stack all memory is borrowed (refs 0); one made by sio_op_ref owns what it points to. Immutable. */
struct sio_op {
    atomic_uint refs;
    uint8_t type; /* enum sio_op_type */
    bool close;
    bool from_peer;      /* another node has sent it, and goes on to this one's workers alone */
    bool to_socket;      /* the one room is a socket's id, not a room of that name */
    unsigned flags;      /* enum cvn_emit_flags */
    uint32_t timeout_ms; /* for acknowledgements; 0: none */
    struct cvn_namespace *nsp;
    const cvn_slice *rooms; /* none: the whole namespace */
    size_t room_count;
    const cvn_slice *except;
    size_t except_count;
    cvn_slice name;           /* with a NUL behind it */
    struct sio_frames frames; /* EMIT */
    const char *event; /* of an emit, when catch-all listeners or other nodes want it; else NULL */
    cvn_args args;     /* what `event` was emitted with */
    const char *conflate; /* its key, or NULL */
    struct sio_position position;
    struct sio_origin origin;
};

/* The same op, to be kept: one more reference, or, of a borrowed one, a copy. NULL when memory has run out. Any thread. */
struct sio_op *sio_op_ref(const struct sio_op *op) __attribute__((warn_unused_result));
/* NULL is accepted; not for borrowed ones. Any thread. */
void sio_op_unref(struct sio_op *op);

/* Does it to the sockets of this worker. On that worker. */
void sio_op_apply(struct sio_worker *worker, const struct sio_op *op);

#endif
