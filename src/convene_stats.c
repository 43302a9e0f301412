/*
 * A server's numbers, added up when somebody asks: each worker counts for itself, with plain additions, and any thread reads. Namespaces
 * count events; those of children that have gone are kept by their registry, so that no sum ever falls.
 */
#include "convene_server.h"

_Static_assert(CVN_REFUSALS == EIO_CODES && (int)CVN_REFUSED_UNDECIDED == EIO_CODES - 1,
               "refusals are those of Engine.IO");
_Static_assert(CVN_CLOSE_REASONS == EIO_REASONS &&
                   (int)CVN_CLOSED_SLOW_CONSUMER == (int)EIO_SLOW_CONSUMER &&
                   (int)CVN_CLOSED_FORCED_SERVER_CLOSE == EIO_REASONS - 1,
               "reasons are those of Engine.IO");

const char *cvn_refusal_text(enum cvn_refusal refusal)
{
    return eio_code_text((enum eio_code)refusal);
}

const char *cvn_close_reason_text(enum cvn_close_reason reason)
{
    return eio_reason_text((enum eio_reason)reason);
}

static void add_engine(const struct eio_counters *counters, cvn_stats *sum)
{
    sum->upgrades += counter_get(&counters->upgrades);
    sum->upgrades_failed += counter_get(&counters->upgrades_failed);
    for (int i = 0; i < CVN_REFUSALS; i++)
        sum->refused[i] += counter_get(&counters->refused[i]);
    for (int i = 0; i < CVN_CLOSE_REASONS; i++)
        sum->closed[i] += counter_get(&counters->closed[i]);
}

static void add_worker(const struct server_worker *worker, cvn_stats *sum)
{
    const struct sio_worker *sio = &worker->sio;
    sum->connections += atomic_load_explicit(&sio->connections, memory_order_relaxed);
    sum->polling += atomic_load_explicit(&sio->polling, memory_order_relaxed);
    sum->sockets += atomic_load_explicit(&sio->sockets, memory_order_relaxed);
    sum->connections_total += atomic_load_explicit(&sio->connections_total, memory_order_relaxed);
    sum->recovered += counter_get(&sio->recovered);
    sum->queued += counter_get(&worker->worker.queued);
    add_engine(&worker->counters, sum);
}

void cvn_server_stats(const cvn_server *server, cvn_stats *ret)
{
    cvn_namespace_counters events = {0};
    *ret = (cvn_stats){0};
    for (unsigned i = 0; i < server->worker_count; i++)
        add_worker(&server->workers[i], ret);
    /* Read one after the other, while sessions come and go. */
    ret->websocket = ret->connections > ret->polling ? ret->connections - ret->polling : 0;
    sio_server_count(&server->sio, &events);
    ret->turned_away = events.refused;
    ret->events_in = events.events_in;
    ret->bytes_in = events.bytes_in;
    ret->bytes_out = events.bytes_out;
    ret->events_out = events.events_out;
    ret->dropped = events.dropped;
    ret->conflated = events.conflated;
}
