/* The server's numbers: each counted once, where it happens, and still there when what it was about has gone. */
#include "client.h"

#define POLLING "/socket.io/?EIO=4&transport=polling"
#define MEGA    ((size_t)1 << 20)

static bool allow(cvn_http_request *request, const char **ret_message, void *hook_data)
{
    (void)ret_message, (void)hook_data;
    return cvn_http_query(request, "deny").data == NULL;
}

static void refuse_some(cvn_socket *socket, cvn_next *next, void *data)
{
    (void)data;
    if (cvn_socket_auth(socket).size > 2)
        cvn_next_refuse(next, "no", NULL);
    else
        cvn_next_accept(next);
}

static void on_connection(cvn_socket *socket, void *data)
{
    (void)socket, (void)data;
    note("in");
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket, (void)data;
    note("out %s", reason);
}

static void on_echo(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    cvn_socket_emit(socket, "echo", cvn_event_args(event));
}

static void on_cut(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)event, (void)data;
    cvn_disconnect(socket, true);
}

/* As many megabytes as are asked for, with nobody to take them. */
static void on_flood(cvn_socket *socket, const cvn_event *event, void *data)
{
    uint64_t count = 0;
    char *json = malloc(MEGA + 3);
    (void)data;
    assert_non_null(json);
    assert_true(cvn_json_integer(cvn_event_arg(event, 0), &count));
    memset(json, 'x', MEGA + 2);
    json[0] = json[MEGA + 1] = '"';
    json[MEGA + 2] = '\0';
    while (count-- > 0)
        cvn_socket_emit(socket, "data", cvn_json(json));
    free(json);
    note("flooded");
}

static void on_arrived(void *data)
{
    (void)data;
    note("there");
}

/* Once all workers have ended their turn: what they flush in it has been flushed. */
static cvn_stats stats_of(cvn_server *server)
{
    cvn_stats stats;
    memset(&stats, 0xff, sizeof stats);
    for (unsigned i = 0; i < 2 * cvn_server_workers(server); i++) {
        assert_int_equal(cvn_post(server, i / 2, on_arrived, NULL), CVN_OK);
        assert_note("there");
    }
    cvn_server_stats(server, &stats);
    return stats;
}

static cvn_server *numbers_server(unsigned workers, uint16_t *ret_port)
{
    cvn_server *server = cvn_server_new(&(cvn_options){.host = "127.0.0.1",
                                                       .workers = workers,
                                                       .hide_client = true,
                                                       .allow_request = allow,
                                                       .send_max = 64 * MEGA,
                                                       .upgrade_timeout_ms = 50});
    assert_non_null(server);
    notes_open();
    cvn_namespace *all[] = {cvn_of(server, "/"), cvn_of(server, "/chat"),
                            cvn_of_pattern(server, "^/room-[0-9]+$")};
    for (int i = 0; i < 3; i++) {
        cvn_use(all[i], refuse_some, NULL);
        cvn_on_connection(all[i], on_connection, NULL);
        cvn_on_disconnect(all[i], on_disconnect, NULL);
        cvn_on(all[i], "echo", on_echo, NULL);
        cvn_on(all[i], "cut", on_cut, NULL);
        cvn_on(all[i], "flood", on_flood, NULL);
    }
    cvn_stats stats;
    cvn_server_stats(server, &stats); /* before the start */
    static const cvn_stats none;
    assert_memory_equal(&stats, &none, sizeof stats);
    *ret_port = server_start(server);
    return server;
}

static void end(cvn_server *server)
{
    cvn_server_free(server);
    notes_close();
}

static struct client *joined_in(uint16_t port, const char *nsp)
{
    struct client *client = ws_open(port);
    join_with(client, nsp, "");
    assert_note("in");
    return client;
}

static void leave(struct client *client)
{
    client_free(client);
    assert_note("out transport close");
}

static void test_events(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = numbers_server(2, &port);
    struct client *root = joined_in(port, ""), *chat = joined_in(port, "/chat,");
    struct client *room = joined_in(port, "/room-1,");
    for (int i = 0; i < 3; i++) {
        ws_send(root, "42[\"echo\",1]");
        assert_ws_text(root, "42[\"echo\",1]");
    }
    ws_send(chat, "42/chat,[\"unheard\"]");
    ws_send(room, "42/room-1,[\"echo\",2]");
    assert_ws_text(room, "42/room-1,[\"echo\",2]");
    assert_ws_silent(chat);
    cvn_stats stats = stats_of(server);
    assert_int_equal(stats.events_in, 5);
    uint64_t bytes_in = 3 * strlen("2[\"echo\",1]") + strlen("2/chat,[\"unheard\"]") +
                        strlen("2/room-1,[\"echo\",2]");
    uint64_t bytes_out = stats.bytes_out;
    assert_int_equal(stats.bytes_in, bytes_in);
    assert_true(bytes_out > 3 * strlen("42[\"echo\",1]"));
    assert_int_equal(stats.events_out, 4);
    assert_int_equal(stats.websocket, 3);
    assert_int_equal(stats.polling, 0);
    ws_send(chat, "40/room-1,{\"a\":1}");
    assert_ws_text(chat, "44/room-1,{\"message\":\"no\"}");

    leave(room); /* and with it its namespace */
    for (int i = 2; i < 5; i++) {
        char nsp[16], event[32];
        snprintf(nsp, sizeof nsp, "/room-%d,", i);
        room = joined_in(port, nsp);
        snprintf(event, sizeof event, "42%s[\"echo\"]", nsp);
        ws_send(room, event);
        assert_string_equal(ws_read(room), event);
        leave(room);
    }
    stats = stats_of(server);
    assert_null(cvn_find_namespace(server, "/room-1"));
    assert_int_equal(stats.events_in, 8);
    assert_true(stats.bytes_in >= bytes_in + 3 * strlen("2/room-2,[\"echo\"]"));
    assert_true(stats.bytes_out >= bytes_out + 3 * strlen("42/room-2,[\"echo\"]"));
    assert_int_equal(stats.events_out, 7);
    assert_int_equal(stats.turned_away, 1);
    assert_int_equal(stats.sockets, 2);
    leave(root);
    leave(chat);
    end(server);
}

