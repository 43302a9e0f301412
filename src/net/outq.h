/*
 * What a connection has still to send: references to messages, in order. The bytes are copied once, into the
 * worker's write buffer, when the connection is flushed, and only if they are small. One thread.
 */
#ifndef NET_OUTQ_H
#define NET_OUTQ_H

#include <sys/uio.h>
#include "base/message.h"
#include "net/conflation.h"

#define OUTQ_INLINE 2 /* entries that need no allocation: one turn's usual output */

struct outq_item {
    struct message *message;
    size_t offset; /* first byte of it that is still to be sent */
};

struct outq {
    struct outq_item *items; /* a ring; NULL: uses the inline entries */
    uint64_t head;           /* place of the first entry: how many have left */
    uint32_t count, capacity;
    uint32_t pinned; /* entries in front that may not change any more, besides one begun */
    size_t bytes;    /* still to be sent */
    struct conflation *conflation; /* NULL: no message with a key was ever queued */
    struct outq_item inline_items[OUTQ_INLINE];
};

void outq_init(struct outq *queue);
void outq_release(struct outq *queue); /* drops the references */
/* Takes a reference of its own. False when memory has run out, the queue unchanged. */
bool outq_push(struct outq *queue, struct message *message, size_t offset)
    __attribute__((warn_unused_result));

/*
 * A unit: a MESSAGE_CONFLATE message and its followers, all of which are sent whole. Takes references.
 * outq_replace puts it in the place of the unit of the same key that waits in the queue, and returns the bytes of that; 0 when there is none,
 * or its first byte is on its way, or memory has run out: the queue is unchanged then. outq_push_unit puts it at the end; false when memory
 * has run out, the queue unchanged. Both take the same time however long the queue is, unless the units have different numbers of
 * followers.
 */
size_t outq_replace(struct outq *queue, struct message *const *unit);
bool outq_push_unit(struct outq *queue, struct message *const *unit)
    __attribute__((warn_unused_result));
/* The first `bytes` bytes may not change until they are consumed: a lower layer has seen them. */
void outq_pin(struct outq *queue, size_t bytes);

/* The first message, NULL when there is none; pop hands its reference over. For queues whose messages leave whole. */
struct message *outq_front(const struct outq *queue);
struct message *outq_pop(struct outq *queue);

/*
 * Describes the front of the queue for one writev: small messages are joined in `scratch`, large ones are named
 * where they lie. Returns the number of vectors (at most `max`), 0 for an empty queue. Nothing is consumed.
 */
size_t outq_gather(const struct outq *queue, struct iovec *ret, size_t max, char *scratch,
                   size_t scratch_size);
/* Copies bytes from the front into `ret`; returns how many. Nothing is consumed. */
size_t outq_peek(const struct outq *queue, char *ret, size_t size);
/* Drops `bytes` bytes from the front, with the references that end there. */
void outq_consume(struct outq *queue, size_t bytes);

#endif
