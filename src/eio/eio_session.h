/*
 * What the files of this layer share and nobody else sees: the instance, the session, and the calls between transports,
 * upgrade and session. Everything runs on the instance's worker.
 *
 * A session is freed in one place only, the instance's end-of-turn work (eio_server.c). Hence any code below may call upwards or
 * answer a request, and afterwards still look at its session; what it must look at again is session->state.
 * Answering a request may bring the next pipelined one at once: state is changed before http_respond is called.
 */
#ifndef EIO_SESSION_H
#define EIO_SESSION_H

#include "eio/eio_server.h"
#include "http/http_encoding.h"
#include "ws/ws_extension.h"
#include "ws/ws_handshake.h"
#include "net/outq.h"
#include "net/worker.h"

#define EIO_PROTOCOL     '4' /* the one value of the query's EIO that we speak */
#define EIO_ADDRESS_SIZE 46  /* INET6_ADDRSTRLEN */
#define EIO_NOOP_INTERVAL_MS                                                                       \
    100 /* between noops that bring a pending poll home during an upgrade */
#define EIO_SHUTDOWN_TIMEOUT_MS                                                                    \
    1000 /* how long a shutdown waits for polls to come and fetch their close packet */

struct eio_server {
    struct worker *worker;
    const struct eio_options *options;
    const struct eio_events *events;
    void *app;
    struct http_origin_policy origins; /* may change */
    size_t max_sessions;               /* may change */
    cvn_slice path;                    /* options->path without a slash at its end */
    struct map sessions;               /* by id: what requests may find, open and closing ones */
    size_t waiting;      /* handshakes that are decided on later: counted like sessions */
    size_t count;        /* sessions that exist, the ended ones too until their on_close */
    struct list live;    /* the sessions in the map... */
    struct list leaving; /* ... but for these, which were asked to leave */
    struct list ready;   /* sessions whose pending poll is to be answered at the end of the turn */
    struct list ended;   /* sessions whose on_close is due */
    struct eio_counters *counters; /* somebody else's, or own_counters */
    struct eio_counters own_counters;
    struct worker_task task; /* the end-of-turn work */
    struct message *ping;
    struct message *probe_answer;
    struct worker *const *peers;
    unsigned peer_count;
    struct ws_limits ws_limits;
    struct ws_deflate deflate; /* compresses the answers of polls, too */
    size_t websockets;      /* that use these two: those on their way out outlive their session */
    bool is_closed;         /* to new sessions */
    uint32_t retry_after_s; /* what they are told then; 0: nothing */
    bool is_freed;          /* by its owner; the memory stays until the last WebSocket has gone */
};

enum eio_state {
    EIO_STATE_OPEN,
    EIO_STATE_CLOSING, /* eio_session_close was called; the queue and a close packet wait for a poll */
    EIO_STATE_ENDED /* out of the map, transports let go; on_close comes at the end of the turn */
};

struct eio_upgrade;

/* What a connected client costs here: no buffer is kept on WebSocket, on polling only the queue. */
struct eio_session {
    struct list link;       /* in server->live or ->leaving, later in ->ended */
    struct list ready_link; /* in server->ready */
    struct timer timer;     /* next ping, pong deadline, or the limit of an orderly close */
    struct eio_server *server;
    void *owner;
    struct ws_conn *ws;          /* once the transport is WebSocket */
    struct http_request *poll;   /* the pending GET */
    struct http_request *post;   /* the POST whose body is being read */
    struct eio_upgrade *upgrade; /* a WebSocket that probes */
    struct outq
        *queue; /* packets for the next poll, or for a WebSocket not there yet; NULL once it is */
    size_t counted;    /* bytes of the queue in worker->queued */
    uint8_t state;     /* enum eio_state */
    uint8_t transport; /* enum eio_transport */
    uint8_t reason;    /* enum eio_reason, from EIO_STATE_CLOSING on */
    bool is_announced; /* on_open was called, so on_close must be */
    bool awaits_pong;
    bool is_extended; /* the pong's deadline was moved once already */
    bool is_high;     /* on_water(high) was told, on_water(low) not yet */
    uint8_t encoding; /* enum http_encoding: what the pending poll takes its answer in */
    char id[EIO_SID_SIZE];
    char address[EIO_ADDRESS_SIZE];
};
_Static_assert(sizeof(struct eio_session) <= 400, "a session stays small");

/* --- eio_server.c --- */

/* Has the end-of-turn work done in this turn. */
void eio_server_schedule(struct eio_server *server);
/* A WebSocket has gone. */
void eio_server_drop_websocket(struct eio_server *server);

/* --- eio_handshake.c: what a request wants and whether it may --- */

/* Adds the CORS fields and, with `no_store`, the cache-control field of transport answers. False when memory has run out. */
bool eio_handshake_add_fields(struct eio_server *server, struct http_request *request,
                              bool no_store);
/* Tells the layer above and answers with an error of the table; on a WebSocket upgrade as plain text, with the connection closed.
 * Inside on_head only. */
void eio_handshake_refuse(struct eio_server *server, struct http_request *request,
                          const struct eio_refusal *refusal);
/* Tells the layer above of a refusal that is answered in another way. */
void eio_handshake_tell(struct eio_server *server, struct http_request *request,
                        const struct eio_refusal *refusal);
