/*
 * See presence_state.h. Users and rooms stand in balanced trees, since outsiders choose their names; an occupant ties one user to one room.
 * What may have to be told is in one of two lists, so a flush looks at what has changed and at nobody else.
 */
#include "modules/presence_state.h"
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

/* PRESENCE_MAX_NAMED members with the longest ids and names, each byte escaped, and as many ids. */
#define MAX_BUNDLE (512 * 1024)

const char *const presence_status_names[] = {"online", "away", "busy", "offline", NULL};

struct user {
    const char *id; /* the first: trees compare by it */
    char *org_id, *name;
    size_t sockets;
    int64_t gone_at, since;
    enum presence_status chosen, told;
    struct occupant *places; /* by next_place */
    bool is_listed;
    struct user *next; /* to be looked at by a flush */
    char id_memory[];
};

struct place {
    const char *name; /* the first, likewise */
    struct occupant *occupants;
    size_t count; /* of those who are there or were a moment ago */
    bool is_listed;
    struct place *next;
    char name_memory[];
};

struct occupant {
    struct user *user;
    struct place *place;
    size_t sockets;
    int64_t gone_at;
    bool is_told;
    struct occupant *next_place, *next_occupant;
};

struct presence_state {
    pthread_mutex_t lock;
    int64_t grace_ms;
    void *users, *places; /* trees */
    struct user *changed_users;
    struct place *changed_places;
};

