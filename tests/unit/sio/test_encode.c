/*
 * The packet encoder: what it writes, to the byte, that the decoder reads the same back, what it refuses, and every allocation of it failing
 * once. An encoded message starts with Engine.IO's "4".
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/mem.h"
#include "sio/sio_encode.h"
#include "support/guard.h"

static const struct sio_encode_limits limits = {.max_attachments = SIO_MAX_ATTACHMENTS,
                                                .max_depth = 16};

#define PH(num) "{\"_placeholder\":true,\"num\":" #num "}"

static cvn_args with_bytes(const char *json, const cvn_slice *attachments, size_t count)
{
    return (cvn_args){cvn_str(json), attachments, count};
}

static void assert_payload(const struct message *message, cvn_slice expected)
{
    cvn_slice payload = message_payload(message);
    if (!slice_eq(payload, expected))
        fail_msg("is %.*s, expected %.*s", SLICE_ARG(payload), SLICE_ARG(expected));
}

static void test_texts(void **state)
{
    static const struct {
        const char *nsp, *event;
        bool has_id;
        uint64_t id;
        const char *args, *expected;
    } cases[] = {
        {"/", "a", false, 0, "", "42[\"a\"]"},
        {"/", "a", false, 0, NULL, "42[\"a\"]"},
        {"/", "a", false, 0, "1", "42[\"a\",1]"},
        {"/", "a", true, 0, "1,[2],{\"b\":null}", "420[\"a\",1,[2],{\"b\":null}]"},
        {"/chat", "a", false, 0, "\"x\"", "42/chat,[\"a\",\"x\"]"},
        {"/chat", "a", true, 12345678901234567890ULL, "", "42/chat,12345678901234567890[\"a\"]"},
        {"/", "a", true, UINT64_MAX, "", "4218446744073709551615[\"a\"]"},
        {"/", NULL, true, 7, "", "437[]"},
        {"/", NULL, true, 10, "1,2", "4310[1,2]"},
        {"/chat", NULL, true, 99, "\"ok\"", "43/chat,99[\"ok\"]"},
        {"/", "say \"hi\"\\", false, 0, "", "42[\"say \\\"hi\\\"\\\\\"]"},
        {"/", "\n\x01", false, 0, "", "42[\"\\n\\u0001\"]"},
        {"/", "gr\xc3\xbc\xc3\x9f", false, 0, "", "42[\"gr\xc3\xbc\xc3\x9f\"]"},
        {"/", "bad\xff", false, 0, "", "42[\"bad\xef\xbf\xbd\"]"},
        /* Arguments go out verbatim, spaces, lone surrogates and what only looks like a placeholder included. */
        {"/", "a", false, 0, " 1 , \"\\ud800\" ", "42[\"a\", 1 , \"\\ud800\" ]"},
        {"/", "a", false, 0, PH(5), "42[\"a\"," PH(5) "]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sio_frames frames;
        const uint64_t *id = cases[i].has_id ? &cases[i].id : NULL;
        assert_int_equal(sio_encode_event(cvn_str(cases[i].nsp), cases[i].event, id,
                                          cvn_json(cases[i].args), &limits, &frames),
                         CVN_OK);
        assert_payload(frames.text, cvn_str(cases[i].expected));
        assert_int_equal(frames.text->flags, 0);
        assert_int_equal(frames.binary_count, 0);
        sio_frames_release(&frames);
        assert_null(frames.text);
    }
}

