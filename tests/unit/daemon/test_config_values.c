/* Every type of a setting: what is taken, what is refused, and that what is printed reads back as the same. */
#include "config_rig.h"
#include "config/config_forms.h"
#include "config/config_quantity.h"
#include "config/config_similar.h"

struct value {
    struct config config;
    struct config_memory memory;
    struct config_target target;
    struct config_reason reason;
};

static void start(struct value *value)
{
    *value = (struct value){0};
    value->target = (struct config_target){&value->config, &value->memory};
}

static bool set(struct value *value, const char *key, const char *text)
{
    const struct config_row *row = config_table_find(key);
    assert_non_null(row);
    value->reason.text[0] = '\0';
    return config_values_set(&value->target, row, text, CONFIG_NO_UNIT, &value->reason);
}

static void assert_refused(struct value *value, const char *key, const char *text,
                           const char *reason)
{
    struct config before = value->config;
    assert_false(set(value, key, text));
    if (strstr(value->reason.text, reason) == NULL)
        fail_msg("%s: %s: \"%s\" without \"%s\"", key, text, value->reason.text, reason);
    assert_memory_equal(&before, &value->config, sizeof before);
}

static void reads_times(void **state)
{
    static const struct {
        const char *text;
        enum config_unit unit;
        uint64_t ms;
    } good[] = {
        {"0", CONFIG_NO_UNIT, 0},          {"500ms", CONFIG_NO_UNIT, 500},
        {"25s", CONFIG_NO_UNIT, 25000},    {"10min", CONFIG_NO_UNIT, 600000},
        {"2h", CONFIG_NO_UNIT, 7200000},   {"1d", CONFIG_NO_UNIT, 86400000},
        {"1.5h", CONFIG_NO_UNIT, 5400000}, {"0.25s", CONFIG_NO_UNIT, 250},
        {"1.001s", CONFIG_NO_UNIT, 1001},  {"25 s", CONFIG_NO_UNIT, 25000},
        {"30", CONFIG_UNIT_S, 30000},      {"30", CONFIG_UNIT_MS, 30},
        {"30s", CONFIG_UNIT_MS, 30000},    {"30ms", CONFIG_UNIT_S, 30},
        {"1.5", CONFIG_UNIT_S, 1500},
    };
    static const char *const bad[] = {"",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      "1 0s",
                                      "1e3s",
                                      "1.s",
                                      ".5s",
                                      "1.5ms",
                                      "5m",
                                      "5S",
                                      "5sec",
                                      "0x5s",
                                      "1.0005s",
                                      " 5s",
                                      "5s ",
                                      "99999999999999999999s",
                                      "184467440737095516150d",
                                      "1,5s",
                                      "NaN",
                                      "5\xc2\xb5s"};
    uint64_t ms;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(config_quantity_time(good[i].text, good[i].unit, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ms = 77;
        if (config_quantity_time(bad[i], CONFIG_NO_UNIT, &ms) == NULL)
            fail_msg("%s was taken as %llu", bad[i], (unsigned long long)ms);
        assert_int_equal(ms, 77);
    }
    assert_non_null(strstr(config_quantity_time("25", CONFIG_NO_UNIT, &ms), "no unit"));
}

static void reads_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"1000000", 1000000},
                {"64kB", 64000},
                {"64KB", 64000},
                {"64KiB", 65536},
                {"1MB", 1000000},
                {"16MiB", 16777216},
                {"1.5GB", 1500000000},
                {"2GiB", 2147483648},
                {"10B", 10},
                {"0.5KiB", 512},
                {"1 mib", 1048576},
                {"9223372036854775807", 9223372036854775807}};
    static const char *const bad[] = {
        "",         "B",   "1k", "1TB", "-1", "1.5B", "18446744073709551616", "99999999999GiB",
        "0.001KiB", "1MBs"};
    uint64_t bytes;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(config_quantity_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (config_quantity_size(bad[i], &bytes) == NULL)
            fail_msg("%s was taken as %llu", bad[i], (unsigned long long)bytes);
}

