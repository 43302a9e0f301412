/*
 * A number that one thread counts up and any thread may read. Relaxed loads and stores: on the usual processors a plain addition, never a
 * locked one; a reader may be a moment behind.
 */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    atomic_uint_fast64_t value;
};

/* The one thread that counts. */
static inline void counter_add(struct counter *counter, uint64_t by)
{
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, value + by, memory_order_relaxed);
}

static inline void counter_set(struct counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

/* Any thread. */
static inline uint64_t counter_get(const struct counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

#endif
