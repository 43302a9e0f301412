/*
 * The table itself, a row a parameter in the order in which they are documented, and how names are made of a key and found. Constant;
 * any thread. tools/check-config-docs proves that every field of struct config has its row.
 */
#include "config/config_table.h"
#include "config/config_forms.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#ifndef CONVENE_WEB_DIR
#define CONVENE_WEB_DIR "/usr/share/convene/demo"
#endif

#define AT(field) offsetof(struct config, field)
#define ALL_BITS  UINT32_MAX
#define SECOND    1000u
#define MINUTE    (60 * SECOND)
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define KB        1000ull
#define MB        1000000ull
#define MIB       1048576ull

#define PATH_MAX_BYTES 4095
#define URL_MAX_BYTES  2048
#define NAME_MAX_BYTES 255

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "json", "pretty", NULL};
static const char *const guards[] = {"claims", "members", "webhook", "open", NULL};
static const char *const admin_modes[] = {"development", "production", NULL};

const struct config_section config_table_sections[] = {
    {"", "Mode"},
    {"server", "Listening, connections and transports"},
    {"auth", "Who somebody is: tokens, keys and claims"},
    {"access", "Who may join what"},
    {"limits", "Limits and abuse"},
    {"rate", "Rates of single kinds of events, per user"},
    {"log", "Logs and audit"},
    {"admin", "The admin interface"},
    {"operations", "Operations"},
    {"upstream", "Reverse proxy to an application"},
    {"presence", "Presence"},
};
const size_t config_table_section_count =
    sizeof config_table_sections / sizeof *config_table_sections;

/* Settings of one kind, in few words. */
#define SWITCH(KEY, FIELD, DEFAULT)                                                                \
    .key = (KEY), .type = CONFIG_BOOL, .offset = AT(FIELD), .fallback = (DEFAULT)
#define NUMBER(KEY, FIELD, DEFAULT, MIN, MAX)                                                      \
    .key = (KEY), .type = CONFIG_NUMBER, .offset = AT(FIELD), .fallback = (DEFAULT), .min = (MIN), \
    .max = (MAX), .value = "N"
#define SIZE(KEY, FIELD, DEFAULT, MIN, MAX)                                                        \
    .key = (KEY), .type = CONFIG_SIZE, .offset = AT(FIELD), .fallback = (DEFAULT), .min = (MIN),   \
    .max = (MAX), .value = "SIZE"
#define TIME(KEY, FIELD, DEFAULT, MIN, MAX)                                                        \
    .key = (KEY), .type = CONFIG_MS, .offset = AT(FIELD), .fallback = (DEFAULT), .min = (MIN),     \
    .max = (MAX), .value = "TIME"
#define TEXT(KEY, FIELD, MAX, VALUE)                                                               \
    .key = (KEY), .type = CONFIG_STRING, .offset = AT(FIELD), .min = 1, .max = (MAX),              \
    .value = (VALUE)
#define LIST(KEY, FIELD, MAX, VALUE)                                                               \
    .key = (KEY), .type = CONFIG_LIST, .offset = AT(FIELD), .min = 1, .max = (MAX), .value = (VALUE)
#define WORD(KEY, FIELD, DEFAULT, WORDS)                                                           \
    .key = (KEY), .type = CONFIG_WORD, .offset = AT(FIELD), .fallback = (DEFAULT),                 \
    .words = (WORDS), .value = "WORD"
#define RATE(KEY, FIELD, DEFAULT)                                                                  \
    .key = (KEY), .type = CONFIG_RATE, .offset = AT(FIELD), .fallback = (DEFAULT), .value = "RATE"

