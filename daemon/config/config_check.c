/*
 * What no row can say alone: settings that need or exclude each other, files that have to be there, and what would be a mistake in the open
 * internet. An error keeps the server from starting; a warning is for what may be meant. Main thread.
 */
#include "config/config_forms.h"
#include "config/config_sources.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MIN_SECRET    32 /* bytes: RFC 7518 3.2, as many as HS256 has */
#define MIN_TOKEN     16
#define MAX_HEARTBEAT 3600000u /* milliseconds */

/* Where the value of `key` came from; its key when that is the default. */
static const char *place_of(const struct config_draft *draft, const char *key)
{
    const char *text = config_draft_place(draft, config_table_find(key))->text;
    return text != NULL ? text : key;
}

/* The one of two settings that was set, or set with more weight. */
static const char *place_of_either(const struct config_draft *draft, const char *a, const char *b)
{
    const struct config_place *first = config_draft_place(draft, config_table_find(a));
    const struct config_place *second = config_draft_place(draft, config_table_find(b));
    return place_of(draft, second->source > first->source ? b : a);
}

void config_check_complete(struct config_draft *draft)
{
    if (draft->config.dev && draft->config.server.host == NULL)
        draft->config.server.host = "127.0.0.1";
}

static void check_mode(const struct config_draft *draft, struct config_report *report)
{
    const struct config *config = &draft->config;
    if (config->dev && config->server.host != NULL &&
        !config_forms_is_loopback(config->server.host))
        config_report_error(report, place_of(draft, "server.host"),
                            "--dev listens on loopback only, not on %s", config->server.host);
}

static void check_server(const struct config_draft *draft, struct config_report *report)
{
    const struct config *config = &draft->config;
    if ((config->server.tls_cert == NULL) != (config->server.tls_key == NULL))
        config_report_error(report, place_of_either(draft, "server.tls_cert", "server.tls_key"),
                            "--tls-cert and --tls-key (server.tls_cert and server.tls_key) go "
                            "together");
    if (config->server.send_high_water >= config->server.send_max)
        config_report_error(report,
                            place_of_either(draft, "server.send_max", "server.send_high_water"),
                            "server.send_high_water has to be less than server.send_max");
    if (config->server.max_payload >= config->server.send_max)
        config_report_error(report, place_of_either(draft, "server.send_max", "server.max_payload"),
                            "server.max_payload has to be less than server.send_max: nobody could "
                            "be sent the largest message");
    if (config->server.drain_ms > config->server.shutdown_ms)
        config_report_error(report,
                            place_of_either(draft, "server.shutdown_timeout", "server.drain_time"),
                            "server.drain_time may not exceed server.shutdown_timeout");
    if (config->server.ping_interval_ms + config->server.ping_timeout_ms > MAX_HEARTBEAT)
        config_report_error(
            report, place_of_either(draft, "server.ping_interval", "server.ping_timeout"),
            "server.ping_interval and server.ping_timeout may not exceed 1h together");
    for (size_t i = 0; config->auth.cookie != NULL && i < config->server.origins.count; i++)
        if (strcmp(config->server.origins.items[i], "*") == 0)
            config_report_error(report, place_of_either(draft, "server.origins", "auth.cookie"),
                                "server.origins may not be * while auth.cookie is set: every page "
                                "could act for whoever visits it");
}

static bool has_key(const struct config *config)
{
    return config->auth.secret != NULL || config->auth.key_files.count > 0 ||
           config->auth.jwks_url != NULL;
}

static void check_auth(const struct config_draft *draft, struct config_report *report)
{
    const struct config *config = &draft->config;
    const char *secret = config->auth.secret;
    if (secret != NULL && strlen(secret) < MIN_SECRET && !config->dev)
        config_report_error(report, place_of(draft, "auth.secret"),
                            "auth.secret has %zu bytes; it needs %d and more (openssl rand -hex 32 "
                            "makes a good one)",
                            strlen(secret), MIN_SECRET);
    /* Where a key was given and refused, that is what has to be put right. */
    if (config->auth.required && !config->dev && !has_key(config) && report->errors == 0)
        config_report_error(
            report, NULL,
            "there is no key to check tokens with: set auth.secret_file "
            "(CONVENE_AUTH_SECRET_FILE, --auth-secret-file), auth.key_files or auth.jwks_url; or "
            "auth.required to false (--no-auth-required) to let everybody in; or try --dev");
    if (!config->auth.required && !config->dev)
        config_report_warning(report, place_of(draft, "auth.required"),
                              "auth.required is false: everybody comes in without a token");
}

static void check_access(const struct config_draft *draft, struct config_report *report)
{
    static const char *const keys[] = {"access.board",        "access.course", "access.channel",
                                       "access.conversation", "access.kb",     "access.doc",
                                       "access.analysis"};
    const struct config *config = &draft->config;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        enum config_guard guard;
        memcpy(&guard, (const char *)config + config_table_find(keys[i])->offset, sizeof guard);
        if (guard == CONFIG_GUARD_WEBHOOK && config->access.webhook_url == NULL)
            config_report_error(report, place_of(draft, keys[i]),
                                "%s is webhook, but access.webhook_url is not set", keys[i]);
        if (guard == CONFIG_GUARD_OPEN && !config->dev)
            config_report_warning(report, place_of(draft, keys[i]),
                                  "%s is open: everybody who comes in may join", keys[i]);
    }
    if (config->access.webhook_url != NULL && config->access.webhook_secret == NULL)
        config_report_warning(report, place_of(draft, "access.webhook_url"),
                              "without access.webhook_secret the application cannot tell who asks");
}

static void check_operators(const struct config_draft *draft, struct config_report *report)
{
    const struct config *config = &draft->config;
    const char *token = config->operations.metrics_token;
    if ((config->admin.username == NULL) != (config->admin.password_hash == NULL))
        config_report_error(report, place_of_either(draft, "admin.username", "admin.password_hash"),
                            "admin.username and admin.password_hash go together");
    if (token != NULL && strlen(token) < MIN_TOKEN)
        config_report_error(report, place_of(draft, "operations.metrics_token"),
                            "operations.metrics_token has %zu bytes; it needs %d and more",
                            strlen(token), MIN_TOKEN);
    if (token != NULL && config->operations.metrics_public)
        config_report_error(
            report, place_of_either(draft, "operations.metrics_public", "operations.metrics_token"),
            "operations.metrics_public and operations.metrics_token exclude each other");
}

static void check_readable(const struct config_draft *draft, const struct config_row *row,
                           const char *path, struct config_report *report)
{
    if (path != NULL && access(path, R_OK) != 0)
        config_report_error(report, place_of(draft, row->key), "%s: %s: %s", row->key, path,
                            strerror(errno));
}

static void check_files(const struct config_draft *draft, struct config_report *report)
{
    for (size_t i = 0; i < config_table_count; i++) {
        const struct config_row *row = &config_table_rows[i];
        const char *at = (const char *)&draft->config + row->offset;
        if (!(row->flags & CONFIG_READABLE))
            continue;
        if (row->type == CONFIG_STRING) {
            const char *path;
            memcpy(&path, at, sizeof path);
            check_readable(draft, row, path, report);
            continue;
        }
        struct config_list list;
        memcpy(&list, at, sizeof list);
        for (size_t j = 0; j < list.count; j++)
            check_readable(draft, row, list.items[j], report);
    }
}

void config_check(const struct config_draft *draft, struct config_report *report)
{
    check_mode(draft, report);
    check_server(draft, report);
    check_access(draft, report);
    check_operators(draft, report);
    check_files(draft, report);
    check_auth(draft, report);
}
