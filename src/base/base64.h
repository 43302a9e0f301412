/* Base64 (RFC 4648 section 4) with padding, on OpenSSL's block functions; strict decoding. Pure. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

static inline size_t base64_encoded_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Appends the encoding; false when buf fails. */
bool base64_append(struct buf *buf, cvn_slice bytes);
/* Appends the decoding. False, with nothing appended, for a character outside the alphabet, misplaced padding or a
 * length that is no multiple of 4 (what JavaScript's clients send always is); also when buf fails. */
bool base64_decode(struct buf *buf, cvn_slice text);
/* 15 bytes as the 20 characters of the URL alphabet (section 5); `ret` gets no NUL. */
void base64url_encode15(const uint8_t bytes[15], char ret[20]);

#endif
