/*
 * Telling the listeners. They are the application's and may do anything, so they are called with a reference held and never
 * while arrays of sockets are walked over.
 */
#include "sio/sio_outgoing.h"
#include "base/log.h"

void sio_outgoing_tell(struct cvn_socket *socket, const char *event, cvn_args args)
{
    const struct sio_handlers *listeners = &socket->local->nsp->handlers->outgoing;
    cvn_socket_ref(socket);
    for (size_t i = 0; i < listeners->count; i++)
        listeners->items[i].fn.outgoing(socket, event, args, listeners->items[i].data);
    if (sio_is_observed(socket->local->nsp))
        sio_observe_outgoing(socket, event, args);
    cvn_socket_unref(socket);
}

void sio_outgoing_tell_all(struct sio_collected *collected, const char *event, cvn_args args)
{
    if (collected->failed)
        log_write(LOG_ERROR, "out of memory: not every catch-all listener was told");
    for (size_t i = 0; event != NULL && i < collected->count; i++)
        sio_outgoing_tell(collected->sockets[i], event, args);
    sio_collect_release(collected);
}
