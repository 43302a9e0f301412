/* Repeated operations are applied once and answered as the first time: in order, in one batch, within 24 hours, and through failures of the disk. */
#include "store_rig.h"
#include "store_faults.h"
#include "store/store_idempotency.h"

#define NOW 1700000000000

static const struct store_migration counter_steps[] = {
    {"counter", 1,
     "CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER NOT NULL);"
     "INSERT INTO counter VALUES (1, 0)"},
};

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

static struct store *store_with_counter(void)
{
    struct store *store = store_open(directory);
    assert_non_null(store);
    assert_true(store_idempotency_migrate(store));
    assert_true(store_migrate(store, counter_steps, 1));
    assert_true(store_start(store, NULL));
    return store;
}

/* --- An operation: counts, and answers with the number it got --- */

struct op {
    struct job job;
    const char *user, *id;
    int64_t now_ms;
    bool says_no;
    bool is_repeated;
    char answer[64];
};

static bool apply(struct store_tx *tx, void *data)
{
    struct op *op = data;
    cvn_text *answer = cvn_text_new(sizeof op->answer);
    assert_non_null(answer);
    cvn_text_append(answer, "untouched");
    bool is_good =
        store_idempotency_find(tx, op->user, op->id, op->now_ms, &op->is_repeated, answer);
    if (is_good && !op->is_repeated) {
        assert_int_equal(cvn_text_slice(answer).size, strlen("untouched"));
        cvn_text_clear(answer);
        is_good = store_exec(tx, "UPDATE counter SET value=value+1 WHERE id=1", NULL) &&
                  store_query(tx, "SELECT value FROM counter") && store_next(tx);
        if (is_good)
            cvn_text_printf(answer, "{\"value\":%lld}", (long long)store_integer(tx, 0));
        is_good = is_good &&
                  store_idempotency_keep(tx, op->user, op->id, op->now_ms, cvn_text_slice(answer));
    }
    cvn_slice text = cvn_text_slice(answer);
    snprintf(op->answer, sizeof op->answer, "%.*s", (int)text.size, text.data);
    cvn_text_free(answer);
    return is_good && !op->says_no;
}

static void on_op_done(enum store_result result, void *data)
{
    struct op *op = data;
    on_job_done(result, &op->job);
}

static enum store_result run(struct store *store, struct op *op)
{
    struct gate gate;
    gate_open(&gate);
    op->job.gate = &gate;
    assert_true(store_write(store, apply, on_op_done, op));
    gate_wait(&gate);
    gate_close(&gate);
    return op->job.result;
}

static void assert_op(struct store *store, const char *user, const char *id, int64_t now_ms,
                      bool is_repeated, const char *answer)
{
    struct op op = {.user = user, .id = id, .now_ms = now_ms};
    assert_int_equal(run(store, &op), STORE_OK);
    assert_int_equal(op.is_repeated, is_repeated);
    assert_string_equal(op.answer, answer);
}

static void test_repeated(void **state)
{
    (void)state;
    struct store *store = store_with_counter();
    assert_op(store, "ann", "op1", NOW, false, "{\"value\":1}");
    assert_op(store, "ann", "op1", NOW + 5, true, "{\"value\":1}");
    assert_op(store, "ann", "op2", NOW, false, "{\"value\":2}");
    assert_op(store, "ben", "op1", NOW, false, "{\"value\":3}"); /* another user's is another's */
    store_close(store);
    store = store_with_counter(); /* a restart forgets nothing */
    assert_op(store, "ann", "op1", NOW, true, "{\"value\":1}");
    store_close(store);
}

static void test_rolled_back(void **state)
{
    (void)state;
    struct store *store = store_with_counter();
    struct op op = {.user = "ann", .id = "op1", .now_ms = NOW, .says_no = true};
    assert_int_equal(run(store, &op), STORE_ABORTED);
    assert_op(store, "ann", "op1", NOW, false, "{\"value\":1}");
    store_close(store);
}

/* While the first one is on its way: they wait for it, in the same COMMIT. */
static void test_at_once(void **state)
{
    (void)state;
    enum { OPS = 30 };
    static struct op ops[OPS];
    struct store *store = store_with_counter();
    struct stopper stopper;
    stopper_put(&stopper, store);
    for (int i = 0; i < OPS; i++) {
        ops[i] = (struct op){.user = "ann", .id = "op1", .now_ms = NOW, .says_no = i == 0};
        assert_true(store_write(store, apply, on_op_done, &ops[i]));
    }
    gate_pass(&stopper.go);
    store_close(store);
    assert_int_equal(ops[0].job.result, STORE_ABORTED);
    for (int i = 1; i < OPS; i++) {
        assert_int_equal(ops[i].job.result, STORE_OK);
        assert_int_equal(ops[i].is_repeated, i > 1);
        assert_string_equal(ops[i].answer, "{\"value\":1}");
    }
    stopper_release(&stopper);
}

