/*
 * Options: what a zero means, what is refused and with which words, and that the server keeps copies. The words go to the log that the
 * same options name.
 */
#include "client.h"
#include "convene_server.h"
#include "base/mem.h"

static char said[512];
static unsigned words;

static void on_log(enum cvn_log_level level, const char *message, void *hook_data)
{
    assert_ptr_equal(hook_data, said);
    snprintf(said, sizeof said, "%d %s", level, message);
    words++;
}

static void assert_refused(cvn_options options, const char *expected)
{
    options.log = on_log;
    options.hook_data = said;
    said[0] = '\0';
    words = 0;
    assert_null(cvn_server_new(&options));
    assert_string_equal(said, expected);
    assert_int_equal(words, 1);
}

static void assert_accepted(cvn_options options)
{
    cvn_server *server = cvn_server_new(&options);
    assert_non_null(server);
    cvn_server_free(server);
}

/* Nothing that would break out of its header field, or that browsers drop. */
static void test_refused_fields(void)
{
    static const char *const names[] = {"", "a b", "a=b", "a;b", "a\r\nX: y", "\xc3\xa9", "a\""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_refused((cvn_options){.cookie = &(cvn_cookie){.name = names[i]}},
                       "3 option cookie: its name is no token");
    char long_text[1100];
    memset(long_text, 'a', sizeof long_text);
    long_text[0] = '/';
    long_text[1025] = '\0';
    const char *const paths[] = {"", "x", "/a;b", "/a\nb", "/a\rb", "/\x7f", "/\xc3", long_text};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_refused((cvn_options){.cookie = &(cvn_cookie){.path = paths[i]}},
                       "3 option cookie: its path does not begin with a slash or holds what no "
                       "path may");
    long_text[0] = 'a';
    long_text[256] = '\0';
    assert_refused((cvn_options){.cookie = &(cvn_cookie){.name = long_text}},
                   "3 option cookie: its name is no token");
    const char *const domains[] = {"", "a b", "a;b", "a\r\nb", "a_b", "\xc3", long_text};
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        assert_refused((cvn_options){.cookie = &(cvn_cookie){.domain = domains[i]}},
                       "3 option cookie: its domain is none");
    assert_refused((cvn_options){.cookie = &(cvn_cookie){.same_site = (enum cvn_same_site)4}},
                   "3 option cookie: unknown same_site");
    assert_refused((cvn_options){.cookie = &(cvn_cookie){.same_site = CVN_SAME_SITE_NONE}},
                   "3 option cookie: same_site none without secure, which browsers drop");
    const char *const lists[] = {"", ",", "a,", ",a", "a,,b", "a b", "a\r\nb", "a;b", "a\n,b"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        assert_refused((cvn_options){.origin_methods = lists[i]},
                       "3 option origin_methods: no list of methods");
        assert_refused((cvn_options){.origin_headers = lists[i]},
                       "3 option origin_headers: no list of field names");
        assert_refused((cvn_options){.origin_exposed = lists[i]},
                       "3 option origin_exposed: no list of field names");
    }
}

static void assert_cookie(const cvn_cookie *cookie, const char *name, const char *attributes)
{
    struct server_settings settings;
    assert_true(server_settings_init(&settings, &(cvn_options){.cookie = cookie}));
    assert_true(slice_eq(settings.eio.cookie_name, cvn_str(name)));
    assert_true(slice_eq(settings.eio.cookie_attributes, cvn_str(attributes)));
    server_settings_release(&settings);
}

static void test_cookies(void **state)
{
    char longest[1025];
    (void)state;
    assert_cookie(NULL, "", "");
    assert_cookie(&(cvn_cookie){.secure = false}, "io", "; Path=/; HttpOnly; SameSite=Lax");
    assert_cookie(&(cvn_cookie){.name = "__Host-x",
                                .path = "/a b",
                                .domain = "a-1.Example",
                                .max_age_s = 4294967295,
                                .secure = true,
                                .readable_by_scripts = true,
                                .same_site = CVN_SAME_SITE_NONE},
                  "__Host-x",
                  "; Max-Age=4294967295; Domain=a-1.Example; Path=/a b; Secure; SameSite=None");
    assert_cookie(&(cvn_cookie){.secure = true, .same_site = CVN_SAME_SITE_STRICT}, "io",
                  "; Path=/; HttpOnly; Secure; SameSite=Strict");
    assert_cookie(&(cvn_cookie){.same_site = CVN_SAME_SITE_UNSAID}, "io", "; Path=/; HttpOnly");
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    longest[1024] = '\0';
    assert_accepted((cvn_options){.cookie = &(cvn_cookie){.path = longest}});
}

static void test_refused(void **state)
{
    const char *many[1026];
    (void)state;
    assert_refused((cvn_options){.workers = 129}, "3 option workers: at most 128");
    assert_refused((cvn_options){.max_attachments = 65}, "3 option max_attachments: at most 64");
    assert_refused((cvn_options){.max_json_depth = 1025}, "3 option max_json_depth: at most 1024");
    assert_refused((cvn_options){.transports = 4}, "3 option transports: unknown bit");
    assert_refused((cvn_options){.transports = 0x80000001}, "3 option transports: unknown bit");
    assert_refused((cvn_options){.tls_cert_file = "/x"},
                   "3 option tls_cert_file and tls_key_file: only one is given");
    assert_refused((cvn_options){.tls_key_file = "/x"},
                   "3 option tls_cert_file and tls_key_file: only one is given");
    assert_refused((cvn_options){.send_high_water = 1001, .send_max = 1000},
                   "3 option send_high_water: above send_max");
    assert_refused((cvn_options){.send_low_water = 1001, .send_high_water = 1000},
                   "3 option send_low_water: above send_high_water");
    assert_refused((cvn_options){.backlog = -1}, "3 option backlog: negative");
    test_refused_fields();
    assert_refused((cvn_options){.parser = (cvn_parser)2}, "3 option parser: unknown");
    static const char *const paths[] = {"", "/", "//", "socket.io", "x/", " /x"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_refused((cvn_options){.path = paths[i]},
                       "3 option path: must begin with a slash and name something");
    for (size_t i = 0; i < 1025; i++)
        many[i] = "https://a.example";
    many[1025] = NULL;
    assert_refused((cvn_options){.origins = many}, "3 option origins: more than 1024");
    many[1024] = NULL;
    assert_accepted((cvn_options){.origins = many});
}

static void test_limits_are_accepted(void **state)
{
    (void)state;
    assert_accepted((cvn_options){.workers = 128, .max_attachments = 64, .max_json_depth = 1024});
    assert_accepted((cvn_options){.transports = CVN_POLLING | CVN_WEBSOCKET});
    assert_accepted((cvn_options){.send_high_water = 1000, .send_max = 1000});
    assert_accepted((cvn_options){.send_high_water = 100 << 20}); /* the maximum keeps it down */
    assert_accepted((cvn_options){.send_max = 1});
    assert_accepted((cvn_options){.path = "/x/"});
    cvn_server *server = cvn_server_new(NULL);
    assert_non_null(server);
    cvn_server_free(server);
    cvn_server_free(NULL);
}

static void test_defaults(void **state)
{
    static const cvn_options nothing;
    struct server_settings settings;
    (void)state;
    assert_true(server_settings_init(&settings, &nothing));
    assert_null(settings.host);
    assert_int_equal(settings.port, 0);
    assert_int_equal(settings.backlog, 511);
    assert_true(settings.workers >= 1 && settings.workers <= 128);
    assert_null(settings.tls_cert_file);
    assert_string_equal(settings.path, "/socket.io");
    assert_null(settings.origins[0]);
    assert_non_null(settings.client_dir);
    assert_int_equal(settings.shutdown_timeout_ms, 10000);
    assert_true(slice_eq(settings.eio.path, SLICE("/socket.io")));
    assert_true(settings.eio.add_trailing_slash);
    assert_int_equal(settings.eio.ping_interval_ms, 25000);
    assert_int_equal(settings.eio.ping_timeout_ms, 20000);
    assert_int_equal(settings.eio.upgrade_timeout_ms, 10000);
    assert_int_equal(settings.eio.allow_timeout_ms, 10000);
    assert_int_equal(settings.eio.max_payload, 1000000);
    assert_int_equal(settings.eio.transports, EIO_POLLING | EIO_WEBSOCKET);
    assert_true(settings.eio.allow_upgrades);
    assert_int_equal(settings.eio.send_high_water, 1 << 20);
    assert_int_equal(settings.eio.send_max, 16 << 20);
    assert_int_equal(settings.eio.send_low_water, 1 << 19);
    assert_int_equal(settings.conn.low_water, 1 << 19);
    assert_int_equal(settings.eio.max_sessions, 0);
    assert_false(settings.eio.websocket_compression);
    assert_true(settings.eio.http_compression);
    assert_int_equal(settings.eio.compression_threshold, 1024);
    assert_int_equal(settings.eio.origins.allowed_count, 0);
    assert_false(settings.eio.origins.credentials);
    assert_int_equal(settings.sio.packets.max_attachments, 10);
    assert_int_equal(settings.sio.packets.max_depth, 512);
    assert_int_equal(settings.sio.emits.parser, CVN_PARSER_JSON);
    assert_int_equal(settings.sio.connect_timeout_ms, 45000);
    assert_int_equal(settings.sio.max_sockets_per_connection, 64);
    assert_int_equal(settings.sio.max_rooms_per_socket, 1000);
    assert_int_equal(settings.sio.max_pending_acks, 1000);
    assert_int_equal(settings.sio.max_dynamic_namespaces, 10000);
    assert_int_equal(settings.sio.max_attachment_bytes, 10 * 1000000);
    server_settings_release(&settings);
}

static void test_given(void **state)
{
    char host[] = "127.0.0.1", path[] = "/my/path///", origin[] = "https://a.example", dir[] = "/d";
    const char *origins[] = {origin, "*", NULL};
    struct server_settings settings;
    (void)state;
    assert_true(server_settings_init(&settings, &(cvn_options){
                                                    .host = host,
                                                    .port = 1234,
                                                    .backlog = 7,
                                                    .workers = 3,
                                                    .path = path,
                                                    .no_trailing_slash = true,
                                                    .ping_interval_ms = 11,
                                                    .ping_timeout_ms = 12,
                                                    .upgrade_timeout_ms = 13,
                                                    .max_http_buffer_size = 14,
                                                    .transports = CVN_WEBSOCKET,
                                                    .no_upgrades = true,
                                                    .max_connections_per_worker = 15,
                                                    .origins = origins,
                                                    .origin_credentials = true,
                                                    .parser = CVN_PARSER_MSGPACK,
                                                    .connect_timeout_ms = 16,
                                                    .max_attachments = 17,
                                                    .max_json_depth = 18,
                                                    .max_sockets_per_connection = 19,
                                                    .max_rooms_per_socket = 20,
                                                    .max_pending_acks = 21,
                                                    .max_dynamic_namespaces = 22,
                                                    .send_high_water = 22,
                                                    .send_max = 23,
                                                    .send_low_water = 20,
                                                    .http_head_timeout_ms = 24,
                                                    .http_body_timeout_ms = 25,
                                                    .http_idle_timeout_ms = 26,
                                                    .client_dir = dir,
                                                    .shutdown_timeout_ms = 27,
                                                    .allow_timeout_ms = 28,
                                                    .origin_methods = "GET, POST",
                                                    .origin_headers = "*",
                                                    .origin_exposed = "x-a,x-b",
                                                    .origin_max_age_s = 29,
                                                    .websocket_compression = true,
                                                    .no_http_compression = true,
                                                    .compression_threshold = 28,
                                                }));
    memset(host, '?', sizeof host - 1); /* the server has its own */
    memset(path, '?', sizeof path - 1);
    memset(origin, '?', sizeof origin - 1);
    memset(dir, '?', sizeof dir - 1);
    assert_string_equal(settings.host, "127.0.0.1");
    assert_int_equal(settings.port, 1234);
    assert_int_equal(settings.backlog, 7);
    assert_int_equal(settings.workers, 3);
    assert_true(slice_eq(settings.eio.path, SLICE("/my/path")));
    assert_false(settings.eio.add_trailing_slash);
    assert_int_equal(settings.eio.ping_interval_ms, 11);
    assert_int_equal(settings.eio.ping_timeout_ms, 12);
    assert_int_equal(settings.eio.upgrade_timeout_ms, 13);
    assert_int_equal(settings.eio.max_payload, 14);
    assert_int_equal(settings.eio.transports, EIO_WEBSOCKET);
    assert_false(settings.eio.allow_upgrades);
    assert_int_equal(settings.eio.max_sessions, 15);
    assert_true(settings.eio.websocket_compression);
    assert_false(settings.eio.http_compression);
    assert_int_equal(settings.eio.compression_threshold, 28);
    assert_int_equal(settings.eio.origins.allowed_count, 2);
    assert_string_equal(settings.eio.origins.allowed[0], "https://a.example");
    assert_true(settings.eio.origins.credentials);
    assert_int_equal(settings.sio.emits.parser, CVN_PARSER_MSGPACK);
    assert_int_equal(settings.sio.connect_timeout_ms, 16);
    assert_int_equal(settings.sio.packets.max_attachments, 17);
    assert_int_equal(settings.sio.packets.max_depth, 18);
    assert_int_equal(settings.sio.max_sockets_per_connection, 19);
    assert_int_equal(settings.sio.max_rooms_per_socket, 20);
    assert_int_equal(settings.sio.max_pending_acks, 21);
    assert_int_equal(settings.sio.max_dynamic_namespaces, 22);
    assert_int_equal(settings.sio.max_attachment_bytes, 17 * 14);
    assert_int_equal(settings.conn.high_water, 22);
    assert_int_equal(settings.conn.max, 23);
    assert_int_equal(settings.conn.low_water, 20);
    assert_int_equal(settings.eio.send_low_water, 20);
    assert_int_equal(settings.http.head_timeout_ms, 24);
    assert_int_equal(settings.http.body_timeout_ms, 25);
    assert_int_equal(settings.http.idle_timeout_ms, 26);
    assert_string_equal(settings.client_dir, "/d");
    assert_int_equal(settings.shutdown_timeout_ms, 27);
    assert_int_equal(settings.eio.allow_timeout_ms, 28);
    assert_true(slice_eq(settings.eio.origins.methods, SLICE("GET, POST")));
    assert_true(slice_eq(settings.eio.origins.headers, SLICE("*")));
    assert_true(slice_eq(settings.eio.origins.exposed, SLICE("x-a,x-b")));
    assert_int_equal(settings.eio.origins.max_age_s, 29);
    server_settings_release(&settings);

    assert_true(server_settings_init(&settings, &(cvn_options){.hide_client = true,
                                                               .client_dir = "/d",
                                                               .max_http_buffer_size = SIZE_MAX,
                                                               .max_attachments = 64}));
    assert_null(settings.client_dir);
    assert_int_equal(settings.sio.max_attachment_bytes,
                     SIZE_MAX); /* a product that does not wrap */
    server_settings_release(&settings);
}

/* Every allocation of a new server fails once. */
static void test_no_memory(void **state)
{
    const char *origins[] = {"https://a.example", "https://b.example", NULL};
    const cvn_options options = {.host = "127.0.0.1",
                                 .path = "/x",
                                 .origins = origins,
                                 .tls_cert_file = "/c",
                                 .tls_key_file = "/k",
                                 .client_dir = "/d",
                                 .cookie = &(cvn_cookie){.name = "sid"},
                                 .origin_methods = "GET",
                                 .origin_headers = "x-a",
                                 .origin_exposed = "x-b",
                                 .hook_data = said,
                                 .log = on_log};
    cvn_server *server = NULL;
    uint64_t failing = 0;
    (void)state;
    while (server == NULL) {
        assert_true(failing < 100);
        mem_fail_after(failing++, 1);
        server = cvn_server_new(&options);
        mem_fail_after(0, 0);
    }
    assert_true(failing > 14);
    cvn_server_free(server);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_limits_are_accepted),
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_given),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_cookies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
