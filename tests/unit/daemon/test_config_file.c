/* The YAML file: what it may hold, and that each mistake is named with its place. */
#include "config_rig.h"

static void takes_every_kind_of_value(void **state)
{
    struct rig rig;
    (void)state;
    rig_load_text(&rig, "# all of it\n"
                        "server:\n"
                        "  port: 8080\n"
                        "  workers: \"2\"\n"
                        "  data_dir: '/var/lib/x y'\n"
                        "  origins: [https://a.example, \"https://*.b.example\"]\n"
                        "  trusted_proxies:\n"
                        "    - 10.0.0.0/8\n"
                        "    - fd00::/8\n"
                        "  disabled_namespaces: /yjs, /demo\n"
                        "  polling: no\n"
                        "  ping_interval: 1.5s\n"
                        "  max_payload: 2MiB\n"
                        "auth:\n"
                        "  role_map: {teacher: PROFESSOR, boss: ADMIN}\n"
                        "  default_role: null\n"
                        "  audience: ~\n"
                        "  issuer:\n"
                        "limits:\n"
                        "  events_per_connection: off\n"
                        "rate: {message: 20/min, cursor: 30/s}\n"
                        "log:\n"
                        "admin: ~\n");
    rig_assert_good(&rig);
    const struct config *config = rig.config;
    assert_int_equal(config->server.port, 8080);
    assert_int_equal(config->server.workers, 2);
    assert_string_equal(config->server.data_dir, "/var/lib/x y");
    assert_int_equal(config->server.origins.count, 2);
    assert_string_equal(config->server.origins.items[1], "https://*.b.example");
    assert_int_equal(config->server.trusted_proxies.count, 2);
    assert_int_equal(config->server.disabled_namespaces.count, 2);
    assert_string_equal(config->server.disabled_namespaces.items[1], "/demo");
    assert_false(config->server.polling);
    assert_int_equal(config->server.ping_interval_ms, 1500);
    assert_int_equal(config->server.max_payload, 2 << 20);
    assert_int_equal(config->auth.role_map.count, 2);
    assert_string_equal(config->auth.role_map.items[0], "teacher=PROFESSOR");
    assert_null(config->auth.default_role);
    assert_null(config->auth.issuer);
    assert_int_equal(config->limits.events_per_connection.per_ms, 0);
    assert_int_equal(config->limits.class_count, 4);
    assert_int_equal(config->limits.classes[1].rate.count, 20);
    assert_string_equal(config->limits.classes[3].name, "cursor");
    rig_release(&rig);
}

static void takes_files_without_settings(void **state)
{
    static const char *const texts[] = {"",     "\n\n", "# nothing\n", "---\n",
                                        "{}\n", "~\n",  "---\n...\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct rig rig;
        rig_load_text(&rig, texts[i]);
        rig_assert_good(&rig);
        assert_int_equal(rig.config->server.port, 3000);
        rig_release(&rig);
    }
}

static void refuses(const char *text, const char *reason)
{
    struct rig rig;
    rig_load_text(&rig, text);
    rig_assert_error(&rig, reason);
    rig_release(&rig);
}

static void names_unknown_keys(void **state)
{
    (void)state;
    refuses("server:\n  prot: 1\n", ":2:3: server.prot is not known; did you mean port?");
    refuses("serve:\n  port: 1\n", ":1:1: serve is not known; did you mean server?");
    refuses("server: {ping-timeout: 1s}\n",
            ":1:10: server.ping-timeout is not known; did you mean ping_timeout?");
    refuses("server:\n  max_connections: 1\n", "did you mean limits.max_connections?");
    refuses("port: 1\n", "port is not known; did you mean server.port?");
    refuses("zebra: {a: [1, {b: c}]}\n", ":1:1: zebra is not known");
    refuses("server:\n  zebra: {a: [1, {b: c}]}\n  port: x\n",
            "server.port: \"x\" is not a number");
    refuses("server.port: 1\n", ":1:1: server.port is not known");
    refuses("<<: {port: 1}\n", "is not known");
    refuses("dev: true\n", "dev is no setting of the file: use --dev");
    refuses("? [a, b]\n: c\nserver: {port: x}\n", ":1:3: a name is wanted here");
    refuses("? [a, b]\n: c\nserver: {port: x}\n", "server.port");
    refuses("\"a\\0b\": 1\n", "NUL");
    refuses("server: {\"po\\x1b[31mrt\": 1}\n", "server.po?[31mrt");
}

static void names_what_is_there_twice(void **state)
{
    (void)state;
    refuses("server:\n  port: 1\n  port: 2\n", ":3:3: server.port is there twice");
    refuses("server: {port: 1}\nserver: {host: ::1}\n", ":2:1: server is there twice");
    refuses("rate: {message: 1/s, message: 2/s}\n", "is there twice");
    refuses("auth: {role_map: {a: ADMIN, a: STUDENT}}\n", "is there twice");
}

