/*
 * What the webhook has answered, by the SHA-256 of the question, until a moment; the last so many. Of one worker: one thread.
 */
#ifndef ACCESS_WEBHOOK_CACHE_H
#define ACCESS_WEBHOOK_CACHE_H

#include "access/access_webhook.h"

#define WEBHOOK_KEY_SIZE 32

struct webhook_cache;

struct webhook_cache *access_webhook_cache_new(size_t capacity); /* NULL: no memory */
void access_webhook_cache_free(struct webhook_cache *cache);     /* NULL is accepted */
/* False: nothing that is still good at `now_ms`. */
bool access_webhook_cache_get(struct webhook_cache *cache, const uint8_t key[WEBHOOK_KEY_SIZE],
                              uint64_t now_ms, struct webhook_verdict *ret);
/* Takes the place of an older answer; without memory nothing is remembered. */
void access_webhook_cache_put(struct webhook_cache *cache, const uint8_t key[WEBHOOK_KEY_SIZE],
                              const struct webhook_verdict *verdict, uint64_t good_until_ms);
size_t access_webhook_cache_count(const struct webhook_cache *cache);

#endif
