/*
 * Compression in one call: bytes in, a whole compressed text out, nothing remembered between two of them. One thread.
 * Its 260 kB of state are allocated when something is compressed for the first time.
 */
#ifndef BASE_DEFLATER_H
#define BASE_DEFLATER_H

#include "base/slice.h"

#define DEFLATER_MIN_WINDOW 9  /* zlib compresses nothing for a window of 8 bits */
#define DEFLATER_MAX_WINDOW 15 /* bits: 32 kB, what every format allows */

enum deflater_format {
    DEFLATER_MESSAGE, /* bare blocks, flushed, without the last 00 00 ff ff (RFC 7692 section 7.2.1) */
    DEFLATER_ZLIB,    /* RFC 1950: what HTTP calls "deflate" */
    DEFLATER_GZIP     /* RFC 1952 */
};

struct z_stream_s;

struct deflater {
    struct z_stream_s *stream; /* NULL until first used */
    unsigned window_bits;
};

/* `window_bits`: no reference reaches farther back than 2^window_bits bytes. DEFLATER_ZLIB and DEFLATER_GZIP want 15. */
void deflater_init(struct deflater *deflater, unsigned window_bits);
void deflater_release(struct deflater *deflater);

/* Writes `in` compressed to `ret`, which has room for `capacity` bytes. False when it does not fit or memory has run out: then `in` should
 * be sent as it is, and what `ret` holds is of no use. */
bool deflater_run(struct deflater *deflater, enum deflater_format format, cvn_slice in, char *ret,
                  size_t capacity, size_t *ret_size) __attribute__((warn_unused_result));

#endif
