/**
 * @file
 * The server's other HTTP requests: whatever is not Socket.IO's is the application's.
 */
#ifndef CONVENE_HTTP_H
#define CONVENE_HTTP_H

#include <convene/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A request arrived, with its body (at most max_http_buffer_size bytes; a larger one is refused
 * before). Answer it exactly once with cvn_http_respond, now or later, on this worker. Its method,
 * path, headers and body are valid until the handler returns; the request itself until it is
 * answered (a client that leaves makes the answer go nowhere).
 */
typedef void (*cvn_http_fn)(cvn_http_request *request, void *data);
/** For every request outside the Socket.IO path; without a handler they get 404. Before the server
 * starts. */
CVN_API void cvn_on_http(cvn_server *server, cvn_http_fn fn, void *data);

/** "GET", "POST", ... */
CVN_API cvn_slice cvn_http_method(const cvn_http_request *request);
/** The path, still percent-encoded, without the query. */
CVN_API cvn_slice cvn_http_path(const cvn_http_request *request);
/** A query parameter, still percent-encoded; NULL data when absent. */
CVN_API cvn_slice cvn_http_query(const cvn_http_request *request, const char *name);
/** A header field in any case; NULL data when absent. */
CVN_API cvn_slice cvn_http_header(const cvn_http_request *request, const char *name);
/** The whole body, decoded from chunks if need be; empty when there is none. */
CVN_API cvn_slice cvn_http_body(const cvn_http_request *request);
/** The peer's numeric address. */
CVN_API const char *cvn_http_address(const cvn_http_request *request);
/** Walks all header fields from *cursor = 0; false at the end. */
CVN_API bool cvn_http_next_header(const cvn_http_request *request, size_t *cursor,
                                  cvn_slice *ret_name, cvn_slice *ret_value);

/**
 * A decision on a client, put off. The hook allow_request calls cvn_allow_later, its own return
 * value no longer counts, and somebody decides when a database or another server has answered.
 * Meanwhile the client's connection waits, on polling and WebSocket alike: what it sends is kept,
 * up to a bound; it may leave, and then the decision goes nowhere; after allow_timeout_ms it gets
 * 503. Handshakes that wait count as sessions for max_connections_per_worker.
 */
typedef struct cvn_admission cvn_admission;
/** Inside allow_request only, once: takes the decision over. The request is gone when the hook
 * returns: copy what is needed. NULL when memory has run out (the hook's return value counts then)
 * or outside the hook. */
CVN_API cvn_admission *cvn_allow_later(cvn_http_request *request);
/** Lets the client in. This or cvn_deny is called exactly once and frees the admission. Any thread,
 * the hook itself included; before cvn_server_free. */
CVN_API void cvn_allow(cvn_admission *admission);
/** Refuses with 403 and `message`, which is copied; NULL means "Forbidden". Else as cvn_allow. */
CVN_API void cvn_deny(cvn_admission *admission, const char *message);

/** A header field of an answer. */
typedef struct cvn_header {
    const char *name;  /**< a token */
    const char *value; /**< without line breaks */
} cvn_header;
/** What a refusal says. Zeros: what cvn_deny says. */
typedef struct cvn_denial {
    int status;                /**< 400 to 599, as 429 or 503; else the usual, 403 */
    const char *message;       /**< for the client; NULL: "Forbidden" */
    const cvn_header *headers; /**< of the answer, as Retry-After; impossible ones are left out */
    size_t header_count;       /**< how many */
} cvn_denial;
/** As cvn_deny, with all that an answer may say; everything is copied. To refuse so at once, call it
 * inside the hook with what cvn_allow_later gave. When memory has run out the client gets the usual
 * refusal. */
CVN_API void cvn_deny_with(cvn_admission *admission, const cvn_denial *denial);

/** Adds a field to the answer. False for a name or value that no header may have, for Content-Length,
 * Transfer-Encoding and Connection, which are made here, or when memory has run out. */
CVN_API bool cvn_http_add_header(cvn_http_request *request, const char *name, cvn_slice value);
/** Answers; `content_type` NULL for none. Copies the body. A HEAD request gets the head alone. */
CVN_API void cvn_http_respond(cvn_http_request *request, int status, const char *content_type,
                              cvn_slice body);

#ifdef __cplusplus
}
#endif
#endif
