/* What the public calls that name a target have in common with ops that come from other nodes. Any thread. */
#ifndef SIO_TARGET_H
#define SIO_TARGET_H

#include "sio/sio_request.h"

/* Whether anything can be done to the namespace now: CVN_ERR_ARGUMENT (NULL), CVN_ERR_STATE. */
enum cvn_error sio_target_check(const struct cvn_namespace *nsp);

/* Encodes and publishes an emit whose target, flags and timeout are in `op`; with an end its sockets acknowledge. Errors as for cvn_emit and
 * sio_request_begin. */
enum cvn_error sio_target_emit(struct sio_op *op, const char *event, cvn_args args,
                               const struct sio_request_end *end);

#endif
