/*
 * What an application does with its clients, through the public API alone, on two workers: handlers, middlewares, rooms, emits from any
 * thread, acknowledgements both ways, its own data.
 */
#include <pthread.h>
#include <stdatomic.h>
#include "client.h"

#define WORKERS 2

/* --- The application --- */

static atomic_uint destroyed;
static cvn_next *kept_next;
static cvn_later *kept_later;

static void on_destroy(void *data)
{
    destroyed++;
    free(data);
}

static void on_connection(cvn_socket *socket, void *data)
{
    (void)data;
    cvn_socket_set_data(socket, calloc(1, 1), on_destroy);
    note("in %s %u", cvn_socket_id(socket), cvn_socket_worker(socket));
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)data;
    note("out %d %s", cvn_socket_data(socket) != NULL, reason);
}

static void on_echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    cvn_slice bytes = {NULL, 0};
    if (cvn_socket_emit(socket, "echo", cvn_event_args(event)) != CVN_OK)
        note("no echo");
    if (cvn_args_binary(cvn_event_args(event), cvn_event_arg(event, 0), &bytes))
        note("%zu bytes", bytes.size);
    cvn_ack_args(event, cvn_event_args(event));
}

static void on_join(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[64];
    (void)data;
    enum cvn_error error = CVN_ERR_ARGUMENT;
    if (cvn_json_string(cvn_event_arg(event, 0), room, sizeof room))
        error = cvn_join(socket, room);
    cvn_ack(event, error == CVN_OK ? "true" : "false");
}

static void on_leave(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[64];
    (void)data;
    if (cvn_json_string(cvn_event_arg(event, 0), room, sizeof room))
        cvn_leave(socket, room);
    cvn_ack(event, cvn_socket_in_room(socket, room) ? "true" : "false");
}

/* ["say", room, value]: to all others in the room. */
static void on_say(cvn_socket *socket, const cvn_event *event, void *data)
{
    char room[64];
    (void)data;
    if (!cvn_json_string(cvn_event_arg(event, 0), room, sizeof room))
        return;
    cvn_target target = {
        .nsp = cvn_socket_namespace(socket), .rooms = {room}, .except = {cvn_socket_id(socket)}};
    enum cvn_error error = cvn_emit(&target, "said", cvn_json_slice(cvn_event_arg(event, 1)));
    cvn_ack(event, error == CVN_OK ? "true" : "false");
}

static void on_answer(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    (void)socket;
    note("%s %d %.*s", (const char *)data, error, (int)args.json.size,
         args.json.size > 0 ? args.json.data : "");
}

/* ["ask", timeout]: an event back that wants to be acknowledged. */
static void on_ask(cvn_socket *socket, const cvn_event *event, void *data)
{
    uint64_t timeout_ms = 0;
    (void)data;
    cvn_json_integer(cvn_event_arg(event, 0), &timeout_ms);
    if (cvn_socket_emit_ack(socket, "question", cvn_json("1"), (uint32_t)timeout_ms, on_answer,
                            (void *)"answer") != CVN_OK)
        note("not asked");
}

static void on_later(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket;
    (void)data;
    kept_later = cvn_ack_later(event);
    note("later");
}

static void on_kick(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    cvn_disconnect(socket, cvn_json_type_of(cvn_event_arg(event, 0)) == CVN_JSON_TRUE);
}

static void on_any(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_slice name = cvn_event_name(event);
    (void)socket;
    (void)data;
    if (name.size == 5 && memcmp(name.data, "count", 5) == 0)
        note("%zu arguments", cvn_args_count(cvn_event_args(event)));
}

/* Lets in whoever says {"token":"good"}, thinks about "slow". */
static void on_check(cvn_socket *socket, cvn_next *next, void *data)
{
    char token[32];
    (void)data;
    cvn_json_string(cvn_json_get(cvn_socket_auth(socket), "token"), token, sizeof token);
    if (strcmp(token, "good") == 0) {
        cvn_next_accept(next);
    } else if (strcmp(token, "slow") == 0) {
        kept_next = next;
        note("thinking %u", cvn_socket_worker(socket));
    } else {
        cvn_next_refuse(next, "not authorized", "{\"code\":401}");
    }
}

static void accept_kept(void *data)
{
    (void)data;
    cvn_next_accept(kept_next);
}

static cvn_server *server;
static uint16_t port;

