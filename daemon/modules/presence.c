/*
 * The presence module: its tables of events, and the glue between the frame and presence_state.c. A chosen status is stored, so that somebody who is
 * busy is so after a restart, too. Bundles of changes are told by a timer on the first worker.
 */
#include "modules/presence.h"
#include "event/call.h"
#include "event/member.h"
#include "event/rooms.h"
#include "modules/presence_state.h"
#include "observe/clock.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_ANSWER    (256 * 1024)
#define MAX_WATCHED   100
#define MAX_ROOM_NAME 320

struct presence {
    struct frame *frame;
    struct presence_state *state;
    cvn_timer *ticker; /* of worker 0 */
    uint32_t coalesce_ms;
    cvn_namespace *nsp;
};

const struct store_migration presence_migrations[] = {
    {"presence", 1,
     "CREATE TABLE presence_status (user_id TEXT PRIMARY KEY, status INTEGER NOT NULL, changed_ms "
     "INTEGER NOT NULL) WITHOUT ROWID"},
    {NULL, 0, NULL},
};

/* --- status: chosen, stored, told --- */

struct status_payload {
    int status;
};

static const struct field status_fields[] = {
    FIELD_CHOICE(struct status_payload, status, presence_status_names, FIELD_REQUIRED,
                 "how others see the user"),
    FIELD_END,
};

static bool store_status(struct store_tx *tx, struct call *call, void *data)
{
    const struct status_payload *payload = call_payload(call);
    char answer[64];
    (void)data;
    store_bind_text(tx, 1, cvn_str(call_principal(call)->user_id));
    store_bind_integer(tx, 2, payload->status - 1);
    store_bind_integer(tx, 3, clock_wall_ms());
    if (!store_exec(tx,
                    "INSERT INTO presence_status VALUES (?1, ?2, ?3) ON CONFLICT (user_id) DO "
                    "UPDATE SET status = "
                    "excluded.status, changed_ms = excluded.changed_ms",
                    NULL))
        return false;
    snprintf(answer, sizeof answer, "{\"status\":\"%s\"}",
             presence_status_names[payload->status - 1]);
    call_set_answer(call, cvn_str(answer));
    return true;
}

static void status_stored(struct call *call, void *data)
{
    struct presence *presence = data;
    const struct status_payload *payload = call_payload(call);
    presence_state_choose(presence->state, call_principal(call)->user_id,
                          (enum presence_status)(payload->status - 1), clock_wall_ms());
}

static void on_status(struct call *call, void *state)
{
    call_transact(call, store_status, status_stored, state, NULL);
}

/* --- presence_join, presence_leave: who is in a room --- */

static const char *const resource_choices[] = {
    "board", "course", "channel", "conversation", "kb", "doc", "analysis", "org", "division", NULL};

struct room_payload {
    int kind;
    cvn_slice id;
};

static const struct field room_fields[] = {
    FIELD_CHOICE(struct room_payload, kind, resource_choices, FIELD_REQUIRED,
                 "what kind of resource"),
    {"id", FIELD_KIND_ID, FIELD_REQUIRED, offsetof(struct room_payload, id), 1,
     2 * FIELD_ID_MAX + 5, 0, NULL, NULL, "its id; of a division ORGANISATION:div:DIVISION"},
    FIELD_END,
};

struct room_answer {
    cvn_slice room, members;
    int64_t count;
};

static const struct field room_answer_fields[] = {
    FIELD_TEXT(struct room_answer, room, 1, 300, FIELD_REQUIRED, "kind and id"),
    FIELD_INTEGER_REQUIRED(struct room_answer, count, 0, 1000000, "users that are in it"),
    FIELD_JSON(struct room_answer, members, MAX_ANSWER, FIELD_REQUIRED,
               "up to 100 of them: [{userId, name?, status}]"),
    FIELD_END,
};

