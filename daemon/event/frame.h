/*
 * The frame: everything that the modules share, and the one path on which all their events go: parse, principal and scope, rate limit,
 * schema, handler, store, broadcast, acknowledgement. Put together before the server starts; then read-only, with counters.
 */
#ifndef EVENT_FRAME_H
#define EVENT_FRAME_H

#include "access/access_guard.h"
#include "access/access_limits.h"
#include "auth/auth.h"
#include "event/module.h"
#include "observe/audit.h"
#include "observe/metrics.h"
#include "store/store.h"

/* What it is made of; all belongs to the caller and outlives the frame. `audit` may be NULL. */
struct frame_parts {
    const struct config *config; /* the values that cannot be reloaded are read from here */
    cvn_server *server;
    struct auth *auth;
    struct access_guard *guard;
    struct store *store;
    struct audit *audit;
    struct metrics *metrics;
};

struct frame *frame_new(const struct frame_parts *parts); /* NULL: said to the log */
void frame_free(struct frame *frame); /* after the server has run; NULL is accepted */
const struct frame_parts *frame_parts(const struct frame *frame);
/* Registers a module with its namespace (or, when the configuration disables that, what refuses everybody). Before the server starts. Several modules
 * may share a namespace. */
bool frame_add(struct frame *frame, const struct module *module);
/* All modules are added: after this the server may start. */
bool frame_ready(struct frame *frame);
/* Limits, trusted proxies; main thread. */
void frame_reconfigure(struct frame *frame, const struct config *config);
/* Sweeps what has expired; called every cleanup_interval. Any thread. */
void frame_sweep(struct frame *frame);

/* For cvn_options.allow_request: connection attempts are counted here. */
bool frame_allow(struct frame *frame, cvn_http_request *request, uint32_t *ret_retry_ms);
/* No new members from now on (CONNECT_ERROR, retryable). Any thread. */
void frame_drain(struct frame *frame);
bool frame_is_draining(const struct frame *frame);

/* Ends every socket of a user (of a token, by its id), on all workers. The caller has revoked it. Any thread. */
void frame_disconnect_user(struct frame *frame, const char *user_id);
void frame_disconnect_token(struct frame *frame, const char *jti);

/* Ends a socket, by its id, in whatever namespace of the frame it is. */
void frame_disconnect_socket(struct frame *frame, const char *socket_id);

/* Who decides about joins has changed its mind about a user (about whoever is in a room, "board:42"): their rooms are asked for again on all workers, and
 * left with the event room_closed where the answer is no. Joins that are being asked for now are asked for once more. After the change can be seen by who asks. False:
 * memory, said to the log. Any thread. */
bool frame_check_user(struct frame *frame, const char *user_id);
bool frame_check_room(struct frame *frame, const char *room);

/* The state of a module that was added, by its name; NULL: none. */
void *frame_module_state(const struct frame *frame, const char *name);
/* Walks the modules from index 0; NULL at the end. */
const struct module *frame_module(const struct frame *frame, size_t index);

#endif
