/*
 * Compressed twins of messages. On the worker; the messages and their twins are shared by all workers. RFC 7692 sections 6.1 and 7.2.1.
 *
 * A broadcast is compressed once, by the first worker that has a receiver for it (two that race both do, and one result is
 * kept). No reference reaches farther back than the text is long, so a twin made with the largest window suits everybody whose window
 * is not smaller than the message; for the rest there is one made with the smallest. More than two are never made, whatever
 * windows clients ask for.
 */
#include "ws/ws_deflate.h"
#include "ws/ws_encode.h"

void ws_deflate_init(struct ws_deflate *deflate, size_t threshold)
{
    deflater_init(&deflate->full, DEFLATER_MAX_WINDOW);
    deflater_init(&deflate->small, DEFLATER_MIN_WINDOW);
    inflater_init(&deflate->inflater);
    deflate->threshold = threshold;
}

void ws_deflate_release(struct ws_deflate *deflate)
{
    deflater_release(&deflate->full);
    deflater_release(&deflate->small);
    inflater_release(&deflate->inflater);
}

static enum ws_opcode opcode_of(const struct message *framed)
{
    return (enum ws_opcode)((uint8_t)framed->data[0] & 0x0f);
}

/* A compressed frame with what `framed` says; NULL when it would be no smaller, or without memory. */
static struct message *make_twin(struct deflater *deflater, const struct message *framed)
{
    cvn_slice payload = message_payload(framed);
    size_t size;
    struct message *twin = message_new(WS_MAX_SERVER_HEADER + payload.size);
    if (twin == NULL)
        return NULL;
    /* The header's length depends on what comes out, so the payload moves up to it afterwards. */
    char *room = twin->data + WS_MAX_SERVER_HEADER;
    if (!deflater_run(deflater, DEFLATER_MESSAGE, payload, room, payload.size, &size)) {
        message_unref(twin);
        return NULL;
    }
    size_t header = ws_encode_header(twin->data, opcode_of(framed), true, size);
    memmove(twin->data + header, room, size);
    twin->prefix = (uint8_t)header;
    twin->flags = framed->flags;
    twin->followers = framed->followers;
    twin->key = framed->key;
    return message_shrink(twin, header + size);
}

struct message *ws_deflate_outgoing(struct ws_deflate *deflate, struct message *framed,
                                    unsigned window_bits)
{
    size_t size = framed->size - framed->prefix;
    if (size < deflate->threshold || (framed->flags & MESSAGE_NO_COMPRESS) ||
        opcode_of(framed) > WS_BINARY) /* a control frame */
        return framed;
    bool is_full = window_bits == DEFLATER_MAX_WINDOW || size <= (size_t)1 << window_bits;
    enum message_twin which = is_full ? MESSAGE_DEFLATED : MESSAGE_DEFLATED_SMALL;
    struct message *twin = message_twin(framed, which);
    if (twin == NULL) {
        twin = make_twin(is_full ? &deflate->full : &deflate->small, framed);
        twin = message_keep_twin(framed, which, twin != NULL ? twin : framed);
    }
    return twin;
}