static void reads_rates(void **state)
{
    static const struct {
        const char *text;
        enum config_unit unit;
        struct config_rate rate;
    } good[] = {
        {"10/min", CONFIG_NO_UNIT, {10, 60000}},
        {"5/s", CONFIG_NO_UNIT, {5, 1000}},
        {"1000/h", CONFIG_NO_UNIT, {1000, 3600000}},
        {"20/10s", CONFIG_NO_UNIT, {20, 10000}},
        {"off", CONFIG_NO_UNIT, {0, 0}},
        {"OFF", CONFIG_UNIT_PER_MINUTE, {0, 0}},
        {"100", CONFIG_UNIT_PER_MINUTE, {100, 60000}},
        {"5/s", CONFIG_UNIT_PER_MINUTE, {5, 1000}},
        {"10 / min", CONFIG_NO_UNIT, {10, 60000}},
        {"3/1d", CONFIG_NO_UNIT, {3, 86400000}},
        {"1000000/s", CONFIG_NO_UNIT, {1000000, 1000}},
    };
    static const char *const bad[] = {"",
                                      "/s",
                                      "10/",
                                      "10",
                                      "0/s",
                                      "0",
                                      "-1/s",
                                      "10/m",
                                      "10/0s",
                                      "10/2d",
                                      "10//s",
                                      "1.5/s",
                                      "10/s ",
                                      "many",
                                      "1000001/s",
                                      "99999999999999999999999/s",
                                      "1/99999999999999999999s"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct config_rate rate = {7, 7};
        assert_null(config_quantity_rate(good[i].text, good[i].unit, &rate));
        assert_int_equal(rate.count, good[i].rate.count);
        assert_int_equal(rate.per_ms, good[i].rate.per_ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config_rate rate = {7, 7};
        if (config_quantity_rate(bad[i], CONFIG_NO_UNIT, &rate) == NULL)
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(rate.count, 7);
    }
    struct config_rate rate;
    assert_non_null(config_quantity_rate("0", CONFIG_UNIT_PER_MINUTE, &rate));
}

static void sets_switches_and_words(void **state)
{
    static const char *const on[] = {"true", "TRUE", "yes", "on", "1"};
    static const char *const off[] = {"false", "No", "off", "0"};
    static const char *const neither[] = {"", "2", "tru", "y", "enabled", " true"};
    struct value value;
    (void)state;
    start(&value);
    for (size_t i = 0; i < sizeof on / sizeof *on; i++) {
        value.config.server.polling = false;
        assert_true(set(&value, "server.polling", on[i]) && value.config.server.polling);
    }
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        value.config.server.polling = true;
        assert_true(set(&value, "server.polling", off[i]) && !value.config.server.polling);
    }
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
        assert_refused(&value, "server.polling", neither[i], "neither true nor false");
    assert_true(set(&value, "access.board", "webhook"));
    assert_int_equal(value.config.access.board, CONFIG_GUARD_WEBHOOK);
    assert_true(set(&value, "log.level", "error"));
    assert_int_equal(value.config.log.level, CONFIG_LOG_ERROR);
    assert_refused(&value, "log.level", "loud", "is none of debug, info, warn, error");
    assert_refused(&value, "log.level", "", "is none of");
    config_memory_release(&value.memory);
}

static void keeps_numbers_in_their_range(void **state)
{
    struct value value;
    (void)state;
    start(&value);
    assert_true(set(&value, "server.port", "0"));
    assert_true(set(&value, "server.port", "65535"));
    assert_int_equal(value.config.server.port, 65535);
    assert_refused(&value, "server.port", "65536", "is not a number of 0 to 65535");
    assert_refused(&value, "server.port", "99999999999999999999999", "is not a number");
    assert_refused(&value, "server.port", "1.5", "is not a number");
    assert_refused(&value, "server.port", "0x50", "is not a number");
    assert_refused(&value, "server.port", "", "is not a number");
    assert_refused(&value, "server.workers", "129", "0 to 128");
    assert_refused(&value, "server.ping_interval", "99ms", "is not a time of 100ms to 1h");
    assert_refused(&value, "server.ping_interval", "61min", "is not a time of 100ms to 1h");
    assert_refused(&value, "server.ping_interval", "60", "has no unit");
    assert_refused(&value, "server.max_payload", "999", "is not a size of 1kB to 1GiB");
    assert_refused(&value, "auth.leeway", "1.5s", "whole number of seconds");
    assert_true(set(&value, "auth.leeway", "2min"));
    assert_int_equal(value.config.auth.leeway_s, 120);
    assert_true(set(&value, "server.recovery_window", "off"));
    assert_int_equal(value.config.server.recovery_window_ms, 0);
    assert_refused(&value, "server.ping_interval", "off", "is not a time");
    config_memory_release(&value.memory);
}

