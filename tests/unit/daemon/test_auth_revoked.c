/* Revocation: users up to a moment, tokens by their ids, bounds, sweeping, and many threads at once; and that auth_verify asks. */
#include "auth_rig.h"
#include "auth/auth_revoked.h"
#include <pthread.h>

static struct principal *of(const char *user_id, const char *jti, int64_t issued_at)
{
    static struct principal principal;
    principal = (struct principal){.user_id = user_id, .jti = jti, .issued_at = issued_at};
    return &principal;
}

static void users_up_to_a_moment(void **state)
{
    (void)state;
    struct auth_revoked *revoked = auth_revoked_new();
    assert_false(auth_revoked_has(revoked, of("a", NULL, 100)));
    assert_true(auth_revoked_add_user(revoked, "a", 100));
    assert_true(auth_revoked_has(revoked, of("a", NULL, 99)));
    assert_true(auth_revoked_has(revoked, of("a", NULL, 100)));
    assert_false(auth_revoked_has(revoked, of("a", NULL, 101)));
    assert_true(auth_revoked_has(revoked, of("a", NULL, 0))); /* does not say when */
    assert_false(auth_revoked_has(revoked, of("b", NULL, 0)));
    assert_false(auth_revoked_has(revoked, of("aa", "a", 0)));
    assert_true(auth_revoked_add_user(revoked, "a", 50)); /* an earlier one changes nothing */
    assert_true(auth_revoked_has(revoked, of("a", NULL, 100)));
    assert_true(auth_revoked_add_user(revoked, "a", 200));
    assert_true(auth_revoked_has(revoked, of("a", NULL, 200)));
    auth_revoked_sweep(revoked, INT64_MAX); /* users stay */
    assert_true(auth_revoked_has(revoked, of("a", NULL, 200)));
    auth_revoked_free(revoked);
    auth_revoked_free(NULL);
}

static void tokens_until_they_expire(void **state)
{
    (void)state;
    struct auth_revoked *revoked = auth_revoked_new();
    assert_true(auth_revoked_add_token(revoked, "t", 100));
    assert_true(auth_revoked_add_token(revoked, "forever", 0));
    assert_true(auth_revoked_add_token(revoked, "longer", 100));
    assert_true(auth_revoked_add_token(revoked, "longer", 200));
    assert_true(auth_revoked_add_token(revoked, "longer", 50));
    assert_true(auth_revoked_add_token(revoked, "ever", 100));
    assert_true(auth_revoked_add_token(revoked, "ever", 0));
    assert_true(auth_revoked_add_token(revoked, "ever", 100));
    assert_true(auth_revoked_has(revoked, of("a", "t", 1)));
    assert_false(auth_revoked_has(revoked, of("t", "a", 1)));
    auth_revoked_sweep(revoked, 100);
    assert_true(auth_revoked_has(revoked, of("a", "t", 1)));
    auth_revoked_sweep(revoked, 101);
    assert_false(auth_revoked_has(revoked, of("a", "t", 1)));
    assert_true(auth_revoked_has(revoked, of("a", "longer", 1)));
    auth_revoked_sweep(revoked, INT64_MAX);
    assert_false(auth_revoked_has(revoked, of("a", "longer", 1)));
    assert_true(auth_revoked_has(revoked, of("a", "forever", 1)));
    assert_true(auth_revoked_has(revoked, of("a", "ever", 1)));
    auth_revoked_free(revoked);
}

/* Full is full: nothing is forgotten for what is new, and what expires makes room. */
static void is_bounded(void **state)
{
    (void)state;
    struct auth_revoked *revoked = auth_revoked_new();
    char id[32];
    for (int i = 0; i < AUTH_MAX_REVOKED; i++) {
        snprintf(id, sizeof id, "token-%d", i);
        assert_true(auth_revoked_add_token(revoked, id, 10 + i % 2));
    }
    assert_false(auth_revoked_add_token(revoked, "one too many", 10));
    assert_false(auth_revoked_has(revoked, of("a", "one too many", 1)));
    assert_true(auth_revoked_add_token(revoked, "token-7", 20)); /* there already */
    assert_true(auth_revoked_has(revoked, of("a", "token-0", 1)));
    assert_true(auth_revoked_add_user(revoked, "a", 10));
    auth_revoked_sweep(revoked, 11);
    for (int i = 0; i < AUTH_MAX_REVOKED / 2; i++) {
        snprintf(id, sizeof id, "new-%d", i);
        assert_true(auth_revoked_add_token(revoked, id, 30));
    }
    assert_false(auth_revoked_add_token(revoked, "one too many", 10));
    auth_revoked_free(revoked);
}

static struct auth_revoked *shared;

static void *ask_and_add(void *data)
{
    char id[32];
    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof id, "%s-%d", (const char *)data, i);
        struct principal principal = {.user_id = id, .jti = id, .issued_at = 5};
        bool before = auth_revoked_has(shared, &principal);
        auth_revoked_add_user(shared, id, 10);
        auth_revoked_add_token(shared, id, i % 7);
        if (i % 50 == 0)
            auth_revoked_sweep(shared, 3);
        if (before || !auth_revoked_has(shared, &principal))
            return data;
    }
    return NULL;
}

static void any_thread_may_ask_and_add(void **state)
{
    (void)state;
    pthread_t threads[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    shared = auth_revoked_new();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_and_add, names[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    auth_revoked_free(shared);
}

static void revoked_tokens_are_refused(void **state)
{
    (void)state;
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    config.auth.leeway_s = 10;
    struct auth *auth = rig_auth(&config);
    char *old = rig_token("{\"sub\":\"a\",\"role\":\"ADMIN\",\"iat\":1700000000,\"jti\":\"one\"}");
    char *new = rig_token("{\"sub\":\"a\",\"role\":\"ADMIN\",\"iat\":1700000001,\"jti\":\"two\"}");
    assert_taken(auth, old);
    assert_true(auth_revoke_user(auth, "a", 1700000000));
    assert_refused(auth, old, AUTH_INVALID, "the token was revoked");
    assert_taken(auth, new);
    assert_true(auth_revoke_token(auth, "two", 1700000200));
    assert_refused(auth, new, AUTH_INVALID, "the token was revoked");
    assert_true(auth_is_revoked(auth, of("b", "two", 1)));
    assert_false(auth_is_revoked(auth, of("b", "three", 1)));
    auth_sweep(auth, 1700000210); /* within the leeway it could still be used */
    assert_true(auth_is_revoked(auth, of("b", "two", 1)));
    auth_sweep(auth, 1700000211);
    assert_false(auth_is_revoked(auth, of("b", "two", 1)));
    free(old);
    free(new);
    auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_up_to_a_moment),
        cmocka_unit_test(tokens_until_they_expire),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(any_thread_may_ask_and_add),
        cmocka_unit_test(revoked_tokens_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
