/*
 * Threads, listeners and the end of a conformance server. The main thread only waits for a signal; every worker has a thread, and
 * all of them listen on one port, between which the kernel spreads the connections.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "conformance.h"
#include "net/listener.h"

struct lane { /* a worker with its thread and its listener */
    struct worker worker;
    struct listener *listener;
    struct mail stop; /* delivered to the worker when all is over */
    pthread_t thread;
};

struct server {
    const struct conformance_service *service;
    struct lane lanes[WORKER_MAX];
    struct worker *pointers[WORKER_MAX];
    unsigned prepared, started; /* workers that were */
};

static void on_accept(struct conn *conn, void *app)
{
    static const struct http_limits limits; /* the defaults */
    struct server *server = app;
    /* Out of memory: the connection is closed already. */
    (void)http_conn_start(conn, server->service->events, &limits, conn_worker(conn));
}

static bool listen_on(struct server *server, unsigned index, uint16_t *port)
{
    struct listener_options options = {.host = "127.0.0.1",
                                       .port = *port,
                                       .backlog = 1024,
                                       .limits = server->service->limits,
                                       .on_accept = on_accept,
                                       .app = server};
    struct lane *lane = &server->lanes[index];
    if (listener_open(&lane->worker, &options, &lane->listener) != CVN_OK) {
        fprintf(stderr, "cannot listen on 127.0.0.1:%u\n", *port);
        return false;
    }
    *port = listener_port(lane->listener);
    return true;
}

static bool prepare(struct server *server, uint16_t *port, unsigned count)
{
    const struct conformance_service *service = server->service;
    for (unsigned i = 0; i < count; i++)
        server->pointers[i] = &server->lanes[i].worker;
    for (unsigned i = 0; i < count; i++) {
        if (worker_init(&server->lanes[i].worker, i, NULL) != CVN_OK)
            return false;
        server->prepared = i + 1;
        if (service->start != NULL &&
            !service->start(&server->lanes[i].worker, server->pointers, count))
            return false;
        if (!listen_on(server, i, port))
            return false;
    }
    return true;
}

/* On the worker: handles may only be closed there. */
static void on_stop(struct mail *mail, struct worker *worker)
{
    struct lane *lane = CONTAINER_OF(mail, struct lane, stop);
    listener_close(lane->listener);
    lane->listener = NULL;
    worker_stop(worker);
}

static void on_stop_discarded(struct mail *mail)
{
    (void)mail; /* it has stopped already */
}

static void *run_worker(void *worker)
{
    worker_run(worker);
    return NULL;
}

static void wait_for_signal(const sigset_t *signals)
{
    int number;
    while (sigwait(signals, &number) != 0)
        ;
}

static bool run(struct server *server)
{
    sigset_t signals;
    bool is_running = true;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* the threads inherit it */
    for (unsigned i = 0; i < server->prepared && is_running; i++) {
        is_running = pthread_create(&server->lanes[i].thread, NULL, run_worker,
                                    &server->lanes[i].worker) == 0;
        server->started += is_running;
    }
    if (is_running) {
        printf("listening on 127.0.0.1:%u\n", listener_port(server->lanes[0].listener));
        fflush(stdout);
        wait_for_signal(&signals);
    }
    for (unsigned i = 0; i < server->started; i++) {
        struct lane *lane = &server->lanes[i];
        lane->stop = (struct mail){.deliver = on_stop, .discard = on_stop_discarded};
        worker_post(&lane->worker, &lane->stop);
    }
    for (unsigned i = 0; i < server->started; i++)
        pthread_join(server->lanes[i].thread, NULL);
    return is_running;
}

int conformance_serve(const struct conformance_service *service, uint16_t port, unsigned workers)
{
    if (workers == 0 || workers > WORKER_MAX) {
        fprintf(stderr, "workers: 1 to %d\n", WORKER_MAX);
        return 2;
    }
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return 1;
    server->service = service;
    bool is_good = prepare(server, &port, workers) && run(server);
    for (unsigned i = 0; i < server->prepared; i++) {
        listener_close(server->lanes[i].listener); /* of one that never ran */
        if (service->stop != NULL)
            service->stop(&server->lanes[i].worker);
        worker_release(&server->lanes[i].worker);
    }
    free(server);
    return is_good ? 0 : 1;
}
