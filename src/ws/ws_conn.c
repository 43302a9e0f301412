/*
 * A WebSocket connection: frames of one peer become messages, pings are answered, both closing handshakes are held.
 * On the worker of its TCP connection. RFC 6455 sections 5.4, 5.5, 7 and 8.1.
 *
 * Invariants:
 * - Between two reads memory is held for incomplete things only: `carry` has at most the front of one frame, `pieces` at
 *   most the fragments of one message, compressed as they came. Whole frames are decoded and delivered in the worker's read
 *   buffer, a compressed message in memory of its own, which is never more than a message may have.
 * - A callback may close or abort anything. The TCP connection tells its end (and with it this object's) only at the end
 *   of the turn, so the object outlives the batch of frames that is being worked on; conn_is_open is asked before
 *   each frame, and bytes that a callback is looking at are never freed by what it calls.
 * - What is decided depends on the bytes alone, never on how they were split: text that is judged before its frame is whole
 *   is refused for nothing that the whole frame would not be refused for, and with the same status.
 * - Nothing is sent behind a close frame. Memory that runs out drops this connection.
 */
#include "ws/ws_conn.h"
#include "ws/ws_encode.h"
#include "ws/ws_mask.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#define DEFAULT_MAX_FRAGMENTS    4096
#define DEFAULT_CLOSE_TIMEOUT_MS 5000
#define MAX_QUEUED_PONGS         16
#define LOOK_AHEAD               4096 /* bytes of text that are judged at a time, before their frame is whole */
#define STATUS_ABNORMAL          1006 /* reported when there was no closing handshake; never on the wire */

enum ws_conn_state {
    WS_OPEN,
    WS_CLOSING, /* our close frame was sent: waits for the peer's, drops everything else */
    WS_DONE     /* TCP is being closed */
};

struct ws_conn {
    struct conn *conn;
    struct ws_deflate *deflate; /* NULL: not negotiated */
    const struct ws_events *events;
    void *owner;
    const struct ws_limits *limits;
    struct ws_decoder decoder;
    uint8_t state;          /* enum ws_conn_state */
    bool clean;             /* the peer sent a close frame */
    bool binary;            /* type of the message in `pieces` */
    bool compressed;        /* and whether it is */
    uint8_t window_bits;    /* with `deflate`: how far back compressed output may refer */
    uint8_t queued_pongs;   /* pongs that may still be in the output queue */
    uint16_t status;        /* for on_close */
    unsigned fragments;     /* frames in `pieces` */
    struct utf8_state utf8; /* of the text in `pieces` */
    size_t judged;          /* bytes of the text in `carry` that `utf8` has seen */
    struct buf carry;       /* the front of a frame whose rest has not come yet */
    struct buf pieces;      /* the fragments of a message whose rest has not come yet */
    uint64_t behind_pong;   /* bytes queued after the latest pong */
    struct message
        *pong; /* the answer to the latest ping, while too many before it are still queued */
    struct timer close_timer;
};

static uint64_t close_timeout_ms(const struct ws_conn *ws)
{
    return ws->limits->close_timeout_ms != 0 ? ws->limits->close_timeout_ms
                                             : DEFAULT_CLOSE_TIMEOUT_MS;
}

/* --- Output --- */

static void drop_late_pong(struct ws_conn *ws)
{
    message_unref(ws->pong);
    ws->pong = NULL;
}

/*
 * A few pongs may wait in the output queue, so that a burst of pings is answered one by one. Beyond that only the latest
 * ping is answered (section 5.5.3 allows it), once the pongs before it have left: a client that sends pings and
 * reads nothing gathers no queue. All output passes here, so they have left when no more is queued than came behind them.
 */
static void send_late_pong(struct ws_conn *ws)
{
    struct message *pong = ws->pong;
    if (pong == NULL)
        return;
    if (conn_queued(ws->conn) <= ws->behind_pong)
        ws->queued_pongs = 0;
    if (ws->queued_pongs == MAX_QUEUED_PONGS)
        return;
    ws->pong = NULL; /* first: conn_send may flush, and so come back here through on_drain */
    ws->queued_pongs++;
    ws->behind_pong = 0;
    conn_send(ws->conn, pong, 0);
    message_unref(pong);
}

