/**
 * @file
 * JSON goes in and out of the library as text. These helpers read single values out of it and build
 * it. All of them are pure; a cvn_text belongs to the thread that uses it.
 */
#ifndef CONVENE_JSON_H
#define CONVENE_JSON_H

#include <convene/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The arguments of an event or an acknowledgement: a comma-separated list of JSON values without
 * brackets (`1,"a",{"b":2}`; empty: no arguments). A place that holds binary data is the object
 * `{"_placeholder":true,"num":N}` and stands for `attachments[N]`. All memory is borrowed.
 */
typedef struct cvn_args {
    cvn_slice json;               /**< the list */
    const cvn_slice *attachments; /**< binary data, by number; NULL when there is none */
    size_t attachment_count;      /**< how many */
} cvn_args;

/** Arguments from a C string; NULL or "" for none. The string must outlive the result. */
static inline cvn_args cvn_json(const char *text)
{
    cvn_args args = {cvn_str(text), NULL, 0};
    return args;
}
/** The same from a slice. */
static inline cvn_args cvn_json_slice(cvn_slice text)
{
    cvn_args args = {text, NULL, 0};
    return args;
}

/** Number of arguments. The text must be valid, as that of every event is. */
CVN_API size_t cvn_args_count(cvn_args args);
/** Argument `index` as JSON text; an empty slice when there are fewer. Points into `args`. */
CVN_API cvn_slice cvn_args_at(cvn_args args, size_t index);
/** The bytes that `value` stands for: true when it is a placeholder of `args`. They point to where
 * the attachment lies. */
CVN_API bool cvn_args_binary(cvn_args args, cvn_slice value, cvn_slice *ret_bytes);

/** What kind of value a valid JSON text is. */
typedef enum cvn_json_type {
    CVN_JSON_NONE = 0, /**< empty or malformed */
    CVN_JSON_NULL,     /**< null */
    CVN_JSON_FALSE,    /**< false */
    CVN_JSON_TRUE,     /**< true */
    CVN_JSON_NUMBER,   /**< -1.5e3 */
    CVN_JSON_STRING,   /**< "text" */
    CVN_JSON_ARRAY,    /**< [1,2] */
    CVN_JSON_OBJECT    /**< {"a":1} */
} cvn_json_type;
/** Tells by the first byte, so the rest is taken to be valid. */
CVN_API cvn_json_type cvn_json_type_of(cvn_slice value);
/** Member `key` of a valid object, as JSON text; empty when absent. Points into `object`. */
CVN_API cvn_slice cvn_json_get(cvn_slice object, const char *key);
/** Copies the decoded string `value` into `ret` (`size` bytes, at least 1) with a NUL. False when
 * it is no string, does not fit or holds a NUL itself; `ret` is "" then. */
CVN_API bool cvn_json_string(cvn_slice value, char *ret, size_t size);
/** A whole number of 0..2^53-1. */
CVN_API bool cvn_json_integer(cvn_slice value, uint64_t *ret);

/** A whole number of -2^53..2^53, however it is written (1e3, 5.0). */
CVN_API bool cvn_json_whole(cvn_slice value, int64_t *ret);
/** A number that a double can hold. False for anything else. */
CVN_API bool cvn_json_number(cvn_slice value, double *ret);

/** Whether `text` is exactly one JSON value, in UTF-8, nested at most `max_depth` deep (at most
 * 1024). For text from elsewhere; that of events is valid. */
CVN_API bool cvn_json_is_valid(cvn_slice text, unsigned max_depth);
/** Walks a valid array or object from *cursor = 0: the next value, and its key, raw with its quotes
 * (NULL: not wanted; an empty slice in an array). False at the end, and at once for other values.
 * Linear, whatever the size. */
CVN_API bool cvn_json_next(cvn_slice container, size_t *cursor, cvn_slice *ret_key,
                           cvn_slice *ret_value);

/** Text that is being built: grows by itself, up to a maximum. */
typedef struct cvn_text cvn_text;

/** An empty text of at most `max` bytes, to be freed with cvn_text_free; NULL when memory has run
 * out. */
CVN_API cvn_text *cvn_text_new(size_t max);
/** Frees the text and what cvn_text_slice gave. NULL is accepted. */
CVN_API void cvn_text_free(cvn_text *text);
/** Appends. An append that does not fit is dropped and makes cvn_text_failed true until
 * cvn_text_clear. */
CVN_API void cvn_text_append(cvn_text *text, const char *piece);
/** The same with a slice. */
CVN_API void cvn_text_append_slice(cvn_text *text, cvn_slice piece);
/** The same with what printf would print. */
CVN_API void cvn_text_printf(cvn_text *text, const char *format, ...) CVN_PRINTF(2, 3);
/** Appends `value` as a JSON string, quoted and escaped; bytes that are no UTF-8 become U+FFFD. */
CVN_API void cvn_text_append_json_string(cvn_text *text, cvn_slice value);
/** Makes it empty, and forgets what did not fit. The memory is kept for what comes next. */
CVN_API void cvn_text_clear(cvn_text *text);
/** Whether something did not fit, or memory has run out: the text lacks a piece. */
CVN_API bool cvn_text_failed(const cvn_text *text);
/** What has been built; valid until the next change. */
CVN_API cvn_slice cvn_text_slice(const cvn_text *text);

#ifdef __cplusplus
}
#endif
#endif
