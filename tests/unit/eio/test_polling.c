/* Long-polling: what a POST brings, what a GET takes home, and every way to break its rules. */
#include "support/world.h"
#include "base/base64.h"

struct polling {
    struct world *world;
    struct client *get, *post;
    char sid[EIO_SID_SIZE + 1];
};

static void polling_begin(struct polling *p, struct world *world)
{
    p->world = world;
    p->get = client_new(world);
    p->post = client_new(world);
    polling_open(p->post, p->sid);
    assert_string_equal(world_reported(world), "open;");
}

static void polling_end(struct polling *p)
{
    client_free(p->get);
    client_free(p->post);
    world_free(p->world);
}

static void test_echo(void **state)
{
    (void)state;
    struct polling p;
    polling_begin(&p, world_started());
    struct response *response = http_exchange(p.post, "POST", sid_target(p.sid), "", "4hello");
    assert_response(response, 200, "ok");
    assert_non_null(strstr(response->head, "\r\nContent-Type: text/html\r\n"));
    assert_non_null(strstr(response->head, "\r\ncache-control: no-store\r\n"));
    response = http_exchange(p.get, "GET", sid_target(p.sid), "", NULL);
    assert_response(response, 200, "4hello");
    assert_non_null(strstr(response->head, "\r\nContent-Type: text/plain; charset=UTF-8\r\n"));
    assert_non_null(strstr(response->head, "\r\ncache-control: no-store\r\n"));
    /* The other way round: the poll waits. */
    poll_pending(p.get, p.sid);
    assert_post(p.post, p.sid, "4later");
    assert_polled(p.get, "4later");
    assert_string_equal(world_reported(p.world), "message(hello);message(later);");
    polling_end(&p);
}

static void test_several_packets(void **state)
{
    (void)state;
    struct polling p;
    polling_begin(&p, world_started());
    assert_post(p.post, p.sid,
                "4a\x1e"
                "bAAEC\x1e"
                "4\x1e"
                "b\x1e"
                "6\x1e"
                "4\xd0\xb9");
    assert_post(p.post, p.sid, "4again");
    assert_poll(p.get, p.sid,
                "4a\x1e"
                "bAAEC\x1e"
                "4\x1e"
                "b\x1e"
                "4\xd0\xb9\x1e"
                "4again");
    /* One turn, one answer: the poll does not go home with the first packet. */
    poll_pending(p.get, p.sid);
    assert_post(p.post, p.sid,
                "41\x1e"
                "42\x1e"
                "43");
    assert_polled(p.get, "41\x1e"
                         "42\x1e"
                         "43");
    polling_end(&p);
}

static void test_many_packets(void **state)
{
    (void)state;
    struct polling p;
    char body[60000], *end = body;
    polling_begin(&p, world_started());
    for (int i = 0; i < 5000; i++)
        end += sprintf(end, "%s4%d", i == 0 ? "" : "\x1e", i);
    assert_post(p.post, p.sid, body);
    assert_poll(p.get, p.sid, body);
    polling_end(&p);
}

/* Every byte value, in all lengths up to a few base64 groups. */
static void test_binary(void **state)
{
    (void)state;
    struct polling p;
    polling_begin(&p, world_started());
    for (size_t size = 0; size < 300; size += size < 8 ? 1 : 97) {
        unsigned char bytes[300];
        struct buf body;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)(255 - i);
        buf_init(&body, 1000);
        buf_append_byte(&body, 'b');
        base64_append(&body, slice_of(bytes, size));
        buf_append_byte(&body, '\0');
        assert_post(p.post, p.sid, body.data);
        assert_poll(p.get, p.sid, body.data);
        buf_release(&body);
    }
    polling_end(&p);
}

