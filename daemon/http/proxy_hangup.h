/* Tells when the other end of a connection has sent its last byte, for a descriptor that somebody else reads. On the loop's thread. */
#ifndef HTTP_PROXY_HANGUP_H
#define HTTP_PROXY_HANGUP_H

#include <uv.h>

struct proxy_hangup;

/* Calls `fn` once. NULL when memory or descriptors have run out. */
struct proxy_hangup *proxy_hangup_new(uv_loop_t *loop, int fd, void (*fn)(void *data), void *data)
    __attribute__((warn_unused_result));
/* NULL is accepted. The loop lets go of it later. */
void proxy_hangup_free(struct proxy_hangup *hangup);

#endif
