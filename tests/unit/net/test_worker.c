/* A worker's turns: timers, deferred tasks, mail from other threads in order, and what stopping does to all of them. */
#include <pthread.h>
#include "rig.h"

#define POSTERS 4
#define LETTERS 5000 /* of each */

struct letter {
    struct mail mail;
    unsigned poster, number;
    struct inbox *inbox;
};

struct inbox {
    unsigned next[POSTERS];
    unsigned delivered, discarded;
    struct worker *worker;
    struct letter *letters;
};

static void on_letter(struct mail *mail, struct worker *worker)
{
    struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
    struct inbox *inbox = letter->inbox;
    assert_ptr_equal(worker, inbox->worker);
    assert_ptr_equal(worker, worker_current());
    assert_int_equal(letter->number, inbox->next[letter->poster]);
    inbox->next[letter->poster]++;
    inbox->delivered++;
}

static void on_letter_discarded(struct mail *mail)
{
    CONTAINER_OF(mail, struct letter, mail)->inbox->discarded++;
}

struct poster {
    pthread_t thread;
    unsigned index;
    struct inbox *inbox;
};

static void *post_all(void *data)
{
    const struct poster *poster = data;
    struct inbox *inbox = poster->inbox;
    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *letter = &inbox->letters[poster->index * LETTERS + i];
        *letter = (struct letter){.mail = {.deliver = on_letter, .discard = on_letter_discarded},
                                  .poster = poster->index,
                                  .number = i,
                                  .inbox = inbox};
        worker_post(inbox->worker, &letter->mail);
    }
    return NULL;
}

static void test_mail_keeps_each_posters_order(void **state)
{
    struct rig rig;
    struct poster posters[POSTERS];
    (void)state;
    rig_start(&rig);
    struct inbox inbox = {.worker = &rig.worker};
    inbox.letters = calloc((size_t)POSTERS * LETTERS, sizeof *inbox.letters);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.index = i, .inbox = &inbox};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    UNTIL(&rig, inbox.delivered == POSTERS * LETTERS);
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    rig_end(&rig);
    assert_int_equal(inbox.discarded, 0);
    free(inbox.letters);
}

/* Whoever posts without end does not keep the worker from its other work; what is left at its end is discarded. */
static void test_much_mail_takes_several_turns(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig);
    struct inbox inbox = {.worker = &rig.worker};
    inbox.letters = calloc((size_t)2 * LETTERS, sizeof *inbox.letters);
    assert_non_null(inbox.letters);
    struct poster poster = {.index = 0, .inbox = &inbox};
    post_all(&poster);
    rig_turns(&rig, 1);
    assert_true(inbox.delivered > 0);
    unsigned a_turn = inbox.delivered;
    assert_true(a_turn < LETTERS / 2);
    poster.index = 1;
    post_all(&poster); /* behind the first, not between */
    rig_turns(&rig, 1);
    assert_int_equal(inbox.delivered, 2 * a_turn);
    assert_int_equal(inbox.next[1], 0);
    rig_end(&rig);
    assert_int_equal(inbox.delivered + inbox.discarded, 2 * LETTERS);
    assert_true(inbox.discarded > 0);
    free(inbox.letters);
}

static void test_mail_after_the_end_is_discarded(void **state)
{
    struct rig rig;
    struct inbox inbox = {0};
    struct letter early = {.mail = {.deliver = on_letter, .discard = on_letter_discarded}};
    struct letter late = early;
    (void)state;
    rig_start(&rig);
    inbox.worker = &rig.worker;
    early.inbox = late.inbox = &inbox;
    worker_on_stop(&rig.worker);
    worker_post(&rig.worker, &early.mail);
    assert_int_equal(inbox.discarded, 1);
    uv_close((uv_handle_t *)&rig.deadline, NULL);
    worker_run(&rig.worker);
    worker_post(&rig.worker, &late.mail);
    assert_int_equal(inbox.discarded, 2);
    worker_release(&rig.worker);
    assert_int_equal(inbox.delivered, 0);
}

struct job {
    struct worker_task task;
    struct worker *worker;
    int runs, again;
};

static void on_job(struct worker_task *task)
{
    struct job *job = CONTAINER_OF(task, struct job, task);
    job->runs++;
    if (job->again-- > 0)
        worker_defer(job->worker, task);
}

