/*
 * Another node that waits for answers: its name and that of its request, and the answers on their way to it. Any thread. Nothing is said once the
 * server has ended: the adapter has stopped.
 */
#ifndef SIO_ASKER_H
#define SIO_ASKER_H

#include "sio/sio_adapter.h"
#include "sio/sio_remote.h"

struct sio_asker {
    cvn_slice node, request;
    char text[];
};

/* To be freed with mem_free; NULL when memory has run out. */
struct sio_asker *sio_asker_new(cvn_slice node, cvn_slice request);

/* So many of our sockets were asked; an error when that is not all. */
void sio_asker_tell_count(struct sio_server *server, const struct sio_asker *asker,
                          enum cvn_error error, size_t count);
/* What one of them answered, or why it did not. */
void sio_asker_tell_ack(struct sio_server *server, const struct sio_asker *asker,
                        enum cvn_error error, const char *socket_id, cvn_args args);
/* Our sockets: a list of struct cvn_remote_socket. */
void sio_asker_tell_sockets(struct sio_server *server, const struct sio_asker *asker,
                            enum cvn_error error, const struct list *remotes);
/* What our handlers answered, or why they did not. */
enum cvn_error sio_asker_tell_event(struct sio_server *server, const struct sio_asker *asker,
                                    enum cvn_error error, cvn_args args);

#endif
