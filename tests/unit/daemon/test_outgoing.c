/*
 * Requests to a real server on loopback from two workers: methods, headers and bodies, bounds in bytes and time, redirects, certificates, streams,
 * cancelling, and the worker's end.
 */
#include "auth_rig.h"
#include "auth_site.h"
#include "outgoing/outgoing.h"
#include <openssl/x509v3.h>

#define WORKERS 2

static cvn_server *server;
static struct outgoing *outgoing;

struct ask {
    struct outgoing_request request;
    unsigned worker;
    bool cancel; /* as soon as it has begun */
    /* what came of it */
    struct outgoing_call *call;
    unsigned begun, answers, answered_on, pieces;
    bool stopping;
    int status;
    uint32_t retry_after_s;
    char error[300], body[4096], type[64], streamed[4096];
};

static void on_answer(const struct outgoing_answer *answer, void *data)
{
    struct ask *ask = data;
    pthread_mutex_lock(&site_lock);
    ask->answers++;
    ask->answered_on = cvn_worker_index(server);
    ask->status = answer->status;
    ask->stopping = answer->is_stopping;
    ask->retry_after_s = answer->retry_after_s;
    snprintf(ask->error, sizeof ask->error, "%s", answer->error != NULL ? answer->error : "");
    snprintf(ask->type, sizeof ask->type, "%s", answer->content_type);
    snprintf(ask->body, sizeof ask->body, "%.*s", (int)answer->body.size,
             answer->body.data != NULL ? answer->body.data : "");
    pthread_cond_broadcast(&site_bell);
    pthread_mutex_unlock(&site_lock);
}

static void run_ask(void *data)
{
    struct ask *ask = data;
    ask->call = outgoing_send(outgoing, &ask->request, on_answer, ask);
    if (ask->cancel && ask->call != NULL)
        outgoing_cancel(ask->call);
    pthread_mutex_lock(&site_lock);
    ask->begun++;
    pthread_cond_broadcast(&site_bell);
    pthread_mutex_unlock(&site_lock);
}

static void begin(struct ask *ask)
{
    if (ask->request.timeout_ms == 0)
        ask->request.timeout_ms = 20000;
    if (ask->request.max_body == 0)
        ask->request.max_body = 4000;
    assert_int_equal(cvn_post(server, ask->worker, run_ask, ask), CVN_OK);
}

static void wait_until(const unsigned *counter)
{
    pthread_mutex_lock(&site_lock);
    site_wait_for(counter, 1);
    pthread_mutex_unlock(&site_lock);
}

static void run(struct ask *ask)
{
    begin(ask);
    wait_until(&ask->answers);
    assert_int_equal(ask->answered_on, ask->worker);
}

static char url_text[8][160];
static const char *url(const char *path)
{
    static unsigned next;
    char *text = url_text[next++ % 8];
    snprintf(text, sizeof *url_text, "%s%s", site.url, path);
    return text;
}

