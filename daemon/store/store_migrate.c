/*
 * The schema's steps: each is applied once, in a transaction with its row in schema_steps. The row keeps the SHA-256 of the step's text, so that a step
 * that was changed after it had been applied, or a database that a newer convened has made, is an error at the start and not a surprise later.
 * Main thread, before the store starts.
 */
#include "observe/log.h"
#include "store/store_internal.h"
#include <openssl/evp.h>
#include <string.h>
#include <time.h>

#define DIGEST_SIZE 32

static bool complain(const struct store_migration *step, const char *why)
{
    log_entry(LOG_ERROR, why, LOG_TEXT("module", step->module),
              LOG_NUMBER("version", step->version), LOG_END);
    return false;
}

static bool digest_of(const char *sql, unsigned char ret[DIGEST_SIZE])
{
    unsigned size = 0;
    return EVP_Digest(sql, strlen(sql), ret, &size, EVP_sha256(), NULL) == 1 && size == DIGEST_SIZE;
}

enum state { STATE_FAILED, STATE_APPLIED, STATE_MISSING };

static enum state look_up(struct store_tx *tx, const struct store_migration *step,
                          const unsigned char digest[DIGEST_SIZE])
{
    store_bind_text(tx, 1, cvn_str(step->module));
    store_bind_integer(tx, 2, step->version);
    if (!store_query(tx, "SELECT digest FROM schema_steps WHERE module=?1 AND version=?2"))
        return STATE_FAILED;
    if (!store_next(tx))
        return store_has_failed(tx) ? STATE_FAILED : STATE_MISSING;
    cvn_slice known = store_blob(tx, 0);
    if (known.size == DIGEST_SIZE && memcmp(known.data, digest, DIGEST_SIZE) == 0)
        return STATE_APPLIED;
    complain(step, "a step of the schema is not the one that the database was made with");
    return STATE_FAILED;
}

static unsigned last_version(struct store_tx *tx, const char *module)
{
    unsigned version = 0;
    store_bind_text(tx, 1, cvn_str(module));
    store_query(tx, "SELECT max(version) FROM schema_steps WHERE module=?1");
    if (store_next(tx))
        version = (unsigned)store_integer(tx, 0);
    return version;
}

static bool apply(struct store_tx *tx, const struct store_migration *step)
{
    unsigned char digest[DIGEST_SIZE];
    if (!digest_of(step->sql, digest))
        return complain(step, "SHA-256 is not available");
    switch (look_up(tx, step, digest)) {
    case STATE_FAILED:
        return false;
    case STATE_APPLIED:
        return true;
    case STATE_MISSING:
        break;
    }
    if (last_version(tx, step->module) + 1 != step->version)
        return complain(step, "a step of the schema is out of order");
    store_tx_end(tx);
    if (!store_run_sql(tx, step->sql))
        return complain(step, "a step of the schema cannot be applied");
    store_bind_text(tx, 1, cvn_str(step->module));
    store_bind_integer(tx, 2, step->version);
    store_bind_blob(tx, 3, (cvn_slice){(const char *)digest, sizeof digest});
    store_bind_integer(tx, 4, (int64_t)time(NULL));
    return store_exec(tx,
                      "INSERT INTO schema_steps (module, version, digest, applied_at)"
                      " VALUES (?1, ?2, ?3, ?4)",
                      NULL);
}

/* The database must not know more of the module than the list does. */
static bool is_not_newer(struct store_tx *tx, const struct store_migration *steps, size_t count,
                         size_t index)
{
    for (size_t i = index + 1; i < count; i++)
        if (strcmp(steps[i].module, steps[index].module) == 0)
            return true; /* not the module's last */
    return last_version(tx, steps[index].module) <= steps[index].version ||
           complain(&steps[index], "the database was made by a newer convened");
}

struct list {
    const struct store_migration *steps;
    size_t count;
};

static bool migrate(struct store_tx *tx, void *job)
{
    const struct list *list = job;
    if (!store_exec(tx,
                    "CREATE TABLE IF NOT EXISTS schema_steps (module TEXT NOT NULL, version INTEGER"
                    " NOT NULL, digest BLOB NOT NULL, applied_at INTEGER NOT NULL,"
                    " PRIMARY KEY (module, version)) WITHOUT ROWID",
                    NULL))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (!apply(tx, &list->steps[i]) || !is_not_newer(tx, list->steps, list->count, i))
            return false;
    return !store_has_failed(tx);
}

bool store_migrate(struct store *store, const struct store_migration *migrations, size_t count)
{
    struct list list = {migrations, count};
    return store_run(store, migrate, &list) == STORE_OK;
}
