/* The opening handshake of a WebSocket (RFC 6455 section 4.2): a checked request head gives the 101 answer. Pure. */
#ifndef WS_HANDSHAKE_H
#define WS_HANDSHAKE_H

#include "http/http_head.h"
#include "base/buf.h"

/* Whether the head asks for a WebSocket at all: GET with Upgrade: websocket. */
bool ws_handshake_is_wanted(const struct http_head *head);
/* 0 when the request is a correct opening handshake, else the status to refuse it with: 400 (method, version 1.0, Connection,
 * key that is not 16 bytes of base64, a body) or 426 (Sec-WebSocket-Version is not 13; the answer must say which is). */
int ws_handshake_check(const struct http_head *head);
/* Appends the 101 response with Sec-WebSocket-Accept and the `extra` header lines (each with CRLF), and the empty line. False when buf fails. */
bool ws_handshake_answer(struct buf *buf, const struct http_head *head, cvn_slice extra);

#endif
