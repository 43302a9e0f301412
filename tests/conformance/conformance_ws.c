/*
 * The contract "ws-echo": a bare WebSocket endpoint on any path that sends back what it gets. On the library's ws layer. With
 * --deflate every message that shrinks goes back compressed, however small it is.
 */
#include <stdlib.h>
#include "conformance.h"
#include "ws/ws_conn.h"
#include "ws/ws_encode.h"
#include "ws/ws_extension.h"
#include "ws/ws_handshake.h"

#define MAX_MESSAGE ((size_t)16 << 20)

static const struct ws_limits limits = {.max_message = MAX_MESSAGE, .max_fragments = 65536};
static const struct conn_limits output_limits = {.high_water = MAX_MESSAGE, .max = 8 * MAX_MESSAGE};

static void on_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    struct message *echo = ws_encode_copy(binary ? WS_BINARY : WS_TEXT, slice_of(data, size));
    if (echo != NULL)
        ws_conn_send(ws, echo);
    else
        ws_conn_abort(ws, CONN_NO_MEMORY);
    message_unref(echo);
}

static void on_close(struct ws_conn *ws, unsigned status, bool clean, enum conn_reason reason)
{
    (void)ws, (void)status, (void)clean, (void)reason;
}

static const struct ws_events events = {.on_message = on_message, .on_close = on_close};

/* Accepts an offer of compression, if this server does that. False when memory has run out. */
static bool agree(struct http_request *request, struct ws_extension *ret, bool *ret_is_agreed)
{
    struct worker *worker = conn_worker(http_request_conn(request));
    struct buf value;

    *ret_is_agreed = worker->app != NULL && ws_extension_choose(request->head, ret);
    if (!*ret_is_agreed)
        return true;
    buf_init(&value, 256);
    bool is_added =
        ws_extension_answer(&value, ret) &&
        http_request_add_field(request, SLICE("Sec-WebSocket-Extensions"), buf_slice(&value));
    buf_release(&value);
    return is_added;
}

static void on_head(struct http_request *request, void *app)
{
    struct buf answer;
    struct ws_extension extension;
    bool is_compressed;
    int status = ws_handshake_check(request->head);
    (void)app;

    if (status != 0) {
        http_request_add_field(request, SLICE("Sec-WebSocket-Version"), SLICE("13"));
        http_respond_close(request, status, SLICE("text/plain"), SLICE("WebSocket only\n"));
        return;
    }
    buf_init(&answer, 4096);
    if (agree(request, &extension, &is_compressed) &&
        ws_handshake_answer(&answer, request->head, buf_slice(&request->fields))) {
        struct conn *conn = http_request_upgrade(request);
        conn_write(conn, buf_slice(&answer));
        struct ws_conn *ws = ws_conn_start(conn, &events, &limits, NULL);
        if (ws != NULL && is_compressed) /* else no memory: the connection is closed */
            ws_conn_set_deflate(ws, conn_worker(conn)->app, extension.window_bits);
    } else {
        http_respond_close(request, 503, SLICE(""), SLICE(""));
    }
    buf_release(&answer);
}

static void on_body(struct http_request *request, char *body, size_t size, void *app)
{
    (void)request, (void)body, (void)size, (void)app; /* no body is ever asked for */
}

static void on_abort(struct http_request *request, void *app)
{
    (void)request, (void)app;
}

static bool start(struct worker *worker, struct worker *const *workers, unsigned count)
{
    struct ws_deflate *deflate = malloc(sizeof *deflate);
    (void)workers, (void)count;
    if (deflate == NULL)
        return false;
    ws_deflate_init(deflate, 1);
    worker->app = deflate;
    return true;
}

static void stop(struct worker *worker)
{
    if (worker->app != NULL)
        ws_deflate_release(worker->app);
    free(worker->app);
}

int conformance_ws_run(uint16_t port, unsigned workers, bool deflate)
{
    static const struct http_events http_events = {
        .on_head = on_head, .on_body = on_body, .on_abort = on_abort};
    static const struct conformance_service plain = {.events = &http_events,
                                                     .limits = &output_limits};
    static const struct conformance_service compressed = {
        .events = &http_events, .limits = &output_limits, .start = start, .stop = stop};
    return conformance_serve(deflate ? &compressed : &plain, port, workers);
}