static void on_joined(struct call *call, const struct room *room, bool is_new, void *data)
{
    struct presence *presence = data;
    const char *user_id = member_principal(call_member(call))->user_id;
    cvn_text *text = cvn_text_new(MAX_ANSWER);
    if (text == NULL ||
        (is_new && !presence_state_join(presence->state, room_name(room), user_id))) {
        call_fail_later(call, CALL_UNAVAILABLE, "out of memory", 1000);
    } else {
        presence_state_append_room(presence->state, room_name(room), clock_wall_ms(), text);
        call_ok_slice(call, cvn_text_slice(text));
    }
    cvn_text_free(text);
}

static void on_join(struct call *call, void *state)
{
    const struct room_payload *payload = call_payload(call);
    rooms_join(call, (enum resource_kind)(payload->kind - 1), payload->id.data, on_joined, state);
}

static void on_leave_call(struct call *call, void *state)
{
    const struct room_payload *payload = call_payload(call);
    (void)state;
    if (rooms_leave(call_member(call), (enum resource_kind)(payload->kind - 1), payload->id.data))
        call_ok(call, NULL);
    else
        call_fail(call, CALL_NOT_JOINED, "this socket is not in that room");
}

static void on_room_left(struct member *member, const struct room *room, void *state)
{
    struct presence *presence = state;
    presence_state_part(presence->state, room_name(room), member_principal(member)->user_id,
                        clock_wall_ms());
}

/* --- presence_watch: users of the own organisation, by their ids --- */

struct watch_payload {
    struct field_list user_ids;
};

static const struct field watch_fields[] = {
    FIELD_IDS_AS("userIds", struct watch_payload, user_ids, 1, MAX_WATCHED, FIELD_REQUIRED,
                 "whom to watch"),
    FIELD_END,
};

struct watch_answer {
    cvn_slice users;
};

static const struct field watch_answer_fields[] = {
    FIELD_JSON(struct watch_answer, users, MAX_ANSWER, FIELD_REQUIRED,
               "[{userId, status, since?}]"),
    FIELD_END,
};

static void on_watch(struct call *call, void *state)
{
    struct presence *presence = state;
    const struct watch_payload *payload = call_payload(call);
    struct member *member = call_member(call);
    const char *org_id = member_principal(member)->org_id;
    char room[PRESENCE_WATCH_ROOM_SIZE];
    enum cvn_error error = CVN_OK;
    cvn_text *text = cvn_text_new(MAX_ANSWER);
    if (text == NULL) {
        call_fail_later(call, CALL_UNAVAILABLE, "out of memory", 1000);
        return;
    }
    cvn_text_append(text, "{\"users\":[");
    for (size_t i = 0; i < payload->user_ids.count && error == CVN_OK; i++) {
        const char *user_id = payload->user_ids.items[i].data;
        presence_state_watch_room(org_id, user_id, room);
        error = cvn_join(member_socket(member), room);
        cvn_text_append(text, i > 0 ? "," : "");
        presence_state_append_user(presence->state, user_id, org_id, clock_wall_ms(), text);
    }
    cvn_text_append(text, "]}");
    if (error == CVN_ERR_LIMIT)
        call_fail(call, CALL_TOO_MANY_ROOMS, "too many users are watched: unwatch some first");
    else if (error != CVN_OK || cvn_text_failed(text))
        call_fail_later(call, CALL_UNAVAILABLE, "out of memory", 1000);
    else
        call_ok_slice(call, cvn_text_slice(text));
    cvn_text_free(text);
}

static void on_unwatch(struct call *call, void *state)
{
    const struct watch_payload *payload = call_payload(call);
    struct member *member = call_member(call);
    char room[PRESENCE_WATCH_ROOM_SIZE];
    (void)state;
    for (size_t i = 0; i < payload->user_ids.count; i++) {
        presence_state_watch_room(member_principal(member)->org_id, payload->user_ids.items[i].data,
                                  room);
        cvn_leave(member_socket(member), room);
    }
    call_ok(call, NULL);
}

/* --- Coming and going --- */

struct lookup {
    struct presence *presence;
    char user_id[PRINCIPAL_MAX_ID + 1];
    bool is_found;
    enum presence_status status;
};

