/*
 * The public calls that name a target: from the application's lists of rooms to an op, handed to the adapter. Any thread.
 */
#include "sio/sio_adapter.h"
#include "sio/sio_dynamic.h"
#include "sio/sio_outgoing.h"
#include "sio/sio_recovery.h"
#include "sio/sio_target.h"
#include "base/mem.h"

/* The names of a target's lists in one array: in place when they are few. */
struct names {
    cvn_slice few[2 * CVN_TARGET_ROOMS];
    cvn_slice *all;
};

static size_t count_fixed(const char *const *list)
{
    size_t count = 0;
    while (count < CVN_TARGET_ROOMS && list[count] != NULL)
        count++;
    return count;
}

static cvn_slice *add_names(cvn_slice *to, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        *to++ = cvn_str(list[i]);
    return to;
}

enum cvn_error sio_target_check(const struct cvn_namespace *nsp)
{
    if (nsp == NULL)
        return CVN_ERR_ARGUMENT;
    const struct sio_server *server = nsp->server;
    if (!server->started || atomic_load_explicit(&server->ended, memory_order_relaxed))
        return CVN_ERR_STATE;
    return CVN_OK;
}

/* Fills `ret_op` but for what is its own; release_names frees what it points to. */
static enum cvn_error resolve(const cvn_target *target, enum sio_op_type type, struct names *names,
                              struct sio_op *ret_op)
{
    names->all = names->few;
    struct cvn_namespace *nsp = target->nsp;
    enum cvn_error error = sio_target_check(nsp);
    if (error != CVN_OK)
        return error;

    size_t rooms = count_fixed(target->rooms), except = count_fixed(target->except);
    if (target->more_room_count + target->more_except_count > 0) {
        size_t total = rooms + except + target->more_room_count + target->more_except_count;
        cvn_slice *all = mem_alloc(total * sizeof *all);
        if (all == NULL)
            return CVN_ERR_MEMORY;
        names->all = all;
    }
    cvn_slice *excepted = add_names(names->all, target->rooms, rooms);
    excepted = add_names(excepted, target->more_rooms, target->more_room_count);
    cvn_slice *end = add_names(excepted, target->except, except);
    end = add_names(end, target->more_except, target->more_except_count);

    *ret_op = (struct sio_op){
        .type = (uint8_t)type,
        .flags = target->flags,
        .nsp = nsp,
        .rooms = names->all,
        .room_count = (size_t)(excepted - names->all),
        .except = excepted,
        .except_count = (size_t)(end - excepted),
    };
    return CVN_OK;
}

static void release_names(struct names *names)
{
    if (names->all != names->few)
        mem_free(names->all);
}

static enum cvn_error publish(const struct sio_op *op)
{
    struct sio_adapter *adapter = op->nsp->server->adapter;
    return adapter->publish(adapter, op);
}

/* The same to a child; `data` is the op. */
static enum cvn_error publish_to_child(struct cvn_namespace *child, void *data)
{
    struct sio_op op = *(const struct sio_op *)data;
    op.nsp = child;
    return publish(&op);
}

/* --- Emitting --- */

enum cvn_error sio_target_emit(struct sio_op *op, const char *event, cvn_args args,
                               const struct sio_request_end *end)
{
    const struct sio_server *server = op->nsp->server;
    enum cvn_error error;
    uint64_t ack_id;
    if (sio_outgoing_is_heard(op->nsp) || sio_adapter_leaves_node(op)) {
        op->event = event;
        op->args = args;
    }
    if (end == NULL && sio_recovery_is_on(server))
        return sio_recovery_emit(op, event, args, op->conflate);
    if (end != NULL) {
        error = sio_request_number(op, &ack_id);
        if (error != CVN_OK)
            return error;
    }
    error = sio_encode_event(sio_namespace_name(op->nsp), event, end != NULL ? &ack_id : NULL, args,
                             &server->options.emits, &op->frames);
    if (error != CVN_OK)
        return error;
    error = sio_frames_mark(&op->frames, op->flags, sio_namespace_name(op->nsp), op->conflate);
    if (error != CVN_OK)
        return error;
    error = end != NULL ? sio_request_begin(op, end) : publish(op);
    sio_frames_release(&op->frames);
    return error;
}

