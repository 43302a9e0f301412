/*
 * What an application has on the workers' threads: functions for their beginning and their end, timers, handles on their loops.
 * Registration happens before the start; all else runs on the worker concerned.
 *
 * The end of a worker, in this order: sessions that no connection belonged to end, the application's functions are called, timers
 * that still wait are given up. From then on a timer belongs to no worker: it never starts, and may be freed at any time by any thread.
 */
#include "convene_server.h"
#include "base/mem.h"
#include <convene/timer.h>
#include <convene/uv.h>

struct cvn_timer {
    struct timer timer;
    struct list link;             /* in worker->timers */
    struct server_worker *worker; /* NULL: it has ended */
    cvn_timer_fn fn, lost;
    void *data;
};

/* --- The beginning and the end --- */

static void on_worker_start(struct worker *net)
{
    struct server_worker *worker = net->app;
    const struct worker_hooks *hooks = &worker->server->start_hooks;
    worker->runs_on = pthread_self();
    atomic_store(&worker->has_started, true);
    for (size_t i = 0; i < hooks->count; i++)
        hooks->items[i].fn(worker->server, net->index, hooks->items[i].data);
}

static void lose_timers(struct server_worker *worker)
{
    worker->has_ended = true;
    while (!list_is_empty(&worker->timers)) {
        struct cvn_timer *timer = CONTAINER_OF(worker->timers.next, struct cvn_timer, link);
        bool was_waiting = cvn_timer_is_waiting(timer);
        cvn_timer_stop(timer);
        list_remove(&timer->link);
        timer->worker = NULL;
        if (was_waiting && timer->lost != NULL)
            timer->lost(timer, timer->data); /* may free it */
    }
}

static void on_worker_stop(struct worker *net)
{
    struct server_worker *worker = net->app;
    const struct worker_hooks *hooks = &worker->server->stop_hooks;
    if (worker->sio.eio != NULL)
        eio_server_end_all(worker->sio.eio);
    for (size_t i = hooks->count; worker->has_started && i > 0; i--)
        hooks->items[i - 1].fn(worker->server, net->index, hooks->items[i - 1].data);
    lose_timers(worker);
}

void server_worker_attach(struct server_worker *worker)
{
    list_init(&worker->timers);
    worker->worker.app = worker;
    worker->worker.on_start = on_worker_start;
    worker->worker.on_stop = on_worker_stop;
}

static enum cvn_error add_hook(struct cvn_server *server, struct worker_hooks *hooks,
                               cvn_worker_fn fn, void *data)
{
    if (atomic_load(&server->state) != SERVER_NEW)
        return CVN_ERR_STATE;
    if (fn == NULL)
        return sio_server_note(&server->sio, CVN_ERR_ARGUMENT);
    struct worker_hook *items =
        mem_realloc(hooks->items, (hooks->count + 1) * sizeof *hooks->items);
    if (items == NULL)
        return sio_server_note(&server->sio, CVN_ERR_MEMORY);
    hooks->items = items;
    hooks->items[hooks->count++] = (struct worker_hook){fn, data};
    return CVN_OK;
}

enum cvn_error cvn_on_worker_start(cvn_server *server, cvn_worker_fn fn, void *data)
{
    return server != NULL ? add_hook(server, &server->start_hooks, fn, data) : CVN_ERR_ARGUMENT;
}

enum cvn_error cvn_on_worker_stop(cvn_server *server, cvn_worker_fn fn, void *data)
{
    return server != NULL ? add_hook(server, &server->stop_hooks, fn, data) : CVN_ERR_ARGUMENT;
}

void server_release_hooks(struct cvn_server *server)
{
    mem_free(server->start_hooks.items);
    mem_free(server->stop_hooks.items);
}

/* --- The calling worker --- */

/* The application's callbacks on a loop of its own are on the worker, too, and several servers may share that loop: there the thread
 * counts, not who was entered last. */
static struct server_worker *own_worker(const struct cvn_server *server)
{
    if (server->is_hosted) {
        struct server_worker *only = server->worker_count > 0 ? &server->workers[0] : NULL;
        bool is_here = only != NULL && atomic_load(&only->has_started) &&
                       pthread_equal(only->runs_on, pthread_self());
        return is_here ? only : NULL;
    }
    const struct sio_worker *worker = sio_server_own_worker(&server->sio);
    return worker != NULL ? worker->worker->app : NULL;
}

unsigned cvn_worker_index(const cvn_server *server)
{
    const struct server_worker *worker = own_worker(server);
    return worker != NULL ? worker->worker.index : CVN_NO_WORKER;
}

struct uv_loop_s *cvn_worker_loop(cvn_server *server)
{
    struct server_worker *worker = own_worker(server);
    return worker != NULL ? worker_share_loop(&worker->worker) : NULL;
}

/* --- Timers --- */

static void on_timer(struct timer *fired)
{
    struct cvn_timer *timer = CONTAINER_OF(fired, struct cvn_timer, timer);
    timer->fn(timer, timer->data); /* may free it */
}

cvn_timer *cvn_timer_new(cvn_server *server, cvn_timer_fn fn, cvn_timer_fn lost, void *data)
{
    struct server_worker *worker = own_worker(server);
    if (worker == NULL || worker->has_ended || fn == NULL)
        return NULL;
    struct cvn_timer *timer = mem_zalloc(sizeof *timer);
    if (timer == NULL)
        return NULL;
    timer->timer.fire = on_timer;
    timer->worker = worker;
    timer->fn = fn;
    timer->lost = lost;
    timer->data = data;
    list_append(&worker->timers, &timer->link);
    return timer;
}

enum cvn_error cvn_timer_start(cvn_timer *timer, uint64_t delay_ms)
{
    if (timer->worker == NULL || timer->worker->has_ended)
        return CVN_ERR_STATE;
    wheel_arm(&timer->worker->worker.wheel, &timer->timer, delay_ms);
    return CVN_OK;
}

void cvn_timer_stop(cvn_timer *timer)
{
    if (timer->worker != NULL)
        wheel_cancel(&timer->worker->worker.wheel, &timer->timer);
}

bool cvn_timer_is_waiting(const cvn_timer *timer)
{
    return timer_is_armed(&timer->timer);
}

void cvn_timer_free(cvn_timer *timer)
{
    if (timer == NULL)
        return;
    cvn_timer_stop(timer);
    list_remove(&timer->link);
    mem_free(timer);
}
