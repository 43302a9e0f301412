/* The store on a disk that works: statements and values, transactions and batches, answers on the right thread, the end. */
#include "store_rig.h"
#include "observe/metrics.h"

static int set_up(void **state)
{
    (void)state;
    log_forget();
    directory_make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove();
    return 0;
}

/* --- Files --- */

static mode_t mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(stat(file_in(name), &status), 0);
    return status.st_mode & 0777;
}

static void test_files_are_private(void **state)
{
    (void)state;
    mode_t old = umask(0);
    struct store *store = store_with_items(NULL);
    struct job job = {.number = 1};
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    assert_int_equal(mode_of(STORE_FILE), 0600);
    assert_int_equal(mode_of(STORE_FILE "-wal"), 0600);
    assert_int_equal(mode_of(STORE_FILE "-shm"), 0600);
    assert_int_equal(mode_of(STORE_FILE ".lock"), 0600);
    store_close(store);
    /* One that somebody has opened to others is closed to them again. */
    assert_int_equal(chmod(file_in(STORE_FILE), 0644), 0);
    store = store_open(directory);
    assert_non_null(store);
    assert_int_equal(mode_of(STORE_FILE), 0600);
    store_close(store);
    umask(old);
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    assert_null(store_open(directory));
    assert_true(log_says("in use by another convened"));
    /* Reading beside it is allowed. */
    struct store *reader = store_open_readonly(directory);
    struct job job = {.number = 5};
    assert_non_null(reader);
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    assert_int_equal(store_run(reader, count_items, &job), STORE_OK);
    assert_int_equal(job.number, 1);
    store_close(reader);
    assert_null(store_open(directory)); /* the reader took no lock with it */
    store_close(store);
    store = store_open(directory);
    assert_non_null(store);
    store_close(store);
}

static void test_reading_what_a_daemon_left(void **state)
{
    (void)state;
    struct job job = {.number = 5};
    assert_null(store_open_readonly(directory));
    assert_true(log_says("the store cannot be used"));
    store_close(store_with_items(NULL));
    struct store *reader = store_open_readonly(directory);
    assert_non_null(reader);
    assert_int_equal(store_run(reader, count_items, &job), STORE_OK);
    assert_int_equal(job.number, 0);
    assert_int_equal(store_run(reader, insert_item, &job), STORE_ABORTED);
    store_close(reader);
}

static void assert_refused(const char *words)
{
    log_forget();
    assert_null(store_open(directory));
    assert_true(log_says(words));
}

static void test_files_that_are_none(void **state)
{
    char noise[8192];
    (void)state;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 31 + 7);
    write_file(file_in(STORE_FILE), noise, sizeof noise);
    assert_refused("not a database");
    unlink(file_in(STORE_FILE));
    assert_int_equal(mkdir(file_in(STORE_FILE), 0700), 0);
    assert_refused("unable to open");
    rmdir(file_in(STORE_FILE));
    assert_int_equal(symlink("elsewhere", file_in(STORE_FILE)), 0);
    assert_refused("cannot be made"); /* it points to nothing, and nothing is made there */
    unlink(file_in(STORE_FILE));
    assert_null(store_open("/nonexistent/directory"));
}

static void test_somebody_elses_database(void **state)
{
    char command[700];
    (void)state;
    snprintf(command, sizeof command, "%s", file_in(STORE_FILE));
    struct store *store = store_open(directory);
    assert_non_null(store);
    struct job job = {.number = 0};
    (void)job;
    store_close(store);
    /* The application id is bytes 68 to 71 of the header. */
    int fd = open(command, O_RDWR);
    assert_int_equal(pwrite(fd, "abcd", 4, 68), 4);
    close(fd);
    store = store_open(directory); /* empty: taken over */
    assert_non_null(store);
    assert_true(store_migrate(store, items_steps, 1));
    store_close(store);
    fd = open(command, O_RDWR);
    assert_int_equal(pwrite(fd, "abcd", 4, 68), 4);
    close(fd);
    assert_refused("not one of convened's");
}

/* --- Migrations --- */

static bool migrate(const struct store_migration *steps, size_t count)
{
    struct store *store = store_open(directory);
    assert_non_null(store);
    log_forget();
    bool is_done = store_migrate(store, steps, count);
    store_close(store);
    return is_done;
}

