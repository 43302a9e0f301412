/*
 * Dynamic namespaces across two workers turned by hand: who becomes whose child, what children share and what not, and that every way
 * of leaving frees them.
 */
#include "sio/io.h"
#include <convene/sockets.h>
#include "base/log.h"
#include "cluster/adapter_workers.h"
#include "sio/sio_dynamic.h"

static struct io *dynamic_new(void)
{
    struct io *io = io_new(2);
    io->server.adapter = adapter_workers_new(&io->server);
    assert_non_null(io->server.adapter);
    return io;
}

/* One parent for "/d-<digits>" that logs all, started. */
static struct io *dynamic_started(cvn_namespace **ret_parent)
{
    struct io *io = dynamic_new();
    cvn_namespace *parent = sio_dynamic_add_pattern(&io->server, "^/d-[0-9]+$");
    assert_non_null(parent);
    io_log_all(parent);
    io_start(io);
    if (ret_parent != NULL)
        *ret_parent = parent;
    return io;
}

/* Joins "/name"; the server's socket is the one that joined last. */
static cvn_socket *enter(struct client *client, const char *nsp)
{
    char text[300], expected[300];
    snprintf(text, sizeof text, "40%s,", nsp);
    the_io->last = NULL;
    ws_send(client, text);
    int head = snprintf(expected, sizeof expected, "40%s,{\"sid\":\"", nsp);
    const char *answer = io_read(client);
    if (strncmp(answer, expected, (size_t)head) != 0)
        fail_msg("not let in: %s", answer);
    assert_non_null(the_io->last);
    return the_io->last;
}

static void assert_refused(struct client *client, const char *nsp, const char *message)
{
    char text[600];
    snprintf(text, sizeof text, "40%s,", nsp);
    ws_send(client, text);
    snprintf(text, sizeof text, "44%s,{\"message\":\"%s\"}", nsp, message);
    assert_ws_text(client, text);
}

static void leave(struct client *client, const char *nsp)
{
    char text[300];
    snprintf(text, sizeof text, "41%s,", nsp);
    ws_send(client, text);
}

static bool exists(const char *name)
{
    struct cvn_namespace *child = sio_dynamic_find(&the_io->server, cvn_str(name));
    bool found = child != NULL;
    cvn_namespace_unref(child);
    return found;
}

static bool is_yes(const char *name, const cvn_connect_request *request, void *data)
{
    (void)request;
    world_log(the_io->world, "%s?%s;", (const char *)data, name);
    return true;
}

/* --- Registration --- */

static unsigned logged;

static void on_log(void *data, enum log_level level, const char *message)
{
    (void)data;
    assert_int_equal(level, LOG_ERROR);
    assert_non_null(strstr(message, "^/(d"));
    logged++;
}

static void test_registration(void **state)
{
    struct io *io = dynamic_new();
    struct sio_server *server = &io->server;
    (void)state;
    log_set_sink(on_log, NULL, LOG_ERROR);
    assert_null(sio_dynamic_add_pattern(server, "^/(d"));
    assert_int_equal(server->registration, CVN_ERR_ARGUMENT);
    server->registration = CVN_OK;
    assert_null(sio_dynamic_add_pattern(server, NULL));
    assert_int_equal(server->registration, CVN_ERR_ARGUMENT);
    server->registration = CVN_OK;
    assert_null(sio_dynamic_add_predicate(server, NULL, NULL));
    assert_int_equal(server->registration, CVN_ERR_ARGUMENT);
    server->registration = CVN_OK;
    cvn_namespace *pattern = sio_dynamic_add_pattern(server, "^/d-");
    cvn_namespace *predicate = sio_dynamic_add_predicate(server, is_yes, NULL);
    assert_string_equal(cvn_namespace_name(pattern), "^/d-");
    assert_string_equal(cvn_namespace_name(predicate), "");
    assert_null(cvn_namespace_parent(pattern));
    assert_null(cvn_namespace_parent(io_namespace(io, "/")));
    assert_ptr_equal(cvn_namespace_ref(pattern), pattern);
    cvn_namespace_unref(pattern); /* stays all the same */
    cvn_namespace_unref(pattern);
    io_log_all(pattern);
    io_start(io);
    assert_null(sio_dynamic_add_pattern(server, "^/e-"));
    assert_null(sio_dynamic_add_predicate(server, is_yes, NULL));
    assert_int_equal(cvn_on_any(pattern, io_on_event, NULL), CVN_ERR_STATE);
    log_set_sink(NULL, NULL, LOG_WARN);
    assert_int_equal(logged, 1);
    io_free(io);
}

