/*
 * See rooms.h. A member's own rooms are a short list; how many members a room has on all workers is counted in one tree under a lock, which is
 * taken when somebody joins or leaves, never for an event. The tree, not a hash, because clients choose the names.
 */
#include "event/rooms.h"
#include "event/frame_internal.h"
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#define PERMISSION_SIZE 33 /* the longest of the judges has 32 bytes */

/* One room of one namespace, while it has members. */
struct tally {
    const char *nsp, *name;
    uint32_t members;
};

struct rooms {
    pthread_mutex_t lock;
    void *tree;
};

struct room {
    struct room *next;
    enum resource_kind kind;
    bool is_held; /* counted in its tally */
    const char *id;
    char permission[PERMISSION_SIZE];
    char name[]; /* "board:42"; the id is its end */
};

/* --- Counting over all workers: any thread --- */

static int compare(const void *a, const void *b)
{
    const struct tally *one = a, *other = b;
    int order = strcmp(one->name, other->name);
    return order != 0 ? order : strcmp(one->nsp, other->nsp);
}

struct rooms *rooms_new(void)
{
    struct rooms *rooms = calloc(1, sizeof *rooms);
    if (rooms != NULL)
        pthread_mutex_init(&rooms->lock, NULL);
    return rooms;
}

void rooms_free(struct rooms *rooms)
{
    if (rooms == NULL)
        return;
    tdestroy(rooms->tree, free);
    pthread_mutex_destroy(&rooms->lock);
    free(rooms);
}

static struct tally *find(struct rooms *rooms, const char *nsp, const char *name)
{
    const struct tally wanted = {nsp, name, 0};
    struct tally **found = tfind(&wanted, &rooms->tree, compare);
    return found != NULL ? *found : NULL;
}

static struct tally *add(struct rooms *rooms, const char *nsp, const char *name)
{
    size_t nsp_size = strlen(nsp) + 1, name_size = strlen(name) + 1;
    struct tally *tally = malloc(sizeof *tally + nsp_size + name_size);
    if (tally == NULL)
        return NULL;
    char *text = (char *)(tally + 1);
    memcpy(text, nsp, nsp_size);
    memcpy(text + nsp_size, name, name_size);
    *tally = (struct tally){text, text + nsp_size, 0};
    if (tsearch(tally, &rooms->tree, compare) == NULL) {
        free(tally);
        return NULL;
    }
    return tally;
}

enum hold { HELD, HOLD_FULL, HOLD_NO_MEMORY };

static enum hold hold(struct rooms *rooms, const char *nsp, const char *name, uint32_t max)
{
    enum hold result = HELD;
    pthread_mutex_lock(&rooms->lock);
    struct tally *tally = find(rooms, nsp, name);
    if (tally == NULL)
        tally = add(rooms, nsp, name);
    if (tally == NULL)
        result = HOLD_NO_MEMORY;
    else if (max > 0 && tally->members >= max)
        result = HOLD_FULL;
    else
        tally->members++;
    pthread_mutex_unlock(&rooms->lock);
    return result;
}

static void let_go(struct rooms *rooms, const char *nsp, const char *name)
{
    pthread_mutex_lock(&rooms->lock);
    struct tally *tally = find(rooms, nsp, name);
    if (tally != NULL && --tally->members == 0) {
        tdelete(tally, &rooms->tree, compare);
        free(tally);
    }
    pthread_mutex_unlock(&rooms->lock);
}

uint32_t rooms_count(struct rooms *rooms, const char *nsp, const char *name)
{
    pthread_mutex_lock(&rooms->lock);
    const struct tally *tally = find(rooms, nsp, name);
    uint32_t count = tally != NULL ? tally->members : 0;
    pthread_mutex_unlock(&rooms->lock);
    return count;
}

/* --- One room of a member --- */

const char *room_name(const struct room *room)
{
    return room->name;
}

const char *room_id(const struct room *room)
{
    return room->id;
}

enum resource_kind room_kind(const struct room *room)
{
    return room->kind;
}

const char *room_permission(const struct room *room)
{
    return room->permission;
}

const struct room *rooms_next(const struct member *member, const struct room *room)
{
    return room != NULL ? room->next : member->rooms;
}

const struct room *rooms_find(const struct member *member, enum resource_kind kind, const char *id)
{
    for (const struct room *room = member->rooms; room != NULL; room = room->next)
        if (strcmp(resource_name(room->kind), resource_name(kind)) == 0 && /* the same room */
            strcmp(room->id, id) == 0)
            return room;
    return NULL;
}

static struct room *room_new(enum resource_kind kind, const char *id)
{
    const char *prefix = resource_name(kind);
    size_t prefix_size = strlen(prefix), id_size = strlen(id) + 1;
    struct room *room = malloc(sizeof *room + prefix_size + 1 + id_size);
    if (room == NULL)
        return NULL;
    *room = (struct room){.kind = kind};
    memcpy(room->name, prefix, prefix_size);
    room->name[prefix_size] = ':';
    memcpy(room->name + prefix_size + 1, id, id_size);
    room->id = room->name + prefix_size + 1;
    return room;
}

