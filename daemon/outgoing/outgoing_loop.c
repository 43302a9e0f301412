/*
 * The glue between libcurl's multi_socket interface and libuv: libcurl names the descriptors and the time that it waits for (on_socket,
 * on_timer), libuv says when they are there. On the thread of the loop.
 *
 * Invariants: libcurl is never entered from inside its own callbacks. A descriptor is watched by one uv_poll_t, which is closed, as libuv
 * wants it, before libcurl closes the descriptor. A transfer is in `transfers` as long as its easy handle is in the multi handle. `done` is called
 * outside of libcurl, from the loop's own callbacks.
 */
#include "outgoing/outgoing_loop.h"
#include <pthread.h>
#include <stdlib.h>

struct transfer {
    struct transfer *next, *before; /* in the loop's list */
    CURL *easy;
    outgoing_done_fn done;
    void *data;
    bool stays;       /* with the loop when it is done */
    curl_socket_t fd; /* as named last */
};

struct outgoing_loop {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct transfer *transfers;
    unsigned handles; /* on the loop: the timer and a poll for each descriptor */
    bool is_busy;     /* in `done` of somebody */
    bool is_closing;
    outgoing_closed_fn closed;
    void *closed_data;
};

struct watch {
    uv_poll_t poll;
    struct outgoing_loop *outgoing;
    curl_socket_t fd;
    int events; /* what libcurl waits for */
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void init_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void on_handle_closed(struct outgoing_loop *outgoing)
{
    outgoing_closed_fn closed = outgoing->closed;
    void *data = outgoing->closed_data;
    if (--outgoing->handles > 0)
        return;
    free(outgoing);
    if (closed != NULL)
        closed(data);
}

/* --- Transfers --- */

static void link_transfer(struct outgoing_loop *outgoing, struct transfer *transfer)
{
    transfer->next = outgoing->transfers;
    if (transfer->next != NULL)
        transfer->next->before = transfer;
    outgoing->transfers = transfer;
}

static void drop_transfer(struct outgoing_loop *outgoing, struct transfer *transfer)
{
    if (transfer->before != NULL)
        transfer->before->next = transfer->next;
    else
        outgoing->transfers = transfer->next;
    if (transfer->next != NULL)
        transfer->next->before = transfer->before;
    curl_multi_remove_handle(outgoing->multi, transfer->easy);
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, NULL);
    free(transfer);
}

static struct transfer *transfer_of(CURL *easy)
{
    char *found = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &found);
    return (struct transfer *)(void *)found;
}

static void destroy(struct outgoing_loop *outgoing);