static void test_migrations(void **state)
{
    (void)state;
    const struct store_migration good[] = {
        {"a", 1, "CREATE TABLE a (x); INSERT INTO a VALUES (1)"},
        {"b", 1, "CREATE TABLE b (x)"},
        {"a", 2, "INSERT INTO a VALUES (2)"},
    };
    assert_true(migrate(good, 1));
    assert_true(migrate(good, 2));
    assert_true(migrate(good, 3));
    assert_true(migrate(good, 3));
    assert_false(migrate(good, 1));
    assert_true(log_says("made by a newer convened module=a"));
    const struct store_migration changed[] = {good[0], {"a", 2, "INSERT INTO a VALUES (3)"}};
    assert_false(migrate(changed, 2));
    assert_true(log_says("not the one that the database was made with module=a"));
    const struct store_migration gap[] = {{"b", 3, "SELECT 1"}};
    assert_false(migrate(gap, 1));
    assert_true(log_says("out of order module=b"));
    const struct store_migration wrong[] = {
        good[1], {"b", 2, "INSERT INTO b VALUES (1); INSERT INTO nowhere VALUES (1)"}};
    assert_false(migrate(wrong, 2));
    assert_true(log_says("no such table: nowhere"));
    const struct store_migration right[] = {good[1], {"b", 2, "INSERT INTO b VALUES (1)"}};
    assert_true(migrate(right, 2)); /* nothing of the wrong one was kept */
}

static bool sum_a(struct store_tx *tx, void *data)
{
    struct job *job = data;
    if (!store_query(tx, "SELECT count(*), sum(x) FROM a") || !store_next(tx))
        return false;
    job->number = store_integer(tx, 0) * 100 + store_integer(tx, 1);
    return true;
}

static void test_migrations_run_once(void **state)
{
    (void)state;
    const struct store_migration steps[] = {
        {"a", 1, "CREATE TABLE a (x); INSERT INTO a VALUES (1)"},
        {"a", 2, "INSERT INTO a VALUES (2)"},
    };
    struct job job = {0};
    for (int i = 0; i < 3; i++)
        assert_true(migrate(steps, 2));
    struct store *store = store_open(directory);
    assert_non_null(store);
    assert_int_equal(store_run(store, sum_a, &job), STORE_OK);
    assert_int_equal(job.number, 203);
    store_close(store);
}

/* --- Statements and values --- */

static bool all_types(struct store_tx *tx, void *data)
{
    static const char bytes[] = "a\0b\xff";
    (void)data;
    store_bind_integer(tx, 1, INT64_MIN);
    store_bind_text(tx, 2, cvn_str("h\xc3\xa9"));
    store_bind_blob(tx, 3, (cvn_slice){bytes, 4});
    store_bind_null(tx, 4);
    store_bind_text(tx, 5, (cvn_slice){NULL, 0});
    store_bind_blob(tx, 6, (cvn_slice){NULL, 0});
    assert_true(store_query(tx, "SELECT ?1, ?2, ?3, ?4, ?5, ?6"));
    /* Values bound for the next statement do not disturb the query that is open. */
    store_bind_text(tx, 1, cvn_str("overwrites?"));
    assert_true(store_next(tx));
    assert_true(store_integer(tx, 0) == INT64_MIN);
    assert_int_equal(store_text(tx, 1).size, 3);
    assert_memory_equal(store_text(tx, 1).data, "h\xc3\xa9", 3);
    assert_int_equal(store_blob(tx, 2).size, 4);
    assert_memory_equal(store_blob(tx, 2).data, bytes, 4);
    assert_true(store_is_null(tx, 3));
    assert_false(store_is_null(tx, 4));
    assert_int_equal(store_text(tx, 4).size, 0);
    assert_false(store_is_null(tx, 5));
    assert_int_equal(store_blob(tx, 5).size, 0);
    /* Beyond the columns. */
    assert_true(store_is_null(tx, 6));
    assert_int_equal(store_integer(tx, 6), 0);
    assert_int_equal(store_text(tx, 6).size, 0);
    assert_false(store_next(tx));
    assert_false(store_has_failed(tx));
    assert_true(store_is_null(tx, 0));
    assert_true(store_query(tx, "SELECT ?1") && store_next(tx));
    assert_int_equal(store_text(tx, 0).size, strlen("overwrites?"));
    return true;
}

