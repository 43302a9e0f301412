/* Engine.IO v4 packets and polling payloads as bytes. Pure, but for allocating messages. */
#ifndef EIO_PACKET_H
#define EIO_PACKET_H

#include "ws/ws_encode.h"
#include "base/buf.h"

enum eio_packet_type {
    EIO_OPEN,
    EIO_CLOSE,
    EIO_PING,
    EIO_PONG,
    EIO_MESSAGE,
    EIO_UPGRADE,
    EIO_NOOP
};

#define EIO_SEPARATOR '\x1e'

struct eio_packet {
    enum eio_packet_type type;
    bool binary;    /* a message of bytes; in polling sent as 'b' + base64 */
    cvn_slice data; /* inside the input; for a binary packet from polling still base64 */
};

/* One text packet ("4hello"), or in a polling payload also "b" + base64. False when the type is unknown or missing. */
bool eio_packet_decode(cvn_slice text, bool from_polling, struct eio_packet *ret);

/* Cuts the next packet off a polling payload ("4a\x1e4b"). False at the end. An empty packet is returned as such, for
 * eio_packet_decode to refuse. Start with rest = the whole body; an empty body is one empty packet. */
struct eio_payload {
    cvn_slice rest;
    bool done;
};
bool eio_payload_next(struct eio_payload *payload, cvn_slice *ret_packet);

/* A text packet as a message: WebSocket text frame header as prefix, then type digit and data. NULL when memory has run out. */
struct message *eio_packet_encode(enum eio_packet_type type, cvn_slice data)
    __attribute__((warn_unused_result));
/* Room for a "4..." packet whose `size` bytes of data the caller writes behind *ret_data. */
struct message *eio_packet_new_text(size_t size, char **ret_data)
    __attribute__((warn_unused_result));
/* Room for a binary packet whose `size` bytes the caller writes to *ret_data. */
struct message *eio_packet_new_binary(size_t size, char **ret_data)
    __attribute__((warn_unused_result));
/* Binary data as a message: WebSocket binary frame header as prefix, then the raw bytes. */
struct message *eio_packet_encode_binary(cvn_slice data) __attribute__((warn_unused_result));

/* Appends an encoded packet to a polling body: its separator first when the body is not empty, binary as 'b' + base64.
 * False when buf fails. */
bool eio_payload_append(struct buf *body, const struct message *packet);
/* The bytes eio_payload_append would add to a non-empty body. */
size_t eio_payload_cost(const struct message *packet);

#endif
