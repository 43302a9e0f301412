/*
 * The contracts "eio-echo", "eio-client" and "eio-java": Engine.IO alone, as the suites of the protocol and of its clients want it.
 * One instance a worker; which contract is served is decided once, before the workers start.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "conformance.h"
#include "base/json.h"
#include "base/mem.h"
#include "eio/eio_server.h"

static const struct conn_limits output_limits = {.high_water = (size_t)1 << 20,
                                                 .max = (size_t)64 << 20};
static const char *const any_origin[] = {"*"};

static struct eio_options options;
static struct eio_events events;

/* The request whose body is being delivered on this thread: where a message came from, if not from a WebSocket. */
static _Thread_local struct http_request *carrier;

static struct eio_server *server_of(const struct http_request *request)
{
    return conn_worker(http_request_conn(request))->app;
}

static void send_and_unref(struct eio_session *session, struct message *packet)
{
    if (packet != NULL)
        eio_session_send(session, packet);
    else
        eio_session_close(session, EIO_TRANSPORT_ERROR);
    message_unref(packet);
}

static void send_text(struct eio_session *session, cvn_slice text)
{
    send_and_unref(session, eio_packet_encode(EIO_MESSAGE, text));
}

/* --- Echo --- */

static void echo_on_open(struct eio_session *session, const struct http_request *request, void *app)
{
    (void)session, (void)request, (void)app;
}

static void echo_on_message(struct eio_session *session, char *data, size_t size, bool binary)
{
    send_and_unref(session, binary ? eio_packet_encode_binary(slice_of(data, size))
                                   : eio_packet_encode(EIO_MESSAGE, slice_of(data, size)));
}

static void echo_on_close(struct eio_session *session, enum eio_reason reason)
{
    (void)reason;
    mem_free(eio_session_owner(session));
}

/* --- eio-client --- */

/* The head's fields as a JSON object with lower-case names, NUL-terminated. NULL when memory has run out. */
static char *headers_as_json(const struct http_head *head)
{
    struct buf json;
    buf_init(&json, 4 * HTTP_MAX_HEAD);
    buf_append_byte(&json, '{');
    for (size_t i = 0; i < head->field_count; i++) {
        char name[256];
        size_t size = head->fields[i].name.size;
        if (size > sizeof name)
            continue;
        for (size_t j = 0; j < size; j++) {
            char c = head->fields[i].name.data[j];
            name[j] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
        }
        if (json.size > 1)
            buf_append_byte(&json, ',');
        json_append_string(&json, slice_of(name, size));
        buf_append_byte(&json, ':');
        json_append_string(&json, head->fields[i].value);
    }
    buf_append_byte(&json, '}');
    buf_append_byte(&json, '\0');
    if (!json.failed)
        return json.data;
    buf_release(&json);
    return NULL;
}

static void send_headers(struct eio_session *session)
{
    if (carrier == NULL) { /* over a WebSocket: those of the handshake */
        send_text(session, cvn_str(eio_session_owner(session)));
        return;
    }
    char *json = headers_as_json(carrier->head);
    if (json != NULL)
        send_text(session, cvn_str(json));
    else
        eio_session_close(session, EIO_TRANSPORT_ERROR);
    mem_free(json);
}

static void client_on_open(struct eio_session *session, const struct http_request *request,
                           void *app)
{
    (void)app;
    eio_session_set_owner(session, headers_as_json(request->head));
    send_text(session, SLICE("hi"));
}

static void client_on_message(struct eio_session *session, char *data, size_t size, bool binary)
{
    cvn_slice text = slice_of(data, size);
    if (!binary && slice_eq(text, SLICE("give binary")))
        send_and_unref(session, eio_packet_encode_binary(slice_of("\0\1\2\3\4", 5)));
    else if (!binary && slice_eq(text, SLICE("give utf8")))
        send_text(session, SLICE("пойду спать всем спокойной ночи"));
    else if (!binary && slice_eq(text, SLICE("sendHeaders")))
        send_headers(session);
    else
        echo_on_message(session, data, size, binary);
}

static enum eio_verdict client_on_allow(struct http_request *request, const char **message,
                                        void *app)
{
    (void)message, (void)app;
    bool is_denied = http_query_get(request->head->query, SLICE("deny")).data != NULL;
    return is_denied ? EIO_DENY : EIO_ALLOW;
}

