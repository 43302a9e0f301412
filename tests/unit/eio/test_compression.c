/*
 * Compression as clients meet it: the offer and the answer of a WebSocket's handshake, with and without an upgrade, compressed
 * messages both ways, and polls answered in gzip or deflate.
 */
#include "support/world.h"
#include <zlib.h>
#include "base/deflater.h"
#include "base/inflater.h"

#define OFFER "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
#define ANSWER                                                                                     \
    "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "               \
    "client_no_context_takeover"

static struct world *compressing_world(bool websocket)
{
    struct world *world = world_new();
    world->options.websocket_compression = websocket;
    world->options.compression_threshold = 100;
    world_start(world);
    return world;
}

/* "4" and letters, `size` characters in all. */
static const char *long_text(size_t size)
{
    static char text[70001];
    assert_true(size > 0 && size < sizeof text);
    text[0] = '4';
    for (size_t i = 1; i < size; i++)
        text[i] = (char)('a' + i % 23);
    text[size] = '\0';
    return text;
}

/* --- WebSocket --- */

/* Asks for a WebSocket; *ret has the head of the 101. */
static void ws_ask(struct client *client, const char *target, const char *fields,
                   struct response *ret)
{
    char all[1024];
    snprintf(all, sizeof all, WS_FIELDS "%s", fields);
    http_send(client, "GET", target, all, NULL);
    assert_true(http_receive(client, ret));
    assert_int_equal(ret->status, 101);
}

static void ws_send_compressed(struct client *client, const char *text)
{
    struct deflater deflater;
    char packed[4096];
    size_t size;
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    assert_true(
        deflater_run(&deflater, DEFLATER_MESSAGE, cvn_str(text), packed, sizeof packed, &size));
    deflater_release(&deflater);
    ws_send_frame(client, 0xc1, packed, size);
}

/* The next frame is `text`, and compressed or not. */
static void assert_ws_frame(struct client *client, const char *text, bool compressed)
{
    unsigned opcode;
    char *data;
    size_t size;
    struct inflater inflater;
    struct buf whole;
    client_turn(client);
    assert_true(client->in_size > 0);
    assert_int_equal((unsigned char)client->in[0], compressed ? 0xc1 : 0x81);
    assert_true(ws_receive(client, &opcode, &data, &size));
    buf_init(&whole, 100000);
    inflater_init(&inflater);
    if (compressed)
        assert_int_equal(inflater_run(&inflater, slice_of(data, size), &whole), INFLATER_DONE);
    else
        assert_true(buf_append(&whole, slice_of(data, size)));
    assert_true(slice_eq(buf_slice(&whole), cvn_str(text)));
    inflater_release(&inflater);
    buf_release(&whole);
}

#define DIRECT "/engine.io/?EIO=4&transport=websocket"

static void test_websocket(void **state)
{
    (void)state;
    struct world *world = compressing_world(true);
    struct client *client = client_new(world);
    struct response response;
    ws_ask(client, DIRECT, OFFER, &response);
    assert_non_null(strstr(response.head, ANSWER "\r\n"));
    unsigned opcode;
    char *data;
    size_t size;
    assert_int_equal((unsigned char)client->in[0], 0xc1); /* the open packet has 118 characters */
    assert_true(ws_receive(client, &opcode, &data, &size));
    ws_send(client, long_text(99));
    assert_ws_frame(client, long_text(99), false);
    ws_send(client, long_text(100));
    assert_ws_frame(client, long_text(100), true);
    ws_send_compressed(client, long_text(3000));
    assert_ws_frame(client, long_text(3000), true);
    ws_send_compressed(client, "4short");
    assert_ws_frame(client, "4short", false);
    const char *reported = world_reported(world);
    assert_non_null(strstr(reported, ");message(#2999);message(short);"));
    client_free(client);
    world_turn(world);
    world_free(world);
}

static void test_window(void **state)
{
    (void)state;
    struct world *world = compressing_world(true);
    struct client *client = client_new(world);
    struct response response;
    ws_ask(client, DIRECT,
           "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8\r\n"
           "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n",
           &response);
    assert_non_null(strstr(response.head, ANSWER "; server_max_window_bits=9\r\n"));
    client_free(client);
    world_turn(world);
    world_free(world);
}

