/*
 * Everything that an operator can set, as one struct of plain values. config_table.c has a row for each: its name in the file, its
 * environment variables, its flag, its range, its default and its words; nothing is read from elsewhere. See docs/configuration.md.
 *
 * A config never changes once it is loaded. A reload (SIGHUP) loads a second one; each part takes over the values that its rows call
 * reloadable, in its own *_reconfigure(const struct config *), on the main thread.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list of strings; `items` ends with NULL, too. */
struct config_list {
    const char *const *items;
    size_t count;
};

/* So many events within so much time: "10/min", "5/s", "1000/min"; all zero: no limit ("off"). */
struct config_rate {
    uint32_t count;
    uint32_t per_ms;
};

/* What a payload's author may send of one kind: rows `rate.<class>` of the file; classes are named by the modules' tables. */
struct config_class_rate {
    const char *name;
    struct config_rate rate;
};

enum config_log_format {
    CONFIG_LOG_AUTO /* pretty on a terminal, else JSON */,
    CONFIG_LOG_JSON,
    CONFIG_LOG_PRETTY
};
enum config_log_level {
    CONFIG_LOG_DEBUG,
    CONFIG_LOG_INFO,
    CONFIG_LOG_WARN,
    CONFIG_LOG_ERROR
}; /* as enum cvn_log_level */
enum config_guard {
    CONFIG_GUARD_CLAIMS,
    CONFIG_GUARD_MEMBERS,
    CONFIG_GUARD_WEBHOOK,
    CONFIG_GUARD_OPEN
};
enum config_admin_mode { CONFIG_ADMIN_DEVELOPMENT, CONFIG_ADMIN_PRODUCTION };

/* Times are milliseconds and sizes bytes unless a name says otherwise. A string that is not set is NULL. (R): reloadable. */
struct config {
    bool dev; /* development mode: loopback only, tokens for anybody, the demo page */

    struct {
        const char *host; /* numeric address; NULL: all, loopback with dev */
        uint16_t port;
        uint32_t workers; /* 0: as many as processors */
        const char *data_dir, *web_dir, *client_dir;
        const char *tls_cert, *tls_key; /* PEM; the files are read again on reload (R) */
        struct config_list origins;     /* (R) CORS and WebSocket Origin, one list */
        struct config_list
            trusted_proxies; /* (R) networks "10.0.0.0/8" whose X-Forwarded-For is believed */
        struct config_list disabled_namespaces;
        bool polling;                   /* long polling offered, ENABLE_WEBSOCKET_FALLBACK */
        uint32_t polling_interval_ms;   /* suggested to clients that poll the REST fallback */
        bool compression;               /* permessage-deflate */
        uint64_t compression_threshold; /* smaller messages go as they are */
        bool msgpack;                   /* packets in MessagePack */
        uint32_t ping_interval_ms, ping_timeout_ms, connect_timeout_ms, upgrade_timeout_ms;
        uint32_t http_head_timeout_ms, http_body_timeout_ms, http_idle_timeout_ms;
        uint32_t recovery_window_ms;   /* connection state recovery; 0: off */
        uint64_t recovery_max_bytes;   /* of each worker */
        uint32_t recovery_max_clients; /* likewise */
        uint64_t max_payload;          /* bytes of one POST body or WebSocket message */
        uint32_t max_json_depth, max_attachments, max_pending_acks;
        uint32_t max_namespaces_per_connection, max_dynamic_namespaces;
        uint64_t send_high_water, send_max; /* queue of one connection */
        uint32_t shutdown_ms;               /* all of the drain and stop */
        uint32_t drain_ms;                  /* over which disconnects are spread */
        uint32_t cleanup_interval_ms;       /* how often what has expired is swept */
    } server;

