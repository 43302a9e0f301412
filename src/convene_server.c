/*
 * A server's life: workers made and joined, listening, the orderly stop. Called from the application's thread; what runs on a
 * worker says so.
 *
 * The orderly stop of a worker: every session is told and closes. The listener stays until the last one has gone, because a polling client
 * may be between two polls and has to come back to hear of it (new sessions get 503). Then, as soon as nobody is left or the deadline has
 * passed, the loop ends. Requests of the application get some time for their answers; connections that only hold an idle HTTP keep-alive are cut shortly
 * after the last session.
 */
#include "convene_server.h"
#include "base/log.h"
#include "base/mem.h"
#include "sio/sio_dynamic.h"
#include <errno.h>
#include <signal.h>

#define STOP_CHECK_MS   10
#define STOP_GRACE_MS   250  /* for bytes on the way, once every session has gone */
#define STOP_REQUEST_MS 5000 /* for answers that the application owes, likewise */
#define STOP_POLL_MS    2000 /* for the next poll of whoever has no connection just now */

/* --- On a worker --- */

static void on_accept(struct conn *conn, void *app)
{
    struct server_worker *worker = app;
    http_conn_start(conn, &server_http_events, &worker->server->settings.http, worker->server);
}

static void stop_listening(struct server_worker *worker)
{
    if (worker->listener == NULL)
        return;
    listener_drain(worker->listener);
    listener_close(worker->listener);
    worker->listener = NULL;
}

/* How long the worker may stay as it is now: it has nobody, or only sessions that no connection belongs to. 0: as long as it takes. */
static uint64_t patience_ms(const struct server_worker *worker)
{
    if (eio_server_session_count(worker->sio.eio) == 0)
        return worker->worker.conn_count == 0 ? STOP_CHECK_MS : STOP_GRACE_MS;
    return worker->worker.conn_count == 0 ? STOP_POLL_MS : 0;
}

/* Answers are owed; an event stream has none that ends, so for so long and no longer. */
static bool waits_for_requests(struct server_worker *worker, uint64_t now_ms)
{
    if (eio_server_session_count(worker->sio.eio) > 0)
        return false;
    if (worker->request_deadline_ms == 0)
        worker->request_deadline_ms = now_ms + STOP_REQUEST_MS;
    return worker->http_requests > 0 && now_ms < worker->request_deadline_ms;
}

static void on_stop_check(struct timer *timer)
{
    struct server_worker *worker = CONTAINER_OF(timer, struct server_worker, stop_timer);
    uint64_t now_ms = worker_now_ms(&worker->worker);
    uint64_t patience = patience_ms(worker);
    if (patience == 0 || waits_for_requests(worker, now_ms))
        worker->quiet_since_ms = now_ms;
    if (eio_server_session_count(worker->sio.eio) == 0)
        stop_listening(worker);
    if (now_ms >= worker->stop_deadline_ms || atomic_load(&worker->server->hurry) ||
        (patience != 0 && now_ms - worker->quiet_since_ms >= patience)) {
        stop_listening(worker);
        worker_stop(&worker->worker);
    } else {
        wheel_arm(&worker->worker.wheel, timer, STOP_CHECK_MS);
    }
}

static void on_stop_mail(struct mail *mail, struct worker *net)
{
    struct server_worker *worker = CONTAINER_OF(mail, struct server_worker, stop_mail);
    eio_server_shutdown(worker->sio.eio);
    worker->stop_deadline_ms = worker_now_ms(net) + worker->server->settings.shutdown_timeout_ms;
    worker->quiet_since_ms = worker_now_ms(net);
    worker->stop_timer.fire = on_stop_check;
    wheel_arm(&net->wheel, &worker->stop_timer, 0);
}

static void on_stop_discarded(struct mail *mail)
{
    (void)mail; /* stopped already */
}

void server_stop_adapter(struct cvn_server *server)
{
    if (server->adapter_started)
        server->adapter->stop(server->adapter);
    server->adapter_started = false;
}

