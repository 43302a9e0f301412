/* What clients ask before they connect, or when they cannot: what is up, and how far away it is. On workers. */
#include "http/rest_internal.h"
#include "observe/clock.h"
#include <stdlib.h>

static bool is_open_to_clients(const struct rest *rest, const struct rest_namespace *nsp)
{
    const struct config_list *disabled = &rest->parts.config->server.disabled_namespaces;
    if (nsp->is_dynamic || strcmp(nsp->name, "/admin") == 0)
        return false;
    for (size_t i = 0; i < disabled->count; i++)
        if (strcmp(nsp->name, disabled->items[i]) == 0)
            return false;
    return true;
}

static void answer_status(struct request *request, void *data)
{
    struct rest *rest = data;
    const struct config *config = rest->parts.config;
    struct rest_namespaces *namespaces = rest_list_namespaces(rest);
    const char *reasons[4];
    char now[REST_TIME_SIZE];
    json_t *list = json_array(), *transports = json_array();
    bool is_ready = rest_not_ready(rest, reasons) == 0;
    rest_time(clock_wall_ms(), now);
    for (size_t i = 0; namespaces != NULL && i < namespaces->count; i++)
        if (is_open_to_clients(rest, &namespaces->items[i]))
            json_array_append_new(list, json_string(namespaces->items[i].name));
    json_array_append_new(transports, json_string("websocket"));
    if (config->server.polling)
        json_array_append_new(transports, json_string("polling"));
    request_answer_json(
        request, 200,
        json_pack("{s:s,s:b,s:b,s:s,s:o,s:o,s:I,s:I,s:s,s:s}", "status",
                  is_ready ? "ok" : "unavailable", "websocket", is_ready, "fallback",
                  config->server.polling, "path", "/socket.io/", "transports", transports,
                  "namespaces", list, "polling_interval_ms",
                  (json_int_t)config->server.polling_interval_ms, "recovery_window_ms",
                  (json_int_t)config->server.recovery_window_ms, "server_time", now, "version",
                  CONVENE_VERSION));
    free(namespaces);
}

/* The client's own time comes back as it was, so that it need not remember it. */
static void answer_ping(struct request *request, void *data)
{
    char now[REST_TIME_SIZE];
    int64_t now_ms = clock_wall_ms();
    (void)data;
    json_t *body = request_json(request);
    if (body == NULL)
        return;
    json_t *client_time = json_object_get(body, "client_time");
    if (client_time != NULL && !json_is_number(client_time) &&
        json_string_length(client_time) - 1 >= 64) {
        json_decref(body);
        request_refuse(request, 400, "VALIDATION", "client_time is a number or a short text", 0);
        return;
    }
    rest_time(now_ms, now);
    json_t *answer = json_pack("{s:s,s:I,s:s}", "server_time", now, "server_time_ms",
                               (json_int_t)now_ms, "user_id", request->principal->user_id);
    if (client_time != NULL)
        json_object_set(answer, "client_time", client_time);
    json_decref(body);
    rest_answer_data(request, answer);
}

bool rest_realtime_add(struct rest *rest)
{
    static const struct route routes[] = {
        {"GET", "/api/realtime/status", ROUTE_ANYONE, answer_status,
         "What is up, and how often to poll where it is not", NULL},
        {"POST", "/api/realtime/ping", ROUTE_USER, answer_ping, "A round trip, and the time", NULL},
    };
    return router_add(rest->parts.router, routes, sizeof routes / sizeof *routes, rest);
}
