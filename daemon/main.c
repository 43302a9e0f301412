/* convened: reads its command line, puts the server together from the library's public parts, and runs it until SIGTERM. Main thread. */
#include "admin/admin.h"
#include "config/config.h"
#include "convened_options.h"
#include "access/access_proxies.h"
#include "http/proxy.h"
#include "http/static_files.h"
#include "modules/demo_chat.h"
#include "ops/data_dir.h"
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

struct daemon {
    const struct config *config;
    cvn_server *server;
    struct static_files *files; /* NULL without --dev */
    struct demo_chat *chat;     /* likewise */
    struct proxy *proxy;        /* NULL without upstream.url */
    struct auth *auth;          /* NULL unless admins come by token */
    struct admin *admin;        /* NULL unless it is enabled */
    time_t started;
};

static bool is_path(cvn_http_request *request, const char *path)
{
    cvn_slice found = cvn_http_path(request);
    return found.size == strlen(path) && memcmp(found.data, path, found.size) == 0;
}

static void answer_health(const struct daemon *daemon, cvn_http_request *request)
{
    cvn_stats stats;
    char json[256];
    cvn_server_stats(daemon->server, &stats);
    int size = snprintf(
        json, sizeof json,
        "{\"status\":\"ok\",\"uptime_s\":%lld,\"workers\":%u,\"connections\":%zu,\"polling\":%zu,"
        "\"sockets\":%zu}\n",
        (long long)(time(NULL) - daemon->started), cvn_server_workers(daemon->server),
        stats.connections, stats.polling, stats.sockets);
    cvn_http_add_header(request, "Cache-Control", cvn_str("no-store"));
    cvn_http_respond(request, 200, "application/json", (cvn_slice){json, (size_t)size});
}

/* Before a request's body has come, on any worker. */
static bool on_http_head(cvn_http_request *request, void *data)
{
    const struct daemon *daemon = data;
    if (daemon->proxy == NULL || is_path(request, "/health"))
        return false;
    return (daemon->admin != NULL && admin_serve(request, daemon->admin)) ||
           (daemon->files != NULL && static_files_serve(daemon->files, request)) ||
           proxy_serve(request, daemon->proxy);
}

/* On any worker. */
static void on_http(cvn_http_request *request, void *data)
{
    const struct daemon *daemon = data;
    if (is_path(request, "/health"))
        answer_health(daemon, request);
    else if (daemon->admin != NULL && admin_serve(request, daemon->admin))
        return;
    else if (daemon->files == NULL || !static_files_serve(daemon->files, request))
        cvn_http_respond(request, 404, "text/plain; charset=utf-8", cvn_str("Not Found\n"));
}

static void on_log(enum cvn_log_level level, const char *message, void *data)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    (void)data;
    if (level >= CVN_LOG_INFO)
        fprintf(stderr, "convened: %s: %s\n", names[level], message);
}

static void on_listening(cvn_server *server, void *data)
{
    const struct daemon *daemon = data;
    const struct config *config = daemon->config;
    const char *host =
        config->dev || config->server.host == NULL ? "localhost" : config->server.host;
    printf("listening on %s://%s:%u with %u worker%s\n", config->server.tls_cert ? "https" : "http",
           host, cvn_server_port(server), cvn_server_workers(server),
           cvn_server_workers(server) == 1 ? "" : "s");
    fflush(stdout);
}

/* Every connection is a descriptor: as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool add_admin(struct daemon *daemon)
{
    if (daemon->config->admin.username == NULL) {
        daemon->auth = auth_new(daemon->config, daemon->server, NULL);
        if (daemon->auth == NULL)
            return false;
    }
    daemon->admin = admin_new(daemon->server, daemon->config, daemon->auth, NULL);
    return daemon->admin != NULL;
}

static bool assemble(struct daemon *daemon)
{
    cvn_options options = convened_options(daemon->config);
    options.log = on_log;
    daemon->server = cvn_server_new(&options);
    if (daemon->server == NULL)
        return false;
    cvn_on_http(daemon->server, on_http, daemon);
    cvn_on_http_head(daemon->server, on_http_head, daemon);
    if (!access_proxies_reconfigure(daemon->config))
        return false;
    if (daemon->config->upstream.url != NULL) {
        daemon->proxy = proxy_new(daemon->config, daemon->server, NULL);
        if (daemon->proxy == NULL)
            return false;
    }
    if (daemon->config->admin.enabled && !add_admin(daemon))
        return false;
    if (!daemon->config->dev)
        return true;
    daemon->files = static_files_load(daemon->config->server.web_dir);
    daemon->chat = demo_chat_new(daemon->server);
    return daemon->files != NULL && daemon->chat != NULL;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    int status = 1;
    switch (config_load(&daemon.config, argc, argv)) {
    case CONFIG_DONE:
        return 0;
    case CONFIG_WRONG:
        return 2;
    case CONFIG_RUN:
        break;
    }
    daemon.started = time(NULL);
    raise_descriptor_limit();
    if (data_dir_open(daemon.config->server.data_dir)) {
        if (assemble(&daemon))
            status = cvn_server_run_then(daemon.server, on_listening, &daemon);
        else
            cvn_server_free(daemon.server);
        admin_free(daemon.admin);
        auth_free(daemon.auth);
        demo_chat_free(daemon.chat);
        static_files_free(daemon.files);
        proxy_free(daemon.proxy);
        access_proxies_release();
    }
    config_free(daemon.config);
    return status;
}