/* Without the option, without an offer, or without one that can be accepted. */
static void test_declined(void **state)
{
    (void)state;
    static const struct {
        bool allowed;
        const char *fields;
    } cases[] = {
        {false, OFFER},
        {true, ""},
        {true, "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8\r\n"},
        {true, "Sec-WebSocket-Extensions: permessage-deflate; ;\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *world = compressing_world(cases[i].allowed);
        struct client *client = client_new(world);
        struct response response;
        unsigned opcode;
        char *data;
        size_t size;
        ws_ask(client, DIRECT, cases[i].fields, &response);
        assert_null(strcasestr(response.head, "extensions"));
        assert_true(ws_receive(client, &opcode, &data, &size));
        ws_send(client, long_text(3000));
        assert_ws_frame(client, long_text(3000), false);
        ws_send_compressed(client, "4x");
        assert_ws_closed(client, 1002);
        client_free(client);
        world_turn(world);
        world_free(world);
    }
}

/* What was queued for polls before goes out compressed once the WebSocket is the transport. */
static void test_upgrade(void **state)
{
    (void)state;
    struct world *world = compressing_world(true);
    struct client *polling = client_new(world), *ws = client_new(world);
    struct response response;
    char sid[EIO_SID_SIZE + 1], target[128];
    polling_open(polling, sid);
    snprintf(target, sizeof target, DIRECT "&sid=%s", sid);
    ws_ask(ws, target, OFFER, &response);
    assert_non_null(strstr(response.head, ANSWER "\r\n"));
    ws_send(ws, "2probe");
    assert_ws_text(ws, "3probe");
    assert_post(polling, sid, long_text(2000));
    ws_send_compressed(ws, "5");
    assert_ws_frame(ws, long_text(2000), true);
    client_free(polling);
    client_free(ws);
    world_turn(world);
    world_free(world);
}

static void test_faults(void **state)
{
    (void)state;
    struct world *world = compressing_world(true);
    struct response response;
    unsigned opcode;
    char *data;
    size_t size;

    struct client *client = client_new(world);
    ws_ask(client, DIRECT, OFFER, &response);
    assert_true(ws_receive(client, &opcode, &data, &size));
    ws_send_frame(client, 0xc1, "no deflate data", 15);
    assert_ws_closed(client, 1007);
    client_free(client);

    /* A bomb: 1 kB that comes to a megabyte and one. */
    client = client_new(world);
    ws_ask(client, DIRECT, OFFER, &response);
    assert_true(ws_receive(client, &opcode, &data, &size));
    struct deflater deflater;
    size_t large = world->options.max_payload + 1;
    char *zeros = calloc(1, large), *bomb = malloc(large);
    assert_true(zeros != NULL && bomb != NULL);
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    assert_true(
        deflater_run(&deflater, DEFLATER_MESSAGE, slice_of(zeros, large), bomb, large, &size));
    deflater_release(&deflater);
    assert_true(size < 10000);
    ws_send_frame(client, 0xc2, bomb, size);
    assert_ws_closed(client, 1009);
    free(zeros);
    free(bomb);
    client_free(client);
    world_turn(world);
    world_free(world);
}

/* --- Polling --- */

/* A body as zlib decodes it; bits as inflateInit2 wants them. */
static void assert_packed(const struct response *response, int bits, const char *expected)
{
    static Bytef text[100000];
    z_stream stream = {0};
    assert_int_equal(inflateInit2(&stream, bits), Z_OK);
    stream.next_in = (Bytef *)response->body;
    stream.avail_in = (uInt)response->body_size;
    stream.next_out = text;
    stream.avail_out = sizeof text;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    assert_int_equal(stream.total_out, strlen(expected));
    assert_memory_equal(text, expected, stream.total_out);
    inflateEnd(&stream);
}

/* The answer to a poll with these fields, `text` waiting. */
static struct response *poll_for(struct world *world, const char *fields, const char *text,
                                 bool pending)
{
    static struct response response;
    static char body[100000]; /* the client's is overwritten by its next answer */
    struct client *get = client_new(world), *post = client_new(world);
    char sid[EIO_SID_SIZE + 1];
    polling_open(post, sid);
    if (!pending)
        assert_post(post, sid, text);
    http_send(get, "GET", sid_target(sid), fields, NULL);
    if (pending)
        assert_post(post, sid, text);
    assert_true(http_receive(get, &response));
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.head, "\r\nContent-Type: text/plain; charset=UTF-8\r\n"));
    assert_true(response.body_size < sizeof body);
    memcpy(body, response.body, response.body_size + 1);
    response.body = body;
    assert_post(post, sid, "1");
    client_free(get);
    client_free(post);
    world_turn(world);
    return &response;
}

