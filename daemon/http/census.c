/*
 * The census. A round has a scan a worker, all made at its beginning, so that nothing is lost when a worker ends in the midst of it. The last
 * scan to end makes the result and posts it to those who wait. Rooms are kept in search trees (tsearch: balanced, so names chosen to
 * collide gain nothing). One mutex, taken when a round begins, when a scan has ended and when somebody asks.
 */
#include "http/census.h"
#include "observe/clock.h"
#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SLICE_ROOMS    2000 /* looked at in one turn of a worker */
#define MAX_NAMESPACES 10000
#define MAX_NAME       512 /* bytes of a room's name; longer ones are left out */

struct tree {
    void *root;
    struct census_room *list;
    size_t count;
    bool is_truncated;
};

/* One worker's part of a round; on that worker. */
struct scan {
    struct census *census;
    unsigned worker;
    char **names; /* of the namespaces */
    size_t name_count, name_capacity, at;
    size_t cursor;
    struct tree rooms;
};

struct shared_result {
    atomic_uint refs;
    struct census_result result;
    struct tree rooms;
};

struct waiter {
    struct waiter *next;
    struct census *census;
    unsigned worker;
    census_fn fn;
    void *data;
    struct shared_result *result; /* once it is known */
};

struct census {
    cvn_server *server;
    pthread_mutex_t mutex;
    struct shared_result *latest;
    int64_t latest_ms;
    struct scan *scans; /* of the round that runs, one a worker; NULL: none runs */
    unsigned scan_count;
    unsigned running; /* scans that have not ended */
    bool has_failed;  /* a scan could not be started */
    struct tree merged;
    struct waiter *waiting; /* for the round that runs */
    struct waiter *posted;  /* on their way to their workers */
};

/* --- Trees of rooms --- */

static int compare(const void *a, const void *b)
{
    const struct census_room *one = a, *other = b;
    int order = strcmp(one->room, other->room);
    return order != 0 ? order : strcmp(one->nsp, other->nsp);
}

static void add_room(struct tree *tree, const char *nsp, const char *name, uint64_t members)
{
    struct census_room probe = {.nsp = nsp, .room = name};
    struct census_room *const *found = tfind(&probe, &tree->root, compare);
    if (found != NULL) {
        (*found)->members += members;
        return;
    }
    size_t nsp_size = strlen(nsp) + 1, size = strlen(name) + 1;
    struct census_room *room = NULL;
    if (tree->count < CENSUS_MAX_ROOMS && size <= MAX_NAME)
        room = malloc(sizeof *room + nsp_size + size);
    if (room == NULL) {
        tree->is_truncated = true;
        return;
    }
    room->nsp = memcpy(room->text, nsp, nsp_size);
    room->room = memcpy(room->text + nsp_size, name, size);
    room->members = members;
    if (tsearch(room, &tree->root, compare) == NULL) {
        free(room);
        tree->is_truncated = true;
        return;
    }
    room->next = tree->list;
    tree->list = room;
    tree->count++;
}

static void keep_item(void *item)
{
    (void)item;
}

static void clear_tree(struct tree *tree)
{
    tdestroy(tree->root, keep_item);
    while (tree->list != NULL) {
        struct census_room *next = tree->list->next;
        free(tree->list);
        tree->list = next;
    }
    *tree = (struct tree){0};
}

static void merge(struct tree *into, const struct tree *from)
{
    for (const struct census_room *room = from->list; room != NULL; room = room->next)
        add_room(into, room->nsp, room->room, room->members);
    into->is_truncated |= from->is_truncated;
}

/* Users are in a room of their own in every namespace that they are in. */
static size_t count_users(const struct tree *tree)
{
    struct tree users = {0};
    for (const struct census_room *room = tree->list; room != NULL; room = room->next)
        if (strncmp(room->room, "user:", 5) == 0)
            add_room(&users, "", room->room, 1);
    size_t count = users.count;
    clear_tree(&users);
    return count;
}

/* --- Results --- */

static void unref_result(struct shared_result *result)
{
    if (result != NULL && atomic_fetch_sub(&result->refs, 1) == 1) {
        clear_tree(&result->rooms);
        free(result);
    }
}

static void tell(struct waiter *waiter)
{
    waiter->fn(waiter->result != NULL ? &waiter->result->result : NULL, waiter->data);
    unref_result(waiter->result);
    free(waiter);
}

static void on_result(void *data)
{
    struct waiter *waiter = data, **link;
    pthread_mutex_lock(&waiter->census->mutex);
    for (link = &waiter->census->posted; *link != waiter; link = &(*link)->next)
        ;
    *link = waiter->next;
    pthread_mutex_unlock(&waiter->census->mutex);
    tell(waiter);
}

static struct shared_result *make_result(struct census *census)
{
    struct shared_result *result = census->has_failed ? NULL : calloc(1, sizeof *result);
    if (result == NULL) {
        clear_tree(&census->merged);
        return NULL;
    }
    atomic_init(&result->refs, 1);
    result->rooms = census->merged;
    census->merged = (struct tree){0};
    result->result = (struct census_result){
        .rooms = result->rooms.list,
        .room_count = result->rooms.count,
        .user_count = count_users(&result->rooms),
        .is_truncated = result->rooms.is_truncated,
        .taken_ms = clock_wall_ms(),
    };
    return result;
}

static void free_scan(struct scan *scan)
{
    for (size_t i = 0; i < scan->name_count; i++)
        free(scan->names[i]);
    free(scan->names);
    clear_tree(&scan->rooms);
    *scan = (struct scan){0};
}