static void test_registration_without_memory(void **state)
{
    (void)state;
    for (uint64_t failing = 0, failed = true; failed; failing++) {
        struct io *io = dynamic_new();
        mem_fail_after(failing, 1);
        cvn_namespace *one = sio_dynamic_add_pattern(&io->server, "^/d-");
        cvn_namespace *two = sio_dynamic_add_predicate(&io->server, is_yes, NULL);
        mem_fail_after(0, 0);
        failed = one == NULL || two == NULL;
        assert_int_equal(io->server.registration, failed ? CVN_ERR_MEMORY : CVN_OK);
        io_start(io);
        io_free(io);
    }
}

/* --- Whose child it is --- */

static void test_first_parent_has_it(void **state)
{
    struct io *io = dynamic_new();
    cvn_namespace *parents[3];
    (void)state;
    parents[0] = sio_dynamic_add_pattern(&io->server, "^/a");
    parents[1] = sio_dynamic_add_predicate(&io->server, is_yes, (void *)"yes");
    parents[2] = sio_dynamic_add_pattern(&io->server, "^/c");
    for (int i = 0; i < 3; i++)
        cvn_on_connection(parents[i], io_on_connection,
                          (void *)(i == 0   ? "0"
                                   : i == 1 ? "1"
                                            : "2"));
    cvn_on_connection(io_namespace(io, "/abc"), io_on_connection, (void *)"name");
    io_start(io);
    struct client *client = io_client(io, 0);
    assert_ptr_equal(cvn_namespace_parent(cvn_socket_namespace(enter(client, "/a"))), parents[0]);
    assert_reported("0/a;");
    assert_ptr_equal(cvn_namespace_parent(cvn_socket_namespace(enter(client, "/c"))), parents[1]);
    assert_reported("yes?/c;1/c;");
    assert_null(cvn_namespace_parent(cvn_socket_namespace(enter(client, "/abc"))));
    assert_reported("name/abc;"); /* a registered name is nobody's child */
    client_free(client);
    io_free(io);
}

/* {"who":...} in the auth, a header, the query: what a predicate may judge by. */
static bool is_known(const char *name, const cvn_connect_request *request, void *data)
{
    world_log(the_io->world, "%s:%.*s:%.*s:%.*s:%s:%d;", name, SLICE_ARG(cvn_connect_auth(request)),
              SLICE_ARG(cvn_connect_query(request, "EIO")),
              SLICE_ARG(cvn_connect_header(request, "Host")), cvn_connect_address(request),
              cvn_connect_is_secure(request));
    assert_null(cvn_connect_header(request, "cookie").data);
    assert_null(cvn_connect_query(request, "cookie").data);
    return slice_eq(cvn_connect_auth(request), cvn_str(data));
}

