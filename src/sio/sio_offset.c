/*
 * Emits that can be given again: each gets a position, which goes with it as its last argument, the offset; the client sends the last
 * one back. Volatile ones too, though they are not given again: a client takes whatever string comes last for an offset.
 * An event with a key may overtake others on its way (see cvn_socket_emit_conflated), so its offset would say that the client has what it has
 * not. It carries a null instead: a client that comes back may get it twice, but nothing is missing.
 * Any thread: threads that are no workers share a lane, and its lock keeps their emits in order.
 */
#include "sio/sio_recovery.h"
#include "sio/sio_adapter.h"
#include "sio/sio_outgoing.h"
#include <inttypes.h>

size_t sio_offset_write(struct sio_position position, char ret[SIO_OFFSET_SIZE])
{
    return (size_t)snprintf(ret, SIO_OFFSET_SIZE, "%x.%" PRIx64, position.lane, position.number);
}

static bool read_hex(cvn_slice digits, uint64_t *ret)
{
    uint64_t value = 0;
    if (digits.size == 0 || digits.size > 15)
        return false;
    for (size_t i = 0; i < digits.size; i++) {
        char c = digits.data[i];
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *ret = value;
    return true;
}

bool sio_offset_read(cvn_slice text, struct sio_position *ret)
{
    uint64_t lane, number;
    size_t dot = slice_find(text, '.');
    if (dot == text.size || !read_hex(slice_of(text.data, dot), &lane) ||
        !read_hex(slice_from(text, dot + 1), &number) || lane >= SIO_LANES(WORKER_MAX))
        return false;
    *ret = (struct sio_position){(unsigned)lane, number};
    return true;
}

/* What goes behind the arguments. */
static void append_offset(struct buf *list, const struct sio_op *op, bool has_key)
{
    char offset[SIO_OFFSET_SIZE];
    if (has_key) {
        buf_append(list, SLICE("null"));
        return;
    }
    size_t size = sio_offset_write(op->position, offset);
    buf_append_byte(list, '"');
    buf_append(list, slice_of(offset, size));
    buf_append_byte(list, '"');
}

/* Encodes `event` with the op's offset behind the arguments. `conflate`: a key, or NULL. */
static enum cvn_error encode(struct sio_op *op, const char *event, cvn_args args,
                             const char *conflate)
{
    const struct sio_encode_limits *limits = &op->nsp->server->options.emits;
    struct buf list;
    if (event == NULL)
        return CVN_ERR_ARGUMENT;
    /* Checked before anything is added to it. */
    if (!json_is_valid_list(args.json, limits->max_depth))
        return CVN_ERR_JSON;
    buf_init(&list, args.json.size + SIO_OFFSET_SIZE + 8);
    buf_append(&list, args.json);
    if (cvn_args_count(args) > 0)
        buf_append_byte(&list, ',');
    append_offset(&list, op, conflate != NULL);
    args.json = buf_slice(&list);
    enum cvn_error error = list.failed ? CVN_ERR_MEMORY
                                       : sio_encode_event(sio_namespace_name(op->nsp), event, NULL,
                                                          args, limits, &op->frames);
    if (error == CVN_OK)
        error = sio_frames_mark(&op->frames, op->flags, sio_namespace_name(op->nsp), conflate);
    buf_release(&list);
    return error;
}

static enum cvn_error emit(struct sio_op *op, const char *event, cvn_args args,
                           const char *conflate)
{
    struct sio_adapter *adapter = op->nsp->server->adapter;
    enum cvn_error error = encode(op, event, args, conflate);
    if (error != CVN_OK)
        return error;
    struct sio_op *kept = sio_op_ref(op); /* one copy for all logs and mailboxes */
    sio_frames_release(&op->frames);
    if (kept == NULL)
        return CVN_ERR_MEMORY;
    error = adapter->publish(adapter, kept);
    sio_op_unref(kept);
    return error;
}

/* Of what the local's worker emits now. */
static struct sio_position next_position(struct sio_local *local, unsigned flags)
{
    unsigned index = local->worker->worker->index;
    if (!(flags & CVN_LOCAL_WORKER))
        return (struct sio_position){index, ++local->emitted};
    return (struct sio_position){local->nsp->server->worker_count + 1 + index,
                                 ++local->emitted_alone};
}

enum cvn_error sio_recovery_emit(struct sio_op *op, const char *event, cvn_args args,
                                 const char *conflate)
{
    struct sio_server *server = op->nsp->server;
    const struct sio_worker *self = sio_server_own_worker(server);
    if (self != NULL) {
        op->position = next_position(&op->nsp->locals[self->worker->index], op->flags);
        return emit(op, event, args, conflate);
    }
    struct sio_outside *outside = &op->nsp->outside;
    pthread_mutex_lock(&outside->lock);
    op->position = (struct sio_position){server->worker_count, ++outside->emitted};
    enum cvn_error error = emit(op, event, args, conflate);
    pthread_mutex_unlock(&outside->lock);
    return error;
}

enum cvn_error sio_recovery_emit_to(struct cvn_socket *socket, const char *event, cvn_args args,
                                    unsigned flags, const char *conflate)
{
    struct sio_local *local = socket->local;
    cvn_slice id = slice_of(socket->id, SIO_ID_SIZE);
    struct sio_op op = {
        .type = SIO_OP_EMIT,
        .to_socket = true,
        .flags = flags | CVN_LOCAL_WORKER,
        .nsp = local->nsp,
        .rooms = &id,
        .room_count = 1,
        .position = next_position(local, CVN_LOCAL_WORKER),
    };
    enum cvn_error error = encode(&op, event, args, conflate);
    if (error != CVN_OK)
        return error;
    bool is_queued = sio_socket_send(socket, &op.frames);
    sio_log_append(local->log, &op);
    sio_frames_release(&op.frames);
    if (is_queued && sio_outgoing_is_heard(local->nsp))
        sio_outgoing_tell(socket, event, args);
    return CVN_OK;
}
