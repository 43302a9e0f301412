/* Numbers between JSON's decimal text and double, whatever the locale of the process. Pure; any thread. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include "base/buf.h"

/* Up to here (2^53) a double holds every whole number. */
#define NUMBER_MAX_EXACT 9007199254740992.0

/* The double nearest to a valid JSON number, of any length; an infinity when it lies beyond them all. */
double number_from_json(cvn_slice text);
/* digits * 10^exponent when that takes one rounding, so that it is the nearest: digits up to 2^53, powers up to 22. False otherwise. */
bool number_from_decimal(uint64_t digits, int64_t exponent, double *ret);
/* Whether a valid JSON number, however it is written, is a whole one of -2^53..2^53; then *ret is its value. Minus zero is not: no integer
 * is like it. */
bool number_whole_from_json(cvn_slice text, int64_t *ret);

/* Appends a JSON number that reads back as `number`, of few digits (mostly the fewest possible) and 25 bytes at most; null for NaN and
 * infinities, which JSON does not have (as JSON.stringify). False when buf fails. */
bool number_append_json(struct buf *buf, double number);
/* As number_whole_from_json. */
bool number_is_integer(double number, int64_t *ret);

#endif
