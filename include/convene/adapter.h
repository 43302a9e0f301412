/**
 * @file
 * Clusters: several servers that act as one. For those who write adapters; docs/adapters.md shows
 * how. An application sets a finished one with cvn_server_set_adapter and is done.
 *
 * A server that takes part is a node. What one node does to many sockets (emits, changes of rooms,
 * disconnects, questions) it hands to its adapter as a cvn_cluster_op, and the adapter brings it to
 * the other nodes, by whatever means: Redis, Postgres, a queue between processes. There it goes
 * into cvn_cluster_receive. Answers travel the other way as cvn_cluster_answer. Both are structured,
 * not bytes, so that an adapter may speak the wire format of another implementation.
 *
 * Own sockets are never the adapter's business: a server has served them before. So an adapter must
 * not bring a node its own ops back.
 */
#ifndef CONVENE_ADAPTER_H
#define CONVENE_ADAPTER_H

#include <convene/emit.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Length of cvn_cluster_node_id: hexadecimal digits. */
#define CVN_NODE_ID_SIZE 16
/** Bytes that a node id or a request id from elsewhere may have at most. */
#define CVN_CLUSTER_MAX_ID 128
/** Names that the lists of an op may have together. */
#define CVN_CLUSTER_MAX_NAMES 65536
/** Bytes that an op or answer from elsewhere may have altogether. */
#define CVN_CLUSTER_MAX_BYTES ((size_t)64 << 20)
/** Longest wait that a request from elsewhere may ask for, in milliseconds; a longer one is cut. */
#define CVN_CLUSTER_MAX_TIMEOUT_MS 3600000

/** A node, as its adapter knows it. */
typedef struct cvn_cluster cvn_cluster;

/** What is done. */
enum cvn_cluster_op_type {
    CVN_CLUSTER_EMIT = 1,   /**< an event to the clients; with a request, they acknowledge */
    CVN_CLUSTER_JOIN,       /**< the sockets join `room` */
    CVN_CLUSTER_LEAVE,      /**< the sockets leave `room` */
    CVN_CLUSTER_DISCONNECT, /**< the sockets are disconnected */
    CVN_CLUSTER_FETCH,      /**< who is there? Always with a request */
    CVN_CLUSTER_SERVER_EMIT /**< an event to the other servers themselves */
};

/**
 * One thing done to the sockets of a target on every other node. All memory is borrowed: it belongs
 * to whoever calls, and is valid during the call.
 */
typedef struct cvn_cluster_op {
    enum cvn_cluster_op_type type; /**< what is done */
    cvn_slice nsp;                 /**< name of the namespace, with its slash */
    const cvn_slice *rooms;  /**< sockets in one of these; none: all. A socket's id is a room */
    size_t room_count;       /**< how many */
    const cvn_slice *except; /**< and in none of these */
    size_t except_count;     /**< how many */
    unsigned flags;          /**< of CVN_VOLATILE, CVN_NO_COMPRESS; others are ignored */
    cvn_slice event;         /**< EMIT, SERVER_EMIT: the name, not in JSON */
    cvn_args args;           /**< EMIT, SERVER_EMIT: its arguments */
    cvn_slice conflate;      /**< EMIT: cvn_target.conflate; empty: none */
    cvn_slice room;          /**< JOIN, LEAVE: which */
    bool close;              /**< DISCONNECT: the whole connection */
    cvn_slice node;          /**< who does it: a node id; may be empty without a request */
    cvn_slice request;       /**< answers go there under this id; empty: none are wanted */
    uint32_t timeout_ms;     /**< how long it waits for them */
} cvn_cluster_op;

/** What comes back. */
enum cvn_cluster_answer_type {
    CVN_CLUSTER_CLIENT_COUNT =
        1,                 /**< of EMIT: a node has asked so many clients. One a node, first */
    CVN_CLUSTER_ACK,       /**< of EMIT: what a client answered. One a client */
    CVN_CLUSTER_SOCKETS,   /**< of FETCH: a node's sockets. One a node */
    CVN_CLUSTER_SERVER_ACK /**< of SERVER_EMIT: what a node answered. One a node */
};

/** A socket as it was when it was looked at. */
typedef struct cvn_cluster_socket {
    cvn_slice id;           /**< its id */
    const cvn_slice *rooms; /**< its rooms; its own id's may be among them */
    size_t room_count;      /**< how many */
    cvn_slice attributes;   /**< one JSON value (the reference's socket.data); empty: {} */
    cvn_slice handshake;    /**< a JSON object; empty: {} */
} cvn_cluster_socket;

