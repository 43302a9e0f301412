/*
 * Namespaces: registration before the server starts, look-ups after. The handlers need no lock, because they no longer change
 * when threads read them; sockets and rooms need none, because each worker has its own.
 */
#include "sio/sio_socket.h"
#include "sio/sio_adapter.h"
#include "sio/sio_recovery.h"
#include "sio/sio_request.h"
#include "base/mem.h"

static cvn_slice namespace_key(const void *value)
{
    return sio_namespace_name(value);
}

static cvn_slice event_key(const void *value)
{
    const struct sio_event_entry *entry = value;
    return slice_of(entry->name, entry->name_size);
}

static cvn_slice socket_key(const void *value)
{
    const struct cvn_socket *socket = value;
    return slice_of(socket->id, SIO_ID_SIZE);
}

/* --- The server's registry --- */

void sio_server_init(struct sio_server *server, cvn_server *owner,
                     const struct sio_options *options)
{
    memset(server, 0, sizeof *server);
    server->owner = owner;
    server->options = *options;
    map_init(&server->namespaces, namespace_key);
    sio_registry_init(&server->registry);
}

void sio_server_release(struct sio_server *server)
{
    size_t cursor = 0;
    struct cvn_namespace *nsp;
    for (unsigned i = 0; i < server->worker_count; i++) {
        sio_request_end_all(server->workers[i]);
        sio_recovery_end_all(server->workers[i]);
    }
    while ((nsp = map_next(&server->namespaces, &cursor)) != NULL)
        sio_namespace_free(nsp);
    map_release(&server->namespaces);
    sio_registry_release(&server->registry);
    if (server->adapter != NULL)
        server->adapter->free(server->adapter);
    server->adapter = NULL;
}

enum cvn_error sio_server_prepare(struct sio_server *server, struct sio_worker **workers,
                                  unsigned worker_count)
{
    size_t cursor = 0;
    struct cvn_namespace *nsp;
    for (unsigned i = 0; i < worker_count; i++) {
        sio_request_init(workers[i]);
        list_init(&workers[i]->parked);
    }
    server->workers = workers;
    server->worker_count = worker_count;
    while ((nsp = map_next(&server->namespaces, &cursor)) != NULL) {
        enum cvn_error error = sio_namespace_prepare(nsp, workers, worker_count);
        if (error != CVN_OK)
            return error;
    }
    server->started = true;
    return CVN_OK;
}

struct sio_worker *sio_server_own_worker(const struct sio_server *server)
{
    const struct worker *current = worker_current();
    if (current == NULL || current->index >= server->worker_count)
        return NULL;
    struct sio_worker *worker = server->workers[current->index];
    return worker->worker == current ? worker : NULL;
}

struct cvn_namespace *sio_namespace_find(const struct sio_server *server, cvn_slice name)
{
    return map_get(&server->namespaces, name);
}

struct cvn_namespace *sio_namespace_get(struct sio_server *server, cvn_slice name)
{
    struct cvn_namespace *nsp = sio_namespace_find(server, name);
    if (nsp != NULL || server->started)
        return nsp;
    /* A comma would end the name in the packet's text. */
    if (name.size > SIO_MAX_NAMESPACE_NAME || slice_find(name, ',') < name.size) {
        sio_server_note(server, CVN_ERR_ARGUMENT);
        return NULL;
    }
    nsp = mem_zalloc(sizeof *nsp + name.size + 1);
    if (nsp == NULL) {
        sio_server_note(server, CVN_ERR_MEMORY);
        return NULL;
    }
    nsp->server = server;
    nsp->name_size = name.size;
    memcpy(nsp->name, name.data, name.size);
    map_init(&nsp->events, event_key);
    pthread_mutex_init(&nsp->outside.lock, NULL);
    if (!map_put(&server->namespaces, nsp)) {
        sio_namespace_free(nsp);
        sio_server_note(server, CVN_ERR_MEMORY);
        return NULL;
    }
    return nsp;
}

