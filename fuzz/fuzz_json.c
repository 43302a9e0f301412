/*
 * JSON: the scanner against a parser by recursive descent; what it finds valid is walked, decoded and written again, and what is written
 * must be valid and mean the same. The first byte chooses the greatest depth.
 */
#include <stdlib.h>
#include "base/json.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_INPUT ((size_t)1 << 14)

/* --- The model: RFC 8259's productions, a function each. Every one returns what is behind it, or NULL. --- */

struct text {
    const char *end;
    unsigned max_depth;
};

static const char *model_value(const struct text *text, const char *at, unsigned depth);

static const char *model_ws(const struct text *text, const char *at)
{
    while (at != text->end && (*at == 0x20 || *at == 0x09 || *at == 0x0a || *at == 0x0d))
        at++;
    return at;
}

static const char *model_char(const struct text *text, const char *at, const char *set)
{
    return at != NULL && at != text->end && *at != '\0' && strchr(set, *at) != NULL ? at + 1 : NULL;
}

static const char *model_digits(const struct text *text, const char *at)
{
    at = model_char(text, at, "0123456789");
    for (const char *next = at; next != NULL; next = model_char(text, at, "0123456789"))
        at = next;
    return at;
}

static const char *model_number(const struct text *text, const char *at)
{
    const char *next = model_char(text, at, "-");
    at = next != NULL ? next : at;
    next = model_char(text, at, "0");
    at = next != NULL ? next : model_digits(text, at);
    if ((next = model_char(text, at, ".")) != NULL)
        at = model_digits(text, next);
    if ((next = model_char(text, at, "eE")) != NULL) {
        const char *sign = model_char(text, next, "+-");
        at = model_digits(text, sign != NULL ? sign : next);
    }
    return at;
}

static const char *model_string(const struct text *text, const char *at)
{
    at = model_char(text, at, "\"");
    while (at != NULL && at != text->end && *at != '"') {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at++ != '\\')
            continue;
        const char *unicode = model_char(text, at, "u");
        at = unicode != NULL ? unicode : model_char(text, at, "\"\\/bfnrt");
        for (int i = 0; i < 4 && unicode != NULL; i++)
            at = model_char(text, at, "0123456789abcdefABCDEF");
    }
    return model_char(text, at, "\"");
}

static const char *model_word(const struct text *text, const char *at, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(text->end - at) >= size && memcmp(at, word, size) == 0 ? at + size : NULL;
}

static const char *model_container(const struct text *text, const char *at, unsigned depth)
{
    bool object = *at++ == '{';
    if (depth > text->max_depth || depth > JSON_MAX_DEPTH)
        return NULL;
    const char *empty = model_char(text, model_ws(text, at), object ? "}" : "]");
    if (empty != NULL)
        return empty;
    do {
        if (object) {
            at = model_string(text, model_ws(text, at));
            at = at != NULL ? model_char(text, model_ws(text, at), ":") : NULL;
        }
        at = at != NULL ? model_value(text, at, depth) : NULL;
        if (at == NULL)
            return NULL;
        const char *end = model_char(text, at, object ? "}" : "]");
        if (end != NULL)
            return end;
        at = model_char(text, at, ",");
    } while (at != NULL);
    return NULL;
}

/* With the white space around it. */
static const char *model_value(const struct text *text, const char *at, unsigned depth)
{
    at = model_ws(text, at);
    if (at == text->end)
        return NULL;
    switch (*at) {
    case '"':
        at = model_string(text, at);
        break;
    case 'n':
        at = model_word(text, at, "null");
        break;
    case 't':
        at = model_word(text, at, "true");
        break;
    case 'f':
        at = model_word(text, at, "false");
        break;
    case '[':
    case '{':
        at = model_container(text, at, depth + 1);
        break;
    default:
        at = model_number(text, at);
        break;
    }
    return at != NULL ? model_ws(text, at) : NULL;
}

static bool model_is_valid(cvn_slice slice, unsigned max_depth)
{
    struct text text = {slice.data + slice.size, max_depth};
    return utf8_is_valid(slice) && model_value(&text, slice.data, 0) == text.end;
}

/* --- What is valid can be walked, decoded, and written so that it reads the same --- */

