/*
 * See supervisor.h. A small loop of its own, so that signals, the watchdog and the sweep need no thread and no signal handler of ours. Main thread.
 */
#include "ops/supervisor.h"
#include "observe/clock.h"
#include "observe/log.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <uv.h>

enum { ON_TERM, ON_INT, ON_HUP, SIGNALS };

static struct supervisor {
    cvn_server *server;
    const struct supervisor_times *times;
    const struct supervisor_events *events;
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    uv_timer_t sweep, watchdog;
    uv_async_t ended, drain;
    atomic_uint running_workers;
    atomic_bool is_running;
    bool is_draining;
} supervisor;

/* --- The end --- */

static void begin_drain(void)
{
    if (supervisor.is_draining)
        return;
    supervisor.is_draining = true;
    sd_notify(0, "STOPPING=1");
    log_entry(LOG_INFO, "going down", LOG_NUMBER("drain_ms", supervisor.times->drain_ms), LOG_END);
    supervisor.events->on_drain(supervisor.events->data);
    cvn_server_drain(supervisor.server, supervisor.times->drain_ms);
}

static void on_drain(uv_async_t *async)
{
    (void)async;
    begin_drain();
}

/* On each worker's thread. */
static void on_worker_stop(cvn_server *server, unsigned index, void *data)
{
    (void)server;
    (void)index;
    (void)data;
    if (atomic_fetch_sub(&supervisor.running_workers, 1) == 1)
        uv_async_send(&supervisor.ended);
}

static void close_all(void)
{
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&supervisor.signals[i], NULL);
    uv_close((uv_handle_t *)&supervisor.sweep, NULL);
    uv_close((uv_handle_t *)&supervisor.watchdog, NULL);
    uv_close((uv_handle_t *)&supervisor.drain, NULL);
    uv_close((uv_handle_t *)&supervisor.ended, NULL);
}

static void on_ended(uv_async_t *async)
{
    (void)async;
    close_all();
}

/* --- What happens meanwhile --- */

static void reload(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_steady_us());
    supervisor.events->on_reload(supervisor.events->data);
    sd_notify(0, "READY=1");
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    if (number == SIGHUP) {
        if (!supervisor.is_draining)
            reload();
    } else if (supervisor.is_draining) {
        log_entry(LOG_WARN, "a second signal: not waiting any longer", LOG_END);
        cvn_server_hurry(supervisor.server);
    } else {
        begin_drain();
    }
}

static void on_sweep(uv_timer_t *timer)
{
    (void)timer;
    supervisor.events->on_sweep(supervisor.events->data);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    sd_notify(0, "WATCHDOG=1");
}

/* --- Life --- */

static bool open_loop(void)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    if (uv_loop_init(&supervisor.loop) != 0)
        return false;
    uv_async_init(&supervisor.loop, &supervisor.ended, on_ended);
    uv_async_init(&supervisor.loop, &supervisor.drain, on_drain);
    uv_timer_init(&supervisor.loop, &supervisor.sweep);
    uv_timer_init(&supervisor.loop, &supervisor.watchdog);
    for (int i = 0; i < SIGNALS; i++) {
        uv_signal_init(&supervisor.loop, &supervisor.signals[i]);
        uv_signal_start(&supervisor.signals[i], on_signal, numbers[i]);
    }
    uv_timer_start(&supervisor.sweep, on_sweep, supervisor.times->sweep_ms,
                   supervisor.times->sweep_ms);
    if (supervisor.times->watchdog_ms > 0)
        uv_timer_start(&supervisor.watchdog, on_watchdog, supervisor.times->watchdog_ms,
                       supervisor.times->watchdog_ms);
    return true;
}

static bool start(void)
{
    atomic_store(&supervisor.running_workers, cvn_server_workers(supervisor.server));
    enum cvn_error error = cvn_on_worker_stop(supervisor.server, on_worker_stop, NULL);
    if (error == CVN_OK)
        error = cvn_server_start(supervisor.server);
    if (error == CVN_OK)
        return true;
    log_entry(LOG_ERROR, "cannot start", LOG_TEXT("error", cvn_strerror(error)),
              LOG_TEXT("system", error == CVN_ERR_SYSTEM ? strerror(errno) : ""), LOG_END);
    return false;
}

int supervisor_run(cvn_server *server, const struct supervisor_times *times,
                   const struct supervisor_events *events)
{
    supervisor.server = server;
    supervisor.times = times;
    supervisor.events = events;
    if (!open_loop()) {
        log_entry(LOG_ERROR,
                  "no loop for signals: more descriptors (ulimit -n, LimitNOFILE) or more memory "
                  "are needed",
                  LOG_END);
        return 1;
    }
    /* Before anybody can ask for a drain. */
    atomic_store(&supervisor.is_running, true);
    bool is_started = start();
    if (is_started) {
        events->on_listening(events->data);
        sd_notifyf(0, "READY=1\nSTATUS=Listening on port %u", cvn_server_port(server));
    } else {
        atomic_store(&supervisor.is_running, false);
        close_all();
    }
    uv_run(&supervisor.loop, UV_RUN_DEFAULT);
    atomic_store(&supervisor.is_running, false);
    cvn_server_wait(server);
    uv_loop_close(&supervisor.loop);
    return is_started ? 0 : 1;
}

void supervisor_drain(void)
{
    if (atomic_load(&supervisor.is_running))
        uv_async_send(&supervisor.drain);
}
