/* The public face of the observer: which server is meant. */
#include "convene_server.h"

enum cvn_error cvn_set_observer(cvn_server *server, const cvn_observer *observer)
{
    return server != NULL ? sio_set_observer(&server->sio, observer) : CVN_ERR_ARGUMENT;
}

void cvn_observe(cvn_server *server, bool on)
{
    sio_observe(&server->sio, on);
}

enum cvn_error cvn_each_namespace(cvn_server *server, void (*fn)(cvn_namespace *nsp, void *data),
                                  void *data)
{
    if (server == NULL || fn == NULL)
        return CVN_ERR_ARGUMENT;
    return sio_each_namespace(&server->sio, fn, data);
}
