/*
 * Double to decimal text that reads back the same, mostly the shortest: the algorithm Grisu2 of F. Loitsch, "Printing floating-point
 * numbers quickly and accurately with integers". Without the C library, which is slow at it (an attacker chooses the numbers) and
 * would print the locale's decimal point. Pure; any thread.
 *
 * All that lies strictly between the middles to the two neighbours reads back as the number. Both middles and the number are scaled by
 * a power of ten, so that the digits of the upper one can be cut off in integers; it stops as soon as what is left over is inside.
 * The scale is only known to 64 bits: the interval is made smaller by what that may be wrong.
 */
#include "base/number.h"
#include <float.h>
#include <math.h>

/* f * 2^e */
struct scaled {
    uint64_t f;
    int e;
};

#define FIRST_POWER (-348)
#define POWER_STEP  8
/* 10^k for k = -348, -340, ... 340, each to the nearest 64 bits. */
static const struct scaled powers[] = {
    {0xfa8fd5a0081c0288, -1220}, {0xbaaee17fa23ebf76, -1193}, {0x8b16fb203055ac76, -1166},
    {0xcf42894a5dce35ea, -1140}, {0x9a6bb0aa55653b2d, -1113}, {0xe61acf033d1a45df, -1087},
    {0xab70fe17c79ac6ca, -1060}, {0xff77b1fcbebcdc4f, -1034}, {0xbe5691ef416bd60c, -1007},
    {0x8dd01fad907ffc3c, -980},  {0xd3515c2831559a83, -954},  {0x9d71ac8fada6c9b5, -927},
    {0xea9c227723ee8bcb, -901},  {0xaecc49914078536d, -874},  {0x823c12795db6ce57, -847},
    {0xc21094364dfb5637, -821},  {0x9096ea6f3848984f, -794},  {0xd77485cb25823ac7, -768},
    {0xa086cfcd97bf97f4, -741},  {0xef340a98172aace5, -715},  {0xb23867fb2a35b28e, -688},
    {0x84c8d4dfd2c63f3b, -661},  {0xc5dd44271ad3cdba, -635},  {0x936b9fcebb25c996, -608},
    {0xdbac6c247d62a584, -582},  {0xa3ab66580d5fdaf6, -555},  {0xf3e2f893dec3f126, -529},
    {0xb5b5ada8aaff80b8, -502},  {0x87625f056c7c4a8b, -475},  {0xc9bcff6034c13053, -449},
    {0x964e858c91ba2655, -422},  {0xdff9772470297ebd, -396},  {0xa6dfbd9fb8e5b88f, -369},
    {0xf8a95fcf88747d94, -343},  {0xb94470938fa89bcf, -316},  {0x8a08f0f8bf0f156b, -289},
    {0xcdb02555653131b6, -263},  {0x993fe2c6d07b7fac, -236},  {0xe45c10c42a2b3b06, -210},
    {0xaa242499697392d3, -183},  {0xfd87b5f28300ca0e, -157},  {0xbce5086492111aeb, -130},
    {0x8cbccc096f5088cc, -103},  {0xd1b71758e219652c, -77},   {0x9c40000000000000, -50},
    {0xe8d4a51000000000, -24},   {0xad78ebc5ac620000, 3},     {0x813f3978f8940984, 30},
    {0xc097ce7bc90715b3, 56},    {0x8f7e32ce7bea5c70, 83},    {0xd5d238a4abe98068, 109},
    {0x9f4f2726179a2245, 136},   {0xed63a231d4c4fb27, 162},   {0xb0de65388cc8ada8, 189},
    {0x83c7088e1aab65db, 216},   {0xc45d1df942711d9a, 242},   {0x924d692ca61be758, 269},
    {0xda01ee641a708dea, 295},   {0xa26da3999aef774a, 322},   {0xf209787bb47d6b85, 348},
    {0xb454e4a179dd1877, 375},   {0x865b86925b9bc5c2, 402},   {0xc83553c5c8965d3d, 428},
    {0x952ab45cfa97a0b3, 455},   {0xde469fbd99a05fe3, 481},   {0xa59bc234db398c25, 508},
    {0xf6c69a72a3989f5c, 534},   {0xb7dcbf5354e9bece, 561},   {0x88fcf317f22241e2, 588},
    {0xcc20ce9bd35c78a5, 614},   {0x98165af37b2153df, 641},   {0xe2a0b5dc971f303a, 667},
    {0xa8d9d1535ce3b396, 694},   {0xfb9b7cd9a4a7443c, 720},   {0xbb764c4ca7a44410, 747},
    {0x8bab8eefb6409c1a, 774},   {0xd01fef10a657842c, 800},   {0x9b10a4e5e9913129, 827},
    {0xe7109bfba19c0c9d, 853},   {0xac2820d9623bf429, 880},   {0x80444b5e7aa7cf85, 907},
    {0xbf21e44003acdd2d, 933},   {0x8e679c2f5e44ff8f, 960},   {0xd433179d9c8cb841, 986},
    {0x9e19db92b4e31ba9, 1013},  {0xeb96bf6ebadf77d9, 1039},  {0xaf87023b9bf0ee6b, 1066},
};

