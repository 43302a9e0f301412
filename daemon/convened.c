/*
 * The assembly: every part of the daemon is made here, in the order in which they need each other, and freed in the opposite one. What a part
 * is and does is its own folder's business. Main thread; the functions that the server calls run on its workers.
 */
#include "convened.h"
#include "access/access_guard.h"
#include "access/access_members.h"
#include "access/access_proxies.h"
#include "access/access_revocations.h"
#include "access/access_webhook.h"
#include "convened_options.h"
#include "event/catalogue.h"
#include "admin/admin.h"
#include "event/frame.h"
#include "http/dev_tokens.h"
#include "http/proxy.h"
#include "http/rest.h"
#include "http/rest_admin.h"
#include "http/router.h"
#include "http/static_files.h"
#include "modules/demo_chat.h"
#include "modules/presence.h"
#include "ops/data_dir.h"
#include "ops/supervisor.h"
#include "store/store_idempotency.h"
#include "outgoing/outgoing.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define MAX_CATALOGUE ((size_t)8 << 20)

/* Every module that there is; one in a disabled namespace refuses everybody. */
static const struct module *const modules[] = {&presence_module, NULL};

struct convened {
    const struct config
        *config; /* the one that the parts were made with: what cannot be reloaded */
    const struct config *current; /* with what was reloaded since; the same at first */
    cvn_server *server;
    struct metrics *metrics;
    struct outgoing *outgoing;
    struct store *store;
    struct audit *audit; /* NULL: switched off */
    struct auth *auth;
    struct access_members *members;
    struct access_revocations *revocations;
    struct access_webhook *webhook; /* NULL without access.webhook_url */
    struct access_guard *guard;
    struct frame *frame;
    struct router *router;
    struct rest *rest;
    struct rest_admin *rest_admin;
    struct proxy *proxy;        /* NULL without upstream.url */
    struct admin *admin;        /* NULL unless it is enabled */
    struct static_files *files; /* NULL without --dev */
    struct dev_tokens *tokens;  /* likewise */
    struct demo_chat *chat;     /* likewise */
};

/* --- What the server asks for --- */

/* A client that tries too often is told when to come again. */
static bool on_allow(cvn_http_request *request, const char **ret_message, void *data)
{
    const struct convened *convened = data;
    char seconds[16];
    uint32_t retry_ms = 0;
    if (frame_allow(convened->frame, request, &retry_ms))
        return true;
    snprintf(seconds, sizeof seconds, "%u", (retry_ms + 999) / 1000);
    const cvn_header retry = {"Retry-After", seconds};
    const cvn_denial denial = {429, "Too many connection attempts", &retry, 1};
    cvn_admission *admission = cvn_allow_later(request);
    if (admission != NULL)
        cvn_deny_with(admission, &denial);
    *ret_message = denial.message; /* counts when memory has run out */
    return false;
}

static bool on_static_file(cvn_http_request *request, void *data)
{
    return static_files_serve(data, request);
}

static void on_asyncapi(struct request *request, void *data)
{
    const struct convened *convened = data;
    cvn_text *text = cvn_text_new(MAX_CATALOGUE);
    if (text != NULL && catalogue_print(modules, convened->config, text))
        request_answer(request, 200, cvn_text_slice(text));
    else
        request_refuse(request, 503, "UNAVAILABLE", "out of memory", 1000);
    cvn_text_free(text);
}

static const struct route routes[] = {
    {"GET", "/asyncapi.json", ROUTE_ANYONE, on_asyncapi, "all events, as an AsyncAPI document",
     NULL},
};

/* --- What the supervisor tells --- */

static void on_listening(void *data)
{
    const struct convened *convened = data;
    const struct config *config = convened->config;
    const char *host =
        config->dev || config->server.host == NULL ? "localhost" : config->server.host;
    unsigned workers = cvn_server_workers(convened->server);
    printf("listening on %s://%s:%u with %u worker%s\n", config->server.tls_cert ? "https" : "http",
           host, cvn_server_port(convened->server), workers, workers == 1 ? "" : "s");
    fflush(stdout);
}

static void say(enum config_log_level level, const char *message, void *data)
{
    (void)data;
    log_entry((enum log_level)level, message, LOG_END);
}

static void on_reload(void *data)
{
    struct convened *convened = data;
    const struct config *next = config_reload(convened->current, say, NULL);
    if (next == NULL)
        return;
    log_configure(next);
    frame_reconfigure(convened->frame, next);
    rest_reconfigure(convened->rest, next);
    bool done = auth_reconfigure(convened->auth, next) &&
                router_reconfigure(convened->router, next) && access_proxies_reconfigure(next);
    if (next->server.tls_cert != NULL && cvn_server_reload_tls(convened->server) != CVN_OK)
        done = false;
    if (cvn_server_set_origins(convened->server, next->server.origins.count > 0
                                                     ? next->server.origins.items
                                                     : NULL) != CVN_OK)
        done = false;
    log_entry(done ? LOG_INFO : LOG_ERROR, done ? "reloaded" : "reloaded in part: see above",
              LOG_END);
    if (convened->current != convened->config)
        config_free(convened->current);
    convened->current = next;
}

