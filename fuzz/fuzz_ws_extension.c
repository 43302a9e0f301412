/*
 * The negotiation of compression, and Accept-Encoding beside it: the input, up to its first newline and behind it, is one field or two.
 * Whatever is chosen keeps to what is allowed, does not change when blanks and foreign offers are added, and the answer is read back
 * as an offer with the same window.
 */
#include <stdlib.h>
#include "base/deflater.h"
#include "http/http_encoding.h"
#include "ws/ws_extension.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_VALUE 4096

/* The fields in memory of just their size. */
static bool choose(const cvn_slice *values, size_t count, struct ws_extension *ret)
{
    struct http_head head = {.field_count = count};
    char *copies[2] = {NULL, NULL};
    for (size_t i = 0; i < count; i++) {
        copies[i] = malloc(values[i].size + (values[i].size == 0));
        CHECK(copies[i] != NULL);
        if (values[i].size > 0)
            memcpy(copies[i], values[i].data, values[i].size);
        head.fields[i].name = SLICE("sec-websocket-extensions");
        head.fields[i].value = slice_of(copies[i], values[i].size);
    }
    *ret = (struct ws_extension){77, false};
    bool found = ws_extension_choose(&head, ret);
    for (size_t i = 0; i < count; i++)
        head.fields[i].name = SLICE("Accept-Encoding");
    enum http_encoding encoding = http_encoding_choose(&head);
    CHECK(encoding == HTTP_IDENTITY || encoding == HTTP_GZIP || encoding == HTTP_DEFLATE);
    free(copies[0]);
    free(copies[1]);
    return found;
}

/* With `before` and `after` around the value. */
static void check_around(const char *before, cvn_slice value, const char *after, bool found,
                         const struct ws_extension *expected)
{
    char text[MAX_VALUE + 100];
    struct buf buf = {.data = text, .capacity = sizeof text, .max = sizeof text};
    struct ws_extension chosen;
    buf_append_str(&buf, before);
    buf_append(&buf, value);
    buf_append_str(&buf, after);
    CHECK(!buf.failed);
    cvn_slice whole = buf_slice(&buf);
    CHECK(choose(&whole, 1, &chosen) == found);
    CHECK(chosen.window_bits == expected->window_bits && chosen.bounded == expected->bounded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_extension chosen, again;
    char text[200];
    struct buf answer = {.data = text, .capacity = sizeof text, .max = sizeof text};
    if (size > MAX_VALUE)
        return 0;
    cvn_slice in = slice_of(data, size);
    size_t end = slice_find(in, '\n');
    cvn_slice values[2] = {slice_of(data, end), slice_from(in, end < size ? end + 1 : end)};
    choose(values, 2, &chosen);
    bool found = choose(values, 1, &chosen);
    if (!found) {
        CHECK(chosen.window_bits == 77 && !chosen.bounded);
    } else {
        CHECK(chosen.window_bits >= DEFLATER_MIN_WINDOW &&
              chosen.window_bits <= DEFLATER_MAX_WINDOW);
        CHECK(chosen.bounded || chosen.window_bits == DEFLATER_MAX_WINDOW);
        CHECK(ws_extension_answer(&answer, &chosen));
        cvn_slice as_offer = buf_slice(&answer);
        CHECK(choose(&as_offer, 1, &again));
        CHECK(again.window_bits == chosen.window_bits && again.bounded == chosen.bounded);
    }
    check_around(" \t", values[0], "", found, &chosen);
    check_around("", values[0], " ", found, &chosen);
    check_around("other; a; b=c, ,", values[0], "", found, &chosen);
    if (found)
        check_around("", values[0], " ,, permessage-deflate; server_max_window_bits=10", found,
                     &chosen);
    return 0;
}