/* The last scan has ended; the mutex is held. */
static void end_round(struct census *census)
{
    struct shared_result *result = make_result(census);
    struct waiter *waiting = census->waiting;
    free(census->scans);
    census->scans = NULL;
    census->waiting = NULL;
    unref_result(census->latest);
    census->latest = result;
    while (waiting != NULL) {
        struct waiter *waiter = waiting;
        waiting = waiter->next;
        if (result != NULL)
            atomic_fetch_add(&result->refs, 1);
        waiter->result = result;
        waiter->next = census->posted;
        census->posted = waiter;
        /* A worker that has ended never hears of it: census_free tells who is left. */
        if (cvn_post(census->server, waiter->worker, on_result, waiter) != CVN_OK)
            continue;
    }
}

static void end_scan(struct scan *scan)
{
    struct census *census = scan->census;
    pthread_mutex_lock(&census->mutex);
    merge(&census->merged, &scan->rooms);
    free_scan(scan);
    if (--census->running == 0)
        end_round(census);
    pthread_mutex_unlock(&census->mutex);
}

/* --- Scanning --- */

static void add_name(cvn_namespace *nsp, void *data)
{
    struct scan *scan = data;
    if (scan->name_count == scan->name_capacity) {
        size_t capacity = scan->name_capacity ? scan->name_capacity * 2 : 16;
        char **names =
            capacity > MAX_NAMESPACES ? NULL : realloc(scan->names, capacity * sizeof *names);
        if (names == NULL) {
            scan->rooms.is_truncated = true;
            return;
        }
        scan->names = names;
        scan->name_capacity = capacity;
    }
    scan->names[scan->name_count] = strdup(cvn_namespace_name(nsp));
    if (scan->names[scan->name_count] != NULL)
        scan->name_count++;
    else
        scan->rooms.is_truncated = true;
}

/* As far as `budget` reaches; true when the namespace is done. */
static bool scan_namespace(struct scan *scan, const char *name, size_t *budget)
{
    cvn_namespace *nsp = cvn_find_namespace(scan->census->server, name);
    cvn_socket *socket = NULL;
    while (nsp != NULL && *budget > 0 && (socket = cvn_next_socket(nsp, &scan->cursor)) != NULL) {
        const char *room;
        --*budget;
        for (size_t i = 1; (room = cvn_socket_room(socket, i)) != NULL; i++) {
            add_room(&scan->rooms, name, room, 1);
            *budget -= *budget > 0;
        }
    }
    cvn_namespace_unref(nsp);
    return nsp == NULL || socket == NULL;
}

static void on_scan(void *data)
{
    struct scan *scan = data;
    size_t budget = SLICE_ROOMS;
    if (scan->names == NULL && cvn_each_namespace(scan->census->server, add_name, scan) != CVN_OK)
        scan->rooms.is_truncated = true;
    for (; scan->at < scan->name_count; scan->at++, scan->cursor = 0)
        if (!scan_namespace(scan, scan->names[scan->at], &budget))
            break;
    if (scan->at < scan->name_count &&
        cvn_post(scan->census->server, scan->worker, on_scan, scan) == CVN_OK)
        return; /* the next slice comes with the next turn */
    scan->rooms.is_truncated |= scan->at < scan->name_count;
    end_scan(scan);
}

/* The mutex is held. */
static void begin_round(struct census *census, int64_t now_ms)
{
    unsigned workers = cvn_server_workers(census->server);
    census->scan_count = workers;
    census->has_failed = false;
    census->latest_ms = now_ms;
    census->scans = calloc(workers, sizeof *census->scans);
    census->running = 0;
    for (unsigned i = 0; census->scans != NULL && i < workers; i++) {
        census->scans[i].census = census;
        census->scans[i].worker = i;
        if (cvn_post(census->server, i, on_scan, &census->scans[i]) == CVN_OK)
            census->running++;
        else
            census->has_failed = true;
    }
    if (census->running == 0) {
        census->has_failed = true;
        end_round(census);
    }
}

/* --- From outside --- */

struct census *census_new(cvn_server *server)
{
    struct census *census = calloc(1, sizeof *census);
    if (census == NULL)
        return NULL;
    census->server = server;
    pthread_mutex_init(&census->mutex, NULL);
    return census;
}

static void tell_all(struct waiter *waiting)
{
    while (waiting != NULL) {
        struct waiter *next = waiting->next;
        unref_result(waiting->result);
        waiting->result = NULL;
        tell(waiting);
        waiting = next;
    }
}

void census_free(struct census *census)
{
    if (census == NULL)
        return;
    tell_all(census->waiting);
    tell_all(census->posted);
    for (unsigned i = 0; census->scans != NULL && i < census->scan_count; i++)
        free_scan(&census->scans[i]);
    free(census->scans);
    clear_tree(&census->merged);
    unref_result(census->latest);
    pthread_mutex_destroy(&census->mutex);
    free(census);
}

void census_ask(struct census *census, int64_t now_ms, census_fn fn, void *data)
{
    struct shared_result *result = NULL;
    struct waiter *waiter = NULL;
    pthread_mutex_lock(&census->mutex);
    if (census->scans == NULL && census->latest != NULL &&
        now_ms - census->latest_ms < CENSUS_AGE_MS) {
        result = census->latest;
        atomic_fetch_add(&result->refs, 1);
    } else if ((waiter = calloc(1, sizeof *waiter)) != NULL) {
        *waiter = (struct waiter){.census = census,
                                  .worker = cvn_worker_index(census->server),
                                  .fn = fn,
                                  .data = data,
                                  .next = census->waiting};
        census->waiting = waiter;
        if (census->scans == NULL)
            begin_round(census, now_ms);
    }
    pthread_mutex_unlock(&census->mutex);
    if (waiter != NULL)
        return;
    fn(result != NULL ? &result->result : NULL, data);
    unref_result(result);
}
