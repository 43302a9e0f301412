/* Sessions of the console: found while they last, few, each of its own. Time is what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "admin/admin_internal.h"

#define DAY 86400
#define MAX 64

static struct admin_identity make(const char *name, int64_t expires_at)
{
    struct admin_identity identity = {.expires_at = expires_at};
    strcpy(identity.name, name);
    return identity;
}

/* Whether the id belongs to that name at `now`. */
static bool is_of(struct admin_sessions *sessions, const char *id, const char *name, int64_t now)
{
    struct admin_identity *found = admin_sessions_find(sessions, id, now);
    bool is_right = found != NULL && strcmp(found->name, name) == 0;
    if (found != NULL)
        assert_string_equal(found->session, ""); /* its client knows it */
    admin_identity_free(found);
    return is_right;
}

static void test_lifetime(void **state)
{
    struct admin_sessions *sessions = admin_sessions_new();
    struct admin_identity ada = make("ada", 0), ben = make("ben", 1000 + 60);
    (void)state;
    admin_sessions_add(sessions, &ada, 1000);
    admin_sessions_add(sessions, &ben, 1000);
    assert_int_equal(strlen(ada.session), 32);
    assert_int_equal(strspn(ada.session, "0123456789abcdef"), 32);
    assert_string_not_equal(ada.session, ben.session);
    assert_true(is_of(sessions, ada.session, "ada", 1000));
    assert_true(is_of(sessions, ada.session, "ada", 1000 + DAY - 1));
    assert_false(is_of(sessions, ada.session, "ada", 1000 + DAY));
    assert_false(is_of(sessions, ada.session, "ada", 1000)); /* forgotten for good */
    admin_sessions_free(sessions);

    sessions = admin_sessions_new();
    admin_sessions_add(sessions, &ben, 1000);
    assert_true(is_of(sessions, ben.session, "ben", 1059)); /* no longer than its token */
    assert_false(is_of(sessions, ben.session, "ben", 1060));
    admin_sessions_free(sessions);
}

static void test_strangers(void **state)
{
    struct admin_sessions *sessions = admin_sessions_new();
    struct admin_identity ada = make("ada", 0);
    char other[33];
    (void)state;
    admin_sessions_add(sessions, &ada, 1000);
    assert_null(admin_sessions_find(sessions, "", 1000));
    assert_null(admin_sessions_find(sessions, "0", 1000));
    for (size_t i = 0; i < 32; i++) {
        memcpy(other, ada.session, sizeof other);
        other[i] = other[i] == '0' ? '1' : '0';
        assert_null(admin_sessions_find(sessions, other, 1000));
    }
    admin_sessions_free(sessions);
}

static void test_bound(void **state)
{
    struct admin_sessions *sessions = admin_sessions_new();
    struct admin_identity people[MAX + 3];
    (void)state;
    for (int i = 0; i < MAX + 3; i++) {
        people[i] = make("x", 0);
        admin_sessions_add(sessions, &people[i], 1000 + i);
    }
    for (int i = 0; i < MAX + 3; i++) /* the oldest have made room */
        assert_int_equal(is_of(sessions, people[i].session, "x", 2000), i >= 3);
    admin_sessions_free(sessions);
    admin_sessions_free(NULL);
}

static void test_batch(void **state)
{
    struct admin_batch *batch = admin_batch_new(3);
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        size_t offset = cvn_text_slice(batch->text).size;
        cvn_text_printf(batch->text, "%u", i);
        assert_true(admin_batch_add(batch, ADMIN_ROOM_LEFT, i, offset));
    }
    assert_int_equal(batch->count, 100);
    for (unsigned i = 0; i < 100; i++) {
        char expected[8];
        const struct admin_record *record = &batch->records[i];
        snprintf(expected, sizeof expected, "%u", i);
        assert_int_equal(record->size, strlen(expected));
        assert_memory_equal(cvn_text_slice(batch->text).data + record->offset, expected,
                            record->size);
        assert_int_equal(record->not_for, i);
    }
    assert_ptr_equal(admin_batch_ref(batch), batch);
    admin_batch_unref(batch);
    admin_batch_unref(batch);
    admin_batch_unref(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
