/*
 * The packet decoder: tables of good and bad texts, each on a buffer that ends at an unmapped page, whole and cut short at every byte. What
 * a good packet says is written down as text: type, attachments, namespace, id, data, event, arguments.
 * The placeholders' check is compared with a generator of random values, which knows from the tree it grew what the single pass must find.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "sio/sio_packet.h"
#include "support/guard.h"

#define MAX_DEPTH       16
#define MAX_ATTACHMENTS 10

static const struct sio_packet_limits limits = {MAX_ATTACHMENTS, MAX_DEPTH};

static bool is_inside(cvn_slice part, cvn_slice whole)
{
    return part.size == 0 ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

/* Decodes a copy in front of an unmapped page; what it says goes to `ret`, "-" for a refusal. */
static void describe(const char *text, size_t size, char *ret, size_t capacity)
{
    char *copy = guard_copy(text, size);
    struct sio_packet packet, untouched;
    memset(&packet, 0x5a, sizeof packet);
    memset(&untouched, 0x5a, sizeof untouched);
    cvn_slice whole = slice_of(copy, size);
    if (!sio_packet_decode(whole, &limits, &packet)) {
        assert_memory_equal(&packet, &untouched, sizeof packet);
        snprintf(ret, capacity, "-");
    } else {
        assert_true(is_inside(packet.nsp, whole) || slice_eq(packet.nsp, SLICE("/")));
        assert_true(is_inside(packet.data, whole));
        assert_true(is_inside(packet.event, packet.data));
        assert_true(is_inside(packet.args, packet.data));
        assert_true(packet.has_id || packet.id == 0);
        char id[24] = "none";
        if (packet.has_id)
            snprintf(id, sizeof id, "%llu", (unsigned long long)packet.id);
        snprintf(ret, capacity, "%d %u %.*s %s <%.*s> <%.*s> <%.*s>", packet.type,
                 packet.attachments, SLICE_ARG(packet.nsp), id, SLICE_ARG(packet.data),
                 SLICE_ARG(packet.event), SLICE_ARG(packet.args));
    }
    guard_free(copy, size);
}

static void assert_decodes(const char *text, const char *expected)
{
    char said[512];
    describe(text, strlen(text), said, sizeof said);
    if (strcmp(said, expected) != 0)
        fail_msg("%s\n  is       %s\n  expected %s", text, said, expected);
}

#define PH0 "{\"_placeholder\":true,\"num\":0}"
#define PH1 "{\"_placeholder\":true,\"num\":1}"
#define PH9 "{\"_placeholder\":true,\"num\":9}"

