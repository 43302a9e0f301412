/*
 * The endpoints' common ground: their life, time, and the numbers that several of them show. Made on the main thread; what changes later
 * is atomic.
 */
#include "http/rest_internal.h"
#include "observe/clock.h"
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PEAK_MS 1000

double rest_uptime(const struct rest *rest)
{
    return (double)(clock_steady_ms() - rest->started_steady_ms) / 1000;
}

void rest_time(int64_t ms, char ret[REST_TIME_SIZE])
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    ret[0] = '\0';
    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    size_t size = strftime(ret, REST_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret + size, REST_TIME_SIZE - size, ".%03dZ", (int)(ms % 1000));
}

/* --- Numbers --- */

void rest_stats(struct rest *rest, cvn_stats *ret)
{
    cvn_server_stats(rest->parts.server, ret);
    size_t peak = atomic_load(&rest->peak);
    while (ret->connections > peak &&
           !atomic_compare_exchange_weak(&rest->peak, &peak, ret->connections))
        ;
}

static void add_counters(cvn_namespace_counters *to, const cvn_namespace_counters *more)
{
    to->sockets += more->sockets;
    to->connections_total += more->connections_total;
    to->refused += more->refused;
    to->events_in += more->events_in;
    to->events_out += more->events_out;
    to->dropped += more->dropped;
    to->conflated += more->conflated;
}

static void add_namespace(cvn_namespace *nsp, void *data)
{
    struct rest_namespaces *namespaces = data;
    size_t most = sizeof namespaces->items / sizeof *namespaces->items;
    cvn_namespace_counters counters;
    cvn_namespace_stats(nsp, &counters);
    if (cvn_namespace_parent(nsp) != NULL)
        add_counters(&namespaces->items[0].counters, &counters);
    else if (namespaces->count < most)
        namespaces->items[namespaces->count++] =
            (struct rest_namespace){cvn_namespace_name(nsp), false, counters};
}

struct rest_namespaces *rest_list_namespaces(struct rest *rest)
{
    struct rest_namespaces *namespaces = calloc(1, sizeof *namespaces);
    if (namespaces == NULL)
        return NULL;
    namespaces->items[0] = (struct rest_namespace){.name = "dynamic", .is_dynamic = true};
    namespaces->count = 1;
    if (cvn_each_namespace(rest->parts.server, add_namespace, namespaces) != CVN_OK) {
        free(namespaces);
        return NULL;
    }
    return namespaces;
}

static void on_peak_timer(cvn_timer *timer, void *data)
{
    cvn_stats stats;
    rest_stats(data, &stats);
    rest_delivery_measure(data);
    cvn_timer_start(timer, PEAK_MS);
}

static void on_worker_start(cvn_server *server, unsigned index, void *data)
{
    struct rest *rest = data;
    if (index != 0)
        return;
    rest->timer = cvn_timer_new(server, on_peak_timer, NULL, rest);
    if (rest->timer != NULL) /* else only those who look notice peaks */
        cvn_timer_start(rest->timer, PEAK_MS);
}

static void on_worker_stop(cvn_server *server, unsigned index, void *data)
{
    struct rest *rest = data;
    (void)server;
    if (index != 0)
        return;
    cvn_timer_free(rest->timer);
    rest->timer = NULL;
}

/* --- Answers --- */

void rest_answer_data(struct request *request, json_t *data)
{
    request_answer_json(request, 200,
                        data != NULL ? json_pack("{s:b,s:o}", "ok", 1, "data", data) : NULL);
}

void rest_audit(struct rest *rest, const struct request *request, const char *action,
                const char *subject, const char *nsp)
{
    audit_write(rest->parts.audit,
                &(struct audit_entry){
                    .action = action,
                    .user_id = request->principal != NULL ? request->principal->user_id : NULL,
                    .subject = subject,
                    .nsp = nsp,
                    .address = request->address,
                    .correlation_id = request->correlation_id,
                });
}

/* --- Life --- */

/* When the certificate that is served ends to be valid. */
static int64_t read_expiry(const char *path)
{
    struct tm tm;
    int64_t expires = 0;
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
        expires = (int64_t)timegm(&tm);
    X509_free(cert);
    if (file != NULL)
        fclose(file);
    return expires;
}

void rest_reconfigure(struct rest *rest, const struct config *config)
{
    atomic_store(&rest->cert_expires, read_expiry(config->server.tls_cert));
    atomic_store(&rest->max_connections, config->limits.max_connections);
}

void rest_drain(struct rest *rest)
{
    atomic_store(&rest->is_draining, true);
}

struct rest *rest_new(const struct rest_parts *parts)
{
    struct rest *rest = calloc(1, sizeof *rest);
    if (rest == NULL)
        return NULL;
    rest->parts = *parts;
    rest->started_ms = clock_wall_ms();
    rest->started_steady_ms = clock_steady_ms();
    rest->census = census_new(parts->server);
    rest_reconfigure(rest, parts->config);
    if (rest->census == NULL || !rest_health_add(rest) || !rest_stats_add(rest) ||
        !rest_metrics_add(rest) || !rest_delivery_add(rest) || !rest_realtime_add(rest) ||
        !rest_broadcast_add(rest) ||
        cvn_on_worker_start(parts->server, on_worker_start, rest) != CVN_OK ||
        cvn_on_worker_stop(parts->server, on_worker_stop, rest) != CVN_OK) {
        rest_free(rest);
        return NULL;
    }
    return rest;
}

void rest_free(struct rest *rest)
{
    if (rest == NULL)
        return;
    census_free(rest->census);
    free(rest->probes);
    free(rest);
}
