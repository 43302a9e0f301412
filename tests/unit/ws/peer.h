/*
 * A WebSocket connection on a TCP connection that the test moves by hand, and both its ends written down as text. Every
 * script of input is run whole, byte by byte and in random pieces, on buffers that end at an unmapped page.
 * heard: "T:" text, "B:" binary, "D" drained, "C<status>" clean and "c<status>" unclean end;
 * received: "T:", "B:", "O:" pong, "X<status>" close with its reason, "X" an empty one. Long payloads are a digest. A "z" before
 * any of them: it came compressed. With peer_deflate set the connections have negotiated compression.
 */
#ifndef WS_TEST_PEER_H
#define WS_TEST_PEER_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "ws/ws_conn.h"
#include "ws/ws_encode.h"
#include "support/guard.h"
#include "fake_conn.h"

#define LOG_SIZE    8192
#define MAX_MESSAGE 1000

static struct ws_deflate *peer_deflate;
static unsigned peer_window = 15;

struct peer {
    struct conn conn;
    struct ws_conn *ws; /* NULL after on_close */
    char heard[LOG_SIZE];
    enum conn_reason reason;
    bool allow_drain_log;
    bool echoes;                        /* every message goes back */
    void (*on_next)(struct peer *peer); /* what the callback does on the next message */
};

__attribute__((format(printf, 2, 3))) static inline void put(char log[LOG_SIZE], const char *format,
                                                             ...)
{
    size_t used = strlen(log);
    va_list args;
    va_start(args, format);
    vsnprintf(log + used, LOG_SIZE - used, format, args);
    va_end(args);
}

static inline void put_payload(char log[LOG_SIZE], char type, const char *data, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + (uint8_t)data[i];
    if (size > 30)
        put(log, "%c#%zu/%08x ", type, size, sum);
    else
        put(log, "%c:%.*s ", type, (int)size, data);
}

static inline void on_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    struct peer *peer = ws_conn_owner(ws);
    assert_non_null(data);
    put_payload(peer->heard, binary ? 'B' : 'T', data, size);
    void (*on_next)(struct peer *) = peer->on_next;
    peer->on_next = NULL;
    if (on_next != NULL)
        on_next(peer);
    if (peer->echoes) {
        struct message *echo = ws_encode_copy(binary ? WS_BINARY : WS_TEXT, slice_of(data, size));
        assert_non_null(echo);
        ws_conn_send(ws, echo);
        message_unref(echo);
    }
    if (size > 0)
        memset(data, 'w', size); /* writable and still there, whatever the callback did */
}

static inline void on_drain(struct ws_conn *ws)
{
    struct peer *peer = ws_conn_owner(ws);
    if (peer->allow_drain_log)
        put(peer->heard, "D ");
}

static inline void on_close(struct ws_conn *ws, unsigned status, bool clean,
                            enum conn_reason reason)
{
    struct peer *peer = ws_conn_owner(ws);
    put(peer->heard, "%c%u ", clean ? 'C' : 'c', status);
    peer->reason = reason;
    peer->ws = NULL;
}

static const struct ws_events events = {on_message, on_drain, on_close, NULL};
static const struct ws_limits limits = {.max_message = MAX_MESSAGE, .max_fragments = 8};

static inline void open_limited(struct peer *peer, const struct ws_limits *own_limits)
{
    memset(peer, 0, sizeof *peer);
    fake_conn_init(&peer->conn);
    peer->ws = ws_conn_start(&peer->conn, &events, own_limits, peer);
    assert_non_null(peer->ws);
    if (peer_deflate != NULL)
        ws_conn_set_deflate(peer->ws, peer_deflate, peer_window);
}

static inline void open_peer(struct peer *peer)
{
    open_limited(peer, &limits);
}

/* Bytes arrive, as from the worker's buffer: gone after the call. */
static inline void arrive(struct peer *peer, const char *data, size_t size)
{
    if (!conn_is_open(&peer->conn) || size == 0)
        return;
    char *copy = guard_copy(data, size);
    peer->conn.events->on_data(&peer->conn, copy, size);
    guard_free(copy, size);
}

