/*
 * Decompression of whole messages (RFC 7692 section 7.2.2), with a bound on what they may become. One thread. Its 40 kB
 * of state are allocated when something is decompressed for the first time; nothing is remembered between two messages.
 */
#ifndef BASE_INFLATER_H
#define BASE_INFLATER_H

#include "base/buf.h"

struct z_stream_s;

struct inflater {
    struct z_stream_s *stream; /* NULL until first used */
};

enum inflater_result {
    INFLATER_DONE,
    INFLATER_CORRUPT, /* no deflate data, or it breaks off in the midst of a block */
    INFLATER_TOO_BIG, /* more than ret->max bytes would come of it */
    INFLATER_NO_MEMORY
};

void inflater_init(struct inflater *inflater);
void inflater_release(struct inflater *inflater);

/* Decompresses `in`, a message without its last 00 00 ff ff, into the empty buffer `ret`, whose maximum is the bound. Its
 * memory grows with what comes out. On failure it holds some front of the text, for the caller to release. */
enum inflater_result inflater_run(struct inflater *inflater, cvn_slice in, struct buf *ret)
    __attribute__((warn_unused_result));

#endif
