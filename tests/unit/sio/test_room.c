/*
 * Rooms: their rules one by one, then a random life of many sockets on two workers beside a model made of plain sets. After every few steps each
 * client must have received exactly what the model says, once.
 */
#include "io.h"

static void test_join_and_leave(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *a, *b;
    (void)state;
    io_start(io);
    struct client *client = io_joined(io, 0, &a), *other = io_joined(io, 0, &b);
    struct sio_local *local = a->local;

    assert_string_equal(cvn_socket_room(a, 0), cvn_socket_id(a));
    assert_null(cvn_socket_room(a, 1));
    assert_true(cvn_socket_in_room(a, cvn_socket_id(a)));
    assert_false(cvn_socket_in_room(a, cvn_socket_id(b)));
    assert_false(cvn_socket_in_room(a, "x"));

    assert_int_equal(cvn_join(a, "x"), CVN_OK);
    assert_int_equal(cvn_join(a, "x"), CVN_OK); /* again: nothing changes */
    assert_int_equal(cvn_join(a, "y"), CVN_OK);
    assert_int_equal(cvn_join(b, "x"), CVN_OK);
    assert_string_equal(cvn_socket_room(a, 1), "x");
    assert_string_equal(cvn_socket_room(a, 2), "y");
    assert_null(cvn_socket_room(a, 3));
    assert_int_equal(sio_room_find(local, SLICE("x"))->count, 2);

    cvn_leave(a, "x");
    cvn_leave(a, "x");
    cvn_leave(a, "never");
    assert_false(cvn_socket_in_room(a, "x"));
    assert_true(cvn_socket_in_room(a, "y"));
    assert_true(cvn_socket_in_room(b, "x"));
    cvn_leave(b, "x");
    assert_null(sio_room_find(local, SLICE("x"))); /* an empty room is no room */
    cvn_leave(b, NULL);

    cvn_leave(a, cvn_socket_id(a)); /* its own cannot be left */
    assert_true(cvn_socket_in_room(a, cvn_socket_id(a)));
    assert_int_equal(cvn_join(a, cvn_socket_id(a)), CVN_OK);
    assert_null(cvn_socket_room(a, 2));
    assert_int_equal(cvn_join(a, cvn_socket_id(b)), CVN_OK); /* but another's joined */
    assert_true(cvn_socket_in_room(a, cvn_socket_id(b)));

    assert_int_equal(cvn_join(a, ""), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_join(a, NULL), CVN_ERR_ARGUMENT);
    client_vanish(client, false);
    assert_null(sio_room_find(local, SLICE("y")));
    client_free(other);
    io_free(io);
}

/* Rooms of the same name in two namespaces are two rooms. */
static void test_namespaces_apart(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *root, *chat;
    (void)state;
    cvn_namespace *nsp = io_namespace(io, "/chat");
    io_start(io);
    struct client *client = io_joined(io, 0, &root);
    chat = io_join(client, "/chat");
    assert_int_equal(cvn_join(root, "x"), CVN_OK);
    assert_false(cvn_socket_in_room(chat, "x"));
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = nsp, .rooms = {"x"}}, "e", cvn_json("")),
                     CVN_OK);
    assert_ws_silent(client);
    client_free(client);
    io_free(io);
}

static void test_limit(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    char name[16];
    (void)state;
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "r%d", i);
        assert_int_equal(cvn_join(socket, name), CVN_OK);
    }
    assert_int_equal(cvn_join(socket, "more"), CVN_ERR_LIMIT);
    assert_null(sio_room_find(socket->local, SLICE("more")));
    assert_int_equal(cvn_join(socket, "r500"), CVN_OK); /* is in already */
    cvn_leave(socket, "r500");
    assert_int_equal(cvn_join(socket, "more"), CVN_OK);
    client_free(client);
    io_free(io);
}

/* Every allocation of a join fails once: it is said, and nothing has changed. */
static void test_no_memory(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    char name[16];
    unsigned failures = 0;
    (void)state;
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    for (int i = 0; i < 40; i++) {
        enum cvn_error error;
        uint64_t failing = 0;
        snprintf(name, sizeof name, "r%d", i);
        do {
            mem_fail_after(failing++, 1);
            error = cvn_join(socket, name);
            mem_fail_after(0, 0);
            if (error != CVN_OK) {
                assert_int_equal(error, CVN_ERR_MEMORY);
                assert_false(cvn_socket_in_room(socket, name));
                assert_null(sio_room_find(socket->local, cvn_str(name)));
                failures++;
            }
        } while (error != CVN_OK);
        assert_true(cvn_socket_in_room(socket, name));
    }
    assert_true(failures >= 80);
    client_free(client);
    io_free(io);
}

/* --- The model --- */

#define CLIENTS 14
#define ROOMS   7

static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)((random_state >> 33) % limit);
}

struct member {
    struct client *client;
    cvn_socket *socket;  /* NULL: not joined to the namespace */
    bool in[ROOMS];      /* the model */
    char expected[4096]; /* numbers of the broadcasts, "1 2 3 " */
};

struct model {
    struct io *io;
    struct member members[CLIENTS];
    unsigned number; /* of the last broadcast */
    unsigned deliveries;
};

static const char *const room_names[ROOMS] = {
    "a", "b", "c", "d", "e", "room with a long name", "\xc3\xa4"};

static void step_join_or_leave(struct member *member)
{
    unsigned room = random_below(ROOMS);
    if (random_below(2)) {
        assert_int_equal(cvn_join(member->socket, room_names[room]), CVN_OK);
        member->in[room] = true;
    } else {
        cvn_leave(member->socket, room_names[room]);
        member->in[room] = false;
    }
}

