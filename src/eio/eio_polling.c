/*
 * HTTP long-polling: a GET waits until there is something for the client, a POST brings what the client has. At most one of each is
 * in flight a session; a second one ends it. Output of a turn is gathered: the poll is answered at the turn's end.
 *
 * Invariant: session->poll and session->post point to requests that are unanswered and have request->user set to the session; both are
 * NULL once the session has ended. Runs on the instance's worker. Engine.IO protocol revision 4, "HTTP long-polling".
 */
#include "eio/eio_session.h"
#include "base/base64.h"
#include "base/utf8.h"

#define POLL_TYPE SLICE("text/plain; charset=UTF-8")
#define POST_TYPE SLICE("text/html") /* text/plain makes some browsers offer a download */

/* What every answer over this transport carries. False: the request was answered, or its session is gone. */
static bool polling_prepare(struct eio_session *session, struct http_request *request)
{
    struct eio_server *server = session->server;

    if (!eio_handshake_add_fields(server, request, true)) {
        eio_handshake_fail(server, request, 503);
        return false;
    }
    if (server->events->on_headers != NULL)
        server->events->on_headers(request, false, server->app);
    if (session->state == EIO_STATE_ENDED) { /* on_headers may have closed it */
        http_respond_close(request, 400, SLICE(""), SLICE(""));
        return false;
    }
    return true;
}

/* The request breaks the rules of the transport: it costs the session. */
static void polling_violate(struct eio_session *session, struct http_request *request)
{
    struct eio_server *server = session->server;

    eio_session_end(session, EIO_TRANSPORT_ERROR);
    if (eio_handshake_add_fields(server, request, false))
        http_respond_close(request, 400, SLICE(""), SLICE(""));
    else
        eio_handshake_fail(server, request, 503);
}

/* --- GET --- */

void eio_polling_on_get(struct eio_session *session, struct http_request *request)
{
    if (session->poll != NULL) {
        polling_violate(session, request);
        return;
    }
    if (!polling_prepare(session, request))
        return;
    request->user = session;
    session->poll = request;
    if (session->server->options->http_compression)
        session->encoding = (uint8_t)http_encoding_choose(request->head);
    eio_polling_flush(session);
}

/* Moves packets from the queue into `body` until it is full: a body of a single packet may be as large as that packet needs.
 * *ret_compressible: one of them at least may be compressed. False when memory has run out. */
static bool polling_gather(struct eio_session *session, struct buf *body, bool *ret_compressible)
{
    size_t max = session->server->options->send_max;
    struct message *packet;

    while ((packet = outq_front(session->queue)) != NULL) {
        size_t cost = eio_payload_cost(packet);
        if (body->size > 0 && cost > max - body->size)
            break;
        if (!eio_payload_append(body, packet))
            return false;
        *ret_compressible |= (packet->flags & MESSAGE_NO_COMPRESS) == 0;
        message_unref(outq_pop(session->queue));
        if (body->size >= max)
            break;
    }
    return true;
}

/* What the queue's packets take in a body, the largest part that may go into one. */
static size_t polling_body_max(const struct eio_session *session)
{
    /* base64 makes 4 bytes of 3; the first packet is always taken. */
    return session->server->options->send_max / 3 * 4 + session->queue->bytes / 3 * 4 + 64;
}

/* The body in the coding that the poll asked for, its field added. NULL where it goes as it is: unwanted, not worth it, no memory. */
static struct message *polling_compress(struct eio_session *session, struct http_request *request,
                                        cvn_slice body)
{
    struct eio_server *server = session->server;
    enum http_encoding encoding = (enum http_encoding)session->encoding;
    enum deflater_format format = encoding == HTTP_GZIP ? DEFLATER_GZIP : DEFLATER_ZLIB;
    size_t size;

    if (!server->options->http_compression || body.size < server->options->compression_threshold)
        return NULL;
    /* Where it depends on the request how an answer looks, caches must know, whatever was chosen. */
    if (!http_request_add_field(request, SLICE("Vary"), SLICE("Accept-Encoding")) ||
        encoding == HTTP_IDENTITY)
        return NULL;
    struct message *packed = message_new(body.size);
    if (packed == NULL)
        return NULL;
    if (!deflater_run(&server->deflate.full, format, body, packed->data, body.size, &size) ||
        !http_request_add_field(request, SLICE("Content-Encoding"), http_encoding_name(encoding))) {
        message_unref(packed);
        return NULL;
    }
    return message_shrink(packed, size);
}

static void polling_respond(struct eio_session *session, struct http_request *request,
                            cvn_slice body, bool is_compressible)
{
    struct message *packed = is_compressible ? polling_compress(session, request, body) : NULL;
    if (packed != NULL)
        http_respond_message(request, 200, POLL_TYPE, packed);
    else
        http_respond(request, 200, POLL_TYPE, body);
    message_unref(packed);
}

