/*
 * What all compressed WebSockets of one worker share: one state to compress with, one to decompress (RFC 7692 section 7.2).
 * Possible because no message refers to an earlier one. On the worker.
 */
#ifndef WS_DEFLATE_H
#define WS_DEFLATE_H

#include "base/deflater.h"
#include "base/inflater.h"
#include "base/message.h"

/* Nothing is allocated before it is needed. */
struct ws_deflate {
    struct deflater full;  /* for receivers that take any window */
    struct deflater small; /* for all others, when a message is larger than their window */
    struct inflater inflater;
    size_t threshold; /* bytes: smaller messages go as they are */
};

void ws_deflate_init(struct ws_deflate *deflate, size_t threshold);
void ws_deflate_release(struct ws_deflate *deflate);

/* What to send in place of `framed`, a message made by ws_encode_*, to a receiver with that window: its compressed twin, made
 * now if nobody has, or `framed` itself where compression is not allowed, not worth it or out of memory. Lives as long as `framed`. */
struct message *ws_deflate_outgoing(struct ws_deflate *deflate, struct message *framed,
                                    unsigned window_bits);

#endif
