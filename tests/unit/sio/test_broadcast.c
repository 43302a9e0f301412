/*
 * Emits: to one socket and to many. What a target means, what is refused before anything is sent, binary packets that stay whole, volatile
 * ones that a slow client does without, and one shared message for all.
 */
#include "io.h"

struct crowd {
    struct io *io;
    cvn_namespace *root;
    struct client *clients[3];
    cvn_socket *sockets[3];
};

static struct crowd crowd_new(void)
{
    struct crowd crowd = {.io = io_new(2)};
    crowd.root = io_namespace(crowd.io, "/");
    io_namespace(crowd.io, "/chat");
    io_start(crowd.io);
    for (unsigned i = 0; i < 3; i++)
        crowd.clients[i] = io_joined(crowd.io, i % 2, &crowd.sockets[i]);
    return crowd;
}

static void crowd_free(struct crowd *crowd)
{
    for (unsigned i = 0; i < 3; i++)
        client_free(crowd->clients[i]);
    io_free(crowd->io);
}

/* Bit i: client i got `text`; nobody got anything else. */
static void assert_reached(struct crowd *crowd, unsigned clients, const char *text)
{
    for (unsigned i = 0; i < 3; i++) {
        if (clients >> i & 1)
            assert_ws_text(crowd->clients[i], text);
        assert_ws_silent(crowd->clients[i]);
    }
}

static void test_others(void **state)
{
    struct crowd crowd = crowd_new();
    cvn_target others = cvn_others(crowd.sockets[0]);
    (void)state;
    assert_int_equal(cvn_emit(&others, "n", cvn_json("1")), CVN_OK);
    assert_reached(&crowd, 6, "42[\"n\",1]");
    for (int i = 0; i < 2; i++)
        assert_int_equal(cvn_join(crowd.sockets[i], "x"), CVN_OK);
    others.rooms[0] = "x";
    assert_int_equal(cvn_emit(&others, "n", cvn_json("2")), CVN_OK);
    assert_reached(&crowd, 2, "42[\"n\",2]");
    crowd_free(&crowd);
}

