/*
 * Bodies and answers in pieces, of any length, both at the same time if need be; and connections that become somebody else's raw
 * bytes without leaving their HTTP machine. On the connection's worker.
 *
 * Where a function closes the connection because memory has run out or the client's reading is too slow, on_abort follows at the end of the
 * turn, never from inside the call.
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/http_conn.h"

#define HTTP_UNKNOWN_LENGTH UINT64_MAX
#define HTTP_STREAM_HIGH    262144 /* bytes queued for the client beyond which a writer shall wait */

/* Inside on_head: the body, of any length, comes by on_piece and on_end after on_head has returned. The time
 * between two pieces is limited by body_timeout_ms while it is not paused. False when memory has run out. */
bool http_stream_read(struct http_request *request) __attribute__((warn_unused_result));
/* No more pieces until http_stream_resume; on_end waits too. "100 Continue" is not asked for before the
 * first time that reading is not paused. */
void http_stream_pause(struct http_request *request);
void http_stream_resume(struct http_request *request);

/* Sends the head of an answer, of a pending request or one whose body is being read. `length` of the body, or HTTP_UNKNOWN_LENGTH: chunked
 * then, or until the end of the connection for HTTP/1.0. False for a second answer, a status below 200 or above 999, a content type that is none, and
 * when memory has run out (the connection closes then). */
bool http_stream_begin(struct http_request *request, int status, cvn_slice content_type,
                       uint64_t length) __attribute__((warn_unused_result));
bool http_stream_has_begun(const struct http_request *request);
/* Queues a copy. No more than the announced length is sent, and nothing where no body may be. False: much is queued; wait for
 * on_drain, or for the on_abort of a connection that has been closed. */
bool http_stream_write(struct http_request *request, cvn_slice piece);
/* The answer is whole, the request is gone. One that is shorter than its announced length is aborted. */
void http_stream_end(struct http_request *request);
/* Cuts the connection, so that the client sees that something is missing. The request is gone, without on_abort. */
void http_stream_abort(struct http_request *request);

/* From now on http_stream_write sends bytes as they are, the 101 first, and on_piece brings what the client sends, until http_stream_end (in
 * order) or http_stream_abort. False, and nothing has changed: HTTP/1.0, a body, no wish to upgrade, an answer has begun, or memory has
 * run out. */
bool http_stream_upgrade(struct http_request *request) __attribute__((warn_unused_result));

#endif
