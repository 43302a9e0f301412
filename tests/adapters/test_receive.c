/*
 * One server whose adapter is the test: what it is told, when and in what order; and what the server makes of ops and answers from outside, right
 * or wrong. What the adapter is told becomes notes.
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <uv.h>
#include <convene/uv.h>
#include "server/client.h"

static cvn_server *server;
static cvn_namespace *root;
static cvn_cluster *cluster;
static struct client *client;
static atomic_uint peers, starts, stops, frees;
static enum cvn_error start_error, publish_error;
static bool is_noting; /* published ops, too */
static char request_id[CVN_CLUSTER_MAX_ID];

static enum cvn_error on_start(cvn_adapter *adapter, cvn_cluster *started)
{
    (void)adapter;
    starts++;
    cluster = started;
    return start_error;
}

static enum cvn_error on_publish(cvn_adapter *adapter, const cvn_cluster_op *op)
{
    (void)adapter;
    if (op->request.size >= sizeof request_id || op->node.size != CVN_NODE_ID_SIZE ||
        memcmp(op->node.data, cvn_cluster_node_id(cluster), CVN_NODE_ID_SIZE) != 0)
        abort();
    if (op->request.size > 0)
        snprintf(request_id, sizeof request_id, "%.*s", (int)op->request.size, op->request.data);
    if (is_noting)
        note("op %d %.*s%.*s%s%.*s(%.*s) %.*s%s%zu-%zu %u %d", (int)op->type, (int)op->nsp.size,
             op->nsp.data, (int)op->conflate.size, op->conflate.data, op->event.size > 0 ? " " : "",
             (int)op->event.size, op->event.data, (int)op->args.json.size, op->args.json.data,
             (int)op->room.size, op->room.data, op->close ? "close " : "", op->room_count,
             op->except_count, op->flags, op->request.size > 0);
    return publish_error;
}

static enum cvn_error on_respond(cvn_adapter *adapter, const cvn_cluster_answer *answer)
{
    char sockets[200] = "";
    (void)adapter;
    for (size_t i = 0; i < answer->socket_count; i++)
        snprintf(sockets + strlen(sockets), sizeof sockets - strlen(sockets), "[%.*s %zu %.*s]",
                 (int)answer->sockets[i].id.size, answer->sockets[i].id.data,
                 answer->sockets[i].room_count, (int)answer->sockets[i].attributes.size,
                 answer->sockets[i].attributes.data);
    note("answer %d to %.*s %.*s: %d %zu (%.*s)%s", (int)answer->type, (int)answer->to.size,
         answer->to.data, (int)answer->request.size, answer->request.data, (int)answer->error,
         answer->client_count, (int)answer->args.json.size, answer->args.json.data, sockets);
    return CVN_OK;
}

static unsigned on_peers(cvn_adapter *adapter, cvn_slice nsp)
{
    (void)adapter;
    (void)nsp;
    return peers;
}

static void on_stop(cvn_adapter *adapter)
{
    (void)adapter;
    stops++;
    note("stop");
}

static void on_free(cvn_adapter *adapter)
{
    (void)adapter;
    frees++;
}

static cvn_adapter adapter = {
    on_start, on_publish, on_respond, on_peers, on_stop, on_free, NULL,
};

static void on_connection(cvn_socket *socket, void *data)
{
    (void)data;
    note("worker %u", cvn_socket_worker(socket));
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)data;
    note("left");
    if (cvn_emit(&(cvn_target){.nsp = cvn_socket_namespace(socket)}, "left", cvn_json("")) !=
        CVN_OK)
        note("not emitted");
    (void)reason;
}

static void on_server_event(cvn_namespace *nsp, const cvn_server_event *event, void *data)
{
    (void)nsp;
    (void)data;
    note("event %.*s from %.*s: %zu arguments%s", (int)cvn_server_event_name(event).size,
         cvn_server_event_name(event).data, (int)cvn_server_event_node(event).size,
         cvn_server_event_node(event).data, cvn_args_count(cvn_server_event_args(event)),
         cvn_server_event_wants_answer(event) ? "?" : "");
    if (cvn_server_event_answer(event, cvn_json("]")) !=
        (cvn_server_event_wants_answer(event) ? CVN_ERR_JSON : CVN_OK))
        note("wrong");
    if (cvn_args_count(cvn_server_event_args(event)) == 0 &&
        cvn_server_event_answer(event, cvn_json("1")) != CVN_OK)
        note("not answered");
}

