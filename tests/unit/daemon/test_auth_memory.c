/*
 * Without memory: each allocation of OpenSSL's and of jansson's fails in turn while a token is verified and while keys are read. A token is
 * refused then, and never taken that should not be; nothing is lost (the leak checker watches).
 */
#include "auth_rig.h"
#include "auth/auth_keys.h"
#include <openssl/crypto.h>

static size_t allocations, failing; /* number `failing` and all behind it fail; 0: none does */

static bool fails(void)
{
    allocations++;
    return failing != 0 && allocations >= failing;
}
static void *json_take(size_t size)
{
    return fails() ? NULL : malloc(size);
}
static void *openssl_take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size == 0 || fails() ? NULL : malloc(size);
}
static void *openssl_retake(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : realloc(memory, size);
}
static void openssl_give(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* Runs `fn` with the first, second, ... allocation failing, until none does. */
static void starve(void (*fn)(bool starved, void *data), void *data)
{
    for (size_t i = 1;; i++) {
        assert_true(i < 100000);
        allocations = 0;
        failing = i;
        fn(true, data);
        failing = 0;
        if (allocations < i)
            break;
    }
    fn(false, data);
}

struct asking {
    struct auth *auth;
    const char *good, *bad;
};

static void ask(bool starved, void *data)
{
    const struct asking *asking = data;
    struct rig_answer answer = rig_verify(asking->auth, asking->bad, strlen(asking->bad));
    assert_int_not_equal(answer.refusal, AUTH_OK);
    answer = rig_verify(asking->auth, asking->good, strlen(asking->good));
    if (!starved)
        assert_int_equal(answer.refusal, AUTH_OK);
    if (answer.principal != NULL)
        assert_string_equal(answer.principal->user_id, "alice");
    principal_unref(answer.principal);
}

static void tokens_without_memory(void **state)
{
    (void)state;
    json_t *golden = rig_load("jose.json");
    const json_t *keys = json_object_get(golden, "keys"),
                 *tokens = json_object_get(golden, "tokens");
    const char *rsa_pem = rig_text(keys, "rsa", "pem"), *ec_pem = rig_text(keys, "ec384", "pem");
    char *rsa = rig_file(rsa_pem, strlen(rsa_pem)), *ec = rig_file(ec_pem, strlen(ec_pem));
    const char *const files[] = {rsa, ec, NULL};
    struct config config = rig_config();
    config.auth.secret = rig_text(keys, "secret", "text");
    config.auth.key_files = (struct config_list){files, 2};
    struct auth *auth = rig_auth(&config);
    static const char *const names[] = {"HS384", "RS256", "PS512", "ES384"};
    for (size_t i = 0; i < 4; i++) {
        char *bad = strdup(rig_text(tokens, names[i], "token"));
        char *at = strrchr(bad, '.') + 3;
        *at = *at == 'A' ? 'B' : 'A';
        struct asking asking = {auth, rig_text(tokens, names[i], "token"), bad};
        ask(false, &asking); /* what OpenSSL fetches once is there */
        starve(ask, &asking);
        free(bad);
    }
    auth_free(auth);
    rig_unlink(rsa);
    rig_unlink(ec);
    json_decref(golden);
}

struct reading {
    char *document;
    const char *pem;
};

static void read_keys(bool starved, void *data)
{
    const struct reading *reading = data;
    struct auth_keys *keys = auth_keys_new();
    unsigned skipped;
    const char *why = auth_keys_add_jwks(keys, cvn_str(reading->document), &skipped);
    assert_true(starved || (why == NULL && auth_keys_count(keys) == 4));
    assert_true(auth_keys_count(keys) <= 4);
    size_t before = auth_keys_count(keys);
    why = auth_keys_add_pem(keys, cvn_str(reading->pem));
    assert_int_equal(auth_keys_count(keys), before + (why == NULL ? 1 : 0));
    assert_true(starved || why == NULL);
    auth_keys_unref(keys);
}

static void keys_without_memory(void **state)
{
    (void)state;
    json_t *golden = rig_load("jose.json"), *list = json_array(), *key;
    const char *name;
    json_object_foreach(json_object_get(golden, "keys"), name, key)
    {
        if (json_object_get(key, "jwk") != NULL)
            json_array_append(list, json_object_get(key, "jwk"));
    }
    json_t *set = json_pack("{s:o}", "keys", list);
    struct reading reading = {json_dumps(set, 0),
                              rig_text(json_object_get(golden, "keys"), "ec256", "pem")};
    read_keys(false, &reading);
    starve(read_keys, &reading);
    free(reading.document);
    json_decref(set);
    json_decref(golden);
}

static void issue(bool starved, void *data)
{
    char *token = auth_issue(data, cvn_str("{\"sub\":\"alice\",\"role\":\"ADMIN\"}"), 60);
    assert_true(starved || token != NULL);
    free(token);
}

static void issuing_without_memory(void **state)
{
    (void)state;
    struct config config = rig_config();
    config.dev = true;
    struct auth *auth = rig_auth(&config);
    issue(false, auth);
    starve(issue, auth);
    auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_without_memory),
        cmocka_unit_test(keys_without_memory),
        cmocka_unit_test(issuing_without_memory),
    };
    if (CRYPTO_set_mem_functions(openssl_take, openssl_retake, openssl_give) != 1)
        return 1;
    json_set_alloc_funcs(json_take, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
