/*
 * Open addressing with linear probing, the key itself being the hash. Keys are never removed one by one: when the table is three quarters full
 * it is built anew without what is stale, and larger only if that was not enough. One thread.
 */
#include "net/conflation.h"
#include "base/mem.h"

#define MIN_CAPACITY 8

struct slot {
    uint64_t key;
    uint64_t place; /* UNUSED: an empty slot */
};

#define UNUSED UINT64_MAX

struct conflation {
    struct slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;    /* stale ones included */
};

struct conflation *conflation_new(void)
{
    return mem_zalloc(sizeof(struct conflation));
}

void conflation_free(struct conflation *conflation)
{
    if (conflation == NULL)
        return;
    mem_free(conflation->slots);
    mem_free(conflation);
}

/* The slot of `key`, or the empty one where it belongs. There is always an empty one. */
static struct slot *find(struct slot *slots, size_t capacity, uint64_t key)
{
    size_t at = (size_t)key & (capacity - 1);
    while (slots[at].place != UNUSED && slots[at].key != key)
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

bool conflation_get(const struct conflation *conflation, uint64_t key, uint64_t *ret_place)
{
    if (conflation->capacity == 0)
        return false;
    const struct slot *slot = find(conflation->slots, conflation->capacity, key);
    if (slot->place == UNUSED)
        return false;
    *ret_place = slot->place;
    return true;
}

static bool rebuild(struct conflation *conflation, uint64_t first)
{
    size_t live = 0, capacity = MIN_CAPACITY;
    for (size_t i = 0; i < conflation->capacity; i++)
        live += conflation->slots[i].place != UNUSED && conflation->slots[i].place >= first;
    while (live + 1 > capacity / 2) /* room to spare, or the next one would rebuild again */
        capacity *= 2;
    struct slot *slots = mem_alloc(capacity * sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < capacity; i++)
        slots[i] = (struct slot){0, UNUSED};
    for (size_t i = 0; i < conflation->capacity; i++) {
        const struct slot *old = &conflation->slots[i];
        if (old->place != UNUSED && old->place >= first)
            *find(slots, capacity, old->key) = *old;
    }
    mem_free(conflation->slots);
    conflation->slots = slots;
    conflation->capacity = capacity;
    conflation->count = live;
    return true;
}

bool conflation_reserve(struct conflation *conflation, uint64_t first)
{
    if (conflation->count + 1 <= conflation->capacity / 4 * 3)
        return true;
    return rebuild(conflation, first);
}

void conflation_put(struct conflation *conflation, uint64_t key, uint64_t place)
{
    struct slot *slot = find(conflation->slots, conflation->capacity, key);
    if (slot->place == UNUSED)
        conflation->count++;
    *slot = (struct slot){key, place};
}

void conflation_shift(struct conflation *conflation, uint64_t place, int64_t by)
{
    for (size_t i = 0; i < conflation->capacity; i++)
        if (conflation->slots[i].place != UNUSED && conflation->slots[i].place > place)
            conflation->slots[i].place += (uint64_t)by;
}

size_t conflation_capacity(const struct conflation *conflation)
{
    return conflation->capacity;
}