static void answer_ping(struct ws_conn *ws, const struct ws_frame *ping)
{
    struct message *pong = ws_encode_copy(WS_PONG, slice_of(ping->payload, ping->size));
    if (pong == NULL) {
        conn_close(ws->conn, CONN_NO_MEMORY);
        return;
    }
    drop_late_pong(ws);
    ws->pong = pong;
    send_late_pong(ws);
}

/* What goes out for `framed`: itself or its compressed twin, which lives as long. */
static inline struct message *outgoing(const struct ws_conn *ws, struct message *framed)
{
    return ws->deflate != NULL ? ws_deflate_outgoing(ws->deflate, framed, ws->window_bits) : framed;
}

bool ws_conn_send(struct ws_conn *ws, struct message *framed)
{
    if (ws->state != WS_OPEN)
        return false;
    framed = outgoing(ws, framed);
    if (!conn_send(ws->conn, framed, 0))
        return false;
    ws->behind_pong += framed->size;
    if (ws->pong != NULL)
        send_late_pong(ws);
    return true;
}

bool ws_conn_send_conflated(struct ws_conn *ws, struct message *const *unit, size_t *ret_replaced)
{
    struct message *sent[1 + UINT8_MAX];
    size_t size = 0, replaced = 0;
    if (ws->state != WS_OPEN)
        return false;
    for (unsigned i = 0; i <= unit[0]->followers; i++) {
        sent[i] = outgoing(ws, unit[i]);
        size += sent[i]->size;
    }
    if (!conn_send_conflated(ws->conn, sent, &replaced))
        return false;
    /* Where the older one waited, before the pongs or behind them, is not known: never count too much behind them. */
    if (replaced == 0)
        ws->behind_pong += size;
    else if (size < replaced)
        ws->behind_pong -= replaced - size < ws->behind_pong ? replaced - size : ws->behind_pong;
    *ret_replaced = replaced;
    if (ws->pong != NULL)
        send_late_pong(ws);
    return true;
}

/* Call it when the state says already that nothing follows: conn_send may flush and call on_drain. */
static void send_close(struct ws_conn *ws, enum ws_status status, cvn_slice reason)
{
    struct message *close = ws_encode_close(status, reason);
    if (close != NULL)
        conn_send(ws->conn, close, 0);
    else
        conn_close(ws->conn, CONN_NO_MEMORY);
    message_unref(close);
}

/* --- Closing --- */

static void enter_state(struct ws_conn *ws, enum ws_conn_state state)
{
    ws->state = state;
    buf_release(&ws->pieces); /* nothing more is delivered */
    drop_late_pong(ws);
    ws->decoder.max_payload = ws->limits->max_message;
}

/* What is left is TCP's: the peer has said its close frame, or broke a rule and gets ours with `status`, unless it had
 * one before. */
static void finish(struct ws_conn *ws, unsigned status)
{
    bool says_close = ws->state == WS_OPEN;
    uint64_t left_ms = close_timeout_ms(ws);
    if (timer_is_armed(&ws->close_timer)) { /* the timeout is one for the whole handshake */
        struct wheel *wheel = &conn_worker(ws->conn)->wheel;
        uint64_t due_ms = ws->close_timer.due_ms;
        left_ms = due_ms > wheel->now_ms ? due_ms - wheel->now_ms : 0;
        wheel_cancel(wheel, &ws->close_timer);
    }
    ws->status = (uint16_t)status;
    enter_state(ws, WS_DONE);
    if (says_close)
        send_close(ws, (enum ws_status)status, (cvn_slice){NULL, 0});
    conn_finish(ws->conn, left_ms);
}

static void on_close_timeout(struct timer *timer)
{
    struct ws_conn *ws = CONTAINER_OF(timer, struct ws_conn, close_timer);
    conn_close(ws->conn, CONN_TIMEOUT);
}

void ws_conn_close(struct ws_conn *ws, enum ws_status status, cvn_slice reason)
{
    if (ws->state != WS_OPEN || !conn_is_open(ws->conn))
        return;
    enter_state(ws, WS_CLOSING);
    wheel_arm(&conn_worker(ws->conn)->wheel, &ws->close_timer, close_timeout_ms(ws));
    /* Whoever paused it gets no more messages, but the peer's close frame must come in. */
    conn_resume(ws->conn);
    send_close(ws, status, reason);
}