static void names_wrong_types(void **state)
{
    (void)state;
    refuses("- a\n", "the file is a map of sections");
    refuses("text\n", "the file is a map of sections");
    refuses("server: 5\n", ":1:9: a section is a map of settings");
    refuses("server: [port]\n", "a section is a map of settings");
    refuses("server: {port: [1]}\n", "server.port: is one value, not a list");
    refuses("server: {port: {a: 1}}\n", "server.port: is one value, not a map");
    refuses("server: {origins: {a: b}}\n", "server.origins: is a list, not a map");
    refuses("server: {origins: [[a]]}\n", "only single values may be in this list");
    refuses("server: {origins: [{a: b}, https://x]}\n", "only single values");
    refuses("server: {origins: [\"\"]}\n", "empty entry");
    refuses("server: {port: }\n", "server.port: has no value");
    refuses("server: {port: ~}\n", "server.port: has no value");
    refuses("server: {polling: maybe}\n", "neither true nor false");
    refuses("rate: [message]\n", "rate: is a map of rates, not a list");
    refuses("rate: {message: [1]}\n", "only single values may be in this map");
    refuses("rate: {[a]: 1/s}\n", "a name is wanted here");
    refuses("rate: {a=b: 1/s}\n", "sign between name and value");
    refuses("server: {host: \"a\\0b\"}\n", "holds a NUL byte");
    refuses("auth: {claim_role: []}\n", "auth.claim_role: may not be empty");
    refuses("auth: {secret: [a]}\n", "auth.secret: is one value");
}

static void refuses_what_yaml_has_beyond(void **state)
{
    (void)state;
    refuses("server: &a {port: 1}\n", ":1:9: anchors and aliases");
    refuses("server: &a {port: 1}\nlog: *a\n", "anchors and aliases");
    refuses("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n", "anchors and aliases");
    refuses("server: {port: !!int 1}\n", "tags are not taken");
    refuses("server: !x {port: 1}\n", "tags are not taken");
    refuses("server: {port: 1}\n---\nserver: {port: 2}\n", "one document only");
}

static void places_broken_yaml(void **state)
{
    (void)state;
    refuses("server: {port: 1\n", ":2:1: ");
    refuses("server:\n\tport: 1\n", ":2:1: ");
    refuses("server: \"x\n", "quoted scalar");
    refuses("a: b: c\n", ":1:5: ");
    refuses("server: \xff\xfe\n", "byte 8: ");
    refuses("\x01\n", "byte 0: ");
    refuses("[", "did not find expected node content");
    refuses("server: {port: *}\n", ":1:17");
}

static void says_all_mistakes_at_once(void **state)
{
    struct rig rig;
    (void)state;
    rig_load_text(&rig,
                  "server:\n  port: x\n  prot: 1\n  host: here\nlog: {level: loud}\nzebra: 1\n");
    rig_assert_error(&rig, ":2:9: server.port");
    rig_assert_error(&rig, ":3:3: server.prot");
    rig_assert_error(&rig, ":4:9: server.host");
    rig_assert_error(&rig, ":5:14: log.level");
    rig_assert_error(&rig, ":6:1: zebra");
    assert_int_equal(rig.report.errors, 5);
    rig_release(&rig);
}

static void bounds_what_it_says(void **state)
{
    static char text[64 * 1024];
    size_t used = 0;
    struct rig rig;
    (void)state;
    while (used + 64 < sizeof text)
        used += (size_t)snprintf(text + used, sizeof text - used, "zebra%zu: 1\n", used);
    rig_load_text(&rig, text);
    assert_int_equal(rig.report.count, CONFIG_REPORT_LINES);
    assert_true(rig.report.left_out > 1000);
    assert_int_equal(rig.report.errors, rig.report.count + rig.report.left_out);
    rig_release(&rig);
}

static void load_path(const char *path, const char *reason)
{
    struct rig rig;
    rig_load(&rig, ARGS("--dev", "--config", path), NO_ENV);
    rig_assert_error(&rig, reason);
    rig_release(&rig);
}

static void says_why_a_file_cannot_be_read(void **state)
{
    static char spaces[CONFIG_FILE_MAX_BYTES + 1];
    (void)state;
    load_path("/no/such/file.yaml", "/no/such/file.yaml: cannot be read: No such file");
    load_path("/tmp", "/tmp: cannot be read: Is a directory");
    load_path("/dev/zero", "/dev/zero: cannot be read: is too large");
    load_path("", "cannot be read");
    memset(spaces, '\n', sizeof spaces);
    char *path = rig_file(spaces, sizeof spaces);
    load_path(path, "is too large");
    rig_drop(path);
    path = rig_file(spaces, sizeof spaces - 1);
    struct rig rig;
    rig_load(&rig, ARGS("--dev", "--config", path), NO_ENV);
    rig_assert_good(&rig);
    rig_release(&rig);
    rig_drop(path);
}

/* Whatever the depth or the number of entries, reading ends soon and says no. */
static void survives_hostile_files(void **state)
{
    static char text[200 * 1024];
    (void)state;
    memset(text, '[', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    refuses(text, ":1:");
    memcpy(text, "server: ", 8);
    refuses(text, ":1:");
    memset(text, '{', sizeof text - 1);
    refuses(text, ":1:");
    memset(text, '-', sizeof text - 1);
    refuses(text, "map of sections");
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "a,", 2);
    memcpy(text, "auth: {audience: [", 18);
    memcpy(text + sizeof text - 4, "]}\n", 4);
    refuses(text, "too many entries");
    memset(text, 'k', sizeof text - 1);
    memcpy(text + sizeof text - 4, ": 1", 4);
    refuses(text, "");
    memset(text, '"', 1);
    refuses(text, ":1:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_kind_of_value),
        cmocka_unit_test(takes_files_without_settings),
        cmocka_unit_test(names_unknown_keys),
        cmocka_unit_test(names_what_is_there_twice),
        cmocka_unit_test(names_wrong_types),
        cmocka_unit_test(refuses_what_yaml_has_beyond),
        cmocka_unit_test(places_broken_yaml),
        cmocka_unit_test(says_all_mistakes_at_once),
        cmocka_unit_test(bounds_what_it_says),
        cmocka_unit_test(says_why_a_file_cannot_be_read),
        cmocka_unit_test(survives_hostile_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
