/* Revocations take effect at once, come back after a restart, and are forgotten once no token can be good any more. */
#include "store_rig.h"
#include "store_faults.h"
#include "access/access_revocations.h"

#define NOW 1700000000
#define DAY 86400

static const struct config *config;
static cvn_server *server;
static struct auth *auth;
static struct store *store;
static struct access_revocations *revocations;

static void open_all(void)
{
    char *argv[] = {(char *)"convened", (char *)"--dev", (char *)"--data", directory, NULL};
    assert_int_equal(config_load(&config, 4, argv), CONFIG_RUN);
    server = cvn_server_new(&(cvn_options){.workers = 1, .hide_client = true});
    auth = auth_new(config, server, NULL);
    assert_non_null(auth);
    store = store_open(directory);
    assert_non_null(store);
    revocations = access_revocations_new(store, auth);
    assert_non_null(revocations);
    assert_true(store_start(store, NULL));
}

static void close_all(void)
{
    store_close(store);
    access_revocations_free(revocations);
    auth_free(auth);
    cvn_server_free(server);
    config_free(config);
}

static int set_up(void **state)
{
    (void)state;
    faults_set(FAULT_NONE, 0);
    log_forget();
    directory_make();
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    faults_set(FAULT_NONE, 0);
    close_all();
    directory_remove();
    return 0;
}

static bool is_revoked(const char *user_id, int64_t issued_at, const char *jti)
{
    return auth_is_revoked(
        auth, &(struct principal){.user_id = user_id, .issued_at = issued_at, .jti = jti});
}

static struct gate told;
static enum store_result told_result;

static void on_kept(enum store_result result, void *data)
{
    assert_ptr_equal(data, &told);
    told_result = result;
    gate_pass(&told);
}

static enum store_result revoke_user(const char *user_id, int64_t issued_until)
{
    gate_open(&told);
    assert_true(
        access_revocations_user(revocations, user_id, issued_until, "root", NOW, on_kept, &told));
    gate_wait(&told);
    gate_close(&told);
    return told_result;
}

static enum store_result revoke_token(const char *jti, int64_t expires_at)
{
    gate_open(&told);
    assert_true(access_revocations_token(revocations, jti, expires_at, NULL, NOW, on_kept, &told));
    gate_wait(&told);
    gate_close(&told);
    return told_result;
}

static void test_restart(void **state)
{
    (void)state;
    assert_int_equal(revoke_user("ann", NOW), STORE_OK);
    assert_int_equal(revoke_token("t1", NOW + 60), STORE_OK);
    assert_int_equal(revoke_token("t2", 0), STORE_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(is_revoked("ann", NOW, NULL));
        assert_false(is_revoked("ann", NOW + 1, NULL));
        assert_false(is_revoked("ben", NOW, "t3"));
        assert_true(is_revoked("ben", NOW, "t1"));
        assert_true(is_revoked("ben", NOW, "t2"));
        close_all();
        open_all();
    }
}

/* Whatever comes last, the stricter one holds. */
static void test_the_stricter_one_wins(void **state)
{
    (void)state;
    revoke_user("ann", NOW);
    revoke_user("ann", NOW - 100);
    revoke_user("ben", NOW);
    revoke_user("ben", NOW + 100);
    revoke_token("t1", 0);
    revoke_token("t1", NOW);
    revoke_token("t2", NOW);
    revoke_token("t2", 0);
    revoke_token("t3", NOW + 10 * DAY);
    revoke_token("t3", NOW);
    close_all();
    open_all();
    assert_true(is_revoked("ann", NOW, NULL));
    assert_true(is_revoked("ben", NOW + 100, NULL));
    access_revocations_sweep(revocations, NOW + 5 * DAY);
    close_all();
    open_all();
    assert_true(is_revoked("x", NOW, "t1"));
    assert_true(is_revoked("x", NOW, "t2"));
    assert_true(is_revoked("x", NOW, "t3"));
}

static void test_sweep(void **state)
{
    (void)state;
    revoke_user("ann", NOW);
    revoke_token("t1", NOW);
    revoke_token("t2", NOW + 5 * DAY);
    access_revocations_sweep(revocations, NOW); /* tokens have a leeway */
    assert_true(is_revoked("x", NOW, "t1"));
    access_revocations_sweep(revocations, NOW + DAY);
    assert_false(is_revoked("x", NOW, "t1"));
    close_all();
    open_all();
    assert_true(is_revoked("x", NOW, "t1")); /* the store knows it a day longer */
    access_revocations_sweep(revocations, NOW + DAY + 1);
    assert_false(is_revoked("x", NOW, "t1"));
    assert_true(is_revoked("x", NOW, "t2"));
    close_all();
    open_all();
    assert_false(is_revoked("x", NOW, "t1"));
    assert_true(is_revoked("x", NOW, "t2"));
    assert_true(is_revoked("ann", NOW, NULL)); /* a user's stays */
}

static void test_a_full_disk(void **state)
{
    (void)state;
    faults_set(FAULT_FULL, 0);
    assert_int_equal(revoke_user("ann", NOW), STORE_UNAVAILABLE);
    assert_true(is_revoked("ann", NOW, NULL)); /* it holds, as long as the process */
    faults_set(FAULT_NONE, 0);
    assert_int_equal(revoke_user("ann", NOW), STORE_OK);
    close_all();
    open_all();
    assert_true(is_revoked("ann", NOW, NULL));
}

static void test_names(void **state)
{
    (void)state;
    char name[600];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_false(access_revocations_user(revocations, name, NOW, NULL, NOW, on_kept, &told));
    assert_false(access_revocations_token(revocations, name, NOW, NULL, NOW, on_kept, &told));
    assert_false(access_revocations_user(revocations, "", NOW, NULL, NOW, on_kept, &told));
    assert_false(is_revoked(name, NOW, NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_restart), TEST(test_the_stricter_one_wins),
        TEST(test_sweep),   TEST(test_a_full_disk),
        TEST(test_names),
    };
    faults_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
