/*
 * The WebSocket connection over a TCP connection that the target moves by hand. The same stream, whole and in pieces, must
 * make the layer above hear the same and the peer receive the same. The first letter of a message says what the layer
 * above does in the callback. The first byte of the input chooses the pieces and, with its top bit, that compression was negotiated;
 * the rest is the stream.
 */
#include "../tests/unit/ws/fake_conn.h"
#include "base/utf8.h"
#include "ws/ws_conn.h"
#include "ws/ws_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_MESSAGE 300
#define COMPRESSED  0x80 /* in the first byte */

static struct ws_deflate deflate;

struct peer {
    struct conn conn;
    struct bytes heard;
    bool is_over;    /* on_close was called */
    bool is_closing; /* the layer above has closed or aborted */
};

static void on_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    struct peer *peer = ws_conn_owner(ws);
    CHECK(!peer->is_over && !peer->is_closing && conn_is_open(&peer->conn));
    CHECK(size <= MAX_MESSAGE && (binary || utf8_is_valid(slice_of(data, size))));
    char type = binary ? 'B' : 'T';
    bytes_add(&peer->heard, &type, 1);
    bytes_add(&peer->heard, &size, sizeof size);
    bytes_add(&peer->heard, data, size);
    char action = size > 0 ? data[0] : '\0';
    memset(data, '!', size); /* the bytes are ours during the call */
    switch (action) {
    case 'c':
        ws_conn_close(ws, WS_STATUS_NORMAL, slice_of(data, size));
        peer->is_closing = true;
        break;
    case 'a':
        ws_conn_abort(ws, CONN_ERROR);
        peer->is_closing = true;
        break;
    case 's': {
        struct message *message = ws_encode_copy(WS_BINARY, slice_of(data, size));
        CHECK(message != NULL && ws_conn_send(ws, message));
        message_unref(message);
        break;
    }
    default:
        break;
    }
    memset(data, '!', size); /* whatever was called */
}

static void on_close(struct ws_conn *ws, unsigned status, bool clean, enum conn_reason reason)
{
    struct peer *peer = ws_conn_owner(ws);
    CHECK(!peer->is_over);
    CHECK(clean ? status == WS_STATUS_NONE || ws_status_is_valid(status)
                : status == 1006 || status == 1002 || status == 1007 || status == 1009);
    peer->is_over = true;
    bytes_add(&peer->heard, "C", 1);
    bytes_add(&peer->heard, &status, sizeof status);
    bytes_add(&peer->heard, &clean, sizeof clean);
    bytes_add(&peer->heard, &reason, sizeof reason);
}

static const struct ws_events events = {.on_message = on_message, .on_close = on_close};
static const struct ws_limits limits = {.max_message = MAX_MESSAGE, .max_fragments = 6};

/* What was sent must be frames of a server, with at most one close frame, at the end. */
static void check_sent(const struct peer *peer, bool compressed)
{
    struct ws_decoder decoder;
    struct ws_frame frame;
    enum ws_status status;
    size_t used, done = 0;
    ws_decode_init(&decoder, SIZE_MAX, false);
    decoder.allow_rsv1 = compressed;
    while (done < peer->conn.sent.size) {
        CHECK(ws_decode(&decoder, peer->conn.sent.data + done, peer->conn.sent.size - done, &frame,
                        &used, &status) == WS_FRAME);
        done += used;
        CHECK(frame.opcode != WS_CLOSE || done == peer->conn.sent.size);
    }
}

static void run(const uint8_t *data, size_t size, size_t piece, bool compressed, struct peer *peer)
{
    memset(peer, 0, sizeof *peer);
    fake_conn_init(&peer->conn);
    struct ws_conn *ws = ws_conn_start(&peer->conn, &events, &limits, peer);
    CHECK(ws != NULL);
    if (compressed)
        ws_conn_set_deflate(ws, &deflate, 9);
    while (size > 0 && conn_is_open(&peer->conn)) {
        size_t count = size < piece ? size : piece;
        char *copy = malloc(count);
        CHECK(copy != NULL);
        memcpy(copy, data, count);
        peer->conn.events->on_data(&peer->conn, copy, count);
        free(copy);
        data += count;
        size -= count;
    }
    fake_conn_turn(&peer->conn);
    fake_conn_end(&peer->conn);
    CHECK(peer->is_over && peer->conn.worker.wheel.armed == 0);
    check_sent(peer, compressed);
}

static void check_same(const struct bytes *a, const struct bytes *b)
{
    CHECK(a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0));
}

static void release(struct peer *peer)
{
    fake_conn_release(&peer->conn);
    bytes_release(&peer->heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct peer whole, pieces;
    if (size < 1)
        return 0;
    bool compressed = data[0] & COMPRESSED;
    ws_deflate_init(&deflate, 20);
    run(data + 1, size - 1, SIZE_MAX, compressed, &whole);
    run(data + 1, size - 1, 1 + data[0] % 50, compressed, &pieces);
    check_same(&whole.heard, &pieces.heard);
    check_same(&whole.conn.sent, &pieces.conn.sent);
    release(&whole);
    release(&pieces);
    ws_deflate_release(&deflate);
    return 0;
}
