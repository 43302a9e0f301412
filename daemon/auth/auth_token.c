/* Tokens, taken apart and judged. Strict by RFC 7515, 7519 and 8725; pure but for memory, any thread. */
#include "auth/auth_token.h"
#include "auth/auth_base64.h"
#include "auth/auth_claims.h"
#include <stdlib.h>

#define MAX_DATE 253402300799 /* the end of the year 9999: later ones are milliseconds by mistake */

const char auth_token_no_memory[] = "out of memory";

static bool split(cvn_slice text, cvn_slice parts[3])
{
    for (size_t i = 0; i < 3; i++) {
        const char *dot = text.size > 0 ? memchr(text.data, '.', text.size) : NULL;
        if ((dot == NULL) != (i == 2)) /* two dots, no third one */
            return false;
        parts[i] = (cvn_slice){text.data, dot != NULL ? (size_t)(dot - text.data) : text.size};
        if (parts[i].size == 0)
            return false;
        if (dot != NULL)
            text = (cvn_slice){dot + 1, text.size - parts[i].size - 1};
    }
    return true;
}

/* A part's bytes, to be freed; NULL with *ret_why. */
static uint8_t *decode(cvn_slice part, size_t *ret_size, const char **ret_why)
{
    uint8_t *bytes = malloc(auth_base64url_decoded_size(part.size));
    if (bytes == NULL) {
        *ret_why = auth_token_no_memory;
    } else if (!auth_base64url_decode(part, bytes, ret_size)) {
        *ret_why = "a part of the token is not base64url";
        free(bytes);
        bytes = NULL;
    }
    return bytes;
}

/* A part that is a JSON object, whose names are unique. */
static json_t *decode_object(cvn_slice part, const char **ret_why)
{
    size_t size = 0;
    uint8_t *bytes = decode(part, &size, ret_why);
    if (bytes == NULL)
        return NULL;
    json_error_t error = {.line = 0};
    json_t *object = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
    free(bytes);
    if (!json_is_object(object)) {
        bool no_memory = object == NULL && json_error_code(&error) == json_error_out_of_memory;
        *ret_why = no_memory ? auth_token_no_memory : "a part of the token is no JSON object";
        json_decref(object);
        return NULL;
    }
    return object;
}

/* `jwk`, `jku`, `x5u` and `x5c`, by which a token would bring its own key, are not looked at. */
static const char *read_header(struct auth_token *token)
{
    const json_t *algorithm = json_object_get(token->header, "alg");
    const json_t *kid = json_object_get(token->header, "kid");
    const json_t *type = json_object_get(token->header, "typ");
    if (!json_is_string(algorithm))
        return "the header names no algorithm";
    if (!auth_algorithm_parse(
            (cvn_slice){json_string_value(algorithm), json_string_length(algorithm)},
            &token->algorithm))
        return "the algorithm is not taken";
    if (json_object_get(token->header, "crit") != NULL)
        return "the header demands an extension";
    if (kid != NULL && (!json_is_string(kid) || json_string_length(kid) > AUTH_MAX_KID))
        return "the header's kid is wrong";
    if (type != NULL && !json_is_string(type))
        return "the header's typ is wrong";
    token->kid = json_string_value(kid);
    return NULL;
}

const char *auth_token_parse(struct auth_token *token, cvn_slice text, size_t max_size)
{
    cvn_slice parts[3];
    const char *why = NULL;
    if (text.size > max_size)
        return "the token is too long";
    if (!split(text, parts))
        return "the token has not three parts";
    *token = (struct auth_token){
        .message = {text.data, parts[0].size + 1 + parts[1].size},
        .payload = parts[1],
    };
    token->header = decode_object(parts[0], &why);
    if (why == NULL)
        why = read_header(token);
    if (why == NULL)
        token->bytes = decode(parts[2], &token->signature.size, &why);
    token->signature.data = (const char *)token->bytes;
    if (why != NULL)
        auth_token_release(token);
    return why;
}

