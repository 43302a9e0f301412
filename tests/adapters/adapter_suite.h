/*
 * What every adapter must do: the same tests over two or more "places", whatever joins them. A place is a client and where it is: a worker of one
 * server, or a server of its own. Only the public API is used, and real connections.
 *
 * A test of an adapter includes this file, fills in a struct suite and calls suite_run. Each test runs twice: called by a worker of place 0,
 * and by a thread that is none.
 */
#ifndef ADAPTER_SUITE_H
#define ADAPTER_SUITE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "server/client.h"

#define SUITE_PLACES     4
#define SUITE_TIMEOUT_MS 700   /* for requests that are to run into it */
#define SUITE_LONG_MS    60000 /* for those that are not */

struct suite {
    unsigned places;
    bool one_server; /* the places are its workers; else each has a server with two */
    /* For each test: before and after all servers. NULL: nothing to do. */
    void (*open)(void);
    void (*close)(void);
    /* The adapter of the next server; NULL: it needs none. */
    cvn_adapter *(*adapter_new)(void);
    /* The place gets nothing and says nothing any more, and no other place has noticed. NULL: that cannot be. */
    void (*kill)(unsigned place);
};

struct place {
    cvn_server *server; /* one_server: the same for all */
    cvn_namespace *root;
    unsigned worker; /* of its client */
    struct client *client;
    char id[ID_SIZE + 1];
};

static const struct suite *suite;
static struct place places[SUITE_PLACES];
static bool called_by_worker;

/* --- Calling --- */

struct call {
    void (*fn)(void *data);
    void *data;
    sem_t done;
};

static void on_call(void *data)
{
    struct call *call = data;
    call->fn(call->data);
    sem_post(&call->done);
}

/* Runs fn(data) on the thread that the test is about. */
static void call(void (*fn)(void *data), void *data)
{
    struct call call = {fn, data, {{0}}};
    if (!called_by_worker) {
        fn(data);
        return;
    }
    sem_init(&call.done, 0, 0);
    assert_int_equal(cvn_post(places[0].server, places[0].worker, on_call, &call), CVN_OK);
    while (sem_wait(&call.done) != 0)
        ;
    sem_destroy(&call.done);
}

struct emit {
    cvn_target target;
    const char *event;
    cvn_args args;
    enum cvn_error error;
};

static void do_emit(void *data)
{
    struct emit *emit = data;
    emit->error = cvn_emit(&emit->target, emit->event, emit->args);
}

/* Emits from place 0. */
static void emit_args(cvn_target target, const char *event, cvn_args args)
{
    struct emit emit = {target, event, args, CVN_ERR_STATE};
    emit.target.nsp = emit.target.nsp != NULL ? emit.target.nsp : places[0].root;
    call(do_emit, &emit);
    assert_int_equal(emit.error, CVN_OK);
}

static void emit(cvn_target target, const char *json)
{
    emit_args(target, "n", cvn_json(json));
}

/* Whether nothing but `mask`'s places got something: each gets a mark from the same thread next, so it comes later than all before. */
static void assert_marked(void)
{
    static unsigned number;
    char json[16], expected[32];
    snprintf(json, sizeof json, "%u", ++number);
    snprintf(expected, sizeof expected, "42[\"mark\",%u]", number);
    emit_args((cvn_target){0}, "mark", cvn_json(json));
    for (unsigned i = 0; i < suite->places; i++)
        assert_ws_text(places[i].client, expected);
}

/* The places of the bits got [n, json] and nothing else; the others nothing. */
static void assert_got(unsigned bits, const char *json)
{
    char expected[64];
    snprintf(expected, sizeof expected, "42[\"n\",%s]", json);
    for (unsigned i = 0; i < suite->places; i++)
        if (bits >> i & 1)
            assert_ws_text(places[i].client, expected);
    assert_marked();
}

static unsigned all_places(void)
{
    return (1U << suite->places) - 1;
}

/* --- The world --- */

static void suite_on_connection(cvn_socket *socket, void *data)
{
    (void)data;
    note("in %u", cvn_socket_worker(socket));
}

static void suite_on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket;
    (void)data;
    note("out %s", reason);
}

static cvn_server_later *suite_later;

