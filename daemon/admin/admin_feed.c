/*
 * What happens to the sockets of a worker, written down as it happens and posted at the next tick. Runs on the worker, while an admin watches;
 * else the observer is not told, and none of this runs.
 *
 * Bounds: so many events in and out a second (the rest is not shown), so much text a batch (a full one is posted at once). Payloads are
 * shown up to some bytes.
 */
#include "admin/admin_internal.h"
#include "observe/clock.h"
#include <stdlib.h>

#define MAX_TEXT          (2 << 20) /* bytes of a batch */
#define FULL_TEXT         (256 << 10)
#define FULL_COUNT        2000
#define MAX_ARGS          4096 /* bytes of an event's arguments that are shown */
#define EVENTS_PER_SECOND 500  /* of a worker */

const char *admin_kind_name(enum admin_kind kind)
{
    static const char *const names[] = {
        "socket_connected", "socket_updated", "socket_disconnected", "room_joined",
        "room_left",        "event_received", "event_sent",          "server_stats",
    };
    return names[kind];
}

/* --- Batches --- */

struct admin_batch *admin_batch_new(unsigned from)
{
    struct admin_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return NULL;
    atomic_init(&batch->refs, 1);
    batch->from = from;
    batch->text = cvn_text_new(MAX_TEXT);
    if (batch->text == NULL) {
        free(batch);
        return NULL;
    }
    return batch;
}

struct admin_batch *admin_batch_ref(struct admin_batch *batch)
{
    atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    return batch;
}

void admin_batch_unref(struct admin_batch *batch)
{
    if (batch == NULL || atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) != 1)
        return;
    cvn_text_free(batch->text);
    free(batch->records);
    free(batch);
}

bool admin_batch_add(struct admin_batch *batch, enum admin_kind kind, uint32_t not_for,
                     size_t offset)
{
    if (cvn_text_failed(batch->text))
        return false;
    if (batch->count == batch->capacity) {
        uint32_t capacity = batch->capacity ? batch->capacity * 2 : 32;
        struct admin_record *records = realloc(batch->records, capacity * sizeof *records);
        if (records == NULL)
            return false;
        batch->records = records;
        batch->capacity = capacity;
    }
    batch->records[batch->count++] =
        (struct admin_record){(uint8_t)kind, not_for, (uint32_t)offset,
                              (uint32_t)(cvn_text_slice(batch->text).size - offset)};
    return true;
}

/* --- Sending --- */

static void deliver(struct admin_worker *worker, void *payload)
{
    admin_client_on_batch(worker, payload);
    admin_batch_unref(payload);
}

static void drop(void *payload)
{
    admin_batch_unref(payload);
}

void admin_feed_lose(struct admin *admin)
{
    for (unsigned i = 0; i < admin->worker_count; i++)
        atomic_store(&admin->workers[i].has_missed, true);
}

void admin_feed_send(struct admin_worker *worker, struct admin_batch *batch)
{
    struct admin *admin = worker->admin;
    for (unsigned i = 0; i < admin->worker_count; i++)
        if (atomic_load_explicit(&admin->workers[i].client_count, memory_order_relaxed) > 0)
            if (!admin_post(admin, i, deliver, admin_batch_ref(batch), drop))
                atomic_store(&admin->workers[i].has_missed, true);
    admin_batch_unref(batch);
}

void admin_feed_flush(struct admin_worker *worker)
{
    struct admin_batch *batch = worker->batch;
    worker->batch = NULL;
    if (batch != NULL)
        admin_feed_send(worker, batch);
}

/* --- Writing down --- */

/* Where to write; NULL when memory has run out. *ret_offset: where it begins. */
static cvn_text *begin(struct admin_worker *worker, size_t *ret_offset)
{
    if (worker->batch == NULL)
        worker->batch = admin_batch_new(worker->index);
    if (worker->batch == NULL) {
        admin_feed_lose(worker->admin);
        return NULL;
    }
    *ret_offset = cvn_text_slice(worker->batch->text).size;
    return worker->batch->text;
}

static void end(struct admin_worker *worker, enum admin_kind kind, const cvn_socket *socket,
                size_t offset)
{
    struct admin_batch *batch = worker->batch;
    if (!admin_batch_add(batch, kind, admin_walk_ahead(worker, socket), offset)) {
        batch->has_lost = true;
        admin_feed_flush(worker);
    } else if (batch->count >= FULL_COUNT || cvn_text_slice(batch->text).size >= FULL_TEXT) {
        admin_feed_flush(worker);
    }
}

static void append_string(cvn_text *text, const char *before, const char *string)
{
    cvn_text_append(text, before);
    cvn_text_append_json_string(text, cvn_str(string));
}

static void append_end(cvn_text *text)
{
    cvn_text_append(text, ",");
    admin_append_time(text, clock_wall_ms());
}

static const char *nsp_of(const cvn_socket *socket)
{
    return cvn_namespace_name(cvn_socket_namespace(socket));
}

