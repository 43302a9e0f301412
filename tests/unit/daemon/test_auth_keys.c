/*
 * Keys: what a PEM file and a JWK set may hold, what a key may then be used for, which of several is tried, and what is skipped or refused because
 * it is weak, broken, private or for something else.
 */
#include "auth_rig.h"
#include "auth/auth_keys.h"
#include <openssl/encoder.h>
#include <openssl/x509.h>

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

static const char *golden_text(const char *key, const char *what)
{
    return rig_text(json_object_get(golden, "keys"), key, what);
}

#define EC256 AUTH_BIT(AUTH_ES256)

/* --- PEM --- */

static void expect_pem(const char *pem, const char *why, size_t count, unsigned algorithms)
{
    struct auth_keys *keys = auth_keys_new();
    const char *found = auth_keys_add_pem(keys, cvn_str(pem));
    if (why == NULL)
        assert_null(found);
    else
        assert_string_equal(found != NULL ? found : "", why);
    assert_int_equal(auth_keys_count(keys), count);
    assert_int_equal(auth_keys_algorithms(keys), algorithms);
    auth_keys_unref(keys);
}

/* `type`: "SubjectPublicKeyInfo", or "type-specific" for PKCS #1. */
static char *pem_of(EVP_PKEY *key, const char *type)
{
    uint8_t *text = NULL;
    size_t size = 0;
    OSSL_ENCODER_CTX *context =
        OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_PUBLIC_KEY, "PEM", type, NULL);
    assert_int_equal(OSSL_ENCODER_to_data(context, &text, &size), 1);
    char *copy = strndup((char *)text, size);
    OPENSSL_free(text);
    OSSL_ENCODER_CTX_free(context);
    return copy;
}

/* A certificate over the key, signed by itself, long expired: keys in files are pinned, not valid for a time. */
static char *certificate_of(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    char *text = NULL, *copy;
    BIO *bio = BIO_new(BIO_s_mem());
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2000);
    X509_gmtime_adj(X509_getm_notAfter(certificate), -1000);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    long size = BIO_get_mem_data(bio, &text);
    copy = strndup(text, (size_t)size);
    BIO_free(bio);
    X509_free(certificate);
    return copy;
}

static EVP_PKEY *ec_key(const char *group)
{
    EVP_PKEY *key = EVP_EC_gen(group);
    assert_non_null(key);
    return key;
}

static void reads_public_keys(void **state)
{
    (void)state;
    expect_pem(golden_text("rsa", "pem"), NULL, 1, AUTH_RSA_ALGORITHMS);
    expect_pem(golden_text("ec256", "pem"), NULL, 1, EC256);
    expect_pem(golden_text("ec384", "pem"), NULL, 1, AUTH_BIT(AUTH_ES384));
    expect_pem(golden_text("ec512", "pem"), NULL, 1, AUTH_BIT(AUTH_ES512));
    char both[4096];
    snprintf(both, sizeof both, "comments are fine\n%s\n%s", golden_text("ec256", "pem"),
             golden_text("rsa", "pem"));
    expect_pem(both, NULL, 2, EC256 | AUTH_RSA_ALGORITHMS);
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    char *pkcs1 = pem_of(rsa, "type-specific");
    assert_non_null(strstr(pkcs1, "BEGIN RSA PUBLIC KEY"));
    expect_pem(pkcs1, NULL, 1, AUTH_RSA_ALGORITHMS);
    free(pkcs1);
    EVP_PKEY_free(rsa);
}

/* Of a certificate with its chain the first one: who signs certificates signs no tokens. */
static void reads_the_first_certificate(void **state)
{
    (void)state;
    EVP_PKEY *leaf = ec_key("P-256"), *issuer = ec_key("P-384");
    char *first = certificate_of(leaf), *second = certificate_of(issuer);
    char chain[8192];
    expect_pem(first, NULL, 1, EC256);
    snprintf(chain, sizeof chain, "%s%s", first, second);
    expect_pem(chain, NULL, 1, EC256);
    free(first);
    free(second);
    EVP_PKEY_free(leaf);
    EVP_PKEY_free(issuer);
}