static void test_deferred_tasks(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig);
    struct job once = {.task.run = on_job, .worker = &rig.worker};
    struct job often = {.task.run = on_job, .worker = &rig.worker, .again = 100};
    struct job never = {.task.run = on_job, .worker = &rig.worker};
    worker_defer(&rig.worker, &once.task);
    worker_defer(&rig.worker, &once.task); /* waits already */
    worker_defer(&rig.worker, &often.task);
    worker_defer(&rig.worker, &never.task);
    worker_task_cancel(&never.task);
    UNTIL(&rig, often.runs == 101);
    assert_int_equal(once.runs, 1);
    assert_int_equal(never.runs, 0);
    worker_defer(&rig.worker, &never.task);
    rig_end(&rig); /* what waits still runs */
    assert_int_equal(never.runs, 1);
}

struct alarm {
    struct timer timer;
    int fired;
};

static void on_alarm(struct timer *timer)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    alarm->fired++;
    uv_stop(worker_current()->loop); /* so that the turn does not go to sleep after this */
}

static void test_the_loop_wakes_for_timers(void **state)
{
    struct rig rig;
    struct alarm soon = {.timer.fire = on_alarm}, far = {.timer.fire = on_alarm};
    (void)state;
    rig_start(&rig);
    wheel_arm(&rig.worker.wheel, &far.timer, 86400000);
    wheel_arm(&rig.worker.wheel, &soon.timer, 5); /* earlier than the alarm that is set already */
    while (soon.fired == 0)
        uv_run(rig.worker.loop,
               UV_RUN_ONCE); /* sleeps: nothing but the wheel's own alarm wakes it */
    assert_int_equal(far.fired, 0);
    wheel_advance(&rig.worker.wheel, worker_now_ms(&rig.worker) + 86400000);
    assert_int_equal(far.fired, 1);
    rig_end(&rig);
}

static void test_own_thread(void **state)
{
    struct worker worker;
    (void)state;
    assert_null(worker_current());
    assert_int_equal(worker_init(&worker, 3, NULL), CVN_OK);
    assert_int_equal(worker.index, 3);
    worker_release(&worker); /* never ran */
    assert_int_equal(worker_init(&worker, 0, NULL), CVN_OK);
    worker_stop(&worker); /* before it runs */
    worker_run(&worker);
    assert_null(worker_current());
    worker_release(&worker);
}

static void test_memory_runs_out(void **state)
{
    struct worker worker;
    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        mem_fail_after(i, 1);
        assert_int_equal(worker_init(&worker, 0, NULL), CVN_ERR_MEMORY);
        mem_fail_after(0, 0);
    }
}

/* --- On a loop of the caller's --- */

struct host {
    uv_loop_t loop;
    uv_prepare_t late; /* runs after the worker's own, as it was started before */
    struct worker worker;
    void (*work)(struct host *host); /* once, in `late` */
    struct alarm alarm;
    struct job job;
    struct ear ear;
    unsigned closed, turns;
};

static void on_late(uv_prepare_t *late)
{
    struct host *host = late->data;
    void (*work)(struct host * host) = host->work;
    host->turns++;
    host->work = NULL;
    if (work != NULL)
        work(host);
}

static void on_host_closed(struct worker *worker)
{
    CONTAINER_OF(worker, struct host, worker)->closed++;
}

static void host_start(struct host *host)
{
    memset(host, 0, sizeof *host);
    assert_int_equal(uv_loop_init(&host->loop), 0);
    uv_prepare_init(&host->loop, &host->late);
    uv_prepare_start(&host->late, on_late);
    uv_unref((uv_handle_t *)&host->late);
    host->late.data = host;
    assert_int_equal(worker_init(&host->worker, 0, &host->loop), CVN_OK);
    assert_false(uv_loop_alive(&host->loop)); /* nothing before it is opened */
    assert_int_equal(worker_open(&host->worker), CVN_OK);
    host->worker.on_closed = on_host_closed;
}

static void host_end(struct host *host)
{
    worker_stop(&host->worker);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    assert_int_equal(host->closed, 1);
    assert_int_equal(host->worker.handles, 0);
    assert_null(worker_current());
    worker_release(&host->worker);
    uv_close((uv_handle_t *)&host->late, NULL);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&host->loop), 0);
}

static void work_send(struct host *host)
{
    assert_true(conn_write(host->ear.conn, SLICE("late")));
}

static void work_close(struct host *host)
{
    conn_close(host->ear.conn, CONN_LOCAL_CLOSE);
}