void auth_token_release(struct auth_token *token)
{
    json_decref(token->header);
    free(token->bytes);
}

/* --- Claims that every token has the same way --- */

/* A NumericDate, whole or not (RFC 7519, section 2). -1: it is none; `absent` when there is none. */
static double read_date(const json_t *claims, const char *name, double absent)
{
    const json_t *value = json_object_get(claims, name);
    if (value == NULL)
        return absent;
    double date = json_is_number(value) ? json_number_value(value) : -1;
    return date >= 0 && date <= (double)MAX_DATE ? date : -1;
}

static struct auth_verdict refuse(enum auth_refusal refusal, const char *why)
{
    return (struct auth_verdict){refusal, why, NULL};
}

static struct auth_verdict check_times(const json_t *claims, const struct auth_policy *policy,
                                       int64_t now, struct principal *principal)
{
    double expires = read_date(claims, "exp", (double)MAX_DATE + 1);
    double not_before = read_date(claims, "nbf", 0), issued = read_date(claims, "iat", 0);
    double leeway = (double)policy->leeway_s;
    if (expires < 0 || not_before < 0 || issued < 0)
        return refuse(AUTH_INVALID, "exp, nbf or iat is no date");
    if (expires + leeway <= (double)now)
        return refuse(AUTH_EXPIRED, "the token has expired");
    if (not_before > (double)now + leeway)
        return refuse(AUTH_INVALID, "the token is not valid yet");
    if (issued > (double)now + leeway)
        return refuse(AUTH_INVALID, "the token comes from the future");
    principal->expires_at = expires <= (double)MAX_DATE ? (int64_t)expires : 0;
    principal->issued_at = (int64_t)issued;
    return refuse(AUTH_OK, NULL);
}

static bool is_wanted(const struct auth_policy *policy, const json_t *audience)
{
    const char *text = json_string_value(audience);
    for (size_t i = 0; text != NULL && i < policy->audience.count; i++) {
        if (strcmp(text, policy->audience.items[i]) == 0)
            return true;
    }
    return false;
}

static struct auth_verdict check_parties(const json_t *claims, const struct auth_policy *policy)
{
    const json_t *issuer = json_object_get(claims, "iss"),
                 *audience = json_object_get(claims, "aud");
    bool wanted = policy->audience.count == 0 || is_wanted(policy, audience);
    if (issuer != NULL && !json_is_string(issuer))
        return refuse(AUTH_INVALID, "iss is no text");
    if (policy->issuer != NULL &&
        (issuer == NULL || strcmp(json_string_value(issuer), policy->issuer) != 0))
        return refuse(AUTH_INVALID, "the token is somebody else's: wrong issuer");
    if (audience != NULL && !json_is_string(audience) && !json_is_array(audience))
        return refuse(AUTH_INVALID, "aud is neither text nor a list");
    for (size_t i = 0; i < json_array_size(audience); i++) {
        if (!json_is_string(json_array_get(audience, i)))
            return refuse(AUTH_INVALID, "aud lists what is no text");
        wanted = wanted || is_wanted(policy, json_array_get(audience, i));
    }
    return wanted ? refuse(AUTH_OK, NULL)
                  : refuse(AUTH_INVALID, "the token is for somebody else: wrong audience");
}

struct auth_verdict auth_token_judge(const struct auth_token *token,
                                     const struct auth_policy *policy, int64_t now)
{
    const char *why = NULL;
    struct principal times = {0};
    json_t *claims = decode_object(token->payload, &why);
    if (claims == NULL)
        return refuse(why == auth_token_no_memory ? AUTH_UNAVAILABLE : AUTH_INVALID, why);
    struct auth_verdict verdict = check_times(claims, policy, now, &times);
    if (verdict.refusal == AUTH_OK)
        verdict = check_parties(claims, policy);
    if (verdict.refusal == AUTH_OK)
        verdict = auth_claims_read(claims, policy, &times);
    json_decref(claims);
    return verdict;
}
