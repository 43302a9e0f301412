/*
 * Telling the observer, and the walks that its owner takes: over the namespaces of a server, over the sockets of a worker.
 *
 * A walk over sockets goes from the last to the first. Leaving moves the last one into the gap: behind the cursor, where it was met already,
 * or before it, where it is met (again). So nobody who stays is missed, however long the walk takes. The cursor is the index of the socket that
 * was met last, plus one more to set the end apart from the beginning.
 */
#include "sio/sio_observe.h"
#include "sio/sio_dynamic.h"

static const cvn_observer *observer_of(const struct cvn_socket *socket)
{
    return &socket->local->nsp->server->observer;
}

void sio_observe_join(struct cvn_socket *socket, const char *room)
{
    const cvn_observer *observer = observer_of(socket);
    if (observer->on_join != NULL)
        observer->on_join(socket, room, observer->data);
}

void sio_observe_leave(struct cvn_socket *socket, const char *room)
{
    const cvn_observer *observer = observer_of(socket);
    if (observer->on_leave != NULL)
        observer->on_leave(socket, room, observer->data);
}

void sio_observe_disconnect(struct cvn_socket *socket, const char *reason)
{
    const cvn_observer *observer = observer_of(socket);
    if (observer->on_disconnect != NULL)
        observer->on_disconnect(socket, reason, observer->data);
}

void sio_observe_upgrade(struct cvn_socket *socket)
{
    const cvn_observer *observer = observer_of(socket);
    if (observer->on_upgrade != NULL)
        observer->on_upgrade(socket, observer->data);
}

void sio_observe_event(struct cvn_socket *socket, const struct cvn_event *event)
{
    const cvn_observer *observer = observer_of(socket);
    if (observer->on_event != NULL)
        observer->on_event(socket, event, observer->data);
}

void sio_observe_outgoing(struct cvn_socket *socket, const char *event, cvn_args args)
{
    const cvn_observer *observer = observer_of(socket);
    if (observer->on_outgoing != NULL)
        observer->on_outgoing(socket, event, args, observer->data);
}

enum cvn_error sio_set_observer(struct sio_server *server, const cvn_observer *observer)
{
    if (server->started || server->has_observer)
        return CVN_ERR_STATE;
    if (observer == NULL)
        return sio_server_note(server, CVN_ERR_ARGUMENT);
    server->observer = *observer;
    server->has_observer = true;
    return CVN_OK;
}

void sio_observe(struct sio_server *server, bool on)
{
    if (server->has_observer)
        atomic_store_explicit(&server->is_observed, on, memory_order_relaxed);
}

/* --- Walks --- */

cvn_socket *cvn_next_socket(const cvn_namespace *nsp, size_t *cursor)
{
    const struct sio_worker *worker = sio_server_own_worker(nsp->server);
    if (worker == NULL || nsp->locals == NULL)
        return NULL;
    const struct sio_local *local = &nsp->locals[worker->worker->index];
    size_t before = *cursor == 0 ? local->member_count : *cursor - 1;
    if (before > local->member_count)
        before = local->member_count;
    if (before == 0) {
        *cursor = 1;
        return NULL;
    }
    *cursor = before;
    return local->members[before - 1];
}

struct each_namespace {
    void (*fn)(cvn_namespace *nsp, void *data);
    void *data;
};

static enum cvn_error call_for_child(struct cvn_namespace *child, void *data)
{
    const struct each_namespace *each = data;
    each->fn(child, each->data);
    return CVN_OK;
}

enum cvn_error sio_each_namespace(struct sio_server *server,
                                  void (*fn)(cvn_namespace *nsp, void *data), void *data)
{
    struct each_namespace each = {fn, data};
    size_t cursor = 0;
    struct cvn_namespace *nsp;
    while ((nsp = map_next(&server->namespaces, &cursor)) != NULL)
        fn(nsp, data);
    return sio_dynamic_each_child(server, call_for_child, &each);
}
