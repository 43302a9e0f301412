/*
 * What is around the tokens: reloading, several keys at once, the development mode, API keys, and configurations that cannot be used.
 */
#include "auth_rig.h"
#include <pthread.h>

#define ANOTHER_SECRET "another secret, of more than 32 bytes"

static char *signed_with(const char *secret)
{
    return rig_hmac("SHA256", RIG_HEADER, "{\"sub\":\"a\",\"role\":\"ADMIN\"}", secret,
                    strlen(secret));
}

static void a_reload_takes_keys_and_rules_over(void **state)
{
    (void)state;
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    struct auth *auth = rig_auth(&config);
    char *old = signed_with(RIG_SECRET), *new = signed_with(ANOTHER_SECRET);
    assert_taken(auth, old);
    assert_refused(auth, new, AUTH_INVALID, "no key that fits has made the signature");
    struct config next = config;
    next.auth.secret = ANOTHER_SECRET;
    assert_true(auth_reconfigure(auth, &next));
    assert_refused(auth, old, AUTH_INVALID, "no key that fits has made the signature");
    assert_taken(auth, new);
    /* What cannot be used leaves everything as it was. */
    struct config broken = config;
    broken.auth.key_files = (struct config_list)LIST("/nonexistent/key.pem");
    assert_false(auth_reconfigure(auth, &broken));
    broken = config;
    broken.auth.algorithms = (struct config_list)LIST("HS257");
    assert_false(auth_reconfigure(auth, &broken));
    broken = config;
    broken.auth.secret = "short";
    assert_false(auth_reconfigure(auth, &broken));
    assert_taken(auth, new);
    next.auth.issuer = "us";
    assert_true(auth_reconfigure(auth, &next));
    assert_refused(auth, new, AUTH_INVALID, "the token is somebody else's: wrong issuer");
    free(old);
    free(new);
    auth_free(auth);
}

/* A secret and files together: rotation without a gap. */
static void all_configured_keys_count(void **state)
{
    (void)state;
    json_t *golden = rig_load("jose.json");
    const json_t *keys = json_object_get(golden, "keys"),
                 *tokens = json_object_get(golden, "tokens");
    const char *rsa_pem = rig_text(keys, "rsa", "pem"), *ec_pem = rig_text(keys, "ec384", "pem");
    char *rsa = rig_file(rsa_pem, strlen(rsa_pem)), *ec = rig_file(ec_pem, strlen(ec_pem));
    const char *const files[] = {rsa, ec, NULL};
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    config.auth.key_files = (struct config_list){files, 2};
    struct auth *auth = rig_auth(&config);
    char *token = signed_with(RIG_SECRET);
    assert_taken(auth, token);
    assert_taken(auth, rig_text(tokens, "RS512", "token"));
    assert_taken(auth, rig_text(tokens, "ES384", "token"));
    assert_refused(auth, rig_text(tokens, "ES256", "token"), AUTH_INVALID,
                   "no key that fits has made the signature");
    auth_free(auth);
    free(token);
    rig_unlink(rsa);
    rig_unlink(ec);
    json_decref(golden);
}

static void files_that_cannot_be_used(void **state)
{
    (void)state;
    struct config config = rig_config();
    char *empty = rig_file("", 0);
    const size_t size = ((size_t)1 << 20) + 1;
    json_t *golden = rig_load("jose.json");
    const char *pem = rig_text(json_object_get(golden, "keys"), "ec256", "pem");
    char *lines = malloc(size); /* a good key, and very much behind it */
    memset(lines, '\n', size);
    memcpy(lines, pem, strlen(pem));
    char *huge = rig_file(lines, size);
    const char *const wrong[] = {empty, huge, "/", "/nonexistent"};
    for (size_t i = 0; i < 4; i++) {
        const char *const files[] = {wrong[i], NULL};
        config.auth.key_files = (struct config_list){files, 1};
        assert_null(rig_auth(&config));
    }
    free(lines);
    json_decref(golden);
    rig_unlink(empty);
    rig_unlink(huge);
    auth_free(NULL);
}

/* A server without a key starts (and says so), and lets nobody in. */
static void without_keys_nobody_comes_in(void **state)
{
    (void)state;
    struct config config = rig_config();
    struct auth *auth = rig_auth(&config);
    char *token = signed_with("");
    assert_non_null(auth);
    assert_refused(auth, token, AUTH_INVALID, "no key that fits has made the signature");
    free(token);
    auth_free(auth);
}

