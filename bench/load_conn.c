/*
 * A non-blocking socket with what is incomplete of its input and what is left of its output. Connections come from the addresses
 * 127.0.0.2 to 127.0.0.65 by turns, so that neither many at once nor many in a row run out of ports.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "load.h"

#define SOURCE_ADDRESSES 64
#define BUFFER_MAX       (64U << 20)
#define READ_SIZE        65536

void load_conn_init(struct load_conn *conn, struct load_client *client)
{
    *conn = (struct load_conn){.client = client, .fd = -1};
    buf_init(&conn->in, BUFFER_MAX);
    buf_init(&conn->out, BUFFER_MAX);
}

static void watch(struct load *load, struct load_conn *conn, int operation, bool is_waiting)
{
    struct epoll_event event = {.events = is_waiting ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = conn};
    conn->is_waiting = is_waiting;
    if (epoll_ctl(load->epoll, operation, conn->fd, &event) != 0)
        load_fail("epoll_ctl: %s", strerror(errno));
}

void load_conn_open(struct load *load, struct load_conn *conn)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int on = 1;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        load_fail("cannot open a socket: %s", strerror(errno));
    conn->serial = ++load->opened;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(conn->serial % SOURCE_ADDRESSES));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)load->options.port);
    /* The port is chosen when the other end is known: it must be free for this pair only. */
    setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(conn->fd, (struct sockaddr *)&from, sizeof from) != 0)
        load_fail("cannot bind a socket: %s", strerror(errno));
    if (connect(conn->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        load_fail("cannot connect to port %u: %s", load->options.port, strerror(errno));
    watch(load, conn, EPOLL_CTL_ADD, false);
}

void load_conn_close(struct load_conn *conn, bool is_abrupt)
{
    struct linger reset = {.l_onoff = 1};
    if (conn->fd < 0)
        return;
    if (is_abrupt)
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(conn->fd);
    conn->fd = -1;
    conn->serial = 0;
    buf_clear(&conn->in);
    buf_clear(&conn->out);
}

void load_conn_mark(struct load *load, struct load_conn *conn)
{
    if (conn->out.failed)
        load_fail("the server does not take what is sent");
    if (conn->is_dirty || conn->fd < 0)
        return;
    conn->is_dirty = true;
    conn->next_dirty = load->dirty;
    load->dirty = conn;
}

static void flush(struct load *load, struct load_conn *conn)
{
    if (conn->out.size == 0 || conn->fd < 0)
        return;
    ssize_t sent = send(conn->fd, conn->out.data, conn->out.size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN)
        sent = 0;
    if (sent < 0) {
        if (!load_client_may_end(conn->client, conn))
            load_fail("connection %u: cannot send: %s", conn->client->index, strerror(errno));
        load_client_on_end(conn->client, conn);
        return;
    }
    buf_consume(&conn->out, (size_t)sent);
    if ((conn->out.size > 0) != conn->is_waiting)
        watch(load, conn, EPOLL_CTL_MOD, conn->out.size > 0);
}

void load_conn_flush_all(struct load *load)
{
    while (load->dirty != NULL) {
        struct load_conn *conn = load->dirty;
        load->dirty = conn->next_dirty;
        conn->is_dirty = false;
        flush(load, conn);
    }
}

/* One read. The input goes straight from the shared buffer to the decoder, unless a part of it is already waiting. */
static void receive(struct load_conn *conn)
{
    static char shared[READ_SIZE];
    ssize_t got = recv(conn->fd, shared, sizeof shared, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        if (!load_client_may_end(conn->client, conn))
            load_fail("connection %u was closed by the server%s%s", conn->client->index,
                      got < 0 ? ": " : "", got < 0 ? strerror(errno) : "");
        load_client_on_end(conn->client, conn);
        return;
    }
    cvn_slice input = slice_of(shared, (size_t)got);
    bool is_kept = conn->in.size > 0;
    if (is_kept) {
        buf_append(&conn->in, input);
        input = buf_slice(&conn->in);
    }
    uint64_t serial = conn->serial;
    size_t used =
        load_client_on_bytes(conn->client, conn, is_kept ? conn->in.data : shared, input.size);
    if (conn->serial != serial) /* closed meanwhile, its buffers cleared */
        return;
    if (is_kept)
        buf_consume(&conn->in, used);
    else if (used < input.size)
        buf_append(&conn->in, slice_from(input, used));
    if (conn->in.failed)
        load_fail("connection %u: too much input", conn->client->index);
}

void load_conn_on_event(struct load *load, struct load_conn *conn, uint32_t events)
{
    if (conn->fd < 0)
        return; /* closed by an earlier event of this turn */
    if (events & EPOLLOUT)
        flush(load, conn);
    if (conn->fd >= 0 && events & ~(uint32_t)EPOLLOUT)
        receive(conn);
    load_conn_flush_all(load);
}
