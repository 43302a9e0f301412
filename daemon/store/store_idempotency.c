/* Answers by (user, op_id), see the header. On the writer's thread, within other modules' transactions; the sweep has transactions of its own. */
#include "store/store_idempotency.h"
#include <stdlib.h>

#define SWEEP_ROWS 1000 /* of one transaction: others wait for it */

static const struct store_migration migrations[] = {
    {"idempotency", 1,
     "CREATE TABLE idempotency (user_id TEXT NOT NULL, op_id TEXT NOT NULL,"
     " kept_at_ms INTEGER NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (user_id, op_id)) STRICT,"
     " WITHOUT ROWID;"
     "CREATE INDEX idempotency_by_time ON idempotency (kept_at_ms)"},
};

bool store_idempotency_migrate(struct store *store)
{
    return store_migrate(store, migrations, sizeof migrations / sizeof *migrations);
}

bool store_idempotency_find(struct store_tx *tx, const char *user_id, const char *op_id,
                            int64_t now_ms, bool *ret_found, cvn_text *answer)
{
    store_bind_text(tx, 1, cvn_str(user_id));
    store_bind_text(tx, 2, cvn_str(op_id));
    store_bind_integer(tx, 3, now_ms - STORE_IDEMPOTENCY_MS);
    if (!store_query(tx, "SELECT answer FROM idempotency"
                         " WHERE user_id=?1 AND op_id=?2 AND kept_at_ms>?3"))
        return false;
    bool is_found = store_next(tx);
    if (store_has_failed(tx))
        return false;
    if (is_found) {
        cvn_text_clear(answer);
        cvn_text_append_slice(answer, store_text(tx, 0));
        if (store_has_failed(tx) || cvn_text_failed(answer))
            return false;
    }
    *ret_found = is_found;
    return true;
}

bool store_idempotency_keep(struct store_tx *tx, const char *user_id, const char *op_id,
                            int64_t now_ms, cvn_slice answer)
{
    if (strnlen(op_id, STORE_IDEMPOTENCY_MAX_OP_ID + 1) > STORE_IDEMPOTENCY_MAX_OP_ID ||
        answer.size > STORE_IDEMPOTENCY_MAX_ANSWER)
        return false;
    store_bind_text(tx, 1, cvn_str(user_id));
    store_bind_text(tx, 2, cvn_str(op_id));
    store_bind_integer(tx, 3, now_ms);
    store_bind_text(tx, 4, answer);
    /* What is in the way has expired, or find() would have found it. */
    return store_exec(tx,
                      "REPLACE INTO idempotency (user_id, op_id, kept_at_ms, answer)"
                      " VALUES (?1, ?2, ?3, ?4)",
                      NULL);
}

/* --- The sweep --- */

struct sweep {
    struct store *store;
    int64_t until_ms;
    int64_t deleted;
};

static bool delete_some(struct store_tx *tx, void *job)
{
    struct sweep *sweep = job;
    store_bind_integer(tx, 1, sweep->until_ms);
    store_bind_integer(tx, 2, SWEEP_ROWS);
    return store_exec(tx,
                      "DELETE FROM idempotency WHERE (user_id, op_id) IN (SELECT user_id, op_id"
                      " FROM idempotency WHERE kept_at_ms<=?1 LIMIT ?2)",
                      &sweep->deleted);
}

/* On the store's thread. */
static void on_deleted(enum store_result result, void *job)
{
    struct sweep *sweep = job;
    if (result == STORE_OK && sweep->deleted == SWEEP_ROWS &&
        store_write_aside(sweep->store, delete_some, on_deleted, sweep))
        return;
    free(sweep);
}

void store_idempotency_sweep(struct store *store, int64_t now_ms)
{
    struct sweep *sweep = malloc(sizeof *sweep);
    if (sweep == NULL)
        return; /* the next one does it */
    *sweep = (struct sweep){.store = store, .until_ms = now_ms - STORE_IDEMPOTENCY_MS};
    if (!store_write_aside(store, delete_some, on_deleted, sweep))
        free(sweep);
}
