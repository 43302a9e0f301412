/* zlib's allocations through base/mem.h. For the files that call zlib. */
#ifndef BASE_ZLIB_MEMORY_H
#define BASE_ZLIB_MEMORY_H

#ifndef ZLIB_CONST
#define ZLIB_CONST /* zlib does not write to its input */
#endif
#include <zlib.h>
#include "base/mem.h"

static inline voidpf zlib_memory_alloc(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    return size != 0 && items > SIZE_MAX / size ? Z_NULL : mem_alloc((size_t)items * size);
}

static inline void zlib_memory_free(voidpf opaque, voidpf memory)
{
    (void)opaque;
    mem_free(memory);
}

#endif
