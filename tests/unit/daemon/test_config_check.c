/* What settings say to each other: each cross-check once right and once wrong. */
#include "config_rig.h"

#define SECRET "CONVENE_AUTH_SECRET=0123456789abcdef0123456789abcdef"

static void refuses(const char *const *args, const char *const *env, const char *reason)
{
    struct rig rig;
    rig_load(&rig, args, env);
    rig_assert_error(&rig, reason);
    rig_release(&rig);
}

static void takes(const char *const *args, const char *const *env)
{
    struct rig rig;
    rig_load(&rig, args, env);
    rig_assert_good(&rig);
    rig_release(&rig);
}

static void warns(const char *const *args, const char *const *env, const char *words)
{
    struct rig rig;
    rig_load(&rig, args, env);
    rig_assert_good(&rig);
    if (!rig_says(&rig, words)) {
        rig_print(&rig);
        fail_msg("missing: %s", words);
    }
    rig_release(&rig);
}

static void development_is_for_loopback(void **state)
{
    (void)state;
    takes(ARGS("--dev", "--host", "127.1.2.3"), NO_ENV);
    takes(ARGS("--dev", "--host", "::1"), NO_ENV);
    refuses(ARGS("--dev", "--host", "0.0.0.0"), NO_ENV,
            "--host: --dev listens on loopback only, not on 0.0.0.0");
    refuses(ARGS("--dev"), ENV("CONVENE_SERVER_HOST=192.0.2.1"),
            "CONVENE_SERVER_HOST: --dev listens on loopback only");
    refuses(ARGS("--host", "::"), ENV("CONVENE_DEV=1"), "--dev listens on loopback only");
}

static void there_has_to_be_a_key(void **state)
{
    (void)state;
    refuses(NO_ARGS, NO_ENV, "there is no key to check tokens with: set auth.secret_file");
    takes(ARGS("--dev"), NO_ENV);
    takes(NO_ARGS, ENV(SECRET));
    takes(ARGS("--auth-jwks-url", "https://issuer.example/jwks"), NO_ENV);
    char *pem = rig_file("x", 1);
    takes(ARGS("--auth-key-files", pem), NO_ENV);
    rig_drop(pem);
    refuses(ARGS("--auth-key-files", "/no/such.pem"), NO_ENV,
            "auth.key_files: /no/such.pem: No such file");
    warns(ARGS("--no-auth-required"), NO_ENV, "--no-auth-required: auth.required is false");
    refuses(ARGS("--auth-jwks-url", "http://issuer.example/jwks"), NO_ENV, "has to be https");
    takes(ARGS("--auth-jwks-url", "http://127.0.0.1:9/jwks"), NO_ENV);
}

static void secrets_have_a_length(void **state)
{
    (void)state;
    refuses(NO_ARGS, ENV("CONVENE_AUTH_SECRET=0123456789abcdef0123456789abcde"),
            "CONVENE_AUTH_SECRET: auth.secret has 31 bytes; it needs 32 and more");
    takes(NO_ARGS, ENV(SECRET));
    takes(ARGS("--dev"), ENV("CONVENE_AUTH_SECRET=short"));
    refuses(ARGS("--dev"), ENV("CONVENE_OPERATIONS_METRICS_TOKEN=0123456789abcde"), "has 15 bytes");
    takes(ARGS("--dev"), ENV("CONVENE_OPERATIONS_METRICS_TOKEN=0123456789abcdef"));
    refuses(ARGS("--dev", "--operations-metrics-public"),
            ENV("CONVENE_OPERATIONS_METRICS_TOKEN=0123456789abcdef"), "exclude each other");
}

