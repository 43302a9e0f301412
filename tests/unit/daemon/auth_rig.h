/*
 * What the tests of tokens share: a configuration with the daemon's default paths, clocks that are moved by hand, tokens with any header and
 * claims, and the vectors of other implementations.
 */
#ifndef AUTH_RIG_H
#define AUTH_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/auth_base64.h"
#include "auth/auth_signature.h"

#define RIG_NOW    1700000100 /* Unix seconds: within the golden tokens' lives */
#define RIG_SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LIST(...)                                                                                  \
    {                                                                                              \
        .items = (const char *const[]){__VA_ARGS__, NULL},                                         \
        .count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)                 \
    }

/* Lists of the caller's live as long as its block; these for ever. */
static const struct config_list rig_user_id = LIST("sub", "user_id"), rig_email = LIST("email"),
                                rig_name = LIST("name", "user_metadata.full_name"),
                                rig_role = LIST("app_metadata.role", "role"),
                                rig_org_id = LIST("app_metadata.org_id", "org_id"),
                                rig_divisions = LIST("app_metadata.division_ids", "division_ids"),
                                rig_courses = LIST("app_metadata.courses", "courses"),
                                rig_scopes = LIST("app_metadata.scopes", "scope"),
                                rig_roles = LIST("teacher=PROFESSOR", "service_role=SERVICE");

static inline struct config rig_config(void)
{
    struct config config = {0};
    config.auth.required = true;
    config.auth.max_token_bytes = 8192;
    config.auth.claim_user_id = rig_user_id;
    config.auth.claim_email = rig_email;
    config.auth.claim_name = rig_name;
    config.auth.claim_role = rig_role;
    config.auth.claim_org_id = rig_org_id;
    config.auth.claim_division_ids = rig_divisions;
    config.auth.claim_courses = rig_courses;
    config.auth.claim_scopes = rig_scopes;
    config.auth.role_map = rig_roles;
    config.auth.jwks_cache_ms = 600000;
    config.auth.jwks_cooldown_ms = 30000;
    return config;
}

/* --- Time --- */

static int64_t rig_unix = RIG_NOW;
static uint64_t rig_monotonic = 1000000;

static inline int64_t rig_unix_s(void *data)
{
    (void)data;
    return rig_unix;
}
static inline uint64_t rig_monotonic_ms(void *data)
{
    (void)data;
    return rig_monotonic;
}

static inline struct auth *rig_auth(const struct config *config)
{
    struct auth *auth = auth_new(config, NULL, NULL);
    if (auth != NULL)
        auth_set_clock(auth, &(struct auth_clock){rig_unix_s, rig_monotonic_ms, NULL});
    return auth;
}

/* --- Verifying --- */

struct rig_answer {
    unsigned calls;
    enum auth_refusal refusal;
    struct principal *principal;
    char why[128];
};

static inline void rig_on_answer(enum auth_refusal refusal, struct principal *principal,
                                 const char *why, void *data)
{
    struct rig_answer *answer = data;
    answer->calls++;
    answer->refusal = refusal;
    answer->principal = principal;
    snprintf(answer->why, sizeof answer->why, "%s", why != NULL ? why : "");
    assert_true((refusal == AUTH_OK) == (principal != NULL));
    assert_true((refusal == AUTH_OK) == (why == NULL));
}

/* Of a token that needs no waiting; the principal, if any, is the caller's. The token lies in memory of its own size, so that a byte too many
 * that is read is found. */
static inline struct rig_answer rig_verify(struct auth *auth, const char *token, size_t size)
{
    struct rig_answer answer = {0};
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, token, size);
    auth_verify(auth, (cvn_slice){copy, size}, rig_on_answer, &answer);
    free(copy);
    assert_int_equal(answer.calls, 1);
    return answer;
}

#define assert_refused(auth, token, expected, words)                                               \
    do {                                                                                           \
        struct rig_answer answer_ = rig_verify(auth, token, strlen(token));                        \
        principal_unref(answer_.principal);                                                        \
        assert_string_equal(answer_.why, words);                                                   \
        assert_int_equal(answer_.refusal, expected);                                               \
    } while (0)

#define assert_taken(auth, token)                                                                  \
    do {                                                                                           \
        struct rig_answer answer_ = rig_verify(auth, token, strlen(token));                        \
        principal_unref(answer_.principal);                                                        \
        assert_string_equal(answer_.why, "");                                                      \
        assert_int_equal(answer_.refusal, AUTH_OK);                                                \
    } while (0)

/* --- Making --- */

static inline char *rig_base64(const void *bytes, size_t size)
{
    char *text = calloc(1, auth_base64url_encoded_size(size) + 1);
    auth_base64url_encode(bytes, size, text);
    return text;
}

/* Header and payload as they are given, joined by a dot; to be freed. */
static inline char *rig_message(const char *header, const char *payload)
{
    char *left = rig_base64(header, strlen(header)), *right = rig_base64(payload, strlen(payload));
    char *message = calloc(1, strlen(left) + strlen(right) + 2);
    sprintf(message, "%s.%s", left, right);
    free(left);
    free(right);
    return message;
}

static inline char *rig_join(char *message, const void *signature, size_t size)
{
    char *text = rig_base64(signature, size);
    char *token = calloc(1, strlen(message) + strlen(text) + 2);
    sprintf(token, "%s.%s", message, text);
    free(text);
    free(message);
    return token;
}

/* Signed with HMAC-SHA256, -384 or -512 by OpenSSL's own interface, whatever the header says. */
static inline char *rig_hmac(const char *digest, const char *header, const char *payload,
                             const void *secret, size_t secret_size)
{
    char *message = rig_message(header, payload);
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t size = 0;
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, secret, secret_size,
                              (const uint8_t *)message, strlen(message), mac, sizeof mac, &size));
    return rig_join(message, mac, size);
}

#define RIG_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
static inline char *rig_token(const char *payload)
{
    return rig_hmac("SHA256", RIG_HEADER, payload, RIG_SECRET, strlen(RIG_SECRET));
}

/* Signed with a private key; PKCS #1 for RSA, DER for EC. */
static inline char *rig_sign(EVP_PKEY *key, const char *digest, const char *header,
                             const char *payload)
{
    char *message = rig_message(header, payload);
    uint8_t signature[2048];
    size_t size = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(context, NULL, digest, NULL, NULL, key, NULL), 1);
    assert_int_equal(
        EVP_DigestSign(context, signature, &size, (const uint8_t *)message, strlen(message)), 1);
    EVP_MD_CTX_free(context);
    return rig_join(message, signature, size);
}

/* --- Files --- */

static inline json_t *rig_load(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/auth/%s", TEST_DATA_DIR, name);
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    return json;
}

static inline const char *rig_text(const json_t *object, const char *a, const char *b)
{
    const char *text = json_string_value(json_object_get(json_object_get(object, a), b));
    assert_non_null(text);
    return text;
}

/* A file of the test's own with that content; to be unlinked and freed. */
static inline char *rig_file(const void *content, size_t size)
{
    char *path = strdup("/tmp/convene-test-auth-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, size), (ssize_t)size);
    close(fd);
    return path;
}
static inline void rig_unlink(char *path)
{
    unlink(path);
    free(path);
}

#endif