static void sets_strings(void **state)
{
    static char huge[6000];
    struct value value;
    (void)state;
    start(&value);
    memset(huge, 'a', sizeof huge - 1);
    assert_true(set(&value, "auth.issuer", "https://issuer.example/ \xc3\xa9"));
    assert_string_equal(value.config.auth.issuer, "https://issuer.example/ \xc3\xa9");
    assert_refused(&value, "auth.issuer", "a\nb", "control character");
    assert_refused(&value, "auth.issuer", huge, "longer than 2048 bytes");
    assert_true(set(&value, "auth.issuer", ""));
    assert_null(value.config.auth.issuer);
    assert_refused(&value, "server.data_dir", "", "may not be empty");
    assert_refused(&value, "server.host", "localhost", "numeric address");
    config_memory_release(&value.memory);
}

static void sets_lists(void **state)
{
    static char many[3 * (CONFIG_MAX_ITEMS + 2)];
    struct value value;
    (void)state;
    start(&value);
    for (size_t i = 0; i + 1 < sizeof many; i++)
        many[i] = i % 2 == 0 ? 'a' : ',';
    many[sizeof many - 1] = '\0';
    assert_true(set(&value, "auth.audience", " a ,b, c d\n\n# no comment\r\n"));
    assert_int_equal(value.config.auth.audience.count, 4);
    assert_string_equal(value.config.auth.audience.items[0], "a");
    assert_string_equal(value.config.auth.audience.items[2], "c d");
    assert_string_equal(value.config.auth.audience.items[3], "# no comment");
    assert_null(value.config.auth.audience.items[4]);
    assert_refused(&value, "auth.audience", "a,,b", "empty entry");
    assert_refused(&value, "auth.audience", ",a", "empty entry");
    assert_refused(&value, "auth.audience", "a, ", "empty entry");
    assert_refused(&value, "auth.audience", many, "more than 1024");
    assert_true(set(&value, "auth.audience", "  "));
    assert_int_equal(value.config.auth.audience.count, 0);
    assert_refused(&value, "auth.claim_role", "", "may not be empty");
    assert_refused(&value, "auth.algorithms", "RS256,none", "\"none\" is none of HS256");
    assert_refused(&value, "server.origins", "https://a.example/", "nothing may follow");
    config_memory_release(&value.memory);
}

static void adds_classes(void **state)
{
    struct value value;
    (void)state;
    start(&value);
    assert_true(set(&value, "rate", "message=10/min, typing=5/s"));
    assert_true(set(&value, "rate", "typing=off,cursor=30/s"));
    assert_int_equal(value.config.limits.class_count, 3);
    assert_string_equal(value.config.limits.classes[1].name, "typing");
    assert_int_equal(value.config.limits.classes[1].rate.per_ms, 0);
    assert_string_equal(value.config.limits.classes[2].name, "cursor");
    assert_int_equal(value.config.limits.classes[2].rate.count, 30);
    assert_refused(&value, "rate", "cursor", "is not a pair");
    assert_refused(&value, "rate", "cursor=fast", "cursor: \"fast\" is not a rate");
    assert_refused(&value, "rate", "Cursor=1/s", "is not the name of a rate class");
    assert_refused(&value, "rate", "=1/s", "is not the name of a rate class");
    assert_refused(&value, "rate", "cursor=1/s,other=never", "other");
    for (int i = 3; i < CONFIG_MAX_CLASSES; i++) {
        char item[32];
        snprintf(item, sizeof item, "class_%d=1/s", i);
        assert_true(set(&value, "rate", item));
    }
    assert_refused(&value, "rate", "one_more=1/s", "more than 64 classes");
    assert_true(set(&value, "rate", "class_63=2/s"));
    config_memory_release(&value.memory);
}

