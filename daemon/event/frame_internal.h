/* What the files of event/ share and nobody else sees. */
#ifndef EVENT_FRAME_INTERNAL_H
#define EVENT_FRAME_INTERNAL_H

#include "access/access_subjects.h"
#include "event/call.h"
#include "event/frame.h"
#include "event/member.h"
#include "event/rooms.h"
#include <stdatomic.h>

#define FRAME_MAX_MODULES    32
#define FRAME_MAX_NAMESPACES 16

struct frame_module {
    const struct module *module;
    struct frame_nsp *nsp;
    size_t slot; /* of the member's data for it */
    void *state;
};

/* One event of a module, with what is looked up once. */
struct frame_event {
    const struct event_descriptor *descriptor;
    struct frame_module *module; /* NULL: the frame's own */
    struct frame *frame;
    struct frame_nsp *nsp;
    int rate_class;
    struct series *succeeded, *seconds;
    struct frame_event *next; /* of its namespace */
};

struct frame_nsp {
    struct frame *frame;
    cvn_namespace *nsp;
    char name[256];
    unsigned roles; /* ROLE_BITs of who may enter; 0: every role */
    bool is_disabled;
    size_t module_count;
    struct frame_event *events;
    struct series *members; /* gauge */
};

/* Buckets of a user's subject: all events, then one a rate class. */
enum { USER_EVENTS, USER_CLASSES };
/* Buckets of an address. Attempts are counted twice: what is above the limit is told so by a CONNECT_ERROR that the page can read; what is above
 * twice the limit is refused before it costs a session. */
enum { ADDRESS_ATTEMPTS, ADDRESS_HANDSHAKES, ADDRESS_EVENTS, ADDRESS_BUCKETS };

struct frame {
    struct frame_parts parts;
    struct access_limits *limits;
    struct subjects *users, *addresses;
    struct frame_module modules[FRAME_MAX_MODULES];
    size_t module_count;
    struct frame_nsp namespaces[FRAME_MAX_NAMESPACES];
    size_t namespace_count;
    atomic_bool is_draining;
    atomic_size_t connections; /* those that were let into a namespace */
    struct metric *events, *event_seconds, *refused, *members, *limited;
    struct rooms *rooms;
    struct checks *checks;
};

/* What the members of one connection share; its data in the library, freed with it. On the connection's worker. */
struct link {
    struct frame *frame;
    struct subject *address_subject;
    char address[46];
    char correlation_id[CORRELATION_ID_SIZE];
    struct rate_bucket events;
    uint64_t event_count; /* number of the next event, for its correlation id */
    uint32_t room_count;  /* that modules joined for it, all its members together */
    bool is_let_in;       /* counted among the connections */
    struct admission *admissions;
};

/* Somebody who was let in, between the middleware and the connection handler. */
struct admission {
    cvn_socket *socket; /* to be told apart by, not kept */
    struct principal *principal;
    struct admission *next;
};

struct member {
    atomic_uint refs;
    struct frame *frame;
    struct frame_nsp *nsp;
    struct link *link;  /* NULL once it has left */
    cvn_socket *socket; /* whose data this is, so it is not referenced; NULL once it has left */
    struct principal *principal;
    struct subject *user_subject;
    struct room *rooms; /* that modules joined, see rooms.h */
    cvn_timer *expiry;  /* NULL: its token has no end, or the member has left */
    bool is_expiry_told;
    bool is_in; /* counted, and told to the modules */
    void *module_data[];
};

/* entry.c: who is let in. */
void entry_register(struct frame_nsp *nsp);
struct link *entry_link(struct frame *frame,
                        cvn_socket *socket); /* made when there is none; NULL: no memory */
bool entry_role_may(unsigned roles, enum role role);
/* Refuses with CONNECT_ERROR, counts and audits it. */
void entry_refuse(struct frame_nsp *nsp, cvn_socket *socket, cvn_next *next,
                  const struct principal *principal, const char *code, const char *message,
                  bool retryable, uint32_t retry_after_ms);

/* member.c */
struct member *member_new(struct frame_nsp *nsp, struct link *link, cvn_socket *socket,
                          struct principal *principal);
/* The rooms of a principal: user, organisation, divisions, token. False when one could not be joined. */
bool member_join_own_rooms(struct member *member);
/* The rooms of a lost member that its successor, which has the same socket, has no right to. */
void member_leave_own_rooms(const struct member *lost, struct member *successor);
bool member_is_own_room(const struct member *member, const char *name);
/* Takes a new principal of the same user; rooms of the old one that the new one has no right to are left. False: one of its own could not be joined,
 * so who revokes it would not find the socket, which has to end. */
bool member_set_principal(struct member *member, struct principal *principal);
void member_audit(struct member *member, const char *action, const char *subject, const char *code);

/* expiry.c: the life of a token on an open socket; auth_refresh. */
extern const struct event_descriptor expiry_events[];
void expiry_start(struct member *member);
void expiry_stop(struct member *member);

/* check.c: rooms that are asked for again because somebody's rights have changed. */
struct checks *checks_new(struct frame *frame); /* NULL: no memory */
void checks_free(struct checks *checks);        /* when no worker runs; NULL is accepted */
/* How often something has changed: an answer that was on its way meanwhile may be an old one. Any thread. */
unsigned checks_count(const struct checks *checks);

/* path.c */
bool path_register(struct frame_nsp *nsp, struct frame_module *module,
                   const struct event_descriptor *descriptor);
void path_unregister_all(struct frame_nsp *nsp);

/* call.c */
#define CALL_OP_ID_SIZE 65
struct transaction;
struct call {
    struct frame_event *on;
    struct member *member;
    const cvn_event *event; /* inside of the handler; NULL afterwards */
    cvn_later *later;       /* after it; NULL: no acknowledgement is wanted */
    bool wants_ack;
    bool is_answered; /* inside of the handler: the call is freed when that returns */
    bool is_in_handler;
    int64_t started_us;
    uint64_t number;
    struct field_memory memory;
    char op_id[CALL_OP_ID_SIZE];
    char correlation_id[CORRELATION_ID_SIZE + 24];
    void *payload;
    struct transaction *transaction; /* while one is under way */
};

struct call *call_new(struct frame_event *on, struct member *member, const cvn_event *event,
                      size_t payload_bytes);
void *call_payload_writable(struct call *call);
struct field_memory *call_memory(struct call *call);
bool call_set_op_id(struct call *call, cvn_slice op_id);
/* The handler has returned: a call without an answer keeps its acknowledgement for later. */
void call_leave_handler(struct call *call);
/* The whole acknowledgement, as it was made in a transaction. */
void call_succeed_whole(struct call *call, cvn_slice answer);
/* An answer without a call, when there is no memory or no need for one. */
void call_refuse_event(struct frame_event *on, struct member *member, const cvn_event *event,
                       enum call_error error, const char *field, const char *message,
                       uint32_t retry_after_ms);

#endif