static void pairs_go_together(void **state)
{
    char *pem = rig_file("x", 1);
    (void)state;
    refuses(ARGS("--dev", "--tls-cert", pem), NO_ENV, "--tls-cert: --tls-cert and --tls-key");
    refuses(ARGS("--dev", "--tls-key", pem), NO_ENV, "--tls-key: --tls-cert and --tls-key");
    takes(ARGS("--dev", "--tls-cert", pem, "--tls-key", pem), NO_ENV);
    refuses(ARGS("--dev", "--tls-cert", "/no/such", "--tls-key", pem), NO_ENV,
            "server.tls_cert: /no/such: No such file");
    refuses(ARGS("--dev", "--admin-username", "a"), NO_ENV,
            "admin.username and admin.password_hash go together");
    refuses(ARGS("--dev"), ENV("CONVENE_ADMIN_PASSWORD_HASH=$y$j9T$a$b"), "go together");
    takes(ARGS("--dev", "--admin-username", "a"), ENV("CONVENE_ADMIN_PASSWORD_HASH=$y$j9T$a$b"));
    rig_drop(pem);
}

static void sizes_and_times_fit(void **state)
{
    (void)state;
    refuses(ARGS("--dev", "--server-send-high-water", "16MiB"), NO_ENV,
            "--server-send-high-water: server.send_high_water has to be less");
    refuses(ARGS("--dev", "--server-send-max", "1MiB", "--server-max-payload", "500kB"), NO_ENV,
            "--server-send-max: server.send_high_water");
    refuses(ARGS("--dev", "--server-max-payload", "16MiB"), NO_ENV,
            "server.max_payload has to be less than server.send_max");
    takes(ARGS("--dev", "--server-max-payload", "10MB"), NO_ENV);
    refuses(ARGS("--dev", "--server-drain-time", "21s"), NO_ENV,
            "may not exceed server.shutdown_timeout");
    takes(ARGS("--dev", "--server-drain-time", "20s"), NO_ENV);
    refuses(ARGS("--dev", "--server-ping-interval", "40min", "--server-ping-timeout", "40min"),
            NO_ENV, "1h together");
    takes(ARGS("--dev", "--server-ping-interval", "30min", "--server-ping-timeout", "30min"),
          NO_ENV);
}

static void cookies_and_any_origin_exclude_each_other(void **state)
{
    (void)state;
    refuses(ARGS("--dev", "--auth-cookie", "sid", "--origin", "*"), NO_ENV,
            "may not be * while auth.cookie is set");
    takes(ARGS("--dev", "--auth-cookie", "sid", "--origin", "https://a.example"), NO_ENV);
    takes(ARGS("--dev", "--origin", "*"), NO_ENV);
}

static void webhooks_have_a_place(void **state)
{
    (void)state;
    refuses(ARGS("--dev", "--access-kb", "webhook"), NO_ENV,
            "--access-kb: access.kb is webhook, but access.webhook_url is not set");
    warns(ARGS("--dev", "--access-kb", "webhook", "--access-webhook-url", "http://app.example/may"),
          NO_ENV, "without access.webhook_secret");
    warns(ARGS("--access-board", "open"), ENV(SECRET), "access.board is open");
    struct rig rig;
    rig_load(&rig, ARGS("--dev", "--access-board", "open"), NO_ENV);
    assert_int_equal(rig.report.count, 0);
    rig_release(&rig);
}

static void forms_are_looked_at(void **state)
{
    (void)state;
    refuses(ARGS("--dev", "--server-trusted-proxies", "10.0.0.0/8,10.0.0.1/8"), NO_ENV,
            "\"10.0.0.1/8\" has bits set behind its prefix");
    refuses(ARGS("--dev", "--auth-role-map", "teacher=BOSS"), NO_ENV,
            "--auth-role-map: \"teacher=BOSS\"");
    refuses(ARGS("--dev", "--auth-default-role", "BOSS"), NO_ENV, "--auth-default-role");
    refuses(ARGS("--dev", "--upstream-url", "http://a:b@c"), NO_ENV, "--upstream-url: ");
    refuses(ARGS("--dev", "--auth-claim-user-id="), NO_ENV, "may not be empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(development_is_for_loopback),
        cmocka_unit_test(there_has_to_be_a_key),
        cmocka_unit_test(secrets_have_a_length),
        cmocka_unit_test(pairs_go_together),
        cmocka_unit_test(sizes_and_times_fit),
        cmocka_unit_test(cookies_and_any_origin_exclude_each_other),
        cmocka_unit_test(webhooks_have_a_place),
        cmocka_unit_test(forms_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
