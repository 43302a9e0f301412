/* Hands settings on to the library. Values that both have differ in their ranges here and there: what is zero in cvn_options means its default, so
 * settings that may be zero are looked at one by one. Main thread. */
#include "convened_options.h"

/* Rooms that the daemon puts a socket into by itself (its user's, organisation's, divisions') are no business of max_rooms_per_connection, which may also
 * grow on reload: the library's own bound is only the last line. */
#define MIN_ROOMS 1000u
#define OWN_ROOMS 512u

static unsigned most_rooms(const struct config *config)
{
    unsigned rooms = config->limits.max_rooms_per_connection + OWN_ROOMS;
    return rooms < MIN_ROOMS ? MIN_ROOMS : rooms;
}

cvn_options convened_options(const struct config *config)
{
    /* The drain has its share of the time; the library's stop gets what is left. */
    uint32_t stop_ms = config->server.shutdown_ms - config->server.drain_ms;
    return (cvn_options){
        .host = config->server.host,
        .port = config->server.port,
        .workers = config->server.workers,
        .tls_cert_file = config->server.tls_cert,
        .tls_key_file = config->server.tls_key,
        .ping_interval_ms = config->server.ping_interval_ms,
        .ping_timeout_ms = config->server.ping_timeout_ms,
        .upgrade_timeout_ms = config->server.upgrade_timeout_ms,
        .connect_timeout_ms = config->server.connect_timeout_ms,
        .max_http_buffer_size = config->server.max_payload,
        .transports = CVN_WEBSOCKET | (config->server.polling ? CVN_POLLING : 0u),
        .websocket_compression = config->server.compression,
        .compression_threshold = config->server.compression_threshold,
        .origins = config->server.origins.count > 0 ? config->server.origins.items : NULL,
        /* Pages of listed origins may send the cookie that we look for a token in. */
        .origin_credentials = config->auth.cookie != NULL,
        .parser = config->server.msgpack ? CVN_PARSER_MSGPACK : CVN_PARSER_JSON,
        .max_json_depth = config->server.max_json_depth,
        .max_attachments = config->server.max_attachments,
        .max_pending_acks = config->server.max_pending_acks,
        .max_sockets_per_connection = config->server.max_namespaces_per_connection,
        .max_dynamic_namespaces = config->server.max_dynamic_namespaces,
        .max_rooms_per_socket = most_rooms(config),
        .recovery_window_ms = config->server.recovery_window_ms,
        .recovery_max_bytes = config->server.recovery_max_bytes,
        .recovery_max_sessions = config->server.recovery_max_clients,
        .http_head_timeout_ms = config->server.http_head_timeout_ms,
        .http_body_timeout_ms = config->server.http_body_timeout_ms,
        .http_idle_timeout_ms = config->server.http_idle_timeout_ms,
        .send_high_water = config->server.send_high_water,
        .send_max = config->server.send_max,
        .client_dir = config->server.client_dir,
        .shutdown_timeout_ms = stop_ms >= 1000 ? stop_ms : 1000,
    };
}
