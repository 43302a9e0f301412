/*
 * MessagePack and JSON, both ways: the bytes of every format at the edges of its range, each of them cut off anywhere, values that come
 * in one piece or behind one another, dates against the C library's calendar, what is refused and that it leaves no trace, limits,
 * random trees there and back, and memory that runs out. Input ends at an unmapped page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <time.h>
#include "base/mem.h"
#include "base/msgpack.h"
#include "support/guard.h"

#define MAX_BLOBS 4

#define PH(num) "{\"_placeholder\":true,\"num\":" #num "}"

static uint64_t seed = 1;

static uint64_t random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static unsigned random_below(unsigned bound)
{
    return (unsigned)(random_bits() >> 20) % bound;
}

/* "93 01 a1 61" as bytes. */
static size_t from_hex(const char *hex, char *ret)
{
    size_t size = 0;
    for (; *hex != '\0'; hex++) {
        unsigned byte;
        if (*hex == ' ')
            continue;
        if (sscanf(hex, "%2x", &byte) != 1)
            fail_msg("%s", hex);
        ret[size++] = (char)byte;
        hex++;
    }
    return size;
}

/* --- One value --- */

/* Decodes the whole of `bytes` on a guarded copy into `json`; what lies in front of it must stay. */
static bool decode(cvn_slice bytes, unsigned max_depth, struct buf *json,
                   struct msgpack_blobs *blobs)
{
    char *copy = guard_copy(bytes.data, bytes.size);
    cvn_slice rest = slice_of(copy, bytes.size);
    size_t before = json->size;
    unsigned count = blobs->count;
    bool decoded = msgpack_to_json(&rest, max_depth, json, blobs);
    assert_false(json->failed);
    if (decoded) {
        assert_int_equal(rest.size, 0);
    } else {
        assert_ptr_equal(rest.data, copy);
        assert_int_equal(rest.size, bytes.size);
        assert_int_equal(json->size, before);
        assert_int_equal(blobs->count, count);
    }
    guard_free(copy, bytes.size);
    return decoded;
}

static void assert_cut_off(cvn_slice bytes)
{
    for (size_t size = 0; size < bytes.size; size++) {
        cvn_slice items[MAX_BLOBS];
        struct msgpack_blobs blobs = {items, 0, MAX_BLOBS};
        struct buf json;
        buf_init(&json, MSGPACK_JSON_MAX(bytes.size, MAX_BLOBS));
        if (decode(slice_of(bytes.data, size), 64, &json, &blobs))
            fail_msg("the first %zu bytes became %.*s", size, SLICE_ARG(buf_slice(&json)));
        buf_release(&json);
    }
}

static void assert_json(const char *hex, const char *expected)
{
    char memory[1024];
    cvn_slice bytes = slice_of(memory, from_hex(hex, memory)), items[MAX_BLOBS];
    struct msgpack_blobs blobs = {items, 0, MAX_BLOBS};
    struct buf json;
    buf_init(&json, 5 + MSGPACK_JSON_MAX(bytes.size, MAX_BLOBS));
    buf_append_str(&json, "front");
    if (!decode(bytes, 16, &json, &blobs))
        fail_msg("%s was refused", hex);
    if (!slice_eq(slice_from(buf_slice(&json), 5), cvn_str(expected)))
        fail_msg("%s became %.*s, not %s", hex, SLICE_ARG(buf_slice(&json)), expected);
    assert_memory_equal(json.data, "front", 5);
    assert_cut_off(bytes);
    buf_release(&json);
}

static void assert_refused_slice(cvn_slice bytes)
{
    cvn_slice items[MAX_BLOBS];
    struct msgpack_blobs blobs = {items, 0, MAX_BLOBS};
    struct buf json;
    uint64_t asked = mem_allocation_count();
    buf_init(&json, MSGPACK_JSON_MAX(bytes.size, MAX_BLOBS));
    assert_true(buf_append_byte(&json, 'x'));
    if (decode(bytes, 16, &json, &blobs))
        fail_msg("%.*s was accepted", SLICE_ARG(buf_slice(&json)));
    assert_true(mem_allocation_count() - asked < 12); /* no more than the growing text takes */
    buf_release(&json);
}

static void assert_refused(const char *hex)
{
    char memory[1024];
    assert_refused_slice(slice_of(memory, from_hex(hex, memory)));
}

static enum cvn_error encode(cvn_slice list, const cvn_slice *attachments, size_t count,
                             struct buf *ret)
{
    struct msgpack_plan plan;
    struct msgpack_writer writer = {NULL, 0};
    enum cvn_error error = msgpack_plan_init(&plan, list, attachments, count);
    if (error != CVN_OK)
        return error;
    msgpack_put_planned(&writer, &plan);
    assert_int_equal(writer.size, plan.size);
    char *zeros = calloc(1, plan.size + 1);
    assert_non_null(zeros);
    char *bytes = guard_copy(zeros, plan.size); /* a byte too many dies */
    writer = (struct msgpack_writer){bytes, 0};
    msgpack_put_planned(&writer, &plan);
    assert_int_equal(writer.size, plan.size);
    assert_ptr_equal(writer.at, bytes + plan.size);
    buf_append(ret, slice_of(bytes, plan.size));
    guard_free(bytes, plan.size);
    free(zeros);
    msgpack_plan_release(&plan);
    return CVN_OK;
}

