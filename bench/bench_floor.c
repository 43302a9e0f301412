/*
 * The floor: what the kernel alone costs. A server on bare epoll that does to the socket what the bench contract asks for and nothing
 * else: it knows our load generator's bytes, checks nothing, has one namespace, one room, no timers, no memory limits, WebSocket only. How
 * far convene-bench-server is from it is the cost of everything that makes a server of it. Must never meet another client.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/buf.h"
#include "ws/ws_encode.h"
#include "ws/ws_mask.h"

#define MAX_PEERS     65536
#define MAX_BUFFER    (64U << 20)
#define EVENTS_A_TURN 256

struct peer {
    int fd;
    bool is_open, is_member, is_dirty, is_waiting;
    struct peer *next_dirty;
    struct buf in, out;
};

static struct peer *peers[MAX_PEERS]; /* by descriptor */
static struct peer *members[MAX_PEERS];
static size_t member_count;
static struct peer *dirty;
static int epoll;

static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void queue(struct peer *peer, cvn_slice head, cvn_slice body, cvn_slice tail)
{
    char header[WS_MAX_SERVER_HEADER];
    size_t size = ws_encode_header(header, WS_TEXT, false, head.size + body.size + tail.size);
    buf_append(&peer->out, slice_of(header, size));
    buf_append(&peer->out, head);
    buf_append(&peer->out, body);
    buf_append(&peer->out, tail);
    if (!peer->is_dirty) {
        peer->is_dirty = true;
        peer->next_dirty = dirty;
        dirty = peer;
    }
}

static void drop(struct peer *peer)
{
    for (size_t i = 0; peer->is_member && i < member_count; i++)
        if (members[i] == peer) {
            members[i] = members[--member_count];
            break;
        }
    close(peer->fd);
    peers[peer->fd] = NULL;
    peer->fd = -1;
    buf_release(&peer->in);
    buf_release(&peer->out);
    if (!peer->is_dirty) /* else it is freed when it would be flushed */
        free(peer);
}

static void wait_for(struct peer *peer, int operation, uint32_t wanted)
{
    struct epoll_event event = {.events = wanted, .data.fd = peer->fd};
    epoll_ctl(epoll, operation, peer->fd, &event);
}

static void flush(struct peer *peer)
{
    ssize_t sent = send(peer->fd, peer->out.data, peer->out.size, MSG_NOSIGNAL);
    if (sent > 0)
        buf_consume(&peer->out, (size_t)sent);
    bool is_waiting = peer->out.size > 0;
    if (is_waiting != peer->is_waiting)
        wait_for(peer, EPOLL_CTL_MOD, is_waiting ? EPOLLIN | EPOLLOUT : EPOLLIN);
    peer->is_waiting = is_waiting;
}

static void flush_all(void)
{
    while (dirty != NULL) {
        struct peer *peer = dirty;
        dirty = peer->next_dirty;
        peer->is_dirty = false;
        if (peer->fd < 0)
            free(peer);
        else
            flush(peer);
    }
}

/* 42ID["echo",ARGS] gives 43ID[ARGS], which is made in front of ARGS, where it stands. */
static void on_echo(struct peer *peer, char *text, size_t id_size, cvn_slice args)
{
    char *start = text + (args.data - text) - 3 - id_size;
    memmove(start + 2, text + 2, id_size);
    memcpy(start, "43", 2);
    start[2 + id_size] = '[';
    queue(peer, slice_of(start, 3 + id_size + args.size), SLICE(""), SLICE(""));
}

/* 40, or an event: 42ID["echo",ARGS], 42ID["join",ROOM], 42["pub",ROOM,PAYLOAD]. */
static void on_text(struct peer *peer, char *text, size_t size)
{
    cvn_slice packet = slice_of(text, size);
    size_t name = slice_find(packet, '"') + 1;
    if (slice_eq(packet, SLICE("40"))) {
        queue(peer, SLICE("40{\"sid\":\"AAAAAAAAAAAAAAAAAAAB\"}"), SLICE(""), SLICE(""));
    } else if (name + 6 > size) { /* 41, 3: nothing to do */
    } else if (text[name] == 'e') {
        on_echo(peer, text, name - 4, slice_from(packet, name + 6));
    } else if (text[name] == 'j') {
        queue(peer, SLICE("43"), slice_of(text + 2, name - 4), SLICE("[]"));
        peer->is_member = true;
        members[member_count++] = peer;
    } else {
        cvn_slice rest = slice_from(packet, name + 5);
        rest = slice_from(rest, slice_find(rest, ',') + 1);
        for (size_t i = 0; i < member_count; i++)
            queue(members[i], SLICE("42[\"msg\","), rest, SLICE(""));
    }
}

