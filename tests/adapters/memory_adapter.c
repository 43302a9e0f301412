/*
 * The hub: a queue for each pair of nodes and direction of speech (ops, answers), one mutex, one thread that takes the first message of a queue
 * chosen by chance, and delivers it without the mutex, since a delivery may answer. Stopping a node waits for a delivery to it that runs.
 */
#include "memory_adapter.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum kind { OP, ANSWER, KINDS };

/* A copy of either; what it points to lies in `blocks`. */
struct message {
    struct message *next;
    enum kind kind;
    cvn_cluster_op op;
    cvn_cluster_answer answer;
    size_t block_count, block_capacity;
    void **blocks;
};

struct queue {
    struct message *first, **end;
};

struct node {
    cvn_adapter adapter;
    struct memory_hub *hub;
    unsigned index;
    cvn_cluster *cluster; /* NULL: does not run */
    bool is_dead;
};

struct memory_hub {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    unsigned seed;
    bool is_closing;
    int delivering_to; /* -1: to nobody */
    unsigned node_count;
    struct node *nodes[MEMORY_NODES]; /* kept until the hub goes: emits may come late */
    struct queue queues[MEMORY_NODES][MEMORY_NODES][KINDS];
    size_t waiting; /* messages in all queues */
};

/* --- Copies --- */

static void *keep(struct message *message, const void *data, size_t size)
{
    if (size == 0)
        return NULL;
    if (message->block_count == message->block_capacity) {
        message->block_capacity = message->block_capacity * 2 + 16;
        message->blocks =
            realloc(message->blocks, message->block_capacity * sizeof *message->blocks);
    }
    void *copy = malloc(size);
    if (copy == NULL || message->blocks == NULL)
        abort(); /* a test that runs out of memory has failed */
    memcpy(copy, data, size);
    message->blocks[message->block_count++] = copy;
    return copy;
}

static cvn_slice keep_slice(struct message *message, cvn_slice slice)
{
    slice.data = keep(message, slice.data, slice.size);
    return slice;
}

static const cvn_slice *keep_list(struct message *message, const cvn_slice *list, size_t count)
{
    cvn_slice *copy = keep(message, list, count * sizeof *list);
    for (size_t i = 0; i < count; i++)
        copy[i] = keep_slice(message, list[i]);
    return copy;
}

static cvn_args keep_args(struct message *message, cvn_args args)
{
    args.json = keep_slice(message, args.json);
    args.attachments = keep_list(message, args.attachments, args.attachment_count);
    return args;
}

static struct message *message_of_op(const cvn_cluster_op *op)
{
    struct message *message = calloc(1, sizeof *message);
    if (message == NULL)
        return NULL;
    message->kind = OP;
    message->op = *op;
    message->op.nsp = keep_slice(message, op->nsp);
    message->op.rooms = keep_list(message, op->rooms, op->room_count);
    message->op.except = keep_list(message, op->except, op->except_count);
    message->op.event = keep_slice(message, op->event);
    message->op.args = keep_args(message, op->args);
    message->op.conflate = keep_slice(message, op->conflate);
    message->op.room = keep_slice(message, op->room);
    message->op.node = keep_slice(message, op->node);
    message->op.request = keep_slice(message, op->request);
    return message;
}

static struct message *message_of_answer(const cvn_cluster_answer *answer)
{
    struct message *message = calloc(1, sizeof *message);
    if (message == NULL)
        return NULL;
    message->kind = ANSWER;
    message->answer = *answer;
    message->answer.to = keep_slice(message, answer->to);
    message->answer.request = keep_slice(message, answer->request);
    message->answer.from = keep_slice(message, answer->from);
    message->answer.socket_id = keep_slice(message, answer->socket_id);
    message->answer.args = keep_args(message, answer->args);
    cvn_cluster_socket *sockets =
        keep(message, answer->sockets, answer->socket_count * sizeof *sockets);
    for (size_t i = 0; i < answer->socket_count; i++) {
        sockets[i].id = keep_slice(message, sockets[i].id);
        sockets[i].rooms = keep_list(message, sockets[i].rooms, sockets[i].room_count);
        sockets[i].attributes = keep_slice(message, sockets[i].attributes);
        sockets[i].handshake = keep_slice(message, sockets[i].handshake);
    }
    message->answer.sockets = sockets;
    return message;
}

