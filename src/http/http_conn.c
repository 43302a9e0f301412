/*
 * The HTTP life of a connection, as a machine of phases. Bytes are consumed in one loop (process); what cannot be used yet is carried over in
 * `in`, which is empty, and not even allocated, while a connection idles. Runs on the connection's worker.
 *
 * Invariants: one request at a time; on_head, on_body and on_abort are only called from here, never from inside the functions that the layer above calls,
 * but for on_abort out of http_request_read_body's refusal, which waits for process too. An answered request is never aborted.
 */
#include "http/http_conn.h"
#include "http/http_chunked.h"
#include "http/http_response.h"
#include "base/mem.h"

#define DEFAULT_HEAD_TIMEOUT_MS 10000
#define DEFAULT_BODY_TIMEOUT_MS 30000
#define DEFAULT_IDLE_TIMEOUT_MS 30000
#define LINGER_MS               5000
#define MAX_DRAIN               65536 /* of a body that nobody wanted: beyond, closing is cheaper */
#define MAX_FIELDS_SIZE         16384

enum phase {
    PHASE_HEAD,    /* waits for, or is in the midst of, a request head */
    PHASE_BODY,    /* the body was asked for and is coming */
    PHASE_PENDING, /* the layer above owes the answer */
    PHASE_DRAIN,   /* answered; the rest of the body is thrown away */
    PHASE_UPGRADE, /* handed over, leaves when process is done */
    PHASE_MOVE,    /* on its way to another worker */
    PHASE_END      /* nothing is read any more */
};

/* A head that must outlive the bytes it came in: a body is being waited for. */
struct saved_head {
    struct http_head head; /* points into bytes */
    char bytes[];
};

struct http_conn {
    struct conn *conn;
    const struct http_events *events;
    const struct http_limits *limits;
    void *app;
    struct http_request request;
    struct buf in; /* carried over */
    struct timer timer;
    struct worker_task task; /* process what is carried over */
    struct worker *move_to;
    uint8_t phase;   /* enum phase */
    bool processing; /* inside process: it goes on by itself */
    bool in_head;    /* the timer runs for a head that has begun */
    bool keep_alive;
    unsigned minor_version;
    /* The body */
    struct saved_head *saved;
    struct buf body;
    size_t body_max;
    bool chunked;
    uint64_t body_left; /* by Content-Length */
    struct http_chunked decoder;
};

static void on_data(struct conn *conn, char *data, size_t size);
static void on_close(struct conn *conn, enum conn_reason reason);
static void on_timer(struct timer *timer);
static void on_task(struct worker_task *task);

static const struct conn_events http_conn_events = {.on_data = on_data, .on_close = on_close};

static struct wheel *wheel_of(const struct http_conn *http)
{
    return &conn_worker(http->conn)->wheel;
}

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value != 0 ? value : fallback;
}

static void arm_idle(struct http_conn *http)
{
    http->in_head = false;
    wheel_arm(wheel_of(http), &http->timer,
              or_default(http->limits->idle_timeout_ms, DEFAULT_IDLE_TIMEOUT_MS));
}

static void arm_body(struct http_conn *http)
{
    wheel_arm(wheel_of(http), &http->timer,
              or_default(http->limits->body_timeout_ms, DEFAULT_BODY_TIMEOUT_MS));
}

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
    buf_init(&http->in, HTTP_MAX_HEAD + 2 * WORKER_READ_BUFFER);
    buf_init(&http->body, 0);
    buf_init(&http->request.fields, MAX_FIELDS_SIZE);
    conn_set_owner(conn, &http_conn_events, http);
    arm_idle(http);
    return true;
}

static void free_http(struct http_conn *http)
{
    buf_release(&http->in);
    buf_release(&http->body);
    buf_release(&http->request.fields);
    mem_free(http->saved);
    mem_free(http);
}

/* Takes the machine off the connection's worker. */
static void detach(struct http_conn *http)
{
    wheel_cancel(wheel_of(http), &http->timer);
    worker_task_cancel(&http->task);
}

static void forget_body(struct http_conn *http)
{
    buf_release(&http->body);
    mem_free(http->saved);
    http->saved = NULL;
    http->request.head = NULL;
}

static void reset_request(struct http_conn *http)
{
    forget_body(http);
    buf_release(&http->request.fields);
    buf_init(&http->request.fields, MAX_FIELDS_SIZE);
    http->request.user = NULL;
    http->request.route = 0;
}

/* --- Answers --- */

static void finish(struct http_conn *http)
{
    http->phase = PHASE_END;
    detach(http);
    buf_release(&http->in);
    conn_finish(http->conn, LINGER_MS);
}

