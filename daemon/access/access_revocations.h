/*
 * Revocations that outlast a restart: each takes effect in auth at once, then is written to the store; at the start all of them are read back into auth.
 * Disconnecting the sockets concerned is the caller's.
 */
#ifndef ACCESS_REVOCATIONS_H
#define ACCESS_REVOCATIONS_H

#include "auth/auth.h"
#include "store/store.h"

struct access_revocations;

/* Brings the table along and reads it. Main thread, before store_start and before anything is verified. NULL: said to the log. */
struct access_revocations *access_revocations_new(struct store *store, struct auth *auth);
/* After store_close. NULL is accepted. */
void access_revocations_free(struct access_revocations *revocations);

/* STORE_OK: it will outlast a restart. Otherwise it holds as long as the process. On the worker that asked, else on the store's thread. */
typedef void (*access_revocation_fn)(enum store_result result, void *data);
/* No token of the user that was issued up to `issued_until` (Unix seconds) is good any more; the later moment wins. `by` is who wants it (NULL: unknown), `now`
 * Unix seconds. False: nothing was done and `fn` is not called (memory, too many, or a name that is none). Any thread. */
bool access_revocations_user(struct access_revocations *revocations, const char *user_id,
                             int64_t issued_until, const char *by, int64_t now,
                             access_revocation_fn fn, void *data);
/* Nor the token with that id, which expires by itself at `expires_at` (0: never). */
bool access_revocations_token(struct access_revocations *revocations, const char *jti,
                              int64_t expires_at, const char *by, int64_t now,
                              access_revocation_fn fn, void *data);
/* Forgets tokens that have expired: auth does, and the store a day later. Now and then; any thread. */
void access_revocations_sweep(struct access_revocations *revocations, int64_t now);

#endif
