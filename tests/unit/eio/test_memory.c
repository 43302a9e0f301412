/* Every allocation fails once: it may cost the client it was for, never the process, the server or a byte of memory. */
#include "support/world.h"

/* Speaks without expecting anything: what it gets depends on which allocation fails. */
static void talk(struct world *world)
{
    struct client *post = client_new(world), *get = client_new(world), *ws = client_new(world);
    struct client *direct = client_new(world);
    struct response response;
    char sid[EIO_SID_SIZE + 1] = "AAAAAAAAAAAAAAAAAAAA", target[128];

    http_send(post, "GET", BASE, "Origin: http://localhost\r\n", NULL);
    if (http_receive(post, &response) && response.status == 200)
        memcpy(sid, response.body + 9, EIO_SID_SIZE);
    http_send(get, "GET", sid_target(sid), "", NULL);
    http_send(post, "POST", sid_target(sid), "",
              "4a\x1e"
              "bAAECAwQF\x1e"
              "4b");
    http_send(get, "GET", sid_target(sid), "", NULL);

    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    http_send(ws, "GET", target, WS_FIELDS, NULL);
    ws_send(ws, "2probe");
    http_send(post, "POST", sid_target(sid), "", "4c");
    world_advance(world, 100);
    ws_send(ws, "5");
    ws_send(ws, "4d");

    http_send(direct, "GET", "/engine.io/?EIO=4&transport=websocket", WS_FIELDS, NULL);
    ws_send(direct, "4hello");
    ws_send_frame(direct, 0x82, "bytes", 5);
    world_advance(world, 25000);
    if (world->last != NULL)
        eio_session_close(world->last, EIO_FORCED_CLOSE);
    http_send(post, "GET", "/engine.io/?EIO=3&transport=polling", "", NULL);
    client_turn(post);

    client_free(post);
    client_free(get);
    client_free(ws);
    client_free(direct);
    world_turn(world);
}

static void assert_serves(struct world *world)
{
    struct client *client = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    world->on_open = NULL;
    polling_open(client, sid);
    assert_post(client, sid, "4x");
    assert_poll(client, sid, "4x");
    client_free(client);
    client = client_new(world);
    ws_open(client, sid);
    ws_send(client, "4y");
    assert_ws_text(client, "4y");
    client_free(client);
    world_turn(world);
}

static void test_each_allocation(void **state)
{
    (void)state;
    uint64_t needed = 1;
    for (uint64_t i = 0; i < needed; i++) {
        struct world *world = world_started();
        world->on_open = "welcome";
        uint64_t before = mem_allocation_count();
        mem_fail_after(i, 1);
        talk(world);
        mem_fail_after(0, 0);
        if (needed < mem_allocation_count() - before)
            needed = mem_allocation_count() - before;
        assert_true(needed < 2000);
        assert_serves(world);
        world_free(world);
    }
    assert_true(needed > 20); /* or nothing was talked about */
}

/* From some point on none succeeds any more; then memory is there again. */
static void test_none_left(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 100; i += 3) {
        struct world *world = world_started();
        mem_fail_after(i, 1000000);
        talk(world);
        mem_fail_after(0, 0);
        assert_serves(world);
        world_free(world);
    }
}

static void test_server_new(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct worker worker;
    assert_int_equal(worker_init(&worker, 0, NULL), CVN_OK);
    struct eio_server *server = NULL;
    for (uint64_t i = 0; server == NULL; i++) {
        mem_fail_after(i, 1);
        server = eio_server_new(&worker, &world->options, &world->events, world);
        mem_fail_after(0, 0);
        assert_true(i > 0 || server == NULL);
    }
    assert_ptr_equal(eio_server_app(server), world);
    eio_server_free(server);
    eio_server_free(NULL);
    worker_release(&worker);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation),
        cmocka_unit_test(test_none_left),
        cmocka_unit_test(test_server_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
