/*
 * Verifying, put together: the policy of the moment, the keys of the configuration, those of the JWKS, what was revoked. The policy is
 * exchanged as a whole under a lock that is held only to take a reference; all else here is read-only or has a lock of its own. Any thread,
 * but auth_verify, which may wait: on a worker.
 */
#include "auth/auth.h"
#include "auth/auth_dev.h"
#include "auth/auth_revoked.h"
#include "auth/auth_sources.h"
#include "auth/auth_token.h"
#include "observe/log.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct auth {
    pthread_mutex_t lock;       /* of `policy` */
    struct auth_policy *policy; /* never NULL */
    struct auth_dev *dev;       /* NULL outside of the development mode */
    struct auth_revoked *revoked;
    struct auth_clock clock;
    /* Where tokens are looked for; see auth_sources.c. */
    char *cookie;
    bool query_token;
};

/* --- Words --- */

const char *auth_refusal_code(enum auth_refusal refusal)
{
    static const char *const codes[] = {"OK",           "AUTH_REQUIRED", "AUTH_INVALID",
                                        "AUTH_EXPIRED", "FORBIDDEN",     "AUTH_UNAVAILABLE"};
    return codes[refusal];
}

bool auth_refusal_is_retryable(enum auth_refusal refusal)
{
    return refusal == AUTH_UNAVAILABLE;
}

/* --- Life --- */

static int64_t system_unix_s(void *data)
{
    (void)data;
    return (int64_t)time(NULL);
}

