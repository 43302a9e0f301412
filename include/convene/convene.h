/**
 * @file
 * libconvene: a Socket.IO v5 / Engine.IO v4 server to embed.
 *
 *     static void on_message(cvn_socket *socket, const cvn_event *event, void *data) {
 *         cvn_emit(&(cvn_target){.nsp = cvn_socket_namespace(socket), .rooms = {"lobby"},
 *                                .except = {cvn_socket_id(socket)}},
 *                  "message", cvn_event_args(event));
 *         cvn_ack(event, "{\"ok\":true}");
 *     }
 *     int main(void) {
 *         cvn_server *io = cvn_server_new(&(cvn_options){.port = 3000});
 *         cvn_on(cvn_of(io, "/chat"), "message", on_message, NULL);
 *         return cvn_server_run(io);
 *     }
 *
 * Threads: a server runs N workers. A socket lives on one of them, and its handlers run there, one
 * at a time. Functions that take a cvn_socket or cvn_event are for that worker only, unless they
 * say "any thread".
 *
 * convene/uv.h is not included here: it puts a server on a libuv loop of the caller's.
 */
#ifndef CONVENE_H
#define CONVENE_H

#include <convene/types.h>
#include <convene/json.h>
#include <convene/server.h>
#include <convene/namespace.h>
#include <convene/dynamic.h>
#include <convene/socket.h>
#include <convene/emit.h>
#include <convene/sockets.h>
#include <convene/adapter.h>
#include <convene/serverside.h>
#include <convene/observe.h>
#include <convene/http.h>
#include <convene/http_stream.h>
#include <convene/worker.h>
#include <convene/timer.h>

#endif