static const struct {
    const char *text, *expected;
} good[] = {
    {"0", "0 0 / none <> <> <>"},
    {"0{}", "0 0 / none <{}> <> <>"},
    {"0{\"token\":\"x,y\"}", "0 0 / none <{\"token\":\"x,y\"}> <> <>"},
    {"0 {} ", "0 0 / none < {} > <> <>"},
    {"0/chat", "0 0 /chat none <> <> <>"},
    {"0/chat,", "0 0 /chat none <> <> <>"},
    {"0/chat,{\"a\":1}", "0 0 /chat none <{\"a\":1}> <> <>"},
    {"0/", "0 0 / none <> <> <>"},
    {"0/,{}", "0 0 / none <{}> <> <>"},
    {"0/a?token=1", "0 0 /a?token=1 none <> <> <>"},
    {"0/a[1]{}", "0 0 /a[1]{} none <> <> <>"},
    {"1", "1 0 / none <> <> <>"},
    {"1/chat", "1 0 /chat none <> <> <>"},
    {"1/chat,", "1 0 /chat none <> <> <>"},
    {"2[\"a\"]", "2 0 / none <\"a\"> <\"a\"> <>"},
    {"2[\"\"]", "2 0 / none <\"\"> <\"\"> <>"},
    {"2[\"a\",1,[2],{\"b\":3}]", "2 0 / none <\"a\",1,[2],{\"b\":3}> <\"a\"> <1,[2],{\"b\":3}>"},
    {"20[\"a\"]", "2 0 / 0 <\"a\"> <\"a\"> <>"},
    {"2007[\"a\"]", "2 0 / 7 <\"a\"> <\"a\"> <>"},
    {"2/chat,[\"a\",null]", "2 0 /chat none <\"a\",null> <\"a\"> <null>"},
    {"2/chat,456[\"a\",\"]\"]", "2 0 /chat 456 <\"a\",\"]\"> <\"a\"> <\"]\">"},
    {"2[1,2]", "2 0 / none <1,2> <1> <2>"},
    {"2[-1.5e3]", "2 0 / none <-1.5e3> <-1.5e3> <>"},
    {"2 [ \"a\" , 1 ] ", "2 0 / none < \"a\" , 1 > <\"a\"> <1 >"},
    {"2[\"\\u0061\\\"b\",1]", "2 0 / none <\"\\u0061\\\"b\",1> <\"\\u0061\\\"b\"> <1>"},
    {"2[\"\\ud800\"]", "2 0 / none <\"\\ud800\"> <\"\\ud800\"> <>"},
    {"2[\"connected\"]", "2 0 / none <\"connected\"> <\"connected\"> <>"},
    {"2[\"Connect\"]", "2 0 / none <\"Connect\"> <\"Connect\"> <>"},
    {"2[\"connect \"]", "2 0 / none <\"connect \"> <\"connect \"> <>"},
    {"2[\"a\",\"connect\"]", "2 0 / none <\"a\",\"connect\"> <\"a\"> <\"connect\">"},
    {"2[\"error\"]", "2 0 / none <\"error\"> <\"error\"> <>"},
    /* A text packet may say what it likes: nothing follows that could be reached. */
    {"2[\"a\"," PH0 "]", "2 0 / none <\"a\"," PH0 "> <\"a\"> <" PH0 ">"},
    {"3[]", "3 0 / none <> <> <>"},
    {"31[]", "3 0 / 1 <> <> <>"},
    {"3/chat,12[\"x\",{}]", "3 0 /chat 12 <\"x\",{}> <> <\"x\",{}>"},
    {"31[\"connect\"]", "3 0 / 1 <\"connect\"> <> <\"connect\">"},
    {"51-[\"a\"," PH0 "]", "5 1 / none <\"a\"," PH0 "> <\"a\"> <" PH0 ">"},
    {"52-/chat,7[\"a\"," PH1 "," PH0 "]",
     "5 2 /chat 7 <\"a\"," PH1 "," PH0 "> <\"a\"> <" PH1 "," PH0 ">"},
    {"510-[\"a\"," PH9 "]", "5 10 / none <\"a\"," PH9 "> <\"a\"> <" PH9 ">"},
    {"501-[\"a\"," PH0 "]", "5 1 / none <\"a\"," PH0 "> <\"a\"> <" PH0 ">"},
    /* One attachment may stand in two places, and one in none. */
    {"51-[\"a\"," PH0 "," PH0 "]", "5 1 / none <\"a\"," PH0 "," PH0 "> <\"a\"> <" PH0 "," PH0 ">"},
    {"51-[\"a\"]", "5 1 / none <\"a\"> <\"a\"> <>"},
    {"51-[\"a\",{\"b\":[" PH0 "]}]",
     "5 1 / none <\"a\",{\"b\":[" PH0 "]}> <\"a\"> <{\"b\":[" PH0 "]}>"},
    {"61-3[" PH0 "]", "6 1 / 3 <" PH0 "> <> <" PH0 ">"},
    {"61-/chat,3[" PH0 "]", "6 1 /chat 3 <" PH0 "> <> <" PH0 ">"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_decodes(good[i].text, good[i].expected);
}

/* What is cut short is refused, or says less; never reads on. */
static void test_cut_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t whole = strlen(good[i].text);
        for (size_t size = 0; size < whole; size++) {
            char said[512];
            describe(good[i].text, size, said, sizeof said);
            /* A list that is not closed cannot stand; spaces behind it may go. */
            if (strchr(good[i].text, ']') != NULL && strchr("2356", good[i].text[0]) != NULL &&
                memchr(good[i].text + size, ']', whole - size) != NULL)
                assert_string_equal(said, "-");
        }
    }
}

