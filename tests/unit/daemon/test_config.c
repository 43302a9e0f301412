/* Settings as a whole: defaults, the weight of the sources, reload. */
#include "config_rig.h"

static void has_defaults(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev"), NO_ENV);
    rig_assert_good(&rig);
    const struct config *config = rig.config;
    assert_true(config->dev);
    assert_string_equal(config->server.host, "127.0.0.1");
    assert_int_equal(config->server.port, 3000);
    assert_int_equal(config->limits.max_connections, 10000);
    assert_int_equal(config->limits.connections_per_ip.count, 100);
    assert_int_equal(config->limits.connections_per_ip.per_ms, 60000);
    assert_int_equal(config->limits.events_per_connection.count, 1000);
    assert_int_equal(config->limits.max_rooms_per_connection, 100);
    assert_int_equal(config->limits.max_members_per_room, 1000);
    assert_true(config->auth.required);
    assert_int_equal(config->auth.claim_role.count, 2);
    assert_string_equal(config->auth.claim_role.items[0], "app_metadata.role");
    assert_null(config->auth.claim_role.items[2]);
    assert_int_equal(config->limits.class_count, 3);
    rig_release(&rig);
}

static void weighs_file_environment_flag(void **state)
{
    static const char text[] = "server: {port: 1, workers: 1, ping_timeout: 1s}\n";
    char *path = rig_file(text, strlen(text));
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev", "--config", path, "--port=3"),
             ENV("CONVENE_SERVER_PORT=2", "CONVENE_SERVER_WORKERS=2"));
    rig_assert_good(&rig);
    assert_int_equal(rig.config->server.port, 3);
    assert_int_equal(rig.config->server.workers, 2);
    assert_int_equal(rig.config->server.ping_timeout_ms, 1000);
    assert_int_equal(rig.config->server.ping_interval_ms, 25000);
    rig_release(&rig);
    rig_drop(path);
}

static void chooses_the_file(void **state)
{
    char *first = rig_file("server: {port: 1}\n", 18),
         *second = rig_file("server: {port: 2}\n", 18);
    char setting[200];
    struct rig rig;
    (void)state;
    snprintf(setting, sizeof setting, "CONVENE_CONFIG=%s", second);
    rig_load_default(&rig, ARGS("--no-auth-required"), NO_ENV, first);
    assert_int_equal(rig.config->server.port, 1);
    assert_string_equal(rig.draft->file, first);
    rig_release(&rig);
    rig_load_default(&rig, ARGS("--no-auth-required"), ENV(setting), first);
    assert_int_equal(rig.config->server.port, 2);
    rig_release(&rig);
    rig_load_default(&rig, ARGS("--config", first), ENV(setting), NULL);
    assert_int_equal(rig.config->server.port, 1);
    rig_release(&rig);
    /* Development does not begin with what production has, unless it is told to. */
    rig_load_default(&rig, ARGS("--dev"), NO_ENV, first);
    assert_int_equal(rig.config->server.port, 3000);
    assert_null(rig.draft->file);
    rig_release(&rig);
    rig_load_default(&rig, NO_ARGS, ENV("CONVENE_DEV=yes"), first);
    assert_int_equal(rig.config->server.port, 3000);
    rig_release(&rig);
    rig_load_default(&rig, ARGS("--no-dev", "--no-auth-required"), ENV("CONVENE_DEV=yes"), first);
    assert_int_equal(rig.config->server.port, 1);
    rig_release(&rig);
    rig_load_default(&rig, ARGS("--dev"), ENV(setting), first);
    assert_int_equal(rig.config->server.port, 2);
    rig_release(&rig);
    rig_load_default(&rig, ARGS("--no-auth-required"), NO_ENV, "/no/such/default.yaml");
    rig_assert_good(&rig);
    rig_release(&rig);
    rig_drop(first);
    rig_drop(second);
}

static void words_come_before_errors(void **state)
{
    static const struct {
        const char *flag;
        enum config_action action;
    } cases[] = {{"--help", CONFIG_ACTION_HELP},
                 {"--version", CONFIG_ACTION_VERSION},
                 {"--print-man", CONFIG_ACTION_MAN},
                 {"--print-config-docs", CONFIG_ACTION_DOCS}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig rig;
        rig_load(&rig, ARGS("--port=x", cases[i].flag, "--check-config"), NO_ENV);
        assert_int_equal(rig.draft->action, cases[i].action);
        rig_release(&rig);
    }
}

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(out);
    fclose(out);
    return text;
}

