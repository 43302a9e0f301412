/*
 * Who is there: users by their sockets, rooms by their users. A user with three tabs is one user; whoever is gone for less than the grace time was
 * never gone; what has changed is told in bundles when somebody flushes. Any thread: one lock, held for moments. Time is the caller's, in
 * milliseconds.
 */
#ifndef MODULES_PRESENCE_STATE_H
#define MODULES_PRESENCE_STATE_H

#include <convene/convene.h>

enum presence_status { PRESENCE_ONLINE, PRESENCE_AWAY, PRESENCE_BUSY, PRESENCE_OFFLINE };
extern const char *const presence_status_names[]; /* ends with NULL */

/* Members that a bundle or an answer names; beyond, there is only the count. */
#define PRESENCE_MAX_NAMED 100

struct presence_state;

struct presence_state *presence_state_new(uint32_t grace_ms); /* NULL: no memory */
void presence_state_free(struct presence_state *state);

/* A socket of a user came or went. `org_id` and `name` may be NULL. False: no memory, and nothing was done. *ret_is_new: nobody knew the user, so
 * what status was chosen earlier is to be looked up. */
bool presence_state_enter(struct presence_state *state, const char *user_id, const char *org_id,
                          const char *name, int64_t now, bool *ret_is_new);
void presence_state_leave(struct presence_state *state, const char *user_id, int64_t now);
/* The status that a user has chosen; of one who is not there it is not kept. */
void presence_state_choose(struct presence_state *state, const char *user_id,
                           enum presence_status status, int64_t now);

/* A socket of a user who has entered joined a room or left it. */
bool presence_state_join(struct presence_state *state, const char *room, const char *user_id);
void presence_state_part(struct presence_state *state, const char *room, const char *user_id,
                         int64_t now);

/* {"room","count","members":[{"userId","name"?,"status"}]} */
void presence_state_append_room(struct presence_state *state, const char *room, int64_t now,
                                cvn_text *text);
/* {"userId","status","since"?}; a user of another organisation (NULL: of none) is offline for whoever asks. */
void presence_state_append_user(struct presence_state *state, const char *user_id,
                                const char *org_id, int64_t now, cvn_text *text);

/* The room of those who watch a user, from the same organisation. */
#define PRESENCE_WATCH_ROOM_SIZE 300
void presence_state_watch_room(const char *org_id, const char *user_id,
                               char ret[PRESENCE_WATCH_ROOM_SIZE]);

/* Tells what has changed and is past its grace: `json` for everybody in one of `rooms` (ends with NULL). Called without the lock. */
typedef void (*presence_emit_fn)(const char *const *rooms, cvn_slice json, void *data);
void presence_state_flush(struct presence_state *state, int64_t now, presence_emit_fn emit,
                          void *data);

#endif