static const char *const bad[] = {
    /* Types */
    "",
    "7[\"a\"]",
    "8",
    "9",
    "a",
    "-1",
    " 2[\"a\"]",
    "[\"a\"]",
    "{}",
    "\"2\"",
    /* CONNECT */
    "0[]",
    "0[\"a\"]",
    "0\"token\"",
    "0null",
    "0true",
    "0{",
    "0{}{}",
    "0{}x",
    "0/chat,[]",
    "0/chat,null",
    "0/chat,{\"a\":}",
    "0,{}",
    "0chat,{}",
    /* DISCONNECT says nothing */
    "1{}",
    "1[]",
    "1/chat,{}",
    "1\"x\"",
    "1null",
    "1 ",
    /* EVENT */
    "2",
    "2/chat",
    "2/chat,",
    "25",
    "2{}",
    "2{\"0\":\"a\"}",
    "2\"a\"",
    "2null",
    "2[]",
    "2[ ]",
    "2[null]",
    "2[true]",
    "2[false]",
    "2[{}]",
    "2[{\"toString\":\"a\"}]",
    "2[[\"a\"]]",
    "2[\"a\"",
    "2[\"a",
    "2\"a\"]",
    "2[\"a\",]",
    "2[,\"a\"]",
    "2[\"a\" 1]",
    "2[\"a\"]]",
    "2[\"a\"][\"b\"]",
    "2[\"a\"]x",
    "2['a']",
    "2[\"a\",undefined]",
    "2[\"a\",NaN]",
    "2[\"a\",01]",
    "2[\"a\",1.]",
    "2[\"a\",\"\\x\"]",
    "2[\"a\",\"\\u12\"]",
    "2[\"a\",\"\n\"]",
    "2[\"a\",\"\xff\"]",
    "2[\"a\",\"\xc0\xaf\"]",
    "2[\"a\",\"\xed\xa0\x80\"]",
    "2-1[\"a\"]",
    "2+1[\"a\"]",
    "21.5[\"a\"]",
    "2x[\"a\"]",
    "21-[\"a\"]",
    /* Ids beyond any number */
    "29999999999999999999[\"a\"]",
    "218446744073709551616[\"a\"]",
    "399999999999999999999999999999999999999[]",
    /* Reserved names, also in disguise */
    "2[\"connect\"]",
    "2[\"connect_error\"]",
    "2[\"disconnect\",\"transport close\"]",
    "2[\"disconnecting\"]",
    "2[\"newListener\"]",
    "2[\"removeListener\"]",
    "2/chat,1[\"connect\"]",
    "2[ \"connect\" ]",
    "2[\"\\u0063onnect\"]",
    "2[\"conne\\u0063t\"]",
    "2[\"\\u0064\\u0069\\u0073\\u0063\\u006f\\u006e\\u006e\\u0065\\u0063\\u0074\"]",
    /* ACK */
    "3",
    "31",
    "31{}",
    "31null",
    "31\"x\"",
    "31[",
    "31[1,]",
    /* CONNECT_ERROR is the server's */
    "4",
    "4{\"message\":\"x\"}",
    "4/chat,{\"message\":\"x\"}",
    "4\"x\"",
};

