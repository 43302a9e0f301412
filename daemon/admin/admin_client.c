/*
 * Admins on their home worker: the picture that is put together for each, and the outbox of records that wait. Runs on the worker.
 *
 * An admin is never sent more than its connection takes: above send_water nothing is, and what waits stays in the outbox (as references to
 * batches, which all admins share). Events are dropped then; when more than MAX_WAITING of the rest waits the admin is "stale": all that is
 * thrown away, and once its connection has drained it gets a new picture, RESYNC_MS after the last one at the earliest.
 */
#include "admin/admin_internal.h"
#include "auth/principal.h"
#include "observe/clock.h"
#include "observe/log.h"
#include <stdlib.h>

#define MAX_WAITING  (4 << 20) /* bytes of batches that one admin may lag behind */
#define RESYNC_MS    5000
#define GIVE_UP_MS   30000 /* after which a picture is begun anew: memory ran out for a part of it */
#define MANY_SOCKETS 2000  /* with more of them a picture has few headers */

/* --- The outbox --- */

static void clear_outbox(struct admin_client *client)
{
    for (size_t i = 0; i < client->count; i++)
        admin_batch_unref(client->outbox[client->first + i].batch);
    client->first = client->count = client->bytes = 0;
}

static size_t weight(const struct admin_batch *batch)
{
    return cvn_text_slice(batch->text).size + batch->count * sizeof *batch->records;
}

/* Takes a reference. False when memory has run out. */
static bool enqueue(struct admin_client *client, struct admin_batch *batch)
{
    if (client->first > 0) {
        memmove(client->outbox, client->outbox + client->first,
                client->count * sizeof *client->outbox);
        client->first = 0;
    }
    if (client->count == client->capacity) {
        size_t capacity = client->capacity ? client->capacity * 2 : 16;
        struct admin_waiting *outbox = realloc(client->outbox, capacity * sizeof *outbox);
        if (outbox == NULL)
            return false;
        client->outbox = outbox;
        client->capacity = capacity;
    }
    client->outbox[client->count++] = (struct admin_waiting){admin_batch_ref(batch), 0};
    client->bytes += weight(batch);
    return true;
}

static void dequeue(struct admin_client *client)
{
    struct admin_waiting *head = &client->outbox[client->first];
    client->bytes -= weight(head->batch);
    admin_batch_unref(head->batch);
    client->count--;
    client->first = client->count > 0 ? client->first + 1 : 0;
}

/* --- Sending --- */

/* Marked volatile for a WebSocket, so that nothing of it is kept for connection state recovery; it is not dropped, because the queue was looked at
 * before. On polling volatile would mean: lost between two polls. */
static void send(const struct admin_client *client, const char *event, cvn_slice json)
{
    bool is_polling = strcmp(cvn_socket_transport(client->socket), "polling") == 0;
    cvn_target target = {.nsp = cvn_socket_namespace(client->socket),
                         .rooms = {cvn_socket_id(client->socket)},
                         .flags = CVN_LOCAL_WORKER | CVN_NO_COMPRESS};
    if (!is_polling)
        target.flags |= CVN_VOLATILE;
    enum cvn_error error = cvn_emit(&target, event, cvn_json_slice(json));
    if (error != CVN_OK)
        log_entry(LOG_WARN, "an admin missed something", LOG_EVENT(event),
                  LOG_TEXT("error", cvn_strerror(error)), LOG_END);
}

static bool is_full(const struct admin_worker *worker, const struct admin_client *client)
{
    return cvn_socket_queued(client->socket) > worker->admin->send_water;
}

/* Sends what may be sent of the batch; false when there is more that has to wait. */
static bool send_batch(const struct admin_worker *worker, const struct admin_client *client,
                       struct admin_waiting *waiting)
{
    const struct admin_batch *batch = waiting->batch;
    cvn_slice text = cvn_text_slice(batch->text);
    for (; waiting->next < batch->count; waiting->next++) {
        const struct admin_record *record = &batch->records[waiting->next];
        if (client->sync != NULL && record->not_for == client->sync->id)
            continue;
        if (is_full(worker, client)) {
            if (record->kind < ADMIN_EVENT_RECEIVED)
                return false;
            continue;
        }
        send(client, admin_kind_name(record->kind),
             (cvn_slice){text.data + record->offset, record->size});
    }
    return true;
}

static void pump(struct admin_worker *worker, struct admin_client *client)
{
    while (client->state == ADMIN_LIVE && client->count > 0 &&
           cvn_socket_is_connected(client->socket)) {
        if (!send_batch(worker, client, &client->outbox[client->first]))
            return;
        dequeue(client);
    }
}

/* --- The picture --- */

static void end_sync(struct admin_client *client)
{
    if (client->sync != NULL)
        atomic_store_explicit(&client->sync->is_over, true, memory_order_relaxed);
    admin_sync_unref(client->sync);
    client->sync = NULL;
    cvn_text_free(client->picture);
    client->picture = NULL;
}

static void make_stale(struct admin_client *client)
{
    end_sync(client);
    clear_outbox(client);
    memset(client->hears, 0, sizeof client->hears);
    client->state = ADMIN_STALE;
}

static void walk(struct admin_worker *worker, void *payload)
{
    admin_walk_add(worker, payload);
}

static void drop_sync(void *payload)
{
    admin_sync_unref(payload);
}

static struct admin_sync *new_sync(struct admin *admin, unsigned home)
{
    struct admin_sync *sync = calloc(1, sizeof *sync);
    cvn_stats stats;
    if (sync == NULL)
        return NULL;
    cvn_server_stats(admin->server, &stats);
    atomic_init(&sync->refs, 1 + admin->worker_count);
    do
        sync->id = atomic_fetch_add_explicit(&admin->last_sync, 1, memory_order_relaxed) + 1;
    while (sync->id == 0);
    sync->home = home;
    sync->is_brief = stats.sockets > MANY_SOCKETS;
    atomic_init(&sync->is_over, false);
    return sync;
}

