/*
 * The store: transactions on one writer thread, queries on one reader thread, both off the workers. SQLite in the data directory now;
 * PostgreSQL will stand behind the same functions, so what is said here is what holds for both. docs/storage.md has the whole story.
 *
 * A transaction is a function that runs its statements one after the other. Those that wait are committed together (group commit): each in a savepoint
 * of its own, so one that fails takes nothing else with it. `done` runs after the COMMIT, never before, on the worker that asked (another thread that
 * asked: on the store's thread).
 *
 * The life of a store: store_open, store_migrate of every part, store_run for what has to be known at the start, store_start; then the server runs and
 * ends (cvn_server_wait), then store_close, then cvn_server_free, then whatever the jobs' `done` functions touch is freed.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <convene/convene.h>

struct metrics;
struct store;
struct store_tx; /* a transaction that runs; valid inside of store_fn only */

#define STORE_FILE        "convened.db"
#define STORE_MAX_WAITING 16384 /* jobs of one kind that wait; further ones are turned away */
#define STORE_MAX_BINDS   32    /* values of one statement: ?1 to ?32 */

enum store_result {
    STORE_OK,
    STORE_ABORTED,     /* store_fn said no, or a statement was refused: nothing was changed */
    STORE_BUSY,        /* another program keeps the database: nothing was done, try later */
    STORE_UNAVAILABLE, /* the database cannot be written or read; nothing was changed */
};

/* One step of the schema; each module has a list, applied in order, once, whose numbers the database remembers by `module`. A step that was applied once
 * must stay as it is, to the letter: what has to change is a further step. */
struct store_migration {
    const char *module;
    unsigned version; /* 1, 2, ... */
    const char *sql;
};

struct store *store_open(const char *data_dir); /* NULL: said to the log */
/* For commands beside a daemon that runs, or without one: store_run alone, which changes nothing. NULL: said to the log. */
struct store *store_open_readonly(const char *data_dir);
bool store_migrate(struct store *store, const struct store_migration *migrations,
                   size_t count); /* main thread, before store_start */
/* Starts the threads. `server` may be NULL: then everybody is answered on the store's threads. Main thread, before the server starts. */
bool store_start(struct store *store, cvn_server *server);
/* Ends after everything that was handed over is committed and answered. The server has stopped by now, and is not freed yet; what its workers did not
 * live to hear is told on this thread. NULL is accepted. */
void store_close(struct store *store);
/* The commits' times are observed as convened_store_commit_seconds from now on. Main thread, before store_start; `metrics` outlives the store. */
void store_observe(struct store *store, struct metrics *metrics);

/* Returns false to roll back. On the store's thread; must not block on anything else, nor begin or end transactions itself. */
typedef bool (*store_fn)(struct store_tx *tx, void *job);
typedef void (*store_done_fn)(enum store_result result, void *job);
/* `job` is the caller's until `done` was called, which happens exactly once; unless they return false (queue full, memory, or the store has ended),
 * then never. Any thread. */
bool store_write(struct store *store, store_fn fn, store_done_fn done, void *job);
bool store_read(struct store *store, store_fn fn, store_done_fn done,
                void *job); /* sees what was committed; must not change anything */
/* Like store_write, but `done` runs on the store's thread whoever asked, so it must be quick; for what has to go on when the worker has ended. */
bool store_write_aside(struct store *store, store_fn fn, store_done_fn done, void *job);
/* The same at once, on this thread, before store_start (or on a store that is opened read-only). */
enum store_result store_run(struct store *store, store_fn fn, void *job);

/* --- Inside of a store_fn. After a failure all further ones fail, too, and the transaction is rolled back. --- */

/* Runs a statement (kept prepared by its text: use literals); values are ?1, ?2, ... as bound before, and are forgotten by it. */
void store_bind_text(struct store_tx *tx, unsigned index, cvn_slice text); /* copied */
void store_bind_blob(struct store_tx *tx, unsigned index, cvn_slice bytes);
void store_bind_integer(struct store_tx *tx, unsigned index, int64_t value);
void store_bind_null(struct store_tx *tx, unsigned index);
bool store_exec(struct store_tx *tx, const char *sql,
                int64_t *ret_changes); /* ret_changes may be NULL */
/* Then store_next until false, which may be the end or a failure (store_has_failed). store_exec of another text may run in between; a further store_query
 * ends the one before. */
bool store_query(struct store_tx *tx, const char *sql);
bool store_next(struct store_tx *tx);
cvn_slice store_text(struct store_tx *tx, unsigned column); /* valid until the next store_next */
cvn_slice store_blob(struct store_tx *tx, unsigned column);
int64_t store_integer(struct store_tx *tx, unsigned column);
bool store_is_null(struct store_tx *tx, unsigned column);
bool store_has_failed(const struct store_tx *tx);

/* Numbers for metrics and health. Any thread. */
struct store_stats {
    uint64_t jobs_total, failed_total; /* both kinds; failed: BUSY or UNAVAILABLE */
    uint64_t refused_total;            /* not taken: the queue was full */
    uint64_t commits_total;
    uint64_t commit_ns_total, last_commit_ns; /* time in BEGIN to COMMIT */
    size_t waiting;                           /* jobs of both kinds */
    bool is_available; /* the last commit worked, and so did the last query */
};
void store_get_stats(const struct store *store, struct store_stats *ret);

#endif
