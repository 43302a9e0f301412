/* Random bytes from the kernel, fetched in batches of a few hundred per thread. Any thread. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Fills `ret` from getrandom(2); aborts the process if the kernel has none, because every id is a
 * secret. Bytes given out are wiped from the batch. */
void rand_bytes(void *ret, size_t size);
uint64_t rand_u64(void);

#endif
