/*
 * How ops reach sockets that live elsewhere. The namespace knows nothing but this interface; adapters (the workers of one
 * process, Redis, ...) implement it in cluster/.
 */
#ifndef SIO_ADAPTER_H
#define SIO_ADAPTER_H

#include <convene/adapter.h>
#include "sio/sio_op.h"

struct sio_adapter {
    /* Brings `op` to every worker and node, the calling one included; with CVN_LOCAL to the workers of this process only, with
     * CVN_LOCAL_WORKER to the calling one. Any thread. CVN_ERR_MEMORY: some may not have got it;
     * CVN_ERR_STATE: the server does not run. */
    enum cvn_error (*publish)(struct sio_adapter *adapter, const struct sio_op *op);
    void (*free)(struct sio_adapter *adapter);
    /* As those of cvn_adapter; NULL when the server is no node of a cluster. */
    unsigned (*peers)(struct sio_adapter *adapter, cvn_slice nsp);
    enum cvn_error (*respond)(struct sio_adapter *adapter, const cvn_cluster_answer *answer);
};

/* Whether `op` goes to other nodes, too. */
static inline bool sio_adapter_leaves_node(const struct sio_op *op)
{
    return op->nsp->server->adapter->peers != NULL && !op->from_peer &&
           !(op->flags & (CVN_LOCAL | CVN_LOCAL_WORKER));
}

#endif
