/*
 * Connection state recovery: a client that lost its connection comes back, to any worker, with the secret id (pid) of its session and the
 * offset of the last event it got. It finds its id, rooms and data again, and every event it missed, in order, before the CONNECT packet.
 * Wire: Socket.IO v5, connection state recovery.
 */
#ifndef SIO_RECOVERY_H
#define SIO_RECOVERY_H

#include "sio/sio_session.h"

static inline bool sio_recovery_is_on(const struct sio_server *server)
{
    return server->options.recovery.window_ms != 0;
}

/* How long an emit is kept: until the last session to which it may not have arrived has ended. */
static inline uint64_t sio_recovery_log_ms(const struct sio_server *server)
{
    return server->options.recovery.window_ms + server->options.recovery.heartbeat_ms;
}

/* --- Emitting where clients may come back (sio_offset.c) --- */

/* As the adapter's publish, with the offset as one more argument. Any thread. */
enum cvn_error sio_recovery_emit(struct sio_op *op, const char *event, cvn_args args,
                                 const char *conflate);
/* To one socket; on its worker. */
enum cvn_error sio_recovery_emit_to(struct cvn_socket *socket, const char *event, cvn_args args,
                                    unsigned flags, const char *conflate);
/* The offset of a position, for the wire; *ret has its length without the NUL. */
#define SIO_OFFSET_SIZE 40
size_t sio_offset_write(struct sio_position position, char ret[SIO_OFFSET_SIZE]);
/* False for what is no offset. */
bool sio_offset_read(cvn_slice text, struct sio_position *ret);

/* --- A socket's session --- */

/* A new socket: when its client names a session that can be had, takes that over; then, at once or later, sio_socket_begin. */
void sio_recovery_begin(struct cvn_socket *socket);
/* It joins now: finds what the client missed, or gives it a new session. Its id is final from here on. */
void sio_recovery_settle(struct cvn_socket *socket);
/* It has joined: puts a recovered one into its rooms and sends what it missed. False when memory has run out. */
bool sio_recovery_restore(struct cvn_socket *socket);
/* It leaves: remembers its rooms when the client may come back, else ends its session. */
void sio_recovery_leave(struct cvn_socket *socket, bool may_return);
/* It has gone, its handlers were told: parks the session, with the socket's data. Also for one that never joined. */
void sio_recovery_park(struct cvn_socket *socket);

/* Parked sessions whose socket an op would have disconnected do not come back. */
void sio_recovery_disconnect(struct sio_worker *worker, const struct sio_op *op);

/* The local's log. CVN_ERR_MEMORY. */
enum cvn_error sio_recovery_prepare(struct sio_local *local, unsigned worker_count);
/* Ends the sessions parked on a worker; when it has stopped. */
void sio_recovery_end_all(struct sio_worker *worker);

#endif
