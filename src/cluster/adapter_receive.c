/*
 * Ops and answers on their way in, from whatever brings them: checked like any other input from outside, then given to the own workers as if a
 * thread of this process had asked for it. Any thread.
 */
#include "cluster/adapter_nodes.h"
#include "base/mem.h"
#include "sio/sio_dynamic.h"
#include "sio/sio_serverside.h"
#include "sio/sio_target.h"

/* --- Checks --- */

/* Adds up what an op or answer holds; false once it is too much. */
static bool weigh(size_t *total, cvn_slice bytes)
{
    if (bytes.size > CVN_CLUSTER_MAX_BYTES - *total)
        return false;
    *total += bytes.size;
    return true;
}

static bool weigh_all(size_t *total, const cvn_slice *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!weigh(total, list[i]))
            return false;
    return true;
}

static bool weigh_args(size_t *total, cvn_args args)
{
    return args.attachment_count <= SIO_MAX_ATTACHMENTS && weigh(total, args.json) &&
           weigh_all(total, args.attachments, args.attachment_count);
}

static bool has_nul(cvn_slice text)
{
    return slice_find(text, '\0') < text.size;
}

static bool is_id(cvn_slice text)
{
    return text.size <= CVN_CLUSTER_MAX_ID && !has_nul(text);
}

static enum cvn_error check_op(const cvn_cluster_op *op)
{
    size_t total = 0;
    if (op->room_count > CVN_CLUSTER_MAX_NAMES ||
        op->except_count > CVN_CLUSTER_MAX_NAMES - op->room_count ||
        !weigh_all(&total, op->rooms, op->room_count) ||
        !weigh_all(&total, op->except, op->except_count) || !weigh_args(&total, op->args) ||
        !weigh(&total, op->room) || op->event.size > SIO_MAX_EVENT_NAME ||
        op->conflate.size > SIO_MAX_CONFLATE_KEY)
        return CVN_ERR_LIMIT;
    if (!is_id(op->node) || !is_id(op->request) || has_nul(op->event) || has_nul(op->room) ||
        has_nul(op->conflate) || (op->conflate.size > 0 && op->request.size > 0))
        return CVN_ERR_ARGUMENT;
    switch (op->type) {
    case CVN_CLUSTER_EMIT:
    case CVN_CLUSTER_SERVER_EMIT:
        return op->event.size > 0 ? CVN_OK : CVN_ERR_ARGUMENT;
    case CVN_CLUSTER_JOIN:
    case CVN_CLUSTER_LEAVE:
        return op->room.size > 0 ? CVN_OK : CVN_ERR_ARGUMENT;
    case CVN_CLUSTER_FETCH:
        return op->request.size > 0 ? CVN_OK : CVN_ERR_ARGUMENT;
    case CVN_CLUSTER_DISCONNECT:
        return CVN_OK;
    }
    return CVN_ERR_ARGUMENT;
}

static enum cvn_error check_socket(const cvn_cluster_socket *socket, size_t *total)
{
    if (socket->room_count > CVN_CLUSTER_MAX_NAMES || !weigh(total, socket->attributes) ||
        !weigh(total, socket->handshake) || !weigh_all(total, socket->rooms, socket->room_count))
        return CVN_ERR_LIMIT;
    if (socket->id.size == 0 || !is_id(socket->id))
        return CVN_ERR_ARGUMENT;
    for (size_t i = 0; i < socket->room_count; i++)
        if (has_nul(socket->rooms[i]))
            return CVN_ERR_ARGUMENT;
    if (socket->attributes.size > 0 && !json_is_valid(socket->attributes, JSON_MAX_DEPTH))
        return CVN_ERR_JSON;
    if (socket->handshake.size > 0 && (!json_is_valid(socket->handshake, JSON_MAX_DEPTH) ||
                                       json_type(socket->handshake) != JSON_OBJECT))
        return CVN_ERR_JSON;
    return CVN_OK;
}

static enum cvn_error check_answer(const struct sio_server *server,
                                   const cvn_cluster_answer *answer)
{
    size_t total = 0;
    if (answer->type < CVN_CLUSTER_CLIENT_COUNT || answer->type > CVN_CLUSTER_SERVER_ACK ||
        (unsigned)answer->error > CVN_ERR_TIMEOUT || !is_id(answer->from) ||
        !is_id(answer->socket_id))
        return CVN_ERR_ARGUMENT;
    if (!weigh_args(&total, answer->args) || answer->client_count > UINT32_MAX ||
        answer->socket_count > CVN_CLUSTER_MAX_BYTES / sizeof *answer->sockets)
        return CVN_ERR_LIMIT;
    for (size_t i = 0; i < answer->socket_count; i++) {
        enum cvn_error error = check_socket(&answer->sockets[i], &total);
        if (error != CVN_OK)
            return error;
    }
    return sio_encode_check_args(answer->args, &server->options.emits);
}

/* --- Ops --- */

/* An op that asks for nothing. */
static enum cvn_error apply(struct sio_op *op, const char *event, cvn_args args)
{
    struct sio_adapter *adapter = op->nsp->server->adapter;
    if (op->type == SIO_OP_EMIT)
        return sio_target_emit(op, event, args, NULL);
    return adapter->publish(adapter, op);
}

/* An op that does; the asker is the request's with CVN_OK. */
static enum cvn_error ask(struct sio_op *op, const char *event, cvn_args args,
                          struct sio_asker *asker)
{
    const struct sio_request_end end = {.asker = asker};
    uint64_t unused;
    if (op->type == SIO_OP_EMIT)
        return sio_target_emit(op, event, args, &end);
    enum cvn_error error = sio_request_number(op, &unused);
    return error != CVN_OK ? error : sio_request_begin(op, &end);
}

