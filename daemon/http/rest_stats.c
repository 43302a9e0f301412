/*
 * Numbers for people: how many are there, since when, in which rooms. Rooms and users are counted by the census, which costs nobody anything while
 * nobody asks. On workers.
 */
#include "http/rest_internal.h"
#include "observe/clock.h"
#include <stdlib.h>

#define DEFAULT_ROOMS 100 /* listed */
#define MAX_ROOMS     1000

json_t *rest_server_stats(struct rest *rest)
{
    cvn_stats stats;
    struct rest_process process;
    char started[REST_TIME_SIZE];
    rest_stats(rest, &stats);
    rest_process_read(&process);
    rest_time(rest->started_ms, started);
    return json_pack("{s:I,s:{s:I,s:I},s:I,s:I,s:I,s:f,s:s,s:i,s:I,s:I,s:I,s:s}", "connections",
                     (json_int_t)stats.connections, "transports", "websocket",
                     (json_int_t)stats.websocket, "polling", (json_int_t)stats.polling, "sockets",
                     (json_int_t)stats.sockets, "peak_connections",
                     (json_int_t)atomic_load(&rest->peak), "connections_total",
                     (json_int_t)stats.connections_total, "uptime_s", rest_uptime(rest),
                     "started_at", started, "workers", (int)cvn_server_workers(rest->parts.server),
                     "max_connections", (json_int_t)atomic_load(&rest->max_connections),
                     "memory_bytes", (json_int_t)process.resident_bytes, "open_fds",
                     (json_int_t)process.open_fds, "version", CONVENE_VERSION);
}

static json_t *counters_json(const cvn_namespace_counters *counters)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "sockets", (json_int_t)counters->sockets,
                     "connections_total", (json_int_t)counters->connections_total, "refused",
                     (json_int_t)counters->refused, "events_in", (json_int_t)counters->events_in,
                     "events_out", (json_int_t)counters->events_out, "events_dropped",
                     (json_int_t)counters->dropped, "events_conflated",
                     (json_int_t)counters->conflated);
}

json_t *rest_namespaces_json(const struct rest_namespaces *namespaces)
{
    json_t *json = json_object();
    for (size_t i = 0; i < namespaces->count; i++)
        json_object_set_new(json, namespaces->items[i].name,
                            counters_json(&namespaces->items[i].counters));
    return json;
}

/* --- Stats --- */

struct asking {
    struct rest *rest;
    struct request *request;
    size_t limit;
    char nsp[256], prefix[256];
};

static void on_stats_census(const struct census_result *result, void *data)
{
    struct asking *asking = data;
    struct rest *rest = asking->rest;
    struct rest_namespaces *namespaces = rest_list_namespaces(rest);
    const char *reasons[4];
    cvn_stats stats;
    json_t *json = NULL;
    rest_stats(rest, &stats);
    if (namespaces != NULL)
        json = json_pack(
            "{s:s,s:o,s:{s:I,s:o,s:o,s:I,s:I,s:I,s:I,s:o}}", "status",
            rest_not_ready(rest, reasons) == 0 ? "operational" : "degraded", "server_stats",
            rest_server_stats(rest), "manager_stats", "total_connections",
            (json_int_t)stats.connections, "rooms",
            result != NULL ? json_integer((json_int_t)result->room_count) : json_null(), "users",
            result != NULL ? json_integer((json_int_t)result->user_count) : json_null(),
            "messages_received", (json_int_t)stats.events_in, "messages_sent",
            (json_int_t)stats.events_out, "messages_dropped", (json_int_t)stats.dropped, "refused",
            (json_int_t)stats.turned_away, "namespaces", rest_namespaces_json(namespaces));
    request_answer_json(asking->request, 200, json);
    free(namespaces);
    free(asking);
}

static void ask_census(struct rest *rest, struct asking *asking, struct request *request,
                       census_fn fn)
{
    if (asking == NULL) {
        request_answer_json(request, 200, NULL);
        return;
    }
    asking->rest = rest;
    asking->request = request;
    census_ask(rest->census, clock_steady_ms(), fn, asking);
}

static void answer_stats(struct request *request, void *data)
{
    ask_census(data, calloc(1, sizeof(struct asking)), request, on_stats_census);
}

/* --- Rooms --- */