static void test_bad_bodies(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "abc",
        "7",
        "b#",
        "bAAE",
        "bA===",
        "bAAEC=",
        "4\xff",
        "4\xed\xa0\x80",
        "4\xc0\x80",
        "\x1e",
        "bAA\nC",
        "4ok\x1e",
        "4ok\x1e\x1e"
        "4no",
        "B",
        "\xef\xbb\xbf"
        "4bom",
        "9x",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct polling p;
        polling_begin(&p, world_started());
        p.world->echo = false;
        poll_pending(p.get, p.sid);
        assert_post(p.post, p.sid, bodies[i]);
        assert_polled(p.get, "1");
        const char *expected = strncmp(bodies[i], "4ok", 3) == 0 ? "message(ok);close(parse error);"
                                                                 : "close(parse error);";
        assert_string_equal(world_reported(p.world), expected);
        assert_gone(p.get, p.sid);
        polling_end(&p);
    }
}

static void test_packets_out_of_place(void **state)
{
    (void)state;
    struct polling p;
    polling_begin(&p, world_started());
    /* Nobody asked for these: they are dropped, the session lives. */
    assert_post(p.post, p.sid,
                "3\x1e"
                "5\x1e"
                "6\x1e"
                "0{}\x1e"
                "3probe\x1e"
                "4x");
    assert_poll(p.get, p.sid, "4x");
    /* A ping from the client is revision 3. */
    poll_pending(p.get, p.sid);
    assert_post(p.post, p.sid,
                "2\x1e"
                "4y");
    assert_polled(p.get, "1");
    assert_string_equal(world_reported(p.world), "message(x);close(transport error);");
    polling_end(&p);
}

static void test_too_large(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct polling p;
    char body[200];
    world->options.max_payload = 100;
    world_start(world);
    polling_begin(&p, world);
    memset(body, 'x', sizeof body);
    body[0] = '4';
    body[101] = '\0';
    assert_response(http_exchange(p.post, "POST", sid_target(p.sid), "", body), 413, "");
    client_free(p.post);
    p.post = client_new(world);
    /* In chunks nothing announces the size. */
    struct response response;
    http_send(p.post, "POST", sid_target(p.sid), "Transfer-Encoding: chunked\r\n", NULL);
    client_print(p.post,
                 "40\r\n4234567890123456789012345678901234567890123456789012345678901234\r\n"
                 "40\r\n4234567890123456789012345678901234567890123456789012345678901234\r\n"
                 "0\r\n\r\n");
    assert_true(http_receive(p.post, &response));
    assert_response(&response, 413, "");
    client_free(p.post);
    p.post = client_new(world);
    /* The session lives on, and as much as is allowed is. */
    assert_string_equal(world_reported(world), "");
    body[100] = '\0';
    assert_post(p.post, p.sid, body);
    assert_poll(p.get, p.sid, body);
    polling_end(&p);
}

static void test_chunked(void **state)
{
    (void)state;
    struct polling p;
    struct response response;
    polling_begin(&p, world_started());
    http_send(p.post, "POST", sid_target(p.sid), "Transfer-Encoding: chunked\r\n", NULL);
    client_print(p.post, "2\r\n4a\r\n");
    client_print(p.post, "3\r\n\x1e"
                         "4b\r\n0\r\n\r\n");
    assert_true(http_receive(p.post, &response));
    assert_response(&response, 200, "ok");
    assert_poll(p.get, p.sid,
                "4a\x1e"
                "4b");
    polling_end(&p);
}

static void test_too_many_packets(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct polling p;
    world->options.max_packets_per_payload = 3;
    world->echo = false;
    world_start(world);
    polling_begin(&p, world);
    assert_post(p.post, p.sid,
                "41\x1e"
                "42\x1e"
                "43");
    assert_string_equal(world_reported(world), "message(1);message(2);message(3);");
    assert_post(p.post, p.sid,
                "41\x1e"
                "42\x1e"
                "43\x1e"
                "44");
    assert_string_equal(world_reported(world),
                        "message(1);message(2);message(3);close(parse error);");
    polling_end(&p);
}

static void test_overlapping_get(void **state)
{
    (void)state;
    struct polling p;
    polling_begin(&p, world_started());
    poll_pending(p.get, p.sid);
    assert_response(http_exchange(p.post, "GET", sid_target(p.sid), "", NULL), 400, "");
    assert_polled(p.get, "1");
    assert_string_equal(world_reported(p.world), "close(transport error);");
    assert_gone(p.get, p.sid);
    polling_end(&p);
}