static inline void arrive_bytes(struct peer *peer, struct bytes *in)
{
    arrive(peer, in->data, in->size);
    bytes_release(in);
}

static inline void put_deflated(char log[LOG_SIZE], char type, const struct ws_frame *frame)
{
    struct inflater inflater;
    struct buf whole;
    inflater_init(&inflater);
    buf_init(&whole, 32 << 20);
    assert_int_equal(inflater_run(&inflater, slice_of(frame->payload, frame->size), &whole),
                     INFLATER_DONE);
    put(log, "z");
    put_payload(log, type, whole.data, whole.size);
    buf_release(&whole);
    inflater_release(&inflater);
}

/* What the peer has received so far, as text. */
static inline const char *received(struct peer *peer)
{
    static char log[LOG_SIZE];
    static const char names[] = "-TB.....XIO";
    struct ws_decoder decoder;
    struct ws_frame frame;
    size_t used, done = 0;
    enum ws_status status;
    log[0] = '\0';
    ws_decode_init(&decoder, SIZE_MAX, false);
    decoder.allow_rsv1 = peer_deflate != NULL;
    while (done < peer->conn.sent.size) {
        assert_int_equal(ws_decode(&decoder, peer->conn.sent.data + done,
                                   peer->conn.sent.size - done, &frame, &used, &status),
                         WS_FRAME);
        done += used;
        if (frame.rsv1)
            put_deflated(log, names[frame.opcode], &frame);
        else if (frame.opcode != WS_CLOSE)
            put_payload(log, names[frame.opcode], frame.payload, frame.size);
        else if (frame.size == 0)
            put(log, "X ");
        else
            put(log, "X%u%.*s ", (uint8_t)frame.payload[0] << 8 | (uint8_t)frame.payload[1],
                (int)frame.size - 2, frame.payload + 2);
    }
    assert_int_equal(done, peer->conn.sent.size);
    return log;
}

static inline void close_peer(struct peer *peer)
{
    fake_conn_turn(&peer->conn);
    fake_conn_end(&peer->conn);
    assert_null(peer->ws);
    assert_int_equal(peer->conn.worker.wheel.armed, 0);
    fake_conn_release(&peer->conn);
}

/* Runs the script in every split; the end of the stream follows. `on_next` runs in the first message. */
static inline void expect_with(struct bytes *in, const struct ws_limits *own_limits,
                               void (*on_next)(struct peer *peer), const char *heard,
                               const char *reached_peer)
{
    for (unsigned split = 0; split < 12; split++) {
        struct peer peer;
        unsigned seed = split;
        open_limited(&peer, own_limits);
        peer.on_next = on_next;
        for (size_t at = 0; at < in->size;) {
            size_t left = in->size - at;
            size_t piece = split == 0   ? left
                           : split == 1 ? 1
                                        : 1 + next_random(&seed) % (1 + in->size / 3);
            if (piece > left)
                piece = left;
            arrive(&peer, in->data + at, piece);
            at += piece;
        }
        fake_conn_turn(&peer.conn);
        assert_string_equal(received(&peer), reached_peer);
        close_peer(&peer);
        assert_string_equal(peer.heard, heard);
    }
    bytes_release(in);
}

static inline void expect(struct bytes *in, const char *heard, const char *reached_peer)
{
    expect_with(in, &limits, NULL, heard, reached_peer);
}

static inline void send_text(struct peer *peer, const char *text)
{
    struct message *message = ws_encode_copy(WS_TEXT, cvn_str(text));
    assert_non_null(message);
    ws_conn_send(peer->ws, message);
    message_unref(message);
}

static inline void ping(struct peer *peer, const char *payload)
{
    struct bytes in = {0};
    client_add(&in, FIN | OP_PING, payload);
    arrive_bytes(peer, &in);
}

#endif
