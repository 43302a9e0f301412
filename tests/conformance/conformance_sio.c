/*
 * The Socket.IO contracts, on the public API alone: what any application could write. Each contract is a table of namespaces and events.
 */
#include "conformance.h"
#include <convene/convene.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define UNUSED(name) (void)(name)

#define BYTES "{\"_placeholder\":true,\"num\":0}"

struct route {
    const char *event;
    cvn_event_fn fn;
    const void *data; /* mostly the event to answer with */
};

static void add_routes(cvn_namespace *nsp, const struct route *routes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cvn_on(nsp, routes[i].event, routes[i].fn, (void *)routes[i].data);
}

static void add_silent(cvn_server *server, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cvn_of(server, names[i]);
}

/* --- Answers that several contracts share --- */

static void ack_same(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(socket);
    UNUSED(data);
    cvn_ack_args(event, cvn_event_args(event));
}

static void ack_first(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_args args = cvn_event_args(event);
    UNUSED(socket);
    UNUSED(data);
    args.json = cvn_args_at(args, 0);
    cvn_ack_args(event, args);
}

/* data: the event to answer with */
static void emit_same(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_socket_emit(socket, data, cvn_event_args(event));
}

static void emit_bare(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(event);
    cvn_socket_emit(socket, data, cvn_json(NULL));
}

static void ack_id(cvn_socket *socket, const cvn_event *event, void *data)
{
    char json[64];
    UNUSED(data);
    snprintf(json, sizeof json, "\"%s\"", cvn_socket_id(socket));
    cvn_ack(event, json);
}

/* An ISO 8601 string with its quotes, as JSON makes of a Date. */
static const char *iso_now(char ret[64])
{
    struct timespec now;
    struct tm parts;
    char seconds[24];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(ret, 64, "\"%s.%03ldZ\"", seconds, now.tv_nsec / 1000000);
    return ret;
}

static void ack_date(cvn_socket *socket, const cvn_event *event, void *data)
{
    char date[64];
    UNUSED(socket);
    UNUSED(data);
    cvn_ack(event, iso_now(date));
}

static void emit_binary(cvn_socket *socket, const char *event, const char *json, const char *bytes)
{
    const cvn_slice attachment = cvn_str(bytes);
    cvn_args args = {cvn_str(json), &attachment, 1};
    cvn_socket_emit(socket, event, args);
}

