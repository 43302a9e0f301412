/* An emit to many: whom it reaches and what is sent, and its delivery to the sockets of one worker. */
#ifndef SIO_BROADCAST_H
#define SIO_BROADCAST_H

#include "sio/sio_socket.h"

/* All memory is borrowed; an adapter that needs it longer makes its own copy. */
struct sio_broadcast {
    struct cvn_namespace *nsp;
    const cvn_slice *rooms; /* none: the whole namespace */
    size_t room_count;
    const cvn_slice *except;
    size_t except_count;
    unsigned flags; /* enum cvn_emit_flags */
    const struct sio_frames *frames;
};

/* Queues it on the sockets of this worker that it is meant for. On that worker. */
void sio_broadcast_deliver(struct sio_worker *worker, const struct sio_broadcast *broadcast);

#endif
