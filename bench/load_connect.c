/*
 * connect: clients connect, transport and namespace, and leave as the official client does; then the next ones do. churn: between
 * the two they join a room and exchange `life` echoes, and they leave in every way there is: saying goodbye, by an end of stream
 * and by a reset.
 */
#include "load.h"

/* The packet that asks for echo number n of this life, or for the room; and what must come back. */
static void send_next(struct load_client *client, unsigned n)
{
    char packet[64];
    int size = n == 0 ? snprintf(packet, sizeof packet, "420[\"join\",\"room %u\"]",
                                 client->index % client->load->options.rooms)
                      : snprintf(packet, sizeof packet, "42%u[\"echo\",%u]", n, n);
    client->load->inflight++;
    load_client_send(client, slice_of(packet, (size_t)size));
}

static bool is_answer(cvn_slice rest, unsigned n)
{
    char wanted[64];
    int size = n == 0 ? snprintf(wanted, sizeof wanted, "0[]")
                      : snprintf(wanted, sizeof wanted, "%u[%u]", n, n);
    return slice_eq(rest, slice_of(wanted, (size_t)size));
}

static void prepare(struct load *load)
{
    load->client_count = load->options.connections;
    load->opens_in_start = true;
}

static void open_next(struct load_client *client)
{
    client->load->inflight++; /* until it has left */
    load_client_open(client);
}

static void start(struct load *load)
{
    for (unsigned i = 0; i < load->client_count; i++)
        open_next(&load->clients[i]);
}

static void on_left(struct load_client *client)
{
    client->load->inflight--;
    if (load_is_sending(client->load))
        open_next(client);
}

static void connect_on_ready(struct load_client *client)
{
    load_count(client->load, client->started_ns);
    load_client_leave(client);
}

static void connect_on_packet(struct load_client *client, char type, cvn_slice rest)
{
    load_fail("connection %u: nothing was expected: %c%.*s", client->index, type, SLICE_ARG(rest));
}

struct life {
    unsigned next;  /* what is asked: 0 the room, n the echo n */
    unsigned count; /* lives so far: picks the way to leave */
};

static void churn_on_ready(struct load_client *client)
{
    if (client->own == NULL)
        client->own = load_alloc(sizeof(struct life));
    ((struct life *)client->own)->next = 0;
    send_next(client, 0);
}

static void churn_on_packet(struct load_client *client, char type, cvn_slice rest)
{
    struct life *life = client->own;
    if (type != '3' || !is_answer(rest, life->next))
        load_fail("connection %u: %c%.*s instead of answer %u", client->index, type,
                  SLICE_ARG(rest), life->next);
    client->load->inflight--;
    if (life->next++ < client->load->options.life) {
        send_next(client, life->next);
        return;
    }
    load_count(client->load, client->started_ns);
    switch (life->count++ % 3) {
    case 0:
        load_client_leave(client);
        break;
    case 1:
        load_client_drop(client, false);
        break;
    default:
        load_client_drop(client, true);
    }
}

static void churn_report(const struct load *load, FILE *out)
{
    fprintf(out, ",\"life\":%u", load->options.life);
}

const struct load_mode load_connect = {
    .name = "connect",
    .summary = "--connections at a time connect and leave; latency until the namespace answers",
    .prepare = prepare,
    .on_ready = connect_on_ready,
    .on_packet = connect_on_packet,
    .on_left = on_left,
    .start = start,
};

const struct load_mode load_churn = {
    .name = "churn",
    .summary = "short lives: connect, join, --life echoes, leave in every way; latency of a life",
    .prepare = prepare,
    .on_ready = churn_on_ready,
    .on_packet = churn_on_packet,
    .on_left = on_left,
    .start = start,
    .report = churn_report,
};
