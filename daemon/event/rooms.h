/*
 * Joining what modules keep: boards, courses, documents. A join is asked for by a call, decided by the guard (access/access_guard.h), bounded by two
 * limits (rooms a connection, members a room over all workers), and undone when the socket goes. On the member's worker, unless said.
 */
#ifndef EVENT_ROOMS_H
#define EVENT_ROOMS_H

#include "access/access_guard.h"
#include "event/call.h"
#include "event/member.h"

struct rooms; /* counts of all rooms, of all workers */
struct room;  /* one that a member is in */

struct rooms *rooms_new(void); /* NULL: no memory */
void rooms_free(struct rooms *rooms);

/*
 * Joins `kind`:`id` for the call's member. When it is in, `joined(call, room, is_new, data)` goes on and answers the call; for who is in already
 * nobody is asked and is_new is false. When it may not, or cannot, the call is answered here: FORBIDDEN, ROOM_FULL, TOO_MANY_ROOMS, UNAVAILABLE.
 */
typedef void (*rooms_joined_fn)(struct call *call, const struct room *room, bool is_new,
                                void *data);
void rooms_join(struct call *call, enum resource_kind kind, const char *id, rooms_joined_fn joined,
                void *data);
/* NULL: not in. For events that need a joined room: NOT_JOINED. */
const struct room *rooms_find(const struct member *member, enum resource_kind kind, const char *id);
/* False: was not in. The modules hear of it (on_room_left). */
bool rooms_leave(struct member *member, enum resource_kind kind, const char *id);

const char *room_name(const struct room *room); /* "board:42"; a target's room */
const char *room_id(const struct room *room);
enum resource_kind room_kind(const struct room *room);
const char *room_permission(const struct room *room); /* what the guard said; "" for nothing */
/* Walks what a member is in; NULL at the end. */
const struct room *rooms_next(const struct member *member, const struct room *room);

/* Members that are in a room of that namespace; any thread. */
uint32_t rooms_count(struct rooms *rooms, const char *nsp, const char *name);

/* For the frame: a socket has gone; it has come back (recovery) as a new member, which has not entered yet; its principal has changed. */
void rooms_release(struct member *member);
void rooms_adopt(struct member *member, const struct member *lost);
void rooms_forget(struct member *member); /* the member's memory goes */
void rooms_check_again(struct member *member);

#endif
