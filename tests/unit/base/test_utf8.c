/*
 * UTF-8 against a slow decoder that knows code points, not states: every code point, every short sequence of bytes, the
 * sequences RFC 3629 forbids, texts cut in every place, random bytes; each on a copy that ends at an unmapped page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/utf8.h"
#include "support/guard.h"

static unsigned seed = 1;

static unsigned random_below(unsigned bound)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16 & 0x7fff) % bound;
}

/* --- The model: decode by the bit patterns, then ask whether the code point may be written this way --- */

enum verdict { INVALID, INCOMPLETE, VALID };

/* One character at the front: its size, 0 when it is none, or -1 when the text ends before one can tell. */
static int model_character(const unsigned char *bytes, size_t size)
{
    static const struct {
        unsigned char mask, pattern;
        uint32_t lowest;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t form = 0; form < 4; form++) {
        if ((bytes[0] & forms[form].mask) != forms[form].pattern)
            continue;
        /* What the bytes that are missing could be: all zeros, all ones, or anything between. */
        uint32_t low = bytes[0] & (unsigned char)~forms[form].mask, high = low;
        for (size_t i = 1; i <= form; i++) {
            if (i < size && (bytes[i] & 0xc0) != 0x80)
                return 0;
            low = low << 6 | (i < size ? bytes[i] & 0x3fu : 0);
            high = high << 6 | (i < size ? bytes[i] & 0x3fu : 0x3f);
        }
        if (high < forms[form].lowest || low > 0x10ffff || (low >= 0xd800 && high <= 0xdfff))
            return 0;
        return form < size ? (int)form + 1 : -1;
    }
    return 0;
}

static enum verdict model(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        int character = model_character(bytes + i, size - i);
        if (character <= 0)
            return character == 0 ? INVALID : INCOMPLETE;
        i += (size_t)character;
    }
    return VALID;
}

/* --- The validator --- */

static enum verdict whole(const void *bytes, size_t size)
{
    struct utf8_state state = {0};
    cvn_slice text = slice_of(bytes, size);
    bool fed = utf8_feed(&state, text);
    enum verdict verdict = !fed ? INVALID : utf8_is_complete(&state) ? VALID : INCOMPLETE;
    assert_int_equal(utf8_is_valid(text), verdict == VALID);
    return verdict;
}

/* In pieces, each at the edge of a page; `at_most` 1 is byte by byte. */
static enum verdict pieces(const char *bytes, size_t size, unsigned at_most)
{
    struct utf8_state state = {0};
    while (size > 0) {
        size_t piece = 1 + random_below(at_most);
        if (piece > size)
            piece = size;
        char *copy = guard_copy(bytes, piece);
        bool fed = utf8_feed(&state, slice_of(copy, piece));
        guard_free(copy, piece);
        if (!fed)
            return INVALID;
        bytes += piece;
        size -= piece;
    }
    return utf8_is_complete(&state) ? VALID : INCOMPLETE;
}

static size_t encode(uint32_t point, size_t size, char *ret)
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i > 0; i--, point >>= 6)
        ret[i] = (char)(0x80 | (point & 0x3f));
    ret[0] = (char)(leads[size] | point);
    return size;
}

