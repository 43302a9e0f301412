/*
 * Which HTTP request is answered by whom. A table of routes per part, matched in order; the path may hold names (":userId") that take one
 * segment, percent-decoded. The router asks for the credentials that a route wants before its handler runs, answers HEAD, 405 with Allow and 404, and
 * writes errors in one shape: {"ok":false,"error":{"code","message","retry_after_ms"?}}. Pages of other origins may use the routes as
 * far as config.server.origins lets them (CORS); a request that changes something and comes from a page of any other origin is refused. An
 * X-Request-ID is taken over into the log and given back, or made. Registered on the main thread before the server starts, then read-only;
 * requests run on their workers.
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "access/access_proxies.h"
#include "auth/auth.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <convene/convene.h>
#include <jansson.h>

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

/*
 * A request on its way to a handler; lives until the handler (or whoever it hands it to) has answered. What the functions below tell of
 * its query, fields and body is valid until the handler returns: read them there and not from `http`, whose own are gone when the
 * credentials had to be waited for. The rest is valid until the answer.
 */
struct request {
    cvn_http_request *http;
    struct principal
        *principal; /* NULL where nobody was asked for; of an API key one with role SERVICE */
    const char *params[ROUTE_MAX_PARAMS]; /* values of ":names" in their order, decoded */
    char correlation_id[CORRELATION_ID_SIZE];
    char address[ACCESS_ADDRESS_SIZE]; /* the client's, behind trusted proxies */
};

typedef void (*route_fn)(struct request *request, void *data);

struct route {
    const char *method;
    const char *path;
    enum route_access access;
    route_fn fn;
    const char *summary; /* for docs */
    const char
        *query; /* names of the query parameters that it reads, separated by commas; NULL: none */
};

/* `server` may be NULL. */
struct router *router_new(const struct config *config, struct auth *auth, cvn_server *server);
void router_free(struct router *router); /* NULL is accepted */
/* Counts requests by route, method and status, and how long they take; before the server starts. */
void router_measure(struct router *router, struct metrics *metrics);
/* Takes over origins and who the operator is; false, and everything as before, when memory has run out. Main thread. */
bool router_reconfigure(struct router *router, const struct config *config);
/* For cvn_on_http, with the router as its data. */
void router_serve(cvn_http_request *http, void *data);
/* For cvn_on_http_head, likewise: what no route has is offered to the fallbacks before its body has come. */
bool router_serve_head(cvn_http_request *http, void *data);
bool router_add(struct router *router, const struct route *routes, size_t count,
                void *data); /* before the server starts; the table stays the caller's */
/* Whatever no route knows: static files, the proxy. Tried in order, before the body has come where router_serve_head is in its place; true: it has
 * taken the request. */
bool router_add_fallback(struct router *router, bool (*fn)(cvn_http_request *request, void *data),
                         void *data);

/* Walks the routes of all tables, from *cursor = 0; NULL at the end. For documentation. */
const struct route *router_next_route(const struct router *router, size_t *cursor);

/* A query parameter that the route has named, decoded ("+" is a space); false when it is absent or does not fit, is no UTF-8 or has a NUL. `ret` is ""
 * then. */
bool request_query(const struct request *request, const char *name, char *ret, size_t size);
bool request_has_query(const struct request *request, const char *name); /* whatever its value */
/* A header field in any case; NULL data when absent. */
cvn_slice request_field(const struct request *request, const char *name);
cvn_slice request_body(const struct request *request);
/* The body as a JSON object, the caller's; NULL: the request has been refused (400) and is gone. No body at all counts as {}. */
json_t *request_json(struct request *request);

/* Adds a field to the answer; false when memory has run out, or for a name or value that no field may have. */
bool request_add_field(struct request *request, const char *name, const char *value);
/* Each answers and ends the request; exactly one is called, on its worker. */
void request_answer(struct request *request, int status, cvn_slice json);
/* Takes the reference; NULL, which is memory that has run out, answers 503. */
void request_answer_json(struct request *request, int status, json_t *json);
void request_answer_text(struct request *request, int status, const char *content_type,
                         cvn_slice body);
void request_refuse(struct request *request, int status, const char *code, const char *message,
                    uint32_t retry_after_ms);

#endif