static void on_sweep(void *data)
{
    struct convened *convened = data;
    frame_sweep(convened->frame);
    access_revocations_sweep(convened->revocations, (int64_t)time(NULL));
    store_idempotency_sweep(convened->store, (int64_t)time(NULL) * 1000);
    if (convened->audit != NULL)
        audit_sweep(convened->audit);
}

static void on_drain(void *data)
{
    const struct convened *convened = data;
    rest_drain(convened->rest);
    frame_drain(convened->frame);
}

/* --- Putting together --- */

/* Every connection is a descriptor: as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/*
 * A peer that has gone and a file at its limit (RLIMIT_FSIZE) are errors of the call that meets them, not the end of the process. A reload
 * that is asked for before there is anything to reload, or when all has ended, is nothing. The supervisor takes SIGHUP in between.
 */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGHUP};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
}

/* What was asked for has happened: nothing may cut short what the store still has to write. */
static void ignore_the_last_signals(void)
{
    ignore_signals();
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
}

static bool make_server(struct convened *convened)
{
    cvn_options options = convened_options(convened->config);
    options.log = log_from_library;
    options.allow_request = on_allow;
    options.hook_data = convened;
    convened->server = cvn_server_new(&options);
    if (convened->server == NULL)
        log_entry(
            LOG_ERROR,
            "the server cannot be made: more memory is needed, or server.* is not possible here",
            LOG_TEXT("system", strerror(errno)), LOG_END);
    return convened->server != NULL;
}

/* What hinders the start, and what to do about it. */
static bool fail(const char *what, const char *subject)
{
    log_entry(LOG_ERROR, what, LOG_TEXT("subject", subject != NULL ? subject : ""), LOG_END);
    return false;
}

static bool make_store(struct convened *convened)
{
    size_t count = 0;
    while (presence_migrations[count].module != NULL)
        count++;
    convened->store = store_open(convened->config->server.data_dir);
    if (convened->store == NULL || !store_migrate(convened->store, presence_migrations, count) ||
        !store_idempotency_migrate(convened->store))
        return fail(
            "the store cannot be used: see above; the data directory must be writable, its disk "
            "not full, and its database of this version or an older one",
            convened->config->server.data_dir);
    store_observe(convened->store, convened->metrics);
    if (convened->config->log.audit)
        convened->audit = audit_new(convened->store, convened->config->server.data_dir);
    if (convened->config->log.audit && convened->audit == NULL)
        return fail("the audit trail cannot be continued: see above; mend the store, or switch it "
                    "off (log.audit)",
                    convened->config->server.data_dir);
    return true;
}

static bool make_access(struct convened *convened)
{
    convened->revocations = access_revocations_new(convened->store, convened->auth);
    convened->members = access_members_new(convened->store);
    if (convened->config->access.webhook_url != NULL) {
        convened->webhook =
            access_webhook_new(convened->config, convened->server, convened->outgoing);
        if (convened->webhook == NULL)
            return fail("the webhook cannot be asked: see access.webhook_url, and memory",
                        convened->config->access.webhook_url);
    }
    convened->guard = access_guard_new(convened->config, convened->members, convened->webhook);
    if (convened->revocations != NULL && convened->members != NULL && convened->guard != NULL)
        return true;
    return fail("who may do what cannot be read from the store: see above; else more memory is "
                "needed",
                convened->config->server.data_dir);
}

static bool make_frame(struct convened *convened)
{
    const struct frame_parts parts = {
        .config = convened->config,
        .server = convened->server,
        .auth = convened->auth,
        .guard = convened->guard,
        .store = convened->store,
        .audit = convened->audit,
        .metrics = convened->metrics,
    };
    convened->frame = frame_new(&parts);
    for (size_t i = 0; convened->frame != NULL && modules[i] != NULL; i++)
        if (!frame_add(convened->frame, modules[i]))
            return fail("a module cannot be started: see above; else more memory is needed",
                        modules[i]->name);
    if (convened->frame != NULL && frame_ready(convened->frame))
        return true;
    return fail("the frame of the events cannot be made: more memory is needed", NULL);
}

static bool make_http(struct convened *convened)
{
    convened->router = router_new(convened->config, convened->auth, convened->server);
    if (convened->router == NULL)
        return false;
    router_measure(convened->router, convened->metrics);
    const struct rest_parts parts = {
        .config = convened->config,
        .server = convened->server,
        .router = convened->router,
        .store = convened->store,
        .metrics = convened->metrics,
        .audit = convened->audit,
    };
    convened->rest = rest_new(&parts);
    if (convened->rest == NULL ||
        !router_add(convened->router, routes, sizeof routes / sizeof *routes, convened))
        return false;
    const struct rest_admin_parts admin_parts = {
        .server = convened->server,
        .router = convened->router,
        .frame = convened->frame,
        .members = convened->members,
        .revocations = convened->revocations,
        .audit = convened->audit,
        .drain = supervisor_drain,
    };
    convened->rest_admin = rest_admin_new(&admin_parts);
    if (convened->rest_admin == NULL)
        return false;
    cvn_on_http(convened->server, router_serve, convened->router);
    cvn_on_http_head(convened->server, router_serve_head, convened->router);
    return true;
}

