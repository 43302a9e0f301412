/**
 * @file
 * Events from server to server, within a cluster (see adapter.h): the reference's serverSideEmit.
 * Clients never see them.
 */
#ifndef CONVENE_SERVERSIDE_H
#define CONVENE_SERVERSIDE_H

#include <convene/sockets.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Sends an event to the same namespace of all other servers, not to this one; without an adapter
 * that is nobody. Any thread. Errors as for cvn_emit, and the adapter's; CVN_ERR_ARGUMENT also for the
 * parent of dynamic namespaces. */
CVN_API enum cvn_error cvn_server_side_emit(cvn_namespace *nsp, const char *event, cvn_args args);

/** The same, and collects their answers for `timeout_ms` (0: 5000). In cvn_answers `asked` is the
 * number of other servers; the items have a node and no socket id. Besides what cvn_answers_fn
 * says, CVN_ERR_NOT_FOUND when a server has nobody who handles the event, CVN_ERR_STATE when its
 * handlers did not answer. `fn` and errors otherwise as for cvn_emit_ack. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_server_side_emit_ack(cvn_namespace *nsp,
                                                               const char *event, cvn_args args,
                                                               uint32_t timeout_ms,
                                                               cvn_answers_fn fn, void *data);

/** An event that came from another server. */
typedef struct cvn_server_event cvn_server_event;
/** `event` and all it holds are valid until the handler returns. Runs on worker 0, one at a time. */
typedef void (*cvn_server_side_fn)(cvn_namespace *nsp, const cvn_server_event *event, void *data);
/** Registers a handler as cvn_on does, before the server starts; several handlers of one event run
 * in the order of registration. On the parent of dynamic namespaces it is for all its children. */
CVN_API enum cvn_error cvn_on_server_side(cvn_namespace *nsp, const char *event,
                                          cvn_server_side_fn fn, void *data);

/** Its name. */
CVN_API cvn_slice cvn_server_event_name(const cvn_server_event *event);
/** Its arguments without the name. */
CVN_API cvn_args cvn_server_event_args(const cvn_server_event *event);
/** Id of the server that sent it; empty when the adapter does not know. */
CVN_API cvn_slice cvn_server_event_node(const cvn_server_event *event);
/** Whether that server waits for an answer. When all handlers have returned and none has answered or
 * put it off, it hears that no answer will come. */
CVN_API bool cvn_server_event_wants_answer(const cvn_server_event *event);

/** Answers. Does nothing, CVN_OK, when nobody waits. CVN_ERR_STATE when it was answered already;
 * CVN_ERR_JSON, CVN_ERR_LIMIT; the adapter's errors. */
CVN_API enum cvn_error cvn_server_event_answer(const cvn_server_event *event, cvn_args args);

/** An answer that is still owed to another server. */
typedef struct cvn_server_later cvn_server_later;
/** Puts the answer off. NULL when nobody waits, it was answered already, or memory has run out. To
 * be sent or dropped before the server is freed. */
CVN_API cvn_server_later *cvn_server_event_later(const cvn_server_event *event);
/** Answers and frees it; any thread. Errors as for cvn_server_event_answer, and CVN_ERR_STATE when
 * the server no longer runs. */
CVN_API enum cvn_error cvn_server_later_send(cvn_server_later *later, cvn_args args);
/** Frees it; the other server hears that no answer will come. Any thread. NULL is accepted. */
CVN_API void cvn_server_later_drop(cvn_server_later *later);

#ifdef __cplusplus
}
#endif
#endif