static cvn_server *new_server(void)
{
    cvn_server *made = server_new(2);
    peers = starts = stops = frees = 0;
    start_error = publish_error = CVN_OK;
    is_noting = false;
    root = cvn_of(made, "/");
    cvn_on_server_side(root, "event", on_server_event, NULL);
    assert_int_equal(cvn_server_set_adapter(made, &adapter), CVN_OK);
    return made;
}

static int setup(void **state)
{
    (void)state;
    notes_open();
    server = new_server();
    client = joined(server_start(server));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cvn_server_free(server);
    client_free(client);
    notes_close();
    return 0;
}

/* --- The adapter's life --- */

static void test_setting(void **state)
{
    cvn_adapter half = adapter;
    (void)state;
    notes_open();
    half.peers = NULL;
    server = server_new(1);
    assert_int_equal(cvn_server_set_adapter(NULL, &adapter), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_set_adapter(server, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_set_adapter(server, &half), CVN_ERR_ARGUMENT);
    cvn_server_free(server);
    server = new_server();
    assert_int_equal(cvn_server_set_adapter(server, &adapter), CVN_ERR_STATE);
    cvn_server_free(server); /* never started */
    assert_int_equal(starts + stops, 0);
    assert_int_equal(frees, 1);

    server = new_server();
    start_error = CVN_ERR_SYSTEM;
    assert_int_equal(cvn_server_start(server), CVN_ERR_SYSTEM);
    cvn_server_free(server);
    assert_int_equal(starts, 1);
    assert_int_equal(stops, 0);
    assert_int_equal(frees, 1);

    /* It starts, then the port is taken. */
    cvn_server *first = server_new(1);
    uint16_t port = server_start(first);
    server = cvn_server_new(&(cvn_options){.host = "127.0.0.1", .port = port, .hide_client = true});
    assert_non_null(server);
    starts = frees = 0;
    start_error = CVN_OK;
    assert_int_equal(cvn_server_set_adapter(server, &adapter), CVN_OK);
    assert_int_equal(cvn_server_start(server), CVN_ERR_SYSTEM);
    assert_int_equal(starts, 1);
    assert_int_equal(stops, 1);
    assert_note("stop");
    cvn_server_free(server);
    assert_int_equal(stops, 1);
    assert_int_equal(frees, 1);
    assert_int_equal(cvn_server_set_adapter(first, &adapter), CVN_ERR_STATE);
    cvn_server_free(first);
    notes_close();
}

/* The last word is the disconnect handlers'. */
static void test_stop(void **state)
{
    (void)state;
    notes_open();
    server = new_server();
    cvn_on_disconnect(root, on_disconnect, NULL);
    client = joined(server_start(server));
    is_noting = true;
    cvn_cluster *running = cluster;
    assert_int_equal(strlen(cvn_cluster_node_id(running)), CVN_NODE_ID_SIZE);
    assert_ptr_equal(cvn_cluster_server(running), server);
    size_t cursor = 0;
    assert_ptr_equal(cvn_cluster_next_namespace(running, &cursor), root);
    assert_null(cvn_cluster_next_namespace(running, &cursor));
    cvn_server_stop(server);
    cvn_server_wait(server);
    assert_note("left");
    assert_note("op 1 / left() 0-0 0 0");
    assert_note("stop");
    assert_no_note();
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "n", cvn_json("")), CVN_ERR_STATE);
    assert_int_equal(cvn_cluster_receive(running, &(cvn_cluster_op){.type = CVN_CLUSTER_DISCONNECT,
                                                                    .nsp = cvn_str("/")}),
                     CVN_ERR_STATE);
    assert_int_equal(stops, 1);
    cvn_server_free(server);
    assert_int_equal(stops, 1);
    assert_int_equal(frees, 1);
    client_free(client);
    notes_close();
}

/* On a loop of the program's own: stopped in order, and freed while it runs. */
static void test_on_a_loop(void **state)
{
    (void)state;
    for (int is_orderly = 0; is_orderly < 2; is_orderly++) {
        uv_loop_t loop;
        notes_open();
        assert_int_equal(uv_loop_init(&loop), 0);
        server = new_server();
        assert_int_equal(cvn_server_start_on_loop(server, &loop, NULL, NULL), CVN_OK);
        assert_int_equal(starts, 1);
        is_noting = true;
        assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "n", cvn_json("")), CVN_OK);
        assert_note("op 1 / n() 0-0 0 0");
        const cvn_cluster_op fetch = {
            .type = CVN_CLUSTER_FETCH, .nsp = cvn_str("/"), .request = cvn_str("1")};
        assert_int_equal(cvn_cluster_receive(cluster, &fetch), CVN_OK);
        while (!is_readable(notes[0], 0))
            uv_run(&loop, UV_RUN_NOWAIT);
        assert_note("answer 3 to  1: 0 0 ()");
        assert_int_equal(stops, 0);
        if (is_orderly) {
            cvn_server_stop(server);
            uv_run(&loop, UV_RUN_DEFAULT);
            assert_int_equal(stops, 1);
            assert_int_equal(frees, 0);
        }
        cvn_server_free(server);
        assert_int_equal(stops, 1); /* at once: nothing of the adapter is called any more */
        assert_int_equal(frees, 1);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
        assert_int_equal(stops + frees, 2);
        notes_close();
    }
}

