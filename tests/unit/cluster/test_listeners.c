/*
 * Event middlewares, and catch-all listeners of what is emitted: what they see, in which order, and what they may do meanwhile. Two workers,
 * turned by hand.
 */
#include "sio/io.h"
#include <convene/sockets.h>
#include "base/log.h"
#include "cluster/adapter_workers.h"

static struct io *listeners_new(void)
{
    struct io *io = io_new(2);
    io->server.adapter = adapter_workers_new(&io->server);
    assert_non_null(io->server.adapter);
    return io;
}

/* --- Event middlewares --- */

static bool on_filter(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_slice name = cvn_event_name(event);
    assert_true(cvn_socket_is_connected(socket));
    world_log(the_io->world, "%s?%.*s(%.*s);", (const char *)data, SLICE_ARG(name),
              SLICE_ARG(cvn_event_args(event).json));
    if (slice_eq(name, SLICE("denied"))) {
        assert_int_equal(cvn_ack(event, "{\"error\":\"denied\"}"), CVN_OK);
        return false;
    }
    if (slice_eq(name, SLICE("kick")))
        cvn_disconnect(socket, false);
    return !slice_eq(name, SLICE("silent"));
}

static void test_filters(void **state)
{
    struct io *io = listeners_new();
    cvn_namespace *root = io_namespace(io, "/");
    (void)state;
    io_log_all(root);
    cvn_on(root, "a", io_on_event, (void *)"on");
    cvn_on(root, "denied", io_on_event, (void *)"on");
    assert_int_equal(cvn_use_event(root, on_filter, (void *)"1"), CVN_OK);
    assert_int_equal(cvn_use_event(root, on_filter, (void *)"2"), CVN_OK);
    assert_int_equal(cvn_use_event(root, NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_use_event(NULL, on_filter, NULL), CVN_ERR_ARGUMENT);
    io->server.registration = CVN_OK;
    io_start(io);
    assert_int_equal(cvn_use_event(root, on_filter, NULL), CVN_ERR_STATE);
    struct client *client = io_joined(io, 0, NULL);
    world_reported(io->world);
    ws_send(client, "42[\"a\",1]");
    assert_reported("1?a(1);2?a(1);any:a(1);on:a(1);");
    ws_send(client, "427[\"denied\",2]");
    assert_reported("1?denied(2);");
    assert_ws_text(client, "437[{\"error\":\"denied\"}]");
    ws_send(client, "42[\"denied\",3]"); /* whoever does not wait is not told */
    assert_reported("1?denied(3);");
    ws_send(client, "428[\"silent\"]");
    assert_reported("1?silent();");
    assert_ws_silent(client);
    ws_send(client, "451-[\"a\",{\"_placeholder\":true,\"num\":0}]");
    assert_reported("");
    ws_send_frame(client, 0x82, "x", 1);
    assert_reported(
        "1?a({\"_placeholder\":true,\"num\":0});2?a({\"_placeholder\":true,\"num\":0});"
        "any:a({\"_placeholder\":true,\"num\":0});on:a({\"_placeholder\":true,\"num\":0});");
    ws_send(client, "42[\"kick\"]");
    assert_reported(
        "1?kick();leaving(server namespace disconnect);left(server namespace disconnect);");
    assert_ws_text(client, "41");
    client_free(client);
    io_free(io);
}

/* --- Catch-all listeners of what is emitted --- */

static void on_outgoing(cvn_socket *socket, const char *event, cvn_args args, void *data)
{
    world_log(the_io->world, "%s:%u:%s(%.*s)", (const char *)data, cvn_socket_worker(socket), event,
              SLICE_ARG(args.json));
    for (size_t i = 0; i < args.attachment_count; i++)
        world_log(the_io->world, "<%.*s>", SLICE_ARG(args.attachments[i]));
    world_log(the_io->world, ";");
}

struct crowd {
    struct io *io;
    cvn_namespace *root;
    struct client *clients[3]; /* 0 and 2 on worker 0, 1 on worker 1 */
    cvn_socket *sockets[3];
};

static struct crowd crowd_new(cvn_outgoing_fn fn, const char *data)
{
    struct crowd crowd = {.io = listeners_new()};
    crowd.root = io_namespace(crowd.io, "/");
    assert_int_equal(cvn_on_any_outgoing(crowd.root, fn, (void *)data), CVN_OK);
    cvn_on_disconnect(crowd.root, io_on_leave, (void *)"left");
    io_start(crowd.io);
    for (unsigned i = 0; i < 3; i++)
        crowd.clients[i] = io_joined(crowd.io, i % 2, &crowd.sockets[i]);
    world_reported(crowd.io->world);
    worker_enter(&crowd.io->world->workers[0]);
    return crowd;
}

static void crowd_free(struct crowd *crowd)
{
    for (unsigned i = 0; i < 3; i++)
        client_free(crowd->clients[i]);
    io_free(crowd->io);
}

static void turn(struct crowd *crowd)
{
    world_turn(crowd->io->world);
    worker_enter(&crowd->io->world->workers[0]);
}

static void on_ack(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    (void)socket;
    (void)error;
    (void)args;
    (void)data;
}

static void on_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    (void)data;
    world_log(the_io->world, "answers=%d,%zu;", (int)error, answers->asked);
}