/* Some rooms and some sockets' ids, as names and as what they mean. */
static size_t pick(struct model *model, const char **names, size_t max, bool meant[CLIENTS])
{
    size_t count = random_below((unsigned)max + 1);
    for (size_t i = 0; i < count; i++) {
        unsigned choice = random_below(ROOMS + 4);
        if (choice < ROOMS) {
            names[i] = room_names[choice];
            for (size_t k = 0; k < CLIENTS; k++)
                meant[k] = meant[k] || model->members[k].in[choice];
        } else if (choice == ROOMS) {
            names[i] = "nobody's";
        } else {
            size_t k = random_below(CLIENTS);
            cvn_socket *socket = model->members[k].socket;
            names[i] = socket != NULL ? cvn_socket_id(socket) : "gone";
            meant[k] = meant[k] || socket != NULL;
        }
    }
    return count;
}

static void step_broadcast(struct model *model)
{
    bool in[CLIENTS] = {false}, out[CLIENTS] = {false};
    const char *rooms[12], *except[12];
    char json[16], number[16];
    size_t room_count = pick(model, rooms, random_below(4) ? 3 : 12, in);
    size_t except_count = pick(model, except, random_below(4) ? 2 : 12, out);
    cvn_target target = {.nsp = io_namespace(model->io, "/")};
    snprintf(json, sizeof json, "%u", ++model->number);
    if (random_below(2) && room_count <= CVN_TARGET_ROOMS && except_count <= CVN_TARGET_ROOMS) {
        memcpy(target.rooms, rooms, room_count * sizeof *rooms);
        memcpy(target.except, except, except_count * sizeof *except);
    } else { /* the lists behind pointers, or parted between both */
        size_t fixed = room_count > 2 ? 2 : 0;
        memcpy(target.rooms, rooms, fixed * sizeof *rooms);
        target.more_rooms = rooms + fixed;
        target.more_room_count = room_count - fixed;
        target.more_except = except;
        target.more_except_count = except_count;
    }
    assert_int_equal(cvn_emit(&target, "n", cvn_json(json)), CVN_OK);
    snprintf(number, sizeof number, "%u ", model->number);
    for (size_t k = 0; k < CLIENTS; k++) {
        struct member *member = &model->members[k];
        if (member->socket != NULL && (in[k] || room_count == 0) && !out[k]) {
            assert_true(strlen(member->expected) + sizeof number < sizeof member->expected);
            strcat(member->expected, number);
            model->deliveries++;
        }
    }
}

static void read_all(struct member *member)
{
    char received[sizeof member->expected] = "", number[16];
    size_t size = 0;
    client_turn(member->client);
    while (member->client->in_size > 0) {
        const char *text = io_read(member->client);
        assert_int_equal(sscanf(text, "42[\"n\",%15[0-9]]", number), 1);
        size += (size_t)snprintf(received + size, sizeof received - size, "%s ", number);
        assert_true(size < sizeof received);
    }
    assert_string_equal(received, member->expected);
    member->expected[0] = '\0';
}

/* Away from the namespace, or with the whole connection, or back. */
static void step_come_or_go(struct model *model, struct member *member, unsigned worker)
{
    read_all(member);
    if (member->socket == NULL) {
        member->socket = io_join(member->client, "/");
    } else if (random_below(3)) {
        cvn_disconnect(member->socket, false);
        assert_ws_text(member->client, "41");
        member->socket = NULL;
    } else {
        client_vanish(member->client, random_below(2));
        member->client = io_joined(model->io, worker, &member->socket);
    }
    memset(member->in, 0, sizeof member->in);
}

static void check(struct model *model)
{
    size_t memberships = 0, counted = 0, cursor;
    for (size_t k = 0; k < CLIENTS; k++) {
        struct member *member = &model->members[k];
        read_all(member);
        if (member->socket == NULL)
            continue;
        size_t rooms = 0;
        for (size_t room = 0; room < ROOMS; room++) {
            assert_int_equal(cvn_socket_in_room(member->socket, room_names[room]),
                             member->in[room]);
            rooms += member->in[room];
        }
        assert_non_null(cvn_socket_room(member->socket, rooms));
        assert_null(cvn_socket_room(member->socket, rooms + 1));
        memberships += rooms;
    }
    const cvn_namespace *nsp = io_namespace(model->io, "/");
    for (size_t i = 0; i < 2; i++) {
        const struct sio_room *room;
        cursor = 0;
        while ((room = map_next(&nsp->locals[i].rooms, &cursor)) != NULL) {
            assert_true(room->count > 0);
            counted += room->count;
        }
    }
    assert_int_equal(counted, memberships);
}

static void test_model(void **state)
{
    struct model model = {.io = io_new(2)};
    (void)state;
    random_state = 20261121;
    io_start(model.io);
    for (unsigned k = 0; k < CLIENTS; k++)
        model.members[k].client = io_joined(model.io, k % 2, &model.members[k].socket);
    for (int step = 0; step < 6000; step++) {
        unsigned k = random_below(CLIENTS), kind = random_below(100);
        struct member *member = &model.members[k];
        if (kind < 2)
            step_come_or_go(&model, member, k % 2);
        else if (kind < 60 && member->socket != NULL)
            step_join_or_leave(member);
        else
            step_broadcast(&model);
        if (step % 50 == 0)
            check(&model);
    }
    check(&model);
    assert_true(model.deliveries > 4000);
    for (size_t k = 0; k < CLIENTS; k++)
        client_free(model.members[k].client);
    io_free(model.io);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join_and_leave), cmocka_unit_test(test_namespaces_apart),
        cmocka_unit_test(test_limit),          cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