static void test_pipelined_gets(void **state)
{
    (void)state;
    struct polling p;
    struct response response;
    polling_begin(&p, world_started());
    /* On one connection they do not overlap: the second waits for the first's answer. */
    poll_pending(p.get, p.sid);
    poll_pending(p.get, p.sid);
    assert_post(p.post, p.sid, "4one");
    assert_polled(p.get, "4one");
    assert_false(http_receive(p.get, &response));
    assert_post(p.post, p.sid, "4two");
    assert_polled(p.get, "4two");
    assert_string_equal(world_reported(p.world), "message(one);message(two);");
    polling_end(&p);
}

static void test_overlapping_post(void **state)
{
    (void)state;
    struct polling p;
    struct response response;
    polling_begin(&p, world_started());
    struct client *other = client_new(p.world);
    poll_pending(p.get, p.sid);
    http_send(other, "POST", sid_target(p.sid), "Content-Length: 10\r\n", NULL);
    client_print(other, "4half");
    assert_response(http_exchange(p.post, "POST", sid_target(p.sid), "", "4x"), 400, "");
    assert_polled(p.get, "1");
    assert_true(http_receive(other, &response)); /* it is not left waiting */
    assert_int_equal(response.status, 400);
    client_print(other, "12345");
    assert_string_equal(world_reported(p.world), "close(transport error);");
    client_free(other);
    polling_end(&p);
}

static void test_octet_stream(void **state)
{
    (void)state;
    static const char *const types[] = {"Content-Type: application/octet-stream\r\n",
                                        "content-type: Application/Octet-Stream; x=y\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct polling p;
        polling_begin(&p, world_started());
        poll_pending(p.get, p.sid);
        assert_response(http_exchange(p.post, "POST", sid_target(p.sid), types[i], "4x"), 400, "");
        assert_polled(p.get, "1");
        assert_string_equal(world_reported(p.world), "close(transport error);");
        polling_end(&p);
    }
}

static void test_client_closes(void **state)
{
    (void)state;
    struct polling p;
    polling_begin(&p, world_started());
    poll_pending(p.get, p.sid);
    assert_post(p.post, p.sid, "1");
    assert_polled(p.get, "6");
    assert_gone(p.get, p.sid);
    assert_gone(p.post, p.sid);
    assert_string_equal(world_reported(p.world), "close(transport close);");
    polling_end(&p);

    /* Without a poll, and with packets behind the close packet. */
    polling_begin(&p, world_started());
    assert_post(p.post, p.sid,
                "4a\x1e"
                "1\x1e"
                "4b");
    assert_string_equal(world_reported(p.world), "message(a);close(transport close);");
    assert_gone(p.get, p.sid);
    polling_end(&p);
}

/* The answers to what came before the close packet still go out. */
static void test_client_closes_with_output(void **state)
{
    (void)state;
    struct polling p;
    polling_begin(&p, world_started());
    poll_pending(p.get, p.sid);
    assert_post(p.post, p.sid,
                "4a\x1e"
                "1");
    assert_polled(p.get, "4a\x1e"
                         "6");
    polling_end(&p);
}

static void test_aborted_get(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct polling p;
        polling_begin(&p, world_started());
        poll_pending(p.get, p.sid);
        client_vanish(p.get, reset);
        p.get = NULL;
        assert_string_equal(world_reported(p.world), "close(transport error);");
        assert_gone(p.post, p.sid);
        assert_int_equal(eio_server_session_count(p.world->servers[0]), 0);
        polling_end(&p);
    }
}

static void test_aborted_post(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct polling p;
        polling_begin(&p, world_started());
        poll_pending(p.get, p.sid);
        http_send(p.post, "POST", sid_target(p.sid), "Content-Length: 10\r\n", NULL);
        client_print(p.post, "4half");
        client_vanish(p.post, reset);
        p.post = NULL;
        assert_polled(p.get, "1");
        assert_string_equal(world_reported(p.world), "close(transport error);");
        polling_end(&p);
    }
}

/* A client that is between two requests has not gone. */
static void test_connection_ends_between(void **state)
{
    (void)state;
    struct polling p;
    polling_begin(&p, world_started());
    client_vanish(p.post, true);
    p.post = client_new(p.world);
    assert_post(p.post, p.sid, "4x");
    assert_poll(p.get, p.sid, "4x");
    polling_end(&p);
}