static void begin_sync(struct admin_worker *worker, struct admin_client *client)
{
    struct admin *admin = worker->admin;
    make_stale(client);
    client->synced_at_ms = clock_steady_ms();
    client->picture = cvn_text_new(admin->max_picture);
    client->sync = client->picture != NULL ? new_sync(admin, worker->index) : NULL;
    if (client->sync == NULL) {
        make_stale(client); /* tried again later */
        return;
    }
    client->state = ADMIN_SYNCING;
    client->is_cut = false;
    client->sources_left = admin->worker_count;
    cvn_text_append(client->picture, "[");
    bool is_asked = true;
    for (unsigned i = 0; i < admin->worker_count; i++)
        is_asked = admin_post(admin, i, walk, client->sync, drop_sync) && is_asked;
    if (!is_asked)
        make_stale(client);
}

static struct admin_client *find_syncing(const struct admin_worker *worker, uint32_t sync)
{
    for (struct admin_client *client = worker->clients; client != NULL; client = client->next)
        if (client->state == ADMIN_SYNCING && client->sync->id == sync)
            return client;
    return NULL;
}

void admin_client_on_begin(struct admin_worker *worker, uint32_t sync, unsigned from)
{
    struct admin_client *client = find_syncing(worker, sync);
    if (client != NULL)
        client->hears[from] = true;
}

void admin_client_on_part(struct admin_worker *worker, uint32_t sync, cvn_text *part)
{
    struct admin_client *client = find_syncing(worker, sync);
    cvn_slice json = cvn_text_slice(part);
    if (client != NULL && !client->is_cut) {
        size_t size = cvn_text_slice(client->picture).size;
        client->is_cut = size + json.size + 2 > worker->admin->max_picture;
        if (!client->is_cut) {
            cvn_text_append(client->picture, size > 1 ? "," : "");
            cvn_text_append_slice(client->picture, json);
        }
    }
    cvn_text_free(part);
}

void admin_client_on_end(struct admin_worker *worker, uint32_t sync)
{
    struct admin_client *client = find_syncing(worker, sync);
    if (client == NULL || --client->sources_left > 0)
        return;
    cvn_text_append(client->picture, "]");
    if (client->is_cut)
        log_entry(LOG_WARN, "too many sockets for an admin's picture: some are left out",
                  LOG_USER(client->identity->name), LOG_END);
    client->state = ADMIN_LIVE;
    send(client, "all_sockets", cvn_text_slice(client->picture));
    cvn_text_free(client->picture);
    client->picture = NULL;
    pump(worker, client);
}

void admin_client_on_batch(struct admin_worker *worker, struct admin_batch *batch)
{
    for (struct admin_client *client = worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        if (batch->from == ADMIN_MAX_WORKERS) {
            struct admin_waiting stats = {batch, 0};
            send_batch(worker, client, &stats);
            continue;
        }
        if (client->state == ADMIN_STALE || !client->hears[batch->from])
            continue;
        if (client->bytes + weight(batch) > MAX_WAITING || batch->has_lost ||
            !enqueue(client, batch))
            make_stale(client);
        else
            pump(worker, client);
    }
}

/* --- Coming, going, time --- */

void admin_client_tick(struct admin_worker *worker)
{
    bool has_missed = atomic_exchange(&worker->has_missed, false);
    for (struct admin_client *client = worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        if (!admin_identity_is_good(worker->admin, client->identity)) {
            admin_audit(worker->admin, "admin_expired", client->socket, client->identity->name,
                        NULL, ADMIN_NAMESPACE, "AUTH_EXPIRED");
            cvn_disconnect(client->socket, false); /* removes it */
            continue;
        }
        if (has_missed && worker->admin->is_development)
            make_stale(client);
        if (client->state == ADMIN_SYNCING &&
            clock_steady_ms() - client->synced_at_ms >= GIVE_UP_MS)
            make_stale(client);
        if (client->state == ADMIN_STALE && !is_full(worker, client) &&
            clock_steady_ms() - client->synced_at_ms >= RESYNC_MS)
            begin_sync(worker, client);
        pump(worker, client);
    }
}

static void free_client(struct admin_client *client)
{
    make_stale(client);
    free(client->outbox);
    free(client);
}

bool admin_client_add(struct admin_worker *worker, cvn_socket *socket,
                      struct admin_identity *identity)
{
    struct admin_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return false;
    client->socket = socket;
    client->identity = identity;
    client->next = worker->clients;
    worker->clients = client;
    atomic_fetch_add_explicit(&worker->client_count, 1, memory_order_relaxed);
    if (worker->admin->is_development)
        begin_sync(worker, client);
    return true;
}

void admin_client_remove(struct admin_worker *worker, const cvn_socket *socket)
{
    struct admin_client **at = &worker->clients;
    while (*at != NULL && (*at)->socket != socket)
        at = &(*at)->next;
    struct admin_client *client = *at;
    if (client == NULL)
        return;
    *at = client->next;
    atomic_fetch_sub_explicit(&worker->client_count, 1, memory_order_relaxed);
    free_client(client);
}

struct admin_client *admin_client_find(const struct admin_worker *worker, const cvn_socket *socket)
{
    struct admin_client *client = worker->clients;
    while (client != NULL && client->socket != socket)
        client = client->next;
    return client;
}

void admin_client_release(struct admin_worker *worker)
{
    while (worker->clients != NULL)
        admin_client_remove(worker, worker->clients->socket);
}
