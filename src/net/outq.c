/*
 * The output queue: a ring of references that starts inside the connection and moves to the heap only when a turn
 * produces more. Worker's thread.
 *
 * Every entry has a place, counted from the first one ever; its slot in the ring is the place modulo the capacity. By place a message with a
 * key is found again (conflation.c), as long as none of its bytes has been given away.
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
}

void outq_release(struct outq *queue)
{
    for (uint32_t i = 0; i < queue->count; i++)
        message_unref(item_at(queue, i)->message);
    queue->count = 0;
    queue->pinned = 0;
    queue->bytes = 0;
    free_ring(queue);
    conflation_free(queue->conflation);
    queue->conflation = NULL;
}

static bool grow(struct outq *queue)
{
    uint32_t capacity = queue->capacity * 4;
    if (capacity < queue->capacity)
        return false;
    /* An entry's place says where it lies, in the old ring as in the new. */
    struct outq_item *items = mem_alloc(capacity * sizeof *items);
    if (items == NULL)
        return false;
    for (uint32_t i = 0; i < queue->count; i++)
        items[(queue->head + i) & (capacity - 1)] = *item_at(queue, i);
    mem_free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
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

/* --- Messages with a key --- */

static uint32_t unit_count(struct message *const *unit)
{
    return 1U + unit[0]->followers;
}

static bool reserve(struct outq *queue, uint32_t more)
{
    while (queue->capacity - queue->count < more)
        if (!grow(queue))
            return false;
    return true;
}

/* Index of the unit with that key; false when none waits here, untouched. */
static bool find_unit(const struct outq *queue, uint64_t key, uint32_t *ret_index)
{
    uint64_t place;
    if (queue->conflation == NULL || !conflation_get(queue->conflation, key, &place) ||
        place < queue->head || place - queue->head >= queue->count)
        return false;
    uint32_t index = (uint32_t)(place - queue->head);
    if (index < queue->pinned || item_at(queue, index)->offset > 0)
        return false;
    *ret_index = index;
    return true;
}

/* Makes `now` entries of `before`, moving what is behind them. There is room. */
static void splice(struct outq *queue, uint32_t index, uint32_t before, uint32_t now)
{
    if (before == now)
        return;
    uint32_t behind = queue->count - index - before;
    for (uint32_t i = 0; i < behind; i++) {
        uint32_t at = now > before ? behind - 1 - i : i; /* from the end that does not overlap */
        *item_at(queue, index + now + at) = *item_at(queue, index + before + at);
    }
    conflation_shift(queue->conflation, queue->head + index, (int64_t)now - before);
    queue->count += now - before;
}

size_t outq_replace(struct outq *queue, struct message *const *unit)
{
    uint32_t index, count = unit_count(unit);
    if (!find_unit(queue, unit[0]->key, &index))
        return 0;
    uint32_t before = 1U + item_at(queue, index)->message->followers;
    if (count > before && !reserve(queue, count - before))
        return 0;
    size_t replaced = 0;
    for (uint32_t i = 0; i < before; i++) {
        replaced += item_at(queue, index + i)->message->size;
        message_unref(item_at(queue, index + i)->message);
    }
    splice(queue, index, before, count);
    queue->bytes -= replaced;
    for (uint32_t i = 0; i < count; i++) {
        *item_at(queue, index + i) = (struct outq_item){message_ref(unit[i]), 0};
        queue->bytes += unit[i]->size;
    }
    return replaced;
}

bool outq_push_unit(struct outq *queue, struct message *const *unit)
{
    uint32_t count = unit_count(unit);
    if (queue->conflation == NULL)
        queue->conflation = conflation_new();
    if (queue->conflation == NULL || !conflation_reserve(queue->conflation, queue->head) ||
        !reserve(queue, count))
        return false;
    conflation_put(queue->conflation, unit[0]->key, queue->head + queue->count);
    for (uint32_t i = 0; i < count; i++) {
        *item_at(queue, queue->count++) = (struct outq_item){message_ref(unit[i]), 0};
        queue->bytes += unit[i]->size;
    }
    return true;
}

void outq_pin(struct outq *queue, size_t bytes)
{
    uint32_t pinned = 0;
    for (; pinned < queue->count && bytes > 0; pinned++) {
        const struct outq_item *item = item_at(queue, pinned);
        size_t size = item->message->size - item->offset;
        bytes -= size < bytes ? size : bytes;
    }
    queue->pinned = pinned;
}

/* --- The front --- */

struct message *outq_front(const struct outq *queue)
{
    return queue->count > 0 ? item_at(queue, 0)->message : NULL;
}

struct message *outq_pop(struct outq *queue)
{
    struct message *message = outq_front(queue);
    if (message == NULL)
        return NULL;
    message_ref(message);
    outq_consume(queue, message->size - item_at(queue, 0)->offset);
    return message;
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
    queue->pinned = 0;
    while (bytes > 0) {
        struct outq_item *item = item_at(queue, 0);
        size_t left = item->message->size - item->offset;
        if (bytes < left) {
            item->offset += bytes;
            return;
        }
        bytes -= left;
        message_unref(item->message);
        queue->head++;
        queue->count--;
    }
    if (queue->count == 0 && queue->capacity > KEPT_CAPACITY) {
        free_ring(queue);
        conflation_free(queue->conflation);
        queue->conflation = NULL;
    }
}