/* --- On the way out --- */

static void test_published(void **state)
{
    (void)state;
    const cvn_target some = {.nsp = root, .rooms = {"a", "b"}, .except = {"c"}};
    is_noting = true;
    assert_int_equal(cvn_emit(&some, "n", cvn_json("1,2")), CVN_OK);
    assert_note("op 1 / n(1,2) 2-1 0 0");
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root, .flags = CVN_VOLATILE}, "n", cvn_json("")),
                     CVN_OK);
    assert_note("op 1 / n() 0-0 1 0");
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root, .conflate = "key"}, "keyed", cvn_json("")),
                     CVN_OK);
    assert_note("op 1 /key keyed() 0-0 0 0");
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root, .flags = CVN_LOCAL}, "n", cvn_json("")),
                     CVN_OK);
    assert_int_equal(cvn_sockets_join(&some, "room"), CVN_OK);
    assert_note("op 2 /() room2-1 0 0");
    assert_int_equal(cvn_sockets_leave(&some, "room"), CVN_OK);
    assert_note("op 3 /() room2-1 0 0");
    assert_int_equal(cvn_sockets_disconnect(&some, true), CVN_OK);
    assert_note("op 4 /() close 2-1 0 0");
    assert_int_equal(cvn_server_side_emit(root, "e", cvn_json("1")), CVN_OK);
    assert_note("op 6 / e(1) 0-0 0 0");
    assert_no_note();
    /* The adapter's errors are the caller's, but own sockets have got it. */
    publish_error = CVN_ERR_SYSTEM;
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "last", cvn_json("")), CVN_ERR_SYSTEM);
    assert_int_equal(cvn_server_side_emit(root, "e", cvn_json("1")), CVN_ERR_SYSTEM);
    publish_error = CVN_OK;
    assert_ws_text(client, "42[\"n\"]");
    assert_ws_text(client, "42[\"keyed\"]");
    assert_ws_text(client, "42[\"n\"]");
    assert_ws_text(client, "42[\"last\"]");
}

static void disconnect_all(void *data)
{
    (void)data;
    if (cvn_sockets_disconnect(&(cvn_target){.nsp = root}, false) != CVN_OK)
        note("not disconnected");
}

/* What an op makes handlers emit goes out behind it. */
static void test_order_of_nested(void **state)
{
    (void)state;
    notes_open();
    server = new_server();
    cvn_on_connection(root, on_connection, NULL);
    cvn_on_disconnect(root, on_disconnect, NULL);
    client = joined(server_start(server));
    unsigned worker = 9;
    assert_int_equal(sscanf(next_note(), "worker %u", &worker), 1);
    is_noting = true;
    assert_int_equal(cvn_post(server, worker, disconnect_all, NULL), CVN_OK);
    assert_note("op 4 /() 0-0 0 0");
    assert_note("left");
    assert_note("op 1 / left() 0-0 0 0");
    teardown(state);
}

/* --- Ops on their way in --- */

static const cvn_cluster_op an_emit = {
    .type = CVN_CLUSTER_EMIT, .nsp = {"/", 1}, .event = {"n", 1}, .args = {{"1", 1}, NULL, 0}};

/* Emits with the change that `field = value` makes. */
#define RECEIVE(...)                                                                               \
    do {                                                                                           \
        cvn_cluster_op op = an_emit;                                                               \
        __VA_ARGS__;                                                                               \
        error = cvn_cluster_receive(cluster, &op);                                                 \
    } while (0)
#define REFUSE(expected, ...)                                                                      \
    do {                                                                                           \
        RECEIVE(__VA_ARGS__);                                                                      \
        assert_int_equal(error, expected);                                                         \
    } while (0)

