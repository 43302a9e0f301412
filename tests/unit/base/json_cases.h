/*
 * Texts that are JSON (YES), that are not (NO), and those on which RFC 8259 leaves parsers a choice (OURS, with what we choose). Every
 * text is one decision of the grammar; the tests cut and change them further.
 */
#ifndef BASE_TEST_JSON_CASES_H
#define BASE_TEST_JSON_CASES_H

#include <stdbool.h>
#include <stddef.h>

struct json_case {
    const char *text;
    size_t size;
    bool is_valid;
};

#define YES(literal)                                                                               \
    {                                                                                              \
        (literal), sizeof(literal) - 1, true                                                       \
    }
#define NO(literal)                                                                                \
    {                                                                                              \
        (literal), sizeof(literal) - 1, false                                                      \
    }
#define OURS(literal, valid)                                                                       \
    {                                                                                              \
        (literal), sizeof(literal) - 1, (valid)                                                    \
    }

/* clang-format off */
static const struct json_case json_cases[] = {
    /* One value of each kind, white space around it. */
    YES("null"), YES("true"), YES("false"), YES("0"), YES("\"\""), YES("[]"), YES("{}"),
    YES(" null "), YES("\t\n\r null\r\n\t "), YES("\n[\n]\n"), YES(" { } "), YES("[ ]"), YES("\"a\" "),
    NO(""), NO(" "), NO("\n"), NO("\v1"), NO("\f1"), NO("1\f"), NO("\xc2\xa0" "1"), NO("1\xe2\x80\xa8"), NO("\xe2\x81\xa0[]"),
    NO("\xef\xbb\xbf[]"), NO("\xef\xbb\xbf"), NO("[]\0"), NO("\0[]"), NO("[\0]"), NO("1\0"), NO("[1,\0 2]"),

    /* Literals are spelt so and not otherwise. */
    NO("n"), NO("nul"), NO("nulL"), NO("nulll"), NO("Null"), NO("NULL"), NO("t"), NO("tru"), NO("truE"), NO("True"), NO("TRUE"),
    NO("truee"), NO("f"), NO("fals"), NO("falze"), NO("False"), NO("nan"), NO("NaN"), NO("Infinity"), NO("-Infinity"), NO("inf"),
    NO("undefined"), NO("[nul]"), NO("[tru,1]"), NO("[fals"), NO("null null"), NO("nulltrue"), NO("true,"), NO("abc"), NO("[a]"),

    /* Numbers. */
    YES("-0"), YES("1"), YES("-1"), YES("9"), YES("10"), YES("123"), YES("-123"), YES("0.0"), YES("-0.0"), YES("1.5"), YES("0.1"),
    YES("0e0"), YES("0e1"), YES("0E+1"), YES("0e-1"), YES("1e5"), YES("1E5"), YES("1e+5"), YES("1e-5"), YES("1E+005"), YES("123e65"),
    YES("123.456e78"), YES("-1.25E-002"), YES("0.000000000000000000000000000000000001"), YES("20e1"), YES("1.0e00"),
    YES("9007199254740993"), YES("9223372036854775807"), YES("-9223372036854775808"), YES("2.2250738585072011e-308"),
    YES("1.7976931348623157e308"), YES("[-0,0,1.0,1e0]"), YES(" 4 "), YES("[123e-10000000]"),
    OURS("18446744073709551615", true), OURS("18446744073709551616", true), OURS("-9223372036854775809", true),
    OURS("100000000000000000000000000000000000000000000000000000000000", true), OURS("1e999", true), OURS("-1e999", true),
    OURS("1e-999999999999999999999999", true), OURS("[0.4e00669999999999999999999999999999999999999]", true),
    OURS("1.00000000000000000000000000000000000000000000000000000000000000000001", true),
    NO("-"), NO("+"), NO("+1"), NO("--1"), NO("-+1"), NO("- 1"), NO("00"), NO("01"), NO("-01"), NO("-00"), NO("012"), NO("00.5"), NO("0x1"),
    NO("0X1F"), NO("0b1"), NO("0o7"), NO("0_1"), NO("1_000"), NO("."), NO(".5"), NO("-.5"), NO("1."), NO("-1."), NO("0.e1"), NO("1.e1"),
    NO("1.+1"), NO("1.-1"), NO("1.2.3"), NO("1..2"), NO("1e"), NO("1E"), NO("1e+"), NO("1e-"), NO("1E+-1"), NO("1e++1"), NO("1ee1"),
    NO("1e1.5"), NO("1e1e1"), NO("0e"), NO("0e+"), NO("e1"), NO("E1"), NO(".e1"), NO("1 000"), NO("1,000"), NO("1f"), NO("1.0f"), NO("1L"),
    NO("1n"), NO("0a"), NO("1a"), NO("-a"), NO("-0a"), NO("1e1a"), NO("0.3e"), NO("0.3e+"), NO("[1.]"), NO("[-]"), NO("[1e]"), NO("[01]"),
    NO("[-x]"), NO("[1-]"), NO("[1+2]"), NO("[0 1]"), NO("[1 2]"), NO("\xef\xbc\x91"), NO("[\xd9\xa1]"), NO("1\xff"), NO("12\x80"), NO("1/2"),
    NO("1:"), NO("-\"1\""), NO("[-true]"), NO("$1"), NO("1%"), NO("'1'"), NO("(1)"), NO("1;"),

    /* Strings: every escape, and none besides. */
    YES("\"a\""), YES("\" \""), YES("\"/\""), YES("\"\\\"\""), YES("\"\\\\\""), YES("\"\\/\""), YES("\"\\b\\f\\n\\r\\t\""), YES("\"\x7f\""),
    YES("\"\\\\n\""), YES("\"\\\\\\\"\""), YES("\"\\\\\\\\\""), YES("\"[]{},:\""), YES("\"/* no comment */ // none\""), YES("\"'\""),
    YES("\"\\u0000\""), YES("\"\\u0022\""), YES("\"\\u005C\""), YES("\"\\u00e4\""), YES("\"\\u00E4\""), YES("\"\\uaBcD\""), YES("\"\\uffff\""),
    YES("\"\\ufffe\""), YES("\"\\uFDD0\""), YES("\"\\ud83d\\ude00\""), YES("\"\\uD834\\uDD1E\""), YES("\"\\udbff\\udfff\""),
    YES("\"\\u12345\""), YES("\"\\u0061\\u30af\\u30EA\\u30b9\""), YES("\"\\\\u12\""), YES("\"\\\\u\""),
    YES("\"\xc3\xa4\""), YES("\"\xe2\x82\xac\""), YES("\"\xf0\x9f\x98\x80\""), YES("\"\xf4\x8f\xbf\xbf\""), YES("\"\xef\xbf\xbf\""),
    YES("\"\xe2\x80\xa8\xe2\x80\xa9\""), YES("\"\xef\xbb\xbf\""), YES("\"\xc2\x80\""), YES("[\"\xed\x9f\xbf\",\"\xee\x80\x80\"]"),
    YES("\"0123456789abcdef0123456789abcdef\""), YES("\"0123456789abcde\\n0123456789abcdef\""), YES("\"0123456789abcdef\xc3\xa4\""),
    OURS("\"\\ud800\"", true), OURS("\"\\udfff\"", true), OURS("\"\\ud83d\\ud83d\"", true), OURS("\"\\ude00\\ud83d\"", true),
    OURS("\"\\ud83dx\"", true), OURS("\"\\ud83d\\n\"", true), OURS("\"\\ud83d\\u0041\"", true), OURS("\"\\uD800\\uD800\\uDC00\"", true),
    OURS("{\"\\udead\":1}", true),
    NO("\""), NO("\"a"), NO("a\""), NO("\"\"\""), NO("\"a\"b\""), NO("\"a\"\"b\""), NO("'a'"), NO("`a`"), NO("\"\\\""), NO("\"\\"), NO("\"\\\\\\\""),
    NO("\"\\a\""), NO("\"\\v\""), NO("\"\\0\""), NO("\"\\x41\""), NO("\"\\'\""), NO("\"\\N\""), NO("\"\\U0041\""), NO("\"\\ \""), NO("\"\\\n\""),
    NO("\"\\\0\""), NO("\"\\\xc3\xa4\""), NO("\"\\1\""), NO("\"\\e\""), NO("\"\\u\""), NO("\"\\u1\""), NO("\"\\u12\""), NO("\"\\u123\""), NO("\"\\u123"),
    NO("\"\\u1234"), NO("\"\\u12g4\""), NO("\"\\uG000\""), NO("\"\\u 123\""), NO("\"\\u+123\""), NO("\"\\u-123\""), NO("\"\\u00:0\""), NO("\"\\u00@0\""),
    NO("\"\\u00`0\""), NO("\"\\u00/0\""), NO("\"\\u\"\""), NO("\"\\ud83d\\\""), NO("\"\\ud83d\\u\""), NO("\"\\ud83d\\ude0\""), NO("\"\\u{1f600}\""),
    NO("\"\\u0\xc3\xa4\x30\""), NO("\\u0022a\\u0022"), NO("\\\"a\\\""),
    NO("\"\0\""), NO("\"\x01\""), NO("\"\x08\""), NO("\"\t\""), NO("\"\n\""), NO("\"\r\""), NO("\"\x1f\""), NO("\"a\x1e" "b\""), NO("\"0123456789abcde\x1f\""),
    NO("\"0123456789abcdef\n\""), NO("\"0123456789abcdef"), NO("\"0123456789abcdef\\"), NO("\"0123456789abcde\\x\""),
    NO("\"\xff\""), NO("\"\x80\""), NO("\"\xc3\""), NO("\"\xc3"), NO("\"\xc0\xaf\""), NO("\"\xe2\x82\""), NO("\"\xed\xa0\x80\""), NO("\"\xed\xa0\xbd\xed\xb8\x80\""),
    NO("\"\xf4\x90\x80\x80\""), NO("\"\xf8\x88\x80\x80\x80\""), NO("\"\xe0\x80\xaf\""), NO("\"\xe4\""), NO("\"\xf0\x9f\x98\""), NO("[\"\\\xff\"]"), NO("\xff"),
    NO("[\xff]"), NO("{\"\xe4\":1}"), NO("\"0123456789abcdef\xc3\""), NO("\"\xc3\\u00a4\""),
    NO("\xff\xfe\"\0a\0\"\0"), NO("[\0]\0"), NO("\0[\0]"), /* UTF-16 */

    /* Arrays. */
    YES("[null]"), YES("[1,2,3]"), YES("[ 1 , 2 , 3 ]"), YES("[1\n,\t2\r]"), YES("[[]]"), YES("[[],[],[[]]]"), YES("[[[[[[[[]]]]]]]]"), YES("[\"\",0,null,{}]"),
    YES("[{},[{}]]"), YES("[1, -1 ]"), YES("[false , true]"), YES("[\"]\"]"), YES("[\"[\",\"{\"]"),
    NO("["), NO("]"), NO("[1"), NO("1]"), NO("[1,"), NO("[,"), NO("[,]"), NO("[1,]"), NO("[,1]"), NO("[1,,2]"), NO("[1,,]"), NO("[1,2"), NO("[[]"), NO("[]]"),
    NO("[1]]"), NO("[[1]"), NO("[[,]]"), NO("[1}"), NO("[}"), NO("[)"), NO("[1;2]"), NO("[1:2]"), NO("[\"a\":1]"), NO("[:]"), NO("[\"a\""), NO("[\"a\","), NO("[\"a"),
    NO("[][]"), NO("[],[]"), NO("[] 1"), NO("[1] x"), NO("[]\xe2\x81\xa0"), NO("[*]"), NO("[...]"), NO("<[]>"), NO("[1,\n1\n,1"), NO("[{}"), NO("[{]}"), NO("[[}]"),

    /* Objects. */
    YES("{\"a\":1}"), YES("{\"\":0}"), YES("{ \"a\" : 1 , \"b\" : 2 }"), YES("{\"a\":{\"b\":{\"c\":[]}}}"), YES("{\"a\":1,\"a\":2}"), YES("{\"a\":1,\"\\u0061\":1}"),
    YES("{\"\\u0000\":1}"), YES("{\"}\":\"{\"}"), YES("{\"a\\\"b\":1}"), YES("{\"__proto__\":null}"), YES("{\"x\":[{\"id\":\"y\"}],\"id\":\"z\"}"),
    YES("{\n\"a\":\t[],\r\n\"b\": {} }"), YES("{\"a\":-1e-1}"), YES("{\"_placeholder\":true,\"num\":0}"),
    NO("{"), NO("}"), NO("{,}"), NO("{1:1}"), NO("{null:1}"), NO("{a:1}"), NO("{'a':1}"), NO("{\"a\"}"), NO("{\"a\":}"), NO("{\"a\":1"), NO("{\"a\""), NO("{\"a\":"),
    NO("{\"a\":1,"), NO("{\"a\":1,}"), NO("{,\"a\":1}"), NO("{\"a\":1,,\"b\":2}"), NO("{\"a\":1 \"b\":2}"), NO("{\"a\" 1}"), NO("{\"a\",1}"), NO("{\"a\"::1}"),
    NO("{\"a\":1:2}"), NO("{\"a\":1]"), NO("{]"), NO("{\"a\":1}}"), NO("{\"a\":[}"), NO("{\"a\":[1}]"), NO("{[]:1}"), NO("{{}:1}"), NO("{:1}"), NO("{\"a\"=1}"),
    NO("{\"a\":a}"), NO("{\"a\":1;\"b\":2}"), NO("{\"a\":\"b\"}#"), NO("{\"a\":\"b\"}//"), NO("{\"a\":/**/1}"), NO("//\n{}"), NO("/**/[]"), NO("#\n[]"), NO("{}{}"), NO("{} {}"),
    NO("{\"a\":1,\"b\"}"), NO("{\"a\":1,\"b\":}"), NO("{\"a\":1,2}"), NO("{\"a"), NO("{\"a\\"), NO("{\"a\":\""), NO("{\"a\":tru}"), NO("{\"a\":1,[1]}"), NO("{\"a\":1,null:2}"),
    NO("{{"), NO("{[\"a\"]}"), NO("[{\"a\":1]"), NO("{\"a\":[{]}"), NO("{true}"), NO("{\"a\\u\":1}"), NO("{\"\x01\":1}"),
};
/* clang-format on */

#define JSON_CASES (sizeof json_cases / sizeof *json_cases)

#endif
