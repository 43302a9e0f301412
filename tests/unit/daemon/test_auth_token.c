/*
 * Tokens from other implementations (the RFCs' examples, the npm package jose) are taken with the right keys; every way in which a token can
 * be wrong is refused, for its own reason: each check of auth_token.c has a token here that only this check refuses.
 */
#include "auth_rig.h"
#include "auth/auth_keys.h"
#include "auth/auth_token.h"
#include <openssl/rsa.h>

static json_t *golden;

static int load(void **state)
{
    (void)state;
    golden = rig_load("jose.json");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

static struct auth *with_secret(void)
{
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    struct auth *auth = rig_auth(&config);
    assert_non_null(auth);
    return auth;
}

/* --- What others make --- */

/* The examples of RFC 7515 (appendix A) and RFC 7520 (section 4): their payloads are no claims of ours, so signatures only. */
static void takes_the_rfcs_examples(void **state)
{
    (void)state;
    json_t *examples = rig_load("rfc.json");
    for (size_t i = 0; i < json_array_size(examples); i++) {
        const json_t *example = json_array_get(examples, i);
        const char *text = json_string_value(json_object_get(example, "token"));
        const char *secret = json_string_value(json_object_get(example, "secret"));
        struct auth_keys *keys = auth_keys_new();
        struct auth_token token;
        if (secret != NULL) {
            uint8_t bytes[128];
            size_t size;
            assert_true(auth_base64url_decode(cvn_str(secret), bytes, &size));
            assert_null(auth_keys_add_secret(keys, (cvn_slice){(char *)bytes, size}));
        } else {
            unsigned skipped;
            json_t *set = json_pack("{s:[O]}", "keys", json_object_get(example, "jwk"));
            char *document = json_dumps(set, 0);
            assert_null(auth_keys_add_jwks(keys, cvn_str(document), &skipped));
            assert_int_equal(skipped, 0);
            free(document);
            json_decref(set);
        }
        assert_null(auth_token_parse(&token, cvn_str(text), 8192));
        assert_true(
            auth_keys_verify(keys, token.algorithm, token.kid, token.message, token.signature));
        token.bytes[token.signature.size / 2] ^= 1;
        assert_false(
            auth_keys_verify(keys, token.algorithm, token.kid, token.message, token.signature));
        auth_token_release(&token);
        auth_keys_unref(keys);
    }
    assert_int_equal(json_array_size(examples), 8);
    json_decref(examples);
}

/* A daemon whose one key is `name` of the golden ones. */
static struct auth *with_golden_key(const char *name)
{
    struct config config = rig_config();
    struct auth *auth;
    if (strcmp(name, "secret") == 0) {
        config.auth.secret = rig_text(json_object_get(golden, "keys"), name, "text");
        auth = rig_auth(&config);
    } else {
        const char *pem = rig_text(json_object_get(golden, "keys"), name, "pem");
        char *path = rig_file(pem, strlen(pem));
        const char *const paths[] = {path, NULL};
        config.auth.key_files = (struct config_list){paths, 1};
        auth = rig_auth(&config);
        rig_unlink(path);
    }
    assert_non_null(auth);
    return auth;
}

/* Each token with each key: the right one takes it, every other refuses it. */
static void takes_every_algorithm_with_its_key_only(void **state)
{
    (void)state;
    const char *name, *key_name;
    json_t *token, *key;
    unsigned taken = 0, refused = 0;
    json_object_foreach(json_object_get(golden, "keys"), key_name, key)
    {
        struct auth *auth = with_golden_key(key_name);
        json_object_foreach(json_object_get(golden, "tokens"), name, token)
        {
            const char *text = json_string_value(json_object_get(token, "token"));
            if (strcmp(json_string_value(json_object_get(token, "key")), key_name) == 0) {
                struct rig_answer answer = rig_verify(auth, text, strlen(text));
                assert_int_equal(answer.refusal, AUTH_OK);
                assert_string_equal(answer.principal->user_id, "alice");
                assert_int_equal(answer.principal->role, ROLE_STUDENT);
                assert_int_equal(answer.principal->expires_at, 1700003600);
                assert_int_equal(answer.principal->issued_at, 1700000000);
                principal_unref(answer.principal);
                taken++;
            } else {
                assert_refused(auth, text, AUTH_INVALID, "no key that fits has made the signature");
                refused++;
            }
        }
        auth_free(auth);
    }
    assert_int_equal(taken, 12);
    assert_int_equal(refused, 48);
}

/* Whatever single character of a token is changed, it is another token. */
static void refuses_every_changed_character(void **state)
{
    (void)state;
    const char *name;
    json_t *entry;
    json_object_foreach(json_object_get(golden, "tokens"), name, entry)
    {
        if (strcmp(name, "HS256") != 0 && strcmp(name, "ES256") != 0)
            continue;
        struct auth *auth = with_golden_key(json_string_value(json_object_get(entry, "key")));
        char *text = strdup(json_string_value(json_object_get(entry, "token")));
        for (char *at = text; *at != '\0'; at++) {
            char right = *at;
            *at = right == 'A' ? 'B' : 'A';
            struct rig_answer answer = rig_verify(auth, text, strlen(text));
            assert_int_equal(answer.refusal, AUTH_INVALID);
            *at = right;
        }
        for (size_t size = 1; size < strlen(text); size++) {
            struct rig_answer answer = rig_verify(auth, text, size);
            assert_int_equal(answer.refusal, AUTH_INVALID);
        }
        free(text);
        auth_free(auth);
    }
}

/* --- Algorithms --- */

static void refuses_none_however_it_is_written(void **state)
{
    (void)state;
    static const char *const names[] = {"none",  "None",     "NONE", "nOnE",   "",
                                        "hs256", "HS256 ",   "HS1",  "HS2566", "ES256K",
                                        "EdDSA", "RSA-OAEP", "dir"};
    struct auth *auth = with_secret();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char header[64];
        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", names[i]);
        char *message = rig_message(header, "{\"sub\":\"eve\",\"role\":\"ADMIN\"}");
        char *unsigned_one = calloc(1, strlen(message) + 2);
        sprintf(unsigned_one, "%s.", message);
        assert_refused(auth, unsigned_one, AUTH_INVALID, "the token has not three parts");
        free(unsigned_one);
        free(message);
        char *token = rig_hmac("SHA256", header, "{\"sub\":\"eve\",\"role\":\"ADMIN\"}", RIG_SECRET,
                               strlen(RIG_SECRET));
        assert_refused(auth, token, AUTH_INVALID, "the algorithm is not taken");
        free(token);
    }
    auth_free(auth);
}

