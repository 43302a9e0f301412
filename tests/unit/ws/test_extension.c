/* The negotiation of permessage-deflate: which offer is chosen, which are passed over, what makes a field void, and the answer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "base/mem.h"
#include "ws/ws_extension.h"
#include "support/guard.h"

#define FIELD "Sec-WebSocket-Extensions: "
#define PMD   "permessage-deflate"

/* The window that was chosen for a request with these lines of fields; 0: none. Its bytes end at an unmapped page. */
static unsigned choose(const char *lines, struct ws_extension *ret)
{
    struct http_head head;
    char text[2000];
    size_t used;
    int status;
    int size = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
    assert_true(size > 0 && (size_t)size < sizeof text);
    char *copy = guard_copy(text, (size_t)size);
    assert_int_equal(http_head_decode(slice_of(copy, (size_t)size), &head, &used, &status),
                     HTTP_COMPLETE);
    bool found = ws_extension_choose(&head, ret);
    guard_free(copy, (size_t)size);
    return found ? ret->window_bits : 0;
}

static void assert_answer(const struct ws_extension *agreed, const char *expected)
{
    struct buf buf;
    buf_init(&buf, 1000);
    assert_true(ws_extension_answer(&buf, agreed));
    assert_true(slice_eq(buf_slice(&buf), cvn_str(expected)));
    buf_release(&buf);
}

#define ANSWER PMD "; server_no_context_takeover; client_no_context_takeover"

/* Also with the value alone at the end of the bytes: no look beyond it. */
static void assert_chosen(const char *value, unsigned window, bool bounded)
{
    struct ws_extension agreed = {99, false};
    char lines[1500], answer[200];
    snprintf(lines, sizeof lines, FIELD "%s\r\n", value);
    if (choose(lines, &agreed) != window)
        fail_msg("\"%s\": chose %u, not %u", value, agreed.window_bits, window);
    struct http_head head = {.field_count = 1};
    char *copy = guard_copy(value, strlen(value));
    head.fields[0] =
        (struct http_field){SLICE("sec-websocket-extensions"), slice_of(copy, strlen(value))};
    struct ws_extension again = {99, false};
    assert_int_equal(ws_extension_choose(&head, &again), window != 0);
    guard_free(copy, strlen(value));
    assert_int_equal(again.window_bits, window != 0 ? window : 99); /* untouched on failure */
    if (window == 0)
        return;
    assert_int_equal(agreed.bounded, bounded);
    snprintf(answer, sizeof answer, ANSWER "; server_max_window_bits=%u", window);
    assert_answer(&agreed, bounded ? answer : ANSWER);
}

