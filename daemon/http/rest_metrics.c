/*
 * GET /metrics: what parts count themselves, and what is read when somebody asks: the library's numbers, the store's, the process's. On the worker of
 * the request. docs/operations.md has the list.
 */
#include "http/rest_internal.h"
#include <stdlib.h>

#define MAX_TEXT ((size_t)16 << 20)

static void write_one(cvn_text *text, const char *name, const char *type, const char *help,
                      double value)
{
    metrics_write_family(text, name, type, help);
    metrics_write_sample(text, name, NULL, NULL, value);
}

/* How connections begin, go on and end. */
static void collect_connections(cvn_text *text, const cvn_stats *stats)
{
    metrics_write_family(text, "convened_connections_refused_total", "counter",
                         "HTTP requests of Engine.IO that were refused, by reason.");
    for (int i = 0; i < CVN_REFUSALS; i++)
        metrics_write_sample(text, "convened_connections_refused_total", "reason",
                             (const char *const[]){cvn_refusal_text((enum cvn_refusal)i)},
                             (double)stats->refused[i]);
    metrics_write_family(text, "convened_connections_closed_total", "counter",
                         "Connections that have ended, by reason.");
    for (int i = 0; i < CVN_CLOSE_REASONS; i++)
        metrics_write_sample(text, "convened_connections_closed_total", "reason",
                             (const char *const[]){cvn_close_reason_text((enum cvn_close_reason)i)},
                             (double)stats->closed[i]);
    metrics_write_family(text, "convened_transport_upgrades_total", "counter",
                         "Upgrades from polling to WebSocket that were begun, by result.");
    metrics_write_sample(text, "convened_transport_upgrades_total", "result",
                         (const char *const[]){"ok"}, (double)stats->upgrades);
    metrics_write_sample(text, "convened_transport_upgrades_total", "result",
                         (const char *const[]){"failed"}, (double)stats->upgrades_failed);
    write_one(text, "convened_sockets_recovered_total", "counter",
              "Sockets that came back and got what they had missed.", (double)stats->recovered);
    write_one(text, "convened_send_queue_bytes", "gauge",
              "Bytes that wait for clients to take them.", (double)stats->queued);
}

static void collect_server(struct metrics *metrics, cvn_text *text, void *data)
{
    struct rest *rest = data;
    const char *reasons[4];
    cvn_stats stats;
    (void)metrics;
    rest_stats(rest, &stats);
    metrics_write_family(text, "convened_build_info", "gauge", "Which version this is; always 1.");
    metrics_write_sample(text, "convened_build_info", "version",
                         (const char *const[]){CONVENE_VERSION}, 1);
    write_one(text, "convened_ready", "gauge", "Whether clients may be sent here: 1, else 0.",
              rest_not_ready(rest, reasons) == 0);
    write_one(text, "convened_draining", "gauge", "Whether the server is about to stop: 1, else 0.",
              atomic_load(&rest->is_draining));
    write_one(text, "convened_uptime_seconds", "gauge", "Since the start.", rest_uptime(rest));
    write_one(text, "convened_workers", "gauge", "Threads that serve connections.",
              cvn_server_workers(rest->parts.server));
    metrics_write_family(text, "convened_connections", "gauge",
                         "Open connections (sessions of Engine.IO) by transport.");
    metrics_write_sample(text, "convened_connections", "transport",
                         (const char *const[]){"websocket"}, (double)stats.websocket);
    metrics_write_sample(text, "convened_connections", "transport",
                         (const char *const[]){"polling"}, (double)stats.polling);
    write_one(text, "convened_connections_peak", "gauge",
              "The most connections at once since the start.", (double)atomic_load(&rest->peak));
    write_one(text, "convened_connections_limit", "gauge",
              "limits.max_connections: the most connections that are let in; 0: no limit.",
              atomic_load(&rest->max_connections));
    write_one(text, "convened_connections_opened_total", "counter", "Connections since the start.",
              (double)stats.connections_total);
    collect_connections(text, &stats);
    write_one(text, "convened_log_entries_lost_total", "counter",
              "Entries of the log that standard error would not take.", (double)log_lost());
    int64_t expires = atomic_load(&rest->cert_expires);
    if (expires != 0)
        write_one(text, "convened_tls_certificate_expiry_timestamp_seconds", "gauge",
                  "When the TLS certificate ends to be valid.", (double)expires);
}

