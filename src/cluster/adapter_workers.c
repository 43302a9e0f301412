/*
 * Ops across the workers of one process: applied at once on the calling worker, and posted to the mailboxes of the others, who share
 * one counted op, so that nothing is encoded or copied twice. Any thread.
 */
#include "cluster/adapter_workers.h"
#include "base/mem.h"

struct adapter_workers {
    struct sio_adapter adapter;
    struct sio_server *server;
};

struct relay_mail {
    struct mail mail;
    struct relay *relay;
};

/* The mail of all workers in one allocation, freed with the last of them. */
struct relay {
    atomic_uint refs;
    struct sio_op *op;         /* a reference */
    struct relay_mail mails[]; /* one a worker */
};

static void relay_unref(struct relay *relay)
{
    if (atomic_fetch_sub_explicit(&relay->refs, 1, memory_order_acq_rel) != 1)
        return;
    sio_op_unref(relay->op);
    mem_free(relay);
}

static void on_relay(struct mail *mail, struct worker *worker)
{
    struct relay *relay = CONTAINER_OF(mail, struct relay_mail, mail)->relay;
    struct sio_server *server = relay->op->nsp->server;
    sio_op_apply(server->workers[worker->index], relay->op);
    relay_unref(relay);
}

static void on_relay_discarded(struct mail *mail)
{
    relay_unref(CONTAINER_OF(mail, struct relay_mail, mail)->relay);
}

static struct relay *relay_new(const struct sio_op *op, unsigned worker_count)
{
    struct relay *relay = mem_alloc(sizeof *relay + worker_count * sizeof relay->mails[0]);
    if (relay == NULL)
        return NULL;
    atomic_init(&relay->refs, 1);
    relay->op = sio_op_ref(op);
    if (relay->op == NULL) {
        mem_free(relay);
        return NULL;
    }
    return relay;
}

static enum cvn_error post_to_others(const struct sio_server *server, const struct worker *self,
                                     const struct sio_op *op)
{
    struct relay *relay = relay_new(op, server->worker_count);
    if (relay == NULL)
        return CVN_ERR_MEMORY;
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct worker *worker = server->workers[i]->worker;
        if (worker == self)
            continue;
        struct relay_mail *mail = &relay->mails[i];
        mail->mail.deliver = on_relay;
        mail->mail.discard = on_relay_discarded;
        mail->relay = relay;
        atomic_fetch_add_explicit(&relay->refs, 1, memory_order_relaxed);
        worker_post(worker, &mail->mail);
    }
    relay_unref(relay);
    return CVN_OK;
}

static enum cvn_error publish_to_workers(struct sio_adapter *adapter, const struct sio_op *op)
{
    const struct sio_server *server = ((struct adapter_workers *)adapter)->server;
    struct sio_worker *self = sio_server_own_worker(server);
    enum cvn_error error = CVN_OK;
    if (op->type == SIO_OP_SERVER_EMIT)
        return CVN_OK; /* to other nodes, and there are none */
    bool others = server->worker_count > (self != NULL ? 1U : 0U);
    if (others && !(op->flags & CVN_LOCAL_WORKER))
        error = post_to_others(server, self != NULL ? self->worker : NULL, op);
    if (self != NULL)
        sio_op_apply(self, op);
    return error;
}

static void free_adapter(struct sio_adapter *adapter)
{
    mem_free(adapter);
}

struct sio_adapter *adapter_workers_new(struct sio_server *server)
{
    struct adapter_workers *workers = mem_zalloc(sizeof *workers);
    if (workers == NULL)
        return NULL;
    workers->adapter.publish = publish_to_workers;
    workers->adapter.free = free_adapter;
    workers->server = server;
    return &workers->adapter;
}