/* The classic: the public key, which everybody has, as an HMAC secret. */
static void refuses_hmac_with_the_public_key(void **state)
{
    (void)state;
    static const char *const names[] = {"rsa", "ec256", "ec384", "ec512"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct auth *auth = with_golden_key(names[i]);
        const char *pem = rig_text(json_object_get(golden, "keys"), names[i], "pem");
        static const char *const digests[] = {"SHA256", "SHA384", "SHA512"};
        static const char *const algorithms[] = {"HS256", "HS384", "HS512"};
        for (size_t k = 0; k < 3; k++) {
            char header[64];
            snprintf(header, sizeof header, "{\"alg\":\"%s\"}", algorithms[k]);
            for (size_t cut = 0; cut < 2; cut++) { /* with and without the last line end */
                char *token = rig_hmac(digests[k], header, "{\"sub\":\"eve\",\"role\":\"ADMIN\"}",
                                       pem, strlen(pem) - cut);
                assert_refused(auth, token, AUTH_INVALID,
                               "no key that fits has made the signature");
                free(token);
            }
        }
        auth_free(auth);
    }
}

/* An algorithm that no list allows is refused though the signature is right. */
static void obeys_the_list_of_algorithms(void **state)
{
    (void)state;
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    config.auth.algorithms = (struct config_list)LIST("HS512", "ES256");
    struct auth *auth = rig_auth(&config);
    char *token = rig_token("{\"sub\":\"a\",\"role\":\"ADMIN\"}");
    assert_refused(auth, token, AUTH_INVALID, "the algorithm is not allowed");
    free(token);
    token = rig_hmac("SHA512", "{\"alg\":\"HS512\"}", "{\"sub\":\"a\",\"role\":\"ADMIN\"}",
                     RIG_SECRET, strlen(RIG_SECRET));
    assert_taken(auth, token);
    free(token);
    auth_free(auth);
    config.auth.algorithms = (struct config_list)LIST("none");
    assert_null(rig_auth(&config));
    config.auth.algorithms = (struct config_list)LIST("hs256");
    assert_null(rig_auth(&config));
}

