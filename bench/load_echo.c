/*
 * echo: every client keeps `depth` events with an acknowledgement under way; the answer must be the arguments that were sent, once
 * and for the id that asked. idle: every client connects, and that is all.
 */
#include <stdlib.h>
#include <string.h>
#include "load.h"

/* One event under way. Slot s of a client uses the ack ids s, s + depth, s + 2 depth, ... */
struct slot {
    uint64_t id, sent_ns;
    bool is_under_way;
};

static void echo_prepare(struct load *load)
{
    load->client_count = load->options.connections;
}

/* The arguments: the id, so that no two are alike, and as many bytes as wanted. */
static void send_echo(struct load_client *client, struct slot *slot)
{
    static struct buf packet = {.max = 32U << 20};
    struct load *load = client->load;
    buf_clear(&packet);
    buf_append_str(&packet, "42");
    buf_append_u64(&packet, slot->id);
    buf_append_str(&packet, "[\"echo\",");
    buf_append_u64(&packet, slot->id);
    buf_append_str(&packet, ",\"");
    buf_append(&packet, slice_of(load->pad, load->options.bytes));
    buf_append_str(&packet, "\"]");
    slot->is_under_way = true;
    slot->sent_ns = load_clock();
    load->inflight++;
    load_client_send(client, buf_slice(&packet));
}

/* Whether `rest` is exactly ID[ID,"xxx..."]. */
static bool is_answer(const struct load *load, cvn_slice rest, uint64_t id)
{
    char start[64];
    int size = snprintf(start, sizeof start, "%llu[%llu,\"", (unsigned long long)id,
                        (unsigned long long)id);
    cvn_slice head = slice_of(start, (size_t)size);
    return rest.size == head.size + load->options.bytes + 2 && slice_starts_with(rest, head) &&
           memcmp(rest.data + head.size, load->pad, load->options.bytes) == 0 &&
           slice_ends_with(rest, SLICE("\"]"));
}

static void echo_on_packet(struct load_client *client, char type, cvn_slice rest)
{
    struct load *load = client->load;
    struct slot *slots = client->own;
    uint64_t id;
    if (type != '3' || !slice_to_u64(slice_of(rest.data, slice_find(rest, '[')), &id))
        load_fail("connection %u: no acknowledgement: %.*s", client->index, SLICE_ARG(rest));
    struct slot *slot = &slots[id % load->options.depth];
    if (!slot->is_under_way || slot->id != id || !is_answer(load, rest, id))
        load_fail("connection %u: a wrong acknowledgement: %.*s", client->index, SLICE_ARG(rest));
    load_count(load, slot->sent_ns);
    slot->is_under_way = false;
    slot->id += load->options.depth;
    load->inflight--;
    if (load_is_sending(load))
        send_echo(client, slot);
}

static void echo_start(struct load *load)
{
    unsigned depth = load->options.depth;
    for (unsigned i = 0; i < load->client_count; i++) {
        struct slot *slots = load->clients[i].own = load_alloc(depth * sizeof *slots);
        for (unsigned s = 0; s < depth; s++) {
            slots[s].id = s;
            send_echo(&load->clients[i], &slots[s]);
        }
    }
}

static void echo_report(const struct load *load, FILE *out)
{
    fprintf(out, ",\"depth\":%u", load->options.depth);
}

static void nothing_on_packet(struct load_client *client, char type, cvn_slice rest)
{
    load_fail("connection %u: nothing was expected: %c%.*s", client->index, type, SLICE_ARG(rest));
}

/* A connection's cost is taken from the last nine tenths of them, so that what a server pays once does not count. */
static void idle_report(const struct load *load, FILE *out)
{
    unsigned tenth = load->client_count / 10, counted = load->client_count - tenth;
    if (load->options.pid == 0)
        return;
    uint64_t before = tenth > 0 ? load->rss_settled_tenth : load->rss_start;
    fprintf(out, ",\"rss_start_bytes\":%llu,\"bytes_a_connection\":%.0f",
            (unsigned long long)load->rss_start,
            ((double)load->rss_end - (double)before) / (double)counted);
}

const struct load_mode load_echo = {
    .name = "echo",
    .summary = "events with an acknowledgement, --depth of them under way on each connection",
    .prepare = echo_prepare,
    .on_ready = load_settled,
    .on_packet = echo_on_packet,
    .start = echo_start,
    .report = echo_report,
};

const struct load_mode load_idle = {
    .name = "idle",
    .summary = "connections that only answer pings, and the server's memory for each",
    .prepare = echo_prepare,
    .on_ready = load_settled,
    .on_packet = nothing_on_packet,
    .report = idle_report,
};
