/*
 * The registry of dynamic namespaces. Its mutex guards the children's map, the lists of siblings, and the step of a child's count to 0:
 * references are taken from the map under it, so a child that is found cannot be one that is being freed. The application is never
 * called with it held. Any thread.
 */
#include "sio/sio_dynamic.h"
#include "sio/sio_log.h"
#include "base/log.h"
#include "base/mem.h"
#include <pthread.h>
#include <regex.h>

struct sio_dynamic {
    atomic_uint refs; /* the server's and one of each child */
    pthread_mutex_t mutex;
    struct map children; /* by name, of all parents */
    size_t parent_count; /* in the order of registration; fixed once the server runs */
    struct cvn_namespace **parents;
    cvn_namespace_counters gone; /* what the children counted that are no more */
};

/* Which names are a parent's. */
struct sio_rule {
    regex_t pattern;     /* when there is no fn */
    cvn_predicate_fn fn; /* or NULL */
    void *data;
    struct list children; /* by cvn_namespace.sibling */
};

/* --- The registry --- */

static cvn_slice child_key(const void *value)
{
    return sio_namespace_name(value);
}

static struct sio_dynamic *dynamic_new(void)
{
    struct sio_dynamic *dynamic = mem_zalloc(sizeof *dynamic);
    if (dynamic == NULL)
        return NULL;
    if (pthread_mutex_init(&dynamic->mutex, NULL) != 0) {
        mem_free(dynamic);
        return NULL;
    }
    atomic_init(&dynamic->refs, 1);
    map_init(&dynamic->children, child_key);
    return dynamic;
}

static void dynamic_unref(struct sio_dynamic *dynamic)
{
    if (atomic_fetch_sub_explicit(&dynamic->refs, 1, memory_order_acq_rel) != 1)
        return;
    map_release(&dynamic->children);
    pthread_mutex_destroy(&dynamic->mutex);
    mem_free(dynamic);
}

static void free_parent(struct cvn_namespace *parent)
{
    struct sio_rule *rule = parent->rule;
    if (rule->fn == NULL)
        regfree(&rule->pattern);
    mem_free(rule);
    sio_namespace_free(parent);
}

void sio_dynamic_release(struct sio_server *server)
{
    struct sio_dynamic *dynamic = server->dynamic;
    server->dynamic = NULL;
    if (dynamic == NULL)
        return;
    struct list children;
    list_init(&children);
    pthread_mutex_lock(&dynamic->mutex);
    for (size_t i = 0; i < dynamic->parent_count; i++)
        list_splice(&children, &dynamic->parents[i]->rule->children);
    LIST_FOR_EACH (node, &children)
        sio_namespace_ref(CONTAINER_OF(node, struct cvn_namespace, sibling));
    pthread_mutex_unlock(&dynamic->mutex);
    while (!list_is_empty(&children)) {
        struct cvn_namespace *child = CONTAINER_OF(children.next, struct cvn_namespace, sibling);
        list_remove(&child->sibling);
        for (unsigned i = 0; i < child->local_count; i++)
            sio_log_clear(child->locals[i].log);
        sio_namespace_unref(child); /* unless the application still holds it */
    }
    for (size_t i = 0; i < dynamic->parent_count; i++)
        free_parent(dynamic->parents[i]);
    mem_free(dynamic->parents);
    dynamic->parent_count = 0;
    dynamic_unref(dynamic);
}

/* --- Parents --- */

/* Takes the rule over. */
static enum cvn_error add_parent(struct sio_server *server, struct sio_rule *rule, const char *name,
                                 struct cvn_namespace **ret)
{
    if (server->dynamic == NULL)
        server->dynamic = dynamic_new();
    struct sio_dynamic *dynamic = server->dynamic;
    struct cvn_namespace *parent =
        dynamic != NULL ? sio_namespace_new(server, cvn_str(name), NULL) : NULL;
    if (parent == NULL)
        goto failed;
    struct cvn_namespace **parents =
        mem_realloc(dynamic->parents, (dynamic->parent_count + 1) * sizeof(struct cvn_namespace *));
    if (parents == NULL)
        goto failed;
    dynamic->parents = parents;
    parents[dynamic->parent_count++] = parent;
    list_init(&rule->children);
    parent->rule = rule;
    *ret = parent;
    return CVN_OK;

failed:
    sio_namespace_free(parent);
    if (rule->fn == NULL)
        regfree(&rule->pattern);
    mem_free(rule);
    return CVN_ERR_MEMORY;
}

/* NULL, noted, when nothing may be registered. */
static struct sio_rule *new_rule(struct sio_server *server, bool is_valid)
{
    if (server->started)
        return NULL;
    if (!is_valid) {
        sio_server_note(server, CVN_ERR_ARGUMENT);
        return NULL;
    }
    struct sio_rule *rule = mem_zalloc(sizeof *rule);
    if (rule == NULL)
        sio_server_note(server, CVN_ERR_MEMORY);
    return rule;
}

