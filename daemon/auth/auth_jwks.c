/*
 * Fetching, and those who wait for it. The cache and its rules are shared by all workers, below a lock that is never held while anything is
 * called. Whoever waits does so in a list of the own worker, which no other thread touches; the worker that has fetched posts to the others
 * that they look. Each worker also has a timer, so that nobody waits for ever, even if a post is lost for want of memory.
 */
#include "auth/auth_jwks.h"
#include "auth/auth_jwks_cache.h"
#include "observe/log.h"
#include "outgoing/outgoing.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_TIMEOUT_MS   5000
#define CONNECT_TIMEOUT_MS 3000
#define MAX_DOCUMENT       ((size_t)256 * 1024)

/* Those who wait on one worker; its thread alone touches this. */
struct lane {
    struct auth_jwks *jwks;
    struct auth_jwks_waiter *first;
    cvn_timer *timer; /* NULL: nobody can wait here */
};

struct auth_jwks {
    cvn_server *server;
    struct outgoing *outgoing;
    const struct auth_clock *clock;
    char *url;
    pthread_mutex_t lock; /* of all below, but not of the lanes' insides */
    struct auth_jwks_cache cache;
    size_t waiting;
    unsigned lane_count;
    struct lane *lanes;
};

static uint64_t now_of(const struct auth_jwks *jwks)
{
    return jwks->clock->monotonic_ms(jwks->clock->data);
}

/* --- Waking --- */

/* Calls those whose fetch has ended; all of them with `force`. */
static void wake(struct lane *lane, bool force)
{
    struct auth_jwks *jwks = lane->jwks;
    struct auth_jwks_waiter *woken = NULL, **woken_end = &woken, **at = &lane->first;
    size_t count = 0;
    pthread_mutex_lock(&jwks->lock);
    while (*at != NULL) {
        struct auth_jwks_waiter *waiter = *at;
        if (!force && waiter->finished == jwks->cache.finished) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->next = NULL;
        *woken_end = waiter;
        woken_end = &waiter->next;
        auth_jwks_cache_miss(&jwks->cache, waiter->kid);
        count++;
    }
    jwks->waiting -= count;
    pthread_mutex_unlock(&jwks->lock);
    if (lane->first == NULL && lane->timer != NULL)
        cvn_timer_stop(lane->timer);
    while (woken != NULL) {
        struct auth_jwks_waiter *waiter = woken;
        woken = waiter->next;
        free(waiter->kid);
        waiter->fn(waiter); /* may wait again */
    }
}

static void on_posted(void *data)
{
    wake(data, false);
}

static void on_timer(cvn_timer *timer, void *data)
{
    (void)timer;
    wake(data, true);
}

static void wake_all(struct auth_jwks *jwks)
{
    unsigned own = cvn_worker_index(jwks->server);
    for (unsigned i = 0; i < jwks->lane_count; i++) {
        if (i != own && cvn_post(jwks->server, i, on_posted, &jwks->lanes[i]) == CVN_ERR_MEMORY)
            log_entry(LOG_WARN, "out of memory: some wait longer for keys than they need", LOG_END);
    }
    if (own < jwks->lane_count)
        wake(&jwks->lanes[own], false);
}

/* --- Fetching --- */

/* The keys of an answer, or NULL with *ret_why. */
static struct auth_keys *read_answer(const struct outgoing_answer *answer, unsigned *ret_skipped,
                                     const char **ret_why)
{
    if (answer->error != NULL || answer->status != 200) {
        *ret_why = answer->error != NULL ? answer->error : "the answer's status is not 200";
        return NULL;
    }
    struct auth_keys *keys = auth_keys_new();
    *ret_why = keys != NULL ? auth_keys_add_jwks(keys, answer->body, ret_skipped) : "out of memory";
    if (*ret_why == NULL)
        return keys;
    auth_keys_unref(keys);
    return NULL;
}

