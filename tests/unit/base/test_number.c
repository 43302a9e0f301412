/*
 * Decimal text and doubles: vectors at the edges of the format, every power of ten, halves between neighbours, numbers of thousands of
 * digits, random bits, all against the C library; and the same under a locale with another decimal point, where the machine has one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include "support/guard.h"

static uint64_t seed = 1;

static uint64_t random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static double random_double(void)
{
    uint64_t bits = random_bits();
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void assert_same(double a, double b, const char *text)
{
    if (memcmp(&a, &b, sizeof a) != 0)
        fail_msg("%s: %a instead of %a", text, a, b);
}

static void assert_reads(const char *text, double expected)
{
    size_t size = strlen(text);
    char *copy = guard_copy(text, size);
    assert_same(number_from_json(slice_of(copy, size)), expected, text);
    guard_free(copy, size);
}

static void test_reading(void **state)
{
    static const struct {
        const char *text;
        double number;
    } cases[] = {
        {"0", 0.0},
        {"-0", -0.0},
        {"0.0", 0.0},
        {"-0.000e5", -0.0},
        {"1", 1.0},
        {"-1", -1.0},
        {"10", 10.0},
        {"0.1", 0.1},
        {"0.10", 0.1},
        {"1.5", 1.5},
        {"100e-2", 1.0},
        {"1E3", 1000.0},
        {"1e+3", 1000.0},
        {"0.001e3", 1.0},
        {"123456789012345", 123456789012345.0},
        {"123456789012345678", 123456789012345678.0},
        {"9007199254740993", 9007199254740992.0}, /* half way: to the even one */
        {"9007199254740993.0000000000000000000001", 9007199254740994.0},
        {"1e22", 1e22},
        {"1e23", 1e23},
        {"1e-22", 1e-22},
        {"1e-23", 1e-23},
        {"1.7976931348623157e308", DBL_MAX},
        {"1.7976931348623159e308", HUGE_VAL},
        {"1e309", HUGE_VAL},
        {"-1e309", -HUGE_VAL},
        {"1e999999999999999999999999", HUGE_VAL},
        {"1e-999999999999999999999999", 0.0},
        {"-1e-999999999999999999999999", -0.0},
        {"0e999999999999999999999999", 0.0},
        {"2.2250738585072014e-308", DBL_MIN},
        {"2.2250738585072011e-308", 2.2250738585072011e-308},
        {"5e-324", 5e-324},
        {"2.4703282292062327e-324", 0.0},
        {"2.4703282292062328e-324", 5e-324},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_reads(cases[i].text, cases[i].number);
}

static void test_powers_of_ten(void **state)
{
    char text[64];
    (void)state;
    for (int power = -330; power <= 310; power++)
        for (int digits = 1; digits <= 19; digits += 3) {
            snprintf(text, sizeof text, "%.*se%d", digits, "9182736455463728191", power);
            assert_reads(text, strtod(text, NULL));
            snprintf(text, sizeof text, "-0.%.*se%d", digits, "0001230456078900001", power);
            assert_reads(text, strtod(text, NULL));
        }
}

/* More digits than are kept: what is behind them decides between two neighbours when the rest is exactly half way. */
static void test_many_digits(void **state)
{
    enum { ZEROS = 3000 };
    char text[ZEROS + 100];
    (void)state;
    for (int is_more = 0; is_more <= 1; is_more++) {
        size_t size = (size_t)snprintf(text, sizeof text, "9007199254740993.");
        memset(text + size, '0', ZEROS);
        text[size + ZEROS] = is_more ? '1' : '0';
        text[size + ZEROS + 1] = '\0';
        assert_reads(text, is_more ? 9007199254740994.0 : 9007199254740992.0);
    }
    /* A point anywhere in a long row, made good by the exponent. */
    for (int zeros = 0; zeros < ZEROS; zeros += 271) {
        int size = snprintf(text, sizeof text, "0.%0*d", zeros + 1, 0);
        snprintf(text + size, sizeof text - (size_t)size, "125e%d", zeros + 2);
        assert_reads(text, 1.25);
        size = snprintf(text, sizeof text, "125%0*d", zeros + 1, 0);
        snprintf(text + size, sizeof text - (size_t)size, "e-%d", zeros + 1);
        assert_reads(text, 125);
    }
}

