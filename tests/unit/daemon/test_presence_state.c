/* Presence against a simple model: random walks of sockets that come, go, join, part and choose; whoever listens to what is told must know afterwards
 * what is so. Time is a number. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "modules/presence_state.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define USERS   4
#define ROOMS   3
#define SOCKETS 10

static const char *const user_ids[USERS] = {"ada", "bo\"b", "çelik", "dan"};
static const char *const orgs[USERS] = {"acme", "acme", "other", NULL};
static const char *const room_names[ROOMS] = {"org:acme", "course:a\\b", "board:1"};

struct model_place {
    bool exists, is_told;
    size_t sockets;
    int64_t gone_at;
};

struct walk {
    struct presence_state *state;
    int64_t now, grace;
    uint64_t random;
    struct {
        bool is_open, joined[ROOMS];
        size_t user;
    } sockets[SOCKETS];
    struct {
        bool exists;
        size_t sockets;
        int64_t gone_at;
        int chosen;
    } users[USERS];
    struct model_place places[USERS][ROOMS];
    /* What somebody knows who hears everything. */
    int heard_status[USERS];
    bool heard_member[USERS][ROOMS];
    int64_t heard_count[ROOMS];
};

static size_t pick(struct walk *walk, size_t count)
{
    walk->random = walk->random * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(walk->random >> 33) % count;
}

static size_t index_of(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fail_msg("nobody knows %s", name);
    return 0;
}

static bool is_past(const struct walk *walk, size_t sockets, int64_t gone_at)
{
    return sockets == 0 && walk->now >= gone_at + walk->grace;
}

static int status_now(const struct walk *walk, size_t user)
{
    if (!walk->users[user].exists ||
        is_past(walk, walk->users[user].sockets, walk->users[user].gone_at))
        return PRESENCE_OFFLINE;
    return walk->users[user].chosen;
}

/* --- Steps --- */

static void enter(struct walk *walk, size_t socket)
{
    size_t user = pick(walk, USERS);
    bool is_new = false;
    assert_true(
        presence_state_enter(walk->state, user_ids[user], orgs[user], NULL, walk->now, &is_new));
    assert_int_equal(is_new, !walk->users[user].exists);
    if (is_new)
        walk->users[user].chosen = PRESENCE_ONLINE;
    walk->users[user].exists = true;
    walk->users[user].sockets++;
    walk->sockets[socket].is_open = true;
    walk->sockets[socket].user = user;
}

static void part(struct walk *walk, size_t socket, size_t room)
{
    size_t user = walk->sockets[socket].user;
    struct model_place *place = &walk->places[user][room];
    presence_state_part(walk->state, room_names[room], user_ids[user], walk->now);
    walk->sockets[socket].joined[room] = false;
    if (--place->sockets == 0)
        place->gone_at = walk->now;
}

static void leave(struct walk *walk, size_t socket)
{
    size_t user = walk->sockets[socket].user;
    for (size_t i = 0; i < ROOMS; i++)
        if (walk->sockets[socket].joined[i])
            part(walk, socket, i);
    presence_state_leave(walk->state, user_ids[user], walk->now);
    walk->sockets[socket].is_open = false;
    if (--walk->users[user].sockets == 0)
        walk->users[user].gone_at = walk->now;
}

static void join(struct walk *walk, size_t socket, size_t room)
{
    size_t user = walk->sockets[socket].user;
    assert_true(presence_state_join(walk->state, room_names[room], user_ids[user]));
    walk->sockets[socket].joined[room] = true;
    walk->places[user][room].exists = true;
    walk->places[user][room].sockets++;
}

static void choose(struct walk *walk)
{
    size_t user = pick(walk, USERS);
    int status = (int)pick(walk, 4);
    presence_state_choose(walk->state, user_ids[user], (enum presence_status)status, walk->now);
    if (walk->users[user].exists)
        walk->users[user].chosen = status;
}

/* --- Hearing --- */

