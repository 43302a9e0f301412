/*
 * UTF-8: the validator, whole and in pieces, against a decoder that goes by code points. The first byte chooses the pieces.
 */
#include <stdlib.h>
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum verdict { INVALID, INCOMPLETE, VALID };

/* The character at the front: its size, 0 when it is none, -1 when more bytes may make it one. */
static int model_character(const uint8_t *bytes, size_t size)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = bytes[0] < 0x80         ? 1
                    : bytes[0] >> 5 == 0x06 ? 2
                    : bytes[0] >> 4 == 0x0e ? 3
                    : bytes[0] >> 3 == 0x1e ? 4
                                            : 0;
    if (length == 0)
        return 0;
    /* The least and the greatest code point that may come of it: missing bytes are all zeros, all ones. */
    uint32_t least = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length), greatest = least;
    for (size_t i = 1; i < length; i++) {
        if (i < size && bytes[i] >> 6 != 2)
            return 0;
        least = least * 64 + (i < size ? bytes[i] & 63u : 0);
        greatest = greatest * 64 + (i < size ? bytes[i] & 63u : 63);
    }
    if (greatest < lowest[length] || least > 0x10ffff || (least >= 0xd800 && greatest <= 0xdfff))
        return 0;
    return length <= size ? (int)length : -1;
}

static enum verdict model(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        int length = model_character(bytes + i, size - i);
        if (length <= 0)
            return length == 0 ? INVALID : INCOMPLETE;
        i += (size_t)length;
    }
    return VALID;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = 1 + data[0] % 40;
    data++;
    size--;
    enum verdict expected = model(data, size);
    CHECK(utf8_is_valid(slice_of(data, size)) == (expected == VALID));

    struct utf8_state state = {0};
    bool fed = true;
    for (size_t at = 0; at < size; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        /* An allocation of its own, so that the sanitizer sees every byte too many. */
        char *copy = malloc(length);
        CHECK(copy != NULL);
        memcpy(copy, data + at, length);
        bool was_fed = fed;
        fed = utf8_feed(&state, slice_of(copy, length));
        free(copy);
        CHECK(fed == (model(data, at + length) != INVALID)); /* as early as can be */
        CHECK(was_fed || !fed);                              /* and for good */
    }
    CHECK(utf8_is_complete(&state) == (expected == VALID));
    return 0;
}