const struct config_row config_table_rows[] = {
    {SWITCH("dev", dev, "false"), .flags = CONFIG_NOT_IN_FILE, .flag = "dev",
     .help = "development: loopback only, a random secret, tokens for anybody, the demo page on /; "
             "the file in /etc is not read"},

    /* server */
    {TEXT("server.host", server.host, NAME_MAX_BYTES, "ADDRESS"), .flag = "host",
     .fallback_words = "all addresses; 127.0.0.1 with --dev", .check = config_forms_address,
     .help = "numeric address to listen on"},
    {.key = "server.port",
     .type = CONFIG_PORT,
     .offset = AT(server.port),
     .fallback = "3000",
     .max = 65535,
     .flag = "port",
     .value = "N",
     .help = "TCP port to listen on; 0 takes any free one"},
    {NUMBER("server.workers", server.workers, "0", 0, 128), .flag = "workers",
     .help = "threads that serve connections; 0: as many as there are processors"},
    {TEXT("server.data_dir", server.data_dir, PATH_MAX_BYTES, "DIR"), .flag = "data",
     .flags = CONFIG_NON_EMPTY, .fallback = "data",
     .help = "directory for what the server keeps; made when missing"},
    {TEXT("server.web_dir", server.web_dir, PATH_MAX_BYTES, "DIR"), .flag = "web",
     .flags = CONFIG_NON_EMPTY, .fallback = CONVENE_WEB_DIR, .fallback_words = "as installed",
     .help = "directory of the demo page's files"},
    {TEXT("server.client_dir", server.client_dir, PATH_MAX_BYTES, "DIR"), .flag = "client",
     .fallback_words = "as installed",
     .help = "dist directory of the npm package socket.io-client, for browsers"},
    {TEXT("server.tls_cert", server.tls_cert, PATH_MAX_BYTES, "FILE"), .flag = "tls-cert",
     .flags = CONFIG_RELOADABLE | CONFIG_READABLE,
     .help = "certificate chain (PEM); with the key: serve HTTPS and WSS only. The file is read "
             "again on reload"},
    {TEXT("server.tls_key", server.tls_key, PATH_MAX_BYTES, "FILE"), .flag = "tls-key",
     .flags = CONFIG_RELOADABLE | CONFIG_READABLE, .help = "private key (PEM) of the certificate"},
    {LIST("server.origins", server.origins, NAME_MAX_BYTES, "ORIGIN"), .flag = "origin",
     .flags = CONFIG_RELOADABLE, .check = config_forms_origin,
     .aliases = {{"WEBSOCKET_CORS_ORIGIN", 0}, {"ALLOWED_ORIGINS", 0}},
     .help = "web origins that may connect besides our own, for CORS and WebSocket alike; "
             "https://*.a.example is all of its subdomains, * is any"},
    {LIST("server.trusted_proxies", server.trusted_proxies, NAME_MAX_BYTES, "NETWORK"),
     .flags = CONFIG_RELOADABLE, .check = config_forms_network,
     .help = "networks of reverse proxies, as 10.0.0.0/8, whose X-Forwarded-For is believed"},
    {LIST("server.disabled_namespaces", server.disabled_namespaces, NAME_MAX_BYTES, "NAMESPACE"),
     .check = config_forms_namespace,
     .help = "namespaces that are switched off and answer \"Invalid namespace\""},
    {SWITCH("server.polling", server.polling, "true"),
     .aliases = {{"ENABLE_WEBSOCKET_FALLBACK", 0}},
     .help = "offer long polling to clients that cannot use WebSocket"},
    {TIME("server.polling_interval", server.polling_interval_ms, "5s", 100, HOUR),
     .aliases = {{"POLLING_INTERVAL", CONFIG_UNIT_MS}},
     .help = "how often clients are told to ask when they poll the REST fallback"},
    {SWITCH("server.compression", server.compression, "false"), .flag = "compression",
     .help = "compress WebSocket messages of 1 kB and more (permessage-deflate)"},
    {SIZE("server.compression_threshold", server.compression_threshold, "1KiB", 1, 1ull << 30),
     .help = "messages and answers from this size on are compressed"},
    {SWITCH("server.msgpack", server.msgpack, "false"),
     .help = "speak packets in MessagePack; every client has to use socket.io-msgpack-parser"},
    {TIME("server.ping_interval", server.ping_interval_ms, "25s", 100, HOUR),
     .aliases = {{"WEBSOCKET_PING_INTERVAL", CONFIG_UNIT_MS}},
     .help = "how often clients are pinged"},
    {TIME("server.ping_timeout", server.ping_timeout_ms, "20s", 100, HOUR),
     .aliases = {{"WEBSOCKET_PING_TIMEOUT", CONFIG_UNIT_MS}},
     .help = "how long after a ping a silent client is given up"},
    {TIME("server.connect_timeout", server.connect_timeout_ms, "45s", 100, HOUR),
     .aliases = {{"WEBSOCKET_CONNECTION_TIMEOUT", CONFIG_UNIT_S}},
     .help = "within which a connection has to enter a namespace"},
    {TIME("server.upgrade_timeout", server.upgrade_timeout_ms, "10s", 100, HOUR),
     .help = "within which a change from polling to WebSocket has to be done"},
    {TIME("server.http_head_timeout", server.http_head_timeout_ms, "10s", 100, HOUR),
     .help = "for the whole head of a request, however slowly it comes"},
    {TIME("server.http_body_timeout", server.http_body_timeout_ms, "30s", 100, HOUR),
     .help = "for the whole body of a request that we answer ourselves"},
    {TIME("server.http_idle_timeout", server.http_idle_timeout_ms, "30s", 100, HOUR),
     .help = "between two requests of a connection"},
    {TIME("server.recovery_window", server.recovery_window_ms, "2min", 0, DAY), .flags = CONFIG_OFF,
     .help = "for which a client that lost its connection may come back to its rooms and missed "
             "events; off: never"},
    {SIZE("server.recovery_max_bytes", server.recovery_max_bytes, "16MiB", 64 * KB, 1ull << 40),
     .help = "recent events that each worker keeps for that"},
    {NUMBER("server.recovery_max_clients", server.recovery_max_clients, "10000", 1, 10000000),
     .help = "lost clients that each worker waits for"},
    {SIZE("server.max_payload", server.max_payload, "1MB", 1 * KB, 1ull << 30),
     .help = "one WebSocket message or POST body of a client"},
    {NUMBER("server.max_json_depth", server.max_json_depth, "64", 1, 1024),
     .help = "nesting of JSON that clients send"},
    {NUMBER("server.max_attachments", server.max_attachments, "10", 1, 64),
     .help = "pieces of binary data in one event"},
    {NUMBER("server.max_pending_acks", server.max_pending_acks, "1000", 1, 1000000),
     .help = "acknowledgements that one client may owe in one namespace"},
    {NUMBER("server.max_namespaces_per_connection", server.max_namespaces_per_connection, "64", 1,
            10000),
     .help = "namespaces that one connection may be in at once"},
    {NUMBER("server.max_dynamic_namespaces", server.max_dynamic_namespaces, "10000", 1, 10000000),
     .help = "namespaces made on demand (one a shared document) that exist at once"},
    {SIZE("server.send_high_water", server.send_high_water, "1MiB", 1 * KB, 1ull << 32),
     .help = "queued for one connection, above which volatile events to it are dropped"},
    {SIZE("server.send_max", server.send_max, "16MiB", 2 * KB, 1ull << 34),
     .help = "queued for one connection, above which it is closed as a slow consumer"},
    {TIME("server.shutdown_timeout", server.shutdown_ms, "20s", SECOND, HOUR),
     .help = "within which an orderly end (drain and stop) is over"},
    {TIME("server.drain_time", server.drain_ms, "10s", 0, HOUR),
     .help = "over which the disconnects of a drain are spread"},
    {TIME("server.cleanup_interval", server.cleanup_interval_ms, "60s", SECOND, DAY),
     .aliases = {{"WEBSOCKET_CLEANUP_INTERVAL", CONFIG_UNIT_S}},
     .help = "how often what has expired is swept away"},

    /* auth */
    {SWITCH("auth.required", auth.required, "true"),
     .aliases = {{"WEBSOCKET_ENFORCE_AUTHENTICATION", 0}},
     .help = "only who has a good token comes in"},
    {TEXT("auth.secret", auth.secret, 4096, "TEXT"), .flags = CONFIG_RELOADABLE | CONFIG_SECRET,
     .help = "shared secret of HMAC tokens (HS256, HS384, HS512), 32 bytes and more"},
    {TEXT("auth.secret_file", auth.secret_file, PATH_MAX_BYTES, "FILE"), .flags = CONFIG_RELOADABLE,
     .contents_of = "auth.secret", .help = "file that holds the secret"},
    {LIST("auth.key_files", auth.key_files, PATH_MAX_BYTES, "FILE"),
     .flags = CONFIG_RELOADABLE | CONFIG_READABLE,
     .help = "public keys or certificates (PEM) that sign tokens"},
    {TEXT("auth.jwks_url", auth.jwks_url, URL_MAX_BYTES, "URL"), .check = config_forms_key_url,
     .help = "where the key set (JWKS) of the tokens' issuer is; https, or http on loopback"},
    {TIME("auth.jwks_cache", auth.jwks_cache_ms, "10min", SECOND, DAY),
     .help = "how long a fetched key set is used without asking again"},
    {TIME("auth.jwks_cooldown", auth.jwks_cooldown_ms, "30s", SECOND, HOUR),
     .help = "at least between two fetches because of unknown keys"},
    {LIST("auth.algorithms", auth.algorithms, NAME_MAX_BYTES, "ALG"), .flags = CONFIG_RELOADABLE,
     .fallback_words = "all that fit the keys", .check = config_forms_algorithm,
     .help = "signature algorithms that are taken, as RS256"},
    {TEXT("auth.issuer", auth.issuer, URL_MAX_BYTES, "TEXT"), .flags = CONFIG_RELOADABLE,
     .fallback_words = "any", .help = "what a token's iss has to be"},
    {LIST("auth.audience", auth.audience, URL_MAX_BYTES, "TEXT"), .flags = CONFIG_RELOADABLE,
     .fallback_words = "any", .help = "one of these has to be in a token's aud"},
    {.key = "auth.leeway",
     .type = CONFIG_SECONDS,
     .offset = AT(auth.leeway_s),
     .fallback = "30s",
     .max = 3600,
     .value = "TIME",
     .help = "by which the clocks of issuer and server may differ"},
    {SIZE("auth.max_token_bytes", auth.max_token_bytes, "8KiB", 256, 64 * 1024),
     .help = "longest token that is looked at"},
    {SWITCH("auth.query_token", auth.query_token, "false"),
     .help = "take a token from the query's access_token, too; it ends up in proxies' logs"},
    {TEXT("auth.cookie", auth.cookie, NAME_MAX_BYTES, "NAME"), .check = config_forms_token,
     .help = "cookie to take a token from, too"},
    {LIST("auth.claim_user_id", auth.claim_user_id, NAME_MAX_BYTES, "PATH"),
     .flags = CONFIG_NON_EMPTY, .fallback = "sub, user_id", .check = config_forms_claim,
     .help = "claims with the user's id; the first that is there counts"},
    {LIST("auth.claim_email", auth.claim_email, NAME_MAX_BYTES, "PATH"), .flags = CONFIG_NON_EMPTY,
     .fallback = "email", .check = config_forms_claim, .help = "claims with the e-mail address"},
    {LIST("auth.claim_name", auth.claim_name, NAME_MAX_BYTES, "PATH"), .flags = CONFIG_NON_EMPTY,
     .fallback = "user_metadata.full_name, user_metadata.name, name", .check = config_forms_claim,
     .help = "claims with the name that others see; nothing is decided by it"},
    {LIST("auth.claim_role", auth.claim_role, NAME_MAX_BYTES, "PATH"), .flags = CONFIG_NON_EMPTY,
     .fallback = "app_metadata.role, role", .check = config_forms_claim,
     .help = "claims with the role; never one that users can write, as Supabase's user_metadata"},
    {LIST("auth.claim_org_id", auth.claim_org_id, NAME_MAX_BYTES, "PATH"),
     .flags = CONFIG_NON_EMPTY, .fallback = "app_metadata.org_id, org_id, organization_id",
     .check = config_forms_claim, .help = "claims with the organisation's id"},
    {LIST("auth.claim_division_ids", auth.claim_division_ids, NAME_MAX_BYTES, "PATH"),
     .flags = CONFIG_NON_EMPTY, .fallback = "app_metadata.division_ids, division_ids",
     .check = config_forms_claim, .help = "claims with the ids of divisions"},
    {LIST("auth.claim_courses", auth.claim_courses, NAME_MAX_BYTES, "PATH"),
     .flags = CONFIG_NON_EMPTY, .fallback = "app_metadata.courses, courses",
     .check = config_forms_claim, .help = "claims with the ids of courses"},
    {LIST("auth.claim_scopes", auth.claim_scopes, NAME_MAX_BYTES, "PATH"),
     .flags = CONFIG_NON_EMPTY, .fallback = "app_metadata.scopes, scope, scopes",
     .check = config_forms_claim,
     .help = "claims with scopes: a list, or words with spaces between"},
    {LIST("auth.role_map", auth.role_map, NAME_MAX_BYTES, "NAME=ROLE"), .pair = '=',
     .fallback = "service_role=SERVICE, anon=NONE", .check = config_forms_role_pair,
     .help = "roles of tokens that are called otherwise, as teacher=PROFESSOR; NONE: refused"},
    {TEXT("auth.default_role", auth.default_role, NAME_MAX_BYTES, "ROLE"), .fallback = "STUDENT",
     .check = config_forms_role,
     .help = "role of who has a token that names none, or one that is not known (Supabase's "
             "\"authenticated\"); empty: refused"},
    {TIME("auth.expiring_notice", auth.expiring_notice_ms, "60s", SECOND, DAY),
     .help = "how long before its token expires a client is told with auth_expiring"},
    {LIST("auth.api_keys", auth.api_keys, NAME_MAX_BYTES, "NAME:HASH"), .pair = ':',
     .flags = CONFIG_RELOADABLE | CONFIG_SECRET, .check = config_forms_api_key,
     .help = "keys of back ends: a name and the SHA-256 of the key in hexadecimal"},
    {TEXT("auth.api_keys_file", auth.api_keys_file, PATH_MAX_BYTES, "FILE"),
     .flags = CONFIG_RELOADABLE, .contents_of = "auth.api_keys",
     .help = "file that holds these keys, a line each"},

    /* access */
    {SWITCH("access.validate_scope", access.validate_scope, "true"),
     .aliases = {{"WEBSOCKET_VALIDATE_SCOPE", 0}},
     .help = "keep everybody within their organisation and divisions"},
    {WORD("access.board", access.board, "claims", guards),
     .help = "who may join a board: claims (ids in the token), members (a table), webhook (the "
             "application is asked), open (anybody; for development)"},
    {WORD("access.course", access.course, "claims", guards), .help = "who may join a course"},
    {WORD("access.channel", access.channel, "members", guards), .help = "who may join a channel"},
    {WORD("access.conversation", access.conversation, "members", guards),
     .help = "who may join a conversation"},
    {WORD("access.kb", access.kb, "members", guards), .help = "who may join a knowledge base"},
    {WORD("access.doc", access.doc, "members", guards), .help = "who may open a document"},
    {WORD("access.analysis", access.analysis, "members", guards),
     .help = "who may follow an analysis"},
    {TEXT("access.webhook_url", access.webhook_url, URL_MAX_BYTES, "URL"),
     .check = config_forms_url, .help = "where the application answers whether somebody may join"},
    {TEXT("access.webhook_secret", access.webhook_secret, 4096, "TEXT"), .flags = CONFIG_SECRET,
     .help = "signs what is asked there (HMAC-SHA256)"},
    {TEXT("access.webhook_secret_file", access.webhook_secret_file, PATH_MAX_BYTES, "FILE"),
     .contents_of = "access.webhook_secret", .help = "file that holds that secret"},
    {TIME("access.webhook_timeout", access.webhook_timeout_ms, "3s", 50, MINUTE),
     .help = "without an answer for so long the join is refused as UNAVAILABLE"},
    {TIME("access.webhook_cache", access.webhook_cache_ms, "60s", 0, DAY), .flags = CONFIG_OFF,
     .help = "how long an answer is remembered; off: never"},

    /* limits */
    {NUMBER("limits.max_connections", limits.max_connections, "10000", 1, 10000000),
     .flags = CONFIG_RELOADABLE, .aliases = {{"WEBSOCKET_MAX_CONNECTIONS", 0}},
     .help = "connections of this node; a further one is refused with SERVER_FULL"},
    {RATE("limits.connections_per_ip", limits.connections_per_ip, "100/min"),
     .flags = CONFIG_RELOADABLE,
     .aliases = {{"WEBSOCKET_RATE_LIMIT_CONNECTIONS", CONFIG_UNIT_PER_MINUTE}},
     .help = "attempts to connect from one address"},
    {RATE("limits.events_per_connection", limits.events_per_connection, "1000/min"),
     .flags = CONFIG_RELOADABLE,
     .aliases = {{"WEBSOCKET_RATE_LIMIT_MESSAGES", CONFIG_UNIT_PER_MINUTE}},
     .help = "events of one connection"},
    {RATE("limits.events_per_user", limits.events_per_user, "3000/min"), .flags = CONFIG_RELOADABLE,
     .help = "events of one user over all connections"},
    {RATE("limits.events_per_ip", limits.events_per_ip, "off"), .flags = CONFIG_RELOADABLE,
     .help = "events from one address; mind schools and offices that share one"},
    {NUMBER("limits.max_rooms_per_connection", limits.max_rooms_per_connection, "100", 1, 10000),
     .flags = CONFIG_RELOADABLE, .aliases = {{"WEBSOCKET_MAX_ROOMS_PER_CONNECTION", 0}},
     .help = "rooms that one connection may be in; a further one is refused with TOO_MANY_ROOMS"},
    {NUMBER("limits.max_members_per_room", limits.max_members_per_room, "1000", 1, 10000000),
     .flags = CONFIG_RELOADABLE, .aliases = {{"WEBSOCKET_MAX_CONNECTIONS_PER_ROOM", 0}},
     .help = "connections in one room; a further one is refused with ROOM_FULL"},

    /* rate */
    {.key = "rate",
     .type = CONFIG_CLASSES,
     .offset = AT(limits.classes),
     .flags = CONFIG_RELOADABLE,
     .pair = '=',
     .fallback = "default=300/min, message=10/min, typing=5/s",
     .value = "CLASS=RATE",
     .help =
         "what one user may send of one kind: a map of rate classes; the class default is of "
         "all events that have no rate of their own. Those that are not named keep their default"},

    /* log */
    {WORD("log.level", log.level, "info", log_levels), .flags = CONFIG_RELOADABLE,
     .help = "entries below it are left out"},
    {WORD("log.format", log.format, "auto", log_formats),
     .help = "auto: pretty on a terminal, else JSON"},
    {SWITCH("log.audit", log.audit, "true"), .aliases = {{"WEBSOCKET_AUDIT_EVENTS", 0}},
     .help = "keep the audit log: connects, denials, joins, administration"},

    /* admin */
    {SWITCH("admin.enabled", admin.enabled, "false"),
     .help = "serve the Socket.IO Admin UI at /admin/ and its namespace"},
    {WORD("admin.mode", admin.mode, "production", admin_modes),
     .help = "development tells the UI of every event and socket, production of numbers only"},
    {TEXT("admin.username", admin.username, NAME_MAX_BYTES, "NAME"),
     .fallback_words = "none: an ADMIN's token is asked for",
     .help = "name to log in with at the UI, together with the password"},
    {TEXT("admin.password_hash", admin.password_hash, NAME_MAX_BYTES, "HASH"),
     .flags = CONFIG_SECRET, .check = config_forms_crypt,
     .help = "the password, as crypt(3) and mkpasswd write it"},
    {TEXT("admin.password_hash_file", admin.password_hash_file, PATH_MAX_BYTES, "FILE"),
     .contents_of = "admin.password_hash", .help = "file that holds the password's hash"},
    {TEXT("admin.ui_dir", admin.ui_dir, PATH_MAX_BYTES, "DIR"), .fallback_words = "as installed",
     .help = "directory of the Admin UI's build"},
    {TEXT("admin.server_id", admin.server_id, NAME_MAX_BYTES, "TEXT"),
     .fallback_words = "host name and process id", .help = "what the UI calls this server"},

    /* operations */
    {TEXT("operations.metrics_token", operations.metrics_token, 4096, "TEXT"),
     .flags = CONFIG_SECRET, .check = config_forms_bearer,
     .help = "bearer token that /metrics asks for; without one it answers on loopback only"},
    {TEXT("operations.metrics_token_file", operations.metrics_token_file, PATH_MAX_BYTES, "FILE"),
     .contents_of = "operations.metrics_token", .help = "file that holds that token"},
    {SWITCH("operations.metrics_public", operations.metrics_public, "false"),
     .help = "/metrics for anybody"},

    /* upstream */
    {TEXT("upstream.url", upstream.url, URL_MAX_BYTES, "URL"), .check = config_forms_base_url,
     .fallback_words = "none",
     .help = "application behind us that gets every request we do not answer ourselves"},
    {TIME("upstream.connect_timeout", upstream.connect_timeout_ms, "5s", 10, MINUTE),
     .help = "for a connection to the application"},
    {TIME("upstream.idle_timeout", upstream.idle_timeout_ms, "60s", 100, DAY),
     .help = "after which a silent exchange with the application ends"},
    {NUMBER("upstream.max_connections", upstream.max_connections, "1000", 1, 100000),
     .help = "connections to the application"},
    {SIZE("upstream.max_body", upstream.max_body, "100MB", 0, 1ull << 50), .flags = CONFIG_OFF,
     .help = "one request's body on its way to the application; off: no bound"},

    /* presence */
    {TIME("presence.grace", presence.grace_ms, "5s", 0, HOUR),
     .help = "between the end of a user's last connection and \"offline\""},
    {TIME("presence.coalesce", presence.coalesce_ms, "200ms", 0, MINUTE),
     .help = "within which changes of presence are told in one bundle"},
};
const size_t config_table_count = sizeof config_table_rows / sizeof *config_table_rows;
_Static_assert(sizeof config_table_rows / sizeof *config_table_rows <= CONFIG_TABLE_MAX_ROWS,
               "places are kept in an array of that size");