/* --- Namespaces --- */

struct column {
    const char *name, *type, *help;
    size_t offset; /* in cvn_namespace_counters */
    const char *direction;
};

static uint64_t counter_at(const cvn_namespace_counters *counters, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const char *)counters + offset, sizeof value);
    return value;
}

/*
 * What the children of dynamic namespaces have counted, those that have gone included: everything without what the others have. The
 * numbers are not of one instant, so the difference may seem to fall by a little; a counter must not.
 */
static void fill_dynamic(struct rest *rest, struct rest_namespaces *namespaces)
{
    cvn_namespace_counters *dynamic = &namespaces->items[0].counters;
    cvn_stats stats;
    cvn_server_stats(rest->parts.server, &stats);
    uint64_t totals[REST_DYNAMIC] = {stats.turned_away, stats.events_in, stats.events_out,
                                     stats.dropped, stats.conflated};
    uint64_t *const fields[REST_DYNAMIC] = {&dynamic->refused, &dynamic->events_in,
                                            &dynamic->events_out, &dynamic->dropped,
                                            &dynamic->conflated};
    for (size_t k = 1; k < namespaces->count; k++) {
        const cvn_namespace_counters *counters = &namespaces->items[k].counters;
        const uint64_t own[REST_DYNAMIC] = {counters->refused, counters->events_in,
                                            counters->events_out, counters->dropped,
                                            counters->conflated};
        for (size_t i = 0; i < REST_DYNAMIC; i++)
            totals[i] -= own[i] <= totals[i] ? own[i] : totals[i];
    }
    for (size_t i = 0; i < REST_DYNAMIC; i++) {
        uint64_t seen = atomic_load(&rest->dynamic_seen[i]);
        while (totals[i] > seen &&
               !atomic_compare_exchange_weak(&rest->dynamic_seen[i], &seen, totals[i]))
            ;
        *fields[i] = totals[i] > seen ? totals[i] : seen;
    }
}

static void collect_namespaces(struct metrics *metrics, cvn_text *text, void *data)
{
#define AT(member) offsetof(cvn_namespace_counters, member)
    static const struct column columns[] = {
        {"convened_namespace_sockets", "gauge", "Sockets that are in a namespace.", AT(sockets),
         NULL},
        {"convened_namespace_connects_total", "counter", "Sockets that joined a namespace.",
         AT(connections_total), NULL},
        {"convened_namespace_refused_total", "counter", "Sockets that a namespace refused.",
         AT(refused), NULL},
        {"convened_namespace_events_total", "counter",
         "Events from clients (in) and to clients (out; to ten sockets counts ten times).",
         AT(events_in), "in"},
        {"convened_namespace_events_total", NULL, NULL, AT(events_out), "out"},
        {"convened_namespace_events_dropped_total", "counter",
         "Volatile events that a client could not take.", AT(dropped), NULL},
        {"convened_namespace_events_conflated_total", "counter",
         "Events whose place newer ones took before they were sent.", AT(conflated), NULL},
    };
#undef AT
    struct rest_namespaces *namespaces = rest_list_namespaces(data);
    (void)metrics;
    if (namespaces == NULL)
        return;
    fill_dynamic(data, namespaces);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        const struct column *column = &columns[i];
        bool is_unknown = column->offset == offsetof(cvn_namespace_counters, connections_total);
        if (column->type != NULL)
            metrics_write_family(text, column->name, column->type, column->help);
        for (size_t k = 0; k < namespaces->count; k++) {
            const struct rest_namespace *nsp = &namespaces->items[k];
            if (nsp->is_dynamic && is_unknown)
                continue; /* of those that have gone nobody knows */
            metrics_write_sample(text, column->name,
                                 column->direction != NULL ? "namespace,direction" : "namespace",
                                 (const char *const[]){nsp->name, column->direction},
                                 (double)counter_at(&nsp->counters, column->offset));
        }
    }
    free(namespaces);
}