/* Whether the rest of the request's body stands between us and the next request. */
static bool has_unread_body(const struct http_conn *http)
{
    return http->chunked || http->body_left > 0;
}

/* What becomes of the connection once the answer is queued. */
static void after_response(struct http_conn *http, bool keep_alive)
{
    reset_request(http);
    if (!keep_alive) {
        finish(http);
        return;
    }
    if (has_unread_body(http)) {
        http->phase = PHASE_DRAIN;
        arm_body(http);
    } else {
        http->phase = PHASE_HEAD;
        arm_idle(http);
    }
    if (!http->processing) {
        conn_resume(http->conn);
        if (http->in.size > 0)
            worker_defer(conn_worker(http->conn), &http->task);
    }
}

static void respond(struct http_request *request, int status, cvn_slice content_type,
                    cvn_slice body, struct message *shared, bool close)
{
    struct http_conn *http = request->conn;
    bool keep_alive = !close && http->keep_alive && !(http->chunked && has_unread_body(http)) &&
                      http->body_left <= MAX_DRAIN;
    bool is_head = request->method == HTTP_HEAD;
    size_t inline_size = is_head || shared != NULL ? 0 : body.size;
    struct http_response response = {
        .status = status,
        .minor_version = http->minor_version,
        .keep_alive = keep_alive,
        .content_type = content_type,
        .fields = buf_slice(&request->fields),
        .body_size = shared != NULL ? message_payload(shared).size : body.size,
    };
    char *to;
    struct message *message = http_response_encode(&response, inline_size, &to);
    if (message == NULL) {
        http->phase = PHASE_END;
        conn_close(http->conn, CONN_NO_MEMORY);
        return;
    }
    if (inline_size > 0)
        memcpy(to, body.data, inline_size);
    conn_send(http->conn, message, 0);
    message_unref(message);
    if (shared != NULL && !is_head)
        conn_send(http->conn, shared, shared->prefix);
    after_response(http, keep_alive);
}

void http_respond(struct http_request *request, int status, cvn_slice content_type, cvn_slice body)
{
    respond(request, status, content_type, body, NULL, false);
}

void http_respond_message(struct http_request *request, int status, cvn_slice content_type,
                          struct message *body)
{
    respond(request, status, content_type, SLICE(""), body, false);
}

void http_respond_close(struct http_request *request, int status, cvn_slice content_type,
                        cvn_slice body)
{
    respond(request, status, content_type, body, NULL, true);
}

/* Refuses what the layer above has not seen, or was told of by on_abort: a few words, and the end. */
static void refuse(struct http_conn *http, int status, bool with_body)
{
    char words[64];
    int size = snprintf(words, sizeof words, "%s\n", http_reason_phrase(status));
    respond(&http->request, status, with_body ? SLICE("text/plain; charset=utf-8") : SLICE(""),
            slice_of(words, with_body ? (size_t)size : 0), NULL, true);
}

/* The request that the layer above knows ends without its answer. */
static void abort_request(struct http_conn *http)
{
    http->phase = PHASE_END;
    http->events->on_abort(&http->request, http->app);
}

bool http_request_add_field(struct http_request *request, cvn_slice name, cvn_slice value)
{
    struct buf *fields = &request->fields;
    size_t before = fields->size;
    for (size_t i = 0; i < name.size; i++)
        if ((unsigned char)name.data[i] <= 0x20 || (unsigned char)name.data[i] >= 0x7f ||
            name.data[i] == ':')
            return false;
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] == '\r' || value.data[i] == '\n' || value.data[i] == '\0')
            return false;
    if (name.size == 0)
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

struct conn *http_request_conn(const struct http_request *request)
{
    return request->conn->conn;
}

