/*
 * What is done to many sockets at once, across two workers whose loops are turned by hand: changes of rooms, disconnects, acknowledgements of
 * a broadcast, and who is there. Asked on a worker, from a thread that is none, with memory running out, and when the server ends.
 */
#include <pthread.h>
#include "sio/io.h"
#include <convene/sockets.h>
#include "cluster/adapter_workers.h"

#define CLIENTS 3 /* 0 and 2 on worker 0, 1 on worker 1 */

struct crowd {
    struct io *io;
    cvn_namespace *root;
    struct client *clients[CLIENTS];
    cvn_socket *sockets[CLIENTS];
};

static struct crowd crowd_new(void)
{
    struct crowd crowd = {.io = io_new(2)};
    crowd.root = io_namespace(crowd.io, "/");
    cvn_on_disconnect(crowd.root, io_on_leave, (void *)"left");
    crowd.io->server.adapter = adapter_workers_new(&crowd.io->server);
    assert_non_null(crowd.io->server.adapter);
    io_start(crowd.io);
    for (unsigned i = 0; i < CLIENTS; i++)
        crowd.clients[i] = io_joined(crowd.io, i % 2, &crowd.sockets[i]);
    worker_enter(&crowd.io->world->workers[0]);
    return crowd;
}

static void crowd_free(struct crowd *crowd)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (crowd->clients[i] != NULL)
            client_free(crowd->clients[i]);
    io_free(crowd->io);
}

static void turn(struct crowd *crowd)
{
    world_turn(crowd->io->world);
    worker_enter(&crowd->io->world->workers[0]);
}

/* What answers and look-ups brought; it outlives the server, whose end some of them tell. */
static char told[4096];

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
    va_list args;
    size_t size = strlen(told);
    va_start(args, format);
    vsnprintf(told + size, sizeof told - size, format, args);
    va_end(args);
}

static void assert_told(const char *expected)
{
    assert_string_equal(told, expected);
    told[0] = '\0';
}

/* --- Changes --- */

static void test_rooms(void **state)
{
    struct crowd crowd = crowd_new();
    const cvn_target all = {.nsp = crowd.root};
    const cvn_target but_first = {.nsp = crowd.root, .except = {crowd.sockets[0]->id}};
    (void)state;
    assert_int_equal(cvn_sockets_join(&all, "r"), CVN_OK);
    assert_true(cvn_socket_in_room(crowd.sockets[0], "r"));
    assert_false(cvn_socket_in_room(crowd.sockets[1], "r")); /* its worker has not turned yet */
    turn(&crowd);
    for (int i = 0; i < CLIENTS; i++)
        assert_true(cvn_socket_in_room(crowd.sockets[i], "r"));
    assert_int_equal(cvn_sockets_leave(&but_first, "r"), CVN_OK);
    turn(&crowd);
    assert_true(cvn_socket_in_room(crowd.sockets[0], "r"));
    assert_false(cvn_socket_in_room(crowd.sockets[1], "r"));
    assert_false(cvn_socket_in_room(crowd.sockets[2], "r"));
    /* The target may be the room that it changes. */
    assert_int_equal(cvn_sockets_join(&all, "r"), CVN_OK);
    turn(&crowd);
    assert_int_equal(cvn_sockets_leave(&(cvn_target){.nsp = crowd.root, .rooms = {"r"}}, "r"),
                     CVN_OK);
    turn(&crowd);
    for (int i = 0; i < CLIENTS; i++)
        assert_false(cvn_socket_in_room(crowd.sockets[i], "r"));
    assert_int_equal(cvn_sockets_join(&all, ""), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_sockets_join(&all, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_sockets_leave(&(cvn_target){0}, "r"), CVN_ERR_ARGUMENT);
    crowd_free(&crowd);
}

static void test_disconnect(void **state)
{
    struct crowd crowd = crowd_new();
    const cvn_target one = {.nsp = crowd.root, .rooms = {crowd.sockets[1]->id}};
    (void)state;
    assert_int_equal(cvn_sockets_disconnect(&one, false), CVN_OK);
    turn(&crowd);
    assert_reported("left(server namespace disconnect);");
    assert_ws_text(crowd.clients[1], "41");
    assert_ws_silent(crowd.clients[1]);
    assert_int_equal(cvn_sockets_disconnect(&(cvn_target){.nsp = crowd.root}, true), CVN_OK);
    turn(&crowd);
    assert_reported("left(server namespace disconnect);left(server namespace disconnect);");
    for (int i = 0; i < CLIENTS; i += 2) {
        assert_ws_text(crowd.clients[i], "41");
        assert_ws_closed(crowd.clients[i], 1005);
    }
    crowd_free(&crowd);
}

/* --- Acknowledgements --- */

static void on_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    tell("%s=%d,%zu/%zu:", (const char *)data, (int)error, answers->count, answers->asked);
    for (size_t i = 0; i < answers->count; i++) {
        cvn_args args = answers->items[i].args;
        tell("%.*s", SLICE_ARG(args.json));
        for (size_t k = 0; k < args.attachment_count; k++)
            tell("<%.*s>", SLICE_ARG(args.attachments[k]));
        assert_int_equal(strlen(answers->items[i].socket_id), SIO_ID_SIZE);
        tell(",");
    }
    tell(";");
}