/* The same for packets with attachments. */
static const char *const bad_binary[] = {
    /* Reserved names */
    "51-[\"disconnect\"," PH0 "]",
    "51-[\"\\u006eewListener\"," PH0 "]",
    /* Attachment counts */
    "5",
    "5[\"a\"]",
    "5-[\"a\"]",
    "50-[\"a\"]",
    "5-1-[\"a\"]",
    "51",
    "51-",
    "51[\"a\"," PH0 "]",
    "51 -[\"a\"," PH0 "]",
    "5 1-[\"a\"," PH0 "]",
    "51.0-[\"a\"," PH0 "]",
    "51e0-[\"a\"," PH0 "]",
    "5x-[\"a\"]",
    "511-[\"a\"," PH0 "]",
    "599999999999999999999-[\"a\"]",
    "518446744073709551617-[\"a\"," PH0 "]",
    "54294967297-[\"a\"," PH0 "]",
    "51--[\"a\"," PH0 "]",
    "51-{}",
    "51-[]",
    "51-null",
    "6",
    "6[]",
    "60-[]",
    "61-",
    "61-3",
    "61-3{}",
    "611-3[" PH0 "]",
    /* Placeholders */
    "51-[\"a\"," PH1 "]",
    "51-[\"a\"," PH0 "," PH1 "]",
    "510-[\"a\",{\"_placeholder\":true,\"num\":10}]",
    "51-[\"a\",{\"_placeholder\":true}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":null}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":-1}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":0.5}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":\"splice\"}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":[0]}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":{\"num\":0}}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":true}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":18446744073709551616}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":4294967296}]",
    "51-[\"a\",{\"num\":1,\"_placeholder\":true}]",
    "51-[\"a\",{\"num\":0,\"_placeholder\":true,\"num\":1}]",
    "51-[\"a\",{\"_placeholder\":false,\"_placeholder\":true}]",
    "51-[\"a\",{\"\\u005fplaceholder\":true,\"num\":1}]",
    "51-[\"a\",{\"_placeholder\":true,\"n\\u0075m\":1}]",
    "51-[\"a\",{ \"_placeholder\" : true , \"num\" : 1 }]",
    "51-[\"a\",{\"b\":{\"c\":[[" PH1 "]]}}]",
    "51-[\"a\",{\"_placeholder\":true,\"num\":0,\"more\":" PH1 "}]",
    "51-[\"a\",{\"_placeholder\":true,\"inner\":{\"num\":0}}]",
    "51-[\"a\",{\"inner\":{\"_placeholder\":true},\"num\":0}]",
    "51-[" PH0 "]",
    "61-1[" PH1 "]",
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_decodes(bad[i], "-");
    for (size_t i = 0; i < sizeof bad_binary / sizeof *bad_binary; i++)
        assert_decodes(bad_binary[i], "-");
}

/* What only looks like a placeholder is data. */
static void test_no_placeholders(void **state)
{
    static const char *const harmless[] = {
        "{\"_placeholder\":false,\"num\":99}",
        "{\"_placeholder\":null,\"num\":99}",
        "{\"_placeholder\":1,\"num\":99}",
        "{\"_placeholder\":\"true\",\"num\":99}",
        "{\"_placeholder\":[true],\"num\":99}",
        "{\"_placeholder\":{\"_\":true},\"num\":99}",
        "{\"placeholder\":true,\"num\":99}",
        "{\"_placeholder\":true,\"_placeholder\":false,\"num\":99}",
        "{\"_placeholder\":true,\"num\":99,\"num\":0}",
        "{\"_placeholder_\":true,\"num\":99}",
        "{\"a_placeholder_with_a_long_name\":true,\"num\":99}",
        "[\"_placeholder\",true,\"num\",99]",
        "\"{\\\"_placeholder\\\":true,\\\"num\\\":99}\"",
        "{\"x\":\"_placeholder\",\"num\":99}",
        "{\"num\":99}",
        "{\"_placeholder\":\"\\\"\",\"y\":[]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        char text[256], said[512];
        int size = snprintf(text, sizeof text, "51-[\"a\",%s]", harmless[i]);
        describe(text, (size_t)size, said, sizeof said);
        if (said[0] != '5')
            fail_msg("%s was refused", text);
    }
}

/* 18 digits are read exactly; the text with more is refused, never wrapped. */
static void test_id_limits(void **state)
{
    (void)state;
    assert_decodes("29007199254740991[\"a\"]", "2 0 / 9007199254740991 <\"a\"> <\"a\"> <>");
    assert_decodes("2999999999999999999[\"a\"]", "2 0 / 999999999999999999 <\"a\"> <\"a\"> <>");
    for (size_t digits = 1; digits < 100; digits++) {
        char text[128], said[512], expected[64];
        memset(text, '9', sizeof text);
        text[0] = '3';
        memcpy(text + 1 + digits, "[]", 3);
        describe(text, strlen(text), said, sizeof said);
        snprintf(expected, sizeof expected, "3 0 / %.*s <> <> <>", (int)digits, text + 1);
        if (digits <= 18 || said[0] != '-')
            assert_string_equal(said, expected);
    }
}

