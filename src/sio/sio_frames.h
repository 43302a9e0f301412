/* The messages of one packet, by reference: they may wait on any number of sessions at once. Any thread, but before they are shared. */
#ifndef SIO_FRAMES_H
#define SIO_FRAMES_H

#include <convene/emit.h>
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
/*
 * Marks a packet as the flags of its emit want it (CVN_VOLATILE, CVN_NO_COMPRESS; others are not looked at), and with the key of its
 * namespace under which newer ones may take its place (`conflate`, or NULL): before it is shared. CVN_ERR_ARGUMENT for a key that
 * is empty or longer than SIO_MAX_CONFLATE_KEY; the packet is released then.
 */
#define SIO_MAX_CONFLATE_KEY 255
enum cvn_error sio_frames_mark(struct sio_frames *frames, unsigned flags, cvn_slice nsp,
                               const char *conflate) __attribute__((warn_unused_result));

#endif
