/**
 * @file
 * A server: its options, its workers, its life.
 */
#ifndef CONVENE_SERVER_H
#define CONVENE_SERVER_H

#include <convene/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A Socket.IO server. */
typedef struct cvn_server cvn_server;
/** An HTTP request, Socket.IO's own or another; see http.h. */
typedef struct cvn_http_request cvn_http_request;

/** Bits of cvn_options.transports. */
enum cvn_transport {
    CVN_POLLING = 1,  /**< HTTP long polling */
    CVN_WEBSOCKET = 2 /**< WebSocket, at once or by upgrade from polling */
};

/** How much a diagnostic message matters. */
enum cvn_log_level {
    CVN_LOG_DEBUG, /**< for those who work on the library */
    CVN_LOG_INFO,  /**< the ordinary course of things */
    CVN_LOG_WARN,  /**< something was given up, and the server goes on */
    CVN_LOG_ERROR  /**< something that was asked for cannot be done */
};

/** How Socket.IO packets are written. */
typedef enum cvn_parser {
    CVN_PARSER_JSON, /**< as text and attachments: what every client speaks by default */
    /** One MessagePack message a packet, for clients with the npm package
     * socket.io-msgpack-parser or a compatible one; all clients of the server need it. Applications
     * notice nothing: arguments stay JSON text with attachments, translated at the edge. What JSON
     * cannot say arrives as JSON.stringify would put it: a Date as its ISO text, NaN and undefined
     * as null. Whole numbers of up to 64 bits keep their digits (JavaScript itself rounds beyond
     * 2^53). Keys of maps must be text; extension types other than Dates, timestamps, undefined and
     * bytes end the connection. */
    CVN_PARSER_MSGPACK
} cvn_parser;

/** Why a request for or of a session was refused. The first six are the numbers of the reference
 * server's connection_error. */
enum cvn_refusal {
    CVN_REFUSED_TRANSPORT, /**< 0: it names no transport, or one that is not served */
    CVN_REFUSED_SESSION,   /**< 1: there is no session of that id (any more) */
    CVN_REFUSED_METHOD,    /**< 2: a handshake that is no GET */
    CVN_REFUSED_REQUEST,   /**< 3: something else that no client would send */
    CVN_REFUSED_FORBIDDEN, /**< 4: by allow_request or cvn_deny, or for its Origin */
    CVN_REFUSED_VERSION,   /**< 5: it does not speak version 4 of Engine.IO */
    CVN_REFUSED_FULL,      /**< ours: max_connections_per_worker are there */
    CVN_REFUSED_STOPPING,  /**< ours: the server is about to end */
    CVN_REFUSED_UNDECIDED  /**< ours: nobody decided within allow_timeout_ms */
};

/** How many kinds of enum cvn_refusal there are. */
#define CVN_REFUSALS 9
/** The words of a refusal, static: those of cvn_connection_error.message. Any thread. */
CVN_API const char *cvn_refusal_text(enum cvn_refusal refusal);

/** Why a session ended; the disconnect handlers of its sockets are told the words. */
enum cvn_close_reason {
    CVN_CLOSED_TRANSPORT_ERROR, /**< "transport error": it broke the rules of its transport */
    CVN_CLOSED_TRANSPORT_CLOSE, /**< "transport close": its client or the network ended it */
    CVN_CLOSED_FORCED_CLOSE, /**< "forced close": by cvn_disconnect with `close`, after all its sockets had left */
    CVN_CLOSED_PING_TIMEOUT,       /**< "ping timeout": its client has fallen silent */
    CVN_CLOSED_PARSE_ERROR,        /**< "parse error": it sent what is no packet */
    CVN_CLOSED_SHUTDOWN,           /**< "server shutting down" */
    CVN_CLOSED_SLOW_CONSUMER,      /**< "slow consumer": above cvn_options.send_max */
    CVN_CLOSED_FORCED_SERVER_CLOSE /**< "forced server close": joined no namespace in time; memory */
};
/** How many reasons there are. */
#define CVN_CLOSE_REASONS 8
/** The words of a reason, static. Any thread. */
CVN_API const char *cvn_close_reason_text(enum cvn_close_reason reason);

/** What on_connection_error is told. */
typedef struct cvn_connection_error {
    enum cvn_refusal code; /**< which kind */
    const char *message;   /**< its words, static: "Session ID unknown", ... */
    /** What is more, valid during the call, "" when there is nothing: of CVN_REFUSED_REQUEST
     * "INVALID_ORIGIN", "TRANSPORT_MISMATCH", "TRANSPORT_HANDSHAKE_ERROR", "PROTOCOL_MISMATCH",
     * "METHOD_NOT_SUPPORTED" or "WEBSOCKET_HANDSHAKE_ERROR"; of CVN_REFUSED_FORBIDDEN
     * "ORIGIN_NOT_ALLOWED" or the message of whoever refused. */
    const char *reason;
    int status; /**< of the HTTP answer */
} cvn_connection_error;