const struct config_row *config_table_find(const char *key)
{
    for (size_t i = 0; i < config_table_count; i++)
        if (strcmp(config_table_rows[i].key, key) == 0)
            return &config_table_rows[i];
    return NULL;
}

const struct config_section *config_table_find_section(const char *name)
{
    for (size_t i = 0; i < config_table_section_count; i++)
        if (strcmp(config_table_sections[i].name, name) == 0)
            return &config_table_sections[i];
    return NULL;
}

size_t config_table_index(const struct config_row *row)
{
    return (size_t)(row - config_table_rows);
}

const char *config_table_name(const struct config_row *row)
{
    const char *dot = strchr(row->key, '.');
    return dot != NULL ? dot + 1 : row->key;
}

bool config_table_is_in(const struct config_row *row, const struct config_section *section)
{
    size_t length = strcspn(row->key, ".");
    if (row->key[length] == '\0' && row->type != CONFIG_CLASSES)
        return section->name[0] == '\0';
    return strlen(section->name) == length && memcmp(section->name, row->key, length) == 0;
}

void config_table_variable(const struct config_row *row, char ret[CONFIG_NAME_SIZE])
{
    snprintf(ret, CONFIG_NAME_SIZE, "CONVENE_%s", row->key);
    for (char *at = ret; *at != '\0'; at++)
        *at = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
}

void config_table_flag(const struct config_row *row, char ret[CONFIG_NAME_SIZE])
{
    snprintf(ret, CONFIG_NAME_SIZE, "%s", row->key);
    for (char *at = ret; *at != '\0'; at++)
        if (*at == '.' || *at == '_')
            *at = '-';
}
