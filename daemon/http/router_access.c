/*
 * Who may ask what: API keys and tokens that auth/ verifies, and the operator's token. On the request's worker; auth_verify may answer
 * after it has returned, when keys have to be fetched. The operator's token is compared as a SHA-256 digest in constant time, so neither its
 * length nor its beginning can be measured.
 */
#include "http/router_internal.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>

#define AUTH_RETRY_MS 1000 /* when the keys cannot be had now */

/* --- The policy --- */

static bool read_origins(struct router_policy *policy, const struct config *config)
{
    const struct config_list *origins = &config->server.origins;
    policy->origins = calloc(origins->count + 1, sizeof *policy->origins);
    if (policy->origins == NULL)
        return false;
    for (size_t i = 0; i < origins->count; i++) {
        policy->origins[i] = strdup(origins->items[i]);
        if (policy->origins[i] == NULL)
            return false;
        policy->origin_count++;
    }
    return true;
}

struct router_policy *router_policy_new(const struct config *config)
{
    const char *token = config->operations.metrics_token;
    struct router_policy *policy = calloc(1, sizeof *policy);
    if (policy == NULL)
        return NULL;
    policy->operator_public = config->operations.metrics_public;
    policy->takes_cookies = config->auth.cookie != NULL;
    policy->has_operator_token = token != NULL && token[0] != '\0';
    if (policy->has_operator_token)
        SHA256((const unsigned char *)token, strlen(token), policy->operator_token);
    if (!read_origins(policy, config)) {
        router_policy_free(policy);
        return NULL;
    }
    return policy;
}

void router_policy_free(struct router_policy *policy)
{
    if (policy == NULL)
        return;
    for (size_t i = 0; i < policy->origin_count; i++)
        free(policy->origins[i]);
    free(policy->origins);
    OPENSSL_cleanse(policy, sizeof *policy);
    free(policy);
}

/* --- Credentials --- */

static bool is_secret(cvn_slice given, const uint8_t digest[ROUTER_DIGEST_SIZE])
{
    uint8_t found[ROUTER_DIGEST_SIZE];
    SHA256((const unsigned char *)given.data, given.size, found);
    return CRYPTO_memcmp(found, digest, sizeof found) == 0;
}

static bool is_loopback(const char *address)
{
    struct access_network client, loopback;
    return access_network_of_hop(cvn_str(address), &client) &&
           ((access_network_parse(cvn_str("127.0.0.0/8"), &loopback) &&
             access_network_has(&loopback, &client)) ||
            (access_network_parse(cvn_str("::1"), &loopback) &&
             access_network_has(&loopback, &client)));
}

static void refuse(struct router_request *own, enum auth_refusal refusal)
{
    static const char *const words[] = {
        [AUTH_OK] = "not allowed",
        [AUTH_REQUIRED] = "credentials are needed",
        [AUTH_INVALID] = "the credentials are not good",
        [AUTH_EXPIRED] = "the token has expired",
        [AUTH_FORBIDDEN] = "not allowed",
        [AUTH_UNAVAILABLE] = "the credentials cannot be checked now",
    };
    int status = refusal == AUTH_FORBIDDEN ? 403 : refusal == AUTH_UNAVAILABLE ? 503 : 401;
    if (status == 401)
        request_add_field(&own->request, "WWW-Authenticate", "Bearer realm=\"convened\"");
    request_refuse(&own->request, status, auth_refusal_code(refusal), words[refusal],
                   status == 503 ? AUTH_RETRY_MS : 0);
}

static bool may(const struct route *route, const struct principal *principal)
{
    switch (route->access) {
    case ROUTE_ANYONE:
    case ROUTE_USER:
        return true;
    case ROUTE_ADMIN:
    case ROUTE_OPERATOR:
        return principal->role == ROLE_ADMIN;
    case ROUTE_BACKEND:
        return principal->role == ROLE_ADMIN || principal->role == ROLE_SERVICE;
    }
    return false;
}

static void decide(struct router_request *own, void (*go_on)(struct router_request *own))
{
    if (own->refusal != AUTH_OK || own->lost)
        refuse(own, own->lost ? AUTH_UNAVAILABLE : own->refusal);
    else if (!may(own->route, own->request.principal))
        refuse(own, AUTH_FORBIDDEN);
    else
        go_on(own);
}

