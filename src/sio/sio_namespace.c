/*
 * Namespaces: made by name before the server starts, looked up after; those made later are in sio_dynamic.c. Sockets and rooms need no lock,
 * because each worker has its own.
 */
#include "sio/sio_socket.h"
#include "sio/sio_adapter.h"
#include "sio/sio_dynamic.h"
#include "sio/sio_recovery.h"
#include "sio/sio_request.h"
#include "base/mem.h"

static cvn_slice namespace_key(const void *value)
{
    return sio_namespace_name(value);
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
    sio_dynamic_release(server);
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
    nsp = sio_namespace_new(server, name, NULL);
    if (nsp == NULL || !map_put(&server->namespaces, nsp)) {
        sio_namespace_free(nsp);
        sio_server_note(server, CVN_ERR_MEMORY);
        return NULL;
    }
    return nsp;
}

struct cvn_namespace *sio_namespace_new(struct sio_server *server, cvn_slice name,
                                        struct cvn_namespace *parent)
{
    struct cvn_namespace *nsp = mem_zalloc(sizeof *nsp + name.size + 1);
    if (nsp == NULL)
        return NULL;
    nsp->server = server;
    nsp->parent = parent;
    nsp->name_size = name.size;
    if (name.size > 0)
        memcpy(nsp->name, name.data, name.size);
    nsp->handlers = parent != NULL ? parent->handlers : sio_handlers_new();
    if (nsp->handlers == NULL) {
        mem_free(nsp);
        return NULL;
    }
    pthread_mutex_init(&nsp->outside.lock, NULL);
    return nsp;
}

void sio_namespace_free(struct cvn_namespace *nsp)
{
    if (nsp == NULL)
        return;
    for (unsigned i = 0; i < nsp->local_count; i++) {
        map_release(&nsp->locals[i].sockets);
        map_release(&nsp->locals[i].rooms);
        mem_free(nsp->locals[i].members);
        sio_log_free(nsp->locals[i].log);
    }
    mem_free(nsp->locals);
    if (nsp->parent == NULL)
        sio_handlers_free(nsp->handlers);
    pthread_mutex_destroy(&nsp->outside.lock);
    mem_free(nsp);
}

enum cvn_error sio_namespace_prepare(struct cvn_namespace *nsp, struct sio_worker **workers,
                                     unsigned count)
{
    nsp->locals = mem_zalloc(count * sizeof *nsp->locals);
    if (nsp->locals == NULL)
        return CVN_ERR_MEMORY;
    nsp->local_count = count;
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

enum cvn_error sio_server_note(struct sio_server *server, enum cvn_error error)
{
    if (!server->started && server->registration == CVN_OK)
        server->registration = error;
    return error;
}

const char *cvn_namespace_name(const cvn_namespace *nsp)
{
    return nsp->name;
}

cvn_server *cvn_namespace_server(const cvn_namespace *nsp)
{
    return nsp->server->owner;
}

void sio_namespace_add_counters(const struct cvn_namespace *nsp, cvn_namespace_counters *sum)
{
    for (unsigned i = 0; i < nsp->local_count; i++) {
        const struct sio_local *local = &nsp->locals[i];
        sum->sockets += counter_get(&local->socket_count);
        sum->connections_total += counter_get(&local->connections);
        sum->refused += counter_get(&local->refused);
        sum->events_in += counter_get(&local->events_in);
        sum->events_out += counter_get(&local->events_out);
        sum->dropped += counter_get(&local->dropped);
        sum->conflated += counter_get(&local->conflated);
        sum->bytes_in += counter_get(&local->bytes_in);
        sum->bytes_out += counter_get(&local->bytes_out);
    }
}

void cvn_namespace_stats(const cvn_namespace *nsp, cvn_namespace_counters *ret)
{
    *ret = (cvn_namespace_counters){0};
    sio_namespace_add_counters(nsp, ret);
}

void sio_server_count(const struct sio_server *server, cvn_namespace_counters *ret)
{
    size_t cursor = 0;
    const struct cvn_namespace *nsp;
    *ret = (cvn_namespace_counters){0};
    while ((nsp = map_next(&server->namespaces, &cursor)) != NULL)
        sio_namespace_add_counters(nsp, ret);
    sio_dynamic_count(server, ret);
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
