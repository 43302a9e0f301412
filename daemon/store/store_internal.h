/* What the store's files share. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "store/store.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/types.h>

#define STORE_BATCH   256  /* jobs of one COMMIT */
#define STORE_BUSY_MS 5000 /* so long another program may hold its lock */
#define STORE_PROBE_MS                                                                             \
    500 /* between two looks at a disk that has failed, when nobody asks for anything */

/* --- Jobs, from whoever asks to a store's thread and back --- */

struct store_job {
    struct store_job *next;
    store_fn fn;
    store_done_fn done;
    void *data;
    int worker; /* that asked; -1: another thread */
    enum store_result result;
};

struct store_jobs {
    struct store_job *first, *last;
};

void store_jobs_push(struct store_jobs *jobs, struct store_job *job);
struct store_job *store_jobs_pop(struct store_jobs *jobs); /* NULL: none */

struct store_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct store_jobs jobs;
    size_t count;
    bool stopping; /* no more than what waits and what that leads to */
    bool closed;   /* nothing is taken any more */
};

/* What has been done for one worker and not been told to it. */
struct store_outbox {
    struct store *store;
    unsigned worker;
    pthread_mutex_t lock;
    struct store_jobs jobs;
    bool is_posted; /* on its way to the worker */
};

bool store_queue_init(struct store_queue *queue);
void store_queue_release(struct store_queue *queue);
bool store_queue_push(struct store_queue *queue, struct store_job *job);
/* Waits for jobs and takes up to `most`. None of them after `idle_ms` (0: never) without one. False: it is the end. On the queue's thread, which also
 * repeats posts that failed meanwhile. */
bool store_queue_take(struct store *store, struct store_queue *queue, size_t most, uint32_t idle_ms,
                      struct store_jobs *ret);
void store_queue_stop(struct store_queue *queue);
/* Closes the queue of a thread that has ended, or never ran, and answers what is left in it. */
void store_queue_abandon(struct store *store, struct store_queue *queue);

/* Tells whoever asked, now or on their worker. */
void store_answer(struct store *store, struct store_jobs *jobs);
/* Calls `done` of whatever was not told. */
void store_outbox_finish(struct store_outbox *outbox);

/* --- A connection, and the transaction on it --- */

struct store_statement {
    struct store_statement *next; /* in its bucket */
    sqlite3_stmt *stmt;
    uint64_t hash;
};

#define STORE_BUCKETS        256
#define STORE_MAX_STATEMENTS 512 /* kept; beyond, all are thrown away */

struct store_value {
    enum { STORE_UNBOUND, STORE_NULL, STORE_INTEGER, STORE_TEXT, STORE_BLOB } type;
    int64_t integer;
    size_t offset, size; /* in bound_bytes */
};

struct store_tx {
    struct store *store;
    bool is_reader;
    sqlite3 *db;    /* NULL: to be opened again */
    bool is_broken; /* the connection, by an error that a new one may not have */
    bool is_down;   /* the log was told */
    dev_t device;   /* of the file that is open */
    ino_t inode;

    struct store_statement *statements[STORE_BUCKETS];
    size_t statement_count;
    sqlite3_stmt *query; /* the one that store_next steps */
    bool has_row;
    sqlite3_stmt *begin, *savepoint, *release, *rollback_to, *commit, *rollback;

    struct store_value values[STORE_MAX_BINDS + 1];
    unsigned highest; /* index that is bound */
    char *bound_bytes;
    size_t bound_size, bound_capacity;

    int error; /* SQLite's code of the first failure of this transaction; SQLITE_OK */
};

/* store_sqlite.c */
bool store_connect(struct store_tx *tx, bool may_create); /* said to the log when it fails */
void store_disconnect(struct store_tx *tx);
enum store_result store_result_of(const struct store_tx *tx, int code);
/* Remembers the first failure; `what` is what was tried, for the log. Returns false. */
bool store_fail(struct store_tx *tx, int code, const char *what);
/* Begins a transaction, on a new connection when the one before is broken. */
bool store_begin(struct store_tx *tx);
int store_step(sqlite3_stmt *stmt); /* one without rows; SQLITE_OK when it is done */
/* Statements that stand alone, before the threads start; errors go to the log. */
bool store_run_sql(struct store_tx *tx, const char *sql);
void store_mark(struct store_tx *tx, bool is_down);

/* store_tx.c */
void store_tx_begin(struct store_tx *tx); /* forgets failures and values of the one before */
void store_tx_end(struct store_tx *tx);   /* closes the query */
void store_tx_forget_statements(struct store_tx *tx);
void store_tx_release(struct store_tx *tx);

/* store_writer.c, store_reader.c */
void *store_writer_main(void *data);
/* Whether it works again, by doing what the jobs do. */
void store_writer_probe(struct store_tx *tx);
void store_writer_run(struct store_tx *tx, struct store_job *jobs);
void store_reader_probe(struct store_tx *tx);
void *store_reader_main(void *data);
void store_reader_run(struct store_tx *tx, struct store_job *job);

struct series;

struct store {
    char *path;
    int lock_fd; /* on STORE_FILE ".lock"; -1: read-only */
    cvn_server *server;
    struct store_tx writer, reader;
    struct store_queue writes, reads;
    struct store_outbox *outboxes; /* one a worker */
    unsigned worker_count;
    atomic_bool has_unposted; /* some outbox could not be posted: to be tried again */
    bool has_writer, has_reader;
    pthread_t writer_thread, reader_thread;
    struct series *commit_seconds; /* NULL: not observed */

    atomic_uint_fast64_t jobs_total, failed_total, refused_total, commits_total, commit_ns_total,
        last_commit_ns;
    atomic_bool writer_down, reader_down;
    atomic_size_t waiting;
};

#endif