/* Something to say, made with the lock held and said without it. */
struct notice {
    struct notice *next;
    cvn_text *json;
    size_t room_count;
    const char **rooms; /* ends with NULL; each its own memory */
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct presence_state *presence_state_new(uint32_t grace_ms)
{
    struct presence_state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return NULL;
    pthread_mutex_init(&state->lock, NULL);
    state->grace_ms = grace_ms;
    return state;
}

/* --- With the lock held --- */

static void *find(void *tree, const char *key)
{
    void **found = tfind(&key, &tree, compare);
    return found != NULL ? *found : NULL;
}

static void list_user(struct presence_state *state, struct user *user)
{
    if (user->is_listed)
        return;
    user->is_listed = true;
    user->next = state->changed_users;
    state->changed_users = user;
}

static void list_place(struct presence_state *state, struct place *place)
{
    if (place->is_listed)
        return;
    place->is_listed = true;
    place->next = state->changed_places;
    state->changed_places = place;
}

static struct user *add_user(struct presence_state *state, const char *id, const char *org_id,
                             const char *name)
{
    size_t size = strlen(id) + 1;
    struct user *user = calloc(1, sizeof *user + size);
    if (user == NULL)
        return NULL;
    memcpy(user->id_memory, id, size);
    user->id = user->id_memory;
    user->told = PRESENCE_OFFLINE;
    user->org_id = org_id != NULL ? strdup(org_id) : NULL;
    user->name = name != NULL ? strdup(name) : NULL;
    if ((org_id != NULL && user->org_id == NULL) || (name != NULL && user->name == NULL) ||
        tsearch(user, &state->users, compare) == NULL) {
        free(user->org_id);
        free(user->name);
        free(user);
        return NULL;
    }
    return user;
}

static void remove_user(struct presence_state *state, struct user *user)
{
    tdelete(user, &state->users, compare);
    free(user->org_id);
    free(user->name);
    free(user);
}

static struct place *add_place(struct presence_state *state, const char *name)
{
    size_t size = strlen(name) + 1;
    struct place *place = calloc(1, sizeof *place + size);
    if (place == NULL)
        return NULL;
    memcpy(place->name_memory, name, size);
    place->name = place->name_memory;
    if (tsearch(place, &state->places, compare) == NULL) {
        free(place);
        return NULL;
    }
    return place;
}

static void remove_place(struct presence_state *state, struct place *place)
{
    tdelete(place, &state->places, compare);
    free(place);
}

static struct occupant *find_occupant(const struct user *user, const char *room)
{
    for (struct occupant *occupant = user->places; occupant != NULL;
         occupant = occupant->next_place)
        if (strcmp(occupant->place->name, room) == 0)
            return occupant;
    return NULL;
}

static void remove_occupant(struct occupant *occupant)
{
    struct occupant **at = &occupant->user->places;
    while (*at != occupant)
        at = &(*at)->next_place;
    *at = occupant->next_place;
    at = &occupant->place->occupants;
    while (*at != occupant)
        at = &(*at)->next_occupant;
    *at = occupant->next_occupant;
    occupant->place->count--;
    free(occupant);
}

static bool is_past(const struct presence_state *state, size_t sockets, int64_t gone_at,
                    int64_t now)
{
    return sockets == 0 && now >= gone_at + state->grace_ms;
}

static enum presence_status status_of(const struct presence_state *state, const struct user *user,
                                      int64_t now)
{
    return is_past(state, user->sockets, user->gone_at, now) ? PRESENCE_OFFLINE : user->chosen;
}

/* --- Coming and going --- */

bool presence_state_enter(struct presence_state *state, const char *user_id, const char *org_id,
                          const char *name, int64_t now, bool *ret_is_new)
{
    pthread_mutex_lock(&state->lock);
    struct user *user = find(state->users, user_id);
    bool is_new = user == NULL;
    if (is_new)
        user = add_user(state, user_id, org_id, name);
    if (user != NULL) {
        if (is_new)
            user->since = now;
        user->sockets++;
        list_user(state, user);
        *ret_is_new = is_new;
    }
    pthread_mutex_unlock(&state->lock);
    return user != NULL;
}

void presence_state_leave(struct presence_state *state, const char *user_id, int64_t now)
{
    pthread_mutex_lock(&state->lock);
    struct user *user = find(state->users, user_id);
    if (user != NULL && user->sockets > 0 && --user->sockets == 0) {
        user->gone_at = now;
        list_user(state, user);
    }
    pthread_mutex_unlock(&state->lock);
}

void presence_state_choose(struct presence_state *state, const char *user_id,
                           enum presence_status status, int64_t now)
{
    pthread_mutex_lock(&state->lock);
    struct user *user = find(state->users, user_id);
    if (user != NULL && user->chosen != status) {
        user->chosen = status;
        user->since = now;
        list_user(state, user);
    }
    pthread_mutex_unlock(&state->lock);
}

static struct occupant *add_occupant(struct presence_state *state, struct user *user,
                                     const char *room)
{
    struct place *place = find(state->places, room);
    struct occupant *occupant = calloc(1, sizeof *occupant);
    if (place == NULL && occupant != NULL)
        place = add_place(state, room);
    if (occupant == NULL || place == NULL) {
        free(occupant);
        return NULL;
    }
    *occupant = (struct occupant){.user = user,
                                  .place = place,
                                  .next_place = user->places,
                                  .next_occupant = place->occupants};
    user->places = place->occupants = occupant;
    place->count++;
    return occupant;
}

bool presence_state_join(struct presence_state *state, const char *room, const char *user_id)
{
    pthread_mutex_lock(&state->lock);
    struct user *user = find(state->users, user_id);
    struct occupant *occupant = user != NULL ? find_occupant(user, room) : NULL;
    if (user != NULL && occupant == NULL)
        occupant = add_occupant(state, user, room);
    if (occupant != NULL) {
        occupant->sockets++;
        list_place(state, occupant->place);
    }
    pthread_mutex_unlock(&state->lock);
    return occupant != NULL;
}

void presence_state_part(struct presence_state *state, const char *room, const char *user_id,
                         int64_t now)
{
    pthread_mutex_lock(&state->lock);
    const struct user *user = find(state->users, user_id);
    struct occupant *occupant = user != NULL ? find_occupant(user, room) : NULL;
    if (occupant != NULL && occupant->sockets > 0 && --occupant->sockets == 0) {
        occupant->gone_at = now;
        list_place(state, occupant->place);
    }
    pthread_mutex_unlock(&state->lock);
}

/* --- Looking --- */

static void append_member(const struct presence_state *state, const struct user *user, int64_t now,
                          cvn_text *text)
{
    cvn_text_append(text, "{\"userId\":");
    cvn_text_append_json_string(text, cvn_str(user->id));
    if (user->name != NULL) {
        cvn_text_append(text, ",\"name\":");
        cvn_text_append_json_string(text, cvn_str(user->name));
    }
    cvn_text_printf(text, ",\"status\":\"%s\"}",
                    presence_status_names[status_of(state, user, now)]);
}

void presence_state_append_room(struct presence_state *state, const char *room, int64_t now,
                                cvn_text *text)
{
    size_t named = 0;
    pthread_mutex_lock(&state->lock);
    const struct place *place = find(state->places, room);
    cvn_text_append(text, "{\"room\":");
    cvn_text_append_json_string(text, cvn_str(room));
    cvn_text_printf(text, ",\"count\":%zu,\"members\":[", place != NULL ? place->count : 0);
    for (const struct occupant *at = place != NULL ? place->occupants : NULL;
         at != NULL && named < PRESENCE_MAX_NAMED; at = at->next_occupant) {
        cvn_text_append(text, named++ > 0 ? "," : "");
        append_member(state, at->user, now, text);
    }
    cvn_text_append(text, "]}");
    pthread_mutex_unlock(&state->lock);
}

static bool is_same_org(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

void presence_state_append_user(struct presence_state *state, const char *user_id,
                                const char *org_id, int64_t now, cvn_text *text)
{
    pthread_mutex_lock(&state->lock);
    const struct user *user = find(state->users, user_id);
    if (user != NULL && !is_same_org(user->org_id, org_id))
        user = NULL;
    cvn_text_append(text, "{\"userId\":");
    cvn_text_append_json_string(text, cvn_str(user_id));
    cvn_text_printf(
        text, ",\"status\":\"%s\"",
        presence_status_names[user != NULL ? status_of(state, user, now) : PRESENCE_OFFLINE]);
    if (user != NULL)
        cvn_text_printf(text, ",\"since\":%lld", (long long)user->since);
    cvn_text_append(text, "}");
    pthread_mutex_unlock(&state->lock);
}

void presence_state_watch_room(const char *org_id, const char *user_id,
                               char ret[PRESENCE_WATCH_ROOM_SIZE])
{
    snprintf(ret, PRESENCE_WATCH_ROOM_SIZE, "watch:%s:%s", org_id != NULL ? org_id : "", user_id);
}

/* --- Telling --- */

static void notice_free(struct notice *notice)
{
    for (size_t i = 0; i < notice->room_count; i++)
        free((char *)notice->rooms[i]);
    free(notice->rooms);
    cvn_text_free(notice->json);
    free(notice);
}

static struct notice *notice_new(size_t room_count)
{
    struct notice *notice = calloc(1, sizeof *notice);
    if (notice == NULL)
        return NULL;
    notice->rooms = calloc(room_count + 1, sizeof *notice->rooms);
    notice->json = cvn_text_new(MAX_BUNDLE);
    if (notice->rooms == NULL || notice->json == NULL) {
        notice_free(notice);
        return NULL;
    }
    return notice;
}

static bool notice_add_room(struct notice *notice, const char *room)
{
    char *copy = strdup(room);
    if (copy != NULL)
        notice->rooms[notice->room_count++] = copy;
    return copy != NULL;
}

/* A user's new status: for those who watch, and for the rooms the user is in. */
static struct notice *tell_status(const struct user *user, enum presence_status status)
{
    char watch[PRESENCE_WATCH_ROOM_SIZE];
    size_t places = 0;
    for (const struct occupant *at = user->places; at != NULL; at = at->next_place)
        places++;
    struct notice *notice = notice_new(places + 1);
    if (notice == NULL)
        return NULL;
    presence_state_watch_room(user->org_id, user->id, watch);
    bool done = notice_add_room(notice, watch);
    for (const struct occupant *at = user->places; at != NULL && done; at = at->next_place)
        done = notice_add_room(notice, at->place->name);
    cvn_text_append(notice->json, "{\"type\":\"status\",\"userId\":");
    cvn_text_append_json_string(notice->json, cvn_str(user->id));
    cvn_text_printf(notice->json, ",\"status\":\"%s\",\"since\":%lld}",
                    presence_status_names[status], (long long)user->since);
    if (done && !cvn_text_failed(notice->json))
        return notice;
    notice_free(notice);
    return NULL;
}

/* Who came into a room and who is gone from it. NULL with *ret_is_quiet: nothing is to be told. */
static struct notice *tell_place(struct presence_state *state, struct place *place, int64_t now,
                                 bool *ret_is_quiet)
{
    size_t joined = 0, left = 0;
    struct notice *notice = notice_new(1);
    if (notice == NULL || !notice_add_room(notice, place->name)) {
        if (notice != NULL)
            notice_free(notice);
        return NULL;
    }
    cvn_text_append(notice->json, "{\"type\":\"members\",\"room\":");
    cvn_text_append_json_string(notice->json, cvn_str(place->name));
    cvn_text_append(notice->json, ",\"joined\":[");
    for (struct occupant *at = place->occupants; at != NULL; at = at->next_occupant) {
        if (at->is_told || at->sockets == 0)
            continue;
        at->is_told = true;
        if (joined++ < PRESENCE_MAX_NAMED) {
            cvn_text_append(notice->json, joined > 1 ? "," : "");
            append_member(state, at->user, now, notice->json);
        }
    }
    cvn_text_append(notice->json, "],\"left\":[");
    for (struct occupant *at = place->occupants, *next; at != NULL; at = next) {
        next = at->next_occupant;
        if (!is_past(state, at->sockets, at->gone_at, now))
            continue;
        /* One who was not told of, too: an answer may have named them, and the count included them. */
        if (left++ < PRESENCE_MAX_NAMED) {
            cvn_text_append(notice->json, left > 1 ? "," : "");
            cvn_text_append_json_string(notice->json, cvn_str(at->user->id));
        }
        remove_occupant(at);
    }
    cvn_text_printf(notice->json, "],\"count\":%zu}", place->count);
    *ret_is_quiet = joined == 0 && left == 0;
    if (!*ret_is_quiet && !cvn_text_failed(notice->json))
        return notice;
    notice_free(notice);
    return NULL;
}

static bool waits_for_grace(const struct place *place)
{
    for (const struct occupant *at = place->occupants; at != NULL; at = at->next_occupant)
        if (at->sockets == 0)
            return true;
    return false;
}

static void flush_places(struct presence_state *state, int64_t now, struct notice ***tail)
{
    struct place *place = state->changed_places, *next;
    state->changed_places = NULL;
    for (; place != NULL; place = next) {
        next = place->next;
        place->is_listed = false;
        bool is_quiet = false;
        struct notice *notice = tell_place(state, place, now, &is_quiet);
        if (notice != NULL) {
            **tail = notice;
            *tail = &notice->next;
        }
        if (place->occupants == NULL)
            remove_place(state, place);
        else if (waits_for_grace(place))
            list_place(state, place);
    }
}

static void flush_users(struct presence_state *state, int64_t now, struct notice ***tail)
{
    struct user *user = state->changed_users, *next;
    state->changed_users = NULL;
    for (; user != NULL; user = next) {
        next = user->next;
        user->is_listed = false;
        enum presence_status status = status_of(state, user, now);
        if (status == PRESENCE_OFFLINE && user->told != PRESENCE_OFFLINE && user->sockets == 0)
            user->since = user->gone_at;
        struct notice *notice = status != user->told ? tell_status(user, status) : NULL;
        user->told = status;
        if (notice != NULL) {
            **tail = notice;
            *tail = &notice->next;
        }
        if (is_past(state, user->sockets, user->gone_at, now) && user->places == NULL)
            remove_user(state, user);
        else if (user->sockets == 0)
            list_user(state, user);
    }
}

void presence_state_flush(struct presence_state *state, int64_t now, presence_emit_fn emit,
                          void *data)
{
    struct notice *notices = NULL, **tail = &notices;
    pthread_mutex_lock(&state->lock);
    flush_places(state, now, &tail); /* first: a user goes when no room knows it any more */
    flush_users(state, now, &tail);
    pthread_mutex_unlock(&state->lock);
    while (notices != NULL) {
        struct notice *next = notices->next;
        emit(notices->rooms, cvn_text_slice(notices->json), data);
        notice_free(notices);
        notices = next;
    }
}

/* With its part in every room; the rooms' own lists are not looked at any more. */
static void free_user(void *data)
{
    struct user *user = data;
    while (user->places != NULL) {
        struct occupant *next = user->places->next_place;
        free(user->places);
        user->places = next;
    }
    free(user->org_id);
    free(user->name);
    free(user);
}

void presence_state_free(struct presence_state *state)
{
    if (state == NULL)
        return;
    tdestroy(state->users, free_user);
    tdestroy(state->places, free);
    pthread_mutex_destroy(&state->lock);
    free(state);
}
