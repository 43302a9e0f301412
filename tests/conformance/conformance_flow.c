/*
 * The contract "sio-flow": flow control on the public API, for tests that make clients slow. Whoever sends `watch` is told of everybody's
 * `high`, `drain` (the id) and `left` (the id, the reason). `fill` n, size: n events `data` (number, a string of that size), which must arrive.
 * `push` id, key, first, n, bytes: n events `latest` (number, the bytes if any) with that key to the socket of that id, each the next one's victim if it
 * still waits; acknowledged. `drop` id, n: n volatile events `maybe`; acknowledged. `stats`, ack: the counters of the socket and of the namespace. Pages of
 * https://app.example may connect with credentials; the session's id is also a cookie, "sid", for an hour.
 */
#include "conformance.h"
#include <convene/convene.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCHERS "watchers"

static void tell_watchers(cvn_socket *socket, const char *event, const char *reason)
{
    char json[128];
    snprintf(json, sizeof json, "\"%s\",\"%s\"", cvn_socket_id(socket), reason);
    cvn_target watchers = {.nsp = cvn_socket_namespace(socket), .rooms = {WATCHERS}};
    cvn_emit(&watchers, event, cvn_json(json));
}

static void on_high_water(cvn_socket *socket, void *data)
{
    (void)data;
    tell_watchers(socket, "high", cvn_socket_queued(socket) > 65536 ? "above" : "below");
}

static void on_drain(cvn_socket *socket, void *data)
{
    (void)data;
    tell_watchers(socket, "drain", cvn_socket_queued(socket) > 16384 ? "above" : "below");
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    (void)data;
    tell_watchers(socket, "left", reason);
}

static void on_watch(cvn_socket *socket, const cvn_event *event, void *data)
{
    (void)data;
    cvn_ack(event, cvn_join(socket, WATCHERS) == CVN_OK ? "true" : "false");
}

static uint64_t number_at(const cvn_event *event, size_t index)
{
    uint64_t number = 0;
    cvn_json_integer(cvn_event_arg(event, index), &number);
    return number;
}

static void on_fill(cvn_socket *socket, const cvn_event *event, void *data)
{
    uint64_t count = number_at(event, 0), size = number_at(event, 1);
    (void)data;
    if (size > 1000000)
        return;
    char *json = malloc(size + 32);
    for (uint64_t i = 0; json != NULL && i < count && cvn_socket_is_connected(socket); i++) {
        int head = snprintf(json, 32, "%llu,\"", (unsigned long long)i);
        memset(json + head, 'x', size);
        memcpy(json + head + size, "\"", 2);
        cvn_socket_emit(socket, "data", cvn_json(json));
    }
    free(json);
}

static void on_push(cvn_socket *socket, const cvn_event *event, void *data)
{
    char id[32], key[64], json[160];
    cvn_slice bytes = {NULL, 0};
    uint64_t first = number_at(event, 2), count = number_at(event, 3);
    (void)data;
    if (!cvn_json_string(cvn_event_arg(event, 0), id, sizeof id) ||
        !cvn_json_string(cvn_event_arg(event, 1), key, sizeof key))
        return;
    bool has_bytes = cvn_args_binary(cvn_event_args(event), cvn_event_arg(event, 4), &bytes);
    cvn_target target = {.nsp = cvn_socket_namespace(socket), .rooms = {id}, .conflate = key};
    enum cvn_error error = CVN_OK;
    for (uint64_t i = first; i < first + count && error == CVN_OK; i++) {
        snprintf(json, sizeof json, "\"%s\",%llu%s", key, (unsigned long long)i,
                 has_bytes ? ",{\"_placeholder\":true,\"num\":0}" : "");
        error = cvn_emit(&target, "latest", (cvn_args){cvn_str(json), &bytes, has_bytes});
    }
    snprintf(json, sizeof json, "\"%s\"", cvn_strerror(error));
    cvn_ack(event, json);
}

static void on_drop(cvn_socket *socket, const cvn_event *event, void *data)
{
    char id[32];
    uint64_t count = number_at(event, 1);
    (void)data;
    if (!cvn_json_string(cvn_event_arg(event, 0), id, sizeof id))
        return;
    cvn_target target = {.nsp = cvn_socket_namespace(socket), .rooms = {id}, .flags = CVN_VOLATILE};
    for (uint64_t i = 0; i < count; i++)
        cvn_emit(&target, "maybe", cvn_json("1"));
    cvn_ack(event, "true");
}

static void on_stats(cvn_socket *socket, const cvn_event *event, void *data)
{
    cvn_socket_counters own;
    cvn_namespace_counters all;
    cvn_text *text = cvn_text_new(1000);
    (void)data;
    cvn_socket_stats(socket, &own);
    cvn_namespace_stats(cvn_socket_namespace(socket), &all);
    if (text == NULL)
        return;
#define FIELD(from, name) cvn_text_printf(text, "\"" #name "\":%lld,", (long long)(from).name)
    cvn_text_append(text, "{");
    FIELD(own, packets_in);
    FIELD(own, packets_out);
    FIELD(own, bytes_in);
    FIELD(own, bytes_out);
    FIELD(own, dropped);
    FIELD(own, conflated);
    FIELD(own, connected_ms);
    FIELD(own, queued);
    FIELD(all, sockets);
    FIELD(all, connections_total);
    FIELD(all, events_in);
    FIELD(all, events_out);
    cvn_text_append(text, "\"end\":0}");
#undef FIELD
    cvn_ack_args(event, cvn_json_slice(cvn_text_slice(text)));
    cvn_text_free(text);
}

void conformance_setup_flow(cvn_server *server)
{
    cvn_namespace *root = cvn_of(server, "/");
    cvn_on_high_water(root, on_high_water, NULL);
    cvn_on_drain(root, on_drain, NULL);
    cvn_on_disconnect(root, on_disconnect, NULL);
    cvn_on(root, "watch", on_watch, NULL);
    cvn_on(root, "fill", on_fill, NULL);
    cvn_on(root, "push", on_push, NULL);
    cvn_on(root, "drop", on_drop, NULL);
    cvn_on(root, "stats", on_stats, NULL);
}
