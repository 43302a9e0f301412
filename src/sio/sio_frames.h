/* The messages of one packet, by reference: they may wait on any number of sessions at once. Any thread, but before they are shared. */
#ifndef SIO_FRAMES_H
#define SIO_FRAMES_H

#include "base/message.h"

/* One packet: its text and the binary messages that follow it; as MessagePack a single binary message, in the place of the text. Zeroed =
 * none. */
struct sio_frames {
    struct message *text;
    size_t binary_count;
    struct message **binaries; /* NULL when there are none */
};

/* Gives the references up; zeroed afterwards. */
void sio_frames_release(struct sio_frames *frames);
/* References to the same messages. False when memory has run out, *ret untouched. */
bool sio_frames_copy(struct sio_frames *ret, const struct sio_frames *frames);
/* Room for the first `count` binaries. False when memory has run out. */
bool sio_frames_reserve(struct sio_frames *frames, size_t count);
/* Marks the packet MESSAGE_VOLATILE: before it is shared. */
void sio_frames_set_volatile(struct sio_frames *frames);
/* Marks every part of it MESSAGE_NO_COMPRESS: before it is shared. */
void sio_frames_set_no_compress(struct sio_frames *frames);
/* Marks it MESSAGE_CONFLATE with a key of its namespace: before it is shared. False when the key is empty or longer than
 * SIO_MAX_CONFLATE_KEY. */
#define SIO_MAX_CONFLATE_KEY 255
bool sio_frames_set_conflate(struct sio_frames *frames, cvn_slice nsp, cvn_slice key)
    __attribute__((warn_unused_result));

#endif