#define GZIP    (16 + MAX_WBITS)
#define DEFLATE MAX_WBITS

static void test_polling(void **state)
{
    (void)state;
    struct world *world = compressing_world(false);
    static const struct {
        const char *fields;
        size_t size;
        int bits; /* 0: as it is */
    } cases[] = {
        {"Accept-Encoding: gzip, deflate\r\n", 3000, GZIP},
        {"Accept-Encoding: deflate\r\n", 3000, DEFLATE},
        {"Accept-Encoding: gzip;q=0.1, deflate;q=0.2\r\n", 70000, DEFLATE},
        {"Accept-Encoding: gzip\r\n", 100, GZIP},
        {"Accept-Encoding: gzip\r\n", 99, 0},
        {"Accept-Encoding: br\r\n", 3000, 0},
        {"Accept-Encoding: gzip;q=0\r\n", 3000, 0},
        {"", 3000, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int pending = 0; pending < 2; pending++) {
            const char *text = long_text(cases[i].size);
            struct response *response = poll_for(world, cases[i].fields, text, pending);
            const char *encoding = strstr(response->head, "\r\nContent-Encoding: ");
            if (cases[i].bits == 0) {
                assert_null(encoding);
                assert_string_equal(response->body, text);
            } else {
                assert_non_null(encoding);
                assert_memory_equal(encoding + 20, cases[i].bits == GZIP ? "gzip\r" : "defla", 5);
                assert_true(response->body_size < cases[i].size);
                assert_packed(response, cases[i].bits, text);
            }
            /* What a cache must know of, even where the answer was not compressed. */
            assert_int_equal(strstr(response->head, "\r\nVary: Accept-Encoding\r\n") != NULL,
                             cases[i].size >= 100);
        }
    }
    world_free(world);
}

static void test_polling_off(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->options.http_compression = false;
    world_start(world);
    struct response *response =
        poll_for(world, "Accept-Encoding: gzip\r\n", long_text(5000), false);
    assert_null(strstr(response->head, "Content-Encoding"));
    assert_null(strstr(response->head, "Vary"));
    assert_string_equal(response->body, long_text(5000));
    world_free(world);
}

static void test_polling_default(void **state)
{
    (void)state;
    struct world *world = world_started();
    for (size_t size = 1023; size <= 1024; size++) {
        struct response *response =
            poll_for(world, "Accept-Encoding: gzip\r\n", long_text(size), false);
        assert_int_equal(strstr(response->head, "Content-Encoding: gzip") != NULL, size == 1024);
    }
    world_free(world);
}

/* Bytes that do not shrink go as they are. */
static void test_polling_noise(void **state)
{
    (void)state;
    struct world *world = compressing_world(false);
    char text[2000];
    unsigned seed = 5;
    text[0] = '4';
    for (size_t i = 1; i < 110; i++) {
        seed = seed * 1103515245u + 12345u;
        text[i] = (char)('!' + (seed >> 16) % 90);
    }
    text[110] = '\0';
    struct response *response = poll_for(world, "Accept-Encoding: gzip\r\n", text, false);
    assert_null(strstr(response->head, "Content-Encoding"));
    assert_string_equal(response->body, text);
    world_free(world);
}

