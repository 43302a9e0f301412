/* Paths of requests against paths of routes, and percent-encoding (RFC 3986). Pure. */
#ifndef HTTP_ROUTE_PATH_H
#define HTTP_ROUTE_PATH_H

#include <convene/convene.h>

#define ROUTE_MAX_VALUE 255 /* bytes of a decoded segment */

/* Values of a path's names: where each begins in `bytes`. */
struct route_values {
    size_t count;
    size_t starts[4];
    char bytes[5 * (ROUTE_MAX_VALUE + 1)]; /* the fifth is for what is compared only */
};

/* Whether `path`, as sent, is one that `pattern` ("/a/:id/b") means. Segments are compared decoded, one by one, so an encoded slash parts
 * nothing and dots mean nothing. A value is not empty, has no control characters and is UTF-8; else the path is none of the pattern's. */
bool route_path_match(const char *pattern, cvn_slice path, struct route_values *ret);

/* Decodes into `ret` with a NUL; `plus`: "+" is a space. False for broken escapes, what does not fit, bytes that are no UTF-8, and NUL. */
bool route_decode(cvn_slice encoded, bool plus, char *ret, size_t size);

#endif
