/*
 * A server on a libuv loop of the program's own. The loop runs on a second thread, or by hand on
 * the test's; blocking clients judge it from outside.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <uv.h>
#include <convene/uv.h>
#include "base/mem.h"
#include "client.h"

/* A program that has a loop: a handle of its own keeps it alive, and tells it to let go of that. */
struct program {
    uv_loop_t loop;
    pthread_t thread, runs_on;
    uv_async_t leave;
    uv_prepare_t late; /* started before the server, so that it runs after the server's */
    bool work_late;
    cvn_server *server;
};

static void on_leave(uv_async_t *leave)
{
    struct program *program = leave->data;
    uv_close((uv_handle_t *)&program->leave, NULL);
    uv_close((uv_handle_t *)&program->late, NULL);
}

static void on_late(uv_prepare_t *late)
{
    struct program *program = late->data;
    if (program->work_late)
        assert_int_equal(
            cvn_emit(&(cvn_target){.nsp = cvn_of(program->server, "/")}, "late", cvn_json("")),
            CVN_OK);
    program->work_late = false;
}

static void program_init(struct program *program)
{
    *program = (struct program){0};
    assert_int_equal(uv_loop_init(&program->loop), 0);
    uv_async_init(&program->loop, &program->leave, on_leave);
    uv_prepare_init(&program->loop, &program->late);
    uv_prepare_start(&program->late, on_late);
    program->leave.data = program->late.data = program;
}

static void *run_loop(void *data)
{
    struct program *program = data;
    program->runs_on = pthread_self();
    uv_run(&program->loop, UV_RUN_DEFAULT);
    note("loop ended");
    return NULL;
}

static void program_run(struct program *program)
{
    assert_int_equal(pthread_create(&program->thread, NULL, run_loop, program), 0);
}

/* Ends the program's own part. What is left on the loop then is the server's: nothing, or the
 * thread would not end. */
static void program_end(struct program *program)
{
    uv_async_send(&program->leave);
    assert_note("loop ended");
    pthread_join(program->thread, NULL);
    assert_int_equal(uv_loop_close(&program->loop), 0);
}

/* The same for a loop that the test runs by hand. */
static void program_end_by_hand(struct program *program)
{
    on_leave(&program->leave);
    assert_int_equal(uv_run(&program->loop, UV_RUN_DEFAULT), 0);
    assert_false(uv_loop_alive(&program->loop));
    assert_int_equal(uv_loop_close(&program->loop), 0);
}

static void on_stopped(cvn_server *server, void *data)
{
    struct program *program = data;
    /* The program's two are all that is left. */
    note("stopped %d",
         program == NULL || (program->server == server && program->loop.active_handles == 2));
}

static void on_stopped_free(cvn_server *server, void *data)
{
    (void)data;
    note("stopped");
    cvn_server_free(server);
}

static void on_connection(cvn_socket *socket, void *data)
{
    struct program *program = data;
    note("in %u %d", cvn_socket_worker(socket), pthread_equal(pthread_self(), program->runs_on));
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket, (void)data;
    note("out %s", reason);
}

static void on_echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket, (void)data;
    assert_int_equal(cvn_ack_args(event, cvn_event_args(event)), CVN_OK);
}

static void on_ack(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    (void)socket, (void)args, (void)data;
    note("ack %d", error);
}

static void on_ask(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)event, (void)data;
    assert_int_equal(cvn_socket_emit_ack(socket, "question", cvn_json(""), 1, on_ack, NULL),
                     CVN_OK);
}

static void on_late_wanted(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct program *program = data;
    (void)socket, (void)event;
    program->work_late = true;
}

/* Its pings are far away, so that nothing but what is tested wakes the loop. */
static cvn_server *hosted_server(struct program *program)
{
    cvn_server *server = cvn_server_new(&(cvn_options){
        .host = "127.0.0.1", .workers = 7, .hide_client = true, .ping_interval_ms = 3600000});
    assert_non_null(server);
    cvn_namespace *nsp = cvn_of(server, "/");
    cvn_on_connection(nsp, on_connection, program);
    cvn_on_disconnect(nsp, on_disconnect, NULL);
    cvn_on(nsp, "echo", on_echo, NULL);
    cvn_on(nsp, "ask", on_ask, NULL);
    cvn_on(nsp, "late", on_late_wanted, program);
    program->server = server;
    return server;
}

