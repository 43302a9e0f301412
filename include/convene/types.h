/**
 * @file
 * The few types that every part of the public API shares.
 */
#ifndef CONVENE_TYPES_H
#define CONVENE_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
/** Marks a function or object of the public API; everything else is hidden. */
#define CVN_API __attribute__((visibility("default")))
/** The compiler warns when the result is not looked at. */
#define CVN_MUST_CHECK __attribute__((warn_unused_result))
/** The compiler checks arguments from number `args` on against the printf format that is argument
 * number `fmt`. */
#define CVN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CVN_API
#define CVN_MUST_CHECK
#define CVN_PRINTF(fmt, args)
#endif

/**
 * Some bytes that somebody else owns. Not NUL-terminated. An empty slice may have a NULL `data`.
 * Wherever the library hands one out, the documentation says how long it stays valid.
 */
typedef struct cvn_slice {
    const char *data; /**< the first byte */
    size_t size;      /**< bytes */
} cvn_slice;

/** The slice of a C string; NULL gives the empty slice. The string stays the caller's. */
static inline cvn_slice cvn_str(const char *text)
{
    cvn_slice slice = {text, text ? strlen(text) : 0};
    return slice;
}

/** What a function that can fail returns; 0 is success. `cvn_strerror` gives the words. */
enum cvn_error {
    CVN_OK = 0,       /**< done */
    CVN_ERR_MEMORY,   /**< an allocation failed; nothing was changed */
    CVN_ERR_ARGUMENT, /**< an argument is outside its documented range */
    CVN_ERR_STATE,    /**< not possible now: the server runs already, the socket has gone, ... */
    CVN_ERR_LIMIT,    /**< a configured maximum would be exceeded */
    CVN_ERR_JSON, /**< the text is no valid JSON, or its placeholders do not fit the attachments */
    CVN_ERR_SYSTEM,    /**< the operating system refused; errno says why */
    CVN_ERR_TLS,       /**< a certificate or key was refused */
    CVN_ERR_NOT_FOUND, /**< no such file, namespace or socket */
    CVN_ERR_TIMEOUT    /**< nobody answered in time */
};

/** Words for an error, static, never NULL. Any thread. */
CVN_API const char *cvn_strerror(enum cvn_error error);

#ifdef __cplusplus
}
#endif
#endif
