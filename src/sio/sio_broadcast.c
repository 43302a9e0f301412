/*
 * Delivery of a broadcast to the sockets of one worker. The packet was encoded once; here each receiver only gets references.
 * Worker's thread.
 */
#include "sio/sio_broadcast.h"
#include "sio/sio_select.h"

static void send_to(struct cvn_socket *socket, void *frames)
{
    sio_socket_send(socket, frames);
}

void sio_broadcast_deliver(struct sio_worker *worker, const struct sio_op *op)
{
    sio_select_each(worker, op, send_to, (void *)&op->frames);
}
