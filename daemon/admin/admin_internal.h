/*
 * What the files of the console share and nobody else sees.
 *
 * Each worker is a source: it writes down what happens to its own sockets, as records in a batch, and at its next tick posts the batch to the
 * workers that admins are on. And it is a home: the admins that are connected to it each have an outbox, from which they are sent as much as
 * their connections take. Nothing is shared but batches, which do not change once they are posted.
 *
 * A picture of all sockets (development mode) is made by every worker of its own, in slices. From a worker's beginning of it on its records are
 * kept for that admin too, but for sockets that the picture has not come to (admin_record.not_for); so what the admin is sent, the picture first and
 * then the records, fits together without gap or doubling, though nobody stood still for it.
 */
#ifndef ADMIN_INTERNAL_H
#define ADMIN_INTERNAL_H

#include "admin/admin.h"
#include <pthread.h>
#include <stdatomic.h>

#define ADMIN_NAMESPACE   "/admin"
#define ADMIN_MAX_WORKERS 128
#define ADMIN_TICK_MS     50   /* records travel this often */
#define ADMIN_STATS_MS    2000 /* server_stats, as in the reference */
#define ADMIN_MAX_NAME    256  /* of rooms, events, users in what admins send, with the NUL */

struct static_files;
struct admin_login;
struct admin_walk;

/* --- Records and batches --- */

enum admin_kind {
    ADMIN_SOCKET_CONNECTED,
    ADMIN_SOCKET_UPDATED,
    ADMIN_SOCKET_DISCONNECTED,
    ADMIN_ROOM_JOINED,
    ADMIN_ROOM_LEFT,
    ADMIN_EVENT_RECEIVED, /* from here on: whoever is slow goes without */
    ADMIN_EVENT_SENT,
    ADMIN_SERVER_STATS
};
/* The event's name in the protocol. */
const char *admin_kind_name(enum admin_kind kind);

struct admin_record {
    uint8_t kind;          /* enum admin_kind */
    uint32_t not_for;      /* a picture that has yet to come to this socket; 0: for everybody */
    uint32_t offset, size; /* of its arguments in the batch's text */
};

struct admin_batch {
    atomic_uint refs;
    unsigned from; /* worker; ADMIN_MAX_WORKERS: of none, for everybody */
    bool has_lost; /* memory ran out for one of the records */
    uint32_t count, capacity;
    struct admin_record *records;
    cvn_text *text;
};

/* Empty, one reference; NULL when memory has run out. */
struct admin_batch *admin_batch_new(unsigned from);
struct admin_batch *admin_batch_ref(struct admin_batch *batch);
void admin_batch_unref(struct admin_batch *batch); /* NULL is accepted */
/* What was appended to the text since the last record becomes one. False when memory has run out. */
bool admin_batch_add(struct admin_batch *batch, enum admin_kind kind, uint32_t not_for,
                     size_t offset);

/* --- A picture of all sockets, for one admin --- */

struct admin_sync {
    atomic_uint refs;
    uint32_t id; /* never 0 */
    unsigned home;
    bool is_brief;       /* there are many: few headers */
    atomic_bool is_over; /* the admin has gone or it is too much: nobody needs more of it */
};

void admin_sync_unref(struct admin_sync *sync); /* NULL is accepted */

/* --- Admins --- */

/* Who an admin is; belongs to the socket. */
struct admin_identity {
    char name[ADMIN_MAX_NAME];   /* for the audit trail */
    char session[40];            /* a new session to be told of; "" for none */
    struct principal *principal; /* a reference, or NULL: by password */
    int64_t expires_at;          /* Unix seconds; 0: never */
};

enum admin_state {
    ADMIN_LIVE,
    ADMIN_SYNCING, /* its picture is being made; records wait */
    ADMIN_STALE    /* it was too slow: gets a new picture when it has caught up */
};

struct admin_waiting {
    struct admin_batch *batch;
    uint32_t next; /* record to be sent */
};

