/*
 * One request on its way to the application and its answer on the way back, both in pieces and at the same time. On the client's worker.
 *
 * The client's side speaks through cvn_http_*, the application's through libcurl. Bodies wait in `waiting` until libcurl asks for
 * more; beyond WAITING_HIGH the client is not read from. Answers go straight into the client's queue; when that is long, libcurl is paused, and
 * with it the application. An upgrade is an upload without framing that begins when the application has said 101, and an answer without end.
 *
 * Invariants: the exchange lives from its beginning until the client's request is over, one way or the other; it is freed in
 * exchange_free alone, which is never entered from inside a callback of libcurl. on_gone comes from the server's loop, never from inside
 * a call of ours. A request is never sent twice, unless libcurl sees that the application has not looked at it.
 */
#include "http/proxy_answer.h"
#include "http/proxy_fields.h"
#include "http/proxy_hangup.h"
#include "http/proxy_internal.h"
#include "access/access_proxies.h"
#include "observe/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_HIGH                                                                               \
    131072 /* bytes of a body that wait for the application, beyond which its client is paused */
#define BUFFER_SIZE   32768L /* libcurl's, each way */
#define TUNNEL_BUFFER 16384L /* the same of a tunnel: there may be many, for long */
#define MAX_METHOD    32
#define MAX_POOL_AGE                                                                               \
    1L /* seconds: applications close idle connections, and a request may cross that */
#define RETRY_AFTER_MS 1000
#define FIELD_SIZE     (PROXY_MAX_VALUE + 512)

enum phase {
    WAITS,   /* for the head of the answer */
    ANSWERS, /* the client has got it */
    TUNNELS  /* the client speaks another protocol with the application */
};

struct proxy_exchange {
    struct proxy_exchange *next, **place;
    struct proxy_worker *worker;
    cvn_http_request *client;
    CURL *easy;
    struct curl_slist *fields;
    struct proxy_answer *answer; /* NULL once its head has gone on */
    struct proxy_hangup *hangup; /* of a tunnel: the application may end first */
    enum phase phase;
    uint64_t active_ms; /* when the application last took or gave something */
    uint64_t taken;     /* bytes of the body so far */

    struct {
        char *bytes;
        size_t begin, end, capacity;
    } waiting;
    bool is_upgrade;    /* the client asks for another protocol */
    bool body_ended;    /* nothing will be added to `waiting` */
    bool client_paused; /* we do not read from it */
    bool send_paused;   /* libcurl waits for us to have something */
    bool recv_paused;   /* libcurl waits for us to take something */
    bool client_full;   /* it has to read before it gets more */
    bool answer_wrong;  /* its head makes no sense */
    char request_id[CORRELATION_ID_SIZE];
};

/* --- Beginning and ending --- */

static void exchange_free(struct proxy_exchange *exchange)
{
    *exchange->place = exchange->next;
    if (exchange->next != NULL)
        exchange->next->place = exchange->place;
    proxy_hangup_free(exchange->hangup);
    if (exchange->easy != NULL) {
        outgoing_loop_remove(exchange->worker->outgoing, exchange->easy);
        curl_easy_cleanup(exchange->easy);
    }
    curl_slist_free_all(exchange->fields);
    atomic_fetch_sub(&exchange->worker->proxy->active, 1);
    free(exchange->answer);
    free(exchange->waiting.bytes);
    free(exchange);
}

/* The application has failed: says so where nothing has been said yet, cuts what has begun. */
static void exchange_fail(struct proxy_exchange *exchange, int status, const char *result,
                          const char *message)
{
    cvn_http_request *client = exchange->client;
    struct proxy *proxy = exchange->worker->proxy;
    enum phase phase = exchange->phase;
    exchange_free(exchange);
    proxy_count(proxy, result);
    if (phase == WAITS)
        proxy_refuse(client, status, status == 413 ? "TOO_LARGE" : "UNAVAILABLE", message,
                     status == 413 ? 0 : RETRY_AFTER_MS);
    else if (phase == ANSWERS)
        cvn_http_abort(client);
    else
        cvn_http_end(client);
}