void server_free_adapter(struct cvn_server *server)
{
    if (server->adapter != NULL)
        server->adapter->free(server->adapter);
    server->adapter = NULL;
}

static void *run_worker(void *data)
{
    struct server_worker *worker = data;
    struct cvn_server *server = worker->server;
    worker_run(&worker->worker);
    if (atomic_fetch_sub(&server->running_threads, 1) == 1) {
        atomic_store(&server->sio.ended, true);
        server_stop_adapter(server);
        atomic_store(&server->state, SERVER_STOPPED);
        if (server->on_ended != NULL)
            server->on_ended(server);
    }
    return NULL;
}

/* --- Making and freeing --- */

static void forward_log(void *data, enum log_level level, const char *message)
{
    struct cvn_server *server = data;
    server->settings.log((enum cvn_log_level)level, message, server->settings.hook_data);
}

cvn_server *cvn_server_new(const cvn_options *options)
{
    static const cvn_options defaults;
    struct cvn_server *server = mem_zalloc(sizeof *server);
    if (server == NULL)
        return NULL;
    if (options == NULL)
        options = &defaults;
    if (options->log != NULL)
        log_set_sink(forward_log, server, LOG_DEBUG);
    if (!server_settings_init(&server->settings, options)) {
        if (options->log != NULL)
            log_set_sink(NULL, NULL, LOG_WARN);
        server_settings_release(&server->settings);
        mem_free(server);
        return NULL;
    }
    pthread_mutex_init(&server->change_lock, NULL);
    sio_server_init(&server->sio, server, &server->settings.sio);
    server->eio_events = sio_client_events;
    server->eio_events.on_allow = server_on_allow;
    server->eio_events.on_headers = server_on_headers;
    server->eio_events.on_refused = server_on_refused;
    /* The default namespace always exists, as every client expects. */
    if (sio_namespace_get(&server->sio, SLICE("/")) == NULL) {
        cvn_server_free(server);
        return NULL;
    }
    return server;
}

static void release_workers(struct cvn_server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct server_worker *worker = &server->workers[i];
        listener_close(worker->listener);
        worker_release(
            &worker->worker); /* closes what is left, so sessions end before their server */
        eio_server_free(worker->sio.eio);
        server_change_unref(worker->origins);
    }
}

void server_destroy(struct cvn_server *server)
{
    release_workers(server);
    sio_server_release(&server->sio);
    server_free_adapter(server);
    mem_free(server->workers);
    mem_free(server->sio_workers);
    mem_free(server->net_workers);
    tls_context_unref(server->tls);
    client_files_free(server->files);
    server_release_hooks(server);
    if (server->settings.log != NULL)
        log_set_sink(NULL, NULL, LOG_WARN);
    server_settings_release(&server->settings);
    pthread_mutex_destroy(&server->change_lock);
    mem_free(server);
}

void cvn_server_free(cvn_server *server)
{
    if (server == NULL)
        return;
    if (server->is_hosted) {
        if (server_leave_loop(server))
            server_destroy(server);
        return;
    }
    cvn_server_stop(server);
    cvn_server_wait(server);
    server_destroy(server);
}

/* --- Starting --- */

