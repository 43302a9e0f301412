/*
 * Packets in MessagePack: what is read from them and what is refused, each cut off anywhere and at an unmapped page; what is written, to the byte; memory
 * that runs out; and a server that speaks it: joining, events, acknowledgements, refusals, broadcasts over two workers, and clients
 * that do not keep to it.
 */
#include "io.h"
#include "base/msgpack.h"
#include "sio/sio_msgpack.h"
#include "support/guard.h"

#define PH(num) "{\"_placeholder\":true,\"num\":" #num "}"

static const struct sio_packet_limits limits = {.max_attachments = 3, .max_depth = 16};

static const cvn_slice blobs[] = {{"one", 3}, {"", 0}, {"\0\xff", 2}, {"four", 4}};

/* The packet that a JSON object describes, as MessagePack; placeholders take their bytes from `blobs`. */
static cvn_slice pack(const char *json)
{
    static char memory[4096];
    struct msgpack_plan plan;
    struct msgpack_writer writer = {memory, 0};
    assert_true(json_is_valid(cvn_str(json), JSON_MAX_DEPTH));
    assert_int_equal(msgpack_plan_init(&plan, cvn_str(json), blobs, 4), CVN_OK);
    assert_true(plan.size <= sizeof memory);
    msgpack_put_planned(&writer, &plan);
    msgpack_plan_release(&plan);
    return slice_of(memory, writer.size);
}

/* On a guarded copy; a refusal must leave *ret as it is. */
static bool decode(cvn_slice bytes, struct sio_msgpack_room *room, struct sio_packet *ret,
                   char **ret_copy)
{
    struct sio_packet untouched;
    memset(ret, 0x5a, sizeof *ret);
    memset(&untouched, 0x5a, sizeof untouched);
    *ret_copy = guard_copy(bytes.data, bytes.size);
    bool accepted = sio_msgpack_decode(slice_of(*ret_copy, bytes.size), &limits, room, ret);
    if (!accepted)
        assert_memory_equal(ret, &untouched, sizeof untouched);
    return accepted;
}

static void assert_refused(cvn_slice bytes, const char *what)
{
    struct sio_msgpack_room room;
    struct sio_packet packet;
    char *copy;
    if (decode(bytes, &room, &packet, &copy))
        fail_msg("accepted: %s", what);
    assert_false(room.json.failed);
    sio_msgpack_release(&room);
    guard_free(copy, bytes.size);
}