/* No setting is left out of any text. */
static void words_name_every_setting(void **state)
{
    (void)state;
    char *help = printed(config_help_print), *docs = printed(config_docs_print),
         *man = printed(config_man_print);
    for (size_t i = 0; i < config_table_count; i++) {
        const struct config_row *row = &config_table_rows[i];
        char flag[CONFIG_NAME_SIZE], text[CONFIG_NAME_SIZE * 3], escaped[CONFIG_NAME_SIZE * 2];
        config_table_flag(row, flag);
        snprintf(text, sizeof text, "%s%s", row->type == CONFIG_BOOL ? "" : "--",
                 row->flag != NULL ? row->flag : flag);
        assert_non_null(strstr(help, text));
        snprintf(text, sizeof text, "\n| `%s` | ", config_table_name(row));
        assert_non_null(strstr(docs, text));
        size_t used = 0;
        for (const char *at = flag; *at != '\0'; at++)
            used += (size_t)snprintf(escaped + used, sizeof escaped - used,
                                     *at == '-' ? "\\-" : "%c", *at);
        assert_non_null(strstr(man, escaped));
        for (size_t j = 0; j < 2 && row->aliases[j].name != NULL; j++) {
            assert_non_null(strstr(docs, row->aliases[j].name));
            assert_non_null(strstr(man, row->aliases[j].name));
        }
        assert_true(row->help[0] != '\0' && row->help[strlen(row->help) - 1] != '.');
    }
    for (const char *line = help; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 100);
    free(help);
    free(docs);
    free(man);
}

static char *print_effective(const struct rig *rig)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    config_help_print_effective(out, rig->draft);
    fclose(out);
    return text;
}

static void what_is_in_force_reads_back(void **state)
{
    static const char file[] = "auth: {default_role: null, role_map: [], issuer: 'a \"b\" \\ : # "
                               "c', audience: ['x, y', '~', 'null', '*']}\n"
                               "server: {origins: ['*', 'https://*.a.example'], data_dir: 'C:'}\n";
    struct rig rig, again;
    (void)state;
    char *path = rig_file(file, sizeof file - 1);
    rig_load(&rig, ARGS("--dev", "--config", path, "--rate", "typing=off"),
             ENV("WEBSOCKET_PING_TIMEOUT=1500", "CONVENE_AUTH_SECRET=hunter2"));
    rig_assert_good(&rig);
    char *text = print_effective(&rig), place[300];
    snprintf(place, sizeof place, "  # %s:1:50\n", path);
    assert_non_null(strstr(text, place));
    assert_non_null(strstr(text, "  ping_timeout: 1500ms  # environment WEBSOCKET_PING_TIMEOUT\n"));
    assert_non_null(strstr(text, "  ping_interval: 25s  # default\n"));
    assert_non_null(
        strstr(text, "  # secret: is set, but not shown  # environment CONVENE_AUTH_SECRET\n"));
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "# dev: true  # --dev\n"));
    assert_non_null(
        strstr(text, "rate: {default: 300/min, message: 10/min, typing: off}  # --rate\n"));
    rig_load_text(&again, text);
    rig_assert_good(&again);
    for (size_t i = 0; i < config_table_count; i++)
        if (!(config_table_rows[i].flags & CONFIG_SECRET) &&
            !config_values_equal(&config_table_rows[i], rig.config, again.config))
            fail_msg("%s differs", config_table_rows[i].key);
    free(text);
    rig_release(&rig);
    rig_release(&again);
    rig_drop(path);
}

/* --- The process's own sources, and reload --- */

struct said {
    char text[4096];
    unsigned errors, warnings;
};

static void hear(enum config_log_level level, const char *message, void *data)
{
    struct said *said = data;
    size_t used = strlen(said->text);
    snprintf(said->text + used, sizeof said->text - used, "%s\n", message);
    if (level == CONFIG_LOG_ERROR)
        said->errors++;
    else
        said->warnings++;
}