static int setup(void **state)
{
    (void)state;
    notes_open();
    destroyed = 0;
    server = server_new(WORKERS);
    cvn_namespace *root = cvn_of(server, "/"), *secret = cvn_of(server, "/secret");
    cvn_on_connection(root, on_connection, NULL);
    cvn_on_disconnect(root, on_disconnect, NULL);
    cvn_on_any(root, on_any, NULL);
    cvn_on(root, "echo", on_echo, NULL);
    cvn_on(root, "join", on_join, NULL);
    cvn_on(root, "leave", on_leave, NULL);
    cvn_on(root, "say", on_say, NULL);
    cvn_on(root, "ask", on_ask, NULL);
    cvn_on(root, "later", on_later, NULL);
    cvn_on(root, "kick", on_kick, NULL);
    cvn_use(secret, on_check, NULL);
    cvn_on(secret, "echo", on_echo, NULL);
    port = server_start(server);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cvn_server_free(server);
    notes_close();
    return 0;
}

/* A client that has joined, and the worker that it came to. */
static struct client *enter(unsigned *ret_worker)
{
    struct client *client = joined(port);
    char id[64];
    unsigned worker = WORKERS;
    assert_int_equal(sscanf(next_note(), "in %63s %u", id, &worker), 2);
    assert_string_equal(id, client->id);
    assert_true(worker < WORKERS);
    if (ret_worker != NULL)
        *ret_worker = worker;
    return client;
}

/* One client on each worker: the kernel chooses, so try until both have been met. */
static void enter_both(struct client *ret[WORKERS])
{
    memset(ret, 0, WORKERS * sizeof *ret);
    for (int tries = 0; ret[0] == NULL || ret[1] == NULL; tries++) {
        unsigned worker;
        assert_true(tries < 200);
        struct client *client = enter(&worker);
        if (ret[worker] == NULL) {
            ret[worker] = client;
        } else {
            client_free(client);
            assert_note("out 1 transport close");
        }
    }
}

static void leave(struct client *client)
{
    client_free(client);
    assert_note("out 1 transport close");
}

/* --- Tests --- */

static void test_echo(void **state)
{
    struct client *client = enter(NULL);
    (void)state;
    ws_send(client, "42[\"echo\",1,\"x\",{\"y\":[null]}]");
    assert_ws_text(client, "42[\"echo\",1,\"x\",{\"y\":[null]}]");
    ws_send(client, "4212[\"echo\"]");
    assert_ws_text(client, "42[\"echo\"]");
    assert_ws_text(client, "4312[]");
    ws_send(client, "451-3[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    ws_send_frame(client, 0x82, "\0\1\2", 3);
    assert_ws_text(client, "451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    assert_ws_binary(client, "\0\1\2", 3);
    assert_ws_text(client, "461-3[{\"_placeholder\":true,\"num\":0}]");
    assert_ws_binary(client, "\0\1\2", 3);
    assert_note("3 bytes");
    ws_send(client, "42[\"count\",1,[2,3],\",\"]");
    assert_note("3 arguments");
    ws_send(client, "42[\"nobody listens\"]");
    assert_ws_silent(client);
    leave(client);
}

/* A large event, in and out. */
static void test_large(void **state)
{
    struct client *client = enter(NULL);
    size_t size = 900000;
    char *text = malloc(size + 64);
    (void)state;
    assert_non_null(text);
    int head = sprintf(text, "42[\"echo\",\"");
    memset(text + head, 'x', size);
    memcpy(text + head + size, "\"]", 3);
    ws_send(client, text);
    assert_ws_text(client, text);
    free(text);
    leave(client);
}

static void test_middleware(void **state)
{
    struct client *client = ws_open(port);
    unsigned worker = WORKERS;
    (void)state;
    ws_send(client, "40/secret,{\"token\":\"bad\"}");
    assert_ws_text(client, "44/secret,{\"message\":\"not authorized\",\"data\":{\"code\":401}}");
    ws_send(client, "40/secret,");
    assert_ws_text(client, "44/secret,{\"message\":\"not authorized\",\"data\":{\"code\":401}}");
    join_with(client, "/secret,", "{\"token\":\"good\"}");
    ws_send(client, "42/secret,[\"echo\",1]");
    assert_ws_text(client, "42/secret,[\"echo\",1]");
    client_free(client);

    client = ws_open(port);
    ws_send(client, "40/secret,{\"token\":\"slow\"}");
    assert_int_equal(sscanf(next_note(), "thinking %u", &worker), 1);
    assert_ws_silent(client);
    assert_int_equal(cvn_post(server, worker, accept_kept, NULL), CVN_OK);
    assert_memory_equal(ws_read(client), "40/secret,{\"sid\":\"", 18);
    client_free(client);
}

static void send_join(struct client *client, const char *room)
{
    char text[128];
    snprintf(text, sizeof text, "427[\"join\",\"%s\"]", room);
    ws_send(client, text);
    assert_ws_text(client, "437[true]");
}

/* Rooms know no workers. */
static void test_rooms(void **state)
{
    struct client *clients[WORKERS], *outside = enter(NULL);
    cvn_namespace *root = cvn_of(server, "/");
    (void)state;
    enter_both(clients);
    for (unsigned i = 0; i < WORKERS; i++)
        send_join(clients[i], "room");
    ws_send(clients[0], "428[\"say\",\"room\",\"hello\"]");
    assert_ws_text(clients[0], "438[true]");
    assert_ws_text(clients[1], "42[\"said\",\"hello\"]");
    assert_ws_silent(clients[0]);
    assert_ws_silent(outside);

    /* From a thread that is no worker. */
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root, .rooms = {"room"}}, "n", cvn_json("1")),
                     CVN_OK);
    assert_int_equal(
        cvn_emit(&(cvn_target){.nsp = root, .rooms = {clients[1]->id}}, "n", cvn_json("2")),
        CVN_OK);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root, .except = {"room"}}, "n", cvn_json("3")),
                     CVN_OK);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "n", cvn_json("4")), CVN_OK);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "n", cvn_json("5,")), CVN_ERR_JSON);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_ws_text(clients[i], "42[\"n\",1]");
        if (i == 1)
            assert_ws_text(clients[i], "42[\"n\",2]");
        assert_ws_text(clients[i], "42[\"n\",4]");
    }
    assert_ws_text(outside, "42[\"n\",3]");
    assert_ws_text(outside, "42[\"n\",4]");

    ws_send(clients[1], "429[\"leave\",\"room\"]");
    assert_ws_text(clients[1], "439[false]");
    ws_send(clients[0], "42[\"say\",\"room\",1]");
    assert_ws_silent(clients[0]);
    assert_ws_silent(clients[1]);
    for (unsigned i = 0; i < WORKERS; i++)
        leave(clients[i]);
    leave(outside);
}

