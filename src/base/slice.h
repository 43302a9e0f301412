/* Helpers for cvn_slice, the borrowed bytes that travel through every layer. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <convene/types.h>

/* The slice of a string literal, also usable in a static initialiser. */
#define SLICE(literal) ((cvn_slice){(literal), sizeof(literal) - 1})
/* For printf("%.*s"). */
#define SLICE_ARG(slice) (int)(slice).size, (slice).data ? (slice).data : ""

static inline cvn_slice slice_of(const void *data, size_t size)
{
    return (cvn_slice){(const char *)data, size};
}

static inline bool slice_eq(cvn_slice a, cvn_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The rest of `slice` after its first `count` bytes; `count` must not exceed its size. */
static inline cvn_slice slice_from(cvn_slice slice, size_t count)
{
    /* NULL + 0 is undefined in C11 */
    return (cvn_slice){count > 0 ? slice.data + count : slice.data, slice.size - count};
}

static inline bool slice_starts_with(cvn_slice slice, cvn_slice prefix)
{
    return slice.size >= prefix.size &&
           (prefix.size == 0 || memcmp(slice.data, prefix.data, prefix.size) == 0);
}

static inline bool slice_ends_with(cvn_slice slice, cvn_slice suffix)
{
    return slice.size >= suffix.size &&
           slice_starts_with(slice_from(slice, slice.size - suffix.size), suffix);
}

/* Equality that ignores the case of ASCII letters, as HTTP field names want. */
bool slice_eq_nocase(cvn_slice a, cvn_slice b);

/* Without leading and trailing spaces and tabs. */
cvn_slice slice_trim(cvn_slice slice);

/* Index of the first `byte`, or slice.size when there is none. */
size_t slice_find(cvn_slice slice, char byte);

/* A decimal number of 1..18 digits and nothing else; false otherwise, *ret untouched. */
bool slice_to_u64(cvn_slice slice, uint64_t *ret);

#endif