static uint64_t system_monotonic_ms(void *data)
{
    struct timespec now;
    (void)data;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool fill(struct auth *auth, const struct config *config, cvn_server *server,
                 struct outgoing *outgoing)
{
    auth->revoked = auth_revoked_new();
    if (auth->revoked == NULL)
        return false;
    if (config->dev && (auth->dev = auth_dev_new()) == NULL)
        return false;
    if (config->auth.cookie != NULL && (auth->cookie = strdup(config->auth.cookie)) == NULL)
        return false;
    auth->query_token = config->auth.query_token;
    auth->policy = auth_policy_new(config, auth_dev_secret(auth->dev));
    if (auth->policy == NULL)
        return false;
    (void)server;
    (void)outgoing;
    if (config->auth.jwks_url != NULL) {
        log_entry(LOG_ERROR, "auth.jwks_url is not supported yet", LOG_END);
        return false;
    }
    return true;
}

struct auth *auth_new(const struct config *config, cvn_server *server, struct outgoing *outgoing)
{
    struct auth *auth = calloc(1, sizeof *auth);
    if (auth != NULL && pthread_mutex_init(&auth->lock, NULL) == 0) {
        auth->clock = (struct auth_clock){system_unix_s, system_monotonic_ms, NULL};
        if (fill(auth, config, server, outgoing))
            return auth;
        auth_free(auth);
    } else {
        free(auth);
    }
    log_entry(LOG_ERROR, "tokens cannot be checked as configured", LOG_END);
    return NULL;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    auth_policy_unref(auth->policy);
    auth_revoked_free(auth->revoked);
    auth_dev_free(auth->dev);
    free(auth->cookie);
    pthread_mutex_destroy(&auth->lock);
    free(auth);
}

void auth_set_clock(struct auth *auth, const struct auth_clock *clock)
{
    auth->clock = *clock;
}

static struct auth_policy *policy_of(struct auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    struct auth_policy *policy = auth_policy_ref(auth->policy);
    pthread_mutex_unlock(&auth->lock);
    return policy;
}

bool auth_reconfigure(struct auth *auth, const struct config *config)
{
    struct auth_policy *policy = auth_policy_new(config, auth_dev_secret(auth->dev));
    if (policy == NULL)
        return false;
    pthread_mutex_lock(&auth->lock);
    struct auth_policy *old = auth->policy;
    auth->policy = policy;
    pthread_mutex_unlock(&auth->lock);
    auth_policy_unref(old);
    return true;
}

/* --- Verifying --- */

static struct auth_verdict invalid(const char *why)
{
    return (struct auth_verdict){AUTH_INVALID, why, NULL};
}

static struct auth_verdict judge(struct auth *auth, cvn_slice text)
{
    struct auth_policy *policy = policy_of(auth);
    struct auth_token token;
    struct auth_verdict verdict;
    const char *why = auth_token_parse(&token, text, policy->max_token_bytes);
    if (why != NULL) {
        verdict = invalid(why);
    } else {
        if ((policy->algorithms & AUTH_BIT(token.algorithm)) == 0)
            verdict = invalid("the algorithm is not allowed");
        else if (auth_keys_verify(policy->keys, token.algorithm, token.kid, token.message,
                                  token.signature))
            verdict = auth_token_judge(&token, policy, auth->clock.unix_s(auth->clock.data));
        else
            verdict = invalid("no key that fits has made the signature");
        auth_token_release(&token);
    }
    if (verdict.refusal == AUTH_OK && auth_revoked_has(auth->revoked, verdict.principal)) {
        principal_unref(verdict.principal);
        verdict = invalid("the token was revoked");
    }
    auth_policy_unref(policy);
    return verdict;
}

void auth_verify(struct auth *auth, cvn_slice token, auth_fn fn, void *data)
{
    if (token.size == 0) {
        fn(AUTH_REQUIRED, NULL, "there is no token", data);
        return;
    }
    struct auth_verdict verdict = judge(auth, token);
    fn(verdict.refusal, verdict.principal, verdict.why, data);
}

/* --- Where tokens are --- */

cvn_slice auth_token_of_socket(const struct auth *auth, const cvn_socket *socket, char *buffer,
                               size_t size)
{
    const cvn_slice none = {NULL, 0};
    const struct auth_sources sources = {
        .payload = cvn_socket_auth(socket),
        .authorization = cvn_socket_header(socket, "authorization"),
        .query = auth->query_token ? cvn_socket_query(socket, "access_token") : none,
        .cookies = auth->cookie != NULL ? cvn_socket_header(socket, "cookie") : none,
    };
    return auth_sources_find(&sources, auth->cookie, buffer, size);
}

cvn_slice auth_token_of_request(const struct auth *auth, const cvn_http_request *request,
                                char *buffer, size_t size)
{
    const cvn_slice none = {NULL, 0};
    const struct auth_sources sources = {
        .authorization = cvn_http_header(request, "authorization"),
        .query = auth->query_token ? cvn_http_query(request, "access_token") : none,
        .cookies = auth->cookie != NULL ? cvn_http_header(request, "cookie") : none,
    };
    return auth_sources_find(&sources, auth->cookie, buffer, size);
}

/* --- API keys --- */

bool auth_api_key(struct auth *auth, cvn_slice key, struct principal **ret)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char user_id[PRINCIPAL_MAX_ID];
    const struct auth_api_key *found = NULL;
    struct principal *principal = NULL;
    if (key.size == 0 || EVP_Digest(key.data, key.size, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    struct auth_policy *policy = policy_of(auth);
    /* All of them, always: time says nothing about which one was nearly right. */
    for (size_t i = 0; i < policy->api_key_count; i++) {
        if (CRYPTO_memcmp(digest, policy->api_keys[i].digest, sizeof digest) == 0)
            found = &policy->api_keys[i];
    }
    if (found != NULL) {
        snprintf(user_id, sizeof user_id, "service/%s", found->name);
        principal = principal_new(
            &(struct principal){.user_id = user_id, .name = found->name, .role = ROLE_SERVICE});
    }
    auth_policy_unref(policy);
    if (principal != NULL)
        *ret = principal;
    return principal != NULL;
}

/* --- Revocation --- */

bool auth_revoke_user(struct auth *auth, const char *user_id, int64_t issued_until)
{
    return auth_revoked_add_user(auth->revoked, user_id, issued_until);
}

bool auth_revoke_token(struct auth *auth, const char *jti, int64_t expires_at)
{
    return auth_revoked_add_token(auth->revoked, jti, expires_at);
}

bool auth_is_revoked(struct auth *auth, const struct principal *principal)
{
    return auth_revoked_has(auth->revoked, principal);
}

void auth_sweep(struct auth *auth, int64_t now)
{
    struct auth_policy *policy = policy_of(auth);
    auth_revoked_sweep(auth->revoked, now - (int64_t)policy->leeway_s);
    auth_policy_unref(policy);
}

/* --- Development --- */

char *auth_issue(struct auth *auth, cvn_slice claims, uint32_t lifetime_s)
{
    if (auth->dev == NULL)
        return NULL;
    struct auth_policy *policy = policy_of(auth);
    char *token =
        auth_dev_issue(auth->dev, policy, claims, auth->clock.unix_s(auth->clock.data), lifetime_s);
    auth_policy_unref(policy);
    return token;
}
