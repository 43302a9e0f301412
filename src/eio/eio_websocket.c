/*
 * The WebSocket transport: a frame is a packet. Text frames carry the type digit, binary ones are messages of bytes. The shortest way
 * through this layer: a frame in is decoded where it lies, a packet out goes to the connection's queue as it is.
 * Runs on the instance's worker. Engine.IO protocol revision 4, "WebSocket".
 */
#include "eio/eio_session.h"
#include "base/mem.h"

#define ANSWER_MAX 32768 /* bytes of a 101 with all its fields */

static void websocket_on_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    struct eio_session *session = ws_conn_owner(ws);
    struct eio_packet packet = {.type = EIO_MESSAGE, .binary = true};

    if (binary)
        eio_session_receive(session, &packet, data, size);
    else if (eio_packet_decode(slice_of(data, size), false, &packet))
        eio_session_receive(session, &packet, data + 1, size - 1);
    else
        eio_session_end(session, EIO_PARSE_ERROR);
}

static void websocket_on_drain(struct ws_conn *ws)
{
    struct eio_session *session = ws_conn_owner(ws);
    if (session->state == EIO_STATE_OPEN && session->server->events->on_drain != NULL)
        session->server->events->on_drain(session);
}

static void websocket_on_water(struct ws_conn *ws, bool is_high)
{
    eio_session_set_water(ws_conn_owner(ws), is_high);
}

/* What the layers below say, in the reference's words: an error is what we refused; whatever the peer or the network did is a close. */
static enum eio_reason websocket_reason(unsigned status, bool clean, enum conn_reason reason)
{
    if (reason == CONN_SLOW_CONSUMER)
        return EIO_SLOW_CONSUMER;
    if (reason == CONN_SHUTDOWN)
        return EIO_SHUTDOWN;
    if (clean || status == 1006)
        return reason == CONN_NO_MEMORY ? EIO_TRANSPORT_ERROR : EIO_TRANSPORT_CLOSE;
    return EIO_TRANSPORT_ERROR;
}

static void websocket_on_close(struct ws_conn *ws, unsigned status, bool clean,
                               enum conn_reason reason)
{
    struct eio_session *session = ws_conn_owner(ws);
    session->ws = NULL; /* frees itself */
    eio_server_drop_websocket(session->server);
    eio_session_end(session, websocket_reason(status, clean, reason));
}

static const struct ws_events websocket_events = {
    .on_message = websocket_on_message,
    .on_drain = websocket_on_drain,
    .on_water = websocket_on_water,
    .on_close = websocket_on_close,
};

/* Of a WebSocket that is nobody's any more and on its way out. */
static void dismissed_on_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    (void)ws, (void)data, (void)size, (void)binary;
}

static void dismissed_on_close(struct ws_conn *ws, unsigned status, bool clean,
                               enum conn_reason reason)
{
    (void)status, (void)clean, (void)reason;
    eio_server_drop_websocket(ws_conn_owner(ws));
}

static const struct ws_events dismissed_events = {
    .on_message = dismissed_on_message,
    .on_close = dismissed_on_close,
};

void eio_websocket_dismiss(struct eio_server *server, struct ws_conn *ws)
{
    ws_conn_set_owner(ws, &dismissed_events, server);
    ws_conn_close(ws, WS_STATUS_NONE, SLICE("")); /* no status: so does the reference */
}

void eio_websocket_release(struct eio_session *session, enum eio_reason reason)
{
    struct ws_conn *ws = session->ws;

    if (ws == NULL)
        return;
    session->ws = NULL;
    if (reason == EIO_SLOW_CONSUMER) { /* a close frame would wait behind what it does not read */
        ws_conn_set_owner(ws, &dismissed_events, session->server);
        ws_conn_abort(ws, CONN_SLOW_CONSUMER);
    } else {
        eio_websocket_dismiss(session->server, ws);
    }
}

/* Accepts an offer of compression, if there is one that we can. False when memory has run out. */
static bool websocket_agree(struct eio_server *server, struct http_request *request,
                            struct eio_websocket_answer *answer)
{
    char memory[128];
    struct buf value = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};

    answer->is_compressed = server->options->websocket_compression &&
                            ws_extension_choose(request->head, &answer->extension);
    if (!answer->is_compressed)
        return true;
    return ws_extension_answer(&value, &answer->extension) &&
           http_request_add_field(request, SLICE("Sec-WebSocket-Extensions"), buf_slice(&value));
}

