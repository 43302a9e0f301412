/*
 * Token buckets without a lock: one number each, the time at which the bucket would be full again (the generic cell rate algorithm). `count`
 * events may come at once, then one every per/count. Any thread.
 */
#ifndef ACCESS_RATE_H
#define ACCESS_RATE_H

#include "config/config.h"
#include <stdatomic.h>

struct rate_bucket {
    _Atomic int64_t full_at_us; /* 0: never used */
};

/* Takes one event at `now_us` (any steady clock, above 0). On false nothing is taken, and *ret_retry_ms says after how long it would be, at
 * least 1. A rate of count 0 is no limit. */
bool rate_take(struct rate_bucket *bucket, struct config_rate rate, int64_t now_us,
               uint32_t *ret_retry_ms);
/* Microseconds of the steady clock. */
int64_t rate_now_us(void);

#endif
