/* What the files of the proxy tell each other and nobody else. */
#ifndef HTTP_PROXY_INTERNAL_H
#define HTTP_PROXY_INTERNAL_H

#include "http/proxy.h"
#include "outgoing/outgoing_loop.h"
#include <stdatomic.h>

struct proxy_exchange;

/* Everything of a worker; on its thread. */
struct proxy_worker {
    struct proxy *proxy;
    struct outgoing_loop *outgoing; /* NULL: memory ran out at the start */
    uv_timer_t sweep;               /* runs while there are exchanges: who waits for too long? */
    bool has_sweep;
    struct proxy_exchange *exchanges;
    uint64_t complained_ms; /* when the log was last told that the application fails */
    unsigned silent;        /* failures since */
};

struct proxy {
    cvn_server *server;
    struct proxy_worker *workers; /* by index */
    unsigned worker_count;
    char *origin; /* "http://127.0.0.1:3000/" */
    char *prefix; /* of every target; "" usually */
    char via[32]; /* our name in Via, another one in each process */
    uint32_t connect_timeout_ms, idle_timeout_ms;
    unsigned max_connections;
    uint64_t max_body;  /* 0: no bound */
    atomic_uint active; /* exchanges on all workers */
    struct metric *requests;
};

/* --- proxy.c --- */

/* Answers in the shape of all errors, and ends the request. */
void proxy_refuse(cvn_http_request *request, int status, const char *code, const char *message,
                  uint32_t retry_after_ms);
/* Counts an exchange or a refusal: "answered", "refused", "unreachable", "late", "cut", "left". */
void proxy_count(struct proxy *proxy, const char *result);
/* Tells the log that the application has failed us; once a second at most. */
void proxy_complain(struct proxy_worker *worker, const char *what, const char *why,
                    const char *request_id);
/* Sees to it that idle exchanges are looked for. */
void proxy_start_sweep(struct proxy_worker *worker);

/* --- proxy_exchange.c --- */

/* Takes the request; answered with 503 where that cannot be. */
void proxy_exchange_begin(struct proxy_worker *worker, cvn_http_request *client);
/* Ends what has been silent for too long. */
void proxy_exchange_sweep(struct proxy_worker *worker, uint64_t now_ms);

#endif
