/*
 * The daemon's main thread while the server runs: signals, what has to be done now and then, and the end. SIGHUP reloads; the first SIGTERM or SIGINT
 * drains (not ready, no new sessions, disconnects spread over server.drain_ms, then the stop), the second one ends without waiting.
 */
#ifndef OPS_SUPERVISOR_H
#define OPS_SUPERVISOR_H

#include <convene/convene.h>

struct supervisor_events {
    void (*on_listening)(void *data); /* the server listens */
    void (*on_reload)(void *data);    /* SIGHUP */
    void (*on_sweep)(void *data);     /* every sweep_ms */
    void (*on_drain)(void *data);     /* the end has begun: before anybody is disconnected */
    void *data;
};

struct supervisor_times {
    uint32_t sweep_ms, drain_ms, watchdog_ms; /* watchdog_ms 0: nobody wants a sign of life */
};

/* Starts the server and returns when it has stopped, with an exit status. The server is not freed. Main thread. */
int supervisor_run(cvn_server *server, const struct supervisor_times *times,
                   const struct supervisor_events *events);
/* Asks for the drain, as the first SIGTERM does. Any thread while supervisor_run runs. */
void supervisor_drain(void);

#endif