/* So far a product has to come down for its whole part to fit 32 bits and its fraction to leave room for a factor of ten. */
#define MIN_EXPONENT (-60)
#define MAX_EXPONENT (-32)

#define MAX_DIGITS 20 /* 17 are enough for any double */

struct digits {
    char text[MAX_DIGITS];
    int count;
    int exponent; /* of ten, behind the last digit */
};

static struct scaled multiply(struct scaled a, struct scaled b)
{
    uint64_t a_high = a.f >> 32, a_low = a.f & 0xffffffff;
    uint64_t b_high = b.f >> 32, b_low = b.f & 0xffffffff;
    uint64_t middle = a_high * b_low, other = a_low * b_high;
    uint64_t carry = (a_low * b_low >> 32) + (middle & 0xffffffff) + (other & 0xffffffff) +
                     ((uint64_t)1 << 31); /* rounds */
    return (struct scaled){a_high * b_high + (middle >> 32) + (other >> 32) + (carry >> 32),
                           a.e + b.e + 64};
}

static struct scaled normalize(struct scaled number)
{
    int shift = __builtin_clzll(number.f);
    return (struct scaled){number.f << shift, number.e - shift};
}

/* The power of ten that brings an exponent of two into the range; *ret_decimal is its own. */
static struct scaled find_power(int exponent, int *ret_decimal)
{
    const int count = (int)(sizeof powers / sizeof *powers);
    int i = (MIN_EXPONENT - 64 - exponent - powers[0].e) * 10 /
            266; /* 8 decimal digits are 26.6 bits */
    i = i < 0 ? 0 : i >= count ? count - 1 : i;
    while (i + 1 < count && powers[i].e + exponent + 64 < MIN_EXPONENT)
        i++;
    while (i > 0 && powers[i].e + exponent + 64 > MAX_EXPONENT)
        i--;
    *ret_decimal = FIRST_POWER + POWER_STEP * i;
    return powers[i];
}

/* Takes the last digit down while that brings it nearer to the number and stays inside. All in units of the fraction: `left` is how far
 * the digits are below the upper end, `distance` how far the number is, `size` that of the interval, `unit` that of the last digit. */
static void approach(struct digits *digits, uint64_t left, uint64_t distance, uint64_t size,
                     uint64_t unit)
{
    while (left < distance && size - left >= unit &&
           (left + unit < distance || distance - left > left + unit - distance)) {
        digits->text[digits->count - 1]--;
        left += unit;
    }
}

static void add_digit(struct digits *digits, unsigned digit)
{
    if (digit != 0 || digits->count > 0)
        digits->text[digits->count++] = (char)('0' + digit);
}

/* The digits of `upper`, as few as stay above `upper` less `size`. */
static void cut_digits(struct scaled upper, uint64_t distance, uint64_t size, struct digits *ret)
{
    int shift = -upper.e;
    uint64_t fraction_mask = ((uint64_t)1 << shift) - 1;
    uint32_t whole = (uint32_t)(upper.f >> shift);
    uint64_t fraction = upper.f & fraction_mask;
    uint32_t unit = 1000000000;
    for (int behind = 9; behind >= 0; behind--, unit /= 10) {
        add_digit(ret, whole / unit);
        whole %= unit;
        uint64_t left = ((uint64_t)whole << shift) + fraction;
        if (left <= size) {
            ret->exponent += behind;
            approach(ret, left, distance, size, (uint64_t)unit << shift);
            return;
        }
    }
    do {
        fraction *= 10;
        size *= 10;
        distance *= 10;
        add_digit(ret, (unsigned)(fraction >> shift));
        fraction &= fraction_mask;
        ret->exponent--;
    } while (fraction >= size);
    approach(ret, fraction, distance, size, fraction_mask + 1);
}

