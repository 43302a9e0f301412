/* An emit to many, on one worker. */
#ifndef SIO_BROADCAST_H
#define SIO_BROADCAST_H

#include "sio/sio_collect.h"
#include "sio/sio_op.h"

/* Queues it on the sockets of this worker that it is meant for; unless NULL, `ret_receivers` gets those that took it. On that worker. */
void sio_broadcast_deliver(struct sio_worker *worker, const struct sio_op *op,
                           struct sio_collected *ret_receivers);

#endif
