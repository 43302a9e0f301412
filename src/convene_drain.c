/*
 * The end without haste: clients are sent away one after the other, so that whoever takes them over meets no stampede, and each when
 * nothing of it is under way; then an orderly stop. Each worker does its own share on its own clock; the last one that is done stops the
 * server. A cvn_server_stop meanwhile takes over.
 */
#include "convene_server.h"

#define DRAIN_TICK_MS 20

size_t server_drain_due(size_t total, uint64_t elapsed_ms, uint32_t spread_ms)
{
    if (elapsed_ms >= spread_ms)
        return total;
    /* The first goes at once. Below 2^32 sessions the product fits. */
    return (size_t)((uint64_t)total * elapsed_ms / spread_ms) + (total > 0);
}

static bool is_draining(const struct server_worker *worker)
{
    return atomic_load(&worker->server->state) == SERVER_RUNNING;
}

/* Everybody has left, or has had all the time that there is. */
static bool is_drained(const struct server_worker *worker, uint64_t elapsed_ms)
{
    const struct cvn_server *server = worker->server;
    return eio_server_session_count(worker->sio.eio) == 0 ||
           elapsed_ms >= server->drain_ms + server->settings.shutdown_timeout_ms;
}

static void on_drain_tick(struct timer *timer)
{
    struct server_worker *worker = CONTAINER_OF(timer, struct server_worker, drain_timer);
    struct cvn_server *server = worker->server;
    uint64_t elapsed_ms = worker_now_ms(&worker->worker) - worker->drain_began_ms;
    if (!is_draining(worker))
        return;
    size_t due = server_drain_due(worker->drain_total, elapsed_ms, server->drain_ms);
    eio_server_leave(worker->sio.eio, due - worker->drain_asked);
    worker->drain_asked = due;
    if (!is_drained(worker, elapsed_ms))
        wheel_arm(&worker->worker.wheel, timer, DRAIN_TICK_MS);
    else if (atomic_fetch_sub(&server->draining_workers, 1) == 1)
        cvn_server_stop(server);
}

static void on_drain_mail(struct mail *mail, struct worker *net)
{
    struct server_worker *worker = CONTAINER_OF(mail, struct server_worker, drain_mail);
    uint32_t spread_ms = worker->server->drain_ms;
    if (!is_draining(worker))
        return;
    eio_server_refuse_new(worker->sio.eio, spread_ms / 1000 + 1);
    worker->drain_began_ms = worker_now_ms(net);
    worker->drain_total = eio_server_session_count(worker->sio.eio);
    worker->drain_timer.fire = on_drain_tick;
    wheel_arm(&net->wheel, &worker->drain_timer, 0);
}

static void on_drain_discarded(struct mail *mail)
{
    (void)mail; /* stopped already */
}

void cvn_server_drain(cvn_server *server, uint32_t spread_ms)
{
    if (server == NULL || atomic_load(&server->state) != SERVER_RUNNING ||
        atomic_exchange(&server->is_draining, true))
        return;
    server->drain_ms = spread_ms;
    atomic_store(&server->draining_workers, server->worker_count);
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct server_worker *worker = &server->workers[i];
        worker->drain_mail.deliver = on_drain_mail;
        worker->drain_mail.discard = on_drain_discarded;
        worker_post(&worker->worker, &worker->drain_mail);
    }
}
