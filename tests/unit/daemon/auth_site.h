/*
 * Another server, for tests of requests to it: answers what the test says, now or when the test says so, and counts. And a mailbox in which
 * threads leave words for the test, which waits for them with a deadline. Include it behind auth_rig.h or cmocka.
 */
#ifndef AUTH_SITE_H
#define AUTH_SITE_H

#include <convene/convene.h>
#include <pthread.h>
#include <time.h>

/* --- Words for the test --- */

static pthread_mutex_t site_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t site_bell = PTHREAD_COND_INITIALIZER;

/* Waits, holding site_lock, until `*counter` has reached `goal`; fails after half a minute. */
static inline void site_wait_for(const unsigned *counter, unsigned goal)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 30;
    while (*counter < goal) {
        if (pthread_cond_timedwait(&site_bell, &site_lock, &deadline) != 0)
            fail_msg("waited for %u, there are %u", goal, *counter);
    }
}

/* --- The site --- */

#define SITE_MAX_HELD 16

static struct {
    cvn_server *server;
    char url[64]; /* of its root */
    int status;
    char *body;
    bool hold; /* answer when the test says so */
    cvn_http_request *held[SITE_MAX_HELD];
    unsigned held_count, requests;
} site;

static inline void site_respond(cvn_http_request *request)
{
    int status = site.status;
    if (status == 302)
        cvn_http_add_header(request, "Location", cvn_str("/elsewhere"));
    if (status == 429)
        cvn_http_add_header(request, "Retry-After", cvn_str("7"));
    cvn_http_respond(request, status, "application/json", cvn_str(site.body));
}

static inline void site_on_http(cvn_http_request *request, void *data)
{
    (void)data;
    cvn_slice path = cvn_http_path(request);
    pthread_mutex_lock(&site_lock);
    site.requests++;
    if (path.size == 5 && memcmp(path.data, "/echo", 5) == 0) {
        char text[4096];
        cvn_slice method = cvn_http_method(request), body = cvn_http_body(request);
        cvn_slice header = cvn_http_header(request, "x-test");
        snprintf(text, sizeof text, "%.*s|%.*s|%.*s", (int)method.size, method.data,
                 (int)header.size, header.data != NULL ? header.data : "", (int)body.size,
                 body.data != NULL ? body.data : "");
        cvn_http_respond(request, 200, "text/plain", cvn_str(text));
    } else if (path.size == 10 && memcmp(path.data, "/elsewhere", 10) == 0) {
        cvn_http_respond(request, 200, "text/plain", cvn_str("elsewhere"));
    } else if (site.hold && site.held_count < SITE_MAX_HELD) {
        site.held[site.held_count++] = request;
    } else {
        site_respond(request);
    }
    pthread_cond_broadcast(&site_bell);
    pthread_mutex_unlock(&site_lock);
}

static inline void site_release_held(void *data)
{
    (void)data;
    pthread_mutex_lock(&site_lock);
    site.hold = false;
    for (unsigned i = 0; i < site.held_count; i++)
        site_respond(site.held[i]);
    site.held_count = 0;
    pthread_mutex_unlock(&site_lock);
}

static inline void site_say(int status, const char *body)
{
    pthread_mutex_lock(&site_lock);
    free(site.body);
    site.status = status;
    site.body = strdup(body);
    pthread_mutex_unlock(&site_lock);
}

static inline void site_hold(void)
{
    pthread_mutex_lock(&site_lock);
    site.hold = true;
    pthread_mutex_unlock(&site_lock);
}

/* What is held is answered with what is said now. */
static inline void site_release(void)
{
    assert_int_equal(cvn_post(site.server, 0, site_release_held, NULL), CVN_OK);
}

static inline unsigned site_requests(void)
{
    pthread_mutex_lock(&site_lock);
    unsigned requests = site.requests;
    pthread_mutex_unlock(&site_lock);
    return requests;
}

static inline void site_wait_for_requests(unsigned goal)
{
    pthread_mutex_lock(&site_lock);
    site_wait_for(&site.requests, goal);
    pthread_mutex_unlock(&site_lock);
}

static inline void site_open(const char *cert, const char *key)
{
    memset(&site, 0, sizeof site);
    site.status = 200;
    site.body = strdup("{}");
    site.server = cvn_server_new(&(cvn_options){.host = "127.0.0.1",
                                                .workers = 1,
                                                .tls_cert_file = cert,
                                                .tls_key_file = key,
                                                .hide_client = true});
    assert_non_null(site.server);
    cvn_on_http(site.server, site_on_http, NULL);
    assert_int_equal(cvn_server_start(site.server), CVN_OK);
    snprintf(site.url, sizeof site.url, "%s://%s:%u", cert != NULL ? "https" : "http",
             cert != NULL ? "localhost" : "127.0.0.1", cvn_server_port(site.server));
}

static inline void site_close(void)
{
    cvn_server_free(site.server);
    free(site.body);
    site.server = NULL;
    site.body = NULL;
}

#endif
