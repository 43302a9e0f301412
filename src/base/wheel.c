/*
 * The timing wheel (Varghese and Lauck 1987): level L holds timers whose due time first differs from the time done in its
 * L-th group of six bits. A slot above level 0 is spread over the lower ones when its time begins. One thread.
 *
 * Invariant: in each level only slots behind the current one are occupied, so the lowest occupied level has the next event.
 */
#include "base/wheel.h"

#define BITS 6

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    wheel->now_ms = wheel->done_ms = now_ms;
    wheel->armed = 0;
    wheel->before_arm = NULL;
    list_init(&wheel->overdue);
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

void wheel_set_now(struct wheel *wheel, uint64_t now_ms)
{
    if (now_ms > wheel->now_ms)
        wheel->now_ms = now_ms;
}

static void place(struct wheel *wheel, struct timer *timer)
{
    if (timer->due_ms <= wheel->done_ms) {
        list_append(&wheel->overdue, &timer->link);
        return;
    }
    int level = (63 - __builtin_clzll(timer->due_ms ^ wheel->done_ms)) / BITS;
    unsigned slot = timer->due_ms >> (level * BITS) & (WHEEL_SLOTS - 1);
    list_append(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= (uint64_t)1 << slot;
}

void wheel_arm(struct wheel *wheel, struct timer *timer, uint64_t delay_ms)
{
    if (wheel->before_arm != NULL)
        wheel->before_arm(wheel);
    wheel_cancel(wheel, timer);
    timer->due_ms = delay_ms < WHEEL_NEVER - wheel->now_ms ? wheel->now_ms + delay_ms : WHEEL_NEVER;
    place(wheel, timer);
    wheel->armed++;
}

void wheel_cancel(struct wheel *wheel, struct timer *timer)
{
    if (!timer_is_armed(timer))
        return;
    list_remove(&timer->link);
    wheel->armed--;
}

/* The next slot that may hold timers: when its time begins, and where it is. */
static uint64_t next_slot(const struct wheel *wheel, int *ret_level, unsigned *ret_slot)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        unsigned shift = (unsigned)level * BITS;
        unsigned current = wheel->done_ms >> shift & (WHEEL_SLOTS - 1);
        uint64_t behind = current == WHEEL_SLOTS - 1 ? 0 : wheel->occupied[level] >> (current + 1);
        if (behind == 0)
            continue;
        unsigned slot = current + 1 + (unsigned)__builtin_ctzll(behind);
        uint64_t above = shift + BITS < 64 ? wheel->done_ms >> (shift + BITS) << (shift + BITS) : 0;
        *ret_level = level;
        *ret_slot = slot;
        return above | (uint64_t)slot << shift;
    }
    return WHEEL_NEVER;
}

static void fire_all(struct wheel *wheel, struct list *due)
{
    while (!list_is_empty(due)) {
        struct timer *timer = CONTAINER_OF(due->next, struct timer, link);
        list_remove(&timer->link);
        wheel->armed--;
        timer->fire(timer);
    }
}

/* Time has come to the beginning of a slot: its timers fire or move to lower levels. */
static void open_slot(struct wheel *wheel, int level, unsigned slot)
{
    struct list batch, due;
    list_init(&batch);
    list_init(&due);
    list_splice(&batch, &wheel->slots[level][slot]);
    wheel->occupied[level] &= ~((uint64_t)1 << slot);
    while (!list_is_empty(&batch)) {
        struct timer *timer = CONTAINER_OF(batch.next, struct timer, link);
        list_remove(&timer->link);
        if (timer->due_ms <= wheel->done_ms)
            list_append(&due, &timer->link);
        else
            place(wheel, timer);
    }
    fire_all(wheel, &due);
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
    struct list overdue;
    wheel_set_now(wheel, now_ms);
    list_init(&overdue);
    list_splice(&overdue, &wheel->overdue);
    fire_all(wheel, &overdue);

    uint64_t target = wheel->now_ms;
    while (wheel->done_ms < target) {
        int level = 0;
        unsigned slot = 0;
        uint64_t next = next_slot(wheel, &level, &slot);
        if (next > target) {
            wheel->done_ms = target;
            break;
        }
        wheel->done_ms = next;
        open_slot(wheel, level, slot);
    }
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    int level;
    unsigned slot;
    if (wheel->armed == 0)
        return WHEEL_NEVER;
    return list_is_empty(&wheel->overdue) ? next_slot(wheel, &level, &slot) : wheel->done_ms;
}
