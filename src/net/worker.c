/*
 * A worker: one thread's loop and its turns. Within a turn callbacks read, decode and queue; at the
 * turn's end (libuv's prepare phase, just before it would sleep) timers fire, deferred tasks run,
 * queued output is flushed and closed connections are freed. Flushing is sliced, so that a
 * broadcast to thousands does not starve input.
 *
 * On a shared loop other code runs between our callbacks, on the same thread. After the end of a
 * turn the worker counts as asleep: work that such code makes then wakes it up, however late in the
 * loop's turn that is.
 *
 * Invariant: nothing is freed while a callback may still hold it; conn_dispose runs here only.
 */
#include "net/net_internal.h"
#include "base/mem.h"
#include "base/log.h"

/* Rounds of tasks, flush and close before the loop looks at its input again, if they keep making work. */
#define MAX_ROUNDS 8

#define OWN_HANDLES 4 /* mailbox, prepare, idle, clock */

static _Thread_local struct worker *current_worker;

struct worker *worker_current(void)
{
    return current_worker;
}

void worker_enter(struct worker *worker)
{
    bool is_new = current_worker != worker;
    current_worker = worker;
    worker->asleep = false;
    wheel_set_now(&worker->wheel, uv_now(worker->loop));
    /* What this thread posted while it was not known to be ours comes before what it now hands over
     * directly. */
    if (is_new && !worker->owns_loop)
        mailbox_deliver(worker, UINT_MAX);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active is its whole purpose */
}

void worker_wake_up(struct worker *worker)
{
    worker->asleep = false;
    wheel_set_now(&worker->wheel, uv_now(worker->loop));
    uv_idle_start(&worker->idle, on_idle);
}

static void rouse_for_timer(struct wheel *wheel)
{
    worker_rouse(CONTAINER_OF(wheel, struct worker, wheel));
}

uv_loop_t *worker_share_loop(struct worker *worker)
{
    worker->is_shared = true;
    worker->wheel.before_arm = rouse_for_timer;
    return worker->loop;
}

void worker_defer(struct worker *worker, struct worker_task *task)
{
    if (list_is_linked(&task->link))
        return;
    worker_rouse(worker);
    list_append(&worker->tasks, &task->link);
}

static void run_tasks(struct worker *worker)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &worker->tasks);
    while (!list_is_empty(&batch)) {
        struct worker_task *task = CONTAINER_OF(batch.next, struct worker_task, link);
        list_remove(&task->link);
        task->run(task);
    }
}

static void flush_slice(struct worker *worker)
{
    for (int i = 0; i < WORKER_FLUSH_SLICE && !list_is_empty(&worker->dirty); i++) {
        struct conn *conn = CONTAINER_OF(worker->dirty.next, struct conn, dirty_link);
        list_remove(&conn->dirty_link);
        conn_flush(conn);
    }
}

static void dispose_closed(struct worker *worker)
{
    while (!list_is_empty(&worker->closing)) {
        struct conn *conn = CONTAINER_OF(worker->closing.next, struct conn, dirty_link);
        list_remove(&conn->dirty_link);
        conn_dispose(conn);
    }
}

static bool has_work(const struct worker *worker)
{
    return !list_is_empty(&worker->tasks) || !list_is_empty(&worker->dirty) ||
           !list_is_empty(&worker->closing);
}

static void on_clock(uv_timer_t *clock)
{
    struct worker *worker = clock->data;
    worker->clock_due_ms = WHEEL_NEVER; /* the prepare phase of this turn advances the wheel */
}

