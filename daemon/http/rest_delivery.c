/*
 * How long a delivery is under way between workers. What is emitted on one worker for sockets of another waits in that one's mailbox until its next turn, so
 * once a second a message of our own takes the same way to every worker and says how long it took: a worker that is held up shows here, whoever
 * holds it up. Sent from worker 0, observed on the one it reaches.
 */
#include "access/access_rate.h"
#include "http/rest_internal.h"
#include <stdlib.h>

struct rest_probe {
    struct series *seconds;
    _Atomic int64_t sent_us; /* steady clock; 0: none is under way */
};

bool rest_delivery_add(struct rest *rest)
{
    struct metric *seconds;
    if (rest->parts.metrics == NULL)
        return true;
    unsigned workers = cvn_server_workers(rest->parts.server);
    seconds = metrics_histogram(rest->parts.metrics, "convened_delivery_lag_seconds",
                                "From an emit on one worker to the turn in which another delivers "
                                "it; measured every second.",
                                NULL, NULL, 1);
    rest->probes = calloc(workers, sizeof *rest->probes);
    if (seconds == NULL || rest->probes == NULL)
        return false;
    for (unsigned i = 0; i < workers; i++)
        rest->probes[i].seconds = metric_series(seconds, NULL, NULL, NULL);
    return true;
}

static void on_arrival(void *data)
{
    struct rest_probe *probe = data;
    int64_t lag_us = rate_now_us() - atomic_load(&probe->sent_us);
    series_observe(probe->seconds, (double)lag_us / 1e6);
    atomic_store(&probe->sent_us, 0);
}

void rest_delivery_measure(struct rest *rest)
{
    unsigned workers = rest->probes != NULL ? cvn_server_workers(rest->parts.server) : 0;
    for (unsigned i = 0; i < workers; i++) {
        struct rest_probe *probe = &rest->probes[i];
        if (atomic_load(&probe->sent_us) != 0)
            continue; /* still under way: it will say so itself */
        atomic_store(&probe->sent_us, rate_now_us());
        if (cvn_post(rest->parts.server, i, on_arrival, probe) != CVN_OK)
            atomic_store(&probe->sent_us, 0);
    }
}
