/* Responses as bytes. Pure, but for allocating the message. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "base/message.h"

struct http_response {
    int status;
    unsigned minor_version; /* of the request */
    bool keep_alive;        /* the connection stays */
    cvn_slice content_type; /* empty: none */
    cvn_slice fields;       /* whole lines */
    uint64_t body_size;
    bool has_no_length; /* not known; is_chunked or till the end of the connection */
    bool is_chunked;
};

/* The head with its empty line and `extra` uninitialised bytes behind it, for a body; *ret_body
 * points to them. NULL when memory has run out. */
struct message *http_response_encode(const struct http_response *response, size_t extra,
                                     char **ret_body) __attribute__((warn_unused_result));

#endif