/* An answer is compressed when anything in it may be. */
static void test_no_compress(void **state)
{
    (void)state;
    struct world *world = compressing_world(true);
    world->echo = false;
    for (int marked = 0; marked < 3; marked++) {
        struct client *client = client_new(world);
        char sid[EIO_SID_SIZE + 1];
        polling_open(client, sid);
        for (int i = 0; i < 2; i++) {
            struct message *packet = eio_packet_encode(EIO_MESSAGE, cvn_str(long_text(500)));
            assert_non_null(packet);
            if (i < marked)
                packet->flags |= MESSAGE_NO_COMPRESS;
            assert_true(eio_session_send(world->last, packet));
            message_unref(packet);
        }
        struct response *response =
            http_exchange(client, "GET", sid_target(sid), "Accept-Encoding: gzip\r\n", NULL);
        assert_int_equal(strstr(response->head, "Content-Encoding: gzip") != NULL, marked < 2);
        assert_post(client, sid, "1");
        client_free(client);
        world_turn(world);
    }
    world_free(world);
}

/* A body that is itself compressed is not understood, as by the reference: it costs the session. */
static void test_compressed_body(void **state)
{
    (void)state;
    struct world *world = compressing_world(true);
    struct client *client = client_new(world);
    struct deflater deflater;
    char sid[EIO_SID_SIZE + 1], packed[200], request[600];
    size_t size;
    polling_open(client, sid);
    deflater_init(&deflater, DEFLATER_MAX_WINDOW);
    assert_true(deflater_run(&deflater, DEFLATER_GZIP, SLICE("4hi"), packed, sizeof packed, &size));
    deflater_release(&deflater);
    int head = snprintf(request, sizeof request,
                        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        sid_target(sid), size);
    memcpy(request + head, packed, size);
    client_write(client, request, (size_t)head + size);
    assert_string_equal(world_reported(world), "open;close(parse error);");
    client_free(client);
    world_turn(world);
    world_free(world);
}

/* --- Memory --- */

/* Speaks without expecting anything: what it gets depends on which allocation fails. */
static void talk(struct world *world)
{
    struct client *ws = client_new(world), *get = client_new(world);
    struct response response;
    char sid[EIO_SID_SIZE + 1] = "AAAAAAAAAAAAAAAAAAAA";
    http_send(ws, "GET", DIRECT, WS_FIELDS OFFER, NULL);
    ws_send_frame(ws, 0xc1, "\x32\x49\xa4\x37\x00\x00", 6);
    ws_send(ws, long_text(2000));
    http_send(get, "GET", BASE, "", NULL);
    if (http_receive(get, &response) && response.status == 200)
        memcpy(sid, response.body + 9, EIO_SID_SIZE);
    http_send(get, "POST", sid_target(sid), "", long_text(2000));
    http_send(get, "GET", sid_target(sid), "Accept-Encoding: gzip\r\n", NULL);
    client_turn(get);
    client_turn(ws);
    client_free(get);
    client_free(ws);
    world_turn(world);
}

/* Every allocation fails once: it may cost the client it was for, never more. */
static void test_each_allocation(void **state)
{
    (void)state;
    uint64_t needed = 1;
    for (uint64_t i = 0; i < needed; i++) {
        struct world *world = compressing_world(true);
        uint64_t before = mem_allocation_count();
        mem_fail_after(i, 1);
        talk(world);
        mem_fail_after(0, 0);
        if (needed < mem_allocation_count() - before)
            needed = mem_allocation_count() - before;
        assert_true(needed < 500);
        struct response *response =
            poll_for(world, "Accept-Encoding: gzip\r\n", long_text(2000), false);
        assert_packed(response, GZIP, long_text(2000));
        world_free(world);
    }
    assert_true(needed > 30); /* or nothing was talked about */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_websocket),       cmocka_unit_test(test_window),
        cmocka_unit_test(test_declined),        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_faults),          cmocka_unit_test(test_polling),
        cmocka_unit_test(test_polling_off),     cmocka_unit_test(test_polling_default),
        cmocka_unit_test(test_polling_noise),   cmocka_unit_test(test_no_compress),
        cmocka_unit_test(test_compressed_body), cmocka_unit_test(test_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