static void release_locals(struct cvn_namespace *nsp)
{
    for (unsigned i = 0; nsp->locals != NULL && i < nsp->server->worker_count; i++) {
        map_release(&nsp->locals[i].sockets);
        map_release(&nsp->locals[i].rooms);
        mem_free(nsp->locals[i].members);
        sio_log_free(nsp->locals[i].log);
    }
    mem_free(nsp->locals);
}

void sio_namespace_free(struct cvn_namespace *nsp)
{
    size_t cursor = 0;
    struct sio_event_entry *entry;
    while ((entry = map_next(&nsp->events, &cursor)) != NULL) {
        mem_free(entry->handlers.items);
        mem_free(entry);
    }
    map_release(&nsp->events);
    mem_free(nsp->middlewares.items);
    mem_free(nsp->connection.items);
    mem_free(nsp->disconnecting.items);
    mem_free(nsp->disconnect.items);
    mem_free(nsp->any.items);
    mem_free(nsp->high_water.items);
    mem_free(nsp->drain.items);
    release_locals(nsp);
    pthread_mutex_destroy(&nsp->outside.lock);
    mem_free(nsp);
}

enum cvn_error sio_namespace_prepare(struct cvn_namespace *nsp, struct sio_worker **workers,
                                     unsigned count)
{
    nsp->locals = mem_zalloc(count * sizeof *nsp->locals);
    if (nsp->locals == NULL)
        return CVN_ERR_MEMORY;
    for (unsigned i = 0; i < count; i++) {
        struct sio_local *local = &nsp->locals[i];
        local->nsp = nsp;
        local->worker = workers[i];
        map_init(&local->sockets, socket_key);
        map_init(&local->rooms, sio_room_key);
        enum cvn_error error = sio_recovery_prepare(local, count);
        if (error != CVN_OK)
            return error;
    }
    return CVN_OK;
}

/* --- Handlers --- */

const struct sio_handlers *sio_namespace_event(const struct cvn_namespace *nsp, cvn_slice event)
{
    const struct sio_event_entry *entry = map_get(&nsp->events, event);
    return entry != NULL ? &entry->handlers : NULL;
}

enum cvn_error sio_server_note(struct sio_server *server, enum cvn_error error)
{
    if (!server->started && server->registration == CVN_OK)
        server->registration = error;
    return error;
}

/* Whether something may be registered on the namespace now. */
static enum cvn_error check_registration(struct cvn_namespace *nsp, bool is_valid)
{
    if (nsp == NULL)
        return CVN_ERR_ARGUMENT; /* cvn_of has noted why */
    if (nsp->server->started)
        return CVN_ERR_STATE;
    return is_valid ? CVN_OK : sio_server_note(nsp->server, CVN_ERR_ARGUMENT);
}

static enum cvn_error add_handler(struct cvn_namespace *nsp, struct sio_handlers *handlers,
                                  struct sio_handler handler)
{
    struct sio_handler *items =
        mem_realloc(handlers->items, (handlers->count + 1) * sizeof *handlers->items);
    if (items == NULL)
        return sio_server_note(nsp->server, CVN_ERR_MEMORY);
    handlers->items = items;
    handlers->items[handlers->count++] = handler;
    return CVN_OK;
}

enum cvn_error cvn_use(cvn_namespace *nsp, cvn_middleware_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->middlewares, (struct sio_handler){{.middleware = fn}, data});
}

enum cvn_error cvn_on_connection(cvn_namespace *nsp, cvn_connection_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->connection, (struct sio_handler){{.connection = fn}, data});
}

enum cvn_error cvn_on_high_water(cvn_namespace *nsp, cvn_connection_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->high_water, (struct sio_handler){{.connection = fn}, data});
}

enum cvn_error cvn_on_drain(cvn_namespace *nsp, cvn_connection_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->drain, (struct sio_handler){{.connection = fn}, data});
}