static void test_binaries(void **state)
{
    const cvn_slice bytes[] = {SLICE("\0\1\2"), SLICE(""), {NULL, 0}, SLICE("\xff")};
    struct sio_frames frames;
    uint64_t id = 3;
    (void)state;
    assert_int_equal(sio_encode_event(SLICE("/"), "a", NULL,
                                      with_bytes(PH(1) ",{\"x\":" PH(0) "}", bytes, 2), &limits,
                                      &frames),
                     CVN_OK);
    assert_payload(frames.text, SLICE("452-[\"a\"," PH(1) ",{\"x\":" PH(0) "}]"));
    assert_int_equal(frames.binary_count, 2);
    assert_payload(frames.binaries[0], bytes[0]);
    assert_payload(frames.binaries[1], bytes[1]);
    assert_int_equal(frames.text->flags, 0);
    assert_int_equal(frames.binaries[0]->flags, MESSAGE_BINARY);
    sio_frames_release(&frames);
    assert_int_equal(frames.binary_count, 0);

    assert_int_equal(sio_encode_event(SLICE("/chat"), NULL, &id,
                                      with_bytes(PH(0) "," PH(3), bytes, 4), &limits, &frames),
                     CVN_OK);
    assert_payload(frames.text, SLICE("464-/chat,3[" PH(0) "," PH(3) "]"));
    assert_int_equal(frames.binary_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_payload(frames.binaries[i], bytes[i]);
    sio_frames_release(&frames);
    sio_frames_release(&frames); /* nothing is left to release */
}

static void assert_refused(enum cvn_error expected, const char *event, cvn_args args,
                           const struct sio_encode_limits *own)
{
    struct sio_frames frames, untouched;
    memset(&frames, 0x5a, sizeof frames);
    memset(&untouched, 0x5a, sizeof untouched);
    assert_int_equal(sio_encode_event(SLICE("/"), event, NULL, args, own, &frames), expected);
    assert_memory_equal(&frames, &untouched, sizeof frames);
}

static void test_refusals(void **state)
{
    static const char *const bad_json[] = {
        ",",
        "1,",
        ",1",
        "1 2",
        "[1",
        "]",
        "[1]]",
        "\"a",
        "{\"a\"}",
        "undefined",
        "'a'",
        "01",
        "NaN",
        "\"\xff\"",
        "\"\n\"",
        "1],[2",
        "\"\\u12\"",
        "{\"a\":1,}",
        "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
    };
    static const char *const bad_names[] = {"",
                                            "connect",
                                            "connect_error",
                                            "disconnect",
                                            "newListener",
                                            "disconnecting",
                                            "removeListener"};
    static const char *const bad_places[] = {
        PH(1),
        PH(-1),
        PH(0.5),
        PH("0"),
        "{\"_placeholder\":true}",
        "[[" PH(7) "]]",
        PH(0) "," PH(1),
        "{\"\\u005fplaceholder\":true,\"num\":1}",
    };
    const cvn_slice bytes[65] = {SLICE("x")};
    char name[SIO_MAX_EVENT_NAME + 2];
    (void)state;
    for (size_t i = 0; i < sizeof bad_json / sizeof *bad_json; i++) {
        assert_refused(CVN_ERR_JSON, "a", cvn_json(bad_json[i]), &limits);
        assert_refused(CVN_ERR_JSON, NULL, cvn_json(bad_json[i]), &limits);
    }
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++)
        assert_refused(CVN_ERR_ARGUMENT, bad_names[i], cvn_json("1"), &limits);
    for (size_t i = 0; i < sizeof bad_places / sizeof *bad_places; i++)
        assert_refused(CVN_ERR_JSON, "a", with_bytes(bad_places[i], bytes, 1), &limits);
    memset(name, 'n', sizeof name);
    name[SIO_MAX_EVENT_NAME + 1] = '\0';
    assert_refused(CVN_ERR_ARGUMENT, name, cvn_json(""), &limits);
    assert_refused(CVN_ERR_LIMIT, "a", with_bytes("", bytes, 65), &limits);
    assert_refused(CVN_ERR_LIMIT, "a", with_bytes("", bytes, 3),
                   &(struct sio_encode_limits){.max_attachments = 2, .max_depth = 16});
    /* A caller's larger limit does not outgrow the array. */
    assert_refused(CVN_ERR_LIMIT, "a", with_bytes("", bytes, 65),
                   &(struct sio_encode_limits){.max_attachments = 1000, .max_depth = 16});
}

