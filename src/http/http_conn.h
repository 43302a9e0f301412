/*
 * The HTTP/1.1 life of a connection: heads, bodies, one response at a time, keep-alive, timeouts;
 * until it closes or an upgrade takes the connection over. Pipelined requests wait for the response
 * before them. Runs on the connection's worker.
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "http/http_head.h"
#include "base/buf.h"
#include "net/conn.h"

struct http_conn;

/* One request and its response. Valid from on_head until it was answered, upgraded, moved, or
 * on_abort returned. */
struct http_request {
    struct http_conn *conn;
    /* The parsed head: valid until on_head returns or answers, and again during on_body when a body
     * was asked for; NULL at other times. For a request that stays pending copy what you need. */
    const struct http_head *head;
    enum http_method method; /* stays valid */
    struct buf fields;       /* extra response header lines, see http_request_add_field */
    void *user;              /* of the layer above */
    uint8_t route;           /* 0 at first; for whoever shares out requests among several owners */
    bool parked;             /* from http_request_park until on_head comes again */
};

/* What the layer above does with requests. */
struct http_events {
    /* A head arrived. Do one of: respond, read the body, upgrade, move, park; http_stream_read; or none of them, which
     * leaves the request pending until http_respond. */
    void (*on_head)(struct http_request *request, void *app);
    /* The whole body that http_request_read_body asked for; bytes valid during the call, even
     * behind the answer, and writable; `body` is never NULL. Respond now or later. */
    void (*on_body)(struct http_request *request, char *body, size_t size, void *app);
    /* The client has gone, or the body was refused (too large, malformed, too slow; that response
     * is made here, the connection is still open), before the request was answered. Do not answer. */
    void (*on_abort)(struct http_request *request, void *app);
    /* See http_stream.h; not needed where nothing of it is used. A piece of the body (never empty), or of an upgraded connection's bytes:
     * valid during the call, and writable. The body has ended. The client has read what was queued. */
    void (*on_piece)(struct http_request *request, char *data, size_t size, void *app);
    void (*on_end)(struct http_request *request, void *app);
    void (*on_drain)(struct http_request *request, void *app);
};

struct http_limits {          /* milliseconds; zero is replaced by the default */
    uint64_t head_timeout_ms; /* from the first byte of a head to its end: 10 s */
    uint64_t body_timeout_ms; /* from the head to the end of the body: 30 s */
    uint64_t idle_timeout_ms; /* between requests, and before the first: 30 s */
};

/* Takes the connection. False (connection closed) when memory has run out. events, limits and app
 * must outlive it. */
bool http_conn_start(struct conn *conn, const struct http_events *events,
                     const struct http_limits *limits, void *app);

struct conn *http_request_conn(const struct http_request *request);

/* Adds a response header line. A name that is no token and a value with CR, LF or NUL are refused
 * with false, as when memory has run out; what was added before stays. */
bool http_request_add_field(struct http_request *request, cvn_slice name, cvn_slice value);

/* Inside on_head: asks for the body, of at most `max` bytes, in one piece: on_body follows, after
 * on_head has returned. A longer one is answered with 413, an empty body and "Connection: close"
 * (on_abort tells). A request without a body gets an empty on_body. */
void http_request_read_body(struct http_request *request, size_t max);

/*
 * Answers: status line, Date-less head with Content-Length, Connection as needed, the added fields,
 * Content-Type unless `content_type` is empty, then the body. HEAD, 204 and 304 get no body. An
 * unread request body is drained or the connection is closed. The request is gone afterwards.
 */
void http_respond(struct http_request *request, int status, cvn_slice content_type, cvn_slice body);
/* The same with a body that need not be copied: the payload of `body` (prefix skipped). Its
 * reference stays the caller's. */
void http_respond_message(struct http_request *request, int status, cvn_slice content_type,
                          struct message *body);
/* Answers and closes the connection in order afterwards (also "Connection: close"). */
void http_respond_close(struct http_request *request, int status, cvn_slice content_type,
                        cvn_slice body);

/* Called inside on_head: hands the TCP connection over for another protocol. The caller writes its
 * own 101 with conn_write and must conn_set_owner before on_head returns; bytes behind the head are
 * delivered to the new owner's on_data directly after on_head. The request is gone. */
struct conn *http_request_upgrade(struct http_request *request);

/* Called inside on_head: moves the connection to another worker, where on_head is called again with
 * the same head. */
void http_request_move(struct http_request *request, struct worker *to);

/* Called inside on_head: puts the request off. Nothing more of the connection is read into than fits a
 * bounded buffer, and no timer of this layer runs: whoever parks sees to it that the end comes. Then
 * http_request_resume, once and not from inside on_head, has on_head called again with the same head, `user` and
 * `route` as they are. on_abort when the client leaves before. */
void http_request_park(struct http_request *request);
void http_request_resume(struct http_request *request);

/* The standard words of a status, "Unknown" for others. */
const char *http_reason_phrase(int status);

#endif
