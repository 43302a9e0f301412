/*
 * See access_webhook.h. A lane per worker holds the questions that are under way and the answers that are remembered; only its worker touches it. What is
 * asked is known by the SHA-256 of the body, so whoever has other claims asks anew. When the worker ends its requests are cancelled and those who
 * wait are answered at once: this part was made after outgoing, so it hears of the end first.
 */
#include "access/access_webhook.h"
#include "access/access_webhook_cache.h"
#include "observe/log.h"
#include "outgoing/outgoing.h"
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BODY ((size_t)128 * 1024) /* 256 divisions of 128 bytes, escaped at worst, fit */

struct waiter {
    struct waiter *next;
    guard_fn fn;
    void *data;
};

/* One that is under way. */
struct question {
    struct lane *lane;
    struct question *next;
    struct outgoing_call *call;
    struct waiter *waiters;
    uint8_t key[WEBHOOK_KEY_SIZE];
};

struct lane {
    struct access_webhook *webhook;
    struct webhook_cache *cache; /* NULL: the worker does not run */
    struct question *questions;
    size_t question_count, waiting;
    bool is_failing; /* the last answer was none: said once, not every time */
};

struct access_webhook {
    cvn_server *server;
    struct outgoing *outgoing;
    char *url, *secret; /* secret NULL: unsigned */
    uint32_t timeout_ms, cache_ms;
    unsigned lane_count;
    struct lane *lanes;
};

static uint64_t steady_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- What is sent --- */

bool access_webhook_sign(const char *secret, int64_t timestamp, cvn_slice body,
                         char ret[WEBHOOK_SIGNATURE_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    cvn_text *text = cvn_text_new(body.size + 32);
    if (text == NULL)
        return false;
    cvn_text_printf(text, "%" PRId64 ".", timestamp);
    cvn_text_append_slice(text, body);
    cvn_slice message = cvn_text_slice(text);
    bool done = !cvn_text_failed(text) &&
                HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)message.data,
                     message.size, digest, &digest_size) != NULL;
    cvn_text_free(text);
    if (!done)
        return false;
    size_t used = (size_t)snprintf(ret, WEBHOOK_SIGNATURE_SIZE, "sha256=");
    for (unsigned i = 0; i < digest_size; i++)
        used += (size_t)snprintf(ret + used, WEBHOOK_SIGNATURE_SIZE - used, "%02x", digest[i]);
    return true;
}

static void append_member(cvn_text *text, const char *key, const char *value)
{
    cvn_text_printf(text, ",\"%s\":", key);
    if (value != NULL)
        cvn_text_append_json_string(text, cvn_str(value));
    else
        cvn_text_append(text, "null");
}

/* NULL: no memory. The same question has the same text. */
static cvn_text *write_body(const struct principal *principal, enum resource_kind kind,
                            const char *id)
{
    cvn_text *text = cvn_text_new(MAX_BODY);
    if (text == NULL)
        return NULL;
    cvn_text_append(text, "{\"action\":\"join\"");
    append_member(text, "kind", resource_name(kind));
    append_member(text, "id", id);
    append_member(text, "user_id", principal->user_id);
    append_member(text, "role", role_name(principal->role));
    append_member(text, "org_id", principal->org_id);
    cvn_text_append(text, ",\"division_ids\":[");
    for (size_t i = 0; i < principal->division_ids.count; i++) {
        cvn_text_append(text, i > 0 ? "," : "");
        cvn_text_append_json_string(text, cvn_str(principal->division_ids.items[i]));
    }
    cvn_text_append(text, "]}");
    if (!cvn_text_failed(text))
        return text;
    cvn_text_free(text);
    return NULL;
}

/* --- What comes back --- */

static bool is_permission(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    return size < WEBHOOK_PERMISSION_SIZE && text[size] == '\0';
}

static const char *read_members(const json_t *root, struct webhook_verdict *verdict)
{
    const json_t *allow = json_object_get(root, "allow");
    const json_t *permission = json_object_get(root, "permission");
    const json_t *ttl = json_object_get(root, "ttl_s");
    if (!json_is_boolean(allow))
        return "allow is not true or false";
    verdict->answer = json_is_true(allow) ? GUARD_ALLOWED : GUARD_DENIED;
    if (permission != NULL && !json_is_null(permission)) {
        if (!json_is_string(permission) || !is_permission(json_string_value(permission)))
            return "permission is not up to 32 of a-z and _";
        snprintf(verdict->permission, sizeof verdict->permission, "%s",
                 json_string_value(permission));
    }
    if (ttl != NULL && !json_is_null(ttl)) {
        double seconds = json_is_number(ttl) ? json_number_value(ttl) : -1;
        if (!(seconds >= 0 && seconds <= WEBHOOK_MAX_TTL_S))
            return "ttl_s is not a number of 0 to 86400";
        verdict->has_ttl = true;
        verdict->ttl_s = (uint32_t)seconds;
    }
    return NULL;
}

