/*
 * The rules of fetching. Keys that are older than cache_ms are not used without asking again, so that a key that was withdrawn ends; if asking
 * fails they serve on, because an issuer that is down for a while must not lock everybody out. A kid that is not known leads to a fetch at most
 * once per cooldown, whatever kids arrive: those of a storm are told to come again, and one that a fetch did not have is simply wrong.
 */
#include "auth/auth_jwks_cache.h"
#include <stdlib.h>

void auth_jwks_cache_init(struct auth_jwks_cache *cache, uint64_t cache_ms, uint64_t cooldown_ms)
{
    *cache = (struct auth_jwks_cache){.cache_ms = cache_ms, .cooldown_ms = cooldown_ms};
}

static void forget_missing(struct auth_jwks_cache *cache)
{
    for (size_t i = 0; i < AUTH_JWKS_MISSING; i++) {
        free(cache->missing[i]);
        cache->missing[i] = NULL;
    }
}

void auth_jwks_cache_release(struct auth_jwks_cache *cache)
{
    auth_keys_unref(cache->keys);
    forget_missing(cache);
}

static bool is_stale(const struct auth_jwks_cache *cache, uint64_t now)
{
    return cache->keys == NULL || cache->is_expired || now - cache->fetched_at >= cache->cache_ms;
}

static bool has_rested(const struct auth_jwks_cache *cache, uint64_t now)
{
    uint64_t rest = cache->cooldown_ms;
    if (cache->has_failed && rest > AUTH_JWKS_RETRY_MS)
        rest = AUTH_JWKS_RETRY_MS;
    return !cache->has_tried || now - cache->tried_at >= rest;
}

static bool is_known_to_be_missing(const struct auth_jwks_cache *cache, const char *kid)
{
    for (size_t i = 0; i < AUTH_JWKS_MISSING; i++) {
        if (cache->missing[i] != NULL && strcmp(cache->missing[i], kid) == 0)
            return true;
    }
    return false;
}

enum auth_jwks_advice auth_jwks_cache_ask(struct auth_jwks_cache *cache, const char *kid,
                                          uint64_t now, struct auth_keys **ret_keys)
{
    if (is_stale(cache, now)) {
        if (cache->is_fetching || !cache->has_failed || has_rested(cache, now))
            return AUTH_JWKS_WAIT;
    }
    if (cache->keys != NULL)
        *ret_keys = auth_keys_ref(cache->keys);
    if (cache->keys != NULL && (kid == NULL || auth_keys_have_kid(cache->keys, kid)))
        return AUTH_JWKS_USE;
    if (cache->is_fetching || has_rested(cache, now))
        return AUTH_JWKS_WAIT;
    if (!cache->has_failed && kid != NULL && is_known_to_be_missing(cache, kid))
        return AUTH_JWKS_USE;
    return AUTH_JWKS_FAILED;
}

void auth_jwks_cache_begin(struct auth_jwks_cache *cache)
{
    cache->is_fetching = true;
}

void auth_jwks_cache_finish(struct auth_jwks_cache *cache, struct auth_keys *keys, uint64_t now)
{
    cache->is_fetching = false;
    cache->has_tried = true;
    cache->has_failed = keys == NULL;
    cache->tried_at = now;
    cache->finished++;
    if (keys == NULL)
        return;
    auth_keys_unref(cache->keys);
    cache->keys = keys;
    cache->fetched_at = now;
    cache->is_expired = false;
    forget_missing(cache);
}

void auth_jwks_cache_miss(struct auth_jwks_cache *cache, const char *kid)
{
    if (cache->keys == NULL || cache->has_failed || kid == NULL ||
        auth_keys_have_kid(cache->keys, kid) || is_known_to_be_missing(cache, kid))
        return;
    free(cache->missing[cache->missing_at]);
    cache->missing[cache->missing_at] = strdup(kid); /* NULL: it is not remembered, no more */
    cache->missing_at = (cache->missing_at + 1) % AUTH_JWKS_MISSING;
}

void auth_jwks_cache_expire(struct auth_jwks_cache *cache)
{
    cache->is_expired = true;
    cache->has_failed = false; /* asked for: at once */
}