/* An admin's socket, on its home. */
struct admin_client {
    struct admin_client *next;
    cvn_socket *socket;
    struct admin_identity *identity;
    enum admin_state state;
    struct admin_sync *sync; /* the last one, while SYNCING */
    bool hears[ADMIN_MAX_WORKERS];
    unsigned sources_left; /* that have not finished its picture */
    cvn_text *picture;     /* JSON of sockets so far */
    bool is_cut;           /* it did not hold all sockets */
    int64_t synced_at_ms;
    struct admin_waiting *outbox; /* a queue: from first on */
    size_t first, count, capacity, bytes;
};

/* --- Workers --- */

struct admin_worker {
    struct admin *admin;
    unsigned index;
    /* As a source. */
    struct admin_batch *batch; /* NULL: nothing has happened */
    struct admin_walk *walks;  /* the first is the one that runs */
    cvn_text *scratch;
    unsigned events_left; /* of this second */
    int64_t second;
    cvn_timer *timer; /* the tick; NULL before the first admin */
    /* As a home. */
    struct admin_client *clients;
    atomic_uint client_count; /* read by the others */
    atomic_bool has_missed;   /* a batch for it was lost for want of memory; set by the others */
};

struct admin {
    cvn_server *server;
    cvn_namespace *nsp;
    struct auth *auth;
    struct audit *audit;
    bool is_development;
    char server_id[128], hostname[72];
    int64_t started_ms;
    size_t send_water; /* no more is queued for an admin */
    size_t max_picture;
    struct admin_login *login;
    struct static_files *pages;
    atomic_uint last_sync;
    pthread_mutex_t lock;
    unsigned watchers;        /* with the lock */
    struct admin_post *posts; /* on their way, with the lock */
    cvn_stats totals;         /* at the last server_stats; on worker 0 */
    int64_t stats_due_ms;     /* on worker 0 */
    unsigned worker_count;
    struct admin_worker workers[];
};

static inline struct admin_worker *admin_worker_of(struct admin *admin, const cvn_socket *socket)
{
    return &admin->workers[cvn_socket_worker(socket)];
}

/* Milliseconds of the steady clock, and since 1970. */
/* "2026-11-21T11:05:00.000Z", as JSON.stringify writes a Date, in quotes. */
void admin_append_time(cvn_text *text, int64_t wall_ms);

/* --- admin_post.c: from worker to worker --- */

/* Runs `run` on worker `to` with the payload, which it takes over. When that never comes to pass `drop` gets it, at the latest in
 * admin_post_release. False: at once. Any thread. */
bool admin_post(struct admin *admin, unsigned to,
                void (*run)(struct admin_worker *worker, void *payload), void *payload,
                void (*drop)(void *payload));
void admin_post_release(struct admin *admin);

/* --- admin_describe.c --- */

/* Appends the socket as the protocol shows it, without secrets. `scratch` is overwritten. */
void admin_describe(cvn_text *text, cvn_text *scratch, const cvn_socket *socket, bool is_brief);

/* --- admin_feed.c: what happens --- */

/* To be set as the server's observer in development mode. */
cvn_observer admin_feed_observer(struct admin *admin);
/* Posts what was written down. */
void admin_feed_flush(struct admin_worker *worker);
/* Something could not be written down: every admin needs a new picture. */
void admin_feed_lose(struct admin *admin);
/* Posts the batch to the homes of all admins; takes it over. */
void admin_feed_send(struct admin_worker *worker, struct admin_batch *batch);

/* --- admin_walk.c: pictures, on the sources --- */

/* Makes the worker's part; takes the reference over. */
void admin_walk_add(struct admin_worker *worker, struct admin_sync *sync);
/* The picture that has yet to come to this socket, or 0. */
uint32_t admin_walk_ahead(const struct admin_worker *worker, const cvn_socket *socket);
void admin_walk_release(struct admin_worker *worker);

/* --- admin_client.c: admins, on their homes --- */

