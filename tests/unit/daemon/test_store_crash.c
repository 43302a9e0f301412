/*
 * A process that is killed in the middle of many writes: everything that it had acknowledged is there, in order, nothing is there in halves, and the next
 * process goes on from it.
 */
#include "store_rig.h"
#include <signal.h>
#include <sys/wait.h>

#define OUTSTANDING 600

static struct store *child_store;
static int acks;
static atomic_int outstanding;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fewer = PTHREAD_COND_INITIALIZER;

/* Two rows that belong together. */
static bool insert_pair(struct store_tx *tx, void *data)
{
    int64_t number = (int64_t)(intptr_t)data;
    store_bind_integer(tx, 1, number);
    if (!store_exec(tx, "INSERT INTO items (id, text) VALUES (?1, 'left')", NULL))
        return false;
    store_bind_integer(tx, 1, number);
    return store_exec(tx, "INSERT INTO parts (item) VALUES (?1)", NULL);
}

static void on_pair_done(enum store_result result, void *data)
{
    int64_t number = (int64_t)(intptr_t)data;
    if (result != STORE_OK || write(acks, &number, sizeof number) != sizeof number)
        _exit(3);
    pthread_mutex_lock(&lock);
    atomic_fetch_sub(&outstanding, 1);
    pthread_cond_signal(&fewer);
    pthread_mutex_unlock(&lock);
}

/* Writes until it is killed. */
static void child_main(int64_t first)
{
    child_store = store_open(directory);
    if (child_store == NULL || !store_migrate(child_store, items_steps, 1) ||
        !store_start(child_store, NULL))
        _exit(4);
    for (int64_t number = first;; number++) {
        pthread_mutex_lock(&lock);
        while (atomic_load(&outstanding) >= OUTSTANDING)
            pthread_cond_wait(&fewer, &lock);
        pthread_mutex_unlock(&lock);
        atomic_fetch_add(&outstanding, 1);
        if (!store_write(child_store, insert_pair, on_pair_done, (void *)(intptr_t)number))
            _exit(5);
    }
}

/* Kills the child after so many acknowledgements and returns the last of them that it got out. */
static int64_t run_and_kill(int64_t first, int64_t count)
{
    int fds[2], status;
    int64_t number = first - 1, last = first - 1;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        acks = fds[1];
        child_main(first);
    }
    close(fds[1]);
    bool is_killed = false;
    while (read(fds[0], &number, sizeof number) == sizeof number) {
        assert_int_equal(number, last + 1); /* acknowledged in the order they were asked for */
        last = number;
        if (!is_killed && last - first + 1 >= count) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            is_killed = true;
        }
    }
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return last;
}

/* (highest item, highest part, number of items, number of parts that fit) */
static bool read_numbers(struct store_tx *tx, void *data)
{
    int64_t *numbers = ((struct job *)data)->data;
    if (!store_query(tx, "SELECT (SELECT max(id) FROM items), (SELECT max(item) FROM parts),"
                         " (SELECT count(*) FROM items),"
                         " (SELECT count(*) FROM parts JOIN items ON items.id = parts.item)") ||
        !store_next(tx))
        return false;
    for (unsigned i = 0; i < 4; i++)
        numbers[i] = store_integer(tx, i);
    return true;
}

static void test_killed_in_the_middle(void **state)
{
    (void)state;
    const int64_t counts[] = {1, 50, 700, 3000, 257, 1500};
    int64_t first = 1, numbers[4], beside[4];
    directory_make();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int64_t acknowledged = run_and_kill(first, counts[i]);
        assert_true(acknowledged - first + 1 >= counts[i]);
        /* A command that only reads finds the same in what the process left behind. */
        struct job job = {.data = beside};
        struct store *store = store_open_readonly(directory);
        assert_non_null(store);
        assert_int_equal(store_run(store, read_numbers, &job), STORE_OK);
        store_close(store);
        store = store_open(directory);
        job.data = numbers;
        assert_non_null(store);
        assert_int_equal(store_run(store, read_numbers, &job), STORE_OK);
        store_close(store);
        assert_memory_equal(numbers, beside, sizeof numbers);
        assert_true(numbers[0] >= acknowledged);
        /* What was committed and not acknowledged any more is whole, too. */
        for (unsigned n = 1; n < 4; n++)
            assert_int_equal(numbers[n], numbers[0]);
        first = numbers[0] + 1;
    }
    directory_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed_in_the_middle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
