/**
 * @file
 * libuv, for who uses it: a server on a loop of the caller's, for programs that have one already,
 * and the loops of a server's own workers, for handles of the application's. On a loop of the
 * caller's a server needs no thread of its own: handlers, hooks and the program's other callbacks
 * all run on the loop's thread, one at a time. For all else the API is the same.
 */
#ifndef CONVENE_UV_H
#define CONVENE_UV_H

#include <convene/server.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s; /* uv_loop_t of uv.h, which is not needed here */

/**
 * Starts the server on `loop`, with one worker (number 0, whatever cvn_options.workers says), and
 * returns; it serves while the loop runs. The listening server keeps the loop alive. The loop must
 * be run by one thread as long as the server is on it; that thread counts as the worker.
 *
 * cvn_server_stop (any thread) asks for an orderly end, as ever. When it has come, the loop has no
 * handle of the server left and `on_stopped(server, data)` is called on the loop, once; it may be
 * NULL, and may free the server. cvn_server_wait does not wait.
 *
 * cvn_server_free of a server that still runs cuts its connections at once, with their disconnect
 * handlers; then nothing of the application's is called any more, `on_stopped` neither. The memory
 * goes when the loop has closed the handles: run it on until uv_run returns, or for one turn. To be
 * called on the loop's thread, and not from a handler or hook.
 *
 * Errors as of cvn_server_start, and CVN_ERR_ARGUMENT for a NULL. After an error nothing is on the
 * loop.
 */
CVN_API CVN_MUST_CHECK enum cvn_error
cvn_server_start_on_loop(cvn_server *server, struct uv_loop_s *loop,
                         void (*on_stopped)(cvn_server *server, void *data), void *data);

/**
 * The libuv loop of the calling worker (uv_loop_t *), for handles of the application's own: libcurl,
 * libpq, a child process. Their callbacks run on the worker's thread between its handlers, and may
 * do whatever handlers may. They hold up every client of the worker as long as they run. NULL
 * outside of the server's workers.
 *
 * The handles are the application's to close, at the latest in a function of cvn_on_worker_stop
 * (convene/worker.h), the unreferenced ones (uv_unref), too: the worker's thread, and with it
 * cvn_server_wait, ends when they have been closed. The loop itself is the server's: run, stop and
 * close it never.
 */
CVN_API struct uv_loop_s *cvn_worker_loop(cvn_server *server);

#ifdef __cplusplus
}
#endif
#endif
