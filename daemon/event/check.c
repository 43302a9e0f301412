/*
 * Asking again who may stay where, because somebody's rights have changed (frame_check_user, frame_check_room). Each worker walks its own members, some at
 * a turn, so that thousands of them hold nobody up; who comes in between is asked with the new rights anyway. Checks that no worker lived to end are
 * freed with the frame. Beginning one: any thread.
 */
#include "event/frame_internal.h"
#include <pthread.h>
#include <stdlib.h>

#define SLICE 500 /* sockets that are looked at in one turn */

/* One worker's part of one check. */
struct check {
    struct check *next, **link; /* in checks.first */
    struct checks *checks;
    unsigned worker;
    size_t nsp, cursor; /* how far it has come */
    bool is_room;
    char name[];
};

struct checks {
    struct frame *frame;
    atomic_uint count;
    pthread_mutex_t lock; /* of the list */
    struct check *first;
};

struct checks *checks_new(struct frame *frame)
{
    struct checks *checks = calloc(1, sizeof *checks);
    if (checks == NULL)
        return NULL;
    checks->frame = frame;
    pthread_mutex_init(&checks->lock, NULL);
    return checks;
}

void checks_free(struct checks *checks)
{
    if (checks == NULL)
        return;
    while (checks->first != NULL) {
        struct check *next = checks->first->next;
        free(checks->first);
        checks->first = next;
    }
    pthread_mutex_destroy(&checks->lock);
    free(checks);
}

unsigned checks_count(const struct checks *checks)
{
    return atomic_load(&checks->count);
}

static struct check *check_new(struct checks *checks, unsigned worker, const char *name,
                               bool is_room)
{
    size_t size = strlen(name) + 1;
    struct check *check = calloc(1, sizeof *check + size);
    if (check == NULL)
        return NULL;
    check->checks = checks;
    check->worker = worker;
    check->is_room = is_room;
    memcpy(check->name, name, size);
    pthread_mutex_lock(&checks->lock);
    check->next = checks->first;
    check->link = &checks->first;
    if (check->next != NULL)
        check->next->link = &check->next;
    checks->first = check;
    pthread_mutex_unlock(&checks->lock);
    return check;
}

static void check_free(struct check *check)
{
    pthread_mutex_lock(&check->checks->lock);
    *check->link = check->next;
    if (check->next != NULL)
        check->next->link = check->link;
    pthread_mutex_unlock(&check->checks->lock);
    free(check);
}

static bool is_meant(const struct check *check, const struct member *member)
{
    if (!check->is_room)
        return strcmp(member->principal->user_id, check->name) == 0;
    for (const struct room *room = rooms_next(member, NULL); room != NULL;
         room = rooms_next(member, room))
        if (strcmp(room_name(room), check->name) == 0)
            return true;
    return false;
}

/* False: the slice is over, there is more. */
static bool walk(struct check *check)
{
    struct frame *frame = check->checks->frame;
    size_t looked_at = 0;
    for (; check->nsp < frame->namespace_count; check->nsp++, check->cursor = 0) {
        cvn_socket *socket;
        while ((socket = cvn_next_socket(frame->namespaces[check->nsp].nsp, &check->cursor)) !=
               NULL) {
            struct member *member = member_of(socket);
            if (member != NULL && member->link != NULL && is_meant(check, member))
                rooms_check_again(member);
            if (++looked_at == SLICE)
                return false;
        }
    }
    return true;
}

static void on_turn(void *data)
{
    struct check *check = data;
    while (!walk(check))
        if (cvn_post(check->checks->frame->parts.server, check->worker, on_turn, check) == CVN_OK)
            return;
    check_free(check);
}

static bool begin(struct frame *frame, const char *name, bool is_room)
{
    bool done = true;
    atomic_fetch_add(&frame->checks->count, 1); /* before any worker looks */
    for (unsigned i = 0; i < cvn_server_workers(frame->parts.server); i++) {
        struct check *check = check_new(frame->checks, i, name, is_room);
        enum cvn_error error =
            check != NULL ? cvn_post(frame->parts.server, i, on_turn, check) : CVN_ERR_MEMORY;
        if (error != CVN_OK && check != NULL)
            check_free(check);
        if (error == CVN_OK || error == CVN_ERR_STATE)
            continue; /* a server that has stopped has nobody to check */
        done = false;
        log_entry(LOG_ERROR, "out of memory: somebody may stay in rooms who may no longer",
                  LOG_TEXT("who", name), LOG_END);
    }
    return done;
}

bool frame_check_user(struct frame *frame, const char *user_id)
{
    return begin(frame, user_id, false);
}

bool frame_check_room(struct frame *frame, const char *room)
{
    return begin(frame, room, true);
}