static enum cvn_error make_workers(struct cvn_server *server, uv_loop_t *loop)
{
    unsigned count = server->settings.workers;
    server->workers = mem_zalloc(count * sizeof *server->workers);
    server->sio_workers = mem_zalloc(count * sizeof(struct sio_worker *));
    server->net_workers = mem_zalloc(count * sizeof(struct worker *));
    if (server->workers == NULL || server->sio_workers == NULL || server->net_workers == NULL)
        return CVN_ERR_MEMORY;
    for (unsigned i = 0; i < count; i++) {
        struct server_worker *worker = &server->workers[i];
        worker->server = server;
        worker->stop_mail.deliver = on_stop_mail;
        worker->stop_mail.discard = on_stop_discarded;
        enum cvn_error error = worker_init(&worker->worker, i, loop);
        if (error != CVN_OK)
            return error;
        server->worker_count++; /* what release_workers must release */
        server_worker_attach(worker);
        worker->sio.server = &server->sio;
        worker->sio.worker = &worker->worker;
        server->sio_workers[i] = &worker->sio;
        server->net_workers[i] = &worker->worker;
        worker->sio.eio = eio_server_new(&worker->worker, &server->settings.eio,
                                         &server->eio_events, &worker->sio);
        if (worker->sio.eio == NULL)
            return CVN_ERR_MEMORY;
        eio_server_set_counters(worker->sio.eio, &worker->counters);
    }
    for (unsigned i = 0; i < count; i++)
        eio_server_set_peers(server->workers[i].sio.eio, server->net_workers, count);
    server->sio.adapter = adapter_workers_new(&server->sio);
    if (server->sio.adapter == NULL)
        return CVN_ERR_MEMORY;
    return sio_server_prepare(&server->sio, server->sio_workers, count);
}

/* Before anybody can connect, so that nothing is emitted without the others. */
static enum cvn_error join_cluster(struct cvn_server *server)
{
    struct cvn_adapter *adapter = server->adapter;
    if (adapter == NULL)
        return CVN_OK;
    struct cvn_cluster *cluster = adapter_nodes_new(&server->sio, server->sio.adapter, adapter);
    if (cluster == NULL)
        return CVN_ERR_MEMORY;
    server->sio.adapter = &cluster->adapter;
    enum cvn_error error = adapter->start(adapter, cluster);
    server->adapter_started = error == CVN_OK;
    return error;
}

static enum cvn_error open_listener(struct cvn_server *server, struct server_worker *worker,
                                    const char *host)
{
    struct listener_options options = {
        .host = host,
        .port = server->port != 0 ? server->port : server->settings.port,
        .backlog = server->settings.backlog,
        .exclusive = server->port == 0,
        .tls = server->tls,
        .limits = &server->settings.conn,
        .on_accept = on_accept,
        .app = worker,
    };
    enum cvn_error error = listener_open(&worker->worker, &options, &worker->listener);
    if (error == CVN_OK)
        server->port = listener_port(worker->listener);
    return error;
}

static enum cvn_error listen_all(struct cvn_server *server)
{
    const char *host = server->settings.host != NULL ? server->settings.host : "::";
    for (unsigned i = 0; i < server->worker_count; i++) {
        enum cvn_error error = open_listener(server, &server->workers[i], host);
        /* A kernel without IPv6 still has IPv4. */
        if (error != CVN_OK && i == 0 && server->settings.host == NULL &&
            (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
            host = "0.0.0.0";
            error = open_listener(server, &server->workers[i], host);
        }
        if (error != CVN_OK) {
            int saved = errno;
            log_write(LOG_ERROR, "cannot listen on %s, port %u: %s", host, server->settings.port,
                      error == CVN_ERR_ARGUMENT ? "not a numeric address" : strerror(saved));
            errno = saved;
            return error;
        }
    }
    return CVN_OK;
}

/* The workers' threads take no signals: those are for the application's own threads. */
static enum cvn_error start_threads(struct cvn_server *server)
{
    sigset_t all, saved;
    enum cvn_error error = CVN_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    atomic_store(&server->running_threads, server->worker_count);
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct server_worker *worker = &server->workers[i];
        int failure = pthread_create(&worker->thread, NULL, run_worker, worker);
        if (failure != 0) {
            atomic_fetch_sub(&server->running_threads, server->worker_count - i);
            errno = failure;
            error = CVN_ERR_SYSTEM;
            break;
        }
        worker->has_thread = worker->is_running = true;
    }
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    return error;
}