/* --- Development mode --- */

static void issues_tokens_in_development_only(void **state)
{
    (void)state;
    const cvn_slice claims = cvn_str("{\"sub\":\"dev\",\"app_metadata\":{\"role\":\"PROFESSOR\"}}");
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    struct auth *auth = rig_auth(&config);
    assert_null(auth_issue(auth, claims, 60));
    auth_free(auth);

    config.dev = true;
    config.auth.issuer = "us";
    config.auth.audience = (struct config_list)LIST("here", "there");
    auth = rig_auth(&config);
    char *token = auth_issue(auth, claims, 60);
    struct rig_answer answer = rig_verify(auth, token, strlen(token));
    assert_string_equal(answer.why, "");
    assert_string_equal(answer.principal->user_id, "dev");
    assert_int_equal(answer.principal->role, ROLE_PROFESSOR);
    assert_int_equal(answer.principal->expires_at, RIG_NOW + 60);
    assert_int_equal(answer.principal->issued_at, RIG_NOW);
    assert_int_equal(strlen(answer.principal->jti), 16);
    char *second = auth_issue(auth, claims, 60);
    assert_string_not_equal(second, token); /* each has its own id */
    free(second);
    principal_unref(answer.principal);
    rig_unix += 60;
    assert_refused(auth, token, AUTH_EXPIRED, "the token has expired");
    rig_unix -= 60;
    assert_true(auth_reconfigure(auth, &config)); /* the secret lives as long as the process */
    assert_taken(auth, token);

    /* Another process has another secret. */
    struct auth *other = rig_auth(&config);
    assert_refused(other, token, AUTH_INVALID, "no key that fits has made the signature");
    auth_free(other);
    free(token);

    /* Claims that are given stay as they are. */
    token = auth_issue(
        auth, cvn_str("{\"sub\":\"x\",\"role\":\"ADMIN\",\"exp\":1700000101,\"iss\":\"them\"}"),
        60);
    assert_refused(auth, token, AUTH_INVALID, "the token is somebody else's: wrong issuer");
    free(token);
    assert_null(auth_issue(auth, cvn_str("[]"), 60));
    assert_null(auth_issue(auth, cvn_str("{\"sub\":\"a\",\"sub\":\"b\"}"), 60));
    assert_null(auth_issue(auth, cvn_str(""), 60));
    auth_free(auth);
}

/* --- API keys --- */

static void api_keys_are_services(void **state)
{
    (void)state;
    struct config config = rig_config();
    struct principal *principal = NULL;
    config.auth.secret = RIG_SECRET;
    /* sha256("key one"), sha256("key two") */
    config.auth.api_keys = (struct config_list)LIST(
        "grades:1ca3321a9b6d0fff3d5d42bb4e91ef2ba2cd2f3c43e05bb3d9d1e1e70bbbd6c2",
        "a:b:0000000000000000000000000000000000000000000000000000000000000000");
    struct auth *auth = rig_auth(&config);
    assert_non_null(auth);
    assert_false(auth_api_key(auth, cvn_str("key one"), &principal));
    assert_null(principal);
    auth_free(auth);

    char entry[128] = "grades:";
    uint8_t digest[32];
    assert_int_equal(EVP_Digest("key one", 7, digest, NULL, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < 32; i++)
        sprintf(entry + 7 + 2 * i, i % 2 ? "%02x" : "%02X", digest[i]);
    config.auth.api_keys = (struct config_list)LIST(
        "other:0000000000000000000000000000000000000000000000000000000000000000", entry);
    auth = rig_auth(&config);
    assert_true(auth_api_key(auth, cvn_str("key one"), &principal));
    assert_string_equal(principal->user_id, "service/grades");
    assert_string_equal(principal->name, "grades");
    assert_int_equal(principal->role, ROLE_SERVICE);
    assert_int_equal(principal->expires_at, 0);
    principal_unref(principal);
    principal = NULL;
    assert_false(auth_api_key(auth, cvn_str("key on"), &principal));
    assert_false(auth_api_key(auth, cvn_str("key one "), &principal));
    assert_false(auth_api_key(auth, cvn_str(""), &principal));
    assert_false(auth_api_key(auth, (cvn_slice){NULL, 0}, &principal));
    assert_false(auth_api_key(auth, cvn_str(entry + 7), &principal)); /* the digest is no key */
    assert_null(principal);
    auth_free(auth);
}

static void api_keys_that_are_none(void **state)
{
    (void)state;
#define ZEROS "000000000000000000000000000000000000000000000000000000000000000"
    static const char *const wrong[] = {
        "",
        ":",
        "name",
        "name:",
        ":" ZEROS "0",
        "name:" ZEROS,
        "name:" ZEROS "g",
        "name:" ZEROS "00",
        "a-name-of-more-than-64-characters-which-is-more-than-anybody-needs:" ZEROS "0"};
    struct config config = rig_config();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *const list[] = {wrong[i], NULL};
        config.auth.api_keys = (struct config_list){list, 1};
        assert_null(rig_auth(&config));
    }
}

