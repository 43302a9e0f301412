/*
 * What was revoked before it expired: users, up to a moment, and single tokens by their ids. Asked for every token; any thread. The store keeps
 * revocations over a restart, which is its caller's business.
 */
#ifndef AUTH_REVOKED_H
#define AUTH_REVOKED_H

#include "auth/principal.h"

#define AUTH_MAX_REVOKED 100000 /* users, and tokens; each of them some 200 bytes */

struct auth_revoked;

struct auth_revoked *auth_revoked_new(void);
void auth_revoked_free(struct auth_revoked *revoked); /* NULL is accepted */

/* No token of the user that was issued up to then is good, nor one that does not say when. Later moments win. False: full, or memory. */
bool auth_revoked_add_user(struct auth_revoked *revoked, const char *user_id, int64_t issued_until);
/* Kept until the token expires by itself (0: for ever). */
bool auth_revoked_add_token(struct auth_revoked *revoked, const char *jti, int64_t expires_at);
bool auth_revoked_has(struct auth_revoked *revoked, const struct principal *principal);
/* Forgets tokens that expired before `now`. A user's revocation stays: nobody knows how long their tokens live. */
void auth_revoked_sweep(struct auth_revoked *revoked, int64_t now);

#endif