static void assert_bytes(cvn_slice list, const cvn_slice *attachments, size_t count,
                         cvn_slice expected)
{
    struct buf buf;
    char *copy = guard_copy(list.data, list.size);
    buf_init(&buf, 1 << 22);
    assert_true(json_is_valid_list(list, JSON_MAX_DEPTH));
    assert_int_equal(encode(slice_of(copy, list.size), attachments, count, &buf), CVN_OK);
    if (!slice_eq(buf_slice(&buf), expected)) {
        for (size_t i = 0; i < buf.size && i < 100; i++)
            print_message("%02x ", (unsigned char)buf.data[i]);
        fail_msg("are the bytes of %.*s", SLICE_ARG(list));
    }
    guard_free(copy, list.size);
    buf_release(&buf);
}

static void assert_hex(const char *list, const char *hex)
{
    char memory[1024];
    assert_bytes(cvn_str(list), NULL, 0, slice_of(memory, from_hex(hex, memory)));
}

/* The same in both directions: `json` is what the shortest bytes are. */
static void test_both_ways(void **state)
{
    static const struct {
        const char *json, *hex;
    } cases[] = {
        {"null", "c0"},
        {"false", "c2"},
        {"true", "c3"},
        {"0", "00"},
        {"127", "7f"},
        {"128", "cc80"},
        {"255", "ccff"},
        {"256", "cd0100"},
        {"65535", "cdffff"},
        {"65536", "ce00010000"},
        {"4294967295", "ceffffffff"},
        {"4294967296", "cf0000000100000000"},
        {"9007199254740991", "cf001fffffffffffff"},
        {"9007199254740993", "cf0020000000000001"},
        {"18446744073709551615", "cfffffffffffffffff"},
        {"-1", "ff"},
        {"-32", "e0"},
        {"-33", "d0df"},
        {"-128", "d080"},
        {"-129", "d1ff7f"},
        {"-32768", "d18000"},
        {"-32769", "d2ffff7fff"},
        {"-2147483648", "d280000000"},
        {"-2147483649", "d3ffffffff7fffffff"},
        {"-9007199254740993", "d3ffdfffffffffffff"},
        {"-9223372036854775808", "d38000000000000000"},
        {"-0", "cb8000000000000000"},
        {"0.5", "cb3fe0000000000000"},
        {"0.1", "cb3fb999999999999a"},
        {"-1.5", "cbbff8000000000000"},
        {"1e+21", "cb444b1ae4d6e2ef50"},
        {"\"\"", "a0"},
        {"\"a\"", "a161"},
        {"\"1234567890123456789012345678901\"",
         "bf 31323334353637383930 31323334353637383930 31323334353637383930 31"},
        {"\"12345678901234567890123456789012\"",
         "d920 31323334353637383930 31323334353637383930 31323334353637383930 3132"},
        {"\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f/\"", "aa 225c080c0a0d09001f2f"},
        {"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"", "a9c3a4e282acf09f9880"},
        {"[]", "90"},
        {"[1,[2,[]],3]", "93 01 92 02 90 03"},
        {"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]", "9f 0102030405060708090a0b0c0d0e0f"},
        {"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]", "dc0010 0102030405060708090a0b0c0d0e0f10"},
        {"{}", "80"},
        {"{\"a\":{\"b\":[]},\"\":null}", "82 a161 81 a162 90 a0 c0"},
        {"{\"a\":1,\"a\":2}", "82 a161 01 a161 02"},
        {PH(0),
         "82 ac5f706c616365686f6c646572 c3 a36e756d 00"}, /* no attachments: nothing but data */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_json(cases[i].hex, cases[i].json);
        assert_hex(cases[i].json, cases[i].hex);
    }
}

/* Other bytes for the same, and what JSON has no word for. */
static void test_to_json(void **state)
{
    static const struct {
        const char *hex, *json;
    } cases[] = {
        {"cc00", "0"},
        {"cd0000", "0"},
        {"ce00000001", "1"},
        {"cf0000000000000001", "1"},
        {"d001", "1"},
        {"d17fff", "32767"},
        {"d200000000", "0"},
        {"d37fffffffffffffff", "9223372036854775807"},
        {"d3ffffffffffffffff", "-1"},
        {"cb3ff0000000000000", "1"},
        {"cb4340000000000000", "9007199254740992"},
        {"cb7fefffffffffffff", "1.7976931348623157e+308"},
        {"ca3f800000", "1"},
        {"ca3dcccccd", "0.10000000149011612"},
        {"ca80000000", "-0"},
        {"ca7f800000", "null"},
        {"caffc00000", "null"},
        {"cb7ff0000000000000", "null"},
        {"cbfff0000000000000", "null"},
        {"cb7ff8000000000000", "null"},
        {"d900", "\"\""},
        {"da0001 61", "\"a\""},
        {"db00000001 61", "\"a\""},
        {"dc0001 c0", "[null]"},
        {"dd00000001 c0", "[null]"},
        {"de0001 a0 c0", "{\"\":null}"},
        {"df00000001 d900 c0", "{\"\":null}"},
        /* Undefined. */
        {"d40000", "null"},
        {"d400ff", "null"},
        {"92 d40000 01", "[null,1]"},
        {"81 a161 d40000", "{}"},
        {"83 a161 d40000 a162 01 a163 d40000", "{\"b\":1}"},
        {"83 a161 01 a162 d40000 a163 02", "{\"a\":1,\"c\":2}"},
        /* Dates of notepack, in milliseconds. */
        {"d700 0000000000000000", "\"1970-01-01T00:00:00.000Z\""},
        {"d700 ffffffffffffffff", "\"1969-12-31T23:59:59.999Z\""},
        {"d700 0000018bcfe56800", "\"2023-11-14T22:13:20.000Z\""},
        {"d700 ffffc77590fb9fff", "\"-000001-12-31T23:59:59.999Z\""},
        {"d700 ffffc77590fba000", "\"0000-01-01T00:00:00.000Z\""},
        {"d700 0000e677d21fdbff", "\"9999-12-31T23:59:59.999Z\""},
        {"d700 0000e677d21fdc00", "\"+010000-01-01T00:00:00.000Z\""},
        {"d700 001eb208c2dc0000", "\"+275760-09-13T00:00:00.000Z\""},
        {"d700 001eb208c2dc0001", "null"},
        {"d700 ffe14df73d240000", "\"-271821-04-20T00:00:00.000Z\""},
        {"d700 ffe14df73d23ffff", "null"},
        {"d700 8000000000000000", "null"},
        {"d700 7fffffffffffffff", "null"},
        /* Timestamps of the specification. */
        {"d6ff 00000000", "\"1970-01-01T00:00:00.000Z\""},
        {"d6ff ffffffff", "\"2106-02-07T06:28:15.000Z\""},
        {"d7ff ee6b27fc 00000001", "\"1970-01-01T00:00:01.999Z\""},
        {"d7ff 00000003 ffffffff", "\"2514-05-30T01:53:03.000Z\""},
        {"c70cff 3b9ac9ff ffffffffffffffff", "\"1969-12-31T23:59:59.999Z\""},
        {"c70cff 00000000 7fffffffffffffff", "null"},
        {"c70cff 00000000 8000000000000000", "null"},
        {"c704ff 00000001", "\"1970-01-01T00:00:01.000Z\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_json(cases[i].hex, cases[i].json);
}

static void test_from_json(void **state)
{
    static const struct {
        const char *list, *hex;
    } cases[] = {
        {"", ""},
        {" \t\r\n", ""},
        {" 1 ,\n[ 2 , { \"a\" : 3 } ]\t", "01 92 02 81 a161 03"},
        {"1,2", "01 02"},
        {"1.0", "01"},
        {"-1e2", "d09c"},
        {"1e3", "cd03e8"},
        {"9007199254740992.0", "cf0020000000000000"},
        {"9007199254740994.0", "cb4340000000000001"},
        {"18446744073709551616", "cb43f0000000000000"},
        {"-9223372036854775809", "cbc3e0000000000000"},
        {"1e999,-1e999", "cb7ff0000000000000 cbfff0000000000000"},
        {"-0.0", "cb8000000000000000"},
        {"\"\\u00e4\\u20ac\\ud83d\\ude00\\u0041\\/\"", "ab c3a4 e282ac f09f9880 41 2f"},
        {"\"\\ud800\"", "a3efbfbd"},
        {"\"[,{:\\\"\"", "a5 5b2c7b3a22"}, /* brackets within a string are none */
        {"{\"\\u0061\\\"\":\"]\"}", "81 a26122 a15d"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_hex(cases[i].list, cases[i].hex);
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "c1",
        "92 00 c1",
        /* Text that is none. */
        "a1ff",
        "a2c080",
        "a3eda080",
        "a4f4908080",
        "d901ff",
        "81 a1ff 00",
        "81 a1ff d40000",
        /* Keys that are no text. */
        "81 00 00",
        "81 c0 00",
        "81 c400 00",
        "81 90 00",
        "81 c3 00",
        /* Lengths beyond the input. */
        "c4ff 00",
        "c5ffff 00",
        "c6ffffffff 00",
        "c7ff00 00",
        "c8ffff00 00",
        "c9ffffffff00 00",
        "d9ff 00",
        "daffff 00",
        "dbffffffff 00",
        "dcffff 00",
        "ddffffffff 00",
        "deffff 00",
        "dfffffffff 00",
        "df80000000 00", /* twice that is 2^32 */
        "91 ddffffffff 00",
        /* Extensions that have no meaning here. */
        "d40100",
        "d4ff00",
        "d4fe00",
        "d5000000",
        "d60000000000",
        "d800 00000000000000000000000000000000",
        "d5ff0000",
        "d8ff 00000000000000000000000000000000",
        "c700ff",
        "c70001",
        "c708ff ffffffff00000000",
        "d7ff ee6b2800 00000000", /* 10^9 nanoseconds */
        "c70cff 3b9aca00 0000000000000000",
        /* Five binaries; a false placeholder beside a real one, in either order, at any depth. */
        "95 c400 c400 c400 c400 c400",
        "92 c400 82 ac5f706c616365686f6c646572 c3 a36e756d 00",
        "92 81 a161 91 81 ac5f706c616365686f6c646572 c3 c700 00",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i]);
}

/* Each lead byte with as little behind it as possible, and as many zeros as can be wanted. */
static void test_every_lead(void **state)
{
    (void)state;
    for (unsigned lead = 0; lead < 256; lead++) {
        char bytes[64] = {(char)lead};
        cvn_slice rest = slice_of(bytes, sizeof bytes), items[MAX_BLOBS];
        struct msgpack_blobs blobs = {items, 0, MAX_BLOBS};
        struct buf json;
        buf_init(&json, 1000);
        /* Zeros as keys are no text; the empty containers, text and extensions are fine. */
        bool is_map_of_numbers = lead > 0x80 && lead < 0x90;
        bool is_unknown = lead == 0xc1 || lead == 0xd5 || lead == 0xd6 || lead == 0xd8;
        bool accepted = msgpack_to_json(&rest, 16, &json, &blobs);
        if (accepted == (is_map_of_numbers || is_unknown))
            fail_msg("lead %02x", lead);
        if (accepted) {
            assert_cut_off(slice_of(bytes, sizeof bytes - rest.size));
            assert_true(json_is_valid(buf_slice(&json), 16));
        }
        buf_release(&json);
    }
}

/* --- Binaries --- */

static void test_binaries(void **state)
{
    char memory[1024], one[1] = {1};
    struct buf json;
    (void)state;
    /* bin 8, bin 16, bin 32 and ArrayBuffers, of which one has the size of a Date and one that of undefined. */
    const char *hex = "94 c401 01 81 a161 c50000 c708 00 0102030405060708 c90000000100 ff";
    cvn_slice bytes = slice_of(memory, from_hex(hex, memory)), rest = bytes, items[MAX_BLOBS];
    struct msgpack_blobs blobs = {items, 0, MAX_BLOBS};
    buf_init(&json, MSGPACK_JSON_MAX(bytes.size, MAX_BLOBS));
    assert_true(msgpack_to_json(&rest, 3, &json, &blobs));
    assert_true(
        slice_eq(buf_slice(&json), SLICE("[" PH(0) ",{\"a\":" PH(1) "}," PH(2) "," PH(3) "]")));
    assert_int_equal(blobs.count, 4);
    assert_true(slice_eq(items[0], SLICE("\1")) && items[0].data == memory + 3);
    assert_int_equal(items[1].size, 0);
    assert_true(slice_eq(items[2], SLICE("\1\2\3\4\5\6\7\10")));
    assert_true(slice_eq(items[3], SLICE("\xff")));
    assert_cut_off(bytes);

    /* Numbers go on where the last value ended. */
    blobs.count = 1;
    json.size = 0;
    rest = slice_of("\xc4\0", 2);
    assert_true(msgpack_to_json(&rest, 3, &json, &blobs));
    assert_true(slice_eq(buf_slice(&json), SLICE(PH(1))));
    assert_int_equal(blobs.count, 2);
    /* None is allowed; its placeholder would be too deep. */
    blobs = (struct msgpack_blobs){NULL, 0, 0};
    assert_false(decode(SLICE("\xc4\0"), 3, &json, &blobs));
    blobs = (struct msgpack_blobs){items, 0, 1};
    assert_false(decode(SLICE("\x91\xc4\0"), 1, &json, &blobs));
    assert_true(decode(SLICE("\x91\xc4\0"), 2, &json, &blobs));
    buf_release(&json);

    const cvn_slice two[] = {slice_of(one, 1), SLICE("\x61\x62")};
    assert_bytes(SLICE(PH(1)), two, 2,
                 SLICE("\xc4\x02"
                       "ab"));
    assert_bytes(SLICE("[" PH(0) "],{\"a\":" PH(1) "}," PH(0)), two, 2,
                 slice_of("\x91\xc4\1\1\x81\xa1\x61\xc4\2ab\xc4\1\1", 14));
    /* Spelt otherwise, with more in it, and the last of equal keys. */
    assert_bytes(SLICE("{ \"num\" : 0 , \"\\u005fplaceholder\" : true }"), two, 2,
                 SLICE("\xc4\1\1"));
    assert_bytes(
        SLICE("[{\"_placeholder\":true,\"x\":[{},[1,{\"a\":[]}]," PH(0) "],\"num\":1},[1],{}]"),
        two, 2, SLICE("\x93\xc4\2ab\x91\1\x80"));
    assert_bytes(SLICE("{\"_placeholder\":false,\"num\":1,\"num\":0,\"_placeholder\":true}"), two,
                 2, SLICE("\xc4\1\1"));
    /* Not quite. */
    assert_bytes(SLICE("{\"num\":0}"), two, 2, slice_of("\x81\xa3num\0", 6));
    assert_bytes(SLICE(PH(2)), two, 2, SLICE("\x82\xac_placeholder\xc3\xa3num\2"));
    assert_bytes(SLICE("{\"_placeholder\":\"true\",\"num\":0}"), two, 2,
                 slice_of("\x82\xac_placeholder\xa4true\xa3num\0", 24));
    assert_bytes(SLICE("{\"_placeholder\":true,\"num\":\"0\"}"), two, 2,
                 SLICE("\x82\xac_placeholder\xc3\xa3num\xa1"
                       "0"));
    assert_bytes(SLICE("{\"_placeholder\":true,\"num\":0,\"num\":[]}"), two, 2,
                 slice_of("\x83\xac_placeholder\xc3\xa3num\0\xa3num\x90", 25));
    assert_bytes(SLICE("{\"_placeholder\":[true],\"num\":0}"), two, 2,
                 slice_of("\x82\xac_placeholder\x91\xc3\xa3num\0", 21));
    assert_bytes(SLICE("{\"_placeholder\":{\"_placeholder\":true},\"num\":0}"), two, 2,
                 slice_of("\x82\xac_placeholder\x81\xac_placeholder\xc3\xa3num\0", 34));
}

static void assert_large(size_t size, const char *text_hex, const char *bin_hex)
{
    char head[8];
    char *text = malloc(size + 2), *expected = malloc(size + 8);
    assert_true(text != NULL && expected != NULL);
    memset(text, 'x', size + 2);
    text[0] = text[size + 1] = '"';
    size_t head_size = from_hex(text_hex, head);
    memcpy(expected, head, head_size);
    memset(expected + head_size, 'x', size);
    assert_bytes(slice_of(text, size + 2), NULL, 0, slice_of(expected, head_size + size));
    cvn_slice bytes = slice_of(text + 1, size);
    head_size = from_hex(bin_hex, head);
    memcpy(expected, head, head_size);
    memset(expected + head_size, 'x', size);
    assert_bytes(SLICE(PH(0)), &bytes, 1, slice_of(expected, head_size + size));
    free(text);
    free(expected);
}

static void test_large(void **state)
{
    (void)state;
    assert_large(255, "d9ff", "c4ff");
    assert_large(256, "da0100", "c50100");
    assert_large(65535, "daffff", "c5ffff");
    assert_large(65536, "db00010000", "c600010000");
}

/* --- Containers --- */

/* As many arrays and maps as MessagePack has heads for, there and back. */
static void test_counts(void **state)
{
    static const size_t counts[] = {0, 1, 15, 16, 31, 32, 33, 65535, 65536};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (int is_map = 0; is_map <= 1; is_map++) {
            struct buf list, bytes, json;
            struct msgpack_blobs blobs = {NULL, 0, 0};
            buf_init(&list, 1 << 22);
            buf_init(&bytes, 1 << 22);
            buf_append_byte(&list, is_map ? '{' : '[');
            for (size_t j = 0; j < counts[i]; j++)
                buf_printf(&list, is_map ? "%s\"%zu\":[{}]" : "%s[%zu]", j > 0 ? "," : "", j);
            buf_append_byte(&list, is_map ? '}' : ']');
            assert_int_equal(encode(buf_slice(&list), NULL, 0, &bytes), CVN_OK);
            unsigned lead = counts[i] < 16       ? (is_map ? 0x80 : 0x90) + (unsigned)counts[i]
                            : counts[i] <= 65535 ? (is_map ? 0xde : 0xdc)
                                                 : (is_map ? 0xdf : 0xdd);
            assert_int_equal((unsigned char)bytes.data[0], lead);
            buf_init(&json, MSGPACK_JSON_MAX(bytes.size, 0));
            assert_true(decode(buf_slice(&bytes), 3, &json, &blobs));
            assert_true(slice_eq(buf_slice(&json), buf_slice(&list)));
            buf_release(&list);
            buf_release(&bytes);
            buf_release(&json);
        }
    }
}

static void test_depth(void **state)
{
    struct msgpack_blobs blobs = {NULL, 0, 0};
    struct msgpack_plan plan;
    struct buf list, bytes, json;
    (void)state;
    for (int is_map = 0; is_map <= 1; is_map++) {
        buf_init(&list, 1 << 16);
        buf_init(&bytes, 1 << 16);
        buf_init(&json, 1 << 16);
        for (int i = 0; i < JSON_MAX_DEPTH - 1; i++)
            buf_append_str(&list, is_map ? "{\"a\":" : "[");
        buf_append_str(&list, is_map ? "{}" : "[]");
        for (int i = 0; i < JSON_MAX_DEPTH - 1; i++)
            buf_append_byte(&list, is_map ? '}' : ']');
        assert_int_equal(encode(buf_slice(&list), NULL, 0, &bytes), CVN_OK);
        assert_int_equal(bytes.size, is_map ? 3 * (JSON_MAX_DEPTH - 1) + 1 : JSON_MAX_DEPTH);
        assert_true(decode(buf_slice(&bytes), JSON_MAX_DEPTH, &json, &blobs));
        assert_true(slice_eq(buf_slice(&json), buf_slice(&list)));
        assert_false(decode(buf_slice(&bytes), JSON_MAX_DEPTH - 1, &json, &blobs));
        /* One more, which no limit lets in. */
        char *deeper = malloc(bytes.size + 1);
        assert_non_null(deeper);
        deeper[0] = (char)0x91;
        memcpy(deeper + 1, bytes.data, bytes.size);
        assert_false(decode(slice_of(deeper, bytes.size + 1), 100000, &json, &blobs));
        free(deeper);
        buf_clear(&bytes);
        buf_append_byte(&bytes, '[');
        buf_append(&bytes, buf_slice(&list));
        buf_append_byte(&bytes, ']');
        assert_int_equal(msgpack_plan_init(&plan, buf_slice(&bytes), NULL, 0), CVN_ERR_LIMIT);
        buf_release(&list);
        buf_release(&bytes);
        buf_release(&json);
    }
    buf_init(&json, 100);
    assert_true(decode(SLICE("\x01"), 0, &json, &blobs));
    assert_false(decode(SLICE("\x90"), 0, &json, &blobs));
    buf_release(&json);
}

/* A head alone: its promise is held against what is left, before anybody could believe it. */
static void test_promises(void **state)
{
    static const struct {
        const char *hex;
        bool is_good;
    } cases[] = {{"92 00 00", true},         {"92 00", false},         {"82 00 00 00 00", true},
                 {"82 00 00 00", false},     {"dc0003 000000", true},  {"dc0003 0000", false},
                 {"de0001 0000", true},      {"de0001 00", false},     {"ddffffffff 0000", false},
                 {"dfffffffff 0000", false}, {"a3 616263", true},      {"a3 6162", false},
                 {"dbffffffff 61", false},   {"c6ffffffff 61", false}, {"c9ffffffff 00 61", false}};
    char memory[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct msgpack_token token = {.number = 77}, untouched = token;
        cvn_slice input = slice_of(memory, from_hex(cases[i].hex, memory)), rest = input;
        assert_int_equal(msgpack_next(&rest, &token), cases[i].is_good);
        if (!cases[i].is_good) {
            assert_memory_equal(&token, &untouched, sizeof token);
            assert_ptr_equal(rest.data, input.data);
        }
    }
}

static void test_skip(void **state)
{
    static const char *const cases[] = {
        "c0",
        "93 01 92 02 90 03",
        "82 01 c0 92 01 02 a1ff", /* whatever the keys and the text */
        "d8 05 00000000000000000000000000000000",
        "c40161",
        "cb0000000000000000"};
    char memory[4096];
    cvn_slice value;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = from_hex(cases[i], memory);
        for (size_t cut = 0; cut <= size; cut++) {
            char *copy = guard_copy(memory, cut);
            cvn_slice rest = slice_of(copy, cut);
            value = slice_of(NULL, 77);
            assert_int_equal(msgpack_skip(&rest, &value), cut == size);
            assert_ptr_equal(rest.data, copy + (cut == size ? size : 0));
            assert_int_equal(value.size, cut == size ? size : 77);
            guard_free(copy, cut);
        }
        memory[size] = 'x';
        cvn_slice rest = slice_of(memory, size + 1);
        assert_true(msgpack_skip(&rest, &value));
        assert_int_equal(rest.size, 1);
    }
    /* Deeper than any limit, which is no matter here. */
    memset(memory, 0x91, sizeof memory);
    memory[sizeof memory - 1] = 0;
    cvn_slice rest = slice_of(memory, sizeof memory);
    assert_true(msgpack_skip(&rest, &value));
    assert_int_equal(value.size, sizeof memory);
    /* Promises within promises. */
    rest = slice_of(memory, from_hex("dc0003 dc0003 dc0003 00 00 00 00", memory));
    assert_false(msgpack_skip(&rest, &value));
    rest = slice_of(memory, from_hex("df7fffffff 00 00", memory));
    assert_false(msgpack_skip(&rest, &value));
}

/* Values one behind the other, as a stream brings them. */
static void test_sequence(void **state)
{
    char memory[64];
    cvn_slice rest = slice_of(memory, from_hex("01 a161 91c0 c1", memory));
    struct msgpack_blobs blobs = {NULL, 0, 0};
    struct buf json;
    (void)state;
    buf_init(&json, 100);
    assert_true(msgpack_to_json(&rest, 3, &json, &blobs));
    assert_true(msgpack_to_json(&rest, 3, &json, &blobs));
    assert_true(msgpack_to_json(&rest, 3, &json, &blobs));
    assert_true(slice_eq(buf_slice(&json), SLICE("1\"a\"[null]")));
    assert_false(msgpack_to_json(&rest, 3, &json, &blobs));
    assert_int_equal(rest.size, 1);
    assert_true(slice_eq(buf_slice(&json), SLICE("1\"a\"[null]")));
    buf_release(&json);
}

static void test_dates(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        int64_t ms = (int64_t)(random_bits() % 17280000000000001) - 8640000000000000;
        if (i % 2 == 0)
            ms /= 1000; /* near our time */
        int64_t seconds = ms / 1000 - (ms % 1000 < 0);
        time_t time = (time_t)seconds;
        struct tm parts;
        char bytes[10] = {(char)0xd7, 0}, expected[64];
        assert_non_null(gmtime_r(&time, &parts));
        for (int j = 0; j < 8; j++)
            bytes[2 + j] = (char)((uint64_t)ms >> (56 - 8 * j) & 0xff);
        int year = parts.tm_year + 1900;
        int size = snprintf(expected, sizeof expected,
                            year >= 0 && year <= 9999 ? "\"%04d" : "\"%+07d", year);
        size += (int)strftime(expected + size, sizeof expected - (size_t)size, "-%m-%dT%H:%M:%S",
                              &parts);
        snprintf(expected + size, sizeof expected - (size_t)size, ".%03dZ\"",
                 (int)(ms - seconds * 1000));
        struct msgpack_blobs blobs = {NULL, 0, 0};
        struct buf json;
        buf_init(&json, 100);
        assert_true(decode(slice_of(bytes, sizeof bytes), 0, &json, &blobs));
        if (!slice_eq(buf_slice(&json), cvn_str(expected)))
            fail_msg("%.*s instead of %s", SLICE_ARG(buf_slice(&json)), expected);
        buf_release(&json);
    }
}

