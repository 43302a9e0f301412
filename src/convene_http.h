/* What the files about the application's HTTP requests share: convene_http.c and convene_http_stream.c. */
#ifndef CONVENE_HTTP_INTERNAL_H
#define CONVENE_HTTP_INTERNAL_H

#include "convene_server.h"
#include "http/http_stream.h"

/* What the application holds. It lives from on_head until it is answered, even when the client leaves before; one that is taken in pieces
 * ends with its on_gone. */
struct cvn_http_request {
    struct http_request *http; /* NULL: the client has left */
    cvn_slice body;
    const cvn_http_stream_events *events; /* NULL: not taken in pieces */
    void *events_data;
    bool in_head_fn;
    bool is_counted;           /* in server_worker.http_requests */
    bool delivered;            /* the handler has it and owes the answer */
    struct eio_server *asking; /* inside allow_request: who asks */
    bool put_off;              /* and cvn_allow_later was called */
};

/* Takes the request away from whom it came from, when its answer has been decided on; NULL: nobody is left
 * to answer. The caller frees `wrapped`. */
struct http_request *server_unwrap_request(struct cvn_http_request *wrapped);

/* The worker's stop does not wait for it any longer. */
void server_uncount_request(struct cvn_http_request *wrapped);

/* http_events of requests in pieces. */
void server_on_piece(struct http_request *request, char *data, size_t size, void *app);
void server_on_piece_end(struct http_request *request, void *app);
void server_on_http_drain(struct http_request *request, void *app);

#endif