static size_t shortest(uint32_t point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

/* Every code point in every form that has room for it, above U+10FFFF as far as four bytes reach. */
static void test_every_code_point(void **unused)
{
    (void)unused;
    for (uint32_t point = 0; point < 0x200000; point++)
        for (size_t size = shortest(point); size <= 4; size++) {
            char bytes[4];
            encode(point, size, bytes);
            bool valid = size == shortest(point) && point <= 0x10ffff &&
                         !(point >= 0xd800 && point <= 0xdfff);
            enum verdict verdict = whole(bytes, size);
            if (verdict != (valid ? VALID : INVALID))
                fail_msg("U+%04X in %zu bytes", (unsigned)point, size);
        }
}

/* All texts of one, two and three bytes; of four with the bytes at the bounds of every range of the grammar. */
static void test_every_prefix(void **unused)
{
    static const unsigned char bounds[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                           0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                           0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    (void)unused;
    for (unsigned number = 0; number < 1u << 24; number++) {
        unsigned char bytes[3] = {(unsigned char)(number >> 16), (unsigned char)(number >> 8),
                                  (unsigned char)number};
        /* shorter ones once each */
        size_t from = number < 0x100 ? 2 : number < 0x10000 ? 1 : 0;
        for (size_t at = 0; at <= from; at++)
            if (whole(bytes + at, 3 - at) != model(bytes + at, 3 - at))
                fail_msg("%06x from %zu", number, at);
    }
    for (size_t i = 0; i < sizeof bounds; i++)
        for (size_t k = 0; k < sizeof bounds; k++)
            for (size_t l = 0; l < sizeof bounds; l++)
                for (size_t m = 0; m < sizeof bounds; m++) {
                    unsigned char bytes[4] = {bounds[i], bounds[k], bounds[l], bounds[m]};
                    if (whole(bytes, 4) != model(bytes, 4))
                        fail_msg("%02x %02x %02x %02x", bytes[0], bytes[1], bytes[2], bytes[3]);
                }
}

/* What the words of RFC 3629 name, told by hand: model and validator might be wrong together. */
static void test_named(void **unused)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum verdict verdict;
    } cases[] = {
        {"", 0, VALID},
        {"\0", 1, VALID},
        {"\x7f", 1, VALID},
        {"\xc2\x80", 2, VALID},
        {"\xdf\xbf", 2, VALID},
        {"\xe0\xa0\x80", 3, VALID},
        {"\xed\x9f\xbf", 3, VALID},
        {"\xee\x80\x80", 3, VALID},
        {"\xef\xbf\xbd", 3, VALID},
        {"\xef\xbf\xbe", 3, VALID}, /* U+FFFE, no character but a code point */
        {"\xef\xbf\xbf", 3, VALID},
        {"\xef\xbb\xbf", 3, VALID}, /* the byte order mark */
        {"\xf0\x90\x80\x80", 4, VALID},
        {"\xf4\x8f\xbf\xbf", 4, VALID},
        {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 11, VALID},
        {"\x80", 1, INVALID},
        {"\xbf", 1, INVALID},
        {"\xc0\x80", 2, INVALID}, /* NUL, Java's way */
        {"\xc1\xbf", 2, INVALID},
        {"\xe0\x80\xaf", 3, INVALID},
        {"\xe0\x9f\xbf", 3, INVALID},
        {"\xf0\x80\x80\xaf", 4, INVALID},
        {"\xf0\x8f\xbf\xbf", 4, INVALID},
        {"\xed\xa0\x80", 3, INVALID},
        {"\xed\xbf\xbf", 3, INVALID},
        {"\xed\xa0\xbd\xed\xb8\x80", 6, INVALID}, /* a pair of surrogates, CESU-8 */
        {"\xf4\x90\x80\x80", 4, INVALID},
        {"\xf5\x80\x80\x80", 4, INVALID},
        {"\xf8\x88\x80\x80\x80", 5, INVALID},
        {"\xfc\x84\x80\x80\x80\x80", 6, INVALID},
        {"\xfe", 1, INVALID},
        {"\xff", 1, INVALID},
        {"\xc3\x28", 2, INVALID},
        {"\xe2\x82\x28", 3, INVALID},
        {"\xf0\x9f\x98\x28", 4, INVALID},
        {"\xc3\xc3\xa4", 3, INVALID},
        {"\xc3\xa4\xa4", 3, INVALID},
        {"\xc3", 1, INCOMPLETE},
        {"\xe2\x82", 2, INCOMPLETE},
        {"\xf0\x9f\x98", 3, INCOMPLETE},
        {"\xe0", 1, INCOMPLETE},
        {"\xe0\x80", 2, INVALID}, /* as soon as it cannot become valid */
        {"\xed\xa0", 2, INVALID},
        {"\xf0\x80", 2, INVALID},
        {"\xf4\x90", 2, INVALID},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *copy = guard_copy(cases[i].bytes, cases[i].size);
        enum verdict verdict = whole(copy, cases[i].size);
        if (verdict != cases[i].verdict ||
            model((const unsigned char *)copy, cases[i].size) != cases[i].verdict)
            fail_msg("case %zu", i);
        guard_free(copy, cases[i].size);
    }
    assert_true(utf8_is_valid(slice_of(NULL, 0)));
}