static void test_refused_ops(void **state)
{
    enum cvn_error error;
    char deep[6000], id[CVN_CLUSTER_MAX_ID + 2], name[300];
    const cvn_slice huge = {"x", (size_t)1 << 40}, with_nul = {"a\0b", 3};
    cvn_slice slices[65];
    (void)state;
    memset(deep, '[', 3000);
    memset(deep + 3000, ']', 3000);
    memset(id, 'i', sizeof id);
    memset(name, 'n', sizeof name);
    for (int i = 0; i < 65; i++)
        slices[i] = huge;
    REFUSE(CVN_ERR_ARGUMENT, op.type = (enum cvn_cluster_op_type)0);
    REFUSE(CVN_ERR_ARGUMENT, op.type = (enum cvn_cluster_op_type)7);
    REFUSE(CVN_ERR_ARGUMENT, op.type = (enum cvn_cluster_op_type)1000000);
    REFUSE(CVN_ERR_ARGUMENT, op.event.size = 0);
    REFUSE(CVN_ERR_ARGUMENT, op.event = with_nul);
    REFUSE(CVN_ERR_ARGUMENT, op.event = cvn_str("disconnect"));
    REFUSE(CVN_ERR_ARGUMENT, op.type = CVN_CLUSTER_SERVER_EMIT; op.event = cvn_str("disconnect"));
    REFUSE(CVN_ERR_LIMIT, op.event.data = name; op.event.size = 256);
    REFUSE(CVN_ERR_LIMIT, op.event = huge);
    REFUSE(CVN_ERR_LIMIT, op.conflate.data = name; op.conflate.size = 256);
    REFUSE(CVN_ERR_ARGUMENT, op.conflate = with_nul);
    REFUSE(CVN_ERR_ARGUMENT, op.conflate = cvn_str("key"); op.request = cvn_str("q"));
    REFUSE(CVN_ERR_ARGUMENT, op.type = CVN_CLUSTER_JOIN);
    REFUSE(CVN_ERR_ARGUMENT, op.type = CVN_CLUSTER_LEAVE; op.room = with_nul);
    REFUSE(CVN_ERR_LIMIT, op.type = CVN_CLUSTER_JOIN; op.room = huge);
    REFUSE(CVN_ERR_ARGUMENT, op.type = CVN_CLUSTER_FETCH);
    REFUSE(CVN_ERR_ARGUMENT, op.request.data = id; op.request.size = sizeof id);
    REFUSE(CVN_ERR_ARGUMENT, op.node.data = id; op.node.size = sizeof id);
    REFUSE(CVN_ERR_ARGUMENT, op.node = with_nul);
    REFUSE(CVN_ERR_ARGUMENT, op.node = huge);
    REFUSE(CVN_ERR_LIMIT, op.room_count = CVN_CLUSTER_MAX_NAMES + 1);
    REFUSE(CVN_ERR_LIMIT, op.except_count = SIZE_MAX);
    REFUSE(CVN_ERR_LIMIT, op.rooms = slices; op.room_count = 2);
    REFUSE(CVN_ERR_LIMIT, op.except = slices; op.except_count = 65);
    REFUSE(CVN_ERR_LIMIT, op.args.attachment_count = 65; op.args.attachments = slices);
    REFUSE(CVN_ERR_LIMIT, op.args.attachment_count = 1; op.args.attachments = slices);
    REFUSE(CVN_ERR_LIMIT, op.args.json = huge);
    for (int i = 0; i < 65; i++)
        slices[i] = cvn_str("x");
    static const char *const bad[] = {"[",
                                      "1,",
                                      "{\"a\"}",
                                      "\xff",
                                      "1]",
                                      "\"\n\"",
                                      "{\"_placeholder\":true,\"num\":1}",
                                      "{\"_placeholder\":true,\"num\":-1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cvn_args args = {cvn_str(bad[i]), slices, i > 5 ? 1 : 0};
        REFUSE(CVN_ERR_JSON, op.args = args);
        REFUSE(CVN_ERR_JSON, op.args = args; op.request = cvn_str("r"));
        REFUSE(CVN_ERR_JSON, op.args = args; op.type = CVN_CLUSTER_SERVER_EMIT);
    }
    REFUSE(CVN_ERR_JSON, op.args.json.data = deep; op.args.json.size = sizeof deep);
    REFUSE(CVN_ERR_NOT_FOUND, op.nsp.size = 0);
    REFUSE(CVN_ERR_NOT_FOUND, op.nsp = cvn_str("/unknown"));
    REFUSE(CVN_ERR_NOT_FOUND, op.nsp.data = name; op.nsp.size = sizeof name);
    assert_no_note();
    REFUSE(CVN_OK, ); /* the first that the client hears of */
    assert_ws_text(client, "42[\"n\",1]");
    assert_ws_silent(client);
}

