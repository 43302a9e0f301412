/* UTF-8 validation, RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. Pure. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* Has a fast path for ASCII, eight bytes at a time or better. */
bool utf8_is_valid(cvn_slice text);

/* A validator for text that comes in pieces; zeroed = start of text. */
struct utf8_state {
    uint32_t state; /* 0 at a character boundary */
};
/* False once the text can no longer become valid, and for every piece from then on. */
bool utf8_feed(struct utf8_state *state, cvn_slice piece);
static inline bool utf8_is_complete(const struct utf8_state *state)
{
    return state->state == 0;
}

#endif
