/* What an application has on workers: functions for their beginning and end, timers, handles on their loops. */
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>
#include <convene/uv.h>
#include "base/mem.h"
#include "client.h"

#define WORKERS 2

static char a[] = "a", b[] = "b"; /* who is called */

/* --- Beginning and end --- */

static void on_start(cvn_server *server, unsigned index, void *data)
{
    note("start %s %d", (char *)data, cvn_worker_index(server) == index);
}

static void on_stop(cvn_server *server, unsigned index, void *data)
{
    note("stop %s %d", (char *)data, cvn_worker_index(server) == index);
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket, (void)data;
    note("out %s", reason);
}

static void test_beginning_and_end(void **state)
{
    (void)state;
    notes_open();
    cvn_server *server = server_new(1);
    assert_int_equal(cvn_on_worker_start(server, on_start, a), CVN_OK);
    assert_int_equal(cvn_on_worker_start(server, on_start, b), CVN_OK);
    assert_int_equal(cvn_on_worker_stop(server, on_stop, a), CVN_OK);
    assert_int_equal(cvn_on_worker_stop(server, on_stop, b), CVN_OK);
    cvn_on_disconnect(cvn_of(server, "/"), on_disconnect, NULL);
    assert_int_equal(cvn_worker_index(server), CVN_NO_WORKER);
    uint16_t port = server_start(server);
    assert_note("start a 1");
    assert_note("start b 1");
    assert_int_equal(cvn_on_worker_start(server, on_start, b), CVN_ERR_STATE);
    assert_int_equal(cvn_worker_index(server), CVN_NO_WORKER);
    assert_null(cvn_worker_loop(server));
    struct client *client = joined(port);
    cvn_server_stop(server);
    assert_ws_closed(client);
    assert_note("out server shutting down"); /* first */
    assert_note("stop b 1");
    assert_note("stop a 1");
    cvn_server_wait(server);
    cvn_server_free(server);
    client_free(client);
    assert_no_note();
    notes_close();
}

/* A session on polling that nobody fetches any more ends before the application's functions are called. */
static void test_ends_sessions_first(void **state)
{
    (void)state;
    notes_open();
    cvn_server *server = cvn_server_new(&(cvn_options){
        .host = "127.0.0.1", .workers = 1, .hide_client = true, .shutdown_timeout_ms = 1});
    cvn_on_disconnect(cvn_of(server, "/"), on_disconnect, NULL);
    cvn_on_worker_stop(server, on_stop, a);
    struct client *client = polling_open(server_start(server));
    polling_post(client, "40");
    polling_get(client);
    cvn_server_stop(server);
    assert_note("out server shutting down");
    assert_note("stop a 1");
    cvn_server_free(server);
    client_free(client);
    assert_no_note();
    notes_close();
}

