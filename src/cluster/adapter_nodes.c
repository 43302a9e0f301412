/*
 * Ops on their way out: to the other nodes first, because applying them here may run handlers that publish more, and the order of one thread
 * is kept; then to the own workers. What another node has sent goes to the own workers alone. Any thread.
 */
#include "cluster/adapter_nodes.h"
#include "base/mem.h"
#include "base/rand.h"
#include <inttypes.h>
#include <stdio.h>

size_t adapter_nodes_write_request(const struct cvn_cluster *cluster, struct sio_origin origin,
                                   char ret[ADAPTER_NODES_REQUEST_SIZE])
{
    return (size_t)snprintf(ret, ADAPTER_NODES_REQUEST_SIZE, "%s.%02x.%" PRIx64, cluster->id,
                            origin.worker & 0xff, origin.request);
}

static bool read_hex(cvn_slice digits, uint64_t *ret)
{
    uint64_t value = 0;
    if (digits.size == 0 || digits.size > 16)
        return false;
    for (size_t i = 0; i < digits.size; i++) {
        char c = digits.data[i];
        bool is_letter = c >= 'a' && c <= 'f';
        if (!is_letter && (c < '0' || c > '9'))
            return false;
        value = value << 4 | (unsigned)(is_letter ? c - 'a' + 10 : c - '0');
    }
    *ret = value;
    return true;
}

bool adapter_nodes_read_request(const struct cvn_cluster *cluster, cvn_slice text,
                                struct sio_origin *ret)
{
    static const size_t id_end = CVN_NODE_ID_SIZE, worker_end = CVN_NODE_ID_SIZE + 3;
    uint64_t worker, number;
    if (text.size <= worker_end || memcmp(text.data, cluster->id, id_end) != 0 ||
        text.data[id_end] != '.' || text.data[worker_end] != '.')
        return false;
    if (!read_hex(slice_of(text.data + id_end + 1, 2), &worker) ||
        !read_hex(slice_from(text, worker_end + 1), &number) ||
        worker >= cluster->server->worker_count)
        return false;
    *ret = (struct sio_origin){(unsigned)worker, number};
    return true;
}

/* In the order of enum sio_op_type. */
static const enum cvn_cluster_op_type types[] = {
    CVN_CLUSTER_EMIT,       CVN_CLUSTER_JOIN,  CVN_CLUSTER_LEAVE,
    CVN_CLUSTER_DISCONNECT, CVN_CLUSTER_FETCH, CVN_CLUSTER_SERVER_EMIT,
};

static enum cvn_error publish_outside(const struct cvn_cluster *cluster, const struct sio_op *op)
{
    char request[ADAPTER_NODES_REQUEST_SIZE];
    cvn_cluster_op out = {
        .type = types[op->type],
        .nsp = sio_namespace_name(op->nsp),
        .rooms = op->rooms,
        .room_count = op->room_count,
        .except = op->except,
        .except_count = op->except_count,
        .flags = op->flags & ADAPTER_NODES_FLAGS,
        .node = slice_of(cluster->id, CVN_NODE_ID_SIZE),
    };
    if (op->type == SIO_OP_EMIT || op->type == SIO_OP_SERVER_EMIT) {
        out.event = cvn_str(op->event);
        out.args = op->args;
        out.conflate = cvn_str(op->conflate);
    }
    if (op->type == SIO_OP_JOIN || op->type == SIO_OP_LEAVE)
        out.room = op->name;
    if (op->type == SIO_OP_DISCONNECT)
        out.close = op->close;
    if (op->origin.request != 0) {
        out.request = slice_of(request, adapter_nodes_write_request(cluster, op->origin, request));
        out.timeout_ms = op->timeout_ms;
    }
    return cluster->outer->publish(cluster->outer, &out);
}

static enum cvn_error publish(struct sio_adapter *adapter, const struct sio_op *op)
{
    struct cvn_cluster *cluster = CONTAINER_OF(adapter, struct cvn_cluster, adapter);
    enum cvn_error outside = CVN_OK;
    if (sio_adapter_leaves_node(op))
        outside = publish_outside(cluster, op);
    enum cvn_error here = cluster->workers->publish(cluster->workers, op);
    return here != CVN_OK ? here : outside;
}

static unsigned count_peers(struct sio_adapter *adapter, cvn_slice nsp)
{
    struct cvn_cluster *cluster = CONTAINER_OF(adapter, struct cvn_cluster, adapter);
    return cluster->outer->peers(cluster->outer, nsp);
}

static enum cvn_error respond(struct sio_adapter *adapter, const cvn_cluster_answer *answer)
{
    struct cvn_cluster *cluster = CONTAINER_OF(adapter, struct cvn_cluster, adapter);
    cvn_cluster_answer out = *answer;
    out.from = slice_of(cluster->id, CVN_NODE_ID_SIZE);
    return cluster->outer->respond(cluster->outer, &out);
}

static void free_adapter(struct sio_adapter *adapter)
{
    struct cvn_cluster *cluster = CONTAINER_OF(adapter, struct cvn_cluster, adapter);
    cluster->workers->free(cluster->workers);
    mem_free(cluster);
}

struct cvn_cluster *adapter_nodes_new(struct sio_server *server, struct sio_adapter *workers,
                                      struct cvn_adapter *outer)
{
    struct cvn_cluster *cluster = mem_zalloc(sizeof *cluster);
    if (cluster == NULL)
        return NULL;
    cluster->adapter = (struct sio_adapter){publish, free_adapter, count_peers, respond};
    cluster->server = server;
    cluster->workers = workers;
    cluster->outer = outer;
    snprintf(cluster->id, sizeof cluster->id, "%016" PRIx64, rand_u64());
    return cluster;
}