static void test_attachment_limits(void **state)
{
    (void)state;
    for (unsigned max = 1; max <= 64; max++) {
        struct sio_packet_limits own = {max, MAX_DEPTH};
        for (unsigned count = 0; count <= 70; count++) {
            char text[128];
            struct sio_packet packet;
            snprintf(text, sizeof text, "5%u-[\"a\"]", count);
            assert_int_equal(sio_packet_decode(cvn_str(text), &own, &packet),
                             count >= 1 && count <= max);
            if (count >= 1 && count <= max)
                assert_int_equal(packet.attachments, count);
        }
    }
}

/* `levels` arrays around a value, behind a name when `type` is '2'. */
static char *nested(char type, unsigned levels, bool objects, size_t *ret_size)
{
    char *text = malloc(16 + (size_t)levels * 16), *at = text;
    assert_non_null(text);
    at += sprintf(at, "%c[\"a\",", type);
    for (unsigned i = 1; i < levels; i++)
        at += sprintf(at, objects ? "{\"a\":" : "[");
    at += sprintf(at, "1");
    for (unsigned i = 1; i < levels; i++)
        *at++ = objects ? '}' : ']';
    *at++ = ']';
    *ret_size = (size_t)(at - text);
    return text;
}

static void assert_depth(unsigned max, unsigned levels, bool objects, bool expected)
{
    struct sio_packet_limits own = {MAX_ATTACHMENTS, max};
    struct sio_packet packet;
    size_t size;
    char *text = nested('2', levels, objects, &size);
    char *copy = guard_copy(text, size);
    assert_int_equal(sio_packet_decode(slice_of(copy, size), &own, &packet), expected);
    guard_free(copy, size);
    free(text);
}

static void test_deep(void **state)
{
    static const unsigned limits_to_try[] = {1, 2, 16, 63, 64, 65, 512, 1023, 1024};
    (void)state;
    for (size_t i = 0; i < sizeof limits_to_try / sizeof *limits_to_try; i++)
        for (int objects = 0; objects <= 1; objects++) {
            unsigned max = limits_to_try[i];
            assert_depth(max, max, objects, true);
            assert_depth(max, max + 1, objects, false);
        }
    assert_depth(5000, 1024, false, true); /* whatever a caller says */
    assert_depth(5000, 1025, false, false);
    assert_depth(1024, 300000, false, false);
    assert_depth(1024, 300000, true, false);
}

/* The same depths with attachments: the placeholders' walk has the same limit. */
static void test_deep_placeholders(void **state)
{
    struct sio_packet_limits own = {MAX_ATTACHMENTS, JSON_MAX_DEPTH};
    (void)state;
    for (unsigned levels = JSON_MAX_DEPTH - 2; levels <= JSON_MAX_DEPTH + 2; levels++) {
        size_t size, half = (size_t)levels - 1;
        struct sio_packet packet;
        for (int num = 0; num <= 1; num++) {
            char *text = malloc(2 * (size_t)levels + 64), *at = text;
            assert_non_null(text);
            at += sprintf(at, "51-[\"a\",");
            memset(at, '[', half - 1);
            at += half - 1;
            at += sprintf(at, "{\"_placeholder\":true,\"num\":%d}", num);
            memset(at, ']', half);
            at += half;
            size = (size_t)(at - text);
            assert_int_equal(sio_packet_decode(slice_of(text, size), &own, &packet),
                             levels <= JSON_MAX_DEPTH && num == 0);
            free(text);
        }
    }
}

/* Work stays proportional to the text: a million values, and a hundred thousand open objects with the keys in question. */
static void test_huge(void **state)
{
    (void)state;
    size_t count = 1000000, size = 0;
    char *text = malloc(count * 2 + 32);
    assert_non_null(text);
    size += (size_t)sprintf(text, "21[\"a\"");
    for (size_t i = 0; i < count; i++) {
        text[size++] = ',';
        text[size++] = '0';
    }
    text[size++] = ']';
    char *copy = guard_copy(text, size);
    struct sio_packet packet;
    assert_true(sio_packet_decode(slice_of(copy, size), &limits, &packet));
    assert_int_equal(packet.args.size, 2 * count - 1);
    cvn_slice rest = packet.args, value;
    size_t seen = 0;
    while (json_next(&rest, &value)) {
        assert_true(slice_eq(value, SLICE("0")));
        seen++;
    }
    assert_int_equal(seen, count);
    guard_free(copy, size);
    free(text);

    static const char piece[] = "," PH9;
    count = 100000;
    text = malloc(count * sizeof piece + 32);
    assert_non_null(text);
    size = (size_t)sprintf(text, "510-[\"a\"");
    for (size_t i = 0; i < count; i++, size += sizeof piece - 1)
        memcpy(text + size, piece, sizeof piece - 1);
    text[size++] = ']';
    assert_true(sio_packet_decode(slice_of(text, size), &limits, &packet));
    text[1] = '0';
    text[2] = '9'; /* one attachment fewer */
    assert_false(sio_packet_decode(slice_of(text, size), &limits, &packet));
    free(text);
}

