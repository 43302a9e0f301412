/*
 * Answers that are given again: for 24 hours the first answer to (user, op_id) is what every repetition gets, and what it did is not done twice. To be used
 * within the transaction that makes the change:
 *
 *     if (!store_idempotency_find(tx, user_id, op_id, now_ms, &is_repeated, answer)) return false;
 *     if (is_repeated) return true;
 *     ... the change ...
 *     return store_idempotency_keep(tx, user_id, op_id, now_ms, answer);
 *
 * Transactions of the store run one after the other, so a repetition that arrives while the first one is on its way waits behind it and then finds its
 * answer; both are committed together or, when the disk fails, neither. When the first one was rolled back nothing is found, and the repetition is applied.
 */
#ifndef STORE_IDEMPOTENCY_H
#define STORE_IDEMPOTENCY_H

#include "store/store.h"

#define STORE_IDEMPOTENCY_MS         ((int64_t)24 * 60 * 60 * 1000)
#define STORE_IDEMPOTENCY_MAX_OP_ID  64        /* bytes; a longer one fails the transaction */
#define STORE_IDEMPOTENCY_MAX_ANSWER (1 << 20) /* bytes; likewise */

/* The table. Main thread, before store_start. */
bool store_idempotency_migrate(struct store *store);
/* Whether (user_id, op_id) has been answered within 24 hours before `now_ms` (since 1970); `answer` is then what was kept, else it is left alone.
 * False: the transaction has failed. Within a store_fn. */
bool store_idempotency_find(struct store_tx *tx, const char *user_id, const char *op_id,
                            int64_t now_ms, bool *ret_found, cvn_text *answer);
/* Keeps the answer; once a transaction and (user_id, op_id), after store_idempotency_find found nothing. */
bool store_idempotency_keep(struct store_tx *tx, const char *user_id, const char *op_id,
                            int64_t now_ms, cvn_slice answer);
/* Deletes what has expired, a thousand rows a transaction, until nothing is left. Returns at once. Now and then; any thread. */
void store_idempotency_sweep(struct store *store, int64_t now_ms);

#endif