/** Pass as an origin list to let any origin in. */
#define CVN_ANY_ORIGIN "*"

/** What a browser may do with a cookie in requests that come from pages of other sites. */
enum cvn_same_site {
    CVN_SAME_SITE_LAX,    /**< the default */
    CVN_SAME_SITE_STRICT, /**< "Strict" */
    CVN_SAME_SITE_NONE,   /**< "None"; browsers take it from `secure` cookies only */
    CVN_SAME_SITE_UNSAID  /**< no such attribute */
};

/** The cookie with the id of the session that a polling handshake's answer sets, for proxies that
 * keep a client with one server by it. The server itself never reads it. A zero means the default,
 * which is the reference server's. What no cookie may hold is refused by cvn_server_new. */
typedef struct cvn_cookie {
    const char *name;             /**< default "io" */
    const char *path;             /**< begins with a slash; default "/" */
    const char *domain;           /**< letters, digits, dots and hyphens; default: not said */
    uint32_t max_age_s;           /**< seconds; default: not said, until the browser ends */
    bool secure;                  /**< over TLS only */
    bool readable_by_scripts;     /**< leaves HttpOnly out */
    enum cvn_same_site same_site; /**< default CVN_SAME_SITE_LAX */
} cvn_cookie;

/**
 * Everything about a server that is fixed when it starts. A zero (or NULL, or false) means the
 * default, which is the reference server's where it has the option. Times are milliseconds, sizes
 * are bytes. Strings and lists are copied by cvn_server_new.
 */