/* Out of the library's room and of the count; the member's list is the caller's affair. */
static void withdraw(struct member *member, struct room *room)
{
    if (!member_is_own_room(member, room->name)) /* which it is in anyway */
        cvn_leave(member->socket, room->name);
    if (!room->is_held)
        return;
    room->is_held = false;
    let_go(member->frame->rooms, member->nsp->name, room->name);
    if (member->link != NULL)
        member->link->room_count--;
}

static void tell_modules(struct member *member, const struct room *room)
{
    for (size_t i = 0; i < member->frame->module_count; i++) {
        const struct frame_module *added = &member->frame->modules[i];
        if (added->nsp == member->nsp && added->module->on_room_left != NULL)
            added->module->on_room_left(member, room, added->state);
    }
}

static void remove_room(struct member *member, struct room *room)
{
    struct room **at = &member->rooms;
    while (*at != room)
        at = &(*at)->next;
    *at = room->next;
    withdraw(member, room);
    tell_modules(member, room);
    free(room);
}

bool rooms_leave(struct member *member, enum resource_kind kind, const char *id)
{
    struct room *room = (struct room *)rooms_find(member, kind, id);
    if (room == NULL)
        return false;
    member_audit(member, "leave", room->name, NULL);
    remove_room(member, room);
    return true;
}

/* --- Joining --- */

enum join { JOINED, JOIN_TOO_MANY, JOIN_FULL, JOIN_NO_MEMORY };

static enum join hold_room(struct member *member, struct room *room)
{
    const struct access_limits *limits = member->frame->limits;
    uint32_t max_rooms = access_limits_max_rooms(limits);
    if (max_rooms > 0 && member->link->room_count >= max_rooms)
        return JOIN_TOO_MANY;
    switch (hold(member->frame->rooms, member->nsp->name, room->name,
                 access_limits_max_members(limits))) {
    case HOLD_FULL:
        return JOIN_FULL;
    case HOLD_NO_MEMORY:
        return JOIN_NO_MEMORY;
    case HELD:
        break;
    }
    room->is_held = true;
    member->link->room_count++;
    enum cvn_error error = cvn_join(member->socket, room->name);
    if (error == CVN_OK)
        return JOINED;
    withdraw(member, room);
    return error == CVN_ERR_LIMIT ? JOIN_TOO_MANY : JOIN_NO_MEMORY;
}

struct joining {
    struct call *call;
    enum resource_kind kind;
    char *id;
    unsigned checks;             /* the frame's when the guard was asked */
    struct principal *principal; /* for whom it was asked */
    rooms_joined_fn joined;
    void *data;
};

/* Whoever knocks at another tenant's wall is worth an entry of its own. */
static void refuse_join(struct joining *joining, const char *name, enum call_error error,
                        const char *message, uint32_t retry_ms)
{
    bool is_wall = error == CALL_FORBIDDEN &&
                   (joining->kind == RESOURCE_ORG || joining->kind == RESOURCE_DIVISION);
    member_audit(call_member(joining->call), is_wall ? "scope_violation" : "join_refused", name,
                 call_error_code(error));
    call_fail_later(joining->call, error, message, retry_ms);
}

static void join_allowed(struct joining *joining, const char *permission)
{
    struct member *member = call_member(joining->call);
    struct room *room = room_new(joining->kind, joining->id);
    if (room == NULL) {
        call_fail_later(joining->call, CALL_UNAVAILABLE, "out of memory", 1000);
        return;
    }
    snprintf(room->permission, sizeof room->permission, "%s", permission);
    switch (hold_room(member, room)) {
    case JOINED:
        room->next = member->rooms;
        member->rooms = room;
        member_audit(member, "join", room->name, NULL);
        joining->joined(joining->call, room, true, joining->data);
        return;
    case JOIN_TOO_MANY:
        refuse_join(joining, room->name, CALL_TOO_MANY_ROOMS,
                    "in too many rooms already: leave one first", 0);
        break;
    case JOIN_FULL:
        refuse_join(joining, room->name, CALL_ROOM_FULL, "the room is full", 0);
        break;
    case JOIN_NO_MEMORY:
        refuse_join(joining, room->name, CALL_UNAVAILABLE, "out of memory", 1000);
        break;
    }
    free(room);
}

static void on_guard(enum guard_answer answer, const char *permission, void *data);

static void ask_guard(struct joining *joining)
{
    struct member *member = call_member(joining->call);
    principal_unref(joining->principal);
    joining->principal = principal_ref(member->principal);
    joining->checks = checks_count(member->frame->checks);
    access_guard_ask(member->frame->parts.guard, joining->principal, joining->kind, joining->id,
                     on_guard, joining);
}

