/*
 * Origins (RFC 6454) against the list of the configuration. Pure. Invariant: what is not plainly an origin of the list or of this host is
 * refused; the same list gives the same verdicts in the library's http_origin.c, which answers for Socket.IO.
 */
#include "http/cors.h"

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool equals(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (to_lower(a[i]) != to_lower(b[i]))
            return false;
    return true;
}

static bool is_equal(cvn_slice a, cvn_slice b)
{
    return a.size == b.size && equals(a.data, b.data, a.size);
}

static bool is_clean(cvn_slice origin)
{
    for (size_t i = 0; i < origin.size; i++)
        if ((unsigned char)origin.data[i] <= 0x20 || (unsigned char)origin.data[i] >= 0x7f)
            return false;
    return origin.size > 0;
}

static cvn_slice without_port(cvn_slice authority, const char *port)
{
    size_t size = strlen(port);
    if (authority.size > size && memcmp(authority.data + authority.size - size, port, size) == 0)
        authority.size -= size;
    return authority;
}

/* A proxy may have ended TLS, so the origin's scheme says which port is the default. */
static bool is_same(cvn_slice origin, cvn_slice host)
{
    static const char *const schemes[] = {"https://", "http://"};
    for (size_t i = 0; i < 2 && host.size > 0; i++) {
        size_t size = strlen(schemes[i]);
        if (origin.size <= size || !equals(origin.data, schemes[i], size))
            continue;
        cvn_slice authority = {origin.data + size, origin.size - size};
        const char *port = i == 0 ? ":443" : ":80";
        return is_equal(without_port(authority, port), without_port(host, port));
    }
    return false;
}

/* Labels of a host name with the dots between them. */
static bool is_labels(cvn_slice text)
{
    char before = '.';
    for (size_t i = 0; i < text.size; i++) {
        char c = to_lower(text.data[i]);
        bool is_label = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
        if (!is_label && (c != '.' || before == '.'))
            return false;
        before = c;
    }
    return before != '.';
}

/* "https://" "*.a.example" allows every subdomain of a.example, not a.example itself. */
static bool matches_wildcard(cvn_slice origin, cvn_slice pattern)
{
    const char *star = pattern.size > 0 ? memchr(pattern.data, '*', pattern.size) : NULL;
    if (star == NULL)
        return false;
    size_t head = (size_t)(star - pattern.data), tail = pattern.size - head - 1;
    if (head < 4 || memcmp(star - 3, "://", 3) != 0 || tail == 0 || star[1] != '.')
        return false;
    return origin.size > head + tail && equals(origin.data, pattern.data, head) &&
           equals(origin.data + origin.size - tail, star + 1, tail) &&
           is_labels((cvn_slice){origin.data + head, origin.size - head - tail});
}

enum cors_verdict cors_check(const char *const *origins, size_t count, cvn_slice origin,
                             cvn_slice host)
{
    bool is_any = false;
    if (origin.data == NULL)
        return CORS_NONE;
    if (!is_clean(origin))
        return CORS_REFUSED;
    if (is_same(origin, host))
        return CORS_SAME;
    for (size_t i = 0; i < count; i++) {
        cvn_slice entry = cvn_str(origins[i]);
        if (is_equal(entry, origin) || matches_wildcard(origin, entry))
            return CORS_LISTED;
        is_any |= strcmp(origins[i], CVN_ANY_ORIGIN) == 0;
    }
    return is_any ? CORS_ANY : CORS_REFUSED;
}