static void test_long_names(void **state)
{
    char *text = malloc(100100), said[512];
    struct sio_packet packet;
    (void)state;
    assert_non_null(text);
    /* A namespace of any length is a fact of the packet; the registry judges it. */
    memset(text, 'n', 100000);
    memcpy(text, "2/", 2);
    memcpy(text + 90000, ",[\"a\"]", 7);
    assert_true(sio_packet_decode(cvn_str(text), &limits, &packet));
    assert_int_equal(packet.nsp.size, 90000 - 1);
    assert_true(slice_eq(packet.event, SLICE("\"a\"")));
    /* A name with an escape that is longer than what is decoded for the comparison. */
    memset(text, 'c', 100000);
    memcpy(text, "2[\"\\u0063", 9);
    memcpy(text + 5000, "\"]", 3);
    assert_true(sio_packet_decode(cvn_str(text), &limits, &packet));
    assert_int_equal(packet.event.size, 5000 - 2 + 1);
    free(text);
    describe("2[\"a\0b\"]", 8, said, sizeof said); /* a NUL is a control character */
    assert_string_equal(said, "-");
    describe("2[\"a\"]\0", 7, said, sizeof said);
    assert_string_equal(said, "-");
}

/* Every single byte in every place of a packet: accepted or not, it stays inside. */
static void test_every_byte(void **state)
{
    static const char text[] = "51-/n,7[\"a\"," PH0 "]";
    (void)state;
    for (size_t at = 0; at < sizeof text - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            char changed[sizeof text], said[512];
            memcpy(changed, text, sizeof text);
            changed[at] = (char)byte;
            describe(changed, sizeof text - 1, said, sizeof said);
        }
}

static void test_reserved(void **state)
{
    (void)state;
    assert_true(sio_packet_is_reserved(SLICE("connect")));
    assert_true(sio_packet_is_reserved(SLICE("connect_error")));
    assert_true(sio_packet_is_reserved(SLICE("disconnect")));
    assert_true(sio_packet_is_reserved(SLICE("disconnecting")));
    assert_true(sio_packet_is_reserved(SLICE("newListener")));
    assert_true(sio_packet_is_reserved(SLICE("removeListener")));
    assert_false(sio_packet_is_reserved(SLICE("")));
    assert_false(sio_packet_is_reserved(SLICE("connec")));
    assert_false(sio_packet_is_reserved(SLICE("connection")));
    assert_false(sio_packet_is_reserved(SLICE("connect\0")));
    assert_false(sio_packet_is_reserved(SLICE("message")));
}

static void test_placeholder(void **state)
{
    uint64_t num = 77;
    (void)state;
    assert_true(sio_packet_placeholder(SLICE(PH9), &num));
    assert_int_equal(num, 9);
    num = 77;
    assert_false(sio_packet_placeholder(SLICE(""), &num));
    assert_false(sio_packet_placeholder(SLICE("[]"), &num));
    assert_false(sio_packet_placeholder(SLICE("{}"), &num));
    assert_false(sio_packet_placeholder(SLICE("{\"_placeholder\":true}"), &num));
    assert_false(sio_packet_placeholder(SLICE("{\"_placeholder\":true,\"num\":\"1\"}"), &num));
    assert_false(sio_packet_placeholder(SLICE("{\"_placeholder\":1,\"num\":1}"), &num));
    assert_int_equal(num, 77);
}

/* --- Random values --- */

