/*
 * Keys from a real server on loopback, for tokens that are verified on two workers at once: one fetch for all who wait, rotation, failure, storms,
 * and the end of the server while somebody waits.
 */
#include "auth_rig.h"
#include "auth_site.h"
#include "auth/auth_jwks.h"
#include "outgoing/outgoing.h"

#define WORKERS 2

static cvn_server *server;
static struct outgoing *outgoing;
static struct auth *auth;
static json_t *golden;

/* The clocks are read by workers while the test moves them. */
static int64_t shared_unix_s(void *data)
{
    (void)data;
    return RIG_NOW;
}
static uint64_t shared_monotonic_ms(void *data)
{
    (void)data;
    return __atomic_load_n(&rig_monotonic, __ATOMIC_SEQ_CST);
}
static void pass(uint64_t ms)
{
    __atomic_fetch_add(&rig_monotonic, ms, __ATOMIC_SEQ_CST);
}

/* --- Documents and tokens --- */

/* A set with one of the golden keys under a name, as JSON; to be freed. */
static char *document(const char *key, const char *kid)
{
    json_t *jwk = json_deep_copy(
        json_object_get(json_object_get(json_object_get(golden, "keys"), key), "jwk"));
    json_object_set_new(jwk, "kid", json_string(kid));
    json_t *set = json_pack("{s:[o,{s:s,s:s}]}", "keys", jwk, "kty", "oct", "k",
                            "bm9ib2R5IHNob3VsZCB0YWtlIHRoaXMgYXMgYSBzZWNyZXQ");
    char *text = json_dumps(set, 0);
    json_decref(set);
    return text;
}

static void publish(const char *key, const char *kid)
{
    char *text = document(key, kid);
    site_say(200, text);
    free(text);
}

/* Signed with a golden private key; ES signatures of OpenSSL are DER, so RSA. */
static char *token_of(const char *kid)
{
    const char *pem = rig_text(json_object_get(golden, "keys"), "rsa", "pkcs8");
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    char header[400];
    assert_non_null(key);
    snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid);
    char *token =
        rig_sign(key, "SHA256", header, "{\"sub\":\"alice\",\"role\":\"STUDENT\",\"jti\":\"j\"}");
    EVP_PKEY_free(key);
    BIO_free(bio);
    return token;
}

/* --- Verifying on workers --- */

struct job {
    char *token;
    enum auth_refusal refusal;
    unsigned worker, answered_on;
};

#define MAX_JOBS 2000
static struct job jobs[MAX_JOBS];
static unsigned job_count, answered, begun;

static void on_verdict(enum auth_refusal refusal, struct principal *principal, const char *why,
                       void *data)
{
    struct job *job = data;
    (void)why;
    pthread_mutex_lock(&site_lock);
    job->refusal = refusal;
    job->answered_on = cvn_worker_index(server);
    answered++;
    pthread_cond_broadcast(&site_bell);
    pthread_mutex_unlock(&site_lock);
    principal_unref(principal);
}

static void run_job(void *data)
{
    struct job *job = data;
    auth_verify(auth, cvn_str(job->token), on_verdict, job);
    pthread_mutex_lock(&site_lock);
    begun++;
    pthread_cond_broadcast(&site_bell);
    pthread_mutex_unlock(&site_lock);
}

/* Takes the token over. */
static struct job *start(char *token, unsigned worker)
{
    struct job *job = &jobs[job_count++];
    *job = (struct job){.token = token, .worker = worker};
    assert_int_equal(cvn_post(server, worker, run_job, job), CVN_OK);
    return job;
}

static void wait_for_answers(void)
{
    pthread_mutex_lock(&site_lock);
    site_wait_for(&answered, job_count);
    pthread_mutex_unlock(&site_lock);
    for (unsigned i = 0; i < job_count; i++)
        assert_int_equal(jobs[i].answered_on, jobs[i].worker);
}

static void wait_for_beginnings(void)
{
    pthread_mutex_lock(&site_lock);
    site_wait_for(&begun, job_count);
    pthread_mutex_unlock(&site_lock);
}

static enum auth_refusal verify(const char *kid, unsigned worker)
{
    struct job *job = start(token_of(kid), worker);
    wait_for_answers();
    return job->refusal;
}

/* --- Life --- */

static int setup(void **state)
{
    (void)state;
    golden = rig_load("jose.json");
    site_open(NULL, NULL);
    publish("rsa", "one");
    job_count = answered = begun = 0;
    server = cvn_server_new(
        &(cvn_options){.host = "127.0.0.1", .workers = WORKERS, .hide_client = true});
    assert_non_null(server);
    outgoing = outgoing_new(server);
    assert_non_null(outgoing);
    return 0;
}

