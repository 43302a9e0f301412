/* Unmasked frames, as a server sends them (RFC 6455 section 5.2). Pure, but for allocating messages. */
#ifndef WS_ENCODE_H
#define WS_ENCODE_H

#include "ws/ws_frame.h"

/* Bytes of the header for a payload of `size`: 2, 4 or 10. */
size_t ws_encode_header_size(size_t size);
/* Writes the header of one final frame; returns its length. `rsv1`: the payload is compressed. */
size_t ws_encode_header(char ret[WS_MAX_SERVER_HEADER], enum ws_opcode opcode, bool rsv1,
                        size_t size);

/* A message for a payload of `size` bytes that the caller then writes at message->data + message->prefix: the frame header is in
 * place as its prefix, MESSAGE_BINARY is set for WS_BINARY. NULL when memory has run out. */
struct message *ws_encode_new(enum ws_opcode opcode, size_t size)
    __attribute__((warn_unused_result));
/* The same with a copy of `payload`. */
struct message *ws_encode_copy(enum ws_opcode opcode, cvn_slice payload)
    __attribute__((warn_unused_result));
/* A close frame; WS_STATUS_NONE gives an empty one. `reason` is cut to fit. */
struct message *ws_encode_close(enum ws_status status, cvn_slice reason)
    __attribute__((warn_unused_result));

#endif