const char *access_webhook_read(cvn_slice body, struct webhook_verdict *ret)
{
    struct webhook_verdict verdict = {.answer = GUARD_UNAVAILABLE};
    if (body.size > WEBHOOK_MAX_ANSWER || !cvn_json_is_valid(body, 32))
        return "the answer is not JSON";
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    const char *wrong = !json_is_object(root)
                            ? "the answer is not a JSON object, or has a name twice"
                            : read_members(root, &verdict);
    json_decref(root);
    if (wrong == NULL)
        *ret = verdict;
    return wrong;
}

/* 0: not at all. */
static uint64_t memory_ms(const struct access_webhook *webhook,
                          const struct webhook_verdict *verdict)
{
    uint64_t ms = verdict->has_ttl ? (uint64_t)verdict->ttl_s * 1000 : webhook->cache_ms;
    uint64_t most = verdict->answer == GUARD_ALLOWED  ? UINT64_MAX
                    : verdict->answer == GUARD_DENIED ? WEBHOOK_MAX_NO_MS
                                                      : WEBHOOK_FAILED_MS;
    if (webhook->cache_ms == 0)
        return 0;
    return ms < most ? ms : most;
}

/* Out of the lane, its waiters answered; they may ask again at once. */
static void settle(struct question *question, const struct webhook_verdict *verdict)
{
    struct lane *lane = question->lane;
    struct question **at = &lane->questions;
    while (*at != question)
        at = &(*at)->next;
    *at = question->next;
    lane->question_count--;
    struct waiter *waiters = question->waiters;
    free(question);
    while (waiters != NULL) {
        struct waiter *waiter = waiters;
        waiters = waiter->next;
        lane->waiting--;
        waiter->fn(verdict->answer, verdict->permission, waiter->data);
        free(waiter);
    }
}

static void note(struct lane *lane, const char *wrong, int status)
{
    bool was_failing = lane->is_failing;
    lane->is_failing = wrong != NULL;
    if (lane->is_failing == was_failing)
        return;
    if (wrong != NULL)
        log_entry(LOG_WARN, "the webhook does not say who may join: joins are refused",
                  LOG_TEXT("url", lane->webhook->url), LOG_TEXT("why", wrong),
                  LOG_NUMBER("status", status), LOG_END);
    else
        log_entry(LOG_INFO, "the webhook answers again", LOG_TEXT("url", lane->webhook->url),
                  LOG_END);
}

static void on_answer(const struct outgoing_answer *answer, void *data)
{
    struct question *question = data;
    struct lane *lane = question->lane;
    struct webhook_verdict verdict = {.answer = GUARD_UNAVAILABLE};
    const char *wrong = answer->error;
    if (wrong == NULL)
        wrong = answer->status == 200 ? access_webhook_read(answer->body, &verdict)
                                      : "the answer's status is not 200";
    if (!answer->is_stopping)
        note(lane, wrong, answer->status);
    uint64_t ms = memory_ms(lane->webhook, &verdict);
    if (ms > 0 && lane->cache != NULL)
        access_webhook_cache_put(lane->cache, question->key, &verdict, steady_ms() + ms);
    settle(question, &verdict);
}

/* --- Asking --- */

static bool send_question(struct question *question, cvn_slice body)
{
    const struct access_webhook *webhook = question->lane->webhook;
    int64_t now = (int64_t)time(NULL);
    char stamp[48], signature[WEBHOOK_SIGNATURE_SIZE], signed_by[WEBHOOK_SIGNATURE_SIZE + 32];
    snprintf(stamp, sizeof stamp, "X-Convene-Timestamp: %" PRId64, now);
    if (webhook->secret != NULL) {
        if (!access_webhook_sign(webhook->secret, now, body, signature))
            return false;
        snprintf(signed_by, sizeof signed_by, "X-Convene-Signature: %s", signature);
    }
    const char *const headers[] = {"Content-Type: application/json", "Accept: application/json",
                                   stamp, webhook->secret != NULL ? signed_by : NULL, NULL};
    const struct outgoing_request request = {
        .url = webhook->url,
        .headers = headers,
        .body = body,
        .timeout_ms = webhook->timeout_ms,
        .connect_timeout_ms = webhook->timeout_ms,
        .max_body = WEBHOOK_MAX_ANSWER,
    };
    question->call = outgoing_send(webhook->outgoing, &request, on_answer, question);
    return question->call != NULL;
}

/* The one that is under way already, or a new one. NULL: there cannot be one. */
static struct question *question_of(struct lane *lane, const uint8_t key[WEBHOOK_KEY_SIZE],
                                    cvn_slice body)
{
    for (struct question *question = lane->questions; question != NULL; question = question->next)
        if (memcmp(question->key, key, WEBHOOK_KEY_SIZE) == 0)
            return question;
    if (lane->question_count >= WEBHOOK_MAX_QUESTIONS)
        return NULL;
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL)
        return NULL;
    question->lane = lane;
    memcpy(question->key, key, WEBHOOK_KEY_SIZE);
    if (!send_question(question, body)) {
        free(question);
        return NULL;
    }
    question->next = lane->questions;
    lane->questions = question;
    lane->question_count++;
    return question;
}