static void work_defer(struct host *host)
{
    worker_defer(&host->worker, &host->job.task);
}

static void work_arm(struct host *host)
{
    wheel_arm(&host->worker.wheel, &host->alarm.timer, 0);
}

/* The worker's end of turn is over, and the loop goes to sleep without a limit unless it is told:
 * each of these would hang. */
static void test_work_that_comes_late_in_a_turn(void **state)
{
    struct host host;
    int peer;
    char got[8];
    (void)state;
    host_start(&host);
    ear_open_on(&host.worker, &host.ear, &wide_limits, SOCK_STREAM, &peer);
    host.alarm.timer.fire = on_alarm;
    host.job = (struct job){.task.run = on_job, .worker = &host.worker};
    uv_run(&host.loop, UV_RUN_NOWAIT);

    host.work = work_send;
    while (recv(peer, got, sizeof got, 0) != 4)
        uv_run(&host.loop, UV_RUN_ONCE);
    host.work = work_defer;
    while (host.job.runs == 0)
        uv_run(&host.loop, UV_RUN_ONCE);
    host.work = work_arm;
    while (host.alarm.fired == 0)
        uv_run(&host.loop, UV_RUN_ONCE);
    host.work = work_close;
    while (host.ear.conn != NULL)
        uv_run(&host.loop, UV_RUN_ONCE);
    close(peer);
    host_end(&host);
    ear_free(&host.ear);
}

/* Delays count from when the caller's code arms them, not from when the loop went to sleep. */
static void test_the_clock_of_a_callers_loop(void **state)
{
    struct host host;
    struct alarm alarm = {.timer.fire = on_alarm};
    (void)state;
    host_start(&host);
    uv_run(&host.loop, UV_RUN_NOWAIT);
    uint64_t before_ms = worker_now_ms(&host.worker);
    do
        uv_update_time(&host.loop);
    while (uv_now(&host.loop) < before_ms + 3);
    assert_int_equal(worker_now_ms(&host.worker), before_ms);
    wheel_arm(&host.worker.wheel, &alarm.timer, 10);
    assert_int_equal(alarm.timer.due_ms, uv_now(&host.loop) + 10);
    wheel_cancel(&host.worker.wheel, &alarm.timer);
    host_end(&host);
}

/* The same on an own loop that was handed out. */
static void test_the_clock_of_a_shared_loop(void **state)
{
    struct rig rig;
    struct alarm alarm = {.timer.fire = on_alarm};
    (void)state;
    rig_start(&rig);
    uv_loop_t *loop = worker_share_loop(&rig.worker);
    uv_run(loop, UV_RUN_NOWAIT);
    uint64_t before_ms = worker_now_ms(&rig.worker);
    do
        uv_update_time(loop);
    while (uv_now(loop) < before_ms + 3);
    wheel_arm(&rig.worker.wheel, &alarm.timer, 10);
    assert_int_equal(alarm.timer.due_ms, uv_now(loop) + 10);
    wheel_cancel(&rig.worker.wheel, &alarm.timer);
    rig_end(&rig);
}

static void count_start(struct worker *worker)
{
    ++*(int *)worker->app;
}

static void count_stop(struct worker *worker)
{
    assert_ptr_equal(worker_current(), worker);
    assert_int_equal(worker->conn_count, 0);
    *(int *)worker->app += 100;
}

static void test_beginning_and_end(void **state)
{
    struct rig rig;
    struct ear ear;
    int peer, told = 0;
    (void)state;
    rig_start(&rig);
    rig.worker.app = &told;
    rig.worker.on_start = count_start;
    rig.worker.on_stop = count_stop;
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    assert_int_equal(told, 0);
    rig_turns(&rig, 3);
    assert_int_equal(told, 1);
    rig_end(&rig);
    assert_int_equal(told, 101);
    assert_int_equal(ear.closes, 1);
    close(peer);
    ear_free(&ear);
}

/* A thread that runs two workers posts to the one that is not its current one; that mail must not
 * be overtaken. */
static void test_mail_is_delivered_before_direct_calls(void **state)
{
    struct host host;
    (void)state;
    host_start(&host);
    struct inbox inbox = {.worker = &host.worker};
    struct letter letter = {.mail = {.deliver = on_letter, .discard = on_letter_discarded},
                            .inbox = &inbox};
    assert_null(worker_current());
    worker_post(&host.worker, &letter.mail);
    worker_enter(&host.worker);
    assert_ptr_equal(worker_current(), &host.worker);
    assert_int_equal(inbox.delivered, 1);
    host_end(&host);
}

