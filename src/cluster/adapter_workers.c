/*
 * Broadcasts across the workers of one process: delivered at once on the calling worker, and posted to the mailboxes of the others as
 * one shared, counted relay, so that nothing is encoded or copied twice. Any thread.
 */
#include "cluster/adapter_workers.h"
#include "base/mem.h"

struct adapter_workers {
    struct sio_adapter adapter;
    struct sio_server *server;
};

struct relay;

struct relay_mail {
    struct mail mail;
    struct relay *relay;
};

/* A broadcast that owns its memory: names lie behind it in the same allocation, messages are referenced. */
struct relay {
    atomic_uint refs;
    struct sio_broadcast broadcast;
    struct sio_frames frames;
    cvn_slice *names;
    struct relay_mail mails[]; /* one a worker */
};

static void relay_unref(struct relay *relay)
{
    if (atomic_fetch_sub_explicit(&relay->refs, 1, memory_order_acq_rel) != 1)
        return;
    sio_frames_release(&relay->frames);
    mem_free(relay);
}

static void on_relay(struct mail *mail, struct worker *worker)
{
    struct relay *relay = CONTAINER_OF(mail, struct relay_mail, mail)->relay;
    struct sio_server *server = relay->broadcast.nsp->server;
    sio_broadcast_deliver(server->workers[worker->index], &relay->broadcast);
    relay_unref(relay);
}

static void on_relay_discarded(struct mail *mail)
{
    relay_unref(CONTAINER_OF(mail, struct relay_mail, mail)->relay);
}

static size_t names_size(const cvn_slice *names, size_t count)
{
    size_t size = count * sizeof *names;
    for (size_t i = 0; i < count; i++)
        size += names[i].size;
    return size;
}

/* Copies `count` names to `to` and their bytes to *bytes, moving it on. */
static void copy_names(cvn_slice *to, const cvn_slice *names, size_t count, char **bytes)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i].size > 0)
            memcpy(*bytes, names[i].data, names[i].size);
        to[i] = slice_of(*bytes, names[i].size);
        *bytes += names[i].size;
    }
}

static struct relay *relay_new(const struct sio_broadcast *broadcast, unsigned worker_count)
{
    size_t names = names_size(broadcast->rooms, broadcast->room_count) +
                   names_size(broadcast->except, broadcast->except_count);
    struct relay *relay = mem_alloc(sizeof *relay + worker_count * sizeof relay->mails[0] + names);
    if (relay == NULL)
        return NULL;
    atomic_init(&relay->refs, 1);
    relay->broadcast = *broadcast;
    relay->frames.text = message_ref(broadcast->frames->text);
    relay->frames.binary_count = broadcast->frames->binary_count;
    for (size_t i = 0; i < relay->frames.binary_count; i++)
        relay->frames.binaries[i] = message_ref(broadcast->frames->binaries[i]);
    relay->broadcast.frames = &relay->frames;

    relay->names = (cvn_slice *)&relay->mails[worker_count];
    cvn_slice *except = relay->names + broadcast->room_count;
    char *bytes = (char *)(except + broadcast->except_count);
    copy_names(relay->names, broadcast->rooms, broadcast->room_count, &bytes);
    copy_names(except, broadcast->except, broadcast->except_count, &bytes);
    relay->broadcast.rooms = relay->names;
    relay->broadcast.except = except;
    return relay;
}

static enum cvn_error post_to_others(const struct sio_server *server, const struct worker *self,
                                     const struct sio_broadcast *broadcast)
{
    struct relay *relay = relay_new(broadcast, server->worker_count);
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

/* The calling thread's worker, if it is one of this server's. */
static struct sio_worker *own_worker(const struct sio_server *server)
{
    const struct worker *current = worker_current();
    if (current == NULL || current->index >= server->worker_count)
        return NULL;
    struct sio_worker *worker = server->workers[current->index];
    return worker->worker == current ? worker : NULL;
}

static enum cvn_error broadcast_to_workers(struct sio_adapter *adapter,
                                           const struct sio_broadcast *broadcast)
{
    const struct sio_server *server = ((struct adapter_workers *)adapter)->server;
    struct sio_worker *self = own_worker(server);
    enum cvn_error error = CVN_OK;
    bool others = server->worker_count > (self != NULL ? 1U : 0U);
    if (others && !(broadcast->flags & CVN_LOCAL_WORKER))
        error = post_to_others(server, self != NULL ? self->worker : NULL, broadcast);
    if (self != NULL)
        sio_broadcast_deliver(self, broadcast);
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
    workers->adapter.broadcast = broadcast_to_workers;
    workers->adapter.free = free_adapter;
    workers->server = server;
    return &workers->adapter;
}
