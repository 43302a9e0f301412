/*
 * The chunked decoder: bodies and refusals, whole, byte by byte, in random pieces, each piece at the edge
 * of a page.
 */
#include "pieces.h"
#include "http/http_chunked.h"

struct outcome {
    enum http_decode result;
    char body[70000];
    size_t size;
    size_t used;
};

static void run(cvn_slice input, unsigned way, struct outcome *ret)
{
    struct http_chunked decoder = {0};
    unsigned seed = way;
    ret->result = HTTP_NEED_MORE;
    ret->size = ret->used = 0;
    while (ret->used < input.size && ret->result == HTTP_NEED_MORE) {
        size_t piece = pieces_next(way, &seed, input.size, input.size - ret->used);
        char *copy = guard_copy(input.data + ret->used, piece);
        size_t body = SIZE_MAX, used = SIZE_MAX;
        ret->result = http_chunked_decode(&decoder, copy, piece, &body, &used);
        if (ret->result == HTTP_REFUSED) { /* untouched on failure */
            assert_int_equal(body, SIZE_MAX);
            assert_int_equal(used, SIZE_MAX);
        } else {
            assert_true(used <= piece && body <= used);
            assert_true(ret->result == HTTP_COMPLETE || used == piece);
            assert_true(ret->size + body <= sizeof ret->body);
            memcpy(ret->body + ret->size, copy, body);
            ret->size += body;
            ret->used += used;
        }
        guard_free(copy, piece);
    }
}

static void assert_outcome(cvn_slice input, enum http_decode result, cvn_slice body, size_t behind)
{
    static struct outcome outcome;
    for (unsigned way = 0; way < PIECES_WAYS; way++) {
        run(input, way, &outcome);
        if (outcome.result != result)
            fail_msg("way %u, result %d instead of %d: %.*s", way, (int)outcome.result, (int)result,
                     SLICE_ARG(input));
        if (result == HTTP_REFUSED)
            continue;
        assert_int_equal(outcome.size, body.size);
        assert_memory_equal(outcome.body, body.data, body.size);
        assert_int_equal(outcome.used, input.size - behind);
    }
}

