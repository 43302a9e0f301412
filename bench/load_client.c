/*
 * A client: Engine.IO v4 and the default namespace of Socket.IO v5, whatever the transport. Text only: no mode sends or
 * expects binary.
 */
#include <string.h>
#include "load.h"

void load_client_open(struct load_client *client)
{
    struct load *load = client->load;
    client->state = LOAD_OPENING;
    client->is_open = client->is_posting = false;
    client->sid[0] = '\0';
    buf_clear(&client->payload);
    client->started_ns = load_clock();
    if (load->options.polling)
        load_polling_open(client);
    else
        load_ws_open(client);
}

void load_client_send(struct load_client *client, cvn_slice packet)
{
    if (client->load->options.polling)
        load_polling_send(client, packet);
    else
        load_ws_send(client, WS_TEXT, packet);
}

void load_client_leave(struct load_client *client)
{
    load_client_send(client, SLICE("41"));
    client->state = LOAD_LEAVING;
    if (client->load->options.polling)
        load_polling_send(client, SLICE("1"));
    else
        load_ws_send(client, WS_CLOSE, (cvn_slice){NULL, 0});
}

void load_client_drop(struct load_client *client, bool is_abrupt)
{
    client->state = LOAD_CLOSED;
    load_conn_close(&client->conns[0], is_abrupt);
    load_conn_close(&client->conns[1], is_abrupt);
    if (client->load->mode->on_left != NULL)
        client->load->mode->on_left(client);
}

/* The open packet: the session's id, which polling needs. */
static void on_open(struct load_client *client, cvn_slice json)
{
    static const char key[] = "\"sid\":\"";
    const char *at = memmem(json.data, json.size, key, strlen(key));
    if (at == NULL)
        load_fail("connection %u: an open packet without a sid", client->index);
    cvn_slice rest = slice_from(json, (size_t)(at - json.data) + strlen(key));
    size_t size = slice_find(rest, '"');
    if (size == 0 || size >= sizeof client->sid)
        load_fail("connection %u: a sid of %zu bytes", client->index, size);
    memcpy(client->sid, rest.data, size);
    client->sid[size] = '\0';
    client->is_open = true;
    load_client_send(client, SLICE("40"));
}

/* A Socket.IO packet. */
static void on_message(struct load_client *client, cvn_slice packet)
{
    if (packet.size > 0 && (packet.data[0] == '2' || packet.data[0] == '3')) {
        if (client->state == LOAD_READY) /* what comes while it leaves was sent before */
            client->load->mode->on_packet(client, packet.data[0], slice_from(packet, 1));
    } else if (client->state == LOAD_OPENING && slice_starts_with(packet, SLICE("0{\"sid\":"))) {
        client->state = LOAD_READY;
        client->load->mode->on_ready(client);
    } else if (client->state != LOAD_LEAVING) {
        load_fail("connection %u: an unexpected packet: %.*s", client->index, SLICE_ARG(packet));
    }
}

void load_client_on_packet(struct load_client *client, cvn_slice packet)
{
    char type = packet.size > 0 ? packet.data[0] : '\0';
    cvn_slice rest = packet.size > 0 ? slice_from(packet, 1) : packet;
    if (type == '4')
        on_message(client, rest);
    else if (type == '2' && rest.size == 0 && client->state != LOAD_LEAVING)
        load_client_send(client, SLICE("3"));
    else if (type == '0' && client->state == LOAD_OPENING && client->sid[0] == '\0')
        on_open(client, rest);
    else if (type != '6' && client->state != LOAD_LEAVING)
        load_fail("connection %u: an unexpected packet: %.*s", client->index, SLICE_ARG(packet));
}

size_t load_client_on_bytes(struct load_client *client, struct load_conn *conn, char *data,
                            size_t size)
{
    if (client->load->options.polling)
        return load_polling_on_bytes(client, conn, data, size);
    return load_ws_on_bytes(client, data, size);
}

/* When the client said goodbye; and over polling, the connection of the POSTs when it has been idle for longer than the server
 * keeps it: the next POST opens another one. */
bool load_client_may_end(const struct load_client *client, const struct load_conn *conn)
{
    return client->state == LOAD_LEAVING ||
           (client->load->options.polling && conn == &client->conns[1] && !client->is_posting);
}

void load_client_on_end(struct load_client *client, struct load_conn *conn)
{
    load_conn_close(conn, false);
    if (client->conns[0].fd < 0 && client->conns[1].fd < 0)
        load_client_drop(client, false);
}
