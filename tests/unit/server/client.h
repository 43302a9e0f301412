/*
 * Whole servers from outside: blocking clients over loopback that speak HTTP, WebSocket and as much Socket.IO as tests need, and a
 * pipe through which handlers on the workers' threads tell the test what they saw. Everything waits for an event, never for
 * time; WAIT_MS only ends a test that has failed.
 */
#ifndef SERVER_TEST_CLIENT_H
#define SERVER_TEST_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <convene/convene.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */

#define WAIT_MS 30000
#define ID_SIZE 20

/* --- Notes: lines from any thread to the test --- */

static int notes[2] = {-1, -1};

static void notes_open(void)
{
    assert_int_equal(pipe(notes), 0);
}

static void notes_close(void)
{
    close(notes[0]);
    close(notes[1]);
    notes[0] = notes[1] = -1;
}

/* Any thread; a line is written in one piece. */
static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (size < 0 || size >= (int)sizeof line - 1)
        abort();
    line[size++] = '\n';
    if (write(notes[1], line, (size_t)size) != size)
        abort();
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int count;
    do
        count = poll(&poll_fd, 1, timeout_ms);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

/* The next line, waited for; in a static buffer. */
static const char *next_note(void)
{
    static char line[512];
    size_t size = 0;
    for (;;) {
        if (!is_readable(notes[0], WAIT_MS))
            fail_msg("nobody said anything");
        assert_int_equal(read(notes[0], line + size, 1), 1);
        if (line[size] == '\n')
            break;
        size++;
    }
    line[size] = '\0';
    return line;
}

static void assert_note(const char *expected)
{
    assert_string_equal(next_note(), expected);
}

/* Only after what would have brought one is known to be over. */
static void assert_no_note(void)
{
    if (is_readable(notes[0], 0))
        fail_msg("unexpected: %s", next_note());
}

/* --- A client --- */

struct client {
    int fd;
    char *in;
    size_t in_size, in_capacity;
    char id[ID_SIZE + 1];  /* of the socket joined last */
    char sid[ID_SIZE + 1]; /* of the session */
};

