/*
 * Keeping an op, and applying it to one worker's sockets. An emit goes straight to the queues (sio_broadcast.c). What may change rooms
 * or run the application's code while it is applied first collects its sockets, with a reference each: the arrays it would walk may
 * change under it. Worker's thread, but for references.
 */
#include "sio/sio_op.h"
#include "sio/sio_broadcast.h"
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

/* A copy in one allocation: the op, its names, their bytes. */
static struct sio_op *own(const struct sio_op *op)
{
    size_t names = names_size(op->rooms, op->room_count) + names_size(op->except, op->except_count);
    struct sio_op *copy = mem_alloc(sizeof *copy + names + op->name.size + 1);
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
    char *bytes = (char *)(slices + op->room_count + op->except_count);
    copy->rooms = slices;
    for (size_t i = 0; i < op->room_count; i++)
        *slices++ = copy_bytes(op->rooms[i], &bytes);
    copy->except = slices;
    for (size_t i = 0; i < op->except_count; i++)
        *slices++ = copy_bytes(op->except[i], &bytes);
    copy->name = copy_bytes(op->name, &bytes);
    *bytes = '\0';
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

struct collected {
    struct cvn_socket **sockets; /* a reference each */
    size_t count, capacity;
    bool failed;
};

static void collect(struct cvn_socket *socket, void *data)
{
    struct collected *collected = data;
    if (collected->count == collected->capacity) {
        size_t capacity = collected->capacity != 0 ? collected->capacity * 2 : 16;
        struct cvn_socket **sockets =
            mem_realloc(collected->sockets, capacity * sizeof(struct cvn_socket *));
        if (sockets == NULL) {
            collected->failed = true;
            return;
        }
        collected->sockets = sockets;
        collected->capacity = capacity;
    }
    collected->sockets[collected->count++] = cvn_socket_ref(socket);
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
    struct collected collected = {0};
    sio_select_each(worker, op, collect, &collected);
    if (collected.failed)
        log_write(LOG_ERROR, "out of memory: not every socket was reached");
    for (size_t i = 0; i < collected.count; i++) {
        change(collected.sockets[i], op);
        cvn_socket_unref(collected.sockets[i]);
    }
    mem_free(collected.sockets);
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
        sio_broadcast_deliver(worker, op);
        if (op->position.number != 0)
            sio_log_append(op->nsp->locals[worker->worker->index].log, op);
    }
}
