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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(weighs_file_environment_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
