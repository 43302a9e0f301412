/*
 * A module: what it lets clients send, what it sends them, who may enter, as one table of constants. The frame (frame.h) serves it; the
 * catalogue (catalogue.h) prints it. A module's own state is behind `state`, made by `start`.
 */
#ifndef EVENT_MODULE_H
#define EVENT_MODULE_H

#include "auth/principal.h"
#include "event/field.h"

struct call;
struct member;
struct frame;
struct room;

/* What an event does to what is kept. */
enum event_durability {
    EVENT_EPHEMERAL, /* never stored; dropped for who cannot take it now */
    EVENT_MEMORY,    /* state that ends with the process */
    EVENT_DURABLE,   /* acknowledged after it was committed */
};

/* Handles a call: answers it with one of the call_* functions, before or after it returns. On the member's worker. */
typedef void (*event_fn)(struct call *call, void *state);

struct event_descriptor {
    const char *name;
    const char *help;
    const struct field *fields; /* of the payload; NULL: none */
    size_t payload_size;        /* of the struct that they fill */
    const struct field
        *answer;       /* what the acknowledgement's `data` holds, for the catalogue; NULL: none */
    unsigned roles;    /* ROLE_BITs of who may; 0: all whom the namespace lets in */
    const char *scope; /* that the token must have; NULL: none */
    const char *rate_class; /* NULL: "default" */
    enum event_durability durability;
    bool takes_op_id; /* mutating: the same op_id is not applied twice */
    size_t max_bytes; /* of the payload; 0: 64 kB */
    event_fn fn;
};

/* An event from the server, for the catalogue. */
struct emit_descriptor {
    const char *name;
    const char *help;
    const struct field *fields;
    enum event_durability durability;
};

struct module {
    const char *name; /* "presence" */
    const char *nsp;  /* "/" */
    const char *help;
    unsigned roles;                        /* ROLE_BITs of who may enter; 0: every role */
    const struct event_descriptor *events; /* the last has no name; NULL: none */
    const struct emit_descriptor *emits;   /* likewise */
    /* All may be NULL. */
    bool (*start)(struct frame *frame, void **ret_state); /* before the server runs */
    void (*stop)(void *state);                            /* after it has run */
    void (*on_enter)(struct member *member, void *state); /* connected, in its rooms */
    void (*on_leave)(struct member *member, const char *reason,
                     void *state); /* no longer in its rooms */
    void (*on_room_left)(struct member *member, const struct room *room,
                         void *state); /* by asking, by force, or at the end */
};

#endif