static void message_free(struct message *message)
{
    while (message->block_count > 0)
        free(message->blocks[--message->block_count]);
    free(message->blocks);
    free(message);
}

/* --- Queues; with the mutex held --- */

static void enqueue(struct memory_hub *hub, unsigned from, unsigned to, struct message *message)
{
    struct queue *queue = &hub->queues[from][to][message->kind];
    *queue->end = message;
    queue->end = &message->next;
    hub->waiting++;
    pthread_cond_broadcast(&hub->changed);
}

static struct message *dequeue(struct memory_hub *hub, struct queue *queue)
{
    struct message *message = queue->first;
    queue->first = message->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    hub->waiting--;
    return message;
}

/* A queue that is not empty. There is one. */
static struct queue *choose(struct memory_hub *hub, unsigned *ret_to)
{
    struct queue *queues = &hub->queues[0][0][0];
    unsigned count = MEMORY_NODES * MEMORY_NODES * KINDS;
    unsigned start = (unsigned)rand_r(&hub->seed) % count;
    for (unsigned i = 0; i < count; i++) {
        unsigned index = (start + i) % count;
        if (queues[index].first != NULL) {
            *ret_to = index / KINDS % MEMORY_NODES;
            return &queues[index];
        }
    }
    abort();
}

/* --- Delivery --- */

static void deliver_next(struct memory_hub *hub)
{
    unsigned to = 0;
    struct message *message = dequeue(hub, choose(hub, &to));
    cvn_cluster *cluster = hub->nodes[to]->is_dead ? NULL : hub->nodes[to]->cluster;
    if (cluster != NULL) {
        hub->delivering_to = (int)to;
        pthread_mutex_unlock(&hub->mutex);
        if (message->kind == OP)
            (void)cvn_cluster_receive(cluster, &message->op);
        else
            (void)cvn_cluster_receive_answer(cluster, &message->answer);
        pthread_mutex_lock(&hub->mutex);
        hub->delivering_to = -1;
    }
    message_free(message);
    pthread_cond_broadcast(&hub->changed);
}

static void *run(void *data)
{
    struct memory_hub *hub = data;
    pthread_mutex_lock(&hub->mutex);
    while (!hub->is_closing) {
        if (hub->waiting > 0)
            deliver_next(hub);
        else
            pthread_cond_wait(&hub->changed, &hub->mutex);
    }
    pthread_mutex_unlock(&hub->mutex);
    return NULL;
}

/* --- The adapter --- */

static bool is_reachable(const struct node *node)
{
    return node->cluster != NULL && !node->is_dead;
}

static enum cvn_error on_start(cvn_adapter *adapter, cvn_cluster *cluster)
{
    struct node *node = adapter->data;
    pthread_mutex_lock(&node->hub->mutex);
    node->cluster = cluster;
    pthread_mutex_unlock(&node->hub->mutex);
    return CVN_OK;
}

static enum cvn_error on_publish(cvn_adapter *adapter, const cvn_cluster_op *op)
{
    struct node *node = adapter->data;
    struct memory_hub *hub = node->hub;
    enum cvn_error error = CVN_OK;
    pthread_mutex_lock(&hub->mutex);
    if (node->cluster == NULL)
        error = CVN_ERR_STATE;
    for (unsigned i = 0; error == CVN_OK && i < hub->node_count; i++) {
        if (i == node->index || !is_reachable(node) || hub->nodes[i]->cluster == NULL)
            continue;
        struct message *message = message_of_op(op);
        if (message == NULL)
            error = CVN_ERR_MEMORY;
        else
            enqueue(hub, node->index, i, message);
    }
    pthread_mutex_unlock(&hub->mutex);
    return error;
}

/* The number of the running node of that id; or -1. */
static int find(const struct memory_hub *hub, cvn_slice id)
{
    for (unsigned i = 0; i < hub->node_count; i++) {
        const struct node *node = hub->nodes[i];
        if (node->cluster != NULL && id.size == CVN_NODE_ID_SIZE &&
            memcmp(id.data, cvn_cluster_node_id(node->cluster), id.size) == 0)
            return (int)i;
    }
    return -1;
}