/* A yes to one client is none to the next. */
static void test_predicate_is_asked_each_time(void **state)
{
    struct io *io = dynamic_new();
    cvn_namespace *parent =
        sio_dynamic_add_predicate(&io->server, is_known, (void *)"{\"who\":\"anna\"}");
    (void)state;
    /* It would say yes, but is not asked about another's child. */
    assert_non_null(sio_dynamic_add_predicate(&io->server, is_yes, (void *)"never"));
    cvn_on_connection(parent, io_on_connection, (void *)"in");
    io_start(io);
    struct client *anna = io_client(io, 0), *ben = io_client(io, 1);
    ws_send(anna, "40/x,{\"who\":\"anna\"}");
    assert_memory_equal(io_read(anna), "40/x,{\"sid\"", 11);
    assert_reported("/x:{\"who\":\"anna\"}:4:localhost:127.0.0.1:0;in/x;");
    assert_refused(ben, "/x", "Invalid namespace");
    assert_reported("/x:{}:4:localhost:127.0.0.1:0;");
    ws_send(ben, "40/x,{\"who\":\"anna\"}");
    assert_memory_equal(io_read(ben), "40/x,{\"sid\"", 11);
    client_free(anna);
    client_free(ben);
    world_turn(io->world);
    assert_false(exists("/x"));
    io_free(io);
}

/* While the predicate thinks, another worker makes the child, of another parent: that one decides. */
static bool make_meanwhile(const char *name, const cvn_connect_request *request, void *data)
{
    struct sio_server *server = &the_io->server;
    struct cvn_namespace **held = data;
    static bool inside;
    if (inside)
        return false;
    inside = true;
    assert_int_equal(sio_dynamic_admit(server, cvn_str(name), request, held), CVN_OK);
    inside = false;
    return true;
}

static void test_made_meanwhile(void **state)
{
    (void)state;
    for (int wanted = 0; wanted <= 1; wanted++) {
        struct io *io = dynamic_new();
        cvn_namespace *held = NULL;
        sio_dynamic_add_predicate(&io->server, make_meanwhile, &held);
        cvn_namespace *other =
            wanted
                ? sio_dynamic_add_predicate(&io->server, is_yes, (void *)"other")
                : sio_dynamic_add_predicate(&io->server, is_known, (void *)"{\"who\":\"nobody\"}");
        cvn_on_connection(other, io_on_connection, (void *)"in");
        io_start(io);
        struct client *client = io_client(io, 0);
        if (wanted) {
            enter(client, "/x");
            assert_reported("other?/x;other?/x;in/x;");
            assert_ptr_equal(cvn_socket_namespace(io->last), held);
            assert_ptr_equal(held->parent, other);
        }
        cvn_namespace_unref(held);
        client_free(client);
        io_free(io);
    }
}

static void test_names(void **state)
{
    struct io *io = dynamic_new();
    struct client *client;
    char name[400], text[420];
    unsigned opcode;
    char *data;
    size_t size;
    (void)state;
    cvn_on_connection(sio_dynamic_add_pattern(&io->server, "^/n+$"), io_on_connection,
                      (void *)"in");
    io_start(io);
    client = io_client(io, 0);
    assert_refused(client, "/x", "Invalid namespace");
    assert_refused(client, "/nx", "Invalid namespace");
    assert_refused(client, "/N", "Invalid namespace");
    memset(name, 'n', sizeof name);
    name[0] = '/';
    name[SIO_MAX_NAMESPACE_NAME] = '\0';
    enter(client, name);
    /* What is behind a NUL is part of the name, though no pattern could see it. */
    ws_send_frame(client, 0x81, "40/nn\0evil,", 11);
    assert_true(ws_receive(client, &opcode, &data, &size));
    assert_memory_equal(data, "44/nn\0evil,{\"message\":\"Invalid namespace\"}", size);
    name[SIO_MAX_NAMESPACE_NAME] = 'n';
    name[SIO_MAX_NAMESPACE_NAME + 1] = '\0';
    snprintf(text, sizeof text, "40%s,", name);
    ws_send(client, text);
    assert_ws_closed(client, 1005);
    client_free(client);
    io_free(io);
}

/* --- What children share --- */

