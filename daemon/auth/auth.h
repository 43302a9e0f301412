/*
 * Tokens into principals. One struct auth a daemon: the keys, the policy, and what was revoked. Verifying may have to wait for a JWKS
 * to be fetched, so the answer comes through a callback, on the worker that asked; most often before auth_verify returns.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "auth/principal.h"
#include "config/config.h"
#include <convene/convene.h>

struct auth;
struct outgoing;

/* Why nobody comes in; the words are what clients get as `code`. */
enum auth_refusal {
    AUTH_OK,
    AUTH_REQUIRED,
    AUTH_INVALID,
    AUTH_EXPIRED,
    AUTH_FORBIDDEN,   /* a good token of someone who may not */
    AUTH_UNAVAILABLE, /* the keys cannot be had now: retryable */
};
const char *auth_refusal_code(enum auth_refusal refusal);
bool auth_refusal_is_retryable(enum auth_refusal refusal);

/* Before the server starts. `outgoing` fetches auth.jwks_url; it may be NULL when there is none. NULL: said to the log. */
struct auth *auth_new(const struct config *config, cvn_server *server, struct outgoing *outgoing);
/* When the server has stopped. NULL is accepted. */
void auth_free(struct auth *auth);
/* Takes over keys, algorithms, issuer and audience; false (and everything as before) when a key cannot be read. Main thread. */
bool auth_reconfigure(struct auth *auth, const struct config *config);

/* `principal` belongs to the callee (one reference); NULL unless AUTH_OK. `why` is for logs, never for clients. */
typedef void (*auth_fn)(enum auth_refusal refusal, struct principal *principal, const char *why,
                        void *data);
/* On a worker. Revoked users and tokens are AUTH_INVALID here already. */
void auth_verify(struct auth *auth, cvn_slice token, auth_fn fn, void *data);

/* A back end's API key: its principal has the role SERVICE and is called service/NAME. False: no such key. Any thread. */
bool auth_api_key(struct auth *auth, cvn_slice key, struct principal **ret);

/* Where a socket's (or a request's) token is looked for, in the order of the specification; an empty slice when there is none. `buffer`
 * takes one that has to be decoded; AUTH_TOKEN_BUFFER bytes are enough for any that can be good. The first place that has one counts: one that
 * cannot be a token is returned as it stands, and is then AUTH_INVALID. Valid as long as both the socket (the request) and the buffer. */
#define AUTH_TOKEN_BUFFER ((size_t)16 * 1024)
cvn_slice auth_token_of_socket(const struct auth *auth, const cvn_socket *socket, char *buffer,
                               size_t size);
cvn_slice auth_token_of_request(const struct auth *auth, const cvn_http_request *request,
                                char *buffer, size_t size);

/* Revocation: no token of that user issued up to now (no token of that id) is good any more. Any thread; the caller disconnects the
 * sockets, and keeps the revocation in the store. */
bool auth_revoke_user(struct auth *auth, const char *user_id, int64_t issued_until);
bool auth_revoke_token(struct auth *auth, const char *jti, int64_t expires_at);
bool auth_is_revoked(struct auth *auth, const struct principal *principal);
/* Forgets what has expired. Any thread. */
void auth_sweep(struct auth *auth, int64_t now);

/* With --dev only: a token for that user, signed with the random secret; `claims` is a JSON object of claims. NULL: not in development,
 * or memory. To be freed with free(). Any thread. */
char *auth_issue(struct auth *auth, cvn_slice claims, uint32_t lifetime_s);

/* For tests: other clocks than the system's. Before anything is verified. */
struct auth_clock {
    int64_t (*unix_s)(void *data);
    uint64_t (*monotonic_ms)(void *data);
    void *data;
};
void auth_set_clock(struct auth *auth, const struct auth_clock *clock);

#endif
