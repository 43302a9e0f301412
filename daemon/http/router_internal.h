/* What the files of the router tell each other and nobody else. */
#ifndef HTTP_ROUTER_INTERNAL_H
#define HTTP_ROUTER_INTERNAL_H

#include "http/cors.h"
#include "http/route_path.h"
#include "http/router.h"
#include <stdatomic.h>

#define ROUTER_DIGEST_SIZE 32 /* SHA-256 */
#define ROUTER_MAX_TOKEN   16384
#define ROUTER_MAX_QUERY   8 /* parameters that one route may name */

/* What a reload replaces: one immutable block. */
struct router_policy {
    struct router_policy *older; /* kept until the end: a worker may be reading it */
    bool operator_public, has_operator_token;
    uint8_t operator_token[ROUTER_DIGEST_SIZE];
    bool takes_cookies;
    char **origins;
    size_t origin_count;
};

struct router_table {
    const struct route *routes;
    size_t count;
    void *data;
};

struct router_fallback {
    bool (*fn)(cvn_http_request *request, void *data);
    void *data;
};

struct router {
    struct auth *auth;
    _Atomic(struct router_policy *) policy;
    struct router_table *tables;
    size_t table_count;
    struct router_fallback *fallbacks;
    size_t fallback_count;
    struct metric *requests, *durations; /* NULL: not measured */
};

/* A copy of what the library lends until the handler returns. */
struct request_copy {
    cvn_slice body;
    size_t field_count;
    struct {
        cvn_slice name, value;
    } * fields;
    cvn_slice query[ROUTER_MAX_QUERY]; /* in the order in which the route names them */
};

struct router_request {
    struct request request; /* first: handlers get its address */
    struct router *router;
    const struct route *route; /* NULL: none of ours answers */
    void *data;                /* of the route's table */
    int64_t started_us;
    struct route_values values;
    char method[16], path[128]; /* for the log, cut */
    enum cors_verdict cors;
    struct request_copy *copy; /* NULL: the handler of the library has not returned */
    /* How far the credentials are. The callback of auth_verify may come before auth_verify returns. */
    bool asking, verified, lost; /* lost: what was lent is gone and could not be copied */
    enum auth_refusal refusal;
};

/* --- request.c --- */

/* Wraps a request; NULL when memory has run out. */
struct router_request *request_new(struct router *router, cvn_http_request *http);
/* Copies what is lent; false when memory has run out. */
bool request_keep(struct router_request *own);

/* --- router_access.c --- */

struct router_policy *router_policy_new(const struct config *config);
void router_policy_free(struct router_policy *policy);
/* Finds out who asks, if the route wants to know, and calls `go_on` or refuses. */
void router_admit(struct router_request *own, void (*go_on)(struct router_request *own));

#endif
