/*
 * Where in a queue the latest message of each key waits: a small hash table from keys, which are hashes already, to places. Places only grow;
 * one that has left the queue is stale and is thrown out when room is needed, so the table never outgrows the queue. One thread.
 */
#ifndef NET_CONFLATION_H
#define NET_CONFLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conflation;

/* NULL when memory has run out. */
struct conflation *conflation_new(void) __attribute__((warn_unused_result));
void conflation_free(struct conflation *conflation); /* NULL is accepted */

/* False when the key has no place. */
bool conflation_get(const struct conflation *conflation, uint64_t key, uint64_t *ret_place);
/* Makes sure that one more key fits: `first` is the oldest place that is not stale. False when memory has run out. */
bool conflation_reserve(struct conflation *conflation, uint64_t first)
    __attribute__((warn_unused_result));
/* Sets the key's place. A key that has none needs a conflation_reserve before. */
void conflation_put(struct conflation *conflation, uint64_t key, uint64_t place);
/* Every place above `place` moves by `by`: the queue has become longer or shorter there. */
void conflation_shift(struct conflation *conflation, uint64_t place, int64_t by);
/* How many keys it has room for, used or not; for tests. */
size_t conflation_capacity(const struct conflation *conflation);

#endif
