/*
 * JSON Web Keys by jansson and OpenSSL. Secrets ("oct") are never taken from a set: what a server publishes is no secret. A key that cannot be
 * used is skipped and counted, because a set may hold keys for others. Any thread.
 */
#include "auth/auth_jwk.h"
#include "auth/auth_base64.h"
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdlib.h>

#define MAX_COORDINATE 66 /* bytes, of P-521 */

static const struct curve {
    const char *name, *group; /* of RFC 7518; of OpenSSL */
    size_t coordinate;
    enum auth_algorithm algorithm;
} curves[] = {
    {"P-256", "prime256v1", 32, AUTH_ES256},
    {"P-384", "secp384r1", 48, AUTH_ES384},
    {"P-521", "secp521r1", 66, AUTH_ES512},
};

/* --- What a key may be used for --- */

/* An exponent of 1 makes every message its own signature; even ones are no RSA; OpenSSL refuses long ones itself, at use. */
static bool is_exponent_sane(EVP_PKEY *key)
{
    BIGNUM *exponent = NULL;
    bool sane = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
                BN_is_odd(exponent) && !BN_is_one(exponent) && BN_num_bits(exponent) <= 64;
    BN_free(exponent);
    return sane;
}

static const char *judge_curve(EVP_PKEY *key, unsigned *ret_algorithms)
{
    char group[64];
    if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1) {
        for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
            if (strcmp(group, curves[i].group) == 0) {
                *ret_algorithms = AUTH_BIT(curves[i].algorithm);
                return NULL;
            }
        }
    }
    return "a key's curve is none of P-256, P-384 and P-521";
}

const char *auth_jwk_judge(EVP_PKEY *key, unsigned *ret_algorithms)
{
    if (EVP_PKEY_is_a(key, "EC"))
        return judge_curve(key, ret_algorithms);
    bool pss = EVP_PKEY_is_a(key, "RSA-PSS");
    if (!pss && !EVP_PKEY_is_a(key, "RSA"))
        return "a key is neither RSA nor of an elliptic curve";
    int bits = EVP_PKEY_get_bits(key);
    if (bits < AUTH_MIN_RSA_BITS)
        return "an RSA key of less than 2048 bits is too weak (RFC 7518, section 3.3)";
    if (bits > AUTH_MAX_RSA_BITS)
        return "an RSA key of more than 8192 bits takes too long";
    if (!is_exponent_sane(key))
        return "an RSA key's exponent is not to be trusted";
    *ret_algorithms = pss ? AUTH_RSA_PSS_ALGORITHMS : AUTH_RSA_ALGORITHMS;
    return NULL;
}

/* --- From JSON --- */

/* The bytes of a member in base64url, at most `max`; 0 when it is absent or wrong. */
static size_t read_bytes(const json_t *jwk, const char *name, uint8_t *ret, size_t max)
{
    const json_t *value = json_object_get(jwk, name);
    cvn_slice text = {json_string_value(value), json_string_length(value)};
    size_t size = 0;
    if (text.size == 0 || auth_base64url_decoded_size(text.size) > max ||
        !auth_base64url_decode(text, ret, &size))
        return 0;
    return size;
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (parameters != NULL && context != NULL && EVP_PKEY_fromdata_init(context) == 1)
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}

