/* Masking against the definition, at every alignment, up to the last byte of a page. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "ws/ws_mask.h"
#include "support/guard.h"

static const uint8_t mask[4] = {0x01, 0x80, 0xff, 0x5a};

static void fill(char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + 3);
}

static void test_equals_definition(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 200; size++) {
        char plain[200];
        fill(plain, size);
        char *data = guard_copy(plain, size);
        ws_mask_apply(data, size, mask);
        for (size_t i = 0; i < size; i++)
            assert_int_equal((uint8_t)data[i], (uint8_t)plain[i] ^ mask[i % 4]);
        ws_mask_apply(data, size, mask);
        if (size > 0)
            assert_memory_equal(data, plain, size);
        guard_free(data, size);
    }
}

/* Neighbouring bytes stay as they are, whatever the address. */
static void test_touches_nothing_else(void **state)
{
    (void)state;
    for (size_t offset = 0; offset < 32; offset++) {
        for (size_t size = 0; size < 70; size++) {
            char data[128], before[128];
            fill(data, sizeof data);
            memcpy(before, data, sizeof data);
            ws_mask_apply(data + offset, size, mask);
            assert_memory_equal(data, before, offset);
            assert_memory_equal(data + offset + size, before + offset + size,
                                sizeof data - offset - size);
            for (size_t i = 0; i < size; i++)
                assert_int_equal((uint8_t)data[offset + i],
                                 (uint8_t)before[offset + i] ^ mask[i % 4]);
        }
    }
}

static void test_zero_mask_changes_nothing(void **state)
{
    (void)state;
    static const uint8_t zero[4];
    char data[100], before[100];
    fill(data, sizeof data);
    memcpy(before, data, sizeof data);
    ws_mask_apply(data, sizeof data, zero);
    assert_memory_equal(data, before, sizeof data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_definition),
        cmocka_unit_test(test_touches_nothing_else),
        cmocka_unit_test(test_zero_mask_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
