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

/* Whether the JSON string `string` reads `text` when decoded. */
static bool string_is(cvn_slice string, cvn_slice text)
{
    char memory[256];
    cvn_slice plain;
    if (json_plain_string(string, &plain))
        return slice_eq(plain, text);
    if (text.size > sizeof memory)
        return false;
    /* One byte more than needed would fail: a longer string is another one. */
    struct buf decoded = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};
    return json_unescape(&decoded, string) && slice_eq(buf_slice(&decoded), text);
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
    return slice_to_u64(skip_space_at_end(skip_space(value)), ret);
}
