/*
 * The console put together: admins come and go, and while one is there the server is observed and the workers tick. Without one nothing of this
 * runs; an event then costs the library's look at a flag.
 */
#include "admin/admin_internal.h"
#include "http/static_files.h"
#include "observe/clock.h"
#include "observe/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEND_WATER    (512 << 10) /* bytes queued for an admin, at most */
#define MAX_PICTURE   (8 << 20)   /* bytes of an all_sockets */
#define QUIET_TICK_MS 500         /* in production mode */
#define MAX_HANDSHAKE (256 << 10)

/* --- Ticks --- */

static bool is_watched(struct admin *admin)
{
    pthread_mutex_lock(&admin->lock);
    bool is_watched = admin->watchers > 0;
    pthread_mutex_unlock(&admin->lock);
    return is_watched;
}

static void send_stats(struct admin_worker *worker)
{
    struct admin *admin = worker->admin;
    int64_t now_ms = clock_steady_ms();
    if (now_ms < admin->stats_due_ms)
        return;
    admin->stats_due_ms = now_ms + ADMIN_STATS_MS;
    struct admin_batch *batch = admin_stats_take(admin);
    if (batch != NULL)
        admin_feed_send(worker, batch);
}

static void on_tick(cvn_timer *timer, void *data)
{
    struct admin_worker *worker = data;
    admin_feed_flush(worker);
    if (worker->index == 0)
        send_stats(worker);
    admin_client_tick(worker);
    if (is_watched(worker->admin))
        cvn_timer_start(timer, worker->admin->is_development ? ADMIN_TICK_MS : QUIET_TICK_MS);
}

/* On each worker when the first admin has come. */
static void begin_ticking(struct admin_worker *worker, void *payload)
{
    (void)payload;
    if (worker->timer == NULL)
        worker->timer = cvn_timer_new(worker->admin->server, on_tick, NULL, worker);
    if (worker->timer == NULL) {
        log_entry(LOG_ERROR, "out of memory: admins of a worker are shown nothing", LOG_END);
        return;
    }
    if (worker->index == 0 && !cvn_timer_is_waiting(worker->timer))
        admin_stats_begin(worker->admin);
    if (worker->index == 0)
        worker->admin->stats_due_ms = 0; /* who comes wants to see something */
    cvn_timer_start(worker->timer, 0);
}

static void drop_nothing(void *payload)
{
    (void)payload;
}

/* --- Admins --- */

static void watch(struct admin *admin)
{
    pthread_mutex_lock(&admin->lock);
    admin->watchers++;
    if (admin->is_development)
        cvn_observe(admin->server, true);
    pthread_mutex_unlock(&admin->lock);
    for (unsigned i = 0; i < admin->worker_count; i++)
        admin_post(admin, i, begin_ticking, NULL, drop_nothing);
}

static void unwatch(struct admin *admin)
{
    pthread_mutex_lock(&admin->lock);
    if (--admin->watchers == 0)
        cvn_observe(admin->server, false);
    pthread_mutex_unlock(&admin->lock);
}

static void greet(const struct admin *admin, cvn_socket *socket,
                  const struct admin_identity *identity)
{
    char session[64];
    if (identity->session[0] != '\0') {
        snprintf(session, sizeof session, "\"%s\"", identity->session);
        cvn_socket_emit(socket, "session", cvn_json(session));
    }
    cvn_socket_emit(socket, "config",
                    cvn_json(admin->is_development
                                 ? "{\"supportedFeatures\":[\"EMIT\",\"JOIN\",\"LEAVE\","
                                   "\"DISCONNECT\",\"MJOIN\",\"MLEAVE\",\"MDISCONNECT\","
                                   "\"AGGREGATED_EVENTS\",\"ALL_EVENTS\"]}"
                                 : "{\"supportedFeatures\":[\"EMIT\",\"JOIN\",\"LEAVE\","
                                   "\"DISCONNECT\",\"MJOIN\",\"MLEAVE\",\"MDISCONNECT\","
                                   "\"AGGREGATED_EVENTS\"]}"));
}

