/*
 * Broadcasts across the workers of one process: from a worker of the server, from a stranger's, from a thread that is none. Workers' loops are
 * turned by hand, so what waits in a mailbox is seen to wait.
 */
#include <pthread.h>
#include "sio/io.h"
#include "cluster/adapter_workers.h"

struct pair {
    struct io *io;
    cvn_namespace *root;
    struct client *clients[2]; /* one a worker */
    cvn_socket *sockets[2];
};

static struct pair pair_new(void)
{
    struct pair pair = {.io = io_new(2)};
    pair.root = io_namespace(pair.io, "/");
    pair.io->server.adapter = adapter_workers_new(&pair.io->server);
    assert_non_null(pair.io->server.adapter);
    io_start(pair.io);
    for (unsigned i = 0; i < 2; i++) {
        pair.clients[i] = io_joined(pair.io, i, &pair.sockets[i]);
        assert_int_equal(cvn_socket_worker(pair.sockets[i]), i);
    }
    return pair;
}

static void pair_free(struct pair *pair)
{
    for (unsigned i = 0; i < 2; i++)
        client_free(pair->clients[i]);
    io_free(pair->io);
}

static void enter(struct pair *pair, unsigned worker)
{
    worker_enter(&pair->io->world->workers[worker]);
}

static enum cvn_error emit(struct pair *pair, unsigned flags)
{
    return cvn_emit(&(cvn_target){.nsp = pair->root, .flags = flags}, "n", cvn_json("1"));
}

static void assert_both(struct pair *pair, const char *text)
{
    for (unsigned i = 0; i < 2; i++) {
        assert_ws_text(pair->clients[i], text);
        assert_ws_silent(pair->clients[i]);
    }
}

static size_t queued(const struct pair *pair, unsigned i)
{
    return eio_session_queued(pair->sockets[i]->client->session);
}

/* The caller's own sockets have it at once, the others' soon after. */
static void test_from_a_worker(void **state)
{
    struct pair pair = pair_new();
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        enter(&pair, i);
        assert_int_equal(emit(&pair, 0), CVN_OK);
        assert_true(queued(&pair, i) > 0);
        assert_int_equal(queued(&pair, 1 - i), 0);
        assert_both(&pair, "42[\"n\",1]");
    }
    pair_free(&pair);
}

static void test_local(void **state)
{
    struct pair pair = pair_new();
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        enter(&pair, i);
        assert_int_equal(emit(&pair, CVN_LOCAL_WORKER), CVN_OK);
        assert_ws_text(pair.clients[i], "42[\"n\",1]");
        assert_ws_silent(pair.clients[i]);
        assert_ws_silent(pair.clients[1 - i]);
    }
    pair_free(&pair);
}

/* This server's, which for the time being are all. */
static void test_local_server(void **state)
{
    struct pair pair = pair_new();
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        enter(&pair, i);
        assert_int_equal(emit(&pair, CVN_LOCAL), CVN_OK);
        assert_both(&pair, "42[\"n\",1]");
    }
    pair_free(&pair);
}

/* What the target points to may go as soon as the call returns. */
static void test_memory_is_borrowed(void **state)
{
    struct pair pair = pair_new();
    char room[] = "room", out[] = "out", json[] = "{\"_placeholder\":true,\"num\":0}";
    char data[] = "bytes";
    const char *more[] = {room, NULL};
    cvn_slice bytes[] = {SLICE("")};
    (void)state;
    bytes[0] = slice_of(data, 5);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(cvn_join(pair.sockets[i], "room"), CVN_OK);
    assert_int_equal(cvn_join(pair.sockets[0], "out"), CVN_OK);
    enter(&pair, 0);
    const cvn_target target = {.nsp = pair.root,
                               .rooms = {room},
                               .except = {out},
                               .more_rooms = more,
                               .more_room_count = 2}; /* a NULL name is one that nobody has */
    assert_int_equal(cvn_emit(&target, "n", (cvn_args){cvn_str(json), bytes, 1}), CVN_OK);
    memset(room, '?', sizeof room - 1);
    memset(out, '?', sizeof out - 1);
    memset(json, '?', sizeof json - 1);
    memset(data, '?', sizeof data - 1);
    assert_ws_text(pair.clients[1], "451-[\"n\",{\"_placeholder\":true,\"num\":0}]");
    assert_binary(pair.clients[1], SLICE("bytes"));
    assert_ws_silent(pair.clients[0]);
    assert_ws_silent(pair.clients[1]);
    pair_free(&pair);
}

/* --- Other threads --- */

struct emitter {
    struct pair *pair;
    unsigned id, count, flags;
    enum cvn_error error;
};

static void *emit_some(void *data)
{
    struct emitter *emitter = data;
    for (unsigned i = 0; i < emitter->count && emitter->error == CVN_OK; i++) {
        char json[32];
        snprintf(json, sizeof json, "%u,%u", emitter->id, i);
        emitter->error =
            cvn_emit(&(cvn_target){.nsp = emitter->pair->root, .flags = emitter->flags}, "n",
                     cvn_json(json));
    }
    return NULL;
}

