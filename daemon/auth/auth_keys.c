/*
 * Sets of keys: made by one thread, then read by any; the last reference frees. Each key carries the set of algorithms that it may be used
 * with. RFC 7517 (JWK), RFC 7518 section 6 (their parameters).
 */
#include "auth/auth_keys.h"
#include "auth/auth_jwk.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdlib.h>

struct auth_keys {
    atomic_uint references;
    size_t count;
    struct auth_key items[AUTH_MAX_KEYS];
};

struct auth_keys *auth_keys_new(void)
{
    struct auth_keys *keys = calloc(1, sizeof *keys);
    if (keys != NULL)
        atomic_init(&keys->references, 1);
    return keys;
}

struct auth_keys *auth_keys_ref(struct auth_keys *keys)
{
    atomic_fetch_add_explicit(&keys->references, 1, memory_order_relaxed);
    return keys;
}

static void release_key(struct auth_key *key)
{
    free(key->kid);
    EVP_PKEY_free(key->key);
    if (key->secret != NULL)
        OPENSSL_cleanse(key->secret, key->secret_size);
    free(key->secret);
}

void auth_keys_unref(struct auth_keys *keys)
{
    if (keys == NULL || atomic_fetch_sub_explicit(&keys->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < keys->count; i++)
        release_key(&keys->items[i]);
    free(keys);
}

const char *auth_keys_add_secret(struct auth_keys *keys, cvn_slice secret)
{
    if (secret.size < AUTH_MIN_SECRET)
        return "a secret of less than 32 bytes can be guessed (RFC 7518, section 3.2)";
    if (keys->count == AUTH_MAX_KEYS)
        return "too many keys";
    struct auth_key key = {.algorithms = AUTH_BIT(AUTH_HS256), .secret_size = secret.size};
    if (secret.size >= 48)
        key.algorithms |= AUTH_BIT(AUTH_HS384);
    if (secret.size >= 64)
        key.algorithms |= AUTH_BIT(AUTH_HS512);
    key.secret = malloc(secret.size);
    if (key.secret == NULL)
        return "out of memory";
    memcpy(key.secret, secret.data, secret.size);
    keys->items[keys->count++] = key;
    return NULL;
}

/* Takes the reference to `pkey`, whatever comes of it. */
static const char *add_public(struct auth_keys *keys, EVP_PKEY *pkey)
{
    struct auth_key key = {.key = pkey};
    const char *why = NULL;
    if (keys->count == AUTH_MAX_KEYS)
        why = "too many keys";
    else
        why = auth_jwk_judge(pkey, &key.algorithms);
    if (why == NULL)
        keys->items[keys->count++] = key;
    else
        EVP_PKEY_free(pkey);
    return why;
}

static EVP_PKEY *key_of_certificate(const uint8_t *der, long size)
{
    X509 *certificate = d2i_X509(NULL, &der, size);
    EVP_PKEY *key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

static const char *add_block(struct auth_keys *keys, const char *name, const uint8_t *der,
                             long size, bool *certificate_taken)
{
    EVP_PKEY *key = NULL;
    if (strstr(name, "PRIVATE KEY") != NULL)
        return "it holds a private key: give the server the public one only";
    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        key = d2i_PUBKEY(NULL, &der, size);
    else if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0)
        key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &der, size);
    else if (strcmp(name, PEM_STRING_X509) != 0 && strcmp(name, PEM_STRING_X509_TRUSTED) != 0)
        return NULL; /* parameters and the like */
    else if (*certificate_taken)
        return NULL;
    else
        key = key_of_certificate(der, size);
    *certificate_taken = *certificate_taken || strstr(name, "CERTIFICATE") != NULL;
    return key != NULL ? add_public(keys, key) : "a key in it cannot be read";
}

const char *auth_keys_add_pem(struct auth_keys *keys, cvn_slice pem)
{
    const char *why = NULL;
    char *name, *header;
    uint8_t *der;
    long size;
    bool certificate_taken = false;
    size_t before = keys->count;
    BIO *bio = pem.size <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;

    if (bio == NULL)
        return "out of memory";
    while (why == NULL && PEM_read_bio(bio, &name, &header, &der, &size) == 1) {
        why = add_block(keys, name, der, size, &certificate_taken);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)size);
    }
    if (why == NULL && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        why = "it is no sound PEM file";
    if (why == NULL && keys->count == before)
        why = "there is no public key or certificate in it";
    while (why != NULL && keys->count > before)
        release_key(&keys->items[--keys->count]);
    BIO_free(bio);
    ERR_clear_error();
    return why;
}

const char *auth_keys_add_jwks(struct auth_keys *keys, cvn_slice document, unsigned *ret_skipped)
{
    struct auth_key parsed[AUTH_MAX_KEYS];
    size_t count = 0;
    const char *why =
        auth_jwk_parse_set(document, parsed, AUTH_MAX_KEYS - keys->count, &count, ret_skipped);
    memcpy(keys->items + keys->count, parsed, count * sizeof *parsed);
    keys->count += count;
    return why;
}

size_t auth_keys_count(const struct auth_keys *keys)
{
    return keys->count;
}

unsigned auth_keys_algorithms(const struct auth_keys *keys)
{
    unsigned algorithms = 0;
    for (size_t i = 0; i < keys->count; i++)
        algorithms |= keys->items[i].algorithms;
    return algorithms;
}

bool auth_keys_have_kid(const struct auth_keys *keys, const char *kid)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->items[i].kid != NULL && strcmp(keys->items[i].kid, kid) == 0)
            return true;
    }
    return false;
}

bool auth_keys_verify(const struct auth_keys *keys, enum auth_algorithm algorithm, const char *kid,
                      cvn_slice message, cvn_slice signature)
{
    unsigned trials = 0;
    for (size_t i = 0; i < keys->count && trials < AUTH_MAX_KEY_TRIALS; i++) {
        const struct auth_key *key = &keys->items[i];
        if ((key->algorithms & AUTH_BIT(algorithm)) == 0)
            continue;
        if (kid != NULL && key->kid != NULL && strcmp(kid, key->kid) != 0)
            continue;
        trials++;
        if (key->key != NULL
                ? auth_signature_fits_key(algorithm, key->key, message, signature)
                : auth_signature_fits_secret(algorithm, (cvn_slice){key->secret, key->secret_size},
                                             message, signature))
            return true;
    }
    return false;
}
