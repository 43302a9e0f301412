/*
 * Queries, on the reader's thread, which has a connection of its own: each job sees one snapshot of what was committed, and neither waits for the writer nor
 * keeps it from writing. The connection is opened read-only, so a job that would change something is refused by SQLite itself.
 */
#include "store/store_internal.h"

void store_reader_run(struct store_tx *tx, struct store_job *job)
{
    bool is_good = store_begin(tx) && job->fn(tx, job->data) && tx->error == SQLITE_OK;
    store_tx_end(tx);
    if (is_good)
        job->result = STORE_OK;
    else
        job->result = tx->error == SQLITE_OK ? STORE_ABORTED : store_result_of(tx, tx->error);
    if (tx->db != NULL && sqlite3_get_autocommit(tx->db) == 0)
        store_step(tx->rollback); /* nothing was changed: the quicker end */
    if (job->result == STORE_OK)
        store_mark(tx, false);
}

static bool read_schema(struct store_tx *tx, void *job)
{
    (void)job;
    return store_query(tx, "SELECT count(*) FROM schema_steps") && store_next(tx);
}

void store_reader_probe(struct store_tx *tx)
{
    struct store_job job = {.fn = read_schema};
    store_reader_run(tx, &job);
}

void *store_reader_main(void *data)
{
    struct store *store = data;
    struct store_jobs jobs;
    while (store_queue_take(store, &store->reads, 1, store->reader.is_down ? STORE_PROBE_MS : 0,
                            &jobs)) {
        if (jobs.first == NULL) {
            store_reader_probe(&store->reader);
            continue;
        }
        store_reader_run(&store->reader, jobs.first);
        store_answer(store, &jobs);
    }
    return NULL;
}
