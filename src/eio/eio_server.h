/*
 * Engine.IO v4, one instance a worker: verifies requests, opens sessions, finds the session of a request (or moves the
 * request to the worker that owns it), carries messages over polling and WebSocket and through the upgrade between them.
 * Everything runs on the instance's worker; time comes from the worker's wheel.
 */
#ifndef EIO_SERVER_H
#define EIO_SERVER_H

#include "base/counter.h"
#include "base/map.h"
#include "http/http_origin.h"
#include "ws/ws_conn.h"
#include "eio/eio_packet.h"

struct eio_server;
struct eio_session;
struct eio_admission;

#define EIO_SID_SIZE 20

enum eio_transport { EIO_POLLING = 1, EIO_WEBSOCKET = 2 }; /* bits of options.transports */

/* Why a session ended, in the reference's words through eio_reason_text. */
enum eio_reason {
    EIO_TRANSPORT_ERROR, /* "transport error" */
    EIO_TRANSPORT_CLOSE, /* "transport close": the peer or the network closed it */
    EIO_FORCED_CLOSE,    /* "forced close": eio_session_close */
    EIO_PING_TIMEOUT,    /* "ping timeout" */
    EIO_PARSE_ERROR,     /* "parse error" */
    EIO_SHUTDOWN,        /* "server shutting down" */
    EIO_SLOW_CONSUMER,   /* "slow consumer": ours; the output budget was exceeded */
    EIO_FORCED_SERVER_CLOSE /* "forced server close": never came to join a namespace; used by the layer above */
};
#define EIO_REASONS 8
const char *eio_reason_text(enum eio_reason reason);

/* Whether a new client may open a session. */
enum eio_verdict {
    EIO_DENY,
    EIO_ALLOW,
    EIO_LATER /* eio_admission_new was called, eio_admission_decide will be */
};

/* The codes of error answers, "HTTP errors" in the protocol; and what we answer with a bare 503. */
enum eio_code {
    EIO_CODE_TRANSPORT_UNKNOWN,
    EIO_CODE_SESSION_UNKNOWN,
    EIO_CODE_BAD_METHOD,
    EIO_CODE_BAD_REQUEST,
    EIO_CODE_FORBIDDEN,
    EIO_CODE_BAD_VERSION,
    EIO_CODE_FULL,     /* max_sessions are there */
    EIO_CODE_STOPPING, /* after eio_server_shutdown */
    EIO_CODE_UNDECIDED /* nobody decided within allow_timeout_ms */
};
#define EIO_CODES 9
/* The words of a code, static. */
const char *eio_code_text(enum eio_code code);

/* Why a request gets no session. */
struct eio_refusal {
    enum eio_code code;
    int status;          /* 0: that of the code */
    const char *message; /* for the client; NULL: that of the code */
    const char *reason;  /* for the layer above, which may know more; NULL: nothing */
};

/* Counted by the instance's worker, read by any thread. */
struct eio_counters {
    struct counter closed[EIO_REASONS]; /* sessions, by enum eio_reason */
    struct counter refused[EIO_CODES];  /* requests, by enum eio_code */
    struct counter upgrades, upgrades_failed;
};

