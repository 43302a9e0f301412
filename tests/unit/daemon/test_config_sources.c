/* The environment, the arguments and the files of secrets. */
#include "config_rig.h"
#include <sys/stat.h>

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* --- Environment --- */

static void names_of_old_work(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev"),
             ENV("WEBSOCKET_MAX_CONNECTIONS=20000", "WEBSOCKET_CONNECTION_TIMEOUT=30",
                 "WEBSOCKET_RATE_LIMIT_CONNECTIONS=50", "WEBSOCKET_RATE_LIMIT_MESSAGES=500",
                 "WEBSOCKET_ENFORCE_AUTHENTICATION=false", "WEBSOCKET_VALIDATE_SCOPE=false",
                 "WEBSOCKET_AUDIT_EVENTS=false", "WEBSOCKET_MAX_ROOMS_PER_CONNECTION=7",
                 "WEBSOCKET_MAX_CONNECTIONS_PER_ROOM=77", "WEBSOCKET_CLEANUP_INTERVAL=120",
                 "WEBSOCKET_CORS_ORIGIN=https://a.example,https://b.example",
                 "WEBSOCKET_PING_TIMEOUT=60000", "WEBSOCKET_PING_INTERVAL=30000",
                 "ENABLE_WEBSOCKET_FALLBACK=false", "POLLING_INTERVAL=2500"));
    rig_assert_good(&rig);
    const struct config *config = rig.config;
    assert_int_equal(config->limits.max_connections, 20000);
    assert_int_equal(config->server.connect_timeout_ms, 30000);
    assert_int_equal(config->limits.connections_per_ip.count, 50);
    assert_int_equal(config->limits.connections_per_ip.per_ms, 60000);
    assert_int_equal(config->limits.events_per_connection.count, 500);
    assert_int_equal(config->limits.events_per_connection.per_ms, 60000);
    assert_false(config->auth.required);
    assert_false(config->access.validate_scope);
    assert_false(config->log.audit);
    assert_int_equal(config->limits.max_rooms_per_connection, 7);
    assert_int_equal(config->limits.max_members_per_room, 77);
    assert_int_equal(config->server.cleanup_interval_ms, 120000);
    assert_int_equal(config->server.origins.count, 2);
    assert_string_equal(config->server.origins.items[1], "https://b.example");
    assert_int_equal(config->server.ping_timeout_ms, 60000);
    assert_int_equal(config->server.ping_interval_ms, 30000);
    assert_false(config->server.polling);
    assert_int_equal(config->server.polling_interval_ms, 2500);
    assert_int_equal(rig.report.count, 0);
    rig_release(&rig);
}

static void units_outweigh_those_of_names(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev"),
             ENV("WEBSOCKET_PING_TIMEOUT=6s", "WEBSOCKET_CONNECTION_TIMEOUT=1500ms",
                 "WEBSOCKET_RATE_LIMIT_MESSAGES=20/s", "WEBSOCKET_RATE_LIMIT_CONNECTIONS=off"));
    rig_assert_good(&rig);
    assert_int_equal(rig.config->server.ping_timeout_ms, 6000);
    assert_int_equal(rig.config->server.connect_timeout_ms, 1500);
    assert_int_equal(rig.config->limits.events_per_connection.per_ms, 1000);
    assert_int_equal(rig.config->limits.connections_per_ip.per_ms, 0);
    rig_release(&rig);
}

static void first_name_counts(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev"), ENV("ALLOWED_ORIGINS=https://old.example"));
    rig_assert_good(&rig);
    assert_string_equal(rig.config->server.origins.items[0], "https://old.example");
    rig_release(&rig);
    rig_load(&rig, ARGS("--dev"),
             ENV("ALLOWED_ORIGINS=https://old.example",
                 "WEBSOCKET_CORS_ORIGIN=https://newer.example",
                 "CONVENE_SERVER_ORIGINS=https://new.example"));
    rig_assert_good(&rig);
    assert_int_equal(rig.config->server.origins.count, 1);
    assert_string_equal(rig.config->server.origins.items[0], "https://new.example");
    assert_true(
        rig_says(&rig, "ALLOWED_ORIGINS: is not looked at, because CONVENE_SERVER_ORIGINS is set"));
    assert_int_equal(rig.report.count, 2);
    rig_release(&rig);
}