static void rewrite(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

#define BEFORE                                                                                     \
    "server: {port: 1000, data_dir: /a}\nauth: {secret: 0123456789abcdef0123456789abcdef}\n"       \
    "limits: {max_connections: 5}\nrate: {message: 1/s}\naccess: {webhook_secret: hunter1}\n"

static const struct config *load(const char *path)
{
    const struct config *config = NULL;
    char *argv[] = {(char *)(size_t) "convened", (char *)(size_t) "--config", (char *)(size_t)path,
                    (char *)(size_t) "--workers=2", NULL};
    assert_int_equal(config_load(&config, 4, argv), CONFIG_RUN);
    memset(argv, 0, sizeof argv); /* they are remembered by their texts */
    return config;
}

static void reload_takes_over_what_it_may(void **state)
{
    struct said said = {0};
    (void)state;
    char *path = rig_file("", 0);
    rewrite(path, BEFORE);
    const struct config *old = load(path);
    rewrite(path,
            "server: {port: 1001, data_dir: /b, origins: [https://a.example]}\n"
            "auth: {secret: fedcba9876543210fedcba9876543210, claim_role: [r]}\n"
            "limits: {max_connections: 6}\nrate: {message: 2/s, extra: 3/s}\nlog: {level: debug}\n"
            "access: {webhook_secret: hunter2}\n");
    const struct config *new = config_reload(old, hear, &said);
    assert_non_null(new);
    assert_int_equal(new->limits.max_connections, 6);
    assert_int_equal(new->server.origins.count, 1);
    assert_string_equal(new->auth.secret, "fedcba9876543210fedcba9876543210");
    assert_int_equal(new->log.level, CONFIG_LOG_DEBUG);
    assert_int_equal(new->limits.class_count, 4);
    assert_int_equal(new->server.workers, 2);
    /* These wait. */
    assert_int_equal(new->server.port, 1000);
    assert_string_equal(new->server.data_dir, "/a");
    assert_int_equal(new->auth.claim_role.count, 2);
    assert_string_equal(new->access.webhook_secret, "hunter1");
    assert_int_equal(said.errors, 0);
    assert_int_equal(said.warnings, 4);
    assert_non_null(
        strstr(said.text, "server.port: 1001 is taken over at the next start only, 1000 stays\n"));
    assert_non_null(strstr(said.text, "auth.claim_role: [r] is taken over"));
    assert_non_null(
        strstr(said.text, "access.webhook_secret: is taken over at the next start only\n"));
    assert_null(strstr(said.text, "hunter"));
    config_free(old); /* what was kept is the new one's own */
    assert_string_equal(new->server.data_dir, "/a");
    assert_string_equal(new->auth.claim_role.items[1], "role");

    memset(&said, 0, sizeof said);
    rewrite(path, BEFORE);
    const struct config *third = config_reload(new, hear, &said);
    assert_non_null(third);
    assert_string_equal(said.text, "");
    assert_int_equal(third->limits.max_connections, 5);
    config_free(new);
    config_free(third);
    rig_drop(path);
}

static void reload_refuses_what_is_wrong(void **state)
{
    static const char *const wrong[][2] = {
        {"server: {port: x}\n", "server.port: \"x\""},
        {"limits: {max_connections: 5\n", "did not find"},
        {"auth: {secret: short}\n", "auth.secret has 5 bytes"},
        {"{}\n", "there is no key"},
    };
    (void)state;
    char *path = rig_file("", 0);
    rewrite(path, BEFORE);
    const struct config *old = load(path);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct said said = {0};
        rewrite(path, wrong[i][0]);
        const struct config *new = config_reload(old, hear, &said);
        assert_null(new);
        assert_true(said.errors > 0);
        if (strstr(said.text, wrong[i][1]) == NULL)
            fail_msg("%s", said.text);
    }
    struct said said = {0};
    rig_drop(path);
    assert_null(config_reload(old, hear, &said));
    assert_int_equal(said.errors > 0, true);
    config_free(old);
}

/* What is new has to fit what is kept. */
static void reload_checks_new_with_old(void **state)
{
    struct said said = {0};
    (void)state;
    char *path = rig_file("", 0);
    rewrite(path, "auth: {secret: 0123456789abcdef0123456789abcdef, cookie: sid}\n"
                  "server: {origins: [https://a.example]}\n");
    const struct config *old = load(path);
    rewrite(path, "auth: {secret: 0123456789abcdef0123456789abcdef}\nserver: {origins: ['*']}\n");
    assert_null(config_reload(old, hear, &said));
    assert_non_null(strstr(said.text, "may not be * while auth.cookie is set"));
    assert_non_null(strstr(said.text, "(until the next start)"));
    config_free(old);
    rig_drop(path);
}

static void load_answers_and_refuses(void **state)
{
    const struct config *config = NULL;
    char *wrong[] = {(char *)(size_t) "convened", (char *)(size_t) "--port=x", NULL};
    char *check[] = {(char *)(size_t) "convened", (char *)(size_t) "--dev",
                     (char *)(size_t) "--check-config", NULL};
    (void)state;
    assert_int_equal(config_load(&config, 2, wrong), CONFIG_WRONG);
    assert_int_equal(config_load(&config, 3, check), CONFIG_DONE);
    assert_null(config);
    config_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(weighs_file_environment_flag),
        cmocka_unit_test(chooses_the_file),
        cmocka_unit_test(words_come_before_errors),
        cmocka_unit_test(words_name_every_setting),
        cmocka_unit_test(what_is_in_force_reads_back),
        cmocka_unit_test(reload_takes_over_what_it_may),
        cmocka_unit_test(reload_refuses_what_is_wrong),
        cmocka_unit_test(reload_checks_new_with_old),
        cmocka_unit_test(load_answers_and_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
