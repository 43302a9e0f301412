/*
 * The proxy's life: what the configuration says, a part of it on each worker, refusals. Made on the main thread; the workers' parts by
 * themselves, in their start and stop functions. The exchanges are proxy_exchange.c's.
 */
#include "http/proxy_internal.h"
#include "observe/log.h"
#include <convene/uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SWEEP_MS   1000
#define MAX_IDLE_POOL  256 /* connections that a worker keeps for the next request */
#define COMPLAINT_MS   1000
#define MAX_ERROR_BODY 512

/* --- Words --- */

void proxy_refuse(cvn_http_request *request, int status, const char *code, const char *message,
                  uint32_t retry_after_ms)
{
    char body[MAX_ERROR_BODY], seconds[16], retry[48] = "";
    if (retry_after_ms > 0) {
        snprintf(seconds, sizeof seconds, "%u", (unsigned)((retry_after_ms + 999) / 1000));
        snprintf(retry, sizeof retry, ",\"retry_after_ms\":%u", (unsigned)retry_after_ms);
        cvn_http_add_header(request, "Retry-After", cvn_str(seconds));
    }
    int size = snprintf(body, sizeof body,
                        "{\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"%s}}\n", code,
                        message, retry);
    cvn_http_add_header(request, "Cache-Control", cvn_str("no-store"));
    cvn_http_respond(request, status, "application/json", (cvn_slice){body, (size_t)size});
}

void proxy_count(struct proxy *proxy, const char *result)
{
    metric_add(proxy->requests, 1, result, NULL, NULL);
}

void proxy_complain(struct proxy_worker *worker, const char *what, const char *why,
                    const char *request_id)
{
    uint64_t now_ms = uv_now(worker->sweep.loop);
    if (worker->complained_ms != 0 && now_ms - worker->complained_ms < COMPLAINT_MS) {
        worker->silent++;
        return;
    }
    log_entry(LOG_WARN, what, LOG_TEXT("reason", why), LOG_TEXT("upstream", worker->proxy->origin),
              LOG_CORRELATION(request_id), LOG_NUMBER("not_logged", worker->silent), LOG_END);
    worker->complained_ms = now_ms;
    worker->silent = 0;
}

/* --- On a worker --- */

static void on_sweep(uv_timer_t *timer)
{
    struct proxy_worker *worker = timer->data;
    proxy_exchange_sweep(worker, uv_now(timer->loop));
    if (worker->exchanges == NULL)
        uv_timer_stop(timer);
}

void proxy_start_sweep(struct proxy_worker *worker)
{
    uint64_t period_ms = worker->proxy->idle_timeout_ms / 4;
    if (period_ms > MAX_SWEEP_MS)
        period_ms = MAX_SWEEP_MS;
    if (!uv_is_active((uv_handle_t *)&worker->sweep))
        uv_timer_start(&worker->sweep, on_sweep, period_ms, period_ms > 0 ? period_ms : 1);
}

static void on_worker_start(cvn_server *server, unsigned index, void *data)
{
    struct proxy *proxy = data;
    struct proxy_worker *worker = &proxy->workers[index];
    uv_loop_t *loop = cvn_worker_loop(server);
    worker->outgoing = outgoing_loop_new(loop);
    if (worker->outgoing == NULL) {
        log_entry(LOG_ERROR, "a worker has no memory for the proxy", LOG_END);
        return;
    }
    long pool = (long)(proxy->max_connections / proxy->worker_count) + 1;
    curl_multi_setopt(outgoing_loop_multi(worker->outgoing), CURLMOPT_MAXCONNECTS,
                      pool < MAX_IDLE_POOL ? pool : (long)MAX_IDLE_POOL);
    uv_timer_init(loop, &worker->sweep);
    worker->sweep.data = worker;
    worker->has_sweep = true;
}

/* Every client has left, and every exchange with it. */
static void on_worker_stop(cvn_server *server, unsigned index, void *data)
{
    struct proxy *proxy = data;
    struct proxy_worker *worker = &proxy->workers[index];
    (void)server;
    if (worker->has_sweep)
        uv_close((uv_handle_t *)&worker->sweep, NULL);
    outgoing_loop_free(worker->outgoing, NULL, NULL);
    worker->outgoing = NULL;
}

/* --- Made and freed --- */

static char *url_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

/* Splits the URL into where to connect and what every target begins with. */
static bool set_url(struct proxy *proxy, const char *text)
{
    CURLU *url = curl_url();
    bool done = false;
    if (url == NULL || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK) {
        curl_url_cleanup(url);
        return false;
    }
    char *path = url_part(url, CURLUPART_PATH);
    if (path != NULL && curl_url_set(url, CURLUPART_PATH, "/", 0) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_QUERY, NULL, 0) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK) {
        char *origin = url_part(url, CURLUPART_URL);
        size_t size = strlen(path);
        while (size > 0 && path[size - 1] == '/')
            size--;
        proxy->origin = origin != NULL ? strdup(origin) : NULL;
        proxy->prefix = strndup(path, size);
        done = proxy->origin != NULL && proxy->prefix != NULL;
        curl_free(origin);
    }
    curl_free(path);
    curl_url_cleanup(url);
    return done;
}

static void name_in_via(struct proxy *proxy)
{
    char id[CORRELATION_ID_SIZE];
    correlation_id_take((cvn_slice){NULL, 0}, id); /* a random one */
    snprintf(proxy->via, sizeof proxy->via, "convened-%.8s", id);
}

struct proxy *proxy_new(const struct config *config, cvn_server *server, struct metrics *metrics)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL)
        return NULL;
    proxy->server = server;
    proxy->worker_count = cvn_server_workers(server);
    proxy->workers = calloc(proxy->worker_count, sizeof *proxy->workers);
    if (proxy->workers == NULL || !set_url(proxy, config->upstream.url)) {
        log_entry(LOG_ERROR, "the upstream's URL cannot be used",
                  LOG_TEXT("url", config->upstream.url), LOG_END);
        goto fail;
    }
    for (unsigned i = 0; i < proxy->worker_count; i++)
        proxy->workers[i].proxy = proxy;
    name_in_via(proxy);
    proxy->connect_timeout_ms = config->upstream.connect_timeout_ms;
    proxy->idle_timeout_ms = config->upstream.idle_timeout_ms;
    proxy->max_connections = config->upstream.max_connections;
    proxy->max_body = config->upstream.max_body;
    if (metrics != NULL)
        proxy->requests = metrics_counter(
            metrics, "convened_upstream_requests_total",
            "Requests to the application behind the server, by what became of them", "result", 8);
    if (cvn_on_worker_start(server, on_worker_start, proxy) == CVN_OK &&
        cvn_on_worker_stop(server, on_worker_stop, proxy) == CVN_OK)
        return proxy;

fail:
    proxy_free(proxy);
    return NULL;
}

void proxy_free(struct proxy *proxy)
{
    if (proxy == NULL)
        return;
    free(proxy->workers);
    free(proxy->origin);
    free(proxy->prefix);
    free(proxy);
}

bool proxy_serve(cvn_http_request *request, void *data)
{
    struct proxy *proxy = data;
    unsigned index = cvn_worker_index(proxy->server);
    if (index < proxy->worker_count && proxy->workers[index].outgoing != NULL)
        proxy_exchange_begin(&proxy->workers[index], request);
    else
        proxy_refuse(request, 503, "UNAVAILABLE", "the server cannot reach the application", 1000);
    return true;
}
