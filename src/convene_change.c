/*
 * What may change while a server runs: origins, certificates, how many may connect. A change is made by any thread, posted to every
 * worker, and applied there between two requests, so that nothing that requests look at needs a lock.
 *
 * Two changes reach all workers in the same order (change_lock). A change lives until the last worker has applied it, and while one
 * uses what it brought.
 */
#include "convene_server.h"
#include "base/mem.h"

struct change {
    atomic_uint refs;
    void (*apply)(struct server_worker *worker, struct change *change);
    char **origins; /* NULL-terminated */
    size_t origin_count;
    size_t max_connections;
    struct tls_context *tls;
    struct change_mail {
        struct mail mail;
        struct change *change;
    } mails[]; /* one a worker */
};

void server_change_unref(struct change *change)
{
    if (change == NULL || atomic_fetch_sub_explicit(&change->refs, 1, memory_order_acq_rel) != 1)
        return;
    server_free_origins(change->origins);
    tls_context_unref(change->tls);
    mem_free(change);
}

static void on_change(struct mail *mail, struct worker *worker)
{
    struct change *change = CONTAINER_OF(mail, struct change_mail, mail)->change;
    change->apply(worker->app, change);
    server_change_unref(change);
}

static void on_change_discarded(struct mail *mail)
{
    server_change_unref(CONTAINER_OF(mail, struct change_mail, mail)->change);
}

/* With one reference, the caller's. CVN_ERR_STATE when the server does not run, CVN_ERR_MEMORY. */
static enum cvn_error change_new(const struct cvn_server *server,
                                 void (*apply)(struct server_worker *worker, struct change *change),
                                 struct change **ret)
{
    int state = atomic_load(&server->state);
    if (state != SERVER_RUNNING && state != SERVER_STOPPING)
        return CVN_ERR_STATE;
    struct change *change =
        mem_zalloc(sizeof *change + server->worker_count * sizeof *change->mails);
    if (change == NULL)
        return CVN_ERR_MEMORY;
    atomic_init(&change->refs, 1);
    change->apply = apply;
    *ret = change;
    return CVN_OK;
}

/* With change_lock held. */
static void post_to_all(struct cvn_server *server, struct change *change)
{
    atomic_fetch_add_explicit(&change->refs, server->worker_count, memory_order_relaxed);
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct change_mail *mail = &change->mails[i];
        mail->change = change;
        mail->mail.deliver = on_change;
        mail->mail.discard = on_change_discarded;
        worker_post(&server->workers[i].worker, &mail->mail);
    }
}

/* Takes the caller's reference. */
static void post_change(struct cvn_server *server, struct change *change)
{
    pthread_mutex_lock(&server->change_lock);
    post_to_all(server, change);
    pthread_mutex_unlock(&server->change_lock);
    server_change_unref(change);
}

static bool is_new(const struct cvn_server *server)
{
    return atomic_load(&server->state) == SERVER_NEW;
}

/* --- Origins --- */

static void apply_origins(struct server_worker *worker, struct change *change)
{
    struct change *old = worker->origins;
    atomic_fetch_add_explicit(&change->refs, 1, memory_order_relaxed);
    worker->origins = change;
    eio_server_set_origins(worker->sio.eio, (const char *const *)change->origins,
                           change->origin_count);
    server_change_unref(old);
}

static void replace_settings_origins(struct server_settings *settings, char **origins, size_t count)
{
    server_free_origins(settings->origins);
    settings->origins = origins;
    settings->eio.origins.allowed = (const char *const *)origins;
    settings->eio.origins.allowed_count = count;
}

enum cvn_error cvn_server_set_origins(cvn_server *server, const char *const *origins)
{
    struct change *change = NULL;
    char **copy = NULL;
    size_t count = 0;
    if (server == NULL)
        return CVN_ERR_ARGUMENT;
    enum cvn_error error = server_copy_origins(origins, &copy, &count);
    if (error == CVN_OK && is_new(server)) {
        replace_settings_origins(&server->settings, copy, count);
        return CVN_OK;
    }
    if (error == CVN_OK)
        error = change_new(server, apply_origins, &change);
    if (error != CVN_OK) {
        server_free_origins(copy);
        return error;
    }
    change->origins = copy;
    change->origin_count = count;
    post_change(server, change);
    return CVN_OK;
}

/* --- How many --- */

static void apply_max_connections(struct server_worker *worker, struct change *change)
{
    eio_server_set_max_sessions(worker->sio.eio, change->max_connections);
}

enum cvn_error cvn_server_set_max_connections(cvn_server *server, size_t per_worker)
{
    struct change *change = NULL;
    if (server == NULL)
        return CVN_ERR_ARGUMENT;
    if (is_new(server)) {
        server->settings.eio.max_sessions = per_worker;
        return CVN_OK;
    }
    enum cvn_error error = change_new(server, apply_max_connections, &change);
    if (error != CVN_OK)
        return error;
    change->max_connections = per_worker;
    post_change(server, change);
    return CVN_OK;
}

/* --- Certificates --- */

static void apply_tls(struct server_worker *worker, struct change *change)
{
    if (worker->listener != NULL)
        listener_set_tls(worker->listener, change->tls);
}

enum cvn_error cvn_server_reload_tls(cvn_server *server)
{
    struct change *change = NULL;
    if (server == NULL)
        return CVN_ERR_ARGUMENT;
    if (server->settings.tls_cert_file == NULL)
        return CVN_ERR_STATE;
    enum cvn_error error = change_new(server, apply_tls, &change);
    if (error != CVN_OK)
        return error;
    /* Held while the files are read: of two threads that do this, the later one's files win. */
    pthread_mutex_lock(&server->change_lock);
    error = tls_context_new(server->settings.tls_cert_file, server->settings.tls_key_file,
                            &change->tls);
    if (error == CVN_OK)
        post_to_all(server, change);
    pthread_mutex_unlock(&server->change_lock);
    server_change_unref(change);
    return error;
}