static void test_children_apart(void **state)
{
    cvn_namespace *parent;
    struct io *io = dynamic_started(&parent);
    struct client *a = io_client(io, 0), *b = io_client(io, 1);
    (void)state;
    cvn_socket *a1 = enter(a, "/d-1"), *b1 = enter(b, "/d-1"), *b2 = enter(b, "/d-2");
    cvn_namespace *one = cvn_socket_namespace(a1), *two = cvn_socket_namespace(b2);
    assert_ptr_equal(cvn_socket_namespace(b1), one);
    assert_ptr_not_equal(one, two);
    assert_ptr_equal(cvn_namespace_parent(two), parent);
    assert_string_equal(cvn_namespace_name(one), "/d-1");
    assert_reported("in/d-1;in/d-1;in/d-2;");
    ws_send(b, "42/d-2,[\"x\",1]");
    assert_reported("any:x(1);");
    assert_int_equal(cvn_join(a1, "r"), CVN_OK);
    assert_int_equal(cvn_join(b2, "r"), CVN_OK);
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = two, .rooms = {"r"}}, "e", cvn_json("2")),
                     CVN_OK);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = one}, "e", cvn_json("1")), CVN_OK);
    world_turn(io->world);
    assert_ws_text(a, "42/d-1,[\"e\",1]");
    assert_ws_text(b, "42/d-2,[\"e\",2]");
    assert_ws_text(b, "42/d-1,[\"e\",1]");
    assert_ws_silent(a);
    assert_ws_silent(b);
    client_free(a);
    client_free(b);
    world_turn(io->world);
    assert_false(exists("/d-1"));
    assert_false(exists("/d-2"));
    io_free(io);
}

static void never_answers(enum cvn_error error, const cvn_answers *answers, void *data)
{
    (void)error;
    (void)answers;
    (void)data;
    fail_msg("nobody was asked");
}

static void never_found(enum cvn_error error, const cvn_remote_socket *const *sockets, size_t count,
                        void *data)
{
    (void)error;
    (void)sockets;
    (void)count;
    (void)data;
    fail_msg("nobody was looked for");
}

/* What is done to a parent is done to all its children. */
static void test_parent_as_target(void **state)
{
    cvn_namespace *parent;
    struct io *io = dynamic_started(&parent);
    const cvn_target all = {.nsp = parent}, room = {.nsp = parent, .rooms = {"r"}};
    const cvn_slice bytes = cvn_str("\1\2");
    (void)state;
    assert_int_equal(cvn_emit(&all, "e", cvn_json("{")), CVN_ERR_JSON); /* with no child, too */
    assert_int_equal(cvn_emit(&all, NULL, cvn_json("1")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit(&all, "connect", cvn_json("1")), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_emit(&all, "e", cvn_json("1")), CVN_OK);
    struct client *a = io_client(io, 0), *b = io_client(io, 1);
    cvn_socket *a1 = enter(a, "/d-1"), *b2 = enter(b, "/d-2");
    enter(b, "/d-1");
    world_reported(io->world);
    worker_enter(&io->world->workers[0]);
    assert_int_equal(
        cvn_emit(&all, "e", (cvn_args){cvn_str("{\"_placeholder\":true,\"num\":0}"), &bytes, 1}),
        CVN_OK);
    world_turn(io->world);
    assert_ws_text(a, "451-/d-1,[\"e\",{\"_placeholder\":true,\"num\":0}]");
    assert_binary(a, bytes);
    for (int i = 0; i < 2; i++) { /* in the order in which the children came into being */
        assert_ws_text(b, i == 0 ? "451-/d-1,[\"e\",{\"_placeholder\":true,\"num\":0}]"
                                 : "451-/d-2,[\"e\",{\"_placeholder\":true,\"num\":0}]");
        assert_binary(b, bytes);
    }
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_sockets_join(&all, ""), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_sockets_join(&all, "r"), CVN_OK);
    world_turn(io->world);
    assert_true(cvn_socket_in_room(a1, "r"));
    assert_true(cvn_socket_in_room(b2, "r"));
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_sockets_leave(&(cvn_target){.nsp = parent, .except = {a1->id}}, "r"),
                     CVN_OK);
    world_turn(io->world);
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_emit(&room, "f", cvn_json(NULL)), CVN_OK);
    assert_int_equal(cvn_emit_ack(&all, "q", cvn_json(NULL), 0, never_answers, NULL),
                     CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_fetch_sockets(&all, 0, never_found, NULL), CVN_ERR_ARGUMENT);
    assert_int_equal(cvn_sockets_disconnect(&all, false), CVN_OK);
    world_turn(io->world);
    assert_ws_text(a, "42/d-1,[\"f\"]");
    assert_ws_text(a, "41/d-1,");
    assert_ws_text(b, "41/d-1,");
    assert_ws_text(b, "41/d-2,");
    client_free(a);
    client_free(b);
    io_free(io);
}