static void ack_handshake(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_text *text = cvn_text_new(65536);
    UNUSED(data);
    if (text == NULL)
        return;
    cvn_socket_handshake_json(socket, text);
    cvn_ack_args(event, cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

static void on_connect_handshake(cvn_socket *socket, void *data)
{
    cvn_text *text = cvn_text_new(65536);
    UNUSED(data);
    if (text == NULL)
        return;
    cvn_socket_handshake_json(socket, text);
    cvn_socket_emit(socket, "handshake", cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

/* --- sio-proto --- */

static void on_connect_auth(cvn_socket *socket, void *data)
{
    UNUSED(data);
    cvn_socket_emit(socket, "auth", cvn_json_slice(cvn_socket_auth(socket)));
}

static void setup_proto(cvn_server *server)
{
    static const struct route routes[] = {
        {"message", emit_same, "message-back"},
        {"message-with-ack", ack_same, NULL},
    };
    cvn_namespace *root = cvn_of(server, "/"), *custom = cvn_of(server, "/custom");
    add_routes(root, routes, 2);
    cvn_on_connection(root, on_connect_auth, NULL);
    cvn_on_connection(custom, on_connect_auth, NULL);
}

/* --- sio-client --- */

static void on_client_ack(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    uint64_t number;
    UNUSED(data);
    if (error == CVN_OK && cvn_args_count(args) == 2 &&
        cvn_json_integer(cvn_args_at(args, 0), &number) && number == 5 &&
        cvn_json_type_of(cvn_json_get(cvn_args_at(args, 1), "test")) == CVN_JSON_TRUE)
        cvn_socket_emit(socket, "got it", cvn_json(NULL));
}

static void ask_client(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(event);
    UNUSED(data);
    if (cvn_socket_emit_ack(socket, "ack", cvn_json(NULL), 10000, on_client_ack, NULL) != CVN_OK)
        cvn_disconnect(socket, true);
}

static void emit_date(cvn_socket *socket, const cvn_event *event, void *data)
{
    char date[64];
    UNUSED(event);
    UNUSED(data);
    cvn_socket_emit(socket, "takeDate", cvn_json(iso_now(date)));
}

static void emit_date_object(cvn_socket *socket, const cvn_event *event, void *data)
{
    char date[64], json[96];
    UNUSED(event);
    UNUSED(data);
    snprintf(json, sizeof json, "{\"date\":%s}", iso_now(date));
    cvn_socket_emit(socket, "takeDateObj", cvn_json(json));
}

static void emit_utf8(cvn_socket *socket, const cvn_event *event, void *data)
{
    static const char *const texts[] = {"\"てすと\"", "\"Я Б Г Д Ж Й\"", "\"Ä ä Ü ü ß\"",
                                        "\"utf8 — string\"", "\"utf8 — string\""};
    UNUSED(event);
    UNUSED(data);
    for (size_t i = 0; i < 5; i++)
        cvn_socket_emit(socket, "takeUtf8", cvn_json(texts[i]));
}

static void emit_false(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(event);
    UNUSED(data);
    cvn_socket_emit(socket, "false", cvn_json("false"));
}

/* data: the event to answer with */
static void emit_asdf(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(event);
    emit_binary(socket, data, BYTES, "asdfasdf");
}

/* Whether argument 0 is one attachment. */
static bool is_bytes(const cvn_event *event)
{
    cvn_slice bytes;
    return cvn_args_binary(cvn_event_args(event), cvn_event_arg(event, 0), &bytes);
}

static bool is_text(const cvn_event *event, const char *text)
{
    char value[64];
    return cvn_json_string(cvn_event_arg(event, 0), value, sizeof value) &&
           strcmp(value, text) == 0;
}

static void check_bytes(cvn_socket *socket, const cvn_event *event, void *data)
{
    if (is_bytes(event))
        cvn_socket_emit(socket, data, cvn_json(NULL));
}

/* {hello:"lol", message: bytes, goodbye:"gotcha"} */
static void check_json_bytes(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_slice object = cvn_event_arg(event, 0), bytes;
    char hello[16], goodbye[16];
    if (cvn_json_string(cvn_json_get(object, "hello"), hello, sizeof hello) &&
        cvn_json_string(cvn_json_get(object, "goodbye"), goodbye, sizeof goodbye) &&
        strcmp(hello, "lol") == 0 && strcmp(goodbye, "gotcha") == 0 &&
        cvn_args_binary(cvn_event_args(event), cvn_json_get(object, "message"), &bytes))
        cvn_socket_emit(socket, data, cvn_json(NULL));
}

/* How far a client has come in a sequence: kept as the socket's data. */
static void set_step(cvn_socket *socket, uintptr_t step)
{
    cvn_socket_set_data(socket, (void *)step, NULL);
}

static uintptr_t step_of(const cvn_socket *socket)
{
    return (uintptr_t)cvn_socket_data(socket);
}

static void first_bytes(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(data);
    if (is_bytes(event))
        set_step(socket, 1);
}

static void on_abuff2(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(event);
    UNUSED(data);
    if (step_of(socket) == 1)
        cvn_socket_emit(socket, "abuff2-ack", cvn_json(NULL));
}

static void on_blob2(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(data);
    if (step_of(socket) == 1 && is_text(event, "second"))
        set_step(socket, 2);
}

static void on_blob3(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(data);
    if (step_of(socket) == 2 && is_bytes(event))
        cvn_socket_emit(socket, "blob3-ack", cvn_json(NULL));
}

/* data: {message, data or NULL} */
static void refuse_all(cvn_socket *socket, cvn_next *next, void *data)
{
    const char *const *refusal = data;
    UNUSED(socket);
    cvn_next_refuse(next, refusal[0], refusal[1]);
}

static void refuse_fail(cvn_socket *socket, cvn_next *next, void *data)
{
    UNUSED(data);
    if (cvn_socket_query(socket, "fail").data != NULL)
        cvn_next_refuse(next, "Auth failed (main namespace)", NULL);
    else
        cvn_next_accept(next);
}

static void allow(void *data)
{
    cvn_allow(data);
}

static bool allow_after_10_ms(cvn_http_request *request, const char **ret_message, void *data)
{
    UNUSED(data);
    cvn_admission *admission = cvn_allow_later(request);
    if (admission == NULL) {
        *ret_message = "out of memory";
        return false;
    }
    conformance_delay(10, allow, admission);
    return true;
}

static void setup_client(cvn_server *server)
{
    static const struct route routes[] = {
        {"hi", emit_bare, "hi"},           {"echo", ack_first, NULL},
        {"ack", ask_client, NULL},         {"getAckDate", ack_date, NULL},
        {"getDate", emit_date, NULL},      {"getDateObj", emit_date_object, NULL},
        {"getUtf8", emit_utf8, NULL},      {"false", emit_false, NULL},
        {"doge", emit_asdf, "doge"},       {"getbin", emit_asdf, "takebin"},
        {"buffa", check_bytes, "buffack"}, {"jsonbuff", check_json_bytes, "jsonbuff-ack"},
        {"abuff1", first_bytes, NULL},     {"abuff2", on_abuff2, NULL},
        {"blob", check_bytes, "back"},     {"jsonblob", check_json_bytes, "jsonblob-ack"},
        {"blob1", first_bytes, NULL},      {"blob2", on_blob2, NULL},
        {"blob3", on_blob3, NULL},         {"getHandshake", ack_handshake, NULL},
        {"getId", ack_id, NULL},
    };
    static const struct route foo[] = {{"getId", ack_id, NULL}};
    static const char *const silent[] = {"/timeout_socket", "/valid", "/asd"};
    static const char *refusal[] = {"Auth failed (custom namespace)", NULL};
    cvn_namespace *root = cvn_of(server, "/"), *abc = cvn_of(server, "/abc"),
                  *no = cvn_of(server, "/no");
    add_silent(server, silent, 3);
    add_routes(cvn_of(server, "/foo"), foo, 1);
    add_routes(root, routes, sizeof routes / sizeof *routes);
    cvn_use(root, refuse_fail, NULL);
    cvn_use(no, refuse_all, refusal);
    cvn_on_connection(abc, on_connect_handshake, NULL);
}

/* --- sio-java --- */

static void on_connect_hello(cvn_socket *socket, void *data)
{
    UNUSED(data);
    cvn_socket_emit(socket, "message", cvn_json("\"hello client\""));
}

static void on_called_back(cvn_socket *socket, enum cvn_error error, cvn_args args, void *data)
{
    UNUSED(data);
    if (error == CVN_OK)
        cvn_socket_emit(socket, "ackBack", args);
}

static void call_ack(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(event);
    UNUSED(data);
    if (cvn_socket_emit_ack(socket, "ack", cvn_json("true"), 10000, on_called_back, NULL) != CVN_OK)
        cvn_disconnect(socket, true);
}

static void ack_binary(cvn_socket *socket, const cvn_event *event, void *data)
{
    const cvn_slice bytes = cvn_str("huehue");
    cvn_args args = {cvn_str(BYTES), &bytes, 1};
    UNUSED(socket);
    UNUSED(data);
    cvn_ack_args(event, args);
}

static void broadcast(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(data);
    cvn_target others = {.nsp = cvn_socket_namespace(socket), .except = {cvn_socket_id(socket)}};
    cvn_emit(&others, "broadcastBack", cvn_event_args(event));
}

static void to_own_room(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(data);
    cvn_target room = {.nsp = cvn_socket_namespace(socket), .rooms = {cvn_socket_id(socket)}};
    cvn_emit(&room, "roomBack", cvn_event_args(event));
}

static void on_request_disconnect(cvn_socket *socket, const cvn_event *event, void *data)
{
    UNUSED(event);
    UNUSED(data);
    cvn_disconnect(socket, false);
}

static void return_header(cvn_http_request *request, bool initial, void *data)
{
    cvn_slice value = cvn_http_header(request, "X-SocketIO");
    UNUSED(initial);
    UNUSED(data);
    if (value.data != NULL)
        cvn_http_add_header(request, "X-SocketIO", value);
}

static void setup_java(cvn_server *server)
{
    static const struct route routes[] = {
        {"message", emit_same, "message"},
        {"echo", emit_same, "echoBack"},
        {"ack", ack_same, NULL},
        {"callAck", call_ack, NULL},
        {"callAckBinary", call_ack, NULL},
        {"getAckBinary", ack_binary, NULL},
        {"getAckDate", ack_date, NULL},
        {"broadcast", broadcast, NULL},
        {"room", to_own_room, NULL},
        {"requestDisconnect", on_request_disconnect, NULL},
        {"getHandshake", ack_handshake, NULL},
    };
    static const char *const busy[] = {"/", "/foo"}, *const silent[] = {"/timeout_socket", "/valid",
                                                                        "/asd"};
    static const char *refusal[] = {"auth failed", "{\"a\":\"b\",\"c\":3}"};
    for (size_t i = 0; i < 2; i++) {
        cvn_namespace *nsp = cvn_of(server, busy[i]);
        add_routes(nsp, routes, sizeof routes / sizeof *routes);
        cvn_on_connection(nsp, on_connect_hello, NULL);
    }
    cvn_namespace *abc = cvn_of(server, "/abc"), *no = cvn_of(server, "/no");
    add_silent(server, silent, 3);
    cvn_use(no, refuse_all, refusal);
    cvn_on_connection(abc, on_connect_handshake, NULL);
}

/* --- Running one --- */

static const char *const any_origin[] = {CVN_ANY_ORIGIN, NULL};

static const char *const one_origin[] = {"https://app.example", NULL};
static const cvn_cookie session_cookie = {.name = "sid", .max_age_s = 3600};

static const struct contract {
    const char *name;
    cvn_options options;
    void (*setup)(cvn_server *server);
} contracts[] = {
    {"sio-proto",
     {.ping_interval_ms = 300,
      .ping_timeout_ms = 200,
      .connect_timeout_ms = 1000,
      .origins = any_origin},
     setup_proto},
    {"sio-client",
     {.ping_interval_ms = 2000,
      .origins = any_origin,
      .origin_credentials = true,
      .recovery_window_ms = 120000,
      .allow_request = allow_after_10_ms},
     setup_client},
    {"sio-recovery",
     {.ping_interval_ms = 2000, .origins = any_origin, .recovery_window_ms = 60000},
     conformance_setup_recovery},
    {"sio-java",
     {.ping_interval_ms = 2000, .origins = any_origin, .on_headers = return_header},
     setup_java},
    {"sio-flow",
     {.origins = one_origin,
      .origin_credentials = true,
      .origin_methods = "GET,POST",
      .origin_headers = "x-token",
      .origin_exposed = "x-more",
      .origin_max_age_s = 600,
      .cookie = &session_cookie,
      .send_high_water = 65536,
      .send_low_water = 16384,
      .send_max = 8 << 20},
     conformance_setup_flow},
    {"sio-api",
     {.ping_interval_ms = 1000,
      .ping_timeout_ms = 2000,
      .send_high_water = (size_t)1 << 20,
      .send_max = (size_t)4 << 20,
      .max_dynamic_namespaces = 20,
      .allow_request = conformance_api_allow,
      .on_connection_error = conformance_api_refused,
      .origins = any_origin},
     conformance_setup_api},
};

static void on_listening(cvn_server *server, void *data)
{
    UNUSED(data);
    printf("listening on 127.0.0.1:%u\n", cvn_server_port(server));
    fflush(stdout);
}

int conformance_sio_run(const char *name, uint16_t port, unsigned workers, bool deflate,
                        bool msgpack)
{
    for (size_t i = 0; i < sizeof contracts / sizeof *contracts; i++) {
        if (strcmp(contracts[i].name, name) != 0)
            continue;
        cvn_options options = contracts[i].options;
        options.host = "127.0.0.1";
        options.port = port;
        options.workers = workers;
        options.websocket_compression = deflate;
        options.compression_threshold = deflate ? 1 : 0;
        options.parser = msgpack ? CVN_PARSER_MSGPACK : CVN_PARSER_JSON;
        cvn_server *server = cvn_server_new(&options);
        if (server == NULL)
            return 1;
        contracts[i].setup(server);
        return cvn_server_run_then(server, on_listening, NULL);
    }
    return 2;
}