static void test_acks(void **state)
{
    struct client *client = enter(NULL);
    (void)state;
    ws_send(client, "42[\"ask\",0]");
    assert_ws_text(client, "420[\"question\",1]");
    ws_send(client, "430[\"yes\",2]");
    assert_note("answer 0 \"yes\",2");
    char expected[32];
    ws_send(client, "42[\"ask\",20]"); /* nobody answers */
    assert_ws_text(client, "421[\"question\",1]");
    snprintf(expected, sizeof expected, "answer %d ", CVN_ERR_TIMEOUT);
    assert_note(expected);
    ws_send(client, "431[\"too late\"]");
    ws_send(client, "42[\"ask\",0]");
    assert_ws_text(client, "422[\"question\",1]");
    client_free(client);
    snprintf(expected, sizeof expected, "answer %d ", CVN_ERR_STATE);
    assert_note(expected);
    assert_note("out 1 transport close");
}

/* An acknowledgement put off, sent by this thread. */
static void test_later(void **state)
{
    struct client *client = enter(NULL);
    (void)state;
    ws_send(client, "423[\"later\"]");
    assert_note("later");
    assert_int_equal(cvn_later_send(kept_later, cvn_json("\"here\"")), CVN_OK);
    assert_ws_text(client, "433[\"here\"]");
    ws_send(client, "424[\"later\"]");
    assert_note("later");
    assert_int_equal(cvn_later_send(kept_later, cvn_json("]")), CVN_ERR_JSON);
    ws_send(client, "425[\"later\"]");
    assert_note("later");
    leave(client);
    assert_int_equal(cvn_later_send(kept_later, cvn_json("1")), CVN_OK); /* goes nowhere */
    client = enter(NULL);
    ws_send(client, "426[\"later\"]");
    assert_note("later");
    cvn_server_stop(server);
    cvn_server_wait(server);
    assert_note("out 1 server shutting down");
    assert_int_equal(cvn_later_send(kept_later, cvn_json("1")), CVN_ERR_STATE);
    client_free(client);
}

static void test_kick(void **state)
{
    struct client *client = enter(NULL);
    (void)state;
    join_with(client, "/secret,", "{\"token\":\"good\"}");
    ws_send(client, "42[\"kick\",false]");
    assert_ws_text(client, "41");
    assert_note("out 1 server namespace disconnect");
    ws_send(client, "42/secret,[\"echo\"]"); /* the other namespace stays */
    assert_ws_text(client, "42/secret,[\"echo\"]");
    join_with(client, "", "");
    next_note();
    ws_send(client, "42[\"kick\",true]");
    assert_note("out 1 server namespace disconnect");
    /* Both namespaces are told, the last joined last. */
    assert_ws_text(client, "41/secret,");
    assert_ws_text(client, "41");
    assert_ws_closed(client);
    client_free(client);
}