static void test_accepted_ops(void **state)
{
    enum cvn_error error;
    const cvn_slice own[1] = {cvn_str(client->id)}, bytes[1] = {{"\0", 1}};
    (void)state;
    is_noting = true;               /* what comes in must not go out again */
    REFUSE(CVN_OK, op.flags = ~0U); /* what this node's own callers may say is not the others' */
    assert_ws_text(client, "42[\"n\",1]");
    REFUSE(CVN_OK, op.conflate = cvn_str("key"));
    assert_ws_text(client, "42[\"n\",1]");
    REFUSE(CVN_OK, op.rooms = own; op.room_count = 1);
    assert_ws_text(client, "42[\"n\",1]");
    REFUSE(CVN_OK, op.except = own; op.except_count = 1);
    REFUSE(CVN_OK, op.args.json = cvn_str("{\"_placeholder\":true,\"num\":0}");
           op.args.attachments = bytes; op.args.attachment_count = 1);
    assert_ws_text(client, "451-[\"n\",{\"_placeholder\":true,\"num\":0}]");
    assert_ws_binary(client, "\0", 1);
    /* It asks for an answer, but to what? */
    REFUSE(CVN_OK, op.type = CVN_CLUSTER_JOIN; op.room = cvn_str("r"); op.request = cvn_str("q"));
    REFUSE(CVN_OK, op.args.json = cvn_str("2"); op.rooms = &op.room; op.room = cvn_str("r");
           op.room_count = 1);
    assert_ws_text(client, "42[\"n\",2]");
    REFUSE(CVN_OK, op.type = CVN_CLUSTER_LEAVE; op.room = cvn_str("r"));
    REFUSE(CVN_OK, op.type = CVN_CLUSTER_SERVER_EMIT; op.event = cvn_str("event");
           op.node = cvn_str("me"));
    assert_note("event event from me: 1 arguments");
    assert_no_note();
    REFUSE(CVN_OK, op.type = CVN_CLUSTER_DISCONNECT; op.close = true);
    assert_ws_text(client, "41");
    assert_ws_closed(client);
}

/* --- Requests of others --- */

static void send_answer(const char *json)
{
    unsigned id = 0;
    char text[64];
    assert_int_equal(sscanf(ws_read(client), "42%u[\"n\"", &id), 1);
    snprintf(text, sizeof text, "43%u[%s]", id, json);
    ws_send(client, text);
}

static void test_answering(void **state)
{
    enum cvn_error error;
    char expected[128];
    (void)state;
    REFUSE(CVN_OK, op.node = cvn_str("me"); op.request = cvn_str("1"); op.timeout_ms = UINT32_MAX);
    assert_note("answer 1 to me 1: 0 1 ()"); /* one count of both workers */
    send_answer("\"a\"");
    assert_note("answer 2 to me 1: 0 0 (\"a\")");
    cvn_slice nobody = cvn_str("nobody's");
    REFUSE(CVN_OK, op.request = cvn_str("3"); op.rooms = &nobody; op.room_count = 1);
    assert_note("answer 1 to  3: 0 0 ()");
    REFUSE(CVN_OK, op.type = CVN_CLUSTER_FETCH; op.node = cvn_str("me"); op.request = cvn_str("4"));
    snprintf(expected, sizeof expected, "answer 3 to me 4: 0 0 ()[%s 1 {}]", client->id);
    assert_note(expected);
    REFUSE(CVN_OK, op.type = CVN_CLUSTER_SERVER_EMIT; op.event = cvn_str("event");
           op.request = cvn_str("5"));
    assert_note("event event from : 1 arguments?");
    assert_note("answer 4 to  5: 3 0 ()"); /* none came */
    REFUSE(CVN_OK, op.type = CVN_CLUSTER_SERVER_EMIT; op.event = cvn_str("event");
           op.args.json.size = 0; op.request = cvn_str("6"));
    assert_note("event event from : 0 arguments?");
    assert_note("answer 4 to  6: 0 0 (1)");
    REFUSE(CVN_OK, op.type = CVN_CLUSTER_SERVER_EMIT; op.request = cvn_str("7"));
    assert_note("answer 4 to  7: 8 0 ()"); /* nobody handles "n" */
    /* A namespace that is not here. */
    static const char *const answers[] = {
        "answer 1 to  8: 0 0 ()", NULL, NULL, NULL, "answer 3 to  8: 0 0 ()",
        "answer 4 to  8: 8 0 ()"};
    for (int i = 0; i < 6; i++) {
        REFUSE(CVN_ERR_NOT_FOUND, op.type = (enum cvn_cluster_op_type)(i + 1);
               op.room = cvn_str("r"); op.nsp = cvn_str("/x"); op.request = cvn_str("8"));
        if (answers[i] != NULL)
            assert_note(answers[i]);
    }
    assert_no_note();
    /* A client that goes. */
    REFUSE(CVN_OK, op.request = cvn_str("9"); op.timeout_ms = 60000);
    assert_note("answer 1 to  9: 0 1 ()");
    client_free(client);
    client = NULL;
    assert_note("answer 2 to  9: 3 0 ()");
}

