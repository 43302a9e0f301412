/*
 * The store: transactions on one writer thread, queries on one reader thread, both off the workers. SQLite in the data directory now;
 * PostgreSQL will stand behind the same functions, so what is said here is what holds for both.
 *
 * A transaction is a function that runs its statements one after the other. Those that wait are committed together (group commit): each in a savepoint
 * of its own, so one that fails takes nothing else with it. `done` runs after the COMMIT, never before, on the worker that asked (another thread that
 * asked: on the store's thread).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <convene/convene.h>

struct store;
struct store_tx; /* a transaction that runs; valid inside of store_fn only */

enum store_result {
    STORE_OK,
    STORE_ABORTED,     /* store_fn said no: nothing was changed */
    STORE_BUSY,        /* too much waits already: nothing was done, try later */
    STORE_UNAVAILABLE, /* the database cannot be written or read; nothing was changed */
};

/* One step of the schema; each module has a list, applied in order, once, whose numbers the database remembers by `module`. */
struct store_migration {
    const char *module;
    unsigned version; /* 1, 2, ... */
    const char *sql;
};

struct store *store_open(const char *data_dir); /* NULL: said to the log */
bool store_migrate(struct store *store, const struct store_migration *migrations,
                   size_t count);                          /* main thread, before store_start */
bool store_start(struct store *store, cvn_server *server); /* starts the threads */
/* Ends after everything that was handed over is committed and answered. NULL is accepted. */
void store_close(struct store *store);

/* Returns false to roll back. On the store's thread; must not block on anything else. */
typedef bool (*store_fn)(struct store_tx *tx, void *job);
typedef void (*store_done_fn)(enum store_result result, void *job);
/* `job` is the caller's until `done` was called, which happens exactly once; unless they return false (queue full or memory), then never. Any thread. */
bool store_write(struct store *store, store_fn fn, store_done_fn done, void *job);
bool store_read(struct store *store, store_fn fn, store_done_fn done,
                void *job); /* sees what was committed; must not change anything */

/* --- Inside of a store_fn. After a failure all further ones fail, too, and the transaction is rolled back. --- */

/* Runs a statement (kept prepared by its text: use literals); values are ?1, ?2, ... as bound before. */
void store_bind_text(struct store_tx *tx, unsigned index, cvn_slice text); /* copied */
void store_bind_blob(struct store_tx *tx, unsigned index, cvn_slice bytes);
void store_bind_integer(struct store_tx *tx, unsigned index, int64_t value);
void store_bind_null(struct store_tx *tx, unsigned index);
bool store_exec(struct store_tx *tx, const char *sql,
                int64_t *ret_changes);                  /* ret_changes may be NULL */
bool store_query(struct store_tx *tx, const char *sql); /* then store_next until false */
bool store_next(struct store_tx *tx);
cvn_slice store_text(struct store_tx *tx, unsigned column); /* valid until the next store_next */
cvn_slice store_blob(struct store_tx *tx, unsigned column);
int64_t store_integer(struct store_tx *tx, unsigned column);
bool store_is_null(struct store_tx *tx, unsigned column);

/* Numbers for metrics: waiting jobs, seconds of the last commit, ... */
struct store_stats {
    uint64_t jobs_total, failed_total, commits_total;
    size_t waiting;
};
void store_get_stats(const struct store *store, struct store_stats *ret);

#endif