/* A secret serves the digests that are not longer than itself; RFC 7518, section 3.2. */
static void binds_a_secret_to_what_it_is_long_enough_for(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        bool taken[3];
    } cases[] = {{32, {true, false, false}},
                 {47, {true, false, false}},
                 {48, {true, true, false}},
                 {63, {true, true, false}},
                 {64, {true, true, true}}};
    static const char *const digests[] = {"SHA256", "SHA384", "SHA512"};
    static const char *const headers[] = {"{\"alg\":\"HS256\"}", "{\"alg\":\"HS384\"}",
                                          "{\"alg\":\"HS512\"}"};
    struct config config = rig_config();
    config.auth.secret = "0123456789abcdef0123456789abcde";
    assert_null(rig_auth(&config));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char secret[65] = "";
        memset(secret, 's', cases[i].size);
        config.auth.secret = secret;
        struct auth *auth = rig_auth(&config);
        for (size_t k = 0; k < 3; k++) {
            char *token = rig_hmac(digests[k], headers[k], "{\"sub\":\"a\",\"role\":\"ADMIN\"}",
                                   secret, cases[i].size);
            if (cases[i].taken[k])
                assert_taken(auth, token);
            else
                assert_refused(auth, token, AUTH_INVALID,
                               "no key that fits has made the signature");
            free(token);
        }
        auth_free(auth);
    }
}

/* A salt is as long as the digest (RFC 7518, section 3.5), though OpenSSL would take any. */
static void ps_has_one_length_of_salt(void **state)
{
    (void)state;
    const char *pem = rig_text(json_object_get(golden, "keys"), "rsa", "pkcs8");
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    struct auth *auth = with_golden_key("rsa");
    static const int salts[] = {32, 0, 20, 31, 33, 64};
    for (size_t i = 0; i < sizeof salts / sizeof *salts; i++) {
        char *message = rig_message("{\"alg\":\"PS256\"}", "{\"sub\":\"a\",\"role\":\"ADMIN\"}");
        uint8_t signature[512];
        size_t size = sizeof signature;
        EVP_PKEY_CTX *options;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit_ex(context, &options, "SHA256", NULL, NULL, key, NULL),
                         1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salts[i]), 1);
        assert_int_equal(
            EVP_DigestSign(context, signature, &size, (const uint8_t *)message, strlen(message)),
            1);
        EVP_MD_CTX_free(context);
        char *token = rig_join(message, signature, size);
        if (salts[i] == 32)
            assert_taken(auth, token);
        else
            assert_refused(auth, token, AUTH_INVALID, "no key that fits has made the signature");
        free(token);
    }
    auth_free(auth);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

/* --- Headers --- */

static void refuses_wrong_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header, *why;
    } cases[] = {
        {"{}", "the header names no algorithm"},
        {"{\"alg\":null}", "the header names no algorithm"},
        {"{\"alg\":[\"HS256\"]}", "the header names no algorithm"},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", "the header demands an extension"},
        {"{\"alg\":\"HS256\",\"crit\":[]}", "the header demands an extension"},
        {"{\"alg\":\"HS256\",\"crit\":null}", "the header demands an extension"},
        {"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", "the header demands an extension"},
        {"{\"alg\":\"HS256\",\"kid\":7}", "the header's kid is wrong"},
        {"{\"alg\":\"HS256\",\"kid\":null}", "the header's kid is wrong"},
        {"{\"alg\":\"HS256\",\"typ\":1}", "the header's typ is wrong"},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "a part of the token is no JSON object"},
        {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", "a part of the token is no JSON object"},
        {"{\"alg\":\"HS256\"", "a part of the token is no JSON object"},
        {"{\"alg\":\"HS256\"} {}", "a part of the token is no JSON object"},
        {"[\"HS256\"]", "a part of the token is no JSON object"},
        {"\"HS256\"", "a part of the token is no JSON object"},
        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", "a part of the token is no JSON object"},
        {"{\"alg\":\"HS256\",\"x\":\"\\u0000\"}", "a part of the token is no JSON object"},
    };
    struct auth *auth = with_secret();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *token = rig_hmac("SHA256", cases[i].header, "{\"sub\":\"a\",\"role\":\"ADMIN\"}",
                               RIG_SECRET, strlen(RIG_SECRET));
        assert_refused(auth, token, AUTH_INVALID, cases[i].why);
        free(token);
    }
    char kid[300];
    memset(kid, 'k', sizeof kid);
    for (int size = AUTH_MAX_KID; size <= AUTH_MAX_KID + 1; size++) {
        char header[400];
        snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"%.*s\"}", size, kid);
        char *token = rig_hmac("SHA256", header, "{\"sub\":\"a\",\"role\":\"ADMIN\"}", RIG_SECRET,
                               strlen(RIG_SECRET));
        if (size == AUTH_MAX_KID) /* a key without a name goes with any */
            assert_taken(auth, token);
        else
            assert_refused(auth, token, AUTH_INVALID, "the header's kid is wrong");
        free(token);
    }
    auth_free(auth);
}

