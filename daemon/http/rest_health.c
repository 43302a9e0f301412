/*
 * Is it alive, is it ready? Liveness says that a worker answers, and nothing else: who restarts because of it must not do so because a disk is
 * full. Readiness asks the store itself, by a query on its thread; when that does not come back, neither does the answer, and who
 * watches has a deadline. On workers.
 */
#include "http/rest_internal.h"
#include "observe/clock.h"
#include <stdlib.h>

static void answer_health(struct request *request, void *data)
{
    struct rest *rest = data;
    cvn_stats stats;
    rest_stats(rest, &stats);
    request_answer_json(request, 200,
                        json_pack("{s:s,s:I,s:i,s:I,s:I,s:I,s:s}", "status", "ok", "uptime_s",
                                  (json_int_t)rest_uptime(rest), "workers",
                                  (int)cvn_server_workers(rest->parts.server), "connections",
                                  (json_int_t)stats.connections, "polling",
                                  (json_int_t)stats.polling, "sockets", (json_int_t)stats.sockets,
                                  "version", CONVENE_VERSION));
}

/* --- Readiness --- */

size_t rest_not_ready(const struct rest *rest, const char *ret_reasons[4])
{
    size_t count = 0;
    struct store_stats store = {.is_available = true};
    if (rest->parts.store != NULL)
        store_get_stats(rest->parts.store, &store);
    if (atomic_load(&rest->is_draining))
        ret_reasons[count++] = "draining";
    if (!store.is_available)
        ret_reasons[count++] = "store unavailable";
    return count;
}

/* What the operator of the kanban system watches has a word of its own. */
enum dialect { DIALECT_READY, DIALECT_KANBAN };

static void answer_readiness(struct rest *rest, struct request *request, enum dialect dialect,
                             bool store_answers)
{
    static const char *const words[][2] = {{"not_ready", "ready"}, {"unhealthy", "healthy"}};
    const char *reasons[5];
    size_t count = rest_not_ready(rest, reasons);
    if (!store_answers && (count == 0 || strcmp(reasons[count - 1], "store unavailable") != 0))
        reasons[count++] = "store unavailable";
    cvn_stats stats;
    rest_stats(rest, &stats);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(reasons[i]));
    if (count > 0)
        request_add_field(request, "Retry-After", "5");
    request_answer_json(request, count == 0 ? 200 : 503,
                        json_pack("{s:s,s:b,s:o,s:I,s:I}", "status", words[dialect][count == 0],
                                  "ready", count == 0, "reasons", list, "connections",
                                  (json_int_t)stats.connections, "uptime_s",
                                  (json_int_t)rest_uptime(rest)));
}

struct probe {
    struct rest *rest;
    struct request *request;
    enum dialect dialect;
};

static bool ask_store(struct store_tx *tx, void *job)
{
    (void)job;
    return store_query(tx, "SELECT 1") && store_next(tx) && store_integer(tx, 0) == 1;
}

static void end_probe(struct probe *probe, bool store_answers)
{
    answer_readiness(probe->rest, probe->request, probe->dialect, store_answers);
    free(probe);
}

static void on_read(enum store_result result, void *job)
{
    end_probe(job, result == STORE_OK);
}

static void try_read(struct probe *probe)
{
    if (!store_read(probe->rest->parts.store, ask_store, on_read, probe))
        end_probe(probe, false);
}

/* Something that has to reach the disk. */
static bool write_little(struct store_tx *tx, void *job)
{
    (void)job;
    if (!store_exec(tx,
                    "CREATE TABLE IF NOT EXISTS health (id INTEGER PRIMARY KEY, "
                    "written_ms INTEGER NOT NULL)",
                    NULL))
        return false;
    store_bind_integer(tx, 1, clock_wall_ms());
    return store_exec(tx, "INSERT OR REPLACE INTO health VALUES (1, ?1)", NULL);
}

static void on_written(enum store_result result, void *job)
{
    if (result == STORE_OK)
        try_read(job);
    else
        end_probe(job, false);
}

/* A store that has failed is written to: nobody is sent here who would do so and find that it works again. */
static void ask_readiness(struct rest *rest, struct request *request, enum dialect dialect)
{
    struct store *store = rest->parts.store;
    struct store_stats stats;
    struct probe *probe = malloc(sizeof *probe);
    if (probe == NULL) {
        request_answer_json(request, 503, NULL);
        return;
    }
    *probe = (struct probe){rest, request, dialect};
    if (store != NULL)
        store_get_stats(store, &stats);
    if (store == NULL || atomic_load(&rest->is_draining))
        end_probe(probe, true);
    else if (stats.is_available)
        try_read(probe);
    else if (!store_write(store, write_little, on_written, probe))
        end_probe(probe, false);
}