static void test_parent_without_memory(void **state)
{
    cvn_namespace *parent;
    struct io *io = dynamic_started(&parent);
    (void)state;
    struct client *a = io_client(io, 0);
    enter(a, "/d-1");
    enter(a, "/d-2");
    enum cvn_error error = CVN_ERR_MEMORY;
    unsigned got = 0;
    for (uint64_t failing = 0; error != CVN_OK; failing++) {
        assert_true(failing < 100);
        worker_enter(&io->world->workers[0]);
        mem_fail_after(failing, 1);
        error = cvn_emit(&(cvn_target){.nsp = parent}, "e", cvn_json("1"));
        mem_fail_after(0, 0);
        assert_true(error == CVN_OK || error == CVN_ERR_MEMORY);
        world_turn(io->world);
    }
    unsigned opcode;
    char *data;
    size_t size;
    for (; ws_receive(a, &opcode, &data, &size); got++) { /* never half a packet */
        assert_int_equal(size, 14);
        data[5] = '?';
        assert_memory_equal(data, "42/d-?,[\"e\",1]", size);
    }
    assert_true(got >= 2);
    client_free(a);
    io_free(io);
}

/* --- The end of children --- */

static void test_freed_with_the_last_socket(void **state)
{
    struct io *io = dynamic_started(NULL);
    struct client *a = io_client(io, 0), *b = io_client(io, 1);
    (void)state;
    enter(a, "/d-1");
    enter(b, "/d-1");
    leave(a, "/d-1");
    assert_true(exists("/d-1"));
    leave(b, "/d-1");
    assert_false(exists("/d-1"));
    enter(a, "/d-1"); /* and made anew */
    assert_true(exists("/d-1"));
    client_vanish(a, true);
    world_turn(io->world);
    assert_false(exists("/d-1"));
    client_free(b);
    io_free(io);
}

/* More names than may exist at once, one after the other, on two workers: nothing is left of any. */
static void test_many_names_leave_nothing(void **state)
{
    struct io *io = dynamic_started(NULL);
    struct client *clients[2] = {io_client(io, 0), io_client(io, 1)};
    uint64_t allocations = 0;
    (void)state;
    for (int i = 0; i < 500; i++) {
        char name[32];
        uint64_t before = mem_allocation_count();
        snprintf(name, sizeof name, "/d-%d", i);
        enter(clients[i % 2], name);
        leave(clients[i % 2], name);
        assert_false(exists(name));
        world_reported(io->world);
        if (i == 100)
            allocations = mem_allocation_count() - before;
        else if (i > 100) /* the hundredth costs what the five hundredth costs */
            assert_int_equal(mem_allocation_count() - before, allocations);
    }
    client_free(clients[0]);
    client_free(clients[1]);
    io_free(io);
}