static void test_decode(void **state)
{
    static const struct {
        const char *packet;
        enum sio_type type;
        unsigned attachments;
        const char *nsp;
        bool has_id;
        uint64_t id;
        const char *data, *event, *args;
    } cases[] = {
        {"{\"type\":0,\"nsp\":\"/\"}", SIO_CONNECT, 0, "/", false, 0, "", "", ""},
        {"{\"type\":0,\"data\":null,\"nsp\":\"/\",\"id\":null}", SIO_CONNECT, 0, "/", false, 0, "",
         "", ""},
        {"{\"type\":0,\"data\":{\"token\":\"a\\n\"},\"nsp\":\"/chat\"}", SIO_CONNECT, 0, "/chat",
         false, 0, "{\"token\":\"a\\n\"}", "", ""},
        {"{\"type\":0,\"data\":" PH(9) ",\"nsp\":\"/\"}", SIO_CONNECT, 0, "/", false, 0, PH(9), "",
         ""},
        {"{\"type\":1,\"nsp\":\"/chat\"}", SIO_DISCONNECT, 0, "/chat", false, 0, "", "", ""},
        {"{\"type\":1,\"nsp\":\"/chat\",\"data\":null}", SIO_DISCONNECT, 0, "/chat", false, 0, "",
         "", ""},
        {"{\"type\":2,\"data\":[\"a\"],\"nsp\":\"/\"}", SIO_EVENT, 0, "/", false, 0, "\"a\"",
         "\"a\"", ""},
        {"{\"type\":2,\"data\":[\"a\",1,[2,{\"b\":-3.5}]],\"options\":{\"compress\":true},\"nsp\":"
         "\"/\"}",
         SIO_EVENT, 0, "/", false, 0, "\"a\",1,[2,{\"b\":-3.5}]", "\"a\"", "1,[2,{\"b\":-3.5}]"},
        {"{\"x\":[[[[]]]],\"id\":7,\"nsp\":\"/a,b\",\"data\":[7,8],\"type\":2}", SIO_EVENT, 0,
         "/a,b", true, 7, "7,8", "7", "8"},
        {"{\"type\":2,\"data\":[\"a\"],\"nsp\":\"/\",\"id\":18446744073709551615}", SIO_EVENT, 0,
         "/", true, UINT64_MAX, "\"a\"", "\"a\"", ""},
        {"{\"type\":2,\"data\":[\"a\"," PH(9) "],\"nsp\":\"/\"}", SIO_EVENT, 0, "/", false, 0,
         "\"a\"," PH(9), "\"a\"", PH(9)},
        {"{\"type\":2,\"data\":[\"a\"," PH(0) ",{\"b\":[" PH(2) "," PH(1) "]}],\"nsp\":\"/\"}",
         SIO_BINARY_EVENT, 3, "/", false, 0, "\"a\"," PH(0) ",{\"b\":[" PH(1) "," PH(2) "]}",
         "\"a\"", PH(0) ",{\"b\":[" PH(1) "," PH(2) "]}"},
        {"{\"type\":3,\"data\":[],\"nsp\":\"/\",\"id\":0}", SIO_ACK, 0, "/", true, 0, "", "", ""},
        {"{\"type\":3,\"data\":[\"disconnect\"],\"nsp\":\"/\"}", SIO_ACK, 0, "/", false, 0,
         "\"disconnect\"", "", "\"disconnect\""},
        {"{\"type\":3,\"data\":[" PH(3) "],\"nsp\":\"/\",\"id\":5}", SIO_BINARY_ACK, 1, "/", true,
         5, PH(0), "", PH(0)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cvn_slice bytes = pack(cases[i].packet);
        struct sio_msgpack_room room;
        struct sio_packet packet;
        char *copy;
        if (!decode(bytes, &room, &packet, &copy))
            fail_msg("refused: %s", cases[i].packet);
        assert_int_equal(packet.type, cases[i].type);
        assert_int_equal(packet.attachments, cases[i].attachments);
        assert_int_equal(packet.has_id, cases[i].has_id);
        assert_true(packet.id == cases[i].id);
        assert_true(slice_eq(packet.nsp, cvn_str(cases[i].nsp)));
        if (!slice_eq(packet.data, cvn_str(cases[i].data)))
            fail_msg("%s: data %.*s", cases[i].packet, SLICE_ARG(packet.data));
        assert_true(slice_eq(packet.event, cvn_str(cases[i].event)));
        if (!slice_eq(packet.args, cvn_str(cases[i].args)))
            fail_msg("%s: args %.*s", cases[i].packet, SLICE_ARG(packet.args));
        sio_msgpack_release(&room);
        guard_free(copy, bytes.size);
        for (size_t size = 0; size < bytes.size; size++)
            assert_refused(slice_of(bytes.data, size), "cut off");
    }
}

static void test_attachments_lie_in_the_message(void **state)
{
    cvn_slice bytes = pack("{\"type\":2,\"data\":[\"a\"," PH(0) "," PH(2) "],\"nsp\":\"/\"}");
    struct sio_msgpack_room room;
    struct sio_packet packet;
    (void)state;
    assert_true(sio_msgpack_decode(bytes, &limits, &room, &packet));
    assert_true(slice_eq(room.attachments[0], blobs[0]));
    assert_true(slice_eq(room.attachments[1], blobs[2]));
    for (int i = 0; i < 2; i++)
        assert_true(room.attachments[i].data > bytes.data &&
                    room.attachments[i].data < bytes.data + bytes.size);
    sio_msgpack_release(&room);
}

static const char *const violations[] = {
    "null",
    "2",
    "\"42\"",
    "[2,\"/\",[\"a\"]]",
    "{}",
    "{\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":2,\"data\":[\"a\"]}",
    "{\"type\":null,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":\"2\",\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":2.5,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":-1,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":[2],\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":4,\"nsp\":\"/\",\"data\":{\"message\":\"a\"}}",
    "{\"type\":5,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":6,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":7,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":258,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":4294967298,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":2,\"nsp\":null,\"data\":[\"a\"]}",
    "{\"type\":2,\"nsp\":1,\"data\":[\"a\"]}",
    "{\"type\":2,\"nsp\":\"\",\"data\":[\"a\"]}",
    "{\"type\":2,\"nsp\":\"chat\",\"data\":[\"a\"]}",
    "{\"type\":0,\"nsp\":\"/\",\"data\":[]}",
    "{\"type\":0,\"nsp\":\"/\",\"data\":\"a\"}",
    "{\"type\":0,\"nsp\":\"/\",\"data\":true}",
    "{\"type\":0,\"nsp\":\"/\",\"data\":{\"a\":" PH(0) "}}",
    "{\"type\":1,\"nsp\":\"/\",\"data\":{}}",
    "{\"type\":1,\"nsp\":\"/\",\"data\":[]}",
    "{\"type\":2,\"nsp\":\"/\"}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":null}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":{}}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":\"a\"}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[null]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[[\"a\"]]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[" PH(0) "]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"connect\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"connect_error\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"disconnect\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"disconnecting\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"newListener\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"removeListener\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":-1}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":0.5}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":\"1\"}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":false}",
    "{\"type\":3,\"nsp\":\"/\",\"id\":1}",
    "{\"type\":3,\"nsp\":\"/\",\"id\":1,\"data\":{}}",
    "{\"type\":1,\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"nsp\":\"/\",\"data\":[\"a\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"data\":[\"b\"]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"],\"id\":1,\"id\":1}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"," PH(0) "," PH(1) "," PH(2) "," PH(3) "]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\"," PH(0) ",{\"_placeholder\":true,\"num\":7}]}",
    "{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\",[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}",
};

