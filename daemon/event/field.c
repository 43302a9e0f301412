/*
 * See field.h. A payload is walked once per field (cvn_json_get), which for tables of a few rows beats building a map; how large a
 * payload may be was checked before. Pure; any thread.
 */
#include "event/field.h"
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

/* --- Memory --- */

static bool has_lists(const struct field *fields)
{
    for (const struct field *field = fields; field->kind != FIELD_KIND_END; field++)
        if (field->kind == FIELD_KIND_IDS ||
            (field->kind == FIELD_KIND_OBJECT && has_lists(field->inner)))
            return true;
    return false;
}

/* Fields of the table, those inside of objects, too: each text has a NUL more than its JSON, without the quotes a byte less. */
size_t field_memory_needed(const struct field *fields, size_t payload_size)
{
    if (fields == NULL)
        return 0;
    /* An item of a list costs a slice and takes at least three bytes ("",) of the payload. */
    size_t lists =
        has_lists(fields) ? payload_size / 3 * sizeof(cvn_slice) + alignof(cvn_slice) * 8 : 0;
    return payload_size + lists;
}

static void *take(struct field_memory *memory, size_t size, size_t alignment)
{
    size_t at = (memory->used + alignment - 1) / alignment * alignment;
    if (at > memory->size || size > memory->size - at)
        return NULL;
    memory->used = at + size;
    return memory->data + at;
}

/* --- What is wrong --- */

CVN_PRINTF(3, 4)
static bool wrong(struct field_error *error, const struct field *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error->field = field != NULL ? field->name : NULL;
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return false;
}

/* --- Single values --- */

static bool decode(cvn_slice json, struct field_memory *memory, cvn_slice *ret)
{
    /* Decoded it is never longer than with its quotes, and the NUL takes the place of one of them. */
    char *text = take(memory, json.size, 1);
    if (text == NULL || !cvn_json_string(json, text, json.size))
        return false;
    ret->data = text;
    ret->size = strlen(text);
    memory->used -= json.size - ret->size - 1;
    return true;
}