static void test_limit(void **state)
{
    struct io *io = dynamic_started(NULL);
    struct client *a = io_client(io, 0), *b = io_client(io, 1);
    (void)state;
    assert_int_equal(io->server.options.max_dynamic_namespaces, 4);
    enter(a, "/d-1");
    enter(a, "/d-2");
    enter(b, "/d-3");
    enter(b, "/d-4");
    assert_refused(a, "/d-5", "Too many namespaces");
    assert_refused(a, "/x", "Invalid namespace");
    enter(a, "/d-4"); /* that one exists */
    leave(b, "/d-3");
    enter(a, "/d-5");
    /* Four of its own: asked for one more, of whatever kind, it is told so. */
    assert_refused(a, "/d-1234", "Too many namespaces");
    client_free(a);
    client_free(b);
    io_free(io);
}

static void on_no(cvn_socket *socket, cvn_next *next, void *data)
{
    assert_true(exists(cvn_namespace_name(cvn_socket_namespace(socket))));
    cvn_next_refuse(next, "no", data);
}

static cvn_next *kept;

static void on_wait(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)socket;
    (void)data;
    kept = next;
}

static void test_refused_by_a_middleware(void **state)
{
    struct io *io = dynamic_new();
    (void)state;
    cvn_use(sio_dynamic_add_pattern(&io->server, "^/no"), on_no, NULL);
    cvn_use(sio_dynamic_add_pattern(&io->server, "^/wait"), on_wait, NULL);
    io_start(io);
    struct client *client = io_client(io, 0);
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "/no-%d", i);
        assert_refused(client, name, "no");
        assert_false(exists(name));
    }
    ws_send(client, "40/wait,");
    assert_true(exists("/wait"));
    client_vanish(client, false);
    world_turn(io->world);
    assert_true(exists("/wait")); /* the decision is still owed */
    cvn_next_accept(kept);
    assert_false(exists("/wait"));
    io_free(io);
}

/* A socket that the server disconnects leaves the child; its memory keeps it until the client is rid of it. */
static void test_kicked(void **state)
{
    struct io *io = dynamic_started(NULL);
    struct client *client = io_client(io, 0);
    (void)state;
    cvn_disconnect(enter(client, "/d-1"), false);
    assert_ws_text(client, "41/d-1,");
    enter(client, "/d-1");
    cvn_socket_ref(io->last);
    cvn_socket *held = io->last;
    client_vanish(client, false);
    world_turn(io->world);
    assert_true(exists("/d-1"));
    assert_string_equal(cvn_namespace_name(cvn_socket_namespace(held)), "/d-1");
    assert_int_equal(cvn_socket_emit(held, "e", cvn_json("1")), CVN_ERR_STATE);
    cvn_socket_unref(held);
    assert_false(exists("/d-1"));
    io_free(io);
}

/* On its way to another worker an op keeps its namespace. */
static void test_ops_keep_it(void **state)
{
    struct io *io = dynamic_started(NULL);
    struct client *a = io_client(io, 0), *b = io_client(io, 1);
    cvn_socket *sockets[2] = {enter(a, "/d-1"), enter(b, "/d-1")};
    cvn_namespace *child = cvn_socket_namespace(sockets[0]);
    (void)state;
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = child}, "e", cvn_json("1")), CVN_OK);
    assert_int_equal(cvn_sockets_join(&(cvn_target){.nsp = child}, "r"), CVN_OK);
    for (int i = 0; i < 2; i++) {
        sio_socket_end(sockets[i], "gone", false);
        sio_client_remove(sockets[i]->client, sockets[i]);
    }
    assert_true(exists("/d-1"));
    world_turn(io->world);
    assert_false(exists("/d-1"));
    assert_ws_text(a, "42/d-1,[\"e\",1]"); /* queued before it left */
    assert_ws_silent(b);
    /* The last socket goes while an op is applied that the application has called for. */
    cvn_socket *last = enter(a, "/d-2");
    worker_enter(&io->world->workers[0]);
    assert_int_equal(cvn_sockets_disconnect(&(cvn_target){.nsp = cvn_socket_namespace(last)}, true),
                     CVN_OK);
    world_turn(io->world);
    world_turn(io->world);
    assert_false(exists("/d-2"));
    client_free(a);
    client_free(b);
    io_free(io);
}