static void test_targets(void **state)
{
    struct crowd crowd = crowd_new();
    cvn_namespace *root = crowd.root;
    const char *a = cvn_socket_id(crowd.sockets[0]), *b = cvn_socket_id(crowd.sockets[1]);
    const char *many[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "x", "x"};
    (void)state;
    assert_int_equal(cvn_join(crowd.sockets[0], "x"), CVN_OK);
    assert_int_equal(cvn_join(crowd.sockets[1], "x"), CVN_OK);
    assert_int_equal(cvn_join(crowd.sockets[1], "y"), CVN_OK);
    assert_int_equal(cvn_join(crowd.sockets[2], "y"), CVN_OK);
    assert_int_equal(cvn_join(crowd.sockets[2], a), CVN_OK); /* a room of a's name */

    const struct {
        cvn_target target;
        unsigned reached;
    } cases[] = {
        {{.nsp = root}, 7},
        {{.nsp = root, .rooms = {"x"}}, 3},
        {{.nsp = root, .rooms = {"x", "y"}}, 7},
        {{.nsp = root, .rooms = {"x", "x", "x"}}, 3},
        {{.nsp = root, .rooms = {"x"}, .except = {"y"}}, 1},
        {{.nsp = root, .except = {"x"}}, 4},
        {{.nsp = root, .except = {"x", "y"}}, 0},
        {{.nsp = root, .except = {"nobody's"}}, 7},
        {{.nsp = root, .rooms = {"nobody's"}}, 0},
        {{.nsp = root, .rooms = {""}}, 0},        /* a room without a name is not everybody */
        {{.nsp = root, .rooms = {NULL, "x"}}, 7}, /* the list ends at the first NULL */
        {{.nsp = root, .rooms = {b}}, 2},
        {{.nsp = root, .rooms = {a}}, 5},
        {{.nsp = root, .rooms = {a}, .except = {a}}, 0},
        {{.nsp = root, .except = {b}}, 5},
        {{.nsp = root, .rooms = {"x", b}, .except = {a}}, 2},
        {{.nsp = root, .more_rooms = many, .more_room_count = 11}, 3},
        {{.nsp = root, .more_rooms = many, .more_room_count = 9}, 0},
        {{.nsp = root, .more_except = many, .more_except_count = 11}, 4},
        {{.nsp = root,
          .rooms = {"1", "2", "3", "4", "5", "6", "7", "x"},
          .more_rooms = (const char *[]){"y"},
          .more_room_count = 1,
          .except = {"1", "2", "3", "4", "5", "6", "7", b},
          .more_except = (const char *[]){a},
          .more_except_count = 1},
         0},
        {{.nsp = root,
          .rooms = {"1", "2", "3", "4", "5", "6", "7", "8"},
          .more_rooms = (const char *[]){"y"},
          .more_room_count = 1},
         6},
        {{.nsp = io_namespace(crowd.io, "/chat")}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[16], expected[32];
        snprintf(json, sizeof json, "%zu", i);
        snprintf(expected, sizeof expected, "42[\"n\",%zu]", i);
        assert_int_equal(cvn_emit(&cases[i].target, "n", cvn_json(json)), CVN_OK);
        assert_reached(&crowd, cases[i].reached, expected);
    }
    crowd_free(&crowd);
}

/* What is malformed goes to nobody: one bad packet would end every receiver's connection. */
static void test_refusals(void **state)
{
    struct crowd crowd = crowd_new();
    const cvn_slice bytes[65] = {SLICE("x")};
    const cvn_target all = {.nsp = crowd.root};
    static const char placeholder[] = "{\"_placeholder\":true,\"num\":1}";
    (void)state;
    assert_int_equal(cvn_emit(&(cvn_target){0}, "n", cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit(&all, NULL, cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit(&all, "", cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit(&all, "connect", cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit(&all, "n", cvn_json("1,")), CVN_ERR_JSON);
    assert_int_equal(cvn_emit(&all, "n", cvn_json("1],[2")), CVN_ERR_JSON);
    assert_int_equal(cvn_emit(&all, "n", (cvn_args){cvn_str(placeholder), bytes, 1}), CVN_ERR_JSON);
    assert_int_equal(cvn_emit(&all, "n", (cvn_args){SLICE(""), bytes, 65}), CVN_ERR_LIMIT);
    cvn_socket *socket = crowd.sockets[0];
    assert_int_equal(cvn_socket_emit(socket, NULL, cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_socket_emit(socket, "disconnect", cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_socket_emit(socket, "n", cvn_json("'")), CVN_ERR_JSON);
    assert_int_equal(crowd.io->broadcasts, 0);
    assert_reached(&crowd, 0, NULL);
    crowd_free(&crowd);

    struct io *io = io_new(1); /* and nothing before the start */
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = io_namespace(io, "/")}, "n", cvn_json("")),
                     CVN_ERR_STATE);
    io_start(io);
    io_free(io);
}

static void test_no_memory(void **state)
{
    struct crowd crowd = crowd_new();
    const char *many[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9"};
    const cvn_slice bytes[] = {SLICE("1"), SLICE("2")};
    const cvn_target target = {.nsp = crowd.root, .more_except = many, .more_except_count = 9};
    const cvn_args args = {SLICE("{\"_placeholder\":true,\"num\":1}"), bytes, 2};
    (void)state;
    /* The text, two attachments, the list of names: said, and nobody gets anything. */
    for (uint64_t failing = 0; failing < 4; failing++) {
        mem_fail_after(failing, 1);
        assert_int_equal(cvn_emit(&target, "n", args), CVN_ERR_MEMORY);
        mem_fail_after(0, 0);
        assert_reached(&crowd, 0, NULL);
    }
    assert_int_equal(cvn_emit(&target, "n", args), CVN_OK);
    for (int i = 0; i < 3; i++) {
        assert_ws_text(crowd.clients[i], "452-[\"n\",{\"_placeholder\":true,\"num\":1}]");
        assert_binary(crowd.clients[i], bytes[0]);
        assert_binary(crowd.clients[i], bytes[1]);
        assert_ws_silent(crowd.clients[i]);
    }
    /* No room in one client's queue costs that client, and it alone. */
    mem_fail_after(1, 1);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = crowd.root}, "n", cvn_json("")), CVN_OK);
    mem_fail_after(0, 0);
    unsigned reached = 0, ended = 0;
    for (int i = 0; i < 3; i++) {
        client_turn(crowd.clients[i]);
        ended += crowd.clients[i]->ended;
        if (!crowd.clients[i]->ended) {
            assert_ws_text(crowd.clients[i], "42[\"n\"]");
            reached++;
        }
    }
    assert_true(ended <= 1);
    assert_int_equal(reached + ended, 3);
    crowd_free(&crowd);
}

static void test_one_socket(void **state)
{
    struct crowd crowd = crowd_new();
    const cvn_slice bytes[] = {SLICE("\0\xff")};
    (void)state;
    assert_int_equal(cvn_socket_emit(crowd.sockets[1], "n", cvn_json("1,2")), CVN_OK);
    assert_reached(&crowd, 2, "42[\"n\",1,2]");
    assert_int_equal(
        cvn_socket_emit(crowd.sockets[1], "n",
                        (cvn_args){SLICE("{\"_placeholder\":true,\"num\":0}"), bytes, 1}),
        CVN_OK);
    assert_ws_text(crowd.clients[1], "451-[\"n\",{\"_placeholder\":true,\"num\":0}]");
    assert_binary(crowd.clients[1], bytes[0]);
    assert_int_equal(cvn_socket_emit_volatile(crowd.sockets[2], "v", cvn_json("")), CVN_OK);
    assert_reached(&crowd, 4, "42[\"v\"]");
    crowd_free(&crowd);
}

/* A polling client without a pending poll cannot take a volatile packet now; a whole one, attachments and all, is left out. */
static void test_volatile_polling(void **state)
{
    struct io *io = io_new(1);
    const cvn_slice bytes[] = {SLICE("x")};
    const cvn_args binary = {SLICE("{\"_placeholder\":true,\"num\":0}"), bytes, 1};
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    cvn_namespace *root = io_namespace(io, "/");
    cvn_on_connection(root, io_on_connection, (void *)"in");
    io_start(io);
    struct client *client = client_new(io->world);
    polling_open(client, sid);
    assert_post(client, sid, "40");
    assert_int_equal(http_exchange(client, "GET", sid_target(sid), "", NULL)->status, 200);

    const cvn_target target = {.nsp = root, .flags = CVN_VOLATILE};
    assert_int_equal(cvn_emit(&target, "dropped", cvn_json("")), CVN_OK);
    assert_int_equal(cvn_emit(&target, "dropped", binary), CVN_OK);
    assert_int_equal(cvn_socket_emit_volatile(io->last, "dropped", binary), CVN_OK);
    assert_int_equal(cvn_socket_emit(io->last, "kept", cvn_json("")), CVN_OK);
    assert_poll(client, sid, "42[\"kept\"]");

    poll_pending(client, sid);
    assert_int_equal(cvn_emit(&target, "taken", binary), CVN_OK);
    assert_polled(client, "451-[\"taken\",{\"_placeholder\":true,\"num\":0}]\x1e"
                          "beA==");
    client_free(client);
    io_free(io);
}

/* A WebSocket whose client does not read: volatile packets are dropped above the high mark, and beyond the hard one it ends, it alone. */
static void test_slow_consumer(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *slow, *quick;
    size_t size = 100000;
    char *json = malloc(size + 1);
    (void)state;
    assert_non_null(json);
    memset(json, '"', size);
    memset(json + 1, 'x', size - 2);
    json[size] = '\0';
    cvn_namespace *root = io_namespace(io, "/");
    cvn_on_disconnect(root, io_on_leave, (void *)"left");
    io->world->limits = (struct conn_limits){.high_water = 1 << 20, .max = 4 << 20};
    io->world->options.send_high_water = 1 << 20;
    io->world->options.send_max = 4 << 20;
    io_start(io);
    struct client *client = io_joined(io, 0, &slow), *other = io_joined(io, 0, &quick);
    const cvn_target all = {.nsp = root}, dropping = {.nsp = root, .flags = CVN_VOLATILE};
    const struct eio_session *session = slow->client->session;
    unsigned sent = 0;
    /* Fill the kernel's buffers, then ours. */
    while (eio_session_queued(session) <= 1 << 20) {
        assert_int_equal(cvn_emit(&all, "n", cvn_json(json)), CVN_OK);
        client_turn(other);
        assert_true(sent++ < 1000);
        unsigned opcode = 0;
        char *data = NULL;
        size_t got = 0;
        assert_true(ws_receive(other, &opcode, &data, &got));
    }
    size_t queued = eio_session_queued(session);
    for (int i = 0; i < 20; i++)
        assert_int_equal(cvn_emit(&dropping, "v", cvn_json("1")), CVN_OK);
    assert_int_equal(eio_session_queued(session), queued);
    for (int i = 0; i < 20; i++)
        assert_ws_text(other, "42[\"v\",1]");
    assert_reported("");
    for (int i = 0; i < 60; i++)
        assert_int_equal(cvn_emit(&(cvn_target){.nsp = root, .except = {cvn_socket_id(quick)}}, "n",
                                  cvn_json(json)),
                         CVN_OK);
    world_turn(io->world);
    assert_reported("left(slow consumer);");
    assert_int_equal(cvn_emit(&all, "after", cvn_json("")), CVN_OK);
    assert_ws_text(other, "42[\"after\"]");
    client_free(client);
    client_free(other);
    io_free(io);
    free(json);
}

/* Emits of one thread come in their order, whatever kind they are. */
static void test_order(void **state)
{
    struct crowd crowd = crowd_new();
    char json[16], expected[32];
    (void)state;
    assert_int_equal(cvn_join(crowd.sockets[0], "x"), CVN_OK);
    for (int i = 0; i < 100; i++) {
        snprintf(json, sizeof json, "%d", i);
        if (i % 3 == 0)
            assert_int_equal(cvn_socket_emit(crowd.sockets[0], "n", cvn_json(json)), CVN_OK);
        else
            assert_int_equal(
                cvn_emit(&(cvn_target){.nsp = crowd.root, .rooms = {i % 3 == 1 ? "x" : NULL}}, "n",
                         cvn_json(json)),
                CVN_OK);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(expected, sizeof expected, "42[\"n\",%d]", i);
        assert_ws_text(crowd.clients[0], expected);
    }
    crowd_free(&crowd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others),        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_one_socket),    cmocka_unit_test(test_volatile_polling),
        cmocka_unit_test(test_slow_consumer), cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
