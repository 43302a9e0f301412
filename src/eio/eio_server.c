/*
 * The instance of one worker: options, the table of sessions, where a request goes, and the work at the end of a turn:
 * answering the polls that got output, then delivering on_close and freeing. Runs on the instance's worker.
 *
 * Invariant: sessions are freed by server_run_ended alone, which is never entered from inside another callback.
 */
#include "eio/eio_session.h"
#include "base/mem.h"

void eio_options_default(struct eio_options *ret)
{
    *ret = (struct eio_options){
        .path = SLICE("/engine.io"),
        .add_trailing_slash = true,
        .ping_interval_ms = 25000,
        .ping_timeout_ms = 20000,
        .upgrade_timeout_ms = 10000,
        .allow_timeout_ms = 10000,
        .polling_close_timeout_ms = 30000,
        .max_payload = 1000000,
        .transports = EIO_POLLING | EIO_WEBSOCKET,
        .allow_upgrades = true,
        .send_high_water = (size_t)1 << 20,
        .send_max = (size_t)16 << 20,
        .send_low_water = (size_t)1 << 19,
        .http_compression = true,
        .compression_threshold = 1024,
    };
}

const char *eio_reason_text(enum eio_reason reason)
{
    switch (reason) {
    case EIO_TRANSPORT_ERROR:
        return "transport error";
    case EIO_TRANSPORT_CLOSE:
        return "transport close";
    case EIO_FORCED_CLOSE:
        return "forced close";
    case EIO_PING_TIMEOUT:
        return "ping timeout";
    case EIO_PARSE_ERROR:
        return "parse error";
    case EIO_SHUTDOWN:
        return "server shutting down";
    case EIO_SLOW_CONSUMER:
        return "slow consumer";
    case EIO_FORCED_SERVER_CLOSE:
        return "forced server close";
    }
    return "unknown";
}

static cvn_slice server_session_key(const void *value)
{
    const struct eio_session *session = value;
    return slice_of(session->id, EIO_SID_SIZE);
}

/* Answers the polls that wait for one. A session that becomes ready meanwhile has its turn in the next round. */
static void server_run_ready(struct eio_server *server)
{
    struct list work;
    list_init(&work);
    list_splice(&work, &server->ready);
    while (!list_is_empty(&work)) {
        struct eio_session *session = CONTAINER_OF(work.next, struct eio_session, ready_link);
        list_remove(&session->ready_link);
        eio_polling_flush(session);
    }
}

static void server_run_ended(struct eio_server *server)
{
    while (!list_is_empty(&server->ended)) {
        struct eio_session *session = CONTAINER_OF(server->ended.next, struct eio_session, link);
        list_remove(&session->link);
        if (session->is_announced)
            counter_add(&server->counters->closed[session->reason], 1);
        if (session->is_announced)
            server->events->on_close(session, (enum eio_reason)session->reason);
        server->count--;
        eio_session_free(session);
    }
}

static void server_run(struct worker_task *task)
{
    struct eio_server *server = CONTAINER_OF(task, struct eio_server, task);
    server_run_ready(server);
    server_run_ended(server);
}

void eio_server_schedule(struct eio_server *server)
{
    worker_defer(server->worker, &server->task);
}

struct eio_server *eio_server_new(struct worker *worker, const struct eio_options *options,
                                  const struct eio_events *events, void *app)
{
    struct eio_server *server = mem_zalloc(sizeof *server);
    if (server == NULL)
        return NULL;

    server->worker = worker;
    server->options = options;
    server->events = events;
    server->app = app;
    server->counters = &server->own_counters;
    server->origins = options->origins;
    server->max_sessions = options->max_sessions;
    server->path = options->path;
    if (server->path.size > 0 && server->path.data[server->path.size - 1] == '/')
        server->path.size--;
    map_init(&server->sessions, server_session_key);
    list_init(&server->live);
    list_init(&server->leaving);
    list_init(&server->ready);
    list_init(&server->ended);
    server->task.run = server_run;
    server->ws_limits.max_message = options->max_payload;
    server->ws_limits.max_fragments = options->max_fragments;
    ws_deflate_init(&server->deflate, options->compression_threshold);
    server->ping = eio_packet_encode(EIO_PING, SLICE(""));
    server->probe_answer = eio_packet_encode(EIO_PONG, SLICE("probe"));
    if (server->ping == NULL || server->probe_answer == NULL) {
        eio_server_free(server);
        return NULL;
    }
    return server;
}

