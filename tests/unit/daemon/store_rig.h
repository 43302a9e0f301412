/*
 * A store in a directory of its own, jobs that say how they ended, and what the log was told. Everything waits for an event; WAIT_MS only ends a test
 * that has failed.
 */
#ifndef DAEMON_TEST_STORE_RIG_H
#define DAEMON_TEST_STORE_RIG_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "observe/log.h"
#include "store/store.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */

#define WAIT_MS 60000

/* --- The log, instead of observe/log.c --- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_lines[65536];
static size_t log_size;
static const char *log_awaited; /* NULL: nothing */
static int log_fd;              /* a byte when that has been said */

void log_entry_write(enum log_level level, const char *message, const struct log_field *fields)
{
    pthread_mutex_lock(&log_lock);
    char *end = log_lines + log_size;
    size_t room = sizeof log_lines - log_size;
    int size = snprintf(end, room, "%d %s", (int)level, message);
    for (; fields->name != NULL && size < (int)room; fields++)
        size += snprintf(end + size, room - (size_t)size, " %s=%s", fields->name,
                         fields->text != NULL ? fields->text : "#");
    if (size < (int)room - 1) {
        end[size++] = '\n';
        end[size] = '\0';
        log_size += (size_t)size;
        if (log_awaited != NULL && strstr(end, log_awaited) != NULL) {
            log_awaited = NULL;
            if (write(log_fd, "x", 1) != 1)
                abort();
        }
    }
    pthread_mutex_unlock(&log_lock);
}

static bool log_says(const char *words)
{
    pthread_mutex_lock(&log_lock);
    bool has = strstr(log_lines, words) != NULL;
    pthread_mutex_unlock(&log_lock);
    return has;
}

static void log_forget(void)
{
    pthread_mutex_lock(&log_lock);
    log_size = 0;
    log_lines[0] = '\0';
    pthread_mutex_unlock(&log_lock);
}

/* --- A directory --- */

static char directory[256];

static void directory_make(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/convene-test-XXXXXX",
             parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(directory));
}

static void directory_remove(void)
{
    char path[600];
    DIR *dir = opendir(directory);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(dir);
    assert_int_equal(rmdir(directory), 0);
}

static const char *file_in(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* --- Something to wait for: counted, from any thread --- */

struct gate {
    int fds[2];
};

static void gate_open(struct gate *gate)
{
    assert_int_equal(pipe(gate->fds), 0);
}

static void gate_close(struct gate *gate)
{
    close(gate->fds[0]);
    close(gate->fds[1]);
}

static void gate_pass(struct gate *gate)
{
    if (write(gate->fds[1], "x", 1) != 1)
        abort();
}

static void gate_wait(struct gate *gate)
{
    struct pollfd poll_fd = {.fd = gate->fds[0], .events = POLLIN};
    char byte;
    if (poll(&poll_fd, 1, WAIT_MS) != 1 || read(gate->fds[0], &byte, 1) != 1)
        abort(); /* on whatever thread this is */
}

/* To be called before what makes the log say so; then the gate is waited for. */
static void log_await(const char *words, struct gate *gate)
{
    gate_open(gate);
    pthread_mutex_lock(&log_lock);
    log_awaited = words;
    log_fd = gate->fds[1];
    pthread_mutex_unlock(&log_lock);
}

/* --- Jobs --- */

struct job {
    store_fn fn;
    int64_t number;
    const char *text;
    void *data;
    struct gate *gate; /* passed when done; NULL: nobody waits */
    enum store_result result;
    atomic_int calls; /* of `done` */
};

static void on_job_done(enum store_result result, void *data)
{
    struct job *job = data;
    job->result = result;
    atomic_fetch_add(&job->calls, 1);
    if (job->gate != NULL)
        gate_pass(job->gate);
}

static enum store_result wait_for_job(struct store *store, bool is_write, store_fn fn,
                                      struct job *job)
{
    struct gate gate;
    gate_open(&gate);
    job->gate = &gate;
    assert_true(is_write ? store_write(store, fn, on_job_done, job)
                         : store_read(store, fn, on_job_done, job));
    gate_wait(&gate);
    gate_close(&gate);
    job->gate = NULL;
    return job->result;
}

static enum store_result write_now(struct store *store, store_fn fn, struct job *job)
{
    return wait_for_job(store, true, fn, job);
}

static enum store_result read_now(struct store *store, store_fn fn, struct job *job)
{
    return wait_for_job(store, false, fn, job);
}

/* Keeps the writer until the gate is passed, so that what comes meanwhile is one batch. */
struct stopper {
    struct job job;
    struct gate reached, go;
};

static bool stop_writer(struct store_tx *tx, void *data)
{
    struct stopper *stopper = data;
    (void)tx;
    gate_pass(&stopper->reached);
    gate_wait(&stopper->go);
    return true;
}

static void on_stopper_done(enum store_result result, void *data)
{
    struct stopper *stopper = data;
    on_job_done(result, &stopper->job);
}

static void stopper_put(struct stopper *stopper, struct store *store)
{
    memset(stopper, 0, sizeof *stopper);
    gate_open(&stopper->reached);
    gate_open(&stopper->go);
    assert_true(store_write(store, stop_writer, on_stopper_done, stopper));
    gate_wait(&stopper->reached);
}

/* After the writer was let go (gate_pass(&stopper.go)) and has answered. */
static void stopper_release(struct stopper *stopper)
{
    gate_close(&stopper->reached);
    gate_close(&stopper->go);
}

/* --- A table of numbers --- */

static const struct store_migration items_steps[] = {
    {"items", 1,
     "CREATE TABLE items (id INTEGER PRIMARY KEY, text TEXT);"
     "CREATE TABLE parts (id INTEGER PRIMARY KEY, item INTEGER NOT NULL REFERENCES items (id))"},
};

static struct store *store_with_items(cvn_server *server)
{
    struct store *store = store_open(directory);
    assert_non_null(store);
    assert_true(store_migrate(store, items_steps, 1));
    assert_true(store_start(store, server));
    return store;
}

static bool insert_item(struct store_tx *tx, void *data)
{
    const struct job *job = data;
    store_bind_integer(tx, 1, job->number);
    if (job->text != NULL)
        store_bind_text(tx, 2, cvn_str(job->text));
    else
        store_bind_null(tx, 2);
    return store_exec(tx, "INSERT INTO items (id, text) VALUES (?1, ?2)", NULL);
}

static bool count_items(struct store_tx *tx, void *data)
{
    struct job *job = data;
    if (!store_query(tx, "SELECT count(*) FROM items") || !store_next(tx))
        return false;
    job->number = store_integer(tx, 0);
    return true;
}

static int64_t item_count(struct store *store)
{
    struct job job = {0};
    assert_int_equal(read_now(store, count_items, &job), STORE_OK);
    return job.number;
}

#endif
