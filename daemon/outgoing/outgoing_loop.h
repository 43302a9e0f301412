/*
 * libcurl on a libuv loop: one multi handle with its pool of kept connections per worker. Everything here belongs to the thread that turns
 * the loop. What speaks HTTP to others (key sets, webhooks, the proxy) shares it.
 */
#ifndef OUTGOING_LOOP_H
#define OUTGOING_LOOP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

struct outgoing_loop;

/* A transfer has ended, well or not. The handle is no longer libcurl's to drive: read its infos, then clean it up or add it again. Adding and
 * removing other transfers, and outgoing_loop_free, are allowed in here. Not called for what was removed or cut by outgoing_loop_free. */
typedef void (*outgoing_done_fn)(CURL *easy, CURLcode result, void *data);
typedef void (*outgoing_closed_fn)(void *data);

/* NULL when memory has run out or the loop refuses. */
struct outgoing_loop *outgoing_loop_new(uv_loop_t *loop) __attribute__((warn_unused_result));

/*
 * Starts the transfer that `easy` describes; it stays the caller's to clean up, after `done` or outgoing_loop_remove. Takes
 * CURLOPT_PRIVATE and CURLOPT_NOSIGNAL. False when memory has run out: nothing has begun, `done` is not called.
 *
 * Neither this nor outgoing_loop_remove may be called from libcurl's own callbacks (write, read, header): pause there, or return a failure.
 */
bool outgoing_loop_add(struct outgoing_loop *outgoing, CURL *easy, outgoing_done_fn done,
                       void *data) __attribute__((warn_unused_result));
/* The same for CURLOPT_CONNECT_ONLY, which this sets: after `done` the handle stays with the loop, and with it its connection, for
 * curl_easy_send and curl_easy_recv; outgoing_loop_remove ends both. */
bool outgoing_loop_connect(struct outgoing_loop *outgoing, CURL *easy, outgoing_done_fn done,
                           void *data) __attribute__((warn_unused_result));
/* Cuts a transfer short, without `done`. Does nothing for a handle that is not in the loop. */
void outgoing_loop_remove(struct outgoing_loop *outgoing, CURL *easy);

/* The descriptor of the connection that the transfer uses, as libcurl named it last; -1: none yet. It stays libcurl's. */
int outgoing_loop_socket(CURL *easy);
/* For options of the pool (CURLMOPT_MAXCONNECTS, ...); not its socket or timer callbacks. */
CURLM *outgoing_loop_multi(struct outgoing_loop *outgoing);
uv_loop_t *outgoing_loop_uv(struct outgoing_loop *outgoing);

/* Cuts every transfer short without `done`, and closes all connections. `closed` (may be NULL) is called when the loop has let go, from the loop;
 * the memory is gone then. The easy handles stay their owners'. NULL is accepted, `closed` is called at once. */
void outgoing_loop_free(struct outgoing_loop *outgoing, outgoing_closed_fn closed, void *data);

#endif