void http_request_read_body(struct http_request *request, size_t max)
{
    struct http_conn *http = request->conn;
    http->phase = PHASE_BODY;
    http->body_max = max;
    buf_release(&http->body);
    buf_init(&http->body, max);
    arm_body(http);
    bool fits = http->chunked || http->body_left <= max;
    if (fits && has_unread_body(http) && request->head->expects_continue)
        conn_write(http->conn, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

struct conn *http_request_upgrade(struct http_request *request)
{
    request->conn->phase = PHASE_UPGRADE;
    return request->conn->conn;
}

void http_request_move(struct http_request *request, struct worker *to)
{
    request->conn->phase = PHASE_MOVE;
    request->conn->move_to = to;
}

/* --- Consuming --- */

struct input {
    char *data;
    size_t size;
};

static void consume(struct input *input, size_t count)
{
    input->data += count;
    input->size -= count;
}

/* `body` and the head stay valid during the call, even when it is answered inside. */
static void deliver_body(struct http_conn *http, char *body, size_t size)
{
    struct saved_head *saved = http->saved;
    char *collected = http->body.data;
    http->saved = NULL;
    buf_init(&http->body, 0);
    http->phase = PHASE_PENDING;
    wheel_cancel(wheel_of(http), &http->timer);
    http->chunked = false; /* read to its end */
    http->body_left = 0;
    http->events->on_body(&http->request, body, size, http->app);
    http->request.head = NULL;
    mem_free(saved);
    mem_free(collected);
}

/* Each of these consumes what it can; false when it needs more bytes or its phase is over for good. */

static bool process_sized_body(struct http_conn *http, struct input *input)
{
    if (http->body_left > http->body_max) {
        abort_request(http);
        refuse(http, 413, false);
        return false;
    }
    if (http->body.size == 0 && input->size >= http->body_left) { /* all there: no copy */
        char *body = input->data;
        size_t size = (size_t)http->body_left;
        consume(input, size);
        deliver_body(http, body, size);
        return true;
    }
    size_t piece = input->size < http->body_left ? input->size : (size_t)http->body_left;
    if (!buf_append(&http->body, slice_of(input->data, piece))) {
        abort_request(http);
        conn_close(http->conn, CONN_NO_MEMORY);
        return false;
    }
    consume(input, piece);
    http->body_left -= piece;
    if (http->body_left > 0)
        return false;
    deliver_body(http, http->body.data, http->body.size);
    return true;
}

static bool process_chunked_body(struct http_conn *http, struct input *input)
{
    size_t body = 0, used = 0;
    enum http_decode result =
        http_chunked_decode(&http->decoder, input->data, input->size, &body, &used);
    if (result == HTTP_REFUSED) {
        abort_request(http);
        refuse(http, 400, true);
        return false;
    }
    if (body > http->body_max - http->body.size) {
        abort_request(http);
        refuse(http, 413, false);
        return false;
    }
    if (!buf_append(&http->body, slice_of(input->data, body))) {
        abort_request(http);
        conn_close(http->conn, CONN_NO_MEMORY);
        return false;
    }
    consume(input, used);
    if (result == HTTP_NEED_MORE)
        return false;
    deliver_body(http, http->body.data, http->body.size);
    return true;
}

/* Only bodies with a length are drained; see respond. */
static bool process_drain(struct http_conn *http, struct input *input)
{
    size_t piece = input->size < http->body_left ? input->size : (size_t)http->body_left;
    consume(input, piece);
    http->body_left -= piece;
    if (http->body_left > 0)
        return false;
    http->phase = PHASE_HEAD;
    arm_idle(http);
    return true;
}

static void begin_request(struct http_conn *http, const struct http_head *head)
{
    http->request.head = head;
    http->request.method = head->method;
    http->keep_alive = head->keep_alive;
    http->minor_version = head->minor_version;
    http->chunked = head->chunked;
    http->body_left = head->content_length;
    http->decoder = (struct http_chunked){0};
    http->phase = PHASE_PENDING;
    http->in_head = false;
    wheel_cancel(wheel_of(http), &http->timer);
    http->events->on_head(&http->request, http->app);
}

static bool process_head(struct http_conn *http, struct input *input, struct http_head *head)
{
    size_t used = 0;
    int status = 400;
    if (input->size == 0)
        return false;
    if (!http->in_head) { /* its first byte: the clock starts, and no further byte winds it up again */
        http->in_head = true;
        wheel_arm(wheel_of(http), &http->timer,
                  or_default(http->limits->head_timeout_ms, DEFAULT_HEAD_TIMEOUT_MS));
    }
    switch (http_head_decode(slice_of(input->data, input->size), head, &used, &status)) {
    case HTTP_NEED_MORE:
        return false;
    case HTTP_REFUSED:
        http->minor_version = 1;
        http->request.method = HTTP_OTHER;
        http->chunked = false;
        http->body_left = 0;
        refuse(http, status, true);
        return false;
    case HTTP_COMPLETE:
        break;
    }
    begin_request(http, head);
    if (http->phase == PHASE_MOVE)
        return false; /* the head goes along, to be read again over there */
    consume(input, used);
    if (http->phase == PHASE_PENDING)
        http->request.head = NULL;
    return http->phase != PHASE_UPGRADE;
}

static bool process_one(struct http_conn *http, struct input *input, struct http_head *head)
{
    switch (http->phase) {
    case PHASE_HEAD:
        return process_head(http, input, head);
    case PHASE_BODY:
        return http->chunked ? process_chunked_body(http, input) : process_sized_body(http, input);
    case PHASE_DRAIN:
        return process_drain(http, input);
    default:
        return false;
    }
}

/* The head of the request whose body is coming, in memory of its own. */
static bool save_head(struct http_conn *http)
{
    const struct http_head *head = http->request.head;
    const char *start = head->method_name.data;
    /* Without fields there is no body to wait for. */
    const struct http_field *last = &head->fields[head->field_count - 1];
    const char *end = last->value.data + last->value.size;
    size_t size = (size_t)(end - start), used;
    int status;
    struct saved_head *saved = mem_alloc(sizeof *saved + size + 4);
    if (saved == NULL)
        return false;
    memcpy(saved->bytes, start, size);
    memcpy(saved->bytes + size, "\r\n\r\n", 4);
    if (http_head_decode(slice_of(saved->bytes, size + 4), &saved->head, &used, &status) !=
        HTTP_COMPLETE) {
        mem_free(saved);
        return false;
    }
    http->saved = saved;
    http->request.head = &saved->head;
    return true;
}

/* Keeps what was not consumed; `from_in`: it lies in http->in already. */
static void carry_over(struct http_conn *http, struct input *input, bool from_in)
{
    if (http->phase == PHASE_END || input->size == 0) {
        buf_release(&http->in);
        return;
    }
    if (from_in)
        buf_consume(&http->in, (size_t)(input->data - http->in.data));
    else if (!buf_append(&http->in, slice_of(input->data, input->size)))
        conn_close(http->conn, CONN_NO_MEMORY);
    /* Pipelined requests wait for the answer before them; whoever sends too many waits too. */
    if (http->phase == PHASE_PENDING && http->in.size > HTTP_MAX_HEAD)
        conn_pause(http->conn);
}

static void hand_over(struct http_conn *http, struct input *input)
{
    struct conn *conn = http->conn;
    detach(http);
    /* The bytes may lie in `in`: freed after they were delivered. The new owner is set. */
    if (conn_owner(conn) == http) { /* nobody took it, so it is being closed */
        http->phase = PHASE_END;
        return;
    }
    if (input->size > 0)
        conn_deliver(conn, input->data, input->size);
    free_http(http);
}

static void on_arrived(struct conn *conn)
{
    struct http_conn *http = conn_owner(conn);
    http->phase = PHASE_HEAD;
    http->in_head = false;
    worker_defer(conn_worker(conn), &http->task);
}

static void process(struct http_conn *http, char *data, size_t size, bool from_in)
{
    struct http_head head;
    struct input input = {data, size};
    http->processing = true;
    while (conn_is_open(http->conn) && process_one(http, &input, &head))
        ;
    http->processing = false;
    if (http->phase == PHASE_UPGRADE) {
        hand_over(http, &input);
        return;
    }
    if (http->phase == PHASE_BODY && http->saved == NULL && conn_is_open(http->conn) &&
        !save_head(http))
        conn_close(http->conn, CONN_NO_MEMORY);
    carry_over(http, &input, from_in);
    if (http->phase == PHASE_MOVE && conn_is_open(http->conn)) {
        reset_request(http);
        detach(http);
        conn_move(http->conn, http->move_to, on_arrived);
    }
}

static void on_data(struct conn *conn, char *data, size_t size)
{
    struct http_conn *http = conn_owner(conn);
    if (http->phase == PHASE_END)
        return;
    if (http->in.size == 0) {
        process(http, data, size, false);
    } else if (!buf_append(&http->in, slice_of(data, size))) {
        conn_close(conn, CONN_NO_MEMORY);
    } else {
        process(http, http->in.data, http->in.size, true);
    }
}

static void on_task(struct worker_task *task)
{
    struct http_conn *http = CONTAINER_OF(task, struct http_conn, task);
    if (http->in.size > 0 && conn_is_open(http->conn))
        process(http, http->in.data, http->in.size, true);
}

static void on_timer(struct timer *timer)
{
    struct http_conn *http = CONTAINER_OF(timer, struct http_conn, timer);
    if (http->phase == PHASE_HEAD && !http->in_head) {
        conn_close(http->conn, CONN_TIMEOUT); /* idle: nobody waits for words */
        return;
    }
    if (http->phase == PHASE_DRAIN) {
        finish(http);
        return;
    }
    if (http->phase == PHASE_BODY)
        abort_request(http);
    http->minor_version = 1;
    http->body_left = 0;
    http->chunked = false;
    refuse(http, 408, true);
}

static void on_close(struct conn *conn, enum conn_reason reason)
{
    struct http_conn *http = conn_owner(conn);
    (void)reason;
    detach(http);
    if (http->phase == PHASE_BODY || http->phase == PHASE_PENDING)
        abort_request(http);
    free_http(http);
}