static void assert_writes(double number, const char *expected)
{
    struct buf buf;
    buf_init(&buf, 100);
    buf_append_byte(&buf, 'x');
    assert_true(number_append_json(&buf, number));
    if (!slice_eq(slice_from(buf_slice(&buf), 1), cvn_str(expected)))
        fail_msg("%.*s instead of %s", SLICE_ARG(buf_slice(&buf)), expected);
    buf_release(&buf);
}

static void test_writing(void **state)
{
    (void)state;
    assert_writes(0.0, "0");
    assert_writes(-0.0, "-0");
    assert_writes(1.0, "1");
    assert_writes(-1.0, "-1");
    assert_writes(9007199254740992.0, "9007199254740992");
    assert_writes(-9007199254740992.0, "-9007199254740992");
    assert_writes(0.1, "0.1");
    assert_writes(-0.5, "-0.5");
    assert_writes(1.0 / 3, "0.3333333333333333");
    assert_writes(0.1 + 0.2, "0.30000000000000004");
    assert_writes(1e21, "1e+21");
    assert_writes(1e-7, "1e-7");
    assert_writes(1.5e-6, "0.0000015");
    assert_writes(0.00001234, "0.00001234");
    assert_writes(123456.75, "123456.75");
    assert_writes(4503599627370495.5, "4503599627370495.5");
    assert_writes(9007199254740994.0, "9.007199254740994e+15");
    assert_writes(-1.25e100, "-1.25e+100");
    assert_writes(5e-324, "5e-324");
    assert_writes(DBL_MAX, "1.7976931348623157e+308");
    assert_writes((double)0.1f, "0.10000000149011612");
    assert_writes(NAN, "null");
    assert_writes(HUGE_VAL, "null");
    assert_writes(-HUGE_VAL, "null");
}

static void assert_round_trip(double number)
{
    struct buf buf;
    buf_init(&buf, 32);
    assert_true(number_append_json(&buf, number));
    assert_true(json_is_valid(buf_slice(&buf), 0));
    assert_true(buf.size <= 25);
    char text[32];
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(buf_slice(&buf)));
    assert_reads(text, number);
    buf_release(&buf);
}

static void test_round_trips(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        double number = random_double();
        if (isfinite(number))
            assert_round_trip(number);
        assert_round_trip((double)(int64_t)random_bits());
        assert_round_trip((double)(int32_t)random_bits() / 1000);
    }
}

/* Every exponent, at the ends of its mantissas and around powers of two, where the neighbours' distance changes. */
static void test_every_exponent(void **state)
{
    (void)state;
    for (uint64_t exponent = 0; exponent < 2047; exponent++) {
        for (int i = -3; i <= 3; i++) {
            uint64_t bits = (exponent << 52) + (uint64_t)(int64_t)i;
            double number;
            memcpy(&number, &bits, sizeof number);
            if (isfinite(number))
                assert_round_trip(number);
            bits = exponent << 52 | (random_bits() >> 12);
            memcpy(&number, &bits, sizeof number);
            assert_round_trip(-number);
        }
    }
}

/* Few digits stay few: what people write is written as they wrote it. */
static void test_short_numbers(void **state)
{
    char text[32];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        int places = 1 + (int)(random_bits() % 8);
        unsigned fraction = (unsigned)(random_bits() % 100000000) | 1;
        char digits[16];
        snprintf(digits, sizeof digits, "%08u", fraction);
        digits[places - 1] = (char)('1' + random_bits() % 9); /* no zero at the end */
        snprintf(text, sizeof text, "%u.%.*s", (unsigned)(random_bits() % 100000) + 1, places,
                 digits);
        assert_writes(strtod(text, NULL), text);
    }
}

/* Against the library, with as many digits as come. */
static void test_random_text(void **state)
{
    char text[64];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        double number = random_double();
        if (!isfinite(number))
            continue;
        snprintf(text, sizeof text, "%.*e", (int)(random_bits() % 40), number);
        assert_reads(text, strtod(text, NULL));
    }
}

