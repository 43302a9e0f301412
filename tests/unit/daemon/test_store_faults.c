/*
 * The store on a disk that fails: what was acknowledged stays, what was not is as if it had never been, errors are clear, and everything works again once the
 * disk does. The heart is a comparison with a model over random jobs, batches and faults.
 */
#include "store_rig.h"
#include "store_faults.h"
#include "store/store_internal.h"
#include <signal.h>
#include <sys/resource.h>

static int set_up(void **state)
{
    (void)state;
    faults_set(FAULT_NONE, 0);
    log_forget();
    directory_make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    faults_set(FAULT_NONE, 0);
    directory_remove();
    return 0;
}

static bool is_available(struct store *store)
{
    struct store_stats stats;
    store_get_stats(store, &stats);
    return stats.is_available;
}

/* --- One fault after the other --- */

static void test_full_disk(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    struct job job = {.number = 1};
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    faults_set(FAULT_FULL, 0);
    for (job.number = 2; job.number < 20; job.number++)
        assert_int_equal(write_now(store, insert_item, &job), STORE_UNAVAILABLE);
    assert_false(is_available(store));
    assert_int_equal(item_count(store), 1); /* it can be read all the same */
    assert_true(log_says("the store cannot be used"));
    assert_true(log_says("disk is full"));
    char *second = strstr(strstr(log_lines, "cannot be used") + 1, "cannot be used");
    assert_null(second); /* said once, not for every job */
    faults_set(FAULT_NONE, 0);
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    assert_true(is_available(store));
    assert_true(log_says("the store works again"));
    assert_int_equal(item_count(store), 2);
    store_close(store);
}

/* Nobody writes any more, because whoever asks for health sends them elsewhere: the store looks by itself. */
static void test_recovery_without_jobs(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    struct job count = {0};
    struct gate gate;
    for (int i = 0; i < 3; i++) {
        struct job job = {.number = i};
        faults_set(i == 1 ? FAULT_SYNC : FAULT_FULL, 0);
        assert_int_equal(write_now(store, insert_item, &job), STORE_UNAVAILABLE);
        /* What writes nothing does not count as a recovery. */
        assert_int_equal(write_now(store, count_items, &count), STORE_OK);
        assert_false(is_available(store));
        log_await("the store works again connection=writer", &gate);
        faults_set(FAULT_NONE, 0);
        gate_wait(&gate);
        gate_close(&gate);
        assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
        assert_true(is_available(store));
    }
    faults_set(FAULT_READ, 0);
    assert_int_equal(read_now(store, count_items, &count), STORE_UNAVAILABLE);
    log_await("the store works again connection=reader", &gate);
    faults_set(FAULT_NONE, 0);
    gate_wait(&gate);
    gate_close(&gate);
    store_close(store);
}

static void test_no_sync(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    struct job job = {.number = 1};
    faults_set(FAULT_SYNC, 0);
    assert_int_equal(write_now(store, insert_item, &job), STORE_UNAVAILABLE);
    faults_set(FAULT_NONE, 0);
    assert_int_equal(item_count(store), 0);
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    store_close(store);
}

static void test_no_reading(void **state)
{
    (void)state;
    struct store *store = store_with_items(NULL);
    struct job job = {.number = 1};
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    faults_set(FAULT_READ, 0);
    assert_int_equal(read_now(store, count_items, &job), STORE_UNAVAILABLE);
    assert_false(is_available(store));
    faults_set(FAULT_NONE, 0);
    assert_int_equal(item_count(store), 1);
    assert_true(is_available(store));
    store_close(store);
}

