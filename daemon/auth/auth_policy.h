/*
 * What the configuration says of tokens, checked and copied: keys, algorithms, issuer, audience, where claims are, what roles are called,
 * API keys. Never changes once it is made; a reload makes another. Shared by reference, any thread.
 */
#ifndef AUTH_POLICY_H
#define AUTH_POLICY_H

#include "auth/auth_keys.h"
#include "auth/principal.h"
#include "config/config.h"

/* A list of strings of its own. */
struct auth_texts {
    char **items;
    size_t count;
};

struct auth_role_name {
    char *name;
    enum role role;
};

struct auth_api_key {
    char *name;
    uint8_t digest[32]; /* SHA-256 of the key */
};

struct auth_policy {
    struct auth_keys *keys;     /* from the configuration; those of a JWKS are kept elsewhere */
    unsigned algorithms;        /* AUTH_BITs that are allowed */
    char *issuer;               /* NULL: any */
    struct auth_texts audience; /* empty: any */
    uint32_t leeway_s;
    size_t max_token_bytes;
    struct auth_texts user_id, email, name, role, org_id, division_ids, courses, scopes; /* paths */
    struct auth_role_name *roles;
    size_t role_count;
    enum role default_role; /* ROLE_NONE: such tokens are refused */
    struct auth_api_key *api_keys;
    size_t api_key_count;
};

/* `dev_secret` (empty: none) is one more key. NULL after saying to the log what is wrong. */
struct auth_policy *auth_policy_new(const struct config *config, cvn_slice dev_secret);
struct auth_policy *auth_policy_ref(struct auth_policy *policy);
void auth_policy_unref(struct auth_policy *policy); /* NULL is accepted */

#endif