typedef struct cvn_options {
    /* Listening */
    const char *host; /**< numeric address; default all, IPv6 and IPv4 */
    uint16_t port;    /**< 0: any free one, see cvn_server_port */
    int backlog;      /**< default 511 */
    unsigned workers; /**< threads; default the number of processors, at most 128 */
    /** PEM, certificate chain; with tls_key_file: serve HTTPS and WSS only */
    const char *tls_cert_file;
    const char *tls_key_file; /**< PEM, private key */

    /* Engine.IO */
    const char *path;            /**< default "/socket.io" */
    bool no_trailing_slash;      /**< serve the path exactly, not path + "/" */
    uint32_t ping_interval_ms;   /**< default 25000 */
    uint32_t ping_timeout_ms;    /**< default 20000 */
    uint32_t upgrade_timeout_ms; /**< default 10000 */
    uint32_t allow_timeout_ms;   /**< for a decision put off by cvn_allow_later; default 10000 */
    size_t max_http_buffer_size; /**< of one POST body or WebSocket message; default 1000000 */
    unsigned transports;         /**< enum cvn_transport bits; default both */
    bool no_upgrades;            /**< a polling session stays one */
    size_t max_connections_per_worker; /**< sessions; a further one gets 503; default no limit */

    /* Compression. Whoever can put text of his own into one message with a secret may learn of it
     * from the size of the whole, TLS or not (CRIME, BREACH): send such ones with CVN_NO_COMPRESS. */
    /** Accept permessage-deflate (RFC 7692), always without context takeover: no connection keeps
     * memory for it, and a broadcast is compressed once for all. Default off. */
    bool websocket_compression;
    bool no_http_compression;     /**< never answer a poll in gzip or deflate */
    size_t compression_threshold; /**< smaller messages and answers go as they are; default 1024 */

    /* Browsers */
    /** Which origins may connect, on polling and WebSocket alike. Pages of the server's own origin
     * always may. NULL: no other. Else a NULL-terminated list of "https://a.example", "https://" +
     * "*.a.example" or CVN_ANY_ORIGIN. */
    const char *const *origins;
    bool origin_credentials; /**< allow cookies from other origins */
    /** Methods that preflights from those origins are told, as "GET,POST"; default
     * "GET,HEAD,PUT,PATCH,POST,DELETE" */
    const char *origin_methods;
    /** request header fields likewise, as "x-token,content-type"; default: whatever is asked for */
    const char *origin_headers;
    const char *origin_exposed; /**< answer header fields their scripts may read; default none */
    uint32_t origin_max_age_s;  /**< how long browsers may remember a preflight; default not said */
    const cvn_cookie *cookie;   /**< a session cookie; default NULL: none */

    /* Socket.IO */
    cvn_parser parser;                   /**< how packets are written; default CVN_PARSER_JSON */
    uint32_t connect_timeout_ms;         /**< to join a first namespace; default 45000 */
    unsigned max_attachments;            /**< of one binary packet; default 10 */
    unsigned max_json_depth;             /**< default 512, at most 1024 */
    unsigned max_sockets_per_connection; /**< namespaces joined at once; default 64 */
    unsigned max_rooms_per_socket;       /**< default 1000 */
    /** children of patterns and predicates that exist at once, see dynamic.h; default 10000 */
    unsigned max_dynamic_namespaces;
    unsigned max_pending_acks; /**< acknowledgements that one socket may owe; default 1000 */

    /* Connection state recovery, see docs/recovery.md */
    /** Milliseconds for which a client whose connection was lost may come back to its id, rooms,
     * data and missed events; 0: no recovery. The reference server's suggestion is 120000. */
    uint32_t recovery_window_ms;
    /** Bytes of recent events that each worker keeps for that; default 16 MiB. Beyond, the oldest
     * of the namespace that emits go, and who may have missed them is not recovered. */
    size_t recovery_max_bytes;
    /** Lost clients that each worker waits for; default 10000. Beyond, the oldest is given up. */
    unsigned recovery_max_sessions;
    /** Do not ask the middlewares again when a client comes back. */
    bool recovery_skip_middlewares;

    /* Back pressure, in bytes queued for one connection that its client does not take */
    size_t send_high_water; /**< above it volatile events are dropped; default 1 MiB */
    size_t send_low_water;  /**< down to it a connection that was above drains; default half */
    size_t send_max; /**< above it the connection is closed as a "slow consumer"; default 16 MiB */

    /* HTTP */
    uint32_t http_head_timeout_ms; /**< for a whole request head; default 10000 */
    uint32_t http_body_timeout_ms; /**< for a whole request body; default 30000 */
    uint32_t http_idle_timeout_ms; /**< between requests; default 30000 */
    bool hide_client;              /**< do not serve the client bundle under the path */
    /** the `dist` folder of the npm package socket.io-client; default: where it was installed */
    const char *client_dir;

    /** what an orderly stop may take before connections are cut; default 10000 */
    uint32_t shutdown_timeout_ms;

    /* Hooks; all run on a worker's thread. */
    void *hook_data; /**< given to the hooks */
    /** Whether a new client may open a session. On false set *ret_message (static) or leave it
     * ("Forbidden"). To decide later: cvn_allow_later. */
    bool (*allow_request)(cvn_http_request *request, const char **ret_message, void *hook_data);
    /** Before an Engine.IO answer is written: add fields with cvn_http_add_header. `initial` for
     * the one that opens the session. */
    void (*on_headers)(cvn_http_request *request, bool initial, void *hook_data);
    /** A request to the Socket.IO path is about to be refused: a handshake, or one that belongs to no
     * session. Method, path, query, headers and address of the request are readable during the
     * call, and fields may be added to the answer with cvn_http_add_header. */
    void (*on_connection_error)(cvn_http_request *request, const cvn_connection_error *error,
                                void *hook_data);
    /** Diagnostics. Default: warnings and errors to standard error. One sink a process. */
    void (*log)(enum cvn_log_level level, const char *message, void *hook_data);
} cvn_options;

/** A server that does not listen yet; register namespaces and handlers, then run or start it. NULL
 * options: all defaults. NULL when memory has run out or an option is outside its range (said to
 * the log). */
CVN_API cvn_server *cvn_server_new(const cvn_options *options);

/** Listens and starts the workers' threads, then returns. CVN_ERR_SYSTEM (errno: the port is taken,
 * ...), CVN_ERR_TLS, CVN_ERR_MEMORY, CVN_ERR_STATE when started before; the error of the first
 * registration that failed. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_server_start(cvn_server *server);
/** The port it listens on; 0 before it does. Any thread. */
CVN_API uint16_t cvn_server_port(const cvn_server *server);
/** Number of workers. Any thread. */
CVN_API unsigned cvn_server_workers(const cvn_server *server);
/** Asks for an orderly stop: no new sessions (503), every client is told, output is flushed.
 * Returns at once. Any thread, any number of times. */
CVN_API void cvn_server_stop(cvn_server *server);
/**
 * Sends the clients away one after the other, evenly over `spread_ms` milliseconds, and stops then as
 * cvn_server_stop does. Meanwhile no new sessions are let in (503 with Retry-After), all other HTTP
 * requests are answered, and those who are still there are served.
 *
 * A connection ends without a DISCONNECT packet: clients come back by themselves, here or to another
 * server, for the reason "transport close". What is queued for them goes first, on polling the close
 * with the poll behind. And no acknowledgement that was put off (cvn_ack_later) is lost: a
 * connection that owes some is closed when they have been sent or dropped, at the latest
 * shutdown_timeout_ms after the others; in the meantime events that want one are not taken on. The
 * disconnect handlers' reason is "server shutting down".
 *
 * Returns at once. Any thread; only the first call counts, and none once the server stops.
 */
