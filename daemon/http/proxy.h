/*
 * The reverse proxy: requests that are neither Socket.IO's nor a route's go to the application behind us (upstream.url), WebSocket and other
 * upgrades included, in pieces both ways. Each worker keeps connections of its own to the application. Made and freed on the main thread;
 * requests run on their workers. docs/deployment.md says what the application sees.
 */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include "config/config.h"
#include "observe/metrics.h"
#include <convene/convene.h>

struct proxy;

/* Before the server starts; config.upstream.url must be set. `metrics` may be NULL. NULL when memory has run out or the URL is none, which
 * the log is told. */
struct proxy *proxy_new(const struct config *config, cvn_server *server, struct metrics *metrics);
/* After the server has stopped. NULL is accepted. */
void proxy_free(struct proxy *proxy);

/* For cvn_on_http_head, or whoever asks first: takes the request, always. On its worker, before its body. */
bool proxy_serve(cvn_http_request *request, void *proxy);

#endif