struct cvn_namespace *sio_dynamic_add_pattern(struct sio_server *server, const char *pattern)
{
    struct cvn_namespace *parent = NULL;
    struct sio_rule *rule = new_rule(server, pattern != NULL);
    if (rule == NULL)
        return NULL;
    int failure = regcomp(&rule->pattern, pattern, REG_EXTENDED | REG_NOSUB);
    if (failure != 0) {
        char words[128];
        regerror(failure, &rule->pattern, words, sizeof words);
        log_write(LOG_ERROR, "namespace pattern %s: %s", pattern, words);
        mem_free(rule);
        sio_server_note(server, failure == REG_ESPACE ? CVN_ERR_MEMORY : CVN_ERR_ARGUMENT);
        return NULL;
    }
    sio_server_note(server, add_parent(server, rule, pattern, &parent));
    return parent;
}

struct cvn_namespace *sio_dynamic_add_predicate(struct sio_server *server, cvn_predicate_fn fn,
                                                void *data)
{
    struct cvn_namespace *parent = NULL;
    struct sio_rule *rule = new_rule(server, fn != NULL);
    if (rule == NULL)
        return NULL;
    rule->fn = fn;
    rule->data = data;
    sio_server_note(server, add_parent(server, rule, "", &parent));
    return parent;
}

static bool is_wanted(const struct cvn_namespace *parent, const char *name,
                      const struct cvn_connect_request *request)
{
    const struct sio_rule *rule = parent->rule;
    if (rule->fn != NULL)
        return rule->fn(name, request, rule->data);
    return regexec(&rule->pattern, name, 0, NULL, 0) == 0;
}

/* --- Children --- */

struct cvn_namespace *sio_dynamic_find(const struct sio_server *server, cvn_slice name)
{
    struct sio_dynamic *dynamic = server->dynamic;
    if (dynamic == NULL)
        return NULL;
    pthread_mutex_lock(&dynamic->mutex);
    struct cvn_namespace *child = map_get(&dynamic->children, name);
    if (child != NULL)
        sio_namespace_ref(child);
    pthread_mutex_unlock(&dynamic->mutex);
    return child;
}

/* With the mutex held. */
static enum cvn_error make_child(struct sio_dynamic *dynamic, struct cvn_namespace *parent,
                                 cvn_slice name, struct cvn_namespace **ret)
{
    struct sio_server *server = parent->server;
    if (dynamic->children.count >= server->options.max_dynamic_namespaces)
        return CVN_ERR_LIMIT;
    struct cvn_namespace *child = sio_namespace_new(server, name, parent);
    if (child == NULL)
        return CVN_ERR_MEMORY;
    if (sio_namespace_prepare(child, server->workers, server->worker_count) != CVN_OK ||
        !map_put(&dynamic->children, child)) {
        sio_namespace_free(child);
        return CVN_ERR_MEMORY;
    }
    atomic_init(&child->refs, 1);
    atomic_fetch_add_explicit(&dynamic->refs, 1, memory_order_relaxed);
    child->dynamic = dynamic;
    list_append(&parent->rule->children, &child->sibling);
    *ret = child;
    return CVN_OK;
}

/* The child of that name, made when it does not exist; it may be another parent's. */
static enum cvn_error get_child(struct sio_dynamic *dynamic, struct cvn_namespace *parent,
                                cvn_slice name, struct cvn_namespace **ret)
{
    enum cvn_error error = CVN_OK;
    pthread_mutex_lock(&dynamic->mutex);
    struct cvn_namespace *child = map_get(&dynamic->children, name);
    if (child != NULL)
        *ret = sio_namespace_ref(child);
    else
        error = make_child(dynamic, parent, name, ret);
    pthread_mutex_unlock(&dynamic->mutex);
    return error;
}

/* The first parent that wants the name, or NULL. */
static struct cvn_namespace *find_parent(const struct sio_dynamic *dynamic, const char *name,
                                         const struct cvn_connect_request *request)
{
    for (size_t i = 0; i < dynamic->parent_count; i++)
        if (is_wanted(dynamic->parents[i], name, request))
            return dynamic->parents[i];
    return NULL;
}

enum cvn_error sio_dynamic_admit(struct sio_server *server, cvn_slice name,
                                 const struct cvn_connect_request *request,
                                 struct cvn_namespace **ret)
{
    char text[SIO_MAX_NAMESPACE_NAME + 1];
    /* A NUL would hide the rest of the name from the pattern. */
    if (server->dynamic == NULL || name.size >= sizeof text || slice_find(name, '\0') < name.size)
        return CVN_ERR_NOT_FOUND;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    struct cvn_namespace *child = sio_dynamic_find(server, name);
    if (child == NULL) {
        struct cvn_namespace *parent = find_parent(server->dynamic, text, request);
        if (parent == NULL)
            return CVN_ERR_NOT_FOUND;
        enum cvn_error error = get_child(server->dynamic, parent, name, &child);
        if (error != CVN_OK)
            return error;
        if (child->parent == parent) {
            *ret = child;
            return CVN_OK;
        }
    }
    if (!is_wanted(child->parent, text, request)) {
        sio_namespace_unref(child);
        return CVN_ERR_NOT_FOUND;
    }
    *ret = child;
    return CVN_OK;
}

