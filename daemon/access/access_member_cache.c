/*
 * A balanced tree by key (tsearch: what is asked for is chosen by strangers, so no hash that they could flood) and a list by last use, below one lock that is
 * held for moments. Tickets are numbers of changes, counted in shards, so that a change makes few others' answers go unremembered.
 */
#include "access/access_member_cache.h"
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 256

struct answer {
    struct answer *newer, *older;
    char permission[ACCESS_MEMBER_MAX_PERMISSION + 1]; /* "": no member */
    char key[];
};

struct access_member_cache {
    pthread_mutex_t lock;
    void *root;
    struct answer *newest, *oldest;
    size_t count, capacity;
    uint64_t hits, misses;
    uint64_t changes[SHARDS];
};

struct access_member_key access_member_key_of(const char *kind, const char *id, const char *user_id)
{
    struct access_member_key key;
    /* No name holds a control character, so the parts cannot run into each other. */
    snprintf(key.text, sizeof key.text, "%s\n%s\n%s", kind, id, user_id);
    return key;
}

static unsigned shard_of(const char *key)
{
    uint32_t hash = 2166136261u;
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return (hash ^ hash >> 16) % SHARDS;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct answer *)a)->key, ((const struct answer *)b)->key);
}

/* `key` is only compared. */
static int compare_key(const void *key, const void *answer)
{
    return strcmp(key, ((const struct answer *)answer)->key);
}

static struct answer *find(struct access_member_cache *cache, const char *key)
{
    void *const *node = tfind(key, &cache->root, compare_key);
    return node != NULL ? *node : NULL;
}

/* --- The list by last use --- */

static void unlink_answer(struct access_member_cache *cache, struct answer *answer)
{
    *(answer->newer != NULL ? &answer->newer->older : &cache->newest) = answer->older;
    *(answer->older != NULL ? &answer->older->newer : &cache->oldest) = answer->newer;
}

static void link_newest(struct access_member_cache *cache, struct answer *answer)
{
    answer->newer = NULL;
    answer->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = answer;
    cache->newest = answer;
}

static void remove_answer(struct access_member_cache *cache, struct answer *answer)
{
    tdelete(answer, &cache->root, compare);
    unlink_answer(cache, answer);
    free(answer);
    cache->count--;
}

/* --- The cache --- */

struct access_member_cache *access_member_cache_new(size_t capacity)
{
    struct access_member_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    cache->capacity = capacity;
    if (pthread_mutex_init(&cache->lock, NULL) == 0)
        return cache;
    free(cache);
    return NULL;
}

void access_member_cache_free(struct access_member_cache *cache)
{
    if (cache == NULL)
        return;
    tdestroy(cache->root, free);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

bool access_member_cache_get(struct access_member_cache *cache, const struct access_member_key *key,
                             char permission[ACCESS_MEMBER_MAX_PERMISSION + 1],
                             uint64_t *ret_ticket)
{
    pthread_mutex_lock(&cache->lock);
    struct answer *answer = find(cache, key->text);
    if (answer != NULL) {
        unlink_answer(cache, answer);
        link_newest(cache, answer);
        memcpy(permission, answer->permission, sizeof answer->permission);
        cache->hits++;
    } else {
        *ret_ticket = cache->changes[shard_of(key->text)];
        cache->misses++;
    }
    pthread_mutex_unlock(&cache->lock);
    return answer != NULL;
}

static void insert(struct access_member_cache *cache, const char *key, const char *permission)
{
    size_t size = strlen(key) + 1;
    struct answer *answer = malloc(sizeof *answer + size);
    if (answer == NULL)
        return; /* it is asked for again */
    memcpy(answer->key, key, size);
    snprintf(answer->permission, sizeof answer->permission, "%s", permission);
    if (tsearch(answer, &cache->root, compare) == NULL) {
        free(answer);
        return;
    }
    link_newest(cache, answer);
    cache->count++;
    if (cache->count > cache->capacity)
        remove_answer(cache, cache->oldest);
}

void access_member_cache_put(struct access_member_cache *cache, const struct access_member_key *key,
                             const char *permission, uint64_t ticket)
{
    pthread_mutex_lock(&cache->lock);
    /* Two may have asked for the same at once. */
    if (cache->changes[shard_of(key->text)] == ticket && find(cache, key->text) == NULL)
        insert(cache, key->text, permission);
    pthread_mutex_unlock(&cache->lock);
}

void access_member_cache_drop(struct access_member_cache *cache,
                              const struct access_member_key *key)
{
    pthread_mutex_lock(&cache->lock);
    struct answer *answer = find(cache, key->text);
    cache->changes[shard_of(key->text)]++;
    if (answer != NULL)
        remove_answer(cache, answer);
    pthread_mutex_unlock(&cache->lock);
}

void access_member_cache_clear(struct access_member_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < SHARDS; i++)
        cache->changes[i]++;
    void *root = cache->root;
    cache->root = NULL;
    cache->newest = cache->oldest = NULL;
    cache->count = 0;
    pthread_mutex_unlock(&cache->lock);
    tdestroy(root, free);
}

void access_member_cache_get_stats(struct access_member_cache *cache,
                                   struct access_members_stats *ret)
{
    pthread_mutex_lock(&cache->lock);
    *ret = (struct access_members_stats){cache->hits, cache->misses, cache->count};
    pthread_mutex_unlock(&cache->lock);
}
