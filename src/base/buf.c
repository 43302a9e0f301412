/* The growable buffer. Its memory doubles, so that appending byte by byte stays linear; it never exceeds its maximum. One thread. */
#include "base/buf.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>

#define FIRST_CAPACITY 64

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_release(struct buf *buf)
{
    mem_free(buf->data);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

bool buf_reserve(struct buf *buf, size_t extra)
{
    if (extra > buf->max - buf->size)
        goto fail;
    size_t needed = buf->size + extra;
    if (needed <= buf->capacity)
        return true;
    size_t capacity = buf->capacity != 0 ? buf->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    if (capacity > buf->max)
        capacity = buf->max;
    char *data = mem_realloc(buf->data, capacity);
    if (data == NULL)
        goto fail;
    buf->data = data;
    buf->capacity = capacity;
    return true;

fail:
    buf->failed = true;
    return false;
}

bool buf_append(struct buf *buf, cvn_slice bytes)
{
    if (!buf_reserve(buf, bytes.size))
        return false;
    if (bytes.size > 0)
        memcpy(buf->data + buf->size, bytes.data, bytes.size);
    buf->size += bytes.size;
    return true;
}

bool buf_append_byte(struct buf *buf, char byte)
{
    if (buf->size == buf->capacity && !buf_reserve(buf, 1))
        return false;
    buf->data[buf->size++] = byte;
    return true;
}

bool buf_append_str(struct buf *buf, const char *text)
{
    return buf_append(buf, cvn_str(text));
}

bool buf_append_u64(struct buf *buf, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return buf_append(buf, slice_of(digits + at, sizeof digits - at));
}

bool buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    char small[256];
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(small, sizeof small, format, args);
    bool done = false;
    if (size < 0) {
        buf->failed = true;
    } else if ((size_t)size < sizeof small) {
        done = buf_append(buf, slice_of(small, (size_t)size));
    } else {
        char *large = mem_alloc((size_t)size + 1);
        if (large == NULL) {
            buf->failed = true;
        } else {
            vsnprintf(large, (size_t)size + 1, format, again);
            done = buf_append(buf, slice_of(large, (size_t)size));
            mem_free(large);
        }
    }
    va_end(again);
    return done;
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool done = buf_vprintf(buf, format, args);
    va_end(args);
    return done;
}

void buf_consume(struct buf *buf, size_t count)
{
    buf->size -= count;
    if (buf->size > 0)
        memmove(buf->data, buf->data + count, buf->size);
}