enum cvn_error cvn_on_disconnecting(cvn_namespace *nsp, cvn_disconnect_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->disconnecting, (struct sio_handler){{.disconnect = fn}, data});
}

enum cvn_error cvn_on_disconnect(cvn_namespace *nsp, cvn_disconnect_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->disconnect, (struct sio_handler){{.disconnect = fn}, data});
}

enum cvn_error cvn_on_any(cvn_namespace *nsp, cvn_event_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->any, (struct sio_handler){{.event = fn}, data});
}

static struct sio_event_entry *get_entry(struct cvn_namespace *nsp, cvn_slice event)
{
    struct sio_event_entry *entry = map_get(&nsp->events, event);
    if (entry != NULL)
        return entry;
    entry = mem_zalloc(sizeof *entry + event.size);
    if (entry == NULL)
        return NULL;
    entry->name_size = event.size;
    memcpy(entry->name, event.data, event.size);
    if (!map_put(&nsp->events, entry)) {
        mem_free(entry);
        return NULL;
    }
    return entry;
}

enum cvn_error cvn_on(cvn_namespace *nsp, const char *event, cvn_event_fn fn, void *data)
{
    cvn_slice name = cvn_str(event);
    enum cvn_error error =
        check_registration(nsp, fn != NULL && name.size > 0 && !sio_packet_is_reserved(name));
    if (error != CVN_OK)
        return error;
    struct sio_event_entry *entry = get_entry(nsp, name);
    if (entry == NULL)
        return sio_server_note(nsp->server, CVN_ERR_MEMORY);
    return add_handler(nsp, &entry->handlers, (struct sio_handler){{.event = fn}, data});
}

const char *cvn_namespace_name(const cvn_namespace *nsp)
{
    return nsp->name;
}

cvn_server *cvn_namespace_server(const cvn_namespace *nsp)
{
    return nsp->server->owner;
}

void cvn_namespace_stats(const cvn_namespace *nsp, cvn_namespace_counters *ret)
{
    *ret = (cvn_namespace_counters){0};
    for (unsigned i = 0; nsp->locals != NULL && i < nsp->server->worker_count; i++) {
        const struct sio_local *local = &nsp->locals[i];
        ret->sockets += counter_get(&local->socket_count);
        ret->connections_total += counter_get(&local->connections);
        ret->refused += counter_get(&local->refused);
        ret->events_in += counter_get(&local->events_in);
        ret->events_out += counter_get(&local->events_out);
        ret->dropped += counter_get(&local->dropped);
        ret->conflated += counter_get(&local->conflated);
    }
}

/* --- The sockets of one worker --- */

bool sio_local_add(struct sio_local *local, struct cvn_socket *socket)
{
    if (local->member_count == local->member_capacity) {
        uint32_t capacity = local->member_capacity ? local->member_capacity * 2 : 8;
        struct cvn_socket **members = mem_realloc(local->members, capacity * sizeof *members);
        if (members == NULL)
            return false;
        local->members = members;
        local->member_capacity = capacity;
    }
    if (!map_put(&local->sockets, socket))
        return false;
    socket->member_index = local->member_count;
    local->members[local->member_count++] = socket;
    counter_add(&local->connections, 1);
    counter_set(&local->socket_count, local->member_count);
    atomic_fetch_add_explicit(&local->worker->sockets, 1, memory_order_relaxed);
    return true;
}

void sio_local_remove(struct sio_local *local, struct cvn_socket *socket)
{
    map_remove(&local->sockets, slice_of(socket->id, SIO_ID_SIZE));
    struct cvn_socket *last = local->members[--local->member_count];
    local->members[socket->member_index] = last;
    last->member_index = socket->member_index;
    counter_set(&local->socket_count, local->member_count);
    atomic_fetch_sub_explicit(&local->worker->sockets, 1, memory_order_relaxed);
}
