/*
 * Is it JSON? The table of json_cases.h; every change of one byte to its texts and every place to cut them, judged by jansson
 * too; depth to the last bracket; sizes of megabytes. Texts end at an unmapped page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "json_cases.h"
#include "oracle.h"
#include "support/guard.h"

static unsigned seed = 1;

static unsigned random_below(unsigned bound)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16 & 0x7fff) % bound;
}

/* On a copy at the edge of a page; short texts, of which there are many, share one area. */
static bool is_valid(const char *text, size_t size)
{
    static char area[1000], *edge;
    if (edge == NULL)
        edge = guard_copy(area, sizeof area);
    char *copy = size <= sizeof area ? edge + sizeof area - size : guard_copy(text, size);
    if (size > 0)
        memcpy(copy, text, size);
    bool valid = json_is_valid(slice_of(copy, size), 100);
    if (size > sizeof area)
        guard_free(copy, size);
    return valid;
}

/* jansson's opinion; where it is stricter than the RFC asks for, or has limits of C's types, ours counts instead. A NUL behind
 * a value ends the text for jansson; there the table speaks alone. */
static bool jansson_says(const char *text, size_t size, bool ours)
{
    json_error_t error;
    json_t *value = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (value != NULL) {
        json_decref(value);
        return size > 0 && memchr(text, '\0', size) != NULL ? ours : true;
    }
    enum json_error_code code = json_error_code(&error);
    if (code == json_error_numeric_overflow || code == json_error_null_byte_in_key)
        return ours;
    if (ours && strstr(error.text, "invalid Unicode") != NULL) /* lone surrogates */
        return ours;
    return false;
}

static void assert_as_jansson(const char *text, size_t size)
{
    bool ours = is_valid(text, size);
    if (ours != jansson_says(text, size, ours))
        fail_msg("%s here: %.*s", ours ? "valid" : "invalid", (int)size, text);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < JSON_CASES; i++) {
        const struct json_case *one = &json_cases[i];
        if (is_valid(one->text, one->size) != one->is_valid)
            fail_msg("%.*s", (int)one->size, one->text);
        assert_as_jansson(one->text, one->size);
    }
    assert_false(json_is_valid(slice_of(NULL, 0), 100));
}

/* The same texts as the member of an array and an object, behind white space that moves them across the fast path's blocks. */
static void test_cases_inside(void **state)
{
    (void)state;
    for (size_t i = 0; i < JSON_CASES; i++)
        for (int shift = 0; shift < 17; shift++) {
            const struct json_case *one = &json_cases[i];
            char text[400];
            size_t size = (size_t)snprintf(text, sizeof text, "%*s[{\"a\":", shift, "");
            memcpy(text + size, one->text, one->size);
            size += one->size;
            memcpy(text + size, "},1]", 4);
            size += 4;
            /* Bad texts may become good in there, like `1,"b":2`, but not these. */
            if (is_valid(text, size) != one->is_valid)
                fail_msg("%.*s", (int)size, text);
        }
}

static void test_every_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < JSON_CASES; i++) {
        const struct json_case *one = &json_cases[i];
        char text[200];
        if (!one->is_valid || one->size > 30)
            continue;
        for (size_t at = 0; at < one->size; at++) {
            memcpy(text, one->text, one->size);
            for (int byte = 0; byte < 256; byte++) {
                text[at] = (char)byte;
                assert_as_jansson(text, one->size);
            }
        }
    }
}

static void test_every_insertion(void **state)
{
    static const char inserts[] = "\"\\,:[]{} \n0-1.eEu+tfnd\x00\x1f\x7f\x80\xc3\xa4\xff";
    (void)state;
    for (size_t i = 0; i < JSON_CASES; i++) {
        const struct json_case *one = &json_cases[i];
        char text[200];
        if (one->size > 100)
            continue;
        for (size_t at = 0; at <= one->size; at++) {
            memcpy(text, one->text, at);
            memcpy(text + at, one->text + at + 1, at < one->size ? one->size - at - 1 : 0);
            if (at < one->size) /* one left out */
                assert_as_jansson(text, one->size - 1);
            memcpy(text + at + 1, one->text + at, one->size - at);
            for (size_t k = 0; k < sizeof inserts - 1; k++) {
                text[at] = inserts[k];
                assert_as_jansson(text, one->size + 1);
            }
        }
    }
}

/* A text with everything in it, cut at every byte: no part of it is JSON. */
static void test_truncated(void **state)
{
    static const char text[] =
        "{\"name\":\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\\"quoted\\\" "
        "\\u00e4\",\"list\":[1,-2.5e+10,true,false,null,"
        "[],{},[[0]]],\"key \\n\":{\"deep\":{\"deeper\":[\"0123456789abcdef0123456789abcdef\"]}}}";
    (void)state;
    assert_true(is_valid(text, sizeof text - 1));
    for (size_t size = 0; size < sizeof text - 1; size++)
        if (is_valid(text, size))
            fail_msg("%.*s", (int)size, text);
    for (size_t from = 1; from < sizeof text - 1; from++)
        assert_as_jansson(text + from, sizeof text - 1 - from);
    /* The tables' texts, too. */
    for (size_t i = 0; i < JSON_CASES; i++)
        for (size_t size = 0; size < json_cases[i].size; size++)
            assert_as_jansson(json_cases[i].text, size);
}