static int by_members(const void *a, const void *b)
{
    const struct census_room *one = *(struct census_room *const *)a,
                             *other = *(struct census_room *const *)b;
    if (one->members != other->members)
        return one->members < other->members ? 1 : -1;
    int order = strcmp(one->room, other->room);
    return order != 0 ? order : strcmp(one->nsp, other->nsp);
}

json_t *rest_rooms_json(const struct census_result *result, const char *nsp, const char *prefix,
                        size_t limit, size_t *ret_matching)
{
    json_t *list = json_array();
    size_t count = 0, prefix_size = strlen(prefix);
    const struct census_room **rooms = calloc(result->room_count + 1, sizeof(struct census_room *));
    for (const struct census_room *room = result->rooms; rooms != NULL && room != NULL;
         room = room->next)
        if ((nsp == NULL || strcmp(room->nsp, nsp) == 0) &&
            strncmp(room->room, prefix, prefix_size) == 0)
            rooms[count++] = room;
    if (rooms != NULL)
        qsort(rooms, count, sizeof(struct census_room *), by_members);
    for (size_t i = 0; i < count && i < limit; i++)
        json_array_append_new(list, json_pack("{s:s%,s:s,s:I}", "room", rooms[i]->room,
                                              strlen(rooms[i]->room), "namespace", rooms[i]->nsp,
                                              "members", (json_int_t)rooms[i]->members));
    free(rooms);
    *ret_matching = count;
    return list;
}

static void on_rooms_census(const struct census_result *result, void *data)
{
    struct asking *asking = data;
    char taken[REST_TIME_SIZE];
    size_t matching = 0;
    if (result == NULL) {
        request_refuse(asking->request, 503, "UNAVAILABLE", "the rooms cannot be counted now",
                       1000);
        free(asking);
        return;
    }
    rest_time(result->taken_ms, taken);
    json_t *rooms = rest_rooms_json(result, asking->nsp[0] != '\0' ? asking->nsp : NULL,
                                    asking->prefix, asking->limit, &matching);
    bool is_truncated = result->is_truncated || matching > json_array_size(rooms);
    request_answer_json(asking->request, 200,
                        json_pack("{s:s,s:I,s:I,s:o,s:b,s:s}", "status", "operational",
                                  "total_rooms", (json_int_t)result->room_count, "matching_rooms",
                                  (json_int_t)matching, "rooms", rooms, "truncated", is_truncated,
                                  "as_of", taken));
    free(asking);
}

/* A query parameter that may be absent; false when it is there and wrong. */
static bool take_query(const struct request *request, const char *name, char *ret, size_t size)
{
    return request_query(request, name, ret, size) || !request_has_query(request, name);
}

static bool take_limit(const struct request *request, size_t *ret)
{
    char text[8], *end;
    *ret = DEFAULT_ROOMS;
    if (!request_has_query(request, "limit"))
        return true;
    if (!request_query(request, "limit", text, sizeof text) || text[0] < '0' || text[0] > '9')
        return false;
    unsigned long limit = strtoul(text, &end, 10);
    *ret = limit;
    return *end == '\0' && limit >= 1 && limit <= MAX_ROOMS;
}

static void answer_rooms(struct request *request, void *data)
{
    struct asking *asking = calloc(1, sizeof *asking);
    if (asking != NULL && (!take_query(request, "namespace", asking->nsp, sizeof asking->nsp) ||
                           !take_query(request, "prefix", asking->prefix, sizeof asking->prefix) ||
                           !take_limit(request, &asking->limit))) {
        free(asking);
        request_refuse(request, 400, "VALIDATION",
                       "namespace, prefix or limit (1 to 1000) is wrong", 0);
        return;
    }
    ask_census(data, asking, request, on_rooms_census);
}

bool rest_stats_add(struct rest *rest)
{
    static const struct route routes[] = {
        {"GET", "/api/v1/websocket/stats", ROUTE_ADMIN, answer_stats,
         "Connections, users, rooms and messages", NULL},
        {"GET", "/api/v1/websocket/rooms", ROUTE_ADMIN, answer_rooms,
         "The largest rooms and how many sockets are in each", "namespace,prefix,limit"},
    };
    return router_add(rest->parts.router, routes, sizeof routes / sizeof *routes, rest);
}