/* nsp, what, id, time */
static void write_change(struct admin_worker *worker, enum admin_kind kind,
                         const cvn_socket *socket, const char *second, const char *third)
{
    size_t offset;
    cvn_text *text = begin(worker, &offset);
    if (text == NULL)
        return;
    append_string(text, "", nsp_of(socket));
    append_string(text, ",", second);
    append_string(text, ",", third);
    append_end(text);
    end(worker, kind, socket, offset);
}

static void write_connected(struct admin_worker *worker, const cvn_socket *socket)
{
    size_t offset;
    cvn_text *text = begin(worker, &offset);
    if (text == NULL)
        return;
    admin_describe(text, worker->scratch, socket, false);
    append_end(text);
    end(worker, ADMIN_SOCKET_CONNECTED, socket, offset);
}

static void on_join(cvn_socket *socket, const char *room, void *data)
{
    struct admin_worker *worker = admin_worker_of(data, socket);
    write_change(worker, ADMIN_ROOM_JOINED, socket, room, cvn_socket_id(socket));
    if (strcmp(room, cvn_socket_id(socket)) == 0)
        write_connected(worker, socket);
}

static void on_leave(cvn_socket *socket, const char *room, void *data)
{
    write_change(admin_worker_of(data, socket), ADMIN_ROOM_LEFT, socket, room,
                 cvn_socket_id(socket));
}

static void on_disconnect(cvn_socket *socket, const char *reason, void *data)
{
    write_change(admin_worker_of(data, socket), ADMIN_SOCKET_DISCONNECTED, socket,
                 cvn_socket_id(socket), reason);
}

static void on_upgrade(cvn_socket *socket, void *data)
{
    struct admin_worker *worker = admin_worker_of(data, socket);
    size_t offset;
    cvn_text *text = begin(worker, &offset);
    if (text == NULL)
        return;
    append_string(text, "{\"id\":", cvn_socket_id(socket));
    append_string(text, ",\"nsp\":", nsp_of(socket));
    append_string(text, ",\"transport\":", cvn_socket_transport(socket));
    cvn_text_append(text, "}");
    end(worker, ADMIN_SOCKET_UPDATED, socket, offset);
}

/* --- Events --- */

/* Whether one more event is shown in this second. */
static bool may_show(struct admin_worker *worker)
{
    int64_t second = clock_steady_ms() / 1000;
    if (second != worker->second) {
        worker->second = second;
        worker->events_left = EVENTS_PER_SECOND;
    }
    if (worker->events_left == 0)
        return false;
    worker->events_left--;
    return true;
}

/* Tokens travel in these. */
static bool is_secret(cvn_slice event)
{
    static const char name[] = "auth_refresh";
    return event.size == sizeof name - 1 && memcmp(event.data, name, event.size) == 0;
}

static void append_args(cvn_text *text, cvn_slice event, cvn_args args)
{
    if (args.json.size == 0)
        return;
    cvn_text_append(text, ",");
    if (is_secret(event)) {
        cvn_text_append(text, "\"[hidden]\"");
    } else if (args.attachment_count > 0) {
        size_t bytes = 0;
        for (size_t i = 0; i < args.attachment_count; i++)
            bytes += args.attachments[i].size;
        cvn_text_printf(text, "\"[%zu bytes of text, %zu attachments of %zu bytes]\"",
                        args.json.size, args.attachment_count, bytes);
    } else if (args.json.size > MAX_ARGS) {
        cvn_text_printf(text, "\"[%zu bytes]\"", args.json.size);
    } else {
        cvn_text_append_slice(text, args.json);
    }
}

/* nsp, id, [event, args...], time */
static void write_event(struct admin *admin, enum admin_kind kind, const cvn_socket *socket,
                        cvn_slice event, cvn_args args)
{
    struct admin_worker *worker = admin_worker_of(admin, socket);
    size_t offset;
    cvn_text *text;
    if (cvn_socket_namespace(socket) == admin->nsp || !may_show(worker) ||
        (text = begin(worker, &offset)) == NULL)
        return;
    append_string(text, "", nsp_of(socket));
    append_string(text, ",", cvn_socket_id(socket));
    cvn_text_append(text, ",[");
    cvn_text_append_json_string(text, event);
    append_args(text, event, args);
    cvn_text_append(text, "]");
    append_end(text);
    end(worker, kind, socket, offset);
}

static void on_event(cvn_socket *socket, const cvn_event *event, void *data)
{
    write_event(data, ADMIN_EVENT_RECEIVED, socket, cvn_event_name(event), cvn_event_args(event));
}

static void on_outgoing(cvn_socket *socket, const char *event, cvn_args args, void *data)
{
    write_event(data, ADMIN_EVENT_SENT, socket, cvn_str(event), args);
}

cvn_observer admin_feed_observer(struct admin *admin)
{
    return (cvn_observer){
        .on_join = on_join,
        .on_leave = on_leave,
        .on_disconnect = on_disconnect,
        .on_upgrade = on_upgrade,
        .on_event = on_event,
        .on_outgoing = on_outgoing,
        .data = admin,
    };
}
