/*
 * Who answers an HTTP request: the client bundles, Engine.IO, or the application. Runs on the worker that the connection is on, which
 * is not always the one that accepted it.
 */
#include "convene_http.h"
#include "base/mem.h"

enum route { ROUTE_NONE, ROUTE_ENGINE, ROUTE_APPLICATION };

static struct server_worker *worker_of(const struct http_request *request)
{
    return conn_worker(http_request_conn(request))->app;
}

void server_uncount_request(struct cvn_http_request *wrapped)
{
    if (wrapped->is_counted)
        worker_of(wrapped->http)->http_requests--;
    wrapped->is_counted = false;
}

struct http_request *server_unwrap_request(struct cvn_http_request *wrapped)
{
    server_uncount_request(wrapped);
    struct http_request *request = wrapped->http;
    if (request != NULL)
        request->user = NULL;
    return request;
}

/* Asks the application at the head. Whether the request is settled: answered, or taken. */
static bool offer_head(struct cvn_server *server, struct http_request *request,
                       struct cvn_http_request *wrapped)
{
    if (server->http_head_fn == NULL)
        return false;
    wrapped->in_head_fn = true;
    bool is_taken = server->http_head_fn(wrapped, server->http_head_data);
    if (request->user != wrapped) /* answered, and gone with the answer */
        return true;
    wrapped->in_head_fn = false;
    wrapped->delivered = is_taken || wrapped->events != NULL;
    return wrapped->delivered;
}

static void start_application_request(struct cvn_server *server, struct http_request *request)
{
    struct cvn_http_request *wrapped = mem_zalloc(sizeof *wrapped);
    if (wrapped == NULL) {
        http_respond_close(request, 503, SLICE(""), SLICE(""));
        return;
    }
    wrapped->http = request;
    wrapped->is_counted = true;
    worker_of(request)->http_requests++;
    request->user = wrapped;
    request->route = ROUTE_APPLICATION;
    if (offer_head(server, request, wrapped))
        return;
    if (server->http_fn != NULL) {
        http_request_read_body(request, server->settings.eio.max_payload);
        return;
    }
    server_unwrap_request(wrapped);
    mem_free(wrapped);
    http_respond(request, 404, SLICE("text/plain; charset=utf-8"), SLICE("Not Found\n"));
}

static void on_head(struct http_request *request, void *app)
{
    struct cvn_server *server = app;
    if (server->files != NULL && client_files_serve(server->files, request))
        return;
    struct eio_server *eio = worker_of(request)->sio.eio;
    if (eio_server_owns_path(eio, request->head->path)) {
        request->route = ROUTE_ENGINE;
        eio_server_on_head(eio, request);
        return;
    }
    if (server->http_fn == NULL && server->http_head_fn == NULL)
        http_respond(request, 404, SLICE("text/plain; charset=utf-8"), SLICE("Not Found\n"));
    else
        start_application_request(server, request);
}

static void on_body(struct http_request *request, char *body, size_t size, void *app)
{
    struct cvn_server *server = app;
    if (request->route == ROUTE_ENGINE) {
        eio_server_on_body(worker_of(request)->sio.eio, request, body, size);
        return;
    }
    struct cvn_http_request *wrapped = request->user;
    wrapped->body = slice_of(body, size);
    wrapped->delivered = true;
    server->http_fn(wrapped, server->http_data);
}

static void on_abort(struct http_request *request, void *app)
{
    (void)app;
    if (request->route == ROUTE_ENGINE) {
        eio_server_on_abort(worker_of(request)->sio.eio, request);
        return;
    }
    struct cvn_http_request *wrapped = request->user;
    if (wrapped == NULL)
        return;
    server_uncount_request(wrapped);
    if (wrapped->events != NULL)
        wrapped->events->on_gone(wrapped, wrapped->events_data);
    if (wrapped->delivered && wrapped->events == NULL)
        wrapped->http = NULL; /* freed with the answer that goes nowhere */
    else
        mem_free(wrapped);
}

