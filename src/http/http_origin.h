/*
 * Who may call from a browser: one list of origins that decides the CORS headers of HTTP answers
 * and whether a request with an Origin header is served at all, WebSocket upgrades included. Pure;
 * the policy is immutable after creation.
 */
#ifndef HTTP_ORIGIN_H
#define HTTP_ORIGIN_H

#include "http/http_conn.h"

struct http_origin_policy {
    /* Exact origins ("https://a.example", in any case), "*" for any, "null" included,
     * "https://" "*.a.example" for the subdomains of a.example. */
    const char *const *allowed;
    size_t allowed_count;
    /* Answer Access-Control-Allow-Credentials: true and echo the origin, never "*". */
    bool credentials;
    cvn_slice methods;  /* of preflights; empty: the reference's */
    cvn_slice headers;  /* of preflights; empty: those that are asked for */
    cvn_slice exposed;  /* Access-Control-Expose-Headers; empty: none */
    uint32_t max_age_s; /* of preflights; 0: not said */
};

enum http_origin_verdict {
    HTTP_ORIGIN_NONE,    /* no Origin header: no browser, or a same-origin GET */
    HTTP_ORIGIN_SAME,    /* Origin names the host the request was sent to */
    HTTP_ORIGIN_ALLOWED, /* on the list */
    HTTP_ORIGIN_REFUSED, /* not on the list */
    /* Characters no origin has (control, space, non-ASCII), or two Origin fields: code 3 "Bad
     * request". */
    HTTP_ORIGIN_INVALID
};

enum http_origin_verdict http_origin_check(const struct http_origin_policy *policy,
                                           const struct http_head *head);
/* Adds Access-Control-Allow-Origin, -Credentials, -Expose-Headers and Vary: Origin to the answer, as the
 * verdict wants. False when memory has run out. Needs request->head. */
bool http_origin_add_fields(const struct http_origin_policy *policy, struct http_request *request,
                            enum http_origin_verdict verdict);
/* Whether this is a preflight (OPTIONS with Origin and Access-Control-Request-Method). */
bool http_origin_is_preflight(const struct http_head *head);
/* Answers a preflight with 204: the methods (the reference's are GET,HEAD,PUT,PATCH,POST,DELETE), the
 * headers (those requested, if the policy names none), how long it holds, Vary: Origin,
 * Access-Control-Request-Headers. For a refused origin: 204
 * without the permitting headers. */
void http_origin_preflight(const struct http_origin_policy *policy, struct http_request *request);

#endif
