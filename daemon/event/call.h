/*
 * One event of a client on its way through the frame: who, what, and the answer that is owed. A call lives from the event's arrival until it
 * is answered, which may be later than its handler's return and must be on the member's worker. Exactly one answer; the acknowledgement's
 * shape is the specification's: {ok:true, data?, offset?, epoch?} or {ok:false, error:{...}}. Who asked for no acknowledgement gets errors as
 * the event `error`.
 */
#ifndef EVENT_CALL_H
#define EVENT_CALL_H

#include "event/module.h"
#include "observe/log.h"
#include "store/store.h"

enum call_error {
    CALL_VALIDATION,
    CALL_FORBIDDEN,
    CALL_NOT_FOUND,
    CALL_CONFLICT,
    CALL_RATE_LIMITED,
    CALL_TOO_LARGE,
    CALL_NOT_JOINED,
    CALL_ROOM_FULL,
    CALL_TOO_MANY_ROOMS,
    CALL_UNAVAILABLE,
    CALL_INTERNAL,
};
const char *call_error_code(enum call_error error);

struct member *call_member(const struct call *call);
/* Whose call it is; inside of a transaction this one, since that of the member may change meanwhile. */
const struct principal *call_principal(const struct call *call);
const void *
call_payload(const struct call *call); /* the event's struct, filled; as long as the call */
const char *call_op_id(const struct call *call); /* NULL: none was given */
const char *call_correlation_id(const struct call *call);

/* --- Answers: each ends the call --- */

/* `data`: one JSON value, or NULL for none. */
void call_ok(struct call *call, const char *data);
void call_ok_slice(struct call *call, cvn_slice data);
/* For durable events: where in which stream it stands. */
void call_ok_at(struct call *call, cvn_slice data, uint64_t offset, const char *epoch);
void call_fail(struct call *call, enum call_error error, const char *message);
void call_fail_field(struct call *call, const char *field,
                     const char *message); /* CALL_VALIDATION */
void call_fail_later(struct call *call, enum call_error error, const char *message,
                     uint32_t retry_after_ms);
void call_conflict(struct call *call, const char *message,
                   cvn_slice current); /* what is there instead, as JSON */

/* --- In the store --- */

/*
 * Runs `fn(tx, call, data)` in a transaction: true commits, false rolls back. Inside, call_set_answer says what will be answered (or
 * call_set_error). After the commit `after(call, data)` (may be NULL) broadcasts, on the member's worker, then the call is answered; after
 * a rollback it is answered with the error that was set, else CALL_INTERNAL, and `after` is not called. A call whose op_id was applied within
 * 24 h is not run again: it gets the first answer. `data` goes to `release` (may be NULL) in the end, whatever happened.
 */
typedef bool (*call_store_fn)(struct store_tx *tx, struct call *call, void *data);
void call_transact(struct call *call, call_store_fn fn,
                   void (*after)(struct call *call, void *data), void *data,
                   void (*release)(void *data));
void call_set_answer(struct call *call, cvn_slice data); /* on the store's thread; copied */
void call_set_position(struct call *call, uint64_t offset, const char *epoch);
void call_set_error(struct call *call, enum call_error error, const char *message);

#endif