static void touch(struct proxy_exchange *exchange)
{
    exchange->active_ms = uv_now(outgoing_loop_uv(exchange->worker->outgoing));
}

/* Tells libcurl which directions rest. From outside of it only. False: the exchange has failed, and is gone. */
static bool tell_pauses(struct proxy_exchange *exchange)
{
    int mask =
        (exchange->send_paused ? CURLPAUSE_SEND : 0) | (exchange->recv_paused ? CURLPAUSE_RECV : 0);
    if (curl_easy_pause(exchange->easy, mask) == CURLE_OK)
        return true;
    exchange_fail(exchange, 502, "cut", "the application's answer could not be passed on");
    return false;
}

/* --- The client's body, to the application --- */

static bool keep_waiting(struct proxy_exchange *exchange, cvn_slice piece)
{
    size_t held = exchange->waiting.end - exchange->waiting.begin;
    if (exchange->waiting.begin > 0 &&
        exchange->waiting.end + piece.size > exchange->waiting.capacity) {
        memmove(exchange->waiting.bytes, exchange->waiting.bytes + exchange->waiting.begin, held);
        exchange->waiting.begin = 0;
        exchange->waiting.end = held;
    }
    if (exchange->waiting.end + piece.size > exchange->waiting.capacity) {
        size_t capacity = 2 * exchange->waiting.capacity + piece.size;
        char *bytes = realloc(exchange->waiting.bytes, capacity);
        if (bytes == NULL)
            return false;
        exchange->waiting.bytes = bytes;
        exchange->waiting.capacity = capacity;
    }
    memcpy(exchange->waiting.bytes + exchange->waiting.end, piece.data, piece.size);
    exchange->waiting.end += piece.size;
    return true;
}

static void resume_sending(struct proxy_exchange *exchange)
{
    if (!exchange->send_paused)
        return;
    exchange->send_paused = false;
    touch(exchange);
    tell_pauses(exchange);
}

static void on_client_body(cvn_http_request *client, cvn_slice piece, void *data)
{
    struct proxy_exchange *exchange = data;
    uint64_t max_body = exchange->worker->proxy->max_body;
    exchange->taken += piece.size;
    if (max_body != 0 && exchange->taken > max_body && exchange->phase != TUNNELS) {
        exchange_fail(exchange, 413, "refused", "the body is too large");
        return;
    }
    if (!keep_waiting(exchange, piece)) {
        exchange_fail(exchange, 503, "refused", "the server is out of memory");
        return;
    }
    if (exchange->waiting.end - exchange->waiting.begin > WAITING_HIGH) {
        exchange->client_paused = true;
        cvn_http_pause(client);
    }
    resume_sending(exchange);
}

static void on_client_body_end(cvn_http_request *client, void *data)
{
    struct proxy_exchange *exchange = data;
    (void)client;
    if (exchange->is_upgrade)
        return; /* there was none; what counts as one is still to come */
    exchange->body_ended = true;
    resume_sending(exchange);
}

static void on_client_gone(cvn_http_request *client, void *data)
{
    struct proxy_exchange *exchange = data;
    (void)client;
    proxy_count(exchange->worker->proxy, exchange->phase == TUNNELS ? "answered" : "left");
    exchange_free(exchange);
}