static void test_violations(void **state)
{
    char bytes[256];
    (void)state;
    for (size_t i = 0; i < sizeof violations / sizeof *violations; i++)
        assert_refused(pack(violations[i]), violations[i]);
    /* What JSON cannot say: bytes behind the packet, keys and a namespace that are no text. */
    cvn_slice good = pack("{\"type\":1,\"nsp\":\"/\"}");
    memcpy(bytes, good.data, good.size);
    bytes[good.size] = '\0';
    assert_refused(slice_of(bytes, good.size + 1), "a byte too many");
    assert_refused(SLICE("\x83\xa4type\1\xa3nsp\xa1/\1\1"), "a key that is a number");
    assert_refused(SLICE("\x82\xa4type\1\xa3nsp\xa2/\xff"), "a namespace that is no UTF-8");
    assert_refused(SLICE("\x82\xa4type\1\xa3nsp\xc4\1/"), "a namespace of bytes");
    assert_refused(SLICE("\x83\xa4type\1\xa3nsp\xa1/\xa1x\xdd\xff\xff\xff\xff"), "a promise");
}

static void test_no_memory_to_decode(void **state)
{
    cvn_slice bytes =
        pack("{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\",\"\\u0001\\u0001\\u0001\\u0001"
             "\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\"]}");
    struct sio_msgpack_room room;
    struct sio_packet packet;
    uint64_t failing = 0;
    bool accepted;
    char *copy;
    (void)state;
    do {
        mem_fail_after(failing++, 1);
        accepted = decode(bytes, &room, &packet, &copy);
        mem_fail_after(0, 0);
        assert_int_equal(room.json.failed, !accepted);
        sio_msgpack_release(&room);
        guard_free(copy, bytes.size);
    } while (!accepted);
    assert_int_equal(failing, 3); /* the text, and once more because it needs escapes */
}

/* --- Encoding --- */

static const struct sio_encode_limits emits = {
    .max_attachments = SIO_MAX_ATTACHMENTS, .max_depth = 16, .parser = CVN_PARSER_MSGPACK};

static void assert_message(const struct message *message, cvn_slice expected)
{
    assert_non_null(message);
    assert_int_equal(message->flags & MESSAGE_BINARY, MESSAGE_BINARY);
    assert_int_equal((unsigned char)message->data[0], 0x82); /* a binary frame */
    if (!slice_eq(message_payload(message), expected)) {
        for (size_t i = message->prefix; i < message->size; i++)
            print_message("%02x ", (unsigned char)message->data[i]);
        fail_msg("are not the bytes expected");
    }
}