/* Takes one reference away, unless it is the last. */
static bool drop_reference(struct cvn_namespace *child)
{
    unsigned refs = atomic_load_explicit(&child->refs, memory_order_relaxed);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&child->refs, &refs, refs - 1,
                                                  memory_order_release, memory_order_relaxed))
            return true;
    return false;
}

void sio_namespace_unref(struct cvn_namespace *nsp)
{
    if (nsp == NULL || nsp->parent == NULL || drop_reference(nsp))
        return;
    struct sio_dynamic *dynamic = nsp->dynamic;
    pthread_mutex_lock(&dynamic->mutex);
    /* Somebody may have found it in the meantime. */
    bool is_last = atomic_fetch_sub_explicit(&nsp->refs, 1, memory_order_acq_rel) == 1;
    if (is_last) {
        sio_namespace_add_counters(nsp, &dynamic->gone);
        map_remove(&dynamic->children, sio_namespace_name(nsp));
        list_remove(&nsp->sibling);
    }
    pthread_mutex_unlock(&dynamic->mutex);
    if (!is_last)
        return;
    sio_namespace_free(nsp);
    dynamic_unref(dynamic);
}

void sio_dynamic_count(const struct sio_server *server, cvn_namespace_counters *sum)
{
    struct sio_dynamic *dynamic = server->dynamic;
    const struct cvn_namespace *child;
    size_t cursor = 0;
    if (dynamic == NULL)
        return;
    pthread_mutex_lock(&dynamic->mutex);
    sum->connections_total += dynamic->gone.connections_total;
    sum->refused += dynamic->gone.refused;
    sum->events_in += dynamic->gone.events_in;
    sum->events_out += dynamic->gone.events_out;
    sum->dropped += dynamic->gone.dropped;
    sum->conflated += dynamic->gone.conflated;
    sum->bytes_in += dynamic->gone.bytes_in;
    sum->bytes_out += dynamic->gone.bytes_out;
    while ((child = map_next(&dynamic->children, &cursor)) != NULL)
        sio_namespace_add_counters(child, sum);
    pthread_mutex_unlock(&dynamic->mutex);
}

enum cvn_error sio_dynamic_each(struct cvn_namespace *parent,
                                enum cvn_error (*fn)(struct cvn_namespace *child, void *data),
                                void *data)
{
    struct sio_dynamic *dynamic = parent->server->dynamic;
    struct cvn_namespace **children = NULL;
    size_t count = 0;
    enum cvn_error error = CVN_OK;
    pthread_mutex_lock(&dynamic->mutex);
    if (dynamic->children.count > 0) {
        children = mem_alloc(dynamic->children.count * sizeof(struct cvn_namespace *));
        if (children == NULL)
            error = CVN_ERR_MEMORY;
    }
    if (children != NULL)
        LIST_FOR_EACH (node, &parent->rule->children)
            children[count++] =
                sio_namespace_ref(CONTAINER_OF(node, struct cvn_namespace, sibling));
    pthread_mutex_unlock(&dynamic->mutex);
    for (size_t i = 0; i < count; i++) {
        enum cvn_error failure = fn(children[i], data);
        if (error == CVN_OK)
            error = failure;
        sio_namespace_unref(children[i]);
    }
    mem_free(children);
    return error;
}

enum cvn_error sio_dynamic_each_child(struct sio_server *server,
                                      enum cvn_error (*fn)(struct cvn_namespace *child, void *data),
                                      void *data)
{
    enum cvn_error error = CVN_OK;
    if (server->dynamic == NULL || !server->started)
        return CVN_OK;
    for (size_t i = 0; i < server->dynamic->parent_count; i++) {
        enum cvn_error failure = sio_dynamic_each(server->dynamic->parents[i], fn, data);
        if (error == CVN_OK)
            error = failure;
    }
    return error;
}

/* --- For the application --- */

cvn_slice cvn_connect_auth(const cvn_connect_request *request)
{
    return request->auth.size > 0 ? request->auth : SLICE("{}");
}

cvn_slice cvn_connect_header(const cvn_connect_request *request, const char *name)
{
    return sio_handshake_header(request->handshake, cvn_str(name));
}

cvn_slice cvn_connect_query(const cvn_connect_request *request, const char *name)
{
    return sio_handshake_query(request->handshake, cvn_str(name));
}

const char *cvn_connect_address(const cvn_connect_request *request)
{
    return request->handshake->address.data;
}

bool cvn_connect_is_secure(const cvn_connect_request *request)
{
    return request->handshake->secure;
}

cvn_namespace *cvn_namespace_parent(const cvn_namespace *nsp)
{
    return nsp->parent;
}

cvn_namespace *cvn_namespace_ref(cvn_namespace *nsp)
{
    return sio_namespace_ref(nsp);
}

void cvn_namespace_unref(cvn_namespace *nsp)
{
    sio_namespace_unref(nsp);
}
