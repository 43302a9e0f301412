/*
 * The HTTP life of a connection, as a machine of phases. Bytes are consumed in one loop (process);
 * what cannot be used yet is carried over in `in`. Runs on the connection's worker.
 *
 * Invariants: one request at a time, from on_head to its answer. on_head, on_body and on_abort are
 * only called from the loop, a timer or on_close, never from inside a function that the layer above
 * calls. An answered request is never aborted. The machine is freed by on_close or by handing the
 * connection over.
 */
#include "http/http_internal.h"
#include "base/mem.h"

#define DEFAULT_HEAD_TIMEOUT_MS 10000
#define DEFAULT_BODY_TIMEOUT_MS 30000
#define DEFAULT_IDLE_TIMEOUT_MS 30000
#define LINGER_MS               5000
#define MIN_RATE                16 /* bytes a millisecond: who reads slower is cut off */
#define MAX_FIELDS_SIZE         16384
#define MAX_CARRIED             (HTTP_MAX_HEAD + 2 * WORKER_READ_BUFFER)

static void on_data(struct conn *conn, char *data, size_t size);
static void on_close(struct conn *conn, enum conn_reason reason);
static void on_drain(struct conn *conn);
static void on_timer(struct timer *timer);
static void on_task(struct worker_task *task);

static const struct conn_events http_conn_events = {
    .on_data = on_data, .on_drain = on_drain, .on_close = on_close};

/* --- Timers --- */

static void arm(struct http_conn *http, uint64_t wanted_ms, uint64_t default_ms)
{
    wheel_arm(&conn_worker(http->conn)->wheel, &http->timer,
              wanted_ms != 0 ? wanted_ms : default_ms);
}

/* How long a client may take to read what is queued for it: a large answer is no idleness. */
static uint64_t reading_time_ms(const struct http_conn *http)
{
    return conn_queued(http->conn) / MIN_RATE;
}

void http_conn_expect_head(struct http_conn *http)
{
    uint64_t idle_ms = http->limits->idle_timeout_ms;
    http->phase = HTTP_PHASE_HEAD;
    http->in_head = false;
    http->tried = 0;
    arm(http, (idle_ms != 0 ? idle_ms : DEFAULT_IDLE_TIMEOUT_MS) + reading_time_ms(http), 0);
}

static uint64_t body_timeout_ms(const struct http_conn *http)
{
    return http->limits->body_timeout_ms != 0 ? http->limits->body_timeout_ms
                                              : DEFAULT_BODY_TIMEOUT_MS;
}

void http_conn_arm_body(struct http_conn *http)
{
    arm(http, body_timeout_ms(http), 0);
}

uint64_t http_conn_patience_ms(const struct http_conn *http)
{
    return body_timeout_ms(http) + reading_time_ms(http);
}

/* --- Beginning and ending --- */

bool http_conn_start(struct conn *conn, const struct http_events *events,
                     const struct http_limits *limits, void *app)
{
    struct http_conn *http = mem_zalloc(sizeof *http);
    if (http == NULL) {
        conn_close(conn, CONN_NO_MEMORY);
        return false;
    }
    http->conn = conn;
    http->events = events;
    http->limits = limits;
    http->app = app;
    http->request.conn = http;
    http->timer.fire = on_timer;
    http->task.run = on_task;
    buf_init(&http->in, MAX_CARRIED);
    buf_init(&http->request.fields, MAX_FIELDS_SIZE);
    conn_set_owner(conn, &http_conn_events, http);
    http_conn_expect_head(http);
    return true;
}

static void free_http(struct http_conn *http)
{
    http_stream_release(http);
    http_body_forget(&http->body);
    buf_release(&http->in);
    buf_release(&http->request.fields);
    mem_free(http);
}

/* Takes the machine off the connection's worker. */
static void detach(struct http_conn *http)
{
    wheel_cancel(&conn_worker(http->conn)->wheel, &http->timer);
    worker_task_cancel(&http->task);
}

void http_conn_reset_request(struct http_conn *http)
{
    http_stream_release(http);
    http_body_forget(&http->body);
    buf_release(&http->request.fields);
    http->request.head = NULL;
    http->request.user = NULL;
    http->request.route = 0;
}

void http_conn_finish(struct http_conn *http)
{
    http->phase = HTTP_PHASE_END;
    detach(http);
    if (!http->processing) /* else a body in it may be in somebody's hands: the loop frees it */
        buf_release(&http->in);
    conn_finish(http->conn, LINGER_MS + reading_time_ms(http));
}

void http_conn_abort_request(struct http_conn *http)
{
    http->phase = HTTP_PHASE_END;
    http->request.head = NULL;
    http->events->on_abort(&http->request, http->app);
}

/* --- What the layer above does with a request, besides answering it --- */

struct conn *http_request_conn(const struct http_request *request)
{
    return request->conn->conn;
}

static bool is_field_text(cvn_slice value)
{
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] == '\r' || value.data[i] == '\n' || value.data[i] == '\0')
            return false;
    return true;
}

