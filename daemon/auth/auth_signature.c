/*
 * Signatures by OpenSSL's EVP interface. Sizes are checked before OpenSSL sees a signature: RFC 7518 gives every algorithm exactly one
 * (RSA: that of the modulus). A salt of a PS signature is as long as its digest (section 3.5); ES signatures are R and S side by side
 * (section 3.4), of which OpenSSL wants DER. Every allocation that fails makes a signature wrong, never right.
 */
#include "auth/auth_signature.h"
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

enum family { FAMILY_HMAC, FAMILY_PKCS1, FAMILY_PSS, FAMILY_ECDSA };

static const struct {
    const char *name;
    enum family family;
    const char *digest;
    size_t coordinate; /* bytes of R and of S */
} algorithms[AUTH_ALGORITHMS] = {
    [AUTH_HS256] = {"HS256", FAMILY_HMAC, "SHA256", 0},
    [AUTH_HS384] = {"HS384", FAMILY_HMAC, "SHA384", 0},
    [AUTH_HS512] = {"HS512", FAMILY_HMAC, "SHA512", 0},
    [AUTH_RS256] = {"RS256", FAMILY_PKCS1, "SHA256", 0},
    [AUTH_RS384] = {"RS384", FAMILY_PKCS1, "SHA384", 0},
    [AUTH_RS512] = {"RS512", FAMILY_PKCS1, "SHA512", 0},
    [AUTH_PS256] = {"PS256", FAMILY_PSS, "SHA256", 0},
    [AUTH_PS384] = {"PS384", FAMILY_PSS, "SHA384", 0},
    [AUTH_PS512] = {"PS512", FAMILY_PSS, "SHA512", 0},
    [AUTH_ES256] = {"ES256", FAMILY_ECDSA, "SHA256", 32},
    [AUTH_ES384] = {"ES384", FAMILY_ECDSA, "SHA384", 48},
    [AUTH_ES512] = {"ES512", FAMILY_ECDSA, "SHA512", 66},
};

bool auth_algorithm_parse(cvn_slice name, enum auth_algorithm *ret)
{
    for (unsigned i = 0; i < AUTH_ALGORITHMS; i++) {
        const char *candidate = algorithms[i].name;
        if (name.size == strlen(candidate) && memcmp(name.data, candidate, name.size) == 0) {
            *ret = (enum auth_algorithm)i;
            return true;
        }
    }
    return false;
}

const char *auth_algorithm_name(enum auth_algorithm algorithm)
{
    return algorithms[algorithm].name;
}

static const EVP_MD *hmac_digest(enum auth_algorithm algorithm)
{
    return algorithm == AUTH_HS256   ? EVP_sha256()
           : algorithm == AUTH_HS384 ? EVP_sha384()
           : algorithm == AUTH_HS512 ? EVP_sha512()
                                     : NULL;
}

bool auth_signature_make(enum auth_algorithm algorithm, cvn_slice secret, cvn_slice message,
                         uint8_t *ret, size_t *ret_size)
{
    const EVP_MD *digest = hmac_digest(algorithm);
    unsigned size = 0;
    if (digest == NULL || secret.size > INT_MAX ||
        HMAC(digest, secret.data, (int)secret.size, (const uint8_t *)message.data, message.size,
             ret, &size) == NULL)
        return false;
    *ret_size = size;
    return true;
}

bool auth_signature_fits_secret(enum auth_algorithm algorithm, cvn_slice secret, cvn_slice message,
                                cvn_slice signature)
{
    uint8_t right[EVP_MAX_MD_SIZE];
    size_t size;
    return auth_signature_make(algorithm, secret, message, right, &size) &&
           signature.size == size && CRYPTO_memcmp(right, signature.data, size) == 0;
}

/* R and S as DER, to be freed with OPENSSL_free; NULL when they are not as long as they must be. */
static uint8_t *ecdsa_to_der(size_t coordinate, cvn_slice signature, size_t *ret_size)
{
    if (signature.size != 2 * coordinate)
        return NULL;
    const uint8_t *bytes = (const uint8_t *)signature.data;
    uint8_t *der = NULL;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(bytes, (int)coordinate, NULL);
    BIGNUM *s = BN_bin2bn(bytes + coordinate, (int)coordinate, NULL);
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* the pair's now */
        int size = i2d_ECDSA_SIG(pair, &der);
        if (size > 0)
            *ret_size = (size_t)size;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return der;
}

static bool is_of_family(EVP_PKEY *key, enum family family)
{
    if (family == FAMILY_ECDSA)
        return EVP_PKEY_is_a(key, "EC");
    return family != FAMILY_HMAC &&
           (EVP_PKEY_is_a(key, "RSA") || (family == FAMILY_PSS && EVP_PKEY_is_a(key, "RSA-PSS")));
}

static bool set_pss(EVP_PKEY_CTX *context)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool auth_signature_fits_key(enum auth_algorithm algorithm, EVP_PKEY *key, cvn_slice message,
                             cvn_slice signature)
{
    enum family family = algorithms[algorithm].family;
    uint8_t *der = NULL;
    const uint8_t *bytes = (const uint8_t *)signature.data;
    size_t size = signature.size;
    bool fits = false;
    EVP_MD_CTX *digest = NULL;
    EVP_PKEY_CTX *context; /* the digest's */

    if (!is_of_family(key, family))
        return false;
    if (family == FAMILY_ECDSA) {
        bytes = der = ecdsa_to_der(algorithms[algorithm].coordinate, signature, &size);
        if (der == NULL)
            goto out;
    } else if (size != (size_t)EVP_PKEY_get_size(key)) {
        goto out;
    }
    digest = EVP_MD_CTX_new();
    fits = digest != NULL &&
           EVP_DigestVerifyInit_ex(digest, &context, algorithms[algorithm].digest, NULL, NULL, key,
                                   NULL) == 1 &&
           (family != FAMILY_PSS || set_pss(context)) &&
           EVP_DigestVerify(digest, bytes, size, (const uint8_t *)message.data, message.size) == 1;
out:
    EVP_MD_CTX_free(digest);
    OPENSSL_free(der);
    ERR_clear_error(); /* wrong signatures leave their traces in the thread's queue */
    return fits;
}
