/*
 * From a request's head to its session: the query is read, transport, origin, session id, method and version are checked in the
 * reference's order, and whoever fails gets the reference's answer. A session id names the worker that made it in its first byte;
 * a request for another worker's session moves there before the session is looked for.
 * Runs on the instance's worker. Engine.IO protocol revision 4, "Handshake"; socketio-wire facts, table of errors.
 */
#include "eio/eio_session.h"
#include "base/json.h"
#include <stdio.h>

#define COOKIE_MAX       4096 /* bytes of a cookie with all it says; the options are checked to fit */
#define QUERY_VALUE_SIZE 32   /* longer than any value that means something to us */

/* What the query says, decoded. A value that is too long to mean anything is cut: it matches nothing then. */
struct query {
    char transport[QUERY_VALUE_SIZE], version[QUERY_VALUE_SIZE], sid[QUERY_VALUE_SIZE];
    size_t transport_size, version_size, sid_size;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Percent-decodes as URLSearchParams does: '+' is a space, a '%' without two digits stays. Returns the size, at most that of ret. */
static size_t query_decode(cvn_slice raw, char ret[QUERY_VALUE_SIZE])
{
    size_t size = 0;
    for (size_t i = 0; i < raw.size && size < QUERY_VALUE_SIZE; i++) {
        char c = raw.data[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && raw.size - i > 2) {
            int high = hex_digit(raw.data[i + 1]), low = hex_digit(raw.data[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high * 16 + low);
                i += 2;
            }
        }
        ret[size++] = c;
    }
    return size;
}

static void query_read(cvn_slice text, struct query *ret)
{
    ret->transport_size = query_decode(http_query_get(text, SLICE("transport")), ret->transport);
    ret->version_size = query_decode(http_query_get(text, SLICE("EIO")), ret->version);
    ret->sid_size = query_decode(http_query_get(text, SLICE("sid")), ret->sid);
}

static enum eio_transport query_transport(const struct query *query)
{
    cvn_slice name = slice_of(query->transport, query->transport_size);
    if (slice_eq(name, SLICE("polling")))
        return EIO_POLLING;
    if (slice_eq(name, SLICE("websocket")))
        return EIO_WEBSOCKET;
    return 0;
}

static bool query_has_version(const struct query *query)
{
    return query->version_size == 1 && query->version[0] == EIO_PROTOCOL;
}

static int base64url_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

/* The worker a session id names: its first byte. NULL when this is no id of any of ours. */
static struct worker *sid_worker(const struct eio_server *server, cvn_slice sid)
{
    if (sid.size != EIO_SID_SIZE)
        return NULL;
    for (size_t i = 0; i < sid.size; i++) {
        if (base64url_digit(sid.data[i]) < 0)
            return NULL;
    }
    unsigned index =
        (unsigned)base64url_digit(sid.data[0]) << 2 | (unsigned)base64url_digit(sid.data[1]) >> 4;
    if (index == server->worker->index)
        return server->worker;
    return index < server->peer_count ? server->peers[index] : NULL;
}

bool eio_handshake_add_fields(struct eio_server *server, struct http_request *request,
                              bool no_store)
{
    const struct http_origin_policy *policy = &server->origins;
    if (!http_origin_add_fields(policy, request, http_origin_check(policy, request->head)))
        return false;
    return !no_store || http_request_add_field(request, SLICE("cache-control"), SLICE("no-store"));
}

const char *eio_code_text(enum eio_code code)
{
    switch (code) {
    case EIO_CODE_TRANSPORT_UNKNOWN:
        return "Transport unknown";
    case EIO_CODE_SESSION_UNKNOWN:
        return "Session ID unknown";
    case EIO_CODE_BAD_METHOD:
        return "Bad handshake method";
    case EIO_CODE_BAD_REQUEST:
        return "Bad request";
    case EIO_CODE_FORBIDDEN:
        return "Forbidden";
    case EIO_CODE_BAD_VERSION:
        return "Unsupported protocol version";
    case EIO_CODE_FULL:
        return "Server full";
    case EIO_CODE_STOPPING:
        return "Server stopping";
    case EIO_CODE_UNDECIDED:
        return "Not decided in time";
    }
    return "unknown";
}

/* The usual status: a WebSocket client is told 400 for everything, as by the reference. */
static int code_status(enum eio_code code, bool is_upgrade)
{
    if (code >= EIO_CODE_FULL)
        return 503;
    return code == EIO_CODE_FORBIDDEN && !is_upgrade ? 403 : 400;
}

void eio_handshake_tell(struct eio_server *server, struct http_request *request,
                        const struct eio_refusal *refusal)
{
    struct eio_refusal complete = *refusal;
    counter_add(&server->counters->refused[refusal->code], 1);
    if (server->events->on_refused == NULL)
        return;
    if (complete.status == 0)
        complete.status = code_status(complete.code, ws_handshake_is_wanted(request->head));
    server->events->on_refused(request, &complete, server->app);
}

/* The body that the clients' libraries read. */
static void refuse_polling(struct eio_server *server, struct http_request *request, int status,
                           enum eio_code code, const char *message)
{
    struct buf body;

