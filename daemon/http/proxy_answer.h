/*
 * The head of the application's answer, as libcurl hands it out line by line: judged strictly, because it is written again for the
 * client. Pure but for memory.
 */
#ifndef HTTP_PROXY_ANSWER_H
#define HTTP_PROXY_ANSWER_H

#include "http/proxy_fields.h"
#include <stdint.h>

#define PROXY_ANSWER_MAX_FIELDS 100
#define PROXY_ANSWER_MAX_SIZE   16384 /* bytes of all fields: what the server writes at most */
#define PROXY_UNKNOWN_LENGTH    UINT64_MAX

enum proxy_answer_state {
    PROXY_ANSWER_EMPTY, /* zeroed */
    PROXY_ANSWER_LINES,
    PROXY_ANSWER_WHOLE, /* what follows are trailers, which are not looked at */
    PROXY_ANSWER_WRONG
};

struct proxy_answer {
    enum proxy_answer_state state;
    int status;
    uint64_t length; /* PROXY_UNKNOWN_LENGTH: chunked, or until the end */
    bool has_length, is_chunked;
    size_t size, field_count;
    struct { /* places in bytes */
        uint16_t name, name_size, value, value_size;
    } places[PROXY_ANSWER_MAX_FIELDS];
    char bytes[PROXY_ANSWER_MAX_SIZE];
};

/* Takes one line with its line end. An interim answer (1xx but 101) is forgotten when it is whole. */
enum proxy_answer_state proxy_answer_line(struct proxy_answer *answer, const char *line,
                                          size_t size);
/* Of a whole head. */
struct proxy_field proxy_answer_field(const struct proxy_answer *answer, size_t index);
/* Fills `ret` (PROXY_ANSWER_MAX_FIELDS) with those that go on to the client; how many. */
size_t proxy_answer_forward(const struct proxy_answer *answer, struct proxy_field *ret);

#endif
