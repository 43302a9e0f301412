/*
 * UTF-8 by a state machine over bytes (RFC 3629 section 4's grammar), with a fast path over ASCII. Pure.
 *
 * The state is 0 between characters, else what the next byte may be: the number of bytes still to come and its allowed range.
 * NO_CHARACTER is the state that allows no byte and stays: text that was refused is refused for good.
 */
#include "base/utf8.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* state = lowest << 16 | highest << 8 | bytes to come */
#define EXPECT(low, high, count) ((uint32_t)(low) << 16 | (uint32_t)(high) << 8 | (uint32_t)(count))
#define NO_CHARACTER             UINT32_MAX

static uint32_t state_behind_lead(unsigned char lead)
{
    if (lead < 0x80)
        return 0;
    if (lead < 0xc2)
        return NO_CHARACTER; /* a continuation byte, or an overlong form */
    if (lead < 0xe0)
        return EXPECT(0x80, 0xbf, 1);
    if (lead == 0xe0)
        return EXPECT(0xa0, 0xbf, 2); /* below: overlong */
    if (lead == 0xed)
        return EXPECT(0x80, 0x9f, 2); /* above: surrogates */
    if (lead < 0xf0)
        return EXPECT(0x80, 0xbf, 2);
    if (lead == 0xf0)
        return EXPECT(0x90, 0xbf, 3); /* below: overlong */
    if (lead < 0xf4)
        return EXPECT(0x80, 0xbf, 3);
    if (lead == 0xf4)
        return EXPECT(0x80, 0x8f, 3); /* above: beyond U+10FFFF */
    return NO_CHARACTER;
}

static size_t skip_ascii(const unsigned char *bytes, size_t size)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= size; i += 16)
        if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(bytes + i))) != 0)
            break;
#else
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        if (word & 0x8080808080808080)
            break;
    }
#endif
    while (i < size && bytes[i] < 0x80)
        i++;
    return i;
}

bool utf8_feed(struct utf8_state *state, cvn_slice piece)
{
    const unsigned char *bytes = (const unsigned char *)piece.data;
    uint32_t now = state->state;
    size_t i = 0;
    while (i < piece.size) {
        if (now == 0) {
            i += skip_ascii(bytes + i, piece.size - i);
            if (i == piece.size)
                break;
            now = state_behind_lead(bytes[i++]);
            continue;
        }
        unsigned char byte = bytes[i++];
        uint32_t left = (now & 0xff) - 1;
        if (byte < now >> 16 || byte > (now >> 8 & 0xff)) {
            now = NO_CHARACTER;
            break;
        }
        now = left == 0 ? 0 : EXPECT(0x80, 0xbf, left);
    }
    state->state = now;
    return now != NO_CHARACTER;
}

bool utf8_is_valid(cvn_slice text)
{
    struct utf8_state state = {0};
    return utf8_feed(&state, text) && utf8_is_complete(&state);
}
