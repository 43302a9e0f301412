/* One client in one namespace. Worker's thread, but for references. */
#ifndef SIO_SOCKET_H
#define SIO_SOCKET_H

#include <convene/socket.h>
#include <convene/emit.h>
#include "sio/sio_handshake.h"
#include "sio/sio_namespace.h"

#define SIO_ID_SIZE 20

struct sio_client;
struct sio_room;

enum sio_socket_state {
    SIO_SOCKET_CONNECTING, /* middlewares decide */
    SIO_SOCKET_CONNECTED,
    SIO_SOCKET_LEAVING, /* its disconnecting handlers run; rooms are still there */
    SIO_SOCKET_GONE
};

struct sio_membership {
    struct sio_room *room;
    uint32_t index; /* of this socket in room->members */
    uint64_t since; /* end of the local's log when it joined */
};

struct cvn_socket {
    /* What a broadcast touches comes first: one cache line. */
    atomic_uint refs;
    uint8_t state; /* enum sio_socket_state */
    bool recovered;
    bool is_high;              /* was told that its connection is above the high-water mark */
    uint64_t mark;             /* of the last broadcast that reached or excluded it */
    struct sio_client *client; /* NULL once the connection has gone */
    struct sio_local *local;
    struct counter packets_out, bytes_out;
    uint32_t member_index; /* in local->members */
    char id[SIO_ID_SIZE + 1];
    struct counter packets_in, bytes_in;
    struct counter dropped;         /* volatile packets that it could not take */
    struct counter conflated;       /* packets that newer ones of their key took the place of */
    struct counter connected_ms;    /* wall clock, since 1970; 0 before */
    struct cvn_namespace *kept_nsp; /* a reference to a dynamic one; NULL: it may go before this */
    struct list client_link;        /* in client->sockets */
    struct sio_membership *rooms;   /* its own id's room is not among them */
    uint32_t room_count, room_capacity;
    uint32_t ack_count;
    struct list acks; /* of struct sio_ack, oldest first */
    uint64_t next_ack_id;
    struct sio_handshake *handshake;
    struct message *auth;        /* NULL: none was sent */
    struct message *attributes;  /* JSON of the application's; NULL: "{}" */
    struct sio_session *session; /* for recovery; NULL: it has none */
    void *data;
    void (*destroy_data)(void *data);
};

/* A socket that is about to ask the middlewares; one reference. NULL when memory has run out. */
struct cvn_socket *sio_socket_new(struct sio_client *client, struct sio_local *local,
                                  cvn_slice auth);
/* Runs the middlewares, and at their yes joins; refuses at their no. The client's reference is taken over. */
void sio_socket_begin(struct cvn_socket *socket);
/* Ends it: disconnect handlers, rooms, acknowledgements. The client is not told; with `may_return` it may find its session again.
 * Idempotent. */
void sio_socket_end(struct cvn_socket *socket, const char *reason, bool may_return);
/* A fresh random id. */
void sio_socket_make_id(char ret[SIO_ID_SIZE + 1]);

/* Queues an encoded event; false when it was not (gone, or volatile and congested). */
bool sio_socket_send(struct cvn_socket *socket, const struct sio_frames *frames);
/* The same for an acknowledgement. */
bool sio_socket_send_ack(struct cvn_socket *socket, const struct sio_frames *frames);
/* Queues CONNECT, DISCONNECT or CONNECT_ERROR. */
void sio_socket_send_control(struct cvn_socket *socket, enum sio_type type, cvn_slice json);

/* Counts a packet of `bytes` bytes, attachments included, that came from the client. */
static inline void sio_socket_count_in(struct cvn_socket *socket, size_t bytes)
{
    counter_add(&socket->packets_in, 1);
    counter_add(&socket->bytes_in, bytes);
    counter_add(&socket->local->bytes_in, bytes);
}

/* An event from the client, for the handlers. */
void sio_socket_on_event(struct cvn_socket *socket, const struct sio_packet *packet,
                         const cvn_slice *attachments);

/* --- Rooms (sio_room.c) --- */

struct sio_room_member {
    struct cvn_socket *socket;
    uint32_t index; /* of the room in socket->rooms */
};

/* The members of a room on one worker; it exists while it has any. */
struct sio_room {
    struct sio_room_member *members;
    uint32_t count, capacity;
    uint32_t name_size;
    char name[]; /* with a NUL */
};

struct sio_room *sio_room_find(const struct sio_local *local, cvn_slice name);
void sio_room_leave_all(struct cvn_socket *socket);
cvn_slice sio_room_key(const void *value);

/* --- Acknowledgements that the application waits for (sio_ack.c) --- */

/* Encodes nothing: remembers whom to tell. `id` must not be pending. CVN_ERR_LIMIT, CVN_ERR_MEMORY. */
enum cvn_error sio_ack_add(struct cvn_socket *socket, uint64_t id, uint32_t timeout_ms,
                           cvn_ack_fn fn, void *data);
/* Forgets it without a word. */
void sio_ack_remove(struct cvn_socket *socket, uint64_t id);
/* The client has answered; an unknown id is ignored. */
void sio_ack_resolve(struct cvn_socket *socket, uint64_t id, cvn_args args);
/* Tells all that nobody will answer. */
void sio_ack_fail_all(struct cvn_socket *socket);

#endif
