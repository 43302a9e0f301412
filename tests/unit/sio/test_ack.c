/*
 * Acknowledgements both ways: those that clients owe us (ids, timeouts on time that the test moves, exactly one call whatever happens)
 * and those that we owe them (at once, later, from another thread, never).
 */
#include "io.h"
#include <pthread.h>

static void on_ack(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    (void)socket;
    world_log(the_io->world, "%s=%s(%.*s);", (const char *)data,
              error == CVN_OK            ? "ok"
              : error == CVN_ERR_TIMEOUT ? "timeout"
              : error == CVN_ERR_STATE   ? "gone"
                                         : "?",
              SLICE_ARG(args.json));
}

static enum cvn_error ask(cvn_socket *socket, uint32_t timeout_ms, const char *name)
{
    return cvn_socket_emit_ack(socket, "q", cvn_json(NULL), timeout_ms, on_ack, (void *)name);
}

/* --- What clients owe --- */

static void test_ids(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *a, *b, *chat;
    (void)state;
    io_namespace(io, "/chat");
    io_start(io);
    struct client *client = io_joined(io, 0, &a), *other = io_joined(io, 0, &b);
    chat = io_join(client, "/chat");
    assert_int_equal(ask(a, 0, "a0"), CVN_OK);
    assert_int_equal(ask(a, 0, "a1"), CVN_OK);
    assert_int_equal(ask(b, 0, "b0"), CVN_OK); /* each socket counts for itself */
    assert_int_equal(ask(chat, 0, "c0"), CVN_OK);
    assert_ws_text(client, "420[\"q\"]");
    assert_ws_text(client, "421[\"q\"]");
    assert_ws_text(client, "42/chat,0[\"q\"]");
    assert_ws_text(other, "420[\"q\"]");
    ws_send(client, "431[1,{\"x\":[]}]"); /* in any order */
    assert_reported("a1=ok(1,{\"x\":[]});");
    ws_send(client, "431[2]"); /* twice: ignored */
    ws_send(client, "437[]");  /* unknown: ignored */
    ws_send(client, "43[]");   /* without an id: ignored */
    ws_send(client, "43999999999999999999[]");
    assert_reported("");
    ws_send(client, "43/chat,0[]");
    assert_reported("c0=ok();");
    ws_send(other, "430[\"b\"]");
    assert_reported("b0=ok(\"b\");");
    ws_send(client, "430[]");
    assert_reported("a0=ok();");
    assert_int_equal(ask(a, 0, "a2"), CVN_OK); /* no id comes again */
    assert_ws_text(client, "422[\"q\"]");
    client_free(client);
    client_free(other);
    world_turn(io->world);
    assert_reported("a2=gone();");
    io_free(io);
}

static void test_binary_answer(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    (void)state;
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    assert_int_equal(ask(socket, 0, "q"), CVN_OK);
    ws_send(client, "461-0[{\"_placeholder\":true,\"num\":0}]");
    assert_reported("");
    ws_send_frame(client, 0x82, "\1\2", 2);
    assert_reported("q=ok({\"_placeholder\":true,\"num\":0});");
    client_free(client);
    io_free(io);
}

static void test_timeouts(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    (void)state;
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    assert_int_equal(ask(socket, 500, "slow"), CVN_OK);
    assert_int_equal(ask(socket, 100, "quick"), CVN_OK);
    assert_int_equal(ask(socket, 300, "answered"), CVN_OK);
    assert_int_equal(ask(socket, 0, "patient"), CVN_OK);
    world_advance(io->world, 99);
    assert_reported("");
    world_advance(io->world, 1);
    assert_reported("quick=timeout();");
    ws_send(client, "431[]"); /* too late: ignored */
    ws_send(client, "432[]");
    assert_reported("answered=ok();");
    world_advance(io->world, 399);
    assert_reported("");
    world_advance(io->world, 1);
    assert_reported("slow=timeout();");
    world_advance(io->world, 10000000);
    assert_reported("");
    ws_send(client, "433[]");
    assert_reported("patient=ok();");
    client_free(client);
    io_free(io);
}

