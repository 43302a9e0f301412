/**
 * @file
 * The workers' threads, as an application sees them: which one calls, what is to be made and undone
 * on each. How to put handles of one's own on their loops: convene/uv.h.
 */
#ifndef CONVENE_WORKER_H
#define CONVENE_WORKER_H

#include <convene/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What cvn_worker_index returns outside of all workers. */
#define CVN_NO_WORKER ((unsigned)-1)

/** Number of the calling thread's worker (0..workers-1), or CVN_NO_WORKER when the thread is none of
 * `server`. Any thread. */
CVN_API unsigned cvn_worker_index(const cvn_server *server);

/** Something to do at the beginning or the end of worker `index`, on its thread. */
typedef void (*cvn_worker_fn)(cvn_server *server, unsigned index, void *data);
/**
 * Called once on each worker before anything else happens there, in the order of registration; a
 * client may be accepted on another worker before. Register before the server starts; a failure
 * (CVN_ERR_ARGUMENT, CVN_ERR_MEMORY; CVN_ERR_STATE once the server has started) is also what
 * cvn_server_start will return.
 */
CVN_API enum cvn_error cvn_on_worker_start(cvn_server *server, cvn_worker_fn fn, void *data);
/**
 * Called once on each worker whose start functions were called, before its loop ends, in the
 * opposite order: the worker has no client left, every disconnect handler has returned, and no
 * posted function comes any more. What the application has on the worker goes here: handles on its
 * loop are closed (the loop runs on until they are, however long it takes), timers are freed. From
 * here on nothing may be asked for on this worker that answers later; functions that send find
 * nobody. Registration as above.
 */
CVN_API enum cvn_error cvn_on_worker_stop(cvn_server *server, cvn_worker_fn fn, void *data);

#ifdef __cplusplus
}
#endif
#endif