static void test_values(void **state)
{
    (void)state;
    struct store *store = store_open(directory);
    assert_int_equal(store_run(store, all_types, NULL), STORE_OK);
    store_close(store);
}

static bool big_value(struct store_tx *tx, void *data)
{
    char *text = malloc(3 << 20);
    (void)data;
    memset(text, 'x', 3 << 20);
    store_bind_integer(tx, 1, 1);
    store_bind_text(tx, 2, (cvn_slice){text, 3 << 20});
    free(text); /* it was copied */
    return store_exec(tx, "INSERT INTO items (id, text) VALUES (?1, ?2)", NULL) &&
           store_query(tx, "SELECT length(text), text FROM items") && store_next(tx) &&
           store_integer(tx, 0) == 3 << 20 && store_text(tx, 1).size == 3 << 20;
}

/* Rows are looped over while another statement writes. */
static bool exec_inside_of_query(struct store_tx *tx, void *data)
{
    int64_t changes = 0, rows = 0;
    (void)data;
    if (!store_exec(tx, "INSERT INTO items (id) VALUES (10), (11), (12)", &changes) || changes != 3)
        return false;
    store_bind_integer(tx, 1, 10);
    if (!store_query(tx, "SELECT id FROM items WHERE id >= ?1 ORDER BY id"))
        return false;
    while (store_next(tx)) {
        store_bind_integer(tx, 1, store_integer(tx, 0));
        if (!store_exec(tx, "INSERT INTO parts (item) VALUES (?1)", NULL))
            return false;
        rows++;
    }
    if (!store_exec(tx, "DELETE FROM parts", &changes))
        return false;
    return rows == 3 && changes == 3;
}

static bool wrong_table(struct store_tx *tx, void *data)
{
    struct job *job = data;
    insert_item(tx, job);
    assert_false(store_exec(tx, "INSERT INTO nowhere VALUES (1)", NULL));
    assert_true(store_has_failed(tx));
    /* Whatever comes after fails, too. */
    assert_false(store_query(tx, "SELECT 1"));
    assert_false(store_next(tx));
    assert_false(store_exec(tx, "DELETE FROM items", NULL));
    return true; /* and a yes does not help */
}

static bool two_statements(struct store_tx *tx, void *data)
{
    (void)data;
    return store_exec(tx, "DELETE FROM parts; DELETE FROM items", NULL);
}

static bool too_few_values(struct store_tx *tx, void *data)
{
    (void)data;
    store_bind_integer(tx, 1, 1);
    return store_exec(tx, "INSERT INTO items (id, text) VALUES (?1, ?2)", NULL);
}

static bool too_many_values(struct store_tx *tx, void *data)
{
    (void)data;
    store_bind_integer(tx, STORE_MAX_BINDS + 1, 1);
    return true;
}

static bool missing_parent(struct store_tx *tx, void *data)
{
    (void)data;
    return store_exec(tx, "INSERT INTO parts (item) VALUES (99)", NULL);
}

static bool say_no(struct store_tx *tx, void *data)
{
    insert_item(tx, data);
    return false;
}

static void test_statements(void **state)
{
    (void)state;
    struct store *store = store_open(directory);
    struct job job = {.number = 1};
    assert_true(store_migrate(store, items_steps, 1));
    assert_int_equal(store_run(store, big_value, NULL), STORE_OK);
    assert_int_equal(store_run(store, exec_inside_of_query, NULL), STORE_OK);
    assert_int_equal(store_run(store, insert_item, &job), STORE_ABORTED); /* it is there */
    job.number = 2;
    assert_int_equal(store_run(store, wrong_table, &job), STORE_ABORTED);
    assert_true(log_says("no such table"));
    assert_int_equal(store_run(store, two_statements, NULL), STORE_ABORTED);
    assert_int_equal(store_run(store, too_few_values, NULL), STORE_ABORTED);
    assert_int_equal(store_run(store, too_many_values, NULL), STORE_ABORTED);
    assert_int_equal(store_run(store, missing_parent, NULL), STORE_ABORTED);
    assert_int_equal(store_run(store, say_no, &job), STORE_ABORTED);
    assert_int_equal(store_run(store, count_items, &job), STORE_OK);
    assert_int_equal(job.number, 4);
    store_close(store);
}

static bool many_texts(struct store_tx *tx, void *data)
{
    char sql[64];
    (void)data;
    for (int i = 0; i < 1300; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i % 900);
        if (!store_query(tx, sql) || !store_next(tx) || store_integer(tx, 0) != i % 900)
            return false;
    }
    return true;
}

