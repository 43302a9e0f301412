/*
 * The heap behind one door. A test can make allocations of its own thread fail; in normal running that costs one look at a thread-local
 * counter. Any thread.
 */
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

static _Thread_local uint64_t asked;     /* allocations so far */
static _Thread_local uint64_t fail_from; /* the number of the first one to fail; 0: none */
static _Thread_local uint64_t fail_until;

static bool must_fail(void)
{
    asked++;
    return fail_until != 0 && asked >= fail_from && asked < fail_until;
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
    fail_from = asked + successes + 1;
    fail_until = failures > 0 ? fail_from + failures : 0;
}

uint64_t mem_allocation_count(void)
{
    return asked;
}
