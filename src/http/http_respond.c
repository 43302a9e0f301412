/*
 * Answers, and what becomes of the connection after each. Head and small body leave in one message;
 * a large body that is already a message is shared. Runs on the connection's worker.
 *
 * A connection stays only where it is certain where the next request begins: a body left unread is
 * drained when it is short and sure to come, and costs the connection otherwise (RFC 9112 section
 * 9.3).
 */
#include "http/http_internal.h"
#include "http/http_response.h"
#include <stdio.h>

void http_respond_is_done(struct http_conn *http, bool keep_alive)
{
    http_conn_reset_request(http);
    if (!keep_alive) {
        http_conn_finish(http);
        return;
    }
    if (http_body_is_unread(&http->body)) {
        http->phase = HTTP_PHASE_DRAIN;
        http_conn_arm_body(http);
    } else {
        http_conn_expect_head(http);
    }
    if (!http->processing) {
        conn_resume(http->conn);
        if (http->in.size > 0)
            worker_defer(conn_worker(http->conn), &http->task);
    }
}

static bool is_bodiless(const struct http_request *request, int status)
{
    return request->method == HTTP_HEAD || status == 204 || status == 304;
}

static void respond(struct http_request *request, int status, cvn_slice content_type,
                    cvn_slice body, struct message *shared, bool close)
{
    struct http_conn *http = request->conn;
    bool keep_alive = !close && http->keep_alive && http_body_is_drainable(&http->body);
    bool bodiless = is_bodiless(request, status);
    size_t inline_size = bodiless || shared != NULL ? 0 : body.size;
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
        conn_close(http->conn, CONN_NO_MEMORY);
    } else {
        if (inline_size > 0)
            memcpy(to, body.data, inline_size);
        conn_send(http->conn, message, 0);
        message_unref(message);
        if (shared != NULL && !bodiless)
            conn_send(http->conn, shared, shared->prefix);
    }
    http_respond_is_done(http, keep_alive && message != NULL);
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

void http_respond_refusal(struct http_conn *http, int status, bool with_words)
{
    char words[64];
    int size = snprintf(words, sizeof words, "%s\n", http_reason_phrase(status));
    /* The layer above may have added fields to the answer that it did not come to give. */
    http_conn_reset_request(http);
    respond(&http->request, status, with_words ? SLICE("text/plain; charset=utf-8") : SLICE(""),
            slice_of(words, with_words ? (size_t)size : 0), NULL, true);
}
