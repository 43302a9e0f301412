/* See access_webhook_cache.h: a balanced tree by key and a list by last use. One thread. */
#include "access/access_webhook_cache.h"
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct remembered {
    uint8_t key[WEBHOOK_KEY_SIZE]; /* first: searched for by a bare key */
    struct remembered *newer, *older;
    uint64_t good_until_ms;
    struct webhook_verdict verdict;
};

struct webhook_cache {
    void *root;
    struct remembered *newest, *oldest;
    size_t count, capacity;
};

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, WEBHOOK_KEY_SIZE);
}

struct webhook_cache *access_webhook_cache_new(size_t capacity)
{
    struct webhook_cache *cache = calloc(1, sizeof *cache);
    if (cache != NULL)
        cache->capacity = capacity;
    return cache;
}

void access_webhook_cache_free(struct webhook_cache *cache)
{
    if (cache == NULL)
        return;
    tdestroy(cache->root, free);
    free(cache);
}

static void unlink_entry(struct webhook_cache *cache, struct remembered *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(struct webhook_cache *cache, struct remembered *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void remove_entry(struct webhook_cache *cache, struct remembered *entry)
{
    tdelete(entry->key, &cache->root, compare);
    unlink_entry(cache, entry);
    free(entry);
    cache->count--;
}

static struct remembered *find(struct webhook_cache *cache, const uint8_t key[WEBHOOK_KEY_SIZE])
{
    void *const *node = tfind(key, &cache->root, compare);
    return node != NULL ? *node : NULL;
}

bool access_webhook_cache_get(struct webhook_cache *cache, const uint8_t key[WEBHOOK_KEY_SIZE],
                              uint64_t now_ms, struct webhook_verdict *ret)
{
    struct remembered *entry = find(cache, key);
    if (entry == NULL)
        return false;
    if (entry->good_until_ms <= now_ms) {
        remove_entry(cache, entry);
        return false;
    }
    unlink_entry(cache, entry);
    link_newest(cache, entry);
    *ret = entry->verdict;
    return true;
}

void access_webhook_cache_put(struct webhook_cache *cache, const uint8_t key[WEBHOOK_KEY_SIZE],
                              const struct webhook_verdict *verdict, uint64_t good_until_ms)
{
    struct remembered *entry = find(cache, key);
    if (entry != NULL) {
        unlink_entry(cache, entry);
    } else {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL)
            return;
        memcpy(entry->key, key, WEBHOOK_KEY_SIZE);
        if (tsearch(entry, &cache->root, compare) == NULL) {
            free(entry);
            return;
        }
        cache->count++;
    }
    entry->verdict = *verdict;
    entry->good_until_ms = good_until_ms;
    link_newest(cache, entry);
    if (cache->count > cache->capacity)
        remove_entry(cache, cache->oldest);
}

size_t access_webhook_cache_count(const struct webhook_cache *cache)
{
    return cache->count;
}