/* Once for each socket, however it ended and whoever still held it. */
static void test_data_is_destroyed_once(void **state)
{
    struct client *clients[6];
    (void)state;
    for (int i = 0; i < 6; i++)
        clients[i] = enter(NULL);
    leave(clients[0]);
    ws_send(clients[1], "41");
    assert_note("out 1 client namespace disconnect");
    ws_send(clients[2], "42[\"kick\",true]");
    assert_note("out 1 server namespace disconnect");
    ws_send(clients[3], "4?");
    assert_note("out 1 parse error");
    ws_send(clients[4], "423[\"later\"]");
    assert_note("later");
    for (int i = 1; i < 4; i++)
        client_free(clients[i]);
    cvn_server_stop(server);
    cvn_server_wait(server);
    assert_note("out 1 server shutting down");
    assert_note("out 1 server shutting down");
    cvn_later_drop(kept_later);
    assert_int_equal(destroyed, 6);
    client_free(clients[4]);
    client_free(clients[5]);
}

/* Requests of one polling session over many connections, which come to whichever worker. */
static void test_polling_across_workers(void **state)
{
    struct client *session = polling_open(port);
    (void)state;
    polling_post(session, "40");
    assert_memory_equal(next_note(), "in ", 3);
    for (int i = 0; i < 20; i++) {
        struct client *client = client_new(port);
        char text[64];
        memcpy(client->sid, session->sid, sizeof client->sid);
        if (i == 0)
            assert_memory_equal(polling_get(client), "40{\"sid\":\"", 10);
        snprintf(text, sizeof text, "42[\"echo\",%d]", i);
        polling_post(client, text);
        client_free(client);
        client = client_new(port);
        memcpy(client->sid, session->sid, sizeof client->sid);
        assert_string_equal(polling_get(client), text);
        client_free(client);
    }
    polling_post(session, "41");
    assert_note("out 1 client namespace disconnect");
    client_free(session);
}

/* The WebSocket comes to whichever worker, and must find the session's. */
static void test_upgrade(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct client *polling = polling_open(port), *ws = client_new(port);
        char target[128];
        polling_post(polling, "40");
        assert_memory_equal(next_note(), "in ", 3);
        snprintf(target, sizeof target, "/socket.io/?EIO=4&transport=websocket&sid=%s",
                 polling->sid);
        http_send(ws, "GET", target, WS_FIELDS, NULL);
        assert_int_equal(http_receive(ws, false)->status, 101);
        ws_send(ws, "2probe");
        assert_ws_text(ws, "3probe");
        ws_send(ws, "5");
        assert_memory_equal(ws_read(ws), "40{\"sid\":\"", 10);
        ws_send(ws, "42[\"echo\"]");
        assert_ws_text(ws, "42[\"echo\"]");
        client_free(polling);
        leave(ws);
    }
}

struct emitter {
    unsigned id;
    enum cvn_error error;
};

static void *emit_many(void *data)
{
    struct emitter *emitter = data;
    cvn_target target = {.nsp = cvn_of(server, "/")};
    for (unsigned i = 0; i < 200 && emitter->error == CVN_OK; i++) {
        char json[32];
        snprintf(json, sizeof json, "%u,%u", emitter->id, i);
        emitter->error = cvn_emit(&target, "n", cvn_json(json));
    }
    return NULL;
}

/* Many threads emit while clients come and go; who stays gets everything, in each thread's order. */
static void test_threads(void **state)
{
    struct client *clients[WORKERS];
    struct emitter emitters[3];
    pthread_t threads[3];
    (void)state;
    enter_both(clients);
    for (unsigned i = 0; i < 3; i++) {
        emitters[i] = (struct emitter){i, CVN_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, emit_many, &emitters[i]), 0);
    }
    for (int i = 0; i < 10; i++) {
        struct client *passing = ws_open(port);
        ws_send(passing, "40");
        next_note();
        leave(passing);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(emitters[i].error, CVN_OK);
    }
    for (unsigned k = 0; k < WORKERS; k++) {
        unsigned next[3] = {0};
        for (int n = 0; n < 600; n++) {
            unsigned id = 0, number = 0;
            assert_int_equal(sscanf(ws_read(clients[k]), "42[\"n\",%u,%u]", &id, &number), 2);
            assert_true(id < 3);
            assert_int_equal(number, next[id]++);
        }
        assert_ws_silent(clients[k]);
        leave(clients[k]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_echo),
        TEST(test_large),
        TEST(test_middleware),
        TEST(test_rooms),
        TEST(test_acks),
        TEST(test_later),
        TEST(test_kick),
        TEST(test_data_is_destroyed_once),
        TEST(test_polling_across_workers),
        TEST(test_upgrade),
        TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