static void test_encode(void **state)
{
    uint64_t id = 300;
    struct sio_frames frames;
    cvn_args args = {SLICE(PH(1) ",{\"x\":[" PH(0) "]}"), blobs, 2};
    (void)state;
    assert_int_equal(sio_encode_event(SLICE("/"), "hi", NULL, cvn_json(NULL), &emits, &frames),
                     CVN_OK);
    assert_message(frames.text, SLICE("\x83\xa4type\2\xa3nsp\xa1/\xa4"
                                      "data\x91\xa2hi"));
    assert_int_equal(frames.binary_count, 0);
    assert_int_equal(sio_frames_mark(&frames, CVN_VOLATILE, SLICE("/"), NULL), CVN_OK);
    assert_int_equal(frames.text->flags, MESSAGE_BINARY | MESSAGE_VOLATILE);
    sio_frames_release(&frames);
    assert_null(frames.text);

    assert_int_equal(sio_encode_event(SLICE("/chat"), "a\"\xc3\xa4", &id,
                                      cvn_json(" 1 , [\"\\n\"]"), &emits, &frames),
                     CVN_OK);
    assert_message(frames.text, SLICE("\x84\xa4type\2\xa3nsp\xa5/chat\xa2id\xcd\1\x2c\xa4"
                                      "data\x93\xa4"
                                      "a\"\xc3\xa4\1\x91\xa1\n"));
    sio_frames_release(&frames);

    id = 0;
    assert_int_equal(sio_encode_event(SLICE("/"), NULL, &id, args, &emits, &frames), CVN_OK);
    assert_message(frames.text, slice_of("\x84\xa4type\3\xa3nsp\xa1/\xa2id\0\xa4"
                                         "data\x92\xc4\0\x81\xa1x\x91\xc4\3one",
                                         34));
    assert_int_equal(frames.binary_count, 0);
    sio_frames_release(&frames);
    assert_int_equal(sio_encode_event(SLICE("/"), NULL, &id, cvn_json(""), &emits, &frames),
                     CVN_OK);
    assert_message(frames.text, slice_of("\x84\xa4type\3\xa3nsp\xa1/\xa2id\0\xa4"
                                         "data\x90",
                                         23));
    sio_frames_release(&frames);
}

/* A slice in a static initialiser, which for gcc must not be a compound literal. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static void test_encode_control(void **state)
{
    static const struct {
        enum sio_type type;
        const char *nsp, *json;
        cvn_slice expected;
    } cases[] = {
        {SIO_CONNECT, "/", "{\"sid\":\"abc\"}",
         BYTES("\x83\xa4type\0\xa3nsp\xa1/\xa4"
               "data\x81\xa3sid\xa3"
               "abc")},
        {SIO_DISCONNECT, "/chat", "", BYTES("\x82\xa4type\1\xa3nsp\xa5/chat")},
        {SIO_CONNECT_ERROR, "/x", "{\"message\":\"no\",\"data\":[1]}",
         BYTES("\x83\xa4type\4\xa3nsp\xa2/x\xa4"
               "data\x82\xa7message\xa2no\xa4"
               "data\x91\1")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message *message = sio_encode_control(CVN_PARSER_MSGPACK, cases[i].type,
                                                     cvn_str(cases[i].nsp), cvn_str(cases[i].json));
        assert_message(message, cases[i].expected);
        message_unref(message);
        mem_fail_after(0, 1);
        assert_null(sio_encode_control(CVN_PARSER_MSGPACK, cases[i].type, cvn_str(cases[i].nsp),
                                       cvn_str(cases[i].json)));
        mem_fail_after(0, 0);
    }
}

static void assert_not_encoded(enum cvn_error expected, const char *event, cvn_args args)
{
    struct sio_frames frames, untouched;
    memset(&frames, 0x5a, sizeof frames);
    memset(&untouched, 0x5a, sizeof untouched);
    assert_int_equal(sio_encode_event(SLICE("/"), event, NULL, args, &emits, &frames), expected);
    assert_memory_equal(&frames, &untouched, sizeof frames);
}

static void test_encode_refusals(void **state)
{
    struct buf list;
    (void)state;
    assert_not_encoded(CVN_ERR_JSON, "a", cvn_json("1,"));
    assert_not_encoded(CVN_ERR_JSON, "a", cvn_json("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"));
    assert_not_encoded(CVN_ERR_JSON, "a", (cvn_args){SLICE(PH(1)), blobs, 1});
    assert_not_encoded(CVN_ERR_LIMIT, "a", (cvn_args){SLICE("1"), blobs, SIO_MAX_ATTACHMENTS + 1});
    assert_not_encoded(CVN_ERR_ARGUMENT, "disconnect", cvn_json("1"));
    assert_not_encoded(CVN_ERR_ARGUMENT, "", cvn_json("1"));
    mem_fail_after(0, 1);
    assert_not_encoded(CVN_ERR_MEMORY, "a", cvn_json("1"));
    mem_fail_after(0, 0);
    buf_init(&list, 1000);
    for (int i = 0; i < 100; i++)
        buf_append_str(&list, i > 0 ? ",[]" : "[]");
    for (unsigned failing = 0; failing < 3; failing++) { /* the counts, twice, and the message */
        mem_fail_after(failing, 1);
        assert_not_encoded(CVN_ERR_MEMORY, "a", cvn_json_slice(buf_slice(&list)));
        mem_fail_after(0, 0);
    }
    buf_release(&list);
}

