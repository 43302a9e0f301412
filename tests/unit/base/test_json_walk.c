/*
 * Walking JSON and decoding its strings: random trees that jansson has written are walked and compared value by value with what
 * jansson holds; members, numbers and strings by hand; every text at an unmapped page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/mem.h"
#include "json_cases.h"
#include "oracle.h"
#include "support/guard.h"

static unsigned seed = 1;

static unsigned random_below(unsigned bound)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16 & 0x7fff) % bound;
}

/* --- The walk against jansson's tree --- */

static void assert_same(cvn_slice text, const json_t *tree);

static void assert_same_string(cvn_slice string, const char *data, size_t size)
{
    struct buf buf;
    cvn_slice plain;
    buf_init(&buf, 1 << 20);
    assert_true(json_unescape(&buf, string));
    assert_true(slice_eq(buf_slice(&buf), slice_of(data, size)));
    if (json_plain_string(string, &plain)) {
        assert_true(slice_eq(plain, slice_of(data, size)));
        assert_ptr_equal(plain.data, string.data + 1);
    } else {
        assert_true(slice_find(string, '\\') < string.size);
    }
    buf_release(&buf);
}

static void assert_same_object(cvn_slice text, const json_t *tree)
{
    cvn_slice rest = json_inside(text), name, value;
    size_t members = 0;
    while (json_next_member(&rest, &name, &value)) {
        struct buf key;
        buf_init(&key, 1 << 20);
        assert_int_equal(json_type(name), JSON_STRING);
        assert_true(json_unescape(&key, name));
        json_t *member = json_object_getn(tree, key.data != NULL ? key.data : "", key.size);
        assert_non_null(member);
        assert_same(json_get(text, buf_slice(&key)), member);
        members++;
        buf_release(&key);
    }
    assert_int_equal(members, json_object_size(tree)); /* our trees have no key twice */
    assert_int_equal(rest.size, 0);
}

static void assert_same(cvn_slice text, const json_t *tree)
{
    switch (json_typeof(tree)) {
    case JANSSON_NULL:
        assert_int_equal(json_type(text), JSON_NULL);
        break;
    case JANSSON_TRUE:
        assert_int_equal(json_type(text), JSON_TRUE);
        break;
    case JANSSON_FALSE:
        assert_int_equal(json_type(text), JSON_FALSE);
        break;
    case JSON_INTEGER: {
        uint64_t number = 0;
        json_int_t expected = json_integer_value(tree);
        assert_int_equal(json_type(text), JSON_NUMBER);
        assert_int_equal(json_to_u64(text, &number), expected >= 0);
        assert_true(expected < 0 || number == (uint64_t)expected);
        break;
    }
    case JSON_REAL: {
        char digits[400];
        uint64_t number;
        assert_int_equal(json_type(text), JSON_NUMBER);
        assert_true(text.size < sizeof digits);
        memcpy(digits, text.data, text.size);
        digits[text.size] = '\0';
        assert_true(strtod(digits, NULL) == json_real_value(tree));
        assert_false(json_to_u64(text, &number));
        break;
    }
    case JANSSON_STRING:
        assert_int_equal(json_type(text), JSON_STRING);
        assert_same_string(text, json_string_value(tree), json_string_length(tree));
        break;
    case JANSSON_ARRAY: {
        cvn_slice rest = json_inside(text), value;
        size_t count = 0;
        assert_int_equal(json_type(text), JSON_ARRAY);
        for (; json_next(&rest, &value); count++)
            assert_same(value, json_array_get(tree, count));
        assert_int_equal(count, json_array_size(tree));
        assert_int_equal(rest.size, 0);
        break;
    }
    case JANSSON_OBJECT:
        assert_int_equal(json_type(text), JSON_OBJECT);
        assert_same_object(text, tree);
        break;
    }
}

