/*
 * From a path to its handler. On the request's worker; the tables are read-only by then. A path that no route has goes to the fallbacks
 * untouched: an application behind the proxy answers its own OPTIONS and its own 404.
 */
#include "http/router_internal.h"
#include <stdio.h>
#include <stdlib.h>

#define ALLOW_SIZE 64

/* --- Putting together --- */

struct router *router_new(const struct config *config, struct auth *auth, cvn_server *server)
{
    (void)server;
    struct router *router = calloc(1, sizeof *router);
    if (router == NULL)
        return NULL;
    router->auth = auth;
    if (!router_reconfigure(router, config)) {
        free(router);
        return NULL;
    }
    return router;
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    struct router_policy *policy = atomic_load(&router->policy);
    while (policy != NULL) {
        struct router_policy *older = policy->older;
        router_policy_free(policy);
        policy = older;
    }
    free(router->tables);
    free(router->fallbacks);
    free(router);
}

bool router_reconfigure(struct router *router, const struct config *config)
{
    struct router_policy *policy = router_policy_new(config);
    if (policy == NULL)
        return false;
    policy->older = atomic_load(&router->policy);
    atomic_store(&router->policy, policy);
    return true;
}

void router_measure(struct router *router, struct metrics *metrics)
{
    static const double bounds[] = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 0};
    router->requests =
        metrics_counter(metrics, "convened_http_requests_total",
                        "HTTP requests that routes answered.", "method,route,status", 500);
    router->durations = metrics_histogram(metrics, "convened_http_request_duration_seconds",
                                          "From the arrival of a whole HTTP request to its answer.",
                                          "route", bounds, 100);
}

static size_t count_names(const char *list)
{
    size_t count = list != NULL;
    for (; list != NULL && *list != '\0'; list++)
        count += *list == ',';
    return count;
}

bool router_add(struct router *router, const struct route *routes, size_t count, void *data)
{
    for (size_t i = 0; i < count; i++) {
        size_t names = 0;
        for (const char *at = routes[i].path; *at != '\0'; at++)
            names += *at == ':';
        if (routes[i].path[0] != '/' || names > ROUTE_MAX_PARAMS || routes[i].fn == NULL ||
            count_names(routes[i].query) > ROUTER_MAX_QUERY) {
            log_entry(LOG_ERROR, "a route is wrong", LOG_TEXT("path", routes[i].path), LOG_END);
            return false;
        }
    }
    struct router_table *tables =
        realloc(router->tables, (router->table_count + 1) * sizeof *tables);
    if (tables == NULL)
        return false;
    tables[router->table_count++] = (struct router_table){routes, count, data};
    router->tables = tables;
    return true;
}

bool router_add_fallback(struct router *router, bool (*fn)(cvn_http_request *request, void *data),
                         void *data)
{
    struct router_fallback *fallbacks =
        realloc(router->fallbacks, (router->fallback_count + 1) * sizeof *fallbacks);
    if (fallbacks == NULL)
        return false;
    fallbacks[router->fallback_count++] = (struct router_fallback){fn, data};
    router->fallbacks = fallbacks;
    return true;
}

const struct route *router_next_route(const struct router *router, size_t *cursor)
{
    size_t index = *cursor;
    for (size_t i = 0; i < router->table_count; i++) {
        if (index < router->tables[i].count) {
            ++*cursor;
            return &router->tables[i].routes[index];
        }
        index -= router->tables[i].count;
    }
    return NULL;
}

/* --- Finding --- */

static bool is_method(cvn_slice method, const char *expected)
{
    return method.size == strlen(expected) && memcmp(method.data, expected, method.size) == 0;
}

static bool answers(const struct route *route, cvn_slice method)
{
    return is_method(method, route->method) ||
           (is_method(method, "HEAD") && strcmp(route->method, "GET") == 0);
}