static void answer_ready(struct request *request, void *data)
{
    ask_readiness(data, request, DIALECT_READY);
}

static void answer_kanban_health(struct request *request, void *data)
{
    ask_readiness(data, request, DIALECT_KANBAN);
}

/* --- In detail --- */

struct detail {
    struct rest *rest;
    struct request *request;
};

#define DETAIL_ROOMS 50

static json_t *ends_of(const cvn_stats *stats)
{
    json_t *ends = json_object();
    for (int i = 0; i < CVN_CLOSE_REASONS; i++)
        json_object_set_new(ends, cvn_close_reason_text((enum cvn_close_reason)i),
                            json_integer((json_int_t)stats->closed[i]));
    return ends;
}

static double share(uint64_t part, uint64_t rest)
{
    return part + rest > 0 ? (double)part / (double)(part + rest) : 0;
}

static json_t *quality_of(const cvn_stats *stats)
{
    return json_pack(
        "{s:f,s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:I,s:I,s:o}", "websocket_share",
        share(stats->websocket, stats->polling), "upgrades", (json_int_t)stats->upgrades,
        "upgrades_failed", (json_int_t)stats->upgrades_failed, "recovered",
        (json_int_t)stats->recovered, "events_out", (json_int_t)stats->events_out, "events_dropped",
        (json_int_t)stats->dropped, "drop_share", share(stats->dropped, stats->events_out),
        "events_conflated", (json_int_t)stats->conflated, "events_in", (json_int_t)stats->events_in,
        "queued_bytes", (json_int_t)stats->queued, "closed", ends_of(stats));
}

static json_t *rooms_of(const struct census_result *result)
{
    size_t matching = 0;
    if (result == NULL)
        return json_null();
    json_t *largest = rest_rooms_json(result, NULL, "", DETAIL_ROOMS, &matching);
    return json_pack("{s:I,s:I,s:o,s:b}", "total", (json_int_t)result->room_count, "users",
                     (json_int_t)result->user_count, "largest", largest, "truncated",
                     result->is_truncated);
}

static void on_census(const struct census_result *result, void *data)
{
    struct detail *detail = data;
    struct rest *rest = detail->rest;
    struct rest_namespaces *namespaces = rest_list_namespaces(rest);
    const char *reasons[4];
    size_t count = rest_not_ready(rest, reasons);
    cvn_stats stats;
    json_t *list = json_array(), *json = NULL;
    rest_stats(rest, &stats);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(reasons[i]));
    if (namespaces != NULL)
        json = json_pack("{s:s,s:o,s:o,s:o,s:o,s:o}", "status", count == 0 ? "ready" : "not_ready",
                         "reasons", list, "server", rest_server_stats(rest), "quality",
                         quality_of(&stats), "namespaces", rest_namespaces_json(namespaces),
                         "rooms", rooms_of(result));
    else
        json_decref(list);
    request_answer_json(detail->request, 200, json);
    free(namespaces);
    free(detail);
}

static void answer_detailed(struct request *request, void *data)
{
    struct rest *rest = data;
    struct detail *detail = malloc(sizeof *detail);
    if (detail == NULL) {
        request_answer_json(request, 200, NULL);
        return;
    }
    *detail = (struct detail){rest, request};
    census_ask(rest->census, clock_steady_ms(), on_census, detail);
}

bool rest_health_add(struct rest *rest)
{
    static const struct route routes[] = {
        {"GET", "/health", ROUTE_ANYONE, answer_health, "Whether the process lives", NULL},
        {"GET", "/health/websocket", ROUTE_ANYONE, answer_ready,
         "Whether clients may be sent here: 200, or 503 with reasons", NULL},
        {"GET", "/health/websocket/detailed", ROUTE_ADMIN, answer_detailed,
         "Connections, their quality, namespaces and the largest rooms", NULL},
        {"GET", "/api/v1/websocket/health", ROUTE_ANYONE, answer_kanban_health,
         "As /health/websocket, with the words healthy and unhealthy", NULL},
    };
    return router_add(rest->parts.router, routes, sizeof routes / sizeof *routes, rest);
}
