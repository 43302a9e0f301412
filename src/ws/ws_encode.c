/*
 * Frames as a server sends them: final, unmasked, the header in the shortest form. Pure but for allocating messages;
 * any thread. RFC 6455 section 5.2.
 *
 * Invariant: a message made here is header (its prefix) and payload in one block, so the same block goes to a
 * WebSocket as a whole and to a transport without frames from behind the prefix.
 */
#include "ws/ws_encode.h"

#define MAX_REASON (WS_MAX_CONTROL - 2) /* bytes of text behind the status in a close frame */

size_t ws_encode_header_size(size_t size)
{
    if (size < 126)
        return 2;
    return size <= 0xffff ? 4 : 10;
}

static void write_be(char *ret, uint64_t number, size_t count)
{
    for (size_t i = count; i-- > 0; number >>= 8)
        ret[i] = (char)(uint8_t)number;
}

size_t ws_encode_header(char ret[WS_MAX_SERVER_HEADER], enum ws_opcode opcode, bool rsv1,
                        size_t size)
{
    size_t header = ws_encode_header_size(size);
    ret[0] = (char)(0x80 | (rsv1 ? 0x40 : 0) | opcode);
    switch (header) {
    case 2:
        ret[1] = (char)size;
        break;
    case 4:
        ret[1] = 126;
        write_be(ret + 2, size, 2);
        break;
    default:
        ret[1] = 127;
        write_be(ret + 2, size, 8);
        break;
    }
    return header;
}

struct message *ws_encode_new(enum ws_opcode opcode, size_t size)
{
    char bytes[WS_MAX_SERVER_HEADER];
    if (size > SIZE_MAX - sizeof(struct message) - WS_MAX_SERVER_HEADER)
        return NULL;
    size_t header = ws_encode_header(bytes, opcode, false, size);
    struct message *message = message_new(header + size);
    if (message == NULL)
        return NULL;
    memcpy(message->data, bytes, header);
    message->prefix = (uint8_t)header;
    message->flags = opcode == WS_BINARY ? MESSAGE_BINARY : 0;
    return message;
}

struct message *ws_encode_copy(enum ws_opcode opcode, cvn_slice payload)
{
    struct message *message = ws_encode_new(opcode, payload.size);
    if (message != NULL && payload.size > 0)
        memcpy(message->data + message->prefix, payload.data, payload.size);
    return message;
}

/* The longest front of `text` of at most `max` bytes that does not end within a UTF-8 sequence. */
static cvn_slice cut_text(cvn_slice text, size_t max)
{
    if (text.size <= max)
        return text;
    size_t size = max;
    while (size > 0 && ((uint8_t)text.data[size] & 0xc0) == 0x80)
        size--;
    return slice_of(text.data, size);
}

struct message *ws_encode_close(enum ws_status status, cvn_slice reason)
{
    if (status == WS_STATUS_NONE)
        return ws_encode_new(WS_CLOSE, 0);
    reason = cut_text(reason, MAX_REASON);
    struct message *message = ws_encode_new(WS_CLOSE, 2 + reason.size);
    if (message == NULL)
        return NULL;
    char *payload = message->data + message->prefix;
    write_be(payload, status, 2);
    if (reason.size > 0)
        memcpy(payload + 2, reason.data, reason.size);
    return message;
}