/* Texts that are made on the spot are not what the cache is for, but do not fill the memory. */
static void test_many_statements(void **state)
{
    (void)state;
    struct store *store = store_open(directory);
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_run(store, many_texts, NULL), STORE_OK);
    store_close(store);
}

/* --- Batches --- */

static void test_a_batch_is_one_commit(void **state)
{
    (void)state;
    enum { JOBS = 100 };
    struct store *store = store_with_items(NULL);
    static struct job jobs[JOBS];
    struct stopper stopper;
    struct store_stats before, after;
    memset(jobs, 0, sizeof jobs);
    store_get_stats(store, &before);
    stopper_put(&stopper, store);
    for (int i = 0; i < JOBS; i++) {
        jobs[i].number = i / 2; /* every other one is a duplicate, or says no */
        assert_true(store_write(store, i % 4 == 1 ? say_no : insert_item, on_job_done, &jobs[i]));
    }
    struct job last = {.number = 1000};
    store_get_stats(store, &after);
    assert_int_equal(after.waiting, JOBS + 1);
    gate_pass(&stopper.go);
    assert_int_equal(write_now(store, insert_item, &last), STORE_OK);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(atomic_load(&jobs[i].calls), 1);
        assert_int_equal(jobs[i].result, i % 2 == 0 ? STORE_OK : STORE_ABORTED);
    }
    store_get_stats(store, &after);
    assert_in_range(after.commits_total - before.commits_total, 2, 3);
    assert_int_equal(after.failed_total, 0);
    assert_int_equal(item_count(store), JOBS / 2 + 1);
    stopper_release(&stopper);
    store_close(store);
}

static bool end_transaction(struct store_tx *tx, void *data)
{
    const char *sql = ((struct job *)data)->text;
    return store_exec(tx, sql, NULL);
}

/* A job that meddles with the transaction takes its batch with it, and says so; the next batch is as good as ever. */
static void test_a_job_that_ends_the_transaction(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    struct job before = {.number = 1}, bad = {.text = "ROLLBACK"}, behind = {.number = 2};
    struct stopper stopper;
    stopper_put(&stopper, store);
    assert_true(store_write(store, insert_item, on_job_done, &before));
    assert_true(store_write(store, end_transaction, on_job_done, &bad));
    assert_true(store_write(store, insert_item, on_job_done, &behind));
    gate_pass(&stopper.go);
    struct job last = {.number = 3};
    write_now(store, insert_item, &last); /* may be of that batch, too */
    assert_int_equal(before.result, STORE_UNAVAILABLE);
    assert_int_equal(bad.result, STORE_UNAVAILABLE);
    assert_int_equal(behind.result, STORE_UNAVAILABLE);
    last.number = 4;
    assert_int_equal(write_now(store, insert_item, &last), STORE_OK);
    assert_true(item_count(store) <= 2);
    stopper_release(&stopper);
    store_close(store);
}

static void test_the_queue_is_bounded(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    struct job *jobs = calloc(STORE_MAX_WAITING + 1, sizeof *jobs);
    struct stopper stopper;
    struct store_stats stats;
    stopper_put(&stopper, store);
    for (int i = 0; i < STORE_MAX_WAITING; i++) {
        jobs[i].number = i;
        assert_true(store_write(store, insert_item, on_job_done, &jobs[i]));
    }
    assert_false(store_write(store, insert_item, on_job_done, &jobs[STORE_MAX_WAITING]));
    store_get_stats(store, &stats);
    assert_int_equal(stats.refused_total, 1);
    assert_int_equal(item_count(store), 0); /* queries have their own queue and thread */
    gate_pass(&stopper.go);
    store_close(store); /* everything is committed and answered */
    for (int i = 0; i < STORE_MAX_WAITING; i++) {
        assert_int_equal(atomic_load(&jobs[i].calls), 1);
        assert_int_equal(jobs[i].result, STORE_OK);
    }
    assert_int_equal(atomic_load(&jobs[STORE_MAX_WAITING].calls), 0);
    stopper_release(&stopper);
    free(jobs);
    store = store_with_items(NULL);
    assert_int_equal(item_count(store), STORE_MAX_WAITING);
    store_close(store);
}

