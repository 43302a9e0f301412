/* The development mode's tokens: HS256 with 256 random bits that never leave the process. Any thread. */
#include "auth/auth_dev.h"
#include "auth/auth_base64.h"
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

struct auth_dev {
    uint8_t secret[AUTH_MIN_SECRET];
};

struct auth_dev *auth_dev_new(void)
{
    struct auth_dev *dev = malloc(sizeof *dev);
    if (dev != NULL && RAND_bytes(dev->secret, sizeof dev->secret) != 1) {
        free(dev);
        return NULL;
    }
    return dev;
}

void auth_dev_free(struct auth_dev *dev)
{
    if (dev != NULL)
        OPENSSL_cleanse(dev->secret, sizeof dev->secret);
    free(dev);
}

cvn_slice auth_dev_secret(const struct auth_dev *dev)
{
    return dev != NULL ? (cvn_slice){(const char *)dev->secret, sizeof dev->secret}
                       : (cvn_slice){NULL, 0};
}

/* Adds `value`, of which it takes the reference, unless the claims have something there. */
static bool add(json_t *claims, const char *name, json_t *value)
{
    if (json_object_get(claims, name) == NULL)
        return json_object_set_new(claims, name, value) == 0;
    json_decref(value);
    return true;
}

static bool complete(json_t *claims, const struct auth_policy *policy, int64_t now,
                     uint32_t lifetime_s)
{
    uint8_t random[12];
    char jti[16];
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    auth_base64url_encode(random, sizeof random, jti);
    return json_is_object(claims) && add(claims, "iat", json_integer(now)) &&
           add(claims, "exp", json_integer(now + lifetime_s)) &&
           add(claims, "jti", json_stringn(jti, sizeof jti)) &&
           (policy->issuer == NULL || add(claims, "iss", json_string(policy->issuer))) &&
           (policy->audience.count == 0 ||
            add(claims, "aud", json_string(policy->audience.items[0])));
}

static char *sign(const struct auth_dev *dev, const char *payload)
{
    static const uint8_t header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    const size_t payload_size = strlen(payload);
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t mac_size;
    char *token = malloc(auth_base64url_encoded_size(sizeof header - 1) + 1 +
                         auth_base64url_encoded_size(payload_size) + 1 +
                         auth_base64url_encoded_size(sizeof mac) + 1);
    if (token == NULL)
        return NULL;
    size_t size = auth_base64url_encode(header, sizeof header - 1, token);
    token[size++] = '.';
    size += auth_base64url_encode((const uint8_t *)payload, payload_size, token + size);
    if (!auth_signature_make(AUTH_HS256, auth_dev_secret(dev), (cvn_slice){token, size}, mac,
                             &mac_size)) {
        free(token);
        return NULL;
    }
    token[size++] = '.';
    size += auth_base64url_encode(mac, mac_size, token + size);
    token[size] = '\0';
    return token;
}

char *auth_dev_issue(const struct auth_dev *dev, const struct auth_policy *policy, cvn_slice claims,
                     int64_t now, uint32_t lifetime_s)
{
    char *payload = NULL, *token = NULL;
    json_t *object = json_loadb(claims.data != NULL ? claims.data : "", claims.size,
                                JSON_REJECT_DUPLICATES, NULL);
    if (complete(object, policy, now, lifetime_s))
        payload = json_dumps(object, JSON_COMPACT);
    if (payload != NULL)
        token = sign(dev, payload);
    free(payload);
    json_decref(object);
    return token;
}
