/* The one door to the heap, so that tests can make any allocation fail. Any thread. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

/* As malloc, calloc, realloc and free; NULL when memory has run out (or a test says so). */
void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_zalloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_realloc(void *old, size_t size) __attribute__((warn_unused_result));
void *mem_dup(const void *data, size_t size) __attribute__((warn_unused_result));
void mem_free(void *memory);

/* For tests: after `successes` further allocations on this thread, `failures` allocations return
 * NULL, then all succeed again. mem_fail_after(0, 0) switches it off. */
void mem_fail_after(uint64_t successes, uint64_t failures);
/* For tests: allocations asked for on this thread since it started, the failed ones included. */
uint64_t mem_allocation_count(void);

#endif