/* libcurl wants more of the body. */
static size_t on_read(char *ret, size_t one, size_t size, void *data)
{
    struct proxy_exchange *exchange = data;
    size_t held = exchange->waiting.end - exchange->waiting.begin;
    size *= one;
    if (held == 0 && exchange->body_ended)
        return 0;
    if (held == 0) {
        exchange->send_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    if (size > held)
        size = held;
    memcpy(ret, exchange->waiting.bytes + exchange->waiting.begin, size);
    exchange->waiting.begin += size;
    if (exchange->waiting.begin == exchange->waiting.end) {
        exchange->waiting.begin = exchange->waiting.end = 0;
        if (exchange->client_paused)
            cvn_http_resume(exchange->client);
        exchange->client_paused = false;
    }
    touch(exchange);
    return size;
}

/* --- The application's answer, to the client --- */

static bool begin_answer(struct proxy_exchange *exchange)
{
    struct proxy_field fields[PROXY_ANSWER_MAX_FIELDS];
    const struct proxy_answer *answer = exchange->answer;
    size_t count = proxy_answer_forward(answer, fields);
    for (size_t i = 0; i < count; i++) {
        char name[256];
        if (fields[i].name.size >= sizeof name)
            return false;
        memcpy(name, fields[i].name.data, fields[i].name.size);
        name[fields[i].name.size] = '\0';
        if (!cvn_http_add_header(exchange->client, name, fields[i].value))
            return false;
    }
    if (!cvn_http_begin(exchange->client, answer->status, NULL,
                        answer->length == PROXY_UNKNOWN_LENGTH ? CVN_HTTP_UNKNOWN : answer->length))
        return false;
    exchange->phase = ANSWERS;
    if (exchange->is_upgrade) { /* not this time: the upload that it was prepared for is empty */
        exchange->is_upgrade = false;
        exchange->body_ended = true;
        exchange->send_paused = false;
        curl_easy_pause(exchange->easy, exchange->recv_paused ? CURLPAUSE_RECV : CURLPAUSE_CONT);
    }
    return true;
}

struct head {
    size_t size;
    char bytes[PROXY_ANSWER_MAX_SIZE + 4 * PROXY_ANSWER_MAX_FIELDS + 128];
};

static void put(struct head *head, cvn_slice text)
{
    /* It fits: the fields are no more than PROXY_ANSWER_MAX_SIZE, and the words around them are counted in. */
    memcpy(head->bytes + head->size, text.data, text.size);
    head->size += text.size;
}

static void put_field(struct head *head, cvn_slice name, cvn_slice value)
{
    put(head, name);
    put(head, cvn_str(": "));
    if (value.size > 0)
        put(head, value);
    put(head, cvn_str("\r\n"));
}

/* The application has sent its last byte into a tunnel. libcurl reads on to it, and is done when there is nothing more to send either. */
static void on_hangup(void *data)
{
    struct proxy_exchange *exchange = data;
    exchange->body_ended = true;
    resume_sending(exchange);
}

/* 101: both sides change over. */
static bool begin_tunnel(struct proxy_exchange *exchange)
{
    struct proxy_field fields[PROXY_ANSWER_MAX_FIELDS];
    struct head head = {.size = 0};
    size_t count = proxy_answer_forward(exchange->answer, fields);
    if (!exchange->is_upgrade)
        return false;
    exchange->hangup = proxy_hangup_new(outgoing_loop_uv(exchange->worker->outgoing),
                                        outgoing_loop_socket(exchange->easy), on_hangup, exchange);
    if (exchange->hangup == NULL || !cvn_http_upgrade(exchange->client))
        return false;
    put(&head, cvn_str("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"));
    for (size_t i = 0; i < exchange->answer->field_count; i++) {
        struct proxy_field field = proxy_answer_field(exchange->answer, i);
        if (field.name.size == 7 && strncasecmp(field.name.data, "upgrade", 7) == 0)
            put_field(&head, field.name, field.value);
    }
    for (size_t i = 0; i < count; i++)
        put_field(&head, fields[i].name, fields[i].value);
    put(&head, cvn_str("\r\n"));
    exchange->phase = TUNNELS;
    cvn_http_write(exchange->client, (cvn_slice){head.bytes, head.size});
    return true;
}

static size_t on_header(char *line, size_t one, size_t size, void *data)
{
    struct proxy_exchange *exchange = data;
    size *= one;
    touch(exchange);
    if (exchange->answer == NULL)
        return size; /* trailers: they have no place to go */
    switch (proxy_answer_line(exchange->answer, line, size)) {
    case PROXY_ANSWER_EMPTY:
    case PROXY_ANSWER_LINES:
        return size;
    case PROXY_ANSWER_WRONG:
        exchange->answer_wrong = true;
        return 0;
    case PROXY_ANSWER_WHOLE:
        break;
    }
    bool done = exchange->answer->status == 101 ? begin_tunnel(exchange) : begin_answer(exchange);
    exchange->answer_wrong = !done;
    if (!done)
        return 0;
    free(exchange->answer);
    exchange->answer = NULL;
    return size;
}

static size_t on_write(char *bytes, size_t one, size_t size, void *data)
{
    struct proxy_exchange *exchange = data;
    size *= one;
    touch(exchange);
    if (exchange->client_full) {
        exchange->recv_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!cvn_http_write(exchange->client, (cvn_slice){bytes, size}))
        exchange->client_full = true;
    return size;
}

static void on_client_drain(cvn_http_request *client, void *data)
{
    struct proxy_exchange *exchange = data;
    (void)client;
    exchange->client_full = false;
    touch(exchange);
    if (!exchange->recv_paused)
        return;
    exchange->recv_paused = false;
    tell_pauses(exchange);
}

static void on_done(CURL *easy, CURLcode result, void *data)
{
    struct proxy_exchange *exchange = data;
    struct proxy_worker *worker = exchange->worker;
    bool is_late = result == CURLE_OPERATION_TIMEDOUT;
    (void)easy;
    if (exchange->phase == TUNNELS || (result == CURLE_OK && exchange->phase == ANSWERS)) {
        cvn_http_request *client = exchange->client;
        exchange_free(exchange);
        proxy_count(worker->proxy, "answered");
        cvn_http_end(client);
        return;
    }
    proxy_complain(worker, "the application has failed a request",
                   exchange->answer_wrong ? "its answer makes no sense"
                                          : curl_easy_strerror(result),
                   exchange->request_id);
    if (is_late)
        exchange_fail(exchange, 504, "late", "the application could not be reached in time");
    else if (exchange->phase == ANSWERS)
        exchange_fail(exchange, 502, "cut", NULL);
    else if (exchange->answer_wrong)
        exchange_fail(exchange, 502, "cut", "the application's answer makes no sense");
    else
        exchange_fail(exchange, 502, "unreachable", "the application cannot be reached");
}

void proxy_exchange_sweep(struct proxy_worker *worker, uint64_t now_ms)
{
    struct proxy_exchange *next;
    for (struct proxy_exchange *exchange = worker->exchanges; exchange != NULL; exchange = next) {
        next = exchange->next;
        /* Who waits for the client does not wait for the application. The server sees to that. */
        bool waits_for_body = exchange->send_paused && !exchange->body_ended &&
                              exchange->phase != TUNNELS && !exchange->is_upgrade;
        if (exchange->client_full || waits_for_body)
            exchange->active_ms = now_ms;
        if (now_ms < exchange->active_ms ||
            now_ms - exchange->active_ms < worker->proxy->idle_timeout_ms)
            continue;
        if (exchange->phase != TUNNELS)
            proxy_complain(worker, "the application has failed a request", "it is silent",
                           exchange->request_id);
        exchange_fail(exchange, 504, "late", "the application did not answer in time");
    }
}

/* --- What the application is asked --- */

struct request_head {
    struct proxy_field fields[PROXY_MAX_FIELDS];
    size_t count;
    struct curl_slist *list;
};

static bool is_method(cvn_slice method, const char *name)
{
    return method.size == strlen(name) && memcmp(method.data, name, method.size) == 0;
}

/* What makes no difference when it is done twice (RFC 9110 section 9.2.2). */
static bool is_idempotent(cvn_slice method)
{
    static const char *const names[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_method(method, names[i]))
            return true;
    return false;
}

/* libcurl sends a request again by itself when a kept connection turns out to be dead before an answer, unless a part of its body is gone. What
 * must not be done twice and has no body to prevent it gets a new connection. */
static bool needs_new_connection(const struct proxy_exchange *exchange)
{
    return exchange->is_upgrade || (cvn_http_length(exchange->client) == 0 &&
                                    !is_idempotent(cvn_http_method(exchange->client)));
}

static bool append(struct request_head *head, const char *line)
{
    struct curl_slist *longer = curl_slist_append(head->list, line);
    if (longer != NULL)
        head->list = longer;
    return longer != NULL;
}

static bool on_field(cvn_slice name, cvn_slice value, void *data)
{
    char line[FIELD_SIZE];
    /* libcurl takes "Name:" for a field that it shall leave out, and "Name;" for an empty one. */
    int size = value.size > 0 ? snprintf(line, sizeof line, "%.*s: %.*s", (int)name.size, name.data,
                                         (int)value.size, value.data)
                              : snprintf(line, sizeof line, "%.*s;", (int)name.size, name.data);
    return size >= 0 && (size_t)size < sizeof line && append(data, line);
}

static bool has_field(const struct request_head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++)
        if (head->fields[i].name.size == strlen(name) &&
            strncasecmp(head->fields[i].name.data, name, strlen(name)) == 0)
            return true;
    return false;
}

