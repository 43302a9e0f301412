/* Tables of fields: every kind at its bounds, hostile payloads, the struct that is filled, the schema that is printed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "event/field.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const colours[] = {"red", "green", NULL};

struct place {
    int64_t line;
    cvn_slice label;
};

struct everything {
    cvn_slice text, id, json, bytes;
    int64_t count;
    double ratio;
    bool loud;
    int colour;
    struct field_list ids;
    struct place place;
};

static const struct field place_fields[] = {
    FIELD_INTEGER_REQUIRED(struct place, line, 1, 99, "line number"),
    FIELD_TEXT(struct place, label, 0, 5, FIELD_OPTIONAL, "its label"),
    FIELD_END,
};

static const struct field fields[] = {
    FIELD_TEXT(struct everything, text, 1, 5, FIELD_REQUIRED, "some \"text\""),
    FIELD_ID(struct everything, id, FIELD_OPTIONAL, "an id"),
    FIELD_INTEGER(struct everything, count, -3, 200, 50, "how many"),
    FIELD_NUMBER(struct everything, ratio, 0, 1, FIELD_OPTIONAL, "a ratio"),
    FIELD_BOOLEAN_AS("isLoud", struct everything, loud, FIELD_OPTIONAL, 1, "whether it is loud"),
    FIELD_CHOICE(struct everything, colour, colours, FIELD_OPTIONAL, "a colour"),
    FIELD_IDS_AS("memberIds", struct everything, ids, 1, 3, FIELD_OPTIONAL, "who"),
    FIELD_JSON(struct everything, json, 10, FIELD_OPTIONAL, "anything"),
    FIELD_OBJECT(struct everything, place, place_fields, FIELD_OPTIONAL, "where"),
    FIELD_BINARY(struct everything, bytes, 1, 4, FIELD_OPTIONAL, "bytes"),
    FIELD_END,
};

/* Parses with exactly the memory that is said to suffice, so that a sanitizer sees one byte too many. */
static bool parse(const char *payload, struct everything *ret, struct field_error *ret_error)
{
    static struct field_memory memory; /* kept for what ret points to, until the next */
    static const cvn_slice attachments[] = {{"\x01\x02\x03", 3}, {"12345", 5}};
    const cvn_args args = {cvn_str(payload), attachments, 2};
    free(memory.data);
    memory = (struct field_memory){.size = field_memory_needed(fields, strlen(payload))};
    memory.data = memory.size > 0 ? malloc(memory.size) : NULL;
    *ret = (struct everything){0};
    *ret_error = (struct field_error){0};
    bool done = field_parse(fields, cvn_str(payload), args, &memory, ret, ret_error);
    if (payload[0] == '\0') { /* the last call of a test gives the memory back */
        free(memory.data);
        memory.data = NULL;
    }
    return done;
}

static void assert_text(cvn_slice slice, const char *text)
{
    assert_int_equal(slice.size, strlen(text));
    assert_string_equal(slice.data, text);
}

static void test_fills_everything(void **state)
{
    (void)state;
    struct everything it;
    struct field_error error;
    assert_true(parse("{\"text\":\"\\u00e4\\n\\\"xy\",\"id\":\"a:b\",\"count\":-3,\"ratio\":0.5,"
                      "\"isLoud\":false,\"colour\":\"green\","
                      "\"memberIds\":[\"u1\",\"u\\u00fc\",\"u3\"],\"json\":{\"a\":[1]},\"place\":{"
                      "\"line\":7,\"label\":\"l\"},"
                      "\"bytes\":{\"_placeholder\":true,\"num\":0},\"other\":1}",
                      &it, &error));
    assert_text(it.text, "\xc3\xa4\n\"xy");
    assert_text(it.id, "a:b");
    assert_int_equal(it.count, -3);
    assert_true(it.ratio == 0.5);
    assert_false(it.loud);
    assert_int_equal(it.colour, 2);
    assert_int_equal(it.ids.count, 3);
    assert_text(it.ids.items[0], "u1");
    assert_text(it.ids.items[1], "u\xc3\xbc");
    assert_int_equal(it.json.size, 9);
    assert_int_equal(it.place.line, 7);
    assert_text(it.place.label, "l");
    assert_int_equal(it.bytes.size, 3);
    parse("", &it, &error);
}