static bool make_admin(struct convened *convened)
{
    if (!convened->config->admin.enabled)
        return true;
    convened->admin =
        admin_new(convened->server, convened->config, convened->auth, convened->audit);
    return convened->admin != NULL &&
           router_add_fallback(convened->router, admin_serve, convened->admin);
}

static bool make_development(struct convened *convened)
{
    if (!convened->config->dev)
        return true;
    convened->files = static_files_load(convened->config->server.web_dir);
    convened->chat = demo_chat_new(convened->server);
    convened->tokens = dev_tokens_new(convened->config, convened->auth, convened->router);
    if (convened->files != NULL && convened->chat != NULL && convened->tokens != NULL &&
        router_add_fallback(convened->router, on_static_file, convened->files))
        return true;
    return fail("the development page cannot be served: server.web_dir must have its files",
                convened->config->server.web_dir);
}

static bool make_proxy(struct convened *convened)
{
    if (convened->config->upstream.url == NULL)
        return true;
    convened->proxy = proxy_new(convened->config, convened->server, convened->metrics);
    /* The last one: it takes whatever it is offered. */
    return convened->proxy != NULL &&
           router_add_fallback(convened->router, proxy_serve, convened->proxy);
}

static bool assemble(struct convened *convened)
{
    const struct config *config = convened->config;
    if (!data_dir_open(config->server.data_dir))
        return false; /* it has said why */
    if (!access_proxies_reconfigure(config))
        return fail("the trusted proxies cannot be kept: more memory is needed", NULL);
    convened->metrics = metrics_new();
    if (convened->metrics == NULL)
        return fail("no metrics: more memory is needed", NULL);
    if (!make_server(convened))
        return false;
    convened->outgoing = outgoing_new(convened->server);
    if (convened->outgoing == NULL)
        return fail("requests of our own cannot be made: more memory is needed", NULL);
    if (!make_store(convened))
        return false;
    convened->auth = auth_new(config, convened->server, convened->outgoing);
    if (convened->auth == NULL)
        return fail("tokens cannot be checked: see above, and the settings auth.*", NULL);
    if (!make_access(convened) || !make_frame(convened))
        return false;
    if (!make_http(convened))
        return fail("the HTTP endpoints cannot be made: more memory is needed", NULL);
    if (!make_admin(convened))
        return fail("the admin UI cannot be set up: see above, and the settings admin.*", NULL);
    if (!make_development(convened))
        return false;
    if (!make_proxy(convened))
        return fail("requests cannot be passed on: see above, and upstream.*",
                    config->upstream.url);
    return store_start(convened->store, convened->server) ||
           fail("the store's threads cannot be started: more memory or threads are needed", NULL);
}

static void take_apart(struct convened *convened)
{
    audit_free(convened->audit);
    store_close(convened->store);
    cvn_server_free(convened->server);
    demo_chat_free(convened->chat);
    static_files_free(convened->files);
    dev_tokens_free(convened->tokens);
    admin_free(convened->admin);
    proxy_free(convened->proxy);
    rest_admin_free(convened->rest_admin);
    rest_free(convened->rest);
    router_free(convened->router);
    frame_free(convened->frame);
    access_guard_free(convened->guard);
    access_webhook_free(convened->webhook);
    access_revocations_free(convened->revocations);
    access_members_free(convened->members);
    auth_free(convened->auth);
    outgoing_free(convened->outgoing);
    metrics_free(convened->metrics);
    access_proxies_release();
    if (convened->current != convened->config)
        config_free(convened->current);
    config_free(convened->config);
}

int convened_run(const struct config *config)
{
    struct convened convened = {.config = config, .current = config};
    uint64_t watchdog_us = 0;
    int status = 1;
    log_configure(config);
    ignore_signals();
    raise_descriptor_limit();
    if (sd_watchdog_enabled(0, &watchdog_us) <= 0)
        watchdog_us = 0;
    if (assemble(&convened)) {
        const struct supervisor_times times = {
            .sweep_ms = config->server.cleanup_interval_ms,
            .drain_ms = config->server.drain_ms,
            .watchdog_ms = (uint32_t)(watchdog_us / 2000), /* twice as often as is asked for */
        };
        const struct supervisor_events events = {on_listening, on_reload, on_sweep, on_drain,
                                                 &convened};
        status = supervisor_run(convened.server, &times, &events);
        ignore_the_last_signals();
    }
    take_apart(&convened);
    return status;
}

int convened_print_asyncapi(const struct config *config)
{
    cvn_text *text = cvn_text_new(MAX_CATALOGUE);
    bool done = text != NULL && catalogue_print(modules, config, text);
    cvn_slice document = done ? cvn_text_slice(text) : cvn_str("");
    done = done && fwrite(document.data, 1, document.size, stdout) == document.size &&
           fflush(stdout) == 0;
    cvn_text_free(text);
    config_free(config);
    return done ? 0 : 1;
}
