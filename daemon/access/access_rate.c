/* See access_rate.h. A bucket holds the time at which it is full again, so nothing has to refill it and a fresh one is a zero. Any thread. */
#include "access/access_rate.h"
#include "observe/clock.h"

int64_t rate_now_us(void)
{
    return clock_steady_us();
}

bool rate_take(struct rate_bucket *bucket, struct config_rate rate, int64_t now_us,
               uint32_t *ret_retry_ms)
{
    if (rate.count == 0)
        return true;
    int64_t per_us = (int64_t)rate.per_ms * 1000, each_us = per_us / rate.count;
    if (each_us == 0)
        each_us = 1; /* a clock of microseconds knows no smaller step; none would be no limit */
    int64_t full_at = atomic_load_explicit(&bucket->full_at_us, memory_order_relaxed), next;
    /* It was taken at a slower rate, before a reload: no bucket is emptier than empty. */
    while (full_at > now_us + per_us &&
           !atomic_compare_exchange_weak_explicit(&bucket->full_at_us, &full_at, now_us + per_us,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    if (full_at > now_us + per_us)
        full_at = now_us + per_us;
    do {
        /* What is left of the bucket is what may still be taken until full_at lies a whole period ahead. */
        int64_t wait_us = full_at + each_us - per_us - now_us;
        if (wait_us > 0) {
            *ret_retry_ms = (uint32_t)((wait_us + 999) / 1000);
            return false;
        }
        next = (full_at > now_us ? full_at : now_us) + each_us;
    } while (!atomic_compare_exchange_weak_explicit(&bucket->full_at_us, &full_at, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}
