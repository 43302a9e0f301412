/*
 * Latencies counted in slots whose width grows with the value: 128 slots for each power of two, so that every quantile is exact
 * to less than 1 % whether it is 10 microseconds or 10 seconds.
 */
#include "load.h"

static unsigned slot_of(uint64_t value)
{
    if (value < 1 << LOAD_HIST_BITS)
        return (unsigned)value;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - LOAD_HIST_BITS;
    return (shift << LOAD_HIST_BITS) + (unsigned)(value >> shift);
}

/* The largest value of a slot. */
static uint64_t value_of(unsigned slot)
{
    if (slot < 2 << LOAD_HIST_BITS)
        return slot;
    unsigned shift = (slot >> LOAD_HIST_BITS) - 1;
    uint64_t first = slot - (shift << LOAD_HIST_BITS);
    return ((first + 1) << shift) - 1;
}

void load_hist_add(struct load_hist *hist, uint64_t value)
{
    hist->slots[slot_of(value)]++;
    hist->count++;
    if (value > hist->max)
        hist->max = value;
}

uint64_t load_hist_at(const struct load_hist *hist, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)hist->count), seen = 0;
    if (hist->count == 0)
        return 0;
    if (wanted >= hist->count)
        return hist->max;
    for (unsigned slot = 0; slot < LOAD_HIST_SLOTS; slot++) {
        seen += hist->slots[slot];
        if (seen > wanted)
            return value_of(slot) < hist->max ? value_of(slot) : hist->max;
    }
    return hist->max;
}