static void test_references(void **state)
{
    struct io *io = dynamic_started(NULL);
    struct client *client = io_client(io, 0);
    (void)state;
    cvn_namespace *child = cvn_namespace_ref(cvn_socket_namespace(enter(client, "/d-1")));
    leave(client, "/d-1");
    assert_true(exists("/d-1"));
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = child}, "e", cvn_json("1")), CVN_OK);
    world_turn(io->world);
    enter(client, "/d-1");
    assert_ptr_equal(cvn_socket_namespace(io->last), child);
    leave(client, "/d-1");
    cvn_namespace_unref(child);
    assert_false(exists("/d-1"));
    cvn_namespace_unref(NULL);

    /* One that outlives its server. */
    child = cvn_namespace_ref(cvn_socket_namespace(enter(client, "/d-2")));
    cvn_socket *socket = cvn_socket_ref(io->last);
    client_free(client);
    io_free(io);
    cvn_namespace_unref(child);
    cvn_socket_unref(socket);
}

/* --- With connection state recovery --- */

static struct io *recovering_started(cvn_namespace **ret_parent)
{
    struct io *io = dynamic_new();
    io->server.options.recovery.window_ms = 120000;
    io->server.options.recovery.heartbeat_ms = 45000;
    io->server.options.recovery.max_bytes = 1 << 20;
    io->server.options.recovery.max_sessions = 100;
    *ret_parent = sio_dynamic_add_pattern(&io->server, "^/d-[0-9]+$");
    cvn_on_connection(*ret_parent, io_on_connection, (void *)"in");
    io_start(io);
    return io;
}

/* Joins, and keeps what is needed to come back. */
static struct client *enter_recovering(struct io *io, unsigned worker,
                                       char ret_pid[SIO_ID_SIZE + 1])
{
    struct client *client = io_client(io, worker);
    ws_send(client, "40/d-1,");
    assert_int_equal(
        sscanf(io_read(client), "40/d-1,{\"sid\":\"%*20c\",\"pid\":\"%20[^\"]\"}", ret_pid), 1);
    return client;
}

/* Whoever may come back keeps the child, and what it has missed. */
static void test_recovery(void **state)
{
    cvn_namespace *parent;
    struct io *io = recovering_started(&parent);
    char pid[SIO_ID_SIZE + 1], text[128];
    (void)state;
    struct client *client = enter_recovering(io, 0, pid);
    client_vanish(client, false);
    world_turn(io->world);
    assert_true(exists("/d-1"));
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = parent}, "e", cvn_json("1")), CVN_OK);
    world_turn(io->world);
    client = io_client(io, 1);
    snprintf(text, sizeof text, "40/d-1,{\"pid\":\"%s\"}", pid);
    ws_send(client, text);
    world_turn(io->world);
    assert_memory_equal(io_read(client), "42/d-1,[\"e\",1,\"", 15);
    assert_non_null(strstr(io_read(client), pid));
    assert_true(cvn_socket_recovered(io->last));
    leave(client, "/d-1"); /* on purpose: nobody can come back */
    world_advance(io->world, 200000);
    assert_false(exists("/d-1"));
    client_free(client);
    io_free(io);
}

/* A child that was emitted to goes with its last socket, as it goes without recovery. */
static void test_recovery_and_left(void **state)
{
    cvn_namespace *parent;
    struct io *io = recovering_started(&parent);
    struct client *clients[2];
    char pid[SIO_ID_SIZE + 1];
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        clients[i] = enter_recovering(io, i, pid);
    for (int i = 0; i < 100; i++) {
        worker_enter(&io->world->workers[i % 2]);
        assert_int_equal(cvn_emit(&(cvn_target){.nsp = parent}, "e", cvn_json("1")), CVN_OK);
        assert_int_equal(cvn_socket_emit(io->last, "e", cvn_json("2")), CVN_OK);
    }
    world_turn(io->world);
    leave(clients[0], "/d-1");
    assert_true(exists("/d-1"));
    leave(clients[1], "/d-1");
    assert_false(exists("/d-1"));
    assert_int_equal(io->workers[0].log_bytes, 0);
    assert_int_equal(io->workers[1].log_bytes, 0);
    client_free(clients[0]);
    client_free(clients[1]);
    io_free(io);
}