/* Each row's own variable reaches its own field, and no other. */
static void every_row_has_a_variable_and_a_flag(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_table_count; i++) {
        const struct config_row *row = &config_table_rows[i];
        char variable[CONFIG_NAME_SIZE], setting[200], flag[CONFIG_NAME_SIZE], argument[200];
        config_table_variable(row, variable);
        config_table_flag(row, flag);
        snprintf(setting, sizeof setting, "%s=\x01", variable);
        snprintf(argument, sizeof argument, "--%s=\x01", flag);
        struct rig rig;
        rig_load(&rig, ARGS("--dev", argument), ENV(setting));
        char place[CONFIG_NAME_SIZE + 8];
        snprintf(place, sizeof place, "%s: ", variable);
        rig_assert_error(&rig, place);
        snprintf(place, sizeof place, "--%s: ", flag);
        rig_assert_error(&rig, place);
        rig_release(&rig);
    }
}

static void empty_variables_are_none(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev"),
             ENV("CONVENE_SERVER_PORT=", "WEBSOCKET_MAX_CONNECTIONS=", "CONVENE_CONFIG=",
                 "CONVENE_RATE_MESSAGE=", "CONVENE_AUTH_SECRET_FILE=", "CONVENE_", "=x",
                 "nonsense"));
    rig_assert_good(&rig);
    assert_int_equal(rig.config->server.port, 3000);
    rig_release(&rig);
}

static void rates_have_variables(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev", "--rate", "typing=9/s", "--rate=cursor=8/s"),
             ENV("CONVENE_RATE=typing=1/s,other=2/s", "CONVENE_RATE_MESSAGE=3/s"));
    rig_assert_good(&rig);
    assert_int_equal(rig.config->limits.class_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct config_class_rate *class = &rig.config->limits.classes[i];
        unsigned wanted = strcmp(class->name, "default") == 0   ? 300
                          : strcmp(class->name, "typing") == 0  ? 9
                          : strcmp(class->name, "other") == 0   ? 2
                          : strcmp(class->name, "message") == 0 ? 3
                                                                : 8;
        assert_int_equal(class->rate.count, wanted);
    }
    rig_release(&rig);
    rig_load(&rig, ARGS("--dev"), ENV("CONVENE_RATE_MESSAGE=often", "CONVENE_RATE_=1/s"));
    rig_assert_error(&rig, "CONVENE_RATE_MESSAGE: message: \"often\" is not a rate");
    rig_assert_error(&rig, "CONVENE_RATE_: ");
    rig_release(&rig);
}

static void names_wrong_variables(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev"),
             ENV("WEBSOCKET_PING_TIMEOUT=soon", "CONVENE_SERVER_PORT=x", "CONVENE_SERVER_PROT=1",
                 "CONVENE_ZEBRA=1", "CONVENE_BUILD_DIR=/x"));
    rig_assert_error(&rig, "WEBSOCKET_PING_TIMEOUT: \"soon\" is not a time");
    rig_assert_error(&rig, "CONVENE_SERVER_PORT: \"x\" is not a number of 0 to 65535");
    assert_int_equal(rig.report.errors, 2);
    assert_true(
        rig_says(&rig, "CONVENE_SERVER_PROT: means nothing; did you mean CONVENE_SERVER_PORT?"));
    assert_true(rig_says(&rig, "CONVENE_ZEBRA: means nothing"));
    assert_false(rig_says(&rig, "BUILD_DIR"));
    rig_release(&rig);
}

/* --- Arguments --- */

static void old_flags_work(void **state)
{
    struct rig rig;
    (void)state;
    char *pem = rig_file("x", 1);
    rig_load(&rig,
             ARGS("--dev", "--port", "4000", "--host=127.0.0.2", "--workers", "3", "--data", "/d",
                  "--web", "/w", "--client", "/c", "--origin", "https://a.example", "--origin",
                  "https://b.example,https://c.example", "--tls-cert", pem, "--tls-key", pem,
                  "--compression"),
             NO_ENV);
    rig_assert_good(&rig);
    const struct config *config = rig.config;
    assert_true(config->dev && config->server.compression);
    assert_int_equal(config->server.port, 4000);
    assert_string_equal(config->server.host, "127.0.0.2");
    assert_int_equal(config->server.workers, 3);
    assert_string_equal(config->server.data_dir, "/d");
    assert_string_equal(config->server.web_dir, "/w");
    assert_string_equal(config->server.client_dir, "/c");
    assert_int_equal(config->server.origins.count, 3);
    assert_string_equal(config->server.origins.items[2], "https://c.example");
    assert_string_equal(config->server.tls_key, pem);
    rig_release(&rig);
    rig_drop(pem);
}