static int setup(void **state)
{
    (void)state;
    site_open(NULL, NULL);
    server = cvn_server_new(
        &(cvn_options){.host = "127.0.0.1", .workers = WORKERS, .hide_client = true});
    outgoing = outgoing_new(server);
    assert_non_null(outgoing);
    assert_int_equal(cvn_server_start(server), CVN_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cvn_server_free(server);
    outgoing_free(outgoing);
    site_close();
    return 0;
}

static void sends_what_it_is_told(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Test: a b", "Content-Type: application/json", NULL};
    struct ask get = {.request = {.url = url("/echo"), .headers = headers}, .worker = 0};
    struct ask post = {
        .request = {.url = url("/echo"), .headers = headers, .body = cvn_str("{\"a\":1}")},
        .worker = 1};
    struct ask put = {.request = {.url = url("/echo"), .method = "PUT", .body = cvn_str("x")}};
    struct ask bare = {.request = {.url = url("/echo"), .method = "POST"}};
    struct ask delete = {.request = {.url = url("/echo"), .method = "DELETE"}};
    run(&get);
    assert_string_equal(get.error, "");
    assert_int_equal(get.status, 200);
    assert_string_equal(get.body, "GET|a b|");
    assert_string_equal(get.type, "text/plain");
    run(&post);
    assert_string_equal(post.body, "POST|a b|{\"a\":1}");
    run(&put);
    assert_string_equal(put.body, "PUT||x");
    run(&bare);
    assert_string_equal(bare.body, "POST||");
    run(&delete);
    assert_string_equal(delete.body, "DELETE||");
}

static void any_status_is_an_answer(void **state)
{
    (void)state;
    struct ask busy = {.request = {.url = url("/")}}, gone = {.request = {.url = url("/")}};
    site_say(429, "later");
    run(&busy);
    assert_string_equal(busy.error, "");
    assert_int_equal(busy.status, 429);
    assert_int_equal(busy.retry_after_s, 7);
    assert_string_equal(busy.body, "later");
    site_say(503, "");
    run(&gone);
    assert_int_equal(gone.status, 503);
    assert_string_equal(gone.body, "");
    assert_int_equal(gone.retry_after_s, 0);
}

static void answers_have_a_bound(void **state)
{
    (void)state;
    struct ask fits = {.request = {.url = url("/"), .max_body = 10}}, over = fits;
    site_say(200, "0123456789");
    run(&fits);
    assert_string_equal(fits.body, "0123456789");
    site_say(200, "0123456789a");
    run(&over);
    assert_string_equal(over.error, "the answer is too long");
    assert_int_equal(over.status, 0);
    char *huge = calloc(1, 900001);
    memset(huge, 'x', 900000);
    site_say(200, huge);
    struct ask large = {.request = {.url = url("/"), .max_body = 900000}};
    run(&large);
    assert_string_equal(large.error, "");
    free(huge);
}

static void redirects_are_followed_when_asked_only(void **state)
{
    (void)state;
    struct ask plain = {.request = {.url = url("/")}};
    struct ask follow = {.request = {.url = url("/"), .follow_redirects = true}};
    struct ask body = {
        .request = {.url = url("/"), .follow_redirects = true, .body = cvn_str("private")}};
    site_say(302, "moved");
    run(&plain);
    assert_int_equal(plain.status, 302);
    run(&follow);
    assert_int_equal(follow.status, 200);
    assert_string_equal(follow.body, "elsewhere");
    run(&body); /* what was meant for one goes to nobody else */
    assert_int_equal(body.status, 302);
}

/* A server that takes the request and says nothing, and one that is not there. */
static void time_has_a_bound(void **state)
{
    (void)state;
    struct ask silent = {.request = {.url = url("/"), .timeout_ms = 50}};
    site_hold();
    run(&silent);
    assert_non_null(strstr(silent.error, "timed out"));
    site_release();
    char nobody[160];
    snprintf(nobody, sizeof nobody, "%s", url("/"));
    cvn_server_free(site.server);
    site.server = NULL;
    struct ask refused = {.request = {.url = nobody}};
    run(&refused);
    assert_string_not_equal(refused.error, "");
    assert_int_equal(refused.status, 0);
}

static void urls_of_other_kinds_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"file:///etc/passwd", "ftp://127.0.0.1/",    "",
                                        "127.0.0.1",          "gopher://127.0.0.1/", "HTTP:/x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ask ask = {.request = {.url = wrong[i]}};
        begin(&ask);
        wait_until(&ask.begun);
        assert_null(ask.call);
        assert_int_equal(ask.answers, 0);
    }
    struct ask malformed = {.request = {.url = "http://[::1"}};
    begin(&malformed);
    wait_until(&malformed.begun);
    if (malformed.call != NULL) {
        wait_until(&malformed.answers);
        assert_string_not_equal(malformed.error, "");
    }
    /* Not on a worker: nothing begins. */
    assert_null(
        outgoing_send(outgoing, &(struct outgoing_request){.url = url("/")}, on_answer, NULL));
    assert_null(outgoing_loop_here(outgoing));
}