static uint16_t start(struct program *program)
{
    assert_int_equal(cvn_server_start_on_loop(program->server, &program->loop, on_stopped, program),
                     CVN_OK);
    assert_true(cvn_server_port(program->server) > 0);
    return cvn_server_port(program->server);
}

/* --- Serving --- */

static void on_posted(void *data)
{
    struct program *program = data;
    note("posted %d", pthread_equal(pthread_self(), program->runs_on));
}

static void test_serves(void **state)
{
    struct program program;
    cvn_stats stats;
    (void)state;
    program_init(&program);
    cvn_server *server = hosted_server(&program);
    uint16_t port = start(&program);
    program_run(&program);
    assert_int_equal(cvn_server_workers(server), 1);

    struct client *client = joined(port), *polling = polling_open(port);
    assert_note("in 0 1");
    polling_post(polling, "40");
    assert_note("in 0 1");
    polling_get(polling);
    ws_send(client, "421[\"echo\",{\"a\":1}]");
    assert_ws_text(client, "431[{\"a\":1}]");
    ws_send(client, "42[\"ask\"]");
    assert_ws_text(client, "420[\"question\"]");
    assert_note("ack 9"); /* CVN_ERR_TIMEOUT: the loop wakes for the deadline */
    cvn_server_stats(server, &stats);
    assert_int_equal(stats.sockets, 2);

    assert_int_equal(cvn_post(server, 1, on_posted, &program), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_post(server, 0, on_posted, &program), CVN_OK);
    assert_note("posted 1");
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = cvn_of(server, "/")}, "from afar", cvn_json("")),
                     CVN_OK);
    assert_ws_text(client, "42[\"from afar\"]");
    assert_string_equal(polling_get(polling), "42[\"from afar\"]");

    cvn_server_stop(server);
    cvn_server_wait(server); /* does not */
    assert_ws_closed(client);
    assert_string_equal(polling_get(polling), "1");
    assert_note("out server shutting down");
    assert_note("out server shutting down");
    assert_note("stopped 1");
    assert_int_equal(cvn_post(server, 0, on_posted, &program), CVN_ERR_STATE);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = cvn_of(server, "/")}, "a", cvn_json("")),
                     CVN_ERR_STATE);
    program_end(&program); /* before the server is freed: the loop is nothing to it any more */
    cvn_server_free(server);
    client_free(client);
    client_free(polling);
}

/* An emit at the very end of a turn, when the server has done what it does there. */
static void test_emits_late_in_a_turn(void **state)
{
    struct program program;
    (void)state;
    program_init(&program);
    cvn_server *server = hosted_server(&program);
    uint16_t port = start(&program);
    program_run(&program);
    struct client *client = joined(port);
    assert_note("in 0 1");
    for (int i = 0; i < 20; i++) {
        ws_send(client, "42[\"late\"]");
        assert_ws_text(client, "42[\"late\"]");
    }
    client_free(client);
    assert_note("out transport close");
    cvn_server_stop(server);
    assert_note("stopped 1");
    program_end(&program);
    cvn_server_free(server);
}

static void on_call(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct program *other = data;
    (void)socket, (void)event;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            cvn_emit(&(cvn_target){.nsp = cvn_of(other->server, "/")}, "called", cvn_json("")),
            CVN_OK);
}

static void on_tell(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)event, (void)data;
    assert_int_equal(
        cvn_emit(&(cvn_target){.nsp = cvn_socket_namespace(socket)}, "told", cvn_event_args(event)),
        CVN_OK);
}