static bool count_rows(struct store_tx *tx, void *data)
{
    struct job *job = data;
    if (!store_query(tx, "SELECT count(*) FROM idempotency") || !store_next(tx))
        return false;
    job->number = store_integer(tx, 0);
    return true;
}

static bool fill(struct store_tx *tx, void *data)
{
    (void)data;
    return store_exec(
        tx,
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i+1 FROM n WHERE i<2500)"
        " INSERT INTO idempotency SELECT 'u', 'op' || i, i, '{}' FROM n",
        NULL);
}

static void test_expiry(void **state)
{
    (void)state;
    struct store *store = store_with_counter();
    struct job job = {0};
    assert_op(store, "ann", "op1", NOW, false, "{\"value\":1}");
    assert_op(store, "ann", "op1", NOW + STORE_IDEMPOTENCY_MS - 1, true, "{\"value\":1}");
    assert_op(store, "ann", "op1", NOW + STORE_IDEMPOTENCY_MS, false, "{\"value\":2}");
    assert_op(store, "ann", "op1", NOW + STORE_IDEMPOTENCY_MS, true, "{\"value\":2}");
    assert_int_equal(write_now(store, fill, &job), STORE_OK);
    store_idempotency_sweep(store, STORE_IDEMPOTENCY_MS + 2400);
    /* Each of these waits for a step of the sweep. */
    for (int i = 0; i < 5; i++)
        assert_op(store, "ann", "op1", NOW + STORE_IDEMPOTENCY_MS, true, "{\"value\":2}");
    assert_int_equal(read_now(store, count_rows, &job), STORE_OK);
    assert_int_equal(job.number, 101);
    store_idempotency_sweep(store, NOW * 2);
    store_close(store); /* the sweep comes to its end, too */
    store = store_with_counter();
    assert_int_equal(read_now(store, count_rows, &job), STORE_OK);
    assert_int_equal(job.number, 0);
    store_close(store);
}

struct large {
    struct job job;
    size_t answer_size, id_size;
};

static bool keep_large(struct store_tx *tx, void *data)
{
    const struct large *large = data;
    char *answer = malloc(large->answer_size), id[100];
    memset(answer, 'x', large->answer_size);
    memset(id, 'y', sizeof id);
    id[large->id_size] = '\0';
    bool is_kept =
        store_idempotency_keep(tx, "ann", id, NOW, (cvn_slice){answer, large->answer_size});
    free(answer);
    return is_kept;
}

static void test_bounds(void **state)
{
    (void)state;
    struct store *store = store_open(directory);
    assert_true(store_idempotency_migrate(store));
    const struct {
        size_t answer_size, id_size;
        enum store_result result;
    } cases[] = {
        {STORE_IDEMPOTENCY_MAX_ANSWER, STORE_IDEMPOTENCY_MAX_OP_ID, STORE_OK},
        {STORE_IDEMPOTENCY_MAX_ANSWER + 1, 5, STORE_ABORTED},
        {5, STORE_IDEMPOTENCY_MAX_OP_ID + 1, STORE_ABORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct large large = {.answer_size = cases[i].answer_size, .id_size = cases[i].id_size};
        assert_int_equal(store_run(store, keep_large, &large), cases[i].result);
    }
    store_close(store);
}

/* Clients that repeat until they are answered, on a disk that fails every now and then: each operation is applied exactly once. */
static void test_once_whatever_fails(void **state)
{
    (void)state;
    enum { OPS = 120 };
    char ids[OPS][16], first[OPS][64];
    uint64_t seed = 99;
    size_t failures = 0;
    struct store *store = store_with_counter();
    memset(first, 0, sizeof first);
    for (int round = 0; round < 2000; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t dice = (uint32_t)(seed >> 33);
        int i = round < 2000 - OPS ? (int)(dice % OPS) : round - (2000 - OPS);
        snprintf(ids[i], sizeof ids[i], "op%d", i);
        struct op op = {.user = "ann", .id = ids[i], .now_ms = NOW};
        if (round < 2000 - OPS && dice / OPS % 2 == 0)
            faults_set((enum fault)(1 + dice / (2 * OPS) % (FAULT_COUNT - 1)),
                       (int)(dice / 5000 % 12));
        enum store_result result = run(store, &op);
        faults_set(FAULT_NONE, 0);
        if (result != STORE_OK) {
            failures++;
            continue;
        }
        assert_int_equal(op.is_repeated, first[i][0] != '\0');
        if (op.is_repeated)
            assert_string_equal(op.answer, first[i]);
        else
            snprintf(first[i], sizeof first[i], "%s", op.answer);
    }
    assert_true(failures > 100);
    assert_op(store, "ann", "last", NOW, false, "{\"value\":121}");
    store_close(store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_repeated), TEST(test_rolled_back), TEST(test_at_once),
        TEST(test_expiry),   TEST(test_bounds),      TEST(test_once_whatever_fails),
    };
    faults_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
