/*
 * base64url without padding (RFC 7515, appendix C), strict: one text for each run of bytes, so that a token cannot be written in two ways.
 * Pure.
 */
#ifndef AUTH_BASE64_H
#define AUTH_BASE64_H

#include <convene/types.h>

/* Bytes that a text of so many characters stands for, at most. */
static inline size_t auth_base64url_decoded_size(size_t characters)
{
    return characters / 4 * 3 + 2;
}
static inline size_t auth_base64url_encoded_size(size_t bytes)
{
    return (bytes * 4 + 2) / 3;
}

/* Writes up to auth_base64url_decoded_size bytes. False for any other character (padding, white space), a length that no bytes have, and
 * bits that are left over and not zero. */
bool auth_base64url_decode(cvn_slice text, uint8_t *ret, size_t *ret_size);
/* Writes auth_base64url_encoded_size characters, without a NUL; returns how many. */
size_t auth_base64url_encode(const uint8_t *bytes, size_t size, char *ret);

#endif
