/* The options of a server: defaults, ranges, and copies that the server owns. Runs once, before any thread. */
#include "convene_server.h"
#include "base/log.h"
#include "base/mem.h"
#include <unistd.h>

#ifndef CONVENE_CLIENT_DIR
#define CONVENE_CLIENT_DIR ""
#endif

#define MAX_ORIGINS 1024

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value != 0 ? value : fallback;
}

static bool refuse(const char *what)
{
    log_write(LOG_ERROR, "option %s", what);
    return false;
}

/* NULL stays NULL; false when memory has run out. */
static bool copy_string(char **ret, const char *text)
{
    if (text == NULL)
        return true;
    *ret = mem_dup(text, strlen(text) + 1);
    return *ret != NULL;
}

enum cvn_error server_copy_origins(const char *const *origins, char ***ret, size_t *ret_count)
{
    size_t count = 0;
    while (origins != NULL && origins[count] != NULL)
        if (++count > MAX_ORIGINS)
            return CVN_ERR_LIMIT;
    char **copy = mem_zalloc((count + 1) * sizeof *copy);
    bool is_copied = copy != NULL;
    for (size_t i = 0; i < count && is_copied; i++)
        is_copied = copy_string(&copy[i], origins[i]);
    if (!is_copied) {
        server_free_origins(copy);
        return CVN_ERR_MEMORY;
    }
    *ret = copy;
    *ret_count = count;
    return CVN_OK;
}

void server_free_origins(char **origins)
{
    for (size_t i = 0; origins != NULL && origins[i] != NULL; i++)
        mem_free(origins[i]);
    mem_free(origins);
}

static bool copy_origins(struct server_settings *ret, const char *const *origins)
{
    switch (server_copy_origins(origins, &ret->origins, &ret->eio.origins.allowed_count)) {
    case CVN_OK:
        ret->eio.origins.allowed = (const char *const *)ret->origins;
        return true;
    case CVN_ERR_LIMIT:
        return refuse("origins: more than 1024");
    default:
        return refuse("origins: out of memory");
    }
}

static bool copy_path(struct server_settings *ret, const char *path)
{
    size_t size = path != NULL ? strlen(path) : 0;
    while (size > 1 && path[size - 1] == '/')
        size--; /* "/socket.io/" means "/socket.io" */
    if (path != NULL && (path[0] != '/' || size < 2))
        return refuse("path: must begin with a slash and name something");
    if (!copy_string(&ret->path, path != NULL ? path : "/socket.io"))
        return refuse("path: out of memory");
    if (path != NULL)
        ret->path[size] = '\0';
    ret->eio.path = cvn_str(ret->path);
    return true;
}

static bool check_ranges(const cvn_options *options)
{
    if (options->workers > WORKER_MAX)
        return refuse("workers: at most 128");
    if (options->max_attachments > SIO_MAX_ATTACHMENTS)
        return refuse("max_attachments: at most 64");
    if (options->max_json_depth > JSON_MAX_DEPTH)
        return refuse("max_json_depth: at most 1024");
    if (options->transports > (CVN_POLLING | CVN_WEBSOCKET))
        return refuse("transports: unknown bit");
    if (options->parser != CVN_PARSER_JSON && options->parser != CVN_PARSER_MSGPACK)
        return refuse("parser: unknown");
    if ((options->tls_cert_file == NULL) != (options->tls_key_file == NULL))
        return refuse("tls_cert_file and tls_key_file: only one is given");
    if (options->send_high_water != 0 && options->send_max != 0 &&
        options->send_high_water > options->send_max)
        return refuse("send_high_water: above send_max");
    if (options->send_low_water != 0 && options->send_high_water != 0 &&
        options->send_low_water > options->send_high_water)
        return refuse("send_low_water: above send_high_water");
    if (options->backlog < 0)
        return refuse("backlog: negative");
    return true;
}

static unsigned processor_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1)
        return 1;
    return count > WORKER_MAX ? WORKER_MAX : (unsigned)count;
}

