/*
 * zlib's inflate behind one call. Pure but for its own state; one thread. RFC 1951; RFC 7692 section 7.2.2.
 *
 * The text is complete when the decoder stands between two blocks after the four bytes that every flush ends with and that
 * do not travel. A sender may also end with a final block: what follows one begins anew, and nothing need follow.
 */
#include "base/inflater.h"
#include "base/mem.h"
#include "base/zlib_memory.h"

#define FIRST_ROOM 512 /* bytes: what small messages come to */

/* In stream->data_type: between two blocks, with no bit of a byte left over. */
#define BETWEEN_BLOCKS 128

static const uint8_t tail[4] = {0x00, 0x00, 0xff, 0xff};

void inflater_init(struct inflater *inflater)
{
    inflater->stream = NULL;
}

void inflater_release(struct inflater *inflater)
{
    if (inflater->stream != NULL)
        inflateEnd(inflater->stream);
    mem_free(inflater->stream);
    inflater->stream = NULL;
}

static z_stream *fresh_stream(struct inflater *inflater)
{
    if (inflater->stream != NULL) {
        inflateReset(inflater->stream);
        return inflater->stream;
    }
    z_stream *stream = mem_zalloc(sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->zalloc = zlib_memory_alloc;
    stream->zfree = zlib_memory_free;
    if (inflateInit2(stream, -MAX_WBITS) != Z_OK) {
        mem_free(stream);
        return NULL;
    }
    inflater->stream = stream;
    return stream;
}

/* Room for more text: twice what there is, within the maximum. */
static bool make_room(struct buf *ret)
{
    size_t left = ret->max - ret->size;
    size_t wanted = ret->size > FIRST_ROOM ? ret->size : FIRST_ROOM;
    return ret->size < ret->capacity || buf_reserve(ret, wanted < left ? wanted : left);
}

/* Decodes all of `size` bytes. *ret_ended: they end with a final block, exactly. */
static enum inflater_result feed(z_stream *stream, const void *data, size_t size, struct buf *ret,
                                 bool *ret_ended)
{
    stream->next_in = data;
    stream->avail_in = (uInt)size;
    for (;;) {
        Bytef beyond = 0; /* one byte more than is allowed: is there any? */
        bool is_full = ret->size == ret->max;
        if (!is_full && !make_room(ret))
            return INFLATER_NO_MEMORY;
        size_t room = is_full ? 1 : ret->capacity - ret->size;
        if (room > UINT32_MAX)
            room = UINT32_MAX;
        stream->next_out = is_full ? &beyond : (Bytef *)ret->data + ret->size;
        stream->avail_out = (uInt)room;
        int status = inflate(stream, Z_SYNC_FLUSH);
        size_t made = room - stream->avail_out;
        if (is_full && made > 0)
            return INFLATER_TOO_BIG;
        ret->size += made;
        switch (status) {
        case Z_STREAM_END:
            if (stream->avail_in == 0) {
                *ret_ended = true;
                return INFLATER_DONE;
            }
            inflateReset(stream);
            break;
        case Z_OK:
        case Z_BUF_ERROR: /* nothing to do: the input was used up, or all of it was in the window */
            if (stream->avail_out > 0) {
                *ret_ended = false;
                return INFLATER_DONE;
            }
            break;
        case Z_MEM_ERROR:
            return INFLATER_NO_MEMORY;
        default:
            return INFLATER_CORRUPT;
        }
    }
}

enum inflater_result inflater_run(struct inflater *inflater, cvn_slice in, struct buf *ret)
{
    bool ended;
    if (in.size == 0) /* not what a sender should make of an empty text, but some do */
        return INFLATER_DONE;
    if (in.size > UINT32_MAX)
        return INFLATER_TOO_BIG;
    z_stream *stream = fresh_stream(inflater);
    if (stream == NULL)
        return INFLATER_NO_MEMORY;
    enum inflater_result result = feed(stream, in.data, in.size, ret, &ended);
    if (result != INFLATER_DONE || ended)
        return result;
    result = feed(stream, tail, sizeof tail, ret, &ended);
    if (result != INFLATER_DONE)
        return result;
    return !ended && stream->data_type == BETWEEN_BLOCKS ? INFLATER_DONE : INFLATER_CORRUPT;
}
