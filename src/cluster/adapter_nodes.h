/*
 * The adapter of a server that is a node of a cluster: the workers' one for its own sockets, and the application's (cvn_adapter) for the other
 * nodes. Requests are known to those as "<node id>.<worker>.<number>".
 */
#ifndef ADAPTER_NODES_H
#define ADAPTER_NODES_H

#include "sio/sio_adapter.h"

/* Of enum cvn_emit_flags: what goes from node to node. */
#define ADAPTER_NODES_FLAGS (CVN_VOLATILE | CVN_NO_COMPRESS)

/* What the application's adapter sees of the server. */
struct cvn_cluster {
    struct sio_adapter adapter;
    struct sio_server *server;
    struct sio_adapter *workers;
    struct cvn_adapter *outer; /* the server's, which frees it */
    char id[CVN_NODE_ID_SIZE + 1];
};

/* Takes `workers` over. NULL when memory has run out. */
struct cvn_cluster *adapter_nodes_new(struct sio_server *server, struct sio_adapter *workers,
                                      struct cvn_adapter *outer);

/* Longest name of a request, with a NUL. */
#define ADAPTER_NODES_REQUEST_SIZE (CVN_NODE_ID_SIZE + 1 + 2 + 1 + 16 + 1)
size_t adapter_nodes_write_request(const struct cvn_cluster *cluster, struct sio_origin origin,
                                   char ret[ADAPTER_NODES_REQUEST_SIZE]);
/* False for what is no request of this node. */
bool adapter_nodes_read_request(const struct cvn_cluster *cluster, cvn_slice text,
                                struct sio_origin *ret);

#endif
