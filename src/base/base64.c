/* Base64 through OpenSSL's block functions, with the strictness they lack in front. Pure. */
#include "base/base64.h"
#include <openssl/evp.h>

#define PIECE                                                                                      \
    49152 /* bytes encoded at a time: a multiple of 3, and within the int that OpenSSL takes */

/* The last group goes through `last`, because OpenSSL writes a NUL behind it. */
bool base64_append(struct buf *buf, cvn_slice bytes)
{
    unsigned char last[5];
    if (!buf_reserve(buf, base64_encoded_size(bytes.size)))
        return false;
    while (bytes.size > 3) {
        size_t piece = (bytes.size - 1) / 3 * 3;
        if (piece > PIECE)
            piece = PIECE;
        buf->size += (size_t)EVP_EncodeBlock((unsigned char *)buf->data + buf->size,
                                             (const unsigned char *)bytes.data, (int)piece);
        bytes = slice_from(bytes, piece);
    }
    if (bytes.size == 0)
        return true;
    int size = EVP_EncodeBlock(last, (const unsigned char *)bytes.data, (int)bytes.size);
    return buf_append(buf, slice_of(last, (size_t)size));
}

static bool in_alphabet(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* EVP_DecodeBlock skips white space and takes padding anywhere: only clean text gets there. */
static bool is_clean(cvn_slice text, size_t *ret_padding)
{
    size_t padding = 0;
    if (text.size % 4 != 0)
        return false;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < text.size - padding; i++)
        if (!in_alphabet(text.data[i]))
            return false;
    *ret_padding = padding;
    return true;
}

/* The last group goes through `last`, because padding decodes as zero bytes, for which there may be no room. */
bool base64_decode(struct buf *buf, cvn_slice text)
{
    unsigned char last[3];
    size_t padding;
    if (!is_clean(text, &padding) || !buf_reserve(buf, text.size / 4 * 3 - padding))
        return false;
    while (text.size > 4) {
        size_t piece = text.size - 4 < PIECE ? text.size - 4 : PIECE;
        int done = EVP_DecodeBlock((unsigned char *)buf->data + buf->size,
                                   (const unsigned char *)text.data, (int)piece);
        buf->size += (size_t)done;
        text = slice_from(text, piece);
    }
    if (text.size == 0)
        return true;
    EVP_DecodeBlock(last, (const unsigned char *)text.data, 4);
    return buf_append(buf, slice_of(last, 3 - padding));
}

void base64url_encode15(const uint8_t bytes[15], char ret[20])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < 5; i++) {
        uint32_t three =
            (uint32_t)bytes[3 * i] << 16 | (uint32_t)bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
        for (int k = 0; k < 4; k++)
            ret[4 * i + k] = alphabet[three >> (18 - 6 * k) & 63];
    }
}