/* Whoever leaves, however: all that was asked is told so, once, before the disconnect handlers. */
static void test_gone(void **state)
{
    static const char all[] = "leaving(%s);0=gone();1=gone();left(%s);";
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct io *io = io_new(1);
        cvn_namespace *root = io_namespace(io, "/");
        cvn_socket *socket;
        char expected[256];
        const char *reason = how == 0   ? "transport close"
                             : how == 1 ? "client namespace disconnect"
                             : how == 2 ? "server namespace disconnect"
                                        : "parse error";
        cvn_on_disconnecting(root, io_on_leave, (void *)"leaving");
        cvn_on_disconnect(root, io_on_leave, (void *)"left");
        io_start(io);
        struct client *client = io_joined(io, 0, &socket);
        assert_int_equal(ask(socket, 0, "0"), CVN_OK);
        assert_int_equal(ask(socket, 1000, "1"), CVN_OK);
        if (how == 0)
            shutdown(client->fd, SHUT_RDWR);
        else if (how == 1)
            ws_send(client, "41");
        else if (how == 2)
            cvn_disconnect(socket, false);
        else
            ws_send(client, "4?");
        world_turn(io->world);
        snprintf(expected, sizeof expected, all, reason, reason);
        assert_reported(expected);
        if (how == 1 || how == 2) /* an answer after it finds nobody */
            ws_send(client, how == 2 ? "430[]" : "3");
        world_advance(io->world, 5000);
        assert_reported("");
        client_free(client);
        io_free(io);
    }
}

static void on_ack_ask_again(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    on_ack(socket, error, args, data);
    enum cvn_error again = ask(socket, 0, "again");
    assert_int_equal(again, error == CVN_ERR_STATE ? CVN_ERR_STATE : CVN_OK);
}

static void on_ack_disconnect(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    on_ack(socket, error, args, data);
    cvn_disconnect(socket, true);
}

static void test_callbacks_that_act(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    (void)state;
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    assert_int_equal(
        cvn_socket_emit_ack(socket, "q", cvn_json(NULL), 100, on_ack_ask_again, (void *)"first"),
        CVN_OK);
    world_advance(io->world, 100);
    assert_reported("first=timeout();");
    ws_send(client, "431[\"x\"]");
    assert_reported("again=ok(\"x\");");
    assert_int_equal(ask(socket, 0, "other"), CVN_OK);
    assert_int_equal(
        cvn_socket_emit_ack(socket, "q", cvn_json(NULL), 0, on_ack_ask_again, (void *)"last"),
        CVN_OK);
    assert_int_equal(
        cvn_socket_emit_ack(socket, "q", cvn_json(NULL), 0, on_ack_disconnect, (void *)"end"),
        CVN_OK);
    ws_send(client, "434[]");
    assert_reported("end=ok();other=gone();last=gone();");
    client_free(client);
    io_free(io);
}

static void test_limits_and_errors(void **state)
{
    struct io *io = io_new(1);
    cvn_socket *socket;
    (void)state;
    io_start(io);
    struct client *client = io_joined(io, 0, &socket);
    assert_int_equal(cvn_socket_emit_ack(socket, "disconnect", cvn_json(NULL), 5, on_ack, NULL),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_socket_emit_ack(socket, NULL, cvn_json(NULL), 5, on_ack, NULL),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_socket_emit_ack(socket, "q", cvn_json("{"), 5, on_ack, NULL),
                     CVN_ERR_JSON);
    for (uint64_t failing = 0; failing < 2; failing++) {
        mem_fail_after(failing, 1);
        assert_int_equal(ask(socket, 5, "none"), CVN_ERR_MEMORY);
        mem_fail_after(0, 0);
    }
    world_advance(io->world, 10);
    assert_ws_silent(client);
    assert_reported(""); /* an error, so no call */
    for (int i = 0; i < 4; i++)
        assert_int_equal(ask(socket, 100, "x"), CVN_OK);
    assert_int_equal(ask(socket, 100, "none"), CVN_ERR_LIMIT);
    world_advance(io->world, 100);
    assert_reported("x=timeout();x=timeout();x=timeout();x=timeout();");
    assert_int_equal(ask(socket, 100, "room again"), CVN_OK);
    client_free(client);
    io_free(io);
}

/* --- What we owe --- */

static cvn_later *kept;

static void on_question(cvn_socket *socket, const cvn_event *event, void *data)
{
    const cvn_slice bytes[] = {SLICE("\1\2")};
    (void)socket;
    (void)data;
    bool wants = cvn_event_wants_ack(event);
    if (slice_eq(cvn_event_name(event), SLICE("now"))) {
        assert_int_equal(cvn_ack(event, "{"), wants ? CVN_ERR_JSON : CVN_OK);
        assert_int_equal(cvn_ack(event, "\"a\",[1]"), CVN_OK);
        assert_int_equal(cvn_ack(event, "2"), wants ? CVN_ERR_STATE : CVN_OK);
        assert_null(cvn_ack_later(event));
    } else if (slice_eq(cvn_event_name(event), SLICE("binary"))) {
        cvn_args args = {SLICE("{\"_placeholder\":true,\"num\":0}"), bytes, 1};
        assert_int_equal(cvn_ack_args(event, args), CVN_OK);
    } else if (slice_eq(cvn_event_name(event), SLICE("later"))) {
        kept = cvn_ack_later(event);
        assert_int_equal(kept != NULL, wants);
        assert_int_equal(cvn_ack(event, "1"), wants ? CVN_ERR_STATE : CVN_OK);
        assert_null(cvn_ack_later(event));
    }
    world_log(the_io->world, "%s;", wants ? "wants" : "no");
}