static void switches_have_two_faces(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig,
             ARGS("--dev", "--no-server-polling", "--server-msgpack", "--compression=true",
                  "--server-compression=false", "--no-log-audit", "--admin-enabled=yes"),
             NO_ENV);
    rig_assert_good(&rig);
    assert_false(rig.config->server.polling);
    assert_true(rig.config->server.msgpack);
    assert_false(rig.config->server.compression); /* the last one counts */
    assert_false(rig.config->log.audit);
    assert_true(rig.config->admin.enabled);
    rig_release(&rig);
    rig_load(&rig, ARGS("--dev", "--no-dev", "--no-auth-required"), NO_ENV);
    rig_assert_good(&rig);
    assert_false(rig.config->dev);
    assert_null(rig.config->server.host);
    rig_release(&rig);
}

static void a_flags_list_replaces_that_of_the_environment(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev", "--origin", "https://flag.example"),
             ENV("ALLOWED_ORIGINS=https://a.example,https://b.example"));
    rig_assert_good(&rig);
    assert_int_equal(rig.config->server.origins.count, 1);
    assert_string_equal(rig.config->server.origins.items[0], "https://flag.example");
    rig_release(&rig);
    rig_load(&rig, ARGS("--dev", "--origin="), ENV("ALLOWED_ORIGINS=https://a.example"));
    rig_assert_good(&rig);
    assert_int_equal(rig.config->server.origins.count, 0);
    rig_release(&rig);
}

static void names_wrong_flags(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig,
             ARGS("--dev", "--prot", "5", "--server-ping-timout=1s", "--server-pin=2s", "stray",
                  "-p", "--no-port", "--check-config=1", "--no-dev=2", "--workers", "-1", "--zebra",
                  "--", "--port", "--host"),
             NO_ENV);
    rig_assert_error(&rig, "--prot: is no option; did you mean --port?");
    rig_assert_error(&rig, "5: is no option");
    rig_assert_error(&rig,
                     "--server-ping-timout: is no option; did you mean --server-ping-timeout?");
    rig_assert_error(&rig, "--server-pin: is no option");
    rig_assert_error(&rig, "stray: is no option");
    rig_assert_error(&rig, "-p: is no option");
    rig_assert_error(&rig, "--no-port: is no option");
    rig_assert_error(&rig, "--check-config: takes no value");
    rig_assert_error(&rig, "--no-dev: takes no value");
    rig_assert_error(&rig, "--workers: \"-1\" is not a number");
    rig_assert_error(&rig, "--zebra: is no option; see convened --help");
    rig_assert_error(&rig, "--port: is no option");
    rig_release(&rig);
    rig_load(&rig, ARGS("--dev", "--port"), NO_ENV);
    rig_assert_error(&rig, "--port: needs a value");
    rig_release(&rig);
}

/* What is unambiguous today need not be tomorrow. */
static void refuses_abbreviations(void **state)
{
    static const char *const short_ones[] = {"--por=1", "--compress", "--server-m=1", "--check",
                                             "--vers"};
    (void)state;
    for (size_t i = 0; i < sizeof short_ones / sizeof *short_ones; i++) {
        struct rig rig;
        rig_load(&rig, ARGS("--dev", short_ones[i]), NO_ENV);
        rig_assert_error(&rig, "is no option");
        assert_int_equal(rig.draft->action, CONFIG_ACTION_RUN);
        rig_release(&rig);
    }
    struct rig rig;
    rig_load(&rig, ARGS("--dev", "--workers", "--port=1"), NO_ENV);
    rig_assert_error(&rig, "--workers: \"--port=1\" is not a number");
    rig_release(&rig);
}

static void warns_of_secrets_that_all_can_see(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev", "--auth-secret", "0123456789abcdef0123456789abcdef"), NO_ENV);
    rig_assert_good(&rig);
    assert_true(rig_says(&rig, "--auth-secret: everybody on this machine can read it"));
    assert_false(rig_says(&rig, "0123456789"));
    rig_release(&rig);
}