static void test_outgoing(void **state)
{
    struct crowd crowd = crowd_new(on_outgoing, "out");
    const cvn_slice bytes[2] = {cvn_str("ab"), cvn_str("c")};
    const cvn_args binary = {
        cvn_str("{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}"), bytes, 2};
    (void)state;
    assert_int_equal(cvn_on_any_outgoing(crowd.root, on_outgoing, NULL), CVN_ERR_STATE);
    assert_int_equal(cvn_socket_emit(crowd.sockets[0], "one", cvn_json("1,2")), CVN_OK);
    assert_reported("out:0:one(1,2);");
    assert_int_equal(cvn_socket_emit_ack(crowd.sockets[0], "ack", cvn_json(NULL), 0, on_ack, NULL),
                     CVN_OK);
    assert_reported("out:0:ack();");
    assert_int_equal(cvn_socket_emit(crowd.sockets[0], "bad", cvn_json("{")), CVN_ERR_JSON);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = crowd.root}, "bad", cvn_json("{")),
                     CVN_ERR_JSON);
    assert_reported("");

    /* A broadcast: at once for this worker's sockets, and for the others when it has come there. */
    char event[8] = "all", json[8] = "3";
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = crowd.root}, event, cvn_json(json)), CVN_OK);
    event[0] = json[0] = '?'; /* what was emitted may go at once */
    assert_reported("out:0:all(3);out:0:all(3);");
    turn(&crowd);
    assert_reported("out:1:all(3);");
    assert_int_equal(
        cvn_emit(&(cvn_target){.nsp = crowd.root, .except = {crowd.sockets[0]->id}}, "bin", binary),
        CVN_OK);
    turn(&crowd);
    assert_reported(
        "out:0:bin({\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1})<ab><c>;"
        "out:1:bin({\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1})<ab><c>;");

    /* The same with acknowledgements. */
    assert_int_equal(
        cvn_emit_ack(&(cvn_target){.nsp = crowd.root}, "q", cvn_json("4"), 1000, on_answers, NULL),
        CVN_OK);
    assert_reported("out:0:q(4);out:0:q(4);");
    turn(&crowd);
    assert_reported("out:1:q(4);");
    world_advance(crowd.io->world, 1010);
    assert_reported("answers=9,3;");
    crowd_free(&crowd);
}

/* A polling client without a pending poll takes nothing volatile: listeners are told of what was queued, not of what was dropped. */
static void test_outgoing_volatile(void **state)
{
    struct io *io = listeners_new();
    cvn_namespace *root = io_namespace(io, "/");
    const cvn_target target = {.nsp = root, .flags = CVN_VOLATILE};
    char sid[EIO_SID_SIZE + 1];
    (void)state;
    cvn_on_connection(root, io_on_connection, (void *)"in");
    cvn_on_any_outgoing(root, on_outgoing, (void *)"out");
    io_start(io);
    struct client *client = client_new(io->world);
    polling_open(client, sid);
    assert_post(client, sid, "40");
    assert_int_equal(http_exchange(client, "GET", sid_target(sid), "", NULL)->status, 200);
    assert_reported("in/;");
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_emit(&target, "dropped", cvn_json("1")), CVN_OK);
    assert_int_equal(cvn_socket_emit_volatile(io->last, "dropped", cvn_json("2")), CVN_OK);
    assert_int_equal(cvn_emit_ack(&target, "dropped", cvn_json("3"), 1000, on_answers, NULL),
                     CVN_OK);
    assert_reported("");
    poll_pending(client, sid);
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_emit(&target, "taken", cvn_json("4")), CVN_OK);
    assert_polled(client, "42[\"taken\",4]");
    assert_reported("answers=0,0;out:0:taken(4);");
    client_free(client);
    io_free(io);
}

/* A listener that ends the socket it hears of, and another one, while a broadcast goes out. */
static struct crowd *the_crowd;

static void on_outgoing_kick(cvn_socket *socket, const char *event, cvn_args args, void *data)
{
    on_outgoing(socket, event, args, data);
    cvn_disconnect(the_crowd->sockets[0], true);
    cvn_disconnect(the_crowd->sockets[2], false);
    if (cvn_socket_is_connected(socket))
        cvn_leave(socket, "r");
}