/* What servers tell each other; `data` is the place. The first argument of "ask" says what to do. */
static void on_ask(cvn_namespace *nsp, const cvn_server_event *event, void *data)
{
    unsigned place = (unsigned)((struct place *)data - places);
    cvn_args args = cvn_server_event_args(event);
    char answer[64];
    cvn_slice bytes;
    if (cvn_namespace_server(nsp) != places[place].server)
        abort();
    snprintf(answer, sizeof answer, "\"from %u\"", place);
    if (!cvn_server_event_wants_answer(event)) {
        note("%.*s to %u: %.*s", (int)cvn_server_event_name(event).size,
             cvn_server_event_name(event).data, place, (int)args.json.size, args.json.data);
    } else if (cvn_args_binary(args, cvn_args_at(args, 0), &bytes)) {
        cvn_server_event_answer(event, args);
    } else if (cvn_args_at(args, 0).size == 3) { /* "1": one of them puts it off */
        if (place == 1 && (suite_later = cvn_server_event_later(event)) != NULL)
            note("later");
        else
            cvn_server_event_answer(event, cvn_json(answer));
    } else if (place != 1) { /* otherwise place 1 says nothing */
        cvn_server_event_answer(event, cvn_json(answer));
    }
}

static cvn_server *suite_server_new(unsigned place)
{
    cvn_server *server = server_new(suite->one_server ? suite->places : 2);
    cvn_namespace *root = cvn_of(server, "/");
    cvn_on_connection(root, suite_on_connection, NULL);
    cvn_on_disconnect(root, suite_on_disconnect, NULL);
    cvn_on_server_side(root, "ask", on_ask, &places[place]);
    if (place == 0) {
        cvn_of(server, "/only-here");
        cvn_on_server_side(root, "unheard", on_ask, &places[place]);
    }
    if (suite->adapter_new != NULL)
        assert_int_equal(cvn_server_set_adapter(server, suite->adapter_new()), CVN_OK);
    server_start(server);
    return server;
}

/* A client on that worker, or on any. */
static void place_connect(struct place *place, int wanted)
{
    for (unsigned i = 0; i < 1000; i++) {
        place->client = joined(cvn_server_port(place->server));
        assert_int_equal(sscanf(next_note(), "in %u", &place->worker), 1);
        memcpy(place->id, place->client->id, sizeof place->id);
        if (wanted < 0 || place->worker == (unsigned)wanted)
            return;
        client_free(place->client);
        assert_note("out transport close");
    }
    fail_msg("no connection came to worker %d", wanted);
}

static int suite_setup(void **state)
{
    (void)state;
    notes_open();
    if (suite->open != NULL)
        suite->open();
    for (unsigned i = 0; i < suite->places; i++) {
        struct place *place = &places[i];
        place->server = suite->one_server && i > 0 ? places[0].server : suite_server_new(i);
        place->root = cvn_of(place->server, "/");
        place_connect(place, suite->one_server ? (int)i : -1);
    }
    return 0;
}

static void place_close(struct place *place)
{
    client_free(place->client);
    if (!suite->one_server || place == &places[0])
        cvn_server_free(place->server);
    memset(place, 0, sizeof *place);
}

static int suite_teardown(void **state)
{
    (void)state;
    for (unsigned i = suite->places; i-- > 0;)
        if (places[i].server != NULL)
            place_close(&places[i]);
    if (suite->close != NULL)
        suite->close();
    notes_close();
    return 0;
}

/* --- Emits --- */

static void test_targets(void **state)
{
    (void)state;
    emit((cvn_target){0}, "1");
    assert_got(all_places(), "1");
    emit((cvn_target){.rooms = {places[1].id}}, "2"); /* a socket's id is a room everywhere */
    assert_got(1U << 1, "2");
    emit((cvn_target){.except = {places[1].id}}, "3");
    assert_got(all_places() & ~(1U << 1), "3");
    emit((cvn_target){.rooms = {places[0].id, places[1].id, places[0].id}}, "4");
    assert_got(3, "4");
    emit((cvn_target){.rooms = {places[0].id, places[1].id}, .except = {places[0].id}}, "5");
    assert_got(1U << 1, "5");
    emit((cvn_target){.rooms = {"nobody's"}}, "6");
    assert_got(0, "6");
    emit((cvn_target){.flags = CVN_VOLATILE}, "7"); /* nobody is slow */
    assert_got(all_places(), "7");
}

static void test_local(void **state)
{
    (void)state;
    emit((cvn_target){.flags = CVN_LOCAL}, "1");
    assert_got(suite->one_server ? all_places() : 1, "1");
    if (called_by_worker) {
        emit((cvn_target){.flags = CVN_LOCAL_WORKER}, "2");
        assert_got(1, "2");
    }
}