struct eio_options {                   /* all filled in by the caller; see eio_options_default */
    cvn_slice path;                    /* "/engine.io" */
    bool add_trailing_slash;           /* true: also (and canonically) "/engine.io/" */
    uint64_t ping_interval_ms;         /* 25000 */
    uint64_t ping_timeout_ms;          /* 20000 */
    uint64_t upgrade_timeout_ms;       /* 10000 */
    uint64_t allow_timeout_ms;         /* 10000: how long EIO_LATER may take */
    uint64_t polling_close_timeout_ms; /* 30000: how long an ordered close waits for a poll */
    size_t max_payload;                /* 1000000 bytes: POST body, WebSocket message */
    unsigned max_packets_per_payload;  /* 0 = no limit of its own */
    unsigned max_fragments;            /* of a WebSocket message; 0 = default */
    unsigned transports;               /* enum eio_transport bits */
    bool allow_upgrades;
    size_t send_high_water; /* bytes a session may have queued before volatile packets drop */
    size_t send_max; /* and before it is closed with EIO_SLOW_CONSUMER; not below the high water */
    size_t
        send_low_water; /* where one that was above the high water counts as drained; not above it */
    size_t max_sessions;          /* of this worker; 0 = unbounded. Beyond: 503 */
    bool websocket_compression;   /* false: accept offers of permessage-deflate */
    bool http_compression;        /* true: answer polls in gzip or deflate */
    size_t compression_threshold; /* 1024 bytes: smaller messages and answers go as they are */
    struct http_origin_policy origins;
    cvn_slice cookie_name;       /* of the cookie that a polling handshake sets; empty: none */
    cvn_slice cookie_attributes; /* behind its value, with "; " in front */
};
void eio_options_default(struct eio_options *ret);

/* What the layer above hears and decides. All but on_open, on_message and on_close may be NULL. */
struct eio_events {
    /* A handshake wants in (a request without sid that passed all checks). EIO_DENY refuses it with code 4 and *message
     * (static text, "Forbidden" when left NULL). */
    enum eio_verdict (*on_allow)(struct http_request *request, const char **message, void *app);
    /* Before the head of an answer to a request is written (also the 101): add fields with http_request_add_field.
     * `initial` on the handshake. For a pending poll this is called when the request arrives. */
    void (*on_headers)(struct http_request *request, bool initial, void *app);
    /* A request is about to be refused: its head is valid, fields may be added to the answer. */
    void (*on_refused)(struct http_request *request, const struct eio_refusal *refusal, void *app);
    /* A session is open; `request` is its handshake: head valid during the call (copy headers, query, address you want). Set the session's owner. */
    void (*on_open)(struct eio_session *session, const struct http_request *request, void *app);
    /* A message. Bytes are writable and valid during the call; text is valid UTF-8. */
    void (*on_message)(struct eio_session *session, char *data, size_t size, bool binary);
    /* The session's output has drained to the kernel. */
    void (*on_drain)(struct eio_session *session);
    /* More than send_high_water bytes are queued for the session that it does not take (is_high); or again no more than send_low_water. In turns,
     * the first time high. From inside eio_session_send or a flush: only take note. */
    void (*on_water)(struct eio_session *session, bool is_high);
    /* The session shall end soon (eio_server_leave): nothing that is to be answered is begun any more; whether nothing is left of what was.
     * Asked again until it says yes; then eio_session_close. */
    bool (*may_leave)(struct eio_session *session);
    /* The session moved from polling to WebSocket. */
    void (*on_upgrade)(struct eio_session *session);
    /* The last call; exactly once after on_open. Never comes from inside eio_session_send or eio_session_close (it comes at the end of the turn), but may
     * come directly after on_message returns. */
    void (*on_close)(struct eio_session *session, enum eio_reason reason);
};

/* `options`, `events` and `app` must outlive it. `peers` are the instances of all workers by index, filled in by
 * the caller before traffic starts (for moving requests to the worker that a sid names). NULL when memory has run out. */
struct eio_server *eio_server_new(struct worker *worker, const struct eio_options *options,
                                  const struct eio_events *events, void *app);
/* Closes every session with EIO_SHUTDOWN: polling ones get a close packet, WebSockets a close. */
void eio_server_shutdown(struct eio_server *server);
/* Lets no new session in from now on: 503, with Retry-After unless that is 0. */
void eio_server_refuse_new(struct eio_server *server, uint32_t retry_after_s);
/* Asks `count` more sessions to leave, the oldest first, and closes those of all that were asked which may: as eio_server_shutdown, but
 * one by one and each when nothing of it is under way. To be called again and again. Not from inside a callback of ours. */
void eio_server_leave(struct eio_server *server, size_t count);
/* Ends the sessions that are left (of a worker that stops early: those on polling without a request), with their on_close. Not from
 * inside a callback of ours. */