static void start_server(void)
{
    struct config config = rig_config();
    char url[128];
    snprintf(url, sizeof url, "%s/keys", site.url);
    config.auth.jwks_url = url;
    auth = auth_new(&config, server, outgoing);
    assert_non_null(auth);
    auth_set_clock(auth, &(struct auth_clock){shared_unix_s, shared_monotonic_ms, NULL});
    assert_int_equal(cvn_server_start(server), CVN_OK);
}

static int teardown(void **state)
{
    (void)state;
    cvn_server_free(server);
    auth_free(auth);
    outgoing_free(outgoing);
    site_close();
    for (unsigned i = 0; i < job_count; i++)
        free(jobs[i].token);
    json_decref(golden);
    auth = NULL;
    return 0;
}

/* --- Tests --- */

static void one_fetch_serves_all(void **state)
{
    (void)state;
    site_hold();
    start_server();
    for (unsigned i = 0; i < 40; i++)
        start(token_of("one"), i % WORKERS);
    wait_for_beginnings();
    site_wait_for_requests(1);
    assert_int_equal(answered, 0);
    site_release();
    wait_for_answers();
    for (unsigned i = 0; i < job_count; i++)
        assert_int_equal(jobs[i].refusal, AUTH_OK);
    assert_int_equal(site_requests(), 1);
    assert_int_equal(verify("one", 1), AUTH_OK); /* from the cache */
    assert_int_equal(site_requests(), 1);
}

static void keys_rotate(void **state)
{
    (void)state;
    start_server();
    assert_int_equal(verify("one", 0), AUTH_OK);
    publish("rsa", "two");
    assert_int_equal(verify("two", 1), AUTH_UNAVAILABLE); /* within the cooldown: come again */
    assert_int_equal(site_requests(), 1);
    pass(30000);
    assert_int_equal(verify("two", 1), AUTH_OK);
    assert_int_equal(site_requests(), 2);
    assert_int_equal(verify("one", 0), AUTH_UNAVAILABLE);
    pass(30000);
    assert_int_equal(verify("one", 0), AUTH_INVALID); /* asked for, and gone */
    assert_int_equal(site_requests(), 3);
    assert_int_equal(verify("one", 1), AUTH_INVALID); /* remembered */
    assert_int_equal(site_requests(), 3);
}

static void a_key_that_was_withdrawn_ends_with_the_cache(void **state)
{
    (void)state;
    start_server();
    assert_int_equal(verify("one", 0), AUTH_OK);
    site_say(200, "{\"keys\":[]}");
    pass(599999);
    assert_int_equal(verify("one", 0), AUTH_OK);
    pass(1);
    assert_int_equal(verify("one", 0), AUTH_INVALID);
    assert_int_equal(site_requests(), 2);
}

static void a_storm_of_unknown_kids_costs_one_fetch(void **state)
{
    (void)state;
    start_server();
    assert_int_equal(verify("one", 0), AUTH_OK);
    pass(30000);
    site_hold();
    char *token = token_of("xxxx");
    char *at = strstr(token, "."); /* other kids under the same, now wrong, signature */
    for (unsigned i = 0; i < 1500; i++) {
        char kid[300], header[400];
        snprintf(kid, sizeof kid, "storm-%u", i);
        snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid);
        char *left = rig_base64(header, strlen(header));
        char *other = calloc(1, strlen(left) + strlen(at) + 1);
        sprintf(other, "%s%s", left, at);
        free(left);
        start(other, i % WORKERS);
    }
    free(token);
    wait_for_beginnings();
    site_wait_for_requests(2);
    /* So many wait; the others were told to come again, at once. */
    pthread_mutex_lock(&site_lock);
    assert_int_equal(answered, job_count - AUTH_JWKS_MAX_WAITING);
    pthread_mutex_unlock(&site_lock);
    /* Who has a good token is not held up. */
    struct job *good = start(token_of("one"), 1);
    pthread_mutex_lock(&site_lock);
    site_wait_for(&answered, job_count - AUTH_JWKS_MAX_WAITING);
    pthread_mutex_unlock(&site_lock);
    assert_int_equal(good->refusal, AUTH_OK);
    site_release();
    wait_for_answers();
    unsigned invalid = 0, unavailable = 0;
    for (unsigned i = 1; i < 1501; i++) {
        invalid += jobs[i].refusal == AUTH_INVALID;
        unavailable += jobs[i].refusal == AUTH_UNAVAILABLE;
    }
    assert_int_equal(invalid + unavailable, 1500);
    assert_true(unavailable >= 1500 - AUTH_JWKS_MAX_WAITING);
    assert_true(invalid >= 1);
    assert_int_equal(site_requests(), 2);
    for (unsigned i = 0; i < 20; i++) /* the storm goes on */
        assert_int_not_equal(verify("another", i % WORKERS), AUTH_OK);
    assert_int_equal(site_requests(), 2);
    /* All who waited have left their places. */
    publish("rsa", "two");
    pass(30000);
    assert_int_equal(verify("two", 0), AUTH_OK);
    assert_int_equal(site_requests(), 3);
}

