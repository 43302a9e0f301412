/*
 * Group commit, on the writer's thread: whatever waits, at most STORE_BATCH jobs, runs in one transaction, each job in a savepoint of its own; then
 * one COMMIT, which syncs once for all of them; then everybody is told. While the disk works on one COMMIT the next batch gathers by itself, so
 * nothing is delayed on purpose.
 *
 * Invariant: a job's result is STORE_OK only when the COMMIT that holds it has returned success. An error that ends the whole transaction (disk full, I/O,
 * memory) fails every job of the batch that was not refused already.
 *
 * After an error that a new connection may not have, the next batch opens one. It never makes a file: a database that vanished under a running server
 * stays unavailable, because an empty one in its place would be a lie.
 */
#include "observe/log.h"
#include "observe/metrics.h"
#include "store/store_internal.h"
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_in_transaction(const struct store_tx *tx)
{
    return tx->db != NULL && sqlite3_get_autocommit(tx->db) == 0;
}

/* Ends the job's savepoint; false when the transaction as a whole is lost. */
static bool run_job(struct store_tx *tx, struct store_job *job)
{
    store_tx_begin(tx);
    int code = store_step(tx->savepoint);
    bool is_good = code == SQLITE_OK ? job->fn(tx, job->data) && tx->error == SQLITE_OK
                                     : store_fail(tx, code, "SAVEPOINT");
    store_tx_end(tx);
    if (!is_in_transaction(tx)) {
        /* SQLite has rolled everything back, or the job has meddled with transactions. */
        if (tx->error == SQLITE_OK)
            store_fail(tx, SQLITE_ABORT, "a job ended the transaction");
        return false;
    }
    job->result = is_good
                      ? STORE_OK
                      : (tx->error == SQLITE_OK ? STORE_ABORTED : store_result_of(tx, tx->error));
    if (is_good && (code = store_step(tx->release)) == SQLITE_OK)
        return true;
    if (is_good) /* foreign keys that are checked late, say */
        job->result = store_result_of(tx, code);
    /* ROLLBACK TO keeps the savepoint itself open. */
    if (store_step(tx->rollback_to) == SQLITE_OK && store_step(tx->release) == SQLITE_OK)
        return true;
    tx->error = SQLITE_OK;
    store_fail(tx, sqlite3_extended_errcode(tx->db), "ROLLBACK TO");
    return false;
}

static void fail_all(struct store_job *jobs, enum store_result result)
{
    for (struct store_job *job = jobs; job != NULL; job = job->next)
        if (job->result == STORE_OK)
            job->result = result;
}

/* What the jobs that were lost with the transaction get to hear: never "aborted", which would be about them. */
static enum store_result lost(const struct store_tx *tx)
{
    return store_result_of(tx, tx->error) == STORE_BUSY ? STORE_BUSY : STORE_UNAVAILABLE;
}

void store_writer_run(struct store_tx *tx, struct store_job *jobs)
{
    bool is_well = true; /* so far no job has met an error of the disk */
    for (struct store_job *job = jobs; job != NULL; job = job->next)
        job->result = STORE_OK;
    if (!store_begin(tx)) {
        fail_all(jobs, lost(tx));
        return;
    }
    int64_t changes = sqlite3_total_changes64(tx->db);
    for (struct store_job *job = jobs; job != NULL; job = job->next) {
        if (!run_job(tx, job)) {
            fail_all(jobs, lost(tx));
            if (is_in_transaction(tx))
                store_step(tx->rollback);
            return;
        }
        is_well = is_well && job->result != STORE_UNAVAILABLE && job->result != STORE_BUSY;
    }
    tx->error = SQLITE_OK;
    bool has_written = sqlite3_total_changes64(tx->db) != changes;
    int code = store_step(tx->commit);
    if (code != SQLITE_OK) {
        store_fail(tx, code, "COMMIT");
        if (is_in_transaction(tx))
            store_step(tx->rollback);
        fail_all(jobs, lost(tx));
    } else if (is_well && has_written) { /* what wrote nothing proves nothing */
        store_mark(tx, false);
    }
}

void store_writer_probe(struct store_tx *tx)
{
    char sql[64];
    if (!store_begin(tx))
        return;
    /* A number in the file's header that nobody uses: to be changed, or nothing would be written. */
    store_query(tx, "PRAGMA user_version");
    int64_t version = store_next(tx) ? store_integer(tx, 0) : 0;
    store_tx_end(tx);
    sqlite3_snprintf(sizeof sql, sql, "PRAGMA user_version=%d", version == 0 ? 1 : 0);
    bool is_good = tx->error == SQLITE_OK && store_run_sql(tx, sql);
    int code = is_good ? store_step(tx->commit) : SQLITE_OK;
    if (code != SQLITE_OK)
        store_fail(tx, code, "COMMIT");
    else if (is_good)
        store_mark(tx, false);
    if (is_in_transaction(tx))
        store_step(tx->rollback);
}

static void run_batch(struct store *store, struct store_jobs *jobs)
{
    uint64_t started_ns = now_ns();
    store_writer_run(&store->writer, jobs->first);
    uint64_t taken_ns = now_ns() - started_ns;
    atomic_fetch_add(&store->commits_total, 1);
    atomic_fetch_add(&store->commit_ns_total, taken_ns);
    atomic_store(&store->last_commit_ns, taken_ns);
    if (store->commit_seconds != NULL)
        series_observe(store->commit_seconds, (double)taken_ns / 1e9);
    store_answer(store, jobs);
}

void *store_writer_main(void *data)
{
    struct store *store = data;
    struct store_jobs jobs;
    while (store_queue_take(store, &store->writes, STORE_BATCH,
                            store->writer.is_down ? STORE_PROBE_MS : 0, &jobs)) {
        if (jobs.first != NULL)
            run_batch(store, &jobs);
        else
            store_writer_probe(&store->writer);
    }
    return NULL;
}
