/*
 * Requests and answers in pieces. The body is handed on where it lies, the answer is copied into the connection's queue. Runs on the
 * connection's worker; the reading half is called by http_conn.c's loop only.
 *
 * Invariants: both directions end independently; the request is over when its answer is. Callbacks come from the loop, a task or a timer, never
 * from inside the functions that the layer above calls. What is queued is bounded by whoever heeds the result of http_stream_write, and
 * by the connection's budget for others. RFC 9112 sections 6 and 7.
 */
#include "http/http_internal.h"
#include "http/http_response.h"
#include "base/mem.h"
#include <stdio.h>

#define MAX_CHUNK_FRAME 24 /* size in hex, two line ends */

static void on_stall(struct timer *timer)
{
    struct http_stream *stream = CONTAINER_OF(timer, struct http_stream, stall);
    conn_close(stream->http->conn, CONN_TIMEOUT);
}

static struct http_stream *stream_get(struct http_conn *http)
{
    if (http->stream != NULL)
        return http->stream;
    struct http_stream *stream = mem_zalloc(sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->http = http;
    stream->stall.fire = on_stall;
    http->stream = stream;
    return stream;
}

void http_stream_release(struct http_conn *http)
{
    struct http_stream *stream = http->stream;
    if (stream == NULL)
        return;
    http->stream = NULL;
    wheel_cancel(&conn_worker(http->conn)->wheel, &stream->stall);
    if (stream->is_paused)
        conn_resume(http->conn);
    mem_free(stream);
}

/* --- Reading --- */

bool http_stream_read(struct http_request *request)
{
    struct http_conn *http = request->conn;
    if (stream_get(http) == NULL)
        return false;
    http->phase = HTTP_PHASE_STREAM;
    http_conn_arm_body(http);
    return true;
}

void http_stream_pause(struct http_request *request)
{
    struct http_conn *http = request->conn;
    if (http->stream == NULL || http->stream->is_paused)
        return;
    http->stream->is_paused = true;
    wheel_cancel(&conn_worker(http->conn)->wheel, &http->timer);
    conn_pause(http->conn);
}

void http_stream_resume(struct http_request *request)
{
    struct http_conn *http = request->conn;
    if (http->stream == NULL || !http->stream->is_paused)
        return;
    http->stream->is_paused = false;
    if (http->phase == HTTP_PHASE_STREAM)
        http_conn_arm_body(http);
    conn_resume(http->conn);
    worker_defer(conn_worker(http->conn), &http->task);
}

void http_stream_break(struct http_conn *http, int status)
{
    if (http->stream->answer != HTTP_ANSWER_NONE) {
        conn_close(http->conn, status == 408 ? CONN_TIMEOUT : CONN_ERROR); /* aborts the request */
        return;
    }
    http_conn_abort_request(http);
    http_respond_refusal(http, status, true);
}

/* Cuts the next piece of the body; *ret_size may be 0. False when it is malformed. */
static bool next_piece(struct http_body *body, struct http_input *input, size_t *ret_size)
{
    size_t used = 0;
    *ret_size = 0;
    if (input->size == 0)
        return true;
    if (!body->chunked) {
        *ret_size = input->size < body->left ? input->size : (size_t)body->left;
        http_input_consume(input, *ret_size);
        body->left -= *ret_size;
        return true;
    }
    enum http_decode result =
        http_chunked_decode(&body->decoder, input->data, input->size, ret_size, &used);
    if (result == HTTP_REFUSED)
        return false;
    http_input_consume(input, used);
    body->chunked = result != HTTP_COMPLETE;
    return true;
}

bool http_stream_process(struct http_conn *http, struct http_input *input)
{
    struct http_body *body = &http->body;
    char *data = input->data;
    size_t size;
    if (http->stream->is_paused)
        return false;
    if (body->expected && http_body_is_unread(body) && http->stream->answer == HTTP_ANSWER_NONE)
        conn_write(http->conn, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    body->expected = false;
    if (!next_piece(body, input, &size)) {
        http_stream_break(http, 400);
        return false;
    }
    if (size > 0) {
        http_conn_arm_body(http);
        http->events->on_piece(&http->request, data, size, http->app);
        if (http->phase != HTTP_PHASE_STREAM)
            return true; /* answered inside */
    }
    if (http_body_is_unread(body) || http->stream->is_paused || !conn_is_open(http->conn))
        return false;
    http->phase = HTTP_PHASE_PENDING;
    wheel_cancel(&conn_worker(http->conn)->wheel, &http->timer);
    http->events->on_end(&http->request, http->app);
    return true;
}

bool http_stream_process_raw(struct http_conn *http, struct http_input *input)
{
    char *data = input->data;
    size_t size = input->size;
    if (http->stream->is_paused || size == 0)
        return false;
    http_input_consume(input, size);
    http->events->on_piece(&http->request, data, size, http->app);
    return false;
}

/* --- Writing --- */

static bool is_bodiless(const struct http_request *request, int status)
{
    return request->method == HTTP_HEAD || status == 204 || status == 304;
}

bool http_stream_begin(struct http_request *request, int status, cvn_slice content_type,
                       uint64_t length)
{
    struct http_conn *http = request->conn;
    struct http_stream *stream = stream_get(http);
    if (stream == NULL) {
        conn_close(http->conn, CONN_NO_MEMORY);
        return false;
    }
    if (stream->answer != HTTP_ANSWER_NONE || status < 200 || status > 999 ||
        !http_head_is_field_value(content_type))
        return false;
    bool has_length = length != HTTP_UNKNOWN_LENGTH;
    enum http_answer answer = is_bodiless(request, status) ? HTTP_ANSWER_BODILESS
                              : has_length                 ? HTTP_ANSWER_SIZED
                              : http->minor_version > 0    ? HTTP_ANSWER_CHUNKED
                                                           : HTTP_ANSWER_UNTIL_END;
    stream->keep_alive = http->keep_alive && answer != HTTP_ANSWER_UNTIL_END &&
                         (http->phase == HTTP_PHASE_STREAM || http_body_is_drainable(&http->body));
    struct http_response response = {
        .status = status,
        .minor_version = http->minor_version,
        .keep_alive = stream->keep_alive,
        .content_type = content_type,
        .fields = buf_slice(&request->fields),
        .body_size = has_length ? length : 0,
        .is_chunked = answer == HTTP_ANSWER_CHUNKED,
        .has_no_length = !has_length,
    };
    char *end;
    struct message *message = http_response_encode(&response, 0, &end);
    if (message == NULL) {
        conn_close(http->conn, CONN_NO_MEMORY);
        return false;
    }
    stream->answer = (uint8_t)answer;
    stream->left = has_length ? length : 0;
    bool is_sent = conn_send(http->conn, message, 0);
    message_unref(message);
    return is_sent;
}

bool http_stream_has_begun(const struct http_request *request)
{
    const struct http_stream *stream = request->conn->stream;
    return stream != NULL && stream->answer != HTTP_ANSWER_NONE;
}

static void send_message(struct http_conn *http, struct message *message)
{
    if (message == NULL) {
        conn_close(http->conn, CONN_NO_MEMORY);
        return;
    }
    conn_send(http->conn, message, 0);
    message_unref(message);
}

static struct message *chunk_of(cvn_slice piece)
{
    char frame[MAX_CHUNK_FRAME];
    size_t size = (size_t)snprintf(frame, sizeof frame, "%zx\r\n", piece.size);
    struct message *message = message_new(size + piece.size + 2);
    if (message == NULL)
        return NULL;
    memcpy(message->data, frame, size);
    memcpy(message->data + size, piece.data, piece.size);
    memcpy(message->data + size + piece.size, "\r\n", 2);
    return message;
}

/* Whether the writer may go on; else a drain is owed, in bounded time. */
static bool judge_queue(struct http_conn *http)
{
    struct http_stream *stream = http->stream;
    if (!conn_is_open(http->conn))
        return false;
    if (conn_queued(http->conn) <= HTTP_STREAM_HIGH && !conn_is_congested(http->conn))
        return true;
    if (!stream->wants_drain) {
        wheel_arm(&conn_worker(http->conn)->wheel, &stream->stall, http_conn_patience_ms(http));
    }
    stream->wants_drain = true;
    return false;
}

bool http_stream_write(struct http_request *request, cvn_slice piece)
{
    struct http_conn *http = request->conn;
    struct http_stream *stream = http->stream;
    if (stream == NULL)
        return false;
    switch ((enum http_answer)stream->answer) {
    case HTTP_ANSWER_NONE:
        return false;
    case HTTP_ANSWER_BODILESS:
        return conn_is_open(http->conn);
    case HTTP_ANSWER_SIZED:
        if (piece.size > stream->left)
            piece.size = (size_t)stream->left;
        stream->left -= piece.size;
        if (piece.size > 0)
            send_message(http, message_copy(piece));
        break;
    case HTTP_ANSWER_CHUNKED:
        if (piece.size > 0) /* an empty chunk would be the end */
            send_message(http, chunk_of(piece));
        break;
    case HTTP_ANSWER_UNTIL_END:
        if (piece.size > 0)
            send_message(http, message_copy(piece));
        break;
    }
    return judge_queue(http);
}

void http_stream_end(struct http_request *request)
{
    struct http_conn *http = request->conn;
    struct http_stream *stream = http->stream;
    if (stream == NULL || stream->answer == HTTP_ANSWER_NONE ||
        (stream->answer == HTTP_ANSWER_SIZED && stream->left > 0)) {
        http_stream_abort(request);
        return;
    }
    if (stream->answer == HTTP_ANSWER_CHUNKED)
        conn_write(http->conn, SLICE("0\r\n\r\n"));
    http_respond_is_done(http, stream->keep_alive && http_body_is_drainable(&http->body));
}

void http_stream_abort(struct http_request *request)
{
    struct http_conn *http = request->conn;
    http->phase = HTTP_PHASE_END;
    http_conn_reset_request(http);
    conn_close(http->conn, CONN_LOCAL_CLOSE);
}

void http_stream_tell_drain(struct http_conn *http)
{
    struct http_stream *stream = http->stream;
    if (stream == NULL || !stream->wants_drain || conn_queued(http->conn) > 0)
        return;
    stream->wants_drain = false;
    wheel_cancel(&conn_worker(http->conn)->wheel, &stream->stall);
    if (http->phase == HTTP_PHASE_STREAM || http->phase == HTTP_PHASE_PENDING ||
        http->phase == HTTP_PHASE_RAW)
        http->events->on_drain(&http->request, http->app);
}

/* --- Another protocol --- */

bool http_stream_upgrade(struct http_request *request)
{
    struct http_conn *http = request->conn;
    if (!http->wants_upgrade || http_body_is_unread(&http->body) ||
        (http->stream != NULL && http->stream->answer != HTTP_ANSWER_NONE))
        return false;
    struct http_stream *stream = stream_get(http);
    if (stream == NULL)
        return false;
    stream->answer = HTTP_ANSWER_UNTIL_END;
    stream->keep_alive = false;
    http->phase = HTTP_PHASE_RAW;
    wheel_cancel(&conn_worker(http->conn)->wheel, &http->timer);
    if (!stream->is_paused)
        conn_resume(http->conn); /* it may have sent much behind its head */
    worker_defer(conn_worker(http->conn), &http->task);
    return true;
}