static EVP_PKEY *read_rsa(const json_t *jwk)
{
    uint8_t bytes[AUTH_MAX_RSA_BITS / 8 + 8];
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    size_t size = read_bytes(jwk, "n", bytes, sizeof bytes);
    BIGNUM *modulus = size > 0 ? BN_bin2bn(bytes, (int)size, NULL) : NULL;
    size = read_bytes(jwk, "e", bytes, sizeof bytes);
    BIGNUM *exponent = size > 0 ? BN_bin2bn(bytes, (int)size, NULL) : NULL;
    if (builder != NULL && modulus != NULL && exponent != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        key = make_key("RSA", builder);
    BN_free(modulus);
    BN_free(exponent);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *read_ec(const json_t *jwk)
{
    const char *name = json_string_value(json_object_get(jwk, "crv"));
    for (size_t i = 0; name != NULL && i < sizeof curves / sizeof *curves; i++) {
        if (strcmp(name, curves[i].name) != 0)
            continue;
        /* An uncompressed point, SEC 1 section 2.3.3; OpenSSL refuses one that is not on the curve. Coordinates have their full size. */
        uint8_t point[1 + 2 * MAX_COORDINATE + 2] = {POINT_CONVERSION_UNCOMPRESSED};
        uint8_t *y = point + 1 + curves[i].coordinate;
        uint8_t coordinate[MAX_COORDINATE + 2];
        if (read_bytes(jwk, "x", coordinate, sizeof coordinate) != curves[i].coordinate)
            return NULL;
        memcpy(point + 1, coordinate, curves[i].coordinate);
        if (read_bytes(jwk, "y", coordinate, sizeof coordinate) != curves[i].coordinate)
            return NULL;
        memcpy(y, coordinate, curves[i].coordinate);
        EVP_PKEY *key = NULL;
        OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
        if (builder != NULL &&
            OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].group,
                                            0) == 1 &&
            OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                             1 + 2 * curves[i].coordinate) == 1)
            key = make_key("EC", builder);
        OSSL_PARAM_BLD_free(builder);
        return key;
    }
    return NULL;
}

/* `use` and `key_ops`, where they are there: RFC 7517, sections 4.2 and 4.3. */
static bool is_for_signatures(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *operations = json_object_get(jwk, "key_ops");
    if (use != NULL && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0))
        return false;
    if (operations == NULL)
        return true;
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const char *operation = json_string_value(json_array_get(operations, i));
        if (operation != NULL && strcmp(operation, "verify") == 0)
            return true;
    }
    return false;
}

/* `alg`, where it is there, leaves that one only. */
static bool narrow_by_algorithm(const json_t *jwk, unsigned *algorithms)
{
    const json_t *value = json_object_get(jwk, "alg");
    enum auth_algorithm algorithm;
    if (value == NULL)
        return true;
    cvn_slice name = {json_string_value(value), json_string_length(value)};
    if (name.data == NULL || !auth_algorithm_parse(name, &algorithm))
        return false;
    *algorithms &= AUTH_BIT(algorithm);
    return *algorithms != 0;
}

static bool read_key(const json_t *jwk, struct auth_key *ret)
{
    const char *type = json_string_value(json_object_get(jwk, "kty"));
    const json_t *kid = json_object_get(jwk, "kid");
    struct auth_key key = {0};
    if (type == NULL || !is_for_signatures(jwk))
        return false;
    if (kid != NULL && (!json_is_string(kid) || json_string_length(kid) > AUTH_MAX_KID))
        return false;
    if (strcmp(type, "RSA") == 0)
        key.key = read_rsa(jwk);
    else if (strcmp(type, "EC") == 0)
        key.key = read_ec(jwk);
    if (key.key != NULL && auth_jwk_judge(key.key, &key.algorithms) == NULL &&
        narrow_by_algorithm(jwk, &key.algorithms) &&
        (kid == NULL || (key.kid = strdup(json_string_value(kid))) != NULL)) {
        *ret = key;
        return true;
    }
    EVP_PKEY_free(key.key);
    return false;
}

const char *auth_jwk_parse_set(cvn_slice document, struct auth_key *ret, size_t max,
                               size_t *ret_count, unsigned *ret_skipped)
{
    const char *why = NULL;
    json_t *set = json_loadb(document.data != NULL ? document.data : "", document.size,
                             JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(set, "keys");
    size_t count = 0;
    if (json_is_array(list)) {
        for (size_t i = 0; i < json_array_size(list) && count < max; i++)
            count += read_key(json_array_get(list, i), &ret[count]);
        *ret_skipped = (unsigned)(json_array_size(list) - count);
    } else {
        why = set == NULL ? "it is no JSON" : "it has no list of keys";
    }
    *ret_count = count;
    json_decref(set);
    ERR_clear_error();
    return why;
}