/* --- A server that speaks it --- */

static struct io *started(unsigned workers)
{
    struct io *io = io_new(workers);
    io->server.options.emits.parser = CVN_PARSER_MSGPACK;
    io_log_all(io_namespace(io, "/"));
    io_log_all(io_namespace(io, "/chat"));
    return io;
}

static void send_packet(struct client *client, const char *json)
{
    cvn_slice bytes = pack(json);
    ws_send_frame(client, 0x82, bytes.data, bytes.size);
}

/* The next message, as JSON; its binaries are placeholders. */
static const char *read_packet(struct client *client)
{
    static char text[4096];
    unsigned opcode = 0;
    char *data = NULL;
    size_t size = 0;
    cvn_slice items[4];
    struct msgpack_blobs found = {items, 0, 4};
    struct buf json = {.data = text, .capacity = sizeof text - 1, .max = sizeof text - 1};
    assert_true(ws_receive(client, &opcode, &data, &size));
    assert_int_equal(opcode, 2);
    cvn_slice rest = slice_of(data, size);
    assert_true(msgpack_to_json(&rest, 64, &json, &found));
    assert_int_equal(rest.size, 0);
    text[json.size] = '\0';
    return text;
}

static struct client *joined(struct io *io, unsigned worker)
{
    struct client *client = io_client(io, worker);
    send_packet(client, "{\"type\":0,\"nsp\":\"/\",\"data\":{\"token\":[1,\"x\"]}}");
    char expected[200];
    const char *answer = read_packet(client);
    snprintf(expected, sizeof expected, "{\"type\":0,\"nsp\":\"/\",\"data\":{\"sid\":\"%s\"}}",
             cvn_socket_id(io->last));
    assert_string_equal(answer, expected);
    assert_true(slice_eq(cvn_socket_auth(io->last), SLICE("{\"token\":[1,\"x\"]}")));
    return client;
}

static void echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)socket, (void)data;
    assert_int_equal(cvn_ack_args(event, cvn_event_args(event)), CVN_OK);
}

static void refuse(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)socket, (void)data;
    cvn_next_refuse(next, "no \"entry\"", "{\"code\":[7]}");
}

static void on_answer(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    cvn_slice bytes = SLICE("?");
    (void)socket, (void)data;
    cvn_args_binary(args, cvn_args_at(args, 1), &bytes);
    world_log(the_io->world, "answer:%d(%.*s)%.*s;", error, SLICE_ARG(args.json), SLICE_ARG(bytes));
}

static void test_conversation(void **state)
{
    struct io *io = started(1);
    (void)state;
    assert_int_equal(cvn_on(io_namespace(io, "/"), "echo", echo, NULL), CVN_OK);
    assert_int_equal(cvn_use(io_namespace(io, "/no"), refuse, NULL), CVN_OK);
    io_start(io);
    struct client *client = joined(io, 0);
    cvn_socket *socket = io->last;
    assert_reported("in/;");
    send_packet(client,
                "{\"type\":2,\"nsp\":\"/\",\"data\":[\"echo\"," PH(0) ",[1.5]],\"id\":70000}");
    assert_string_equal(read_packet(client),
                        "{\"type\":3,\"nsp\":\"/\",\"id\":70000,\"data\":[" PH(0) ",[1.5]]}");
    assert_reported("any:echo(" PH(0) ",[1.5]);");

    assert_int_equal(cvn_socket_emit_ack(socket, "ask", cvn_json("1"), 0, on_answer, NULL), CVN_OK);
    assert_string_equal(read_packet(client),
                        "{\"type\":2,\"nsp\":\"/\",\"id\":0,\"data\":[\"ask\",1]}");
    send_packet(client, "{\"type\":3,\"nsp\":\"/\",\"id\":0,\"data\":[\"yes\"," PH(3) "]}");
    assert_reported("answer:0(\"yes\"," PH(0) ")four;");

    send_packet(client, "{\"type\":0,\"nsp\":\"/no\"}");
    assert_string_equal(read_packet(client),
                        "{\"type\":4,\"nsp\":\"/no\",\"data\":{\"message\":\"no \\\"entry\\\"\","
                        "\"data\":{\"code\":[7]}}}");
    send_packet(client, "{\"type\":0,\"nsp\":\"/where\"}");
    assert_string_equal(read_packet(client), "{\"type\":4,\"nsp\":\"/where\",\"data\":{\"message\":"
                                             "\"Invalid namespace\"}}");
    send_packet(client, "{\"type\":0,\"nsp\":\"/chat\"}");
    read_packet(client);
    assert_reported("in/chat;");
    assert_true(slice_eq(cvn_socket_auth(io->last), SLICE("{}")));
    send_packet(client, "{\"type\":1,\"nsp\":\"/chat\"}");
    assert_reported("leaving(client namespace disconnect);left(client namespace disconnect);");
    cvn_disconnect(socket, false);
    assert_string_equal(read_packet(client), "{\"type\":1,\"nsp\":\"/\"}");
    assert_reported("leaving(server namespace disconnect);left(server namespace disconnect);");
    client_free(client);
    io_free(io);
}

