/* Byte slices: comparison, trimming, numbers. Pure; any thread. */
#include "base/slice.h"

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

bool slice_eq_nocase(cvn_slice a, cvn_slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

cvn_slice slice_trim(cvn_slice slice)
{
    while (slice.size > 0 && is_blank(slice.data[0]))
        slice = slice_from(slice, 1);
    while (slice.size > 0 && is_blank(slice.data[slice.size - 1]))
        slice.size--;
    return slice;
}

size_t slice_find(cvn_slice slice, char byte)
{
    const char *found = slice.size > 0 ? memchr(slice.data, byte, slice.size) : NULL;
    return found != NULL ? (size_t)(found - slice.data) : slice.size;
}

bool slice_to_u64(cvn_slice slice, uint64_t *ret)
{
    uint64_t number = 0;
    if (slice.size == 0 || slice.size > 18)
        return false;
    for (size_t i = 0; i < slice.size; i++) {
        if (slice.data[i] < '0' || slice.data[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(slice.data[i] - '0');
    }
    *ret = number;
    return true;
}
