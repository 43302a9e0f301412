/*
 * A descriptor of one's own for the same connection, watched for nothing but its end: libuv watches a descriptor once only, and the other one
 * is libcurl's. libcurl itself says nothing of an end as long as it has something to send. On the loop's thread.
 */
#include "http/proxy_hangup.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct proxy_hangup {
    uv_poll_t poll;
    int fd;
    void (*fn)(void *data);
    void *data;
};

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct proxy_hangup *hangup = poll->data;
    (void)status; /* an error is an end, too */
    (void)events;
    uv_poll_stop(poll);
    hangup->fn(hangup->data);
}

struct proxy_hangup *proxy_hangup_new(uv_loop_t *loop, int fd, void (*fn)(void *data), void *data)
{
    struct proxy_hangup *hangup = calloc(1, sizeof *hangup);
    if (hangup == NULL)
        return NULL;
    hangup->fn = fn;
    hangup->data = data;
    hangup->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (hangup->fd < 0 || uv_poll_init_socket(loop, &hangup->poll, hangup->fd) != 0) {
        if (hangup->fd >= 0)
            close(hangup->fd);
        free(hangup);
        return NULL;
    }
    hangup->poll.data = hangup;
    uv_poll_start(&hangup->poll, UV_DISCONNECT, on_event);
    return hangup;
}

static void on_closed(uv_handle_t *handle)
{
    struct proxy_hangup *hangup = handle->data;
    close(hangup->fd);
    free(hangup);
}

void proxy_hangup_free(struct proxy_hangup *hangup)
{
    if (hangup != NULL)
        uv_close((uv_handle_t *)&hangup->poll, on_closed);
}