    struct {
        bool required;      /* WEBSOCKET_ENFORCE_AUTHENTICATION */
        const char *secret; /* (R) HMAC; from a file with auth.secret_file, too */
        /* Where a secret's *_file is set, config_load reads it, and the secret itself is set, too. */
        const char *secret_file;
        struct config_list key_files; /* (R) PEM public keys or certificates */
        const char *jwks_url;
        uint32_t jwks_cache_ms; /* how long a fetched set is used without asking again */
        uint32_t
            jwks_cooldown_ms; /* at least so long between two fetches because of unknown kids */
        struct config_list algorithms; /* (R) allowed; none set: all that fit the keys */
        const char *issuer;            /* (R) */
        struct config_list audience;   /* (R) one of them */
        uint32_t leeway_s;
        uint64_t max_token_bytes;
        bool query_token;   /* access_token in the query is taken, too */
        const char *cookie; /* name of the cookie with a token; NULL: none is looked at */
        /* Paths in the claims, dots between keys; the first that is there counts. */
        struct config_list claim_user_id, claim_email, claim_name, claim_role, claim_org_id,
            claim_division_ids, claim_courses, claim_scopes;
        struct config_list role_map; /* "teacher=PROFESSOR"; "anon=NONE": refused */
        const char *default_role; /* of a token that names none or an unknown one; NULL: refused */
        uint32_t expiring_notice_ms; /* auth_expiring this long before expiry */
        struct config_list api_keys; /* (R) "name:sha256-hex-of-key", for back ends */
        const char *api_keys_file;   /* (R) more of them, a line each */
    } auth;

    struct {
        bool validate_scope; /* WEBSOCKET_VALIDATE_SCOPE: organisation and division guards */
        /* How a join is authorised, per kind of resource. */
        enum config_guard board, course, channel, conversation, kb, doc, analysis;
        const char *webhook_url;
        const char *webhook_secret; /* signs the webhook's body, HMAC-SHA256 */
        const char *webhook_secret_file;
        uint32_t webhook_timeout_ms, webhook_cache_ms;
    } access;

    struct {
        uint32_t max_connections;                 /* (R) of this node */
        struct config_rate connections_per_ip;    /* (R) attempts */
        struct config_rate events_per_connection; /* (R) */
        struct config_rate events_per_user;       /* (R) over all their connections */
        struct config_rate events_per_ip;         /* (R) */
        const struct config_class_rate *classes;  /* (R) rate.<class> */
        size_t class_count;
        uint32_t max_rooms_per_connection; /* (R) */
        uint32_t max_members_per_room;     /* (R) */
    } limits;

    struct {
        enum config_log_level level; /* (R) */
        enum config_log_format format;
        bool audit; /* WEBSOCKET_AUDIT_EVENTS */
    } log;

    struct {
        bool enabled; /* the /admin namespace and the page at /admin/ */
        enum config_admin_mode mode;
        const char *username,
            *password_hash; /* password_hash: as crypt(3) writes it; both NULL: an ADMIN's token is asked for */
        const char *password_hash_file;
        const char *ui_dir;
        const char *server_id; /* NULL: host name and process id */
    } admin;

    struct {
        const char *
            metrics_token; /* bearer token for /metrics; NULL: only from loopback and trusted_proxies' networks not needed: see docs */
        const char *metrics_token_file;
        bool metrics_public; /* /metrics for anyone */
    } operations;

    struct {
        const char *url; /* of the application behind us; NULL: no proxy */
        uint32_t connect_timeout_ms, idle_timeout_ms;
        uint32_t max_connections;
        uint64_t max_body; /* of a request's body, streamed; 0: no bound */
    } upstream;

    struct {
        uint32_t grace_ms;    /* between a user's last socket's end and "offline" */
        uint32_t coalesce_ms; /* presence changes are told in bundles */
    } presence;
};

enum config_result {
    CONFIG_RUN,
    CONFIG_DONE /* --help, --version, --check-config, ... answered */,
    CONFIG_WRONG
};

/* Reads defaults, file, environment and arguments, in that order of weight, and checks everything. Errors name the place (file:line:column,
 * variable or flag), all of them, on standard error. `*ret` is set with CONFIG_RUN only and is to be freed with config_free. Main thread. */
enum config_result config_load(const struct config **ret, int argc, char **argv);

/* Told what a reload found, a line a call. */
typedef void (*config_say_fn)(enum config_log_level level, const char *message, void *data);
/* The same sources again, for SIGHUP; NULL when something is wrong, which `say` is told: the old one stays. Rows that are not
 * reloadable and differ are named to `say` and keep their old value. Main thread. */
const struct config *config_reload(const struct config *old, config_say_fn say, void *data);
/* Wipes and frees all of it. NULL is accepted. */
void config_free(const struct config *config);

#endif