bool http_request_add_field(struct http_request *request, cvn_slice name, cvn_slice value)
{
    struct buf *fields = &request->fields;
    size_t before = fields->size;
    if (!http_head_is_token(name) || !is_field_text(value))
        return false;
    buf_append(fields, name);
    buf_append(fields, SLICE(": "));
    buf_append(fields, value);
    buf_append(fields, SLICE("\r\n"));
    if (!fields->failed)
        return true;
    fields->size = before; /* never half a line */
    fields->failed = false;
    return false;
}

void http_request_read_body(struct http_request *request, size_t max)
{
    struct http_conn *http = request->conn;
    struct http_body *body = &http->body;
    http->phase = HTTP_PHASE_BODY;
    body->max = max;
    buf_init(&body->collected, max);
    http_conn_arm_body(http);
    if (body->expected && http_body_is_unread(body) && body->left <= max)
        conn_write(http->conn, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    body->expected = false;
}

struct conn *http_request_upgrade(struct http_request *request)
{
    request->conn->phase = HTTP_PHASE_UPGRADE;
    return request->conn->conn;
}

void http_request_move(struct http_request *request, struct worker *to)
{
    request->conn->phase = HTTP_PHASE_MOVE;
    request->conn->move_to = to;
}

void http_request_park(struct http_request *request)
{
    request->conn->phase = HTTP_PHASE_PARKED;
    request->parked = true;
}

void http_request_resume(struct http_request *request)
{
    struct http_conn *http = request->conn;
    http->resumed = true;
    conn_resume(http->conn);
    worker_defer(conn_worker(http->conn), &http->task);
}

/* --- The loop --- */

static void begin_request(struct http_conn *http, const struct http_head *head)
{
    http->request.head = head;
    http->request.method = head->method;
    http->keep_alive = head->keep_alive;
    http->minor_version = head->minor_version;
    http->wants_upgrade = head->wants_upgrade;
    http->body = (struct http_body){
        .chunked = head->chunked, .expected = head->expects_continue, .left = head->content_length};
    http->phase = HTTP_PHASE_PENDING;
    wheel_cancel(&conn_worker(http->conn)->wheel, &http->timer);
    http->events->on_head(&http->request, http->app);
    if (http->phase == HTTP_PHASE_PENDING || http->phase == HTTP_PHASE_STREAM ||
        http->phase == HTTP_PHASE_RAW)
        http->request.head = NULL;
}

/* There is no request, or none that can be understood, to answer. */
static void refuse_head(struct http_conn *http, int status)
{
    http->minor_version = 1;
    http->request.method = HTTP_OTHER;
    http_respond_refusal(http, status, true);
}

static bool process_head(struct http_conn *http, struct http_input *input, struct http_head *head)
{
    size_t used = 0;
    int status = 400;
    if (input->size == 0)
        return false;
    if (!http->in_head) { /* its first byte: the clock starts, no further byte winds it up again */
        http->in_head = true;
        arm(http, http->limits->head_timeout_ms, DEFAULT_HEAD_TIMEOUT_MS);
    }
    switch (http_head_decode(slice_of(input->data, input->size), head, &used, &status)) {
    case HTTP_NEED_MORE:
        http->tried = input->size;
        return false;
    case HTTP_REFUSED:
        refuse_head(http, status);
        return false;
    case HTTP_COMPLETE:
        break;
    }
    begin_request(http, head);
    if (http->phase == HTTP_PHASE_MOVE || http->phase == HTTP_PHASE_PARKED)
        return false; /* the head stays what it is, to be read again: over there, or later */
    http_input_consume(input, used);
    return http->phase != HTTP_PHASE_UPGRADE;
}

/* The head of a parked request lies untouched at the front. */
static bool process_parked(struct http_conn *http, struct http_input *input, struct http_head *head)
{
    if (!http->resumed)
        return false;
    http->resumed = false;
    http->request.parked = false;
    http_conn_expect_head(http);
    return process_head(http, input, head);
}

/* Consumes what it can; false when that needs more bytes, or an answer, or is over for good. */
static bool process_one(struct http_conn *http, struct http_input *input, struct http_head *head)
{
    switch (http->phase) {
    case HTTP_PHASE_HEAD:
        return process_head(http, input, head);
    case HTTP_PHASE_PARKED:
        return process_parked(http, input, head);
    case HTTP_PHASE_BODY:
        return http_body_process(http, input);
    case HTTP_PHASE_DRAIN:
        return http_body_drain(http, input);
    case HTTP_PHASE_STREAM:
        return http_stream_process(http, input);
    case HTTP_PHASE_RAW:
        return http_stream_process_raw(http, input);
    default:
        return false;
    }
}

/* Keeps what was not consumed; `from_in`: it lies in http->in already. */
static void carry_over(struct http_conn *http, const struct http_input *input, bool from_in)
{
    if (http->phase == HTTP_PHASE_END || input->size == 0) {
        buf_release(&http->in);
        return;
    }
    if (from_in)
        buf_consume(&http->in, (size_t)(input->data - http->in.data));
    else if (!buf_append(&http->in, slice_of(input->data, input->size)))
        conn_close(http->conn, CONN_NO_MEMORY);
    /* Pipelined requests wait for the answer before them; whoever sends too many waits too. */
    if ((http->phase == HTTP_PHASE_PENDING || http->phase == HTTP_PHASE_PARKED) &&
        http->in.size > HTTP_MAX_HEAD)
        conn_pause(http->conn);
}

/* The connection is somebody else's now, the bytes behind the head too. */
static void hand_over(struct http_conn *http, const struct http_input *input)
{
    struct conn *conn = http->conn;
    detach(http);
    if (conn_owner(conn) == http) { /* nobody took it */
        http->phase = HTTP_PHASE_END;
        conn_close(conn, CONN_ERROR);
        return;
    }
    for (size_t at = 0; at < input->size && conn_is_open(conn); at += WORKER_READ_BUFFER) {
        size_t left = input->size - at;
        conn_deliver(conn, input->data + at, left < WORKER_READ_BUFFER ? left : WORKER_READ_BUFFER);
    }
    free_http(http); /* not before: the bytes may lie in `in` */
}

static void on_arrived(struct conn *conn)
{
    struct http_conn *http = conn_owner(conn);
    http_conn_expect_head(http);
    worker_defer(conn_worker(conn), &http->task);
}

static void process(struct http_conn *http, char *data, size_t size, bool from_in)
{
    struct http_head head;
    struct http_input input = {data, size};
    http->processing = true;
    while (conn_is_open(http->conn) && process_one(http, &input, &head))
        ;
    http->processing = false;
    if (http->phase == HTTP_PHASE_UPGRADE) {
        hand_over(http, &input);
        return;
    }
    if (http->phase == HTTP_PHASE_BODY && http->body.saved == NULL && conn_is_open(http->conn) &&
        !http_body_save_head(http))
        conn_close(http->conn, CONN_NO_MEMORY);
    if (http->body.saved == NULL)
        http->request.head = NULL; /* it was ours, on the stack */
    carry_over(http, &input, from_in);
    if (http->phase == HTTP_PHASE_MOVE && conn_is_open(http->conn)) {
        http_conn_reset_request(http);
        detach(http);
        conn_move(http->conn, http->move_to, on_arrived);
    }
}

/* Whether trying `in` as a head again may come to more than the last time. A head sent in the
 * smallest of pieces shall not be parsed once a byte. */
static bool is_worth_trying(const struct http_conn *http, cvn_slice added)
{
    return http->phase != HTTP_PHASE_HEAD || slice_find(added, '\n') < added.size ||
           http->in.size >= 2 * http->tried || http->in.size > HTTP_MAX_HEAD;
}

static void on_data(struct conn *conn, char *data, size_t size)
{
    struct http_conn *http = conn_owner(conn);
    if (http->in.size == 0) {
        process(http, data, size, false);
    } else if (!buf_append(&http->in, slice_of(data, size))) {
        conn_close(conn, CONN_NO_MEMORY);
    } else if (is_worth_trying(http, slice_of(data, size))) {
        process(http, http->in.data, http->in.size, true);
    }
}

/* --- What else may happen --- */

static void on_task(struct worker_task *task)
{
    struct http_conn *http = CONTAINER_OF(task, struct http_conn, task);
    if (!conn_is_open(http->conn))
        return;
    http_stream_tell_drain(http);
    if (http->in.size > 0 || http->phase == HTTP_PHASE_STREAM)
        process(http, http->in.data, http->in.size, true);
}

/* From inside a flush, perhaps that of a writer who is still in his call: what follows is put off. */
static void on_drain(struct conn *conn)
{
    struct http_conn *http = conn_owner(conn);
    if (http->stream != NULL && http->stream->wants_drain)
        worker_defer(conn_worker(conn), &http->task);
}

static void on_timer(struct timer *timer)
{
    struct http_conn *http = CONTAINER_OF(timer, struct http_conn, timer);
    if (!conn_is_open(http->conn))
        return; /* on_close is near */
    switch (http->phase) {
    case HTTP_PHASE_HEAD:
        if (http->in_head)
            refuse_head(http, 408);
        else
            conn_close(http->conn, CONN_TIMEOUT); /* idle: nobody waits for words */
        break;
    case HTTP_PHASE_BODY:
        http_conn_abort_request(http);
        refuse_head(http, 408);
        break;
    case HTTP_PHASE_STREAM:
        http_stream_break(http, 408);
        break;
    case HTTP_PHASE_DRAIN:
        http_conn_finish(http);
        break;
    default: /* nothing else has a timer */
        break;
    }
}

static void on_close(struct conn *conn, enum conn_reason reason)
{
    struct http_conn *http = conn_owner(conn);
    (void)reason;
    detach(http);
    if (http->phase == HTTP_PHASE_BODY || http->phase == HTTP_PHASE_PENDING ||
        http->phase == HTTP_PHASE_PARKED || http->phase == HTTP_PHASE_STREAM ||
        http->phase == HTTP_PHASE_RAW)
        http_conn_abort_request(http);
    free_http(http);
}