/* Tells those whose transfers have ended. Each may end others, or the loop. */
static void tell_done(struct outgoing_loop *outgoing)
{
    const CURLMsg *message;
    int left;
    outgoing->is_busy = true;
    while (!outgoing->is_closing &&
           (message = curl_multi_info_read(outgoing->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result; /* the message goes with the handle */
        struct transfer *transfer = transfer_of(easy);
        outgoing_done_fn done = transfer->done;
        void *data = transfer->data;
        if (!transfer->stays || result != CURLE_OK)
            drop_transfer(outgoing, transfer);
        done(easy, result, data);
    }
    outgoing->is_busy = false;
    if (outgoing->is_closing)
        destroy(outgoing);
}

/* --- What libuv tells --- */

static void act(struct outgoing_loop *outgoing, curl_socket_t fd, int what)
{
    int running;
    curl_multi_socket_action(outgoing->multi, fd, what, &running);
    tell_done(outgoing);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int what = 0;
    /* libuv has stopped: there is an error on the descriptor. libcurl meets it where it reads or writes, behind what the peer still
     * sent; that may take more than one call. */
    if (status < 0) {
        events = watch->events;
        uv_poll_start(poll, events, on_ready);
    }
    if (events & UV_READABLE)
        what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        what |= CURL_CSELECT_OUT;
    act(watch->outgoing, watch->fd, what);
}

static void on_time(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* --- What libcurl tells --- */

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    struct outgoing_loop *outgoing = watch->outgoing;
    free(watch);
    on_handle_closed(outgoing);
}

static struct watch *watch_new(struct outgoing_loop *outgoing, curl_socket_t fd)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    if (uv_poll_init_socket(outgoing->loop, &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->outgoing = outgoing;
    watch->fd = fd;
    outgoing->handles++;
    curl_multi_assign(outgoing->multi, fd, watch);
    return watch;
}

/* A failure makes libcurl give up the transfer. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
    struct outgoing_loop *outgoing = data;
    struct watch *watch = socket_data;
    struct transfer *transfer = transfer_of(easy);
    if (transfer != NULL && what != CURL_POLL_REMOVE)
        transfer->fd = fd;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            curl_multi_assign(outgoing->multi, fd, NULL);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (watch == NULL)
        watch = watch_new(outgoing, fd);
    if (watch == NULL)
        return -1;
    watch->events =
        (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, watch->events, on_ready) == 0 ? 0 : -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *data)
{
    struct outgoing_loop *outgoing = data;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&outgoing->timer);
    else if (!outgoing->is_closing)
        uv_timer_start(&outgoing->timer, on_time, (uint64_t)timeout_ms, 0);
    return 0;
}

/* --- For everybody --- */

struct outgoing_loop *outgoing_loop_new(uv_loop_t *loop)
{
    pthread_once(&library_once, init_library);
    struct outgoing_loop *outgoing = calloc(1, sizeof *outgoing);
    if (outgoing == NULL)
        return NULL;
    outgoing->loop = loop;
    outgoing->multi = curl_multi_init();
    if (outgoing->multi == NULL) {
        free(outgoing);
        return NULL;
    }
    uv_timer_init(loop, &outgoing->timer); /* cannot fail */
    outgoing->timer.data = outgoing;
    outgoing->handles = 1;
    curl_multi_setopt(outgoing->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(outgoing->multi, CURLMOPT_SOCKETDATA, outgoing);
    curl_multi_setopt(outgoing->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(outgoing->multi, CURLMOPT_TIMERDATA, outgoing);
    return outgoing;
}

static bool add(struct outgoing_loop *outgoing, CURL *easy, outgoing_done_fn done, void *data,
                bool stays)
{
    if (outgoing->is_closing)
        return false;
    struct transfer *transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL)
        return false;
    transfer->easy = easy;
    transfer->done = done;
    transfer->data = data;
    transfer->stays = stays;
    transfer->fd = CURL_SOCKET_BAD;
    /* Without NOSIGNAL libcurl would use alarms and change the process's handler of SIGPIPE. */
    if (curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, stays ? 1L : 0L) != CURLE_OK ||
        curl_multi_add_handle(outgoing->multi, easy) != CURLM_OK) {
        curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
        free(transfer);
        return false;
    }
    link_transfer(outgoing, transfer);
    return true;
}

bool outgoing_loop_add(struct outgoing_loop *outgoing, CURL *easy, outgoing_done_fn done,
                       void *data)
{
    return add(outgoing, easy, done, data, false);
}

bool outgoing_loop_connect(struct outgoing_loop *outgoing, CURL *easy, outgoing_done_fn done,
                           void *data)
{
    return add(outgoing, easy, done, data, true);
}

void outgoing_loop_remove(struct outgoing_loop *outgoing, CURL *easy)
{
    struct transfer *transfer = transfer_of(easy);
    if (transfer != NULL)
        drop_transfer(outgoing, transfer);
}

int outgoing_loop_socket(CURL *easy)
{
    const struct transfer *transfer = transfer_of(easy);
    return transfer != NULL ? transfer->fd : CURL_SOCKET_BAD;
}

CURLM *outgoing_loop_multi(struct outgoing_loop *outgoing)
{
    return outgoing->multi;
}

uv_loop_t *outgoing_loop_uv(struct outgoing_loop *outgoing)
{
    return outgoing->loop;
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void destroy(struct outgoing_loop *outgoing)
{
    struct transfer *next;
    for (struct transfer *transfer = outgoing->transfers; transfer != NULL; transfer = next) {
        next = transfer->next;
        drop_transfer(outgoing, transfer);
    }
    curl_multi_cleanup(outgoing->multi); /* tells on_socket of each descriptor that it closes */
    outgoing->multi = NULL;
    uv_close((uv_handle_t *)&outgoing->timer, on_timer_closed);
}

void outgoing_loop_free(struct outgoing_loop *outgoing, outgoing_closed_fn closed, void *data)
{
    if (outgoing == NULL) {
        if (closed != NULL)
            closed(data);
        return;
    }
    outgoing->closed = closed;
    outgoing->closed_data = data;
    outgoing->is_closing = true;
    if (!outgoing->is_busy) /* else tell_done does it: libcurl's message is in its hands */
        destroy(outgoing);
}
