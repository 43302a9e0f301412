/*
 * Questions to all sockets of a target, and what comes back: acknowledgements of a broadcast, and who is there. A request lives on its home
 * worker. The op that asks is applied on every worker and node; each replies once with the number of sockets it asked, then with what they answer.
 */
#ifndef SIO_REQUEST_H
#define SIO_REQUEST_H

#include <convene/adapter.h>
#include <convene/sockets.h>
#include "sio/sio_op.h"

#define SIO_REQUEST_TIMEOUT_MS   5000               /* when the caller names none */
#define SIO_REQUEST_MAX_BYTES    ((size_t)64 << 20) /* of the answers to one request, together */
#define SIO_REQUEST_FIRST_ACK_ID (1U << 30)         /* above what a socket's own count reaches */

struct sio_asker;

/* Who is to be told what came. */
struct sio_request_end {
    cvn_answers_fn on_answers; /* of an emit */
    cvn_fetch_fn on_sockets;   /* of a fetch */
    void *data;
    struct sio_asker
        *asker; /* another node asks: it is told, and owned by the request; else NULL */
};

/* Numbers `op` as a question and names its home; *ret_ack_id is for its packet. Any thread. CVN_ERR_ARGUMENT: for the calling worker only,
 * but called by none; or of a dynamic namespace's parent. */
enum cvn_error sio_request_number(struct sio_op *op, uint64_t *ret_ack_id);
/* Publishes the numbered op, on the thread that numbered it. With CVN_OK `end` will be told, once; else its asker is still the caller's. */
enum cvn_error sio_request_begin(const struct sio_op *op, const struct sio_request_end *end);

/* An op with an origin has reached this worker: asks its sockets. On that worker. */
void sio_request_answer(struct sio_worker *worker, const struct sio_op *op);

/* What another node says to a request of this one; checked already. Any thread. CVN_ERR_MEMORY. */
enum cvn_error sio_request_receive(struct sio_server *server, struct sio_origin origin,
                                   const cvn_cluster_answer *answer);

/* The worker's table of requests. */
void sio_request_init(struct sio_worker *worker);
/* Tells those that still wait that the server ends. After the worker has stopped. */
void sio_request_end_all(struct sio_worker *worker);

#endif
