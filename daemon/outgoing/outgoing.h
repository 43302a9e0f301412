/*
 * Requests to other servers, by HTTP and HTTPS: key sets, webhooks, the coach. One of these a daemon; each worker has its own connections, and
 * whatever is asked for on a worker is answered there. Certificates are verified; redirects are an error unless they are asked for; everything
 * has a bound, in time and in bytes.
 */
#ifndef OUTGOING_OUTGOING_H
#define OUTGOING_OUTGOING_H

#include <convene/convene.h>

struct outgoing;
struct outgoing_call;
struct outgoing_loop;

/* Before the server starts, and before all that sends with it is made: what is made later is told of a worker's end earlier. NULL: memory, or the
 * server runs. */
struct outgoing *outgoing_new(cvn_server *server);
void outgoing_free(struct outgoing *outgoing); /* when the server has stopped; NULL is accepted */

struct outgoing_request {
    const char *method;          /* NULL: GET, or POST with a body */
    const char *url;             /* http or https */
    const char *const *headers;  /* "Name: value", ends with NULL; NULL: none */
    cvn_slice body;              /* copied */
    uint32_t timeout_ms;         /* for all of it; 0: none, for answers that stream */
    uint32_t connect_timeout_ms; /* 0: 10000 */
    uint32_t
        idle_timeout_ms; /* when not a byte comes for so long; 0: none; whole seconds, rounded up */
    size_t max_body;     /* bytes of the answer that are taken; beyond, the request fails */
    bool follow_redirects; /* up to five, without a body, by https only if it began so */
    const char *ca_file;   /* PEM; NULL: the system's authorities */
    /* Gets the answer's body as it comes, instead of `body` in the end; of answers with 2xx only. False ends the request. */
    bool (*on_data)(cvn_slice data, void *data_pointer);
};

struct outgoing_answer {
    const char *error;        /* in words, valid during the call; NULL: there is an answer */
    bool is_stopping;         /* `error` because the worker ends */
    int status;               /* 0 without an answer */
    const char *content_type; /* "" when there is none */
    uint32_t retry_after_s;   /* of the header Retry-After; 0: not said */
    cvn_slice body;
};
typedef void (*outgoing_fn)(const struct outgoing_answer *answer, void *data);

/* `fn` is called once, later, on this worker, unless the call is cancelled. NULL: memory, a URL that is none, or not on a worker (or one that
 * ends): `fn` is not called. On a worker. */
struct outgoing_call *outgoing_send(struct outgoing *outgoing,
                                    const struct outgoing_request *request, outgoing_fn fn,
                                    void *data);
/* Ends it without `fn`. On its worker, before `fn` was called, and not in its on_data. */
void outgoing_cancel(struct outgoing_call *call);

/* The calling worker's loop, for transfers of another kind; NULL elsewhere. */
struct outgoing_loop *outgoing_loop_here(struct outgoing *outgoing);

#endif
