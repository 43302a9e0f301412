/*
 * libcurl on a libuv loop, against a small HTTP server on the same loop. The path says what that server does: "/echo" answers with the body that
 * it got, "/never" not at all, "/cut" closes in the midst of an answer, "/long" answers 4 MB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "outgoing/outgoing_loop.h"

#define LONG_SIZE (4u << 20)

/* --- The server --- */

struct peer {
    uv_tcp_t tcp;
    struct world *world;
    char in[65536];
    size_t size;
};

struct world {
    uv_loop_t loop;
    uv_tcp_t listener;
    unsigned port;
    unsigned accepted, open;
    unsigned asked; /* requests that "/never" got */
    void (*on_asked)(struct world *world);
    struct outgoing_loop *outgoing;
    struct call *call;
    bool is_closed; /* outgoing_loop_free has come to its end */
};

static void on_peer_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    peer->world->open--;
    free(peer);
}

static void on_peer_written(uv_write_t *write, int status)
{
    (void)status;
    free(write->data);
    free(write);
}

static void peer_write(struct peer *peer, const char *head, const char *body, size_t body_size)
{
    size_t head_size = strlen(head);
    char *copy = malloc(head_size + body_size);
    uv_write_t *write = calloc(1, sizeof *write);
    assert_non_null(copy);
    assert_non_null(write);
    memcpy(copy, head, head_size);
    if (body != NULL)
        memcpy(copy + head_size, body, body_size);
    else
        memset(copy + head_size, 'x', body_size);
    uv_buf_t bytes = uv_buf_init(copy, (unsigned)(head_size + body_size));
    write->data = copy;
    assert_int_equal(uv_write(write, (uv_stream_t *)&peer->tcp, &bytes, 1, on_peer_written), 0);
}

static void peer_close(struct peer *peer)
{
    if (!uv_is_closing((uv_handle_t *)&peer->tcp))
        uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
}

/* One request lies whole in peer->in. */
static void peer_serve(struct peer *peer, const char *body, size_t body_size)
{
    char head[128];
    if (strstr(peer->in, " /echo ") != NULL) {
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body_size);
        peer_write(peer, head, body, body_size);
    } else if (strstr(peer->in, " /long ") != NULL) {
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", LONG_SIZE);
        peer_write(peer, head, NULL, LONG_SIZE);
    } else if (strstr(peer->in, " /cut ") != NULL) {
        peer_write(peer, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "cut", 3);
        peer_close(peer);
    } else if (peer->world->asked++, peer->world->on_asked != NULL) {
        peer->world->on_asked(peer->world);
    }
}

static void peer_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct peer *peer = handle->data;
    (void)suggested;
    *ret = uv_buf_init(peer->in + peer->size, (unsigned)(sizeof peer->in - 1 - peer->size));
}

static void peer_on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes)
{
    struct peer *peer = stream->data;
    (void)bytes;
    if (size < 0) {
        peer_close(peer);
        return;
    }
    peer->size += (size_t)size;
    peer->in[peer->size] = '\0';
    const char *end = strstr(peer->in, "\r\n\r\n");
    if (end == NULL)
        return;
    const char *length = strstr(peer->in, "Content-Length: ");
    size_t wanted = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    size_t head_size = (size_t)(end + 4 - peer->in);
    if (peer->size < head_size + wanted)
        return;
    peer_serve(peer, end + 4, wanted);
    peer->size = 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct world *world = listener->data;
    struct peer *peer = calloc(1, sizeof *peer);
    assert_int_equal(status, 0);
    assert_non_null(peer);
    peer->world = world;
    uv_tcp_init(&world->loop, &peer->tcp);
    peer->tcp.data = peer;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&peer->tcp), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&peer->tcp, peer_alloc, peer_on_read), 0);
    world->accepted++;
    world->open++;
}

/* --- The test's side --- */

struct call {
    struct world *world;
    CURL *easy;
    char url[64];
    char *got;
    size_t got_size;
    int done; /* how often */
    CURLcode result;
    long status;
    void (*then)(struct call *call);
    struct call *other;
};

static size_t on_write(char *data, size_t one, size_t size, void *user)
{
    struct call *call = user;
    (void)one;
    call->got = realloc(call->got, call->got_size + size + 1);
    assert_non_null(call->got);
    memcpy(call->got + call->got_size, data, size);
    call->got_size += size;
    call->got[call->got_size] = '\0';
    return size;
}

static void on_done(CURL *easy, CURLcode result, void *data)
{
    struct call *call = data;
    assert_ptr_equal(easy, call->easy);
    call->done++;
    call->result = result;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &call->status);
    if (call->then != NULL)
        call->then(call);
}