static enum cvn_error ask(const struct crowd *crowd, unsigned flags, const char *name)
{
    return cvn_emit_ack(&(cvn_target){.nsp = crowd->root, .flags = flags}, "q", cvn_json("1"), 1000,
                        on_answers, (void *)name);
}

/* The id under which the client was asked. */
static unsigned asked_id(struct client *client)
{
    unsigned id = 0;
    char tail = '\0';
    assert_int_equal(sscanf(io_read(client), "42%u[\"q\",1%c", &id, &tail), 2);
    assert_int_equal(tail, ']');
    return id;
}

static void answer(struct client *client, unsigned id, const char *json)
{
    char text[64];
    snprintf(text, sizeof text, "43%u[%s]", id, json);
    ws_send(client, text);
}

static void test_all_answer(void **state)
{
    struct crowd crowd = crowd_new();
    (void)state;
    assert_int_equal(ask(&crowd, 0, "q"), CVN_OK);
    unsigned id = asked_id(crowd.clients[0]);
    for (int i = 1; i < CLIENTS; i++)
        assert_int_equal(asked_id(crowd.clients[i]), id); /* one packet for all */
    answer(crowd.clients[1], id, "\"b\"");
    answer(crowd.clients[1], id, "\"again\""); /* once is enough */
    answer(crowd.clients[0], id, "\"a\"");
    assert_told("");
    answer(crowd.clients[2], id, "");
    turn(&crowd);
    assert_told("q=0,3/3:\"b\",\"a\",,;");
    /* Another question has another number, and each socket's own questions keep theirs. */
    assert_int_equal(ask(&crowd, 0, "q"), CVN_OK);
    assert_int_equal(asked_id(crowd.clients[0]), id + 1);
    crowd_free(&crowd);
    assert_told("q=3,0/3:;");
}

static void test_binary_answers(void **state)
{
    struct crowd crowd = crowd_new();
    char text[80];
    (void)state;
    assert_int_equal(cvn_emit_ack(&(cvn_target){.nsp = crowd.root, .rooms = {crowd.sockets[1]->id}},
                                  "q", cvn_json("1"), 1000, on_answers, (void *)"q"),
                     CVN_OK);
    unsigned id = asked_id(crowd.clients[1]);
    snprintf(text, sizeof text, "461-%u[{\"_placeholder\":true,\"num\":0}]", id);
    ws_send(crowd.clients[1], text);
    ws_send_frame(crowd.clients[1], 0x82, "bin", 3);
    turn(&crowd);
    assert_told("q=0,1/1:{\"_placeholder\":true,\"num\":0}<bin>,;");
    assert_ws_silent(crowd.clients[0]);
    crowd_free(&crowd);
}

static void test_nobody_to_ask(void **state)
{
    struct crowd crowd = crowd_new();
    (void)state;
    assert_int_equal(cvn_emit_ack(&(cvn_target){.nsp = crowd.root, .rooms = {"empty"}}, "q",
                                  cvn_json("1"), 1000, on_answers, (void *)"q"),
                     CVN_OK);
    assert_told(""); /* never before the call returns */
    turn(&crowd);
    assert_told("q=0,0/0:;");
    crowd_free(&crowd);
}

static void test_partial_results(void **state)
{
    struct crowd crowd = crowd_new();
    (void)state;
    assert_int_equal(ask(&crowd, 0, "late"), CVN_OK);
    unsigned id = asked_id(crowd.clients[1]);
    answer(crowd.clients[1], id, "1");
    world_advance(crowd.io->world, 999);
    assert_told("");
    world_advance(crowd.io->world, 1);
    assert_told("late=9,1/3:1,;");
    answer(crowd.clients[0], id, "2"); /* too late for anybody */
    assert_told("");

    worker_enter(&crowd.io->world->workers[0]);
    assert_int_equal(ask(&crowd, 0, "gone"), CVN_OK);
    turn(&crowd);
    answer(crowd.clients[0], id + 1, "1");
    answer(crowd.clients[2], id + 1, "2");
    client_free(crowd.clients[1]);
    crowd.clients[1] = NULL;
    turn(&crowd);
    assert_told("gone=3,2/3:1,2,;");
    assert_reported("left(transport close);");
    crowd_free(&crowd);
}