/* --- Words, and threads --- */

static void refusals_have_codes(void **state)
{
    (void)state;
    assert_string_equal(auth_refusal_code(AUTH_REQUIRED), "AUTH_REQUIRED");
    assert_string_equal(auth_refusal_code(AUTH_INVALID), "AUTH_INVALID");
    assert_string_equal(auth_refusal_code(AUTH_EXPIRED), "AUTH_EXPIRED");
    assert_string_equal(auth_refusal_code(AUTH_FORBIDDEN), "FORBIDDEN");
    assert_string_equal(auth_refusal_code(AUTH_UNAVAILABLE), "AUTH_UNAVAILABLE");
    for (int refusal = AUTH_OK; refusal <= AUTH_UNAVAILABLE; refusal++)
        assert_int_equal(auth_refusal_is_retryable((enum auth_refusal)refusal),
                         refusal == AUTH_UNAVAILABLE);
}

static struct auth *shared;
static const char *shared_tokens[3];

static void count_taken(enum auth_refusal refusal, struct principal *principal, const char *why,
                        void *data)
{
    (void)why;
    *(unsigned *)data += refusal == AUTH_OK;
    principal_unref(principal);
}

static void *verify_often(void *data)
{
    for (int i = 0; i < 60; i++) {
        for (size_t k = 0; k < 3; k++)
            auth_verify(shared, cvn_str(shared_tokens[k]), count_taken, data);
    }
    return NULL;
}

/* Reloading while others verify: every token is judged by the old keys or the new ones, which both take it. */
static void reloads_and_verifies_at_once(void **state)
{
    (void)state;
    json_t *golden = rig_load("jose.json");
    const char *rsa_pem = rig_text(json_object_get(golden, "keys"), "rsa", "pem");
    const char *ec_pem = rig_text(json_object_get(golden, "keys"), "ec512", "pem");
    char *rsa = rig_file(rsa_pem, strlen(rsa_pem)), *ec = rig_file(ec_pem, strlen(ec_pem));
    const char *const files[] = {rsa, ec, NULL};
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    config.auth.key_files = (struct config_list){files, 2};
    shared = rig_auth(&config);
    char *token = signed_with(RIG_SECRET);
    shared_tokens[0] = token;
    shared_tokens[1] = rig_text(json_object_get(golden, "tokens"), "PS256", "token");
    shared_tokens[2] = rig_text(json_object_get(golden, "tokens"), "ES512", "token");
    pthread_t threads[3];
    unsigned taken[3] = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &taken[i]), 0);
    for (int i = 0; i < 20; i++)
        assert_true(auth_reconfigure(shared, &config));
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(taken[i], 180);
    }
    auth_free(shared);
    free(token);
    rig_unlink(rsa);
    rig_unlink(ec);
    json_decref(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_takes_keys_and_rules_over),
        cmocka_unit_test(all_configured_keys_count),
        cmocka_unit_test(files_that_cannot_be_used),
        cmocka_unit_test(without_keys_nobody_comes_in),
        cmocka_unit_test(issues_tokens_in_development_only),
        cmocka_unit_test(api_keys_are_services),
        cmocka_unit_test(api_keys_that_are_none),
        cmocka_unit_test(refusals_have_codes),
        cmocka_unit_test(reloads_and_verifies_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
