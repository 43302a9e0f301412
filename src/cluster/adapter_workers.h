/* The adapter of one process: brings a broadcast to the sockets of every worker. */
#ifndef ADAPTER_WORKERS_H
#define ADAPTER_WORKERS_H

#include "sio/sio_adapter.h"

/* `server` must be prepared before the first broadcast and outlive it. NULL when memory has run out. */
struct sio_adapter *adapter_workers_new(struct sio_server *server);

#endif
