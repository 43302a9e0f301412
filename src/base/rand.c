/* Random bytes: one getrandom(2) gives a batch, each thread has its own, what is handed out is wiped. */
#include "base/rand.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BATCH                                                                                      \
    480 /* getrandom gives up to 256 bytes without interruption; more may need a second call */

static _Thread_local struct {
    uint8_t bytes[BATCH];
    size_t left;
} batch;

static void fetch(uint8_t *to, size_t size)
{
    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort(); /* no secret can be made */
        to += got;
        size -= (size_t)got;
    }
}

void rand_bytes(void *ret, size_t size)
{
    if (size > BATCH) {
        fetch(ret, size);
        return;
    }
    if (batch.left < size) {
        fetch(batch.bytes, BATCH);
        batch.left = BATCH;
    }
    uint8_t *from = batch.bytes + (batch.left -= size);
    memcpy(ret, from, size);
    explicit_bzero(from, size);
}

uint64_t rand_u64(void)
{
    uint64_t number;
    rand_bytes(&number, sizeof number);
    return number;
}
