/*
 * Which HTTP request is answered by whom. A table of routes per part, matched in order; the path may hold names (":userId") that take one
 * segment, percent-decoded. The router asks for the credentials that a route wants before its handler runs, answers HEAD, 405 with Allow and 404, and
 * writes errors in one shape: {"ok":false,"error":{"code","message","retry_after_ms"?}}.
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "auth/auth.h"
#include "observe/log.h"
#include <convene/convene.h>

struct router;

/* Who may ask. */
enum route_access {
    ROUTE_ANYONE,
    ROUTE_USER,     /* a token */
    ROUTE_ADMIN,    /* a token with role ADMIN */
    ROUTE_BACKEND,  /* an API key (X-API-Key, or Bearer), or a token with role SERVICE or ADMIN */
    ROUTE_OPERATOR, /* operations.metrics_token, an ADMIN's token, or (none is set) a peer on loopback that no proxy speaks for */
};

#define ROUTE_MAX_PARAMS 4

/* A request on its way to a handler; lives until the handler (or whoever it hands it to) has answered. */
struct request {
    cvn_http_request *http;
    struct principal
        *principal; /* NULL where nobody was asked for; of an API key one with role SERVICE */
    const char *params[ROUTE_MAX_PARAMS]; /* values of ":names" in their order, decoded */
    char correlation_id[CORRELATION_ID_SIZE];
    char address[46]; /* the client's, behind trusted proxies */
};

typedef void (*route_fn)(struct request *request, void *data);

struct route {
    const char *method;
    const char *path;
    enum route_access access;
    route_fn fn;
    const char *summary; /* for docs */
};

struct router *router_new(const struct config *config, struct auth *auth, cvn_server *server);
void router_free(struct router *router);
bool router_add(struct router *router, const struct route *routes, size_t count,
                void *data); /* before the server starts; the table stays the caller's */
/* Whatever no route knows: static files, the proxy. Tried in order; true: it has taken the request. */
bool router_add_fallback(struct router *router, bool (*fn)(cvn_http_request *request, void *data),
                         void *data);

/* Each answers and ends the request; exactly one is called, on its worker. */
void request_answer(struct request *request, int status, cvn_slice json);
void request_answer_text(struct request *request, int status, const char *content_type,
                         cvn_slice body);
void request_refuse(struct request *request, int status, const char *code, const char *message,
                    uint32_t retry_after_ms);

#endif
