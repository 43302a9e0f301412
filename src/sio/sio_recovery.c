/*
 * A socket's session from the claim to the parking place. A claim goes to the session's home by mail and comes back with the session or
 * without; the home gives up whatever connection still has it. Meanwhile, and until the socket has joined, the claiming worker keeps
 * its log (worker->claims), since what it applies now may be what the client missed. Each function on the worker it names.
 */
#include "sio/sio_recovery.h"
#include "sio/sio_client.h"
#include "base/log.h"
#include "base/mem.h"

struct claim {
    struct mail mail;
    struct cvn_socket *socket; /* a reference; its worker's */
    char pid[SIO_ID_SIZE];
    bool has_last;
    struct sio_position last;
    struct sio_session *session; /* found, on its way to the socket */
};

static struct sio_registry *registry_of(const struct cvn_socket *socket)
{
    return &socket->local->nsp->server->registry;
}

/* --- On the session's home --- */

/* Another connection of the same client has come: this one is dead, though nobody has noticed. */
static void take_over(struct sio_session *session)
{
    struct cvn_socket *socket = session->socket;
    struct eio_session *connection = socket->client->session;
    sio_socket_end(socket, "transport close", true);
    eio_session_close(connection, EIO_TRANSPORT_CLOSE);
}

static struct sio_session *give_up(struct sio_worker *home, const struct claim *claim)
{
    const struct cvn_namespace *nsp = claim->socket->local->nsp;
    struct sio_local *from = &nsp->locals[home->worker->index], *to = claim->socket->local;
    cvn_slice pid = slice_of(claim->pid, SIO_ID_SIZE);
    struct sio_session *session = sio_registry_find(registry_of(claim->socket), pid, from);
    if (session != NULL && session->socket != NULL &&
        session->socket->state == SIO_SOCKET_CONNECTED) {
        take_over(session);
        session = sio_registry_find(registry_of(claim->socket), pid, from); /* handlers ran */
    }
    if (session == NULL || !list_is_linked(&session->link))
        return NULL; /* ended, or another claim has it */
    sio_session_unpark(session);
    bool usable = sio_session_seek(session, claim->has_last ? &claim->last : NULL);
    if (usable && to != from) {
        usable = sio_session_collect(session) && sio_session_leave_home(session);
        if (usable)
            sio_session_set_home(session, to);
    }
    if (usable)
        return session;
    sio_session_free(session);
    return NULL;
}

/* --- On the socket's worker --- */

static void claim_free(struct claim *claim)
{
    sio_session_free(claim->session);
    cvn_socket_unref(claim->socket);
    mem_free(claim);
}

static bool may_join(const struct cvn_socket *socket)
{
    return socket->state == SIO_SOCKET_CONNECTING && eio_session_is_open(socket->client->session);
}

/* The socket is the session's from now on, as its middlewares will see. */
static void adopt(struct cvn_socket *socket, struct sio_session *session)
{
    socket->session = session;
    socket->recovered = true;
    session->socket = socket;
    memcpy(socket->id, session->sid, SIO_ID_SIZE);
    socket->attributes = session->attributes;
    session->attributes = NULL;
    cvn_socket_set_data(socket, session->data, session->destroy_data);
    session->data = NULL;
    session->destroy_data = NULL;
}

static void finish(struct claim *claim)
{
    struct cvn_socket *socket = claim->socket;
    struct sio_session *session = claim->session;
    claim->session = NULL;
    if (!may_join(socket)) { /* gone in the meantime; the client may try again */
        if (session != NULL)
            sio_session_park(session);
        socket->local->worker->claims--;
    } else {
        if (session != NULL)
            adopt(socket, session);
        else
            socket->local->worker->claims--;
        sio_socket_begin(socket);
    }
    claim_free(claim);
}

/* --- The way there and back --- */

static void on_discarded(struct mail *mail)
{
    claim_free(CONTAINER_OF(mail, struct claim, mail));
}

static void on_answer(struct mail *mail, struct worker *worker)
{
    (void)worker;
    finish(CONTAINER_OF(mail, struct claim, mail));
}

static void on_claim(struct mail *mail, struct worker *worker)
{
    struct claim *claim = CONTAINER_OF(mail, struct claim, mail);
    const struct sio_server *server = claim->socket->local->nsp->server;
    claim->session = give_up(server->workers[worker->index], claim);
    claim->mail.deliver = on_answer;
    worker_post(claim->socket->local->worker->worker, &claim->mail);
}

/* A string member of the auth payload; false when there is none. */
static bool get_string(const struct cvn_socket *socket, cvn_slice name, cvn_slice *ret)
{
    if (socket->auth == NULL)
        return false;
    return json_plain_string(json_get(message_payload(socket->auth), name), ret);
}