/* The system's own way to say that there is no more room for a file. */
static void test_file_size_limit(void **state)
{
    (void)state;
    static char text[100001];
    struct rlimit old, low = {0};
    struct store *store = store_with_items(NULL);
    struct job job = {.text = text};
    int64_t kept = 0;
    memset(text, 'x', sizeof text - 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    while (write_now(store, insert_item, &job) == STORE_OK) {
        job.number++;
        assert_true(++kept < 1000);
    }
    assert_int_equal(job.result, STORE_UNAVAILABLE);
    assert_in_range(kept, 2, 20);
    assert_int_equal(item_count(store), kept);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    store_close(store);
    signal(SIGXFSZ, SIG_DFL);
    store = store_with_items(NULL);
    assert_int_equal(item_count(store), kept + 1);
    store_close(store);
}

/* A database that is not there any more is not made anew: what would be acknowledged went to a file that nobody finds. */
static void test_removed_database(void **state)
{
    (void)state;
    char aside[600];
    struct store *store = store_with_items(NULL);
    struct job job = {.number = 1};
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    snprintf(aside, sizeof aside, "%s", file_in("aside"));
    assert_int_equal(rename(file_in(STORE_FILE), aside), 0);
    job.number = 2;
    assert_int_equal(write_now(store, insert_item, &job), STORE_UNAVAILABLE);
    assert_int_equal(read_now(store, count_items, &job), STORE_UNAVAILABLE);
    assert_true(log_says("moved or removed"));
    assert_int_not_equal(access(file_in(STORE_FILE), F_OK), 0);
    assert_int_equal(rename(aside, file_in(STORE_FILE)), 0);
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    assert_int_equal(item_count(store), 2);
    store_close(store);
}

static void test_damaged_database(void **state)
{
    (void)state;
    char noise[4096 * 3];
    struct store *store = store_with_items(NULL);
    struct job job = {.number = 1};
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    store_close(store);
    memset(noise, 0xa5, sizeof noise);
    int fd = open(file_in(STORE_FILE), O_RDWR);
    assert_int_equal(pwrite(fd, noise, sizeof noise, 4096), sizeof noise); /* past the header */
    close(fd);
    log_forget();
    store = store_open(directory);
    if (store != NULL && store_migrate(store, items_steps, 1) && store_start(store, NULL)) {
        assert_int_not_equal(read_now(store, count_items, &job), STORE_OK);
        job.number = 2;
        assert_int_not_equal(write_now(store, insert_item, &job), STORE_OK);
    }
    assert_true(log_says("malformed"));
    store_close(store);
}

static void test_directories_that_are_no_good(void **state)
{
    (void)state;
    assert_null(store_open("/proc")); /* nobody writes there, not even root */
    assert_true(log_says("cannot be locked"));
    if (geteuid() == 0)
        return;
    assert_int_equal(chmod(directory, 0500), 0);
    assert_null(store_open(directory));
    assert_int_equal(chmod(directory, 0700), 0);
}

/* --- A program that keeps the lock for itself --- */

static void test_another_writer(void **state)
{
    (void)state;
    sqlite3 *other = NULL;
    struct store *store = store_with_items(NULL);
    struct job job = {.number = 1};
    assert_int_equal(sqlite3_open(file_in(STORE_FILE), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(store->writer.db, 0); /* instead of STORE_BUSY_MS */
    assert_int_equal(write_now(store, insert_item, &job), STORE_BUSY);
    assert_int_equal(item_count(store), 0);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(write_now(store, insert_item, &job), STORE_OK);
    sqlite3_close(other);
    store_close(store);
}

/* --- Random jobs against a model --- */

#define KEYS 24

enum kind { SET, ADD, MOVE, DELETE, SAY_NO, WRONG, TAKEN, KIND_COUNT };

struct model {
    int64_t values[KEYS]; /* 0: not there */
};

struct change {
    struct job job;
    enum kind kind;
    int64_t key, other, value;
};

static uint64_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % sides;
}

static bool set(struct store_tx *tx, int64_t key, int64_t value)
{
    store_bind_integer(tx, 1, key);
    store_bind_integer(tx, 2, value);
    return store_exec(tx,
                      "INSERT INTO model (id, value, pad) VALUES (?1, ?2, zeroblob(2000))"
                      " ON CONFLICT (id) DO UPDATE SET value = excluded.value",
                      NULL);
}

static bool drop(struct store_tx *tx, int64_t key)
{
    store_bind_integer(tx, 1, key);
    return store_exec(tx, "DELETE FROM model WHERE id=?1", NULL);
}

static int64_t get(struct store_tx *tx, int64_t key)
{
    store_bind_integer(tx, 1, key);
    return store_query(tx, "SELECT value FROM model WHERE id=?1") && store_next(tx)
               ? store_integer(tx, 0)
               : 0;
}

static bool change(struct store_tx *tx, void *data)
{
    const struct change *change = data;
    int64_t old = get(tx, change->key);
    switch (change->kind) {
    case SET:
        return set(tx, change->key, change->value);
    case ADD:
        return set(tx, change->key, old + change->value);
    case MOVE: /* two statements, of which the first alone would be seen */
        return set(tx, change->other, old + 1) && drop(tx, change->key);
    case DELETE:
        return drop(tx, change->key);
    case SAY_NO:
        set(tx, change->key, -1);
        return false;
    case WRONG:
        set(tx, change->key, -2);
        store_exec(tx, "UPDATE nowhere SET x=1", NULL);
        return true;
    case TAKEN:
        set(tx, change->key, -3);
        return store_exec(tx, "INSERT INTO model (id, value) VALUES (1000, 1), (1000, 2)", NULL);
    case KIND_COUNT:
        break;
    }
    return false;
}

static void on_change_done(enum store_result result, void *data)
{
    struct change *done = data;
    on_job_done(result, &done->job);
}

static void apply(struct model *model, const struct change *change)
{
    int64_t old = model->values[change->key];
    switch (change->kind) {
    case SET:
        model->values[change->key] = change->value;
        break;
    case ADD:
        model->values[change->key] = old + change->value;
        break;
    case MOVE:
        model->values[change->other] = old + 1;
        model->values[change->key] = 0;
        break;
    case DELETE:
        model->values[change->key] = 0;
        break;
    default:
        fail_msg("%d was acknowledged", (int)change->kind);
    }
}

static bool load(struct store_tx *tx, void *data)
{
    struct model *model = ((struct job *)data)->data;
    memset(model, 0, sizeof *model);
    if (!store_query(tx, "SELECT id, value FROM model"))
        return false;
    while (store_next(tx)) {
        int64_t id = store_integer(tx, 0);
        if (id < 0 || id >= KEYS)
            return false;
        model->values[id] = store_integer(tx, 1);
    }
    return !store_has_failed(tx);
}

static void assert_like_model(struct store *store, const struct model *model)
{
    struct model found;
    struct job job = {.data = &found};
    assert_int_equal(read_now(store, load, &job), STORE_OK);
    assert_memory_equal(&found, model, sizeof found);
}

static const struct store_migration model_steps[] = {
    {"model", 1, "CREATE TABLE model (id INTEGER PRIMARY KEY, value INTEGER NOT NULL, pad)"},
};

static struct store *store_with_model(void)
{
    struct store *store = store_open(directory);
    assert_non_null(store);
    assert_true(store_migrate(store, model_steps, 1));
    assert_true(store_start(store, NULL));
    return store;
}

/* A batch of random changes while a fault is armed; then the disk is well, and what was acknowledged is what is there. */
static void run_round(struct store *store, struct model *model, size_t *ret_lost)
{
    enum { MOST = 40 };
    static struct change changes[MOST];
    struct stopper stopper;
    struct gate done;
    size_t count = 1 + dice(MOST);
    gate_open(&done);
    stopper_put(&stopper, store);
    for (size_t i = 0; i < count; i++) {
        changes[i] = (struct change){.job = {.gate = &done},
                                     .kind = (enum kind)dice(dice(3) == 0 ? KIND_COUNT : SAY_NO),
                                     .key = dice(KEYS),
                                     .value = 1 + dice(1000)};
        changes[i].other = (changes[i].key + 1 + dice(KEYS - 1)) % KEYS;
        assert_true(store_write(store, change, on_change_done, &changes[i]));
    }
    if (dice(3) != 0)
        faults_set((enum fault)(1 + dice(FAULT_COUNT - 1)), (int)dice(60));
    gate_pass(&stopper.go);
    for (size_t i = 0; i < count; i++)
        gate_wait(&done);
    faults_set(FAULT_NONE, 0);
    for (size_t i = 0; i < count; i++) {
        enum store_result result = changes[i].job.result;
        if (result == STORE_OK)
            apply(model, &changes[i]);
        else if (changes[i].kind < SAY_NO)
            ++*ret_lost;
        if (result == STORE_ABORTED)
            assert_true(changes[i].kind >= SAY_NO);
        assert_int_equal(atomic_load(&changes[i].job.calls), 1);
    }
    assert_like_model(store, model);
    stopper_release(&stopper);
    gate_close(&done);
}

static void test_model(void **state)
{
    (void)state;
    const char *given = getenv("CONVENE_TEST_SEED");
    struct model model = {0};
    size_t lost = 0;
    seed = given != NULL ? strtoull(given, NULL, 10) : 20261121;
    struct store *store = store_with_model();
    for (int i = 0; i < 400; i++) {
        run_round(store, &model, &lost);
        if (i % 50 == 49) {
            store_close(store);
            store = store_with_model();
            assert_like_model(store, &model);
        }
    }
    store_close(store);
    assert_true(lost > 100); /* the faults did hit */
    assert_true(atomic_load(&fault_hits) > 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_full_disk),
        TEST(test_recovery_without_jobs),
        TEST(test_no_sync),
        TEST(test_no_reading),
        TEST(test_file_size_limit),
        TEST(test_removed_database),
        TEST(test_damaged_database),
        TEST(test_another_writer),
        TEST(test_directories_that_are_no_good),
        TEST(test_model),
    };
    faults_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