/* The longest name, each byte of which becomes six. */
static void test_longest_name(void **state)
{
    char name[SIO_MAX_EVENT_NAME + 1], text[8 * SIO_MAX_EVENT_NAME], *at = text;
    struct sio_frames frames;
    (void)state;
    memset(name, 1, sizeof name);
    name[SIO_MAX_EVENT_NAME] = '\0';
    at += sprintf(at, "42[\"");
    for (int i = 0; i < SIO_MAX_EVENT_NAME; i++)
        at += sprintf(at, "\\u0001");
    sprintf(at, "\",1]");
    assert_int_equal(sio_encode_event(SLICE("/"), name, NULL, cvn_json("1"), &limits, &frames),
                     CVN_OK);
    assert_payload(frames.text, cvn_str(text));
    sio_frames_release(&frames);
}

static void test_most_attachments(void **state)
{
    cvn_slice bytes[SIO_MAX_ATTACHMENTS];
    struct sio_frames frames;
    (void)state;
    for (size_t i = 0; i < SIO_MAX_ATTACHMENTS; i++)
        bytes[i] = slice_of("0123456789012345678901234567890123456789012345678901234567890123", i);
    assert_int_equal(sio_encode_event(SLICE("/"), "a", NULL,
                                      with_bytes(PH(63), bytes, SIO_MAX_ATTACHMENTS), &limits,
                                      &frames),
                     CVN_OK);
    assert_payload(frames.text, SLICE("4564-[\"a\"," PH(63) "]"));
    assert_int_equal(frames.binary_count, SIO_MAX_ATTACHMENTS);
    for (size_t i = 0; i < SIO_MAX_ATTACHMENTS; i++)
        assert_payload(frames.binaries[i], bytes[i]);
    sio_frames_release(&frames);
}

static void test_control(void **state)
{
    static const struct {
        enum sio_type type;
        const char *nsp, *json, *expected;
    } cases[] = {
        {SIO_CONNECT, "/", "{\"sid\":\"x\"}", "40{\"sid\":\"x\"}"},
        {SIO_CONNECT, "/chat", "{\"sid\":\"x\"}", "40/chat,{\"sid\":\"x\"}"},
        {SIO_DISCONNECT, "/", "", "41"},
        {SIO_DISCONNECT, "/chat", "", "41/chat,"},
        {SIO_CONNECT_ERROR, "/", "{\"message\":\"no\"}", "44{\"message\":\"no\"}"},
        {SIO_CONNECT_ERROR, "/x", "{\"message\":\"no\"}", "44/x,{\"message\":\"no\"}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message *message = sio_encode_control(CVN_PARSER_JSON, cases[i].type,
                                                     cvn_str(cases[i].nsp), cvn_str(cases[i].json));
        assert_non_null(message);
        assert_payload(message, cvn_str(cases[i].expected));
        message_unref(message);
        mem_fail_after(0, 1);
        assert_null(sio_encode_control(CVN_PARSER_JSON, cases[i].type, cvn_str(cases[i].nsp),
                                       cvn_str(cases[i].json)));
        mem_fail_after(0, 0);
    }
}

/* A volatile packet is dropped as a whole: its text decides. */
static void test_volatile(void **state)
{
    const cvn_slice bytes[] = {SLICE("x")};
    struct sio_frames frames;
    (void)state;
    assert_int_equal(
        sio_encode_event(SLICE("/"), "a", NULL, with_bytes(PH(0), bytes, 1), &limits, &frames),
        CVN_OK);
    assert_int_equal(sio_frames_mark(&frames, CVN_LOCAL, SLICE("/"), NULL), CVN_OK);
    assert_int_equal(frames.text->flags, 0);
    assert_int_equal(sio_frames_mark(&frames, CVN_VOLATILE | CVN_LOCAL, SLICE("/"), NULL), CVN_OK);
    assert_int_equal(frames.text->flags, MESSAGE_VOLATILE);
    sio_frames_release(&frames);
}