/* --- Random trees --- */

static void append_random_text(struct buf *json)
{
    static const char *const pieces[] = {
        "a", " ", "\\u0000", "\\n", "\\\"", "\\\\", "\xc3\xa4", "\xf0\x9f\x98\x80", "]", "},", ":"};
    buf_append_byte(json, '"');
    for (unsigned i = random_below(random_below(8) == 0 ? 300 : 8); i > 0; i--)
        buf_append_str(json, pieces[random_below(sizeof pieces / sizeof *pieces)]);
    buf_append_byte(json, '"');
}

static void append_random(struct buf *json, unsigned depth, unsigned *blobs)
{
    unsigned count = random_below(random_below(10) == 0 ? 40 : 5);
    switch (random_below(depth > 0 ? 9 : 6)) {
    case 0:
        buf_append_str(json, random_below(2) ? "null" : random_below(2) ? "true" : "false");
        break;
    case 1:
        buf_append_u64(json, random_bits() >> random_below(64));
        break;
    case 2:
        buf_append_byte(json, '-');
        buf_append_u64(json, (random_bits() >> (1 + random_below(63))) + 1);
        break;
    case 3:
        buf_printf(json, "%d.5", (int)random_below(1000));
        break;
    case 4:
        if (*blobs < MAX_BLOBS)
            buf_printf(json, "{\"_placeholder\":true,\"num\":%u}", (*blobs)++);
        else
            buf_append_str(json, "[]");
        break;
    case 5:
        append_random_text(json);
        break;
    case 6:
        buf_append_byte(json, '[');
        for (unsigned i = 0; i < count; i++) {
            buf_append_str(json, i > 0 ? "," : "");
            append_random(json, depth - 1, blobs);
        }
        buf_append_byte(json, ']');
        break;
    default:
        buf_append_byte(json, '{');
        for (unsigned i = 0; i < count; i++) {
            buf_append_str(json, i > 0 ? "," : "");
            append_random_text(json);
            buf_append_byte(json, ':');
            append_random(json, depth - 1, blobs);
        }
        buf_append_byte(json, '}');
        break;
    }
}

