/*
 * Calls on top of outgoing_loop: one lane a worker, made and undone by the worker's own hooks and touched by its thread alone. A call owns all
 * that its transfer points to. libcurl's callbacks only gather; the caller is called when the transfer is out of libcurl's hands.
 */
#include "outgoing/outgoing.h"
#include "outgoing/outgoing_loop.h"
#include <convene/uv.h>
#include <limits.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 10000
#define MAX_REDIRECTS      5
#define FIRST_CAPACITY     ((size_t)4096)

struct lane {
    struct outgoing_loop *loop; /* NULL before the worker's start and from its end on */
    struct outgoing_call *calls;
};

struct outgoing {
    cvn_server *server;
    unsigned lane_count;
    struct lane lanes[];
};

struct outgoing_call {
    struct outgoing_call *next, **place; /* in its lane */
    struct lane *lane;
    CURL *easy;
    struct curl_slist *headers;
    outgoing_fn fn;
    bool (*on_data)(cvn_slice data, void *data_pointer);
    void *data;
    char *body;
    size_t size, capacity, max;
    const char *trouble; /* why we ended it ourselves */
    char error[CURL_ERROR_SIZE];
};

/* --- Lanes --- */

static void on_worker_start(cvn_server *server, unsigned index, void *data)
{
    struct outgoing *outgoing = data;
    outgoing->lanes[index].loop = outgoing_loop_new(cvn_worker_loop(server));
}

static void answer(struct outgoing_call *call, const struct outgoing_answer *told);

static void on_worker_stop(cvn_server *server, unsigned index, void *data)
{
    static const struct outgoing_answer stopping = {
        .error = "the server is going down", .is_stopping = true, .content_type = ""};
    struct outgoing *outgoing = data;
    struct lane *lane = &outgoing->lanes[index];
    struct outgoing_loop *loop = lane->loop;
    (void)server;
    lane->loop = NULL; /* nothing begins any more */
    while (lane->calls != NULL) {
        outgoing_loop_remove(loop, lane->calls->easy);
        answer(lane->calls, &stopping);
    }
    if (loop != NULL)
        outgoing_loop_free(loop, NULL, NULL);
}

struct outgoing *outgoing_new(cvn_server *server)
{
    unsigned count = cvn_server_workers(server);
    struct outgoing *outgoing = calloc(1, sizeof *outgoing + count * sizeof *outgoing->lanes);
    if (outgoing == NULL)
        return NULL;
    outgoing->server = server;
    outgoing->lane_count = count;
    if (cvn_on_worker_start(server, on_worker_start, outgoing) == CVN_OK &&
        cvn_on_worker_stop(server, on_worker_stop, outgoing) == CVN_OK)
        return outgoing;
    free(outgoing);
    return NULL;
}

void outgoing_free(struct outgoing *outgoing)
{
    free(outgoing);
}

static struct lane *lane_here(struct outgoing *outgoing)
{
    unsigned index = cvn_worker_index(outgoing->server);
    struct lane *lane = index < outgoing->lane_count ? &outgoing->lanes[index] : NULL;
    return lane != NULL && lane->loop != NULL ? lane : NULL;
}

struct outgoing_loop *outgoing_loop_here(struct outgoing *outgoing)
{
    struct lane *lane = lane_here(outgoing);
    return lane != NULL ? lane->loop : NULL;
}

/* --- Calls --- */

static void release(struct outgoing_call *call)
{
    if (call->place != NULL) {
        *call->place = call->next;
        if (call->next != NULL)
            call->next->place = call->place;
    }
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    free(call->body);
    free(call);
}

/* Takes it out before its owner is told, who may send the next one or end the server. */
static void answer(struct outgoing_call *call, const struct outgoing_answer *told)
{
    *call->place = call->next;
    if (call->next != NULL)
        call->next->place = call->place;
    call->place = NULL;
    call->fn(told, call->data);
    release(call);
}

static bool grow(struct outgoing_call *call, size_t size)
{
    if (size <= call->capacity)
        return true;
    size_t capacity = call->capacity > 0 ? call->capacity : FIRST_CAPACITY;
    while (capacity < size)
        capacity *= 2;
    if (capacity > call->max)
        capacity = call->max;
    char *body = realloc(call->body, capacity);
    if (body == NULL)
        return false;
    call->body = body;
    call->capacity = capacity;
    return true;
}

/* Bytes of a body. What is returned besides `size` makes libcurl give up. */
static size_t on_write(char *data, size_t one, size_t size, void *pointer)
{
    struct outgoing_call *call = pointer;
    long status = 0;
    (void)one;
    if (size > call->max - call->size) {
        call->trouble = "the answer is too long";
        return CURL_WRITEFUNC_ERROR;
    }
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->on_data != NULL && status >= 200 && status < 300) {
        call->size += size;
        if (call->on_data((cvn_slice){data, size}, call->data))
            return size;
        call->trouble = "it was ended";
        return CURL_WRITEFUNC_ERROR;
    }
    if (!grow(call, call->size + size)) {
        call->trouble = "out of memory";
        return CURL_WRITEFUNC_ERROR;
    }
    memcpy(call->body + call->size, data, size);
    call->size += size;
    return size;
}

