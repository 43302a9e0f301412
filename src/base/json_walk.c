/* Cutting values out of text that json_scan.c has found valid: slices only, nothing is copied but decoded strings. Pure. */
#include "base/json.h"

static cvn_slice skip_space(cvn_slice text)
{
    while (text.size > 0 &&
           (*text.data == ' ' || *text.data == '\t' || *text.data == '\n' || *text.data == '\r'))
        text = slice_from(text, 1);
    return text;
}

static cvn_slice skip_space_at_end(cvn_slice text)
{
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t' ||
                             text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
        text.size--;
    return text;
}

/* Length of the string at the front, quotes included. */
static size_t string_size(cvn_slice text)
{
    size_t i = 1;
    while (i < text.size && text.data[i] != '"')
        i += text.data[i] == '\\' ? 2 : 1;
    return i < text.size ? i + 1 : text.size;
}

static size_t container_size(cvn_slice text)
{
    size_t depth = 0, i = 0;
    while (i < text.size) {
        char c = text.data[i];
        if (c == '"') {
            i += string_size(slice_from(text, i));
            continue;
        }
        i++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return i;
    }
    return text.size;
}

static size_t scalar_size(cvn_slice text)
{
    size_t i = 0;
    while (i < text.size && memchr(",]}: \t\n\r", text.data[i], 8) == NULL)
        i++;
    return i;
}

static size_t value_size(cvn_slice text)
{
    switch (*text.data) {
    case '"':
        return string_size(text);
    case '{':
    case '[':
        return container_size(text);
    default:
        return scalar_size(text);
    }
}

enum json_type json_type(cvn_slice value)
{
    value = skip_space(value);
    if (value.size == 0)
        return JSON_NONE;
    switch (*value.data) {
    case 'n':
        return JSON_NULL;
    case 'f':
        return JSON_FALSE;
    case 't':
        return JSON_TRUE;
    case '"':
        return JSON_STRING;
    case '[':
        return JSON_ARRAY;
    case '{':
        return JSON_OBJECT;
    default:
        return *value.data == '-' || (*value.data >= '0' && *value.data <= '9') ? JSON_NUMBER
                                                                                : JSON_NONE;
    }
}

bool json_next(cvn_slice *rest, cvn_slice *ret_value)
{
    cvn_slice text = skip_space(*rest);
    if (text.size == 0)
        return false;
    size_t size = value_size(text);
    if (size == 0)
        return false; /* not valid text */
    *ret_value = slice_of(text.data, size);
    text = skip_space(slice_from(text, size));
    if (text.size > 0 && *text.data == ',')
        text = skip_space(slice_from(text, 1));
    *rest = text;
    return true;
}

bool json_next_member(cvn_slice *rest, cvn_slice *ret_key, cvn_slice *ret_value)
{
    cvn_slice text = skip_space(*rest);
    if (text.size == 0 || *text.data != '"')
        return false;
    cvn_slice key = slice_of(text.data, string_size(text));
    text = skip_space(slice_from(text, key.size));
    if (text.size == 0 || *text.data != ':')
        return false;
    text = slice_from(text, 1);
    if (!json_next(&text, ret_value))
        return false;
    *ret_key = key;
    *rest = text;
    return true;
}

cvn_slice json_inside(cvn_slice container)
{
    container = skip_space_at_end(skip_space(container));
    if (container.size < 2)
        return slice_of(container.data, 0);
    return slice_of(container.data + 1, container.size - 2);
}

/* Bytes of the escape at the front of `text`; two surrogates that belong together are one. */
static size_t escape_size(cvn_slice text)
{
    const char *c = text.data;
    if (text.size < 6 || c[1] != 'u')
        return text.size < 2 ? text.size : 2;
    bool is_pair = text.size >= 12 && (c[2] | 32) == 'd' && memchr("89abAB", c[3], 6) != NULL &&
                   c[6] == '\\' && c[7] == 'u' && (c[8] | 32) == 'd' &&
                   memchr("cdefCDEF", c[9], 8) != NULL;
    return is_pair ? 12 : 6;
}

/* Whether the JSON string `string` reads `text` when decoded: runs of plain characters and escapes in turn. */
static bool string_is(cvn_slice string, cvn_slice text)
{
    cvn_slice inside = json_inside(string);
    for (;;) {
        cvn_slice plain = slice_of(inside.data, slice_find(inside, '\\'));
        if (!slice_starts_with(text, plain))
            return false;
        text = slice_from(text, plain.size);
        inside = slice_from(inside, plain.size);
        if (inside.size == 0)
            return text.size == 0;
        char memory[4];
        struct buf decoded = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};
        size_t size = escape_size(inside);
        /* json_unescape does not look at what stands for the quotes. */
        if (!json_unescape(&decoded, slice_of(inside.data - 1, size + 2)) ||
            !slice_starts_with(text, buf_slice(&decoded)))
            return false;
        text = slice_from(text, decoded.size);
        inside = slice_from(inside, size);
    }
}

cvn_slice json_get(cvn_slice object, cvn_slice key)
{
    cvn_slice found = {NULL, 0}, name, value;
    if (json_type(object) != JSON_OBJECT)
        return found;
    cvn_slice rest = json_inside(object);
    while (json_next_member(&rest, &name, &value))
        if (string_is(name, key))
            found = value;
    return found;
}

bool json_plain_string(cvn_slice string, cvn_slice *ret)
{
    if (string.size < 2 || string.data[0] != '"' || memchr(string.data, '\\', string.size) != NULL)
        return false;
    *ret = slice_of(string.data + 1, string.size - 2);
    return true;
}

bool json_to_u64(cvn_slice value, uint64_t *ret)
{
    uint64_t number = 0;
    value = skip_space_at_end(skip_space(value));
    if (value.size == 0)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(c - '0'), &number))
            return false;
    }
    *ret = number;
    return true;
}
