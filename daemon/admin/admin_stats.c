/*
 * server_stats: the numbers that both modes show, every two seconds while an admin is there. They come from the library's counters, which are kept
 * anyway. Runs on worker 0.
 *
 * The reference counts packets and bytes as they pass; here what has come since the last time is told with the time of the telling. The UI adds them up
 * by ten seconds.
 */
#include "admin/admin_internal.h"
#include "observe/clock.h"
#include <inttypes.h>
#include <unistd.h>

#define MAX_NAMESPACES 1000 /* listed */

struct listing {
    cvn_text *text;
    unsigned count;
};

static void list_namespace(cvn_namespace *nsp, void *data)
{
    struct listing *listing = data;
    cvn_namespace_counters counters;
    if (listing->count == MAX_NAMESPACES)
        return;
    cvn_namespace_stats(nsp, &counters);
    cvn_text_append(listing->text, listing->count++ > 0 ? ",{\"name\":" : "{\"name\":");
    cvn_text_append_json_string(listing->text, cvn_str(cvn_namespace_name(nsp)));
    cvn_text_printf(listing->text, ",\"socketsCount\":%llu}", (unsigned long long)counters.sockets);
}

void admin_stats_begin(struct admin *admin)
{
    cvn_server_stats(admin->server, &admin->totals);
    admin->stats_due_ms = 0;
}

/* --- What has happened since the last time --- */

struct changes {
    cvn_text *text;
    int64_t second; /* milliseconds, whole seconds */
    bool is_first;
};

static void append_change(struct changes *changes, const char *type, const char *reason,
                          uint64_t now, uint64_t before)
{
    if (now <= before)
        return;
    cvn_text_printf(changes->text, "%s{\"timestamp\":%" PRId64 ",\"type\":\"%s\"",
                    changes->is_first ? "" : ",", changes->second, type);
    if (reason != NULL)
        cvn_text_printf(changes->text, ",\"subType\":\"%s\"", reason);
    cvn_text_printf(changes->text, ",\"count\":%llu}", (unsigned long long)(now - before));
    changes->is_first = false;
}

static void append_changes(cvn_text *text, const cvn_stats *now, const cvn_stats *before)
{
    struct changes changes = {text, clock_wall_ms() / 1000 * 1000, true};
    append_change(&changes, "rawConnection", NULL, now->connections_total,
                  before->connections_total);
    for (unsigned i = 0; i < CVN_CLOSE_REASONS; i++)
        append_change(&changes, "rawDisconnection", cvn_close_reason_text((enum cvn_close_reason)i),
                      now->closed[i], before->closed[i]);
    append_change(&changes, "packetsIn", NULL, now->events_in, before->events_in);
    append_change(&changes, "packetsOut", NULL, now->events_out, before->events_out);
    append_change(&changes, "bytesIn", NULL, now->bytes_in, before->bytes_in);
    append_change(&changes, "bytesOut", NULL, now->bytes_out, before->bytes_out);
}

struct admin_batch *admin_stats_take(struct admin *admin)
{
    struct admin_batch *batch = admin_batch_new(ADMIN_MAX_WORKERS);
    cvn_stats stats;
    if (batch == NULL)
        return NULL;
    cvn_text *text = batch->text;
    struct listing listing = {text, 0};
    cvn_server_stats(admin->server, &stats);
    cvn_text_append(text, "{\"serverId\":");
    cvn_text_append_json_string(text, cvn_str(admin->server_id));
    cvn_text_append(text, ",\"hostname\":");
    cvn_text_append_json_string(text, cvn_str(admin->hostname));
    cvn_text_printf(text, ",\"pid\":%ld,\"uptime\":%.3f", (long)getpid(),
                    (double)(clock_steady_ms() - admin->started_ms) / 1000);
    cvn_text_printf(text, ",\"clientsCount\":%zu,\"pollingClientsCount\":%zu,\"namespaces\":[",
                    stats.connections, stats.polling);
    cvn_each_namespace(admin->server, list_namespace, &listing);
    cvn_text_append(text, "],\"aggregatedEvents\":[");
    append_changes(text, &stats, &admin->totals);
    cvn_text_append(text, "]}");
    admin->totals = stats;
    if (!admin_batch_add(batch, ADMIN_SERVER_STATS, 0, 0)) {
        admin_batch_unref(batch);
        return NULL;
    }
    return batch;
}
