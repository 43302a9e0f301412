/* Socket.IO v5 packets: the text of one packet apart, and a packet's text together. Pure. */
#ifndef SIO_PACKET_H
#define SIO_PACKET_H

#include "base/json.h"

enum sio_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR,
    SIO_BINARY_EVENT,
    SIO_BINARY_ACK
};

/* All slices point into the text that was decoded. */
struct sio_packet {
    enum sio_type type;
    unsigned attachments; /* of the binary types: how many binary messages follow */
    cvn_slice nsp;        /* with its slash; "/" when the text names none */
    bool has_id;
    uint64_t id;
    cvn_slice
        data; /* EVENT, ACK: the list inside the brackets, the event's name included; CONNECT: the object; else empty */
    cvn_slice event; /* EVENT: the first element, a JSON string or number */
    cvn_slice args;  /* EVENT: the list behind the name; ACK: the whole list */
};

struct sio_packet_limits {
    unsigned max_attachments;
    unsigned max_depth;
};

/*
 * Takes `text` apart and checks everything that the packet alone shows: type, counts, JSON, the payload's shape for the type,
 * reserved event names, the placeholders' indices. False: the sender must be disconnected ("parse error").
 */
bool sio_packet_decode(cvn_slice text, const struct sio_packet_limits *limits,
                       struct sio_packet *ret);

/* Cuts the event's name off the valid list in packet->data: sets event and args. False when there is none that a client may send. */
bool sio_packet_cut_event(struct sio_packet *packet);

/* Whether an application may not emit this name, nor a client send it: connect, disconnect, ... */
bool sio_packet_is_reserved(cvn_slice event);

/*
 * Checks the placeholders in a valid JSON list: every object with a true `_placeholder` must have a `num` below
 * `attachments`. This is what an attacker would bend to reach an attachment that is not there.
 */
bool sio_packet_check_placeholders(cvn_slice list, unsigned attachments);
/* When `value` is such an object: its num. */
bool sio_packet_placeholder(cvn_slice value, uint64_t *ret_num);

/* The parts of a packet to be written; `prefix` and `list` may be empty. */
struct sio_text {
    enum sio_type type;
    unsigned attachments;
    cvn_slice nsp; /* "/" is not written */
    bool has_id;
    uint64_t id;
    cvn_slice event; /* already a JSON string; empty for packets without one */
    cvn_slice list;  /* comma-separated values, in brackets behind the event when `brackets` */
    bool brackets;
};
/* Exact length of the text, and writing it to `ret`, which has that length. */
size_t sio_text_size(const struct sio_text *text);
void sio_text_write(const struct sio_text *text, char *ret);

#endif
