/*
 * An adapter for tests: the servers of one process, linked by a hub in memory. What is published is copied and delivered by the hub's own
 * thread, later; ops of one node in their order, those of different nodes in any, which a fixed seed decides.
 */
#ifndef MEMORY_ADAPTER_H
#define MEMORY_ADAPTER_H

#include <convene/adapter.h>

#define MEMORY_NODES 4

struct memory_hub;

struct memory_hub *memory_hub_new(unsigned seed);
/* After all servers have been freed. */
void memory_hub_free(struct memory_hub *hub);

/* The adapter of the next server; NULL when memory has run out. */
cvn_adapter *memory_adapter_new(struct memory_hub *hub);

/* From now on the node number `index`, in the order of memory_adapter_new, gets nothing and says nothing, and nobody has noticed. */
void memory_hub_kill(struct memory_hub *hub, unsigned index);
/* Waits until everything published so far has been delivered. */
void memory_hub_settle(struct memory_hub *hub);
/* The node as it is known to its adapter; NULL unless it runs. */
cvn_cluster *memory_hub_cluster(struct memory_hub *hub, unsigned index);

#endif