void eio_polling_answer(struct eio_session *session, char last)
{
    struct http_request *request = session->poll;
    bool is_compressible = false;
    struct buf body;

    if (request == NULL)
        return;
    session->poll = NULL;
    list_remove(&session->ready_link);

    buf_init(&body, polling_body_max(session));
    bool is_whole = buf_reserve(&body, session->queue->bytes + 2) &&
                    polling_gather(session, &body, &is_compressible);
    if (is_whole && last != 0 && session->queue->count == 0) {
        if (body.size > 0)
            buf_append_byte(&body, EIO_SEPARATOR);
        is_whole = buf_append_byte(&body, last);
    }
    eio_session_after_take(session);
    if (is_whole) {
        polling_respond(session, request, buf_slice(&body), is_compressible);
    } else { /* packets are lost, so the session is */
        eio_session_end(session, EIO_TRANSPORT_ERROR);
        eio_handshake_fail(session->server, request, 503);
    }
    buf_release(&body);
}

void eio_polling_flush(struct eio_session *session)
{
    bool is_closing = session->state == EIO_STATE_CLOSING;

    if (session->poll == NULL || session->state == EIO_STATE_ENDED ||
        (session->queue->count == 0 && !is_closing))
        return;
    if (is_closing) {
        /* What is queued goes alone and the close with the next poll: the official client takes messages up after the payload that brought
         * them, and behind a close in the same one it would not see that it was disconnected on purpose. */
        bool is_drained = session->queue->count == 0;
        eio_polling_answer(session, is_drained ? '0' + EIO_CLOSE : 0);
        if (is_drained)
            eio_session_end(session, (enum eio_reason)session->reason);
        return;
    }
    eio_polling_answer(session, 0);
    if (session->state == EIO_STATE_OPEN && session->queue->count == 0 &&
        session->server->events->on_drain != NULL)
        session->server->events->on_drain(session);
}

void eio_polling_release(struct eio_session *session, char last)
{
    struct http_request *post = session->post;

    session->post = NULL;
    eio_polling_answer(session, last);
    if (post != NULL) /* its body is still on the way: nobody wants it any more */
        http_respond_close(post, 400, SLICE(""), SLICE(""));
}

/* --- POST --- */

static bool is_octet_stream(const struct http_head *head)
{
    cvn_slice type = http_head_get(head, SLICE("content-type"));
    return slice_eq_nocase(slice_trim(slice_of(type.data, slice_find(type, ';'))),
                           SLICE("application/octet-stream"));
}

void eio_polling_on_post(struct eio_session *session, struct http_request *request)
{
    size_t max = session->server->options->max_payload;

    if (session->post != NULL || is_octet_stream(request->head)) {
        polling_violate(session, request);
        return;
    }
    if (!polling_prepare(session, request))
        return;
    if (request->head->has_length && request->head->content_length > max) {
        http_respond(request, 413, SLICE(""), SLICE("")); /* the session lives on */
        return;
    }
    request->user = session;
    session->post = request;
    http_request_read_body(request, max);
}

/* One packet of a body. False: the body is no good from here on. */
static bool polling_receive_packet(struct eio_session *session, char *body, size_t offset,
                                   cvn_slice text)
{
    struct eio_packet packet;
    struct buf bytes;

    if (!eio_packet_decode(text, true, &packet))
        return false;
    if (packet.type == EIO_CLOSE) { /* also while closing */
        eio_session_end(session, EIO_TRANSPORT_CLOSE);
        return true;
    }
    if (!packet.binary) {
        eio_session_receive(session, &packet, body + offset + 1, packet.data.size);
        return true;
    }

    buf_init(&bytes, session->server->options->max_payload);
    bool is_valid = base64_decode(&bytes, packet.data);
    if (is_valid)
        eio_session_receive(session, &packet, bytes.data, bytes.size);
    buf_release(&bytes);
    return is_valid;
}

static bool polling_receive(struct eio_session *session, char *body, size_t size)
{
    struct eio_payload payload = {.rest = slice_of(body, size)};
    unsigned max = session->server->options->max_packets_per_payload;
    unsigned count = 0;
    cvn_slice text;

    if (!utf8_is_valid(payload.rest))
        return false;
    while (session->state != EIO_STATE_ENDED && eio_payload_next(&payload, &text)) {
        if (max > 0 && ++count > max)
            return false;
        if (!polling_receive_packet(session, body, (size_t)(text.data - body), text))
            return false;
    }
    return true;
}

void eio_polling_on_body(struct eio_session *session, struct http_request *request, char *body,
                         size_t size)
{
    session->post = NULL; /* from here on this function answers it */
    if (!polling_receive(session, body, size))
        eio_session_end(session, EIO_PARSE_ERROR);
    http_respond(request, 200, POST_TYPE, SLICE("ok"));
}

/* --- The client has gone, or its body was refused --- */

void eio_polling_on_abort(struct eio_session *session, struct http_request *request)
{
    if (session->post == request) {
        session->post = NULL;
        /* A body that was refused (413) has its answer from below, over a connection that still stands: the session lives on. */
        if (conn_is_open(http_request_conn(request)))
            return;
    } else {
        session->poll = NULL;
        list_remove(&session->ready_link);
    }
    eio_session_end(session, EIO_TRANSPORT_ERROR);
}