static void test_random_trees(void **state)
{
    static const cvn_slice attachments[MAX_BLOBS] = {{"", 0}, {"one", 3}, {"\0\xff", 2}, {"x", 1}};
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct buf list, bytes, json;
        cvn_slice items[MAX_BLOBS];
        struct msgpack_blobs blobs = {items, 0, MAX_BLOBS};
        unsigned placed = 0;
        buf_init(&list, 1 << 24);
        buf_init(&bytes, 1 << 24);
        append_random(&list, 6, &placed);
        assert_true(json_is_valid(buf_slice(&list), 7));
        assert_int_equal(encode(buf_slice(&list), attachments, placed, &bytes), CVN_OK);
        buf_init(&json, MSGPACK_JSON_MAX(bytes.size, MAX_BLOBS));
        cvn_slice rest = buf_slice(&bytes);
        assert_true(msgpack_to_json(&rest, 7, &json, &blobs));
        assert_int_equal(rest.size, 0);
        if (!slice_eq(buf_slice(&json), buf_slice(&list)))
            fail_msg("%.*s became %.*s", SLICE_ARG(buf_slice(&list)), SLICE_ARG(buf_slice(&json)));
        assert_int_equal(blobs.count, placed);
        for (unsigned i = 0; i < placed; i++)
            assert_true(slice_eq(items[i], attachments[i]));
        if (bytes.size < 200)
            assert_cut_off(buf_slice(&bytes));
        buf_release(&list);
        buf_release(&bytes);
        buf_release(&json);
    }
}