/* --- Answers of others --- */

static void on_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    char all[200] = "";
    (void)data;
    for (size_t i = 0; i < answers->count && i < 10; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%.*s;",
                 (int)answers->items[i].args.json.size, answers->items[i].args.json.data);
    note("told %d %zu/%zu %s", (int)error, answers->count, answers->asked, all);
}

static void on_sockets(enum cvn_error error, const cvn_remote_socket *const *sockets, size_t count,
                       void *data)
{
    char all[300] = "";
    (void)data;
    for (size_t i = 0; i < count && i < 10; i++) {
        cvn_text *handshake = cvn_text_new(10000);
        cvn_remote_handshake_json(sockets[i], handshake);
        if (cvn_remote_node(sockets[i])[0] == '\0')
            strcat(all, "own");
        else
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s@%s %.*s %.*s",
                     cvn_remote_id(sockets[i]), cvn_remote_node(sockets[i]),
                     (int)cvn_remote_attributes(sockets[i]).size,
                     cvn_remote_attributes(sockets[i]).data, (int)cvn_text_slice(handshake).size,
                     cvn_text_slice(handshake).data);
        for (size_t k = 1; cvn_remote_room(sockets[i], k) != NULL; k++)
            strcat(strcat(all, "+"), cvn_remote_room(sockets[i], k));
        strcat(all, ";");
        cvn_text_free(handshake);
    }
    note("told %d %zu %s", (int)error, count, all);
}

static void ask(uint32_t timeout_ms)
{
    assert_int_equal(cvn_emit_ack(&(cvn_target){.nsp = root, .rooms = {"nobody's"}}, "q",
                                  cvn_json("1"), timeout_ms, on_answers, NULL),
                     CVN_OK);
}

static enum cvn_error reply(enum cvn_cluster_answer_type type, cvn_cluster_answer answer)
{
    answer.type = type;
    if (answer.request.size == 0)
        answer.request = cvn_str(request_id);
    return cvn_cluster_receive_answer(cluster, &answer);
}

static void test_answers(void **state)
{
    (void)state;
    peers = 2;
    ask(60000);
    assert_int_equal(reply(CVN_CLUSTER_CLIENT_COUNT, (cvn_cluster_answer){.client_count = 2}),
                     CVN_OK);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.args = cvn_json("1")}), CVN_OK);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.args = cvn_json("2")}), CVN_OK);
    assert_no_note(); /* the other node has not counted */
    assert_int_equal(reply(CVN_CLUSTER_CLIENT_COUNT, (cvn_cluster_answer){.client_count = 1}),
                     CVN_OK);
    assert_int_equal(
        reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.args = cvn_json("3,[4]"),
                                                    .from = cvn_str("other"),
                                                    .socket_id = cvn_str("some id of theirs")}),
        CVN_OK);
    assert_note("told 0 3/3 1;2;3,[4];");
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.args = cvn_json("5")}),
                     CVN_OK); /* too late, and nobody's loss */
    peers = 1;
    ask(60000);
    assert_int_equal(reply(CVN_CLUSTER_CLIENT_COUNT, (cvn_cluster_answer){.client_count = 2}),
                     CVN_OK);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.error = CVN_ERR_STATE}), CVN_OK);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.args = cvn_json("1")}), CVN_OK);
    assert_note("told 3 1/2 1;");
    /* When the op does not go out, the call fails or the callback says so; from this thread the latter. */
    publish_error = CVN_ERR_SYSTEM;
    ask(60000);
    assert_note("told 6 0/0 ");
    publish_error = CVN_OK;

    static const cvn_slice rooms[] = {{"x", 1}, {"theirs", 6}, {"y", 1}};
    const cvn_cluster_socket sockets[] = {
        {cvn_str("theirs"), rooms, 3, cvn_str("[1]"), cvn_str("{\"a\":1}")},
        {cvn_str("bare"), NULL, 0, {NULL, 0}, {NULL, 0}},
    };
    assert_int_equal(cvn_fetch_sockets(&(cvn_target){.nsp = root}, 60000, on_sockets, NULL),
                     CVN_OK);
    assert_int_equal(
        reply(CVN_CLUSTER_SOCKETS,
              (cvn_cluster_answer){.sockets = sockets, .socket_count = 2, .from = cvn_str("n")}),
        CVN_OK);
    const char *found = next_note();
    assert_memory_equal(found, "told 0 3 ", 9);
    assert_non_null(strstr(found, "theirs@n [1] {\"a\":1}+x+y;bare@n {} {};"));
    assert_non_null(strstr(found, "own;"));

    peers = 2;
    assert_int_equal(cvn_server_side_emit_ack(root, "e", cvn_json(""), 60000, on_answers, NULL),
                     CVN_OK);
    assert_int_equal(reply(CVN_CLUSTER_SERVER_ACK, (cvn_cluster_answer){.args = cvn_json("1")}),
                     CVN_OK);
    assert_int_equal(
        reply(CVN_CLUSTER_SERVER_ACK, (cvn_cluster_answer){.error = CVN_ERR_NOT_FOUND}), CVN_OK);
    assert_note("told 8 1/2 1;");
}

