/*
 * The webhook against a real server on loopback: one question for those who ask the same, what is remembered, what is no answer, and the worker's end with
 * questions under way. The signature against a known vector; the memory by times that the test gives.
 */
#include "auth_rig.h"
#include "auth_site.h"
#include "access/access_webhook.h"
#include "access/access_webhook_cache.h"
#include "outgoing/outgoing.h"

static cvn_server *server;
static struct outgoing *outgoing;
static struct access_webhook *webhook;
static char hook_url[160];

/* --- Pure --- */

static void the_signature_is_of_the_time_and_the_body(void **state)
{
    (void)state;
    char signature[WEBHOOK_SIGNATURE_SIZE];
    assert_true(access_webhook_sign("hook secret", 1700000000, cvn_str("{\"a\":1}"), signature));
    /* printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'hook secret' */
    assert_string_equal(signature,
                        "sha256="
                        "ccc22d0cc8bb1a2f9d4e54b17d8bbac14cf6fdd7091d049b5cbc7727c35f697d");
    char other[WEBHOOK_SIGNATURE_SIZE];
    assert_true(access_webhook_sign("hook secret", 1700000001, cvn_str("{\"a\":1}"), other));
    assert_string_not_equal(signature, other);
}

static void reads_answers(void **state)
{
    (void)state;
    struct webhook_verdict verdict;
    assert_null(access_webhook_read(cvn_str("{\"allow\":true}"), &verdict));
    assert_int_equal(verdict.answer, GUARD_ALLOWED);
    assert_string_equal(verdict.permission, "");
    assert_false(verdict.has_ttl);
    assert_null(access_webhook_read(
        cvn_str(" {\"more\":[], \"allow\":false,\"permission\":null,\"ttl_s\":2.5}\n"), &verdict));
    assert_int_equal(verdict.answer, GUARD_DENIED);
    assert_true(verdict.has_ttl);
    assert_int_equal(verdict.ttl_s, 2);
    assert_null(access_webhook_read(
        cvn_str("{\"allow\":true,\"permission\":\"aaaaaaaaaabbbbbbbbbbccccccccccdd\"}"), &verdict));
    assert_int_equal(strlen(verdict.permission), 32);
    static const char *const wrong[] = {
        "",
        "{}",
        "true",
        "[true]",
        "{\"allow\":1}",
        "{\"allow\":\"true\"}",
        "{\"allow\":true",
        "{\"allow\":true}x",
        "{\"allow\":false,\"allow\":true}",
        "{\"allow\":true,\"permission\":\"aaaaaaaaaabbbbbbbbbbccccccccccddd\"}",
        "{\"allow\":true,\"permission\":\"Edit\"}",
        "{\"allow\":true,\"permission\":7}",
        "{\"allow\":true,\"ttl_s\":-1}",
        "{\"allow\":true,\"ttl_s\":86401}",
        "{\"allow\":true,\"ttl_s\":\"60\"}",
        "{\"allow\":true,\"ttl_s\":true}",
        "{\"allow\":true,\"note\":\"\xff\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        verdict.answer = GUARD_UNAVAILABLE;
        assert_non_null(access_webhook_read(cvn_str(wrong[i]), &verdict));
        assert_int_equal(verdict.answer, GUARD_UNAVAILABLE); /* untouched */
    }
    char deep[4001];
    memset(deep, '[', 4000);
    deep[4000] = '\0';
    assert_non_null(access_webhook_read(cvn_str(deep), &verdict));
}

