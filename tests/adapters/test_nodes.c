/*
 * What is special about nodes of a cluster, with the adapter in memory: dynamic namespaces, which one node may have and another not; connection
 * state recovery, where each node counts for itself; memory that runs out while ops and answers come in.
 */
#include "base/mem.h"
#include "server/client.h"
#include "memory_adapter.h"

#define NODES 2

static struct memory_hub *hub;
static cvn_server *servers[NODES];
static cvn_namespace *roots[NODES];
static struct client *clients[NODES];

static cvn_server *node_new(uint32_t recovery_window_ms)
{
    cvn_server *server = cvn_server_new(&(cvn_options){.host = "127.0.0.1",
                                                       .workers = 2,
                                                       .hide_client = true,
                                                       .recovery_window_ms = recovery_window_ms});
    assert_non_null(server);
    assert_int_equal(cvn_server_set_adapter(server, memory_adapter_new(hub)), CVN_OK);
    return server;
}

static void on_connection(cvn_socket *socket, void *data)
{
    note("in %s%s%s", (const char *)data, cvn_namespace_name(cvn_socket_namespace(socket)),
         cvn_socket_recovered(socket) ? " again" : "");
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)socket;
    (void)reason;
    note("out %s", (const char *)data);
}

static void open_nodes(uint32_t recovery_window_ms)
{
    static const char *const names[NODES] = {"a", "b"};
    notes_open();
    hub = memory_hub_new(3);
    assert_non_null(hub);
    for (int i = 0; i < NODES; i++) {
        servers[i] = node_new(recovery_window_ms);
        roots[i] = cvn_of(servers[i], "/");
        cvn_on_disconnect(roots[i], on_disconnect, (void *)names[i]);
        cvn_on_connection(roots[i], on_connection, (void *)names[i]);
        cvn_namespace *documents = cvn_of_pattern(servers[i], "^/document-[0-9]+$");
        cvn_on_connection(documents, on_connection, (void *)names[i]);
        server_start(servers[i]);
        if (recovery_window_ms == 0) {
            clients[i] = joined(cvn_server_port(servers[i]));
            assert_string_equal(next_note(), i == 0 ? "in a/" : "in b/");
        }
    }
}

static void close_nodes(void)
{
    for (int i = 0; i < NODES; i++) {
        cvn_server_free(servers[i]);
        client_free(clients[i]);
        servers[i] = NULL;
        clients[i] = NULL;
    }
    memory_hub_free(hub);
    notes_close();
}

/* --- Dynamic namespaces --- */

static void on_sockets(enum cvn_error error, const cvn_remote_socket *const *sockets, size_t count,
                       void *data)
{
    (void)sockets;
    (void)data;
    note("%d %zu", (int)error, count);
}

static void test_dynamic(void **state)
{
    (void)state;
    open_nodes(0);
    join_with(clients[0], "/document-1,", "");
    assert_note("in a/document-1");
    cvn_namespace *child = cvn_find_namespace(servers[0], "/document-1");
    assert_non_null(child);
    /* The other node has no such namespace: it ignores the emit, and answers that nobody is there. */
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = child}, "n", cvn_json("1")), CVN_OK);
    assert_ws_text(clients[0], "42/document-1,[\"n\",1]");
    assert_int_equal(cvn_fetch_sockets(&(cvn_target){.nsp = child}, 60000, on_sockets, NULL),
                     CVN_OK);
    assert_note("0 1");
    memory_hub_settle(hub);
    assert_null(cvn_find_namespace(servers[1], "/document-1"));
    join_with(clients[1], "/document-1,", "");
    assert_note("in b/document-1");
    assert_int_equal(cvn_emit(&(cvn_target){.nsp = child}, "n", cvn_json("2")), CVN_OK);
    for (int i = 0; i < NODES; i++)
        assert_ws_text(clients[i], "42/document-1,[\"n\",2]");
    assert_int_equal(cvn_fetch_sockets(&(cvn_target){.nsp = child}, 60000, on_sockets, NULL),
                     CVN_OK);
    assert_note("0 2");
    /* All children of the parent that this node has, wherever their sockets are. */
    assert_int_equal(
        cvn_sockets_disconnect(&(cvn_target){.nsp = cvn_namespace_parent(child)}, false), CVN_OK);
    for (int i = 0; i < NODES; i++)
        assert_ws_text(clients[i], "41/document-1,");
    /* A parent itself is nothing that another node has. */
    assert_int_equal(cvn_server_side_emit(cvn_namespace_parent(child), "n", cvn_json("")),
                     CVN_ERR_ARGUMENT);
    cvn_namespace_unref(child);
    close_nodes();
}

/* --- Recovery --- */

static void send_connect(struct client *client, const char *auth)
{
    char text[256];
    snprintf(text, sizeof text, "40%s", auth);
    ws_send(client, text);
}

/* Reads CONNECT. */
static void read_connected(struct client *client, char pid[ID_SIZE + 1])
{
    const char *text = ws_read(client);
    assert_int_equal(sscanf(text, "40{\"sid\":\"%20[^\"]\",\"pid\":\"%20[^\"]\"}", client->id, pid),
                     2);
}