void eio_server_refuse_new(struct eio_server *server, uint32_t retry_after_s)
{
    server->is_closed = true;
    if (retry_after_s > 0)
        server->retry_after_s = retry_after_s;
}

static bool session_may_leave(struct eio_session *session)
{
    bool (*may_leave)(struct eio_session *) = session->server->events->may_leave;
    return session->state == EIO_STATE_OPEN && (may_leave == NULL || may_leave(session));
}

void eio_server_leave(struct eio_server *server, size_t count)
{
    struct list work;

    for (; count > 0 && !list_is_empty(&server->live); count--) {
        struct eio_session *session = CONTAINER_OF(server->live.next, struct eio_session, link);
        list_remove(&session->link);
        list_append(&server->leaving, &session->link);
    }
    list_init(&work);
    list_splice(&work, &server->leaving);
    while (!list_is_empty(&work)) {
        struct eio_session *session = CONTAINER_OF(work.next, struct eio_session, link);
        list_remove(&session->link);
        list_append(&server->leaving, &session->link);
        if (session_may_leave(session))
            eio_session_close(session, EIO_SHUTDOWN);
    }
}

void eio_server_shutdown(struct eio_server *server)
{
    struct list work;

    /* Closing one session may end others: no iterator would survive that. */
    eio_server_refuse_new(server, 0);
    list_init(&work);
    list_splice(&work, &server->live);
    list_splice(&work, &server->leaving);
    while (!list_is_empty(&work)) {
        struct eio_session *session = CONTAINER_OF(work.next, struct eio_session, link);
        list_remove(&session->link);
        list_append(&server->live, &session->link);
        eio_session_close(session, EIO_SHUTDOWN);
    }
}

/* The last step: neither sessions nor WebSockets are left. */
static void server_free_memory(struct eio_server *server)
{
    ws_deflate_release(&server->deflate);
    mem_free(server);
}

void eio_server_end_all(struct eio_server *server)
{
    list_splice(&server->live, &server->leaving);
    while (!list_is_empty(&server->live))
        eio_session_end(CONTAINER_OF(server->live.next, struct eio_session, link), EIO_SHUTDOWN);
    server_run_ended(server);
}

void eio_server_free(struct eio_server *server)
{
    if (server == NULL)
        return;
    eio_server_end_all(server);
    worker_task_cancel(&server->task);
    map_release(&server->sessions);
    message_unref(server->ping);
    message_unref(server->probe_answer);
    server->is_freed = true;
    if (server->websockets == 0)
        server_free_memory(server);
}

void eio_server_drop_websocket(struct eio_server *server)
{
    server->websockets--;
    if (server->is_freed && server->websockets == 0)
        server_free_memory(server);
}

void eio_server_set_counters(struct eio_server *server, struct eio_counters *counters)
{
    server->counters = counters;
}

size_t eio_server_session_count(const struct eio_server *server)
{
    return server->count;
}

void *eio_server_app(const struct eio_server *server)
{
    return server->app;
}

void eio_server_set_peers(struct eio_server *server, struct worker *const *workers, unsigned count)
{
    server->peers = workers;
    server->peer_count = count;
}

void eio_server_set_origins(struct eio_server *server, const char *const *allowed, size_t count)
{
    server->origins.allowed = allowed;
    server->origins.allowed_count = count;
}

void eio_server_set_max_sessions(struct eio_server *server, size_t max)
{
    server->max_sessions = max;
}

bool eio_server_owns_path(const struct eio_server *server, cvn_slice path)
{
    if (server->options->add_trailing_slash && path.size == server->path.size + 1 &&
        path.data[path.size - 1] == '/')
        path.size--;
    return slice_eq(path, server->path);
}

void eio_server_on_body(struct eio_server *server, struct http_request *request, char *body,
                        size_t size)
{
    (void)server;
    eio_polling_on_body(request->user, request, body, size);
}

void eio_server_on_abort(struct eio_server *server, struct http_request *request)
{
    (void)server;
    if (request->parked)
        eio_admission_unref(eio_admission_take(request));
    else
        eio_polling_on_abort(request->user, request);
}
