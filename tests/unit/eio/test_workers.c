/* Two workers, each with a listener of its own: requests find their session wherever they land. */
#include "support/world.h"

static struct world *two_workers(void)
{
    struct world *world = world_new();
    world->worker_count = 2;
    world_start(world);
    return world;
}

/* The worker's index is the id's first byte: its first base64url digit and two bits of the second. */
static void test_id_names_worker(void **state)
{
    (void)state;
    struct world *world = two_workers();
    char sid[EIO_SID_SIZE + 1];
    for (unsigned i = 0; i < 2; i++) {
        struct client *client = client_new_on(world, i);
        polling_open(client, sid);
        assert_int_equal(sid[0], 'A');
        assert_true(i == 0 ? sid[1] >= 'A' && sid[1] <= 'P' : !(sid[1] >= 'A' && sid[1] <= 'P'));
        client_free(client);
    }
    world_free(world);
}

static void test_lands_on_the_other(void **state)
{
    (void)state;
    struct world *world = two_workers();
    for (unsigned home = 0; home < 2; home++) {
        struct client *get = client_new_on(world, 1 - home), *post = client_new_on(world, home);
        struct client *other = client_new_on(world, 1 - home);
        char sid[EIO_SID_SIZE + 1];
        polling_open(post, sid);
        poll_pending(get, sid);
        assert_post(other, sid, "4moved");
        assert_polled(get, "4moved");
        assert_int_equal(eio_server_session_count(world->servers[home]), 1);
        assert_int_equal(eio_server_session_count(world->servers[1 - home]), 0);
        /* The connections stay where they went, and work on. */
        poll_pending(get, sid);
        assert_post(other, sid, "4again");
        assert_polled(get, "4again");
        world_reported(world);
        /* A request whose body comes in pieces. */
        struct response response;
        struct client *slow = client_new_on(world, 1 - home);
        http_send(slow, "POST", sid_target(sid), "Content-Length: 6\r\n", NULL);
        client_print(slow, "4in");
        client_print(slow, " 2");
        client_print(slow, "4");
        assert_true(http_receive(slow, &response));
        assert_response(&response, 200, "ok");
        assert_string_equal(world_reported(world), "message(in 24);");
        assert_poll(get, sid, "4in 24");
        /* Over there its rules are kept too. */
        poll_pending(get, sid);
        assert_response(http_exchange(slow, "GET", sid_target(sid), "", NULL), 400, "");
        assert_polled(get, "1");
        assert_string_equal(world_reported(world), "close(transport error);");
        client_free(get);
        client_free(post);
        client_free(other);
        client_free(slow);
    }
    world_free(world);
}

static void test_upgrade_on_the_other(void **state)
{
    (void)state;
    struct world *world = two_workers();
    struct client *post = client_new_on(world, 0), *ws = client_new_on(world, 1);
    char sid[EIO_SID_SIZE + 1];
    polling_open(post, sid);
    assert_int_equal(ws_connect(ws, sid), 101);
    ws_send(ws, "2probe");
    assert_ws_text(ws, "3probe");
    ws_send(ws, "5");
    ws_send(ws, "4x");
    assert_ws_text(ws, "4x");
    assert_string_equal(world_reported(world), "open;upgrade;message(x);");
    client_free(post);
    client_free(ws);
    world_free(world);
}

/* An id that names a worker there is none of, or one that does not know it. */
static void test_unknown(void **state)
{
    (void)state;
    struct world *world = two_workers();
    static const char *const sids[] = {"AAAAAAAAAAAAAAAAAAAA",
                                       "AQAAAAAAAAAAAAAAAAAA",
                                       "AgAAAAAAAAAAAAAAAAAA",
                                       "_AAAAAAAAAAAAAAAAAAA",
                                       "AQ",
                                       ""};
    for (unsigned worker = 0; worker < 2; worker++) {
        for (size_t i = 0; i < 5; i++) {
            struct client *client = client_new_on(world, worker);
            assert_gone(client, sids[i]);
            assert_response(http_exchange(client, "POST", sid_target(sids[i]), "", "4x"), 400,
                            "{\"code\":1,\"message\":\"Session ID unknown\"}");
            client_free(client);
            client = client_new_on(world, worker);
            assert_int_equal(ws_connect(client, sids[i]), 400);
            client_free(client);
        }
    }
    world_free(world);
}

/* It goes away while it moves. */
static void test_vanishes_on_the_way(void **state)
{
    (void)state;
    struct world *world = two_workers();
    struct client *post = client_new_on(world, 0);
    char sid[EIO_SID_SIZE + 1];
    polling_open(post, sid);
    world_reported(world);
    for (int reset = 0; reset < 2; reset++) {
        struct client *get = client_new_on(world, 1);
        char text[256];
        world_turn(world);
        int size =
            snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", sid_target(sid));
        assert_int_equal(send(get->fd, text, (size_t)size, MSG_NOSIGNAL), size);
        uv_run(world->workers[1].loop, UV_RUN_NOWAIT); /* worker 1 lets it go, worker 0 sleeps */
        client_vanish(get, reset);
        if (*world->log != '\0') { /* it had become the session's poll */
            assert_string_equal(world_reported(world), "close(transport error);");
            polling_open(post, sid);
            world_reported(world);
        }
    }
    client_free(post);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id_names_worker),      cmocka_unit_test(test_lands_on_the_other),
        cmocka_unit_test(test_upgrade_on_the_other), cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_vanishes_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
