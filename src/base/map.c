/*
 * The hash map: open addressing with linear probing; removal shifts the run behind the hole back, so there are no tombstones. SipHash-1-3
 * (Aumasson and Bernstein 2012, one compression and three finalisation rounds) under a key drawn once a process. One thread a map.
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include <pthread.h>

#define MIN_CAPACITY 8

static uint8_t process_key[16];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
    rand_bytes(process_key, sizeof process_key);
}

static uint64_t load64(const void *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static uint64_t rotate(uint64_t word, int by)
{
    return word << by | word >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t siphash13(cvn_slice bytes, const uint8_t key[16])
{
    uint64_t k0 = load64(key), k1 = load64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    uint64_t last = (uint64_t)bytes.size << 56;
    size_t at = 0;
    for (; at + 8 <= bytes.size; at += 8) {
        uint64_t word = load64(bytes.data + at);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (int shift = 0; at < bytes.size; at++, shift += 8)
        last |= (uint64_t)(unsigned char)bytes.data[at] << shift;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t hash_of(cvn_slice key)
{
    return siphash13(key, process_key);
}

uint64_t map_hash(cvn_slice bytes)
{
    pthread_once(&key_once, draw_key);
    return siphash13(bytes, process_key);
}

void map_init(struct map *map, map_key_fn key_of)
{
    pthread_once(&key_once, draw_key);
    *map = (struct map){.key_of = key_of};
}

void map_release(struct map *map)
{
    mem_free(map->slots);
    *map = (struct map){.key_of = map->key_of};
}

/* The slot of `key`, or the empty one where it would go. The map has slots. */
static size_t find_slot(const struct map *map, uint64_t hash, cvn_slice key)
{
    size_t mask = map->capacity - 1, i = hash & mask;
    while (map->slots[i].value != NULL &&
           (map->slots[i].hash != hash || !slice_eq(map->key_of(map->slots[i].value), key)))
        i = (i + 1) & mask;
    return i;
}

void *map_get(const struct map *map, cvn_slice key)
{
    return map->count > 0 ? map->slots[find_slot(map, hash_of(key), key)].value : NULL;
}

static bool resize(struct map *map, size_t capacity)
{
    struct map_slot *slots = mem_zalloc(capacity * sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].value == NULL)
            continue;
        size_t to = map->slots[i].hash & (capacity - 1);
        while (slots[to].value != NULL)
            to = (to + 1) & (capacity - 1);
        slots[to] = map->slots[i];
    }
    mem_free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    return true;
}

bool map_put(struct map *map, void *value)
{
    /* At most three quarters full. */
    if ((map->count + 1) * 4 > map->capacity * 3 &&
        !resize(map, map->capacity ? map->capacity * 2 : MIN_CAPACITY))
        return false;
    cvn_slice key = map->key_of(value);
    uint64_t hash = hash_of(key);
    map->slots[find_slot(map, hash, key)] = (struct map_slot){hash, value};
    map->count++;
    return true;
}

/* Closes the hole at `hole`: entries behind it that are not at home move forward. */
static void close_hole(struct map *map, size_t hole)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = map->slots[i].hash & mask;
        /* May it move? Only if its home does not lie between the hole and itself. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole].value = NULL;
}

void *map_remove(struct map *map, cvn_slice key)
{
    if (map->count == 0)
        return NULL;
    size_t slot = find_slot(map, hash_of(key), key);
    void *value = map->slots[slot].value;
    if (value == NULL)
        return NULL;
    close_hole(map, slot);
    map->count--;
    if (map->capacity > MIN_CAPACITY && map->count * 8 < map->capacity)
        (void)resize(map, map->capacity / 2); /* staying large is no error */
    return value;
}

void *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->capacity) {
        void *value = map->slots[(*cursor)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}
