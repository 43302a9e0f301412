/*
 * Keys from outside: JWK sets and, behind a first byte of 'P', PEM files. Whatever they hold, a key that is taken is bound to algorithms of one kind, is
 * strong enough, and takes no signature of zeros.
 */
#include <stdlib.h>
#include "auth/auth_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void try_keys(const struct auth_keys *keys)
{
    static const char zeros[1024];
    static const size_t sizes[AUTH_ALGORITHMS] = {32,  48,  64,  256, 256, 256,
                                                  256, 256, 256, 64,  96,  132};
    CHECK((auth_keys_algorithms(keys) & AUTH_SECRET_ALGORITHMS) == 0);
    for (unsigned i = 0; i < AUTH_ALGORITHMS; i++)
        CHECK(!auth_keys_verify(keys, (enum auth_algorithm)i, NULL, cvn_str("message"),
                                (cvn_slice){zeros, sizes[i]}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_keys *keys = auth_keys_new();
    unsigned skipped = 0;
    const char *why;
    CHECK(keys != NULL);
    if (size > 0 && data[0] == 'P')
        why = auth_keys_add_pem(keys, (cvn_slice){(const char *)data + 1, size - 1});
    else
        why = auth_keys_add_jwks(keys, (cvn_slice){(const char *)data, size}, &skipped);
    CHECK(auth_keys_count(keys) <= AUTH_MAX_KEYS);
    CHECK(why == NULL || auth_keys_count(keys) == 0);
    try_keys(keys);
    auth_keys_unref(keys);
    return 0;
}
