/*
 * Timers of one worker: a hierarchical timing wheel of 1 ms ticks, O(1) to arm and to cancel.
 * It reads no clock: the owner says what time it is, so tests move time by hand. One thread.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include "base/list.h"
#include <stdint.h>

#define WHEEL_LEVELS 11 /* of 6 bits each: any 64-bit time */
#define WHEEL_SLOTS  64
#define WHEEL_NEVER  UINT64_MAX

struct timer {
    struct list link; /* zeroed when not armed */
    uint64_t due_ms;
    void (*fire)(struct timer *timer); /* may arm, cancel or free any timer, this one included */
};

struct wheel {
    uint64_t now_ms;                         /* what delays count from */
    uint64_t done_ms;                        /* everything due up to here has fired */
    size_t armed;                            /* number of armed timers */
    void (*before_arm)(struct wheel *wheel); /* NULL, or makes the time current */
    struct list overdue;             /* armed for a time that has already been done: next advance */
    uint64_t occupied[WHEEL_LEVELS]; /* a bit a slot that may hold timers */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

/* Makes the time current without firing anything. Time never goes back: an earlier `now_ms` is ignored. */
void wheel_set_now(struct wheel *wheel, uint64_t now_ms);

/* Arms `timer` to fire `delay_ms` after the wheel's now; an armed timer is moved. A delay of 0 fires
 * at the next advance. `timer->fire` must be set. */
void wheel_arm(struct wheel *wheel, struct timer *timer, uint64_t delay_ms);
/* Safe on a timer that is not armed. */
void wheel_cancel(struct wheel *wheel, struct timer *timer);
static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->link.next != NULL;
}

/* Moves time forward and fires everything due, in order of due time. Time never goes back: an earlier
 * `now_ms` is ignored. Not reentrant. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);
/* A time (absolute, ms) at which wheel_advance should be called again: not later than the earliest
 * due timer, possibly earlier; WHEEL_NEVER when no timer is armed. */
uint64_t wheel_next_ms(const struct wheel *wheel);

#endif
