/* The public JSON helpers that walk and check text from elsewhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <convene/convene.h>

static void assert_slice(cvn_slice slice, const char *text)
{
    assert_int_equal(slice.size, strlen(text));
    assert_memory_equal(slice.data, text, slice.size);
}

static void test_walks_arrays(void **state)
{
    (void)state;
    cvn_slice array = cvn_str(" [ 1 , \"two,]\" ,{\"a\":[3]}, null ] "), key, value;
    const char *expected[] = {"1", "\"two,]\"", "{\"a\":[3]}", "null"};
    size_t cursor = 0, count = 0;
    while (cvn_json_next(array, &cursor, &key, &value)) {
        assert_true(count < 4);
        assert_slice(value, expected[count++]);
        assert_int_equal(key.size, 0);
    }
    assert_int_equal(count, 4);
    assert_false(cvn_json_next(array, &cursor, NULL, &value));
}

static void test_walks_objects(void **state)
{
    (void)state;
    cvn_slice object = cvn_str("{\"a\":1,\"b\\u0063\" : [2], \"a\":{}}"), key, value;
    const char *keys[] = {"\"a\"", "\"b\\u0063\"", "\"a\""};
    const char *values[] = {"1", "[2]", "{}"};
    size_t cursor = 0, count = 0;
    while (cvn_json_next(object, &cursor, &key, &value)) {
        assert_slice(key, keys[count]);
        assert_slice(value, values[count++]);
    }
    assert_int_equal(count, 3);
}

static void test_walks_nothing_else(void **state)
{
    (void)state;
    const char *others[] = {"", "[]", "{}", "[ ]", "\"text\"", "12", "null"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t cursor = 0;
        cvn_slice value;
        assert_false(cvn_json_next(cvn_str(others[i]), &cursor, NULL, &value));
    }
}

static void test_numbers(void **state)
{
    (void)state;
    int64_t whole = 0;
    double number = 0;
    assert_true(cvn_json_whole(cvn_str("-12"), &whole) && whole == -12);
    assert_true(cvn_json_whole(cvn_str("1e3"), &whole) && whole == 1000);
    assert_true(cvn_json_whole(cvn_str("9007199254740992"), &whole) && whole == 1LL << 53);
    assert_false(cvn_json_whole(cvn_str("9007199254740993"), &whole));
    assert_false(cvn_json_whole(cvn_str("1.5"), &whole));
    assert_false(cvn_json_whole(cvn_str("\"1\""), &whole));
    assert_true(cvn_json_number(cvn_str("1.5"), &number) && number == 1.5);
    assert_false(cvn_json_number(cvn_str("1e999"), &number));
    assert_false(cvn_json_number(cvn_str("true"), &number));
}

static void test_tells_valid_text(void **state)
{
    (void)state;
    assert_true(cvn_json_is_valid(cvn_str("{\"a\":[1,{}]}"), 3));
    assert_false(cvn_json_is_valid(cvn_str("{\"a\":[1,{}]}"), 2));
    assert_false(cvn_json_is_valid(cvn_str("{\"a\":1,}"), 9));
    assert_false(cvn_json_is_valid(cvn_str("1 2"), 9));
    assert_false(cvn_json_is_valid(cvn_str(""), 9));
    assert_false(cvn_json_is_valid(cvn_str("\"\xff\""), 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks_arrays),       cmocka_unit_test(test_walks_objects),
        cmocka_unit_test(test_walks_nothing_else), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_tells_valid_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
