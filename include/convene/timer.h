/**
 * @file
 * One-shot timers of a worker. They belong to the application and to the worker's thread, which
 * alone may touch them; from other threads post a function there (cvn_post). Memory is asked for
 * when a timer is made and at no other time, so that starting one cannot fail for want of it. Ten
 * thousand of them cost no more than one to start, stop and wait for.
 */
#ifndef CONVENE_TIMER_H
#define CONVENE_TIMER_H

#include <convene/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A timer, which waits or does not. */
typedef struct cvn_timer cvn_timer;
/** What a timer calls, on its worker. It may start, stop and free any timer, this one, too. */
typedef void (*cvn_timer_fn)(cvn_timer *timer, void *data);

/**
 * A timer of the calling worker, not started. `fn` is called each time it fires. `lost` (may be
 * NULL) is called when the worker ends while the timer waits, which therefore never fires: the
 * chance to free what belongs to it, the timer included. It comes after the functions of
 * cvn_on_worker_stop. On a worker's thread, from its beginning (cvn_on_worker_start) on: a handler,
 * hook or posted function, or any callback on its loop. NULL elsewhere, when the worker has ended,
 * and when memory has run out. To be freed with cvn_timer_free.
 */
CVN_API cvn_timer *cvn_timer_new(cvn_server *server, cvn_timer_fn fn, cvn_timer_fn lost,
                                 void *data);
/** Has it fire once, `delay_ms` milliseconds from now and never earlier: with 0 at the end of the
 * worker's turn. One that waits already starts anew. CVN_ERR_STATE when the worker has ended: it
 * will not fire, and `lost` is not called. */
CVN_API enum cvn_error cvn_timer_start(cvn_timer *timer, uint64_t delay_ms);
/** Has it not fire; nothing happens when it does not wait. */
CVN_API void cvn_timer_stop(cvn_timer *timer);
/** Whether it has been started and neither fired nor been stopped. */
CVN_API bool cvn_timer_is_waiting(const cvn_timer *timer);
/** Stops and frees. NULL is accepted. On its worker's thread, or on any once the worker has ended,
 * also when the server has been freed. */
CVN_API void cvn_timer_free(cvn_timer *timer);

#ifdef __cplusplus
}
#endif
#endif