static void hear_status(struct walk *walk, const char *const *rooms, const json_t *json)
{
    char watch[PRESENCE_WATCH_ROOM_SIZE];
    size_t user = index_of(user_ids, USERS, json_string_value(json_object_get(json, "userId")));
    size_t expected = 1, count = 0;
    presence_state_watch_room(orgs[user], user_ids[user], watch);
    assert_string_equal(rooms[0], watch);
    for (size_t i = 0; i < ROOMS; i++)
        expected += walk->places[user][i].exists;
    while (rooms[count] != NULL)
        count++;
    assert_int_equal(count, expected);
    int status =
        (int)index_of(presence_status_names, 4, json_string_value(json_object_get(json, "status")));
    assert_int_not_equal(status, walk->heard_status[user]); /* nothing is told twice */
    assert_true(json_integer_value(json_object_get(json, "since")) <= walk->now);
    walk->heard_status[user] = status;
}

static void hear_members(struct walk *walk, const char *const *rooms, const json_t *json)
{
    size_t room = index_of(room_names, ROOMS, json_string_value(json_object_get(json, "room")));
    const json_t *joined = json_object_get(json, "joined"), *left = json_object_get(json, "left");
    assert_string_equal(rooms[0], room_names[room]);
    assert_null(rooms[1]);
    assert_true(json_array_size(joined) + json_array_size(left) > 0);
    for (size_t i = 0; i < json_array_size(joined); i++) {
        const json_t *member = json_array_get(joined, i);
        size_t user =
            index_of(user_ids, USERS, json_string_value(json_object_get(member, "userId")));
        assert_false(walk->heard_member[user][room]);
        assert_string_equal(json_string_value(json_object_get(member, "status")),
                            presence_status_names[status_now(walk, user)]);
        walk->heard_member[user][room] = true;
    }
    for (size_t i = 0; i < json_array_size(left); i++)
        walk->heard_member[index_of(user_ids, USERS, json_string_value(json_array_get(left, i)))]
                          [room] = false;
    walk->heard_count[room] = json_integer_value(json_object_get(json, "count"));
}

static void hear(const char *const *rooms, cvn_slice text, void *data)
{
    json_t *json = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    const char *type = json_string_value(json_object_get(json, "type"));
    assert_non_null(type);
    if (strcmp(type, "status") == 0)
        hear_status(data, rooms, json);
    else
        hear_members(data, rooms, json);
    json_decref(json);
}

static void flush(struct walk *walk)
{
    for (size_t u = 0; u < USERS; u++)
        for (size_t r = 0; r < ROOMS; r++) {
            struct model_place *place = &walk->places[u][r];
            if (place->exists && place->sockets > 0)
                place->is_told = true;
            if (place->exists && is_past(walk, place->sockets, place->gone_at))
                *place = (struct model_place){0};
        }
    presence_state_flush(walk->state, walk->now, hear, walk);
    for (size_t u = 0; u < USERS; u++) {
        assert_int_equal(walk->heard_status[u], status_now(walk, u));
        if (walk->users[u].exists && is_past(walk, walk->users[u].sockets, walk->users[u].gone_at))
            walk->users[u].exists = false;
    }
    for (size_t r = 0; r < ROOMS; r++) {
        int64_t count = 0;
        bool has_waiting = false;
        for (size_t u = 0; u < USERS; u++) {
            const struct model_place *place = &walk->places[u][r];
            assert_int_equal(walk->heard_member[u][r], place->exists && place->is_told);
            count += place->exists;
            has_waiting |= place->exists && place->sockets == 0;
        }
        if (!has_waiting)
            assert_int_equal(walk->heard_count[r], count);
    }
}

