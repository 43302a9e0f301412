/* base64url without padding, RFC 4648 section 5 and RFC 7515 appendix C. Pure; any thread. */
#include "auth/auth_base64.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool auth_base64url_decode(cvn_slice text, uint8_t *ret, size_t *ret_size)
{
    if (text.size % 4 == 1)
        return false;
    uint32_t bits = 0;
    unsigned count = 0; /* of bits that wait for a whole byte */
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int value = value_of(text.data[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            ret[size++] = (uint8_t)(bits >> count);
            bits &= (1u << count) - 1;
        }
    }
    if (bits != 0)
        return false;
    *ret_size = size;
    return true;
}

size_t auth_base64url_encode(const uint8_t *bytes, size_t size, char *ret)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t written = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        size_t characters = left > 2 ? 4 : left + 1;
        for (size_t k = 0; k < characters; k++)
            ret[written++] = alphabet[group >> (18 - 6 * k) & 63];
    }
    return written;
}