static void test_refused_answers(void **state)
{
    const cvn_slice huge = {"x", (size_t)1 << 40}, with_nul = {"a\0b", 3};
    cvn_cluster_socket socket = {cvn_str("id"), NULL, 0, {NULL, 0}, {NULL, 0}};
    char text[CVN_CLUSTER_MAX_ID + 8];
    (void)state;
    peers = 1;
    ask(100);
    assert_int_equal(reply((enum cvn_cluster_answer_type)0, (cvn_cluster_answer){0}),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(reply((enum cvn_cluster_answer_type)5, (cvn_cluster_answer){0}),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.error = (enum cvn_error)999}),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.from = with_nul}),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.socket_id = huge}),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.args = {huge, NULL, 0}}),
                     CVN_ERR_LIMIT);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.args = {huge, NULL, SIZE_MAX}}),
                     CVN_ERR_LIMIT);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.args = cvn_json("1,")}),
                     CVN_ERR_JSON);
    assert_int_equal(
        reply(CVN_CLUSTER_CLIENT_COUNT, (cvn_cluster_answer){.client_count = SIZE_MAX}),
        CVN_ERR_LIMIT);
    assert_int_equal(reply(CVN_CLUSTER_SOCKETS, (cvn_cluster_answer){.socket_count = SIZE_MAX}),
                     CVN_ERR_LIMIT);
    /* Requests that were never made here. */
    static const char *const formats[] = {"%.0snone",
                                          "%.15s",
                                          "%.16s",
                                          "%.16s.",
                                          "%.16s.00",
                                          "%.16s.00.",
                                          "%.16s.02.1",
                                          "%.16s.ff.1",
                                          "%.16s.0g.1",
                                          "%.16s.00.g",
                                          "%.16s.00.12345678901234567",
                                          "%.16s-00.1",
                                          "%s "};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, formats[i], request_id);
#pragma GCC diagnostic pop
        assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.request = cvn_str(text)}),
                         CVN_ERR_NOT_FOUND);
    }
    snprintf(text, sizeof text, "%.16s.01.ffffffffffffffff", request_id);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){.request = cvn_str(text)}),
                     CVN_OK);
    /* Answers to another kind of question are none. */
    assert_int_equal(reply(CVN_CLUSTER_SERVER_ACK, (cvn_cluster_answer){0}), CVN_OK);
    assert_int_equal(
        reply(CVN_CLUSTER_SOCKETS, (cvn_cluster_answer){.sockets = &socket, .socket_count = 1}),
        CVN_OK);
    assert_note("told 9 0/0 ");

    assert_int_equal(
        cvn_fetch_sockets(&(cvn_target){.nsp = root, .rooms = {"nobody's"}}, 100, on_sockets, NULL),
        CVN_OK);
    const cvn_cluster_socket bad[] = {
        {{NULL, 0}, NULL, 0, {NULL, 0}, {NULL, 0}},
        {with_nul, NULL, 0, {NULL, 0}, {NULL, 0}},
        {cvn_str("id"), &with_nul, 1, {NULL, 0}, {NULL, 0}},
        {cvn_str("id"), &huge, 1, {NULL, 0}, {NULL, 0}},
        {cvn_str("id"), NULL, SIZE_MAX, {NULL, 0}, {NULL, 0}},
        {cvn_str("id"), NULL, 0, cvn_str("{"), {NULL, 0}},
        {cvn_str("id"), NULL, 0, huge, {NULL, 0}},
        {cvn_str("id"), NULL, 0, {NULL, 0}, cvn_str("[]")},
        {cvn_str("id"), NULL, 0, {NULL, 0}, cvn_str("{}{}")},
    };
    static const enum cvn_error errors[] = {CVN_ERR_ARGUMENT, CVN_ERR_ARGUMENT, CVN_ERR_ARGUMENT,
                                            CVN_ERR_LIMIT,    CVN_ERR_LIMIT,    CVN_ERR_JSON,
                                            CVN_ERR_LIMIT,    CVN_ERR_JSON,     CVN_ERR_JSON};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(
            reply(CVN_CLUSTER_SOCKETS, (cvn_cluster_answer){.sockets = &bad[i], .socket_count = 1}),
            errors[i]);
    assert_int_equal(reply(CVN_CLUSTER_ACK, (cvn_cluster_answer){0}), CVN_OK);
    assert_note("told 9 0 ");
    assert_ws_silent(client);
}