static struct io *answering(void)
{
    struct io *io = io_new(1);
    cvn_on_any(io_namespace(io, "/"), on_question, NULL);
    cvn_on_any(io_namespace(io, "/chat"), on_question, NULL);
    io_start(io);
    return io;
}

static void test_answers(void **state)
{
    struct io *io = answering();
    struct client *client = io_joined(io, 0, NULL);
    (void)state;
    io_join(client, "/chat");
    ws_send(client, "42[\"now\"]"); /* nobody waits */
    ws_send(client, "420[\"now\"]");
    ws_send(client, "421[\"never\"]");
    ws_send(client, "42/chat,12[\"now\"]");
    ws_send(client, "427[\"binary\"]");
    assert_ws_text(client, "430[\"a\",[1]]");
    assert_ws_text(client, "43/chat,12[\"a\",[1]]");
    assert_ws_text(client, "461-7[{\"_placeholder\":true,\"num\":0}]");
    assert_binary(client, SLICE("\1\2"));
    assert_ws_silent(client);
    client_free(client);
    io_free(io);
}

/* Ids come back to the digit, also those that a double could not hold; 18 digits are the most. */
static void test_long_ids(void **state)
{
    struct io *io = answering();
    struct client *client = io_joined(io, 0, NULL);
    (void)state;
    ws_send(client, "429007199254740993[\"now\"]");
    assert_ws_text(client, "439007199254740993[\"a\",[1]]");
    ws_send(client, "42999999999999999999[\"now\"]");
    assert_ws_text(client, "43999999999999999999[\"a\",[1]]");
    ws_send(client, "421000000000000000000[\"now\"]");
    assert_ws_closed(client, 1005);
    client_free(client);
    io_free(io);
}

static void test_later(void **state)
{
    struct io *io = answering();
    struct client *client = io_joined(io, 0, NULL);
    (void)state;
    kept = NULL;
    ws_send(client, "42[\"later\"]");
    assert_null(kept);
    ws_send(client, "423[\"later\"]");
    assert_non_null(kept);
    assert_ws_silent(client);
    world_advance(io->world, 1000);
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_later_send(kept, cvn_json("\"x\"")), CVN_OK);
    assert_ws_text(client, "433[\"x\"]");

    ws_send(client, "424[\"later\"]");
    assert_int_equal(cvn_later_send(kept, cvn_json("{")), CVN_ERR_JSON); /* and it is freed */
    ws_send(client, "425[\"later\"]");
    cvn_later_drop(kept);
    cvn_later_drop(NULL);
    assert_ws_silent(client);

    ws_send(client, "426[\"later\"]");
    client_vanish(client, false);
    assert_int_equal(cvn_later_send(kept, cvn_json("1")), CVN_ERR_STATE);
    client = io_joined(io, 0, NULL);
    ws_send(client, "427[\"later\"]");
    client_vanish(client, false);
    cvn_later_drop(kept); /* the last reference to the socket */
    client = io_joined(io, 0, NULL);
    ws_send(client, "428[\"later\"]");
    mem_fail_after(0, 1);
    assert_int_equal(cvn_later_send(kept, cvn_json("1")), CVN_ERR_MEMORY);
    mem_fail_after(0, 0);
    client_free(client);
    io_free(io);
}

static void *send_later(void *data)
{
    enum cvn_error *ret = data;
    *ret = cvn_later_send(kept, cvn_json("\"from afar\""));
    return NULL;
}

static void in_a_thread(void *(*fn)(void *data), void *data)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, data), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_later_from_another_thread(void **state)
{
    struct io *io = answering();
    struct client *client = io_joined(io, 0, NULL);
    enum cvn_error error = CVN_ERR_LIMIT;
    (void)state;
    ws_send(client, "423[\"later\"]");
    in_a_thread(send_later, &error);
    assert_int_equal(error, CVN_OK);
    assert_ws_text(client, "433[\"from afar\"]");
    ws_send(client, "424[\"later\"]");
    in_a_thread(send_later, &error); /* its mail is on the way when the client leaves */
    shutdown(client->fd, SHUT_RDWR);
    world_turn(io->world);
    client_free(client);
    client = io_joined(io, 0, NULL);
    ws_send(client, "425[\"later\"]");
    in_a_thread(send_later, &error); /* and here when the server ends */
    client_free(client);
    io_free(io);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_binary_answer),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_callbacks_that_act),
        cmocka_unit_test(test_limits_and_errors),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_long_ids),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_later_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
