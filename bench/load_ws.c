/* The WebSocket transport of a client: opening handshake, masked frames out, frames in, pings answered. RFC 6455. */
#include <string.h>
#include "load.h"
#include "ws/ws_mask.h"

#define MAX_PAYLOAD (16U << 20)

/* The key of RFC 6455 section 1.3, and the answer to it. */
static const char request[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
                              "Host: 127.0.0.1\r\n"
                              "Connection: Upgrade\r\n"
                              "Upgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char accepted[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

void load_ws_open(struct load_client *client)
{
    struct load_conn *conn = &client->conns[0];
    ws_decode_init(&client->decoder, MAX_PAYLOAD, false);
    load_conn_open(client->load, conn);
    buf_append_str(&conn->out, request);
    load_conn_mark(client->load, conn);
}

void load_ws_send(struct load_client *client, enum ws_opcode opcode, cvn_slice payload)
{
    static uint32_t mask = 0x9e3779b9; /* need not be a secret here, only a mask */
    struct buf *out = &client->conns[0].out;
    mask = mask * 1664525 + 1013904223;
    buf_append_byte(out, (char)(0x80 | opcode));
    if (payload.size < 126) {
        buf_append_byte(out, (char)(0x80 | payload.size));
    } else if (payload.size < 65536) {
        const char length[] = {(char)(0x80 | 126), (char)(payload.size >> 8), (char)payload.size};
        buf_append(out, slice_of(length, sizeof length));
    } else {
        char length[9] = {(char)(0x80 | 127)};
        for (unsigned i = 0; i < 8; i++)
            length[1 + i] = (char)((uint64_t)payload.size >> (56 - 8 * i));
        buf_append(out, slice_of(length, sizeof length));
    }
    buf_append(out, slice_of(&mask, sizeof mask));
    buf_append(out, payload);
    if (!out->failed)
        ws_mask_apply(out->data + out->size - payload.size, payload.size, (const uint8_t *)&mask);
    load_conn_mark(client->load, &client->conns[0]);
}

/* The 101 answer, whole. Returns its size, 0 when it is incomplete. */
static size_t take_answer(struct load_client *client, const char *data, size_t size)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t used = (size_t)(end - data) + 4;
    if (used < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0 ||
        memmem(data, used, accepted, strlen(accepted)) == NULL)
        load_fail("connection %u: the handshake was refused: %.*s", client->index, (int)used, data);
    client->is_open = true;
    return used;
}

static void on_frame(struct load_client *client, const struct ws_frame *frame)
{
    cvn_slice payload = slice_of(frame->payload, frame->size);
    switch (frame->opcode) {
    case WS_TEXT:
        if (!frame->fin)
            load_fail("connection %u: a fragment has come", client->index);
        load_client_on_packet(client, payload);
        return;
    case WS_PING:
        load_ws_send(client, WS_PONG, payload);
        return;
    case WS_PONG:
        return;
    case WS_CLOSE:
        if (client->state != LOAD_LEAVING)
            load_fail("connection %u was closed by the server's close frame", client->index);
        return; /* the end of the stream follows */
    default:
        load_fail("connection %u: a frame with opcode %d has come", client->index, frame->opcode);
    }
}

size_t load_ws_on_bytes(struct load_client *client, char *data, size_t size)
{
    size_t used = 0;
    if (!client->is_open) {
        used = take_answer(client, data, size);
        if (used == 0)
            return 0;
    }
    uint64_t serial = client->conns[0].serial;
    while (client->conns[0].serial == serial) {
        struct ws_frame frame;
        enum ws_status status;
        size_t taken;
        switch (ws_decode(&client->decoder, data + used, size - used, &frame, &taken, &status)) {
        case WS_FRAME:
            used += taken;
            on_frame(client, &frame);
            break;
        case WS_NEED_MORE:
            return used;
        case WS_REFUSED:
            load_fail("connection %u: a broken frame has come (%d)", client->index, status);
        }
    }
    return used;
}