static void check_string(cvn_slice string)
{
    struct buf text, written, again;
    cvn_slice plain;
    buf_init(&text, string.size);
    buf_init(&written, MAX_INPUT * 6 + 2);
    buf_init(&again, MAX_INPUT);
    CHECK(json_unescape(&text, string)); /* never longer than it was */
    CHECK(json_unescaped_size(string) == text.size);
    CHECK(utf8_is_valid(buf_slice(&text)));
    if (json_plain_string(string, &plain))
        CHECK(slice_eq(plain, buf_slice(&text)));
    CHECK(json_append_string(&written, buf_slice(&text)));
    CHECK(json_is_valid(buf_slice(&written), 0));
    CHECK(json_unescape(&again, buf_slice(&written)));
    CHECK(slice_eq(buf_slice(&again), buf_slice(&text)));
    buf_release(&text);
    buf_release(&written);
    buf_release(&again);
}

/* The last member of that name, found by decoding all of them. */
static cvn_slice slow_get(cvn_slice object, cvn_slice key)
{
    cvn_slice rest = json_inside(object), name, value, found = {NULL, 0};
    while (json_next_member(&rest, &name, &value)) {
        struct buf text;
        buf_init(&text, MAX_INPUT);
        CHECK(json_unescape(&text, name));
        if (slice_eq(buf_slice(&text), key))
            found = value;
        buf_release(&text);
    }
    return found;
}

static void check_value(cvn_slice value, unsigned depth, unsigned *budget);

static void check_members(cvn_slice object, unsigned depth, unsigned *budget)
{
    cvn_slice rest = json_inside(object), name, value;
    while (json_next_member(&rest, &name, &value)) {
        check_string(name);
        check_value(value, depth, budget);
        if (*budget == 0)
            continue; /* looking every name up takes the square of their number */
        struct buf key;
        buf_init(&key, MAX_INPUT);
        CHECK(json_unescape(&key, name));
        cvn_slice got = json_get(object, buf_slice(&key)), slow = slow_get(object, buf_slice(&key));
        CHECK(got.data == slow.data && got.size == slow.size);
        buf_release(&key);
        --*budget;
    }
    CHECK(slice_trim(rest).size == 0 || strchr("\r\n", *slice_trim(rest).data) != NULL);
}

static void check_value(cvn_slice value, unsigned depth, unsigned *budget)
{
    cvn_slice rest = json_inside(value), next;
    uint64_t number;
    CHECK(depth <= JSON_MAX_DEPTH && value.size > 0);
    switch (json_type(value)) {
    case JSON_STRING:
        check_string(value);
        break;
    case JSON_ARRAY:
        CHECK(json_is_valid_list(rest, JSON_MAX_DEPTH));
        while (json_next(&rest, &next))
            check_value(next, depth + 1, budget);
        break;
    case JSON_OBJECT:
        check_members(value, depth + 1, budget);
        break;
    case JSON_NUMBER:
        if (json_to_u64(value, &number)) {
            struct buf digits;
            buf_init(&digits, 20);
            CHECK(buf_append_u64(&digits, number));
            CHECK(slice_eq(buf_slice(&digits), value));
            buf_release(&digits);
        }
        break;
    case JSON_NONE:
        abort();
    default:
        CHECK(value.size == 4 || value.size == 5);
        break;
    }
}

/* Any bytes are written as a valid string. */
static void check_written(cvn_slice bytes)
{
    struct buf written, text;
    buf_init(&written, MAX_INPUT * 6 + 2);
    buf_init(&text, MAX_INPUT * 3);
    CHECK(json_append_string(&written, bytes));
    CHECK(json_is_valid(buf_slice(&written), 0));
    CHECK(json_unescape(&text, buf_slice(&written)));
    CHECK(!utf8_is_valid(bytes) || slice_eq(buf_slice(&text), bytes));
    buf_release(&written);
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char array[MAX_INPUT + 2];
    if (size == 0 || size > MAX_INPUT)
        return 0;
    unsigned max_depth = data[0] < 128 ? JSON_MAX_DEPTH : data[0] % 8u;
    cvn_slice text = slice_of(data + 1, size - 1);

    bool valid = json_is_valid(text, max_depth);
    CHECK(valid == model_is_valid(text, max_depth));
    if (valid) {
        unsigned budget = 100;
        cvn_slice value = text;
        while (strchr(" \t\r\n", *value.data) != NULL)
            value = slice_from(value, 1);
        while (strchr(" \t\r\n", value.data[value.size - 1]) != NULL)
            value.size--;
        check_value(value, 0, &budget);
    }
    /* A list is an array without brackets. */
    array[0] = '[';
    memcpy(array + 1, text.data, text.size);
    array[text.size + 1] = ']';
    if (max_depth < JSON_MAX_DEPTH)
        CHECK(json_is_valid_list(text, max_depth) ==
              model_is_valid(slice_of(array, text.size + 2), max_depth + 1));
    check_written(text);
    return 0;
}
