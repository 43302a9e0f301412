/* convened: reads its command line, puts the server together from the library's public parts, and runs it until SIGTERM. Main thread. */
#include "http/static_files.h"
#include "modules/demo_chat.h"
#include "ops/data_dir.h"
#include "ops/settings.h"
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

struct daemon {
    struct settings settings;
    cvn_server *server;
    struct static_files *files; /* NULL without --dev */
    struct demo_chat *chat;     /* likewise */
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

/* On any worker. */
static void on_http(cvn_http_request *request, void *data)
{
    const struct daemon *daemon = data;
    if (is_path(request, "/health"))
        answer_health(daemon, request);
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
    const char *host =
        daemon->settings.dev || daemon->settings.host == NULL ? "localhost" : daemon->settings.host;
    printf("listening on %s://%s:%u with %u worker%s\n",
           daemon->settings.tls_cert ? "https" : "http", host, cvn_server_port(server),
           cvn_server_workers(server), cvn_server_workers(server) == 1 ? "" : "s");
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

static bool assemble(struct daemon *daemon)
{
    const struct settings *settings = &daemon->settings;
    const cvn_options options = {
        .host = settings->host,
        .port = settings->port,
        .workers = settings->workers,
        .tls_cert_file = settings->tls_cert,
        .tls_key_file = settings->tls_key,
        .origins = settings->origin_count > 0 ? settings->origins : NULL,
        .client_dir = settings->client_dir,
        .websocket_compression = settings->compression,
        .log = on_log,
    };
    daemon->server = cvn_server_new(&options);
    if (daemon->server == NULL)
        return false;
    cvn_on_http(daemon->server, on_http, daemon);
    if (!settings->dev)
        return true;
    daemon->files = static_files_load(settings->web_dir);
    daemon->chat = demo_chat_new(daemon->server);
    return daemon->files != NULL && daemon->chat != NULL;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    int status = 1;
    switch (settings_parse(&daemon.settings, argc, argv)) {
    case SETTINGS_DONE:
        return 0;
    case SETTINGS_WRONG:
        return 2;
    case SETTINGS_RUN:
        break;
    }
    daemon.started = time(NULL);
    raise_descriptor_limit();
    if (!data_dir_open(daemon.settings.data_dir))
        return 1;
    if (assemble(&daemon))
        status = cvn_server_run_then(daemon.server, on_listening, &daemon);
    else
        cvn_server_free(daemon.server);
    demo_chat_free(daemon.chat);
    static_files_free(daemon.files);
    return status;
}