/* Every part of a packet is spared. */
static void test_no_compress(void **state)
{
    const cvn_slice bytes[] = {SLICE("x"), SLICE("y")};
    struct sio_frames frames;
    (void)state;
    assert_int_equal(sio_encode_event(SLICE("/"), "a", NULL, with_bytes(PH(0) "," PH(1), bytes, 2),
                                      &limits, &frames),
                     CVN_OK);
    assert_int_equal(sio_frames_mark(&frames, CVN_NO_COMPRESS, SLICE("/"), NULL), CVN_OK);
    assert_int_equal(frames.text->flags, MESSAGE_NO_COMPRESS);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(frames.binaries[i]->flags, MESSAGE_BINARY | MESSAGE_NO_COMPRESS);
    sio_frames_release(&frames);
}

/* A key is its namespace's, and comes beside the flags; one that is none costs the packet. */
static void test_key(void **state)
{
    char key[SIO_MAX_CONFLATE_KEY + 2];
    const cvn_slice bytes[] = {SLICE("x")};
    uint64_t keys[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct sio_frames frames;
        assert_int_equal(
            sio_encode_event(SLICE("/"), "a", NULL, with_bytes(PH(0), bytes, 1), &limits, &frames),
            CVN_OK);
        assert_int_equal(sio_frames_mark(&frames, CVN_VOLATILE, i == 1 ? SLICE("/b") : SLICE("/"),
                                         i == 2 ? "other" : "key"),
                         CVN_OK);
        assert_int_equal(frames.text->flags, MESSAGE_VOLATILE | MESSAGE_CONFLATE);
        assert_int_equal(frames.text->followers, 1);
        keys[i] = frames.text->key;
        sio_frames_release(&frames);
    }
    assert_int_not_equal(keys[0], keys[1]);
    assert_int_not_equal(keys[0], keys[2]);
    memset(key, 'k', sizeof key);
    for (size_t size = 0; size <= SIO_MAX_CONFLATE_KEY + 1; size += SIO_MAX_CONFLATE_KEY + 1) {
        struct sio_frames frames;
        key[size] = '\0';
        assert_int_equal(sio_encode_event(SLICE("/"), "a", NULL, cvn_json(""), &limits, &frames),
                         CVN_OK);
        assert_int_equal(sio_frames_mark(&frames, 0, SLICE("/"), key), CVN_ERR_ARGUMENT);
        assert_null(frames.text);
        key[size] = 'k';
    }
}

/* The text fills exactly the room that was asked for. */
static void test_exact_size(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        struct sio_text text = {
            .type = SIO_EVENT,
            .attachments = bits & 1 ? 12 : 0,
            .nsp = bits & 2 ? SLICE("/namespace") : SLICE("/"),
            .has_id = bits & 4,
            .id = 1000,
            .event = bits & 8 ? SLICE("\"event\"") : SLICE(""),
            .list = bits & 16 ? SLICE("1,2,3") : SLICE(""),
            .brackets = bits & 32,
        };
        size_t size = sio_text_size(&text);
        char *whole = calloc(1, size), *room = guard_copy(whole, size), expected[128];
        sio_text_write(&text, room);
        snprintf(expected, sizeof expected, "2%s%s%s%s%s%s%s%s", bits & 1 ? "12-" : "",
                 bits & 2 ? "/namespace," : "", bits & 4 ? "1000" : "", bits & 32 ? "[" : "",
                 bits & 8 ? "\"event\"" : "", (bits & 56) == 56 ? "," : "",
                 bits & 16 ? "1,2,3" : "", bits & 32 ? "]" : "");
        assert_int_equal(size, strlen(expected));
        assert_memory_equal(room, expected, size);
        guard_free(room, size);
        free(whole);
    }
    for (uint64_t id = 1, digits = 1; digits <= 19; id *= 10, digits++)
        for (uint64_t near = id - 1; near <= id + 1; near++) {
            char expected[32], written[32] = "";
            struct sio_text text = {.type = SIO_ACK, .nsp = SLICE("/"), .has_id = true, .id = near};
            snprintf(expected, sizeof expected, "3%llu", (unsigned long long)near);
            assert_int_equal(sio_text_size(&text), strlen(expected));
            sio_text_write(&text, written);
            assert_string_equal(written, expected);
        }
}