static void test_two_servers_on_one_loop(void **state)
{
    struct program program,
        second = {0}; /* `second` has only a server: the loop is the first one's */
    (void)state;
    program_init(&program);
    cvn_server *a = hosted_server(&program), *b = hosted_server(&second);
    cvn_on(cvn_of(a, "/"), "call", on_call, &second);
    cvn_on(cvn_of(b, "/"), "tell", on_tell, NULL);
    uint16_t port_a = start(&program);
    assert_int_equal(cvn_server_start_on_loop(b, &program.loop, on_stopped, NULL), CVN_OK);
    program_run(&program);
    struct client *to_a = joined(port_a), *to_b = joined(cvn_server_port(b));
    next_note();
    next_note();
    for (int i = 0; i < 20; i++) {
        ws_send(to_a, "42[\"call\"]");
        for (int j = 0; j < 3; j++)
            assert_ws_text(to_b, "42[\"called\"]");
        ws_send(to_b, "42[\"tell\",1]");
        assert_ws_text(to_b, "42[\"told\",1]");
    }
    cvn_server_stop(b);
    assert_ws_closed(to_b);
    assert_note("out server shutting down");
    assert_note("stopped 1");
    ws_send(to_a, "421[\"echo\"]"); /* lives on */
    assert_ws_text(to_a, "431[]");
    cvn_server_stop(a);
    assert_ws_closed(to_a);
    assert_note("out server shutting down");
    assert_note("stopped 1");
    program_end(&program);
    client_free(to_a);
    client_free(to_b);
    cvn_server_free(a);
    cvn_server_free(b);
}

/* --- Ending --- */

static atomic_uint turns; /* of the loop that is turned by hand */

static void turn(struct program *program)
{
    uv_run(&program->loop, UV_RUN_NOWAIT);
    atomic_fetch_add(&turns, 1);
}

/* Turns by hand until somebody has said it. */
static void turn_until(struct program *program, const char *expected)
{
    for (;;) {
        turn(program);
        if (is_readable(notes[0], 0) && strcmp(next_note(), expected) == 0)
            return;
    }
}

/* Some in every turn: a thread that emits without end outruns any loop. */
static void *emit_until_the_end(void *data)
{
    const struct program *program = data;
    cvn_target everybody = {.nsp = cvn_of(program->server, "/")};
    for (;;) {
        unsigned seen = atomic_load(&turns);
        for (int i = 0; i < 50; i++)
            if (cvn_emit(&everybody, "noise", cvn_json("")) != CVN_OK)
                return NULL;
        while (atomic_load(&turns) == seen)
            sched_yield();
    }
}

/* The loop may be closed as soon as the server has left it, whoever emits just then. */
static void test_others_emit_while_it_stops(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct program program;
        pthread_t threads[2];
        program_init(&program);
        cvn_server *server = hosted_server(&program);
        start(&program);
        for (int j = 0; j < 2; j++)
            assert_int_equal(pthread_create(&threads[j], NULL, emit_until_the_end, &program), 0);
        for (int j = 0; j < 3; j++)
            turn(&program);
        cvn_server_stop(server);
        turn_until(&program, "stopped 1");
        program_end_by_hand(&program);
        atomic_fetch_add(&turns, 1); /* who waits finds the end */
        for (int j = 0; j < 2; j++)
            pthread_join(threads[j], NULL);
        cvn_server_free(server);
    }
}

static void test_freed_when_it_has_stopped(void **state)
{
    struct program program;
    (void)state;
    program_init(&program);
    hosted_server(&program);
    assert_int_equal(cvn_server_start_on_loop(program.server, &program.loop, on_stopped_free, NULL),
                     CVN_OK);
    program_run(&program);
    struct client *client = joined(cvn_server_port(program.server));
    assert_note("in 0 1");
    cvn_server_stop(program.server);
    assert_ws_closed(client);
    assert_note("out server shutting down");
    assert_note("stopped");
    program_end(&program);
    client_free(client);
}

static void on_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    (void)answers, (void)data;
    note("answers %d", error);
}

/* A client, on a thread of its own while the test turns the loop. */
static void *join_and_tell(void *data)
{
    uint16_t port = *(uint16_t *)data;
    struct client *client = joined(port);
    note("joined");
    return client;
}

static void test_freed_while_it_runs(void **state)
{
    struct program program;
    pthread_t thread;
    void *client = NULL;
    (void)state;
    program_init(&program);
    program.runs_on = pthread_self();
    cvn_server *server = hosted_server(&program);
    uint16_t port = start(&program);
    assert_int_equal(pthread_create(&thread, NULL, join_and_tell, &port), 0);
    turn_until(&program, "joined");
    pthread_join(thread, &client);
    assert_int_equal(cvn_emit_ack(&(cvn_target){.nsp = cvn_of(server, "/")}, "q", cvn_json(""), 0,
                                  on_answers, NULL),
                     CVN_OK);
    cvn_server_free(server);
    assert_note("out server shutting down"); /* before it returns */
    assert_note("answers 3");
    program_end_by_hand(&program);
    assert_no_note(); /* and on_stopped is not called */
    assert_ended(client);
    client_free(client);
}