/* Restricted to PSS by its own type. */
static void binds_pss_keys_to_ps(void **state)
{
    (void)state;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_generate(context, &key), 1);
    char *pem = pem_of(key, "SubjectPublicKeyInfo");
    expect_pem(pem, NULL, 1, AUTH_RSA_PSS_ALGORITHMS);
    free(pem);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(context);
}

static void refuses_what_is_no_good_key(void **state)
{
    (void)state;
    static const char broken[] = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    expect_pem("", "there is no public key or certificate in it", 0, 0);
    expect_pem("hello", "there is no public key or certificate in it", 0, 0);
    expect_pem(broken, "a key in it cannot be read", 0, 0);
    expect_pem("-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
               "it is no sound PEM file", 0, 0);
    expect_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
               "a key in it cannot be read", 0, 0);
    expect_pem("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
               "there is no public key or certificate in it", 0, 0);
    expect_pem(golden_text("rsa", "pkcs8"),
               "it holds a private key: give the server the public one only", 0, 0);
    char mixed[4096]; /* all or nothing */
    snprintf(mixed, sizeof mixed, "%s%s", golden_text("ec256", "pem"), broken);
    expect_pem(mixed, "a key in it cannot be read", 0, 0);

    static const struct {
        const char *group, *why;
    } curves[] = {{"secp256k1", "a key's curve is none of P-256, P-384 and P-521"},
                  {"P-224", "a key's curve is none of P-256, P-384 and P-521"}};
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        EVP_PKEY *key = ec_key(curves[i].group);
        char *pem = pem_of(key, "SubjectPublicKeyInfo");
        expect_pem(pem, curves[i].why, 0, 0);
        free(pem);
        EVP_PKEY_free(key);
    }
    EVP_PKEY *weak = EVP_RSA_gen(1024), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    char *pem = pem_of(weak, "SubjectPublicKeyInfo");
    expect_pem(pem, "an RSA key of less than 2048 bits is too weak (RFC 7518, section 3.3)", 0, 0);
    free(pem);
    pem = pem_of(ed, "SubjectPublicKeyInfo");
    expect_pem(pem, "a key is neither RSA nor of an elliptic curve", 0, 0);
    free(pem);
    EVP_PKEY_free(weak);
    EVP_PKEY_free(ed);
}

static void bounds_the_number_of_keys(void **state)
{
    (void)state;
    const char *pem = golden_text("ec256", "pem");
    struct auth_keys *keys = auth_keys_new();
    for (int i = 0; i < AUTH_MAX_KEYS; i++)
        assert_null(auth_keys_add_pem(keys, cvn_str(pem)));
    assert_string_equal(auth_keys_add_pem(keys, cvn_str(pem)), "too many keys");
    assert_string_equal(auth_keys_add_secret(keys, cvn_str(RIG_SECRET)), "too many keys");
    assert_int_equal(auth_keys_count(keys), AUTH_MAX_KEYS);
    auth_keys_unref(keys);
}

/* --- JWK sets --- */

/* A set of one golden key, changed by `change`: members of this object replace or, if null, remove. */
static void expect_jwk(const char *key, const char *change, unsigned algorithms)
{
    json_t *jwk = json_deep_copy(
        json_object_get(json_object_get(json_object_get(golden, "keys"), key), "jwk"));
    json_t *changes = json_loads(change, 0, NULL), *value;
    const char *name;
    unsigned skipped = 99;
    assert_non_null(changes);
    json_object_foreach(changes, name, value)
    {
        if (json_is_null(value))
            json_object_del(jwk, name);
        else
            json_object_set(jwk, name, value);
    }
    json_t *set = json_pack("{s:[o]}", "keys", jwk);
    char *document = json_dumps(set, 0);
    struct auth_keys *keys = auth_keys_new();
    assert_null(auth_keys_add_jwks(keys, cvn_str(document), &skipped));
    if (auth_keys_algorithms(keys) != algorithms)
        fail_msg("%s: %s: %x", key, change, auth_keys_algorithms(keys));
    assert_int_equal(auth_keys_count(keys), algorithms != 0);
    assert_int_equal(skipped, algorithms == 0);
    auth_keys_unref(keys);
    free(document);
    json_decref(set);
    json_decref(changes);
}