/* --- Lists: as an array without its brackets --- */

static void assert_list(const char *text, size_t size)
{
    char array[500];
    array[0] = '[';
    memcpy(array + 1, text, size);
    array[size + 1] = ']';
    char *copy = guard_copy(text, size);
    for (unsigned depth = 0; depth < 4; depth++) {
        bool valid = json_is_valid_list(slice_of(copy, size), depth);
        if (valid != json_is_valid(slice_of(array, size + 2), depth + 1))
            fail_msg("depth %u: %.*s", depth, (int)size, text);
    }
    guard_free(copy, size);
}

static void test_lists(void **state)
{
    static const char *const good[] = {
        "", " ", "1", "1,2", " 1 , \"a\" , {} ", "[],[]", "\"event\",{\"a\":[1,2]},null"};
    static const char *const bad[] = {",",        "1,",      ",1",    "1,,2", "1 2",
                                      "]",        "[",       "1],[2", "],[",  "1]",
                                      "{\"a\":1", "\"a\":1", "\"a",   "\xff", "1,\v"};
    (void)state;
    assert_true(json_is_valid_list(slice_of(NULL, 0), 0));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!json_is_valid_list(cvn_str(good[i]), 10))
            fail_msg("%s", good[i]);
        assert_list(good[i], strlen(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (json_is_valid_list(cvn_str(bad[i]), 10))
            fail_msg("%s", bad[i]);
        assert_list(bad[i], strlen(bad[i]));
    }
    for (size_t i = 0; i < JSON_CASES; i++) {
        assert_list(json_cases[i].text, json_cases[i].size);
        for (size_t k = i % 7; k < JSON_CASES; k += 7) { /* pairs of them */
            char text[400];
            size_t size = json_cases[i].size;
            memcpy(text, json_cases[i].text, size);
            text[size++] = ',';
            memcpy(text + size, json_cases[k].text, json_cases[k].size);
            assert_list(text, size + json_cases[k].size);
        }
    }
}

/* --- Depth --- */

/* `depth` containers of a kind each, one inside the other. Returns the size; *ret_close is where the closing brackets begin. */
static size_t nest(char *text, unsigned depth, const bool *objects, size_t *ret_close)
{
    size_t size = 0;
    for (unsigned i = 0; i < depth; i++) {
        memcpy(text + size, objects[i] ? "{\"a\":" : "[", objects[i] ? 5 : 1);
        size += objects[i] ? 5 : 1;
    }
    if (depth == 0 || objects[depth - 1] || random_below(2) == 0)
        text[size++] = '0';
    *ret_close = size;
    for (unsigned i = depth; i > 0; i--)
        text[size++] = objects[i - 1] ? '}' : ']';
    return size;
}

static void test_depth(void **state)
{
    static const unsigned depths[] = {0,   1,   2,   3,    62,   63,   64,   65,  127,
                                      128, 129, 500, 1023, 1024, 1025, 1100, 1200};
    static const unsigned limits[] = {0,   1,    2,    3,    63,   64,        65,
                                      128, 1023, 1024, 1025, 5000, UINT32_MAX};
    static char text[10000];
    bool objects[1200];
    (void)state;
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
        for (unsigned kind = 0; kind < 4; kind++) {
            size_t close;
            for (unsigned i = 0; i < depths[d]; i++)
                objects[i] = kind == 0 ? false : kind == 1 ? true : random_below(2) == 0;
            size_t size = nest(text, depths[d], objects, &close);
            for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
                bool fits = depths[d] <= limits[l] && depths[d] <= JSON_MAX_DEPTH;
                if (json_is_valid(slice_of(text, size), limits[l]) != fits ||
                    json_is_valid_list(slice_of(text, size), limits[l]) != fits)
                    fail_msg("depth %u, limit %u", depths[d], limits[l]);
            }
            /* Each closing bracket in turn is one of the other kind, or missing, or one too many. */
            if (depths[d] > JSON_MAX_DEPTH)
                continue;
            for (size_t at = close; at < size; at++) {
                text[at] ^= ']' ^ '}';
                assert_false(json_is_valid(slice_of(text, size), JSON_MAX_DEPTH));
                text[at] ^= ']' ^ '}';
            }
            assert_false(depths[d] > 0 && json_is_valid(slice_of(text, size - 1), JSON_MAX_DEPTH));
            text[size] = ']';
            assert_false(json_is_valid(slice_of(text, size + 1), JSON_MAX_DEPTH));
        }
}

