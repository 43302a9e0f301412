/*
 * Verifying, put together: the policy of the moment, the keys of the configuration, those of the JWKS, what was revoked. The policy is
 * exchanged as a whole under a lock that is held only to take a reference; all else here is read-only or has a lock of its own. Any thread,
 * but auth_verify, which may wait: on a worker.
 */
#include "auth/auth.h"
#include "auth/auth_dev.h"
#include "auth/auth_jwks.h"
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
    struct auth_jwks *jwks;     /* NULL: no auth.jwks_url */
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

/* Not time(), which lags behind by up to a tick: a token just issued would come from the future. */
static int64_t system_unix_s(void *data)
{
    struct timespec now;
    (void)data;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec;
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
    if (config->auth.jwks_url == NULL)
        return true;
    auth->jwks = auth_jwks_new(config, server, outgoing, &auth->clock);
    return auth->jwks != NULL;
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
    auth_jwks_free(auth->jwks);
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
    if (auth->jwks != NULL)
        auth_jwks_expire(auth->jwks);
    return true;
}

/* --- Verifying --- */

/* A token that has to wait for keys. */
struct waiting {
    struct auth_jwks_waiter waiter;
    struct auth *auth;
    auth_fn fn;
    void *data;
    size_t size;
    char text[];
};

/* What came of looking at a token, and what it takes to look again. */
struct finding {
    struct auth_verdict verdict;
    enum auth_jwks_advice advice;
    char kid[AUTH_MAX_KID + 1]; /* with AUTH_JWKS_WAIT, if `has_kid` */
    bool has_kid;
};

static struct auth_verdict invalid(const char *why)
{
    return (struct auth_verdict){AUTH_INVALID, why, NULL};
}

static bool is_signed(struct auth *auth, const struct auth_policy *policy,
                      const struct auth_token *token, struct finding *finding)
{
    if (auth_keys_verify(policy->keys, token->algorithm, token->kid, token->message,
                         token->signature))
        return true;
    /* Secrets are never published, so there is nothing to fetch for them. */
    if (auth->jwks == NULL || (AUTH_BIT(token->algorithm) & AUTH_SECRET_ALGORITHMS) != 0)
        return false;
    struct auth_keys *keys = NULL;
    enum auth_jwks_advice advice = auth_jwks_ask(auth->jwks, token->kid, &keys);
    bool fits = keys != NULL && auth_keys_verify(keys, token->algorithm, token->kid, token->message,
                                                 token->signature);
    auth_keys_unref(keys);
    if (fits)
        return true;
    finding->advice = advice;
    finding->has_kid = token->kid != NULL;
    if (finding->has_kid)
        snprintf(finding->kid, sizeof finding->kid, "%s", token->kid);
    return false;
}

static struct auth_verdict judge_parsed(struct auth *auth, const struct auth_policy *policy,
                                        const struct auth_token *token, struct finding *finding)
{
    if ((policy->algorithms & AUTH_BIT(token->algorithm)) == 0)
        return invalid("the algorithm is not allowed");
    if (is_signed(auth, policy, token, finding))
        return auth_token_judge(token, policy, auth->clock.unix_s(auth->clock.data));
    if (finding->advice == AUTH_JWKS_FAILED)
        return (struct auth_verdict){AUTH_UNAVAILABLE, "the keys cannot be had now", NULL};
    return invalid("no key that fits has made the signature");
}

static struct finding judge(struct auth *auth, cvn_slice text)
{
    struct finding finding = {.advice = AUTH_JWKS_USE};
    struct auth_verdict *verdict = &finding.verdict;
    struct auth_policy *policy = policy_of(auth);
    struct auth_token token;
    const char *why = auth_token_parse(&token, text, policy->max_token_bytes);
    if (why != NULL) {
        *verdict = invalid(why);
        if (why == auth_token_no_memory)
            verdict->refusal = AUTH_UNAVAILABLE;
    } else {
        *verdict = judge_parsed(auth, policy, &token, &finding);
        auth_token_release(&token);
    }
    if (verdict->refusal == AUTH_OK && auth_revoked_has(auth->revoked, verdict->principal)) {
        principal_unref(verdict->principal);
        *verdict = invalid("the token was revoked");
    }
    auth_policy_unref(policy);
    return finding;
}

/* The keys were fetched, or could not be: what is not known now is not known. */
static void on_keys(struct auth_jwks_waiter *waiter)
{
    struct waiting *waiting = (struct waiting *)(void *)waiter; /* its first member */
    struct finding finding = judge(waiting->auth, (cvn_slice){waiting->text, waiting->size});
    if (finding.advice == AUTH_JWKS_WAIT)
        finding.verdict =
            (struct auth_verdict){AUTH_UNAVAILABLE, "the keys take too long to fetch", NULL};
    waiting->fn(finding.verdict.refusal, finding.verdict.principal, finding.verdict.why,
                waiting->data);
    free(waiting);
}

static bool wait_for_keys(struct auth *auth, cvn_slice token, const struct finding *finding,
                          auth_fn fn, void *data)
{
    struct waiting *waiting = malloc(sizeof *waiting + token.size);
    if (waiting == NULL)
        return false;
    waiting->auth = auth;
    waiting->fn = fn;
    waiting->data = data;
    waiting->size = token.size;
    memcpy(waiting->text, token.data, token.size);
    if (auth_jwks_wait(auth->jwks, finding->has_kid ? finding->kid : NULL, &waiting->waiter,
                       on_keys))
        return true;
    free(waiting);
    return false;
}

void auth_verify(struct auth *auth, cvn_slice token, auth_fn fn, void *data)
{
    if (token.size == 0) {
        fn(AUTH_REQUIRED, NULL, "there is no token", data);
        return;
    }
    struct finding finding = judge(auth, token);
    if (finding.advice != AUTH_JWKS_WAIT)
        fn(finding.verdict.refusal, finding.verdict.principal, finding.verdict.why, data);
    else if (!wait_for_keys(auth, token, &finding, fn, data))
        fn(AUTH_UNAVAILABLE, NULL, "too many wait for keys", data);
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