/* --- Chance --- */

static unsigned seed = 7;

static unsigned chance(unsigned below)
{
    return (unsigned)rand_r(&seed) % below;
}

static cvn_slice some_text(void)
{
    static const cvn_slice texts[] = {{NULL, 0},      {"/", 1},
                                      {"n", 1},       {"event", 5},
                                      {"1", 1},       {"[1]", 3},
                                      {"1,{}", 4},    {"\0", 1},
                                      {"{", 1},       {"/x", 2},
                                      {"connect", 7}, {"room", 4},
                                      {"\xff", 1},    {"{\"_placeholder\":true,\"num\":0}", 29}};
    return texts[chance(sizeof texts / sizeof *texts)];
}

static void post_semaphore(void *data)
{
    sem_post(data);
}

/* Waits until every worker has done what was posted to it: it takes its mail in order, so much a turn. */
static void wait_for_mail(void)
{
    sem_t done;
    sem_init(&done, 0, 0);
    for (unsigned i = 0; i < cvn_server_workers(server); i++) {
        assert_int_equal(cvn_post(server, i, post_semaphore, &done), CVN_OK);
        sem_wait(&done);
    }
    sem_destroy(&done);
}

/* Any mixture of right and wrong: whatever is said to it, the server stays well. */
static void test_chance(void **state)
{
    (void)state;
    peers = 1;
    close(notes[1]); /* nobody listens */
    notes[1] = open("/dev/null", O_WRONLY);
    for (unsigned i = 0; i < 20000; i++) {
        cvn_slice lists[4] = {some_text(), some_text(), some_text(), some_text()};
        const cvn_cluster_op op = {
            .type = (enum cvn_cluster_op_type)(chance(40) != 0 ? chance(3) * 4 + 1 : chance(9)),
            .nsp = chance(4) == 0 ? some_text() : cvn_str("/"),
            .rooms = lists,
            .room_count = chance(4),
            .except = lists + 1,
            .except_count = chance(3),
            .flags = chance(16),
            .event = some_text(),
            .args = {some_text(), lists, chance(3)},
            .conflate = chance(4) == 0 ? some_text() : cvn_str(NULL),
            .room = some_text(),
            .node = some_text(),
            .request = some_text(),
            .timeout_ms = chance(3),
        };
        const cvn_cluster_socket sockets[2] = {
            {some_text(), lists, chance(4), some_text(), some_text()},
            {some_text(), lists, chance(4), some_text(), some_text()},
        };
        const cvn_cluster_answer answer = {
            .type = (enum cvn_cluster_answer_type)chance(6),
            .request = chance(4) == 0 ? some_text() : cvn_str(request_id),
            .from = some_text(),
            .error = (enum cvn_error)(chance(8) == 0 ? chance(12) : 0),
            .client_count = chance(4),
            .socket_id = some_text(),
            .args = {some_text(), lists, chance(3)},
            .sockets = sockets,
            .socket_count = chance(3),
        };
        (void)cvn_cluster_receive(cluster, &op);
        (void)cvn_cluster_receive_answer(cluster, &answer);
        if (i % 16 == 0)
            ask(1 + chance(20));
        if (i % 16 == 1)
            assert_int_equal(
                cvn_fetch_sockets(&(cvn_target){.nsp = root}, 1 + chance(20), on_sockets, NULL),
                CVN_OK);
    }
    client_free(client);
    wait_for_mail();
    client = joined(cvn_server_port(server)); /* and lets the next one in */
    assert_ws_silent(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_setting),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_on_a_loop),
        cmocka_unit_test(test_order_of_nested),
        TEST(test_published),
        TEST(test_refused_ops),
        TEST(test_accepted_ops),
        TEST(test_answering),
        TEST(test_answers),
        TEST(test_refused_answers),
        TEST(test_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