static enum cvn_error on_respond(cvn_adapter *adapter, const cvn_cluster_answer *answer)
{
    struct node *node = adapter->data;
    struct memory_hub *hub = node->hub;
    enum cvn_error error = CVN_ERR_STATE;
    pthread_mutex_lock(&hub->mutex);
    int to = find(hub, answer->to);
    if (is_reachable(node) && to >= 0) {
        struct message *message = message_of_answer(answer);
        error = message != NULL ? CVN_OK : CVN_ERR_MEMORY;
        if (message != NULL)
            enqueue(hub, node->index, (unsigned)to, message);
    }
    pthread_mutex_unlock(&hub->mutex);
    return error;
}

/* The dead are counted: nobody knows yet. */
static unsigned on_peers(cvn_adapter *adapter, cvn_slice nsp)
{
    struct node *node = adapter->data;
    unsigned count = 0;
    (void)nsp;
    pthread_mutex_lock(&node->hub->mutex);
    for (unsigned i = 0; i < node->hub->node_count; i++)
        count += i != node->index && node->hub->nodes[i]->cluster != NULL;
    pthread_mutex_unlock(&node->hub->mutex);
    return count;
}

static void on_stop(cvn_adapter *adapter)
{
    struct node *node = adapter->data;
    struct memory_hub *hub = node->hub;
    pthread_mutex_lock(&hub->mutex);
    node->cluster = NULL; /* what it has published stays queued, and will be delivered */
    while (hub->delivering_to == (int)node->index)
        pthread_cond_wait(&hub->changed, &hub->mutex);
    pthread_mutex_unlock(&hub->mutex);
}

static void on_free(cvn_adapter *adapter)
{
    (void)adapter; /* the hub frees its nodes */
}

/* --- The hub --- */

struct memory_hub *memory_hub_new(unsigned seed)
{
    struct memory_hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return NULL;
    hub->seed = seed;
    hub->delivering_to = -1;
    for (unsigned i = 0; i < MEMORY_NODES * MEMORY_NODES * KINDS; i++) {
        struct queue *queue = &hub->queues[0][0][0] + i;
        queue->end = &queue->first;
    }
    pthread_mutex_init(&hub->mutex, NULL);
    pthread_cond_init(&hub->changed, NULL);
    if (pthread_create(&hub->thread, NULL, run, hub) != 0)
        abort();
    return hub;
}

void memory_hub_free(struct memory_hub *hub)
{
    unsigned unused;
    pthread_mutex_lock(&hub->mutex);
    hub->is_closing = true;
    pthread_cond_broadcast(&hub->changed);
    pthread_mutex_unlock(&hub->mutex);
    pthread_join(hub->thread, NULL);
    while (hub->waiting > 0)
        message_free(dequeue(hub, choose(hub, &unused)));
    for (unsigned i = 0; i < hub->node_count; i++)
        free(hub->nodes[i]);
    pthread_mutex_destroy(&hub->mutex);
    pthread_cond_destroy(&hub->changed);
    free(hub);
}

cvn_adapter *memory_adapter_new(struct memory_hub *hub)
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL || hub->node_count == MEMORY_NODES)
        abort();
    node->adapter = (cvn_adapter){
        .start = on_start,
        .publish = on_publish,
        .respond = on_respond,
        .peers = on_peers,
        .stop = on_stop,
        .free = on_free,
        .data = node,
    };
    node->hub = hub;
    pthread_mutex_lock(&hub->mutex);
    node->index = hub->node_count;
    hub->nodes[hub->node_count++] = node;
    pthread_mutex_unlock(&hub->mutex);
    return &node->adapter;
}

void memory_hub_kill(struct memory_hub *hub, unsigned index)
{
    pthread_mutex_lock(&hub->mutex);
    hub->nodes[index]->is_dead = true;
    while (hub->delivering_to == (int)index)
        pthread_cond_wait(&hub->changed, &hub->mutex);
    pthread_mutex_unlock(&hub->mutex);
}

void memory_hub_settle(struct memory_hub *hub)
{
    pthread_mutex_lock(&hub->mutex);
    while (hub->waiting > 0 || hub->delivering_to >= 0)
        pthread_cond_wait(&hub->changed, &hub->mutex);
    pthread_mutex_unlock(&hub->mutex);
}

cvn_cluster *memory_hub_cluster(struct memory_hub *hub, unsigned index)
{
    pthread_mutex_lock(&hub->mutex);
    cvn_cluster *cluster = hub->nodes[index]->cluster;
    pthread_mutex_unlock(&hub->mutex);
    return cluster;
}
