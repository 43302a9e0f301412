/*
 * Frames out of bytes. Pure, any thread; the payload is unmasked where it lies. RFC 6455 sections 5.2-5.5.
 *
 * Invariant: what is decided depends on the bytes alone, never on how they were split: a check is made as soon as
 * the byte it needs is there, in the order of the bytes, and the decoder changes only when a whole frame is taken.
 */
#include "ws/ws_decode.h"
#include "ws/ws_mask.h"

#define BIT_FIN     0x80
#define BIT_RSV1    0x40
#define BITS_RSV23  0x30
#define BITS_OPCODE 0x0f
#define BIT_MASK    0x80
#define BITS_LENGTH 0x7f

#define LENGTH_16 126 /* a 16-bit length follows */
#define LENGTH_64 127 /* a 64-bit length follows */

void ws_decode_init(struct ws_decoder *decoder, uint64_t max_payload, bool from_client)
{
    *decoder = (struct ws_decoder){.max_payload = max_payload, .from_client = from_client};
}

/* Whether the first byte of a frame is one that may come now. */
static bool is_first_byte_valid(const struct ws_decoder *decoder, uint8_t first)
{
    if (first & BITS_RSV23)
        return false;
    switch (first & BITS_OPCODE) {
    case WS_CONTINUATION:
        return decoder->in_message && !(first & BIT_RSV1);
    case WS_TEXT:
    case WS_BINARY:
        return !decoder->in_message && (!(first & BIT_RSV1) || decoder->allow_rsv1);
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return (first & BIT_FIN) && !(first & BIT_RSV1);
    default:
        return false;
    }
}

static inline bool is_control(uint8_t first)
{
    return first & 0x08;
}

/* Whether the second byte fits the first: masking by side, short control frames, no half of a status. */
static bool is_second_byte_valid(const struct ws_decoder *decoder, uint8_t first, uint8_t second)
{
    if (((second & BIT_MASK) != 0) != decoder->from_client)
        return false;
    uint8_t length = second & BITS_LENGTH;
    if (!is_control(first))
        return true;
    return length <= WS_MAX_CONTROL && !((first & BITS_OPCODE) == WS_CLOSE && length == 1);
}

static uint64_t read_be(const uint8_t *bytes, size_t count)
{
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

enum ws_decode ws_decode(struct ws_decoder *decoder, char *data, size_t size, struct ws_frame *ret,
                         size_t *ret_used, enum ws_status *ret_status)
{
    const uint8_t *bytes = (const uint8_t *)data;
    if (size == 0)
        goto header_incomplete;
    uint8_t first = bytes[0];
    if (!is_first_byte_valid(decoder, first))
        goto violation;
    if (size == 1)
        goto header_incomplete;
    uint8_t second = bytes[1];
    if (!is_second_byte_valid(decoder, first, second))
        goto violation;

    uint64_t length = second & BITS_LENGTH;
    size_t header = 2;
    if (length >= LENGTH_16) {
        size_t extra = length == LENGTH_16 ? 2 : 8;
        if (extra == 8 && size > 2 && (bytes[2] & 0x80))
            goto violation; /* the most significant bit must be 0 */
        if (size < 2 + extra)
            goto header_incomplete;
        length = read_be(bytes + 2, extra);
        if (length < (extra == 2 ? LENGTH_16 : 65536))
            goto violation; /* there is a shorter form */
        header += extra;
    }
    if (!is_control(first) &&
        (length > decoder->max_payload || length > SIZE_MAX - WS_MAX_HEADER)) {
        *ret_status = WS_STATUS_TOO_BIG;
        return WS_REFUSED;
    }
    const uint8_t *mask = bytes + header;
    if (decoder->from_client)
        header += 4;
    size_t total = header + (size_t)length;
    *ret_used = total;
    if (size < total)
        return WS_NEED_MORE;

    if (decoder->from_client)
        ws_mask_apply(data + header, (size_t)length, mask);
    if (!is_control(first))
        decoder->in_message = !(first & BIT_FIN);
    ret->opcode = (enum ws_opcode)(first & BITS_OPCODE);
    ret->fin = first & BIT_FIN;
    ret->rsv1 = first & BIT_RSV1;
    ret->payload = data + header;
    ret->size = (size_t)length;
    return WS_FRAME;

header_incomplete:
    *ret_used = 0;
    return WS_NEED_MORE;

violation:
    *ret_status = WS_STATUS_PROTOCOL_ERROR;
    return WS_REFUSED;
}

void ws_decode_front(char *data, size_t size, struct ws_frame *ret, uint8_t ret_mask[4])
{
    uint8_t first = (uint8_t)data[0], length = (uint8_t)data[1] & BITS_LENGTH;
    size_t mask = length < LENGTH_16 ? 2 : length == LENGTH_16 ? 4 : 10;
    ret->opcode = (enum ws_opcode)(first & BITS_OPCODE);
    ret->fin = first & BIT_FIN;
    ret->rsv1 = first & BIT_RSV1;
    ret->size = size > mask + 4 ? size - mask - 4 : 0;
    ret->payload = data + size - ret->size;
    if (ret->size > 0)
        memcpy(ret_mask, data + mask, 4);
}

bool ws_status_is_valid(unsigned status)
{
    return (status >= 1000 && status <= 1003) || (status >= 1007 && status <= 1014) ||
           (status >= 3000 && status <= 4999);
}