const struct http_events server_http_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_abort = on_abort,
    .on_piece = server_on_piece,
    .on_end = server_on_piece_end,
    .on_drain = server_on_http_drain,
};

/* --- The hooks of Engine.IO --- */

static struct cvn_server *server_of(void *app)
{
    const struct sio_worker *worker = app;
    return worker->server->owner;
}

enum eio_verdict server_on_allow(struct http_request *request, const char **message, void *app)
{
    const struct sio_worker *worker = app;
    struct cvn_server *server = server_of(app);
    if (server->settings.allow_request == NULL)
        return EIO_ALLOW;
    struct cvn_http_request wrapped = {.http = request, .asking = worker->eio};
    bool is_allowed = server->settings.allow_request(&wrapped, message, server->settings.hook_data);
    if (wrapped.put_off)
        return EIO_LATER;
    return is_allowed ? EIO_ALLOW : EIO_DENY;
}

/* A decision put off: also the mail that brings it home from another thread. */
struct cvn_admission {
    struct mail mail;
    struct worker *worker;
    struct eio_admission *eio;
    bool is_allowed;
    struct eio_denial *denial;
};

cvn_admission *cvn_allow_later(cvn_http_request *request)
{
    if (request->asking == NULL || request->put_off)
        return NULL;
    struct cvn_admission *admission = mem_zalloc(sizeof *admission);
    if (admission == NULL)
        return NULL;
    admission->eio = eio_admission_new(request->asking, request->http);
    if (admission->eio == NULL) {
        mem_free(admission);
        return NULL;
    }
    admission->worker = conn_worker(http_request_conn(request->http));
    request->put_off = true;
    return admission;
}

static void decide(struct cvn_admission *admission)
{
    eio_admission_decide(admission->eio, admission->is_allowed, admission->denial);
    mem_free(admission);
}

static void on_decision(struct mail *mail, struct worker *worker)
{
    (void)worker;
    decide(CONTAINER_OF(mail, struct cvn_admission, mail));
}

/* The worker has ended, and with it the client's connection: this only frees. */
static void on_decision_discarded(struct mail *mail)
{
    decide(CONTAINER_OF(mail, struct cvn_admission, mail));
}

static void bring_home(struct cvn_admission *admission)
{
    if (worker_current() == admission->worker) {
        decide(admission);
        return;
    }
    admission->mail.deliver = on_decision;
    admission->mail.discard = on_decision_discarded;
    worker_post(admission->worker, &admission->mail);
}

void cvn_allow(cvn_admission *admission)
{
    admission->is_allowed = true;
    bring_home(admission);
}

void cvn_deny(cvn_admission *admission, const char *message)
{
    cvn_deny_with(admission, &(cvn_denial){.message = message});
}

static size_t text_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

/* A copy of the text at *to, which moves behind it; NULL stays NULL. */
static const char *put_text(char **to, const char *text)
{
    size_t size = text_size(text);
    char *copy = *to;
    if (size == 0)
        return NULL;
    memcpy(copy, text, size);
    *to += size;
    return copy;
}

/* NULL when memory has run out: then the client gets the usual refusal. */
static struct eio_denial *copy_denial(const cvn_denial *from)
{
    size_t size = sizeof(struct eio_denial) + from->header_count * sizeof(struct eio_denial_field) +
                  text_size(from->message);
    for (size_t i = 0; i < from->header_count; i++)
        size += text_size(from->headers[i].name) + text_size(from->headers[i].value);
    struct eio_denial *denial = mem_zalloc(size);
    if (denial == NULL)
        return NULL;
    char *to = (char *)&denial->fields[from->header_count];
    denial->status = from->status >= 400 && from->status <= 599 ? from->status : 0;
    denial->message = put_text(&to, from->message);
    denial->field_count = from->header_count;
    for (size_t i = 0; i < from->header_count; i++) {
        denial->fields[i].name = cvn_str(put_text(&to, from->headers[i].name));
        denial->fields[i].value = cvn_str(put_text(&to, from->headers[i].value));
    }
    return denial;
}

void cvn_deny_with(cvn_admission *admission, const cvn_denial *denial)
{
    if (denial != NULL)
        admission->denial = copy_denial(denial);
    bring_home(admission);
}

