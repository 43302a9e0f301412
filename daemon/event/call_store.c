/*
 * Calls that change what is stored, see call.h: one transaction for what the module does and for the answer that an op_id is to be given again,
 * then the broadcast and the acknowledgement. On the member's worker, but for run(), which is on the store's thread and touches what the
 * transaction owns only.
 */
#include "event/frame_internal.h"
#include "observe/clock.h"
#include "store/store_idempotency.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_ANSWER    (1 << 20)
#define EPOCH_SIZE    33
#define BUSY_RETRY_MS 1000

struct transaction {
    struct call *call;
    struct principal *principal; /* of the call, whatever auth_refresh does meanwhile */
    call_store_fn fn;
    void (*after)(struct call *call, void *data);
    void (*release)(void *data);
    void *data;
    cvn_text *answer; /* the value of `data`, or the first answer of a repeated op_id */
    uint64_t offset;
    char epoch[EPOCH_SIZE];
    bool has_error;
    enum call_error error;
    char message[160];
    bool is_repeated;
};

static void transaction_free(struct transaction *transaction)
{
    if (transaction->release != NULL)
        transaction->release(transaction->data);
    principal_unref(transaction->principal);
    cvn_text_free(transaction->answer);
    free(transaction);
}

/* --- On the store's thread --- */

void call_set_answer(struct call *call, cvn_slice data)
{
    cvn_text_clear(call->transaction->answer);
    cvn_text_append_slice(call->transaction->answer, data);
}

void call_set_position(struct call *call, uint64_t offset, const char *epoch)
{
    call->transaction->offset = offset;
    snprintf(call->transaction->epoch, sizeof call->transaction->epoch, "%s", epoch);
}

void call_set_error(struct call *call, enum call_error error, const char *message)
{
    struct transaction *transaction = call->transaction;
    transaction->has_error = true;
    transaction->error = error;
    snprintf(transaction->message, sizeof transaction->message, "%s", message);
}

const struct principal *call_principal(const struct call *call)
{
    return call->transaction != NULL ? call->transaction->principal : call->member->principal;
}

/* The acknowledgement as it goes out, and as it is kept for the op_id. */
static bool make_whole(struct transaction *transaction, cvn_text *whole)
{
    cvn_slice data = cvn_text_slice(transaction->answer);
    cvn_text_append(whole, "{\"ok\":true");
    if (data.size > 0) {
        cvn_text_append(whole, ",\"data\":");
        cvn_text_append_slice(whole, data);
    }
    if (transaction->epoch[0] != '\0')
        cvn_text_printf(whole, ",\"offset\":%llu,\"epoch\":\"%s\"",
                        (unsigned long long)transaction->offset, transaction->epoch);
    cvn_text_append(whole, "}");
    return !cvn_text_failed(whole) && !cvn_text_failed(transaction->answer);
}

static bool apply(struct store_tx *tx, struct call *call)
{
    struct transaction *transaction = call->transaction;
    cvn_text *whole;
    if (!transaction->fn(tx, call, transaction->data))
        return false;
    whole = cvn_text_new(MAX_ANSWER);
    if (whole == NULL || !make_whole(transaction, whole)) {
        cvn_text_free(whole);
        call_set_error(call, CALL_INTERNAL, "the answer is too large");
        return false;
    }
    cvn_text_free(transaction->answer);
    transaction->answer = whole;
    return call->op_id[0] == '\0' ||
           store_idempotency_keep(tx, transaction->principal->user_id, call->op_id, clock_wall_ms(),
                                  cvn_text_slice(whole));
}

static bool run(struct store_tx *tx, void *job)
{
    struct call *call = job;
    struct transaction *transaction = call->transaction;
    if (call->op_id[0] != '\0') {
        bool found = false;
        if (!store_idempotency_find(tx, transaction->principal->user_id, call->op_id,
                                    clock_wall_ms(), &found, transaction->answer))
            return false;
        transaction->is_repeated = found;
        if (found)
            return true;
    }
    return apply(tx, call);
}

/* --- On the member's worker again --- */

static void answer(struct call *call, struct transaction *transaction, enum store_result result)
{
    switch (result) {
    case STORE_OK:
        if (!transaction->is_repeated && transaction->after != NULL)
            transaction->after(call, transaction->data);
        call_succeed_whole(call, cvn_text_slice(transaction->answer));
        break;
    case STORE_ABORTED:
        if (transaction->has_error)
            call_fail(call, transaction->error, transaction->message);
        else
            call_fail(call, CALL_INTERNAL, "the change was refused by the store");
        break;
    case STORE_BUSY:
    case STORE_UNAVAILABLE:
        call_fail_later(call, CALL_UNAVAILABLE, "nothing can be stored at the moment",
                        BUSY_RETRY_MS);
        break;
    }
}

static void on_done(enum store_result result, void *job)
{
    struct call *call = job;
    struct transaction *transaction = call->transaction;
    answer(call, transaction, result); /* frees the call */
    transaction_free(transaction);
}

void call_transact(struct call *call, call_store_fn fn,
                   void (*after)(struct call *call, void *data), void *data,
                   void (*release)(void *data))
{
    struct transaction *transaction = calloc(1, sizeof *transaction);
    cvn_text *text = cvn_text_new(MAX_ANSWER);
    if (transaction != NULL && text != NULL) {
        *transaction = (struct transaction){.call = call,
                                            .principal = principal_ref(call->member->principal),
                                            .fn = fn,
                                            .after = after,
                                            .release = release,
                                            .data = data,
                                            .answer = text};
        call->transaction = transaction;
        if (store_write(call->member->frame->parts.store, run, on_done, call))
            return;
        call->transaction = NULL;
        transaction_free(transaction);
        call_fail_later(call, CALL_UNAVAILABLE, "too much is waiting to be stored", BUSY_RETRY_MS);
        return;
    }
    free(transaction);
    cvn_text_free(text);
    if (release != NULL)
        release(data);
    call_fail_later(call, CALL_UNAVAILABLE, "out of memory", BUSY_RETRY_MS);
}