/* --- Secrets --- */

static void reads_secrets_from_files(void **state)
{
    struct rig rig;
    char setting[200];
    (void)state;
    char *secret = rig_file("0123456789abcdef0123456789abcdef,x\r\n\n", 37);
    char *keys = rig_file("lms:" HASH "\n# none\n", 4 + 64 + 1);
    snprintf(setting, sizeof setting, "CONVENE_AUTH_SECRET_FILE=%s", secret);
    rig_load(&rig, ARGS("--auth-api-keys-file", keys), ENV(setting));
    rig_assert_good(&rig);
    assert_string_equal(rig.config->auth.secret, "0123456789abcdef0123456789abcdef,x");
    assert_int_equal(rig.config->auth.api_keys.count, 1);
    assert_string_equal(rig.config->auth.api_keys.items[0], "lms:" HASH);
    assert_int_equal(rig.report.count, 0);
    rig_release(&rig);

    rig_load(&rig, ARGS("--auth-secret", "another secret of thirty-two bytes"), ENV(setting));
    rig_assert_good(&rig);
    assert_string_equal(rig.config->auth.secret, "another secret of thirty-two bytes");
    rig_release(&rig);

    rig_load(&rig, ARGS("--auth-secret-file", secret), ENV("CONVENE_AUTH_SECRET=short"));
    rig_assert_good(&rig);
    assert_string_equal(rig.config->auth.secret, "0123456789abcdef0123456789abcdef,x");
    rig_release(&rig);

    rig_load(&rig, NO_ARGS, ENV(setting, "CONVENE_AUTH_SECRET=x"));
    rig_assert_error(&rig,
                     "CONVENE_AUTH_SECRET_FILE: auth.secret and auth.secret_file are both set");
    rig_release(&rig);

    chmod(secret, 0644);
    rig_load(&rig, NO_ARGS, ENV(setting));
    rig_assert_good(&rig);
    assert_true(rig_says(&rig, "is readable by everybody"));
    rig_release(&rig);
    rig_drop(secret);
    rig_drop(keys);
}

static void refuse_secret(const char *text, size_t size, const char *reason)
{
    struct rig rig;
    char *path = rig_file(text, size);
    rig_load(&rig, ARGS("--dev", "--auth-secret-file", path), NO_ENV);
    rig_assert_error(&rig, reason);
    rig_release(&rig);
    rig_drop(path);
}

static void refuses_wrong_secret_files(void **state)
{
    static char large[300 * 1024];
    struct rig rig;
    (void)state;
    refuse_secret("", 0, "is empty");
    refuse_secret("\n\r\n", 3, "is empty");
    refuse_secret("abc\0def", 7, "holds a NUL byte");
    refuse_secret("\0", 1, "holds a NUL byte");
    refuse_secret("abc\ndef", 7, "holds a control character");
    memset(large, 'x', sizeof large);
    refuse_secret(large, sizeof large, "is too large");
    refuse_secret(large, 5000, "longer than 4096 bytes");
    rig_load(&rig, ARGS("--dev", "--auth-secret-file", "/no/such"), NO_ENV);
    rig_assert_error(&rig, "--auth-secret-file: /no/such: No such file");
    rig_release(&rig);
    rig_load(&rig, ARGS("--auth-secret-file", "/no/such"), NO_ENV);
    assert_false(rig_says(&rig, "there is no key"));
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_old_work),
        cmocka_unit_test(units_outweigh_those_of_names),
        cmocka_unit_test(first_name_counts),
        cmocka_unit_test(every_row_has_a_variable_and_a_flag),
        cmocka_unit_test(empty_variables_are_none),
        cmocka_unit_test(rates_have_variables),
        cmocka_unit_test(names_wrong_variables),
        cmocka_unit_test(old_flags_work),
        cmocka_unit_test(switches_have_two_faces),
        cmocka_unit_test(a_flags_list_replaces_that_of_the_environment),
        cmocka_unit_test(names_wrong_flags),
        cmocka_unit_test(refuses_abbreviations),
        cmocka_unit_test(warns_of_secrets_that_all_can_see),
        cmocka_unit_test(reads_secrets_from_files),
        cmocka_unit_test(refuses_wrong_secret_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