static void test_a_callers_loop_without_the_worker(void **state)
{
    uv_loop_t loop;
    struct worker worker;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(worker_init(&worker, 0, &loop), CVN_OK);
    worker_release(&worker); /* never opened: the loop knows nothing of it */
    assert_false(uv_loop_alive(&loop));
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* --- Connections that change worker --- */

struct second {
    struct worker worker;
    pthread_t thread;
};

static void *run_second(void *data)
{
    worker_run(data);
    return NULL;
}

static void second_start(struct second *second)
{
    assert_int_equal(worker_init(&second->worker, 1, NULL), CVN_OK);
    assert_int_equal(pthread_create(&second->thread, NULL, run_second, &second->worker), 0);
}

static void second_end(struct second *second)
{
    worker_stop(&second->worker);
    pthread_join(second->thread, NULL);
    worker_release(&second->worker);
}

static void on_arrived(struct conn *conn)
{
    conn_write(conn, SLICE("arrived "));
}

static void echo(struct ear *ear, const char *data, size_t size)
{
    assert_int_equal(conn_worker(ear->conn)->index, 1);
    assert_true(conn_write(ear->conn, slice_of(data, size)));
}

/* Blocks until the peer has got `text`. */
static void expect_at(int peer, const char *text)
{
    char got[64];
    size_t size = 0;
    fcntl(peer, F_SETFL, fcntl(peer, F_GETFL) & ~O_NONBLOCK);
    while (size < strlen(text)) {
        ssize_t part = recv(peer, got + size, strlen(text) - size, 0);
        assert_true(part > 0);
        size += (size_t)part;
    }
    assert_memory_equal(got, text, strlen(text));
}

static void test_move(void **state)
{
    struct rig rig;
    struct second second;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    second_start(&second);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    ear.also_on_data = echo;
    assert_true(conn_write(ear.conn, SLICE("queued "))); /* moves along */
    conn_move(ear.conn, &second.worker, on_arrived);
    assert_int_equal(write(peer, "meanwhile", 9), 9);
    UNTIL(&rig, rig.worker.conn_count == 0);
    rig_turns(&rig, 3); /* lets the handle go, and the mail with it */
    expect_at(peer, "queued arrived meanwhile");
    second_end(&second);
    assert_int_equal(ear.closes, 1);
    assert_int_equal(ear.reason, CONN_SHUTDOWN);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_move_to_a_worker_that_has_stopped(void **state)
{
    struct rig rig;
    struct second second;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    second_start(&second);
    worker_stop(&second.worker);
    pthread_join(second.thread, NULL);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    conn_move(ear.conn, &second.worker, on_arrived);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_SHUTDOWN);
    assert_int_equal(ear.closes, 1);
    worker_release(&second.worker);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

static void test_move_without_memory(void **state)
{
    struct rig rig;
    struct ear ear;
    int peer;
    (void)state;
    rig_start(&rig);
    ear_open(&rig, &ear, &wide_limits, SOCK_STREAM, &peer);
    mem_fail_after(0, 1);
    conn_move(ear.conn, &rig.worker, on_arrived);
    mem_fail_after(0, 0);
    UNTIL(&rig, ear.conn == NULL);
    assert_int_equal(ear.reason, CONN_NO_MEMORY);
    close(peer);
    rig_end(&rig);
    ear_free(&ear);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_keeps_each_posters_order),
        cmocka_unit_test(test_much_mail_takes_several_turns),
        cmocka_unit_test(test_mail_after_the_end_is_discarded),
        cmocka_unit_test(test_deferred_tasks),
        cmocka_unit_test(test_the_loop_wakes_for_timers),
        cmocka_unit_test(test_own_thread),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_work_that_comes_late_in_a_turn),
        cmocka_unit_test(test_the_clock_of_a_callers_loop),
        cmocka_unit_test(test_the_clock_of_a_shared_loop),
        cmocka_unit_test(test_beginning_and_end),
        cmocka_unit_test(test_mail_is_delivered_before_direct_calls),
        cmocka_unit_test(test_a_callers_loop_without_the_worker),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_move_to_a_worker_that_has_stopped),
        cmocka_unit_test(test_move_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
