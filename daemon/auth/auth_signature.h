/*
 * The signature algorithms of RFC 7518 section 3 that we take, and whether a signature is right. Which key may be used with which algorithm
 * was decided when the key was loaded (auth_keys.h); here a key of another kind is no match, whatever a caller says. Pure but for the
 * memory that OpenSSL takes; any thread.
 */
#ifndef AUTH_SIGNATURE_H
#define AUTH_SIGNATURE_H

#include <convene/types.h>
#include <openssl/evp.h>

enum auth_algorithm {
    AUTH_HS256,
    AUTH_HS384,
    AUTH_HS512,
    AUTH_RS256,
    AUTH_RS384,
    AUTH_RS512,
    AUTH_PS256,
    AUTH_PS384,
    AUTH_PS512,
    AUTH_ES256,
    AUTH_ES384,
    AUTH_ES512,
    AUTH_ALGORITHMS
};
#define AUTH_BIT(algorithm)     (1u << (algorithm))
#define AUTH_ANY_ALGORITHM      (AUTH_BIT(AUTH_ALGORITHMS) - 1)
#define AUTH_SECRET_ALGORITHMS  (AUTH_BIT(AUTH_HS256) | AUTH_BIT(AUTH_HS384) | AUTH_BIT(AUTH_HS512))
#define AUTH_RSA_PSS_ALGORITHMS (AUTH_BIT(AUTH_PS256) | AUTH_BIT(AUTH_PS384) | AUTH_BIT(AUTH_PS512))
#define AUTH_RSA_ALGORITHMS                                                                        \
    (AUTH_BIT(AUTH_RS256) | AUTH_BIT(AUTH_RS384) | AUTH_BIT(AUTH_RS512) | AUTH_RSA_PSS_ALGORITHMS)

/* By its exact name; "none" is no algorithm. */
bool auth_algorithm_parse(cvn_slice name, enum auth_algorithm *ret);
const char *auth_algorithm_name(enum auth_algorithm algorithm);

/* HS256 and so on; compared in constant time. */
bool auth_signature_fits_secret(enum auth_algorithm algorithm, cvn_slice secret, cvn_slice message,
                                cvn_slice signature);
/* RS, PS and ES. */
bool auth_signature_fits_key(enum auth_algorithm algorithm, EVP_PKEY *key, cvn_slice message,
                             cvn_slice signature);
/* Signs with HMAC; `ret` has room for EVP_MAX_MD_SIZE bytes. */
bool auth_signature_make(enum auth_algorithm algorithm, cvn_slice secret, cvn_slice message,
                         uint8_t *ret, size_t *ret_size);

#endif