static void test_refused(void **state)
{
    static const struct {
        const char *method, *target;
        enum cvn_refusal refusal;
    } cases[] = {
        {"GET", "/socket.io/?EIO=4", CVN_REFUSED_TRANSPORT},
        {"GET", POLLING "&sid=x", CVN_REFUSED_SESSION},
        {"GET", POLLING "&sid=y", CVN_REFUSED_SESSION},
        {"PUT", POLLING, CVN_REFUSED_METHOD},
        {"GET", "/socket.io/?EIO=4&transport=websocket", CVN_REFUSED_REQUEST},
        {"GET", POLLING "&deny=1", CVN_REFUSED_FORBIDDEN},
        {"GET", "/socket.io/?EIO=3&transport=polling", CVN_REFUSED_VERSION},
        {"GET", "/elsewhere", CVN_REFUSALS}, /* not Socket.IO's */
    };
    uint64_t expected[CVN_REFUSALS] = {0};
    uint16_t port;
    (void)state;
    cvn_server *server = numbers_server(2, &port);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client *client = client_new(port);
        assert_true(http_exchange(client, cases[i].method, cases[i].target, "", NULL)->status >=
                    400);
        client_free(client);
        if (cases[i].refusal < CVN_REFUSALS)
            expected[cases[i].refusal]++;
    }
    cvn_stats stats = stats_of(server);
    assert_memory_equal(stats.refused, expected, sizeof expected);
    assert_string_equal(cvn_refusal_text(CVN_REFUSED_SESSION), "Session ID unknown");
    assert_string_equal(cvn_refusal_text(CVN_REFUSED_FULL), "Server full");
    assert_string_equal(cvn_refusal_text(CVN_REFUSALS), "unknown");
    end(server);
}

static void test_closed(void **state)
{
    uint64_t expected[CVN_CLOSE_REASONS] = {0};
    uint16_t port;
    (void)state;
    cvn_server *server = numbers_server(2, &port);
    leave(joined_in(port, ""));
    leave(joined_in(port, "/chat,"));
    expected[CVN_CLOSED_TRANSPORT_CLOSE] = 2;
    struct client *client = joined_in(port, "");
    ws_send(client, "4?");
    assert_note("out parse error");
    expected[CVN_CLOSED_PARSE_ERROR] = 1;
    client_free(client);
    client = joined_in(port, "");
    ws_send(client, "42[\"cut\"]");
    assert_note("out server namespace disconnect");
    expected[CVN_CLOSED_FORCED_CLOSE] = 1;
    client_free(client);
    client = joined_in(port, "");
    ws_send(client, "42[\"flood\",200]");
    assert_note("flooded");
    assert_note("out slow consumer");
    expected[CVN_CLOSED_SLOW_CONSUMER] = 1;
    client_free(client);
    cvn_stats stats = stats_of(server);
    assert_memory_equal(stats.closed, expected, sizeof expected);
    assert_int_equal(stats.queued, 0);
    client = joined_in(port, "");
    cvn_server_stop(server);
    assert_ws_closed(client);
    assert_note("out server shutting down");
    cvn_server_wait(server);
    cvn_server_stats(server, &stats); /* still there */
    expected[CVN_CLOSED_SHUTDOWN] = 1;
    assert_memory_equal(stats.closed, expected, sizeof expected);
    for (int i = 0; i < CVN_CLOSE_REASONS; i++)
        assert_string_not_equal(cvn_close_reason_text((enum cvn_close_reason)i), "unknown");
    assert_string_equal(cvn_close_reason_text(CVN_CLOSED_PING_TIMEOUT), "ping timeout");
    client_free(client);
    end(server);
}