/* Takes one masked frame; returns its size, 0 when it is incomplete. */
static size_t take_frame(struct peer *peer, char *data, size_t size, bool *ret_is_close)
{
    size_t header = 6, length = size < 2 ? 0 : (uint8_t)data[1] & 0x7f;
    if (size < 4)
        return 0;
    if (length == 126) {
        length = (size_t)(uint8_t)data[2] << 8 | (uint8_t)data[3];
        header = 8;
    }
    if (size < header + length)
        return 0;
    ws_mask_apply(data + header, length, (const uint8_t *)data + header - 4);
    *ret_is_close = (data[0] & 0x0f) == WS_CLOSE;
    if ((data[0] & 0x0f) == WS_TEXT)
        on_text(peer, data + header, length);
    return header + length;
}

/* Returns how many bytes were used; more than there are when the peer is to be dropped. */
static size_t on_bytes(struct peer *peer, char *data, size_t size)
{
    size_t used = 0, taken;
    bool is_close = false;
    if (!peer->is_open) {
        const char *end = memmem(data, size, "\r\n\r\n", 4);
        if (end == NULL)
            return 0;
        used = (size_t)(end - data) + 4;
        peer->is_open = true;
        buf_append_str(&peer->out, accepted);
        queue(peer,
              SLICE("0{\"sid\":\"AAAAAAAAAAAAAAAAAAAA\",\"upgrades\":[],\"pingInterval\":25000,"
                    "\"pingTimeout\":20000,\"maxPayload\":1000000}"),
              SLICE(""), SLICE(""));
    }
    while (!is_close && (taken = take_frame(peer, data + used, size - used, &is_close)) > 0)
        used += taken;
    return is_close ? size + 1 : used;
}

static void on_readable(struct peer *peer)
{
    static char shared[65536];
    ssize_t got = recv(peer->fd, shared, sizeof shared, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(peer);
        return;
    }
    char *data = shared;
    size_t size = (size_t)got;
    bool is_kept = peer->in.size > 0;
    if (is_kept) {
        buf_append(&peer->in, slice_of(shared, size));
        data = peer->in.data;
        size = peer->in.size;
    }
    size_t used = on_bytes(peer, data, size);
    if (used > size)
        drop(peer);
    else if (is_kept)
        buf_consume(&peer->in, used);
    else if (used < size)
        buf_append(&peer->in, slice_of(data + used, size - used));
}

static void on_acceptable(int listener)
{
    for (;;) {
        struct sockaddr_in from;
        socklen_t from_size = sizeof from;
        int fd =
            accept4(listener, (struct sockaddr *)&from, &from_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct peer *peer = fd < MAX_PEERS ? calloc(1, sizeof *peer) : NULL;
        if (peer == NULL) {
            close(fd);
            return;
        }
        peer->fd = fd;
        buf_init(&peer->in, MAX_BUFFER);
        buf_init(&peer->out, MAX_BUFFER);
        peers[fd] = peer;
        wait_for(peer, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited */
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("convene-bench-floor");
        exit(1);
    }
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    struct rlimit limit;
    uint16_t port = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option != 'p')
            return 2;
        port = (uint16_t)strtoul(optarg, NULL, 10);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(port);
    struct epoll_event events[EVENTS_A_TURN] = {{.events = EPOLLIN, .data.fd = listener}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_A_TURN, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = peers[events[i].data.fd];
            if (events[i].data.fd == listener)
                on_acceptable(listener);
            else if (peer != NULL && events[i].events & EPOLLOUT)
                flush(peer);
            else if (peer != NULL)
                on_readable(peer);
        }
        flush_all();
    }
}
