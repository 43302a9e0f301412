/* A growable byte buffer with a stated maximum. Not thread-safe. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include "base/slice.h"

struct buf {
    char *data;      /* NULL until the first append */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t max;      /* never grows beyond this many bytes */
    bool failed;     /* an append did not fit or memory ran out; sticky until buf_clear */
};

void buf_init(struct buf *buf, size_t max);
void buf_release(struct buf *buf); /* frees; the buffer is as after buf_init with the same max */
void buf_clear(struct buf *buf);   /* size 0, failed off; keeps the memory */

/* Room for `extra` more bytes. False (and failed set) above max or out of memory. */
bool buf_reserve(struct buf *buf, size_t extra);

/* Appends; false and failed set, and nothing appended, when it does not fit. Growth is geometric.
 * A chain of appends may be checked once at its end through buf->failed. */
bool buf_append(struct buf *buf, cvn_slice bytes);
bool buf_append_byte(struct buf *buf, char byte);
bool buf_append_str(struct buf *buf, const char *text);
bool buf_append_u64(struct buf *buf, uint64_t number);
bool buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `count` bytes, moving the rest to the front. */
void buf_consume(struct buf *buf, size_t count);

static inline cvn_slice buf_slice(const struct buf *buf)
{
    return slice_of(buf->data, buf->size);
}

#endif
