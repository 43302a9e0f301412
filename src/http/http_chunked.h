/* The chunked transfer coding (RFC 9112 section 7.1), decoded in place by a strict state machine.
 * Pure. */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include "http/http_head.h"

struct http_chunked { /* zeroed = at the start of a body */
    uint8_t state;
    uint8_t digits;      /* of the chunk size so far */
    uint32_t overhead;   /* bytes of extensions and trailers seen: bounded */
    uint64_t chunk_left; /* at least as many bytes of the body are still to come */
};

/*
 * Consumes from `data`, moving the body bytes to its front: *ret_body of them; *ret_used bytes of
 * input were consumed. HTTP_COMPLETE: the body has ended, what follows is the next request.
 * HTTP_REFUSED: malformed.
 */
enum http_decode http_chunked_decode(struct http_chunked *decoder, char *data, size_t size,
                                     size_t *ret_body, size_t *ret_used);

#endif
