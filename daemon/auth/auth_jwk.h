/* Public keys: what they may be used for, and how JSON describes them (RFC 7517, RFC 7518 section 6). Pure but for memory; any thread. */
#ifndef AUTH_JWK_H
#define AUTH_JWK_H

#include "auth/auth_keys.h"

/* The algorithms that this key may be used with, from its type, its curve and its size. NULL, or in words why it is not to be used. */
const char *auth_jwk_judge(EVP_PKEY *key, unsigned *ret_algorithms);

/* Up to `max` keys of a JWK set; `ret` gets their owners' memory. NULL, or in words what is wrong with the document as a whole (nothing is in
 * `ret` then). *ret_skipped: keys of it that are not for signatures, of an unknown kind, weak, broken, or too many. */
const char *auth_jwk_parse_set(cvn_slice document, struct auth_key *ret, size_t max,
                               size_t *ret_count, unsigned *ret_skipped);

#endif