/* A probing WebSocket for a session on polling. */
static struct client *probe(uint16_t port, const struct client *polling)
{
    char target[128];
    struct client *client = client_new(port);
    snprintf(target, sizeof target, "/socket.io/?EIO=4&transport=websocket&sid=%s", polling->sid);
    http_send(client, "GET", target, WS_FIELDS, NULL);
    assert_int_equal(http_receive(client, false)->status, 101);
    return client;
}

static void test_upgrades(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = numbers_server(1, &port);
    struct client *polling[3];
    for (int i = 0; i < 3; i++)
        polling[i] = polling_open(port);
    cvn_stats stats = stats_of(server);
    assert_int_equal(stats.polling, 3);
    assert_int_equal(stats.websocket, 0);

    struct client *done = probe(port, polling[0]);
    ws_send(done, "2probe");
    assert_ws_text(done, "3probe");
    ws_send(done, "5");
    join_with(done, "", "");
    assert_note("in");
    struct client *lost = probe(port, polling[1]), *late = probe(port, polling[2]);
    client_free(lost);
    assert_ws_closed(late); /* did not come to the point in time */
    do
        stats = stats_of(server);
    while (stats.upgrades_failed < 2); /* the first one's end may still be on its way */
    assert_int_equal(stats.upgrades, 1);
    assert_int_equal(stats.upgrades_failed, 2);
    assert_int_equal(stats.polling, 2);
    assert_int_equal(stats.websocket, 1);
    leave(done);
    client_free(late);
    for (int i = 0; i < 3; i++)
        client_free(polling[i]);
    end(server);
}

static void test_queued(void **state)
{
    uint16_t port;
    (void)state;
    cvn_server *server = numbers_server(2, &port);
    struct client *polling = polling_open(port);
    polling_post(polling, "40");
    assert_note("in");
    assert_memory_equal(polling_get(polling), "40", 2);
    assert_int_equal(stats_of(server).queued, 0);
    polling_post(polling, "42[\"flood\",3]");
    assert_note("flooded");
    uint64_t waiting = stats_of(server).queued;
    assert_in_range(waiting, 3 * MEGA, 3 * MEGA + 100);

    struct client *slow = joined_in(port, "");
    ws_send(slow, "42[\"flood\",30]"); /* more than the kernel takes */
    assert_note("flooded");
    uint64_t more = stats_of(server).queued;
    assert_in_range(more, waiting + 1, waiting + 30 * MEGA + 1000);
    for (int i = 0; i < 30; i++)
        assert_int_equal(strlen(ws_read(slow)), strlen("42[\"data\",\"\"]") + MEGA);
    assert_int_equal(stats_of(server).queued, waiting); /* all taken */
    ws_send(slow, "42[\"flood\",30]");
    assert_note("flooded");
    assert_true(stats_of(server).queued > waiting);
    client_free(slow); /* with all that waited for it */
    assert_true(strncmp(next_note(), "out transport", 13) == 0);
    assert_int_equal(stats_of(server).queued, waiting);

    polling_get(polling);
    assert_int_equal(stats_of(server).queued, 0);
    polling_post(polling, "42[\"flood\",1]");
    assert_note("flooded");
    assert_true(stats_of(server).queued > MEGA);
    polling_post(polling, "1");
    assert_note("out transport close");
    assert_int_equal(stats_of(server).queued, 0);
    client_free(polling);
    end(server);
}

/* The text between `before` and the next quote. */
static void cut_out(const char *text, const char *before, char *ret, size_t size)
{
    const char *begin = strstr(text, before);
    assert_non_null(begin);
    begin += strlen(before);
    size_t length = strcspn(begin, "\"");
    assert_true(length < size);
    memcpy(ret, begin, length);
    ret[length] = '\0';
}

static void test_recovered(void **state)
{
    char pid[64], offset[64], connect[192];
    (void)state;
    notes_open();
    cvn_server *server = cvn_server_new(&(cvn_options){
        .host = "127.0.0.1", .workers = 2, .hide_client = true, .recovery_window_ms = 60000});
    cvn_on_disconnect(cvn_of(server, "/"), on_disconnect, NULL);
    cvn_on(cvn_of(server, "/"), "echo", on_echo, NULL);
    uint16_t port = server_start(server);
    struct client *client = ws_open(port);
    ws_send(client, "40");
    cut_out(ws_read(client), "\"pid\":\"", pid, sizeof pid);
    ws_send(client, "42[\"echo\",1]");
    cut_out(ws_read(client), "1,\"", offset, sizeof offset);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stats_of(server).recovered, i);
        leave(client);
        client = ws_open(port);
        snprintf(connect, sizeof connect, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", pid, offset);
        ws_send(client, connect);
        assert_non_null(strstr(ws_read(client), pid));
    }
    assert_int_equal(stats_of(server).recovered, 2);
    leave(client);
    client = ws_open(port);
    ws_send(client, "40{\"pid\":\"nobody\",\"offset\":\"x\"}");
    assert_null(strstr(ws_read(client), pid));
    assert_int_equal(stats_of(server).recovered, 2);
    leave(client);
    end(server);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_closed), cmocka_unit_test(test_upgrades),
        cmocka_unit_test(test_queued), cmocka_unit_test(test_recovered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
