/*
 * The polling transport of a client: one keep-alive connection always has a GET pending, another one carries the POSTs, one at a
 * time; what is sent meanwhile goes into the next.
 */
#include <string.h>
#include <strings.h>
#include "load.h"

#define MAX_PAYLOAD (1U << 20)

static void request(struct load_client *client, struct load_conn *conn, const char *method,
                    cvn_slice body)
{
    if (conn->fd < 0)
        load_conn_open(client->load, conn);
    buf_printf(&conn->out, "%s /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\n", method,
               client->sid[0] != '\0' ? "&sid=" : "", client->sid);
    buf_append_str(&conn->out, "Host: 127.0.0.1\r\n");
    if (body.size > 0)
        buf_printf(&conn->out, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n",
                   body.size);
    buf_append_str(&conn->out, "\r\n");
    buf_append(&conn->out, body);
    load_conn_mark(client->load, conn);
}

void load_polling_open(struct load_client *client)
{
    if (client->payload.max == 0)
        buf_init(&client->payload, MAX_PAYLOAD);
    request(client, &client->conns[0], "GET", (cvn_slice){NULL, 0});
}

static void post(struct load_client *client)
{
    if (client->is_posting || client->payload.size == 0)
        return;
    client->is_posting = true;
    request(client, &client->conns[1], "POST", buf_slice(&client->payload));
    buf_clear(&client->payload);
}

/* Packets of one turn travel together: the POST is written when the answer that caused them has been read, see below, or at
 * once when nothing is being read. */
void load_polling_send(struct load_client *client, cvn_slice packet)
{
    if (client->payload.size > 0)
        buf_append_byte(&client->payload, '\x1e');
    buf_append(&client->payload, packet);
    if (client->payload.failed)
        load_fail("connection %u: the server does not take what is posted", client->index);
    if (!client->is_reading)
        post(client);
}

/* The value of Content-Length in a head; -1 when it has none. */
static long content_length(cvn_slice head)
{
    static const char name[] = "\r\ncontent-length:";
    for (size_t i = 0; i + strlen(name) < head.size; i++)
        if (strncasecmp(head.data + i, name, strlen(name)) == 0) {
            cvn_slice rest = slice_from(head, i + strlen(name));
            uint64_t length;
            rest = slice_trim(slice_of(rest.data, slice_find(rest, '\r')));
            return slice_to_u64(rest, &length) && length <= MAX_PAYLOAD ? (long)length : -1;
        }
    return -1;
}

/* Takes one answer; false when it is incomplete. */
static bool take_answer(const struct load_client *client, cvn_slice input, cvn_slice *ret_body,
                        size_t *ret_used)
{
    const char *end = memmem(input.data, input.size, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    cvn_slice head = slice_of(input.data, (size_t)(end - input.data) + 4);
    long length = content_length(head);
    bool is_ok = slice_starts_with(head, SLICE("HTTP/1.1 200"));
    if ((!is_ok && client->state != LOAD_LEAVING) || length < 0)
        load_fail("connection %u: unexpected answer: %.*s", client->index, SLICE_ARG(input));
    if (input.size - head.size < (size_t)length)
        return false;
    *ret_body = slice_of(input.data + head.size, is_ok ? (size_t)length : 0);
    *ret_used = head.size + (size_t)length;
    return true;
}

static void on_poll(struct load_client *client, cvn_slice body)
{
    uint64_t serial = client->conns[0].serial;
    while (body.size > 0 && client->conns[0].serial == serial) {
        size_t size = slice_find(body, '\x1e');
        load_client_on_packet(client, slice_of(body.data, size));
        body = slice_from(body, size < body.size ? size + 1 : size);
    }
    if (client->conns[0].serial == serial && client->state != LOAD_LEAVING)
        request(client, &client->conns[0], "GET", (cvn_slice){NULL, 0});
}

size_t load_polling_on_bytes(struct load_client *client, struct load_conn *conn, char *data,
                             size_t size)
{
    cvn_slice body;
    size_t used;
    if (!take_answer(client, slice_of(data, size), &body, &used))
        return 0;
    client->is_reading = true;
    if (conn == &client->conns[0]) {
        on_poll(client, body);
    } else {
        client->is_posting = false;
        if (client->state == LOAD_LEAVING && client->payload.size == 0) {
            client->is_reading = false;
            load_client_drop(client, false);
            return used;
        }
    }
    client->is_reading = false;
    post(client);
    return used;
}
