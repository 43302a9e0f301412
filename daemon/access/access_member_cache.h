/*
 * Answers to "is that user a member of that, and with which permission", the noes too: the last ACCESS_MEMBERS_CACHE that were asked for. Any thread.
 *
 * A question that was on its way to the store while its answer changed must not be remembered: whoever asks takes a ticket first, and an answer with a
 * ticket from before a change is not kept.
 */
#ifndef ACCESS_MEMBER_CACHE_H
#define ACCESS_MEMBER_CACHE_H

#include "access/access_members.h"

struct access_member_cache;

/* kind, id and user, in one text of a fixed form. */
#define ACCESS_MEMBER_KEY_SIZE                                                                     \
    (ACCESS_MEMBER_MAX_KIND + ACCESS_MEMBER_MAX_ID + ACCESS_MEMBER_MAX_USER + 3)

struct access_member_key {
    char text[ACCESS_MEMBER_KEY_SIZE];
};

struct access_member_key access_member_key_of(const char *kind, const char *id,
                                              const char *user_id);

struct access_member_cache *access_member_cache_new(size_t capacity);
void access_member_cache_free(struct access_member_cache *cache); /* NULL is accepted */

/* True: the answer is in `permission` ("" for no member). False: `*ret_ticket` is for access_member_cache_put. */
bool access_member_cache_get(struct access_member_cache *cache, const struct access_member_key *key,
                             char permission[ACCESS_MEMBER_MAX_PERMISSION + 1],
                             uint64_t *ret_ticket);
void access_member_cache_put(struct access_member_cache *cache, const struct access_member_key *key,
                             const char *permission, uint64_t ticket);
/* The answer may be another one now. */
void access_member_cache_drop(struct access_member_cache *cache,
                              const struct access_member_key *key);
/* All answers may be. */
void access_member_cache_clear(struct access_member_cache *cache);
void access_member_cache_get_stats(struct access_member_cache *cache,
                                   struct access_members_stats *ret);

#endif
