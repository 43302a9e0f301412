/*
 * A store's life: opened and migrated on the main thread, then two threads, then the end, which leaves nothing unanswered.
 *
 * The file is locked for as long as the store is open (flock on a file beside it), because a second daemon on the same database would be right about each
 * single transaction and wrong about everything that is kept in memory. Read-only stores, of commands, take no lock.
 */
#include "observe/log.h"
#include "observe/metrics.h"
#include "store/store_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MAX_WORKERS 128 /* of cvn_options */

static char *path_of(const char *data_dir)
{
    size_t size = strlen(data_dir) + sizeof "/" STORE_FILE;
    char *path = malloc(size);
    if (path != NULL)
        snprintf(path, size, "%s/" STORE_FILE, data_dir);
    return path;
}

static struct store *store_new(const char *data_dir)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return NULL;
    store->path = path_of(data_dir);
    if (store->path == NULL || !store_queue_init(&store->writes))
        goto fail;
    if (!store_queue_init(&store->reads)) {
        store_queue_release(&store->writes);
        goto fail;
    }
    store->lock_fd = -1;
    store->writer.store = store->reader.store = store;
    store->reader.is_reader = true;
    return store;
fail:
    free(store->path);
    free(store);
    return NULL;
}

static void store_free(struct store *store)
{
    store_tx_release(&store->reader); /* first: the last connection tidies up, and the writer may */
    store_tx_release(&store->writer);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    for (unsigned i = 0; i < store->worker_count; i++)
        pthread_mutex_destroy(&store->outboxes[i].lock);
    free(store->outboxes);
    store_queue_release(&store->reads);
    store_queue_release(&store->writes);
    free(store->path);
    free(store);
}

static bool lock(struct store *store)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s.lock", store->path) >= (int)sizeof path) {
        log_entry(LOG_ERROR, "the database's path is too long", LOG_TEXT("path", store->path),
                  LOG_END);
        return false;
    }
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd >= 0 && flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    log_entry(LOG_ERROR,
              errno == EWOULDBLOCK ? "the database is in use by another convened"
                                   : "the database cannot be locked",
              LOG_TEXT("path", store->path), LOG_TEXT("error", strerror(errno)), LOG_END);
    return false;
}

struct store *store_open(const char *data_dir)
{
    struct store *store = store_new(data_dir);
    if (store != NULL && lock(store) && store_connect(&store->writer, true))
        return store;
    if (store == NULL)
        log_entry(LOG_ERROR, "no memory for the store", LOG_END);
    else
        store_free(store);
    return NULL;
}

struct store *store_open_readonly(const char *data_dir)
{
    struct store *store = store_new(data_dir);
    if (store != NULL && store_connect(&store->reader, false))
        return store;
    if (store == NULL)
        log_entry(LOG_ERROR, "no memory for the store", LOG_END);
    else
        store_free(store);
    return NULL;
}

enum store_result store_run(struct store *store, store_fn fn, void *job)
{
    struct store_job run = {.fn = fn, .data = job, .worker = -1};
    if (store->lock_fd < 0)
        store_reader_run(&store->reader, &run);
    else
        store_writer_run(&store->writer, &run);
    return run.result;
}

void store_observe(struct store *store, struct metrics *metrics)
{
    store->commit_seconds = metric_series(
        metrics_histogram(metrics, "convened_store_commit_seconds",
                          "Time of one group commit of the store, BEGIN to COMMIT.", NULL, NULL, 1),
        NULL, NULL, NULL);
}

static bool make_outboxes(struct store *store, cvn_server *server)
{
    unsigned count = server != NULL ? cvn_server_workers(server) : 0;
    if (count > MAX_WORKERS)
        return false;
    store->server = server;
    store->outboxes = calloc(count > 0 ? count : 1, sizeof *store->outboxes);
    if (store->outboxes == NULL)
        return false;
    for (; store->worker_count < count; store->worker_count++) {
        struct store_outbox *outbox = &store->outboxes[store->worker_count];
        outbox->store = store;
        outbox->worker = store->worker_count;
        if (pthread_mutex_init(&outbox->lock, NULL) != 0)
            return false;
    }
    return true;
}

bool store_start(struct store *store, cvn_server *server)
{
    if (!make_outboxes(store, server) || !store_connect(&store->reader, false))
        return false;
    store->has_writer = pthread_create(&store->writer_thread, NULL, store_writer_main, store) == 0;
    store->has_reader = store->has_writer &&
                        pthread_create(&store->reader_thread, NULL, store_reader_main, store) == 0;
    if (!store->has_reader)
        log_entry(LOG_ERROR, "the store's threads cannot be started", LOG_END);
    return store->has_reader; /* store_close ends the one that may run */
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    /* Readers first: what a query leads to may still be written. */
    store_queue_stop(&store->reads);
    if (store->has_reader)
        pthread_join(store->reader_thread, NULL);
    store_queue_stop(&store->writes);
    if (store->has_writer)
        pthread_join(store->writer_thread, NULL);
    /* Whoever calls `done` from here on is turned away when it asks for more. */
    store_queue_abandon(store, &store->reads);
    store_queue_abandon(store, &store->writes);
    for (unsigned i = 0; i < store->worker_count; i++)
        store_outbox_finish(&store->outboxes[i]);
    store_free(store);
}

void store_get_stats(const struct store *store, struct store_stats *ret)
{
    *ret = (struct store_stats){
        .jobs_total = atomic_load(&store->jobs_total),
        .failed_total = atomic_load(&store->failed_total),
        .refused_total = atomic_load(&store->refused_total),
        .commits_total = atomic_load(&store->commits_total),
        .commit_ns_total = atomic_load(&store->commit_ns_total),
        .last_commit_ns = atomic_load(&store->last_commit_ns),
        .waiting = atomic_load(&store->waiting),
        .is_available = !atomic_load(&store->writer_down) && !atomic_load(&store->reader_down),
    };
}
