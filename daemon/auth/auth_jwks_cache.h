/*
 * When a JWKS is fetched, and what is known until then: the rules, without network or threads. Time comes in as milliseconds of a clock that
 * never goes back. For one thread at a time: auth_jwks.c holds a lock around it.
 */
#ifndef AUTH_JWKS_CACHE_H
#define AUTH_JWKS_CACHE_H

#include "auth/auth_jwks.h"

#define AUTH_JWKS_MISSING  64   /* kids remembered as unknown */
#define AUTH_JWKS_RETRY_MS 5000 /* after a fetch that failed; less if the cooldown is less */

struct auth_jwks_cache {
    uint64_t cache_ms, cooldown_ms;
    struct auth_keys *keys; /* NULL before the first fetch that went well */
    uint64_t fetched_at;
    bool is_expired;
    bool has_tried, has_failed; /* the last fetch that ended */
    uint64_t tried_at;
    bool is_fetching;
    uint64_t finished;                /* fetches that ended, well or not */
    char *missing[AUTH_JWKS_MISSING]; /* kids that the last good fetch did not have; a ring */
    size_t missing_at;
};

void auth_jwks_cache_init(struct auth_jwks_cache *cache, uint64_t cache_ms, uint64_t cooldown_ms);
void auth_jwks_cache_release(struct auth_jwks_cache *cache);

/* As auth_jwks_ask. */
enum auth_jwks_advice auth_jwks_cache_ask(struct auth_jwks_cache *cache, const char *kid,
                                          uint64_t now, struct auth_keys **ret_keys);
void auth_jwks_cache_begin(struct auth_jwks_cache *cache);
/* `keys`: what was fetched, the reference goes to the cache; NULL: it failed. */
void auth_jwks_cache_finish(struct auth_jwks_cache *cache, struct auth_keys *keys, uint64_t now);
/* Somebody has waited for a fetch because of this kid; if it went well and did not have it, that is remembered. */
void auth_jwks_cache_miss(struct auth_jwks_cache *cache, const char *kid);
/* What is there shall be fetched again when it is next needed. */
void auth_jwks_cache_expire(struct auth_jwks_cache *cache);

#endif