void server_on_headers(struct http_request *request, bool initial, void *app)
{
    struct cvn_server *server = server_of(app);
    if (server->settings.on_headers == NULL)
        return;
    struct cvn_http_request wrapped = {.http = request};
    server->settings.on_headers(&wrapped, initial, server->settings.hook_data);
}

_Static_assert((int)CVN_REFUSED_VERSION == (int)EIO_CODE_BAD_VERSION &&
                   (int)CVN_REFUSED_UNDECIDED == (int)EIO_CODE_UNDECIDED,
               "the public codes are those of Engine.IO");

void server_on_refused(struct http_request *request, const struct eio_refusal *refusal, void *app)
{
    struct cvn_server *server = server_of(app);
    if (server->settings.on_connection_error == NULL)
        return;
    struct cvn_http_request wrapped = {.http = request};
    cvn_connection_error error = {
        .code = (enum cvn_refusal)refusal->code,
        .message = eio_code_text(refusal->code),
        .reason = refusal->reason != NULL ? refusal->reason : "",
        .status = refusal->status,
    };
    server->settings.on_connection_error(&wrapped, &error, server->settings.hook_data);
}

/* --- What the application sees --- */

void cvn_on_http(cvn_server *server, cvn_http_fn fn, void *data)
{
    if (atomic_load(&server->state) != SERVER_NEW)
        return;
    server->http_fn = fn;
    server->http_data = data;
}

static const struct http_head *head_of(const cvn_http_request *request)
{
    return request->http != NULL ? request->http->head : NULL;
}

cvn_slice cvn_http_method(const cvn_http_request *request)
{
    const struct http_head *head = head_of(request);
    return head != NULL ? head->method_name : SLICE("");
}

cvn_slice cvn_http_path(const cvn_http_request *request)
{
    const struct http_head *head = head_of(request);
    return head != NULL ? head->path : SLICE("");
}

cvn_slice cvn_http_query(const cvn_http_request *request, const char *name)
{
    const struct http_head *head = head_of(request);
    return head != NULL ? http_query_get(head->query, cvn_str(name)) : (cvn_slice){NULL, 0};
}

cvn_slice cvn_http_header(const cvn_http_request *request, const char *name)
{
    const struct http_head *head = head_of(request);
    return head != NULL ? http_head_get(head, cvn_str(name)) : (cvn_slice){NULL, 0};
}

bool cvn_http_next_header(const cvn_http_request *request, size_t *cursor, cvn_slice *ret_name,
                          cvn_slice *ret_value)
{
    const struct http_head *head = head_of(request);
    if (head == NULL || *cursor >= head->field_count)
        return false;
    *ret_name = head->fields[*cursor].name;
    *ret_value = head->fields[*cursor].value;
    ++*cursor;
    return true;
}

cvn_slice cvn_http_body(const cvn_http_request *request)
{
    return request->body;
}

const char *cvn_http_address(const cvn_http_request *request)
{
    return request->http != NULL ? conn_peer_address(http_request_conn(request->http)) : "";
}

/* Where an answer ends is for nobody else to say. */
static bool is_framing_field(cvn_slice name)
{
    return slice_eq_nocase(name, SLICE("content-length")) ||
           slice_eq_nocase(name, SLICE("transfer-encoding")) ||
           slice_eq_nocase(name, SLICE("connection"));
}

bool cvn_http_add_header(cvn_http_request *request, const char *name, cvn_slice value)
{
    return request->http != NULL && !is_framing_field(cvn_str(name)) &&
           http_request_add_field(request->http, cvn_str(name), value);
}

void cvn_http_respond(cvn_http_request *request, int status, const char *content_type,
                      cvn_slice body)
{
    struct http_request *http = server_unwrap_request(request);
    if (http != NULL && http_stream_has_begun(http))
        http_stream_abort(http); /* a second head would be taken for a part of the body */
    else if (http != NULL)
        http_respond(http, status, cvn_str(content_type), body);
    mem_free(request);
}
