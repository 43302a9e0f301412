/* One Engine.IO connection seen from Socket.IO: several namespaces, one packet at a time. Worker's thread. */
#ifndef SIO_CLIENT_H
#define SIO_CLIENT_H

#include "sio/sio_socket.h"

/* A binary packet whose attachments are still coming. */
struct sio_pending;

struct sio_client {
    struct sio_worker *worker;
    struct eio_session *session;
    struct sio_handshake *handshake;
    struct list
        sockets; /* of struct cvn_socket; those that the server disconnected stay until joined anew */
    unsigned socket_count;
    struct sio_pending *pending;
    struct timer connect_timer;
    struct worker_task water_task; /* tells the sockets how is_high is */
    bool is_leaving; /* the connection is about to end: no event is taken on that wants an answer */
    bool is_high;    /* more is queued for the connection than the high-water mark */
};

/* The namespace was joined: the connection may stay. */
void sio_client_joined(struct sio_client *client);
/* Takes the socket out of the list, giving up the client's reference. */
void sio_client_remove(struct sio_client *client, struct cvn_socket *socket);
/* Disconnects every namespace, telling the client, and closes the connection. */
void sio_client_disconnect(struct sio_client *client);
/* Milliseconds since 1970. */
int64_t sio_client_wall_clock_ms(void);
void sio_client_send(struct sio_client *client, struct message *packet);

/* eio_events.on_water (sio_water.c) */
void sio_water_on_change(struct eio_session *session, bool is_high);

#endif