static void call_init(struct call *call, struct world *world, const char *path, const char *body)
{
    *call = (struct call){.world = world, .easy = curl_easy_init()};
    assert_non_null(call->easy);
    snprintf(call->url, sizeof call->url, "http://127.0.0.1:%u%s", world->port, path);
    curl_easy_setopt(call->easy, CURLOPT_URL, call->url);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
    if (body != NULL)
        curl_easy_setopt(call->easy, CURLOPT_COPYPOSTFIELDS, body);
}

static void call_release(struct call *call)
{
    curl_easy_cleanup(call->easy);
    free(call->got);
}

static void begin(struct call *call)
{
    assert_true(outgoing_loop_add(call->world->outgoing, call->easy, on_done, call));
}

static void until_done(struct call *call)
{
    while (call->done == 0)
        assert_true(uv_run(&call->world->loop, UV_RUN_ONCE) != 0 || call->done > 0);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct sockaddr_storage address;
    struct sockaddr_in any;
    int size = sizeof address;
    if (world == NULL || uv_loop_init(&world->loop) != 0)
        return -1;
    uv_ip4_addr("127.0.0.1", 0, &any);
    uv_tcp_init(&world->loop, &world->listener);
    world->listener.data = world;
    if (uv_tcp_bind(&world->listener, (struct sockaddr *)&any, 0) != 0 ||
        uv_listen((uv_stream_t *)&world->listener, 16, on_connection) != 0 ||
        uv_tcp_getsockname(&world->listener, (struct sockaddr *)&address, &size) != 0)
        return -1;
    memcpy(&any, &address, sizeof any);
    world->port = (unsigned)(any.sin_port >> 8 | (any.sin_port & 255) << 8);
    world->outgoing = outgoing_loop_new(&world->loop);
    *state = world;
    return world->outgoing != NULL ? 0 : -1;
}

static void on_closed(void *data)
{
    struct world *world = data;
    world->is_closed = true;
}

static void end(struct world *world)
{
    if (world->outgoing != NULL)
        outgoing_loop_free(world->outgoing, on_closed, world);
    world->outgoing = NULL;
    while (!world->is_closed || world->open > 0)
        uv_run(&world->loop, UV_RUN_ONCE);
}

static int tear_down(void **state)
{
    struct world *world = *state;
    end(world);
    uv_close((uv_handle_t *)&world->listener, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&world->loop); /* nothing may be left on it */
    free(world);
    return busy;
}

/* --- Tests --- */

static void test_echo(void **state)
{
    struct world *world = *state;
    struct call call;
    call_init(&call, world, "/echo", "hello");
    begin(&call);
    until_done(&call);
    assert_int_equal(call.result, CURLE_OK);
    assert_int_equal(call.status, 200);
    assert_string_equal(call.got, "hello");
    call_release(&call);
}

static void test_connections_are_kept(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 5; i++) {
        struct call call;
        call_init(&call, world, "/echo", "again");
        begin(&call);
        until_done(&call);
        assert_int_equal(call.result, CURLE_OK);
        call_release(&call);
    }
    assert_int_equal(world->accepted, 1);
}

static void test_several_at_once(void **state)
{
    struct world *world = *state;
    struct call calls[20];
    for (int i = 0; i < 20; i++) {
        call_init(&calls[i], world, i % 2 ? "/long" : "/echo", i % 2 ? NULL : "one of many");
        begin(&calls[i]);
    }
    for (int i = 0; i < 20; i++)
        until_done(&calls[i]);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(calls[i].result, CURLE_OK);
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].got_size, i % 2 ? LONG_SIZE : strlen("one of many"));
        call_release(&calls[i]);
    }
}

static void test_failures_are_told(void **state)
{
    struct world *world = *state;
    struct call call;
    call_init(&call, world, "/cut", NULL);
    begin(&call);
    until_done(&call);
    assert_int_equal(call.result, CURLE_PARTIAL_FILE);
    assert_string_equal(call.got, "cut");
    call_release(&call);

    call_init(&call, world, "/never", NULL);
    curl_easy_setopt(call.easy, CURLOPT_TIMEOUT_MS, 20L);
    begin(&call);
    until_done(&call);
    assert_int_equal(call.result, CURLE_OPERATION_TIMEDOUT);
    call_release(&call);
}