struct waiting {
    struct router_request *own;
    void (*go_on)(struct router_request *own);
};

static void on_verified(enum auth_refusal refusal, struct principal *principal, const char *why,
                        void *data)
{
    struct waiting *waiting = data;
    struct router_request *own = waiting->own;
    own->refusal = refusal;
    own->request.principal = principal;
    own->verified = true;
    if (refusal != AUTH_OK)
        log_entry(LOG_DEBUG, "a request's token was refused",
                  LOG_CORRELATION(own->request.correlation_id),
                  LOG_TEXT("code", auth_refusal_code(refusal)), LOG_TEXT("why", why),
                  LOG_TEXT("address", own->request.address), LOG_END);
    if (own->asking) /* auth_verify has not returned */
        return;
    decide(own, waiting->go_on);
    free(waiting);
}

static void ask(struct router_request *own, cvn_slice token,
                void (*go_on)(struct router_request *own))
{
    struct waiting *waiting = malloc(sizeof *waiting);
    if (waiting == NULL) {
        refuse(own, AUTH_UNAVAILABLE);
        return;
    }
    *waiting = (struct waiting){own, go_on};
    own->asking = true;
    auth_verify(own->router->auth, token, on_verified, waiting);
    own->asking = false;
    if (own->verified) {
        free(waiting);
        decide(own, go_on);
    } else if (!request_keep(own)) {
        own->lost = true; /* the verdict still comes */
    }
}

static void admit_by_token(struct router_request *own, void (*go_on)(struct router_request *own))
{
    char *buffer = malloc(ROUTER_MAX_TOKEN);
    if (buffer == NULL) {
        refuse(own, AUTH_UNAVAILABLE);
        return;
    }
    cvn_slice token =
        auth_token_of_request(own->router->auth, own->request.http, buffer, ROUTER_MAX_TOKEN);
    if (token.size == 0)
        refuse(own, AUTH_REQUIRED);
    else
        ask(own, token, go_on);
    free(buffer);
}

static cvn_slice bearer_of(const cvn_http_request *http)
{
    static const char scheme[] = "bearer ";
    cvn_slice value = cvn_http_header(http, "authorization");
    if (value.size < sizeof scheme)
        return (cvn_slice){NULL, 0};
    for (size_t i = 0; i < sizeof scheme - 1; i++)
        if ((value.data[i] | 0x20) != scheme[i])
            return (cvn_slice){NULL, 0};
    while (value.size > 0 && *value.data != ' ')
        value.data++, value.size--;
    while (value.size > 0 && *value.data == ' ')
        value.data++, value.size--;
    return value;
}

static void admit_backend(struct router_request *own, void (*go_on)(struct router_request *own))
{
    cvn_slice key = cvn_http_header(own->request.http, "x-api-key");
    bool is_said = key.data != NULL; /* else a bearer may be a key or a token */
    if (!is_said)
        key = bearer_of(own->request.http);
    if (key.size > 0 && auth_api_key(own->router->auth, key, &own->request.principal))
        go_on(own);
    else if (is_said)
        refuse(own, AUTH_INVALID);
    else
        admit_by_token(own, go_on);
}

static void admit_operator(struct router_request *own, void (*go_on)(struct router_request *own))
{
    const struct router_policy *policy = atomic_load(&own->router->policy);
    const cvn_http_request *http = own->request.http;
    cvn_slice bearer = bearer_of(http);
    bool is_near = !policy->has_operator_token && is_loopback(cvn_http_address(http)) &&
                   !access_proxies_spoke(http);
    if (policy->operator_public ||
        (policy->has_operator_token && bearer.size > 0 && bearer.size <= ROUTER_MAX_TOKEN &&
         is_secret(bearer, policy->operator_token)) ||
        (bearer.size == 0 && is_near))
        go_on(own);
    else
        admit_by_token(own, go_on);
}

void router_admit(struct router_request *own, void (*go_on)(struct router_request *own))
{
    switch (own->route->access) {
    case ROUTE_ANYONE:
        go_on(own);
        break;
    case ROUTE_USER:
    case ROUTE_ADMIN:
        admit_by_token(own, go_on);
        break;
    case ROUTE_BACKEND:
        admit_backend(own, go_on);
        break;
    case ROUTE_OPERATOR:
        admit_operator(own, go_on);
        break;
    }
}