/* What goes out comes in again the same. */
static void test_round_trip(void **state)
{
    static const char *const spaces[] = {"/", "/chat", "/a/b?c=d", "/\xc3\xa4"};
    static const char *const events[] = {"a",       "\"", "con\nnect", "\xf0\x9f\x8e\x89",
                                         "message", NULL};
    static const char *const lists[] = {"", "1", "\"]\",{\"[\":\",\"}", PH(0), PH(1) "," PH(0)};
    static const uint64_t ids[] = {0, 1, 999999999999999999ULL};
    static const struct sio_packet_limits own = {10, 16};
    const cvn_slice bytes[] = {SLICE("one"), SLICE("two")};
    (void)state;
    for (size_t n = 0; n < 4 * 6 * 5 * 4 * 3; n++) {
        const char *nsp = spaces[n % 4], *event = events[n / 4 % 6], *list = lists[n / 24 % 5];
        const uint64_t *id = n / 120 % 4 < 3 ? &ids[n / 120 % 4] : NULL;
        size_t count = n / 480;
        struct sio_frames frames;
        enum cvn_error error = sio_encode_event(cvn_str(nsp), event, id,
                                                with_bytes(list, bytes, count), &limits, &frames);
        if (count == 1 && strncmp(list, PH(1), sizeof PH(1) - 1) == 0) {
            assert_int_equal(error, CVN_ERR_JSON);
            continue;
        }
        assert_int_equal(error, CVN_OK);
        struct sio_packet packet;
        cvn_slice payload = slice_from(message_payload(frames.text), 1);
        assert_true(sio_packet_decode(payload, &own, &packet));
        assert_int_equal(packet.type, event != NULL ? (count > 0 ? SIO_BINARY_EVENT : SIO_EVENT)
                                                    : (count > 0 ? SIO_BINARY_ACK : SIO_ACK));
        assert_int_equal(packet.attachments, count);
        assert_true(slice_eq(packet.nsp, cvn_str(nsp)));
        assert_int_equal(packet.has_id, id != NULL);
        assert_int_equal(packet.id, id != NULL ? *id : 0);
        assert_true(slice_eq(packet.args, cvn_str(list)));
        if (event != NULL) {
            struct buf name;
            buf_init(&name, 64);
            assert_true(json_unescape(&name, packet.event));
            assert_true(slice_eq(buf_slice(&name), cvn_str(event)));
            buf_release(&name);
        }
        sio_frames_release(&frames);
    }
}

static void test_no_memory(void **state)
{
    const cvn_slice bytes[] = {SLICE("one"), SLICE("two"), SLICE("three")};
    struct sio_frames frames, untouched;
    uint64_t failing = 0;
    enum cvn_error error;
    (void)state;
    memset(&untouched, 0x5a, sizeof untouched);
    do {
        memset(&frames, 0x5a, sizeof frames);
        mem_fail_after(failing++, 1);
        error = sio_encode_event(SLICE("/chat"), "a", NULL,
                                 with_bytes(PH(0) "," PH(1) "," PH(2), bytes, 3), &limits, &frames);
        mem_fail_after(0, 0);
        if (error != CVN_OK) {
            assert_int_equal(error, CVN_ERR_MEMORY);
            assert_memory_equal(&frames, &untouched, sizeof frames);
        }
    } while (error != CVN_OK);
    assert_int_equal(failing, 6); /* the text, the list, three attachments, then it worked */
    assert_int_equal(frames.binary_count, 3);
    sio_frames_release(&frames);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_binaries),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_longest_name),
        cmocka_unit_test(test_most_attachments),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_volatile),
        cmocka_unit_test(test_no_compress),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_exact_size),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
