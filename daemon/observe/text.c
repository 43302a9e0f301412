/* UTF-8 for what does not run per event: the library's own validator is not public. Pure; any thread. */
#include "observe/text.h"

size_t text_decode(const char *bytes, size_t size, uint32_t *ret_code)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)bytes;
    if (size == 0)
        return 0;
    size_t length = at[0] < 0x80         ? 1
                    : at[0] >> 5 == 0x06 ? 2
                    : at[0] >> 4 == 0x0e ? 3
                    : at[0] >> 3 == 0x1e ? 4
                                         : 0;
    if (length == 0 || length > size)
        return 0;
    uint32_t code = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    if (code < lowest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *ret_code = code;
    return length;
}

bool text_is_utf8(const char *bytes, size_t size)
{
    uint32_t code;
    for (size_t at = 0, length; at < size; at += length) {
        length = text_decode(bytes + at, size - at, &code);
        if (length == 0)
            return false;
    }
    return true;
}