bool eio_websocket_prepare(struct eio_server *server, struct http_request *request, bool initial,
                           struct eio_websocket_answer *ret_answer)
{
    int status = ws_handshake_check(request->head);
    if (status != 0) {
        eio_handshake_tell(server, request,
                           &(struct eio_refusal){.code = EIO_CODE_BAD_REQUEST,
                                                 .status = status,
                                                 .reason = "WEBSOCKET_HANDSHAKE_ERROR"});
        if (status == 426 &&
            !http_request_add_field(request, SLICE("Sec-WebSocket-Version"), SLICE("13")))
            status = 503;
        http_respond_close(request, status, SLICE("text/html"),
                           cvn_str(http_reason_phrase(status)));
        return false;
    }

    buf_init(&ret_answer->bytes, ANSWER_MAX);
    if (eio_handshake_add_fields(server, request, false) &&
        websocket_agree(server, request, ret_answer)) {
        if (server->events->on_headers != NULL)
            server->events->on_headers(request, initial, server->app);
        if (ws_handshake_answer(&ret_answer->bytes, request->head, buf_slice(&request->fields)))
            return true;
    }
    buf_release(&ret_answer->bytes);
    eio_handshake_fail(server, request, 503);
    return false;
}

struct ws_conn *eio_websocket_take(struct eio_server *server, struct http_request *request,
                                   const struct eio_websocket_answer *answer,
                                   const struct ws_events *events, void *owner)
{
    struct conn *conn = http_request_upgrade(request);
    conn_write(conn,
               buf_slice(&answer->bytes)); /* a failure closes the connection: on_close tells */
    struct ws_conn *ws = ws_conn_start(conn, events, &server->ws_limits, owner);
    if (ws == NULL)
        return NULL;
    server->websockets++;
    if (answer->is_compressed)
        ws_conn_set_deflate(ws, &server->deflate, answer->extension.window_bits);
    return ws;
}

/* The open packet goes first, whatever on_open has queued. */
static bool websocket_send_open(struct eio_session *session, struct ws_conn *ws)
{
    char text[EIO_OPEN_PACKET_SIZE];
    size_t size = eio_session_write_open(session, text);
    struct message *open = eio_packet_encode(EIO_OPEN, slice_of(text + 1, size - 1));
    bool is_sent = open != NULL && ws_conn_send(ws, open);
    message_unref(open);
    return is_sent;
}

void eio_websocket_open(struct eio_server *server, struct http_request *request)
{
    struct eio_websocket_answer answer;

    if (!eio_websocket_prepare(server, request, true, &answer))
        return;
    struct eio_session *session =
        eio_session_new(server, EIO_WEBSOCKET, conn_peer_address(http_request_conn(request)));
    if (session == NULL) {
        eio_handshake_fail(server, request, 503);
        goto out;
    }
    /* on_open wants to see the request, which is gone after the upgrade: what it sends is queued until then. */
    eio_session_announce(session, request);
    if (session->state == EIO_STATE_ENDED) {
        eio_handshake_fail(server, request, 503);
        goto out;
    }

    struct ws_conn *ws = eio_websocket_take(server, request, &answer, &websocket_events, session);
    if (ws == NULL) {
        eio_session_end(session, EIO_TRANSPORT_ERROR);
        goto out;
    }
    session->ws = ws;
    if (websocket_send_open(session, ws))
        eio_websocket_attach(session, ws);
    else
        eio_session_end(session, EIO_TRANSPORT_ERROR);
out:
    buf_release(&answer.bytes);
}

/* What waited for polls. A packet with a key keeps it: a newer one may still take its place. */
static void websocket_send_queue(struct eio_session *session, struct ws_conn *ws)
{
    struct message *unit[1 + UINT8_MAX];
    size_t replaced;

    while ((unit[0] = outq_pop(session->queue)) != NULL) {
        unsigned count = 1;
        if ((unit[0]->flags & MESSAGE_CONFLATE) == 0) {
            ws_conn_send(ws, unit[0]);
        } else {
            for (; count <= unit[0]->followers; count++)
                unit[count] = outq_pop(session->queue);
            ws_conn_send_conflated(ws, unit, &replaced);
        }
        while (count > 0)
            message_unref(unit[--count]);
    }
    eio_session_free_queue(session);
    if (session->is_high && !conn_is_high(ws_conn_conn(ws)))
        eio_session_set_water(session, false);
}

void eio_websocket_attach(struct eio_session *session, struct ws_conn *ws)
{
    ws_conn_set_owner(ws, &websocket_events, session);
    session->ws = ws;
    session->transport = EIO_WEBSOCKET;
    websocket_send_queue(session, ws);
    if (session->state == EIO_STATE_CLOSING)
        eio_session_end(session, (enum eio_reason)session->reason);
}