/* Answers with a bare status and closes the connection: for what clients never see unless they or memory fail. */
void eio_handshake_fail(struct eio_server *server, struct http_request *request, int status);

/* --- eio_admission.c: handshakes that are decided on later --- */

enum eio_decision {
    EIO_UNDECIDED,
    EIO_DECIDED_ALLOW,
    EIO_DECIDED_DENY,
    EIO_DECIDED_TIMEOUT /* nobody decided in time */
};

struct eio_admission {
    struct eio_server *server;
    struct http_request *request; /* NULL: it waits no longer */
    struct timer timer;
    struct eio_denial *denial; /* what a refusal says; NULL: the usual */
    uint8_t refs;              /* the request's and that of whoever decides */
    uint8_t decision;          /* enum eio_decision */
};

/* Takes a request's admission off it, NULL when it has none: on the second on_head, or when the client has gone. The request's reference becomes
 * the caller's. */
struct eio_admission *eio_admission_take(struct http_request *request);
void eio_admission_unref(struct eio_admission *admission);

/* --- eio_session.c: states, queue, heartbeat --- */

/* A session in the map, open, silent. NULL when memory has run out. */
struct eio_session *eio_session_new(struct eio_server *server, enum eio_transport transport,
                                    const char *address) __attribute__((warn_unused_result));
/* Releases everything; only from the end-of-turn work or before the session was announced. */
void eio_session_free(struct eio_session *session);
/* The open packet's text; the transport must be set. Returns its length. */
#define EIO_OPEN_PACKET_SIZE 256
size_t eio_session_write_open(const struct eio_session *session, char ret[EIO_OPEN_PACKET_SIZE]);
/* Calls on_open and starts the heartbeat. */
void eio_session_announce(struct eio_session *session, const struct http_request *request);
/* Whether its pong is overdue, though the timer has not fired yet in this turn: no request may find it any more. */
bool eio_session_is_overdue(const struct eio_session *session);
/* A packet came in over the session's transport. */
void eio_session_receive(struct eio_session *session, const struct eio_packet *packet, char *data,
                         size_t size);
/* Ends the session now, whatever its state: a pending poll takes home what is queued and a close packet, a WebSocket is closed,
 * on_close follows at the end of the turn. A session that was closing keeps the reason it was closed with. */
void eio_session_end(struct eio_session *session, enum eio_reason reason);
/* For good: the transport is a WebSocket, or all is over. */
void eio_session_free_queue(struct eio_session *session);
/* The level of its output has crossed a mark: tells the layer above when that is news. */
void eio_session_set_water(struct eio_session *session, bool is_high);
/* Some of the queue has left. */
void eio_session_after_take(struct eio_session *session);
/* A pong may be under way on a transport that is being left: its time starts anew. */
void eio_session_restart_heartbeat(struct eio_session *session);

/* --- eio_polling.c --- */

void eio_polling_on_get(struct eio_session *session, struct http_request *request);
void eio_polling_on_post(struct eio_session *session, struct http_request *request);
void eio_polling_on_body(struct eio_session *session, struct http_request *request, char *body,
                         size_t size);
void eio_polling_on_abort(struct eio_session *session, struct http_request *request);
/* Answers the pending poll, if there is one and something is queued; a closing session ends when all of it is out. */
void eio_polling_flush(struct eio_session *session);
/* Answers a pending poll with what is queued, behind it (or instead) the bare packet `last`, 0 for none. */
void eio_polling_answer(struct eio_session *session, char last);
/* Lets go of both requests of a session that has ended. */
void eio_polling_release(struct eio_session *session, char last);

/* --- eio_websocket.c --- */

/* A 101 that is about to be sent. */
struct eio_websocket_answer {
    struct buf bytes; /* for whoever has it to release */
    bool is_compressed;
    struct ws_extension extension; /* if so */
};

/* Checks the opening handshake and makes the 101 answer. False: the request was answered otherwise. */
bool eio_websocket_prepare(struct eio_server *server, struct http_request *request, bool initial,
                           struct eio_websocket_answer *ret_answer);
/* Turns the request's connection into a WebSocket. NULL (connection closed) when memory has run out. */
struct ws_conn *eio_websocket_take(struct eio_server *server, struct http_request *request,
                                   const struct eio_websocket_answer *answer,
                                   const struct ws_events *events, void *owner);
/* A request without sid opens a session on a WebSocket. */
void eio_websocket_open(struct eio_server *server, struct http_request *request);
/* Makes `ws` the session's transport, sends what is queued, and closes it again if the session is closing. */
void eio_websocket_attach(struct eio_session *session, struct ws_conn *ws);
/* Lets go of the WebSocket, which closes by itself. */
void eio_websocket_release(struct eio_session *session, enum eio_reason reason);
/* The same for one that is nobody's transport. */
void eio_websocket_dismiss(struct eio_server *server, struct ws_conn *ws);

/* --- eio_upgrade.c --- */

/* A WebSocket came for a session that exists: it probes, or is closed when the session cannot upgrade (any more). */
void eio_upgrade_start(struct eio_session *session, struct http_request *request);
/* The session has ended: the probing WebSocket too. */
void eio_upgrade_cancel(struct eio_session *session);

#endif
