/*
 * The application's requests in pieces: public names for what http_stream.c does, and its events on their way up. Runs on the worker that
 * the connection is on.
 */
#include "convene_http.h"
#include "base/mem.h"

void cvn_on_http_head(cvn_server *server, cvn_http_head_fn fn, void *data)
{
    if (atomic_load(&server->state) != SERVER_NEW)
        return;
    server->http_head_fn = fn;
    server->http_head_data = data;
}

bool cvn_http_stream(cvn_http_request *request, const cvn_http_stream_events *events, void *data)
{
    if (request->http == NULL || request->events != NULL || events->on_gone == NULL ||
        (!request->in_head_fn && !request->delivered))
        return false;
    if (request->in_head_fn && !http_stream_read(request->http))
        return false;
    request->events = events;
    request->events_data = data;
    return true;
}

/* --- Events --- */

void server_on_piece(struct http_request *request, char *data, size_t size, void *app)
{
    struct cvn_http_request *wrapped = request->user;
    (void)app;
    if (wrapped->events->on_body != NULL)
        wrapped->events->on_body(wrapped, slice_of(data, size), wrapped->events_data);
}

void server_on_piece_end(struct http_request *request, void *app)
{
    struct cvn_http_request *wrapped = request->user;
    (void)app;
    if (wrapped->events->on_body_end != NULL)
        wrapped->events->on_body_end(wrapped, wrapped->events_data);
}

void server_on_http_drain(struct http_request *request, void *app)
{
    struct cvn_http_request *wrapped = request->user;
    (void)app;
    if (wrapped->events != NULL && wrapped->events->on_drain != NULL)
        wrapped->events->on_drain(wrapped, wrapped->events_data);
}

/* --- What the application does --- */

void cvn_http_pause(cvn_http_request *request)
{
    if (request->http != NULL)
        http_stream_pause(request->http);
}

void cvn_http_resume(cvn_http_request *request)
{
    if (request->http != NULL)
        http_stream_resume(request->http);
}

/* Whether it is the application's to answer; requests that only hooks see are not. */
static bool is_answerable(const cvn_http_request *request)
{
    return request->http != NULL &&
           (request->in_head_fn || request->delivered || request->events != NULL);
}

bool cvn_http_begin(cvn_http_request *request, int status, const char *content_type,
                    uint64_t length)
{
    return is_answerable(request) &&
           http_stream_begin(request->http, status, cvn_str(content_type), length);
}

bool cvn_http_write(cvn_http_request *request, cvn_slice piece)
{
    return is_answerable(request) && http_stream_write(request->http, piece);
}

void cvn_http_end(cvn_http_request *request)
{
    struct http_request *http = server_unwrap_request(request);
    if (http != NULL)
        http_stream_end(http);
    mem_free(request);
}

void cvn_http_abort(cvn_http_request *request)
{
    struct http_request *http = server_unwrap_request(request);
    if (http != NULL)
        http_stream_abort(http);
    mem_free(request);
}

bool cvn_http_upgrade(cvn_http_request *request)
{
    if (!is_answerable(request) || request->events == NULL || !http_stream_upgrade(request->http))
        return false;
    server_uncount_request(request);
    return true;
}

/* --- What it sees --- */

static const struct http_head *head_of(const cvn_http_request *request)
{
    return request->http != NULL ? request->http->head : NULL;
}

cvn_slice cvn_http_target(const cvn_http_request *request)
{
    const struct http_head *head = head_of(request);
    if (head == NULL)
        return SLICE("");
    const char *end = head->target.data + head->target.size;
    return slice_of(head->path.data, (size_t)(end - head->path.data));
}

unsigned cvn_http_minor_version(const cvn_http_request *request)
{
    const struct http_head *head = head_of(request);
    return head != NULL ? head->minor_version : 1;
}

uint64_t cvn_http_length(const cvn_http_request *request)
{
    const struct http_head *head = head_of(request);
    if (head == NULL)
        return 0;
    return head->chunked ? CVN_HTTP_UNKNOWN : head->content_length;
}

bool cvn_http_wants_upgrade(const cvn_http_request *request)
{
    const struct http_head *head = head_of(request);
    return head != NULL && head->wants_upgrade;
}

bool cvn_http_is_secure(const cvn_http_request *request)
{
    return request->http != NULL && conn_is_secure(http_request_conn(request->http));
}