static void jwks_are_bound_to_their_use(void **state)
{
    (void)state;
    expect_jwk("ec256", "{}", EC256);
    expect_jwk("rsa", "{}", AUTH_RSA_ALGORITHMS);
    expect_jwk("ec384", "{\"use\":\"sig\",\"kid\":\"k\",\"x5c\":[\"AAAA\"],\"unknown\":{}}",
               AUTH_BIT(AUTH_ES384));
    expect_jwk("ec512", "{\"key_ops\":[\"verify\"]}", AUTH_BIT(AUTH_ES512));
    expect_jwk("ec512", "{\"key_ops\":[\"sign\",\"verify\"]}", AUTH_BIT(AUTH_ES512));
    expect_jwk("rsa", "{\"alg\":\"RS256\"}", AUTH_BIT(AUTH_RS256));
    expect_jwk("rsa", "{\"alg\":\"PS512\",\"use\":\"sig\"}", AUTH_BIT(AUTH_PS512));
    expect_jwk("ec256", "{\"alg\":\"ES256\"}", EC256);
    /* for something else */
    expect_jwk("rsa", "{\"use\":\"enc\"}", 0);
    expect_jwk("rsa", "{\"use\":1}", 0);
    expect_jwk("rsa", "{\"key_ops\":[\"encrypt\"]}", 0);
    expect_jwk("rsa", "{\"key_ops\":[]}", 0);
    expect_jwk("rsa", "{\"key_ops\":\"verify\"}", 0);
    expect_jwk("rsa", "{\"alg\":\"RSA-OAEP\"}", 0);
    expect_jwk("rsa", "{\"alg\":\"HS256\"}", 0); /* the confusion, published */
    expect_jwk("rsa", "{\"alg\":\"ES256\"}", 0);
    expect_jwk("rsa", "{\"alg\":\"none\"}", 0);
    expect_jwk("rsa", "{\"alg\":7}", 0);
    expect_jwk("ec256", "{\"alg\":\"ES384\"}", 0);
    expect_jwk("ec256", "{\"alg\":\"RS256\"}", 0);
}

