/*
 * An immutable block of bytes, counted by references, that may be queued on any number of
 * connections of any number of workers at once: what a broadcast is encoded into, once.
 * The bytes are written before the message is shared and never after. References and twins: any thread.
 */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include <stdatomic.h>
#include "base/slice.h"

enum message_flags {
    MESSAGE_BINARY = 1,     /* the payload is binary data, not UTF-8 text */
    MESSAGE_VOLATILE = 2,   /* may be dropped when the receiver is not keeping up */
    MESSAGE_CONFLATE = 4,   /* has a key: takes the place of an older one of that key in a queue */
    MESSAGE_NO_COMPRESS = 8 /* goes as it is, whatever transport and receiver would like */
};

/* The same content in another form, made for the first receiver that wants it and kept for all others. */
enum message_twin {
    MESSAGE_DEFLATED,       /* one compressed WebSocket frame */
    MESSAGE_DEFLATED_SMALL, /* the same for receivers with any window, however small */
    MESSAGE_TWINS
};

struct message {
    atomic_uint refs;
    uint8_t prefix; /* leading bytes that only a framed transport sends: a WebSocket frame header */
    uint8_t flags;  /* enum message_flags */
    uint8_t followers; /* MESSAGE_CONFLATE: messages behind it that belong to it */
    uint64_t key;      /* MESSAGE_CONFLATE: a keyed 64-bit hash, see base/map.h */
    size_t size;       /* bytes in data, the prefix included */
    _Atomic(struct message *) twins[MESSAGE_TWINS];
    char data[];
};

/* `size` uninitialised bytes, one reference. NULL when memory has run out. */
struct message *message_new(size_t size) __attribute__((warn_unused_result));
/* A copy of `bytes`, no prefix, no flags. NULL when memory has run out. */
struct message *message_copy(cvn_slice bytes) __attribute__((warn_unused_result));

static inline struct message *message_ref(struct message *message)
{
    atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    return message;
}

/* NULL is accepted. */
void message_unref(struct message *message);

/* Cuts the message down to its first `size` bytes, and gives back memory when that is worth it: before it is shared. The
 * message may move. */
struct message *message_shrink(struct message *message, size_t size)
    __attribute__((warn_unused_result));

/* The twin, alive as long as the message; the message itself when it is known to have no better one; NULL when nobody has
 * asked yet. */
static inline struct message *message_twin(struct message *message, enum message_twin which)
{
    return atomic_load_explicit(&message->twins[which], memory_order_acquire);
}

/* Takes over the reference to `twin`, which has no twins itself; or the message itself, for "none". Threads may race to make one: returns
 * the one that was kept. */
struct message *message_keep_twin(struct message *message, enum message_twin which,
                                  struct message *twin);

/* What lies behind the prefix. Valid as long as the caller's reference. */
static inline cvn_slice message_payload(const struct message *message)
{
    return slice_of(message->data + message->prefix, message->size - message->prefix);
}

#endif