static void test_broadcast(void **state)
{
    struct io *io = started(2);
    struct client *clients[4];
    cvn_args args = {SLICE("[" PH(2) "]"), blobs, 3};
    (void)state;
    io_start(io);
    for (unsigned i = 0; i < 4; i++)
        clients[i] = joined(io, i % 2);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = io_namespace(io, "/")}, "all", args), CVN_OK);
    assert_int_equal(io->broadcasts, 1);
    for (unsigned i = 0; i < 4; i++)
        assert_binary(clients[i], SLICE("\x83\xa4type\2\xa3nsp\xa1/\xa4"
                                        "data\x92\xa3"
                                        "all\x91\xc4\2\0\xff"));
    for (unsigned i = 0; i < 4; i++) {
        assert_ws_silent(clients[i]); /* no attachment behind it */
        client_free(clients[i]);
    }
    io_free(io);
}

static void test_strangers(void **state)
{
    struct io *io = started(1);
    (void)state;
    io_start(io);
    struct client *bystander = joined(io, 0);
    for (size_t i = 0; i < sizeof violations / sizeof *violations; i++) {
        struct client *client = joined(io, 0);
        world_reported(io->world);
        send_packet(client, violations[i]);
        assert_reported("leaving(parse error);left(parse error);");
        assert_ws_closed(client, 1005);
        client_free(client);
        world_turn(io->world);
    }
    static const char *const others[] = {"{\"type\":0,\"nsp\":\"/\"}", /* a second time */
                                         "{\"type\":2,\"nsp\":\"/chat\",\"data\":[\"a\"]}",
                                         "{\"type\":1,\"nsp\":\"/chat\"}",
                                         "{\"type\":3,\"nsp\":\"/nowhere\",\"id\":1,\"data\":[]}"};
    for (size_t i = 0; i < 5; i++) {
        struct client *client = joined(io, 0);
        world_reported(io->world);
        if (i < 4)
            send_packet(client, others[i]);
        else
            ws_send(client, "42[\"a\"]");
        assert_reported("leaving(parse error);left(parse error);");
        assert_ws_closed(client, 1005);
        client_free(client);
        world_turn(io->world);
    }
    send_packet(bystander, "{\"type\":2,\"nsp\":\"/\",\"data\":[\"still\",1]}");
    assert_reported("any:still(1);");
    client_free(bystander);
    io_free(io);
}

static void test_no_memory(void **state)
{
    struct io *io = started(1);
    (void)state;
    io_start(io);
    struct client *client = joined(io, 0);
    world_reported(io->world);
    cvn_slice bytes = pack("{\"type\":2,\"nsp\":\"/\",\"data\":[\"a\",[]]}");
    struct eio_session *session = io->last->client->session;
    char *copy = guard_copy(bytes.data, bytes.size);
    mem_fail_after(0, 1);
    sio_client_events.on_message(session, copy, bytes.size, true);
    mem_fail_after(0, 0);
    guard_free(copy, bytes.size);
    world_turn(io->world);
    assert_reported("leaving(forced server close);left(forced server close);");
    client_free(client);
    io_free(io);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_attachments_lie_in_the_message),
        cmocka_unit_test(test_violations),
        cmocka_unit_test(test_no_memory_to_decode),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_encode_control),
        cmocka_unit_test(test_encode_refusals),
        cmocka_unit_test(test_conversation),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
