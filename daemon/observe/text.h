/* Bytes from outside that are to become text. Pure. */
#ifndef OBSERVE_TEXT_H
#define OBSERVE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of the UTF-8 character at the front of `size` bytes, 0 when there is none; *ret_code is its code point (RFC 3629). */
size_t text_decode(const char *bytes, size_t size, uint32_t *ret_code);
bool text_is_utf8(const char *bytes, size_t size);

#endif