/* Lost and never seen again: the child goes when the session's time is over. */
static void test_recovery_in_vain(void **state)
{
    cvn_namespace *parent;
    struct io *io = recovering_started(&parent);
    char pid[SIO_ID_SIZE + 1];
    (void)state;
    client_vanish(enter_recovering(io, 0, pid), true);
    world_turn(io->world);
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = parent}, "e", cvn_json("1")), CVN_OK);
    world_turn(io->world);
    assert_true(io->workers[0].log_bytes > 0);
    world_advance(io->world, 100000);
    assert_true(exists("/d-1"));
    world_advance(io->world, 100000);
    assert_false(exists("/d-1"));
    assert_int_equal(io->workers[0].log_bytes, 0);
    io_free(io);
}

/* The server ends with sessions waiting and events kept for them; one child is still held. */
static void test_recovery_at_the_end(void **state)
{
    cvn_namespace *parent;
    (void)state;
    for (int held = 0; held <= 1; held++) {
        struct io *io = recovering_started(&parent);
        char pid[SIO_ID_SIZE + 1];
        client_vanish(enter_recovering(io, 0, pid), true);
        struct client *other = enter_recovering(io, 1, pid);
        world_turn(io->world);
        cvn_namespace *child = held ? sio_dynamic_find(&io->server, SLICE("/d-1")) : NULL;
        assert_int_equal(cvn_emit(&(cvn_target){.nsp = parent}, "e", cvn_json("1")), CVN_OK);
        world_turn(io->world);
        assert_true(io->workers[0].log_bytes > 0);
        assert_true(io->workers[1].log_bytes > 0);
        client_free(other);
        io_free(io);
        cvn_namespace_unref(child);
    }
}

/* Every allocation on the way into a new child fails once: the client is let in or cut off, and nothing stays behind. */
static void test_connect_without_memory(void **state)
{
    struct io *io = dynamic_started(NULL);
    bool is_in = false;
    (void)state;
    for (uint64_t failing = 0; !is_in; failing++) {
        struct client *client = io_client(io, 0);
        unsigned opcode;
        char *data;
        size_t size;
        assert_true(failing < 200);
        mem_fail_after(failing, 1);
        ws_send(client, "40/d-1,{\"a\":1}");
        bool failed = mem_allocation_count() > 0;
        mem_fail_after(0, 0);
        assert_true(failed);
        is_in = ws_receive(client, &opcode, &data, &size) && opcode == 1;
        assert_int_equal(exists("/d-1"), is_in);
        client_free(client);
        world_turn(io->world);
        assert_false(exists("/d-1"));
    }
    io_free(io);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registration),
        cmocka_unit_test(test_registration_without_memory),
        cmocka_unit_test(test_first_parent_has_it),
        cmocka_unit_test(test_predicate_is_asked_each_time),
        cmocka_unit_test(test_made_meanwhile),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_children_apart),
        cmocka_unit_test(test_parent_as_target),
        cmocka_unit_test(test_parent_without_memory),
        cmocka_unit_test(test_freed_with_the_last_socket),
        cmocka_unit_test(test_many_names_leave_nothing),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_refused_by_a_middleware),
        cmocka_unit_test(test_kicked),
        cmocka_unit_test(test_ops_keep_it),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_recovery_and_left),
        cmocka_unit_test(test_recovery_in_vain),
        cmocka_unit_test(test_recovery_at_the_end),
        cmocka_unit_test(test_connect_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