static void test_bodies(void **state)
{
    static const struct {
        const char *input, *body;
        size_t behind;
    } cases[] = {{"0\r\n\r\n", "", 0},
                 {"00000000\r\n\r\n", "", 0},
                 {"5\r\nhello\r\n0\r\n\r\n", "hello", 0},
                 {"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", 0},
                 {"0005\r\nhello\r\n0\r\n\r\n", "hello", 0},
                 {"a\r\n0123456789\r\nB\r\n01234567890\r\n0\r\n\r\n", "012345678901234567890", 0},
                 {"2\r\n\r\n\r\n4\r\n0\r\n\r\r\n0\r\n\r\n", "\r\n0\r\n\r", 0},
                 {"1;a\r\nx\r\n0\r\n\r\n", "x", 0},
                 {"1;a=\"q;\xc3\xa4\";b = c\t\r\nx\r\n0;z\r\n\r\n", "x", 0},
                 {"1\r\nx\r\n0\r\nName: value\r\nother:\r\n\r\n", "x", 0},
                 {"1\r\nx\r\n0\r\nContent-Length: 7\r\n\r\nGET /", "x", 5},
                 {"0\r\n\r\n\r\n", "", 2},
                 {"0\r\n\r\n0\r\n\r\n", "", 5}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_outcome(cvn_str(cases[i].input), HTTP_COMPLETE, cvn_str(cases[i].body),
                       cases[i].behind);
}

static void test_refusals(void **state)
{
    static const char *const cases[] = {"\r\n",
                                        "\n",
                                        ";\r\n",
                                        "g\r\n",
                                        "-1\r\n",
                                        "+1\r\n",
                                        " 1\r\nx",
                                        "1 \r\nx",
                                        "1 ;a\r\nx",
                                        "1\t\r\nx",
                                        "0x1\r\nx",
                                        "1,1\r\nx",
                                        "1\nx",
                                        "1\rx",
                                        "1\r\rx",
                                        "1;a\nx",
                                        "1;a\rb",
                                        "1;a\x01",
                                        "1;\x7f",
                                        "000000001\r\n",
                                        "100000000\r\n",
                                        "ffffffffffffffff\r\n",
                                        "10000000000000001\r\n",
                                        "1\r\nxy",
                                        "1\r\nx\n",
                                        "1\r\nx0\r\n",
                                        "1\r\nx\r0",
                                        "1\r\nx\r\r",
                                        "1\r\nx\r\n\r\n",
                                        "3\r\nxy\r\n0\r\n\r\n",
                                        "0\n",
                                        "0\r\n\n",
                                        "0\r\n\r\r",
                                        "0\r\n\rX",
                                        "0\r\n Name: x",
                                        "0\r\n\tName: x",
                                        "0\r\n: x",
                                        "0\r\nName\r\n",
                                        "0\r\nName : x",
                                        "0\r\nNa me: x",
                                        "0\r\nName: a\nb",
                                        "0\r\nName: a\rb",
                                        "0\r\nName: \x02"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_outcome(cvn_str(cases[i]), HTTP_REFUSED, SLICE(""), 0);
    assert_outcome(slice_of("1\0\r\nx", 6), HTTP_REFUSED, SLICE(""), 0);
    assert_outcome(slice_of("0\r\nN: \0", 7), HTTP_REFUSED, SLICE(""), 0);
}

/* No prefix of a good body is refused, nor taken for the whole. */
static void test_prefixes(void **state)
{
    static const char input[] = "5;a=b\r\nhello\r\n0B\r\n01234567890\r\n0\r\nName: x\r\n\r\n";
    static const char body[] = "hello01234567890";
    (void)state;
    for (size_t size = 0; size < sizeof input - 1; size++) {
        static struct outcome outcome;
        for (unsigned way = 0; way < PIECES_WAYS; way++) {
            run(slice_of(input, size), way, &outcome);
            assert_int_equal(outcome.result, HTTP_NEED_MORE);
            assert_int_equal(outcome.used, size);
            assert_true(outcome.size <= sizeof body - 1);
            assert_memory_equal(outcome.body, body, outcome.size);
        }
    }
}

/* Chunks of any number, but framing that carries nothing has a bound. */
static void test_bounds(void **state)
{
    static char input[200000], body[70000];
    size_t size = 0;
    (void)state;
    for (size_t i = 0; i < 10000; i++) {
        size += (size_t)snprintf(input + size, sizeof input - size, "1\r\n%c\r\n",
                                 (char)('a' + i % 26));
        body[i] = (char)('a' + i % 26);
    }
    memcpy(input + size, "0\r\n\r\n", 5);
    static struct outcome outcome;
    run(slice_of(input, size + 5), 0, &outcome);
    assert_int_equal(outcome.result, HTTP_COMPLETE);
    assert_int_equal(outcome.size, 10000);
    assert_memory_equal(outcome.body, body, 10000);

    static const char *const begun[] = {"1;", "0;", "0\r\nName: ", "0\r\n"};
    for (size_t i = 0; i < 4; i++) {
        size_t prefix = strlen(begun[i]);
        memcpy(input, begun[i], prefix);
        memset(input + prefix, 'x', 5000);
        run(slice_of(input, prefix + 4000), 0, &outcome);
        assert_int_equal(outcome.result, HTTP_NEED_MORE);
        run(slice_of(input, prefix + 5000), 0, &outcome);
        assert_int_equal(outcome.result, HTTP_REFUSED);
    }
    /* Spread over many chunks and trailers it is no less. */
    for (int trailers = 0; trailers <= 1; trailers++) {
        size = trailers ? (size_t)snprintf(input, sizeof input, "0\r\n") : 0;
        for (size_t i = 0; i < 1000; i++)
            size += (size_t)snprintf(input + size, sizeof input - size,
                                     trailers ? "abc: d\r\n" : "1;abcd\r\nx\r\n");
        run(slice_of(input, size), 0, &outcome);
        assert_int_equal(outcome.result, HTTP_REFUSED);
    }
}

/* A chunk's size is told while its data is still to come. */
static void test_announcement(void **state)
{
    struct http_chunked decoder = {0};
    char input[] = "fffffff0\r\nab";
    size_t body, used;
    (void)state;
    assert_int_equal(http_chunked_decode(&decoder, input, sizeof input - 1, &body, &used),
                     HTTP_NEED_MORE);
    assert_int_equal(body, 2);
    assert_memory_equal(input, "ab", 2);
    assert_int_equal(decoder.chunk_left, 0xfffffff0u - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_prefixes),     cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_announcement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