void eio_server_end_all(struct eio_server *server);
/* Ends what is left, too. NULL is accepted. */
void eio_server_free(struct eio_server *server);
/* Counts in `counters` instead of in the instance, which may go before them. Before traffic starts. */
void eio_server_set_counters(struct eio_server *server, struct eio_counters *counters);
size_t eio_server_session_count(const struct eio_server *server);
void *eio_server_app(const struct eio_server *server);

/* Other origins than those of the options, for requests from now on; the list must stay until it is replaced. */
void eio_server_set_origins(struct eio_server *server, const char *const *allowed, size_t count);
/* Another number than that of the options; 0 = unbounded. Sessions that are there stay. */
void eio_server_set_max_sessions(struct eio_server *server, size_t max);

/* Whether a request belongs to Engine.IO, by its path. */
bool eio_server_owns_path(const struct eio_server *server, cvn_slice path);
/* Where the workers of all instances are, indexed by worker; for moving requests. */
void eio_server_set_peers(struct eio_server *server, struct worker *const *workers, unsigned count);

/* The three http_events for requests that are ours. on_head must be called for our path only; on_body and on_abort are called for
 * requests on which on_head was called (the caller tells them apart by request->user: NULL before on_head, ours after). */
void eio_server_on_head(struct eio_server *server, struct http_request *request);
void eio_server_on_body(struct eio_server *server, struct http_request *request, char *body,
                        size_t size);
void eio_server_on_abort(struct eio_server *server, struct http_request *request);

/* --- Handshakes that are decided on later --- */

/* Inside on_allow, which must return EIO_LATER then. NULL when memory has run out. The client's connection waits with what it sends; it may vanish
 * meanwhile, and after allow_timeout_ms gets 503. */
struct eio_admission *eio_admission_new(struct eio_server *server, struct http_request *request)
    __attribute__((warn_unused_result));
/* What a refusal says; one block of memory, texts included. */
struct eio_denial {
    int status;          /* 0: the usual */
    const char *message; /* NULL: "Forbidden" */
    size_t
        field_count; /* of header fields in the answer; those that cannot be there are left out */
    struct eio_denial_field {
        cvn_slice name, value;
    } fields[];
};

/* Lets the client in or refuses it with `denial` (NULL: all as usual), which is taken over to be freed with mem_free. Exactly once; the
 * admission is gone afterwards. On the instance's worker; on any thread once that worker has ended. */
void eio_admission_decide(struct eio_admission *admission, bool is_allowed,
                          struct eio_denial *denial);

/* --- Sessions --- */

void eio_session_set_owner(struct eio_session *session, void *owner);
void *eio_session_owner(const struct eio_session *session);
struct eio_server *eio_session_server(const struct eio_session *session);
/* 20 characters, no NUL. A secret of the client's. */
cvn_slice eio_session_id(const struct eio_session *session);
enum eio_transport eio_session_transport(const struct eio_session *session);
bool eio_session_is_open(const struct eio_session *session);
/* Bytes queued and not yet handed to the kernel. */
size_t eio_session_queued(const struct eio_session *session);
const char *eio_session_peer_address(const struct eio_session *session);

/* Queues a packet made by eio_packet_*; takes a reference of its own. The same message may go to any number of sessions. False when it was not
 * queued: the session is not open, or the message is MESSAGE_VOLATILE and the session cannot take it now (congested; polling without a
 * pending poll; in the midst of an upgrade). */
bool eio_session_send(struct eio_session *session, struct message *packet);
/* The same for a MESSAGE_CONFLATE packet with its followers. It takes the place of one of the same key that waits in the queue and of which nothing
 * has been sent: *ret_replaced are the bytes of that, else 0. A volatile one that replaces none is dropped as above. */
bool eio_session_send_conflated(struct eio_session *session, struct message *const *unit,
                                size_t *ret_replaced);
/* Ends the session in order: what is queued goes first. on_close gets `reason`. Idempotent. */
void eio_session_close(struct eio_session *session, enum eio_reason reason);

#endif