static void finish(struct auth_jwks *jwks, struct auth_keys *keys)
{
    pthread_mutex_lock(&jwks->lock);
    auth_jwks_cache_finish(&jwks->cache, keys, now_of(jwks));
    pthread_mutex_unlock(&jwks->lock);
    wake_all(jwks);
}

static void on_answer(const struct outgoing_answer *answer, void *data)
{
    struct auth_jwks *jwks = data;
    unsigned skipped = 0;
    const char *why;
    struct auth_keys *keys = read_answer(answer, &skipped, &why);
    if (keys != NULL)
        log_entry(auth_keys_count(keys) > 0 ? LOG_INFO : LOG_WARN, "keys were fetched",
                  LOG_TEXT("url", jwks->url), LOG_NUMBER("keys", auth_keys_count(keys)),
                  LOG_NUMBER("skipped", skipped), LOG_END);
    else
        log_entry(LOG_WARN, "keys could not be fetched", LOG_TEXT("url", jwks->url),
                  LOG_TEXT("why", why), LOG_NUMBER("status", answer->status), LOG_END);
    finish(jwks, keys);
}

/* The cache says that it is fetching already. On a worker. */
static void fetch(struct auth_jwks *jwks)
{
    static const char *const headers[] = {"Accept: application/jwk-set+json, application/json",
                                          NULL};
    const struct outgoing_request request = {
        .url = jwks->url,
        .headers = headers,
        .timeout_ms = FETCH_TIMEOUT_MS,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .max_body = MAX_DOCUMENT,
    };
    const char *why = "out of memory, or the server is going down";
    if (outgoing_send(jwks->outgoing, &request, on_answer, jwks) == NULL) {
        log_entry(LOG_WARN, "keys could not be fetched", LOG_TEXT("url", jwks->url),
                  LOG_TEXT("why", why), LOG_END);
        finish(jwks, NULL);
    }
}

enum auth_jwks_advice auth_jwks_ask(struct auth_jwks *jwks, const char *kid,
                                    struct auth_keys **ret_keys)
{
    pthread_mutex_lock(&jwks->lock);
    enum auth_jwks_advice advice = auth_jwks_cache_ask(&jwks->cache, kid, now_of(jwks), ret_keys);
    pthread_mutex_unlock(&jwks->lock);
    return advice;
}

/* Whether to call at once, to wait, or to refuse; and whether to fetch. */
enum entrance { ENTER_AT_ONCE, ENTER_WAIT, ENTER_WAIT_AND_FETCH, ENTER_NOT };

static enum entrance enter(struct auth_jwks *jwks, const char *kid, struct auth_jwks_waiter *waiter)
{
    struct auth_keys *keys = NULL;
    enum entrance entrance = ENTER_NOT;
    pthread_mutex_lock(&jwks->lock);
    if (auth_jwks_cache_ask(&jwks->cache, kid, now_of(jwks), &keys) != AUTH_JWKS_WAIT) {
        entrance = ENTER_AT_ONCE;
    } else if (jwks->waiting < AUTH_JWKS_MAX_WAITING) {
        entrance = jwks->cache.is_fetching ? ENTER_WAIT : ENTER_WAIT_AND_FETCH;
        if (entrance == ENTER_WAIT_AND_FETCH)
            auth_jwks_cache_begin(&jwks->cache);
        waiter->finished = jwks->cache.finished;
        jwks->waiting++;
    }
    pthread_mutex_unlock(&jwks->lock);
    auth_keys_unref(keys);
    return entrance;
}

