/*
 * How broadcasts reach sockets that live elsewhere. The namespace knows nothing but this interface; adapters (the workers of one
 * process, Redis, ...) implement it in cluster/.
 */
#ifndef SIO_ADAPTER_H
#define SIO_ADAPTER_H

#include "sio/sio_broadcast.h"

struct sio_adapter {
    /* Brings `broadcast` to every worker and node, the calling one included. Any thread. CVN_ERR_MEMORY: some may not have got it;
     * CVN_ERR_STATE: the server does not run. */
    enum cvn_error (*broadcast)(struct sio_adapter *adapter, const struct sio_broadcast *broadcast);
    void (*free)(struct sio_adapter *adapter);
};

#endif
