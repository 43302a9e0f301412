/*
 * The four places of a token, in the order of the specification. The first that has one decides, even when what is there cannot be a token: then
 * it is returned as it came, which no check will take for one, because it holds a character that tokens do not have. Cookies: RFC 6265
 * section 5.4; Bearer: RFC 6750 section 2.1. Pure; any thread.
 */
#include "auth/auth_sources.h"
#include <convene/convene.h>
#include <strings.h>

static bool has_byte(cvn_slice text, char byte)
{
    return text.size > 0 && memchr(text.data, byte, text.size) != NULL;
}

static cvn_slice trim(cvn_slice text)
{
    while (text.size > 0 && (*text.data == ' ' || *text.data == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* null and "" are how clients say that they have none. */
static cvn_slice from_payload(cvn_slice payload, char *buffer, size_t size)
{
    cvn_slice value = payload.size > 0 ? cvn_json_get(payload, "token") : payload;
    if (cvn_json_type_of(value) == CVN_JSON_NULL)
        return (cvn_slice){NULL, 0};
    if (cvn_json_type_of(value) != CVN_JSON_STRING)
        return value;
    if (!has_byte(value, '\\'))
        return (cvn_slice){value.data + 1, value.size - 2};
    return cvn_json_string(value, buffer, size) ? cvn_str(buffer) : value;
}

static cvn_slice from_authorization(cvn_slice header)
{
    static const char scheme[] = "bearer ";
    header = trim(header);
    if (header.size < sizeof scheme - 1 || strncasecmp(header.data, scheme, sizeof scheme - 1) != 0)
        return (cvn_slice){NULL, 0};
    return trim((cvn_slice){header.data + sizeof scheme - 1, header.size - (sizeof scheme - 1)});
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static cvn_slice percent_decode(cvn_slice text, char *buffer, size_t size)
{
    size_t written = 0;
    if (!has_byte(text, '%'))
        return text;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.size ? hex_value(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_value(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return text;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (written == size)
            return text;
        buffer[written++] = c;
    }
    return (cvn_slice){buffer, written};
}

/* Of several cookies of that name the first, which is the one of the longest path. */
static cvn_slice from_cookies(cvn_slice cookies, const char *name)
{
    const size_t name_size = strlen(name);
    while (cookies.size > 0) {
        const char *end = memchr(cookies.data, ';', cookies.size);
        size_t size = end != NULL ? (size_t)(end - cookies.data) : cookies.size;
        cvn_slice pair = trim((cvn_slice){cookies.data, size});
        cookies.data += size + (end != NULL);
        cookies.size -= size + (end != NULL);
        const char *equals = pair.size > 0 ? memchr(pair.data, '=', pair.size) : NULL;
        if (equals == NULL)
            continue;
        cvn_slice found = trim((cvn_slice){pair.data, (size_t)(equals - pair.data)});
        if (found.size != name_size || memcmp(found.data, name, name_size) != 0)
            continue;
        pair.size -= (size_t)(equals + 1 - pair.data);
        pair.data = equals + 1;
        pair = trim(pair);
        if (pair.size >= 2 && pair.data[0] == '"' && pair.data[pair.size - 1] == '"')
            pair = (cvn_slice){pair.data + 1, pair.size - 2};
        return pair;
    }
    return (cvn_slice){NULL, 0};
}

cvn_slice auth_sources_find(const struct auth_sources *sources, const char *cookie_name,
                            char *buffer, size_t size)
{
    cvn_slice token = from_payload(sources->payload, buffer, size);
    if (token.size == 0)
        token = from_authorization(sources->authorization);
    if (token.size == 0)
        token = percent_decode(sources->query, buffer, size);
    if (token.size == 0 && cookie_name != NULL)
        token = percent_decode(from_cookies(sources->cookies, cookie_name), buffer, size);
    return token;
}