static void test_contents(void **state)
{
    static const char json[] =
        "{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}";
    static const char *const texts[] = {"", "null", "\"\\u0000\\ud800 \xc3\xa4 \xf0\x9f\x98\x80\"",
                                        "[[[{\"a\":[1.5e300,-0]}]]],true"};
    cvn_slice bytes[2] = {{"\0\1\xff", 3}, {NULL, 0}};
    char expected[128];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        emit((cvn_target){0}, texts[i]);
        snprintf(expected, sizeof expected, "42[\"n\"%s%s]", texts[i][0] != '\0' ? "," : "",
                 texts[i]);
        for (unsigned k = 0; k < suite->places; k++)
            assert_ws_text(places[k].client, expected);
    }
    emit_args((cvn_target){0}, "a \"name\"\n\xc3\xa4", (cvn_args){cvn_str(json), bytes, 2});
    snprintf(expected, sizeof expected, "452-[\"a \\\"name\\\"\\n\xc3\xa4\",%s]", json);
    for (unsigned i = 0; i < suite->places; i++) {
        assert_ws_text(places[i].client, expected);
        assert_ws_binary(places[i].client, "\0\1\xff", 3);
        assert_ws_binary(places[i].client, "", 0);
    }
    size_t size = 300000;
    char *large = malloc(size + 16), *packet = malloc(size + 32);
    assert_non_null(large);
    assert_non_null(packet);
    memset(large, 'x', size);
    large[0] = large[size - 1] = '"';
    large[size] = '\0';
    emit((cvn_target){0}, large);
    snprintf(packet, size + 32, "42[\"n\",%s]", large);
    for (unsigned i = 0; i < suite->places; i++)
        assert_ws_text(places[i].client, packet);
    free(large);
    free(packet);
    assert_marked();
}

/* What the call points to may go as soon as it returns. */
static void test_memory_is_borrowed(void **state)
{
    char room[ID_SIZE + 1], except[] = "except", event[] = "n", json[] = "1";
    (void)state;
    memcpy(room, places[1].id, sizeof room);
    emit_args((cvn_target){.rooms = {room}, .except = {except}}, event, cvn_json(json));
    memset(room, '?', sizeof room - 1);
    memset(except, '?', sizeof except - 1);
    event[0] = json[0] = '?';
    assert_got(1U << 1, "1");
}