static void test_refused(void **state)
{
    struct world *world = *state;
    struct call call;
    uv_tcp_t bound;
    struct sockaddr_in address;
    int size = sizeof address;
    /* A port that is taken, but that nobody listens on. */
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&world->loop, &bound);
    assert_int_equal(uv_tcp_bind(&bound, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_tcp_getsockname(&bound, (struct sockaddr *)&address, &size), 0);
    call_init(&call, world, "/", NULL);
    snprintf(call.url, sizeof call.url, "http://127.0.0.1:%u/",
             (unsigned)(address.sin_port >> 8 | (address.sin_port & 255) << 8));
    curl_easy_setopt(call.easy, CURLOPT_URL, call.url);
    begin(&call);
    until_done(&call);
    assert_int_equal(call.result, CURLE_COULDNT_CONNECT);
    uv_close((uv_handle_t *)&bound, NULL);
    uv_run(&world->loop, UV_RUN_NOWAIT); /* it is ours, on the stack */
    call_release(&call);
}

static void remove_other(struct call *call)
{
    outgoing_loop_remove(call->world->outgoing, call->other->easy);
}

static void test_removed_hears_nothing(void **state)
{
    struct world *world = *state;
    struct call never, echo;
    call_init(&never, world, "/never", NULL);
    call_init(&echo, world, "/echo", "x");
    begin(&never);
    while (world->asked == 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    echo.then = remove_other; /* inside the other's done */
    echo.other = &never;
    begin(&echo);
    until_done(&echo);
    outgoing_loop_remove(world->outgoing, never.easy); /* the second time: nothing */
    outgoing_loop_remove(world->outgoing, echo.easy);
    end(world);
    assert_int_equal(never.done, 0);
    assert_int_equal(echo.done, 1);
    call_release(&never);
    call_release(&echo);
}

static void add_again(struct call *call)
{
    if (call->done < 4)
        begin(call);
}

static void test_added_again_when_done(void **state)
{
    struct world *world = *state;
    struct call call;
    call_init(&call, world, "/echo", "ab");
    call.then = add_again;
    begin(&call);
    while (call.done < 4)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_string_equal(call.got, "abababab");
    assert_int_equal(world->accepted, 1);
    call_release(&call);
}

static void free_loop(struct call *call)
{
    outgoing_loop_free(call->world->outgoing, on_closed, call->world);
    assert_false(outgoing_loop_add(call->world->outgoing, call->easy, on_done, call));
    call->world->outgoing = NULL;
}

static void test_freed_from_done(void **state)
{
    struct world *world = *state;
    struct call never, echo;
    call_init(&never, world, "/never", NULL);
    call_init(&echo, world, "/echo", "x");
    begin(&never);
    begin(&echo);
    echo.then = free_loop;
    until_done(&echo);
    end(world);
    assert_int_equal(never.done, 0);
    assert_int_equal(echo.done, 1);
    call_release(&never);
    call_release(&echo);
}

static void test_freed_in_flight(void **state)
{
    struct world *world = *state;
    struct call calls[3];
    for (int i = 0; i < 3; i++) {
        call_init(&calls[i], world, "/never", NULL);
        begin(&calls[i]);
        for (int turn = 0; turn < i; turn++) /* before, in, and behind the connect */
            uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    end(world);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i].done, 0);
        call_release(&calls[i]);
    }
}

static void test_connection_alone(void **state)
{
    struct world *world = *state;
    struct call call;
    static const char request[] = "GET /echo HTTP/1.1\r\n\r\n";
    char answer[128];
    size_t size = 0;
    call_init(&call, world, "/", NULL);
    assert_int_equal(outgoing_loop_socket(call.easy), -1);
    assert_true(outgoing_loop_connect(world->outgoing, call.easy, on_done, &call));
    until_done(&call);
    assert_true(outgoing_loop_socket(call.easy) >= 0);
    assert_int_equal(call.result, CURLE_OK);
    assert_int_equal(curl_easy_send(call.easy, request, sizeof request - 1, &size), CURLE_OK);
    assert_int_equal(size, sizeof request - 1);
    while (curl_easy_recv(call.easy, answer, sizeof answer - 1, &size) == CURLE_AGAIN)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    answer[size] = '\0';
    assert_non_null(strstr(answer, "200 OK"));
    outgoing_loop_remove(world->outgoing, call.easy);
    while (world->open > 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(call.done, 1);
    call_release(&call);
}

static void count_call(void *data)
{
    ++*(int *)data;
}

static void test_free_null(void **state)
{
    int calls = 0;
    (void)state;
    outgoing_loop_free(NULL, count_call, &calls);
    outgoing_loop_free(NULL, NULL, NULL);
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connections_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_hears_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_added_again_when_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_freed_from_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_freed_in_flight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connection_alone, set_up, tear_down),
        cmocka_unit_test(test_free_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
