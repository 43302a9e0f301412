/*
 * Decimal text to double. Most numbers are easy: fifteen digits and a power of ten up to 22 are exact in a double, so one
 * multiplication or division rounds right (W. Clinger, "How to read floating point numbers accurately"). The C library does the others,
 * but its decimal point is the locale's, and an application may set one: so it is only ever given text without a point. Pure; any thread.
 */
#include "base/number.h"
#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>

#define EXACT_DIGITS     15
#define EXACT_POWER      22
#define MAX_WHOLE_DIGITS 16 /* of 2^53 */
/* No double needs more to be told from its neighbours; of what follows only whether it is zero matters. */
#define MAX_DIGITS 770
/* Beyond it everything is zero or infinite, for any MAX_DIGITS digits. */
#define MAX_EXPONENT 100000

/* digits * 10^exponent */
struct decimal {
    char digits[MAX_DIGITS + 1]; /* without leading zeros */
    size_t count;
    int64_t exponent;
    bool dropped; /* digits other than zero, behind the last that is kept */
};

static void take_digit(struct decimal *decimal, char digit, bool in_fraction)
{
    bool kept = decimal->count < MAX_DIGITS;
    if (decimal->count == 0 && digit == '0') {
        decimal->exponent -= in_fraction;
    } else if (kept) {
        decimal->digits[decimal->count++] = digit;
        decimal->exponent -= in_fraction;
    } else {
        decimal->exponent += !in_fraction;
        decimal->dropped = decimal->dropped || digit != '0';
    }
}

/* What stands behind the "e". */
static int64_t read_exponent(cvn_slice text)
{
    int64_t value = 0;
    bool negative = text.size > 0 && text.data[0] == '-';
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= '0' && text.data[i] <= '9' && value < INT64_MAX / 100)
            value = value * 10 + (text.data[i] - '0');
    return negative ? -value : value;
}

static void read_decimal(cvn_slice text, struct decimal *ret)
{
    bool in_fraction = false;
    ret->count = 0;
    ret->exponent = 0;
    ret->dropped = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == 'e' || c == 'E') {
            ret->exponent += read_exponent(slice_from(text, i + 1));
            break;
        }
        if (c == '.')
            in_fraction = true;
        else
            take_digit(ret, c, in_fraction);
    }
}

bool number_from_decimal(uint64_t digits, int64_t exponent, double *ret)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (FLT_EVAL_METHOD != 0 || digits > (uint64_t)NUMBER_MAX_EXACT || exponent < -EXACT_POWER ||
        exponent > EXACT_POWER)
        return false;
    *ret = exponent < 0 ? (double)digits / powers[-exponent] : (double)digits * powers[exponent];
    return true;
}

static double convert_by_library(struct decimal *decimal)
{
    char text[MAX_DIGITS + 32];
    if (decimal->dropped) { /* a digit that stands for all of them */
        decimal->digits[decimal->count++] = '1';
        decimal->exponent--;
    }
    int64_t exponent = decimal->exponent;
    if (exponent > MAX_EXPONENT)
        exponent = MAX_EXPONENT;
    if (exponent < -MAX_EXPONENT)
        exponent = -MAX_EXPONENT;
    snprintf(text, sizeof text, "%.*se%d", (int)decimal->count, decimal->digits, (int)exponent);
    int saved = errno;
    double value = strtod(text, NULL);
    errno = saved;
    return value;
}

double number_from_json(cvn_slice text)
{
    struct decimal decimal;
    bool negative = text.size > 0 && text.data[0] == '-';
    double value = 0;
    uint64_t digits = 0;
    read_decimal(slice_from(text, negative), &decimal);
    for (size_t i = 0; i < decimal.count && i <= EXACT_DIGITS; i++)
        digits = digits * 10 + (uint64_t)(decimal.digits[i] - '0');
    if (decimal.count > EXACT_DIGITS || !number_from_decimal(digits, decimal.exponent, &value))
        value = decimal.count > 0 ? convert_by_library(&decimal) : 0;
    return negative ? -value : value;
}

bool number_whole_from_json(cvn_slice text, int64_t *ret)
{
    struct decimal decimal;
    bool negative = text.size > 0 && text.data[0] == '-';
    int64_t value = 0;
    read_decimal(slice_from(text, negative), &decimal);
    for (; decimal.count > 0 && decimal.digits[decimal.count - 1] == '0'; decimal.count--)
        decimal.exponent++;
    if (decimal.count == 0)
        decimal.exponent = 0;
    if (decimal.dropped || decimal.exponent < 0 || decimal.exponent > MAX_WHOLE_DIGITS ||
        (int64_t)decimal.count + decimal.exponent > MAX_WHOLE_DIGITS)
        return false;
    for (size_t i = 0; i < decimal.count; i++)
        value = value * 10 + (decimal.digits[i] - '0');
    for (; decimal.exponent > 0; decimal.exponent--)
        value *= 10;
    if (value > (int64_t)NUMBER_MAX_EXACT || (value == 0 && negative))
        return false;
    *ret = negative ? -value : value;
    return true;
}
