/* The library gets what settings say, and takes it. */
#include "config_rig.h"
#include "convened_options.h"

static void hands_settings_on(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig,
             ARGS("--dev", "--port=0", "--workers=3", "--origin=https://a.example", "--compression",
                  "--server-compression-threshold=2KiB", "--server-msgpack", "--no-server-polling",
                  "--server-ping-interval=7s", "--server-ping-timeout=8s",
                  "--server-connect-timeout=9s", "--server-upgrade-timeout=4s",
                  "--server-max-payload=12345", "--server-max-json-depth=7",
                  "--server-max-attachments=3", "--server-max-pending-acks=5",
                  "--server-send-high-water=20kB", "--server-send-max=30kB",
                  "--server-recovery-window=off", "--server-shutdown-timeout=9s",
                  "--server-drain-time=4s", "--auth-cookie=sid", "--server-http-head-timeout=3s"),
             NO_ENV);
    rig_assert_good(&rig);
    cvn_options options = convened_options(rig.config);
    assert_string_equal(options.host, "127.0.0.1");
    assert_int_equal(options.workers, 3);
    assert_string_equal(options.origins[0], "https://a.example");
    assert_null(options.origins[1]);
    assert_true(options.origin_credentials);
    assert_true(options.websocket_compression);
    assert_int_equal(options.compression_threshold, 2048);
    assert_int_equal(options.parser, CVN_PARSER_MSGPACK);
    assert_int_equal(options.transports, CVN_WEBSOCKET);
    assert_int_equal(options.ping_interval_ms, 7000);
    assert_int_equal(options.ping_timeout_ms, 8000);
    assert_int_equal(options.connect_timeout_ms, 9000);
    assert_int_equal(options.upgrade_timeout_ms, 4000);
    assert_int_equal(options.http_head_timeout_ms, 3000);
    assert_int_equal(options.max_http_buffer_size, 12345);
    assert_int_equal(options.max_json_depth, 7);
    assert_int_equal(options.max_attachments, 3);
    assert_int_equal(options.max_pending_acks, 5);
    assert_int_equal(options.send_high_water, 20000);
    assert_int_equal(options.send_max, 30000);
    assert_int_equal(options.recovery_window_ms, 0);
    assert_int_equal(options.shutdown_timeout_ms, 5000);
    cvn_server *server = cvn_server_new(&options);
    assert_non_null(server);
    cvn_server_free(server);
    rig_release(&rig);
}

/* Each number at its greatest and its least is one that the library takes. */
static void library_takes_the_ranges(void **state)
{
    (void)state;
    for (int greatest = 0; greatest < 2; greatest++) {
        struct rig rig;
        rig_load(&rig, ARGS("--dev", "--port=0"), NO_ENV);
        for (size_t i = 0; i < config_table_count; i++) {
            const struct config_row *row = &config_table_rows[i];
            char *place = (char *)&rig.draft->config + row->offset;
            uint64_t number = greatest ? row->max : row->min;
            uint32_t small = (uint32_t)number;
            if (strncmp(row->key, "server.", 7) != 0)
                continue;
            if (row->type == CONFIG_SIZE)
                memcpy(place, &number, sizeof number);
            else if (row->type == CONFIG_NUMBER || row->type == CONFIG_MS)
                memcpy(place, &small, sizeof small);
        }
        cvn_options options = convened_options(rig.config);
        cvn_server *server = cvn_server_new(&options);
        assert_non_null(server);
        cvn_server_free(server);
        rig_release(&rig);
    }
}

static void defaults_are_taken(void **state)
{
    struct rig rig;
    (void)state;
    rig_load(&rig, ARGS("--dev", "--server-drain-time=20s"), NO_ENV);
    rig_assert_good(&rig);
    cvn_options options = convened_options(rig.config);
    assert_null(options.origins);
    assert_false(options.origin_credentials);
    assert_int_equal(options.transports, CVN_WEBSOCKET | CVN_POLLING);
    assert_int_equal(options.parser, CVN_PARSER_JSON);
    assert_int_equal(options.shutdown_timeout_ms, 1000);
    assert_true(options.max_rooms_per_socket >= 612);
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_settings_on),
        cmocka_unit_test(library_takes_the_ranges),
        cmocka_unit_test(defaults_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
