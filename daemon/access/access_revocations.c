/*
 * The table of revocations. It never holds more than auth does, which is bounded: what auth refuses is not written. A user's revocation stays for ever,
 * since nobody knows how long their tokens live; a token's goes when the token expires. Any thread.
 */
#include "access/access_revocations.h"
#include "observe/log.h"
#include <stdlib.h>
#include <string.h>

#define MAX_ID     512 /* bytes of a token's id, or of who wants it */
#define SWEEP_ROWS 1000
/* The store keeps them so much longer: tokens are good for a while after they expire (auth.leeway), and a clock may be set back. */
#define MARGIN_S 86400

static const struct store_migration migrations[] = {
    {"revocations", 1,
     "CREATE TABLE revoked_users (user_id TEXT PRIMARY KEY, issued_until INTEGER NOT NULL,"
     " revoked_by TEXT, revoked_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
     "CREATE TABLE revoked_tokens (jti TEXT PRIMARY KEY, expires_at INTEGER NOT NULL,"
     " revoked_by TEXT, revoked_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
     "CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at)"},
};

struct access_revocations {
    struct store *store;
    struct auth *auth;
};

/* --- The start --- */

struct load {
    struct auth *auth;
    bool is_full;
};

/* A name of the table as C has them; false when it has none of that form, which nobody could have put there. */
static bool take_name(struct store_tx *tx, char ret[MAX_ID + 1])
{
    cvn_slice name = store_text(tx, 0);
    if (name.size == 0 || name.size > MAX_ID || memchr(name.data, '\0', name.size) != NULL)
        return false;
    memcpy(ret, name.data, name.size);
    ret[name.size] = '\0';
    return true;
}

static bool load_all(struct store_tx *tx, void *job)
{
    struct load *load = job;
    char name[MAX_ID + 1];
    if (!store_query(tx, "SELECT user_id, issued_until FROM revoked_users"))
        return false;
    while (store_next(tx))
        if (take_name(tx, name) && !auth_revoke_user(load->auth, name, store_integer(tx, 1)))
            load->is_full = true;
    if (!store_query(tx, "SELECT jti, expires_at FROM revoked_tokens"))
        return false;
    while (store_next(tx))
        if (take_name(tx, name) && !auth_revoke_token(load->auth, name, store_integer(tx, 1)))
            load->is_full = true;
    return !store_has_failed(tx);
}

struct access_revocations *access_revocations_new(struct store *store, struct auth *auth)
{
    struct load load = {.auth = auth};
    struct access_revocations *revocations = calloc(1, sizeof *revocations);
    if (revocations == NULL)
        return NULL;
    *revocations = (struct access_revocations){store, auth};
    bool is_read = store_migrate(store, migrations, sizeof migrations / sizeof *migrations) &&
                   store_run(store, load_all, &load) == STORE_OK;
    if (is_read && !load.is_full)
        return revocations;
    /* Whoever was revoked would come in again: better not to start. */
    log_entry(LOG_ERROR, "the revocations cannot be read",
              LOG_TEXT("why", load.is_full ? "there are too many" : "the store"), LOG_END);
    free(revocations);
    return NULL;
}

void access_revocations_free(struct access_revocations *revocations)
{
    free(revocations);
}

/* --- Revoking --- */

struct revocation {
    const char *sql;
    int64_t time, now;
    access_revocation_fn fn;
    void *data;
    char *by; /* behind `name`; NULL: unknown */
    char name[];
};

static struct revocation *revocation_new(const char *name, const char *by)
{
    size_t name_size = strnlen(name, MAX_ID + 1);
    size_t by_size = by != NULL ? strnlen(by, MAX_ID) : 0;
    if (name_size == 0 || name_size > MAX_ID)
        return NULL;
    struct revocation *revocation = calloc(1, sizeof *revocation + name_size + by_size + 2);
    if (revocation == NULL)
        return NULL;
    memcpy(revocation->name, name, name_size);
    if (by != NULL) {
        revocation->by = revocation->name + name_size + 1;
        memcpy(revocation->by, by, by_size);
    }
    return revocation;
}