static void on_guard(enum guard_answer answer, const char *permission, void *data)
{
    struct joining *joining = data;
    struct member *member = call_member(joining->call);
    if (member->link != NULL && answer == GUARD_ALLOWED &&
        (joining->checks != checks_count(member->frame->checks) ||
         joining->principal != member->principal)) {
        ask_guard(joining); /* somebody's rights have changed since: this may be an old yes */
        return;
    }
    char name[FIELD_ID_MAX * 2 + 32];
    snprintf(name, sizeof name, "%s:%s", resource_name(joining->kind), joining->id);
    const struct room *already = rooms_find(
        member, joining->kind, joining->id); /* by an earlier call that was asking, too */
    if (member->link == NULL)
        call_fail(joining->call, CALL_UNAVAILABLE, "the connection has gone");
    else if (already != NULL)
        joining->joined(joining->call, already, false, joining->data);
    else if (answer == GUARD_ALLOWED)
        join_allowed(joining, permission);
    else if (answer == GUARD_DENIED)
        refuse_join(joining, name, CALL_FORBIDDEN, "you may not join this", 0);
    else
        refuse_join(joining, name, CALL_UNAVAILABLE,
                    "whether you may join this cannot be found out now", 1000);
    principal_unref(joining->principal);
    free(joining->id);
    free(joining);
}

void rooms_join(struct call *call, enum resource_kind kind, const char *id, rooms_joined_fn joined,
                void *data)
{
    struct member *member = call_member(call);
    const struct room *already = rooms_find(member, kind, id);
    if (already != NULL) {
        joined(call, already, false, data);
        return;
    }
    struct joining *joining = malloc(sizeof *joining);
    char *copy = strdup(id);
    if (joining == NULL || copy == NULL) {
        free(copy);
        free(joining);
        call_fail_later(call, CALL_UNAVAILABLE, "out of memory", 1000);
        return;
    }
    *joining =
        (struct joining){.call = call, .kind = kind, .id = copy, .joined = joined, .data = data};
    ask_guard(joining);
}

/* --- For the frame --- */

static void tell_closed(struct member *member, const char *name, const char *code)
{
    cvn_text *text = cvn_text_new(4096);
    if (text == NULL)
        return;
    cvn_text_append(text, "{\"room\":");
    cvn_text_append_json_string(text, cvn_str(name));
    cvn_text_printf(text, ",\"code\":\"%s\"}", code);
    if (!cvn_text_failed(text))
        member_emit(member, "room_closed", cvn_text_slice(text));
    cvn_text_free(text);
}

void rooms_release(struct member *member)
{
    for (struct room *room = member->rooms; room != NULL; room = room->next) {
        tell_modules(member, room);
        withdraw(member, room);
    }
}

/* The lost member may be another worker's, where calls of its own still end: it is read, which nobody changes any more, and not taken over. */
void rooms_adopt(struct member *member, const struct member *lost)
{
    for (const struct room *old = lost->rooms; old != NULL; old = old->next) {
        struct room *room = room_new(old->kind, old->id);
        if (room != NULL && hold_room(member, room) == JOINED) {
            memcpy(room->permission, old->permission, sizeof room->permission);
            room->next = member->rooms;
            member->rooms = room;
            continue;
        }
        enum call_error error = room != NULL ? CALL_ROOM_FULL : CALL_UNAVAILABLE;
        free(room);
        if (!member_is_own_room(member, old->name))
            cvn_leave(member->socket, old->name); /* the library has put it in */
        tell_closed(member, old->name, call_error_code(error));
    }
}

void rooms_forget(struct member *member)
{
    while (member->rooms != NULL) {
        struct room *next = member->rooms->next;
        free(member->rooms);
        member->rooms = next;
    }
}

struct checking {
    struct member *member;
    struct principal *principal; /* for whom the guard was asked */
    enum resource_kind kind;
    char *id;
};

static void on_checked(enum guard_answer answer, const char *permission, void *data)
{
    struct checking *checking = data;
    struct member *member = checking->member;
    /* An answer for an earlier token says nothing: the later one has been asked for as well. */
    bool is_valid = member->link != NULL && member->principal == checking->principal;
    struct room *room =
        is_valid ? (struct room *)rooms_find(member, checking->kind, checking->id) : NULL;
    if (room != NULL && answer == GUARD_ALLOWED) {
        snprintf(room->permission, sizeof room->permission, "%s", permission);
    } else if (room != NULL && answer == GUARD_DENIED) {
        member_audit(member, "join_withdrawn", room->name, "FORBIDDEN");
        tell_closed(member, room->name, "FORBIDDEN");
        remove_room(member, room);
    }
    principal_unref(checking->principal);
    member_unref(member);
    free(checking->id);
    free(checking);
}

void rooms_check_again(struct member *member)
{
    /* An answer may come at once and take its room out of the list. */
    for (struct room *room = member->rooms, *next; room != NULL; room = next) {
        next = room->next;
        struct checking *checking = malloc(sizeof *checking);
        char *id = strdup(room->id);
        if (checking == NULL || id == NULL) {
            free(id);
            free(checking);
            remove_room(member, room); /* what cannot be checked is not allowed */
            continue;
        }
        *checking =
            (struct checking){member_ref(member), principal_ref(member->principal), room->kind, id};
        access_guard_ask(member->frame->parts.guard, checking->principal, room->kind, id,
                         on_checked, checking);
    }
}