/* What is answered to who asks, at any time. */
static void look(const struct walk *walk)
{
    for (size_t r = 0; r < ROOMS; r++) {
        cvn_text *text = cvn_text_new(65536);
        size_t count = 0;
        presence_state_append_room(walk->state, room_names[r], walk->now, text);
        cvn_slice slice = cvn_text_slice(text);
        json_t *json = json_loadb(slice.data, slice.size, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        for (size_t u = 0; u < USERS; u++)
            count += walk->places[u][r].exists;
        assert_int_equal(json_integer_value(json_object_get(json, "count")), count);
        assert_int_equal(json_array_size(json_object_get(json, "members")), count);
        json_decref(json);
        cvn_text_free(text);
    }
    for (size_t u = 0; u < USERS; u++) {
        cvn_text *text = cvn_text_new(4096);
        presence_state_append_user(walk->state, user_ids[u], "acme", walk->now, text);
        cvn_slice slice = cvn_text_slice(text);
        json_t *json = json_loadb(slice.data, slice.size, JSON_REJECT_DUPLICATES, NULL);
        bool may_see = orgs[u] != NULL && strcmp(orgs[u], "acme") == 0;
        assert_string_equal(
            json_string_value(json_object_get(json, "status")),
            presence_status_names[may_see ? status_now(walk, u) : PRESENCE_OFFLINE]);
        json_decref(json);
        cvn_text_free(text);
    }
}

static void step(struct walk *walk)
{
    size_t socket = pick(walk, SOCKETS), room = pick(walk, ROOMS), what = pick(walk, 10);
    bool is_open = walk->sockets[socket].is_open;
    if (!is_open && what < 5)
        enter(walk, socket);
    else if (is_open && what < 2)
        leave(walk, socket);
    else if (is_open && what < 6 && walk->sockets[socket].joined[room])
        part(walk, socket, room);
    else if (is_open && what < 6)
        join(walk, socket, room);
    else if (what == 6)
        choose(walk);
    else if (what == 7)
        flush(walk);
    else
        walk->now += (int64_t)pick(walk, 60);
}

static void test_random_walks(void **state)
{
    static const uint32_t graces[] = {0, 1, 50, 1000};
    (void)state;
    for (uint64_t seed = 0; seed < 120; seed++) {
        struct walk walk = {.random = seed * 7919 + 1, .now = 1000, .grace = graces[seed % 4]};
        walk.state = presence_state_new(graces[seed % 4]);
        assert_non_null(walk.state);
        for (size_t i = 0; i < USERS; i++)
            walk.heard_status[i] = PRESENCE_OFFLINE;
        for (int i = 0; i < 400; i++) {
            step(&walk);
            if (i % 8 == 0)
                look(&walk);
        }
        if (seed % 2 == 0) { /* everybody goes; else it is freed as it is */
            for (size_t i = 0; i < SOCKETS; i++)
                if (walk.sockets[i].is_open)
                    leave(&walk, i);
            walk.now += walk.grace;
            flush(&walk);
            look(&walk);
            for (size_t u = 0; u < USERS; u++)
                assert_int_equal(walk.heard_status[u], PRESENCE_OFFLINE);
            for (size_t r = 0; r < ROOMS; r++)
                assert_int_equal(walk.heard_count[r], 0);
        }
        presence_state_free(walk.state);
    }
}

/* --- Bundles --- */

static void count_bundle(const char *const *rooms, cvn_slice text, void *data)
{
    json_t *json = json_loadb(text.data, text.size, 0, NULL);
    size_t *named = data;
    (void)rooms;
    assert_non_null(json);
    if (json_object_get(json, "joined") != NULL) {
        *named += json_array_size(json_object_get(json, "joined")) +
                  json_array_size(json_object_get(json, "left"));
    }
    json_decref(json);
}

/* The longest ids and names, which quotes make twice as long: still told, a hundred of them by name. */
static void test_a_bundle_of_the_longest_names(void **state)
{
    struct presence_state *presence = presence_state_new(0);
    char id[129], name[257];
    size_t named = 0;
    bool is_new;
    (void)state;
    assert_non_null(presence);
    memset(name, '"', 256);
    name[256] = '\0';
    for (int i = 0; i < 150; i++) {
        memset(id, '\\', 128);
        snprintf(id + 120, 9, "%08d", i);
        assert_true(presence_state_enter(presence, id, "acme", name, 1, &is_new));
        assert_true(presence_state_join(presence, "org:acme", id));
    }
    presence_state_flush(presence, 2, count_bundle, &named);
    assert_int_equal(named, PRESENCE_MAX_NAMED);
    for (int i = 0; i < 150; i++) {
        memset(id, '\\', 128);
        snprintf(id + 120, 9, "%08d", i);
        presence_state_part(presence, "org:acme", id, 3);
        presence_state_leave(presence, id, 3);
    }
    named = 0;
    presence_state_flush(presence, 4, count_bundle, &named);
    assert_int_equal(named, PRESENCE_MAX_NAMED);
    presence_state_free(presence);
    presence_state_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_walks),
        cmocka_unit_test(test_a_bundle_of_the_longest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