static void test_registration(void **state)
{
    (void)state;
    cvn_server *server = server_new(1);
    assert_int_equal(cvn_on_worker_start(NULL, on_start, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_on_worker_stop(NULL, on_stop, NULL), CVN_ERR_ARGUMENT);
    mem_fail_after(0, 1);
    assert_int_equal(cvn_on_worker_start(server, on_start, NULL), CVN_ERR_MEMORY);
    mem_fail_after(0, 0);
    assert_int_equal(cvn_on_worker_stop(server, NULL, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_start(server), CVN_ERR_MEMORY); /* the first of them */
    cvn_server_free(server);
}

/* A server that could not start tells nobody of its end. */
static void test_never_started(void **state)
{
    (void)state;
    notes_open();
    cvn_server *first = server_new(1);
    uint16_t port = server_start(first);
    cvn_server *server = cvn_server_new(
        &(cvn_options){.host = "127.0.0.1", .port = port, .workers = 2, .hide_client = true});
    cvn_on_worker_start(server, on_start, a);
    cvn_on_worker_stop(server, on_stop, a);
    assert_int_equal(cvn_server_start(server), CVN_ERR_SYSTEM);
    cvn_server_free(server);
    cvn_server_free(first);
    assert_no_note();
    notes_close();
}

/* --- Timers --- */

struct job {
    cvn_server *server;
    cvn_timer *timer, *other;
    int fired;
};

static void on_lost(cvn_timer *timer, void *data)
{
    struct job *job = data;
    assert_false(cvn_timer_is_waiting(timer));
    assert_int_equal(cvn_timer_start(timer, 0), CVN_ERR_STATE);
    assert_null(cvn_timer_new(job->server, on_lost, NULL, NULL));
    note("lost");
    cvn_timer_free(timer);
}

static void on_fired(cvn_timer *timer, void *data)
{
    struct job *job = data;
    assert_ptr_equal(timer, job->timer);
    assert_false(cvn_timer_is_waiting(timer));
    note("fired %d", ++job->fired);
    if (job->fired < 3) {
        assert_int_equal(cvn_timer_start(timer, (uint64_t)job->fired), CVN_OK);
        return;
    }
    cvn_timer_stop(job->other); /* waits for long */
    assert_false(cvn_timer_is_waiting(job->other));
    cvn_timer_free(timer);
    cvn_timer_free(job->other);
    note("freed");
}

static void fail_timer(cvn_timer *timer, void *data)
{
    (void)timer, (void)data;
    abort();
}

static void start_job(void *data)
{
    struct job *job = data;
    mem_fail_after(0, 1);
    assert_null(cvn_timer_new(job->server, on_fired, NULL, job));
    mem_fail_after(0, 0);
    job->timer = cvn_timer_new(job->server, on_fired, fail_timer, job);
    job->other = cvn_timer_new(job->server, fail_timer, fail_timer, job);
    assert_non_null(job->timer);
    assert_false(cvn_timer_is_waiting(job->timer));
    cvn_timer_stop(job->timer); /* nothing */
    uint64_t before = mem_allocation_count();
    assert_int_equal(cvn_timer_start(job->other, 0), CVN_OK);
    assert_int_equal(cvn_timer_start(job->other, 3600000), CVN_OK); /* instead */
    assert_int_equal(cvn_timer_start(job->timer, 0), CVN_OK);
    assert_true(cvn_timer_is_waiting(job->timer));
    assert_int_equal(mem_allocation_count(), before);
    note("started");
}

static void start_lasting(void *data)
{
    struct job *job = data;
    job->timer = cvn_timer_new(job->server, fail_timer, on_lost, job);
    job->other = cvn_timer_new(job->server, fail_timer, on_lost, job); /* does not wait */
    assert_int_equal(cvn_timer_start(job->timer, 3600000), CVN_OK);
    note("started");
}

static void test_timers(void **state)
{
    (void)state;
    notes_open();
    cvn_server *server = server_new(WORKERS);
    struct job jobs[2] = {{.server = server}, {.server = server}};
    assert_null(cvn_timer_new(server, on_fired, NULL, NULL)); /* does not run */
    server_start(server);
    assert_null(cvn_timer_new(server, on_fired, NULL, NULL)); /* no worker's thread */
    assert_int_equal(cvn_post(server, 1, start_job, &jobs[0]), CVN_OK);
    assert_note("started");
    assert_note("fired 1");
    assert_note("fired 2");
    assert_note("fired 3");
    assert_note("freed");

    assert_int_equal(cvn_post(server, 0, start_lasting, &jobs[1]), CVN_OK);
    assert_note("started");
    cvn_server_stop(server);
    assert_note("lost");
    cvn_server_wait(server);
    cvn_server_free(server);
    assert_no_note();
    /* Who did not wait is still there, and nobody's. */
    assert_int_equal(cvn_timer_start(jobs[1].other, 0), CVN_ERR_STATE);
    cvn_timer_stop(jobs[1].other);
    cvn_timer_free(jobs[1].other);
    cvn_timer_free(NULL);
    notes_close();
}

/* --- Handles on a worker's loop --- */

struct guest {
    cvn_server *server;
    uv_async_t async; /* its callback comes from libuv, not from us */
    uv_poll_t poll;
    uv_idle_t closing;
    cvn_timer *timer;
    int pipe[2];
    int turns;
    atomic_bool is_closed;
};

static void on_guest_timer(cvn_timer *timer, void *data)
{
    (void)timer, (void)data;
    note("guest's timer");
}

/* Sends what must leave in this turn, and starts a timer when the loop has slept for some time. */
static void on_guest_poll(uv_poll_t *poll, int status, int events)
{
    struct guest *guest = poll->data;
    char byte;
    (void)status, (void)events;
    assert_int_equal(read(guest->pipe[0], &byte, 1), 1);
    assert_int_equal(cvn_worker_index(guest->server), 0);
    assert_int_equal(
        cvn_emit(&(cvn_target){.nsp = cvn_of(guest->server, "/")}, "guest", cvn_json("")), CVN_OK);
    assert_int_equal(cvn_timer_start(guest->timer, 1), CVN_OK);
}

static void on_guest_start(cvn_server *server, unsigned index, void *data)
{
    struct guest *guest = data;
    if (index != 0)
        return;
    uv_loop_t *loop = cvn_worker_loop(server);
    assert_non_null(loop);
    guest->timer = cvn_timer_new(server, on_guest_timer, NULL, guest);
    assert_int_equal(uv_poll_init(loop, &guest->poll, guest->pipe[0]), 0);
    guest->poll.data = guest;
    uv_poll_start(&guest->poll, UV_READABLE, on_guest_poll);
    note("guest is there");
}

static void on_guest_closed(uv_handle_t *handle)
{
    struct guest *guest = handle->data;
    atomic_store(&guest->is_closed, true);
}

/* The loop turns on until this has come to its own end. */
static void on_guest_closing(uv_idle_t *idle)
{
    struct guest *guest = idle->data;
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = cvn_of(guest->server, "/")}, "a", cvn_json("")),
                     CVN_OK); /* reaches nobody, and does no harm */
    if (++guest->turns < 100)
        return;
    uv_close((uv_handle_t *)&guest->poll, NULL);
    uv_close((uv_handle_t *)idle, on_guest_closed);
}