static void on_done(CURL *easy, CURLcode result, void *data)
{
    struct outgoing_call *call = data;
    struct outgoing_answer told = {.content_type = ""};
    const char *content_type = NULL;
    curl_off_t retry_after = 0;
    long status = 0;
    if (result != CURLE_OK) {
        told.error = call->trouble != NULL    ? call->trouble
                     : call->error[0] != '\0' ? call->error
                                              : curl_easy_strerror(result);
    } else {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &content_type);
        curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
        told.status = (int)status;
        told.content_type = content_type != NULL ? content_type : "";
        told.retry_after_s = retry_after > UINT32_MAX ? UINT32_MAX : (uint32_t)retry_after;
        if (call->body != NULL)
            told.body = (cvn_slice){call->body, call->size};
    }
    answer(call, &told);
}

/* --- Describing a request to libcurl --- */

#define SET(option, value) (curl_easy_setopt(call->easy, (option), (value)) == CURLE_OK)

static bool set_headers(struct outgoing_call *call, const struct outgoing_request *request)
{
    /* No "Expect: 100-continue", which costs a round trip and some servers ignore. */
    if ((call->headers = curl_slist_append(NULL, "Expect:")) == NULL)
        return false;
    for (const char *const *header = request->headers; header != NULL && *header != NULL;
         header++) {
        struct curl_slist *longer = curl_slist_append(call->headers, *header);
        if (longer == NULL)
            return false;
        call->headers = longer;
    }
    return SET(CURLOPT_HTTPHEADER, call->headers);
}

static bool set_body(struct outgoing_call *call, const struct outgoing_request *request)
{
    bool has_body = request->body.size > 0;
    const char *method = request->method != NULL ? request->method : has_body ? "POST" : "GET";
    if (has_body || strcmp(method, "POST") == 0) {
        if (!SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size) ||
            !SET(CURLOPT_COPYPOSTFIELDS, has_body ? request->body.data : ""))
            return false;
        return strcmp(method, "POST") == 0 || SET(CURLOPT_CUSTOMREQUEST, method);
    }
    return strcmp(method, "GET") == 0 || SET(CURLOPT_CUSTOMREQUEST, method);
}

static bool set_bounds(struct outgoing_call *call, const struct outgoing_request *request)
{
    uint32_t connect = request->connect_timeout_ms;
    uint32_t idle_s = request->idle_timeout_ms / 1000 + (request->idle_timeout_ms % 1000 > 0);
    return SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(connect > 0 ? connect : CONNECT_TIMEOUT_MS)) &&
           SET(CURLOPT_LOW_SPEED_LIMIT, idle_s > 0 ? 1L : 0L) &&
           SET(CURLOPT_LOW_SPEED_TIME, (long)idle_s);
}

static bool set_safety(struct outgoing_call *call, const struct outgoing_request *request)
{
    bool https = strncmp(request->url, "https:", 6) == 0;
    bool has_body = request->body.size > 0; /* which goes to whom it was meant for only */
    return SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(CURLOPT_REDIR_PROTOCOLS_STR, https ? "https" : "http,https") &&
           SET(CURLOPT_FOLLOWLOCATION, request->follow_redirects && !has_body ? 1L : 0L) &&
           SET(CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS) && SET(CURLOPT_SSL_VERIFYPEER, 1L) &&
           SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
           SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           (request->ca_file == NULL || SET(CURLOPT_CAINFO, request->ca_file));
}

static bool describe(struct outgoing_call *call, const struct outgoing_request *request)
{
    return SET(CURLOPT_URL, request->url) && SET(CURLOPT_USERAGENT, "convened/" CONVENE_VERSION) &&
           SET(CURLOPT_ERRORBUFFER, call->error) && SET(CURLOPT_WRITEFUNCTION, on_write) &&
           SET(CURLOPT_WRITEDATA, call) && set_headers(call, request) && set_body(call, request) &&
           set_bounds(call, request) && set_safety(call, request);
}

static bool is_http(const char *url)
{
    return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

struct outgoing_call *outgoing_send(struct outgoing *outgoing,
                                    const struct outgoing_request *request, outgoing_fn fn,
                                    void *data)
{
    struct lane *lane = lane_here(outgoing);
    struct outgoing_call *call = NULL;
    if (lane == NULL || !is_http(request->url) || (call = calloc(1, sizeof *call)) == NULL)
        return NULL;
    call->lane = lane;
    call->fn = fn;
    call->data = data;
    call->on_data = request->on_data;
    call->max = request->max_body;
    call->easy = curl_easy_init();
    if (call->easy == NULL || !describe(call, request) ||
        !outgoing_loop_add(lane->loop, call->easy, on_done, call)) {
        release(call);
        return NULL;
    }
    call->next = lane->calls;
    call->place = &lane->calls;
    if (call->next != NULL)
        call->next->place = &call->next;
    lane->calls = call;
    return call;
}

void outgoing_cancel(struct outgoing_call *call)
{
    outgoing_loop_remove(call->lane->loop, call->easy);
    release(call);
}
