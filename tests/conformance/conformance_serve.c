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

struct server {
    const struct conformance_service *service;
    struct worker workers[WORKER_MAX];
    struct worker *pointers[WORKER_MAX];
    struct listener *listeners[WORKER_MAX];
    pthread_t threads[WORKER_MAX];
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
    if (listener_open(&server->workers[index], &options, &server->listeners[index]) != CVN_OK) {
        fprintf(stderr, "cannot listen on 127.0.0.1:%u\n", *port);
        return false;
    }
    *port = listener_port(server->listeners[index]);
    return true;
}

static bool prepare(struct server *server, uint16_t *port, unsigned count)
{
    const struct conformance_service *service = server->service;
    for (unsigned i = 0; i < count; i++)
        server->pointers[i] = &server->workers[i];
    for (unsigned i = 0; i < count; i++) {
        if (worker_init(&server->workers[i], i, NULL) != CVN_OK)
            return false;
        server->prepared = i + 1;
        if (service->start != NULL && !service->start(&server->workers[i], server->pointers, count))
            return false;
        if (!listen_on(server, i, port))
            return false;
    }
    return true;
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
        is_running =
            pthread_create(&server->threads[i], NULL, run_worker, &server->workers[i]) == 0;
        server->started += is_running;
    }
    if (is_running) {
        printf("listening on 127.0.0.1:%u\n", listener_port(server->listeners[0]));
        fflush(stdout);
        wait_for_signal(&signals);
    }
    for (unsigned i = 0; i < server->started; i++)
        worker_stop(&server->workers[i]);
    for (unsigned i = 0; i < server->started; i++)
        pthread_join(server->threads[i], NULL);
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
        if (service->stop != NULL)
            service->stop(&server->workers[i]);
        worker_release(&server->workers[i]);
    }
    free(server);
    return is_good ? 0 : 1;
}