/* --- Limits and memory --- */

/* The worst for its bytes: nothing is longer as JSON than the stated bound. */
static void test_longest_json(void **state)
{
    static const char *const units[] = {"01", "ff",     "c2",           "a101",
                                        "80", "e0",     "d6ffffffffff", "d700ffe14df73d240000",
                                        "c0", "d40000", "ca00000001",   "cb8000000000000001"};
    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        char unit[16], bytes[4096] = {(char)0xdc};
        struct msgpack_blobs blobs = {NULL, 0, 0};
        struct buf json;
        size_t unit_size = from_hex(units[i], unit), count = 4000 / unit_size, size = 3;
        bytes[1] = (char)(count >> 8);
        bytes[2] = (char)(count & 0xff);
        for (size_t j = 0; j < count; j++, size += unit_size)
            memcpy(bytes + size, unit, unit_size);
        buf_init(&json, MSGPACK_JSON_MAX(size, 0));
        assert_true(decode(slice_of(bytes, size), 2, &json, &blobs));
        buf_release(&json);
    }
}

static void test_two_gibibytes(void **state)
{
    struct msgpack_plan plan;
    struct buf list;
    cvn_slice huge = {"", (size_t)1 << 31}, half = {"", (size_t)1 << 30};
    (void)state;
    assert_int_equal(msgpack_plan_init(&plan, (cvn_slice){"", (size_t)1 << 31}, NULL, 0),
                     CVN_ERR_LIMIT);
    assert_int_equal(msgpack_plan_init(&plan, SLICE("1"), &huge, 1), CVN_ERR_LIMIT);
    /* Counted, never read: one attachment in two places. */
    assert_int_equal(msgpack_plan_init(&plan, SLICE(PH(0)), &half, 1), CVN_OK);
    msgpack_plan_release(&plan);
    assert_int_equal(msgpack_plan_init(&plan, SLICE(PH(0) "," PH(0)), &half, 1), CVN_ERR_LIMIT);
    buf_init(&list, 1 << 20);
    for (int i = 0; i < 10000; i++)
        buf_append_str(&list, i > 0 ? "," PH(0) : PH(0));
    assert_int_equal(msgpack_plan_init(&plan, buf_slice(&list), &half, 1), CVN_ERR_LIMIT);
    buf_release(&list);
}