static bool read_status(struct store_tx *tx, void *job)
{
    struct lookup *lookup = job;
    store_bind_text(tx, 1, cvn_str(lookup->user_id));
    if (!store_query(tx, "SELECT status FROM presence_status WHERE user_id = ?1"))
        return false;
    if (store_next(tx)) {
        int64_t status = store_integer(tx, 0);
        lookup->is_found = status >= PRESENCE_ONLINE && status <= PRESENCE_OFFLINE;
        lookup->status = lookup->is_found ? (enum presence_status)status : PRESENCE_ONLINE;
    }
    return true;
}

static void status_read(enum store_result result, void *job)
{
    struct lookup *lookup = job;
    if (result == STORE_OK && lookup->is_found)
        presence_state_choose(lookup->presence->state, lookup->user_id, lookup->status,
                              clock_wall_ms());
    free(lookup);
}

static void on_enter(struct member *member, void *state)
{
    struct presence *presence = state;
    const struct principal *principal = member_principal(member);
    bool is_new = false;
    if (!presence_state_enter(presence->state, principal->user_id, principal->org_id,
                              principal->name, clock_wall_ms(), &is_new)) {
        cvn_disconnect(member_socket(member), true); /* out of memory; its client comes back */
        return;
    }
    member_set_data(member, &presence_module, presence); /* counted: to be taken off again */
    /* Of a recovered session: it has left them all with its lost connection. */
    for (const struct room *room = rooms_next(member, NULL); room != NULL;
         room = rooms_next(member, room))
        if (!presence_state_join(presence->state, room_name(room), principal->user_id))
            log_entry(LOG_WARN, "out of memory: somebody is not shown in a room",
                      LOG_TEXT("room", room_name(room)), LOG_END);
    if (!is_new)
        return;
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return; /* online, until a status is chosen again */
    lookup->presence = presence;
    snprintf(lookup->user_id, sizeof lookup->user_id, "%s", principal->user_id);
    if (!store_read(frame_parts(presence->frame)->store, read_status, status_read, lookup))
        free(lookup);
}

static void on_leave(struct member *member, const char *reason, void *state)
{
    struct presence *presence = state;
    (void)reason;
    if (member_data(member, &presence_module) == NULL)
        return;
    member_set_data(member, &presence_module, NULL);
    presence_state_leave(presence->state, member_principal(member)->user_id, clock_wall_ms());
}

/* --- The ticker --- */

static void emit_change(const char *const *rooms, cvn_slice json, void *data)
{
    const struct presence *presence = data;
    size_t count = 0;
    while (rooms[count] != NULL)
        count++;
    const cvn_target target = {.nsp = presence->nsp, .more_rooms = rooms, .more_room_count = count};
    enum cvn_error error = cvn_emit(&target, "presence", cvn_json_slice(json));
    if (error != CVN_OK)
        log_entry(LOG_WARN, "presence could not be told", LOG_TEXT("error", cvn_strerror(error)),
                  LOG_END);
}

static void on_tick(cvn_timer *timer, void *data)
{
    struct presence *presence = data;
    /* A server that goes down tells nobody that everybody has left. */
    if (!frame_is_draining(presence->frame))
        presence_state_flush(presence->state, clock_wall_ms(), emit_change, presence);
    if (cvn_timer_start(timer, presence->coalesce_ms) != CVN_OK)
        log_entry(LOG_DEBUG, "the presence ticker has ended", LOG_END);
}

static void on_worker_start(cvn_server *server, unsigned index, void *data)
{
    struct presence *presence = data;
    if (index != 0)
        return;
    presence->ticker = cvn_timer_new(server, on_tick, NULL, presence);
    if (presence->ticker == NULL ||
        cvn_timer_start(presence->ticker, presence->coalesce_ms) != CVN_OK)
        log_entry(LOG_ERROR, "presence will not be told: out of memory", LOG_END);
}

static void on_worker_stop(cvn_server *server, unsigned index, void *data)
{
    struct presence *presence = data;
    (void)server;
    if (index != 0)
        return;
    cvn_timer_free(presence->ticker);
    presence->ticker = NULL;
}

/* --- Start and stop --- */

static void stop(void *state)
{
    struct presence *presence = state;
    presence_state_free(presence->state);
    free(presence);
}