    buf_init(&body, 64 + 6 * cvn_str(message).size); /* 6: an escape */
    buf_append_str(&body, "{\"code\":");
    buf_append_u64(&body, code);
    buf_append_str(&body, ",\"message\":");
    if (json_append_string(&body, cvn_str(message)) && buf_append_byte(&body, '}'))
        http_respond(request, status, SLICE("application/json"), buf_slice(&body));
    else
        eio_handshake_fail(server, request, 503);
    buf_release(&body);
}

void eio_handshake_refuse(struct eio_server *server, struct http_request *request,
                          const struct eio_refusal *refusal)
{
    bool is_upgrade = ws_handshake_is_wanted(request->head);
    const char *message =
        refusal->message != NULL ? refusal->message : eio_code_text(refusal->code);
    int status = refusal->status != 0 ? refusal->status : code_status(refusal->code, is_upgrade);

    eio_handshake_tell(server, request, refusal);
    if (refusal->code >= EIO_CODE_FULL || !eio_handshake_add_fields(server, request, false))
        eio_handshake_fail(server, request, 503);
    else if (is_upgrade) /* its client sees no body, but a person with a packet dump does */
        http_respond_close(request, status, SLICE("text/html"), cvn_str(message));
    else
        refuse_polling(server, request, status, refusal->code, message);
}

void eio_handshake_fail(struct eio_server *server, struct http_request *request, int status)
{
    (void)server;
    http_respond_close(request, status, SLICE(""), SLICE(""));
}

static void refuse(struct eio_server *server, struct http_request *request, enum eio_code code,
                   const char *reason)
{
    struct eio_refusal refusal = {.code = code, .reason = reason};
    eio_handshake_refuse(server, request, &refusal);
}

/* Another server of the same name may do: the client is told when to look again. */
static void refuse_stopping(struct eio_server *server, struct http_request *request)
{
    char seconds[16];
    int size = snprintf(seconds, sizeof seconds, "%u", server->retry_after_s);
    if (server->retry_after_s > 0) /* without memory for it: nothing said */
        (void)http_request_add_field(request, SLICE("Retry-After"),
                                     slice_of(seconds, (size_t)size));
    refuse(server, request, EIO_CODE_STOPPING, NULL);
}

/* A refused Origin: 403 whatever the transport, for the browser must not be told "Bad request". */
static void refuse_origin(struct eio_server *server, struct http_request *request)
{
    struct eio_refusal refusal = {
        .code = EIO_CODE_FORBIDDEN, .status = 403, .reason = "ORIGIN_NOT_ALLOWED"};
    eio_handshake_refuse(server, request, &refusal);
}

/* The session's id as a cookie, for proxies that keep a client with its server. False when memory has run out. */
static bool add_cookie(struct http_request *request, const struct eio_session *session)
{
    const struct eio_options *options = session->server->options;
    struct buf value;

    if (options->cookie_name.size == 0)
        return true;
    buf_init(&value, COOKIE_MAX);
    buf_append(&value, options->cookie_name);
    buf_append_byte(&value, '=');
    buf_append(&value, eio_session_id(session));
    bool is_added = buf_append(&value, options->cookie_attributes) &&
                    http_request_add_field(request, SLICE("Set-Cookie"), buf_slice(&value));
    buf_release(&value);
    return is_added;
}

/* The answer to a polling handshake is the open packet alone; what on_open sends waits for the first poll, as in the reference. */
static void open_polling(struct eio_server *server, struct http_request *request)
{
    char open[EIO_OPEN_PACKET_SIZE];

    if (!eio_handshake_add_fields(server, request, true))
        goto fail;
    if (server->events->on_headers != NULL)
        server->events->on_headers(request, true, server->app);

    struct eio_session *session =
        eio_session_new(server, EIO_POLLING, conn_peer_address(http_request_conn(request)));
    if (session == NULL)
        goto fail;
    if (!add_cookie(request, session)) {
        eio_session_end(session, EIO_TRANSPORT_ERROR);
        goto fail;
    }
    size_t size = eio_session_write_open(session, open);
    eio_session_announce(session, request);
    if (session->state == EIO_STATE_ENDED)
        goto fail;
    http_respond(request, 200, SLICE("text/plain; charset=UTF-8"), slice_of(open, size));
    return;

fail:
    eio_handshake_fail(server, request, 503);
}

/* The layer above's word on a handshake. EIO_UNDECIDED: it waits from here on. */
static enum eio_decision ask(struct eio_server *server, struct http_request *request,
                             const char **ret_message, struct eio_admission **ret_admission)
{
    if (server->events->on_allow == NULL)
        return EIO_DECIDED_ALLOW;
    enum eio_verdict verdict = server->events->on_allow(request, ret_message, server->app);
    if (verdict != EIO_LATER)
        return verdict == EIO_ALLOW ? EIO_DECIDED_ALLOW : EIO_DECIDED_DENY;
    const struct eio_admission *admission = request->user;
    if (admission->decision == EIO_UNDECIDED) {
        http_request_park(request);
        return EIO_UNDECIDED;
    }
    *ret_admission = eio_admission_take(request); /* decided before on_allow returned */
    return (enum eio_decision)(*ret_admission)->decision;
}

/* `message` is that of a refusal at once, `denial` that of a later one; both may be NULL. */
static void deny(struct eio_server *server, struct http_request *request, const char *message,
                 const struct eio_denial *denial)
{
    struct eio_refusal refusal = {.code = EIO_CODE_FORBIDDEN, .message = message};
    if (denial != NULL) {
        refusal.status = denial->status;
        refusal.message = denial->message;
        for (size_t i = 0; i < denial->field_count; i++)
            (void)http_request_add_field(request, denial->fields[i].name, denial->fields[i].value);
    }
    refusal.reason = refusal.message;
    eio_handshake_refuse(server, request, &refusal);
}

static void on_decided(struct eio_server *server, struct http_request *request,
                       enum eio_transport transport, enum eio_decision decision,
                       const char *message, const struct eio_denial *denial)
{
    switch (decision) {
    case EIO_UNDECIDED:
        break;
    case EIO_DECIDED_ALLOW:
        if (transport == EIO_WEBSOCKET)
            eio_websocket_open(server, request);
        else
            open_polling(server, request);
        break;
    case EIO_DECIDED_DENY:
        deny(server, request, message, denial);
        break;
    case EIO_DECIDED_TIMEOUT:
        refuse(server, request, EIO_CODE_UNDECIDED, NULL);
        break;
    }
}

static bool is_full(const struct eio_server *server)
{
    size_t max = server->max_sessions;
    return max > 0 && server->count + server->waiting >= max;
}

/* A request without sid: wants a new session. One that waited for its admission comes here twice. */
static void on_new(struct eio_server *server, struct http_request *request,
                   const struct query *query, enum eio_transport transport)
{
    bool is_upgrade = ws_handshake_is_wanted(request->head);
    struct eio_admission *admission = eio_admission_take(request);
    const char *message = NULL;

    if (request->method != HTTP_GET)
        refuse(server, request, EIO_CODE_BAD_METHOD, NULL);
    else if (is_upgrade != (transport == EIO_WEBSOCKET))
        refuse(server, request, EIO_CODE_BAD_REQUEST, "TRANSPORT_HANDSHAKE_ERROR");
    else if (!query_has_version(query))
        refuse(server, request, EIO_CODE_BAD_VERSION, NULL);
    else if (server->is_closed)
        refuse_stopping(server, request);
    else if (is_full(server))
        refuse(server, request, EIO_CODE_FULL, NULL);
    else {
        enum eio_decision decision = admission != NULL ? (enum eio_decision)admission->decision
                                                       : ask(server, request, &message, &admission);
        on_decided(server, request, transport, decision, message,
                   admission != NULL ? admission->denial : NULL);
    }
    eio_admission_unref(admission);
}

/* A request of a session that exists on this worker. */
static void on_known(struct eio_session *session, struct http_request *request,
                     const struct query *query, enum eio_transport transport)
{
    struct eio_server *server = session->server;
    bool is_upgrade = ws_handshake_is_wanted(request->head);

    if (!query_has_version(query))
        refuse(server, request, EIO_CODE_BAD_REQUEST, "PROTOCOL_MISMATCH");
    else if (is_upgrade && transport == EIO_WEBSOCKET && server->options->allow_upgrades)
        eio_upgrade_start(session, request);
    else if (is_upgrade || transport != session->transport || transport != EIO_POLLING)
        refuse(server, request, EIO_CODE_BAD_REQUEST, "TRANSPORT_MISMATCH");
    else if (request->method == HTTP_GET)
        eio_polling_on_get(session, request);
    else if (request->method == HTTP_POST)
        eio_polling_on_post(session, request);
    else
        refuse(server, request, EIO_CODE_BAD_REQUEST, "METHOD_NOT_SUPPORTED");
}

void eio_server_on_head(struct eio_server *server, struct http_request *request)
{
    const struct http_origin_policy *policy = &server->origins;
    struct query query;

    if (http_origin_is_preflight(request->head)) {
        http_origin_preflight(policy, request);
        return;
    }

    query_read(request->head->query, &query);
    enum eio_transport transport = query_transport(&query);
    if ((transport & server->options->transports) == 0) {
        refuse(server, request, EIO_CODE_TRANSPORT_UNKNOWN, NULL);
        return;
    }

    enum http_origin_verdict verdict = http_origin_check(policy, request->head);
    if (verdict == HTTP_ORIGIN_INVALID) {
        refuse(server, request, EIO_CODE_BAD_REQUEST, "INVALID_ORIGIN");
        return;
    }
    if (verdict == HTTP_ORIGIN_REFUSED) {
        refuse_origin(server, request);
        return;
    }

    if (query.sid_size == 0) {
        on_new(server, request, &query, transport);
        return;
    }

    cvn_slice sid = slice_of(query.sid, query.sid_size);
    struct worker *worker = sid_worker(server, sid);
    if (worker != NULL && worker != server->worker) {
        http_request_move(request, worker);
        return;
    }
    struct eio_session *session = worker != NULL ? map_get(&server->sessions, sid) : NULL;
    if (session != NULL && eio_session_is_overdue(session)) {
        eio_session_end(session, EIO_PING_TIMEOUT);
        session = NULL;
    }
    if (session != NULL)
        on_known(session, request, &query, transport);
    else
        refuse(server, request, EIO_CODE_SESSION_UNKNOWN, NULL);
}
