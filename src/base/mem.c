/*
 * The heap behind one door. A test can make allocations of its own thread fail; in normal running that costs one look at a thread-local
 * counter. Any thread.
 */
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

static _Thread_local uint64_t asked; /* allocations so far */
static _Thread_local uint64_t failures_left;
static _Thread_local uint64_t successes_left; /* before the failures */

static bool must_fail(void)
{
    asked++;
    if (failures_left == 0)
        return false;
    if (successes_left > 0) {
        successes_left--;
        return false;
    }
    failures_left--;
    return true;
}

void *mem_alloc(size_t size)
{
    return must_fail() ? NULL : malloc(size != 0 ? size : 1);
}

void *mem_zalloc(size_t size)
{
    return must_fail() ? NULL : calloc(1, size != 0 ? size : 1);
}

void *mem_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : realloc(old, size != 0 ? size : 1);
}

void *mem_dup(const void *data, size_t size)
{
    void *copy = mem_alloc(size);
    if (copy != NULL && size > 0)
        memcpy(copy, data, size);
    return copy;
}

void mem_free(void *memory)
{
    free(memory);
}

void mem_fail_after(uint64_t successes, uint64_t failures)
{
    successes_left = successes;
    failures_left = failures;
}

uint64_t mem_allocation_count(void)
{
    return asked;
}