/* A token that brings its own key is a token without a key. */
static void ignores_keys_in_headers(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_RSA_gen(2048);
    const json_t *jwk =
        json_object_get(json_object_get(json_object_get(golden, "keys"), "rsa"), "jwk");
    json_t *header =
        json_pack("{s:s,s:O,s:s,s:s,s:[s]}", "alg", "RS256", "jwk", jwk, "jku",
                  "https://evil.example/keys", "x5u", "https://evil.example/cert", "x5c", "MIIB");
    char *text = json_dumps(header, JSON_COMPACT);
    struct auth *auth = with_golden_key("ec256");
    char *token = rig_sign(key, "SHA256", text, "{\"sub\":\"eve\",\"role\":\"ADMIN\"}");
    assert_refused(auth, token, AUTH_INVALID, "no key that fits has made the signature");
    free(token);
    auth_free(auth);
    free(text);
    json_decref(header);
    EVP_PKEY_free(key);
}

/* --- Forms --- */

static void refuses_malformed_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *token, *why;
    } cases[] = {
        {"x", "the token has not three parts"},
        {".", "the token has not three parts"},
        {"..", "the token has not three parts"},
        {"...", "the token has not three parts"},
        {"a.b", "the token has not three parts"},
        {"e30.e30.", "the token has not three parts"},
        {".e30.e30", "the token has not three parts"},
        {"e30..e30", "the token has not three parts"},
        {"e30.e30.AA.AA", "the token has not three parts"},
        {"e30.e30.AA.AA.AA", "the token has not three parts"}, /* encrypted ones have five */
        {"e.e30.AA", "a part of the token is not base64url"},
        {"e30=.e30.AA", "a part of the token is not base64url"},
        {"e31.e30.AA", "a part of the token is not base64url"}, /* bits left over */
        {"e3 0.e30.AA", "a part of the token is not base64url"},
        {"e3+0.e30.AA", "a part of the token is not base64url"},
        {"e3/0.e30.AA", "a part of the token is not base64url"},
        {"\xc3\xa4.e30.AA", "a part of the token is not base64url"},
        {"e30.e30.AA", "the header names no algorithm"},
        {"eyJhbGciOiJIUzI1NiJ9.e30.A", "a part of the token is not base64url"},
        {"eyJhbGciOiJIUzI1NiJ9.e30.AB", "a part of the token is not base64url"},
        {"eyJhbGciOiJIUzI1NiJ9.e30.AA", "no key that fits has made the signature"},
        {"eyJhbGciOiJIUzI1NiJ9.=.AA", "no key that fits has made the signature"},
    };
    struct auth *auth = with_secret();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(auth, cases[i].token, AUTH_INVALID, cases[i].why);
    struct rig_answer answer = rig_verify(auth, "", 0);
    assert_int_equal(answer.refusal, AUTH_REQUIRED);
    answer = rig_verify(auth, "a\0b.c.d", 7);
    assert_int_equal(answer.refusal, AUTH_INVALID);
    auth_free(auth);
}

/* Signed right, and yet: the signature with its padding, or with bits that are left over, would be a second text of the same token. */
static void refuses_second_texts_of_a_token(void **state)
{
    (void)state;
    struct auth *auth = with_secret();
    char *token = rig_token("{\"sub\":\"a\",\"role\":\"ADMIN\"}");
    size_t size = strlen(token);
    assert_taken(auth, token);
    char *padded = calloc(1, size + 2);
    sprintf(padded, "%s=", token);
    assert_refused(auth, padded, AUTH_INVALID, "a part of the token is not base64url");
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    padded[size] = '\0';
    padded[size - 1] = alphabet[(strchr(alphabet, token[size - 1]) - alphabet) | 1];
    assert_refused(auth, padded, AUTH_INVALID, "a part of the token is not base64url");
    sprintf(padded, " %s", token);
    assert_refused(auth, padded, AUTH_INVALID, "a part of the token is not base64url");
    sprintf(padded, "%s\n", token);
    assert_refused(auth, padded, AUTH_INVALID, "a part of the token is not base64url");
    free(padded);
    free(token);
    auth_free(auth);
}

