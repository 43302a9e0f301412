/*
 * Catch-all listeners of what is emitted, and the observer. Whoever registers none pays for a look at a count; with some, a broadcast carries its name and
 * arguments beside the encoded packet. Worker's thread.
 */
#ifndef SIO_OUTGOING_H
#define SIO_OUTGOING_H

#include "sio/sio_collect.h"
#include "sio/sio_observe.h"

static inline bool sio_outgoing_is_heard(const struct cvn_namespace *nsp)
{
    return nsp->handlers->outgoing.count > 0 || sio_is_observed(nsp);
}

/* An event has been queued for the socket. */
void sio_outgoing_tell(struct cvn_socket *socket, const char *event, cvn_args args);
/* The same for many, once the walk over them is over; releases them. `event` NULL: nothing is known of it. */
void sio_outgoing_tell_all(struct sio_collected *collected, const char *event, cvn_args args);

#endif