static void on_connection(cvn_socket *socket, void *data)
{
    struct admin *admin = data;
    struct admin_identity *identity = cvn_socket_data(socket);
    if (identity == NULL) { /* came back without having been asked */
        cvn_disconnect(socket, false);
        return;
    }
    greet(admin, socket, identity);
    watch(admin);
    if (!admin_client_add(admin_worker_of(admin, socket), socket, identity)) {
        unwatch(admin);
        cvn_disconnect(socket, false);
    }
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    struct admin *admin = data;
    struct admin_worker *worker = admin_worker_of(admin, socket);
    (void)reason;
    if (admin_client_find(worker, socket) != NULL) {
        admin_client_remove(worker, socket);
        unwatch(admin);
    }
    cvn_socket_set_data(socket, NULL, NULL); /* nothing is kept for whoever comes back */
}

/* --- Beginning and end --- */

static void on_worker_stop(cvn_server *server, unsigned index, void *data)
{
    struct admin *admin = data;
    struct admin_worker *worker = &admin->workers[index];
    (void)server;
    admin_login_on_worker_stop(admin->login, index);
    admin_walk_release(worker);
    admin_client_release(worker);
    admin_batch_unref(worker->batch);
    worker->batch = NULL;
    cvn_timer_free(worker->timer);
    worker->timer = NULL;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool set_up(struct admin *admin, const struct config *config)
{
    size_t high_water = config->server.send_high_water, max = config->server.send_max;
    admin->send_water = high_water > 0 ? least(SEND_WATER, high_water / 2) : SEND_WATER;
    admin->max_picture = max > 0 ? least(MAX_PICTURE, max / 2) : MAX_PICTURE;
    admin->is_development = config->admin.mode == CONFIG_ADMIN_DEVELOPMENT;
    admin->started_ms = clock_steady_ms();
    if (gethostname(admin->hostname, sizeof admin->hostname - 1) != 0)
        strcpy(admin->hostname, "localhost");
    if (config->admin.server_id != NULL)
        snprintf(admin->server_id, sizeof admin->server_id, "%s", config->admin.server_id);
    else
        snprintf(admin->server_id, sizeof admin->server_id, "%s#%ld", admin->hostname,
                 (long)getpid());
    for (unsigned i = 0; i < admin->worker_count; i++) {
        struct admin_worker *worker = &admin->workers[i];
        worker->admin = admin;
        worker->index = i;
        worker->scratch = cvn_text_new(MAX_HANDSHAKE);
        if (worker->scratch == NULL)
            return false;
    }
    admin->nsp = cvn_of(admin->server, ADMIN_NAMESPACE);
    admin->login = admin_login_new(admin, config);
    admin->pages = admin_pages_load(config);
    return admin->login != NULL && admin->pages != NULL;
}

struct admin *admin_new(cvn_server *server, const struct config *config, struct auth *auth,
                        struct audit *audit)
{
    unsigned count = cvn_server_workers(server);
    struct admin *admin = calloc(1, sizeof *admin + count * sizeof *admin->workers);
    if (admin == NULL)
        return NULL;
    admin->server = server;
    admin->auth = auth;
    admin->audit = audit;
    admin->worker_count = count;
    pthread_mutex_init(&admin->lock, NULL);
    cvn_observer observer = admin_feed_observer(admin);
    if (!set_up(admin, config) ||
        (admin->is_development && cvn_set_observer(server, &observer) != CVN_OK) ||
        cvn_on_worker_stop(server, on_worker_stop, admin) != CVN_OK) {
        log_entry(LOG_ERROR, "the admin UI cannot be set up", LOG_END);
        admin_free(admin);
        return NULL;
    }
    cvn_on_connection(admin->nsp, on_connection, admin);
    cvn_on_disconnect(admin->nsp, on_disconnect, admin);
    admin_command_register(admin);
    return admin;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL)
        return;
    admin_login_free(admin->login);
    admin_post_release(admin);
    for (unsigned i = 0; i < admin->worker_count; i++)
        cvn_text_free(admin->workers[i].scratch);
    static_files_free(admin->pages);
    pthread_mutex_destroy(&admin->lock);
    free(admin);
}

bool admin_serve(cvn_http_request *request, void *data)
{
    const struct admin *admin = data;
    return static_files_serve(admin->pages, request);
}