bool auth_jwks_wait(struct auth_jwks *jwks, const char *kid, struct auth_jwks_waiter *waiter,
                    void (*fn)(struct auth_jwks_waiter *waiter))
{
    unsigned index = cvn_worker_index(jwks->server);
    struct lane *lane = index < jwks->lane_count ? &jwks->lanes[index] : NULL;
    if (lane == NULL || lane->timer == NULL)
        return false;
    *waiter = (struct auth_jwks_waiter){.kid = kid != NULL ? strdup(kid) : NULL, .fn = fn};
    if (kid != NULL && waiter->kid == NULL)
        return false;
    enum entrance entrance = enter(jwks, kid, waiter);
    switch (entrance) {
    case ENTER_NOT:
        free(waiter->kid);
        return false;
    case ENTER_AT_ONCE:
        free(waiter->kid);
        fn(waiter);
        return true;
    case ENTER_WAIT:
    case ENTER_WAIT_AND_FETCH:
        break;
    }
    waiter->next = lane->first;
    lane->first = waiter;
    if (!cvn_timer_is_waiting(lane->timer))
        cvn_timer_start(lane->timer, FETCH_TIMEOUT_MS + 1000);
    if (entrance == ENTER_WAIT_AND_FETCH)
        fetch(jwks);
    return true;
}

void auth_jwks_expire(struct auth_jwks *jwks)
{
    pthread_mutex_lock(&jwks->lock);
    auth_jwks_cache_expire(&jwks->cache);
    pthread_mutex_unlock(&jwks->lock);
}

/* --- Life --- */

/* The first worker fetches at once: the operator reads in the log whether the URL is right, and the first client need not wait. */
static void on_worker_start(cvn_server *server, unsigned index, void *data)
{
    struct auth_jwks *jwks = data;
    struct lane *lane = &jwks->lanes[index];
    lane->timer = cvn_timer_new(server, on_timer, NULL, lane);
    if (index != 0)
        return;
    pthread_mutex_lock(&jwks->lock);
    bool begin = !jwks->cache.is_fetching;
    if (begin)
        auth_jwks_cache_begin(&jwks->cache);
    pthread_mutex_unlock(&jwks->lock);
    if (begin)
        fetch(jwks);
}

static void on_worker_stop(cvn_server *server, unsigned index, void *data)
{
    struct auth_jwks *jwks = data;
    struct lane *lane = &jwks->lanes[index];
    (void)server;
    cvn_timer_free(lane->timer);
    lane->timer = NULL; /* nobody waits here from now on */
    wake(lane, true);
}

static bool fill(struct auth_jwks *jwks, const char *url)
{
    jwks->lane_count = cvn_server_workers(jwks->server);
    jwks->lanes = calloc(jwks->lane_count, sizeof *jwks->lanes);
    jwks->url = strdup(url);
    if (jwks->lanes == NULL || jwks->url == NULL)
        return false;
    for (unsigned i = 0; i < jwks->lane_count; i++)
        jwks->lanes[i].jwks = jwks;
    return cvn_on_worker_start(jwks->server, on_worker_start, jwks) == CVN_OK &&
           cvn_on_worker_stop(jwks->server, on_worker_stop, jwks) == CVN_OK;
}

struct auth_jwks *auth_jwks_new(const struct config *config, cvn_server *server,
                                struct outgoing *outgoing, const struct auth_clock *clock)
{
    struct auth_jwks *jwks = calloc(1, sizeof *jwks);
    if (jwks == NULL || pthread_mutex_init(&jwks->lock, NULL) != 0) {
        free(jwks);
        return NULL;
    }
    jwks->server = server;
    jwks->outgoing = outgoing;
    jwks->clock = clock;
    auth_jwks_cache_init(&jwks->cache, config->auth.jwks_cache_ms, config->auth.jwks_cooldown_ms);
    if (fill(jwks, config->auth.jwks_url))
        return jwks;
    auth_jwks_free(jwks);
    return NULL;
}

void auth_jwks_free(struct auth_jwks *jwks)
{
    if (jwks == NULL)
        return;
    auth_jwks_cache_release(&jwks->cache);
    pthread_mutex_destroy(&jwks->lock);
    free(jwks->lanes);
    free(jwks->url);
    free(jwks);
}