static size_t count_characters(cvn_slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static bool has_control(cvn_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return true;
    return false;
}

static bool parse_text(const struct field *field, cvn_slice value, struct field_memory *memory,
                       cvn_slice *ret, struct field_error *error)
{
    cvn_slice text;
    if (cvn_json_type_of(value) != CVN_JSON_STRING || !decode(value, memory, &text))
        return wrong(error, field, "must be a text without NUL characters");
    size_t characters = count_characters(text);
    if ((int64_t)characters < field->min || (int64_t)characters > field->max)
        return wrong(error, field, "must have %lld to %lld characters, not %zu",
                     (long long)field->min, (long long)field->max, characters);
    *ret = text;
    return true;
}

static bool parse_id(const struct field *field, size_t max, cvn_slice value,
                     struct field_memory *memory, cvn_slice *ret, struct field_error *error)
{
    cvn_slice text;
    if (cvn_json_type_of(value) != CVN_JSON_STRING || !decode(value, memory, &text))
        return wrong(error, field, "must be a text without NUL characters");
    if (text.size == 0 || text.size > max || has_control(text))
        return wrong(error, field, "must be an id of 1 to %zu bytes without control characters",
                     max);
    *ret = text;
    return true;
}

static bool parse_ids(const struct field *field, cvn_slice value, struct field_memory *memory,
                      struct field_list *ret, struct field_error *error)
{
    size_t cursor = 0, count = 0;
    cvn_slice item;
    if (cvn_json_type_of(value) != CVN_JSON_ARRAY)
        return wrong(error, field, "must be a list");
    while (cvn_json_next(value, &cursor, NULL, &item))
        count++;
    if ((int64_t)count < field->min || (int64_t)count > field->max)
        return wrong(error, field, "must have %lld to %lld items, not %zu", (long long)field->min,
                     (long long)field->max, count);
    cvn_slice *items = take(memory, count * sizeof *items, alignof(cvn_slice));
    if (items == NULL)
        return wrong(error, field, "has items that are no texts");
    cursor = count = 0;
    while (cvn_json_next(value, &cursor, NULL, &item))
        if (!parse_id(field, FIELD_ID_MAX, item, memory, &items[count++], error))
            return false;
    *ret = (struct field_list){items, count};
    return true;
}

static bool parse_integer(const struct field *field, cvn_slice value, int64_t *ret,
                          struct field_error *error)
{
    int64_t number;
    if (!cvn_json_whole(value, &number) || number < field->min || number > field->max)
        return wrong(error, field, "must be a whole number of %lld to %lld", (long long)field->min,
                     (long long)field->max);
    *ret = number;
    return true;
}

static bool parse_number(const struct field *field, cvn_slice value, double *ret,
                         struct field_error *error)
{
    double number;
    if (!cvn_json_number(value, &number) || number < (double)field->min ||
        number > (double)field->max)
        return wrong(error, field, "must be a number of %lld to %lld", (long long)field->min,
                     (long long)field->max);
    *ret = number;
    return true;
}

static bool parse_boolean(const struct field *field, cvn_slice value, bool *ret,
                          struct field_error *error)
{
    cvn_json_type type = cvn_json_type_of(value);
    if (type != CVN_JSON_TRUE && type != CVN_JSON_FALSE)
        return wrong(error, field, "must be true or false");
    *ret = type == CVN_JSON_TRUE;
    return true;
}

static bool parse_choice(const struct field *field, cvn_slice value, int *ret,
                         struct field_error *error)
{
    char text[64], all[80] = "";
    bool is_text = cvn_json_string(value, text, sizeof text);
    for (int i = 0; field->choices[i] != NULL; i++) {
        if (is_text && strcmp(text, field->choices[i]) == 0) {
            *ret = i + 1;
            return true;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", field->choices[i]);
    }
    return wrong(error, field, "must be one of %s", all);
}

static bool parse_json(const struct field *field, cvn_slice value, cvn_slice *ret,
                       struct field_error *error)
{
    if ((int64_t)value.size > field->max)
        return wrong(error, field, "must have at most %lld bytes", (long long)field->max);
    *ret = value;
    return true;
}

static bool parse_binary(const struct field *field, cvn_slice value, cvn_args args, cvn_slice *ret,
                         struct field_error *error)
{
    cvn_slice bytes;
    if (!cvn_args_binary(args, value, &bytes))
        return wrong(error, field, "must be binary data");
    if ((int64_t)bytes.size < field->min || (int64_t)bytes.size > field->max)
        return wrong(error, field, "must have %lld to %lld bytes, not %zu", (long long)field->min,
                     (long long)field->max, bytes.size);
    *ret = bytes;
    return true;
}

/* --- Tables --- */

static bool set_absent(const struct field *field, void *at, struct field_error *error)
{
    if (field->flags & FIELD_REQUIRED)
        return wrong(error, field, "is missing");
    if (field->kind == FIELD_KIND_INTEGER)
        *(int64_t *)at = field->fallback;
    else if (field->kind == FIELD_KIND_NUMBER)
        *(double *)at = (double)field->fallback;
    else if (field->kind == FIELD_KIND_BOOLEAN)
        *(bool *)at = field->fallback != 0;
    return true;
}

static bool parse_value(const struct field *field, cvn_slice value, cvn_args args,
                        struct field_memory *memory, void *at, struct field_error *error)
{
    switch (field->kind) {
    case FIELD_KIND_TEXT:
        return parse_text(field, value, memory, at, error);
    case FIELD_KIND_ID:
        return parse_id(field, (size_t)field->max, value, memory, at, error);
    case FIELD_KIND_INTEGER:
        return parse_integer(field, value, at, error);
    case FIELD_KIND_NUMBER:
        return parse_number(field, value, at, error);
    case FIELD_KIND_BOOLEAN:
        return parse_boolean(field, value, at, error);
    case FIELD_KIND_CHOICE:
        return parse_choice(field, value, at, error);
    case FIELD_KIND_IDS:
        return parse_ids(field, value, memory, at, error);
    case FIELD_KIND_JSON:
        return parse_json(field, value, at, error);
    case FIELD_KIND_OBJECT:
        return field_parse(field->inner, value, args, memory, at, error);
    case FIELD_KIND_BINARY:
        return parse_binary(field, value, args, at, error);
    case FIELD_KIND_END:
        break;
    }
    return true;
}

bool field_parse(const struct field *fields, cvn_slice payload, cvn_args args,
                 struct field_memory *memory, void *ret, struct field_error *ret_error)
{
    if (payload.size > 0 && cvn_json_type_of(payload) != CVN_JSON_OBJECT)
        return wrong(ret_error, NULL, "the payload must be an object");
    for (const struct field *field = fields; field != NULL && field->kind != FIELD_KIND_END;
         field++) {
        void *at = (char *)ret + field->offset;
        cvn_slice value = cvn_json_get(payload, field->name);
        cvn_json_type type = cvn_json_type_of(value);
        bool is_absent = type == CVN_JSON_NONE || type == CVN_JSON_NULL;
        if (is_absent ? !set_absent(field, at, ret_error)
                      : !parse_value(field, value, args, memory, at, ret_error))
            return false;
    }
    return true;
}

/* --- The schema --- */

static void append_bounds(const struct field *field, cvn_text *text, const char *min,
                          const char *max)
{
    cvn_text_printf(text, ",\"%s\":%lld,\"%s\":%lld", min, (long long)field->min, max,
                    (long long)field->max);
}

static void append_choices(const struct field *field, cvn_text *text)
{
    for (size_t i = 0; field->choices[i] != NULL; i++) {
        cvn_text_append(text, i > 0 ? "," : "");
        cvn_text_append_json_string(text, cvn_str(field->choices[i]));
    }
}

/* JSON Schema counts characters; ids are bounded in bytes, which x-convene-max-bytes says. */
static void append_id(int64_t max, cvn_text *text)
{
    cvn_text_printf(text,
                    "\"type\":\"string\",\"minLength\":1,\"maxLength\":%lld,\"pattern\":"
                    "\"^[^\\\\u0000-\\\\u001f\\\\u007f]*$\",\"x-convene-max-bytes\":%lld",
                    (long long)max, (long long)max);
}

/* The members that say what is allowed, without braces. */
static void append_kind(const struct field *field, cvn_text *text)
{
    switch (field->kind) {
    case FIELD_KIND_TEXT:
        cvn_text_append(text, "\"type\":\"string\",\"pattern\":\"^[^\\\\u0000]*$\"");
        append_bounds(field, text, "minLength", "maxLength");
        break;
    case FIELD_KIND_ID:
        append_id(field->max, text);
        break;
    case FIELD_KIND_INTEGER:
        cvn_text_append(text, "\"type\":\"integer\"");
        append_bounds(field, text, "minimum", "maximum");
        break;
    case FIELD_KIND_NUMBER:
        cvn_text_append(text, "\"type\":\"number\"");
        append_bounds(field, text, "minimum", "maximum");
        break;
    case FIELD_KIND_BOOLEAN:
        cvn_text_append(text, "\"type\":\"boolean\"");
        break;
    case FIELD_KIND_CHOICE:
        cvn_text_append(text, "\"type\":\"string\",\"enum\":[");
        append_choices(field, text);
        cvn_text_append(text, "]");
        break;
    case FIELD_KIND_IDS:
        cvn_text_append(text, "\"type\":\"array\",\"items\":{");
        append_id(FIELD_ID_MAX, text);
        cvn_text_append(text, "}");
        append_bounds(field, text, "minItems", "maxItems");
        break;
    case FIELD_KIND_BINARY:
        cvn_text_append(text, "\"type\":\"string\",\"format\":\"binary\"");
        append_bounds(field, text, "minLength", "maxLength");
        break;
    case FIELD_KIND_JSON: /* anything */
        cvn_text_printf(text, "\"x-convene-max-bytes\":%lld", (long long)field->max);
        break;
    case FIELD_KIND_OBJECT:
    case FIELD_KIND_END:
        break;
    }
}

static void append_property(const struct field *field, cvn_text *text)
{
    cvn_text_append_json_string(text, cvn_str(field->name));
    cvn_text_append(text, ":");
    if (field->kind == FIELD_KIND_OBJECT) {
        field_append_schema(field->inner, text);
        return;
    }
    cvn_text_append(text, "{");
    append_kind(field, text);
    if (!(field->flags & FIELD_REQUIRED) &&
        (field->kind == FIELD_KIND_INTEGER || field->kind == FIELD_KIND_NUMBER))
        cvn_text_printf(text, ",\"default\":%lld", (long long)field->fallback);
    if (!(field->flags & FIELD_REQUIRED) && field->kind == FIELD_KIND_BOOLEAN)
        cvn_text_append(text, field->fallback ? ",\"default\":true" : ",\"default\":false");
    cvn_text_append(text, ",\"description\":");
    cvn_text_append_json_string(text, cvn_str(field->help));
    cvn_text_append(text, "}");
}

void field_append_schema(const struct field *fields, cvn_text *text)
{
    size_t required = 0;
    cvn_text_append(text, "{\"type\":\"object\",\"properties\":{");
    for (const struct field *field = fields; field != NULL && field->kind != FIELD_KIND_END;
         field++) {
        cvn_text_append(text, field != fields ? "," : "");
        append_property(field, text);
    }
    cvn_text_append(text, "}");
    for (const struct field *field = fields; field != NULL && field->kind != FIELD_KIND_END;
         field++) {
        if (!(field->flags & FIELD_REQUIRED))
            continue;
        cvn_text_append(text, required++ == 0 ? ",\"required\":[" : ",");
        cvn_text_append_json_string(text, cvn_str(field->name));
    }
    cvn_text_append(text, required > 0 ? "]}" : "}");
}
