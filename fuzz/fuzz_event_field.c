/*
 * Payloads against a table with every kind of field, in exactly the memory that field_memory_needed asks for. What is accepted keeps its bounds;
 * what is refused says why; and the same payload gives the same verdict again. As in the daemon only valid JSON comes this far.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "event/field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

struct inner {
    int64_t line;
    cvn_slice label;
    struct field_list more;
};

struct everything {
    cvn_slice text, id, json, bytes;
    int64_t count;
    double ratio;
    bool loud;
    int colour;
    struct field_list ids;
    struct inner inner;
};

static const char *const colours[] = {"red", "green", NULL};

static const struct field inner_fields[] = {
    FIELD_INTEGER_REQUIRED(struct inner, line, 1, 99, "line number"),
    FIELD_TEXT(struct inner, label, 0, 5, FIELD_OPTIONAL, "its label"),
    FIELD_IDS_AS("more", struct inner, more, 0, 2, FIELD_OPTIONAL, "more ids"),
    FIELD_END,
};

static const struct field fields[] = {
    FIELD_TEXT(struct everything, text, 1, 5, FIELD_REQUIRED, "a text"),
    FIELD_ID(struct everything, id, FIELD_OPTIONAL, "an id"),
    FIELD_INTEGER(struct everything, count, -3, 200, 50, "how many"),
    FIELD_NUMBER(struct everything, ratio, 0, 1, FIELD_OPTIONAL, "a ratio"),
    FIELD_BOOLEAN_AS("isLoud", struct everything, loud, FIELD_OPTIONAL, 1, "whether it is loud"),
    FIELD_CHOICE(struct everything, colour, colours, FIELD_OPTIONAL, "a colour"),
    FIELD_IDS_AS("ids", struct everything, ids, 1, 3, FIELD_OPTIONAL, "who"),
    FIELD_JSON(struct everything, json, 10, FIELD_OPTIONAL, "anything"),
    FIELD_OBJECT(struct everything, inner, inner_fields, FIELD_OPTIONAL, "where"),
    FIELD_BINARY(struct everything, bytes, 1, 4, FIELD_OPTIONAL, "bytes"),
    FIELD_END,
};

static size_t characters(cvn_slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += (text.data[i] & 0xc0) != 0x80;
    return count;
}

static void check_text(cvn_slice text, size_t min, size_t max)
{
    CHECK(text.data != NULL && strlen(text.data) == text.size);
    CHECK(characters(text) >= min && characters(text) <= max);
}

static void check_id(cvn_slice id)
{
    CHECK(strlen(id.data) == id.size && id.size >= 1 && id.size <= FIELD_ID_MAX);
    for (size_t i = 0; i < id.size; i++)
        CHECK((unsigned char)id.data[i] >= 0x20 && id.data[i] != 0x7f);
}

static void check_ids(const struct field_list *list, size_t min, size_t max)
{
    CHECK(list->count >= min && list->count <= max);
    for (size_t i = 0; i < list->count; i++)
        check_id(list->items[i]);
}

static void check_everything(const struct everything *it)
{
    check_text(it->text, 1, 5);
    if (it->id.data != NULL)
        check_id(it->id);
    CHECK(it->count >= -3 && it->count <= 200);
    CHECK(isfinite(it->ratio) && it->ratio >= 0 && it->ratio <= 1);
    CHECK(it->colour >= 0 && it->colour <= 2);
    if (it->ids.items != NULL)
        check_ids(&it->ids, 1, 3);
    CHECK(it->json.size <= 10);
    if (it->bytes.data != NULL)
        CHECK(it->bytes.size >= 1 && it->bytes.size <= 4);
    CHECK(it->inner.line >= 0 && it->inner.line <= 99);
    if (it->inner.label.data != NULL)
        check_text(it->inner.label, 0, 5);
    check_ids(&it->inner.more, 0, 2);
}

static bool parse(cvn_slice payload, char *ret_message, size_t size)
{
    static const cvn_slice attachments[] = {{"\x01\x02\x03", 3}, {"12345", 5}};
    struct field_memory memory = {.size = field_memory_needed(fields, payload.size)};
    struct everything it = {0};
    struct field_error error = {0};
    memory.data = malloc(memory.size + (memory.size == 0));
    CHECK(memory.data != NULL);
    bool done =
        field_parse(fields, payload, (cvn_args){payload, attachments, 2}, &memory, &it, &error);
    CHECK(memory.used <= memory.size);
    if (done)
        check_everything(&it);
    else
        CHECK(error.message[0] != '\0' && strlen(error.message) < sizeof error.message);
    snprintf(ret_message, size, "%s %s", error.field != NULL ? error.field : "", error.message);
    free(memory.data);
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char first[200], second[200];
    char *copy = malloc(size + (size == 0));
    CHECK(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    const cvn_slice payload = {copy, size};
    if (size == 0 || cvn_json_is_valid(payload, 32)) {
        bool done = parse(payload, first, sizeof first);
        CHECK(parse(payload, second, sizeof second) == done);
        CHECK(strcmp(first, second) == 0);
    }
    free(copy);
    return 0;
}
