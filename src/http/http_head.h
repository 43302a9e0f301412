/*
 * The head of an HTTP/1.1 request (RFC 9112 sections 2-6): a strict, pure parser. What could be
 * read in two ways is refused, because a proxy in front may read it in the other.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/slice.h"

#define HTTP_MAX_HEAD   16384 /* bytes of request line and fields together: 431 beyond */
#define HTTP_MAX_TARGET 8192  /* bytes of the request target: 414 beyond */
#define HTTP_MAX_FIELDS 64    /* header fields: 431 beyond */

enum http_method {
    HTTP_OTHER, /* a valid token we know nothing about */
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS
};

struct http_field {
    cvn_slice name, value; /* value without surrounding white space */
};

/* All slices point into the bytes that were parsed. */
struct http_head {
    enum http_method method;
    cvn_slice method_name;
    cvn_slice target;       /* as sent */
    cvn_slice path;         /* up to '?', still percent-encoded */
    cvn_slice query;        /* behind '?', without it; empty when there is none */
    cvn_slice host;         /* empty: only under 1.0 */
    unsigned minor_version; /* 0 or 1 */
    bool keep_alive;        /* by version and Connection */
    bool chunked;           /* Transfer-Encoding: chunked and nothing else */
    bool has_length;
    bool expects_continue; /* Expect: 100-continue */
    bool wants_upgrade;    /* Connection has "upgrade" and an Upgrade field exists */
    uint64_t content_length;
    size_t field_count;
    struct http_field fields[HTTP_MAX_FIELDS];
};

enum http_decode { HTTP_NEED_MORE, HTTP_COMPLETE, HTTP_REFUSED };

/*
 * Parses a head at the front of `data`. HTTP_COMPLETE: *ret is filled and *ret_used is the length
 * of the head with its empty line. HTTP_REFUSED: *ret_status is the answer (400, 414, 417, 431,
 * 501, 505) and the connection must be closed after it. HTTP_NEED_MORE: call again with more; bytes
 * already seen to be wrong are refused early. Refused among others: bare CR or LF, obs-fold, white
 * space before the colon, a missing, empty or second Host (1.1), differing or repeated
 * Content-Length, Content-Length with Transfer-Encoding, any transfer coding but chunked, chunked
 * under 1.0, control characters, absolute-form with a scheme other than http(s), without a path, or
 * with an authority that is not the Host's (its path is used), versions other than 1.0 and 1.1. One
 * empty line before the request line is skipped.
 */
enum http_decode http_head_decode(cvn_slice data, struct http_head *ret, size_t *ret_used,
                                  int *ret_status);

/* The value of the first field `name` (any case); an empty slice with NULL data when absent. */
cvn_slice http_head_get(const struct http_head *head, cvn_slice name);
/* Whether the comma-separated field(s) `name` contain `token` (any case). */
bool http_head_has_token(const struct http_head *head, cvn_slice name, cvn_slice token);

/* Whether `text` is a token: what methods and field names are made of (RFC 9110 section 5.6.2). */
bool http_head_is_token(cvn_slice text);
/* Whether a field may have that value: no control characters but tabs. */
bool http_head_is_field_value(cvn_slice text);

/* The raw value of query parameter `name` (first one): NULL data when absent. Still
 * percent-encoded. */
cvn_slice http_query_get(cvn_slice query, cvn_slice name);
/* Walks `name=value&...`; false at the end. */
bool http_query_next(cvn_slice *rest, cvn_slice *ret_name, cvn_slice *ret_value);

#endif
