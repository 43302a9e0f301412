/*
 * Running a decoder over the same input in every way bytes may arrive: whole, byte by byte, in random
 * pieces of a fixed seed; each time on a copy that ends at an unmapped page.
 */
#ifndef HTTP_TEST_PIECES_H
#define HTTP_TEST_PIECES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "support/guard.h"
#include "base/slice.h"

#define PIECES_WAYS 10 /* whole, single bytes, and random pieces of eight seeds */

static inline unsigned pieces_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16 & 0x7fff;
}

/* How many bytes come next of the `left` ones. */
static inline size_t pieces_next(unsigned way, unsigned *seed, size_t total, size_t left)
{
    if (way == 0)
        return left;
    if (way == 1)
        return 1;
    size_t size = 1 + pieces_random(seed) % (1 + total / 4);
    return size < left ? size : left;
}

#endif