static size_t random_text(char *ret)
{
    static const char *const pieces[] = {"a",
                                         "\"",
                                         "\\",
                                         "/",
                                         "\n",
                                         "\x01",
                                         "\x1f",
                                         "\x7f",
                                         "[",
                                         "}",
                                         ",",
                                         ":",
                                         "\xc3\xa4",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "\xef\xbf\xbf",
                                         "\xe2\x80\xa8",
                                         "plain text of some length",
                                         "\\u0041",
                                         " "};
    size_t size = 0;
    for (unsigned i = random_below(6); i > 0; i--) {
        const char *piece = pieces[random_below(sizeof pieces / sizeof *pieces)];
        memcpy(ret + size, piece, strlen(piece));
        size += strlen(piece);
    }
    return size;
}

static json_t *random_tree(unsigned depth)
{
    static const double reals[] = {0.5, -0.5, 1e300, -2.5e-10, 123456.789, 0.0, 1e20};
    static const json_int_t integers[] = {
        0, 1, -1, 42, 999999999999999999, 1000000000000000000, INT64_MAX, INT64_MIN};
    char text[200];
    switch (random_below(depth > 4 ? 6 : 9)) {
    case 0:
        return json_null();
    case 1:
        return json_true();
    case 2:
        return json_false();
    case 3:
        return json_real(reals[random_below(sizeof reals / sizeof *reals)]);
    case 4:
        return json_integer(integers[random_below(sizeof integers / sizeof *integers)]);
    case 5: {
        size_t size = random_text(text);
        if (random_below(10) == 0)
            text[size++] = '\0';
        return json_stringn(text, size);
    }
    case 6: {
        json_t *array = json_array();
        for (unsigned i = random_below(5); i > 0; i--)
            json_array_append_new(array, random_tree(depth + 1));
        return array;
    }
    default: {
        json_t *object = json_object();
        for (unsigned i = random_below(5); i > 0; i--) {
            size_t size = random_text(text);
            json_object_setn_new(object, text, size, random_tree(depth + 1));
        }
        return object;
    }
    }
}

static void test_trees(void **state)
{
    static const size_t styles[] = {JSON_COMPACT,
                                    0,
                                    JSON_INDENT(3),
                                    JSON_ENSURE_ASCII | JSON_COMPACT,
                                    JSON_ESCAPE_SLASH | JSON_SORT_KEYS,
                                    JSON_ENSURE_ASCII | JSON_INDENT(1)};
    (void)state;
    for (int round = 0; round < 3000; round++) {
        json_t *tree = random_tree(0);
        char *text = json_dumps(tree, styles[round % 6] | JSON_ENCODE_ANY);
        assert_non_null(text);
        size_t size = strlen(text);
        char *copy = guard_copy(text, size);
        assert_true(json_is_valid(slice_of(copy, size), 10));
        assert_same(slice_of(copy, size), tree);
        guard_free(copy, size);
        free(text);
        json_decref(tree);
    }
}

/* --- The other direction: our strings, read by jansson --- */

static void write_tree(struct buf *buf, const json_t *tree)
{
    const char *key;
    json_t *member;
    size_t i;
    switch (json_typeof(tree)) {
    case JANSSON_STRING:
        json_append_string(buf, slice_of(json_string_value(tree), json_string_length(tree)));
        break;
    case JANSSON_ARRAY:
        for (i = 0; i < json_array_size(tree); i++) {
            buf_append_byte(buf, i == 0 ? '[' : ',');
            write_tree(buf, json_array_get(tree, i));
        }
        buf_append_str(buf, i == 0 ? "[]" : "]");
        break;
    case JANSSON_OBJECT:
        i = 0;
        json_object_foreach((json_t *)tree, key, member)
        {
            buf_append_byte(buf, i++ == 0 ? '{' : ',');
            json_append_string(buf, cvn_str(key));
            buf_append_byte(buf, ':');
            write_tree(buf, member);
        }
        buf_append_str(buf, i == 0 ? "{}" : "}");
        break;
    default: {
        char *text = json_dumps(tree, JSON_ENCODE_ANY);
        buf_append_str(buf, text);
        free(text);
        break;
    }
    }
}