/** An answer to a request. Memory as for cvn_cluster_op. */
typedef struct cvn_cluster_answer {
    enum cvn_cluster_answer_type type; /**< what comes back */
    cvn_slice to;                      /**< the node that asked: cvn_cluster_op.node */
    cvn_slice request;                 /**< cvn_cluster_op.request */
    cvn_slice from; /**< the node that answers; empty when the wire has no word of it */
    /** Not CVN_OK: something is missing, and nothing more will come for it (memory has run out there,
     * the client has gone, nobody there handles the event). A wire format without a word for that
     * drops the answer, and whoever asked waits out the time. */
    enum cvn_error error;
    size_t client_count;               /**< CLIENT_COUNT */
    cvn_slice socket_id;               /**< ACK: whose; may be empty */
    cvn_args args;                     /**< ACK, SERVER_ACK */
    const cvn_cluster_socket *sockets; /**< SOCKETS */
    size_t socket_count;               /**< how many */
} cvn_cluster_answer;

/**
 * What the author of an adapter fills in. The functions are called on any thread, several at once:
 * the workers', and every thread of the application that emits. None but start and stop may block,
 * since a worker that waits serves nobody; and publish, respond and peers must not emit or receive
 * anything themselves, since their caller may hold a lock. None may be NULL.
 */
typedef struct cvn_adapter {
    /** The server starts: its namespaces are there, nobody is connected yet. `cluster` may be used,
     * on any thread, until stop returns. An error is that of cvn_server_start; stop is not called
     * then. */
    enum cvn_error (*start)(struct cvn_adapter *adapter, cvn_cluster *cluster);
    /**
     * Brings `op` to every other node, once, and later than what the calling thread has published
     * before; what other threads publish may come before or after. Where the way is lossy a lost op
     * is lost. It may be called until free, and is CVN_ERR_STATE after stop. Other errors are the
     * adapter's own to choose; own sockets have got the op whatever it returns, and the
     * application is told.
     */
    enum cvn_error (*publish)(struct cvn_adapter *adapter, const cvn_cluster_op *op);
    /** Brings `answer` to the node `answer->to`, in the order of the calls of one thread. May be
     * called from inside cvn_cluster_receive. After an error nothing is tried again. */
    enum cvn_error (*respond)(struct cvn_adapter *adapter, const cvn_cluster_answer *answer);
    /** How many other nodes will get an op for `nsp` that is published now, as far as is known: so
     * many first answers a request waits for, and for as long as its timeout if one of them is dead. */
    unsigned (*peers)(struct cvn_adapter *adapter, cvn_slice nsp);
    /** The last worker has ended, and this is its thread. Sends out what was published before, tells
     * the others and closes. Once it returns, `cluster` must not be used any more. */
    void (*stop)(struct cvn_adapter *adapter);
    /** Frees the adapter. Called once, also when the server never started. */
    void (*free)(struct cvn_adapter *adapter);
    void *data; /**< the author's own */
} cvn_adapter;

/** Makes the server a node of a cluster. The adapter is the server's from here on. Before the start.
 * CVN_ERR_STATE: it runs already, or has an adapter; CVN_ERR_ARGUMENT: a function is missing. The
 * adapter stays the caller's then. */
CVN_API CVN_MUST_CHECK enum cvn_error cvn_server_set_adapter(cvn_server *server,
                                                             cvn_adapter *adapter);

/** This node's own id: random, CVN_NODE_ID_SIZE hexadecimal digits, new with every start. Any
 * thread; valid as long as the server. */
CVN_API const char *cvn_cluster_node_id(const cvn_cluster *cluster);
/** The server itself. Any thread. */
CVN_API cvn_server *cvn_cluster_server(const cvn_cluster *cluster);
/** Walks over the namespaces that were registered by name, from *cursor = 0; NULL at the end. For
 * those who have to subscribe to each. Any thread. */
CVN_API cvn_namespace *cvn_cluster_next_namespace(const cvn_cluster *cluster, size_t *cursor);

/**
 * An op of another node has arrived: does it to the sockets of this one. Any thread; what it points
 * to may go when it returns. Ops of one node must come in their order, on one thread at a time.
 * Everything is checked. An op that is refused has done nothing: CVN_ERR_ARGUMENT (an unknown type,
 * no or a reserved event name, names with a NUL, ids too long), CVN_ERR_JSON, CVN_ERR_LIMIT (too
 * large), CVN_ERR_NOT_FOUND (this node has no such namespace, which is no mistake of anybody's; a
 * request is answered with "nobody"). CVN_ERR_MEMORY: it did not reach everybody. CVN_ERR_STATE: the
 * server has ended.
 */
CVN_API enum cvn_error cvn_cluster_receive(cvn_cluster *cluster, const cvn_cluster_op *op);
/** An answer has arrived to a request of this node. Threads and checks as above. CVN_ERR_NOT_FOUND:
 * its request is none of this node's; an answer that comes too late is dropped without a word. */
CVN_API enum cvn_error cvn_cluster_receive_answer(cvn_cluster *cluster,
                                                  const cvn_cluster_answer *answer);

#ifdef __cplusplus
}
#endif
#endif
