/*
 * A server on a libuv loop of the caller's, instead of on threads of its own: one worker, whose
 * handles are on that loop. All of this runs on the loop's thread.
 *
 * The memory stays until the loop has closed the last handle, which it does in a later turn.
 * Whatever may fail at the start is done before the first handle is on the loop, so that a start
 * that fails leaves nothing there.
 */
#include "convene_server.h"
#include "base/log.h"
#include "sio/sio_recovery.h"
#include "sio/sio_request.h"
#include <convene/uv.h>

/* The loop has let go of the last handle. Nobody touches the server after the callback, which may
 * free it. */
static void on_closed(struct worker *net)
{
    struct server_worker *worker = net->app;
    struct cvn_server *server = worker->server;
    atomic_store(&server->sio.ended, true);
    server_stop_adapter(server);
    atomic_store(&server->state, SERVER_STOPPED);
    if (server->free_when_closed)
        server_destroy(server);
    else if (server->on_stopped != NULL)
        server->on_stopped(server, server->on_stopped_data);
}

enum cvn_error cvn_server_start_on_loop(cvn_server *server, struct uv_loop_s *loop,
                                        void (*on_stopped)(cvn_server *server, void *data),
                                        void *data)
{
    if (server == NULL || loop == NULL)
        return CVN_ERR_ARGUMENT;
    int expected = SERVER_NEW;
    if (!atomic_compare_exchange_strong(&server->state, &expected, SERVER_RUNNING))
        return CVN_ERR_STATE;
    server->settings.workers = 1;
    server->is_hosted = true;
    enum cvn_error error = server_open(server, loop);
    if (error == CVN_OK)
        error = worker_open(&server->workers[0].worker);
    if (error != CVN_OK) {
        server_give_up(server);
        return error;
    }
    server->on_stopped = on_stopped;
    server->on_stopped_data = data;
    server->workers[0].worker.on_closed = on_closed;
    server->workers[0].is_running = true;
    return CVN_OK;
}

bool server_leave_loop(struct cvn_server *server)
{
    if (server->worker_count == 0)
        return true;
    struct server_worker *worker = &server->workers[0];
    if (worker->worker.handles == 0)
        return true;
    atomic_store(&server->state, SERVER_STOPPING);
    server->free_when_closed = true;
    worker->worker.on_closed = on_closed;
    listener_close(worker->listener);
    worker->listener = NULL;
    worker_on_stop(&worker->worker);
    /* What no connection belonged to ends here too (sessions, lost ones, requests): nothing of the
     * application's runs once cvn_server_free has returned. */
    eio_server_free(worker->sio.eio);
    worker->sio.eio = NULL;
    sio_request_end_all(&worker->sio);
    sio_recovery_end_all(&worker->sio);
    atomic_store(&server->sio.ended, true);
    server_stop_adapter(server);
    server_free_adapter(server);
    if (server->settings.log != NULL)
        log_set_sink(NULL, NULL, LOG_WARN);
    return false;
}
