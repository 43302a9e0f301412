/* Slices: every helper at its edges, empty slices without data among them; texts end at an unmapped page. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/slice.h"
#include "support/guard.h"

static const cvn_slice nothing = {NULL, 0};

static void test_equality(void **state)
{
    (void)state;
    assert_true(slice_eq(nothing, nothing));
    assert_true(slice_eq(nothing, SLICE("")));
    assert_true(slice_eq(slice_of("a\0b", 3), slice_of("a\0b", 3)));
    assert_false(slice_eq(slice_of("a\0b", 3), slice_of("a\0c", 3)));
    assert_false(slice_eq(SLICE("a"), SLICE("ab")));
    assert_false(slice_eq(nothing, SLICE("a")));
    assert_false(slice_eq(SLICE("a"), SLICE("A")));
}

static void test_nocase(void **state)
{
    (void)state;
    assert_true(slice_eq_nocase(nothing, SLICE("")));
    assert_true(slice_eq_nocase(SLICE("Content-Length"), SLICE("cONTENT-lENGTH")));
    assert_false(slice_eq_nocase(SLICE("a"), SLICE("ab")));
    /* For each pair of bytes: equal if the same, or the two cases of one ASCII letter. */
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            char x = (char)a, y = (char)b;
            bool letters =
                (a >= 'A' && a <= 'Z' && b == a + 32) || (b >= 'A' && b <= 'Z' && a == b + 32);
            assert_int_equal(slice_eq_nocase(slice_of(&x, 1), slice_of(&y, 1)), a == b || letters);
        }
}

static void test_parts(void **state)
{
    cvn_slice text = SLICE("abc");
    (void)state;
    assert_true(slice_eq(slice_from(text, 0), text));
    assert_true(slice_eq(slice_from(text, 2), SLICE("c")));
    assert_int_equal(slice_from(text, 3).size, 0);
    assert_int_equal(slice_from(nothing, 0).size, 0);

    assert_true(slice_starts_with(text, SLICE("ab")));
    assert_true(slice_starts_with(text, text));
    assert_true(slice_starts_with(text, nothing));
    assert_true(slice_starts_with(nothing, nothing));
    assert_false(slice_starts_with(text, SLICE("abcd")));
    assert_false(slice_starts_with(text, SLICE("b")));
    assert_false(slice_starts_with(nothing, SLICE("a")));

    assert_true(slice_ends_with(text, SLICE("bc")));
    assert_true(slice_ends_with(text, text));
    assert_true(slice_ends_with(text, nothing));
    assert_true(slice_ends_with(nothing, nothing));
    assert_false(slice_ends_with(text, SLICE("zabc")));
    assert_false(slice_ends_with(text, SLICE("b")));
    assert_false(slice_ends_with(nothing, SLICE("a")));
}

static void test_trim(void **state)
{
    static const struct {
        const char *text, *trimmed;
    } cases[] = {{"", ""},
                 {" ", ""},
                 {"\t \t", ""},
                 {"a", "a"},
                 {" a", "a"},
                 {"a\t", "a"},
                 {" \ta b\t ", "a b"},
                 {"\na\n", "\na\n"},
                 {"\r\n a", "\r\n a"},
                 {"\v\f", "\v\f"},
                 {"a\xa0", "a\xa0"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = strlen(cases[i].text);
        char *copy = guard_copy(cases[i].text, size);
        cvn_slice trimmed = slice_trim(slice_of(copy, size));
        assert_true(slice_eq(trimmed, cvn_str(cases[i].trimmed)));
        guard_free(copy, size);
    }
    assert_int_equal(slice_trim(nothing).size, 0);
}

static void test_find(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE("abca"), 'a'), 0);
    assert_int_equal(slice_find(SLICE("abca"), 'c'), 2);
    assert_int_equal(slice_find(SLICE("abca"), 'z'), 4);
    assert_int_equal(slice_find(slice_of("a\0b", 3), '\0'), 1);
    assert_int_equal(slice_find(SLICE("abc"), '\0'), 3); /* the literal's own NUL is not in it */
    assert_int_equal(slice_find(SLICE("a\xff"), '\xff'), 1);
    assert_int_equal(slice_find(nothing, 'a'), 0);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t number;
    } good[] = {{"0", 0},
                {"7", 7},
                {"007", 7},
                {"000000000000000000", 0},
                {"4294967296", 4294967296},
                {"999999999999999999", 999999999999999999}};
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "-1",
                                      "1.0",
                                      "1e3",
                                      "0x1",
                                      "1a",
                                      "a",
                                      "/",
                                      ":",
                                      "1000000000000000000",
                                      "0000000000000000001",
                                      "18446744073709551616",
                                      "\xd9\xa1"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t size = strlen(good[i].text);
        char *copy = guard_copy(good[i].text, size);
        uint64_t number = 1234;
        assert_true(slice_to_u64(slice_of(copy, size), &number));
        assert_true(number == good[i].number);
        guard_free(copy, size);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t number = 1234;
        if (slice_to_u64(cvn_str(bad[i]), &number) || number != 1234)
            fail_msg("'%s'", bad[i]);
    }
    uint64_t number = 1234;
    assert_false(slice_to_u64(slice_of("1\0", 2), &number));
    assert_false(slice_to_u64(nothing, &number));
    assert_true(number == 1234);
}

static void test_printing(void **state)
{
    char text[20];
    (void)state;
    snprintf(text, sizeof text, "[%.*s|%.*s]", SLICE_ARG(slice_of("abc", 2)), SLICE_ARG(nothing));
    assert_string_equal(text, "[ab|]");
    assert_int_equal(cvn_str(NULL).size, 0);
    assert_int_equal(SLICE("a\0b").size, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality), cmocka_unit_test(test_nocase),
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_trim),
        cmocka_unit_test(test_find),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_printing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