static bool insert(struct store_tx *tx, void *job)
{
    const struct revocation *revocation = job;
    store_bind_text(tx, 1, cvn_str(revocation->name));
    store_bind_integer(tx, 2, revocation->time);
    if (revocation->by != NULL)
        store_bind_text(tx, 3, cvn_str(revocation->by));
    else
        store_bind_null(tx, 3);
    store_bind_integer(tx, 4, revocation->now);
    return store_exec(tx, revocation->sql, NULL);
}

static void on_inserted(enum store_result result, void *job)
{
    struct revocation *revocation = job;
    revocation->fn(result, revocation->data);
    free(revocation);
}

/* In effect in auth already: whatever the store says, it holds for now. */
static bool keep(struct access_revocations *revocations, struct revocation *revocation)
{
    if (!store_write(revocations->store, insert, on_inserted, revocation))
        on_inserted(STORE_BUSY, revocation);
    return true;
}

bool access_revocations_user(struct access_revocations *revocations, const char *user_id,
                             int64_t issued_until, const char *by, int64_t now,
                             access_revocation_fn fn, void *data)
{
    struct revocation *revocation = revocation_new(user_id, by);
    if (revocation == NULL || !auth_revoke_user(revocations->auth, user_id, issued_until)) {
        free(revocation);
        return false;
    }
    revocation->sql = "INSERT INTO revoked_users (user_id, issued_until, revoked_by, revoked_at)"
                      " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user_id) DO UPDATE SET"
                      " issued_until=excluded.issued_until, revoked_by=excluded.revoked_by,"
                      " revoked_at=excluded.revoked_at WHERE excluded.issued_until>issued_until";
    revocation->time = issued_until;
    revocation->now = now;
    revocation->fn = fn;
    revocation->data = data;
    return keep(revocations, revocation);
}

bool access_revocations_token(struct access_revocations *revocations, const char *jti,
                              int64_t expires_at, const char *by, int64_t now,
                              access_revocation_fn fn, void *data)
{
    struct revocation *revocation = revocation_new(jti, by);
    if (revocation == NULL || !auth_revoke_token(revocations->auth, jti, expires_at)) {
        free(revocation);
        return false;
    }
    /* 0 is later than every moment. */
    revocation->sql = "INSERT INTO revoked_tokens (jti, expires_at, revoked_by, revoked_at)"
                      " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (jti) DO UPDATE SET"
                      " expires_at=CASE WHEN excluded.expires_at=0 OR expires_at=0 THEN 0"
                      " ELSE max(excluded.expires_at, expires_at) END";
    revocation->time = expires_at;
    revocation->now = now;
    revocation->fn = fn;
    revocation->data = data;
    return keep(revocations, revocation);
}

/* --- The sweep --- */

struct sweep {
    struct store *store;
    int64_t now, deleted;
};

static bool delete_some(struct store_tx *tx, void *job)
{
    struct sweep *sweep = job;
    store_bind_integer(tx, 1, sweep->now);
    store_bind_integer(tx, 2, SWEEP_ROWS);
    return store_exec(tx,
                      "DELETE FROM revoked_tokens WHERE jti IN (SELECT jti FROM revoked_tokens"
                      " WHERE expires_at>0 AND expires_at<?1 LIMIT ?2)",
                      &sweep->deleted);
}

static void on_deleted(enum store_result result, void *job)
{
    struct sweep *sweep = job;
    if (result == STORE_OK && sweep->deleted == SWEEP_ROWS &&
        store_write_aside(sweep->store, delete_some, on_deleted, sweep))
        return;
    free(sweep);
}

void access_revocations_sweep(struct access_revocations *revocations, int64_t now)
{
    struct sweep *sweep = malloc(sizeof *sweep);
    auth_sweep(revocations->auth, now);
    if (sweep == NULL)
        return;
    *sweep = (struct sweep){.store = revocations->store, .now = now - MARGIN_S};
    if (!store_write_aside(sweep->store, delete_some, on_deleted, sweep))
        free(sweep);
}
