/*
 * One thread's world: a libuv loop, a clock read once a turn, a timer wheel, the connections, and
 * the end-of-turn work: flush every connection that has output, then free what was closed.
 *
 * The loop is the worker's own or the caller's. On the caller's, and on one that was handed out to
 * the application, other code runs between our callbacks and may make work (send, close, arm a
 * timer) at any point of a turn: worker_rouse sees to it that the loop does not go to sleep on it,
 * and that the clock is right.
 *
 * Everything here belongs to the worker's own thread, but for worker_post and worker_stop.
 */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include <uv.h>
#include "base/counter.h"
#include "base/list.h"
#include "base/wheel.h"
#include "base/slice.h"
#include "net/mailbox.h"

#define WORKER_READ_BUFFER  65536 /* bytes read from one connection at a time */
#define WORKER_WRITE_BUFFER 65536 /* bytes joined into one send */
#define WORKER_MAX          128   /* workers of one server */

/* Work for the end of the current turn, embedded in whatever it works on; zeroed when not waiting. */
struct worker_task {
    struct list link;
    void (*run)(struct worker_task *task); /* the task may be freed or deferred again inside */
};

struct worker {
    unsigned index; /* 0.. */
    uv_loop_t *loop;
    struct wheel wheel;
    struct mailbox mailbox;
    char *read_buffer;   /* shared by all connections: contents last until the callback returns */
    char *write_buffer;  /* joins small messages before a send */
    struct list conns;   /* every connection */
    struct list dirty;   /* connections with output to flush this turn */
    struct list closing; /* connections to be closed at the end of this turn */
    struct list tasks;   /* worker_defer */
    size_t conn_count;
    struct counter queued; /* bytes that peers do not take; read by any thread */
    void *app;             /* of the layer above */

    uv_loop_t own_loop;
    bool owns_loop;
    uv_prepare_t prepare; /* end of turn: timers, tasks, flush, close */
    uv_idle_t idle;       /* active while work is left over, so that the loop does not sleep */
    uv_timer_t clock;     /* wakes the loop for the wheel */
    uint64_t clock_due_ms;
    atomic_bool stop_asked;
    bool stopping;
    bool is_open;   /* its handles are on the loop */
    bool is_shared; /* others have handles on the loop: it is the caller's, or was handed out */
    /* A shared loop may be about to sleep, and the clock stands where it stood before. */
    bool asleep;
    unsigned handles; /* on the loop: its own, the listeners' and the connections' */
    void (*on_closed)(struct worker *worker); /* the last of them has gone; may free the worker */
    /* On its thread, before anything else happens there; NULL once it was called. */
    void (*on_start)(struct worker *worker);
    /* Its connections have gone, its loop goes next; also when on_start was never called, and then
     * maybe on another thread. */
    void (*on_stop)(struct worker *worker);
};

/* On a loop of its own when `loop` is NULL. Else on the caller's, which is left alone before
 * worker_open, so that what may fail can be done between. CVN_ERR_MEMORY, CVN_ERR_SYSTEM. */
enum cvn_error worker_init(struct worker *worker, unsigned index, uv_loop_t *loop);
/* Puts the worker's handles on the caller's loop, where it lives until worker->on_closed.
 * CVN_ERR_SYSTEM. */
enum cvn_error worker_open(struct worker *worker);
/* The loop, for handles of others; on the worker's thread. */
uv_loop_t *worker_share_loop(struct worker *worker);
/* Runs an own loop until worker_stop has been called, every connection has gone and others have
 * closed their handles. */
void worker_run(struct worker *worker);
/* Asks the worker to close its connections and end; any thread, at most once. */
void worker_stop(struct worker *worker);
/* The same at once; on the worker's thread, and not from a callback of a connection. */
void worker_on_stop(struct worker *worker);
/* Frees; after worker_run has returned (or before it was called), or when a caller's loop has no
 * handle of it. */
void worker_release(struct worker *worker);

/* Runs `task` at the end of this turn, before output is flushed. Does nothing when it waits already. */
void worker_defer(struct worker *worker, struct worker_task *task);
static inline void worker_task_cancel(struct worker_task *task)
{
    list_remove(&task->link);
}

/* First thing in every callback from libuv: makes the clock current and this worker the thread's current one. */
void worker_enter(struct worker *worker);

void worker_wake_up(struct worker *worker);
/* Before work is queued: from others' code on a shared loop nothing else would tell the loop. */
static inline void worker_rouse(struct worker *worker)
{
    if (worker->asleep)
        worker_wake_up(worker);
}

/* In the close callback of a handle that was counted in worker->handles. */
void worker_handle_closed(struct worker *worker);

/* Hands `mail` to the worker; any thread. */
void worker_post(struct worker *worker, struct mail *mail);

/* The worker whose loop the calling thread is running, or NULL. */
struct worker *worker_current(void);

/* Milliseconds, monotonic, read once a turn. */
static inline uint64_t worker_now_ms(const struct worker *worker)
{
    return worker->wheel.now_ms;
}

#endif
