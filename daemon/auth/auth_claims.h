/*
 * Claims into a principal, by the paths and role names of the configuration. Only for claims whose signature was found right. Any thread.
 */
#ifndef AUTH_CLAIMS_H
#define AUTH_CLAIMS_H

#include "auth/auth_token.h"

#define AUTH_MAX_TEXT 320 /* bytes of an e-mail address (RFC 5321) and of a name */

/* `times` has expires_at and issued_at. AUTH_OK with a principal; AUTH_INVALID for claims of wrong types or beyond their bounds, AUTH_FORBIDDEN
 * for somebody without a role. */
struct auth_verdict auth_claims_read(const json_t *claims, const struct auth_policy *policy,
                                     const struct principal *times);

#endif
