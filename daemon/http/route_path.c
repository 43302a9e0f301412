/* Paths, a segment at a time. Pure; any thread. Invariant: what is decoded is decoded once, after the path was parted. */
#include "http/route_path.h"
#include "observe/text.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool route_decode(cvn_slice encoded, bool plus, char *ret, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < encoded.size; i++) {
        char c = encoded.data[i];
        if (c == '%') {
            int high = i + 2 < encoded.size ? hex_value(encoded.data[i + 1]) : -1;
            int low = i + 2 < encoded.size ? hex_value(encoded.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        if (c == '\0' || used + 1 >= size)
            return false;
        ret[used++] = c;
    }
    if (used >= size || !text_is_utf8(ret, used))
        return false;
    ret[used] = '\0';
    return true;
}

static bool is_value(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

bool route_path_match(const char *pattern, cvn_slice path, struct route_values *ret)
{
    struct route_values values = {.count = 0};
    const char *at = path.data, *end = path.data + path.size;
    size_t used = 0;
    while (*pattern == '/') {
        if (at == end || *at != '/')
            return false;
        pattern++, at++;
        size_t wanted = strcspn(pattern, "/");
        const char *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
        cvn_slice segment = {at, (size_t)((slash != NULL ? slash : end) - at)};
        char *value = values.bytes + used;
        if (!route_decode(segment, false, value, ROUTE_MAX_VALUE + 1))
            return false;
        if (*pattern == ':') {
            if (values.count == 4 || !is_value(value))
                return false;
            values.starts[values.count++] = used;
            used += strlen(value) + 1;
        } else if (strlen(value) != wanted || memcmp(value, pattern, wanted) != 0) {
            return false;
        }
        pattern += wanted;
        at += segment.size;
    }
    if (at != end)
        return false;
    *ret = values;
    return true;
}
