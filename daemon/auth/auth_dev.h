/* Tokens of the development mode: a random secret that nobody knows, made at the start, and tokens signed with it. Any thread. */
#ifndef AUTH_DEV_H
#define AUTH_DEV_H

#include "auth/auth_policy.h"

struct auth_dev;

struct auth_dev *auth_dev_new(void); /* NULL: no memory or randomness */
void auth_dev_free(struct auth_dev *dev);
cvn_slice auth_dev_secret(const struct auth_dev *dev); /* empty for NULL */

/* A token with those claims (a JSON object), and exp, iat, jti and, where the policy asks for them, iss and aud if they are not among them. To
 * be freed with free(); NULL: memory, or no object. */
char *auth_dev_issue(const struct auth_dev *dev, const struct auth_policy *policy, cvn_slice claims,
                     int64_t now, uint32_t lifetime_s);

#endif
