/*
 * Polling bodies: packets joined by the record separator 0x1e, binary ones as 'b' + base64. The separator cannot occur inside
 * UTF-8 text that JSON made, and no escaping exists: a packet that holds it is cut in two, as in the reference.
 * Pure, any thread. Engine.IO protocol revision 4, "Payload encoding".
 */
#include "eio/eio_packet.h"
#include "base/base64.h"

bool eio_payload_next(struct eio_payload *payload, cvn_slice *ret_packet)
{
    if (payload->done)
        return false;

    size_t end = slice_find(payload->rest, EIO_SEPARATOR);
    *ret_packet = slice_of(payload->rest.data, end);
    if (end == payload->rest.size)
        payload->done = true;
    else
        payload->rest = slice_from(payload->rest, end + 1);
    return true;
}

size_t eio_payload_cost(const struct message *packet)
{
    size_t size = message_payload(packet).size;
    return packet->flags & MESSAGE_BINARY ? 2 + base64_encoded_size(size) : 1 + size;
}

bool eio_payload_append(struct buf *body, const struct message *packet)
{
    size_t before = body->size;

    if (body->failed)
        return false;
    if (before > 0)
        buf_append_byte(body, EIO_SEPARATOR);
    if (packet->flags & MESSAGE_BINARY) {
        buf_append_byte(body, 'b');
        base64_append(body, message_payload(packet));
    } else {
        buf_append(body, message_payload(packet));
    }
    if (!body->failed)
        return true;
    body->size = before; /* half a packet must not stay behind */
    return false;
}
