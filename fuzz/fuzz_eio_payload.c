/*
 * Polling bodies and single packets from outside. Checked: the packets and their separators are exactly the body, packets lie inside
 * it, a decoded packet encodes to the same bytes again, and so does a whole body of good packets.
 */
#include <stdlib.h>
#include "base/base64.h"
#include "eio/eio_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* The packet as a message again; NULL for base64 that is none. */
static struct message *encode(const struct eio_packet *packet)
{
    struct buf bytes;
    struct message *ret = NULL;

    if (!packet->binary) {
        ret = eio_packet_encode(packet->type, packet->data);
        CHECK(ret != NULL);
        return ret;
    }
    CHECK(packet->type == EIO_MESSAGE);
    buf_init(&bytes, packet->data.size);
    if (base64_decode(&bytes, packet->data)) {
        ret = eio_packet_encode_binary(buf_slice(&bytes));
        CHECK(ret != NULL);
    }
    buf_release(&bytes);
    return ret;
}

static void check_websocket_text(cvn_slice text)
{
    struct eio_packet packet;
    if (!eio_packet_decode(text, false, &packet))
        return;
    CHECK(!packet.binary);
    struct message *again = encode(&packet);
    CHECK(slice_eq(message_payload(again), text));
    message_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eio_payload payload = {.rest = slice_of(data, size)};
    struct buf body;
    const char *expected = (const char *)data;
    size_t count = 0, separators = 0;
    bool is_good = true;
    cvn_slice text;

    check_websocket_text(payload.rest);
    for (size_t i = 0; i < size; i++)
        separators += data[i] == EIO_SEPARATOR;
    buf_init(&body, 2 * size + 64);
    while (eio_payload_next(&payload, &text)) {
        struct eio_packet packet;
        CHECK(text.data == expected || size == 0);
        CHECK(text.size <= size);
        CHECK(slice_find(text, EIO_SEPARATOR) == text.size);
        if (count++ > 0)
            CHECK(size > 0);
        expected = text.data + text.size + 1;
        struct message *again = eio_packet_decode(text, true, &packet) ? encode(&packet) : NULL;
        if (again == NULL) {
            is_good = false;
            continue;
        }
        size_t before = body.size;
        CHECK(eio_payload_append(&body, again));
        CHECK(body.size - before + (before == 0) == eio_payload_cost(again));
        if (packet.binary) /* base64 may have stray bits in its last character */
            is_good = is_good && body.size >= text.size &&
                      memcmp(body.data + body.size - text.size, text.data, text.size) == 0;
        message_unref(again);
    }
    CHECK(count == separators + 1);
    CHECK(!eio_payload_next(&payload, &text));
    CHECK(size == 0 || expected == (const char *)data + size + 1);
    if (is_good)
        CHECK(slice_eq(buf_slice(&body), slice_of(data, size)));
    buf_release(&body);
    return 0;
}
