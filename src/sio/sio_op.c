/*
 * Keeping an op, and applying it to one worker's sockets. An emit goes straight to the queues (sio_broadcast.c). What may change rooms
 * or run the application's code while it is applied first collects its sockets, with a reference each: the arrays it would walk may
 * change under it. Worker's thread, but for references.
 */
#include "sio/sio_op.h"
#include "sio/sio_broadcast.h"
#include "sio/sio_outgoing.h"
#include "sio/sio_recovery.h"
#include "sio/sio_request.h"
#include "sio/sio_select.h"
#include "base/log.h"
#include "base/mem.h"

/* --- Keeping --- */

static size_t names_size(const cvn_slice *names, size_t count)
{
    size_t size = count * sizeof *names;
    for (size_t i = 0; i < count; i++)
        size += names[i].size;
    return size;
}

static cvn_slice copy_bytes(cvn_slice from, char **to)
{
    cvn_slice copy = slice_of(*to, from.size);
    if (from.size > 0)
        memcpy(*to, from.data, from.size);
    *to += from.size;
    return copy;
}

static const char *copy_text(cvn_slice from, char **to)
{
    cvn_slice copy = copy_bytes(from, to);
    *(*to)++ = '\0';
    return copy.data;
}

/* A copy in one allocation: the op, its names, their bytes. */
static struct sio_op *own(const struct sio_op *op)
{
    size_t names = names_size(op->rooms, op->room_count) + names_size(op->except, op->except_count);
    size_t heard = 0;
    if (op->event != NULL)
        heard = strlen(op->event) + 1 + op->args.json.size +
                names_size(op->args.attachments, op->args.attachment_count);
    if (op->conflate != NULL)
        heard += strlen(op->conflate) + 1;
    struct sio_op *copy = mem_alloc(sizeof *copy + names + op->name.size + 1 + heard);
    if (copy == NULL)
        return NULL;
    *copy = *op;
    atomic_init(&copy->refs, 1);
    if (op->type == SIO_OP_EMIT && !sio_frames_copy(&copy->frames, &op->frames)) {
        mem_free(copy);
        return NULL;
    }
    sio_namespace_ref(op->nsp);
    cvn_slice *slices = (cvn_slice *)(copy + 1);
    size_t attachments = op->event != NULL ? op->args.attachment_count : 0;
    char *bytes = (char *)(slices + op->room_count + op->except_count + attachments);
    copy->rooms = slices;
    for (size_t i = 0; i < op->room_count; i++)
        *slices++ = copy_bytes(op->rooms[i], &bytes);
    copy->except = slices;
    for (size_t i = 0; i < op->except_count; i++)
        *slices++ = copy_bytes(op->except[i], &bytes);
    copy->name.data = copy_text(op->name, &bytes);
    if (op->event != NULL) {
        copy->event = copy_text(cvn_str(op->event), &bytes);
        copy->args.json = copy_bytes(op->args.json, &bytes);
        copy->args.attachments = slices;
        for (size_t i = 0; i < attachments; i++)
            *slices++ = copy_bytes(op->args.attachments[i], &bytes);
    }
    if (op->conflate != NULL)
        copy->conflate = copy_text(cvn_str(op->conflate), &bytes);
    return copy;
}

struct sio_op *sio_op_ref(const struct sio_op *op)
{
    struct sio_op *kept = (struct sio_op *)op; /* only its count changes */
    if (atomic_load_explicit(&kept->refs, memory_order_relaxed) == 0)
        return own(op);
    atomic_fetch_add_explicit(&kept->refs, 1, memory_order_relaxed);
    return kept;
}

void sio_op_unref(struct sio_op *op)
{
    if (op == NULL || atomic_fetch_sub_explicit(&op->refs, 1, memory_order_acq_rel) != 1)
        return;
    sio_frames_release(&op->frames);
    sio_namespace_unref(op->nsp);
    mem_free(op);
}

/* --- Applying --- */

static void collect(struct cvn_socket *socket, void *data)
{
    sio_collect(data, socket);
}

static void change(struct cvn_socket *socket, const struct sio_op *op)
{
    switch (op->type) {
    case SIO_OP_JOIN: {
        enum cvn_error error = cvn_join(socket, op->name.data);
        if (error != CVN_OK && error != CVN_ERR_STATE)
            log_write(LOG_WARN, "socket %s did not join: %s", socket->id, cvn_strerror(error));
        break;
    }
    case SIO_OP_LEAVE:
        cvn_leave(socket, op->name.data);
        break;
    case SIO_OP_DISCONNECT:
        cvn_disconnect(socket, op->close);
        break;
    default:
        break;
    }
}

static void change_all(struct sio_worker *worker, const struct sio_op *op)
{
    struct sio_collected collected = {0};
    sio_select_each(worker, op, collect, &collected);
    if (collected.failed)
        log_write(LOG_ERROR, "out of memory: not every socket was reached");
    for (size_t i = 0; i < collected.count; i++)
        change(collected.sockets[i], op);
    sio_collect_release(&collected);
}

/* Listeners come last: they may emit, and the log keeps the order. */
static void emit(struct sio_worker *worker, const struct sio_op *op)
{
    struct sio_collected heard = {0};
    bool is_heard = sio_outgoing_is_heard(op->nsp);
    sio_broadcast_deliver(worker, op, is_heard ? &heard : NULL);
    if (op->position.number != 0)
        sio_log_append(op->nsp->locals[worker->worker->index].log, op);
    if (is_heard)
        sio_outgoing_tell_all(&heard, op->event, op->args);
}

void sio_op_apply(struct sio_worker *worker, const struct sio_op *op)
{
    if (op->origin.request != 0) {
        sio_request_answer(worker, op);
    } else if (op->type != SIO_OP_EMIT) {
        change_all(worker, op);
        if (op->type == SIO_OP_DISCONNECT)
            sio_recovery_disconnect(worker, op);
    } else {
        emit(worker, op);
    }
}
