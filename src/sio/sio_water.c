/*
 * Flow control towards the application: a connection's output rose above the high-water mark, or has drained. Engine.IO tells in the midst of a
 * broadcast or a flush, where no handler may run; so the client only takes note, and its sockets are told at the end of the turn.
 *
 * Each socket hears of high and low in turns, high first. What rose and fell within one turn it does not hear of. Worker's thread.
 */
#include "sio/sio_client.h"

/* A socket that has not heard how things are now. One that joined while the mark was exceeded has nothing to be told the end of. */
static struct cvn_socket *find_untold(const struct sio_client *client)
{
    LIST_FOR_EACH (node, &client->sockets) {
        struct cvn_socket *socket = CONTAINER_OF(node, struct cvn_socket, client_link);
        if (socket->state == SIO_SOCKET_CONNECTED && socket->is_high != client->is_high)
            return socket;
    }
    return NULL;
}

static void tell(struct cvn_socket *socket, const struct sio_handlers *handlers)
{
    cvn_socket_ref(socket); /* a handler may end it */
    for (size_t i = 0; i < handlers->count && socket->state == SIO_SOCKET_CONNECTED; i++)
        handlers->items[i].fn.connection(socket, handlers->items[i].data);
    cvn_socket_unref(socket);
}

static void run_task(struct worker_task *task)
{
    struct sio_client *client = CONTAINER_OF(task, struct sio_client, water_task);
    struct cvn_socket *socket;
    /* From the front each time: a handler may change the list, and the level. */
    while (eio_session_is_open(client->session) && (socket = find_untold(client)) != NULL) {
        const struct cvn_namespace *nsp = socket->local->nsp;
        socket->is_high = client->is_high;
        tell(socket, socket->is_high ? &nsp->handlers->high_water : &nsp->handlers->drain);
    }
}

void sio_water_on_change(struct eio_session *session, bool is_high)
{
    struct sio_client *client = eio_session_owner(session);
    if (client == NULL)
        return;
    client->is_high = is_high;
    client->water_task.run = run_task;
    worker_defer(client->worker->worker, &client->water_task);
}