static void broken_jwks_are_skipped(void **state)
{
    (void)state;
    static const char *const rsa[] = {
        "{\"kty\":null}",
        "{\"kty\":\"EC\"}",
        "{\"kty\":\"oct\",\"k\":\"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA\"}",
        "{\"kty\":\"OKP\"}",
        "{\"kty\":\"rsa\"}",
        "{\"kty\":1}",
        "{\"n\":null}",
        "{\"e\":null}",
        "{\"n\":\"\"}",
        "{\"e\":\"\"}",
        "{\"e\":\"AQ\"}",
        /* 1 */ "{\"e\":\"Ag\"}",
        /* 2 */ "{\"e\":\"AA\"}",
        "{\"e\":\"AQAAAAAAAAAB\"}",
        /* 2^64 + 1 */ "{\"n\":\"AQAB\"}",
        "{\"n\":\"====\"}",
        "{\"n\":7}",
        "{\"kid\":7}",
        "{\"kid\":[]}"};
    for (size_t i = 0; i < sizeof rsa / sizeof *rsa; i++)
        expect_jwk("rsa", rsa[i], 0);
    expect_jwk("rsa", "{\"e\":\"AAEAAQ\"}",
               AUTH_RSA_ALGORITHMS); /* a leading zero is still 65537 */
    static const char *const ec[] = {
        "{\"crv\":null}", "{\"crv\":\"P-384\"}", "{\"crv\":\"secp256k1\"}", "{\"crv\":\"p-256\"}",
        "{\"crv\":1}", "{\"x\":null}", "{\"y\":null}", "{\"x\":\"AQAB\"}",
        /* not on the curve; and the point at infinity's likeness */
        "{\"x\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}",
        ("{\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}")};
    for (size_t i = 0; i < sizeof ec / sizeof *ec; i++)
        expect_jwk("ec256", ec[i], 0);
    /* Coordinates have one length: bytes behind a good one are not passed over. */
    uint8_t bytes[1100];
    size_t size;
    char change[1600];
    const char *x = json_string_value(json_object_get(
        json_object_get(json_object_get(json_object_get(golden, "keys"), "ec256"), "jwk"), "x"));
    assert_true(auth_base64url_decode(cvn_str(x), bytes, &size));
    assert_int_equal(size, 32);
    memset(bytes + 32, 0, 2);
    for (size = 31; size <= 34; size++) {
        char *text = rig_base64(bytes, size);
        snprintf(change, sizeof change, "{\"x\":\"%s\"}", text);
        expect_jwk("ec256", change, size == 32 ? EC256 : 0);
        free(text);
    }
    /* A modulus has a bound, for its cost. */
    memset(bytes, 0xff, sizeof bytes);
    for (size = 1024; size <= 1025; size++) {
        char *text = rig_base64(bytes, size);
        snprintf(change, sizeof change, "{\"n\":\"%s\"}", text);
        expect_jwk("rsa", change, size == 1024 ? AUTH_RSA_ALGORITHMS : 0);
        free(text);
    }
    char kid[AUTH_MAX_KID + 2];
    memset(kid, 'k', sizeof kid);
    snprintf(change, sizeof change, "{\"kid\":\"%.*s\"}", AUTH_MAX_KID, kid);
    expect_jwk("ec256", change, EC256);
    snprintf(change, sizeof change, "{\"kid\":\"%.*s\"}", AUTH_MAX_KID + 1, kid);
    expect_jwk("ec256", change, 0);
}

static void documents_that_are_no_sets(void **state)
{
    (void)state;
    static const struct {
        const char *document, *why;
    } cases[] = {
        {"", "it is no JSON"},
        {"x", "it is no JSON"},
        {"{\"keys\":[]} x", "it is no JSON"},
        {"{\"keys\":[],\"keys\":[]}", "it is no JSON"},
        {"{\"keys\":[{\"kty\":\"EC\",\"kty\":\"RSA\"}]}", "it is no JSON"},
        {"{}", "it has no list of keys"},
        {"[]", "it has no list of keys"},
        {"{\"keys\":{}}", "it has no list of keys"},
        {"{\"keys\":null}", "it has no list of keys"},
        {"{\"kty\":\"RSA\"}", "it has no list of keys"},
        {"{\"keys\":[]}", NULL},
        {"{\"keys\":[1,null,\"x\",[],{}]}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct auth_keys *keys = auth_keys_new();
        unsigned skipped = 0;
        const char *why = auth_keys_add_jwks(keys, cvn_str(cases[i].document), &skipped);
        assert_string_equal(why != NULL ? why : "", cases[i].why != NULL ? cases[i].why : "");
        assert_int_equal(auth_keys_count(keys), 0);
        auth_keys_unref(keys);
    }
}

static void a_set_is_bounded(void **state)
{
    (void)state;
    json_t *list = json_array();
    for (int i = 0; i < AUTH_MAX_KEYS + 10; i++)
        json_array_append(
            list,
            json_object_get(json_object_get(json_object_get(golden, "keys"), "ec256"), "jwk"));
    json_t *set = json_pack("{s:o}", "keys", list);
    char *document = json_dumps(set, 0);
    struct auth_keys *keys = auth_keys_new();
    unsigned skipped = 0;
    assert_null(auth_keys_add_jwks(keys, cvn_str(document), &skipped));
    assert_int_equal(auth_keys_count(keys), AUTH_MAX_KEYS);
    assert_int_equal(skipped, 10);
    auth_keys_unref(keys);
    free(document);
    json_decref(set);
}

/* --- Which key is tried --- */

static bool verify(const struct auth_keys *keys, enum auth_algorithm algorithm, const char *kid,
                   const char *message, const char *secret)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t size;
    assert_true(auth_signature_make(algorithm, cvn_str(secret), cvn_str(message), mac, &size));
    return auth_keys_verify(keys, algorithm, kid, cvn_str(message), (cvn_slice){(char *)mac, size});
}