static void remembers_so_many_for_so_long(void **state)
{
    (void)state;
    struct webhook_cache *cache = access_webhook_cache_new(3);
    struct webhook_verdict yes = {.answer = GUARD_ALLOWED, .permission = "edit"}, seen;
    struct webhook_verdict no = {.answer = GUARD_DENIED};
    uint8_t keys[4][WEBHOOK_KEY_SIZE] = {{1}, {2}, {3}, {4}};
    assert_non_null(cache);
    assert_false(access_webhook_cache_get(cache, keys[0], 0, &seen));
    access_webhook_cache_put(cache, keys[0], &yes, 100);
    assert_true(access_webhook_cache_get(cache, keys[0], 99, &seen));
    assert_string_equal(seen.permission, "edit");
    assert_false(access_webhook_cache_get(cache, keys[0], 100, &seen));
    assert_int_equal(access_webhook_cache_count(cache), 0);
    for (unsigned i = 0; i < 3; i++)
        access_webhook_cache_put(cache, keys[i], &yes, 100);
    access_webhook_cache_put(cache, keys[1], &no, 200); /* takes the place */
    assert_int_equal(access_webhook_cache_count(cache), 3);
    assert_true(access_webhook_cache_get(cache, keys[1], 150, &seen));
    assert_int_equal(seen.answer, GUARD_DENIED);
    assert_true(access_webhook_cache_get(cache, keys[0], 50, &seen)); /* used again */
    access_webhook_cache_put(cache, keys[3], &yes, 100); /* the one that was used first goes */
    assert_int_equal(access_webhook_cache_count(cache), 3);
    assert_false(access_webhook_cache_get(cache, keys[2], 50, &seen));
    assert_true(access_webhook_cache_get(cache, keys[0], 50, &seen));
    access_webhook_cache_free(cache);
    access_webhook_cache_free(NULL);
}

/* --- Asking --- */

struct asked {
    struct principal *principal;
    const char *id;
    unsigned begun, answers;
    enum guard_answer answer;
    char permission[40];
};

static void on_guard(enum guard_answer answer, const char *permission, void *data)
{
    struct asked *asked = data;
    pthread_mutex_lock(&site_lock);
    asked->answers++;
    asked->answer = answer;
    snprintf(asked->permission, sizeof asked->permission, "%s", permission);
    pthread_cond_broadcast(&site_bell);
    pthread_mutex_unlock(&site_lock);
}

static void run_ask(void *data)
{
    struct asked *asked = data;
    access_webhook_ask(webhook, asked->principal, RESOURCE_BOARD, asked->id, on_guard, asked);
    pthread_mutex_lock(&site_lock);
    asked->begun++;
    pthread_cond_broadcast(&site_bell);
    pthread_mutex_unlock(&site_lock);
}

static void begin(struct asked *asked)
{
    assert_int_equal(cvn_post(server, 0, run_ask, asked), CVN_OK);
}

static void wait_until(const unsigned *counter)
{
    pthread_mutex_lock(&site_lock);
    site_wait_for(counter, 1);
    pthread_mutex_unlock(&site_lock);
}

static enum guard_answer ask(struct principal *principal, const char *id)
{
    struct asked asked = {.principal = principal, .id = id};
    begin(&asked);
    wait_until(&asked.begun);
    wait_until(&asked.answers);
    return asked.answer;
}

static struct principal *ann, *ben;

static int open_with(uint32_t cache_ms, uint32_t timeout_ms)
{
    struct config config = rig_config();
    site_open(NULL, NULL);
    snprintf(hook_url, sizeof hook_url, "%s/hook", site.url);
    config.access.webhook_url = hook_url;
    config.access.webhook_secret = "hook secret";
    config.access.webhook_cache_ms = cache_ms;
    config.access.webhook_timeout_ms = timeout_ms;
    ann = principal_new(&(struct principal){.user_id = "ann", .role = ROLE_STUDENT});
    ben = principal_new(&(struct principal){.user_id = "ben", .role = ROLE_STUDENT});
    server = cvn_server_new(&(cvn_options){.host = "127.0.0.1", .workers = 1, .hide_client = true});
    outgoing = outgoing_new(server);
    assert_non_null(outgoing);
    webhook = access_webhook_new(&config, server, outgoing);
    assert_non_null(webhook);
    assert_int_equal(cvn_server_start(server), CVN_OK);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return open_with(3600000, 20000);
}

static int set_up_forgetful(void **state)
{
    (void)state;
    return open_with(0, 50);
}

static int tear_down(void **state)
{
    (void)state;
    cvn_server_free(server);
    access_webhook_free(webhook);
    outgoing_free(outgoing);
    site_close();
    principal_unref(ann);
    principal_unref(ben);
    return 0;
}