static void test_refusals(void **state)
{
    (void)state;
    const cvn_target all = {.nsp = places[0].root};
    assert_int_equal(cvn_emit(&all, "n", cvn_json("[")), CVN_ERR_JSON);
    assert_int_equal(cvn_emit(&all, "connect", cvn_json("1")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit(&all, "", cvn_json("1")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit(&all, NULL, cvn_json("1")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_sockets_join(&all, ""), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_side_emit(NULL, "n", cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_side_emit(all.nsp, "connect", cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_side_emit(all.nsp, NULL, cvn_json("")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_server_side_emit(all.nsp, "n", cvn_json("[")), CVN_ERR_JSON);
    assert_got(0, "");
}

/* --- Order --- */

#define SUITE_EACH 200

struct sender {
    unsigned place;
    enum cvn_error error;
};

static void *send_many(void *data)
{
    struct sender *sender = data;
    for (unsigned i = 0; i < SUITE_EACH && sender->error == CVN_OK; i++) {
        char json[32];
        const cvn_target target = {.nsp = places[sender->place].root};
        snprintf(json, sizeof json, "%u,%u", sender->place, i);
        sender->error = cvn_emit(&target, "n", cvn_json(json));
    }
    return NULL;
}

/* All places emit at once: everybody gets everything once, in each sender's order. */
static void test_order(void **state)
{
    struct sender senders[SUITE_PLACES];
    pthread_t threads[SUITE_PLACES];
    (void)state;
    for (unsigned i = 0; i < suite->places; i++) {
        senders[i] = (struct sender){i, CVN_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    for (unsigned i = 0; i < suite->places; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(senders[i].error, CVN_OK);
    }
    for (unsigned k = 0; k < suite->places; k++) {
        unsigned next[SUITE_PLACES] = {0};
        for (unsigned n = 0; n < suite->places * SUITE_EACH; n++) {
            unsigned id = 0, number = 0;
            assert_int_equal(sscanf(ws_read(places[k].client), "42[\"n\",%u,%u]", &id, &number), 2);
            assert_true(id < suite->places);
            assert_int_equal(number, next[id]++);
        }
    }
    assert_marked();
}

static void do_mixture(void *data)
{
    const cvn_target all = {.nsp = places[0].root};
    const cvn_target room = {.nsp = places[0].root, .rooms = {"r"}};
    enum cvn_error *error = data;
    for (int i = 0; i < 20 && *error == CVN_OK; i++) {
        char json[16];
        snprintf(json, sizeof json, "%d", i);
        *error = cvn_sockets_join(&all, "r");
        if (*error == CVN_OK)
            *error = cvn_emit(&room, "n", cvn_json(json));
        if (*error == CVN_OK)
            *error = cvn_sockets_leave(&room, "r");
        if (*error == CVN_OK)
            *error = cvn_emit(&room, "n", cvn_json("\"nobody is there\""));
    }
}

/* Ops of one thread are done everywhere in their order, whatever they are. */
static void test_order_of_mixture(void **state)
{
    enum cvn_error error = CVN_OK;
    (void)state;
    call(do_mixture, &error);
    assert_int_equal(error, CVN_OK);
    for (unsigned k = 0; k < suite->places; k++)
        for (int i = 0; i < 20; i++) {
            char expected[32];
            snprintf(expected, sizeof expected, "42[\"n\",%d]", i);
            assert_ws_text(places[k].client, expected);
        }
    assert_marked();
}

/* --- Changes --- */

struct change {
    cvn_target target;
    const char *join, *leave; /* a room; or both NULL: disconnect */
    bool close;
    enum cvn_error error;
};

static void do_change(void *data)
{
    struct change *change = data;
    if (change->join != NULL)
        change->error = cvn_sockets_join(&change->target, change->join);
    else if (change->leave != NULL)
        change->error = cvn_sockets_leave(&change->target, change->leave);
    else
        change->error = cvn_sockets_disconnect(&change->target, change->close);
}

static void change(struct change change)
{
    change.target.nsp = places[0].root;
    change.error = CVN_ERR_STATE;
    call(do_change, &change);
    assert_int_equal(change.error, CVN_OK);
}

static void test_rooms(void **state)
{
    (void)state;
    change((struct change){.join = "r"});
    emit((cvn_target){.rooms = {"r"}}, "1");
    assert_got(all_places(), "1");
    emit((cvn_target){.except = {"r"}}, "2");
    assert_got(0, "2");
    change((struct change){.leave = "r", .target = {.except = {places[1].id}}});
    emit((cvn_target){.rooms = {"r"}}, "3");
    assert_got(1U << 1, "3");
    change((struct change){.join = "s", .target = {.rooms = {"r"}}});
    emit((cvn_target){.rooms = {"s", "r"}}, "4");
    assert_got(1U << 1, "4");
    change((struct change){.leave = "s", .target = {.flags = CVN_LOCAL}});
    emit((cvn_target){.rooms = {"s"}}, "5");
    assert_got(suite->one_server ? 0 : 1U << 1, "5");
}

static void test_disconnect(void **state)
{
    (void)state;
    change((struct change){.target = {.rooms = {places[1].id}}});
    assert_note("out server namespace disconnect");
    assert_ws_text(places[1].client, "41");
    assert_ws_silent(places[1].client);
    change((struct change){.close = true});
    for (unsigned i = 0; i < suite->places; i++) {
        if (i == 1)
            continue;
        assert_ws_text(places[i].client, "41");
        assert_ws_closed(places[i].client);
        assert_note("out server namespace disconnect");
    }
    assert_no_note();
}

/* --- Requests --- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* "NAME=ERROR,COUNT/ASKED:ANSWERS", the answers sorted. */
static void on_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    char items[SUITE_PLACES][64], all[300] = "";
    for (size_t i = 0; i < answers->count && i < SUITE_PLACES; i++) {
        cvn_slice json = answers->items[i].args.json;
        snprintf(items[i], sizeof items[i], "%.*s;", (int)json.size, json.data);
        if (answers->items[i].args.attachment_count > 0)
            snprintf(items[i], sizeof items[i], "<%.*s>;",
                     (int)answers->items[i].args.attachments[0].size,
                     answers->items[i].args.attachments[0].data);
        if (answers->items[i].socket_id == NULL || answers->items[i].node == NULL)
            abort();
    }
    qsort(items, answers->count, sizeof items[0], compare_texts);
    for (size_t i = 0; i < answers->count && i < SUITE_PLACES; i++)
        strcat(all, items[i]);
    note("%s=%d,%zu/%zu:%s", (const char *)data, (int)error, answers->count, answers->asked, all);
}

/* "NAME=ERROR:SOCKETS": a letter each, of its place, in order; then its rooms and attributes. */
static void on_sockets(enum cvn_error error, const cvn_remote_socket *const *sockets, size_t count,
                       void *data)
{
    char all[400] = "";
    for (unsigned k = 0; k < suite->places; k++)
        for (size_t i = 0; i < count; i++) {
            const cvn_remote_socket *socket = sockets[i];
            if (strcmp(cvn_remote_id(socket), places[k].id) != 0)
                continue;
            cvn_slice attributes = cvn_remote_attributes(socket);
            cvn_text *handshake = cvn_text_new(10000);
            size_t size = strlen(all);
            snprintf(all + size, sizeof all - size, " %u%.*s", k, (int)attributes.size,
                     attributes.data);
            if (strcmp(cvn_remote_room(socket, 0), places[k].id) != 0)
                abort();
            for (size_t r = 1; cvn_remote_room(socket, r) != NULL; r++) {
                strcat(all, "+");
                strcat(all, cvn_remote_room(socket, r));
            }
            bool is_here = suite->one_server || k == 0;
            if ((strlen(cvn_remote_node(socket)) == 0) != is_here)
                abort();
            cvn_remote_handshake_json(socket, handshake);
            cvn_slice json = cvn_text_slice(handshake);
            cvn_slice address = cvn_json_get(json, "address");
            if (address.size != 11 || memcmp(address.data, "\"127.0.0.1\"", 11) != 0)
                abort();
            cvn_text_free(handshake);
        }
    note("%s=%d,%zu:%s", (const char *)data, (int)error, count, all);
}

struct request {
    enum { ASK, FETCH, ASK_SERVERS } what;
    cvn_target target;
    const char *name, *event, *json;
    uint32_t timeout_ms;
    enum cvn_error error;
};

static void do_request(void *data)
{
    struct request *request = data;
    void *name = (void *)request->name;
    cvn_args args = cvn_json(request->json);
    if (request->what == ASK)
        request->error =
            cvn_emit_ack(&request->target, "q", args, request->timeout_ms, on_answers, name);
    else if (request->what == FETCH)
        request->error = cvn_fetch_sockets(&request->target, request->timeout_ms, on_sockets, name);
    else
        request->error = cvn_server_side_emit_ack(request->target.nsp, request->event, args,
                                                  request->timeout_ms, on_answers, name);
}

static void request(struct request request)
{
    if (request.target.nsp == NULL)
        request.target.nsp = places[0].root;
    if (request.timeout_ms == 0)
        request.timeout_ms = SUITE_LONG_MS;
    request.error = CVN_ERR_STATE;
    call(do_request, &request);
    assert_int_equal(request.error, CVN_OK);
}

/* The client was asked, and says `json`; NULL: nothing. */
static void answer(unsigned place, const char *json)
{
    unsigned id = 0;
    char text[64];
    assert_int_equal(sscanf(ws_read(places[place].client), "42%u[\"q\"", &id), 1);
    snprintf(text, sizeof text, "43%u[%s]", id, json != NULL ? json : "");
    if (json != NULL)
        ws_send(places[place].client, text);
}

static void assert_answered(const char *format, ...)
{
    char expected[300];
    va_list args;
    va_start(args, format);
    vsnprintf(expected, sizeof expected, format, args);
    va_end(args);
    assert_note(expected);
}

static void test_acks(void **state)
{
    unsigned n = suite->places;
    char all[64] = "";
    (void)state;
    request((struct request){.name = "all", .json = "1"});
    for (unsigned i = 0; i < n; i++) {
        char json[16];
        snprintf(json, sizeof json, "%u", i);
        answer(i, json);
        strcat(strcat(all, json), ";");
    }
    assert_answered("all=0,%u/%u:%s", n, n, all);
    request((struct request){.name = "one", .target = {.rooms = {places[1].id}}});
    answer(1, "\"x\"");
    assert_answered("one=0,1/1:\"x\";");
    request((struct request){.name = "none", .target = {.rooms = {"nobody's"}}});
    assert_answered("none=0,0/0:");
    request((struct request){.name = "here", .target = {.flags = CVN_LOCAL}});
    for (unsigned i = 0; i < (suite->one_server ? n : 1); i++)
        answer(i, "5");
    if (!suite->one_server)
        assert_answered("here=0,1/1:5;");
    else
        next_note();
    /* Binary, there and back. */
    request((struct request){.name = "binary", .target = {.rooms = {places[1].id}}});
    unsigned id = 0;
    char text[80];
    assert_int_equal(sscanf(ws_read(places[1].client), "42%u[\"q\"", &id), 1);
    snprintf(text, sizeof text, "461-%u[{\"_placeholder\":true,\"num\":0}]", id);
    ws_send(places[1].client, text);
    ws_send_frame(places[1].client, 0x82, "bytes", 5);
    assert_answered("binary=0,1/1:<bytes>;");
    assert_marked();
    assert_no_note();
}

/* Who is slow or leaves costs the others nothing: what came is there. */
static void test_partial_acks(void **state)
{
    unsigned n = suite->places;
    (void)state;
    request((struct request){.name = "slow", .timeout_ms = SUITE_TIMEOUT_MS});
    for (unsigned i = 0; i < n; i++)
        answer(i, i == 1 ? "\"in time\"" : NULL);
    assert_answered("slow=%d,1/%u:\"in time\";", CVN_ERR_TIMEOUT, n);
    request((struct request){.name = "gone"});
    for (unsigned i = 0; i < n; i++)
        answer(i, i == 1 ? NULL : "0");
    client_free(places[1].client);
    places[1].client = NULL;
    char first[32], second[300];
    strcpy(second, next_note()); /* two workers tell them, in either order */
    if (strncmp(second, "out", 3) == 0)
        strcpy(second, next_note());
    else
        assert_note("out transport close");
    snprintf(first, sizeof first, "gone=%d,%u/%u:", CVN_ERR_STATE, n - 1, n);
    assert_memory_equal(second, first, strlen(first));
}

static void test_fetch(void **state)
{
    (void)state;
    char all[64] = "";
    for (unsigned i = 0; i < suite->places; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), " %u{}", i);
    request((struct request){.what = FETCH, .name = "all"});
    assert_answered("all=0,%u:%s", suite->places, all);
    change((struct change){.join = "r", .target = {.rooms = {places[1].id}}});
    change((struct change){.join = "s", .target = {.rooms = {places[1].id}}});
    request((struct request){.what = FETCH, .name = "r", .target = {.rooms = {"r"}}});
    assert_answered("r=0,1: 1{}+r+s");
    request((struct request){
        .what = FETCH, .name = "but", .target = {.rooms = {"r"}, .except = {"s"}}});
    assert_answered("but=0,0:");
    request((struct request){.what = FETCH, .name = "here", .target = {.flags = CVN_LOCAL}});
    if (suite->one_server)
        assert_answered("here=0,%u: 0{} 1{}+r+s", suite->places);
    else
        assert_answered("here=0,1: 0{}");
}

/* --- From server to server --- */

/* The next `count` notes, sorted, are these. */
static void assert_notes(const char *const *expected, unsigned count)
{
    char found[SUITE_PLACES][128];
    for (unsigned i = 0; i < count; i++)
        snprintf(found[i], sizeof found[i], "%.127s", next_note());
    qsort(found, count, sizeof found[0], compare_texts);
    for (unsigned i = 0; i < count; i++)
        assert_string_equal(found[i], expected[i]);
}

struct side_emit {
    cvn_namespace *nsp;
    const char *event, *json;
    enum cvn_error error;
};

static void do_side_emit(void *data)
{
    struct side_emit *emit = data;
    emit->error = cvn_server_side_emit(emit->nsp, emit->event, cvn_json(emit->json));
}

static void side_emit(const char *event, const char *json)
{
    struct side_emit emit = {places[0].root, event, json, CVN_ERR_STATE};
    call(do_side_emit, &emit);
    assert_int_equal(emit.error, CVN_OK);
}

/* "from 1";"from 2"; without place `but`. */
static const char *froms(unsigned but)
{
    static char all[128];
    all[0] = '\0';
    for (unsigned i = 1; i < suite->places; i++)
        if (i != but)
            snprintf(all + strlen(all), sizeof all - strlen(all), "\"from %u\";", i);
    return all;
}

static void test_server_side(void **state)
{
    char texts[SUITE_PLACES][64];
    const char *expected[SUITE_PLACES];
    (void)state;
    for (unsigned i = 1; i < suite->places; i++) {
        snprintf(texts[i], sizeof texts[i], "ask to %u: 1,[2]", i);
        expected[i - 1] = texts[i];
    }
    side_emit("ask", "1,[2]");
    if (!suite->one_server) /* else there is no other server */
        assert_notes(expected, suite->places - 1);
    for (int i = 0; i < 50; i++) { /* each server hears them in order */
        char json[16];
        snprintf(json, sizeof json, "%d", i);
        side_emit("ask", json);
    }
    unsigned next[SUITE_PLACES] = {0};
    for (unsigned i = 0; !suite->one_server && i < 50 * (suite->places - 1); i++) {
        unsigned place = 0, number = 0;
        assert_int_equal(sscanf(next_note(), "ask to %u: %u", &place, &number), 2);
        assert_true(place > 0 && place < suite->places);
        assert_int_equal(number, next[place]++);
    }
    side_emit("unheard", "");
    assert_got(0, ""); /* clients hear nothing */
    assert_no_note();
}

static void test_server_side_acks(void **state)
{
    unsigned n = suite->one_server ? 0 : suite->places - 1;
    (void)state;
    request((struct request){.what = ASK_SERVERS, .name = "n", .event = "ask", .json = "true"});
    if (n == 0) {
        assert_answered("n=0,0/0:");
        return;
    }
    assert_answered("n=%d,%u/%u:%s", n > 0 ? CVN_ERR_STATE : 0, n - 1, n, froms(1));
    request((struct request){.what = ASK_SERVERS, .name = "n", .event = "ask", .json = "\"1\""});
    assert_note("later");
    assert_int_equal(cvn_server_later_send(suite_later, cvn_json("\"from 1\"")), CVN_OK);
    assert_answered("n=0,%u/%u:%s", n, n, froms(0));
    request((struct request){.what = ASK_SERVERS, .name = "n", .event = "ask", .json = "\"1\""});
    assert_note("later");
    cvn_server_later_drop(suite_later);
    assert_answered("n=%d,%u/%u:%s", CVN_ERR_STATE, n - 1, n, froms(1));
    request((struct request){.what = ASK_SERVERS, .name = "n", .event = "unheard", .json = ""});
    assert_answered("n=%d,0/%u:", CVN_ERR_NOT_FOUND, n);
}

/* --- What is not everywhere, and what dies --- */

/* A namespace that the others do not have costs neither them nor the caller anything. */
static void test_unknown_namespace(void **state)
{
    cvn_namespace *nsp = cvn_of(places[0].server, "/only-here");
    (void)state;
    join_with(places[0].client, "/only-here,", "");
    emit((cvn_target){.nsp = nsp}, "1");
    assert_ws_text(places[0].client, "42/only-here,[\"n\",1]");
    request((struct request){.what = FETCH, .name = "f", .target = {.nsp = nsp}});
    assert_answered("f=0,1:");
    request((struct request){.name = "q", .target = {.nsp = nsp, .rooms = {"nobody's"}}});
    assert_answered("q=0,0/0:");
    request(
        (struct request){.what = ASK_SERVERS, .name = "s", .event = "ask", .target = {.nsp = nsp}});
    assert_memory_equal(next_note(), suite->one_server ? "s=0," : "s=8,", 4);
    assert_marked();
}

/* Requests end by their time, with what the living have said; and the living go on. */
static void test_dead_place(void **state)
{
    unsigned n = suite->places, dead = n - 1;
    char text[64];
    (void)state;
    if (suite->kill == NULL)
        skip();
    suite->kill(dead);
    request((struct request){.name = "q", .timeout_ms = SUITE_TIMEOUT_MS});
    for (unsigned i = 0; i < dead; i++)
        answer(i, "1");
    snprintf(text, sizeof text, "q=%d,%u/%u:", CVN_ERR_TIMEOUT, dead, dead);
    assert_memory_equal(next_note(), text, strlen(text));
    request((struct request){.what = FETCH, .name = "f", .timeout_ms = SUITE_TIMEOUT_MS});
    snprintf(text, sizeof text, "f=%d,%u: 0{}", CVN_ERR_TIMEOUT, dead);
    assert_memory_equal(next_note(), text, strlen(text));
    request((struct request){.what = ASK_SERVERS,
                             .name = "s",
                             .event = "ask",
                             .json = "{}",
                             .timeout_ms = SUITE_TIMEOUT_MS});
    snprintf(text, sizeof text, "s=%d,", CVN_ERR_TIMEOUT);
    const char *found = next_note();
    if (n > 2) /* place 1 does not answer that */
        snprintf(text, sizeof text, "s=%d,", CVN_ERR_STATE);
    assert_memory_equal(found, text, strlen(text));
    emit((cvn_target){0}, "\"alive\"");
    for (unsigned i = 0; i < dead; i++)
        assert_ws_text(places[i].client, "42[\"n\",\"alive\"]");
    ws_send(places[dead].client, "41"); /* it has got nothing of all that, but is not ill */
    assert_note("out client namespace disconnect");
}

static atomic_uint suite_begun, suite_ended;

static void count_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    (void)error;
    (void)answers;
    (void)data;
    suite_ended++;
}

static void count_sockets(enum cvn_error error, const cvn_remote_socket *const *sockets,
                          size_t count, void *data)
{
    (void)error;
    (void)sockets;
    (void)count;
    (void)data;
    suite_ended++;
}

/* Everything at once, while servers end. */
static void *do_everything(void *data)
{
    const struct place *place = data;
    const cvn_target all = {.nsp = place->root};
    for (unsigned i = 0; i < 150; i++) {
        cvn_emit(&all, "n", cvn_json("1"));
        cvn_sockets_join(&all, "r");
        cvn_sockets_leave(&all, "r");
        cvn_server_side_emit(place->root, "nobody", cvn_json("1"));
        suite_begun +=
            cvn_emit_ack(&all, "n", cvn_json("1"), SUITE_LONG_MS, count_answers, NULL) == CVN_OK;
        suite_begun += cvn_fetch_sockets(&all, SUITE_LONG_MS, count_sockets, NULL) == CVN_OK;
        suite_begun += cvn_server_side_emit_ack(place->root, "nobody", cvn_json("1"), SUITE_LONG_MS,
                                                count_answers, NULL) == CVN_OK;
        if (i == 50)
            cvn_server_stop(place->server);
    }
    return NULL;
}

/* Whatever is on its way then: nothing leaks, and every request is told its end once. */
static void test_stop_during_traffic(void **state)
{
    pthread_t threads[SUITE_PLACES];
    (void)state;
    suite_begun = suite_ended = 0;
    for (unsigned i = 0; i < suite->places; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, do_everything, &places[i]), 0);
    for (unsigned i = 0; i < suite->places; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = suite->places; i-- > 0;)
        place_close(&places[i]);
    assert_true(suite_begun > 0);
    assert_int_equal(suite_begun, suite_ended);
}

/* One server after the other goes and comes back: those that are there hear each other. */
static void test_come_and_go(void **state)
{
    (void)state;
    if (suite->one_server)
        skip();
    unsigned last = suite->places - 1;
    place_close(&places[last]);
    assert_memory_equal(next_note(), "out ",
                        4); /* the client's end or the server's, whichever is seen first */
    request((struct request){.what = FETCH, .name = "f"}); /* nobody waits for who has left */
    assert_memory_equal(next_note(), "f=0,", 4);
    places[last].server = suite_server_new(last);
    places[last].root = cvn_of(places[last].server, "/");
    place_connect(&places[last], -1);
    request((struct request){.what = FETCH, .name = "f"});
    char text[32];
    snprintf(text, sizeof text, "f=0,%u:", suite->places);
    assert_memory_equal(next_note(), text, strlen(text));
    emit((cvn_target){0}, "1");
    assert_got(all_places(), "1");
}

/* --- Running --- */

#define SUITE_TEST(name) cmocka_unit_test_setup_teardown(name, suite_setup, suite_teardown)

/* All tests over the suite's places; the number of those that failed. */
static int suite_run(const char *name, const struct suite *what)
{
    static const struct CMUnitTest tests[] = {
        SUITE_TEST(test_targets),
        SUITE_TEST(test_local),
        SUITE_TEST(test_contents),
        SUITE_TEST(test_memory_is_borrowed),
        SUITE_TEST(test_refusals),
        SUITE_TEST(test_order),
        SUITE_TEST(test_order_of_mixture),
        SUITE_TEST(test_rooms),
        SUITE_TEST(test_disconnect),
        SUITE_TEST(test_acks),
        SUITE_TEST(test_partial_acks),
        SUITE_TEST(test_fetch),
        SUITE_TEST(test_server_side),
        SUITE_TEST(test_server_side_acks),
        SUITE_TEST(test_unknown_namespace),
        SUITE_TEST(test_dead_place),
        SUITE_TEST(test_stop_during_traffic),
        SUITE_TEST(test_come_and_go),
    };
    int failed = 0;
    suite = what;
    for (int i = 0; i < 2; i++) {
        char title[128];
        called_by_worker = i == 1;
        snprintf(title, sizeof title, "%s, %s", name, i == 0 ? "any thread" : "a worker");
        failed += _cmocka_run_group_tests(title, tests, sizeof tests / sizeof *tests, NULL, NULL);
    }
    return failed;
}

#endif
