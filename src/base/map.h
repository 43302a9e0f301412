/*
 * A hash map from byte strings to pointers: open addressing, linear probing, SipHash-1-3 under a
 * random key per process, because the keys (room names, ids) are chosen by attackers.
 * The key bytes belong to the value: the map asks for them through `key_of`. Not thread-safe.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"

typedef cvn_slice (*map_key_fn)(const void *value);

struct map_slot {
    uint64_t hash;
    void *value; /* NULL: empty */
};

struct map {
    struct map_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    map_key_fn key_of;
};

void map_init(struct map *map, map_key_fn key_of);
void map_release(struct map *map); /* the values stay the caller's */

/* NULL when absent. */
void *map_get(const struct map *map, cvn_slice key);
/* The key must not be present. False when memory has run out, the map unchanged. */
bool map_put(struct map *map, void *value) __attribute__((warn_unused_result));
/* The removed value, or NULL when absent. Shrinks when it has become sparse. */
void *map_remove(struct map *map, cvn_slice key);
/* Iterates in no order: start with *cursor = 0; NULL at the end. No changes to the map meanwhile. */
void *map_next(const struct map *map, size_t *cursor);

/* SipHash-1-3 of `bytes` under the random key of this process: two different texts share it once in 2^64. */
uint64_t map_hash(cvn_slice bytes);
/* SipHash-1-3 of `bytes` under a 16-byte key; map uses it with a random one. */
uint64_t siphash13(cvn_slice bytes, const uint8_t key[16]);

#endif