static void test_no_memory(void **state)
{
    char memory[300];
    (void)state;
    memset(memory, 0x91, sizeof memory);
    memory[sizeof memory - 1] = 0x01;
    uint64_t failing = 0;
    bool decoded;
    do { /* to JSON: the text grows several times */
        struct msgpack_blobs blobs = {NULL, 0, 0};
        cvn_slice rest = slice_of(memory, sizeof memory);
        struct buf json;
        buf_init(&json, 10000);
        mem_fail_after(failing++, 1);
        decoded = msgpack_to_json(&rest, JSON_MAX_DEPTH, &json, &blobs);
        mem_fail_after(0, 0);
        assert_int_equal(json.failed, !decoded);
        assert_int_equal(json.size, decoded ? 599 : 0);
        assert_int_equal(rest.size, decoded ? 0 : sizeof memory);
        buf_release(&json);
    } while (!decoded);
    assert_true(failing > 3);

    enum cvn_error error;
    struct buf list;
    buf_init(&list, 10000);
    for (int i = 0; i < 200; i++)
        buf_append_str(&list, i > 0 ? ",[]" : "[]");
    failing = 0;
    do { /* from JSON: only the counts of many containers need memory */
        struct msgpack_plan plan;
        mem_fail_after(failing++, 1);
        error = msgpack_plan_init(&plan, buf_slice(&list), NULL, 0);
        mem_fail_after(0, 0);
        if (error == CVN_OK) {
            assert_int_equal(plan.size, 200);
            msgpack_plan_release(&plan);
        } else {
            assert_int_equal(error, CVN_ERR_MEMORY);
        }
    } while (error != CVN_OK);
    assert_int_equal(failing, 4); /* 64, 128, 256, and then it worked */
    mem_fail_after(0, 1);
    struct msgpack_plan plan;
    assert_int_equal(msgpack_plan_init(&plan, SLICE("[{\"a\":[1]}]"), NULL, 0), CVN_OK);
    mem_fail_after(0, 0);
    msgpack_plan_release(&plan);
    buf_release(&list);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),    cmocka_unit_test(test_to_json),
        cmocka_unit_test(test_from_json),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_lead),   cmocka_unit_test(test_binaries),
        cmocka_unit_test(test_large),        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_depth),        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_skip),         cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_dates),        cmocka_unit_test(test_random_trees),
        cmocka_unit_test(test_longest_json), cmocka_unit_test(test_two_gibibytes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
