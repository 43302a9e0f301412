/*
 * What is remembered of the request that opened a connection: url, header fields, address; and what the application keeps with the
 * connection. One compact block, shared by the sockets of the connection. References: any thread. All but `data` is immutable, and
 * that belongs to the connection's worker.
 */
#ifndef SIO_HANDSHAKE_H
#define SIO_HANDSHAKE_H

#include <stdatomic.h>
#include "base/buf.h"
#include "http/http_head.h"

struct sio_handshake {
    atomic_uint refs;
    atomic_uint owed;    /* acknowledgements that were put off and have not been sent nor dropped */
    uint64_t connection; /* no other connection of the process has this number */
    void *data;          /* the application's */
    void (*destroy_data)(void *data);
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

/* Replaces the application's pointer; the old one is destroyed. Worker's thread. */
void sio_handshake_set_data(struct sio_handshake *handshake, void *data,
                            void (*destroy)(void *data));

/* NULL data when absent. */
cvn_slice sio_handshake_header(const struct sio_handshake *handshake, cvn_slice name);
cvn_slice sio_handshake_query(const struct sio_handshake *handshake, cvn_slice name);
/* Appends the object that the reference calls socket.handshake. False when buf fails. */
bool sio_handshake_append_json(const struct sio_handshake *handshake, cvn_slice auth,
                               struct buf *buf);

#endif
