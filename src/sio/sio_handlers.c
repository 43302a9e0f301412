/*
 * Registration: handlers are added to a namespace before the server starts. From then on any number of workers, and of a parent's children, read
 * them without a lock.
 */
#include "sio/sio_handlers.h"
#include "sio/sio_namespace.h"
#include "base/mem.h"

static cvn_slice event_key(const void *value)
{
    const struct sio_event_entry *entry = value;
    return slice_of(entry->name, entry->name_size);
}

struct sio_handlers_set *sio_handlers_new(void)
{
    struct sio_handlers_set *set = mem_zalloc(sizeof *set);
    if (set == NULL)
        return NULL;
    map_init(&set->events, event_key);
    map_init(&set->server_side, event_key);
    return set;
}

static void free_entries(struct map *events)
{
    size_t cursor = 0;
    struct sio_event_entry *entry;
    while ((entry = map_next(events, &cursor)) != NULL) {
        mem_free(entry->handlers.items);
        mem_free(entry);
    }
    map_release(events);
}

void sio_handlers_free(struct sio_handlers_set *set)
{
    if (set == NULL)
        return;
    free_entries(&set->events);
    free_entries(&set->server_side);
    mem_free(set->middlewares.items);
    mem_free(set->connection.items);
    mem_free(set->disconnecting.items);
    mem_free(set->disconnect.items);
    mem_free(set->filters.items);
    mem_free(set->any.items);
    mem_free(set->high_water.items);
    mem_free(set->drain.items);
    mem_free(set->outgoing.items);
    mem_free(set);
}

const struct sio_handlers *sio_handlers_of_event(const struct sio_handlers_set *set,
                                                 cvn_slice event)
{
    const struct sio_event_entry *entry = map_get(&set->events, event);
    return entry != NULL ? &entry->handlers : NULL;
}

const struct sio_handlers *sio_handlers_of_server_event(const struct sio_handlers_set *set,
                                                        cvn_slice event)
{
    const struct sio_event_entry *entry = map_get(&set->server_side, event);
    return entry != NULL ? &entry->handlers : NULL;
}

/* --- Adding --- */

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
    return add_handler(nsp, &nsp->handlers->middlewares,
                       (struct sio_handler){{.middleware = fn}, data});
}

enum cvn_error cvn_on_connection(cvn_namespace *nsp, cvn_connection_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->handlers->connection,
                       (struct sio_handler){{.connection = fn}, data});
}

enum cvn_error cvn_on_high_water(cvn_namespace *nsp, cvn_connection_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->handlers->high_water,
                       (struct sio_handler){{.connection = fn}, data});
}

enum cvn_error cvn_on_drain(cvn_namespace *nsp, cvn_connection_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->handlers->drain, (struct sio_handler){{.connection = fn}, data});
}

enum cvn_error cvn_on_disconnecting(cvn_namespace *nsp, cvn_disconnect_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->handlers->disconnecting,
                       (struct sio_handler){{.disconnect = fn}, data});
}

enum cvn_error cvn_on_disconnect(cvn_namespace *nsp, cvn_disconnect_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->handlers->disconnect,
                       (struct sio_handler){{.disconnect = fn}, data});
}

enum cvn_error cvn_on_any(cvn_namespace *nsp, cvn_event_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->handlers->any, (struct sio_handler){{.event = fn}, data});
}

enum cvn_error cvn_use_event(cvn_namespace *nsp, cvn_event_filter_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->handlers->filters, (struct sio_handler){{.filter = fn}, data});
}

enum cvn_error cvn_on_any_outgoing(cvn_namespace *nsp, cvn_outgoing_fn fn, void *data)
{
    enum cvn_error error = check_registration(nsp, fn != NULL);
    if (error != CVN_OK)
        return error;
    return add_handler(nsp, &nsp->handlers->outgoing, (struct sio_handler){{.outgoing = fn}, data});
}

static struct sio_event_entry *get_entry(struct map *events, cvn_slice event)
{
    struct sio_event_entry *entry = map_get(events, event);
    if (entry != NULL)
        return entry;
    entry = mem_zalloc(sizeof *entry + event.size);
    if (entry == NULL)
        return NULL;
    entry->name_size = event.size;
    memcpy(entry->name, event.data, event.size);
    if (!map_put(events, entry)) {
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
    struct sio_event_entry *entry = get_entry(&nsp->handlers->events, name);
    if (entry == NULL)
        return sio_server_note(nsp->server, CVN_ERR_MEMORY);
    return add_handler(nsp, &entry->handlers, (struct sio_handler){{.event = fn}, data});
}

enum cvn_error cvn_on_server_side(cvn_namespace *nsp, const char *event, cvn_server_side_fn fn,
                                  void *data)
{
    cvn_slice name = cvn_str(event);
    enum cvn_error error =
        check_registration(nsp, fn != NULL && name.size > 0 && !sio_packet_is_reserved(name));
    if (error != CVN_OK)
        return error;
    struct sio_event_entry *entry = get_entry(&nsp->handlers->server_side, name);
    if (entry == NULL)
        return sio_server_note(nsp->server, CVN_ERR_MEMORY);
    return add_handler(nsp, &entry->handlers, (struct sio_handler){{.server_side = fn}, data});
}
