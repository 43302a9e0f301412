/*
 * The observer of a server: one set of functions that hears of everything, and a switch. While it is off, whoever might tell it pays for a
 * look at a flag. Worker's thread, but for the switch.
 */
#ifndef SIO_OBSERVE_H
#define SIO_OBSERVE_H

#include "sio/sio_socket.h"

static inline bool sio_is_observed(const struct cvn_namespace *nsp)
{
    return atomic_load_explicit(&nsp->server->is_observed, memory_order_relaxed);
}

void sio_observe_join(struct cvn_socket *socket, const char *room);
void sio_observe_leave(struct cvn_socket *socket, const char *room);
void sio_observe_disconnect(struct cvn_socket *socket, const char *reason);
void sio_observe_upgrade(struct cvn_socket *socket);
void sio_observe_event(struct cvn_socket *socket, const struct cvn_event *event);
void sio_observe_outgoing(struct cvn_socket *socket, const char *event, cvn_args args);

#endif
