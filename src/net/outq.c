/*
 * The output queue: a ring of references that starts inside the connection and moves to the heap only when a turn
 * produces more. Worker's thread.
 */
#include "net/outq.h"
#include "base/mem.h"

/* From this size on naming a message in an iovec costs less than copying it (measured: about 4 kB). */
#define LARGE_MESSAGE 4096
#define KEPT_CAPACITY 8 /* a heap ring larger than this is freed when the queue has drained */

static struct outq_item *items_of(const struct outq *queue)
{
    return queue->items ? queue->items : (struct outq_item *)queue->inline_items;
}

static struct outq_item *item_at(const struct outq *queue, uint32_t index)
{
    /* Capacities are powers of two. */
    return &items_of(queue)[(queue->head + index) & (queue->capacity - 1)];
}

void outq_init(struct outq *queue)
{
    *queue = (struct outq){.capacity = OUTQ_INLINE};
}

static void free_ring(struct outq *queue)
{
    mem_free(queue->items);
    queue->items = NULL;
    queue->capacity = OUTQ_INLINE;
    queue->head = 0;
}

void outq_release(struct outq *queue)
{
    for (uint32_t i = 0; i < queue->count; i++)
        message_unref(item_at(queue, i)->message);
    queue->count = 0;
    queue->bytes = 0;
    free_ring(queue);
}

static bool grow(struct outq *queue)
{
    uint32_t capacity = queue->capacity * 4;
    if (capacity < queue->capacity)
        return false;
    struct outq_item *items = mem_alloc(capacity * sizeof *items);
    if (items == NULL)
        return false;
    for (uint32_t i = 0; i < queue->count; i++)
        items[i] = *item_at(queue, i);
    mem_free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->head = 0;
    return true;
}

bool outq_push(struct outq *queue, struct message *message, size_t offset)
{
    if (offset >= message->size)
        return true; /* nothing to send */
    if (queue->count == queue->capacity && !grow(queue))
        return false;
    *item_at(queue, queue->count) = (struct outq_item){message_ref(message), offset};
    queue->count++;
    queue->bytes += message->size - offset;
    return true;
}

size_t outq_gather(const struct outq *queue, struct iovec *ret, size_t max, char *scratch,
                   size_t scratch_size)
{
    size_t vectors = 0, used = 0;
    bool joining = false; /* the last vector lies in scratch and may grow */
    for (uint32_t i = 0; i < queue->count; i++) {
        const struct outq_item *item = item_at(queue, i);
        char *bytes = item->message->data + item->offset;
        size_t size = item->message->size - item->offset;
        if (size < LARGE_MESSAGE) {
            if (size > scratch_size - used || (!joining && vectors == max))
                break;
            memcpy(scratch + used, bytes, size);
            if (joining)
                ret[vectors - 1].iov_len += size;
            else
                ret[vectors++] = (struct iovec){scratch + used, size};
            used += size;
            joining = true;
        } else {
            if (vectors == max)
                break;
            ret[vectors++] = (struct iovec){bytes, size};
            joining = false;
        }
    }
    return vectors;
}

size_t outq_peek(const struct outq *queue, char *ret, size_t size)
{
    size_t done = 0;
    for (uint32_t i = 0; i < queue->count && done < size; i++) {
        const struct outq_item *item = item_at(queue, i);
        size_t part = item->message->size - item->offset;
        if (part > size - done)
            part = size - done;
        memcpy(ret + done, item->message->data + item->offset, part);
        done += part;
    }
    return done;
}

void outq_consume(struct outq *queue, size_t bytes)
{
    queue->bytes -= bytes;
    while (bytes > 0) {
        struct outq_item *item = item_at(queue, 0);
        size_t left = item->message->size - item->offset;
        if (bytes < left) {
            item->offset += bytes;
            return;
        }
        bytes -= left;
        message_unref(item->message);
        queue->head = (queue->head + 1) & (queue->capacity - 1);
        queue->count--;
    }
    if (queue->count == 0 && queue->capacity > KEPT_CAPACITY)
        free_ring(queue);
}
