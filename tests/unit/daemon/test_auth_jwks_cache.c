/* When a JWKS is fetched: every rule of auth_jwks_cache.c, with time moved by hand. */
#include "auth_rig.h"
#include "auth/auth_jwks_cache.h"

#define CACHE_MS    600000
#define COOLDOWN_MS 30000

static struct auth_jwks_cache cache;
static uint64_t now;

static int setup(void **state)
{
    (void)state;
    now = 5; /* younger than every bound */
    auth_jwks_cache_init(&cache, CACHE_MS, COOLDOWN_MS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    auth_jwks_cache_release(&cache);
    return 0;
}

static struct auth_keys *keys_with(const char *kid)
{
    struct auth_keys *keys = auth_keys_new();
    json_t *golden = rig_load("jose.json");
    json_t *jwk = json_deep_copy(
        json_object_get(json_object_get(json_object_get(golden, "keys"), "ec256"), "jwk"));
    unsigned skipped;
    if (kid != NULL)
        json_object_set_new(jwk, "kid", json_string(kid));
    json_t *set = json_pack("{s:[o]}", "keys", jwk);
    char *document = json_dumps(set, 0);
    assert_null(auth_keys_add_jwks(keys, cvn_str(document), &skipped));
    assert_int_equal(skipped, 0);
    free(document);
    json_decref(set);
    json_decref(golden);
    return keys;
}

/* What is advised, and whether keys come with it. */
static void expect(const char *kid, enum auth_jwks_advice advice, bool has_keys)
{
    struct auth_keys *keys = NULL;
    assert_int_equal(auth_jwks_cache_ask(&cache, kid, now, &keys), advice);
    assert_int_equal(keys != NULL, has_keys);
    auth_keys_unref(keys);
}

static void fetch(struct auth_keys *keys)
{
    auth_jwks_cache_begin(&cache);
    auth_jwks_cache_finish(&cache, keys, now);
}

static void keys_are_waited_for_at_first(void **state)
{
    (void)state;
    expect("a", AUTH_JWKS_WAIT, false);
    expect(NULL, AUTH_JWKS_WAIT, false);
    auth_jwks_cache_begin(&cache);
    expect("a", AUTH_JWKS_WAIT, false);
    auth_jwks_cache_finish(&cache, keys_with("a"), now);
    expect("a", AUTH_JWKS_USE, true);
    expect(NULL, AUTH_JWKS_USE, true);
}

static void keys_end_with_their_time(void **state)
{
    (void)state;
    fetch(keys_with("a"));
    now += CACHE_MS - 1;
    expect("a", AUTH_JWKS_USE, true);
    now += 1;
    expect("a", AUTH_JWKS_WAIT, false); /* not used without asking again */
    fetch(keys_with("b"));
    expect("b", AUTH_JWKS_USE, true);
    assert_false(auth_keys_have_kid(cache.keys, "a"));
}

static void a_failing_server_keeps_old_keys(void **state)
{
    (void)state;
    fetch(keys_with("a"));
    now += CACHE_MS;
    fetch(NULL);
    expect("a", AUTH_JWKS_USE, true);
    expect("b", AUTH_JWKS_FAILED, true); /* may exist, cannot be known */
    expect(NULL, AUTH_JWKS_USE, true);
    now += AUTH_JWKS_RETRY_MS - 1;
    expect("a", AUTH_JWKS_USE, true);
    expect("b", AUTH_JWKS_FAILED, true);
    now += 1;
    expect("a", AUTH_JWKS_WAIT, false);
    expect("b", AUTH_JWKS_WAIT, false);
}

static void without_any_keys_a_failure_is_told(void **state)
{
    (void)state;
    fetch(NULL);
    expect("a", AUTH_JWKS_FAILED, false);
    expect(NULL, AUTH_JWKS_FAILED, false);
    auth_jwks_cache_miss(&cache, "a"); /* nothing is known to be missing */
    expect("a", AUTH_JWKS_FAILED, false);
    now += AUTH_JWKS_RETRY_MS;
    expect("a", AUTH_JWKS_WAIT, false);
}

static void unknown_kids_fetch_once_a_cooldown(void **state)
{
    (void)state;
    fetch(keys_with("a"));
    expect("x", AUTH_JWKS_FAILED, true); /* just fetched */
    now += COOLDOWN_MS - 1;
    expect("x", AUTH_JWKS_FAILED, true);
    now += 1;
    expect("x", AUTH_JWKS_WAIT, true);
    auth_jwks_cache_begin(&cache);
    for (int i = 0; i < 1000; i++) { /* a storm, while it is fetched and after it */
        char kid[16];
        snprintf(kid, sizeof kid, "storm-%d", i);
        expect(kid, AUTH_JWKS_WAIT, true);
    }
    expect("a", AUTH_JWKS_USE, true); /* who is known is not held up */
    auth_jwks_cache_finish(&cache, keys_with("a"), now);
    auth_jwks_cache_miss(&cache, "x");
    expect("x", AUTH_JWKS_USE, true);        /* asked for and not there: wrong */
    expect("storm", AUTH_JWKS_FAILED, true); /* never asked for: come again */
    now += COOLDOWN_MS;
    expect("x", AUTH_JWKS_WAIT, true);
    fetch(keys_with("a")); /* for another one: what was missing may be asked for again */
    expect("x", AUTH_JWKS_FAILED, true);
}

static void a_new_key_is_found_by_its_kid(void **state)
{
    (void)state;
    fetch(keys_with("a"));
    now += COOLDOWN_MS;
    expect("b", AUTH_JWKS_WAIT, true);
    fetch(keys_with("b"));
    auth_jwks_cache_miss(&cache, "b"); /* is there: not missing */
    expect("b", AUTH_JWKS_USE, true);
    auth_jwks_cache_miss(&cache, "a");
    expect("a", AUTH_JWKS_USE, true); /* to be judged by keys that do not fit */
    now += COOLDOWN_MS;
    fetch(keys_with("a")); /* back again: what was missing is forgotten */
    expect("a", AUTH_JWKS_USE, true);
    expect("b", AUTH_JWKS_FAILED, true);
}

static void the_memory_of_missing_kids_is_bounded(void **state)
{
    (void)state;
    fetch(keys_with("a"));
    for (int i = 0; i < 3 * AUTH_JWKS_MISSING; i++) {
        char kid[16];
        snprintf(kid, sizeof kid, "k%d", i);
        auth_jwks_cache_miss(&cache, kid);
        auth_jwks_cache_miss(&cache, kid); /* once is enough */
        expect(kid, AUTH_JWKS_USE, true);
    }
    expect("k0", AUTH_JWKS_FAILED, true); /* forgotten */
    expect("k128", AUTH_JWKS_USE, true);
    auth_jwks_cache_miss(&cache, NULL);
}

static void keys_that_are_expired_by_hand_are_fetched_at_once(void **state)
{
    (void)state;
    fetch(keys_with("a"));
    auth_jwks_cache_expire(&cache);
    expect("a", AUTH_JWKS_WAIT, false);
    fetch(NULL);
    expect("a", AUTH_JWKS_USE, true); /* it failed: the old ones serve */
    auth_jwks_cache_expire(&cache);
    expect("a", AUTH_JWKS_WAIT, false);
    fetch(keys_with("a"));
    expect("a", AUTH_JWKS_USE, true);
}

/* A key set without names serves tokens with and without; that a kid is unknown is known after one fetch. */
static void keys_without_names_count_too(void **state)
{
    (void)state;
    fetch(keys_with(NULL));
    expect(NULL, AUTH_JWKS_USE, true);
    now += COOLDOWN_MS;
    expect("x", AUTH_JWKS_WAIT, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_waited_for_at_first, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_end_with_their_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_server_keeps_old_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(without_any_keys_a_failure_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_kids_fetch_once_a_cooldown, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_key_is_found_by_its_kid, setup, teardown),
        cmocka_unit_test_setup_teardown(the_memory_of_missing_kids_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_that_are_expired_by_hand_are_fetched_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(keys_without_names_count_too, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
