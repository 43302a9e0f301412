/* Sockets set aside during a walk, with a reference each, for what must not happen inside of it: the application's code. */
#ifndef SIO_COLLECT_H
#define SIO_COLLECT_H

#include "sio/sio_socket.h"

/* Zeroed = none. */
struct sio_collected {
    struct cvn_socket **sockets;
    size_t count, capacity;
    bool failed; /* memory has run out: some are missing */
};

void sio_collect(struct sio_collected *collected, struct cvn_socket *socket);
void sio_collect_release(struct sio_collected *collected);

#endif
