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

struct collecting {
    const struct sio_frames *frames;
    struct sio_collected *receivers;
};

static void send_and_collect(struct cvn_socket *socket, void *data)
{
    const struct collecting *collecting = data;
    if (sio_socket_send(socket, collecting->frames))
        sio_collect(collecting->receivers, socket);
}

void sio_broadcast_deliver(struct sio_worker *worker, const struct sio_op *op,
                           struct sio_collected *ret_receivers)
{
    if (ret_receivers != NULL) {
        struct collecting collecting = {&op->frames, ret_receivers};
        sio_select_each(worker, op, send_and_collect, &collecting);
        return;
    }
    sio_select_each(worker, op, send_to, (void *)&op->frames);
}