/* True: `fn` will be called. */
static bool wait_for(struct lane *lane, const uint8_t key[WEBHOOK_KEY_SIZE], cvn_slice body,
                     guard_fn fn, void *data)
{
    struct waiter *waiter = lane->waiting < WEBHOOK_MAX_WAITING ? malloc(sizeof *waiter) : NULL;
    struct question *question = waiter != NULL ? question_of(lane, key, body) : NULL;
    if (question == NULL) {
        free(waiter);
        return false;
    }
    *waiter = (struct waiter){NULL, fn, data};
    struct waiter **end = &question->waiters;
    while (*end != NULL)
        end = &(*end)->next;
    *end = waiter;
    lane->waiting++;
    return true;
}

void access_webhook_ask(struct access_webhook *webhook, struct principal *principal,
                        enum resource_kind kind, const char *id, guard_fn fn, void *data)
{
    unsigned index = cvn_worker_index(webhook->server);
    struct lane *lane = index < webhook->lane_count ? &webhook->lanes[index] : NULL;
    struct webhook_verdict verdict = {.answer = GUARD_UNAVAILABLE};
    uint8_t key[EVP_MAX_MD_SIZE];
    cvn_text *text = lane != NULL && lane->cache != NULL ? write_body(principal, kind, id) : NULL;
    cvn_slice body = text != NULL ? cvn_text_slice(text) : cvn_str("");
    bool is_waiting = false;
    if (text != NULL && EVP_Digest(body.data, body.size, key, NULL, EVP_sha256(), NULL) == 1 &&
        !access_webhook_cache_get(lane->cache, key, steady_ms(), &verdict))
        is_waiting = wait_for(lane, key, body, fn, data);
    cvn_text_free(text);
    if (!is_waiting)
        fn(verdict.answer, verdict.permission, data);
}

/* --- Life --- */

static void on_worker_start(cvn_server *server, unsigned index, void *data)
{
    struct access_webhook *webhook = data;
    (void)server;
    webhook->lanes[index].cache = access_webhook_cache_new(WEBHOOK_CACHE);
    if (webhook->lanes[index].cache == NULL)
        log_entry(LOG_ERROR, "out of memory: a worker cannot ask the webhook", LOG_END);
}

static void on_worker_stop(cvn_server *server, unsigned index, void *data)
{
    static const struct webhook_verdict nobody_knows = {.answer = GUARD_UNAVAILABLE};
    struct access_webhook *webhook = data;
    struct lane *lane = &webhook->lanes[index];
    (void)server;
    access_webhook_cache_free(lane->cache);
    lane->cache = NULL; /* nothing is asked here from now on */
    while (lane->questions != NULL) {
        outgoing_cancel(lane->questions->call);
        settle(lane->questions, &nobody_knows);
    }
}

static bool fill(struct access_webhook *webhook, const struct config *config)
{
    webhook->lane_count = cvn_server_workers(webhook->server);
    webhook->lanes = calloc(webhook->lane_count, sizeof *webhook->lanes);
    webhook->url = strdup(config->access.webhook_url);
    webhook->secret =
        config->access.webhook_secret != NULL ? strdup(config->access.webhook_secret) : NULL;
    if (webhook->lanes == NULL || webhook->url == NULL ||
        (config->access.webhook_secret != NULL && webhook->secret == NULL))
        return false;
    for (unsigned i = 0; i < webhook->lane_count; i++)
        webhook->lanes[i].webhook = webhook;
    return cvn_on_worker_start(webhook->server, on_worker_start, webhook) == CVN_OK &&
           cvn_on_worker_stop(webhook->server, on_worker_stop, webhook) == CVN_OK;
}

struct access_webhook *access_webhook_new(const struct config *config, cvn_server *server,
                                          struct outgoing *outgoing)
{
    struct access_webhook *webhook = calloc(1, sizeof *webhook);
    if (webhook == NULL)
        return NULL;
    webhook->server = server;
    webhook->outgoing = outgoing;
    webhook->timeout_ms = config->access.webhook_timeout_ms;
    webhook->cache_ms = config->access.webhook_cache_ms;
    if (fill(webhook, config))
        return webhook;
    log_entry(LOG_ERROR, "the webhook cannot be asked: out of memory", LOG_END);
    access_webhook_free(webhook);
    return NULL;
}

void access_webhook_free(struct access_webhook *webhook)
{
    if (webhook == NULL)
        return;
    free(webhook->lanes);
    free(webhook->url);
    free(webhook->secret);
    free(webhook);
}