static bool start(struct frame *frame, void **ret_state)
{
    const struct frame_parts *parts = frame_parts(frame);
    struct presence *presence = calloc(1, sizeof *presence);
    if (presence == NULL)
        return false;
    *presence = (struct presence){
        .frame = frame,
        .state = presence_state_new(parts->config->presence.grace_ms),
        .coalesce_ms = parts->config->presence.coalesce_ms,
        .nsp = cvn_of(parts->server, "/"),
    };
    if (presence->state == NULL ||
        cvn_on_worker_start(parts->server, on_worker_start, presence) != CVN_OK ||
        cvn_on_worker_stop(parts->server, on_worker_stop, presence) != CVN_OK) {
        stop(presence);
        return false;
    }
    *ret_state = presence;
    return true;
}

/* --- The tables --- */

static const struct event_descriptor events[] = {
    {.name = "status",
     .help = "Chooses how others see the user, everywhere and until it is chosen anew.",
     .fields = status_fields,
     .payload_size = sizeof(struct status_payload),
     .answer = status_fields,
     .rate_class = "status",
     .durability = EVENT_DURABLE,
     .takes_op_id = true,
     .fn = on_status},
    {.name = "presence_join",
     .help = "Enters a room to see who is there; the answer says who is, `presence` who comes and "
             "goes.",
     .fields = room_fields,
     .payload_size = sizeof(struct room_payload),
     .answer = room_answer_fields,
     .rate_class = "join",
     .durability = EVENT_MEMORY,
     .fn = on_join},
    {.name = "presence_leave",
     .help = "Leaves a room again.",
     .fields = room_fields,
     .payload_size = sizeof(struct room_payload),
     .rate_class = "join",
     .durability = EVENT_MEMORY,
     .fn = on_leave_call},
    {.name = "presence_watch",
     .help = "Follows the status of users of the own organisation.",
     .fields = watch_fields,
     .payload_size = sizeof(struct watch_payload),
     .answer = watch_answer_fields,
     .rate_class = "join",
     .durability = EVENT_MEMORY,
     .fn = on_watch},
    {.name = "presence_unwatch",
     .help = "No longer follows these users.",
     .fields = watch_fields,
     .payload_size = sizeof(struct watch_payload),
     .rate_class = "join",
     .durability = EVENT_MEMORY,
     .fn = on_unwatch},
    {.name = NULL},
};

struct presence_emit {
    int type, status;
    cvn_slice userId, room, joined, left;
    int64_t since, count;
};

static const char *const types[] = {"status", "members", NULL};

static const struct field presence_fields[] = {
    FIELD_CHOICE(struct presence_emit, type, types, FIELD_REQUIRED,
                 "what has changed: a user's status, or who is in a room"),
    FIELD_ID(struct presence_emit, userId, FIELD_OPTIONAL, "status: whose"),
    FIELD_CHOICE(struct presence_emit, status, presence_status_names, FIELD_OPTIONAL,
                 "status: which"),
    FIELD_INTEGER(struct presence_emit, since, 0, 1LL << 53, 0,
                  "status: since when, Unix milliseconds"),
    FIELD_TEXT(struct presence_emit, room, 1, 300, FIELD_OPTIONAL, "members: of which room"),
    FIELD_JSON(struct presence_emit, joined, MAX_ANSWER, FIELD_OPTIONAL,
               "members: up to 100 who came, [{userId, name?, status}]"),
    FIELD_JSON(struct presence_emit, left, MAX_ANSWER, FIELD_OPTIONAL,
               "members: up to 100 who left, [userId]"),
    FIELD_INTEGER(struct presence_emit, count, 0, 1000000, 0, "members: how many there are now"),
    FIELD_END,
};

static const struct emit_descriptor emits[] = {
    {"presence",
     "Users whose status has changed, or who came into a joined room or left it; in bundles.",
     presence_fields, EVENT_EPHEMERAL},
    {NULL, NULL, NULL, EVENT_MEMORY},
};

const struct module presence_module = {
    .name = "presence",
    .nsp = "/",
    .help = "Presence and status of users.",
    .events = events,
    .emits = emits,
    .start = start,
    .stop = stop,
    .on_enter = on_enter,
    .on_leave = on_leave,
    .on_room_left = on_room_left,
};