static void client_on_headers(struct http_request *request, bool initial, void *app)
{
    char last[64];
    struct tm parts;
    time_t now = time(NULL);

    (void)app;
    if (!initial)
        return;
    gmtime_r(&now, &parts);
    strftime(last, sizeof last, "4=4; Expires=%a, %d %b %Y %H:%M:%S GMT", &parts);
    http_request_add_field(request, SLICE("Set-Cookie"), SLICE("1=1; Max-Age=86400"));
    http_request_add_field(request, SLICE("Set-Cookie"),
                           SLICE("2=2; Path=/; HttpOnly; Secure; SameSite=Strict"));
    http_request_add_field(request, SLICE("Set-Cookie"), SLICE("3=3; Max-Age=0"));
    http_request_add_field(request, SLICE("Set-Cookie"), cvn_str(last));
}

/* --- eio-java --- */

static void java_on_open(struct eio_session *session, const struct http_request *request, void *app)
{
    (void)request, (void)app;
    send_text(session, SLICE("hi"));
}

static void java_on_headers(struct http_request *request, bool initial, void *app)
{
    cvn_slice value = http_head_get(request->head, SLICE("x-engineio"));
    (void)initial, (void)app;
    if (value.data == NULL)
        return;
    http_request_add_field(request, SLICE("X-EngineIO"), SLICE("hi"));
    http_request_add_field(request, SLICE("X-EngineIO"), value);
}

/* --- The server --- */

static bool choose(const char *contract)
{
    eio_options_default(&options);
    options.origins = (struct http_origin_policy){.allowed = any_origin, .allowed_count = 1};
    options.send_max = (size_t)32 << 20;
    events = (struct eio_events){
        .on_open = echo_on_open, .on_message = echo_on_message, .on_close = echo_on_close};
    if (strcmp(contract, "eio-echo") == 0) {
        options.ping_interval_ms = 300;
        options.ping_timeout_ms = 200;
        options.max_payload = 1000000;
    } else if (strcmp(contract, "eio-client") == 0) {
        options.ping_interval_ms = 500;
        options.max_payload = 100;
        events.on_allow = client_on_allow;
        events.on_headers = client_on_headers;
        events.on_open = client_on_open;
        events.on_message = client_on_message;
    } else if (strcmp(contract, "eio-java") == 0) {
        options.ping_interval_ms = 500;
        events.on_headers = java_on_headers;
        events.on_open = java_on_open;
    } else {
        return false;
    }
    return true;
}

static bool start(struct worker *worker, struct worker *const *workers, unsigned count)
{
    struct eio_server *server = eio_server_new(worker, &options, &events, NULL);
    if (server == NULL)
        return false;
    eio_server_set_peers(server, workers, count);
    worker->app = server;
    return true;
}

static void stop(struct worker *worker)
{
    eio_server_free(worker->app);
}

/* A connection may have moved since it was accepted: its worker is asked, not `app`. */
static void on_head(struct http_request *request, void *app)
{
    struct eio_server *server = server_of(request);
    (void)app;
    if (eio_server_owns_path(server, request->head->path))
        eio_server_on_head(server, request);
    else
        http_respond(request, 404, SLICE("text/plain"), SLICE("not found\n"));
}

static void on_body(struct http_request *request, char *body, size_t size, void *app)
{
    (void)app;
    carrier = request;
    eio_server_on_body(server_of(request), request, body, size);
    carrier = NULL;
}

static void on_abort(struct http_request *request, void *app)
{
    (void)app;
    eio_server_on_abort(server_of(request), request);
}

int conformance_eio_run(const char *contract, uint16_t port, unsigned workers, bool deflate)
{
    static const struct http_events http_events = {
        .on_head = on_head, .on_body = on_body, .on_abort = on_abort};
    static const struct conformance_service service = {
        .events = &http_events, .limits = &output_limits, .start = start, .stop = stop};

    if (!choose(contract)) {
        fprintf(stderr, "%s: no contract of Engine.IO's\n", contract);
        return 2;
    }
    if (deflate) {
        options.websocket_compression = true;
        options.compression_threshold = 1;
    }
    return conformance_serve(&service, port, workers);
}