/* Fields that libcurl would add by itself are named with nothing behind them. */
static bool make_fields(struct proxy_exchange *exchange, struct request_head *head)
{
    cvn_http_request *client = exchange->client;
    const char *peer = cvn_http_address(client);
    struct proxy_hop hop = {
        .peer = peer,
        .is_trusted = access_proxies_trusts(peer),
        .is_secure = cvn_http_is_secure(client),
        .upgrades = exchange->is_upgrade,
        .host = cvn_http_header(client, "host"),
        .request_id = exchange->request_id,
        .via = exchange->worker->proxy->via,
    };
    cvn_slice method = cvn_http_method(client);
    bool wants_length =
        cvn_http_length(client) == 0 && !exchange->is_upgrade &&
        (is_method(method, "POST") || is_method(method, "PUT") || is_method(method, "PATCH"));
    bool done = proxy_fields_forward(head->fields, head->count, &hop, on_field, head) &&
                append(head, "Expect:") && (has_field(head, "accept") || append(head, "Accept:")) &&
                (!wants_length || append(head, "Content-Length: 0")) &&
                (!exchange->is_upgrade || append(head, "Transfer-Encoding:"));
    exchange->fields = head->list;
    return done;
}

static bool make_target(CURL *easy, const char *prefix, cvn_slice target)
{
    size_t size = strlen(prefix);
    char *whole = malloc(size + target.size + 1);
    if (whole == NULL)
        return false;
    memcpy(whole, prefix, size);
    memcpy(whole + size, target.data, target.size);
    whole[size + target.size] = '\0';
    bool done = curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, whole) == CURLE_OK;
    free(whole);
    return done;
}

