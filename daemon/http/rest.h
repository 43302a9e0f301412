/*
 * The daemon's own endpoints: health, numbers, metrics, what is up, and an operator's broadcast and log level (docs/operations.md). Put together on
 * the main thread before the server starts; the routes run on their workers.
 */
#ifndef HTTP_REST_H
#define HTTP_REST_H

#include "http/router.h"
#include "observe/audit.h"
#include "store/store.h"

/* All belongs to the caller and outlives the rest. `store`, `metrics` and `audit` may be NULL: the store does not count for readiness then, there is
 * no /metrics, nothing is audited. */
struct rest_parts {
    const struct config *config;
    cvn_server *server;
    struct router *router;
    struct store *store;
    struct metrics *metrics;
    struct audit *audit;
};

struct rest;

/* Registers all of its routes, and its collectors with the metrics. NULL: no memory, or the server has started. */
struct rest *rest_new(const struct rest_parts *parts);
/* When no worker runs any more and the store is closed; before the router goes. NULL is accepted. */
void rest_free(struct rest *rest);
/* From now on the server is not ready: who watches sends nobody here. Any thread. */
void rest_drain(struct rest *rest);
/* Reads the certificate's expiry again, and what else it shows of the configuration that a reload may change. Main thread. */
void rest_reconfigure(struct rest *rest, const struct config *config);

#endif