/* One that owes too many already is not asked; what it would have said is missing. */
static void test_who_owes_too_much(void **state)
{
    struct crowd crowd = crowd_new();
    (void)state;
    for (int i = 0; i < 4; i++) /* io_new's limit */
        assert_int_equal(
            cvn_emit_ack(&(cvn_target){.nsp = crowd.root, .rooms = {crowd.sockets[0]->id}}, "q",
                         cvn_json("1"), 100, on_answers, (void *)"x"),
            CVN_OK);
    assert_int_equal(ask(&crowd, 0, "q"), CVN_OK);
    turn(&crowd);
    unsigned id = asked_id(crowd.clients[1]);
    answer(crowd.clients[1], id, "1");
    answer(crowd.clients[2], id, "2");
    turn(&crowd);
    assert_told("q=4,2/3:1,2,;");
    crowd_free(&crowd);
    assert_told("x=3,0/1:;x=3,0/1:;x=3,0/1:;x=3,0/1:;");
}

static void test_own_worker_only(void **state)
{
    struct crowd crowd = crowd_new();
    (void)state;
    assert_int_equal(ask(&crowd, CVN_LOCAL_WORKER, "q"), CVN_OK);
    unsigned id = asked_id(crowd.clients[0]);
    assert_int_equal(asked_id(crowd.clients[2]), id);
    assert_ws_silent(crowd.clients[1]);
    answer(crowd.clients[0], id, "1");
    answer(crowd.clients[2], id, "2");
    turn(&crowd);
    assert_told("q=0,2/2:1,2,;");
    crowd_free(&crowd);
}

static void test_refusals(void **state)
{
    struct crowd crowd = crowd_new();
    const cvn_target all = {.nsp = crowd.root};
    (void)state;
    assert_int_equal(cvn_emit_ack(&all, "q", cvn_json("1"), 0, NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit_ack(&all, NULL, cvn_json("1"), 0, on_answers, (void *)"q"),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit_ack(&all, "connect", cvn_json("1"), 0, on_answers, (void *)"q"),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit_ack(&all, "q", cvn_json("["), 0, on_answers, (void *)"q"),
                     CVN_ERR_JSON);
    assert_int_equal(cvn_fetch_sockets(&all, 0, NULL, NULL), CVN_ERR_ARGUMENT);
    world_advance(crowd.io->world, 10000);
    assert_told("");
    crowd_free(&crowd);
}

/* --- Who is there --- */

static void on_sockets(enum cvn_error error, const cvn_remote_socket *const *sockets, size_t count,
                       void *data)
{
    tell("%s=%d:", (const char *)data, (int)error);
    for (size_t i = 0; i < count; i++) {
        const char *room;
        assert_int_equal(strlen(cvn_remote_id(sockets[i])), SIO_ID_SIZE);
        assert_string_equal(cvn_remote_room(sockets[i], 0), cvn_remote_id(sockets[i]));
        tell("%u%.*s", cvn_remote_worker(sockets[i]), SLICE_ARG(cvn_remote_attributes(sockets[i])));
        for (size_t k = 1; (room = cvn_remote_room(sockets[i], k)) != NULL; k++)
            tell("+%s", room);
        tell(",");
    }
    tell(";");
}

static void test_fetch(void **state)
{
    struct crowd crowd = crowd_new();
    const cvn_target all = {.nsp = crowd.root};
    (void)state;
    assert_int_equal(cvn_join(crowd.sockets[1], "x"), CVN_OK);
    assert_int_equal(cvn_join(crowd.sockets[1], "y"), CVN_OK);
    assert_true(slice_eq(cvn_socket_attributes(crowd.sockets[1]), SLICE("{}")));
    assert_int_equal(cvn_socket_set_attributes(crowd.sockets[1], "{\"name\":\"B\"}"), CVN_OK);
    assert_int_equal(cvn_socket_set_attributes(crowd.sockets[1], "{"), CVN_ERR_JSON);
    assert_true(slice_eq(cvn_socket_attributes(crowd.sockets[1]), SLICE("{\"name\":\"B\"}")));
    assert_int_equal(cvn_fetch_sockets(&all, 0, on_sockets, (void *)"all"), CVN_OK);
    turn(&crowd);
    assert_told("all=0:0{},0{},1{\"name\":\"B\"}+x+y,;");
    assert_int_equal(cvn_fetch_sockets(&(cvn_target){.nsp = crowd.root, .rooms = {"x", "y"}}, 0,
                                       on_sockets, (void *)"x"),
                     CVN_OK);
    turn(&crowd);
    assert_told("x=0:1{\"name\":\"B\"}+x+y,;");
    assert_int_equal(cvn_fetch_sockets(&(cvn_target){.nsp = crowd.root, .rooms = {"none"}}, 0,
                                       on_sockets, (void *)"none"),
                     CVN_OK);
    turn(&crowd);
    assert_told("none=0:;");
    crowd_free(&crowd);
}

/* --- From elsewhere, at the end, without memory --- */

struct outsider {
    const struct crowd *crowd;
    enum cvn_error asked, local, fetched;
};

static void *ask_from_outside(void *data)
{
    struct outsider *outsider = data;
    outsider->asked = ask(outsider->crowd, 0, "q");
    outsider->local = ask(outsider->crowd, CVN_LOCAL_WORKER, "never");
    outsider->fetched =
        cvn_fetch_sockets(&(cvn_target){.nsp = outsider->crowd->root}, 0, on_sockets, (void *)"f");
    return NULL;
}

static struct outsider outsider_run(const struct crowd *crowd)
{
    struct outsider outsider = {.crowd = crowd};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_from_outside, &outsider), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return outsider;
}

