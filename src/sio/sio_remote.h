/*
 * What comes back for a question: a socket's acknowledgement, and what a socket was like. Of this node's sockets as well as of others'.
 * Each is one allocation, which knows its size for bounds. Any thread makes and frees them; one at a time.
 */
#ifndef SIO_REMOTE_H
#define SIO_REMOTE_H

#include <convene/adapter.h>
#include <convene/sockets.h>
#include "sio/sio_socket.h"

/* One acknowledgement. */
struct sio_answer {
    struct list link;
    const char *id, *node; /* "" when unknown; node also for an answer from here */
    cvn_args args;
    size_t size; /* bytes that it takes */
    cvn_slice attachments[];
};

struct cvn_remote_socket {
    struct list link;
    unsigned worker;
    const char *id, *node;
    struct sio_handshake *handshake; /* references; of this node's sockets alone */
    struct message *auth, *attributes;
    cvn_slice handshake_json, attributes_json; /* of others' */
    size_t room_count;                         /* without its own id's */
    const char *rooms;                         /* names, each with a NUL */
    size_t size;                               /* bytes that it takes, what it refers to aside */
    char text[];
};

/* NULL when memory has run out. Names have no NUL inside. */
struct sio_answer *sio_answer_new(cvn_slice id, cvn_slice node, cvn_args args);
void sio_answer_free_all(struct list *answers);

/* NULL when memory has run out. */
struct cvn_remote_socket *sio_remote_new(const struct cvn_socket *socket);
/* Of another node, whose description has been checked. */
struct cvn_remote_socket *sio_remote_new_foreign(cvn_slice node, const cvn_cluster_socket *socket);
void sio_remote_free_all(struct list *remotes);

/* The handshake object of a socket that was looked at. */
void sio_remote_append_handshake(const cvn_remote_socket *remote, struct buf *buf);

#endif
