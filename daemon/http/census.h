/*
 * Who is in which room, over all workers. Every worker walks its own sockets, a few at a turn, and hands in what it found; so nobody is held up,
 * however many there are. The result is kept for CENSUS_AGE_MS, and those who ask meanwhile share it. Asking: on a worker.
 */
#ifndef HTTP_CENSUS_H
#define HTTP_CENSUS_H

#include <convene/convene.h>

#define CENSUS_AGE_MS    5000
#define CENSUS_MAX_ROOMS 50000 /* distinct ones; more are left out, and the result says so */

struct census;

struct census_room {
    struct census_room *next;
    const char *nsp, *room; /* in `text` */
    uint64_t members;       /* sockets */
    char text[];
};

/* Valid during the call. The rooms are in no order; those of a socket's own id are not among them. */
struct census_result {
    struct census_room *rooms;
    size_t room_count, user_count; /* users: distinct rooms "user:..." over all namespaces */
    bool is_truncated;             /* too many rooms, or memory ran out */
    int64_t taken_ms;              /* wall clock */
};

/* NULL `result`: it could not be taken (the server ends, or no memory). */
typedef void (*census_fn)(const struct census_result *result, void *data);

struct census *census_new(cvn_server *server);
/* When no worker runs any more, the server freed or not; those who still wait are told so. NULL is accepted. */
void census_free(struct census *census);
/* On a worker; `fn` is called once, on the same worker, maybe before this returns. `now_ms`: any steady clock. */
void census_ask(struct census *census, int64_t now_ms, census_fn fn, void *data);

#endif