static void assert_whole(const char *text, bool expected, int64_t value)
{
    size_t size = strlen(text);
    char *copy = guard_copy(text, size);
    int64_t ret = 77;
    if (number_whole_from_json(slice_of(copy, size), &ret) != expected)
        fail_msg("%s", text);
    assert_true(ret == (expected ? value : 77));
    guard_free(copy, size);
}

static void test_whole(void **state)
{
    char text[2000];
    (void)state;
    assert_whole("0", true, 0);
    assert_whole("0.000", true, 0);
    assert_whole("0e99999999999", true, 0);
    assert_whole("0.00e-5", true, 0);
    assert_whole("-0", false, 0);
    assert_whole("-0.0e3", false, 0);
    assert_whole("1.0", true, 1);
    assert_whole("-1.50e1", true, -15);
    assert_whole("1.5", false, 0);
    assert_whole("100e-2", true, 1);
    assert_whole("100e-3", false, 0);
    assert_whole("1e15", true, 1000000000000000);
    assert_whole("1e16", false, 0);
    assert_whole("9007199254740992.000", true, 1LL << 53);
    assert_whole("-9007199254740.992e3", true, -(1LL << 53));
    assert_whole("9007199254740993", false, 0);
    assert_whole("9007199254740992.5", false, 0);
    assert_whole("1e99999999999999999999", false, 0);
    assert_whole("1e-99999999999999999999", false, 0);
    snprintf(text, sizeof text, "1.%01500d", 0);
    assert_whole(text, true, 1);
    text[1501] = '1';
    assert_whole(text, false, 0);
    snprintf(text, sizeof text, "1%01500de-1500", 0);
    assert_whole(text, true, 1);
    snprintf(text, sizeof text, "0.%01500d1e1501", 0);
    assert_whole(text, true, 1);
}

static void test_integers(void **state)
{
    int64_t integer = 7;
    (void)state;
    assert_true(number_is_integer(0, &integer) && integer == 0);
    assert_true(number_is_integer(-3, &integer) && integer == -3);
    assert_true(number_is_integer(9007199254740992.0, &integer) && integer == 1LL << 53);
    integer = 7;
    assert_false(number_is_integer(-0.0, &integer));
    assert_false(number_is_integer(0.5, &integer));
    assert_false(number_is_integer(9007199254740994.0, &integer));
    assert_false(number_is_integer(1e300, &integer));
    assert_false(number_is_integer(HUGE_VAL, &integer));
    assert_false(number_is_integer(NAN, &integer));
    assert_int_equal(integer, 7);
}

static void test_limits(void **state)
{
    struct buf buf;
    (void)state;
    errno = 7;
    assert_reads("1e9999", HUGE_VAL);
    assert_int_equal(errno, 7); /* nobody asked for it */
    buf_init(&buf, 3);
    assert_true(number_append_json(&buf, 0.1));
    assert_false(number_append_json(&buf, 0.1));
    assert_true(buf.failed);
    buf_release(&buf);
    buf_init(&buf, 100);
    mem_fail_after(0, 1);
    assert_false(number_append_json(&buf, 0.1));
    mem_fail_after(0, 0);
    buf_release(&buf);
}

static void test_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "es_ES.UTF-8",
                                        "ru_RU.UTF-8", "de_DE",       "ps_AF.UTF-8"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && found == NULL; i++)
        found = setlocale(LC_ALL, names[i]);
    if (found == NULL)
        skip(); /* none is installed */
    assert_string_not_equal(localeconv()->decimal_point, ".");
    assert_reads("1.5", 1.5);
    assert_reads("1.23456789012345678901", 1.23456789012345678901);
    assert_reads("1.5e300", 1.5e300);
    assert_writes(0.1, "0.1");
    assert_writes(1.5e300, "1.5e+300");
    test_round_trips(state);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),        cmocka_unit_test(test_powers_of_ten),
        cmocka_unit_test(test_many_digits),    cmocka_unit_test(test_writing),
        cmocka_unit_test(test_round_trips),    cmocka_unit_test(test_random_text),
        cmocka_unit_test(test_every_exponent), cmocka_unit_test(test_short_numbers),
        cmocka_unit_test(test_whole),          cmocka_unit_test(test_integers),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