static void test_queries(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    struct job job = {.number = 7};
    assert_int_equal(read_now(store, insert_item, &job), STORE_ABORTED);
    assert_int_equal(read_now(store, wrong_table, &job), STORE_ABORTED);
    assert_int_equal(item_count(store), 0);
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    assert_int_equal(item_count(store), 1);
    struct store_stats stats;
    store_get_stats(store, &stats);
    assert_true(stats.is_available);
    assert_int_equal(stats.jobs_total, 5);
    assert_int_equal(stats.waiting, 0);
    store_close(store);
}

/* --- Who is told where --- */

struct asked {
    struct job job;
    struct store *store;
    cvn_server *server;
    int worker;
    pthread_t thread;
};

static void on_asked_done(enum store_result result, void *data)
{
    struct asked *asked = data;
    asked->worker = (int)cvn_worker_index(asked->server);
    asked->thread = pthread_self();
    on_job_done(result, &asked->job);
}

static bool insert_asked(struct store_tx *tx, void *data)
{
    return insert_item(tx, &((struct asked *)data)->job);
}

static void ask(void *data)
{
    struct asked *asked = data;
    if (!store_write(asked->store, insert_asked, on_asked_done, asked))
        abort();
}

static cvn_server *server_new(unsigned workers)
{
    cvn_server *server = cvn_server_new(
        &(cvn_options){.host = "127.0.0.1", .workers = workers, .hide_client = true});
    assert_non_null(server);
    return server;
}

static void test_answers_on_the_worker(void **state)
{
    (void)state;
    enum { WORKERS = 3, JOBS = 90 };
    cvn_server *server = server_new(WORKERS);
    struct store *store = store_with_items(server);
    static struct asked asked[JOBS];
    struct gate gate;
    memset(asked, 0, sizeof asked);
    gate_open(&gate);
    assert_int_equal(cvn_server_start(server), CVN_OK);
    assert_int_equal((int)cvn_worker_index(server), -1);
    for (int i = 0; i < JOBS; i++) {
        asked[i] = (struct asked){
            .job = {.number = i, .gate = &gate}, .store = store, .server = server, .worker = -2};
        assert_int_equal(cvn_post(server, (unsigned)i % WORKERS, ask, &asked[i]), CVN_OK);
    }
    for (int i = 0; i < JOBS; i++)
        gate_wait(&gate);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(asked[i].worker, i % WORKERS);
        assert_int_equal(asked[i].job.result, STORE_OK);
    }
    /* This thread is none: told on the store's. */
    struct asked here = {.job = {.number = 1000, .gate = &gate},
                         .store = store,
                         .server = server,
                         .worker = -2,
                         .thread = pthread_self()};
    ask(&here);
    gate_wait(&gate);
    assert_int_equal(here.worker, -1);
    assert_false(pthread_equal(here.thread, pthread_self()));
    cvn_server_stop(server);
    cvn_server_wait(server);
    store_close(store);
    cvn_server_free(server);
    gate_close(&gate);
}

/* --- A worker that is busy while many of its answers come --- */

#define MANY 1000

struct many {
    struct store *store;
    cvn_server *server;
    struct gate asked, go, all_told;
    struct asked jobs[MANY];
    int told; /* on the worker */
};

static void on_one_of_many(enum store_result result, void *data)
{
    struct asked *asked = data;
    struct many *many = asked->job.data;
    asked->worker = (int)cvn_worker_index(asked->server);
    asked->job.result = result;
    asked->job.text = asked->job.number == many->told++ ? "in order" : "not in order";
    if (many->told == MANY)
        gate_pass(&many->all_told);
}

static void ask_many(void *data)
{
    struct many *many = data;
    for (int i = 0; i < MANY; i++) {
        many->jobs[i] = (struct asked){
            .job = {.number = i, .data = many}, .server = many->server, .worker = -2};
        if (!store_write(many->store, insert_asked, on_one_of_many, &many->jobs[i]))
            abort();
    }
    gate_pass(&many->asked);
    gate_wait(&many->go);
}