static void set_engine(struct eio_options *ret, const cvn_options *options)
{
    eio_options_default(ret);
    ret->add_trailing_slash = !options->no_trailing_slash;
    ret->ping_interval_ms = or_default(options->ping_interval_ms, ret->ping_interval_ms);
    ret->ping_timeout_ms = or_default(options->ping_timeout_ms, ret->ping_timeout_ms);
    ret->upgrade_timeout_ms = or_default(options->upgrade_timeout_ms, ret->upgrade_timeout_ms);
    ret->allow_timeout_ms = or_default(options->allow_timeout_ms, ret->allow_timeout_ms);
    ret->max_payload = or_default(options->max_http_buffer_size, ret->max_payload);
    ret->transports = (unsigned)or_default(options->transports, CVN_POLLING | CVN_WEBSOCKET);
    ret->allow_upgrades = !options->no_upgrades;
    ret->send_high_water = or_default(options->send_high_water, 1 << 20);
    ret->send_max = or_default(options->send_max, 16 << 20);
    if (ret->send_high_water > ret->send_max)
        ret->send_high_water = ret->send_max;
    ret->send_low_water = or_default(options->send_low_water, ret->send_high_water / 2);
    if (ret->send_low_water > ret->send_high_water)
        ret->send_low_water = ret->send_high_water;
    ret->max_sessions = options->max_connections_per_worker;
    ret->websocket_compression = options->websocket_compression;
    ret->http_compression = !options->no_http_compression;
    ret->compression_threshold =
        or_default(options->compression_threshold, ret->compression_threshold);
    ret->origins.credentials = options->origin_credentials;
}

static size_t product(size_t a, size_t b)
{
    return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

static void set_socketio(struct sio_options *ret, const cvn_options *options, size_t max_payload)
{
    unsigned attachments = (unsigned)or_default(options->max_attachments, 10);
    unsigned depth = (unsigned)or_default(options->max_json_depth, 512);
    *ret = (struct sio_options){
        .packets = {.max_attachments = attachments, .max_depth = depth},
        .emits = {.max_attachments = SIO_MAX_ATTACHMENTS,
                  .max_depth = JSON_MAX_DEPTH,
                  .parser = options->parser},
        .connect_timeout_ms = or_default(options->connect_timeout_ms, 45000),
        .max_sockets_per_connection = (unsigned)or_default(options->max_sockets_per_connection, 64),
        .max_rooms_per_socket = (unsigned)or_default(options->max_rooms_per_socket, 1000),
        .max_pending_acks = (unsigned)or_default(options->max_pending_acks, 1000),
        .max_dynamic_namespaces = (unsigned)or_default(options->max_dynamic_namespaces, 10000),
        .max_attachment_bytes = product(attachments, max_payload),
    };
    ret->recovery.window_ms = options->recovery_window_ms;
    ret->recovery.max_bytes = or_default(options->recovery_max_bytes, 16 << 20);
    ret->recovery.max_sessions = (size_t)or_default(options->recovery_max_sessions, 10000);
    ret->recovery.skip_middlewares = options->recovery_skip_middlewares;
}

bool server_settings_init(struct server_settings *ret, const cvn_options *options)
{
    memset(ret, 0, sizeof *ret);
    ret->log = options->log; /* first: it hears of the others */
    ret->hook_data = options->hook_data;
    if (!check_ranges(options))
        return false;
    ret->port = options->port;
    ret->backlog = options->backlog != 0 ? options->backlog : 511;
    ret->workers = options->workers != 0 ? options->workers : processor_count();
    ret->shutdown_timeout_ms = or_default(options->shutdown_timeout_ms, 10000);
    set_engine(&ret->eio, options);
    set_socketio(&ret->sio, options, ret->eio.max_payload);
    ret->sio.recovery.heartbeat_ms = ret->eio.ping_interval_ms + ret->eio.ping_timeout_ms;
    ret->conn = (struct conn_limits){.high_water = ret->eio.send_high_water,
                                     .max = ret->eio.send_max,
                                     .low_water = ret->eio.send_low_water};
    ret->http = (struct http_limits){options->http_head_timeout_ms, options->http_body_timeout_ms,
                                     options->http_idle_timeout_ms};
    ret->allow_request = options->allow_request;
    ret->on_headers = options->on_headers;
    ret->on_connection_error = options->on_connection_error;
    if (!copy_origins(ret, options->origins) || !copy_path(ret, options->path) ||
        !server_settings_set_cors(ret, options) ||
        !server_settings_set_cookie(ret, options->cookie))
        return false;
    const char *client_dir = options->client_dir != NULL ? options->client_dir : CONVENE_CLIENT_DIR;
    if (!copy_string(&ret->host, options->host) ||
        !copy_string(&ret->tls_cert_file, options->tls_cert_file) ||
        !copy_string(&ret->tls_key_file, options->tls_key_file) ||
        !copy_string(&ret->client_dir, options->hide_client ? NULL : client_dir))
        return refuse("strings: out of memory");
    return true;
}

void server_settings_release(struct server_settings *settings)
{
    server_free_origins(settings->origins);
    mem_free(settings->host);
    mem_free(settings->tls_cert_file);
    mem_free(settings->tls_key_file);
    mem_free(settings->path);
    mem_free(settings->client_dir);
    mem_free(settings->cookie_name);
    mem_free(settings->cookie_attributes);
    mem_free(settings->origin_methods);
    mem_free(settings->origin_headers);
    mem_free(settings->origin_exposed);
}