static void arm_clock(struct worker *worker)
{
    uint64_t due_ms = wheel_next_ms(&worker->wheel);
    if (due_ms == worker->clock_due_ms)
        return;
    /* An alarm that is too early only costs a turn; re-arming costs every turn. */
    if (worker->clock_due_ms != WHEEL_NEVER && worker->clock_due_ms < due_ms)
        return;
    worker->clock_due_ms = due_ms;
    if (due_ms == WHEEL_NEVER) {
        uv_timer_stop(&worker->clock);
        return;
    }
    uint64_t now_ms = uv_now(worker->loop);
    uv_timer_start(&worker->clock, on_clock, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* The end of a turn. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct worker *worker = prepare->data;
    worker_enter(worker);
    if (worker->on_start != NULL) {
        void (*on_start)(struct worker *) = worker->on_start;
        worker->on_start = NULL;
        on_start(worker);
    }
    wheel_advance(&worker->wheel, uv_now(worker->loop));
    for (int round = 0; round < MAX_ROUNDS && has_work(worker); round++) {
        run_tasks(worker);
        flush_slice(worker);
        dispose_closed(worker);
        if (!list_is_empty(&worker->dirty))
            break;
    }
    if (has_work(worker))
        uv_idle_start(&worker->idle, on_idle);
    else
        uv_idle_stop(&worker->idle);
    if (worker->stopping)
        return;
    arm_clock(worker);
    worker->asleep = worker->is_shared;
}

enum cvn_error worker_open(struct worker *worker)
{
    if (mailbox_init(&worker->mailbox, worker) != 0)
        return CVN_ERR_SYSTEM;
    /* These cannot fail. */
    uv_prepare_init(worker->loop, &worker->prepare);
    uv_idle_init(worker->loop, &worker->idle);
    uv_timer_init(worker->loop, &worker->clock);
    worker->prepare.data = worker->idle.data = worker->clock.data = worker;
    uv_prepare_start(&worker->prepare, on_prepare);
    worker->handles += OWN_HANDLES;
    worker->is_open = true;
    return CVN_OK;
}

enum cvn_error worker_init(struct worker *worker, unsigned index, uv_loop_t *loop)
{
    enum cvn_error error = CVN_ERR_MEMORY;
    memset(worker, 0, sizeof *worker);
    worker->index = index;
    worker->clock_due_ms = WHEEL_NEVER;
    list_init(&worker->conns);
    list_init(&worker->dirty);
    list_init(&worker->closing);
    list_init(&worker->tasks);
    worker->read_buffer = mem_alloc(WORKER_READ_BUFFER);
    worker->write_buffer = mem_alloc(WORKER_WRITE_BUFFER);
    if (worker->read_buffer == NULL || worker->write_buffer == NULL)
        goto fail;
    worker->loop = loop;
    if (loop == NULL) {
        error = CVN_ERR_SYSTEM;
        if (uv_loop_init(&worker->own_loop) != 0)
            goto fail;
        worker->loop = &worker->own_loop;
        worker->owns_loop = true;
    }
    wheel_init(&worker->wheel, uv_now(worker->loop));
    if (loop != NULL) {
        worker_share_loop(worker);
        return CVN_OK;
    }
    error = worker_open(worker);
    if (error == CVN_OK)
        return CVN_OK;

fail:
    if (worker->owns_loop)
        uv_loop_close(&worker->own_loop);
    mem_free(worker->read_buffer);
    mem_free(worker->write_buffer);
    memset(worker, 0, sizeof *worker);
    return error;
}

void worker_run(struct worker *worker)
{
    current_worker = worker;
    uv_run(worker->loop, UV_RUN_DEFAULT);
    current_worker = NULL;
}

void worker_stop(struct worker *worker)
{
    atomic_store(&worker->stop_asked, true);
    uv_async_send(&worker->mailbox.wake);
}

static void on_own_closed(uv_handle_t *handle)
{
    worker_handle_closed(handle->data);
}

static void run_dry(struct worker *worker)
{
    while (has_work(worker)) {
        run_tasks(worker);
        flush_slice(worker);
        dispose_closed(worker);
    }
}

void worker_on_stop(struct worker *worker)
{
    if (worker->stopping)
        return;
    LIST_FOR_EACH (node, &worker->conns)
        conn_close(CONTAINER_OF(node, struct conn, link), CONN_SHUTDOWN);
    /* Closing connections may make work, never new connections: run it dry before the handles go. */
    run_dry(worker);
    if (worker->on_stop != NULL) {
        struct worker *before = current_worker;
        current_worker = worker;
        worker->on_stop(worker);
        run_dry(worker);
        current_worker = before;
    }
    worker->stopping = true;
    worker->asleep = false; /* for good */
    mailbox_close(&worker->mailbox);
    if (current_worker == worker && !worker->owns_loop)
        current_worker = NULL;
    if (!worker->is_open)
        return;
    uv_close((uv_handle_t *)&worker->mailbox.wake, on_own_closed);
    uv_close((uv_handle_t *)&worker->prepare, on_own_closed);
    uv_close((uv_handle_t *)&worker->idle, on_own_closed);
    uv_close((uv_handle_t *)&worker->clock, on_own_closed);
}

void worker_handle_closed(struct worker *worker)
{
    worker->handles--;
    if (worker->handles == 0 && worker->stopping && worker->on_closed != NULL)
        worker->on_closed(worker);
}

void worker_release(struct worker *worker)
{
    if (worker->loop == NULL)
        return;
    if (!worker->stopping) { /* never ran */
        worker_on_stop(worker);
        if (worker->owns_loop)
            uv_run(worker->loop, UV_RUN_DEFAULT);
    }
    if (worker->owns_loop && uv_loop_close(&worker->own_loop) != 0)
        log_write(LOG_ERROR, "worker %u: its loop still has open handles", worker->index);
    mem_free(worker->read_buffer);
    mem_free(worker->write_buffer);
    worker->loop = NULL;
}