static bool make_method(struct proxy_exchange *exchange)
{
    CURL *easy = exchange->easy;
    cvn_slice method = cvn_http_method(exchange->client);
    uint64_t length = cvn_http_length(exchange->client);
    char name[MAX_METHOD];
    bool has_body = length > 0 || exchange->is_upgrade;
    memcpy(name, method.data, method.size);
    name[method.size] = '\0';
    if (is_method(method, "HEAD"))
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    bool is_known = has_body && length != CVN_HTTP_UNKNOWN && !exchange->is_upgrade;
    if (has_body && (curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) != CURLE_OK ||
                     curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                                      is_known ? (curl_off_t)length : (curl_off_t)-1) != CURLE_OK))
        return false;
    return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, name) == CURLE_OK;
}

static bool make_request(struct proxy_exchange *exchange, struct request_head *head)
{
    const struct proxy *proxy = exchange->worker->proxy;
    CURL *easy = exchange->easy;
    bool done = true;
    exchange->body_ended = cvn_http_length(exchange->client) == 0 && !exchange->is_upgrade;
#define SET(OPTION, VALUE) (done = done && curl_easy_setopt(easy, (OPTION), (VALUE)) == CURLE_OK)
    SET(CURLOPT_URL, proxy->origin);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, ""); /* whatever the environment says */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)proxy->connect_timeout_ms);
    SET(CURLOPT_MAXAGE_CONN, MAX_POOL_AGE);
    SET(CURLOPT_FRESH_CONNECT, needs_new_connection(exchange) ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, exchange->is_upgrade ? 1L : 0L); /* libcurl would keep a tunnel */
    SET(CURLOPT_BUFFERSIZE, exchange->is_upgrade ? TUNNEL_BUFFER : BUFFER_SIZE);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, exchange->is_upgrade ? TUNNEL_BUFFER : BUFFER_SIZE);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, exchange);
    SET(CURLOPT_WRITEFUNCTION, on_write);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, exchange);
    done = done && make_fields(exchange, head);
    SET(CURLOPT_HTTPHEADER, exchange->fields);
