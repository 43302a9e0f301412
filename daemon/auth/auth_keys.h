/*
 * Keys that tokens may be signed with. What a key may be used for is decided when it is loaded, from what the key itself is: a secret for HS,
 * RSA for RS and PS, an elliptic curve for its one ES; `alg`, `use` and `key_ops` of a JWK narrow it further. So a token's header can never
 * choose how a key is used. A set is filled by one thread and then never changes; any thread may verify with it and hold references.
 */
#ifndef AUTH_KEYS_H
#define AUTH_KEYS_H

#include "auth/auth_signature.h"

#define AUTH_MAX_KEYS       64
#define AUTH_MAX_KID        256  /* bytes */
#define AUTH_MIN_SECRET     32   /* bytes: RFC 7518, section 3.2, for HS256 */
#define AUTH_MIN_RSA_BITS   2048 /* RFC 7518, section 3.3 */
#define AUTH_MAX_RSA_BITS   8192 /* checking a signature costs with the square of it */
#define AUTH_MAX_KEY_TRIALS 16   /* signatures checked for one token */

struct auth_key {
    char *kid;           /* NULL: goes with any */
    unsigned algorithms; /* AUTH_BITs that it may be used with */
    EVP_PKEY *key;       /* NULL: a secret */
    char *secret;
    size_t secret_size;
};

struct auth_keys;

struct auth_keys *auth_keys_new(void); /* empty, one reference; NULL: memory */
struct auth_keys *auth_keys_ref(struct auth_keys *keys);
void auth_keys_unref(struct auth_keys *keys); /* NULL is accepted */

/* All return NULL, or in words what is wrong, static; the set is as before then. */
const char *auth_keys_add_secret(struct auth_keys *keys, cvn_slice secret);
/* Every PUBLIC KEY, and of the CERTIFICATEs the first (what comes behind is its chain, whose keys sign certificates, not tokens). */
const char *auth_keys_add_pem(struct auth_keys *keys, cvn_slice pem);
/* A JWK set, RFC 7517 section 5: RSA and EC keys for signatures. *ret_skipped counts those that cannot be used, which is no error. */
const char *auth_keys_add_jwks(struct auth_keys *keys, cvn_slice document, unsigned *ret_skipped);

size_t auth_keys_count(const struct auth_keys *keys);
unsigned auth_keys_algorithms(const struct auth_keys *keys); /* of all of them */
bool auth_keys_have_kid(const struct auth_keys *keys, const char *kid);

/* Whether a key that fits the algorithm, and the kid unless one of the two has none, made the signature. */
bool auth_keys_verify(const struct auth_keys *keys, enum auth_algorithm algorithm, const char *kid,
                      cvn_slice message, cvn_slice signature);

#endif
