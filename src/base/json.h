/*
 * JSON on the hot path: validate once, cut out slices, forward the bytes verbatim. No tree, no
 * allocation, no recursion. RFC 8259, with one leniency: lone surrogates in \u escapes pass, because
 * JavaScript emits them. Raw bytes must be valid UTF-8. Pure; any thread.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

/* No text nested deeper than this passes, whatever limit a caller states. */
#define JSON_MAX_DEPTH 1024

enum json_type {
    JSON_NONE = 0, /* no value: the slice is empty or malformed */
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* Whether `text` is exactly one JSON value, surrounded by white space at most, nested at most
 * `max_depth` (<= JSON_MAX_DEPTH) arrays and objects deep. */
bool json_is_valid(cvn_slice text, unsigned max_depth);
/* The same for a comma-separated list of values without brackets ("1,\"a\",{}"); empty is valid. */
bool json_is_valid_list(cvn_slice text, unsigned max_depth);

/* The type of a valid value, from its first byte. */
enum json_type json_type(cvn_slice value);

/* Walks VALID text. Cuts the next value off the front of `*rest`, which is the inside of an array or a
 * list, with the comma behind it; false at the end. White space around values is dropped. */
bool json_next(cvn_slice *rest, cvn_slice *ret_value);
/* The same for the inside of an object: key is the raw string with its quotes. */
bool json_next_member(cvn_slice *rest, cvn_slice *ret_key, cvn_slice *ret_value);
/* The inside of a valid array or object, without its brackets. */
cvn_slice json_inside(cvn_slice container);

/* The value of member `key` (unescaped comparison) of a valid object; empty slice when absent or when
 * `object` is no object. The last of duplicate keys wins, as in JavaScript. */
cvn_slice json_get(cvn_slice object, cvn_slice key);

/* Appends the decoded characters of a valid JSON string (with quotes) as UTF-8; lone surrogates become
 * U+FFFD. False when buf fails. */
bool json_unescape(struct buf *buf, cvn_slice string);
/* How many bytes json_unescape appends. */
size_t json_unescaped_size(cvn_slice string);
/* The inside of a string that needs no decoding (has no backslash): true and *ret points into it. */
bool json_plain_string(cvn_slice string, cvn_slice *ret);
/* A non-negative integer that fits; false for anything else. */
bool json_to_u64(cvn_slice value, uint64_t *ret);

/* Appends `text` as a JSON string with quotes: escapes quotes, backslashes, control characters;
 * invalid UTF-8 becomes U+FFFD. */
bool json_append_string(struct buf *buf, cvn_slice text);

#endif