static void note_freed(void *data)
{
    note("%s freed", (const char *)data);
}

static void on_connection_with_data(cvn_socket *socket, void *data)
{
    cvn_socket_set_data(socket, data, note_freed);
}

static void *join_and_leave(void *data)
{
    client_free(joined(*(uint16_t *)data));
    return NULL;
}

/* A session that waits for its client to come back ends with the server, not with the loop's next
 * turn. */
static void test_freed_with_a_lost_session(void **state)
{
    static char name[] = "data";
    struct program program;
    pthread_t thread;
    (void)state;
    program_init(&program);
    cvn_server *server = cvn_server_new(
        &(cvn_options){.host = "127.0.0.1", .hide_client = true, .recovery_window_ms = 3600000});
    assert_non_null(server);
    program.server = server;
    cvn_on_connection(cvn_of(server, "/"), on_connection_with_data, name);
    cvn_on_disconnect(cvn_of(server, "/"), on_disconnect, NULL);
    uint16_t port = start(&program);
    assert_int_equal(pthread_create(&thread, NULL, join_and_leave, &port), 0);
    turn_until(&program, "out transport close");
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++)
        uv_run(&program.loop, UV_RUN_NOWAIT);
    assert_no_note();
    cvn_server_free(server);
    assert_note("data freed");
    program_end_by_hand(&program);
    assert_no_note();
}

static void test_freed_in_the_midst_of_its_stop(void **state)
{
    struct program program;
    (void)state;
    program_init(&program);
    program.runs_on = pthread_self();
    cvn_server *server = hosted_server(&program);
    start(&program);
    cvn_server_stop(server);
    uv_run(&program.loop, UV_RUN_NOWAIT); /* it has heard of it */
    cvn_server_free(server);
    program_end_by_hand(&program);
    assert_no_note();
}

static void test_freed_before_the_loop_ran(void **state)
{
    struct program program;
    (void)state;
    program_init(&program);
    hosted_server(&program);
    start(&program);
    cvn_server_free(program.server);
    program_end_by_hand(&program);
    assert_no_note();
}

/* --- Refusals --- */

static void test_refusals(void **state)
{
    struct program program;
    (void)state;
    program_init(&program);
    cvn_server *first = hosted_server(&program);
    uint16_t port = start(&program);
    assert_int_equal(cvn_server_start_on_loop(first, &program.loop, NULL, NULL), CVN_ERR_STATE);
    assert_int_equal(cvn_server_start(first), CVN_ERR_STATE);
    assert_int_equal(cvn_server_start_on_loop(NULL, &program.loop, NULL, NULL), CVN_ERR_ARGUMENT);
    int handles = (int)program.loop.active_handles;

    cvn_server *second =
        cvn_server_new(&(cvn_options){.host = "127.0.0.1", .port = port, .hide_client = true});
    assert_int_equal(cvn_server_start_on_loop(second, NULL, NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_start_on_loop(second, &program.loop, on_stopped, NULL),
                     CVN_ERR_SYSTEM);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(program.loop.active_handles, handles); /* the loop knows nothing of it */
    assert_int_equal(cvn_server_start_on_loop(second, &program.loop, NULL, NULL), CVN_ERR_STATE);
    cvn_server_free(second);
    cvn_server_free(first);
    program_end_by_hand(&program);
    assert_no_note();
}

static void test_memory_runs_out(void **state)
{
    uv_loop_t loop;
    enum cvn_error error = CVN_ERR_MEMORY;
    uint64_t failures = 0;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    while (error != CVN_OK) {
        cvn_server *server = server_new(1);
        mem_fail_after(failures, 1);
        error = cvn_server_start_on_loop(server, &loop, NULL, NULL);
        mem_fail_after(0, 0);
        if (error != CVN_OK) {
            assert_int_equal(error, CVN_ERR_MEMORY);
            assert_int_equal(loop.active_handles, 0);
            failures++;
        }
        cvn_server_free(server);
    }
    assert_true(failures > 5);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static int setup(void **state)
{
    (void)state;
    notes_open();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    notes_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_emits_late_in_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_servers_on_one_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_emit_while_it_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_when_it_has_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_while_it_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_with_a_lost_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_in_the_midst_of_its_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_before_the_loop_ran, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_runs_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