static void collect_store(struct metrics *metrics, cvn_text *text, void *data)
{
    const struct rest *rest = data;
    struct store_stats stats;
    (void)metrics;
    if (rest->parts.store == NULL)
        return;
    store_get_stats(rest->parts.store, &stats);
    write_one(text, "convened_store_available", "gauge",
              "Whether the store's last commit and query worked: 1, else 0.", stats.is_available);
    write_one(text, "convened_store_jobs_total", "counter", "Transactions and queries.",
              (double)stats.jobs_total);
    write_one(text, "convened_store_jobs_failed_total", "counter",
              "Of them those that the store could not do.", (double)stats.failed_total);
    write_one(text, "convened_store_jobs_refused_total", "counter",
              "Jobs that were not taken because too many waited.", (double)stats.refused_total);
    write_one(text, "convened_store_commits_total", "counter", "Commits, of one job or many.",
              (double)stats.commits_total);
    write_one(text, "convened_store_jobs_waiting", "gauge", "Jobs that wait or run.",
              (double)stats.waiting);
}

static void collect_audit(struct metrics *metrics, cvn_text *text, void *data)
{
    const struct rest *rest = data;
    struct audit_stats stats;
    (void)metrics;
    audit_get_stats(rest->parts.audit, &stats); /* zeros when it is off */
    write_one(text, "convened_audit_entries_total", "counter",
              "Entries that the audit trail has kept.", (double)stats.written_total);
    write_one(text, "convened_audit_entries_lost_total", "counter",
              "Entries that it could not keep.", (double)stats.lost_total);
    write_one(text, "convened_audit_entries_waiting", "gauge", "Entries that wait for the store.",
              (double)stats.waiting);
}

/* The names that Prometheus' client libraries have given to these. */
static void collect_process(struct metrics *metrics, cvn_text *text, void *data)
{
    const struct rest *rest = data;
    struct rest_process process;
    (void)metrics;
    rest_process_read(&process);
    write_one(text, "process_start_time_seconds", "gauge", "When the process started.",
              (double)rest->started_ms / 1000);
    write_one(text, "process_cpu_seconds_total", "counter", "Processor time, user and system.",
              process.cpu_seconds);
    write_one(text, "process_resident_memory_bytes", "gauge", "Memory that is in RAM.",
              (double)process.resident_bytes);
    write_one(text, "process_virtual_memory_bytes", "gauge", "Memory that is mapped.",
              (double)process.virtual_bytes);
    write_one(text, "process_open_fds", "gauge", "Open file descriptors.",
              (double)process.open_fds);
    write_one(text, "process_max_fds", "gauge", "The most that may be open.",
              (double)process.max_fds);
    write_one(text, "process_threads", "gauge", "Threads.", process.threads);
}

static void answer_metrics(struct request *request, void *data)
{
    struct rest *rest = data;
    cvn_text *text = cvn_text_new(MAX_TEXT);
    if (text != NULL)
        metrics_print(rest->parts.metrics, text);
    if (text == NULL || cvn_text_failed(text))
        request_refuse(request, 503, "UNAVAILABLE", "there is no memory for the answer", 1000);
    else
        request_answer_text(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                            cvn_text_slice(text));
    cvn_text_free(text);
}

bool rest_metrics_add(struct rest *rest)
{
    static const struct route routes[] = {
        {"GET", "/metrics", ROUTE_OPERATOR, answer_metrics, "Prometheus' text format", NULL},
    };
    struct metrics *metrics = rest->parts.metrics;
    if (metrics == NULL)
        return true;
    return metrics_collect(metrics, collect_server, rest) &&
           metrics_collect(metrics, collect_namespaces, rest) &&
           metrics_collect(metrics, collect_store, rest) &&
           metrics_collect(metrics, collect_audit, rest) &&
           metrics_collect(metrics, collect_process, rest) &&
           router_add(rest->parts.router, routes, sizeof routes / sizeof *routes, rest);
}