/* What comes from the other node has a position of this node's like everything else, and can be missed. */
static void test_recovery(void **state)
{
    char pid[ID_SIZE + 1], offset[64] = "", auth[200];
    int number = 0;
    (void)state;
    open_nodes(60000);
    struct client *client = ws_open(cvn_server_port(servers[1]));
    send_connect(client, "");
    read_connected(client, pid);
    assert_note("in b/");
    for (int i = 0; i < 3; i++) {
        char json[8];
        snprintf(json, sizeof json, "%d", i);
        assert_int_equal(cvn_emit(&(cvn_target){.nsp = roots[0]}, "n", cvn_json(json)), CVN_OK);
        assert_int_equal(sscanf(ws_read(client), "42[\"n\",%d,\"%63[^\"]\"]", &number, offset), 2);
        assert_int_equal(number, i);
    }
    client_free(client);
    assert_note("out b");
    for (int i = 3; i < 6; i++) { /* missed: from there and from here */
        char json[8];
        snprintf(json, sizeof json, "%d", i);
        assert_int_equal(cvn_emit(&(cvn_target){.nsp = roots[i % 2]}, "n", cvn_json(json)), CVN_OK);
        memory_hub_settle(hub);
    }
    client = ws_open(cvn_server_port(servers[1]));
    snprintf(auth, sizeof auth, "{\"pid\":\"%s\",\"offset\":\"%s\"}", pid, offset);
    send_connect(client, auth);
    bool got[6] = {0};
    for (int i = 3; i < 6; i++) {
        assert_int_equal(sscanf(ws_read(client), "42[\"n\",%d,\"%63[^\"]\"]", &number, offset), 2);
        assert_true(number >= 3 && number < 6 && !got[number]);
        got[number] = true;
    }
    read_connected(client, pid);
    assert_note("in b/ again");
    client_free(client);
    assert_note("out b");
    /* Another node knows nothing of the session: the client starts anew. */
    client = ws_open(cvn_server_port(servers[0]));
    snprintf(auth, sizeof auth, "{\"pid\":\"%s\",\"offset\":\"%s\"}", pid, offset);
    send_connect(client, auth);
    read_connected(client, pid);
    assert_note("in a/");
    client_free(client);
    close_nodes();
}

/* --- Memory --- */

static void on_end(enum cvn_error error, const cvn_answers *answers, void *data)
{
    (void)error;
    (void)answers;
    (void)data;
    note("end");
}

/* Whichever allocation fails on the thread that brings something in: an error, and nothing else. */
static void test_no_memory_inbound(void **state)
{
    const cvn_slice list[] = {{"a", 1}, {"b", 1}}, bytes[] = {{"x", 1}};
    const cvn_cluster_socket sockets[] = {
        {cvn_str("id"), list, 2, cvn_str("1"), cvn_str("{}")},
        {cvn_str("id"), list, 2, cvn_str("1"), cvn_str("{}")},
    };
    (void)state;
    open_nodes(0);
    cvn_cluster *cluster = memory_hub_cluster(hub, 0);
    char request[CVN_CLUSTER_MAX_ID];
    snprintf(request, sizeof request, "%s.00.1", cvn_cluster_node_id(cluster));
    for (int type = CVN_CLUSTER_EMIT; type <= CVN_CLUSTER_SERVER_EMIT; type++)
        for (int asks = 0; asks < 2; asks++) {
            enum cvn_error error = CVN_ERR_MEMORY;
            for (uint64_t failing = 0; error == CVN_ERR_MEMORY; failing++) {
                const cvn_cluster_op op = {
                    .type = (enum cvn_cluster_op_type)type,
                    .nsp = cvn_str("/"),
                    .rooms = list,
                    .room_count = 2,
                    .event = cvn_str("n"),
                    .args = {cvn_str("{\"_placeholder\":true,\"num\":0}"), bytes, 1},
                    .room = cvn_str("c"),
                    .request = cvn_str(asks || type == CVN_CLUSTER_FETCH ? "r" : ""),
                    .node = cvn_str("me"),
                };
                assert_true(failing < 30);
                mem_fail_after(failing, 1);
                error = cvn_cluster_receive(cluster, &op);
                mem_fail_after(0, 0);
            }
            assert_int_equal(error, CVN_OK);
        }
    for (int type = CVN_CLUSTER_CLIENT_COUNT; type <= CVN_CLUSTER_SERVER_ACK; type++) {
        enum cvn_error error = CVN_ERR_MEMORY;
        for (uint64_t failing = 0; error == CVN_ERR_MEMORY; failing++) {
            const cvn_cluster_answer answer = {
                .type = (enum cvn_cluster_answer_type)type,
                .request = cvn_str(request),
                .args = {cvn_str("{\"_placeholder\":true,\"num\":0}"), bytes, 1},
                .sockets = sockets,
                .socket_count = 2,
            };
            assert_true(failing < 10);
            mem_fail_after(failing, 1);
            error = cvn_cluster_receive_answer(cluster, &answer);
            mem_fail_after(0, 0);
        }
        assert_int_equal(error, CVN_OK);
    }
    for (int i = 0; i < NODES; i++)
        assert_ws_silent(clients[i]);
    close_nodes();
}

/* The same on the thread that asks: an error, or one end. */
static void test_no_memory_outbound(void **state)
{
    (void)state;
    open_nodes(0);
    const cvn_target nobody = {.nsp = roots[0], .rooms = {"nobody's"}};
    for (int what = 0; what < 2; what++) {
        enum cvn_error error = CVN_ERR_MEMORY;
        for (uint64_t failing = 0; failing < 12; failing++) {
            mem_fail_after(failing, 1);
            error = what == 0 ? cvn_emit_ack(&nobody, "q", cvn_json("1"), 60000, on_end, NULL)
                              : cvn_server_side_emit_ack(roots[0], "q", cvn_json("1"), 60000,
                                                         on_end, NULL);
            mem_fail_after(0, 0);
            if (error == CVN_OK)
                assert_note("end");
        }
        assert_int_equal(error, CVN_OK);
    }
    memory_hub_settle(hub);
    assert_no_note();
    close_nodes();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_no_memory_inbound),
        cmocka_unit_test(test_no_memory_outbound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
