/* What the files of the endpoints tell each other and nobody else. */
#ifndef HTTP_REST_INTERNAL_H
#define HTTP_REST_INTERNAL_H

#include "http/census.h"
#include "http/rest.h"
#include <stdatomic.h>

#define REST_DYNAMIC 5

struct rest {
    struct rest_parts parts;
    struct census *census;
    int64_t started_ms; /* wall clock */
    int64_t started_steady_ms;
    atomic_bool is_draining;
    _Atomic size_t peak;          /* of connections, looked at every second */
    _Atomic int64_t cert_expires; /* Unix seconds; 0: no certificate */
    _Atomic uint32_t max_connections;
    _Atomic uint64_t dynamic_seen[REST_DYNAMIC]; /* see rest_metrics.c */
    cvn_timer *timer;                            /* of worker 0 */
    struct rest_probe *probes; /* one a worker, see rest_delivery.c; NULL without metrics */
};

double rest_uptime(const struct rest *rest); /* seconds */
/* "2026-11-21T11:15:54.123Z" */
#define REST_TIME_SIZE 32
void rest_time(int64_t ms, char ret[REST_TIME_SIZE]);
/* Takes a look at the numbers, and notices a new peak. */
void rest_stats(struct rest *rest, cvn_stats *ret);
/* {"ok":true,"data":...}; takes the reference. */
void rest_answer_data(struct request *request, json_t *data);
void rest_audit(struct rest *rest, const struct request *request, const char *action,
                const char *subject, const char *nsp);

/* Sums over namespaces: those made by name each, the children of dynamic ones together. */
struct rest_namespace {
    const char *name;
    bool is_dynamic;
    cvn_namespace_counters counters;
};
struct rest_namespaces {
    struct rest_namespace items[256];
    size_t count;
};
/* NULL: no memory; to be freed with free(). */
struct rest_namespaces *rest_list_namespaces(struct rest *rest);

/* --- The process, from /proc; zeros where it does not say --- */

struct rest_process {
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
    unsigned threads;
    double cpu_seconds;
};
void rest_process_read(struct rest_process *ret);

/* Registers the measure of how long deliveries are under way, and takes it: once a second, on worker 0. */
bool rest_delivery_add(struct rest *rest);
void rest_delivery_measure(struct rest *rest);

/* --- Each registers its routes --- */

bool rest_health_add(struct rest *rest);
bool rest_stats_add(struct rest *rest);
bool rest_metrics_add(struct rest *rest);
bool rest_realtime_add(struct rest *rest);
bool rest_broadcast_add(struct rest *rest);

/* Why the server is not ready: up to 4 words; returns how many. Without the store's probe. */
size_t rest_not_ready(const struct rest *rest, const char *ret_reasons[4]);
/* The numbers as the stats endpoint has them. NULL: no memory. */
json_t *rest_server_stats(struct rest *rest);
json_t *rest_namespaces_json(const struct rest_namespaces *namespaces);
/* The largest `limit` rooms that begin with `prefix` and are in `nsp` (NULL: any); *ret_matching is how many there are. */
json_t *rest_rooms_json(const struct census_result *result, const char *nsp, const char *prefix,
                        size_t limit, size_t *ret_matching);

#endif
