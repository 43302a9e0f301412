/* Frames as tests need them: any bits, any length form, masked or not. For any test program; nothing is freed for you. */
#ifndef WS_TEST_FRAMES_H
#define WS_TEST_FRAMES_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/slice.h"

/* A growing run of bytes; bytes_release it. */
struct bytes {
    char *data;
    size_t size, capacity;
};

static inline void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (bytes->size + size > bytes->capacity) {
        bytes->capacity = 2 * (bytes->size + size);
        bytes->data = realloc(bytes->data, bytes->capacity);
        assert(bytes->data != NULL);
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static inline void bytes_release(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){NULL, 0, 0};
}

#define FIN       0x80
#define RSV1      0x40
#define MASKED    true
#define UNMASKED  false
#define OP_CONT   0x0
#define OP_TEXT   0x1
#define OP_BINARY 0x2
#define OP_CLOSE  0x8
#define OP_PING   0x9
#define OP_PONG   0xa

/* `form`: bytes of the extended length (0, 2 or 8). */
static inline void frame_add_form(struct bytes *out, unsigned first, const void *payload,
                                  size_t size, bool masked, unsigned form)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char header[14];
    size_t used = 2;
    header[0] = (unsigned char)first;
    header[1] = (unsigned char)(form == 0 ? size : form == 2 ? 126 : 127);
    for (unsigned i = 0; i < form; i++)
        header[used++] = (unsigned char)((unsigned long long)size >> 8 * (form - 1 - i));
    if (masked) {
        header[1] |= 0x80;
        memcpy(header + used, mask, 4);
        used += 4;
    }
    bytes_add(out, header, used);
    size_t start = out->size;
    bytes_add(out, payload, size);
    for (size_t i = 0; masked && i < size; i++)
        out->data[start + i] = (char)(out->data[start + i] ^ mask[i % 4]);
}

static inline void frame_add(struct bytes *out, unsigned first, const void *payload, size_t size,
                             bool masked)
{
    frame_add_form(out, first, payload, size, masked, size < 126 ? 0 : size <= 0xffff ? 2 : 8);
}

/* What a client sends. */
static inline void client_add(struct bytes *out, unsigned first, const char *payload)
{
    frame_add(out, first, payload, strlen(payload), MASKED);
}

static inline void client_add_close(struct bytes *out, unsigned status, const char *reason)
{
    char payload[125];
    size_t size = strlen(reason);
    assert(size <= sizeof payload - 2);
    payload[0] = (char)(status >> 8);
    payload[1] = (char)status;
    memcpy(payload + 2, reason, size);
    frame_add(out, FIN | OP_CLOSE, payload, size + 2, MASKED);
}

/* A repeatable sequence of numbers. */
static inline unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

#endif
