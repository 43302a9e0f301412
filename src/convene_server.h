/* The assembly above all layers: one server made of its workers. What the src/convene_*.c files share. */
#ifndef CONVENE_SERVER_INTERNAL_H
#define CONVENE_SERVER_INTERNAL_H

#include <convene/convene.h>
#include <pthread.h>
#include "cluster/adapter_nodes.h"
#include "cluster/adapter_workers.h"
#include "net/listener.h"
#include "net/tls.h"

struct client_files;
struct change;

/* Functions of the application for the beginning or the end of a worker. */
struct worker_hook {
    cvn_worker_fn fn;
    void *data;
};
struct worker_hooks {
    struct worker_hook *items;
    size_t count;
};

enum server_state { SERVER_NEW, SERVER_RUNNING, SERVER_STOPPING, SERVER_STOPPED };

/* One worker with everything that lives on it. worker.app points back here. */
struct server_worker {
    struct worker worker;
    struct sio_worker sio;
    struct eio_counters counters;
    struct cvn_server *server;
    struct listener *listener;
    pthread_t thread;
    bool has_thread, is_running; /* is_running: with a thread, or on the caller's loop */
    struct mail stop_mail;
    struct timer stop_timer; /* looks whether everybody has gone */
    uint64_t stop_deadline_ms, quiet_since_ms;
    uint64_t request_deadline_ms; /* for the application's requests, once all sessions have gone */
    size_t http_requests; /* of the application's, not answered; upgraded ones do not count */
    struct mail drain_mail;
    struct timer drain_timer;
    uint64_t drain_began_ms;
    size_t drain_total,
        drain_asked;         /* sessions there were, and how many of them were asked to leave */
    struct change *origins;  /* the list in use, with a reference; NULL: that of the options */
    struct list timers;      /* of struct cvn_timer: the application's */
    pthread_t runs_on;       /* set with has_started */
    atomic_bool has_started; /* the application was told; and it is to be told of the end */
    bool has_ended;          /* no timer starts any more */
};

/* The options in the form in which the layers want them; strings and lists are the server's own copies. */
struct server_settings {
    char *host; /* NULL: all addresses */
    uint16_t port;
    int backlog;
    unsigned workers;
    char *tls_cert_file, *tls_key_file;
    char *path;
    char **origins;                        /* NULL-terminated */
    char *cookie_name, *cookie_attributes; /* NULL: no cookie */
    char *origin_methods, *origin_headers, *origin_exposed;
    char *client_dir; /* NULL: the client is not served */
    uint64_t shutdown_timeout_ms;
    struct eio_options eio;
    struct sio_options sio;
    struct http_limits http;
    struct conn_limits conn;
    void *hook_data;
    bool (*allow_request)(cvn_http_request *request, const char **ret_message, void *hook_data);
    void (*on_headers)(cvn_http_request *request, bool initial, void *hook_data);
    void (*on_connection_error)(cvn_http_request *request, const cvn_connection_error *error,
                                void *hook_data);
    void (*log)(enum cvn_log_level level, const char *message, void *hook_data);
};

struct cvn_server {
    struct server_settings settings;
    struct sio_server sio;
    struct cvn_adapter *adapter; /* the application's; NULL: no cluster */
    bool adapter_started;
    pthread_mutex_t change_lock; /* changes reach all workers in one order */
    struct tls_context *tls;
    struct client_files *files;
    struct eio_events eio_events;
    struct server_worker *workers; /* NULL before the start */
    struct sio_worker **sio_workers;
    struct worker **net_workers;
    unsigned worker_count;
    cvn_http_fn http_fn;
    void *http_data;
    cvn_http_head_fn http_head_fn;
    void *http_head_data;
    struct worker_hooks start_hooks, stop_hooks;
    atomic_int state; /* enum server_state */
    atomic_uint running_threads;
    void (*on_ended)(struct cvn_server *server); /* by the last thread, as its last deed */
    void *on_ended_data;
    atomic_bool is_draining;
    uint32_t drain_ms;            /* over which clients are sent away */
    atomic_uint draining_workers; /* with clients that have not left */
    atomic_bool hurry;            /* the stop shall wait for nobody any more */
    uint16_t port;

    /* On a loop of the caller's (convene_uv.c) */
    bool is_hosted;
    bool free_when_closed; /* cvn_server_free was called before the loop had let go */
    void (*on_stopped)(cvn_server *server, void *data);
    void *on_stopped_data;
};

/* convene_options.c: checks and copies. False with a word in the log; *ret needs server_settings_release either way. */
bool server_settings_init(struct server_settings *ret, const cvn_options *options);
void server_settings_release(struct server_settings *settings);

/* A NULL-terminated copy of a list that is NULL or NULL-terminated. CVN_ERR_LIMIT, CVN_ERR_MEMORY. */
enum cvn_error server_copy_origins(const char *const *origins, char ***ret, size_t *ret_count);
void server_free_origins(char **origins);

/* convene_drain.c: how many of `total` sessions shall have been asked to leave by then. */
size_t server_drain_due(size_t total, uint64_t elapsed_ms, uint32_t spread_ms);

/* convene_change.c: what may change while the server runs. */
void server_change_unref(struct change *change);

/* convene_cookie.c: what goes into header fields of answers, checked and copied. False with a word in the log. */
bool server_settings_set_cookie(struct server_settings *ret, const cvn_cookie *cookie);
bool server_settings_set_cors(struct server_settings *ret, const cvn_options *options);

/* convene_server.c, for convene_uv.c. All that a start does before workers run, on threads of their
 * own or on `loop`. */
enum cvn_error server_open(struct cvn_server *server, uv_loop_t *loop);
/* A start has failed: there is nothing that runs. */
void server_give_up(struct cvn_server *server);
/* Frees it at last; nothing runs and no loop has handles of it. */
void server_destroy(struct cvn_server *server);
/* The adapter's last calls, when no worker has work for it any more; each does nothing the second time. */
void server_stop_adapter(struct cvn_server *server);
void server_free_adapter(struct cvn_server *server);

/* convene_uv.c: cuts what lives on the caller's loop. True when the loop had let go already, so
 * that the server may be destroyed; else that happens when it does. */
bool server_leave_loop(struct cvn_server *server);

/* convene_worker.c: the application's part in a worker's beginning and end. */
/* Once worker_init has succeeded. */
void server_worker_attach(struct server_worker *worker);
void server_release_hooks(struct cvn_server *server);

/* convene_http.c: what http_conn tells, shared out; and the hooks of Engine.IO that the application sees. */
extern const struct http_events server_http_events;
enum eio_verdict server_on_allow(struct http_request *request, const char **message, void *app);
void server_on_refused(struct http_request *request, const struct eio_refusal *refusal, void *app);
void server_on_headers(struct http_request *request, bool initial, void *app);

/* client_files.c: the client bundles, read into memory when the server starts. */
enum cvn_error client_files_load(const char *dir, const char *path, struct client_files **ret);
void client_files_free(struct client_files *files);
/* Answers a request for one of them; false when it is none. */
bool client_files_serve(const struct client_files *files, struct http_request *request);

#endif