/* A fault, or a character, at every distance from the start and the end of the fast path's blocks. */
static void test_places(void **unused)
{
    static const char *const inserts[] = {
        "\xc3\xa4",    "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff",     "\x80",
        "\xc3",        "\xed\xa0\x80", "\xc0\xaf",         "\xe2\x82", "\xf4\x90\x80\x80",
        "\xf0\x9f\x98"};
    (void)unused;
    for (size_t size = 0; size <= 70; size++)
        for (size_t at = 0; at <= size; at++)
            for (size_t i = 0; i < sizeof inserts / sizeof *inserts; i++) {
                char text[80];
                size_t insert = strlen(inserts[i]);
                memset(text, 'a', sizeof text);
                memcpy(text + at, inserts[i], insert);
                enum verdict expected = model((const unsigned char *)text, size + insert);
                char *copy = guard_copy(text, size + insert);
                enum verdict verdict = whole(copy, size + insert);
                guard_free(copy, size + insert);
                if (verdict != expected)
                    fail_msg("insert %zu at %zu of %zu", i, at, size);
            }
}

/* Every way to cut texts in three, among them cuts inside characters and empty pieces. */
static void test_every_split(void **unused)
{
    static const char *const texts[] = {
        "abcdefghijklmnopq\xc3\xa4rstuvwxyz0123456789\xe2\x82\xac!",
        "\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa4\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80",
        "\xf0\x9f\x98\x80\xed\xa0\x80 and on",
        "0123456789abcdef\xf4\x90\x80\x80",
        "0123456789abcdef0123456789abcde\xc3",
        "\xe2\x82\xac\xe2\x82",
    };
    (void)unused;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        size_t size = strlen(texts[t]);
        enum verdict expected = model((const unsigned char *)texts[t], size);
        for (size_t a = 0; a <= size; a++)
            for (size_t b = a; b <= size; b++) {
                struct utf8_state state = {0};
                bool fed = utf8_feed(&state, slice_of(texts[t], a)) &&
                           utf8_feed(&state, slice_of(texts[t] + a, b - a)) &&
                           utf8_feed(&state, slice_of(texts[t] + b, size - b));
                assert_int_equal(!fed                       ? INVALID
                                 : utf8_is_complete(&state) ? VALID
                                                            : INCOMPLETE,
                                 expected);
            }
    }
}

/* It says false as soon as no continuation could help, and never takes that back. */
static void test_earliest_and_final(void **unused)
{
    (void)unused;
    for (int round = 0; round < 20000; round++) {
        unsigned char bytes[8];
        static const unsigned char menu[] = {'a',  0x80, 0x90, 0xa0, 0xbf, 0xc2,
                                             0xe0, 0xed, 0xe1, 0xf0, 0xf4, 0xff};
        struct utf8_state state = {0};
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = menu[random_below(sizeof menu)];
        for (size_t i = 0; i < sizeof bytes; i++) {
            enum verdict expected = model(bytes, i + 1);
            assert_int_equal(utf8_feed(&state, slice_of(bytes + i, 1)), expected != INVALID);
            assert_int_equal(utf8_is_complete(&state), expected == VALID);
            assert_int_equal(utf8_feed(&state, slice_of(NULL, 0)), expected != INVALID);
        }
    }
}

static void test_random(void **unused)
{
    (void)unused;
    for (int round = 0; round < 3000; round++) {
        char text[400];
        size_t size = 0, count = random_below(90);
        for (size_t i = 0; i < count; i++) {
            static const uint32_t lengths[] = {0x7f, 0x7ff, 0xffff, 0x10ffff};
            uint32_t point = (random_below(0x4000) << 15 | random_below(0x8000)) %
                             lengths[random_below(100) < 70 ? 0 : random_below(4)];
            if (point >= 0xd800 && point < 0xe000)
                point = 'x';
            size += encode(point, shortest(point), text + size);
        }
        if (size > 0 && random_below(2) == 0) /* one byte wrong */
            text[random_below((unsigned)size)] = (char)random_below(256);
        if (random_below(4) == 0)
            size = random_below((unsigned)size + 1);
        enum verdict expected = model((const unsigned char *)text, size);
        char *copy = guard_copy(text, size);
        assert_int_equal(whole(copy, size), expected);
        guard_free(copy, size);
        assert_int_equal(pieces(text, size, 1), expected);
        assert_int_equal(pieces(text, size, 1 + random_below(40)), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_earliest_and_final),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
