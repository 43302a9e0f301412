/**
 * @file
 * A server on a libuv loop of the caller's, for programs that have one already. It needs no thread
 * of its own: handlers, hooks and the program's other callbacks all run on the loop's thread, one
 * at a time. For all else the API is the same.
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

#ifdef __cplusplus
}
#endif
#endif