static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)((random_state >> 33) % limit);
}

struct growth {
    char *at;
    unsigned attachments;
    bool good; /* every placeholder so far has its attachment */
};

static void put(struct growth *growth, const char *text)
{
    size_t size = strlen(text);
    memcpy(growth->at, text, size);
    growth->at += size;
}

static void put_space(struct growth *growth)
{
    static const char *const spaces[] = {"", "", "", " ", "\n\t", "\r "};
    put(growth, spaces[random_below(6)]);
}

/* Returns the index of a scalar, -1 for containers. 0 is true, 1..4 are the numbers 0..3. */
static int grow_value(struct growth *growth, unsigned depth);

static void grow_object(struct growth *growth, unsigned depth)
{
    enum { PLACEHOLDER = 2, NUM = 4 }; /* keys below read _placeholder, then below num */
    static const char *const keys[] = {
        "_placeholder",    "\\u005fplaceholder", "num", "n\\u0075m", "a",
        "_placeholder\\n", "x\\\"num\\\\"};
    int placeholder = -1, num = -1; /* the last of equal keys counts */
    unsigned count = random_below(4);
    put(growth, "{");
    for (unsigned i = 0; i < count; i++) {
        unsigned key = random_below(7);
        put(growth, i > 0 ? "," : "");
        put_space(growth);
        put(growth, "\"");
        put(growth, keys[key]);
        put(growth, "\"");
        put_space(growth);
        put(growth, ":");
        int scalar = grow_value(growth, depth - 1);
        if (key < PLACEHOLDER)
            placeholder = scalar;
        else if (key < NUM)
            num = scalar;
    }
    put_space(growth);
    put(growth, "}");
    if (placeholder == 0 && !(num >= 1 && num <= 4 && (unsigned)num - 1 < growth->attachments))
        growth->good = false;
}

static void grow_array(struct growth *growth, unsigned depth)
{
    unsigned count = random_below(4);
    put(growth, "[");
    for (unsigned i = 0; i < count; i++) {
        put(growth, i > 0 ? "," : "");
        grow_value(growth, depth - 1);
    }
    put_space(growth);
    put(growth, "]");
}

static int grow_value(struct growth *growth, unsigned depth)
{
    static const char *const scalars[] = {"true", "0",  "1",         "2",     "3",   "\"0\"",
                                          "null", "-1", "\"}\\\"\"", "false", "1.0", "0e0"};
    unsigned kind = depth == 0 ? 0 : random_below(3);
    int scalar = -1;
    put_space(growth);
    if (kind == 0) {
        unsigned choice = random_below(18);
        scalar = choice < 12 ? (int)choice : (int)(choice % 3); /* mostly those that matter */
        put(growth, scalars[scalar]);
    } else if (kind == 1) {
        grow_array(growth, depth);
    } else {
        grow_object(growth, depth);
    }
    put_space(growth);
    return scalar;
}

static void test_random_placeholders(void **state)
{
    static char text[1 << 20];
    unsigned accepted = 0, refused = 0;
    (void)state;
    random_state = 20261121;
    for (int round = 0; round < 60000; round++) {
        struct growth growth = {.at = text, .attachments = 1 + random_below(3), .good = true};
        grow_value(&growth, 5);
        size_t size = (size_t)(growth.at - text);
        char *copy = guard_copy(text, size);
        assert_true(json_is_valid_list(slice_of(copy, size), JSON_MAX_DEPTH));
        if (sio_packet_check_placeholders(slice_of(copy, size), growth.attachments) != growth.good)
            fail_msg("%u attachments, expected %d: %.*s", growth.attachments, growth.good,
                     (int)size, text);
        guard_free(copy, size);
        if (growth.good)
            accepted++;
        else
            refused++;
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_bad),         cmocka_unit_test(test_no_placeholders),
        cmocka_unit_test(test_id_limits),   cmocka_unit_test(test_attachment_limits),
        cmocka_unit_test(test_deep),        cmocka_unit_test(test_deep_placeholders),
        cmocka_unit_test(test_huge),        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_every_byte),  cmocka_unit_test(test_reserved),
        cmocka_unit_test(test_placeholder), cmocka_unit_test(test_random_placeholders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