static void test_listener_disconnects(void **state)
{
    struct crowd crowd = crowd_new(on_outgoing_kick, "out");
    (void)state;
    the_crowd = &crowd;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cvn_join(crowd.sockets[i], "r"), CVN_OK);
    assert_int_equal(
        cvn_emit(&(cvn_target){.nsp = crowd.root, .rooms = {"r"}, .flags = CVN_LOCAL_WORKER}, "all",
                 cvn_json("1")),
        CVN_OK);
    /* Both had it queued before anybody was told. */
    assert_reported("out:0:all(1);left(server namespace disconnect);"
                    "left(server namespace disconnect);out:0:all(1);");
    turn(&crowd);
    for (int i = 0; i < 3; i += 2) {
        assert_ws_text(crowd.clients[i], "42[\"all\",1]");
        assert_ws_text(crowd.clients[i], "41");
    }
    assert_true(cvn_socket_in_room(crowd.sockets[1], "r"));
    crowd_free(&crowd);
}

/* Emitting in a listener is heard, too; this one stops by itself. */
static void on_outgoing_again(cvn_socket *socket, const char *event, cvn_args args, void *data)
{
    on_outgoing(socket, event, args, data);
    if (strcmp(event, "again") != 0)
        cvn_socket_emit(socket, "again", args);
}

static void test_listener_emits(void **state)
{
    struct crowd crowd = crowd_new(on_outgoing_again, "out");
    (void)state;
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = crowd.root, .rooms = {crowd.sockets[0]->id}},
                              "first", cvn_json("1")),
                     CVN_OK);
    assert_reported("out:0:first(1);out:0:again(1);");
    assert_ws_text(crowd.clients[0], "42[\"first\",1]");
    assert_ws_text(crowd.clients[0], "42[\"again\",1]");
    crowd_free(&crowd);
}

/* With recovery what a listener emits comes behind what it heard, also for whoever comes back. */
static void test_listener_emits_with_recovery(void **state)
{
    struct io *io = listeners_new();
    cvn_namespace *root = io_namespace(io, "/");
    char pid[SIO_ID_SIZE + 1], text[128];
    (void)state;
    io->server.options.recovery.window_ms = 120000;
    io->server.options.recovery.heartbeat_ms = 45000;
    io->server.options.recovery.max_bytes = 1 << 20;
    io->server.options.recovery.max_sessions = 100;
    cvn_on_connection(root, io_on_connection, (void *)"in");
    cvn_on_any_outgoing(root, on_outgoing_again, (void *)"out");
    io_start(io);
    struct client *away = io_client(io, 0), *here = io_client(io, 0);
    ws_send(away, "40");
    assert_int_equal(sscanf(io_read(away), "40{\"sid\":\"%*20c\",\"pid\":\"%20[^\"]\"}", pid), 1);
    ws_send(here, "40");
    io_read(here);
    worker_enter(&io->world->workers[0]);
    world_reported(io->world);
    assert_int_equal(
        cvn_emit(&(cvn_target){.nsp = root, .except = {io->last->id}}, "first", cvn_json("1")),
        CVN_OK);
    assert_reported("out:0:first(1);out:0:again(1);"); /* the offset is none of its arguments */
    client_vanish(away, true);
    world_turn(io->world);
    away = io_client(io, 0);
    snprintf(text, sizeof text, "40{\"pid\":\"%s\"}", pid);
    ws_send(away, text);
    assert_memory_equal(io_read(away), "42[\"first\",1,\"", 14);
    assert_memory_equal(io_read(away), "42[\"again\",1,\"", 14);
    assert_non_null(strstr(io_read(away), pid));
    assert_reported("in/;"); /* what is given again is not told of again */
    client_free(away);
    client_free(here);
    io_free(io);
}

static unsigned missed;

static void on_log(void *data, enum log_level level, const char *message)
{
    (void)data;
    assert_int_equal(level, LOG_ERROR);
    missed += strstr(message, "listener") != NULL;
}

/* Without memory a listener may miss a broadcast, which the log says; its receivers do not. */
static void test_outgoing_without_memory(void **state)
{
    enum cvn_error error = CVN_ERR_MEMORY;
    (void)state;
    missed = 0;
    log_set_sink(on_log, NULL, LOG_ERROR);
    for (uint64_t failing = 0; error != CVN_OK; failing++) {
        struct crowd crowd = crowd_new(on_outgoing, "out");
        const cvn_slice bytes = cvn_str("ab");
        assert_true(failing < 100);
        mem_fail_after(failing, 1);
        error = cvn_emit(&(cvn_target){.nsp = crowd.root}, "e",
                         (cvn_args){cvn_str("{\"_placeholder\":true,\"num\":0}"), &bytes, 1});
        mem_fail_after(0, 0);
        turn(&crowd);
        if (error == CVN_OK && missed == 1)
            for (int i = 0; i < 3; i++)
                assert_ws_text(crowd.clients[i], "451-[\"e\",{\"_placeholder\":true,\"num\":0}]");
        crowd_free(&crowd);
    }
    log_set_sink(NULL, NULL, LOG_WARN);
    assert_int_equal(missed, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_outgoing),
        cmocka_unit_test(test_outgoing_volatile),
        cmocka_unit_test(test_listener_disconnects),
        cmocka_unit_test(test_listener_emits),
        cmocka_unit_test(test_listener_emits_with_recovery),
        cmocka_unit_test(test_outgoing_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
