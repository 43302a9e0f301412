/* Events from node to node: the receiving side. */
#ifndef SIO_SERVERSIDE_H
#define SIO_SERVERSIDE_H

#include "sio/sio_asker.h"

/* Whether event and arguments may go from node to node: CVN_ERR_ARGUMENT, CVN_ERR_JSON, CVN_ERR_LIMIT. */
enum cvn_error sio_serverside_check(const struct sio_server *server, cvn_slice event,
                                    cvn_args args);

/* An event of another node, checked already, for the handlers, which run on worker 0. `asker` may be NULL; it is taken over with CVN_OK. Any
 * thread. CVN_ERR_MEMORY. */
enum cvn_error sio_serverside_receive(const struct sio_op *op, cvn_slice node,
                                      struct sio_asker *asker);

#endif
