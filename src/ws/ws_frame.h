/* The words of RFC 6455 that decoder, encoder and connection share. */
#ifndef WS_FRAME_H
#define WS_FRAME_H

#include "base/message.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

/* Section 7.4.1. */
enum ws_status {
    WS_STATUS_NORMAL = 1000,
    WS_STATUS_GOING_AWAY = 1001,
    WS_STATUS_PROTOCOL_ERROR = 1002,
    WS_STATUS_NONE = 1005, /* never on the wire: a close frame without a status */
    WS_STATUS_BAD_DATA = 1007,
    WS_STATUS_TOO_BIG = 1009,
    WS_STATUS_INTERNAL_ERROR = 1011
};

#define WS_MAX_HEADER        14  /* bytes of the longest frame header, masked */
#define WS_MAX_SERVER_HEADER 10  /* unmasked */
#define WS_MAX_CONTROL       125 /* payload bytes of a control frame */

#endif
