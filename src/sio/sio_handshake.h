/*
 * What is remembered of the request that opened a connection: url, header fields, address. One compact block, shared by the
 * sockets of the connection; immutable. References: any thread.
 */
#ifndef SIO_HANDSHAKE_H
#define SIO_HANDSHAKE_H

#include <stdatomic.h>
#include "base/buf.h"
#include "http/http_head.h"

struct sio_handshake {
    atomic_uint refs;
    bool secure;
    bool cross_domain; /* an Origin field was sent */
    int64_t issued_ms; /* wall clock, since 1970 */
    cvn_slice url;     /* as in the request line */
    cvn_slice fields;  /* "name:value\n" each, names in lower case */
    cvn_slice address; /* with a NUL behind it */
    char block[];
};

/* NULL when memory has run out. */
struct sio_handshake *sio_handshake_new(const struct http_head *head, const char *address,
                                        bool secure, int64_t issued_ms);
struct sio_handshake *sio_handshake_ref(struct sio_handshake *handshake);
void sio_handshake_unref(struct sio_handshake *handshake);

/* NULL data when absent. */
cvn_slice sio_handshake_header(const struct sio_handshake *handshake, cvn_slice name);
cvn_slice sio_handshake_query(const struct sio_handshake *handshake, cvn_slice name);
/* Appends the object that the reference calls socket.handshake. False when buf fails. */
bool sio_handshake_append_json(const struct sio_handshake *handshake, cvn_slice auth,
                               struct buf *buf);

#endif