static void signatures_are_tried_with_a_bounded_number_of_keys(void **state)
{
    (void)state;
    struct auth_keys *keys = auth_keys_new();
    char secret[65];
    for (int i = 0; i < AUTH_MAX_KEY_TRIALS + 1; i++) {
        snprintf(secret, sizeof secret, "%064d", i);
        assert_null(auth_keys_add_secret(keys, cvn_str(secret)));
    }
    snprintf(secret, sizeof secret, "%064d", AUTH_MAX_KEY_TRIALS - 1);
    assert_true(verify(keys, AUTH_HS256, NULL, "m", secret));
    snprintf(secret, sizeof secret, "%064d", AUTH_MAX_KEY_TRIALS);
    assert_false(verify(keys, AUTH_HS256, NULL, "m", secret));
    auth_keys_unref(keys);
}

/* Two keys of one kind under two names: each only for its own. */
static void a_kid_chooses_its_key(void **state)
{
    (void)state;
    const char *token = rig_text(json_object_get(golden, "tokens"), "RS256", "token");
    const char *last = strrchr(token, '.');
    uint8_t signature[512];
    size_t size;
    assert_true(auth_base64url_decode(cvn_str(last + 1), signature, &size));
    const cvn_slice message = {token, (size_t)(last - token)},
                    signed_by = {(char *)signature, size};
    json_t *jwk = json_deep_copy(
        json_object_get(json_object_get(json_object_get(golden, "keys"), "rsa"), "jwk"));
    json_object_set_new(jwk, "kid", json_string("right"));
    json_t *set = json_pack("{s:[o]}", "keys", jwk);
    char *document = json_dumps(set, 0);
    struct auth_keys *keys = auth_keys_new();
    unsigned skipped;
    assert_null(auth_keys_add_jwks(keys, cvn_str(document), &skipped));
    assert_true(auth_keys_have_kid(keys, "right"));
    assert_false(auth_keys_have_kid(keys, "wrong"));
    assert_true(auth_keys_verify(keys, AUTH_RS256, "right", message, signed_by));
    assert_true(auth_keys_verify(keys, AUTH_RS256, NULL, message, signed_by));
    assert_false(auth_keys_verify(keys, AUTH_RS256, "wrong", message, signed_by));
    assert_false(auth_keys_verify(keys, AUTH_RS384, "right", message, signed_by));
    assert_false(auth_keys_verify(keys, AUTH_PS256, "right", message, signed_by));
    assert_false(auth_keys_verify(keys, AUTH_HS256, "right", message, signed_by));
    assert_false(auth_keys_verify(keys, AUTH_ES256, "right", message, signed_by));
    auth_keys_unref(keys);
    free(document);
    json_decref(set);
}

/* Signatures of other lengths than their algorithm's: shorter, longer, none; and for each kind of key the other kinds' algorithms. */
static void signatures_have_one_length(void **state)
{
    (void)state;
    static const char *const names[] = {"HS256", "HS512", "RS256", "PS384",
                                        "ES256", "ES384", "ES512"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *token = rig_text(json_object_get(golden, "tokens"), names[i], "token");
        const char *key_name = rig_text(json_object_get(golden, "tokens"), names[i], "key");
        const char *last = strrchr(token, '.');
        enum auth_algorithm algorithm = AUTH_ALGORITHMS;
        uint8_t signature[600] = {0};
        size_t size;
        assert_true(auth_algorithm_parse(cvn_str(names[i]), &algorithm));
        assert_string_equal(auth_algorithm_name(algorithm), names[i]);
        assert_true(auth_base64url_decode(cvn_str(last + 1), signature, &size));
        struct auth_keys *keys = auth_keys_new();
        if (strcmp(key_name, "secret") == 0)
            assert_null(auth_keys_add_secret(keys, cvn_str(golden_text("secret", "text"))));
        else
            assert_null(auth_keys_add_pem(keys, cvn_str(golden_text(key_name, "pem"))));
        const size_t lengths[] = {0, 1, size / 2, size - 1, size + 1, size + 2, 2 * size};
        const cvn_slice message = {token, (size_t)(last - token)};
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            char *copy = malloc(lengths[k] > 0 ? lengths[k] : 1);
            memcpy(copy, signature, lengths[k]);
            assert_false(
                auth_keys_verify(keys, algorithm, NULL, message, (cvn_slice){copy, lengths[k]}));
            free(copy);
        }
        assert_true(
            auth_keys_verify(keys, algorithm, NULL, message, (cvn_slice){(char *)signature, size}));
        memset(signature, 0, size); /* r = s = 0 */
        assert_false(
            auth_keys_verify(keys, algorithm, NULL, message, (cvn_slice){(char *)signature, size}));
        auth_keys_unref(keys);
    }
}