static void yes_and_no_are_remembered_each_for_whom_it_was(void **state)
{
    (void)state;
    site_say(200, "{\"allow\":true,\"permission\":\"edit\"}");
    assert_int_equal(ask(ann, "1"), GUARD_ALLOWED);
    site_say(200, "{\"allow\":false}");
    assert_int_equal(ask(ben, "1"), GUARD_DENIED);
    site_say(500, "");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(ann, "1"), GUARD_ALLOWED);
        assert_int_equal(ask(ben, "1"), GUARD_DENIED);
    }
    assert_int_equal(site_requests(), 2);
    assert_int_equal(ask(ann, "2"), GUARD_UNAVAILABLE);
    struct principal *promoted =
        principal_new(&(struct principal){.user_id = "ben", .role = ROLE_PROFESSOR});
    site_say(200, "{\"allow\":true,\"ttl_s\":0}");
    assert_int_equal(ask(promoted, "1"), GUARD_ALLOWED); /* with other claims: another question */
    assert_int_equal(ask(promoted, "1"), GUARD_ALLOWED); /* ttl_s: 0 is not remembered */
    assert_int_equal(site_requests(), 5);
    principal_unref(promoted);
}

static void those_who_ask_the_same_share_one_question(void **state)
{
    (void)state;
    struct asked same[5] = {0}, other = {.principal = ben, .id = "1"};
    site_say(200, "{\"allow\":true,\"permission\":\"view\"}");
    site_hold();
    for (int i = 0; i < 5; i++) {
        same[i] = (struct asked){.principal = ann, .id = "1"};
        begin(&same[i]);
        wait_until(&same[i].begun);
        assert_int_equal(same[i].answers, 0);
    }
    begin(&other);
    site_wait_for_requests(2);
    assert_int_equal(site_requests(), 2);
    site_release();
    wait_until(&other.answers);
    for (int i = 0; i < 5; i++) {
        wait_until(&same[i].answers);
        assert_int_equal(same[i].answer, GUARD_ALLOWED);
        assert_string_equal(same[i].permission, "view");
    }
}

static void what_is_no_answer_is_unavailable(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
    } bad[] = {{500, "{\"allow\":true}"}, {302, "{\"allow\":true}"}, {204, ""},
               {403, "{\"allow\":true}"}, {200, "nonsense"},         {200, "{\"allow\":null}"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        site_say(bad[i].status, bad[i].body);
        assert_int_equal(ask(ann, "1"), GUARD_UNAVAILABLE);
    }
    size_t size = WEBHOOK_MAX_ANSWER + 100;
    char *huge = calloc(1, size + 1);
    memset(huge, ' ', size);
    memcpy(huge, "{\"allow\":true}", 14);
    site_say(200, huge);
    assert_int_equal(ask(ann, "1"), GUARD_UNAVAILABLE);
    free(huge);
    assert_int_equal(site_requests(), 7); /* with the memory off each was asked */
    site_hold();
    assert_int_equal(ask(ann, "1"), GUARD_UNAVAILABLE); /* silence */
    site_say(200, "{\"allow\":true}");
    site_release();
}

static void the_end_answers_whoever_waits(void **state)
{
    (void)state;
    struct asked waiting = {.principal = ann, .id = "1"}, another = {.principal = ben, .id = "1"};
    site_hold();
    begin(&waiting);
    begin(&another);
    wait_until(&another.begun);
    cvn_server_free(server);
    server = NULL;
    assert_int_equal(waiting.answers, 1);
    assert_int_equal(waiting.answer, GUARD_UNAVAILABLE);
    assert_int_equal(another.answers, 1);
    site_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signature_is_of_the_time_and_the_body),
        cmocka_unit_test(reads_answers),
        cmocka_unit_test(remembers_so_many_for_so_long),
        cmocka_unit_test_setup_teardown(yes_and_no_are_remembered_each_for_whom_it_was, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(those_who_ask_the_same_share_one_question, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_answer_is_unavailable, set_up_forgetful,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_end_answers_whoever_waits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
