/* Socket.IO packets as messages ready to be queued on any number of sessions. Any thread. */
#ifndef SIO_ENCODE_H
#define SIO_ENCODE_H

#include <convene/server.h>
#include <convene/json.h>
#include "eio/eio_packet.h"
#include "sio/sio_frames.h"
#include "sio/sio_packet.h"

#define SIO_MAX_ATTACHMENTS 64  /* whatever the options say */
#define SIO_MAX_EVENT_NAME  255 /* bytes of a name that may be emitted */

/* What an application may put into a packet, and how packets are written. */
struct sio_encode_limits {
    unsigned max_attachments;
    unsigned max_depth;
    enum cvn_parser parser;
};

/*
 * Encodes an event (`event` given) or an acknowledgement (`event` NULL), checking that `args` are valid JSON and fit their
 * attachments. CVN_ERR_JSON, CVN_ERR_ARGUMENT (event name), CVN_ERR_LIMIT, CVN_ERR_MEMORY; *ret untouched then.
 */
enum cvn_error sio_encode_event(cvn_slice nsp, const char *event, const uint64_t *id, cvn_args args,
                                const struct sio_encode_limits *limits, struct sio_frames *ret);
/* Whether `args` are valid JSON and fit their attachments: CVN_ERR_JSON, CVN_ERR_LIMIT. */
enum cvn_error sio_encode_check_args(cvn_args args, const struct sio_encode_limits *limits);
/* CONNECT, DISCONNECT and CONNECT_ERROR; `json` may be empty. NULL when memory has run out. */
struct message *sio_encode_control(enum cvn_parser parser, enum sio_type type, cvn_slice nsp,
                                   cvn_slice json);

#endif
