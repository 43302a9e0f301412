/* Subjects: shared by key, remembered while their buckets are not full, bounded; addresses as they are counted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "access/access_subjects.h"
#include <stdio.h>
#include <string.h>

#define SECOND 1000000LL

static const struct config_rate one_a_minute = {1, 60000};

static void test_shared_by_key(void **state)
{
    (void)state;
    struct subjects *subjects = subjects_new(2, 10);
    struct subject *ada = subjects_enter(subjects, "ada"), *again = subjects_enter(subjects, "ada");
    struct subject *bob = subjects_enter(subjects, "bob");
    assert_ptr_equal(ada, again);
    assert_ptr_not_equal(ada, bob);
    assert_string_equal(bob->key, "bob");
    assert_int_equal(subjects_count(subjects), 2);
    subjects_leave(subjects, ada);
    subjects_leave(subjects, bob);
    subjects_leave(subjects, again);
    subjects_leave(subjects, NULL);
    subjects_free(subjects);
}

static void test_coming_back_does_not_forgive(void **state)
{
    (void)state;
    struct subjects *subjects = subjects_new(1, 10);
    uint32_t retry;
    for (int i = 0; i < 2; i++) {
        struct subject *ada = subjects_enter(subjects, "ada");
        assert_int_equal(rate_take(&ada->buckets[0], one_a_minute, SECOND, &retry), i == 0);
        subjects_leave(subjects, ada);
        subjects_sweep(subjects, 2 * SECOND);
    }
    assert_int_equal(subjects_count(subjects), 1);
    subjects_sweep(subjects, 61 * SECOND);
    assert_int_equal(subjects_count(subjects), 0);
    subjects_free(subjects);
}

static void test_remembers_so_many(void **state)
{
    (void)state;
    struct subjects *subjects = subjects_new(1, 3);
    char key[16];
    uint32_t retry;
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "user %d", i);
        struct subject *subject = subjects_enter(subjects, key);
        assert_true(rate_take(&subject->buckets[0], one_a_minute, SECOND, &retry));
        subjects_leave(subjects, subject);
    }
    assert_int_equal(subjects_count(subjects), 3);
    struct subject *last = subjects_enter(subjects, "user 9"),
                   *first = subjects_enter(subjects, "user 0");
    assert_false(rate_take(&last->buckets[0], one_a_minute, SECOND, &retry));
    assert_true(rate_take(&first->buckets[0], one_a_minute, SECOND,
                          &retry)); /* the one that left first was forgotten */
    subjects_leave(subjects, last);
    subjects_leave(subjects, first);
    subjects_free(subjects);
}

static void test_who_is_there_is_never_forgotten(void **state)
{
    (void)state;
    struct subjects *subjects = subjects_new(1, 0);
    struct subject *ada = subjects_enter(subjects, "ada");
    subjects_sweep(subjects, 1000 * SECOND);
    assert_int_equal(subjects_count(subjects), 1);
    subjects_leave(subjects, ada); /* none may stay */
    assert_int_equal(subjects_count(subjects), 0);
    subjects_free(subjects);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"192.0.2.7", "192.0.2.7"},
        {"::ffff:192.0.2.7", "192.0.2.7"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"2001:db8:1:2::1", "2001:db8:1:2::/64"},
        {"::1", "::/64"},
        {"nonsense", "nonsense"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[SUBJECTS_ADDRESS_SIZE];
        subjects_address_key(cases[i][0], key);
        assert_string_equal(key, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_by_key),
        cmocka_unit_test(test_coming_back_does_not_forgive),
        cmocka_unit_test(test_remembers_so_many),
        cmocka_unit_test(test_who_is_there_is_never_forgotten),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
