/* Emits to clients with compression: what goes compressed, what CVN_NO_COMPRESS keeps as it is, and that a broadcast is compressed once. */
#include "io.h"
#include "base/deflater.h"
#include "base/inflater.h"

#define OFFER "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

#define THRESHOLD 200

struct crowd {
    struct io *io;
    cvn_namespace *root;
    struct client *clients[3]; /* the last one without compression */
};

/* Joins over a WebSocket; with `fields` in its handshake. */
static struct client *join_with(struct io *io, unsigned worker, const char *fields)
{
    struct client *client = client_new_on(io->world, worker);
    unsigned opcode;
    char *data;
    size_t size;
    assert_int_equal(ws_connect_with(client, "/engine.io/?EIO=4&transport=websocket", fields), 101);
    assert_true(ws_receive(client, &opcode, &data, &size)); /* below the threshold */
    io_join(client, "/");
    return client;
}

static struct crowd crowd_new(void)
{
    struct crowd crowd = {.io = io_new(2)};
    crowd.io->world->options.websocket_compression = true;
    crowd.io->world->options.compression_threshold = THRESHOLD;
    crowd.root = io_namespace(crowd.io, "/");
    io_start(crowd.io);
    crowd.clients[0] = join_with(crowd.io, 0, OFFER);
    crowd.clients[1] = join_with(crowd.io, 1, OFFER);
    crowd.clients[2] = join_with(crowd.io, 0, "");
    return crowd;
}

static void crowd_free(struct crowd *crowd)
{
    for (unsigned i = 0; i < 3; i++)
        client_free(crowd->clients[i]);
    io_free(crowd->io);
}

/* The next frame: its first byte, and what it comes to. */
static void assert_frame(struct client *client, unsigned first, cvn_slice expected)
{
    struct inflater inflater;
    struct buf whole;
    unsigned opcode;
    char *data;
    size_t size;
    client_turn(client);
    assert_true(client->in_size > 0);
    assert_int_equal((unsigned char)client->in[0], first);
    assert_true(ws_receive(client, &opcode, &data, &size));
    inflater_init(&inflater);
    buf_init(&whole, 100000);
    if (first & 0x40)
        assert_int_equal(inflater_run(&inflater, slice_of(data, size), &whole), INFLATER_DONE);
    else
        assert_true(buf_append(&whole, slice_of(data, size)));
    assert_true(slice_eq(buf_slice(&whole), expected));
    inflater_release(&inflater);
    buf_release(&whole);
}

/* ["e","xxx..."], and the packet of it, each `size` characters longer than an empty one. */
static void make_event(size_t size, char ret_json[5000], char ret_packet[5000])
{
    char letters[4000];
    memset(letters, 'x', size);
    letters[size] = '\0';
    snprintf(ret_json, 5000, "\"%s\"", letters);
    snprintf(ret_packet, 5000, "42[\"e\",\"%s\"]", letters);
}

static void test_emit(void **state)
{
    struct crowd crowd = crowd_new();
    char json[5000], packet[5000];
    (void)state;
    make_event(3000, json, packet);
    for (unsigned flags = 0; flags <= CVN_NO_COMPRESS; flags += CVN_NO_COMPRESS) {
        cvn_target all = {.nsp = crowd.root, .flags = flags};
        assert_int_equal(cvn_emit(&all, "e", cvn_json(json)), CVN_OK);
        for (unsigned i = 0; i < 3; i++)
            assert_frame(crowd.clients[i], i < 2 && flags == 0 ? 0xc1 : 0x81, cvn_str(packet));
    }
    /* By the packet's size, type digits and all. */
    for (size_t size = THRESHOLD - 11; size <= THRESHOLD - 10; size++) {
        make_event(size, json, packet);
        assert_int_equal(cvn_emit(&(cvn_target){.nsp = crowd.root}, "e", cvn_json(json)), CVN_OK);
        assert_frame(crowd.clients[0], strlen(packet) >= THRESHOLD ? 0xc1 : 0x81, cvn_str(packet));
        assert_frame(crowd.clients[1], strlen(packet) >= THRESHOLD ? 0xc1 : 0x81, cvn_str(packet));
        assert_frame(crowd.clients[2], 0x81, cvn_str(packet));
    }
    crowd_free(&crowd);
}

/* To one socket: by each of the ways, of which one may say so. */
static void test_to_one(void **state)
{
    struct crowd crowd = crowd_new();
    cvn_socket *socket;
    char json[5000], packet[5000];
    (void)state;
    socket = crowd.root->locals[0].members[0];
    make_event(3000, json, packet);
    assert_int_equal(cvn_socket_emit(socket, "e", cvn_json(json)), CVN_OK);
    assert_int_equal(cvn_socket_emit_volatile(socket, "e", cvn_json(json)), CVN_OK);
    assert_int_equal(cvn_socket_emit_conflated(socket, "e", cvn_json(json), "k"), CVN_OK);
    assert_int_equal(cvn_socket_emit_with(socket, "e", cvn_json(json), CVN_VOLATILE, NULL), CVN_OK);
    for (int i = 0; i < 4; i++)
        assert_frame(crowd.clients[0], 0xc1, cvn_str(packet));
    for (unsigned flags = CVN_NO_COMPRESS; flags <= (CVN_NO_COMPRESS | CVN_VOLATILE); flags++)
        assert_int_equal(cvn_socket_emit_with(socket, "e", cvn_json(json), flags, NULL), CVN_OK);
    assert_int_equal(cvn_socket_emit_with(socket, "e", cvn_json("1"), CVN_NO_COMPRESS, "k"),
                     CVN_OK);
    assert_int_equal(cvn_socket_emit_with(socket, "e", cvn_json(json), CVN_NO_COMPRESS, "k"),
                     CVN_OK); /* in the place of the one before */
    for (int i = 0; i < 3; i++)
        assert_frame(crowd.clients[0], 0x81, cvn_str(packet));
    assert_int_equal(cvn_socket_emit_with(socket, "e", cvn_json(json), 0, ""), CVN_ERR_ARGUMENT);
    crowd_free(&crowd);
}

