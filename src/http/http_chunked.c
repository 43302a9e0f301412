/*
 * The chunked coding (RFC 9112 section 7.1): a strict state machine, byte by byte over the framing,
 * block by block over the data. Extensions and trailers are skipped, within a bound. Pure.
 */
#include "http/http_chunked.h"

#define MAX_SIZE_DIGITS 8    /* chunks of up to 4 GiB: the body's own limit comes first */
#define MAX_OVERHEAD    4096 /* bytes of extensions and trailers in one body */

enum {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char letter = (char)(c | 32);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static bool is_text(char c)
{
    return c == '\t' || ((unsigned char)c >= 0x20 && (unsigned char)c != 0x7f);
}

static bool is_name(char c)
{
    return http_head_is_token(slice_of(&c, 1));
}

static bool spend(struct http_chunked *decoder)
{
    return ++decoder->overhead <= MAX_OVERHEAD;
}

static bool on_size(struct http_chunked *decoder, char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        if (++decoder->digits > MAX_SIZE_DIGITS)
            return false;
        decoder->chunk_left = decoder->chunk_left * 16 + (uint64_t)digit;
        return true;
    }
    if (decoder->digits == 0)
        return false;
    if (c == '\r')
        decoder->state = SIZE_LF;
    else if (c == ';' && spend(decoder))
        decoder->state = EXTENSION;
    else
        return false;
    return true;
}

/* One byte of framing; false when it is out of place. */
static bool on_byte(struct http_chunked *decoder, char c)
{
    switch (decoder->state) {
    case SIZE:
        return on_size(decoder, c);
    case EXTENSION:
        if (c == '\r')
            decoder->state = SIZE_LF;
        else if (!is_text(c) || !spend(decoder))
            return false;
        return true;
    case SIZE_LF:
        decoder->state = decoder->chunk_left > 0 ? DATA : TRAILER_START;
        return c == '\n';
    case DATA_CR:
        decoder->state = DATA_LF;
        return c == '\r';
    case DATA_LF:
        decoder->state = SIZE;
        decoder->digits = 0;
        return c == '\n';
    case TRAILER_START:
        decoder->state = c == '\r' ? END_LF : TRAILER_NAME;
        return c == '\r' || (is_name(c) && spend(decoder));
    case TRAILER_NAME:
        if (c == ':')
            decoder->state = TRAILER_VALUE;
        return (c == ':' || is_name(c)) && spend(decoder);
    case TRAILER_VALUE:
        if (c == '\r')
            decoder->state = TRAILER_LF;
        else if (!is_text(c) || !spend(decoder))
            return false;
        return true;
    case TRAILER_LF:
        decoder->state = TRAILER_START;
        return c == '\n';
    default:
        return c == '\n'; /* END_LF */
    }
}

enum http_decode http_chunked_decode(struct http_chunked *decoder, char *data, size_t size,
                                     size_t *ret_body, size_t *ret_used)
{
    enum http_decode result = HTTP_NEED_MORE;
    size_t body = 0, at = 0;
    while (at < size) {
        if (decoder->state == DATA) {
            size_t piece =
                size - at < decoder->chunk_left ? size - at : (size_t)decoder->chunk_left;
            memmove(data + body, data + at, piece);
            body += piece;
            at += piece;
            decoder->chunk_left -= piece;
            if (decoder->chunk_left == 0)
                decoder->state = DATA_CR;
            continue;
        }
        bool end = decoder->state == END_LF;
        if (!on_byte(decoder, data[at++]))
            return HTTP_REFUSED;
        if (end) {
            result = HTTP_COMPLETE;
            break;
        }
    }
    *ret_body = body;
    *ret_used = at;
    return result;
}
