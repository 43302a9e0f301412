/*
 * Base64: the input is decoded as text and encoded as bytes, each against a model that goes bit by bit, and back again; a buffer that
 * has just the room suffices.
 */
#include <stdlib.h>
#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_INPUT ((size_t)1 << 17)

static int value_of(uint8_t c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != 0 ? strchr(alphabet, c) : NULL;
    return found != NULL ? (int)(found - alphabet) : -1;
}

/* Decodes by the letter of RFC 4648 section 4; false when the text is none. */
static bool model_decode(const uint8_t *text, size_t size, uint8_t *ret, size_t *ret_size)
{
    size_t letters = size, out = 0;
    if (size % 4 != 0)
        return false;
    if (letters > 0 && text[letters - 1] == '=')
        letters--;
    if (letters < size && text[letters - 1] == '=')
        letters--;
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < letters; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            ret[out++] = (uint8_t)(bits >> count);
        }
    }
    *ret_size = out;
    return true;
}

/* A buffer with room for `size` bytes, and a mark behind them: no sanitizer sees what OpenSSL writes. */
static void start(struct buf *buf, size_t size)
{
    *buf = (struct buf){.data = malloc(size + 1), .capacity = size, .max = size};
    CHECK(buf->data != NULL);
    buf->data[size] = 'x';
}

static void finish(struct buf *buf)
{
    CHECK(buf->data[buf->max] == 'x');
    free(buf->data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t expected[MAX_INPUT * 2];
    size_t expected_size = 0;
    struct buf decoded, encoded;
    if (size > MAX_INPUT)
        return 0;

    bool right = model_decode(data, size, expected, &expected_size);
    start(&decoded, expected_size); /* just the room */
    CHECK(base64_decode(&decoded, slice_of(data, size)) == right);
    CHECK(!decoded.failed && decoded.size == expected_size);
    CHECK(slice_eq(buf_slice(&decoded), slice_of(expected, expected_size)));
    if (right && size > 0) {
        /* The same text again, but for the bits that padding cuts off. */
        start(&encoded, size);
        CHECK(base64_append(&encoded, buf_slice(&decoded)) && encoded.size == size);
        size_t padding = size / 4 * 3 - expected_size;
        size_t sure = padding > 0 ? size - padding - 1 : size;
        CHECK(memcmp(encoded.data, data, sure) == 0);
        CHECK(memcmp(encoded.data + size - padding, data + size - padding, padding) == 0);
        finish(&encoded);
    }
    finish(&decoded);

    start(&encoded, base64_encoded_size(size));
    CHECK(base64_append(&encoded, slice_of(data, size)));
    CHECK(encoded.size == base64_encoded_size(size));
    CHECK(model_decode((const uint8_t *)encoded.data, encoded.size, expected, &expected_size));
    CHECK(slice_eq(slice_of(data, size), slice_of(expected, expected_size)));
    start(&decoded, size);
    CHECK(base64_decode(&decoded, buf_slice(&encoded)));
    CHECK(slice_eq(buf_slice(&decoded), slice_of(data, size)));
    finish(&decoded);
    finish(&encoded);
    return 0;
}
