/*
 * Request bodies: collected in one piece for whoever asked, or thrown away. A body that has come
 * whole is delivered where it lies, without a copy. Runs on the connection's worker, called by
 * http_conn.c's loop only.
 *
 * Invariant: the body and the head stay valid while on_body runs, whatever it does: answering frees
 * neither. A body grows with what comes, never with what was announced.
 */
#include "http/http_internal.h"
#include "base/mem.h"

#define MAX_DRAIN 65536 /* of a body that nobody wanted: beyond, closing is cheaper */

bool http_body_is_unread(const struct http_body *body)
{
    return body->chunked || body->left > 0;
}

bool http_body_is_drainable(const struct http_body *body)
{
    /* After a final answer a client that waited for "100 Continue" may send the body or leave it
     * out (RFC 9110 section 10.1.1): the next bytes could be either. */
    return !http_body_is_unread(body) ||
           (!body->chunked && !body->expected && body->left <= MAX_DRAIN);
}

void http_body_forget(struct http_body *body)
{
    buf_release(&body->collected);
    mem_free(body->saved);
    body->saved = NULL;
}

static void deliver(struct http_conn *http, char *data, size_t size)
{
    struct http_saved_head *saved = http->body.saved;
    char *collected = http->body.collected.data;
    /* Out of reach of whoever answers inside. */
    http->body = (struct http_body){0};
    http->phase = HTTP_PHASE_PENDING;
    wheel_cancel(&conn_worker(http->conn)->wheel, &http->timer);
    http->events->on_body(&http->request, data, size, http->app);
    http->request.head = NULL;
    mem_free(saved);
    mem_free(collected);
}

static bool refuse(struct http_conn *http, int status)
{
    http_conn_abort_request(http);
    http_respond_refusal(http, status, status != 413);
    return false;
}

static bool collect(struct http_conn *http, const char *data, size_t size)
{
    if (buf_append(&http->body.collected, slice_of(data, size)))
        return true;
    conn_close(http->conn, CONN_NO_MEMORY); /* on_close aborts the request */
    return false;
}

static bool process_sized(struct http_conn *http, struct http_input *input)
{
    struct http_body *body = &http->body;
    if (body->left > body->max - body->collected.size)
        return refuse(http, 413);
    if (body->collected.size == 0 && input->size >= body->left) { /* all there: no copy */
        char *data = input->data;
        size_t size = (size_t)body->left;
        http_input_consume(input, size);
        deliver(http, data, size);
        return true;
    }
    size_t piece = input->size < body->left ? input->size : (size_t)body->left;
    if (!collect(http, input->data, piece))
        return false;
    http_input_consume(input, piece);
    body->left -= piece;
    if (body->left > 0)
        return false;
    deliver(http, body->collected.data, body->collected.size);
    return true;
}

static bool process_chunked(struct http_conn *http, struct http_input *input)
{
    struct http_body *body = &http->body;
    char *data = input->data;
    size_t size = 0, used = 0;
    enum http_decode result = http_chunked_decode(&body->decoder, data, input->size, &size, &used);
    if (result == HTTP_REFUSED)
        return refuse(http, 400);
    /* What is still announced of a chunk counts: it need not come to be too much. */
    if (size > body->max - body->collected.size ||
        body->decoder.chunk_left > body->max - body->collected.size - size)
        return refuse(http, 413);
    http_input_consume(input, used);
    if (result == HTTP_COMPLETE && body->collected.size == 0) { /* decoded in place: no copy */
        deliver(http, data, size);
        return true;
    }
    if (!collect(http, data, size))
        return false;
    if (result == HTTP_NEED_MORE)
        return false;
    deliver(http, body->collected.data, body->collected.size);
    return true;
}

bool http_body_process(struct http_conn *http, struct http_input *input)
{
    return http->body.chunked ? process_chunked(http, input) : process_sized(http, input);
}

/* Only bodies with a length are drained: http_respond.c closes behind the others. */
bool http_body_drain(struct http_conn *http, struct http_input *input)
{
    struct http_body *body = &http->body;
    size_t piece = input->size < body->left ? input->size : (size_t)body->left;
    http_input_consume(input, piece);
    body->left -= piece;
    if (body->left > 0)
        return false;
    http_conn_expect_head(http);
    return true;
}

bool http_body_save_head(struct http_conn *http)
{
    const struct http_head *head = http->request.head;
    const char *start = head->method_name.data;
    /* Without a field there is no body to wait for. */
    const struct http_field *last = &head->fields[head->field_count - 1];
    const char *end = last->value.data + last->value.size;
    size_t size = (size_t)(end - start), used;
    int status;
    struct http_saved_head *saved = mem_alloc(sizeof *saved + size + 4);
    if (saved == NULL)
        return false;
    memcpy(saved->bytes, start, size);
    memcpy(saved->bytes + size, "\r\n\r\n", 4);
    /* Parsing it again costs less than moving some seventy slices one by one is worth in code. */
    if (http_head_decode(slice_of(saved->bytes, size + 4), &saved->head, &used, &status) !=
        HTTP_COMPLETE) {
        mem_free(saved);
        return false;
    }
    http->body.saved = saved;
    http->request.head = &saved->head;
    return true;
}