static void never_quotes_a_secret(void **state)
{
    struct value value;
    (void)state;
    start(&value);
    assert_refused(&value, "auth.api_keys", "lms:hunter2", "SHA-256");
    assert_null(strstr(value.reason.text, "hunter2"));
    assert_refused(&value, "operations.metrics_token", "hunter2 hunter2", "letters");
    assert_null(strstr(value.reason.text, "hunter2"));
    assert_refused(&value, "admin.password_hash", "hunter2", "crypt");
    assert_null(strstr(value.reason.text, "hunter2"));
    config_memory_release(&value.memory);
}

/* --- Forms --- */

typedef const char *(*form_fn)(const char *text);

static void check_form(form_fn form, const char *const *good, const char *const *bad)
{
    for (; *good != NULL; good++)
        if (form(*good) != NULL)
            fail_msg("\"%s\" was refused: %s", *good, form(*good));
    for (; *bad != NULL; bad++)
        if (form(*bad) == NULL)
            fail_msg("\"%s\" was taken", *bad);
}

#define TEXTS(...) ((const char *[]){__VA_ARGS__, NULL})

static void knows_forms(void **state)
{
    (void)state;
    check_form(
        config_forms_address, TEXTS("127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1"),
        TEXTS("", "localhost", "1.2.3", "1.2.3.4.5", "256.0.0.1", "[::1]", "1.2.3.4:80", ":::"));
    check_form(config_forms_network,
               TEXTS("10.0.0.0/8", "192.0.2.7", "192.0.2.7/32", "0.0.0.0/0", "fd00::/8", "::1",
                     "::/0", "10.1.128.0/17"),
               TEXTS("", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08",
                     "fd00::1/8", "::/129", "host/8", "10.0.0.0/8/8", "10/8", "10.1.128.0/16"));
    check_form(config_forms_origin,
               TEXTS("*", "https://a.example", "http://localhost:3000", "https://*.a.example",
                     "https://[::1]:8443", "capacitor://localhost", "chrome-extension://abc"),
               TEXTS("", "a.example", "https://", "https://a.example/", "https://a.example/x",
                     "https://a.example:0", "https://a.example:65536", "https://a.example:",
                     "https://a b", "null", "://a", "https://*", "https://a.*.example",
                     "https://a@b", "https://[::1", "1https://a", "https://a?b", "https:a"));
    check_form(config_forms_namespace, TEXTS("/", "/chat"),
               TEXTS("", "chat", "/a b", "/a,b", "/a?b"));
    check_form(config_forms_url,
               TEXTS("http://a", "https://a.example:8443/x/y?z=1", "http://[::1]:80/"),
               TEXTS("", "a", "ftp://a", "http://", "http://a:b@c", "http://u@c/", "http://a:0/",
                     "http://a/ b", "http://a/#x", "http://a/\x7f", "http://a:99999", "HTTP://a",
                     "http:///x"));
    check_form(config_forms_base_url, TEXTS("http://a/b"), TEXTS("http://a/b?c"));
    check_form(config_forms_key_url,
               TEXTS("https://a/jwks", "http://localhost:1/x", "http://127.0.0.1/x",
                     "http://[::1]:8/x", "http://localhost?x"),
               TEXTS("http://a/jwks", "http://localhost.a/x", "http://127.0.0.1.a/x",
                     "http://[::2]/x", "http://localhost:1@a/"));
    check_form(config_forms_algorithm, TEXTS("HS256", "ES512"),
               TEXTS("", "none", "hs256", "HS128", "EdDSA"));
    check_form(config_forms_claim, TEXTS("sub", "a.b.c", "https://a/claim"),
               TEXTS("", ".", "a.", ".a", "a..b"));
    check_form(config_forms_role, TEXTS("STUDENT", "PROFESSOR", "ADMIN", "SERVICE"),
               TEXTS("", "NONE", "student"));
    check_form(config_forms_role_pair, TEXTS("teacher=PROFESSOR", "anon=NONE", "a=b=ADMIN"),
               TEXTS("", "=ADMIN", "teacher", "teacher=", "teacher=BOSS"));
    check_form(config_forms_api_key,
               TEXTS("lms:0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"),
               TEXTS("", "lms",
                     "lms:", ":0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                     "lms:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
                     "lms:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
                     "a b:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                     "lms:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg"));
    check_form(config_forms_token, TEXTS("sb-access-token"),
               TEXTS("a b", "a=b", "a;b", "\xc3\xa9"));
    check_form(config_forms_crypt, TEXTS("$y$j9T$abc$def", "$6$salt$hash"),
               TEXTS("", "x", "*", "$", "$6", "!$6$a", "$6$a$b:c"));
    check_form(config_forms_bearer, TEXTS("aZ09-._~+/="), TEXTS("a b", "a\"b"));
    check_form(config_forms_class, TEXTS("message", "a_1"),
               TEXTS("", "A", "a-b", "a b", "a123456789012345678901234567890123"));
    assert_true(config_forms_is_loopback("127.0.0.1"));
    assert_true(config_forms_is_loopback("127.9.9.9"));
    assert_true(config_forms_is_loopback("::1"));
    assert_false(config_forms_is_loopback("128.0.0.1"));
    assert_false(config_forms_is_loopback("127.0.0.1.example"));
    assert_false(config_forms_is_loopback("::2"));
    assert_false(config_forms_is_loopback("::"));
}

static void finds_similar_names(void **state)
{
    static const char *const cases[][2] = {{"prot", "port"},
                                           {"ports", "port"},
                                           {"ping-timeout", "ping_timeout"},
                                           {"Port", "port"},
                                           {"pingtimeout", "ping_timeout"},
                                           {"host", NULL},
                                           {"", NULL},
                                           {"x", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_similar similar;
        config_similar_init(&similar, cases[i][0]);
        config_similar_try(&similar, "ping_timeout");
        config_similar_try(&similar, "port");
        config_similar_try(&similar, "compression");
        const char *best = config_similar_best(&similar);
        if (cases[i][1] == NULL)
            assert_null(best);
        else
            assert_string_equal(best, cases[i][1]);
    }
}

/* --- Printing --- */

static void printed_values_read_back(void **state)
{
    static const char *const cases[][2] = {
        {"server.port", "443"},
        {"server.polling", "false"},
        {"server.ping_interval", "1500ms"},
        {"server.connect_timeout", "90s"},
        {"server.recovery_window", "off"},
        {"server.max_payload", "65536"},
        {"server.send_max", "1234567"},
        {"upstream.max_body", "off"},
        {"auth.leeway", "90s"},
        {"limits.events_per_ip", "7/30s"},
        {"limits.events_per_user", "off"},
        {"log.level", "warn"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct config_row *row = config_table_find(cases[i][0]);
        struct value value, again;
        char printed[100] = "";
        start(&value);
        start(&again);
        assert_true(set(&value, cases[i][0], cases[i][1]));
        FILE *out = fmemopen(printed, sizeof printed, "w");
        config_values_print(out, row, &value.config);
        fclose(out);
        if (!set(&again, cases[i][0], printed))
            fail_msg("%s: %s: %s", cases[i][0], printed, again.reason.text);
        assert_true(config_values_equal(row, &value.config, &again.config));
        config_memory_release(&value.memory);
        config_memory_release(&again.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_times),
        cmocka_unit_test(reads_sizes),
        cmocka_unit_test(reads_rates),
        cmocka_unit_test(sets_switches_and_words),
        cmocka_unit_test(keeps_numbers_in_their_range),
        cmocka_unit_test(sets_strings),
        cmocka_unit_test(sets_lists),
        cmocka_unit_test(adds_classes),
        cmocka_unit_test(never_quotes_a_secret),
        cmocka_unit_test(knows_forms),
        cmocka_unit_test(finds_similar_names),
        cmocka_unit_test(printed_values_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
