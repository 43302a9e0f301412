/*
 * The servers that the conformance suites and benchmarks talk to, one contract each. Every run prints "listening on 127.0.0.1:PORT" and
 * serves until SIGTERM or SIGINT; it returns an exit status. The Engine.IO and WebSocket ones stand on the layer they test.
 * `deflate`: accepts offers of permessage-deflate, and compresses every message and answer that shrinks, however small it is.
 */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>
#include "http/http_conn.h"

/* "eio-echo", "eio-client", "eio-java". 2 for a contract it does not know. */
int conformance_eio_run(const char *contract, uint16_t port, unsigned workers, bool deflate);
/* "sio-proto", "sio-client", "sio-recovery", "sio-java", "sio-flow", "sio-api", on the public API. 2 for a contract it does not know. */
int conformance_sio_run(const char *contract, uint16_t port, unsigned workers, bool deflate,
                        bool msgpack);
struct cvn_server;
/* The namespaces and handlers of "sio-recovery". */
void conformance_setup_recovery(struct cvn_server *server);
/* Those of "sio-flow". */
void conformance_setup_flow(struct cvn_server *server);
/* Those of "sio-api", and its hooks. */
void conformance_setup_api(struct cvn_server *server);
struct cvn_http_request;
struct cvn_connection_error;
bool conformance_api_allow(struct cvn_http_request *request, const char **ret_message,
                           void *hook_data);
void conformance_api_refused(struct cvn_http_request *request,
                             const struct cvn_connection_error *error, void *hook_data);
/* "ws-echo". */
int conformance_ws_run(uint16_t port, unsigned workers, bool deflate);

/* Calls fn(data) on another thread `ms` milliseconds from now, at least; `ms` is the same in every call of a process. */
void conformance_delay(long ms, void (*fn)(void *data), void *data);

/* --- What both stand on --- */

struct conformance_service {
    const struct http_events *events; /* app is the struct worker the connection came in on */
    const struct conn_limits *limits;
    /* For each worker, before it listens and after its loop has ended; may be NULL. `workers` are all of them. */
    bool (*start)(struct worker *worker, struct worker *const *workers, unsigned count);
    void (*stop)(struct worker *worker);
};

/* Serves on `workers` threads with a listener each on one port (0: any). */
int conformance_serve(const struct conformance_service *service, uint16_t port, unsigned workers);

#endif