/* --- Budget --- */

static void test_volatile(void **state)
{
    (void)state;
    struct polling p;
    struct message *packet = eio_packet_encode(EIO_MESSAGE, SLICE("v"));
    packet->flags |= MESSAGE_VOLATILE;
    polling_begin(&p, world_started());
    assert_false(eio_session_send(p.world->last, packet)); /* nobody is there to take it */
    poll_pending(p.get, p.sid);
    worker_enter(&p.world->workers[0]);
    assert_true(eio_session_send(p.world->last, packet));
    assert_polled(p.get, "4v");
    assert_false(eio_session_send(p.world->last, packet));
    message_unref(packet);
    polling_end(&p);
}

static void test_slow_consumer(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct polling p;
    world->options.send_max = 1000;
    world_start(world);
    polling_begin(&p, world);
    struct message *packet;
    char *data;
    packet = eio_packet_new_text(95, &data); /* 96 bytes and a frame header of 2 */
    memset(data, 'x', 95);
    for (int i = 0; i < 10; i++)
        assert_true(eio_session_send(world->last, packet));
    assert_int_equal(eio_session_queued(world->last), 980);
    assert_false(eio_session_send(world->last, packet));
    assert_false(eio_session_is_open(world->last));
    assert_string_equal(world_reported(world), ""); /* never from inside send */
    world_turn(world);
    assert_string_equal(world_reported(world), "close(slow consumer);");
    assert_gone(p.get, p.sid);
    message_unref(packet);
    polling_end(&p);
}

/* No body is larger than the budget, nothing is lost, and a packet that alone exceeds it in base64 still goes. */
static void test_bounded_bodies(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct polling p;
    world->options.send_max = 1000;
    world->limits.max = 10000;
    world_start(world);
    polling_begin(&p, world);
    struct message *bytes = eio_packet_encode_binary(slice_of(world->log, 240)); /* b + 320 */
    for (int i = 0; i < 4; i++)
        assert_true(eio_session_send(world->last, bytes));
    assert_int_equal(http_exchange(p.get, "GET", sid_target(p.sid), "", NULL)->body_size,
                     3 * 322 - 1);
    assert_int_equal(http_exchange(p.get, "GET", sid_target(p.sid), "", NULL)->body_size, 321);
    message_unref(bytes);
    bytes = eio_packet_encode_binary(slice_of(world->log, 900));
    assert_true(eio_session_send(world->last, bytes));
    assert_int_equal(http_exchange(p.get, "GET", sid_target(p.sid), "", NULL)->body_size, 1201);
    message_unref(bytes);
    assert_int_equal(eio_session_queued(world->last), 0);
    polling_end(&p);
}

static void on_drain(struct eio_session *session)
{
    world_log(eio_session_owner(session), "drain;");
}

static void test_drain(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct polling p;
    world->events.on_drain = on_drain;
    world_start(world);
    polling_begin(&p, world);
    assert_post(p.post, p.sid, "4x");
    assert_string_equal(world_reported(world), "message(x);");
    assert_poll(p.get, p.sid, "4x");
    assert_string_equal(world_reported(world), "drain;");
    polling_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_several_packets),
        cmocka_unit_test(test_many_packets),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_bad_bodies),
        cmocka_unit_test(test_packets_out_of_place),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_too_many_packets),
        cmocka_unit_test(test_overlapping_get),
        cmocka_unit_test(test_pipelined_gets),
        cmocka_unit_test(test_overlapping_post),
        cmocka_unit_test(test_octet_stream),
        cmocka_unit_test(test_client_closes),
        cmocka_unit_test(test_client_closes_with_output),
        cmocka_unit_test(test_aborted_get),
        cmocka_unit_test(test_aborted_post),
        cmocka_unit_test(test_connection_ends_between),
        cmocka_unit_test(test_volatile),
        cmocka_unit_test(test_slow_consumer),
        cmocka_unit_test(test_bounded_bodies),
        cmocka_unit_test(test_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