static bool on_piece(cvn_slice data, void *pointer)
{
    struct ask *ask = pointer;
    pthread_mutex_lock(&site_lock);
    ask->pieces++;
    strncat(ask->streamed, data.data, data.size);
    bool go_on = strstr(ask->streamed, "stop") == NULL;
    pthread_mutex_unlock(&site_lock);
    return go_on;
}

static void bodies_can_be_streamed(void **state)
{
    (void)state;
    struct ask ask = {.request = {.url = url("/"), .on_data = on_piece}}, failed = ask, ended = ask;
    site_say(200, "a stream");
    run(&ask);
    assert_string_equal(ask.streamed, "a stream");
    assert_string_equal(ask.body, "");
    assert_true(ask.pieces >= 1);
    site_say(500, "why"); /* of a failure the body is told as ever */
    run(&failed);
    assert_int_equal(failed.pieces, 0);
    assert_string_equal(failed.body, "why");
    site_say(200, "please stop");
    run(&ended);
    assert_string_equal(ended.error, "it was ended");
}

static void a_cancelled_call_is_not_answered(void **state)
{
    (void)state;
    struct ask cancelled = {.request = {.url = url("/")}, .cancel = true};
    struct ask next = {.request = {.url = url("/echo")}};
    begin(&cancelled);
    wait_until(&cancelled.begun);
    assert_non_null(cancelled.call);
    run(&next);
    assert_int_equal(cancelled.answers, 0);
}

static void the_end_of_a_worker_answers_what_waits(void **state)
{
    (void)state;
    struct ask asks[6];
    site_hold();
    for (unsigned i = 0; i < 6; i++) {
        asks[i] = (struct ask){.request = {.url = url("/")}, .worker = i % WORKERS};
        begin(&asks[i]);
    }
    site_wait_for_requests(6);
    cvn_server_free(server);
    server = NULL;
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(asks[i].answers, 1);
        assert_true(asks[i].stopping);
        assert_string_equal(asks[i].error, "the server is going down");
    }
    site_release();
}

/* --- Certificates --- */

static void write_pem(const char *path, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    if (certificate != NULL)
        PEM_write_X509(file, certificate);
    else
        PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
}

/* A certificate for `name`, signed by itself. */
static X509 *certificate_for(EVP_PKEY *key, const char *name)
{
    X509 *certificate = X509_new();
    char alternative[128];
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    snprintf(alternative, sizeof alternative, "DNS:%s", name);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

static void check_certificate(const char *name, bool trusted, bool taken)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = certificate_for(key, name);
    char *cert_file = rig_file("", 0), *key_file = rig_file("", 0);
    write_pem(cert_file, certificate, NULL);
    write_pem(key_file, NULL, key);
    site_close();
    site_open(cert_file, key_file);
    struct ask ask = {.request = {.url = url("/echo"), .ca_file = trusted ? cert_file : NULL}};
    run(&ask);
    if (taken) {
        assert_string_equal(ask.error, "");
        assert_int_equal(ask.status, 200);
    } else {
        assert_string_not_equal(ask.error, "");
        assert_int_equal(ask.status, 0);
        assert_int_equal(site_requests(), 0);
    }
    rig_unlink(cert_file);
    rig_unlink(key_file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void certificates_are_verified(void **state)
{
    (void)state;
    check_certificate("localhost", true, true);
    check_certificate("localhost", false, false);
    check_certificate("elsewhere.example", true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sends_what_it_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(any_status_is_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_have_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(redirects_are_followed_when_asked_only, setup, teardown),
        cmocka_unit_test_setup_teardown(time_has_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(urls_of_other_kinds_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_can_be_streamed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_call_is_not_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_a_worker_answers_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(certificates_are_verified, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
