/*
 * Frames out of bytes, in place (RFC 6455 section 5). Checks all that one frame can show: reserved bits, opcodes, masking,
 * minimal lengths, control frame rules, and the order of fragments. Pure; no memory of its own.
 */
#ifndef WS_DECODE_H
#define WS_DECODE_H

#include "ws/ws_frame.h"

struct ws_decoder {
    uint64_t
        max_payload; /* bytes of one frame's payload; larger ones are refused with WS_STATUS_TOO_BIG */
    bool from_client; /* true: frames must be masked; false: must not */
    bool
        allow_rsv1; /* permessage-deflate was negotiated: the first frame of a data message may have it */
    bool in_message; /* a fragmented message is open */
};

struct ws_frame {
    enum ws_opcode opcode;
    bool fin;
    bool rsv1;
    char *payload; /* unmasked, inside the input */
    size_t size;
};

enum ws_decode { WS_NEED_MORE, WS_FRAME, WS_REFUSED };

void ws_decode_init(struct ws_decoder *decoder, uint64_t max_payload, bool from_client);

/*
 * Takes one frame off the front of `data`. WS_FRAME: *ret is filled, its payload unmasked in place, *ret_used bytes are consumed.
 * WS_NEED_MORE: nothing is consumed or changed; *ret_used is the number of bytes, counted from `data`, that the whole frame has (as
 * far as known: 0 when even the header is incomplete), so that the caller can size its buffer. WS_REFUSED: *ret_status is the
 * status for the close frame; refused as early as the header shows it.
 */
enum ws_decode ws_decode(struct ws_decoder *decoder, char *data, size_t size, struct ws_frame *ret,
                         size_t *ret_used, enum ws_status *ret_status);

/*
 * The front of a client's frame of which ws_decode has told the size: *ret is what its header says and the payload that has come, as
 * it came: ret_mask is still to be applied to it.
 */
void ws_decode_front(char *data, size_t size, struct ws_frame *ret, uint8_t ret_mask[4]);

/* Whether `status` may be sent by a peer in a close frame (1000-1003, 1007-1014, 3000-4999). */
bool ws_status_is_valid(unsigned status);

#endif
