/* The negotiation of permessage-deflate (RFC 6455 section 9.1, RFC 7692 sections 5 and 7.1), server side. Pure. */
#ifndef WS_EXTENSION_H
#define WS_EXTENSION_H

#include "http/http_head.h"
#include "base/buf.h"

/* What was agreed upon. No message refers to an earlier one, in neither direction. */
struct ws_extension {
    unsigned window_bits; /* 9..15: how far back our compressed messages may refer */
    bool bounded;         /* the client asked for that window, and wants to be told */
};

/* Whether one of the client's offers can be accepted: the first such. Offers with unknown, repeated, missing or wrong parameters are passed over, and
 * so is one for a window of 8 bits, which zlib does not do. A field that breaks the grammar makes all of it void. */
bool ws_extension_choose(const struct http_head *head, struct ws_extension *ret);
/* Appends the value of the answer's Sec-WebSocket-Extensions. False when buf fails. */
bool ws_extension_answer(struct buf *buf, const struct ws_extension *agreed);

#endif