void ws_conn_abort(struct ws_conn *ws, enum conn_reason reason)
{
    conn_close(ws->conn, reason);
}

/* --- Input --- */

/* The peer's close frame: checked, and echoed unless it is itself the answer to ours. */
static void on_close_frame(struct ws_conn *ws, const struct ws_frame *frame)
{
    unsigned status = WS_STATUS_NONE;
    if (frame->size > 0) { /* the decoder lets no single byte pass */
        status = (unsigned)(uint8_t)frame->payload[0] << 8 | (uint8_t)frame->payload[1];
        if (!ws_status_is_valid(status)) {
            finish(ws, WS_STATUS_PROTOCOL_ERROR);
            return;
        }
        if (!utf8_is_valid(slice_of(frame->payload + 2, frame->size - 2))) {
            finish(ws, WS_STATUS_BAD_DATA);
            return;
        }
    }
    ws->clean = true;
    finish(ws, status);
}

/* Delivers a compressed message; `empty` is somewhere to point to. */
static void deliver_compressed(struct ws_conn *ws, cvn_slice payload, bool binary, char *empty)
{
    struct buf whole;
    buf_init(&whole, ws->limits->max_message);
    switch (inflater_run(&ws->deflate->inflater, payload, &whole)) {
    case INFLATER_DONE:
        if (binary || utf8_is_valid(buf_slice(&whole)))
            ws->events->on_message(ws, whole.data != NULL ? whole.data : empty, whole.size, binary);
        else
            finish(ws, WS_STATUS_BAD_DATA);
        break;
    case INFLATER_CORRUPT:
        finish(ws, WS_STATUS_BAD_DATA);
        break;
    case INFLATER_TOO_BIG:
        finish(ws, WS_STATUS_TOO_BIG);
        break;
    case INFLATER_NO_MEMORY:
        conn_close(ws->conn, CONN_NO_MEMORY);
        break;
    }
    buf_release(&whole);
}

/* Delivers what the fragments have come to. */
static void deliver_pieces(struct ws_conn *ws, char *empty)
{
    /* The callback may close: then `pieces` is released, but not the bytes it is looking at. */
    struct buf whole = ws->pieces;
    buf_init(&ws->pieces, ws->limits->max_message);
    ws->decoder.max_payload = ws->limits->max_message;
    if (ws->compressed)
        deliver_compressed(ws, buf_slice(&whole), ws->binary, empty);
    else
        ws->events->on_message(ws, whole.data != NULL ? whole.data : empty, whole.size, ws->binary);
    buf_release(&whole);
}

/* Whether the message in `pieces` can be judged as it comes. */
static bool is_plain_text(const struct ws_conn *ws)
{
    return !ws->binary && !ws->compressed;
}

/* Feeds text to the validator, but for what it has seen while the frame was coming. False when there can be no such text. */
static bool is_text_good(struct ws_conn *ws, const struct ws_frame *frame)
{
    if (frame->opcode == WS_TEXT && ws->judged == 0)
        ws->utf8 = (struct utf8_state){0};
    cvn_slice rest = slice_from(slice_of(frame->payload, frame->size), ws->judged);
    return utf8_feed(&ws->utf8, rest) && (!frame->fin || utf8_is_complete(&ws->utf8));
}

static unsigned max_fragments(const struct ws_conn *ws)
{
    return ws->limits->max_fragments != 0 ? ws->limits->max_fragments : DEFAULT_MAX_FRAGMENTS;
}

static void on_fragment(struct ws_conn *ws, const struct ws_frame *frame)
{
    if (frame->opcode != WS_CONTINUATION) {
        ws->binary = frame->opcode == WS_BINARY;
        ws->compressed = frame->rsv1;
        ws->fragments = 0;
    }
    if (++ws->fragments > max_fragments(ws)) {
        finish(ws, WS_STATUS_TOO_BIG);
        return;
    }
    cvn_slice piece = slice_of(frame->payload, frame->size);
    if (is_plain_text(ws) && !is_text_good(ws, frame)) {
        finish(ws, WS_STATUS_BAD_DATA);
        return;
    }
    if (piece.size > 0 && !buf_append(&ws->pieces, piece)) {
        conn_close(ws->conn, CONN_NO_MEMORY); /* it fits: the decoder knows what is left */
        return;
    }
    /* The next fragment is refused by its header already when it would be too much. */
    ws->decoder.max_payload = ws->limits->max_message - ws->pieces.size;
    if (frame->fin)
        deliver_pieces(ws, frame->payload);
}