enum cvn_error server_open(struct cvn_server *server, uv_loop_t *loop)
{
    enum cvn_error error = server->sio.registration;
    if (error == CVN_OK && server->settings.tls_cert_file != NULL)
        error = tls_context_new(server->settings.tls_cert_file, server->settings.tls_key_file,
                                &server->tls);
    if (error == CVN_OK && server->settings.client_dir != NULL)
        error =
            client_files_load(server->settings.client_dir, server->settings.path, &server->files);
    if (error == CVN_OK)
        error = make_workers(server, loop);
    if (error == CVN_OK)
        error = join_cluster(server);
    if (error == CVN_OK)
        error = listen_all(server);
    return error;
}

void server_give_up(struct cvn_server *server)
{
    int saved = errno;
    cvn_server_stop(server); /* the threads that did start */
    cvn_server_wait(server);
    atomic_store(&server->sio.ended, true);
    server_stop_adapter(server);
    atomic_store(&server->state, SERVER_STOPPED);
    errno = saved;
}

enum cvn_error cvn_server_start(cvn_server *server)
{
    int expected = SERVER_NEW;
    if (!atomic_compare_exchange_strong(&server->state, &expected, SERVER_RUNNING))
        return CVN_ERR_STATE;
    enum cvn_error error = server_open(server, NULL);
    if (error == CVN_OK)
        error = start_threads(server);
    if (error != CVN_OK)
        server_give_up(server);
    return error;
}

/* --- Stopping --- */

void cvn_server_stop(cvn_server *server)
{
    int expected = SERVER_RUNNING;
    if (!atomic_compare_exchange_strong(&server->state, &expected, SERVER_STOPPING))
        return;
    for (unsigned i = 0; i < server->worker_count; i++)
        if (server->workers[i].is_running)
            worker_post(&server->workers[i].worker, &server->workers[i].stop_mail);
}

void cvn_server_hurry(cvn_server *server)
{
    atomic_store(&server->hurry, true);
    cvn_server_stop(server);
}

void cvn_server_wait(cvn_server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (!server->workers[i].has_thread)
            continue;
        pthread_join(server->workers[i].thread, NULL);
        server->workers[i].has_thread = false;
    }
}

/* --- Running until a signal --- */

struct run {
    cvn_server *server;
    uv_loop_t loop;
    uv_signal_t signals[2];
    uv_async_t ended;
};

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    (void)number;
    if (atomic_load(&run->server->state) == SERVER_RUNNING) {
        cvn_server_stop(run->server);
        return;
    }
    cvn_server_hurry(run->server); /* the second one: no more waiting */
}

static void wake_run(cvn_server *server)
{
    struct run *run = server->on_ended_data;
    uv_async_send(&run->ended);
}

static void on_run_ended(uv_async_t *ended)
{
    struct run *run = ended->data;
    uv_close((uv_handle_t *)&run->ended, NULL);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&run->signals[i], NULL);
}

int cvn_server_run_then(cvn_server *server, void (*on_listening)(cvn_server *server, void *data),
                        void *data)
{
    static const int numbers[2] = {SIGINT, SIGTERM};
    int status = 1;
    struct run run = {.server = server};
    if (server == NULL)
        return 1;
    if (uv_loop_init(&run.loop) != 0)
        goto out;
    uv_async_init(&run.loop, &run.ended, on_run_ended);
    run.ended.data = &run;
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&run.loop, &run.signals[i]);
        run.signals[i].data = &run;
        uv_signal_start(&run.signals[i], on_signal, numbers[i]);
    }
    server->on_ended = wake_run;
    server->on_ended_data = &run;
    enum cvn_error error = cvn_server_start(server);
    if (error != CVN_OK) {
        log_write(LOG_ERROR, "cannot start: %s%s%s", cvn_strerror(error),
                  error == CVN_ERR_SYSTEM ? ": " : "",
                  error == CVN_ERR_SYSTEM ? strerror(errno) : "");
        on_run_ended(&run.ended);
    } else {
        status = 0;
        if (on_listening != NULL)
            on_listening(server, data);
    }
    uv_run(&run.loop, UV_RUN_DEFAULT);
    cvn_server_wait(server);
    uv_loop_close(&run.loop);
out:
    cvn_server_free(server);
    return status;
}

