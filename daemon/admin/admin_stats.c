/*
 * server_stats: the numbers that both modes show, every two seconds while an admin is there. They come from the library's counters, which are kept
 * anyway. Runs on worker 0.
 *
 * The reference counts packets and bytes as they pass; here what has come since the last time is told with the time of the telling. The UI adds them up
 * by ten seconds.
 */
#include "admin/admin_internal.h"
#include <inttypes.h>
#include <unistd.h>

#define MAX_NAMESPACES 1000 /* listed */

struct listing {
    cvn_text *text;
    unsigned count;
    struct admin_totals totals;
};

static void add_namespace(cvn_namespace *nsp, void *data)
{
    struct listing *listing = data;
    cvn_namespace_counters counters;
    cvn_namespace_stats(nsp, &counters);
    listing->totals.packets_in += counters.events_in;
    listing->totals.packets_out += counters.events_out;
    listing->totals.bytes_in += counters.bytes_in;
    listing->totals.bytes_out += counters.bytes_out;
    if (listing->text == NULL || listing->count == MAX_NAMESPACES)
        return;
    cvn_text_append(listing->text, listing->count++ > 0 ? ",{\"name\":" : "{\"name\":");
    cvn_text_append_json_string(listing->text, cvn_str(cvn_namespace_name(nsp)));
    cvn_text_printf(listing->text, ",\"socketsCount\":%llu}", (unsigned long long)counters.sockets);
}

/* Everything since the server's start. Lists the namespaces when `text` is there. */
static struct admin_totals count(struct admin *admin, cvn_text *text, cvn_stats *ret_stats)
{
    struct listing listing = {.text = text};
    cvn_server_stats(admin->server, ret_stats);
    cvn_each_namespace(admin->server, add_namespace, &listing);
    listing.totals.connections = ret_stats->connections_total;
    listing.totals.disconnections = ret_stats->connections_total - ret_stats->connections;
    return listing.totals;
}

void admin_stats_begin(struct admin *admin)
{
    cvn_stats stats;
    admin->totals = count(admin, NULL, &stats);
    admin->stats_due_ms = 0;
}

struct aggregate {
    const char *type;
    uint64_t now, before;
};

static void append_aggregates(cvn_text *text, const struct admin_totals *now,
                              const struct admin_totals *before)
{
    const struct aggregate aggregates[] = {
        {"rawConnection", now->connections, before->connections},
        {"rawDisconnection", now->disconnections, before->disconnections},
        {"packetsIn", now->packets_in, before->packets_in},
        {"packetsOut", now->packets_out, before->packets_out},
        {"bytesIn", now->bytes_in, before->bytes_in},
        {"bytesOut", now->bytes_out, before->bytes_out},
    };
    int64_t second = admin_wall_ms() / 1000 * 1000;
    bool is_first = true;
    cvn_text_append(text, ",\"aggregatedEvents\":[");
    for (size_t i = 0; i < sizeof aggregates / sizeof *aggregates; i++) {
        /* Children of dynamic namespaces take their numbers with them. */
        if (aggregates[i].now <= aggregates[i].before)
            continue;
        cvn_text_printf(text, "%s{\"timestamp\":%" PRId64 ",\"type\":\"%s\",\"count\":%llu}",
                        is_first ? "" : ",", second, aggregates[i].type,
                        (unsigned long long)(aggregates[i].now - aggregates[i].before));
        is_first = false;
    }
    cvn_text_append(text, "]");
}

struct admin_batch *admin_stats_take(struct admin *admin)
{
    struct admin_batch *batch = admin_batch_new(ADMIN_MAX_WORKERS);
    cvn_stats stats;
    if (batch == NULL)
        return NULL;
    cvn_text *text = batch->text;
    cvn_text_append(text, "{\"serverId\":");
    cvn_text_append_json_string(text, cvn_str(admin->server_id));
    cvn_text_append(text, ",\"hostname\":");
    cvn_text_append_json_string(text, cvn_str(admin->hostname));
    cvn_text_printf(text, ",\"pid\":%ld,\"uptime\":%.3f", (long)getpid(),
                    (double)(admin_now_ms() - admin->started_ms) / 1000);
    cvn_text_append(text, ",\"namespaces\":[");
    struct admin_totals totals = count(admin, text, &stats);
    cvn_text_printf(text, "],\"clientsCount\":%zu,\"pollingClientsCount\":%zu", stats.connections,
                    stats.polling);
    append_aggregates(text, &totals, &admin->totals);
    cvn_text_append(text, "}");
    admin->totals = totals;
    if (!admin_batch_add(batch, ADMIN_SERVER_STATS, 0, 0)) {
        admin_batch_unref(batch);
        return NULL;
    }
    return batch;
}