static void on_frame(struct ws_conn *ws, const struct ws_frame *frame)
{
    if (frame->opcode == WS_CLOSE) {
        on_close_frame(ws, frame);
        return;
    }
    if (ws->state != WS_OPEN || frame->opcode == WS_PONG)
        return;
    if (frame->opcode == WS_PING) {
        answer_ping(ws, frame);
    } else if (!frame->fin || frame->opcode == WS_CONTINUATION) {
        on_fragment(ws, frame);
    } else {
        bool binary = frame->opcode == WS_BINARY;
        if (frame->rsv1)
            deliver_compressed(ws, slice_of(frame->payload, frame->size), binary, frame->payload);
        else if (binary || is_text_good(ws, frame))
            ws->events->on_message(ws, frame->payload, frame->size, binary);
        else
            finish(ws, WS_STATUS_BAD_DATA);
    }
}

/* Keeps the front of a frame that has `total` bytes, or more than are known when that is 0. The buffer grows with the
 * bytes that come: what a header claims costs nothing. */
static void keep(struct ws_conn *ws, const char *data, size_t size, size_t total)
{
    ws->carry.max = total != 0 ? total : WS_MAX_HEADER;
    if (!buf_append(&ws->carry, slice_of(data, size)))
        conn_close(ws->conn, CONN_NO_MEMORY);
}

/* Whether the frame in `carry` is text that counts, and nothing but its letters can make it wrong. */
static bool is_text_carried(const struct ws_conn *ws, const struct ws_frame *front)
{
    if (ws->state != WS_OPEN)
        return false;
    if (front->opcode == WS_CONTINUATION) /* one too many is refused for that */
        return is_plain_text(ws) && ws->fragments < max_fragments(ws);
    return front->opcode == WS_TEXT && !front->rsv1;
}

/*
 * Text of a large frame is judged as it comes: it is refused with the byte that spoils it (section 8.1), and no more of it is kept.
 * The bytes stay masked in `carry`, for the frame is decoded when it is whole; a few of them at a time are unmasked elsewhere.
 */
static void judge_carried(struct ws_conn *ws)
{
    struct ws_frame front;
    uint8_t mask[4], turned[4];
    char text[LOOK_AHEAD];
    ws_decode_front(ws->carry.data, ws->carry.size, &front, mask);
    if (!is_text_carried(ws, &front))
        return;
    if (front.opcode == WS_TEXT && ws->judged == 0)
        ws->utf8 = (struct utf8_state){0};
    while (ws->judged < front.size) {
        size_t left = front.size - ws->judged;
        size_t size = left < sizeof text ? left : sizeof text;
        for (size_t i = 0; i < sizeof mask; i++)
            turned[i] = mask[(ws->judged + i) % sizeof mask];
        memcpy(text, front.payload + ws->judged, size);
        ws_mask_apply(text, size, turned);
        ws->judged += size;
        if (!utf8_feed(&ws->utf8, slice_of(text, size))) {
            finish(ws, WS_STATUS_BAD_DATA);
            buf_release(&ws->carry);
            return;
        }
    }
}

/* A frame whose front is in `carry`: takes no more of `data` than belongs to it. Returns how many bytes were taken. */
static size_t take_carried(struct ws_conn *ws, const char *data, size_t size)
{
    struct ws_frame frame;
    enum ws_status status;
    size_t before = ws->carry.size;
    size_t total = 0, missing = ws->carry.max - before;
    size_t taken = size < missing ? size : missing;
    keep(ws, data, taken, ws->carry.max);
    if (!conn_is_open(ws->conn))
        return size;
    switch (ws_decode(&ws->decoder, ws->carry.data, ws->carry.size, &frame, &total, &status)) {
    case WS_NEED_MORE:
        ws->carry.max = total != 0 ? total : WS_MAX_HEADER;
        if (total != 0)
            judge_carried(ws);
        break;
    case WS_REFUSED:
        finish(ws, status);
        buf_release(&ws->carry);
        break;
    case WS_FRAME: /* while only the header was asked for, bytes of the next frame may have come along */
        taken = total - before;
        on_frame(ws, &frame);
        buf_release(&ws->carry);
        ws->judged = 0;
        break;
    }
    return taken;
}