/* Depth is how deep it is now, not how many brackets there were: kinds change at the same depth again and again. */
static void test_breadth(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 1 << 20);
    for (int round = 0; round < 200; round++) {
        char open[70];
        unsigned depth = 1;
        buf_clear(&buf);
        buf_append_str(&buf, "[0");
        for (int i = 0; i < 400; i++) {
            if (depth < 66 && random_below(2) == 0) {
                bool object = random_below(2) == 0;
                if (depth > 1 && open[depth - 1] == '}')
                    buf_append_str(&buf, ",\"k\":");
                else
                    buf_append_byte(&buf, ',');
                buf_append_str(&buf, object ? "{\"k\":0" : "[0");
                open[depth++] = object ? '}' : ']';
            } else if (depth > 1) {
                buf_append_byte(&buf, open[--depth]);
            }
        }
        while (depth > 1)
            buf_append_byte(&buf, open[--depth]);
        buf_append_byte(&buf, ']');
        assert_false(buf.failed);
        assert_true(json_is_valid(buf_slice(&buf), 66));
        assert_true(jansson_says(buf.data, buf.size, true));
        size_t at = random_below((unsigned)buf.size); /* any one bracket less */
        while (strchr("[]{}", buf.data[at]) == NULL)
            at = (at + 1) % buf.size;
        buf.data[at] = ' ';
        assert_false(json_is_valid(buf_slice(&buf), 66));
    }
    buf_release(&buf);
}

/* --- Size --- */

#define HUGE_SIZE ((size_t)8 << 20)

/* `front`, then `unit` over and over until it is huge, then `back`. */
static void assert_huge(const char *front, const char *unit, const char *back, bool valid)
{
    size_t lead = strlen(front), length = strlen(unit), tail = strlen(back);
    size_t units = (HUGE_SIZE - lead - tail) / length, size = lead + units * length + tail;
    char *text = malloc(size);
    assert_non_null(text);
    memcpy(text, front, lead);
    for (size_t i = 0; i < units; i++)
        memcpy(text + lead + i * length, unit, length);
    memcpy(text + size - tail, back, tail);
    if (is_valid(text, size) != valid)
        fail_msg("%s%s%s...%s", front, unit, unit, back);
    free(text);
}

static void test_huge(void **state)
{
    (void)state;
    assert_huge("[0", ",1", "]", true);
    assert_huge("[0", ",1", "", false);
    assert_huge("[0", ",1", ",]", false);
    assert_huge("[[]", ",[]", "]", true);
    assert_huge("{\"k\":0", ",\"k\":{}", "}", true);
    assert_huge("\"", "a", "\"", true);
    assert_huge("\"", "a", "", false);
    assert_huge("\"", "a", "\n\"", false);
    assert_huge("\"", "\\\\", "\"", true);
    assert_huge("\"", "\\\\", "\\\"", false);
    assert_huge("\"", "\\ud800", "\"", true);
    assert_huge("\"", "\xf0\x9f\x98\x80", "\"", true);
    assert_huge("\"", "\xf0\x9f\x98\x80", "\xf0\"", false);
    assert_huge("", "1", "", true);
    assert_huge("-0.", "0", "e5", true);
    assert_huge("1e", "9", "", true);
    assert_huge("", " ", "1", true);
    assert_huge("1", "\n", "", true);
    assert_huge("", " ", "", false);
    assert_huge("", "[", "", false);
    assert_huge("", "{\"a\":", "", false);
    assert_huge("", "]", "", false);
    assert_huge("", "-", "", false);
    assert_huge("", "\"", "", false);
}

/* --- Random texts out of the grammar's pieces, mostly almost right --- */

static void random_value(struct buf *buf, unsigned depth)
{
    static const char *const scalars[] = {"null",         "true",       "false", "0",
                                          "-1",           "1.5e3",      "\"\"",  "\"a\\n\"",
                                          "\"\xc3\xa4\"", "\"\\u00e4\""};
    unsigned kind = random_below(depth > 4 ? 1 : 3);
    if (kind == 0) {
        buf_append_str(buf, scalars[random_below(10)]);
        return;
    }
    buf_append_byte(buf, kind == 1 ? '[' : '{');
    for (unsigned i = 0, count = random_below(4); i < count; i++) {
        if (i > 0)
            buf_append_str(buf, random_below(5) == 0 ? " , " : ",");
        if (kind == 2)
            buf_append_str(buf, random_below(5) == 0 ? "\"k\" : " : "\"k\":");
        random_value(buf, depth + 1);
    }
    buf_append_byte(buf, kind == 1 ? ']' : '}');
}

static void test_random(void **state)
{
    static const char pieces[] = "\"\"\\,,::[]{}  0-1.eu\x80";
    struct buf buf;
    (void)state;
    buf_init(&buf, 1 << 20);
    for (int round = 0; round < 20000; round++) {
        buf_clear(&buf);
        random_value(&buf, 0);
        assert_true(is_valid(buf.data, buf.size));
        for (unsigned i = random_below(3); i > 0; i--)
            buf.data[random_below((unsigned)buf.size)] = pieces[random_below(sizeof pieces - 1)];
        assert_as_jansson(buf.data, buf.size);
    }
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),        cmocka_unit_test(test_cases_inside),
        cmocka_unit_test(test_every_change), cmocka_unit_test(test_every_insertion),
        cmocka_unit_test(test_truncated),    cmocka_unit_test(test_lists),
        cmocka_unit_test(test_depth),        cmocka_unit_test(test_breadth),
        cmocka_unit_test(test_huge),         cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