static void what_is_no_key_set_is_a_failure(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
    } wrong[] = {
        {500, "{\"keys\":[]}"},
        {404, "{\"keys\":[]}"},
        {204, ""},
        {302, "{\"keys\":[]}"},
        {200, ""},
        {200, "<html>"},
        {200, "[]"},
        {200, "{\"keys\":{}}"},
        {200, "{\"keys\":[]"},
        {200, "{\"keys\":[],\"keys\":[]}"},
    };
    start_server();
    assert_int_equal(verify("one", 0), AUTH_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unsigned before = site_requests();
        site_say(wrong[i].status, wrong[i].body);
        pass(600000);
        assert_int_equal(verify("one", i % WORKERS), AUTH_OK); /* the old keys serve */
        assert_int_equal(site_requests(), before + 1);
        assert_int_equal(verify("two", i % WORKERS), AUTH_UNAVAILABLE);
        assert_int_equal(site_requests(), before + 1);
    }
    char *huge = malloc(300 * 1024 + 1);
    memset(huge, ' ', 300 * 1024);
    memcpy(huge, "{\"keys\":[", 9);
    memcpy(huge + 300 * 1024 - 2, "]}", 3);
    site_say(200, huge);
    free(huge);
    pass(600000);
    assert_int_equal(verify("one", 0), AUTH_OK);
    publish("rsa", "two");
    pass(5000);
    assert_int_equal(verify("one", 0), AUTH_INVALID);
    assert_int_equal(verify("two", 0), AUTH_OK);
}

static void nobody_waits_for_a_server_that_is_not_there(void **state)
{
    (void)state;
    cvn_server_free(site.server); /* its port is closed now */
    site.server = NULL;
    start_server();
    assert_int_equal(verify("one", 0), AUTH_UNAVAILABLE);
    assert_int_equal(verify("one", 1), AUTH_UNAVAILABLE);
}

/* The server stops while tokens wait for keys that do not come: each is answered. */
static void stopping_answers_all_who_wait(void **state)
{
    (void)state;
    site_hold();
    start_server();
    for (unsigned i = 0; i < 10; i++)
        start(token_of("one"), i % WORKERS);
    wait_for_beginnings();
    site_wait_for_requests(1);
    cvn_server_free(server);
    server = NULL;
    assert_int_equal(answered, 10);
    for (unsigned i = 0; i < job_count; i++)
        assert_int_equal(jobs[i].refusal, AUTH_UNAVAILABLE);
    site_release();
}

/* A secret is never taken from a published set, and tokens with one never lead to a fetch. */
static void published_secrets_are_no_keys(void **state)
{
    (void)state;
    start_server();
    assert_int_equal(verify("one", 0), AUTH_OK);
    pass(30000);
    static const char secret[] = "nobody should take this as a secret";
    char *token = rig_hmac("SHA256", "{\"alg\":\"HS256\",\"kid\":\"new\"}",
                           "{\"sub\":\"eve\",\"role\":\"ADMIN\"}", secret, strlen(secret));
    struct job *job = start(token, 0);
    wait_for_answers();
    assert_int_equal(job->refusal, AUTH_INVALID);
    assert_int_equal(site_requests(), 1);
}

/* SIGHUP: the keys are fetched again before they are used. */
static void a_reload_fetches_again(void **state)
{
    (void)state;
    start_server();
    assert_int_equal(verify("one", 0), AUTH_OK);
    publish("rsa", "two");
    struct config config = rig_config();
    config.auth.jwks_url = site.url;
    assert_true(auth_reconfigure(auth, &config));
    assert_int_equal(verify("two", 0), AUTH_OK);
    assert_int_equal(verify("one", 1), AUTH_UNAVAILABLE);
    assert_int_equal(site_requests(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_fetch_serves_all, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_rotate, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_was_withdrawn_ends_with_the_cache, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_storm_of_unknown_kids_costs_one_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_key_set_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_server_that_is_not_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(stopping_answers_all_who_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(published_secrets_are_no_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_fetches_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