static void add_allowed(char allow[ALLOW_SIZE], const char *method)
{
    size_t used = strlen(allow), size = strlen(method);
    if (strstr(allow, method) != NULL || used + size + sizeof ", OPTIONS, HEAD" > ALLOW_SIZE)
        return;
    snprintf(allow + used, ALLOW_SIZE - used, "%s%s%s", used > 0 ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

/* What is found of a request: a route, or what its path would take. */
struct found {
    const struct route *route;
    void *data;
    struct route_values values;
    char allow[ALLOW_SIZE]; /* empty: no route has this path */
};

static void find(const struct router *router, const cvn_http_request *http, struct found *found)
{
    cvn_slice path = cvn_http_path(http), method = cvn_http_method(http);
    found->route = NULL;
    found->allow[0] = '\0';
    for (size_t i = 0; i < router->table_count; i++) {
        const struct router_table *table = &router->tables[i];
        for (size_t k = 0; k < table->count; k++) {
            const struct route *route = &table->routes[k];
            if (!route_path_match(route->path, path, &found->values))
                continue;
            if (answers(route, method)) {
                found->route = route;
                found->data = table->data;
                return;
            }
            add_allowed(found->allow, route->method);
        }
    }
}

/* --- Browsers of other origins --- */

static void add_cors_fields(struct router_request *own, cvn_slice origin)
{
    const struct router_policy *policy = atomic_load(&own->router->policy);
    cvn_http_request *http = own->request.http;
    cvn_http_add_header(http, "Vary", cvn_str("Origin"));
    if (own->cors == CORS_ANY)
        cvn_http_add_header(http, "Access-Control-Allow-Origin", cvn_str("*"));
    if (own->cors == CORS_LISTED)
        cvn_http_add_header(http, "Access-Control-Allow-Origin", origin);
    if (own->cors == CORS_LISTED && policy->takes_cookies)
        cvn_http_add_header(http, "Access-Control-Allow-Credentials", cvn_str("true"));
    if (own->cors == CORS_ANY || own->cors == CORS_LISTED)
        cvn_http_add_header(http, "Access-Control-Expose-Headers",
                            cvn_str("X-Request-ID, Retry-After"));
}

static void check_origin(struct router_request *own)
{
    const struct router_policy *policy = atomic_load(&own->router->policy);
    cvn_http_request *http = own->request.http;
    cvn_slice origin = cvn_http_header(http, "origin");
    own->cors = cors_check((const char *const *)policy->origins, policy->origin_count, origin,
                           cvn_http_header(http, "host"));
    if (policy->origin_count > 0 || origin.data != NULL)
        add_cors_fields(own, origin);
}

/* OPTIONS on a path that routes have: a browser's question before its request (Fetch, section 3.2.2), or just what may be done. */
static void answer_options(struct router_request *own, const char *allow)
{
    cvn_http_request *http = own->request.http;
    bool is_preflight = cvn_http_header(http, "access-control-request-method").data != NULL;
    cvn_slice wanted = cvn_http_header(http, "access-control-request-headers");
    request_add_field(&own->request, "Allow", allow);
    if (is_preflight && (own->cors == CORS_LISTED || own->cors == CORS_ANY)) {
        request_add_field(&own->request, "Access-Control-Allow-Methods", allow);
        if (wanted.data != NULL)
            cvn_http_add_header(http, "Access-Control-Allow-Headers", wanted);
        request_add_field(&own->request, "Access-Control-Max-Age", "600");
    }
    request_answer_text(&own->request, 204, NULL, cvn_str(NULL));
}

/* --- Serving --- */

static void call_handler(struct router_request *own)
{
    own->route->fn(&own->request, own->data);
}

static void serve_route(struct router_request *own, const struct found *found)
{
    cvn_slice method = cvn_http_method(own->request.http);
    bool changes = !is_method(method, "GET") && !is_method(method, "HEAD");
    own->route = found->route;
    own->data = found->data;
    own->values = found->values;
    for (size_t i = 0; i < own->values.count; i++)
        own->request.params[i] = own->values.bytes + own->values.starts[i];
    if (changes && own->cors == CORS_REFUSED)
        request_refuse(&own->request, 403, "FORBIDDEN", "this origin may not do that", 0);
    else
        router_admit(own, call_handler);
}

static bool try_fallbacks(const struct router *router, cvn_http_request *http)
{
    for (size_t i = 0; i < router->fallback_count; i++)
        if (router->fallbacks[i].fn(http, router->fallbacks[i].data))
            return true;
    return false;
}

bool router_serve_head(cvn_http_request *http, void *data)
{
    const struct router *router = data;
    struct found found;
    find(router, http, &found);
    return found.route == NULL && found.allow[0] == '\0' && try_fallbacks(router, http);
}

void router_serve(cvn_http_request *http, void *data)
{
    struct router *router = data;
    struct found found;
    find(router, http, &found);
    bool is_ours = found.route != NULL || found.allow[0] != '\0';
    if (!is_ours && try_fallbacks(router, http))
        return;
    struct router_request *own = request_new(router, http);
    if (own == NULL) {
        cvn_http_respond(http, 503, NULL, cvn_str(NULL));
        return;
    }
    check_origin(own);
    if (found.route != NULL) {
        serve_route(own, &found);
    } else if (!is_ours) {
        request_refuse(&own->request, 404, "NOT_FOUND", "there is nothing at this path", 0);
    } else {
        add_allowed(found.allow, "OPTIONS");
        if (is_method(cvn_http_method(http), "OPTIONS")) {
            answer_options(own, found.allow);
            return;
        }
        request_add_field(&own->request, "Allow", found.allow);
        request_refuse(&own->request, 405, "METHOD_NOT_ALLOWED", "not with this method", 0);
    }
}
