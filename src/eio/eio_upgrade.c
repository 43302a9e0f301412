/*
 * From polling to WebSocket: the client opens a WebSocket with its session's id, sends the ping "2probe", gets "3probe", brings its
 * pending poll home and sends "5"; from then on the WebSocket is the transport. Until then everything still goes by polling, so nothing
 * is lost or overtakes; what is queued when the "5" arrives goes out first on the WebSocket. Whatever the probing
 * WebSocket does wrong costs that WebSocket alone, never the session.
 * Runs on the instance's worker. Engine.IO protocol revision 4, "Upgrade".
 */
#include "eio/eio_session.h"
#include "base/mem.h"

struct eio_upgrade {
    struct eio_session *session;
    struct ws_conn *ws;
    struct timer timer; /* the next noop, or the end of patience */
    uint64_t deadline_ms;
    bool is_probed;
};

static struct wheel *upgrade_wheel(const struct eio_upgrade *upgrade)
{
    return &upgrade->session->server->worker->wheel;
}

/* Ends the probing; the WebSocket stays to be attached or dismissed by the caller. */
static struct ws_conn *upgrade_finish(struct eio_upgrade *upgrade)
{
    struct ws_conn *ws = upgrade->ws;

    wheel_cancel(upgrade_wheel(upgrade), &upgrade->timer);
    upgrade->session->upgrade = NULL;
    mem_free(upgrade);
    return ws;
}

void eio_upgrade_cancel(struct eio_session *session)
{
    if (session->upgrade == NULL)
        return;
    counter_add(&session->server->counters->upgrades_failed, 1);
    eio_websocket_dismiss(session->server, upgrade_finish(session->upgrade));
}

static void upgrade_arm(struct eio_upgrade *upgrade)
{
    uint64_t now = worker_now_ms(upgrade->session->server->worker);
    uint64_t left = upgrade->deadline_ms > now ? upgrade->deadline_ms - now : 0;
    if (upgrade->is_probed && left > EIO_NOOP_INTERVAL_MS)
        left = EIO_NOOP_INTERVAL_MS;
    wheel_arm(upgrade_wheel(upgrade), &upgrade->timer, left);
}

static void upgrade_on_timer(struct timer *timer)
{
    struct eio_upgrade *upgrade = CONTAINER_OF(timer, struct eio_upgrade, timer);
    struct eio_session *session = upgrade->session;

    if (worker_now_ms(session->server->worker) >= upgrade->deadline_ms) {
        eio_upgrade_cancel(session);
        return;
    }
    upgrade_arm(upgrade);
    /* The client has stopped polling and waits for its last poll: bring it home. */
    eio_polling_answer(session, '0' + EIO_NOOP);
}

/* "5": from here on the WebSocket is the session's transport. */
static void upgrade_complete(struct eio_upgrade *upgrade)
{
    struct eio_session *session = upgrade->session;
    struct ws_conn *ws = upgrade_finish(upgrade);

    /* A poll that is still pending goes home empty: what is queued belongs behind what polls brought before, on the WebSocket. */
    struct http_request *poll = session->poll;
    session->poll = NULL;
    list_remove(&session->ready_link);
    counter_add(&session->server->counters->upgrades, 1);
    eio_websocket_attach(session, ws);
    eio_session_restart_heartbeat(session);
    if (session->state == EIO_STATE_OPEN && session->server->events->on_upgrade != NULL)
        session->server->events->on_upgrade(session);
    if (poll != NULL)
        http_respond(poll, 200, SLICE("text/plain; charset=UTF-8"), SLICE("6"));
}

static void upgrade_on_message(struct ws_conn *ws, char *data, size_t size, bool binary)
{
    struct eio_upgrade *upgrade = ws_conn_owner(ws);
    struct eio_packet packet;

    if (binary || !eio_packet_decode(slice_of(data, size), false, &packet)) {
        eio_upgrade_cancel(upgrade->session);
    } else if (packet.type == EIO_PING && slice_eq(packet.data, SLICE("probe"))) {
        ws_conn_send(ws, upgrade->session->server->probe_answer);
        upgrade->is_probed = true;
        upgrade_arm(upgrade);
    } else if (packet.type == EIO_UPGRADE) {
        upgrade_complete(upgrade);
    } else {
        eio_upgrade_cancel(upgrade->session);
    }
}

static void upgrade_on_close(struct ws_conn *ws, unsigned status, bool clean,
                             enum conn_reason reason)
{
    struct eio_upgrade *upgrade = ws_conn_owner(ws);
    struct eio_server *server = upgrade->session->server;

    (void)status, (void)clean, (void)reason;
    counter_add(&server->counters->upgrades_failed, 1);
    upgrade_finish(upgrade); /* the session goes on polling */
    eio_server_drop_websocket(server);
}

static const struct ws_events upgrade_events = {
    .on_message = upgrade_on_message,
    .on_close = upgrade_on_close,
};

/* A second WebSocket, or one for a session that has no use for it: the reference accepts it and closes it again. */
static void upgrade_turn_away(struct eio_server *server, struct http_request *request,
                              const struct eio_websocket_answer *answer)
{
    struct ws_conn *ws = eio_websocket_take(server, request, answer, &upgrade_events, NULL);
    if (ws != NULL)
        eio_websocket_dismiss(server, ws);
}

void eio_upgrade_start(struct eio_session *session, struct http_request *request)
{
    struct eio_server *server = session->server;
    struct eio_upgrade *upgrade = NULL;
    struct eio_websocket_answer answer;

    if (!eio_websocket_prepare(server, request, false, &answer))
        return;
    if (session->state == EIO_STATE_ENDED || session->transport != EIO_POLLING ||
        session->upgrade != NULL) {
        upgrade_turn_away(server, request, &answer);
        goto out;
    }

    upgrade = mem_zalloc(sizeof *upgrade);
    if (upgrade == NULL) {
        eio_handshake_fail(server, request, 503);
        goto out;
    }
    upgrade->session = session;
    upgrade->timer.fire = upgrade_on_timer;
    upgrade->deadline_ms = worker_now_ms(server->worker) + server->options->upgrade_timeout_ms;
    upgrade->ws = eio_websocket_take(server, request, &answer, &upgrade_events, upgrade);
    if (upgrade->ws == NULL) {
        mem_free(upgrade);
        goto out;
    }
    session->upgrade = upgrade;
    upgrade_arm(upgrade);
out:
    buf_release(&answer.bytes);
}
