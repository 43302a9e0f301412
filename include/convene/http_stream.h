/**
 * @file
 * HTTP in pieces: bodies and answers of any length, both at once if need be, with back pressure; and
 * connections that change over to another protocol. For proxies, uploads, downloads and event streams.
 *
 * Everything is for the request's worker only. Handlers are called one at a time, from the loop, never from inside a
 * function of this file. Such a function may be called from other callbacks of the worker's loop, too.
 */
#ifndef CONVENE_HTTP_STREAM_H
#define CONVENE_HTTP_STREAM_H

#include <convene/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A length that is not known beforehand. */
#define CVN_HTTP_UNKNOWN UINT64_MAX

/**
 * A request outside the Socket.IO path has arrived, its body has not. True: it is taken, that is answered, or
 * about to be: its body is thrown away unless cvn_http_stream asked for it. False: nothing was done with it; its
 * body is collected, and the handler of cvn_on_http gets both. The head (method, path, headers) is valid until the
 * function returns.
 */
typedef bool (*cvn_http_head_fn)(cvn_http_request *request, void *data);
/** Asked of every such request, before cvn_on_http's handler. Before the server starts. */
CVN_API void cvn_on_http_head(cvn_server *server, cvn_http_head_fn fn, void *data);

/** What a request in pieces tells. */
typedef struct cvn_http_stream_events {
    /** A piece of the body, or after cvn_http_upgrade of whatever the client sends. Never empty, valid
     * during the call. NULL: pieces are dropped. */
    void (*on_body)(cvn_http_request *request, cvn_slice piece, void *data);
    /** The body has come whole; also where there is none. Not after cvn_http_upgrade. May be NULL. */
    void (*on_body_end)(cvn_http_request *request, void *data);
    /** After cvn_http_write has returned false: everything queued has left for the kernel. May be NULL. */
    void (*on_drain)(cvn_http_request *request, void *data);
    /** The client has left, reads or sends too slowly (http_body_timeout), sends a malformed body, or the server stops, before the answer
     * was whole. The request is gone when this returns: no other call, cvn_http_abort neither. */
    void (*on_gone)(cvn_http_request *request, void *data);
} cvn_http_stream_events;

/**
 * Takes a request in pieces. In cvn_http_head_fn: its body comes through on_body and on_body_end, without any limit of size, after the
 * function has returned true. In cvn_on_http's handler, where the body is there already, it only asks for on_drain and
 * on_gone. `events` must outlive the request; its on_gone is required. False: called elsewhere, the second time, without on_gone,
 * or memory has run out.
 */
CVN_API bool cvn_http_stream(cvn_http_request *request, const cvn_http_stream_events *events,
                             void *data) CVN_MUST_CHECK;

/** Stops the pieces of the body (on_body_end too) until cvn_http_resume: back pressure upon the client. Bytes
 * already received wait, a bounded number. A client that waits for "100 Continue" (RFC 9110 section 10.1.1)
 * gets it when its body may come: paused in cvn_http_head_fn, not before the first cvn_http_resume. */
CVN_API void cvn_http_pause(cvn_http_request *request);
/** The pieces come again. */
CVN_API void cvn_http_resume(cvn_http_request *request);

/**
 * Begins an answer that cvn_http_write and cvn_http_end complete, of any request that is not answered. Fields were added with cvn_http_add_header
 * before; Content-Length or Transfer-Encoding and Connection are made here. `length` in bytes, or CVN_HTTP_UNKNOWN: the body is chunked, or
 * for HTTP/1.0 ends with the connection. A HEAD request, 204 and 304 get no body whatever is written. `content_type` NULL for none. False:
 * an answer has begun, `status` is not 200 to 999, the client has left, or memory has run out (on_gone follows).
 */
CVN_API bool cvn_http_begin(cvn_http_request *request, int status, const char *content_type,
                            uint64_t length) CVN_MUST_CHECK;
/** Queues a copy of `piece` for the client; what exceeds the announced length is dropped. False: the client does not keep up; write no more
 * before on_drain. Who goes on all the same has the connection closed at cvn_options.send_max. A client that reads nothing for
 * about 30 seconds is given up. */
CVN_API bool cvn_http_write(cvn_http_request *request, cvn_slice piece);
/** The answer is whole. The request is gone; what is left of its body is not waited for. An answer shorter than its announced length, or
 * that has not begun, is aborted. */
CVN_API void cvn_http_end(cvn_http_request *request);
/** Cuts the client's connection, so that it sees that the answer is not whole. The request is gone; on_gone
 * does not come. */
CVN_API void cvn_http_abort(cvn_http_request *request);

/**
 * Changes over to the protocol that the client asked for (RFC 9110 section 7.8). Nothing is sent: the application writes its 101 itself,
 * with cvn_http_write, which now sends bytes as they are; what the client sends comes by on_body with the same back pressure, no time limit
 * applies, and cvn_http_end closes in order. For a request taken with cvn_http_stream and not answered. False, and nothing has changed, when
 * the client did not ask for it (HTTP/1.1 with Connection: upgrade and Upgrade), has a body, or has left, or memory has run out.
 */
CVN_API bool cvn_http_upgrade(cvn_http_request *request) CVN_MUST_CHECK;

/** Path and query as sent (of an absolute-form target the part from the path on). Valid as the head. */
CVN_API cvn_slice cvn_http_target(const cvn_http_request *request);
/** 1 for HTTP/1.1, 0 for HTTP/1.0. Valid as the head. */
CVN_API unsigned cvn_http_minor_version(const cvn_http_request *request);
/** Bytes of the body that was announced: 0 when there is none, CVN_HTTP_UNKNOWN for a chunked one. Valid as the head. */
CVN_API uint64_t cvn_http_length(const cvn_http_request *request);
/** Whether the client asks to change over to another protocol. Valid as the head. */
CVN_API bool cvn_http_wants_upgrade(const cvn_http_request *request);
/** Whether the client's connection is under TLS. */
CVN_API bool cvn_http_is_secure(const cvn_http_request *request);

#ifdef __cplusplus
}
#endif
#endif
