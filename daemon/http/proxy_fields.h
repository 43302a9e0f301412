/*
 * The header fields of a request on their way to the application, and which fields of either direction end here. Pure. RFC 9110 section
 * 7.6, RFC 7239.
 */
#ifndef HTTP_PROXY_FIELDS_H
#define HTTP_PROXY_FIELDS_H

#include <convene/types.h>
#include <stdbool.h>
#include <stddef.h>

#define PROXY_MAX_FIELDS 64    /* of a request: the server takes no more */
#define PROXY_MAX_VALUE  17000 /* bytes of a value that is put together here */

struct proxy_field {
    cvn_slice name, value;
};

/* Who sent the request, as we know it. */
struct proxy_hop {
    const char *peer;       /* numeric address */
    bool is_trusted;        /* a listed proxy: what it says of those before it is believed */
    bool is_secure;         /* came under TLS */
    bool upgrades;          /* asks for another protocol: Connection and Upgrade go on */
    cvn_slice host;         /* empty: none */
    const char *request_id; /* for X-Request-ID */
    const char *via;        /* our name in Via */
};

/* Whether the field means this connection alone: hop-by-hop by its name, or named in one of the `connection` fields' values. */
bool proxy_fields_is_hop(cvn_slice name, const struct proxy_field *fields, size_t count);

/* Calls `put` for each field that goes to the application. False as soon as `put` says so, or a value grows beyond PROXY_MAX_VALUE. */
typedef bool (*proxy_put_fn)(cvn_slice name, cvn_slice value, void *data);
bool proxy_fields_forward(const struct proxy_field *fields, size_t count,
                          const struct proxy_hop *hop, proxy_put_fn put, void *data);

/* Whether the protocols that `Upgrade` names may be changed over to: WebSocket and whatever else, but not another HTTP, under which requests and
 * fields would reach the application that nobody here has seen. */
bool proxy_fields_may_upgrade(const struct proxy_field *fields, size_t count);

/* Whether a Via field names `via`: the request has come round in a circle. */
bool proxy_fields_is_loop(const struct proxy_field *fields, size_t count, const char *via);

#endif