/* A frame at the front of `data`. Returns how many bytes were taken. */
static size_t take_frame(struct ws_conn *ws, char *data, size_t size)
{
    struct ws_frame frame;
    enum ws_status status;
    size_t total;
    switch (ws_decode(&ws->decoder, data, size, &frame, &total, &status)) {
    case WS_FRAME:
        on_frame(ws, &frame);
        return total;
    case WS_NEED_MORE:
        keep(ws, data, size, total);
        if (total != 0 && conn_is_open(ws->conn))
            judge_carried(ws);
        break;
    case WS_REFUSED:
        finish(ws, status);
        break;
    }
    return size;
}

static void on_data(struct conn *conn, char *data, size_t size)
{
    struct ws_conn *ws = conn_owner(conn);
    while (size > 0 && conn_is_open(conn)) {
        size_t taken =
            ws->carry.size > 0 ? take_carried(ws, data, size) : take_frame(ws, data, size);
        data += taken;
        size -= taken;
    }
}

static void on_drain(struct conn *conn)
{
    struct ws_conn *ws = conn_owner(conn);
    send_late_pong(ws);
    if (ws->state == WS_OPEN && ws->events->on_drain != NULL)
        ws->events->on_drain(ws);
}

static void on_water(struct conn *conn, bool is_high)
{
    struct ws_conn *ws = conn_owner(conn);
    if (ws->state == WS_OPEN && ws->events->on_water != NULL)
        ws->events->on_water(ws, is_high);
}

/* --- Life --- */

static void on_close(struct conn *conn, enum conn_reason reason)
{
    struct ws_conn *ws = conn_owner(conn);
    wheel_cancel(&conn_worker(conn)->wheel, &ws->close_timer);
    enter_state(ws, WS_DONE);
    ws->events->on_close(ws, ws->status, ws->clean, reason);
    buf_release(&ws->carry);
    mem_free(ws);
}

static const struct conn_events conn_events = {
    .on_data = on_data, .on_drain = on_drain, .on_water = on_water, .on_close = on_close};

static void ignore_data(struct conn *conn, char *data, size_t size)
{
    (void)conn, (void)data, (void)size;
}

static void ignore_close(struct conn *conn, enum conn_reason reason)
{
    (void)conn, (void)reason;
}

/* Of a connection that nobody owns: whoever handed it over has let go of it. */
static const struct conn_events orphan_events = {.on_data = ignore_data, .on_close = ignore_close};

struct ws_conn *ws_conn_start(struct conn *conn, const struct ws_events *events,
                              const struct ws_limits *limits, void *owner)
{
    struct ws_conn *ws = mem_zalloc(sizeof *ws);
    if (ws == NULL) {
        conn_set_owner(conn, &orphan_events, NULL);
        conn_close(conn, CONN_NO_MEMORY);
        return NULL;
    }
    ws->conn = conn;
    ws->events = events;
    ws->owner = owner;
    ws->limits = limits;
    ws->status = STATUS_ABNORMAL;
    ws->behind_pong = conn_queued(conn);
    ws->close_timer.fire = on_close_timeout;
    ws_decode_init(&ws->decoder, limits->max_message, true);
    buf_init(&ws->carry, WS_MAX_HEADER);
    buf_init(&ws->pieces, limits->max_message);
    conn_set_owner(conn, &conn_events, ws);
    return ws;
}

void ws_conn_set_deflate(struct ws_conn *ws, struct ws_deflate *deflate, unsigned window_bits)
{
    ws->deflate = deflate;
    ws->window_bits = (uint8_t)window_bits;
    ws->decoder.allow_rsv1 = true;
}

void *ws_conn_owner(const struct ws_conn *ws)
{
    return ws->owner;
}

void ws_conn_set_owner(struct ws_conn *ws, const struct ws_events *events, void *owner)
{
    ws->events = events;
    ws->owner = owner;
}

struct conn *ws_conn_conn(const struct ws_conn *ws)
{
    return ws->conn;
}