/* An admin has joined; takes the identity over. False when memory has run out. */
bool admin_client_add(struct admin_worker *worker, cvn_socket *socket,
                      struct admin_identity *identity);
void admin_client_remove(struct admin_worker *worker, const cvn_socket *socket);
struct admin_client *admin_client_find(const struct admin_worker *worker, const cvn_socket *socket);
void admin_client_release(struct admin_worker *worker);
/* What comes from a source: it begins, a part (JSON of sockets, taken over), it has ended. */
void admin_client_on_begin(struct admin_worker *worker, uint32_t sync, unsigned from);
void admin_client_on_part(struct admin_worker *worker, uint32_t sync, cvn_text *part);
void admin_client_on_end(struct admin_worker *worker, uint32_t sync);
/* A batch has come; borrowed. */
void admin_client_on_batch(struct admin_worker *worker, struct admin_batch *batch);
/* Sends what can be sent now, and looks who has to go or to be helped. */
void admin_client_tick(struct admin_worker *worker);

/* --- admin_stats.c --- */

/* Begins to count; on worker 0, when the first admin has come. */
void admin_stats_begin(struct admin *admin);
/* On worker 0: a batch with server_stats for everybody, or NULL when memory has run out. */
struct admin_batch *admin_stats_take(struct admin *admin);

/* --- admin_login.c --- */

/* Registers the namespace's middleware. NULL: said to the log. */
struct admin_login *admin_login_new(struct admin *admin, const struct config *config);
/* Refuses who still waits on the worker, which ends. */
void admin_login_on_worker_stop(struct admin_login *login, unsigned worker);
/* Ends its thread. NULL is accepted. */
void admin_login_free(struct admin_login *login);
/* Fits cvn_socket_set_data; NULL is accepted. */
void admin_identity_free(void *data);
/* Whether it still holds: not expired, not revoked. */
bool admin_identity_is_good(const struct admin *admin, const struct admin_identity *identity);

/* --- admin_session.c: who has logged in once need not do so again for a while --- */

struct admin_sessions;

struct admin_sessions *admin_sessions_new(void);
void admin_sessions_free(struct admin_sessions *sessions); /* NULL is accepted */
/* Remembers the identity at `now` (Unix seconds) and writes the id of its session into it. Any thread. */
void admin_sessions_add(struct admin_sessions *sessions, struct admin_identity *identity,
                        int64_t now);
/* Who has that session, as a new identity; NULL: nobody, or memory has run out. Any thread. */
struct admin_identity *admin_sessions_find(struct admin_sessions *sessions, const char *id,
                                           int64_t now);

/* --- admin_password.c: what is too slow for a worker, on a thread of its own --- */

struct admin_passwords;

/* Told on the worker that asked, exactly once, unless that ends before. */
typedef void (*admin_password_fn)(bool is_right, void *data);

/* The user's name and hash are copied. NULL: said to the log. */
struct admin_passwords *admin_passwords_new(cvn_server *server, const char *username,
                                            const char *hash);
/* Whether they are right. False: too many wait already, or memory has run out. On worker `worker`. */
bool admin_passwords_check(struct admin_passwords *passwords, const char *username,
                           const char *password, unsigned worker, admin_password_fn fn, void *data);
/* Calls `fn` with false for whoever waits on that worker; afterwards nothing comes to it any more. */
void admin_passwords_on_worker_stop(struct admin_passwords *passwords, unsigned worker);
/* Ends the thread. NULL is accepted. */
void admin_passwords_free(struct admin_passwords *passwords);

/* --- admin_command.c --- */

/* Registers join, leave, _disconnect and emit. */
void admin_command_register(struct admin *admin);
/* Writes an entry of the audit trail. `code` NULL: it was done. */
void admin_audit(struct admin *admin, const char *action, const cvn_socket *socket,
                 const char *name, const char *subject, const char *nsp, const char *code);

/* --- admin_pages.c --- */

/* The page with its files; NULL: said on standard error. */
struct static_files *admin_pages_load(const struct config *config);

#endif
