/*
 * A worker's part of a picture of all sockets: references to all its sockets, taken at once, then described a few at each turn, so that ten
 * thousand of them hold nobody up. One picture after the other. Runs on the worker.
 *
 * The sockets are sorted by their addresses and described in that order. So whether the picture has yet to come to a socket is a binary
 * search in what is left; those that join later are not in it, and come to the admin by their records.
 */
#include "admin/admin_internal.h"
#include <stdlib.h>

#define SLICE_SOCKETS 100       /* described in one turn */
#define MAX_PART      (1 << 20) /* bytes */

struct admin_walk {
    struct admin_walk *next;
    struct admin_sync *sync;
    cvn_socket **sockets; /* references, from `at` on */
    size_t count, capacity, at;
    bool is_incomplete; /* memory ran out */
};

void admin_sync_unref(struct admin_sync *sync)
{
    if (sync != NULL && atomic_fetch_sub_explicit(&sync->refs, 1, memory_order_acq_rel) == 1)
        free(sync);
}

static void free_walk(struct admin_walk *walk)
{
    while (walk->at < walk->count)
        cvn_socket_unref(walk->sockets[walk->at++]);
    free(walk->sockets);
    admin_sync_unref(walk->sync);
    free(walk);
}

/* --- Mail to the home --- */

struct part {
    uint32_t sync;
    unsigned from;
    cvn_text *text; /* NULL: the beginning or the end */
    bool is_end;
};

static void drop_part(void *payload)
{
    struct part *part = payload;
    cvn_text_free(part->text);
    free(part);
}

static void deliver_part(struct admin_worker *home, void *payload)
{
    struct part *part = payload;
    if (part->text != NULL)
        admin_client_on_part(home, part->sync, part->text);
    else if (part->is_end)
        admin_client_on_end(home, part->sync);
    else
        admin_client_on_begin(home, part->sync, part->from);
    free(part);
}

/* Takes the text over. */
static void tell_home(struct admin_worker *worker, const struct admin_sync *sync, cvn_text *text,
                      bool is_end)
{
    struct part *part = calloc(1, sizeof *part);
    if (part == NULL) {
        cvn_text_free(text);
        return;
    }
    *part = (struct part){sync->id, worker->index, text, is_end};
    admin_post(worker->admin, sync->home, deliver_part, part, drop_part);
}

/* --- Walking --- */

static bool reserve(struct admin_walk *walk)
{
    if (walk->count < walk->capacity)
        return true;
    size_t capacity = walk->capacity ? walk->capacity * 2 : 256;
    cvn_socket **sockets = realloc(walk->sockets, capacity * sizeof(cvn_socket *));
    if (sockets == NULL)
        return false;
    walk->sockets = sockets;
    walk->capacity = capacity;
    return true;
}

static void collect(cvn_namespace *nsp, void *data)
{
    struct admin_walk *walk = data;
    size_t cursor = 0;
    cvn_socket *socket;
    while ((socket = cvn_next_socket(nsp, &cursor)) != NULL) {
        if (!reserve(walk)) {
            walk->is_incomplete = true;
            return;
        }
        walk->sockets[walk->count++] = cvn_socket_ref(socket);
    }
}

static int by_address(const void *a, const void *b)
{
    uintptr_t one = (uintptr_t) * (cvn_socket *const *)a,
              other = (uintptr_t) * (cvn_socket *const *)b;
    return (one > other) - (one < other);
}

static void step(struct admin_worker *worker, void *payload);

static void drop_nothing(void *payload)
{
    (void)payload;
}

/* The next slice comes with the next turn. */
static void go_on(struct admin_worker *worker)
{
    if (!admin_post(worker->admin, worker->index, step, NULL, drop_nothing))
        admin_walk_release(worker);
}

static void start(struct admin_worker *worker)
{
    struct admin_walk *walk = worker->walks;
    admin_feed_flush(worker); /* what was before belongs to nobody's picture */
    tell_home(worker, walk->sync, NULL, false);
    if (cvn_each_namespace(worker->admin->server, collect, walk) != CVN_OK)
        walk->is_incomplete = true;
    if (walk->count > 0)
        qsort(walk->sockets, walk->count, sizeof(cvn_socket *), by_address);
    go_on(worker);
}

static void finish(struct admin_worker *worker)
{
    struct admin_walk *walk = worker->walks;
    admin_feed_flush(worker); /* while its marks mean something */
    tell_home(worker, walk->sync, NULL, true);
    worker->walks = walk->next;
    free_walk(walk);
    if (worker->walks != NULL)
        start(worker);
}

/* Describes the next few; a text to be sent, or NULL when memory has run out or all of them have gone. */
static cvn_text *describe_slice(struct admin_worker *worker, struct admin_walk *walk)
{
    cvn_text *text = cvn_text_new(MAX_PART);
    bool is_empty = true;
    for (unsigned i = 0; i < SLICE_SOCKETS && walk->at < walk->count; i++) {
        cvn_socket *socket = walk->sockets[walk->at++];
        if (text != NULL && cvn_socket_is_connected(socket)) {
            cvn_text_append(text, is_empty ? "" : ",");
            admin_describe(text, worker->scratch, socket, walk->sync->is_brief);
            is_empty = false;
        }
        cvn_socket_unref(socket);
        if (text != NULL && cvn_text_slice(text).size > MAX_PART / 2)
            break;
    }
    if (text != NULL && (is_empty || cvn_text_failed(text))) {
        cvn_text_free(text);
        text = NULL;
    }
    return text;
}

static void step(struct admin_worker *worker, void *payload)
{
    struct admin_walk *walk = worker->walks;
    (void)payload;
    if (walk == NULL)
        return;
    if (atomic_load_explicit(&walk->sync->is_over, memory_order_relaxed) ||
        walk->at == walk->count) {
        finish(worker);
        return;
    }
    /* Records so far were marked by where the walk was; they go before it moves on. */
    cvn_text *text = describe_slice(worker, walk);
    if (text != NULL)
        tell_home(worker, walk->sync, text, false);
    go_on(worker);
}

void admin_walk_add(struct admin_worker *worker, struct admin_sync *sync)
{
    struct admin_walk *walk = calloc(1, sizeof *walk), **last = &worker->walks;
    if (walk == NULL) {
        admin_sync_unref(sync);
        return;
    }
    walk->sync = sync;
    while (*last != NULL)
        last = &(*last)->next;
    *last = walk;
    if (worker->walks == walk)
        start(worker);
}

uint32_t admin_walk_ahead(const struct admin_worker *worker, const cvn_socket *socket)
{
    const struct admin_walk *walk = worker->walks;
    if (walk == NULL || walk->at == walk->count)
        return 0;
    const void *found = bsearch(&socket, walk->sockets + walk->at, walk->count - walk->at,
                                sizeof(cvn_socket *), by_address);
    return found != NULL ? walk->sync->id : 0;
}

void admin_walk_release(struct admin_worker *worker)
{
    while (worker->walks != NULL) {
        struct admin_walk *walk = worker->walks;
        worker->walks = walk->next;
        free_walk(walk);
    }
}