CVN_API void cvn_server_drain(cvn_server *server, uint32_t spread_ms);
/** As cvn_server_stop, and whoever is still there is cut off: ends a drain, or a stop that takes too
 * long. Any thread. */
CVN_API void cvn_server_hurry(cvn_server *server);
/** Waits until a started server has stopped. Not from a worker. Does not wait for one that is on a
 * loop of the caller's (convene/uv.h). */
CVN_API void cvn_server_wait(cvn_server *server);
/** Start, run until SIGINT, SIGTERM or cvn_server_stop, stop, wait and free. Returns an exit
 * status: 0, or 1 with the reason in the log when it could not start. */
CVN_API int cvn_server_run(cvn_server *server);
/** The same; `on_listening` is called on the calling thread once the server listens. */
CVN_API int cvn_server_run_then(cvn_server *server,
                                void (*on_listening)(cvn_server *server, void *data), void *data);
/** Stops and waits if need be, then frees. NULL is accepted. Not from a worker. For a server on a
 * loop of the caller's see convene/uv.h. */
CVN_API void cvn_server_free(cvn_server *server);

/** Runs `fn(data)` on worker `index` (0..workers-1), after what that worker does now. Any thread.
 * CVN_ERR_MEMORY, CVN_ERR_ARGUMENT, CVN_ERR_STATE when the server does not run. When the server
 * stops before, `fn` never runs. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_post(cvn_server *server, unsigned index,
                                               void (*fn)(void *data), void *data);

/*
 * Changes to a running server. Each is done when every worker has come to it, which is soon after the
 * call has returned and before anything that is posted afterwards (cvn_post). Any thread once the
 * server has started; of calls from several threads the last one wins, on all workers alike.
 */

/** Replaces cvn_options.origins, for requests from then on; sessions that are open stay. Copied; NULL
 * for none. Also before the start, on the thread that will start it. CVN_ERR_LIMIT for more than
 * 1024, CVN_ERR_MEMORY, CVN_ERR_STATE when it has stopped, CVN_ERR_ARGUMENT. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_server_set_origins(cvn_server *server,
                                                             const char *const *origins);
/** Replaces cvn_options.max_connections_per_worker; 0: no limit. Sessions that are open stay. Also
 * before the start. CVN_ERR_MEMORY, CVN_ERR_STATE when it has stopped, CVN_ERR_ARGUMENT. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_server_set_max_connections(cvn_server *server,
                                                                     size_t per_worker);
/** Reads tls_cert_file and tls_key_file anew, on the calling thread; new connections get what is in
 * them, open ones stay as they are. CVN_ERR_TLS when they are no good (said to the log): then nothing
 * changes. CVN_ERR_STATE when the server does not run or serves no TLS, CVN_ERR_MEMORY,
 * CVN_ERR_ARGUMENT. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_server_reload_tls(cvn_server *server);

/** Numbers of the running server, summed over its workers. Any thread. */
typedef struct cvn_stats {
    size_t connections;         /**< open sessions */
    size_t polling;             /**< of them on polling */
    size_t sockets;             /**< joined to namespaces */
    uint64_t connections_total; /**< since the start */

    size_t websocket; /**< sessions that are on WebSocket */
    /** bytes that wait for clients: not taken by the kernel, or, on polling, not fetched yet */
    uint64_t queued;
    /* All since the start: */
    uint64_t upgrades;              /**< of sessions from polling to WebSocket */
    uint64_t upgrades_failed;       /**< begun, and then the session stayed on polling or ended */
    uint64_t recovered;             /**< sockets that got a lost session back */
    uint64_t turned_away;           /**< sockets that a namespace's middlewares refused */
    uint64_t events_in;             /**< from clients */
    uint64_t events_out;            /**< to clients: an emit to ten sockets counts ten times */
    uint64_t dropped;               /**< volatile events that a client could not take */
    uint64_t conflated;             /**< events that newer ones of their key took the place of */
    uint64_t bytes_in;              /**< of packets from clients, as cvn_socket_counters counts */
    uint64_t bytes_out;             /**< of packets to clients, likewise */
    uint64_t refused[CVN_REFUSALS]; /**< requests without a session, by enum cvn_refusal */
    uint64_t closed[CVN_CLOSE_REASONS]; /**< sessions, by enum cvn_close_reason */
} cvn_stats;
/** Fills `ret`; all zero before the start. Each worker counts for itself and goes on while this adds
 * up: the numbers need not be of one instant, but none of those since the start ever falls. Any
 * thread. */
CVN_API void cvn_server_stats(const cvn_server *server, cvn_stats *ret);

#ifdef __cplusplus
}
#endif
#endif
