/*
 * Acknowledgements that clients owe us: a short list in each socket, a timer each when asked for. Worker's thread; every callback runs
 * exactly once.
 */
#include "sio/sio_client.h"
#include "base/mem.h"

struct sio_ack {
    struct list link; /* in socket->acks */
    struct cvn_socket *socket;
    uint64_t id;
    struct timer timer;
    cvn_ack_fn fn;
    void *data;
};

/* Out of the socket, then told: the callback may ask for another one. */
static void settle(struct sio_ack *ack, enum cvn_error error, cvn_args args)
{
    struct cvn_socket *socket = ack->socket;
    list_remove(&ack->link);
    wheel_cancel(&socket->local->worker->worker->wheel, &ack->timer);
    socket->ack_count--;
    cvn_socket_ref(socket);
    ack->fn(socket, error, args, ack->data);
    cvn_socket_unref(socket);
    mem_free(ack);
}

static void on_timeout(struct timer *timer)
{
    settle(CONTAINER_OF(timer, struct sio_ack, timer), CVN_ERR_TIMEOUT, cvn_json(NULL));
}

static struct sio_ack *find(struct cvn_socket *socket, uint64_t id)
{
    LIST_FOR_EACH (node, &socket->acks) {
        struct sio_ack *ack = CONTAINER_OF(node, struct sio_ack, link);
        if (ack->id == id)
            return ack;
    }
    return NULL;
}

enum cvn_error sio_ack_add(struct cvn_socket *socket, uint64_t id, uint32_t timeout_ms,
                           cvn_ack_fn fn, void *data)
{
    if (socket->ack_count >= socket->local->nsp->server->options.max_pending_acks)
        return CVN_ERR_LIMIT;
    struct sio_ack *ack = mem_zalloc(sizeof *ack);
    if (ack == NULL)
        return CVN_ERR_MEMORY;
    ack->socket = socket;
    ack->id = id;
    ack->fn = fn;
    ack->data = data;
    ack->timer.fire = on_timeout;
    list_append(&socket->acks, &ack->link);
    socket->ack_count++;
    if (timeout_ms > 0)
        wheel_arm(&socket->local->worker->worker->wheel, &ack->timer, timeout_ms);
    return CVN_OK;
}

void sio_ack_remove(struct cvn_socket *socket, uint64_t id)
{
    struct sio_ack *ack = find(socket, id);
    if (ack == NULL)
        return;
    list_remove(&ack->link);
    wheel_cancel(&socket->local->worker->worker->wheel, &ack->timer);
    socket->ack_count--;
    mem_free(ack);
}

void sio_ack_resolve(struct cvn_socket *socket, uint64_t id, cvn_args args)
{
    struct sio_ack *ack = find(socket, id);
    if (ack != NULL)
        settle(ack, CVN_OK, args);
}

void sio_ack_fail_all(struct cvn_socket *socket)
{
    while (!list_is_empty(&socket->acks))
        settle(CONTAINER_OF(socket->acks.next, struct sio_ack, link), CVN_ERR_STATE,
               cvn_json(NULL));
}
