/*
 * A WebSocket connection: whole messages in, frames out, pings answered, the closing handshake (RFC 6455 sections 5-7).
 * Keeps no buffer while nothing is incomplete. Runs on the connection's worker.
 */
#ifndef WS_CONN_H
#define WS_CONN_H

#include "net/conn.h"
#include "ws/ws_decode.h"
#include "ws/ws_deflate.h"

struct ws_conn;

struct ws_events {
    /* A whole message. The bytes are writable and valid during the call. Text is valid UTF-8. */
    void (*on_message)(struct ws_conn *ws, char *data, size_t size, bool binary);
    /* Output has drained. May be NULL. */
    void (*on_drain)(struct ws_conn *ws);
    /* The last call: `status` is what the peer's close frame said (WS_STATUS_NONE for an empty one), what we refused it with, or
     * 1006 when there was no closing handshake. `clean` when the peer closed by a close frame. `reason` is why TCP ended. */
    void (*on_close)(struct ws_conn *ws, unsigned status, bool clean, enum conn_reason reason);
    /* As conn_events.on_water. May be NULL. */
    void (*on_water)(struct ws_conn *ws, bool is_high);
};

struct ws_limits {
    size_t max_message; /* bytes of one message, fragments together: 1009 beyond; of a compressed
                               one before and after */
    unsigned max_fragments; /* frames of one message: 1009 beyond; 0 = default 4096 */
    uint64_t
        close_timeout_ms; /* to wait for the peer's close frame and end of stream; 0 = default 5000 */
};

/* Takes over a connection after its 101 was written (see http_request_upgrade). NULL (connection closed) when memory has run
 * out. `events` and `limits` must outlive it. Freed by itself after on_close. */
struct ws_conn *ws_conn_start(struct conn *conn, const struct ws_events *events,
                              const struct ws_limits *limits, void *owner);
/* Directly after ws_conn_start, when permessage-deflate was negotiated with that window (ws_extension_choose): compressed messages are
 * understood, and sent where that is worth it. `deflate` is the worker's and must outlive it. */
void ws_conn_set_deflate(struct ws_conn *ws, struct ws_deflate *deflate, unsigned window_bits);
void *ws_conn_owner(const struct ws_conn *ws);
void ws_conn_set_owner(struct ws_conn *ws, const struct ws_events *events, void *owner);
struct conn *ws_conn_conn(const struct ws_conn *ws);

/* Queues a message that ws_encode_* made, frame header included; takes a reference of its own. False when it was not queued
 * (closing, or volatile and congested). */
bool ws_conn_send(struct ws_conn *ws, struct message *framed);

/* The same for a MESSAGE_CONFLATE message with its followers, see conn_send_conflated. */
bool ws_conn_send_conflated(struct ws_conn *ws, struct message *const *unit, size_t *ret_replaced);

/* Starts the closing handshake: sends a close frame and waits, close_timeout_ms at most, for the peer's. No on_message comes any
 * more. Idempotent. */
void ws_conn_close(struct ws_conn *ws, enum ws_status status, cvn_slice reason);
/* Drops the connection without a closing handshake. */
void ws_conn_abort(struct ws_conn *ws, enum conn_reason reason);

#endif