static void test_binary(void **state)
{
    struct crowd crowd = crowd_new();
    char zeros[1000] = {0};
    cvn_slice attachments[] = {slice_of(zeros, sizeof zeros), SLICE("few")};
    cvn_args args = {
        .json = SLICE("{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}"),
        .attachments = attachments,
        .attachment_count = 2};
    const char *text =
        "452-[\"e\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";
    (void)state;
    for (unsigned flags = 0; flags <= CVN_NO_COMPRESS; flags += CVN_NO_COMPRESS) {
        cvn_target all = {.nsp = crowd.root, .flags = flags};
        assert_int_equal(cvn_emit(&all, "e", args), CVN_OK);
        for (unsigned i = 0; i < 3; i++) {
            assert_frame(crowd.clients[i], 0x81, cvn_str(text));
            assert_frame(crowd.clients[i], i < 2 && flags == 0 ? 0xc2 : 0x82, attachments[0]);
            assert_frame(crowd.clients[i], 0x82, attachments[1]);
        }
    }
    crowd_free(&crowd);
}

/* Compressed events take each other's place as others do, attachments and all. */
static void test_conflated(void **state)
{
    struct crowd crowd = crowd_new();
    char json[5000], packet[5000], with_bytes[6000], expected[7000], zeros[1000] = {0};
    cvn_slice attachment = slice_of(zeros, sizeof zeros);
    cvn_target keyed = {.nsp = crowd.root, .conflate = "k"};
    cvn_target other = {.nsp = crowd.root, .conflate = "other"};
    (void)state;
    make_event(3000, json, packet);
    snprintf(with_bytes, sizeof with_bytes, "%s,{\"_placeholder\":true,\"num\":0}", json);
    snprintf(expected, sizeof expected, "451-[\"e\",%s]", with_bytes);
    cvn_args binary = {
        .json = cvn_str(with_bytes), .attachments = &attachment, .attachment_count = 1};
    for (int i = 0; i < 3; i++) { /* within one turn */
        assert_int_equal(cvn_emit(&keyed, "e", binary), CVN_OK);
        assert_int_equal(cvn_emit(&keyed, "e", cvn_json(json)), CVN_OK);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_frame(crowd.clients[i], i < 2 ? 0xc1 : 0x81, cvn_str(packet));
        assert_ws_silent(crowd.clients[i]);
    }
    assert_int_equal(cvn_emit(&keyed, "e", cvn_json(json)), CVN_OK);
    assert_int_equal(cvn_emit(&other, "e", cvn_json(json)), CVN_OK);
    assert_int_equal(cvn_emit(&keyed, "e", binary), CVN_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_frame(crowd.clients[i], i < 2 ? 0xc1 : 0x81, cvn_str(expected));
        assert_frame(crowd.clients[i], i < 2 ? 0xc2 : 0x82, attachment);
        assert_frame(crowd.clients[i], i < 2 ? 0xc1 : 0x81, cvn_str(packet));
        assert_ws_silent(crowd.clients[i]);
    }
    crowd_free(&crowd);
}

/* However many receive it, no more is allocated (and so compressed) than for one. */
static void test_once(void **state)
{
    struct crowd crowd = crowd_new();
    char json[5000], packet[5000];
    uint64_t needed[2];
    (void)state;
    cvn_target all = {.nsp = crowd.root, .flags = CVN_LOCAL_WORKER};
    make_event(3000, json, packet);
    struct client *more = join_with(crowd.io, 0, OFFER);
    assert_int_equal(cvn_emit(&all, "e", cvn_json(json)), CVN_OK); /* zlib's state is made */
    world_turn(crowd.io->world);
    for (int i = 0; i < 2; i++) {
        uint64_t before = mem_allocation_count();
        assert_int_equal(cvn_emit(&all, "e", cvn_json(json)), CVN_OK);
        needed[i] = mem_allocation_count() - before;
        world_turn(crowd.io->world);
        if (i == 0) { /* one of two with compression leaves */
            client_vanish(more, false);
            world_turn(crowd.io->world);
        }
    }
    assert_int_equal(needed[0], needed[1]);
    crowd_free(&crowd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_emit),   cmocka_unit_test(test_to_one),
        cmocka_unit_test(test_binary), cmocka_unit_test(test_conflated),
        cmocka_unit_test(test_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