static void on_guest_stop(cvn_server *server, unsigned index, void *data)
{
    struct guest *guest = data;
    if (index != 0)
        return;
    uv_idle_init(cvn_worker_loop(server), &guest->closing);
    guest->closing.data = guest;
    uv_idle_start(&guest->closing, on_guest_closing);
    cvn_timer_free(guest->timer);
}

static void test_guest(void **state)
{
    struct guest guest = {0};
    (void)state;
    notes_open();
    assert_int_equal(pipe(guest.pipe), 0);
    cvn_server *server = server_new(1);
    guest.server = server;
    cvn_on_worker_start(server, on_guest_start, &guest);
    cvn_on_worker_stop(server, on_guest_stop, &guest);
    uint16_t port = server_start(server);
    assert_note("guest is there");
    struct client *client = joined(port);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(write(guest.pipe[1], "", 1), 1);
        assert_ws_text(client, "42[\"guest\"]");
        assert_note("guest's timer");
    }
    cvn_server_stop(server);
    assert_ws_closed(client);
    cvn_server_wait(server); /* for the guest */
    assert_true(atomic_load(&guest.is_closed));
    assert_int_equal(guest.turns, 100);
    cvn_server_free(server);
    client_free(client);
    close(guest.pipe[0]);
    close(guest.pipe[1]);
    notes_close();
}

/* --- On a loop of the program's own --- */

static void test_hosted(void **state)
{
    uv_loop_t loop;
    struct job jobs[2] = {{0}, {0}};
    (void)state;
    notes_open();
    assert_int_equal(uv_loop_init(&loop), 0);
    cvn_server *servers[2] = {server_new(3), server_new(3)};
    for (int i = 0; i < 2; i++) { /* both on one loop */
        cvn_on_worker_start(servers[i], on_start, i == 0 ? a : b);
        cvn_on_worker_stop(servers[i], on_stop, i == 0 ? a : b);
        assert_int_equal(cvn_server_start_on_loop(servers[i], &loop, NULL, NULL), CVN_OK);
        assert_int_equal(cvn_worker_index(servers[i]), CVN_NO_WORKER); /* before its first turn */
        assert_null(cvn_timer_new(servers[i], on_fired, NULL, NULL));
    }
    uv_run(&loop, UV_RUN_NOWAIT);
    const char *first = next_note()[6] == 'a' ? "start b 1" : "start a 1";
    assert_note(first);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cvn_worker_index(servers[i]), 0);
        assert_ptr_equal(cvn_worker_loop(servers[i]), &loop);
        jobs[i].server = servers[i];
        start_lasting(&jobs[i]);
        assert_note("started");
    }
    cvn_timer_stop(jobs[1].timer);
    cvn_timer_free(jobs[1].timer);
    cvn_timer_free(jobs[1].other);
    cvn_server_free(servers[0]); /* at once */
    assert_note("stop a 1");
    assert_note("lost");
    assert_no_note();
    cvn_timer_free(jobs[0].other);
    cvn_server_stop(servers[1]);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_note("stop b 1");
    assert_int_equal(uv_loop_close(&loop), 0);
    cvn_server_free(servers[1]);
    assert_no_note();
    notes_close();
}

/* Freed before its loop has turned: the application has heard of no beginning, and hears of no end. */
static void test_hosted_never_turned(void **state)
{
    uv_loop_t loop;
    (void)state;
    notes_open();
    assert_int_equal(uv_loop_init(&loop), 0);
    cvn_server *server = server_new(1);
    cvn_on_worker_start(server, on_start, a);
    cvn_on_worker_stop(server, on_stop, a);
    assert_int_equal(cvn_server_start_on_loop(server, &loop, NULL, NULL), CVN_OK);
    cvn_server_free(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_no_note();
    notes_close();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beginning_and_end),
        cmocka_unit_test(test_ends_sessions_first),
        cmocka_unit_test(test_registration),
        cmocka_unit_test(test_never_started),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_guest),

        cmocka_unit_test(test_hosted),
        cmocka_unit_test(test_hosted_never_turned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