static void test_many_answers_at_once(void **state)
{
    (void)state;
    cvn_server *server = server_new(2);
    struct store *store = store_with_items(server);
    struct many *many = calloc(1, sizeof *many);
    struct job job = {.number = MANY};
    many->store = store;
    many->server = server;
    gate_open(&many->asked);
    gate_open(&many->go);
    gate_open(&many->all_told);
    assert_int_equal(cvn_server_start(server), CVN_OK);
    assert_int_equal(cvn_post(server, 1, ask_many, many), CVN_OK);
    gate_wait(&many->asked);
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK); /* behind them all */
    gate_pass(&many->go);
    gate_wait(&many->all_told);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(many->jobs[i].job.result, STORE_OK);
        assert_int_equal(many->jobs[i].worker, 1);
        assert_string_equal(many->jobs[i].job.text, "in order");
    }
    cvn_server_stop(server);
    cvn_server_wait(server);
    store_close(store);
    cvn_server_free(server);
    gate_close(&many->asked);
    gate_close(&many->go);
    gate_close(&many->all_told);
    free(many);
}

/* The workers end before the store has answered: store_close tells, once, on its own thread. */
static void test_a_server_that_stops_before_the_answer(void **state)
{
    (void)state;
    enum { JOBS = 20 };
    cvn_server *server = server_new(2);
    struct store *store = store_with_items(server);
    static struct asked asked[JOBS];
    struct stopper stopper;
    struct gate asked_all;
    memset(asked, 0, sizeof asked);
    gate_open(&asked_all);
    assert_int_equal(cvn_server_start(server), CVN_OK);
    stopper_put(&stopper, store);
    for (int i = 0; i < JOBS; i++) {
        asked[i] = (struct asked){.job = {.number = i}, .store = store, .server = server};
        assert_int_equal(cvn_post(server, (unsigned)i % 2, ask, &asked[i]), CVN_OK);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(cvn_post(server, i, (void (*)(void *))gate_pass, &asked_all), CVN_OK);
    gate_wait(&asked_all);
    gate_wait(&asked_all);
    cvn_server_stop(server);
    cvn_server_wait(server);
    gate_pass(&stopper.go);
    store_close(store);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(atomic_load(&asked[i].job.calls), 1);
        assert_int_equal(asked[i].job.result, STORE_OK);
        assert_int_equal(asked[i].worker, -1);
        assert_true(pthread_equal(asked[i].thread, pthread_self()));
    }
    cvn_server_free(server);
    stopper_release(&stopper);
    gate_close(&asked_all);
    store = store_with_items(NULL);
    assert_int_equal(item_count(store), JOBS);
    store_close(store);
}

/* --- The end --- */

struct chain {
    struct store *store;
    int64_t next, refused_at;
};

static bool insert_next(struct store_tx *tx, void *data)
{
    struct job job = {.number = ((struct chain *)data)->next};
    return insert_item(tx, &job);
}

/* Each answer asks for more, for ever: the end comes all the same when the chain is told that it does. */
static void on_link(enum store_result result, void *data)
{
    struct chain *chain = data;
    assert_int_equal(result, STORE_OK);
    chain->next++;
    if (chain->next == 50 || !store_write(chain->store, insert_next, on_link, chain))
        chain->refused_at = chain->next;
}

static void test_close_follows_what_leads_on(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    struct chain chain = {.store = store};
    assert_true(store_write(store, insert_next, on_link, &chain));
    store_close(store);
    assert_int_equal(chain.refused_at, 50);
}

static void test_close_without_start(void **state)
{
    (void)state;
    struct job job = {.number = 1};
    store_close(NULL);
    struct store *store = store_open(directory);
    assert_true(store_write(store, insert_item, on_job_done, &job));
    assert_true(store_read(store, count_items, on_job_done, &job));
    store_close(store);
    assert_int_equal(atomic_load(&job.calls), 2);
    assert_int_equal(job.result, STORE_UNAVAILABLE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_files_are_private),
        TEST(test_one_at_a_time),
        TEST(test_reading_what_a_daemon_left),
        TEST(test_files_that_are_none),
        TEST(test_somebody_elses_database),
        TEST(test_migrations),
        TEST(test_migrations_run_once),
        TEST(test_values),
        TEST(test_statements),
        TEST(test_many_statements),
        TEST(test_a_batch_is_one_commit),
        TEST(test_a_job_that_ends_the_transaction),
        TEST(test_the_queue_is_bounded),
        TEST(test_queries),
        TEST(test_answers_on_the_worker),
        TEST(test_many_answers_at_once),
        TEST(test_a_server_that_stops_before_the_answer),
        TEST(test_close_follows_what_leads_on),
        TEST(test_close_without_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
