/*
 * broadcast: one room, its first `publishers` members publish to it. rooms: many small ones, the first member of each publishes.
 * Closed loop: the next publication when every member has the last one. Open loop (--rate): publications at fixed times, whatever
 * the server does; latency counts from the intended time, so a server that stalls is not spared the ones it delayed, not even those
 * that arrive when the measuring is over.
 * Every member must get every publication of its room once, in the publisher's order.
 */
#include <stdlib.h>
#include <string.h>
#include "load.h"

struct publisher {
    unsigned client;
    unsigned room;
    uint64_t next;                  /* number of the next publication */
    uint64_t missing;               /* closed loop: copies of the last one that have not come */
    uint64_t first_ns, interval_ns; /* publication n belongs to first_ns + n * interval_ns */
};

struct rooms {
    unsigned room_count, members, publishers; /* the last two of one room */
    struct publisher all[];
};

/* Publisher p of a room is its member p; the clients are laid out room by room. */
static void prepare(struct load *load, unsigned room_count, unsigned members, unsigned publishers)
{
    if (publishers > members)
        load_fail("there are more publishers than members");
    size_t count = (size_t)room_count * publishers;
    struct rooms *rooms = load->own = load_alloc(sizeof *rooms + count * sizeof rooms->all[0]);
    rooms->room_count = room_count;
    rooms->members = members;
    rooms->publishers = publishers;
    load->client_count = room_count * members;
    for (unsigned i = 0; i < count; i++) {
        rooms->all[i].room = i / publishers;
        rooms->all[i].client = rooms->all[i].room * members + i % publishers;
    }
}

static void broadcast_prepare(struct load *load)
{
    prepare(load, 1, load->options.members, load->options.publishers);
}

static void rooms_prepare(struct load *load)
{
    prepare(load, load->options.rooms, load->options.members, 1);
}

static void on_ready(struct load_client *client)
{
    const struct rooms *rooms = client->load->own;
    char packet[64];
    /* The number that must come next from each publisher of the room. */
    client->own = load_alloc(rooms->publishers * sizeof(uint64_t));
    int size = snprintf(packet, sizeof packet, "420[\"join\",\"room %u\"]",
                        client->index / rooms->members);
    load_client_send(client, slice_of(packet, (size_t)size));
}

static void publish(struct load *load, struct publisher *publisher)
{
    static struct buf packet = {.max = 32U << 20};
    const struct rooms *rooms = load->own;
    buf_clear(&packet);
    buf_printf(&packet, "42[\"pub\",\"room %u\",\"%06u:%010llu:", publisher->room,
               (unsigned)(publisher - rooms->all), (unsigned long long)publisher->next);
    buf_append(&packet, slice_of(load->pad, load->options.bytes));
    buf_append_str(&packet, "\"]");
    publisher->next++;
    publisher->missing += rooms->members;
    load->inflight += rooms->members;
    if (load->options.rate == 0)
        publisher->first_ns = load_clock();
    load_client_send(&load->clients[publisher->client], buf_slice(&packet));
}

static void start(struct load *load)
{
    struct rooms *rooms = load->own;
    unsigned count = rooms->room_count * rooms->publishers;
    for (unsigned i = 0; i < count; i++) {
        struct publisher *publisher = &rooms->all[i];
        if (load->options.rate == 0) {
            publish(load, publisher);
        } else { /* the rate is that of all together, and they take turns */
            publisher->interval_ns = (uint64_t)(1e9 * count / load->options.rate);
            publisher->first_ns = load->now_ns + publisher->interval_ns * i / count;
        }
    }
}

/* Open loop: publishes what is due. At the end of the measuring that is what fell due while the last turn was busy. */
static uint64_t on_turn(struct load *load)
{
    struct rooms *rooms = load->own;
    uint64_t wake_ns = LOAD_NEVER;
    if (load->options.rate == 0 || load->phase == LOAD_SETTLE)
        return wake_ns;
    uint64_t now_ns = load_clock();
    uint64_t end_ns = load->phase == LOAD_DRAIN ? load->measure_end_ns : LOAD_NEVER;
    for (unsigned i = 0; i < rooms->room_count * rooms->publishers; i++) {
        struct publisher *publisher = &rooms->all[i];
        uint64_t due_ns;
        while ((due_ns = publisher->first_ns + publisher->next * publisher->interval_ns) <=
                   now_ns &&
               due_ns < end_ns)
            publish(load, publisher);
        if (due_ns < end_ns && due_ns < wake_ns)
            wake_ns = due_ns;
    }
    return wake_ns;
}

/* Reads `["msg","PPPPPP:NNNNNNNNNN:xxx..."]`; false when it is anything else. */
static bool parse(const struct load *load, cvn_slice rest, uint64_t *ret_publisher,
                  uint64_t *ret_number)
{
    static const cvn_slice head = {"[\"msg\",\"", 8};
    if (rest.size != head.size + 18 + load->options.bytes + 2 || !slice_starts_with(rest, head))
        return false;
    const char *at = rest.data + head.size;
    return slice_to_u64(slice_of(at, 6), ret_publisher) && at[6] == ':' &&
           slice_to_u64(slice_of(at + 7, 10), ret_number) && at[17] == ':' &&
           memcmp(at + 18, load->pad, load->options.bytes) == 0 &&
           slice_ends_with(rest, SLICE("\"]"));
}

static void on_packet(struct load_client *client, char type, cvn_slice rest)
{
    struct load *load = client->load;
    struct rooms *rooms = load->own;
    uint64_t index, number;
    if (load->phase == LOAD_SETTLE && type == '3' && slice_eq(rest, SLICE("0[]"))) {
        load_settled(client);
        return;
    }
    if (type != '2' || !parse(load, rest, &index, &number) ||
        index / rooms->publishers != client->index / rooms->members)
        load_fail("connection %u: a wrong message: %.*s", client->index, SLICE_ARG(rest));
    uint64_t *expected = (uint64_t *)client->own + index % rooms->publishers;
    if (number != *expected)
        load_fail("connection %u: publication %llu of publisher %llu instead of %llu",
                  client->index, (unsigned long long)number, (unsigned long long)index,
                  (unsigned long long)*expected);
    struct publisher *publisher = &rooms->all[index];
    if (number >= publisher->next)
        load_fail("connection %u: publication %llu was never made", client->index,
                  (unsigned long long)number);
    ++*expected;
    if (load->options.rate == 0)
        load_count(load, publisher->first_ns);
    else
        load_count_due(load, publisher->first_ns + number * publisher->interval_ns);
    load->inflight--;
    if (--publisher->missing == 0 && load->options.rate == 0 && load_is_sending(load))
        publish(load, publisher);
}

static void report(const struct load *load, FILE *out)
{
    const struct rooms *rooms = load->own;
    fprintf(out, ",\"rooms\":%u,\"members\":%u,\"publishers\":%u,\"rate\":%.0f", rooms->room_count,
            rooms->members, rooms->publishers, load->options.rate);
}

const struct load_mode load_broadcast = {
    .name = "broadcast",
    .summary = "one room of --members, --publishers of whom publish; --rate: open loop",
    .prepare = broadcast_prepare,
    .on_ready = on_ready,
    .on_packet = on_packet,
    .start = start,
    .on_turn = on_turn,
    .report = report,
};

const struct load_mode load_rooms = {
    .name = "rooms",
    .summary = "--rooms rooms of --members each, one of whom publishes; --rate: open loop",
    .prepare = rooms_prepare,
    .on_ready = on_ready,
    .on_packet = on_packet,
    .start = start,
    .on_turn = on_turn,
    .report = report,
};