static void refuses_long_tokens_before_anything_else(void **state)
{
    (void)state;
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    char *token = rig_token("{\"sub\":\"a\",\"role\":\"ADMIN\"}");
    config.auth.max_token_bytes = strlen(token);
    struct auth *auth = rig_auth(&config);
    assert_taken(auth, token);
    auth_free(auth);
    config.auth.max_token_bytes = strlen(token) - 1;
    auth = rig_auth(&config);
    assert_refused(auth, token, AUTH_INVALID, "the token is too long");
    auth_free(auth);
    free(token);
}

/* --- Times and parties --- */

struct claims_case {
    const char *claims;
    enum auth_refusal refusal;
    const char *why;
};

static void check_claims(struct auth *auth, const struct claims_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char payload[1024];
        snprintf(payload, sizeof payload, "{\"sub\":\"a\",\"role\":\"ADMIN\"%s%s}",
                 cases[i].claims[0] != '\0' ? "," : "", cases[i].claims);
        char *token = rig_token(payload);
        assert_refused(auth, token, cases[i].refusal, cases[i].why);
        free(token);
    }
}

static void judges_times(void **state)
{
    (void)state;
    static const struct claims_case cases[] = {
        {"", AUTH_OK, ""},
        {"\"exp\":1700000101", AUTH_OK, ""},
        {"\"exp\":1700000100.5", AUTH_OK, ""},
        {"\"exp\":1700000100", AUTH_EXPIRED, "the token has expired"},
        {"\"exp\":1700000099.9", AUTH_EXPIRED, "the token has expired"},
        {"\"exp\":1", AUTH_EXPIRED, "the token has expired"},
        {"\"exp\":0", AUTH_EXPIRED, "the token has expired"},
        {"\"exp\":-1", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":\"1700000101\"", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":null", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":true", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":[1700000101]", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":{}", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":1e300", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":1700000101000", AUTH_INVALID, "exp, nbf or iat is no date"}, /* milliseconds */
        {"\"exp\":9223372036854775807", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":253402300799", AUTH_OK, ""},
        {"\"exp\":253402300800", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"exp\":9223372036854775808", AUTH_INVALID, "a part of the token is no JSON object"},
        {"\"exp\":1e999", AUTH_INVALID, "a part of the token is no JSON object"},
        {"\"exp\":NaN", AUTH_INVALID, "a part of the token is no JSON object"},
        {"\"exp\":Infinity", AUTH_INVALID, "a part of the token is no JSON object"},
        {"\"exp\":0x7fffffff", AUTH_INVALID, "a part of the token is no JSON object"},
        {"\"exp\":1,\"exp\":1700000101", AUTH_INVALID, "a part of the token is no JSON object"},
        {"\"nbf\":1700000100", AUTH_OK, ""},
        {"\"nbf\":1700000100.5", AUTH_INVALID, "the token is not valid yet"},
        {"\"nbf\":1700000101", AUTH_INVALID, "the token is not valid yet"},
        {"\"nbf\":\"0\"", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"nbf\":1e300", AUTH_INVALID, "exp, nbf or iat is no date"},
        {"\"iat\":1700000100", AUTH_OK, ""},
        {"\"iat\":1700000101", AUTH_INVALID, "the token comes from the future"},
        {"\"iat\":false", AUTH_INVALID, "exp, nbf or iat is no date"},
        /* Expired and more: what a client can do something about is said first. */
        {"\"exp\":1,\"nbf\":1700000101", AUTH_EXPIRED, "the token has expired"},
    };
    struct auth *auth = with_secret();
    check_claims(auth, cases, sizeof cases / sizeof *cases);
    auth_free(auth);
}

static void grants_leeway_both_ways(void **state)
{
    (void)state;
    static const struct claims_case cases[] = {
        {"\"exp\":1700000041", AUTH_OK, ""},
        {"\"exp\":1700000040", AUTH_EXPIRED, "the token has expired"},
        {"\"nbf\":1700000160", AUTH_OK, ""},
        {"\"nbf\":1700000161", AUTH_INVALID, "the token is not valid yet"},
        {"\"iat\":1700000160", AUTH_OK, ""},
        {"\"iat\":1700000161", AUTH_INVALID, "the token comes from the future"},
    };
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    config.auth.leeway_s = 60;
    struct auth *auth = rig_auth(&config);
    check_claims(auth, cases, sizeof cases / sizeof *cases);
    auth_free(auth);
}

#define WRONG_ISSUER   "the token is somebody else's: wrong issuer"
#define WRONG_AUDIENCE "the token is for somebody else: wrong audience"

