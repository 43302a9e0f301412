/*
 * Tokens: JWS in compact serialization (RFC 7515, section 7.1) with claims (RFC 7519). Checked in this order: size, form, header, algorithm,
 * signature, times, issuer, audience, what the claims make of their bearer. Nothing of a token is believed before its signature was found
 * right, its choice of algorithm and key included. The clock is the caller's. Any thread.
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "auth/auth.h"
#include "auth/auth_policy.h"
#include <jansson.h>

/* What a token says before anything of it is believed. */
struct auth_token {
    enum auth_algorithm algorithm;
    const char *kid;   /* NULL: none; of `header` */
    cvn_slice message; /* what is signed; of the text */
    cvn_slice payload; /* still in base64url; of the text */
    cvn_slice signature;
    json_t *header;
    uint8_t *bytes; /* of `signature` */
};

/* The words for what is nobody's fault; compared as a pointer. */
extern const char auth_token_no_memory[];

/* NULL, or in words what is wrong with it, static. Released by the caller after success only. */
const char *auth_token_parse(struct auth_token *token, cvn_slice text, size_t max_size);
void auth_token_release(struct auth_token *token);

struct auth_verdict {
    enum auth_refusal refusal;
    const char *why;             /* static; NULL with AUTH_OK */
    struct principal *principal; /* with AUTH_OK: one reference */
};

/* For a token whose signature was found right. `now`: Unix seconds. */
struct auth_verdict auth_token_judge(const struct auth_token *token,
                                     const struct auth_policy *policy, int64_t now);

#endif