#undef SET
    return done && make_method(exchange) &&
           make_target(easy, proxy->prefix, cvn_http_target(exchange->client));
}

/* --- Taking a request --- */

static struct proxy_exchange *exchange_new(struct proxy_worker *worker, cvn_http_request *client,
                                           const struct request_head *head)
{
    struct proxy_exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL)
        return NULL;
    atomic_fetch_add(&worker->proxy->active, 1);
    exchange->worker = worker;
    exchange->client = client;
    exchange->next = worker->exchanges;
    exchange->place = &worker->exchanges;
    if (exchange->next != NULL)
        exchange->next->place = &exchange->next;
    worker->exchanges = exchange;
    exchange->is_upgrade = cvn_http_wants_upgrade(client) && cvn_http_length(client) == 0 &&
                           proxy_fields_may_upgrade(head->fields, head->count);
    correlation_id_take(cvn_http_header(client, "x-request-id"), exchange->request_id);
    exchange->easy = curl_easy_init();
    exchange->answer = calloc(1, sizeof *exchange->answer);
    touch(exchange);
    if (exchange->easy != NULL && exchange->answer != NULL)
        return exchange;
    exchange_free(exchange);
    return NULL;
}

/* Refuses what is not to be asked of the application at all; true when it did. */
static bool refuse_at_once(struct proxy *proxy, cvn_http_request *client,
                           const struct request_head *head)
{
    uint64_t length = cvn_http_length(client);
    cvn_slice method = cvn_http_method(client);
    if (method.size >= MAX_METHOD)
        proxy_refuse(client, 501, "VALIDATION", "there is no such method", 0);
    else if (is_method(method, "HEAD") && length != 0)
        proxy_refuse(client, 400, "VALIDATION", "HEAD has no body", 0);
    else if (proxy_fields_is_loop(head->fields, head->count, proxy->via))
        proxy_refuse(client, 508, "UNAVAILABLE", "the upstream of this server is itself", 0);
    else if (proxy->max_body != 0 && length != CVN_HTTP_UNKNOWN && length > proxy->max_body)
        proxy_refuse(client, 413, "TOO_LARGE", "the body is too large", 0);
    else if (atomic_load(&proxy->active) >= proxy->max_connections)
        proxy_refuse(client, 503, "UNAVAILABLE",
                     "too many requests are on their way to the application", RETRY_AFTER_MS);
    else
        return false;
    proxy_count(proxy, "refused");
    return true;
}

static const cvn_http_stream_events client_events = {
    .on_body = on_client_body,
    .on_body_end = on_client_body_end,
    .on_drain = on_client_drain,
    .on_gone = on_client_gone,
};

void proxy_exchange_begin(struct proxy_worker *worker, cvn_http_request *client)
{
    struct request_head head = {.count = 0};
    size_t cursor = 0;
    while (head.count < PROXY_MAX_FIELDS &&
           cvn_http_next_header(client, &cursor, &head.fields[head.count].name,
                                &head.fields[head.count].value))
        head.count++;
    if (refuse_at_once(worker->proxy, client, &head))
        return;
    struct proxy_exchange *exchange = exchange_new(worker, client, &head);
    if (exchange != NULL && make_request(exchange, &head) &&
        outgoing_loop_add(worker->outgoing, exchange->easy, on_done, exchange) &&
        cvn_http_stream(client, &client_events, exchange)) {
        proxy_start_sweep(worker);
        return;
    }
    if (exchange != NULL)
        exchange_free(exchange);
    proxy_count(worker->proxy, "refused");
    proxy_refuse(client, 503, "UNAVAILABLE", "the server is out of memory", RETRY_AFTER_MS);
}
