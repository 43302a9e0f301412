/*
 * Keys from a JWKS URL (RFC 7517): fetched when they are first needed, kept for auth.jwks_cache_ms, fetched again when a token names a key that
 * is not among them, but never more often than auth.jwks_cooldown_ms allows, and never twice at a time, whatever number of workers ask. A
 * fetch that fails leaves the old keys as they are.
 */
#ifndef AUTH_JWKS_H
#define AUTH_JWKS_H

#include "auth/auth.h"
#include "auth/auth_keys.h"

#define AUTH_JWKS_MAX_WAITING 1024 /* tokens, of all workers */

struct auth_jwks;

/* What to do with a token. */
enum auth_jwks_advice {
    AUTH_JWKS_USE,    /* judge it by the keys that are there */
    AUTH_JWKS_WAIT,   /* newer keys are to be had: auth_jwks_wait */
    AUTH_JWKS_FAILED, /* what does not fit these keys may fit newer ones, which cannot be had now */
};

/* Before the server starts; `outgoing` was made before. `clock` lives as long. NULL: said to the log. */
struct auth_jwks *auth_jwks_new(const struct config *config, cvn_server *server,
                                struct outgoing *outgoing, const struct auth_clock *clock);
void auth_jwks_free(struct auth_jwks *jwks); /* when the server has stopped; NULL is accepted */

/* For a token with that kid (NULL: it names none). *ret_keys gets a reference to the keys of now, unless there are none that count. Any thread. */
enum auth_jwks_advice auth_jwks_ask(struct auth_jwks *jwks, const char *kid,
                                    struct auth_keys **ret_keys);

/* Somebody who waits; embedded in what they wait with. */
struct auth_jwks_waiter {
    struct auth_jwks_waiter *next;
    uint64_t finished; /* fetches that had ended when it began to wait */
    char *kid;
    void (*fn)(struct auth_jwks_waiter *waiter);
};
/* Fetches, unless somebody does so already, and calls `fn` on this worker, once, when that has come to an end, well or not; at once if newer
 * keys have come meanwhile. False: too many wait already, or memory; `fn` is not called then. On a worker. */
bool auth_jwks_wait(struct auth_jwks *jwks, const char *kid, struct auth_jwks_waiter *waiter,
                    void (*fn)(struct auth_jwks_waiter *waiter));

/* The keys shall be fetched again before they are used. Any thread. */
void auth_jwks_expire(struct auth_jwks *jwks);

#endif