static void test_from_a_thread(void **state)
{
    struct pair pair = pair_new();
    pthread_t thread;
    (void)state;
    for (unsigned flags = 0; flags <= CVN_LOCAL_WORKER; flags += CVN_LOCAL_WORKER) {
        struct emitter emitter = {&pair, 7, 1, flags, CVN_OK};
        assert_int_equal(pthread_create(&thread, NULL, emit_some, &emitter), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(emitter.error, CVN_OK);
        assert_int_equal(queued(&pair, 0) + queued(&pair, 1), 0);
        if (flags == 0)
            assert_both(&pair, "42[\"n\",7,0]");
    }
    for (unsigned i = 0; i < 2; i++) /* a thread that is no worker has no sockets of its own */
        assert_ws_silent(pair.clients[i]);
    pair_free(&pair);
}

/* A worker of another server, with an index that we have too, is a stranger. */
static void test_from_a_stranger(void **state)
{
    struct pair pair = pair_new();
    struct worker stranger;
    (void)state;
    assert_int_equal(worker_init(&stranger, 1, NULL), CVN_OK);
    worker_enter(&stranger);
    assert_int_equal(emit(&pair, 0), CVN_OK);
    assert_int_equal(queued(&pair, 0) + queued(&pair, 1), 0);
    assert_both(&pair, "42[\"n\",1]");
    worker_release(&stranger);
    pair_free(&pair);
}

#define THREADS 4
#define EACH    300

/* Each thread's emits come whole and in their order, whatever the others do. */
static void test_many_threads(void **state)
{
    struct pair pair = pair_new();
    struct emitter emitters[THREADS];
    pthread_t threads[THREADS];
    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        emitters[i] = (struct emitter){&pair, i, EACH, 0, CVN_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, emit_some, &emitters[i]), 0);
    }
    for (unsigned k = 0; k < 50; k++) /* deliver in the midst of it */
        world_turn(pair.io->world);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(emitters[i].error, CVN_OK);
    }
    for (unsigned i = 0; i < 2; i++) {
        unsigned next[THREADS] = {0};
        for (unsigned n = 0; n < THREADS * EACH; n++) {
            unsigned id = 0, number = 0;
            assert_int_equal(sscanf(io_read(pair.clients[i]), "42[\"n\",%u,%u]", &id, &number), 2);
            assert_true(id < THREADS);
            assert_int_equal(number, next[id]++);
        }
        assert_ws_silent(pair.clients[i]);
    }
    pair_free(&pair);
}

/* --- Trouble --- */

static void test_no_memory(void **state)
{
    struct pair pair = pair_new();
    (void)state;
    enter(&pair, 0);
    mem_fail_after(1, 1); /* the text, and then what brings it to the other worker */
    assert_int_equal(emit(&pair, 0), CVN_ERR_MEMORY);
    mem_fail_after(0, 0);
    assert_ws_text(pair.clients[0], "42[\"n\",1]"); /* some may have got it */
    assert_ws_silent(pair.clients[1]);
    assert_int_equal(emit(&pair, 0), CVN_OK);
    assert_both(&pair, "42[\"n\",1]");
    mem_fail_after(0, 1);
    assert_null(adapter_workers_new(&pair.io->server));
    mem_fail_after(0, 0);
    pair_free(&pair);
}

/* What is still in a mailbox when the server ends goes nowhere and leaves nothing. */
static void test_stop_on_the_way(void **state)
{
    struct pair pair = pair_new();
    (void)state;
    enter(&pair, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(emit(&pair, 0), CVN_OK);
    pair_free(&pair);
}

/* A single worker needs no mail. */
static void test_one_worker(void **state)
{
    struct io *io = io_new(1);
    cvn_namespace *root = io_namespace(io, "/");
    (void)state;
    io->server.adapter = adapter_workers_new(&io->server);
    io_start(io);
    struct client *client = io_joined(io, 0, NULL);
    worker_enter(&io->world->workers[0]);
    uint64_t before = mem_allocation_count();
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root, .rooms = {"nobody's"}}, "n", cvn_json("")),
                     CVN_OK);
    assert_int_equal(mem_allocation_count() - before, 1); /* the text */
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = root}, "n", cvn_json("")), CVN_OK);
    assert_ws_text(client, "42[\"n\"]");
    client_free(client);
    io_free(io);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_a_worker),   cmocka_unit_test(test_local),
        cmocka_unit_test(test_local_server),    cmocka_unit_test(test_memory_is_borrowed),
        cmocka_unit_test(test_from_a_thread),   cmocka_unit_test(test_from_a_stranger),
        cmocka_unit_test(test_many_threads),    cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_stop_on_the_way), cmocka_unit_test(test_one_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
