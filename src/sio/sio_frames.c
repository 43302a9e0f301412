/* References to the messages of a packet. Any thread; the counts are atomic. */
#include "sio/sio_frames.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"

void sio_frames_release(struct sio_frames *frames)
{
    message_unref(frames->text);
    while (frames->binary_count > 0)
        message_unref(frames->binaries[--frames->binary_count]);
    mem_free(frames->binaries);
    *frames = (struct sio_frames){0};
}

bool sio_frames_reserve(struct sio_frames *frames, size_t count)
{
    frames->binaries = mem_alloc(count * sizeof(struct message *));
    return frames->binaries != NULL;
}

bool sio_frames_copy(struct sio_frames *ret, const struct sio_frames *frames)
{
    struct sio_frames copy = {0};
    if (frames->binary_count > 0 && !sio_frames_reserve(&copy, frames->binary_count))
        return false;
    copy.text = message_ref(frames->text);
    for (; copy.binary_count < frames->binary_count; copy.binary_count++)
        copy.binaries[copy.binary_count] = message_ref(frames->binaries[copy.binary_count]);
    *ret = copy;
    return true;
}

static bool set_conflate(struct sio_frames *frames, cvn_slice nsp, cvn_slice key)
{
    char memory[2 * SIO_MAX_CONFLATE_KEY + 1];
    struct buf text = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};
    if (key.size == 0 || key.size > SIO_MAX_CONFLATE_KEY)
        return false;
    buf_append(&text, nsp);
    buf_append_byte(&text, '\0');
    buf_append(&text, key);
    frames->text->flags |= MESSAGE_CONFLATE;
    frames->text->key = map_hash(buf_slice(&text));
    frames->text->followers = (uint8_t)frames->binary_count;
    return !text.failed;
}

static void set_no_compress(struct sio_frames *frames)
{
    frames->text->flags |= MESSAGE_NO_COMPRESS;
    for (size_t i = 0; i < frames->binary_count; i++)
        frames->binaries[i]->flags |= MESSAGE_NO_COMPRESS;
}

enum cvn_error sio_frames_mark(struct sio_frames *frames, unsigned flags, cvn_slice nsp,
                               const char *conflate)
{
    if (flags & CVN_VOLATILE)
        frames->text->flags |= MESSAGE_VOLATILE;
    if (flags & CVN_NO_COMPRESS)
        set_no_compress(frames);
    if (conflate == NULL || set_conflate(frames, nsp, cvn_str(conflate)))
        return CVN_OK;
    sio_frames_release(frames);
    return CVN_ERR_ARGUMENT;
}