static enum cvn_error emit(const cvn_target *target, const char *event, cvn_args args,
                           uint32_t timeout_ms, const struct sio_request_end *end)
{
    struct names names;
    struct sio_op op;
    enum cvn_error error = resolve(target, SIO_OP_EMIT, &names, &op);
    /* A packet that others take the place of cannot be acknowledged by everybody. */
    if (error == CVN_OK && (event == NULL || (end != NULL && target->conflate != NULL)))
        error = CVN_ERR_ARGUMENT;
    if (error != CVN_OK)
        goto out;
    op.timeout_ms = timeout_ms;
    op.conflate = target->conflate;
    error = sio_target_emit(&op, event, args, end);
out:
    release_names(&names);
    return error;
}

struct emit_to_child {
    cvn_target target;
    const char *event;
    cvn_args args;
};

static enum cvn_error emit_to_child(struct cvn_namespace *child, void *data)
{
    struct emit_to_child *what = data;
    what->target.nsp = child;
    return emit(&what->target, what->event, what->args, 0, NULL);
}

/* A packet names its namespace, so each child gets its own. */
static enum cvn_error emit_to_children(const cvn_target *target, const char *event, cvn_args args)
{
    struct emit_to_child what = {*target, event, args};
    struct sio_frames checked;
    enum cvn_error error = sio_target_check(target->nsp);
    if (error == CVN_OK)
        error = event == NULL ? CVN_ERR_ARGUMENT
                              : sio_encode_event(sio_namespace_name(target->nsp), event, NULL, args,
                                                 &target->nsp->server->options.emits, &checked);
    if (error != CVN_OK)
        return error; /* whether there are children or not */
    sio_frames_release(&checked);
    return sio_dynamic_each(target->nsp, emit_to_child, &what);
}

enum cvn_error cvn_emit(const cvn_target *target, const char *event, cvn_args args)
{
    if (target->nsp != NULL && target->nsp->rule != NULL)
        return emit_to_children(target, event, args);
    return emit(target, event, args, 0, NULL);
}

enum cvn_error cvn_emit_ack(const cvn_target *target, const char *event, cvn_args args,
                            uint32_t timeout_ms, cvn_answers_fn fn, void *data)
{
    if (fn == NULL)
        return CVN_ERR_ARGUMENT;
    return emit(target, event, args, timeout_ms,
                &(struct sio_request_end){.on_answers = fn, .data = data});
}

/* --- Changing --- */

static enum cvn_error change(const cvn_target *target, enum sio_op_type type, const char *room,
                             bool close)
{
    struct names names;
    struct sio_op op;
    enum cvn_error error = resolve(target, type, &names, &op);
    if (error == CVN_OK) {
        op.name = cvn_str(room);
        op.close = close;
        if (type != SIO_OP_DISCONNECT && op.name.size == 0)
            error = CVN_ERR_ARGUMENT;
        else if (op.nsp->rule != NULL)
            error = sio_dynamic_each(op.nsp, publish_to_child, &op);
        else
            error = publish(&op);
    }
    release_names(&names);
    return error;
}

enum cvn_error cvn_sockets_join(const cvn_target *target, const char *room)
{
    return change(target, SIO_OP_JOIN, room, false);
}

enum cvn_error cvn_sockets_leave(const cvn_target *target, const char *room)
{
    return change(target, SIO_OP_LEAVE, room, false);
}

enum cvn_error cvn_sockets_disconnect(const cvn_target *target, bool close)
{
    return change(target, SIO_OP_DISCONNECT, NULL, close);
}

/* --- Looking --- */

enum cvn_error cvn_fetch_sockets(const cvn_target *target, uint32_t timeout_ms, cvn_fetch_fn fn,
                                 void *data)
{
    struct names names;
    struct sio_op op;
    uint64_t unused;
    if (fn == NULL)
        return CVN_ERR_ARGUMENT;
    enum cvn_error error = resolve(target, SIO_OP_FETCH, &names, &op);
    if (error == CVN_OK) {
        op.timeout_ms = timeout_ms;
        error = sio_request_number(&op, &unused);
    }
    if (error == CVN_OK)
        error = sio_request_begin(&op, &(struct sio_request_end){.on_sockets = fn, .data = data});
    release_names(&names);
    return error;
}