static void sign(EVP_PKEY *key, uint8_t *ret, size_t *ret_size)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL), 1);
    assert_int_equal(EVP_DigestSign(context, ret, ret_size, (const uint8_t *)"m", 1), 1);
    EVP_MD_CTX_free(context);
}

/* Even when asked for the wrong thing: a key is of its kind. */
static void no_key_serves_another_kind(void **state)
{
    (void)state;
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = ec_key("P-256");
    char bytes[256] = {1};
    uint8_t signature[256];
    size_t size;
    const cvn_slice message = cvn_str("m");
    /* Right signatures under the other kind's name; that of the curve in OpenSSL's form, as long as it can be. */
    do {
        size = sizeof signature;
        sign(ec, signature, &size);
    } while (size != (size_t)EVP_PKEY_get_size(ec));
    assert_false(
        auth_signature_fits_key(AUTH_RS256, ec, message, (cvn_slice){(char *)signature, size}));
    size = sizeof signature;
    sign(rsa, signature, &size);
    const cvn_slice right = {(char *)signature, size};
    assert_true(auth_signature_fits_key(AUTH_RS256, rsa, message, right));
    assert_false(auth_signature_fits_key(AUTH_HS256, rsa, message, right));
    assert_false(auth_signature_fits_key(AUTH_PS256, rsa, message, right));
    assert_false(auth_signature_fits_key(AUTH_RS384, rsa, message, right));
    for (unsigned algorithm = 0; algorithm < AUTH_ALGORITHMS; algorithm++) {
        static const size_t sizes[] = {32, 64, 256};
        for (size_t i = 0; i < 3; i++) {
            assert_false(auth_signature_fits_key((enum auth_algorithm)algorithm, rsa, cvn_str("m"),
                                                 (cvn_slice){bytes, sizes[i]}));
            assert_false(auth_signature_fits_key((enum auth_algorithm)algorithm, ec, cvn_str("m"),
                                                 (cvn_slice){bytes, sizes[i]}));
            if (algorithm > AUTH_HS512)
                assert_false(auth_signature_fits_secret((enum auth_algorithm)algorithm,
                                                        cvn_str("secret"), cvn_str("m"),
                                                        (cvn_slice){bytes, sizes[i]}));
        }
    }
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_public_keys),
        cmocka_unit_test(reads_the_first_certificate),
        cmocka_unit_test(binds_pss_keys_to_ps),
        cmocka_unit_test(refuses_what_is_no_good_key),
        cmocka_unit_test(bounds_the_number_of_keys),
        cmocka_unit_test(jwks_are_bound_to_their_use),
        cmocka_unit_test(broken_jwks_are_skipped),
        cmocka_unit_test(documents_that_are_no_sets),
        cmocka_unit_test(a_set_is_bounded),
        cmocka_unit_test(signatures_are_tried_with_a_bounded_number_of_keys),
        cmocka_unit_test(a_kid_chooses_its_key),
        cmocka_unit_test(signatures_have_one_length),
        cmocka_unit_test(no_key_serves_another_kind),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