static void test_what_is_absent(void **state)
{
    (void)state;
    struct everything it;
    struct field_error error;
    assert_true(parse("{\"text\":\"x\",\"id\":null,\"count\":null}", &it, &error));
    assert_null(it.id.data);
    assert_null(it.json.data);
    assert_int_equal(it.count, 50);
    assert_true(it.ratio == 0);
    assert_true(it.loud);
    assert_int_equal(it.colour, 0);
    assert_int_equal(it.ids.count, 0);
    assert_false(parse("", &it, &error)); /* no payload is an empty one */
    assert_string_equal(error.field, "text");
    assert_string_equal(error.message, "is missing");
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *field;
    } cases[] = {
        {"[]", NULL},
        {"\"text\"", NULL},
        {"null", NULL},
        {"{\"text\":null}", "text"},
        {"{\"text\":\"\"}", "text"},
        {"{\"text\":\"123456\"}", "text"},
        {"{\"text\":5}", "text"},
        {"{\"text\":\"a\\u0000\"}", "text"},
        {"{\"text\":[\"x\"]}", "text"},
        {"{\"text\":\"x\",\"id\":\"\"}", "id"},
        {"{\"text\":\"x\",\"id\":\"a\\nb\"}", "id"},
        {"{\"text\":\"x\",\"id\":7}", "id"},
        {"{\"text\":\"x\",\"count\":-4}", "count"},
        {"{\"text\":\"x\",\"count\":201}", "count"},
        {"{\"text\":\"x\",\"count\":1.5}", "count"},
        {"{\"text\":\"x\",\"count\":\"5\"}", "count"},
        {"{\"text\":\"x\",\"count\":99999999999999999999}", "count"},
        {"{\"text\":\"x\",\"ratio\":1.01}", "ratio"},
        {"{\"text\":\"x\",\"ratio\":1e999}", "ratio"},
        {"{\"text\":\"x\",\"isLoud\":1}", "isLoud"},
        {"{\"text\":\"x\",\"colour\":\"blue\"}", "colour"},
        {"{\"text\":\"x\",\"colour\":1}", "colour"},
        {"{\"text\":\"x\",\"memberIds\":[]}", "memberIds"},
        {"{\"text\":\"x\",\"memberIds\":[\"a\",\"b\",\"c\",\"d\"]}", "memberIds"},
        {"{\"text\":\"x\",\"memberIds\":[1,2,3]}", "memberIds"},
        {"{\"text\":\"x\",\"memberIds\":[1,2]}", "memberIds"},
        {"{\"text\":\"x\",\"memberIds\":{\"0\":\"a\"}}", "memberIds"},
        {"{\"text\":\"x\",\"json\":[1,2,3,4,5,6]}", "json"},
        {"{\"text\":\"x\",\"place\":{}}", "line"},
        {"{\"text\":\"x\",\"place\":[]}", NULL},
        {"{\"text\":\"x\",\"place\":{\"line\":1,\"label\":\"123456\"}}", "label"},
        {"{\"text\":\"x\",\"bytes\":\"abc\"}", "bytes"},
        {"{\"text\":\"x\",\"bytes\":{\"_placeholder\":true,\"num\":1}}", "bytes"},
        {"{\"text\":\"x\",\"bytes\":{\"_placeholder\":true,\"num\":2}}", "bytes"},
    };
    struct everything it;
    struct field_error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (parse(cases[i].payload, &it, &error))
            fail_msg("taken: %s", cases[i].payload);
        if (cases[i].field == NULL)
            assert_null(error.field);
        else
            assert_string_equal(error.field, cases[i].field);
        assert_true(error.message[0] != '\0');
    }
    parse("", &it, &error);
}

static void test_longest_ids(void **state)
{
    (void)state;
    struct everything it;
    struct field_error error;
    char payload[300], id[FIELD_ID_MAX + 2];
    for (size_t size = FIELD_ID_MAX; size <= FIELD_ID_MAX + 1; size++) {
        memset(id, 'i', size);
        id[size] = '\0';
        snprintf(payload, sizeof payload, "{\"text\":\"x\",\"id\":\"%s\"}", id);
        assert_int_equal(parse(payload, &it, &error), size == FIELD_ID_MAX);
    }
    parse("", &it, &error);
}

static void test_schema(void **state)
{
    (void)state;
    cvn_text *text = cvn_text_new(10000);
    field_append_schema(fields, text);
    json_error_t error;
    json_t *schema = json_loadb(cvn_text_slice(text).data, cvn_text_slice(text).size, 0, &error);
    assert_non_null(schema);
    const json_t *properties = json_object_get(schema, "properties");
    assert_int_equal(json_object_size(properties), 10);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(properties, "text"), "description")),
        "some \"text\"");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(properties, "count"), "default")), 50);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(properties, "count"), "minimum")), -3);
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(properties, "colour"), "enum")), 2);
    assert_int_equal(json_array_size(json_object_get(schema, "required")), 1);
    assert_string_equal(json_string_value(json_array_get(
                            json_object_get(json_object_get(properties, "place"), "required"), 0)),
                        "line");
    json_decref(schema);
    cvn_text_clear(text);
    field_append_schema(NULL, text);
    assert_int_equal(cvn_text_slice(text).size, strlen("{\"type\":\"object\",\"properties\":{}}"));
    cvn_text_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_everything), cmocka_unit_test(test_what_is_absent),
        cmocka_unit_test(test_refuses),          cmocka_unit_test(test_longest_ids),
        cmocka_unit_test(test_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
