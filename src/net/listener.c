/*
 * Accepting: each worker listens on its own socket of the same address. Bounded batches keep a storm of connections
 * from starving those that exist; when descriptors have run out the listener rests for a moment, because the kernel would report
 * the same waiting connection again and again.
 */
#include "net/listener.h"
#include "net/net_internal.h"
#include "net/tls.h"
#include "base/mem.h"
#include "base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define REST_MS          100

struct listener {
    struct listener_options options;
    struct worker *worker;
    int fd;
    uint16_t port;
    struct timer rest;
    uv_poll_t poll;
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};

static void on_acceptable(uv_poll_t *poll, int status, int events);

/* The peer's address in words; IPv4 in IPv6 clothes is shown as IPv4. */
static void note_peer(struct conn *conn, const union address *peer)
{
    const void *bytes = NULL;
    int family = peer->any.sa_family;
    if (family == AF_INET) {
        bytes = &peer->v4.sin_addr;
        conn->peer_port = ntohs(peer->v4.sin_port);
    } else if (family == AF_INET6) {
        bytes = &peer->v6.sin6_addr;
        conn->peer_port = ntohs(peer->v6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&peer->v6.sin6_addr)) {
            bytes = &peer->v6.sin6_addr.s6_addr[12];
            family = AF_INET;
        }
    }
    if (bytes != NULL)
        inet_ntop(family, bytes, conn->peer_address, sizeof conn->peer_address);
}

static void rest(struct listener *listener)
{
    uv_poll_stop(&listener->poll);
    wheel_arm(&listener->worker->wheel, &listener->rest, REST_MS);
}

static void on_rested(struct timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, rest);
    uv_poll_start(&listener->poll, UV_READABLE, on_acceptable);
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct listener *listener)
{
    union address peer = {0};
    socklen_t size = sizeof peer;
    int fd = accept4(listener->fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        switch (errno) {
        case EINTR:
        case ECONNABORTED:
            return true;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            log_write(LOG_WARN, "cannot accept connections for %d ms: %s", REST_MS,
                      strerror(errno));
            rest(listener);
            return false;
        default:
            return false;
        }
    }
    struct conn *conn =
        conn_adopt(listener->worker, fd, listener->options.limits, listener->options.tls);
    if (conn == NULL) {
        close(fd);
        return true;
    }
    note_peer(conn, &peer);
    listener->options.on_accept(conn, listener->options.app);
    return true;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = CONTAINER_OF(poll, struct listener, poll);
    (void)events;
    worker_enter(listener->worker);
    if (uv_is_closing((uv_handle_t *)poll))
        return;
    if (status < 0) {
        rest(listener);
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_TURN && !uv_is_closing((uv_handle_t *)poll); i++)
        if (!accept_one(listener))
            break;
}

static bool parse_address(const char *host, uint16_t port, union address *ret, socklen_t *ret_size)
{
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(port);
        *ret_size = sizeof ret->v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons(port);
        *ret_size = sizeof ret->v6;
        return true;
    }
    return false;
}

static bool set_flag(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* A bound and listening descriptor, or -1 with errno. With `share` others of this user may listen beside it. */
static int open_socket(union address *address, socklen_t size, int backlog, bool share,
                       uint16_t *ret_port)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* TCP_NODELAY is inherited by what is accepted: one system call less for each connection. */
    if (!set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
        !set_flag(fd, SOL_SOCKET, SO_REUSEPORT, share) ||
        !set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1))
        goto fail;
    if (address->any.sa_family == AF_INET6 && !set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0))
        goto fail;
    if (bind(fd, &address->any, size) != 0 || listen(fd, backlog) != 0)
        goto fail;
    if (getsockname(fd, &address->any, &size) != 0)
        goto fail;
    *ret_port =
        ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
    return fd;

fail:;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* False, with errno, when somebody else listens there: with SO_REUSEPORT alone two servers would silently share the clients. */
static bool is_free(union address address, socklen_t size)
{
    uint16_t port;
    int fd = open_socket(&address, size, 1, false, &port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

enum cvn_error listener_open(struct worker *worker, const struct listener_options *options,
                             struct listener **ret)
{
    union address address;
    socklen_t size;
    if (!parse_address(options->host, options->port, &address, &size))
        return CVN_ERR_ARGUMENT;
    struct listener *listener = mem_zalloc(sizeof *listener);
    if (listener == NULL)
        return CVN_ERR_MEMORY;
    listener->options = *options;
    listener->worker = worker;
    listener->rest.fire = on_rested;
    listener->fd = -1;
    if (options->exclusive && options->port != 0 && !is_free(address, size))
        goto fail;
    listener->fd = open_socket(&address, size, options->backlog, true, &listener->port);
    if (listener->fd < 0)
        goto fail;
    int error = uv_poll_init_socket(worker->loop, &listener->poll, listener->fd);
    if (error != 0) {
        errno = -error;
        goto fail;
    }
    worker->handles++;
    tls_context_ref(options->tls);
    uv_poll_start(&listener->poll, UV_READABLE, on_acceptable);
    *ret = listener;
    return CVN_OK;

fail:;
    int saved = errno;
    if (listener->fd >= 0)
        close(listener->fd);
    mem_free(listener);
    errno = saved;
    return CVN_ERR_SYSTEM;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

void listener_set_tls(struct listener *listener, struct tls_context *tls)
{
    struct tls_context *old = listener->options.tls;
    listener->options.tls = tls_context_ref(tls);
    tls_context_unref(old);
}

void listener_drain(struct listener *listener)
{
    for (int i = 0; i < listener->options.backlog; i++)
        if (!accept_one(listener))
            break;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = CONTAINER_OF((uv_poll_t *)handle, struct listener, poll);
    struct worker *worker = listener->worker;
    mem_free(listener);
    worker_handle_closed(worker);
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    wheel_cancel(&listener->worker->wheel, &listener->rest);
    uv_poll_stop(&listener->poll);
    listener_set_tls(listener, NULL);
    close(listener->fd); /* now, so that the port is free when this returns */
    uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
}
