/*
 * Masking. Pure, any thread. RFC 6455 section 5.3.
 *
 * The mask repeats every 4 bytes, so a word of 8 or 16 bytes can be XORed with it at any offset that is a
 * multiple of 4. Words are loaded through memcpy, as the data lies at any address; the tail is done in ever smaller
 * steps and never touches a byte outside the data.
 */
#include "ws/ws_mask.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline void mask_8(char *data, uint64_t mask)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    word ^= mask;
    memcpy(data, &word, sizeof word);
}

void ws_mask_apply(char *data, size_t size, const uint8_t mask[4])
{
    uint32_t mask32;
    memcpy(&mask32, mask, sizeof mask32);
    /* Both halves are equal, so the byte order of the machine does not matter. */
    uint64_t mask64 = (uint64_t)mask32 << 32 | mask32;

#ifdef __SSE2__
    if (size >= 16) {
        __m128i mask128 = _mm_set1_epi32((int)mask32);
        for (; size >= 16; data += 16, size -= 16) {
            __m128i word = _mm_loadu_si128((const __m128i *)(const void *)data);
            _mm_storeu_si128((__m128i *)(void *)data, _mm_xor_si128(word, mask128));
        }
    }
#endif
    for (; size >= 8; data += 8, size -= 8)
        mask_8(data, mask64);
    if (size >= 4) {
        uint32_t word;
        memcpy(&word, data, sizeof word);
        word ^= mask32;
        memcpy(data, &word, sizeof word);
        data += 4;
        size -= 4;
    }
    for (size_t i = 0; i < size; i++)
        data[i] = (char)((uint8_t)data[i] ^ mask[i]);
}