static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        unsigned window;
    } cases[] = {
        {PMD, 0},
        {PMD "; client_max_window_bits", 0}, /* Chromium, Firefox, Node's ws */
        {PMD "; client_max_window_bits=8", 0},
        {PMD "; client_max_window_bits=15", 0},
        {PMD "; server_no_context_takeover; client_no_context_takeover", 0},
        {PMD ";client_no_context_takeover;server_no_context_takeover", 0},
        {PMD "\t ;\t server_no_context_takeover \t", 0},
        {PMD "; server_max_window_bits=15", 15},
        {PMD "; server_max_window_bits=9", 9},
        {PMD "; server_max_window_bits=10; client_max_window_bits=10", 10},
        {PMD "; server_max_window_bits = 11", 11},
        {PMD "; server_max_window_bits=\"12\"", 12},
        {PMD "; server_max_window_bits=\"\\1\\2\"", 12},
        {PMD "; client_max_window_bits=\"9\"", 0},
        {PMD "; client_max_window_bits; server_max_window_bits=14; client_no_context_takeover; "
             "server_no_context_takeover",
         14},
        {", ," PMD " ,,", 0}, /* empty elements are no offers, and no harm */
        {"x-webkit-deflate-frame, " PMD "; client_max_window_bits", 0},
        {"a; b; c=d; e=\"f\", " PMD, 0},
        {PMD "; what_is_this, " PMD, 0},
        {PMD "; server_max_window_bits=8, " PMD "; server_max_window_bits=9", 9},
        {PMD "; server_max_window_bits=10, " PMD, 10}, /* the first */
        {PMD ", " PMD "; server_max_window_bits=10", 0},
        {PMD "," PMD "; server_max_window_bits=8", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_chosen(cases[i].value, cases[i].window != 0 ? cases[i].window : 15,
                      cases[i].window != 0);
}

static void test_declined(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        " ",
        ",",
        "deflate",
        "permessage-bzip2",
        "permessage-deflate2",
        "permessage-deflat",
        "Permessage-Deflate",
        "x-webkit-deflate-frame",
        PMD "; unknown",
        PMD "; unknown=1",
        PMD "; Server_No_Context_Takeover",
        PMD "; server_no_context_takeover=1",
        PMD "; client_no_context_takeover=true",
        PMD "; server_no_context_takeover=\"1\"",
        PMD "; server_no_context_takeover; server_no_context_takeover",
        PMD "; client_no_context_takeover; client_no_context_takeover",
        PMD "; client_max_window_bits; client_max_window_bits",
        PMD "; client_max_window_bits=10; client_max_window_bits",
        PMD "; server_max_window_bits=10; server_max_window_bits=10",
        PMD "; server_max_window_bits=8; server_max_window_bits=10",
        PMD "; server_max_window_bits",
        PMD "; server_max_window_bits=8", /* right, but not what zlib does */
        PMD "; server_max_window_bits=7",
        PMD "; server_max_window_bits=16",
        PMD "; server_max_window_bits=0",
        PMD "; server_max_window_bits=08",
        PMD "; server_max_window_bits=010",
        PMD "; server_max_window_bits=+9",
        PMD "; server_max_window_bits=9x",
        PMD "; server_max_window_bits=1",
        PMD "; server_max_window_bits=19",
        PMD "; server_max_window_bits=100",
        PMD "; server_max_window_bits=9999999999999999999999",
        PMD "; client_max_window_bits=7",
        PMD "; client_max_window_bits=16",
        PMD "; client_max_window_bits=\"016\"",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_chosen(values[i], 0, false);
}

/* No sentence of the grammar: neither what is good in it nor the rest of it counts. */
static void test_void(void **state)
{
    (void)state;
    static const char *const faults[] = {
        ";",
        PMD ";",
        PMD "; ;client_max_window_bits",
        PMD "; =1",
        PMD "; client_max_window_bits=",
        PMD "; client_max_window_bits= ",
        PMD "; client_max_window_bits==9",
        PMD "; client_max_window_bits=9 9",
        PMD "; client_max_window_bits 9",
        PMD "; client_max_window_bits=\"",
        PMD "; client_max_window_bits=\"9",
        PMD "; client_max_window_bits=\"\"",
        PMD "; client_max_window_bits=\"9\\",
        PMD "; client_max_window_bits=\"9 \"",
        PMD "; client_max_window_bits=\"9\"9",
        PMD "; client_max_window_bits=9\"",
        PMD " client_max_window_bits",
        PMD "=9",
        PMD "/1",
        "a b",
        "\xc3\xbc",
        "a;b=\xc3\xbc",
        "a;b=\"\xc3\xbc\"",
        "(a)",
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char value[1000];
        assert_chosen(faults[i], 0, false);
        snprintf(value, sizeof value, "%s, " PMD, faults[i]);
        assert_chosen(value, 0, false);
        snprintf(value, sizeof value, PMD ", %s", faults[i]);
        assert_chosen(value, 0, false);
        /* Nor does another field help. */
        char lines[1200];
        struct ws_extension agreed;
        snprintf(lines, sizeof lines, FIELD PMD "\r\n" FIELD "%s\r\n", faults[i]);
        assert_int_equal(choose(lines, &agreed), 0);
    }
}

static void test_several_fields(void **state)
{
    (void)state;
    struct ws_extension agreed;
    assert_int_equal(choose("", &agreed), 0);
    assert_int_equal(choose(FIELD "a\r\nX: y\r\nSEC-websocket-EXTENSIONS: " PMD "\r\n", &agreed),
                     15);
    assert_false(agreed.bounded);
    assert_int_equal(choose(FIELD PMD "; server_max_window_bits=8\r\n" FIELD PMD
                                      "; server_max_window_bits=13\r\n" FIELD PMD "\r\n",
                            &agreed),
                     13);
    assert_true(agreed.bounded);
    assert_int_equal(choose("Extensions: " PMD "\r\n", &agreed), 0);
}

/* Every cut of a long right value gives an answer, and none looks behind the cut. */
static void test_cut(void **state)
{
    (void)state;
    static const char whole[] =
        "a;b=\"c\\d\", " PMD "; server_max_window_bits=\"10\"; client_max_window_bits=9, x";
    for (size_t size = 0; size <= strlen(whole); size++) {
        char *copy = guard_copy(whole, size);
        struct http_head head = {.field_count = 1};
        struct ws_extension agreed = {0};
        head.fields[0] =
            (struct http_field){SLICE("Sec-WebSocket-Extensions"), slice_of(copy, size)};
        if (ws_extension_choose(&head, &agreed))
            assert_true(agreed.window_bits == 15 || agreed.window_bits == 10);
        guard_free(copy, size);
    }
}

static void test_answer_room(void **state)
{
    (void)state;
    const struct ws_extension agreed = {10, true};
    for (size_t room = 0; room < 103; room++) {
        struct buf buf;
        buf_init(&buf, room);
        bool done = ws_extension_answer(&buf, &agreed);
        assert_int_equal(done, room >= strlen(ANSWER "; server_max_window_bits=10"));
        buf_release(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_declined),
        cmocka_unit_test(test_void),     cmocka_unit_test(test_several_fields),
        cmocka_unit_test(test_cut),      cmocka_unit_test(test_answer_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