static void judges_issuer_and_audience(void **state)
{
    (void)state;
    static const struct claims_case asked[] = {
        {"\"iss\":\"us\",\"aud\":\"here\"", AUTH_OK, ""},
        {"\"iss\":\"us\",\"aud\":\"there\"", AUTH_OK, ""},
        {"\"iss\":\"us\",\"aud\":[\"x\",\"there\"]", AUTH_OK, ""},
        {"\"iss\":\"us\",\"aud\":[]", AUTH_INVALID, WRONG_AUDIENCE},
        {"\"iss\":\"us\",\"aud\":\"her\"", AUTH_INVALID, WRONG_AUDIENCE},
        {"\"iss\":\"us\",\"aud\":\"here \"", AUTH_INVALID, WRONG_AUDIENCE},
        {"\"iss\":\"us\",\"aud\":[\"x\",\"y\"]", AUTH_INVALID, WRONG_AUDIENCE},
        {"\"iss\":\"us\",\"aud\":[\"here\",7]", AUTH_INVALID, "aud lists what is no text"},
        {"\"iss\":\"us\",\"aud\":7", AUTH_INVALID, "aud is neither text nor a list"},
        {"\"iss\":\"us\",\"aud\":{\"here\":1}", AUTH_INVALID, "aud is neither text nor a list"},
        {"\"iss\":\"us\"", AUTH_INVALID, WRONG_AUDIENCE},
        {"\"aud\":\"here\"", AUTH_INVALID, WRONG_ISSUER},
        {"\"iss\":\"them\",\"aud\":\"here\"", AUTH_INVALID, WRONG_ISSUER},
        {"\"iss\":\"us \",\"aud\":\"here\"", AUTH_INVALID, WRONG_ISSUER},
        {"\"iss\":[\"us\"],\"aud\":\"here\"", AUTH_INVALID, "iss is no text"},
    };
    static const struct claims_case unasked[] = {
        {"\"iss\":\"anybody\",\"aud\":\"anywhere\"", AUTH_OK, ""},
        {"\"iss\":7", AUTH_INVALID, "iss is no text"},
        {"\"aud\":null", AUTH_INVALID, "aud is neither text nor a list"},
        {"\"aud\":[null]", AUTH_INVALID, "aud lists what is no text"},
    };
    struct config config = rig_config();
    config.auth.secret = RIG_SECRET;
    struct auth *auth = rig_auth(&config);
    check_claims(auth, unasked, sizeof unasked / sizeof *unasked);
    auth_free(auth);
    config.auth.issuer = "us";
    config.auth.audience = (struct config_list)LIST("here", "there");
    auth = rig_auth(&config);
    check_claims(auth, asked, sizeof asked / sizeof *asked);
    auth_free(auth);
}

static void refuses_payloads_that_are_no_claims(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "[]",  "\"a\"", "7", "null", "{", "{}x", "{\"sub\":\"a\",\"sub\":\"b\",\"role\":\"ADMIN\"}",
        "\xff"};
    struct auth *auth = with_secret();
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        char *token = rig_token(payloads[i]);
        assert_refused(auth, token, AUTH_INVALID, "a part of the token is no JSON object");
        free(token);
    }
    /* The payload is looked at behind the signature only. */
    char *token =
        rig_hmac("SHA256", RIG_HEADER, "{", "another secret, as long as the right one", 40);
    assert_refused(auth, token, AUTH_INVALID, "no key that fits has made the signature");
    free(token);
    auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_rfcs_examples),
        cmocka_unit_test(takes_every_algorithm_with_its_key_only),
        cmocka_unit_test(refuses_every_changed_character),
        cmocka_unit_test(refuses_none_however_it_is_written),
        cmocka_unit_test(refuses_hmac_with_the_public_key),
        cmocka_unit_test(obeys_the_list_of_algorithms),
        cmocka_unit_test(binds_a_secret_to_what_it_is_long_enough_for),
        cmocka_unit_test(ps_has_one_length_of_salt),
        cmocka_unit_test(refuses_wrong_headers),
        cmocka_unit_test(ignores_keys_in_headers),
        cmocka_unit_test(refuses_malformed_tokens),
        cmocka_unit_test(refuses_second_texts_of_a_token),
        cmocka_unit_test(refuses_long_tokens_before_anything_else),
        cmocka_unit_test(judges_times),
        cmocka_unit_test(grants_leeway_both_ways),
        cmocka_unit_test(judges_issuer_and_audience),
        cmocka_unit_test(refuses_payloads_that_are_no_claims),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