int cvn_server_run(cvn_server *server)
{
    return cvn_server_run_then(server, NULL, NULL);
}

/* --- Small things --- */

enum cvn_error cvn_server_set_adapter(cvn_server *server, cvn_adapter *adapter)
{
    if (server == NULL || adapter == NULL || adapter->start == NULL || adapter->publish == NULL ||
        adapter->respond == NULL || adapter->peers == NULL || adapter->stop == NULL ||
        adapter->free == NULL)
        return CVN_ERR_ARGUMENT;
    if (atomic_load(&server->state) != SERVER_NEW || server->adapter != NULL)
        return CVN_ERR_STATE;
    server->adapter = adapter;
    return CVN_OK;
}

/* `name` with its slash, maybe in `room`; NULL when it is too long for a name. */
static const char *with_slash(const char *name, char room[SIO_MAX_NAMESPACE_NAME + 2])
{
    if (name == NULL || name[0] == '\0')
        return "/";
    if (name[0] == '/')
        return name;
    int size = snprintf(room, SIO_MAX_NAMESPACE_NAME + 2, "/%s", name);
    return size < SIO_MAX_NAMESPACE_NAME + 2 ? room : NULL;
}

cvn_namespace *cvn_find_namespace(cvn_server *server, const char *name)
{
    char room[SIO_MAX_NAMESPACE_NAME + 2];
    if (server == NULL || !server->sio.started || (name = with_slash(name, room)) == NULL)
        return NULL;
    cvn_namespace *nsp = sio_namespace_find(&server->sio, cvn_str(name));
    return nsp != NULL ? nsp : sio_dynamic_find(&server->sio, cvn_str(name));
}

cvn_namespace *cvn_of(cvn_server *server, const char *name)
{
    char room[SIO_MAX_NAMESPACE_NAME + 2];
    if (server == NULL)
        return NULL;
    if (server->sio.started) {
        cvn_namespace *found = cvn_find_namespace(server, name);
        cvn_namespace_unref(found); /* the caller knows who keeps it */
        return found;
    }
    name = with_slash(name, room);
    if (name == NULL) {
        sio_server_note(&server->sio, CVN_ERR_ARGUMENT);
        return NULL;
    }
    return sio_namespace_get(&server->sio, cvn_str(name));
}

cvn_namespace *cvn_of_pattern(cvn_server *server, const char *pattern)
{
    return server != NULL ? sio_dynamic_add_pattern(&server->sio, pattern) : NULL;
}

cvn_namespace *cvn_of_predicate(cvn_server *server, cvn_predicate_fn fn, void *data)
{
    return server != NULL ? sio_dynamic_add_predicate(&server->sio, fn, data) : NULL;
}

uint16_t cvn_server_port(const cvn_server *server)
{
    return server->port;
}

unsigned cvn_server_workers(const cvn_server *server)
{
    return server->settings.workers;
}

struct posted {
    struct mail mail;
    void (*fn)(void *data);
    void *data;
};

static void on_posted(struct mail *mail, struct worker *worker)
{
    struct posted *posted = CONTAINER_OF(mail, struct posted, mail);
    (void)worker;
    posted->fn(posted->data);
    mem_free(posted);
}

static void on_posted_discarded(struct mail *mail)
{
    mem_free(CONTAINER_OF(mail, struct posted, mail));
}

enum cvn_error cvn_post(cvn_server *server, unsigned index, void (*fn)(void *data), void *data)
{
    int state = atomic_load(&server->state);
    if (state != SERVER_RUNNING && state != SERVER_STOPPING)
        return CVN_ERR_STATE;
    if (index >= server->worker_count)
        return CVN_ERR_ARGUMENT;
    struct posted *posted = mem_zalloc(sizeof *posted);
    if (posted == NULL)
        return CVN_ERR_MEMORY;
    posted->mail.deliver = on_posted;
    posted->mail.discard = on_posted_discarded;
    posted->fn = fn;
    posted->data = data;
    worker_post(&server->workers[index].worker, &posted->mail);
    return CVN_OK;
}
