/*
 * Namespaces that come into being when a client asks for them: parents, registered before the start with a pattern or a predicate, and their
 * children. A child is made by the first client that its parent lets in, is found by all workers, shares its parent's handlers,
 * and is freed with the last reference to it: sockets and ops on their way hold one each, and so may the application.
 *
 * A registry a server, under a mutex that is taken for a CONNECT to a name that nobody registered, for a change of all of a parent's children, and for
 * the end of a child; no event touches it. It outlives its server when the application still holds children.
 */
#ifndef SIO_DYNAMIC_H
#define SIO_DYNAMIC_H

#include <convene/dynamic.h>
#include "sio/sio_handshake.h"
#include "sio/sio_op.h"

/* Who asks, for predicates. */
struct cvn_connect_request {
    cvn_slice auth; /* JSON */
    const struct sio_handshake *handshake;
};

/* A parent, owned by the registry. NULL, noted as an error of the registration, when memory has run out, the server has started, or the
 * pattern is none. */
struct cvn_namespace *sio_dynamic_add_pattern(struct sio_server *server, const char *pattern);
struct cvn_namespace *sio_dynamic_add_predicate(struct sio_server *server, cvn_predicate_fn fn,
                                                void *data);

/*
 * The child of that name for a client that wants to join it, made if need be; *ret gets a reference. CVN_ERR_NOT_FOUND: no parent wants it;
 * CVN_ERR_LIMIT: it would be one child too many; CVN_ERR_MEMORY.
 */
enum cvn_error sio_dynamic_admit(struct sio_server *server, cvn_slice name,
                                 const struct cvn_connect_request *request,
                                 struct cvn_namespace **ret);
/* A child that exists, with a reference; or NULL. Any thread. */
struct cvn_namespace *sio_dynamic_find(const struct sio_server *server, cvn_slice name);

/* Does the op of a parent to each of its children. Any thread. */
enum cvn_error sio_dynamic_each(struct cvn_namespace *parent,
                                enum cvn_error (*fn)(struct cvn_namespace *child, void *data),
                                void *data);

/* The same for the children of all parents. */
enum cvn_error sio_dynamic_each_child(struct sio_server *server,
                                      enum cvn_error (*fn)(struct cvn_namespace *child, void *data),
                                      void *data);

/* Adds what all children have counted, those that have gone included. Any thread. */
void sio_dynamic_count(const struct sio_server *server, cvn_namespace_counters *sum);

/* Gives up the server's part: parents, and what no child needs. NULL server->dynamic is fine. */
void sio_dynamic_release(struct sio_server *server);

#endif
