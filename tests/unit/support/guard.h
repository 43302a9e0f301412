/*
 * Copies that end right before an unmapped page: a decoder that reads one byte too far dies, sanitizer or not.
 */
#ifndef SUPPORT_GUARD_H
#define SUPPORT_GUARD_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static inline size_t guard_mapped(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

/* A writable copy of `size` bytes; give it back with guard_free and the same size. */
static inline char *guard_copy(const void *data, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = guard_mapped(size);
    char *area =
        mmap(NULL, mapped + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || mprotect(area + mapped, page, PROT_NONE) != 0)
        abort();
    char *copy = area + mapped - size;
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

static inline void guard_free(char *copy, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = guard_mapped(size);
    munmap(copy + size - mapped, mapped + page);
}

#endif