static void test_written(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 1 << 20);
    for (int round = 0; round < 3000; round++) {
        json_t *tree = random_tree(0);
        buf_clear(&buf);
        write_tree(&buf, tree);
        assert_false(buf.failed);
        assert_true(json_is_valid(buf_slice(&buf), 10));
        json_t *read = json_loadb(buf.data, buf.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_true(json_equal(read, tree));
        json_decref(read);
        json_decref(tree);
    }
    buf_release(&buf);
}

/* --- By hand --- */

static void test_types(void **state)
{
    static const struct {
        const char *text;
        enum json_type type;
    } cases[] = {{"", JSON_NONE},
                 {"  ", JSON_NONE},
                 {"null", JSON_NULL},
                 {"\t\r\n true", JSON_TRUE},
                 {"false", JSON_FALSE},
                 {"0", JSON_NUMBER},
                 {"-1", JSON_NUMBER},
                 {"9", JSON_NUMBER},
                 {"\"\"", JSON_STRING},
                 {"[]", JSON_ARRAY},
                 {" {}", JSON_OBJECT},
                 {"]", JSON_NONE},
                 {"x", JSON_NONE},
                 {"+1", JSON_NONE},
                 {"\xef\xbb\xbf", JSON_NONE}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(json_type(cvn_str(cases[i].text)), cases[i].type);
    assert_int_equal(json_type(slice_of(NULL, 0)), JSON_NONE);
}

/* White space around values and commas is dropped; the slices are the texts themselves. */
static void test_spaces(void **state)
{
    cvn_slice rest = SLICE(" 1 ,\t\"a , b\"\n, [ 2 , 3 ] ,{ \"x\" : [ ] },null "), value, name;
    static const char *const values[] = {"1", "\"a , b\"", "[ 2 , 3 ]", "{ \"x\" : [ ] }", "null"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_true(json_next(&rest, &value));
        assert_true(slice_eq(value, cvn_str(values[i])));
    }
    value = name = SLICE("untouched");
    assert_false(json_next(&rest, &value));
    assert_false(json_next(&rest, &value));
    assert_false(json_next_member(&rest, &name, &value));
    assert_true(slice_eq(value, SLICE("untouched")) && slice_eq(name, SLICE("untouched")));

    assert_true(slice_eq(json_inside(SLICE(" \n[ 1 ]\t")), SLICE(" 1 ")));
    assert_int_equal(json_inside(SLICE("[]")).size, 0);
    assert_int_equal(json_inside(SLICE("{}")).size, 0);
    assert_int_equal(json_inside(slice_of(NULL, 0)).size, 0);
    rest = json_inside(SLICE("{ \n }"));
    assert_false(json_next_member(&rest, &name, &value));
    rest = slice_of(NULL, 0);
    assert_false(json_next(&rest, &value));
    assert_false(json_next_member(&rest, &name, &value));

    rest = json_inside(SLICE("{ \"a\\\"\" : 1 , \"b\":\"}\"}"));
    assert_true(json_next_member(&rest, &name, &value));
    assert_true(slice_eq(name, SLICE("\"a\\\"\"")) && slice_eq(value, SLICE("1")));
    assert_true(json_next_member(&rest, &name, &value));
    assert_true(slice_eq(name, SLICE("\"b\"")) && slice_eq(value, SLICE("\"}\"")));
    assert_false(json_next_member(&rest, &name, &value));
}

static void assert_member(const char *object, cvn_slice key, const char *value)
{
    size_t size = strlen(object);
    char *copy = guard_copy(object, size);
    if (!slice_eq(json_get(slice_of(copy, size), key), cvn_str(value)))
        fail_msg("%.*s of %s", SLICE_ARG(key), object);
    guard_free(copy, size);
}

static void test_get(void **state)
{
    (void)state;
    assert_member("{\"a\":1,\"b\":2}", SLICE("b"), "2");
    assert_member("{\"a\":1,\"b\":2}", SLICE("c"), "");
    assert_member("{\"a\":1,\"b\":2}", SLICE(""), "");
    assert_member("{\"\":1}", SLICE(""), "1");
    assert_member(" { \"a\" : [ 1 ] } ", SLICE("a"), "[ 1 ]");
    assert_member("{\"x\":{\"a\":1},\"y\":[\"a\"]}", SLICE("a"), ""); /* not the inner ones */
    assert_member("{\"x\":\"a\"}", SLICE("a"), "");
    assert_member("{\"a\":1,\"b\":0,\"a\":2,\"a\":3}", SLICE("a"), "3"); /* the last one */
    assert_member("{\"a\":1,\"\\u0061\":2}", SLICE("a"), "2"); /* escaped is the same key */
    assert_member("{\"\\u0061\":2,\"a\":1}", SLICE("a"), "1");
    assert_member("{\"\\u00e4\\n\\ud83d\\ude00\":1}", SLICE("\xc3\xa4\n\xf0\x9f\x98\x80"), "1");
    assert_member("{\"a\\u0000b\":1}", SLICE("a\0b"), "1");
    assert_member("{\"a\\u0000b\":1}", SLICE("a"), "");
    assert_member("{\"\\ud800\":1}", SLICE("\xef\xbf\xbd"), "1"); /* as json_unescape says it */
    assert_member("[\"a\",1]", SLICE("a"), "");
    assert_member("\"a\"", SLICE("a"), "");
    assert_member("7", SLICE("a"), "");
    assert_member("null", SLICE("a"), "");
    assert_member("", SLICE("a"), "");
    assert_int_equal(json_get(slice_of(NULL, 0), SLICE("a")).size, 0);
}

/* Keys of any length are compared unescaped, with an escape at either end or in the middle. */
static void test_get_long(void **state)
{
    struct buf object, key;
    (void)state;
    buf_init(&object, 10000);
    buf_init(&key, 10000);
    for (size_t size = 1; size < 600; size += size < 240 || size > 270 ? 29 : 1)
        for (int place = 0; place < 4; place++) {
            size_t escape = place == 0 ? 0 : place == 1 ? size / 2 : size - 1;
            buf_clear(&object);
            buf_clear(&key);
            buf_append_str(&object, "{\"");
            for (size_t i = 0; i < size; i++) {
                if (place == 3 || i == escape) {
                    buf_append_str(&object, "\\ud83d\\ude00");
                    buf_append_str(&key, "\xf0\x9f\x98\x80");
                } else {
                    buf_append_byte(&object, 'k');
                    buf_append_byte(&key, 'k');
                }
            }
            buf_append_str(&object, "\":1}");
            assert_false(object.failed || key.failed);
            if (!slice_eq(json_get(buf_slice(&object), buf_slice(&key)), SLICE("1")))
                fail_msg("a key of %zu bytes, escapes at %d", key.size, place);
            key.data[key.size - 1] ^= 1; /* the same but for one byte, or shorter, or longer */
            assert_int_equal(json_get(buf_slice(&object), buf_slice(&key)).size, 0);
            key.data[key.size - 1] ^= 1;
            key.size--;
            assert_int_equal(json_get(buf_slice(&object), buf_slice(&key)).size, 0);
            key.size++;
            buf_append_byte(&key, 'k');
            assert_int_equal(json_get(buf_slice(&object), buf_slice(&key)).size, 0);
        }
    buf_release(&object);
    buf_release(&key);
}

static void test_u64(void **state)
{
    static const struct {
        const char *text;
        uint64_t number;
    } good[] = {{"0", 0},
                {"7", 7},
                {" 12\n", 12},
                {"999999999999999999", 999999999999999999},
                {"1000000000000000000", 1000000000000000000},
                {"9223372036854775808", 9223372036854775808u},
                {"18446744073709551609", 18446744073709551609u},
                {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"",
                                      " ",
                                      "-1",
                                      "-0",
                                      "1.0",
                                      "1e2",
                                      "0.5",
                                      "null",
                                      "true",
                                      "\"1\"",
                                      "[1]",
                                      "{}",
                                      "18446744073709551616",
                                      "18446744073709551620",
                                      "28446744073709551615",
                                      "99999999999999999999",
                                      "100000000000000000000",
                                      "184467440737095516150"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t number = 1234;
        if (!json_to_u64(cvn_str(good[i].text), &number) || number != good[i].number)
            fail_msg("%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t number = 1234;
        if (json_to_u64(cvn_str(bad[i]), &number) || number != 1234)
            fail_msg("%s", bad[i]);
    }
}

static void assert_unescaped(const char *string, cvn_slice text)
{
    size_t size = strlen(string);
    char *copy = guard_copy(string, size);
    struct buf buf;
    buf_init(&buf, text.size); /* just enough */
    if (!json_unescape(&buf, slice_of(copy, size)) || !slice_eq(buf_slice(&buf), text))
        fail_msg("%s", string);
    buf_release(&buf);
    buf_init(&buf, text.size > 0 ? text.size - 1 : 0);
    assert_int_equal(json_unescaped_size(slice_of(copy, size)), text.size);
    assert_int_equal(json_unescape(&buf, slice_of(copy, size)), text.size == 0);
    assert_int_equal(buf.failed, text.size > 0);
    buf_release(&buf);
    guard_free(copy, size);
}

static void test_unescape(void **state)
{
    (void)state;
    assert_unescaped("\"\"", SLICE(""));
    assert_unescaped("\"abc\"", SLICE("abc"));
    assert_unescaped("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", SLICE("\"\\/\b\f\n\r\t"));
    assert_unescaped("\"\\u0000\\u0001\\u007f\"", slice_of("\0\x01\x7f", 3));
    assert_unescaped("\"\\u0080\\u07ff\\u0800\\uffff\"",
                     SLICE("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"));
    assert_unescaped("\"\\uABCD\\uabcd\"", SLICE("\xea\xaf\x8d\xea\xaf\x8d"));
    assert_unescaped("\"\\ud800\\udc00\\udbff\\udfff\"", SLICE("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    assert_unescaped("\"\\uD83D\\uDE00\"", SLICE("\xf0\x9f\x98\x80"));
    /* Surrogates alone, each its own replacement. */
    assert_unescaped("\"\\ud83d\"", SLICE("\xef\xbf\xbd"));
    assert_unescaped("\"\\ude00\"", SLICE("\xef\xbf\xbd"));
    assert_unescaped("\"\\ude00\\ud83d\"", SLICE("\xef\xbf\xbd\xef\xbf\xbd"));
    assert_unescaped("\"\\ud83d\\ud83d\\ude00\"", SLICE("\xef\xbf\xbd\xf0\x9f\x98\x80"));
    assert_unescaped("\"\\ud83d\\u0041\"", SLICE("\xef\xbf\xbd"
                                                 "A"));
    assert_unescaped("\"\\ud83d\\n\"", SLICE("\xef\xbf\xbd\n"));
    assert_unescaped("\"\\ud83d ude00\"", SLICE("\xef\xbf\xbd ude00"));
    assert_unescaped("\"\\ud83d\\\\ude00\"", SLICE("\xef\xbf\xbd\\ude00"));
    assert_unescaped("\"\\\\ud83d\\ude00\"", SLICE("\\ud83d\xef\xbf\xbd"));
    assert_unescaped("\"\xc3\xa4\\u00e4\xc3\xa4\"", SLICE("\xc3\xa4\xc3\xa4\xc3\xa4"));
    struct buf buf;
    buf_init(&buf, 10);
    assert_false(json_unescape(&buf, SLICE("")));
    assert_false(json_unescape(&buf, SLICE("\"")));
    mem_fail_after(0, 1);
    assert_false(json_unescape(&buf, SLICE("\"a\"")));
    assert_true(buf.failed);
    mem_fail_after(0, 0);
    buf_release(&buf);
}

/* Every \u escape there is, and every pair around the surrogates' bounds. */
static void test_every_escape(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 100);
    for (unsigned point = 0; point < 0x10000; point++) {
        char string[20], expected[5];
        int size =
            snprintf(string, sizeof string, point & 1 ? "\"\\u%04x\"" : "\"\\u%04X\"", point);
        buf_clear(&buf);
        assert_true(json_unescape(&buf, slice_of(string, (size_t)size)));
        json_t *tree =
            point >= 0xd800 && point < 0xe000
                ? NULL
                : json_loadb(string, (size_t)size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        size_t length = tree != NULL ? json_string_length(tree) : 3;
        memcpy(expected, tree != NULL ? json_string_value(tree) : "\xef\xbf\xbd", length);
        if (!slice_eq(buf_slice(&buf), slice_of(expected, length)))
            fail_msg("%s", string);
        json_decref(tree);
    }
    for (unsigned high = 0xd7fe; high < 0xe002; high += high % 64 == 2 ? 59 : 1)
        for (unsigned low = 0xd7fe; low < 0xe002; low += low % 64 == 2 ? 59 : 1) {
            char string[20];
            int size = snprintf(string, sizeof string, "\"\\u%04x\\u%04x\"", high, low);
            bool pair = high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000;
            json_t *tree = json_loadb(string, (size_t)size, JSON_DECODE_ANY, NULL);
            buf_clear(&buf);
            assert_true(json_unescape(&buf, slice_of(string, (size_t)size)));
            assert_int_equal(buf.size, pair ? 4 : 6);
            assert_true(!pair || tree != NULL);
            if (tree != NULL)
                assert_memory_equal(buf.data, json_string_value(tree), buf.size);
            json_decref(tree);
        }
    buf_release(&buf);
}

static void test_plain(void **state)
{
    cvn_slice plain = SLICE("untouched");
    (void)state;
    assert_false(json_plain_string(SLICE("\"a\\n\""), &plain));
    assert_false(json_plain_string(SLICE("7"), &plain));
    assert_false(json_plain_string(SLICE("17"), &plain));
    assert_false(json_plain_string(SLICE("\""), &plain));
    assert_false(json_plain_string(slice_of(NULL, 0), &plain));
    assert_true(slice_eq(plain, SLICE("untouched")));
    assert_true(json_plain_string(SLICE("\"\xc3\xa4 /\""), &plain));
    assert_true(slice_eq(plain, SLICE("\xc3\xa4 /")));
    assert_true(json_plain_string(SLICE("\"\""), &plain));
    assert_int_equal(plain.size, 0);
}

/* Whatever of the table is valid can be walked; the values found are valid themselves. */
static void walk(cvn_slice text)
{
    cvn_slice rest = json_inside(text), name, value;
    assert_true(json_is_valid(text, 100));
    if (json_type(text) == JSON_ARRAY)
        while (json_next(&rest, &value))
            walk(value);
    else if (json_type(text) == JSON_OBJECT)
        while (json_next_member(&rest, &name, &value)) {
            walk(name);
            walk(value);
        }
    else
        return;
    while (rest.size > 0 && strchr(" \t\n\r", *rest.data) != NULL) /* left in an empty one */
        rest = slice_from(rest, 1);
    assert_int_equal(rest.size, 0);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < JSON_CASES; i++) {
        if (!json_cases[i].is_valid)
            continue;
        char *copy = guard_copy(json_cases[i].text, json_cases[i].size);
        walk(slice_of(copy, json_cases[i].size));
        guard_free(copy, json_cases[i].size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),        cmocka_unit_test(test_written),
        cmocka_unit_test(test_types),        cmocka_unit_test(test_spaces),
        cmocka_unit_test(test_get),          cmocka_unit_test(test_get_long),
        cmocka_unit_test(test_u64),          cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_every_escape), cmocka_unit_test(test_plain),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