static enum cvn_error hand_over(struct sio_op *op, const cvn_cluster_op *from, const char *event,
                                struct sio_asker *asker)
{
    if (op->type == SIO_OP_SERVER_EMIT) {
        enum cvn_error error = sio_serverside_check(op->nsp->server, from->event, from->args);
        if (error != CVN_OK)
            return error;
        op->event = event;
        op->args = from->args;
        return sio_serverside_receive(op, from->node, asker);
    }
    return asker != NULL ? ask(op, event, from->args, asker) : apply(op, event, from->args);
}

/* With a NUL, as ops want it. */
static void put_text(char *to, cvn_slice text)
{
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    to[text.size] = '\0';
}

static enum cvn_error receive(struct cvn_namespace *nsp, const cvn_cluster_op *from)
{
    /* In the order of enum cvn_cluster_op_type, which begins with 1. */
    static const enum sio_op_type types[] = {SIO_OP_EMIT,       SIO_OP_JOIN,  SIO_OP_LEAVE,
                                             SIO_OP_DISCONNECT, SIO_OP_FETCH, SIO_OP_SERVER_EMIT};
    bool is_change = from->type == CVN_CLUSTER_JOIN || from->type == CVN_CLUSTER_LEAVE ||
                     from->type == CVN_CLUSTER_DISCONNECT;
    uint32_t timeout_ms = from->timeout_ms != 0 ? from->timeout_ms : SIO_REQUEST_TIMEOUT_MS;
    struct sio_op op = {
        .type = (uint8_t)types[from->type - CVN_CLUSTER_EMIT],
        .from_peer = true,
        .close = from->close,
        .flags = from->flags & ADAPTER_NODES_FLAGS,
        .timeout_ms =
            timeout_ms < CVN_CLUSTER_MAX_TIMEOUT_MS ? timeout_ms : CVN_CLUSTER_MAX_TIMEOUT_MS,
        .nsp = nsp,
        .rooms = from->rooms,
        .room_count = from->room_count,
        .except = from->except,
        .except_count = from->except_count,
    };
    char event[SIO_MAX_EVENT_NAME + 1], conflate[SIO_MAX_CONFLATE_KEY + 1];
    struct sio_asker *asker = NULL;
    enum cvn_error error = CVN_ERR_MEMORY;
    char *name = mem_alloc(from->room.size + 1);
    if (name == NULL)
        goto out;
    put_text(name, from->room);
    put_text(event, from->event);
    put_text(conflate, from->conflate);
    op.conflate = from->conflate.size > 0 ? conflate : NULL;
    op.name = slice_of(name, from->room.size);
    if (from->request.size > 0 && !is_change) {
        asker = sio_asker_new(from->node, from->request);
        if (asker == NULL)
            goto out;
    }
    error = hand_over(&op, from, event, asker);
    if (error == CVN_OK)
        asker = NULL;
out:
    mem_free(asker);
    mem_free(name);
    return error;
}

/* A request for a namespace that is not here: whoever asks need not wait for its time to pass. */
static void answer_nobody(struct sio_server *server, const cvn_cluster_op *op)
{
    struct list nobody;
    list_init(&nobody);
    struct sio_asker *asker = op->request.size > 0 ? sio_asker_new(op->node, op->request) : NULL;
    if (asker == NULL)
        return;
    if (op->type == CVN_CLUSTER_EMIT)
        sio_asker_tell_count(server, asker, CVN_OK, 0);
    else if (op->type == CVN_CLUSTER_FETCH)
        sio_asker_tell_sockets(server, asker, CVN_OK, &nobody);
    else if (op->type == CVN_CLUSTER_SERVER_EMIT)
        sio_asker_tell_event(server, asker, CVN_ERR_NOT_FOUND, cvn_json(NULL));
    mem_free(asker);
}

enum cvn_error cvn_cluster_receive(cvn_cluster *cluster, const cvn_cluster_op *op)
{
    struct sio_server *server = cluster->server;
    enum cvn_error error = check_op(op);
    if (error != CVN_OK)
        return error;
    if (atomic_load_explicit(&server->ended, memory_order_relaxed))
        return CVN_ERR_STATE;
    struct cvn_namespace *nsp = sio_namespace_find(server, op->nsp);
    struct cvn_namespace *child = nsp == NULL ? sio_dynamic_find(server, op->nsp) : NULL;
    if (nsp == NULL && child == NULL) {
        answer_nobody(server, op);
        return CVN_ERR_NOT_FOUND;
    }
    error = receive(nsp != NULL ? nsp : child, op);
    sio_namespace_unref(child);
    return error;
}

/* --- Answers --- */

enum cvn_error cvn_cluster_receive_answer(cvn_cluster *cluster, const cvn_cluster_answer *answer)
{
    struct sio_server *server = cluster->server;
    struct sio_origin origin;
    enum cvn_error error = check_answer(server, answer);
    if (error != CVN_OK)
        return error;
    if (!adapter_nodes_read_request(cluster, answer->request, &origin))
        return CVN_ERR_NOT_FOUND;
    if (atomic_load_explicit(&server->ended, memory_order_relaxed))
        return CVN_ERR_STATE;
    return sio_request_receive(server, origin, answer);
}

/* --- What else an adapter may ask --- */

const char *cvn_cluster_node_id(const cvn_cluster *cluster)
{
    return cluster->id;
}

cvn_server *cvn_cluster_server(const cvn_cluster *cluster)
{
    return cluster->server->owner;
}

cvn_namespace *cvn_cluster_next_namespace(const cvn_cluster *cluster, size_t *cursor)
{
    return map_next(&cluster->server->namespaces, cursor);
}
