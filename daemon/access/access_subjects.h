/*
 * Those whom limits are counted for: users by their id, peers by their address. One subject per key, shared by all its connections on all
 * workers. It outlives them until its buckets are full again, so that coming back does not forgive. One lock, taken when somebody comes
 * or goes, never for an event. Any thread.
 */
#ifndef ACCESS_SUBJECTS_H
#define ACCESS_SUBJECTS_H

#include "access/access_rate.h"

struct subjects;

struct subject {
    const char *key;
    struct rate_bucket *buckets; /* as many as subjects_new was told */
};

/* `max_idle`: subjects without a connection that are remembered at most; beyond, the one that left first is forgotten. NULL: no memory. */
struct subjects *subjects_new(size_t bucket_count, size_t max_idle);
/* Every subject must have been left. NULL is accepted. */
void subjects_free(struct subjects *subjects);

/* The subject of a key, made when there is none; NULL when memory has run out. To be left as often. */
struct subject *subjects_enter(struct subjects *subjects, const char *key);
void subjects_leave(struct subjects *subjects, struct subject *subject); /* NULL is accepted */
/* Forgets idle ones whose buckets are all full at `now_us`. */
void subjects_sweep(struct subjects *subjects, int64_t now_us);
size_t subjects_count(struct subjects *subjects); /* idle ones, too */

/* The key under which an address is counted: IPv4 as it is, IPv6 by its /64, since whoever has one address there has all of them. */
#define SUBJECTS_ADDRESS_SIZE 64
void subjects_address_key(const char *address, char ret[SUBJECTS_ADDRESS_SIZE]);

#endif