void sio_recovery_begin(struct cvn_socket *socket)
{
    struct sio_worker *worker = socket->local->worker, *home = NULL;
    cvn_slice pid, offset;
    if (sio_recovery_is_on(worker->server) && get_string(socket, SLICE("pid"), &pid) &&
        pid.size == SIO_ID_SIZE)
        home = sio_registry_home(registry_of(socket), pid, socket->local->nsp);
    struct claim *claim = home != NULL ? mem_zalloc(sizeof *claim) : NULL;
    if (claim == NULL) { /* nothing to recover */
        sio_socket_begin(socket);
        return;
    }
    claim->socket = cvn_socket_ref(socket);
    memcpy(claim->pid, pid.data, SIO_ID_SIZE);
    claim->has_last =
        get_string(socket, SLICE("offset"), &offset) && sio_offset_read(offset, &claim->last);
    worker->claims++;
    if (home == worker) {
        claim->session = give_up(home, claim);
        finish(claim);
        return;
    }
    claim->mail.deliver = on_claim;
    claim->mail.discard = on_discarded;
    worker_post(home->worker, &claim->mail);
}

/* --- Joining --- */

/* The socket becomes one that has never been here. */
static void forget(struct cvn_socket *socket)
{
    struct sio_session *session = socket->session;
    socket->session = NULL;
    socket->recovered = false;
    sio_session_free(session);
    socket->local->worker->claims--;
    sio_socket_make_id(socket->id);
    message_unref(socket->attributes);
    socket->attributes = NULL;
    cvn_socket_set_data(socket, NULL, NULL);
}

void cvn_decline_recovery(cvn_socket *socket)
{
    if (socket->state == SIO_SOCKET_CONNECTING && socket->recovered)
        forget(socket);
}

bool cvn_socket_recovered(const cvn_socket *socket)
{
    return socket->recovered;
}

void sio_recovery_settle(struct cvn_socket *socket)
{
    if (socket->recovered && sio_session_collect(socket->session)) {
        socket->local->worker->claims--;
        counter_add(&socket->local->worker->recovered, 1);
        return;
    }
    if (socket->recovered)
        forget(socket);
    if (sio_recovery_is_on(socket->local->nsp->server))
        socket->session = sio_session_new(socket); /* without memory it goes without */
}

bool sio_recovery_restore(struct cvn_socket *socket)
{
    struct sio_session *session = socket->session;
    if (!socket->recovered)
        return true;
    for (size_t i = 0; i < session->room_count; i++) {
        enum cvn_error error = cvn_join(socket, session->rooms[i].name.data);
        if (error == CVN_ERR_MEMORY)
            return false;
    }
    mem_free(session->rooms);
    session->rooms = NULL;
    session->room_count = 0;
    for (size_t i = 0; i < session->prefix_count; i++)
        sio_socket_send(socket, &session->prefix[i]->frames);
    wheel_arm(&socket->local->worker->worker->wheel, &session->timer,
              sio_recovery_log_ms(socket->local->nsp->server));
    return true;
}

/* --- Leaving --- */

void sio_recovery_leave(struct cvn_socket *socket, bool may_return)
{
    struct sio_session *session = socket->session;
    if (session == NULL)
        return;
    if (may_return && sio_session_keep_rooms(session)) {
        socket->local->worker->claims++; /* what handlers emit now is for the session, too */
        return;
    }
    socket->session = NULL;
    sio_session_free(session);
}

void sio_recovery_park(struct cvn_socket *socket)
{
    struct sio_session *session = socket->session;
    if (session == NULL)
        return;
    socket->session = NULL;
    socket->local->worker->claims--;
    session->attributes = socket->attributes;
    socket->attributes = NULL;
    session->data = socket->data;
    session->destroy_data = socket->destroy_data;
    socket->data = NULL;
    socket->destroy_data = NULL;
    sio_session_park(session);
}

/* --- Many --- */

void sio_recovery_disconnect(struct sio_worker *worker, const struct sio_op *op)
{
    const struct sio_local *local = &op->nsp->locals[worker->worker->index];
    if (local->parked_count == 0)
        return;
    LIST_FOR_EACH_SAFE (node, &worker->parked) {
        struct sio_session *session = CONTAINER_OF(node, struct sio_session, link);
        if (session->home != local || !sio_session_matches(session, op))
            continue;
        sio_session_unpark(session);
        sio_session_free(session);
    }
    sio_log_settle(&op->nsp->locals[worker->worker->index]);
}

enum cvn_error sio_recovery_prepare(struct sio_local *local, unsigned worker_count)
{
    if (!sio_recovery_is_on(local->nsp->server))
        return CVN_OK;
    local->log = sio_log_new(local, SIO_LANES(worker_count));
    return local->log != NULL ? CVN_OK : CVN_ERR_MEMORY;
}

void sio_recovery_end_all(struct sio_worker *worker)
{
    while (!list_is_empty(&worker->parked)) {
        struct sio_session *session = CONTAINER_OF(worker->parked.next, struct sio_session, link);
        sio_session_unpark(session);
        sio_session_free(session);
    }
}