/* Now and then the algorithm misses the shortest digits. Where people would notice, in numbers of up to fifteen, it is put right: if the
 * first fifteen, rounded, read back as the number too, they are it. */
static void shorten(struct digits *digits, double number)
{
    uint64_t value = 0;
    double read;
    if (digits->count <= DBL_DIG)
        return;
    for (int i = 0; i < DBL_DIG; i++)
        value = value * 10 + (uint64_t)(digits->text[i] - '0');
    value += digits->text[DBL_DIG] >= '5';
    int exponent = digits->exponent + digits->count - DBL_DIG;
    if (!number_from_decimal(value, exponent, &read) || read != number)
        return;
    for (; value % 10 == 0; value /= 10)
        exponent++;
    digits->exponent = exponent;
    digits->count = 0;
    for (uint64_t unit = 1000000000000000; unit > 0; unit /= 10)
        add_digit(digits, (unsigned)(value / unit % 10));
}

/* Of a positive, finite number. */
static void make_digits(double number, struct digits *ret)
{
    const uint64_t hidden = (uint64_t)1 << 52;
    uint64_t bits;
    int decimal;
    memcpy(&bits, &number, sizeof bits);
    int biased = (int)(bits >> 52);
    struct scaled value = {(bits & (hidden - 1)) | (biased != 0 ? hidden : 0),
                           (biased != 0 ? biased : 1) - 1075};
    /* Below a power of two the neighbours lie twice as close. */
    bool is_uneven = value.f == hidden && biased > 1;
    struct scaled upper = normalize((struct scaled){2 * value.f + 1, value.e - 1});
    struct scaled lower = {is_uneven ? 4 * value.f - 1 : 2 * value.f - 1,
                           value.e - (is_uneven ? 2 : 1)};
    lower = (struct scaled){lower.f << (lower.e - upper.e), upper.e};
    value = normalize(value);

    struct scaled power = find_power(upper.e, &decimal);
    value = multiply(value, power);
    upper = multiply(upper, power);
    lower = multiply(lower, power);
    upper.f--; /* either may be one off */
    lower.f++;
    *ret = (struct digits){.count = 0, .exponent = -decimal};
    cut_digits(upper, upper.f - value.f, upper.f - lower.f, ret);
    shorten(ret, number);
}

bool number_is_integer(double number, int64_t *ret)
{
    if (!(number >= -NUMBER_MAX_EXACT && number <= NUMBER_MAX_EXACT) ||
        (double)(int64_t)number != number || (number == 0 && signbit(number)))
        return false;
    *ret = (int64_t)number;
    return true;
}

static void append_zeros(struct buf *buf, int count)
{
    while (count-- > 0)
        buf_append_byte(buf, '0');
}

/* Where JavaScript writes a plain number it is one, but for those beyond 2^53: written without exponent they would pass for integers. */
static bool append_digits(struct buf *buf, const struct digits *digits)
{
    int point = digits->count + digits->exponent; /* digits in front of it */
    int first = point;
    if (point > -6 && point <= 0) {
        buf_append_str(buf, "0.");
        append_zeros(buf, -point);
        buf_append(buf, slice_of(digits->text, (size_t)digits->count));
        return !buf->failed;
    }
    bool has_exponent = point <= 0 || digits->exponent >= 0;
    if (has_exponent)
        first = 1;
    buf_append(buf, slice_of(digits->text, (size_t)first));
    if (digits->count > first) {
        buf_append_byte(buf, '.');
        buf_append(buf, slice_of(digits->text + first, (size_t)(digits->count - first)));
    }
    if (has_exponent) {
        buf_append_str(buf, point > 0 ? "e+" : "e-");
        buf_append_u64(buf, (uint64_t)(point > 0 ? point - 1 : 1 - point));
    }
    return !buf->failed;
}

bool number_append_json(struct buf *buf, double number)
{
    struct digits digits;
    int64_t integer;
    if (!isfinite(number))
        return buf_append_str(buf, "null");
    if (number < 0 || (number == 0 && signbit(number)))
        buf_append_byte(buf, '-');
    number = number < 0 ? -number : number;
    if (number == 0)
        return buf_append_byte(buf, '0') && !buf->failed;
    if (number_is_integer(number, &integer))
        return buf_append_u64(buf, (uint64_t)integer) && !buf->failed;
    make_digits(number, &digits);
    return append_digits(buf, &digits);
}
