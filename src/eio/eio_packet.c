/*
 * One Engine.IO v4 packet: a type digit and its data, or bytes. Decoding points into the input; encoding makes
 * a message that both transports can send: its prefix is the WebSocket frame header, its payload what a polling body takes.
 * Pure, any thread. Engine.IO protocol revision 4, "Packet encoding".
 */
#include "eio/eio_packet.h"

bool eio_packet_decode(cvn_slice text, bool from_polling, struct eio_packet *ret)
{
    if (text.size == 0)
        return false;

    char type = text.data[0];
    if (type >= '0' && type <= '6')
        *ret = (struct eio_packet){.type = (enum eio_packet_type)(type - '0'),
                                   .binary = false,
                                   .data = slice_from(text, 1)};
    else if (type == 'b' && from_polling)
        *ret =
            (struct eio_packet){.type = EIO_MESSAGE, .binary = true, .data = slice_from(text, 1)};
    else
        return false;
    return true;
}

struct message *eio_packet_encode(enum eio_packet_type type, cvn_slice data)
{
    if (data.size == SIZE_MAX)
        return NULL;
    struct message *packet = ws_encode_new(WS_TEXT, data.size + 1);
    if (packet == NULL)
        return NULL;

    char *out = packet->data + packet->prefix;
    out[0] = (char)('0' + (int)type);
    if (data.size > 0)
        memcpy(out + 1, data.data, data.size);
    return packet;
}

struct message *eio_packet_new_text(size_t size, char **ret_data)
{
    if (size == SIZE_MAX)
        return NULL;
    struct message *packet = ws_encode_new(WS_TEXT, size + 1);
    if (packet == NULL)
        return NULL;

    packet->data[packet->prefix] = '0' + EIO_MESSAGE;
    *ret_data = packet->data + packet->prefix + 1;
    return packet;
}

struct message *eio_packet_new_binary(size_t size, char **ret_data)
{
    struct message *packet = ws_encode_new(WS_BINARY, size);
    if (packet != NULL)
        *ret_data = packet->data + packet->prefix;
    return packet;
}

struct message *eio_packet_encode_binary(cvn_slice data)
{
    return ws_encode_copy(WS_BINARY, data);
}