static void test_from_another_thread(void **state)
{
    struct crowd crowd = crowd_new();
    (void)state;
    struct outsider outsider = outsider_run(&crowd);
    assert_int_equal(outsider.asked, CVN_OK);
    assert_int_equal(outsider.local, CVN_ERR_ARGUMENT);
    assert_int_equal(outsider.fetched, CVN_OK);
    turn(&crowd);
    assert_told("f=0:0{},0{},1{},;");
    unsigned id = asked_id(crowd.clients[0]);
    for (int i = 0; i < CLIENTS; i++)
        answer(crowd.clients[i], id, "1");
    turn(&crowd);
    assert_told("q=0,3/3:1,1,1,;");
    crowd_free(&crowd);
}

/* Whatever the state in which the end finds it: each is told once. */
static void test_server_ends(void **state)
{
    struct crowd crowd = crowd_new();
    (void)state;
    assert_int_equal(ask(&crowd, 0, "sent"), CVN_OK);
    turn(&crowd);
    assert_int_equal(ask(&crowd, 0, "waiting"), CVN_OK);
    assert_int_equal(
        cvn_fetch_sockets(&(cvn_target){.nsp = crowd.root}, 0, on_sockets, (void *)"fetch"),
        CVN_OK);
    struct outsider outsider = outsider_run(&crowd);
    assert_int_equal(outsider.asked, CVN_OK);
    assert_int_equal(outsider.fetched, CVN_OK);
    crowd_free(&crowd);
    static const char *const names[] = {"sent=", "waiting=", "fetch=", "q=", "f="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *found = strstr(told, names[i]);
        assert_non_null(found);
        assert_null(strstr(found + 1, names[i]));
    }
    told[0] = '\0';
}

static unsigned ends; /* how often the application was told */

static void on_end(enum cvn_error error, const cvn_answers *answers, void *data)
{
    (void)error;
    (void)answers;
    (void)data;
    ends++;
}

static void on_fetched(enum cvn_error error, const cvn_remote_socket *const *sockets, size_t count,
                       void *data)
{
    (void)sockets;
    (void)data;
    if (error == CVN_OK)
        assert_int_equal(count, CLIENTS);
    ends++;
}

/* Whichever allocation fails: an error, or one end. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t failing = 0; failing < 30; failing++) {
        struct crowd crowd = crowd_new();
        const cvn_target all = {.nsp = crowd.root};
        for (int i = 0; i < 3; i++) {
            ends = 0;
            mem_fail_after(failing, 1);
            enum cvn_error error = i == 0
                                       ? cvn_emit_ack(&all, "q", cvn_json("1"), 1000, on_end, NULL)
                                   : i == 1 ? cvn_fetch_sockets(&all, 1000, on_fetched, NULL)
                                            : cvn_sockets_join(&all, "r");
            turn(&crowd);
            mem_fail_after(0, 0);
            world_advance(crowd.io->world, 1000);
            worker_enter(&crowd.io->world->workers[0]);
            assert_int_equal(ends, i < 2 && error == CVN_OK ? 1 : 0);
        }
        crowd_free(&crowd);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rooms),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_all_answer),
        cmocka_unit_test(test_binary_answers),
        cmocka_unit_test(test_nobody_to_ask),
        cmocka_unit_test(test_partial_results),
        cmocka_unit_test(test_who_owes_too_much),
        cmocka_unit_test(test_own_worker_only),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_fetch),
        cmocka_unit_test(test_from_another_thread),
        cmocka_unit_test(test_server_ends),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