static struct client *client_new(uint16_t port)
{
    struct client *client = calloc(1, sizeof *client);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_non_null(client);
    client->in_capacity = 1 << 16;
    client->in = malloc(client->in_capacity + 1);
    assert_non_null(client->in);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static void client_free(struct client *client)
{
    if (client == NULL)
        return;
    close(client->fd);
    free(client->in);
    free(client);
}

/* Waits for more bytes; false at the end of the stream. */
static bool client_more(struct client *client)
{
    if (client->in_size == client->in_capacity) {
        client->in_capacity *= 2;
        client->in = realloc(client->in, client->in_capacity + 1);
        assert_non_null(client->in);
    }
    if (!is_readable(client->fd, WAIT_MS))
        fail_msg("the server sends nothing");
    ssize_t size =
        recv(client->fd, client->in + client->in_size, client->in_capacity - client->in_size, 0);
    if (size <= 0)
        return false;
    client->in_size += (size_t)size;
    return true;
}

static void client_drop(struct client *client, size_t size)
{
    client->in_size -= size;
    memmove(client->in, client->in + size, client->in_size);
}

static void client_write(struct client *client, const void *data, size_t size)
{
    const char *bytes = data;
    while (size > 0) {
        ssize_t sent = send(client->fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0)
            return; /* closed: what it answered is still to be read */
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void assert_ended(struct client *client)
{
    while (client_more(client))
        ;
    assert_int_equal(client->in_size, 0);
}

/* --- HTTP --- */

struct response {
    int status;
    char head[4096];
    char *body; /* NUL-terminated, valid until the next call */
    size_t size;
};

static void http_send(struct client *client, const char *method, const char *target,
                      const char *fields, const char *body)
{
    char head[4096];
    int size = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method,
                        target, fields != NULL ? fields : "");
    if (body != NULL)
        size += snprintf(head + size, sizeof head - (size_t)size, "Content-Length: %zu\r\n",
                         strlen(body));
    size += snprintf(head + size, sizeof head - (size_t)size, "\r\n");
    assert_true(size < (int)sizeof head);
    client_write(client, head, (size_t)size);
    if (body != NULL)
        client_write(client, body, strlen(body));
}

static struct response *http_receive(struct client *client, bool has_body)
{
    static struct response response;
    static char *body;
    char *end;
    for (;;) {
        client->in[client->in_size] = '\0';
        end = strstr(client->in, "\r\n\r\n");
        if (end != NULL)
            break;
        assert_true(client_more(client));
    }
    size_t head_size = (size_t)(end + 4 - client->in);
    assert_true(head_size < sizeof response.head);
    memcpy(response.head, client->in, head_size);
    response.head[head_size] = '\0';
    assert_int_equal(sscanf(response.head, "HTTP/1.1 %d ", &response.status), 1);
    const char *length = strcasestr(response.head, "\r\ncontent-length:");
    response.size = has_body && length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    while (client->in_size < head_size + response.size)
        assert_true(client_more(client));
    free(body);
    body = malloc(response.size + 1);
    assert_non_null(body);
    memcpy(body, client->in + head_size, response.size);
    body[response.size] = '\0';
    response.body = body;
    client_drop(client, head_size + response.size);
    return &response;
}

static struct response *http_exchange(struct client *client, const char *method, const char *target,
                                      const char *fields, const char *body)
{
    http_send(client, method, target, fields, body);
    return http_receive(client, true);
}

static void assert_response(const struct response *response, int status, const char *body)
{
    assert_int_equal(response->status, status);
    assert_string_equal(response->body, body);
}

static void assert_header(const struct response *response, const char *line)
{
    char whole[512];
    snprintf(whole, sizeof whole, "\r\n%s\r\n", line);
    if (strcasestr(response->head, whole) == NULL)
        fail_msg("no \"%s\" in %s", line, response->head);
}

/* --- Polling --- */

static const char *polling_target(const struct client *client)
{
    static char target[128];
    snprintf(target, sizeof target, "/socket.io/?EIO=4&transport=polling&sid=%s", client->sid);
    return target;
}

static void keep_sid(struct client *client, const char *open_packet)
{
    assert_memory_equal(open_packet, "0{\"sid\":\"", 9);
    memcpy(client->sid, open_packet + 9, ID_SIZE);
}

static struct client *polling_open(uint16_t port)
{
    struct client *client = client_new(port);
    struct response *response =
        http_exchange(client, "GET", "/socket.io/?EIO=4&transport=polling", "", NULL);
    assert_int_equal(response->status, 200);
    keep_sid(client, response->body);
    return client;
}

static void polling_post(struct client *client, const char *body)
{
    assert_response(http_exchange(client, "POST", polling_target(client), "", body), 200, "ok");
}

static const char *polling_get(struct client *client)
{
    struct response *response = http_exchange(client, "GET", polling_target(client), "", NULL);
    assert_int_equal(response->status, 200);
    return response->body;
}

/* --- WebSocket --- */

#define WS_FIELDS                                                                                  \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void ws_send_frame(struct client *client, unsigned char first, const void *data, size_t size)
{
    unsigned char *frame = malloc(size + 14);
    size_t head = 2;
    assert_non_null(frame);
    frame[0] = first;
    if (size < 126) {
        frame[1] = (unsigned char)(0x80 | size);
    } else if (size < 65536) {
        frame[1] = 0x80 | 126;
        frame[2] = (unsigned char)(size >> 8);
        frame[3] = (unsigned char)size;
        head = 4;
    } else {
        frame[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++)
            frame[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
        head = 10;
    }
    memset(frame + head, 0, 4); /* a mask that changes nothing is still a mask */
    memcpy(frame + head + 4, data, size);
    client_write(client, frame, head + 4 + size);
    free(frame);
}

static void ws_send(struct client *client, const char *text)
{
    ws_send_frame(client, 0x81, text, strlen(text));
}

/* The next frame, waited for. Its payload, with a NUL, lies in a static buffer. Opcode -1: the stream has ended. */
static int ws_receive(struct client *client, char **ret_data, size_t *ret_size)
{
    static char *data;
    const unsigned char *in;
    size_t head = 2, size = 0;
    for (;;) {
        in = (const unsigned char *)client->in;
        if (client->in_size >= 2) {
            size = in[1] & 0x7f;
            head = size == 126 ? 4 : size == 127 ? 10 : 2;
        }
        if (client->in_size >= head && head > 2) {
            size = 0;
            for (size_t i = 2; i < head; i++)
                size = size << 8 | in[i];
        }
        if (client->in_size >= head && client->in_size >= head + size)
            break;
        if (!client_more(client))
            return -1;
    }
    int opcode = in[0] & 0x0f;
    assert_int_equal(in[0] & 0xf0, 0x80);
    free(data);
    data = malloc(size + 1);
    assert_non_null(data);
    memcpy(data, client->in + head, size);
    data[size] = '\0';
    *ret_data = data;
    *ret_size = size;
    client_drop(client, head + size);
    return opcode;
}

/* The next text packet; pings are answered on the way. */
static const char *ws_read(struct client *client)
{
    char *data = NULL;
    size_t size = 0;
    int opcode = ws_receive(client, &data, &size);
    if (opcode != 1)
        fail_msg("opcode %d instead of a text", opcode);
    return data;
}

static void assert_ws_text(struct client *client, const char *expected)
{
    assert_string_equal(ws_read(client), expected);
}

static void assert_ws_binary(struct client *client, const char *expected, size_t expected_size)
{
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(ws_receive(client, &data, &size), 2);
    assert_int_equal(size, expected_size);
    assert_memory_equal(data, expected, size);
}

/* The server closes, orderly. */
static void assert_ws_closed(struct client *client)
{
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(ws_receive(client, &data, &size), 8);
    ws_send_frame(client, 0x88, data, size);
    assert_ended(client);
}

static struct client *ws_open(uint16_t port)
{
    struct client *client = client_new(port);
    http_send(client, "GET", "/socket.io/?EIO=4&transport=websocket", WS_FIELDS, NULL);
    assert_int_equal(http_receive(client, false)->status, 101);
    keep_sid(client, ws_read(client));
    return client;
}

/* --- Socket.IO --- */

/* Sends a CONNECT and takes the yes. `nsp` is "" or "/name,". */
static void join_with(struct client *client, const char *nsp, const char *auth)
{
    char text[512], expected[128];
    snprintf(text, sizeof text, "40%s%s", nsp, auth);
    ws_send(client, text);
    const char *answer = ws_read(client);
    int head = snprintf(expected, sizeof expected, "40%s{\"sid\":\"", nsp);
    if (strncmp(answer, expected, (size_t)head) != 0)
        fail_msg("not let in: %s", answer);
    memcpy(client->id, answer + head, ID_SIZE);
}

static struct client *joined(uint16_t port)
{
    struct client *client = ws_open(port);
    join_with(client, "", "");
    return client;
}

/* Nothing was sent before the answer to this: the server does not know event 0 but tells an unknown namespace so. */
static void assert_ws_silent(struct client *client)
{
    ws_send(client, "40/silent?,");
    assert_ws_text(client, "44/silent?,{\"message\":\"Invalid namespace\"}");
}

/* --- A server --- */

static cvn_server *server_new(unsigned workers)
{
    cvn_server *server = cvn_server_new(
        &(cvn_options){.host = "127.0.0.1", .workers = workers, .hide_client = true});
    assert_non_null(server);
    return server;
}

static uint16_t server_start(cvn_server *server)
{
    assert_int_equal(cvn_server_start(server), CVN_OK);
    assert_true(cvn_server_port(server) > 0);
    return cvn_server_port(server);
}

#endif
