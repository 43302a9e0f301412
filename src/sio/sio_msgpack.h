/*
 * Socket.IO packets as MessagePack, one Engine.IO message each: a map of type, nsp, data and id, as socket.io-msgpack-parser 3.0 has it. The
 * layers above see what they see of JSON: text, and attachments beside it. Pure but for allocating; any thread.
 */
#ifndef SIO_MSGPACK_H
#define SIO_MSGPACK_H

#include "sio/sio_encode.h"

/* What a decoded packet points into, beside the message itself. */
struct sio_msgpack_room {
    struct buf json;
    cvn_slice
        attachments[SIO_MAX_ATTACHMENTS]; /* packet->attachments of them; inside the message */
};

/*
 * Takes a packet apart, checks all that sio_packet_decode checks and makes the same of it; events and acknowledgements with binaries have the binary
 * types. False: the sender must be disconnected, for a "parse error" unless room->json.failed says that memory has run out; *ret is
 * untouched then. `room` has to be released either way.
 */
bool sio_msgpack_decode(cvn_slice bytes, const struct sio_packet_limits *limits,
                        struct sio_msgpack_room *room, struct sio_packet *ret);
void sio_msgpack_release(struct sio_msgpack_room *room);

/* The binary message of a packet whose parts are valid JSON with packet->attachments attachments. CVN_ERR_MEMORY, CVN_ERR_LIMIT; *ret
 * untouched then. */
enum cvn_error sio_msgpack_encode(const struct sio_text *packet, const cvn_slice *attachments,
                                  struct message **ret);

#endif
