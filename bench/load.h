/*
 * The load generator: one thread, one epoll loop, any number of Socket.IO clients over WebSocket or polling. A mode (echo,
 * broadcast, ...) says what the clients do; the loop says when. Whatever is lost, wrong or late beyond reason ends the program
 * with a message and status 1: a figure is printed only for a server that did all of its work.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdio.h>
#include "base/buf.h"
#include "ws/ws_decode.h"

#define LOAD_SECOND UINT64_C(1000000000) /* every time here is in nanoseconds */
#define LOAD_NEVER  UINT64_MAX

struct load;
struct load_client;

/* ---- load_hist.c: a histogram of latencies, exact to 1/128, of any range */

#define LOAD_HIST_BITS  7
#define LOAD_HIST_SLOTS ((64 - LOAD_HIST_BITS + 1) << LOAD_HIST_BITS)

struct load_hist {
    uint64_t count, max;
    uint64_t slots[LOAD_HIST_SLOTS];
};

void load_hist_add(struct load_hist *hist, uint64_t value);
/* The value that a share of all values (0.99) does not exceed; 0 when there are none. */
uint64_t load_hist_at(const struct load_hist *hist, double share);

/* ---- load_proc.c: what the kernel knows about the server */

/* CPU seconds, user and system, that the process has used; bytes of it in memory. 0 for pid 0. */
double load_proc_cpu(int pid);
uint64_t load_proc_rss(int pid);

/* ---- load_conn.c: a socket with buffers */

struct load_conn {
    struct load_client *client;
    int fd;                    /* -1: closed */
    uint64_t serial;           /* of this opening of it; 0: closed */
    bool is_dirty, is_waiting; /* has output to flush; waits for the socket to take more */
    struct load_conn *next_dirty;
    struct buf in;  /* what is incomplete of the input */
    struct buf out; /* what the socket has not taken */
};

void load_conn_init(struct load_conn *conn, struct load_client *client);
void load_conn_open(struct load *load, struct load_conn *conn);
/* `is_abrupt`: by a reset. Harmless on a closed connection. */
void load_conn_close(struct load_conn *conn, bool is_abrupt);
/* To be called after an append to conn->out. */
void load_conn_mark(struct load *load, struct load_conn *conn);
void load_conn_flush_all(struct load *load);
void load_conn_on_event(struct load *load, struct load_conn *conn, uint32_t events);

/* ---- load_client.c: Engine.IO and Socket.IO of a client; load_ws.c, load_polling.c: its transports */

enum load_state {
    LOAD_CLOSED,
    LOAD_OPENING, /* until the namespace answered */
    LOAD_READY,
    LOAD_LEAVING /* until the server closed, too */
};

struct load_client {
    struct load *load;
    unsigned index;
    enum load_state state;
    bool is_open;        /* the transport is: WebSocket upgraded, Engine.IO session known */
    uint64_t started_ns; /* when the first connection was begun */
    struct load_conn conns[2];
    struct ws_decoder decoder;
    struct buf payload; /* polling: packets that wait for the POST under way */
    bool is_posting, is_reading;
    char sid[64];
    void *own; /* the mode's */
};

void load_client_open(struct load_client *client);
/* Says goodbye as the official client does and waits for the server to close; on_left follows. */
void load_client_leave(struct load_client *client);
/* Is gone at once, by an end of stream or by a reset; on_left follows within the call. */
void load_client_drop(struct load_client *client, bool is_abrupt);
/* Sends one Engine.IO packet of text, its type included. */
void load_client_send(struct load_client *client, cvn_slice packet);
/* For the transports: a packet has come; the bytes of a connection have come, returns how many were used; it has ended. */
void load_client_on_packet(struct load_client *client, cvn_slice packet);
size_t load_client_on_bytes(struct load_client *client, struct load_conn *conn, char *data,
                            size_t size);
/* Whether the server may end the connection now. */
bool load_client_may_end(const struct load_client *client, const struct load_conn *conn);
void load_client_on_end(struct load_client *client, struct load_conn *conn);

void load_ws_open(struct load_client *client);
void load_ws_send(struct load_client *client, enum ws_opcode opcode, cvn_slice payload);
size_t load_ws_on_bytes(struct load_client *client, char *data, size_t size);
void load_polling_open(struct load_client *client);
void load_polling_send(struct load_client *client, cvn_slice packet);
size_t load_polling_on_bytes(struct load_client *client, struct load_conn *conn, char *data,
                             size_t size);

/* ---- the modes */

struct load_mode {
    const char *name, *summary;
    /* Sets load->client_count and what it needs; the loop then opens that many clients. */
    void (*prepare)(struct load *load);
    /* The namespace answered. load_settled() says that the client is where it should be. */
    void (*on_ready)(struct load_client *client);
    /* A Socket.IO packet, its type ('2' event, '3' ack) apart. */
    void (*on_packet)(struct load_client *client, char type, cvn_slice rest);
    /* May be NULL: when the clients never leave. */
    void (*on_left)(struct load_client *client);
    /* All have settled. May be NULL. */
    void (*start)(struct load *load);
    /* Once a turn: does what is due, returns when it wants to be called again. May be NULL. */
    uint64_t (*on_turn)(struct load *load);
    /* Adds members to the JSON line. May be NULL. */
    void (*report)(const struct load *load, FILE *out);
};

extern const struct load_mode load_echo, load_broadcast, load_rooms, load_connect, load_churn,
    load_idle;

/* ---- load_loop.c: the loop and the phases of a run */

struct load_options {
    unsigned port, pid, connections, depth, bytes, rooms, members, publishers, life;
    double seconds, warmup, rate, patience;
    uint64_t messages; /* ends the measuring when so many were counted; 0: time alone does */
    bool polling;
};

enum load_phase { LOAD_SETTLE, LOAD_WARM, LOAD_MEASURE, LOAD_DRAIN };

struct load {
    struct load_options options;
    const struct load_mode *mode;
    enum load_phase phase;
    uint64_t now_ns;
    int epoll;
    uint64_t opened; /* connections ever: picks the source address, and is their serial */
    struct load_conn *dirty;
    struct load_client *clients;
    unsigned client_count, begun_count, settled_count;
    bool opens_in_start; /* the mode opens the clients itself, in start() */
    uint64_t inflight;   /* what the server still owes */
    uint64_t count;      /* what it has done within the measured time */
    uint64_t measure_start_ns, measure_end_ns;
    double cpu_start, cpu_used, own_cpu_start, own_cpu_used;
    uint64_t rss_start, rss_settled_tenth, rss_end;
    struct load_hist latencies;
    char *pad; /* options.bytes letters, for payloads */
    void *own; /* the mode's */
};

/* Runs everything and prints the figures. */
void load_run(struct load *load);
void load_settled(struct load_client *client);
/* One unit of work is done, which began at `since_ns`. */
void load_count(struct load *load, uint64_t since_ns);
/* The same for work that was to begin at `due_ns`, whatever the server did. Its latency belongs to the window in which it was due,
 * however late it arrives: a server that stalls is not spared what it delivers when the window is over. */
void load_count_due(struct load *load, uint64_t due_ns);
static inline bool load_is_sending(const struct load *load)
{
    return load->phase == LOAD_WARM || load->phase == LOAD_MEASURE;
}
uint64_t load_clock(void);
/* Memory or the end of the program. */
void *load_alloc(size_t size);
void load_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
