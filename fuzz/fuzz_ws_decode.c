/*
 * The frame decoder against a model that is written the slow way, and against itself with the input in pieces. The first
 * two bytes choose the side, the extension bit, the limit and the pieces; the rest is the stream.
 */
#include <stdlib.h>
#include "ws/ws_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_INPUT 4096

/* Everything that came out, in a form that can be compared. */
struct record {
    uint8_t bytes[MAX_INPUT * 4];
    size_t size;
    unsigned refused; /* a status, or 0 */
};

static void record_frame(struct record *record, unsigned opcode, bool fin, bool rsv1,
                         const uint8_t *payload, size_t size)
{
    uint8_t *out = record->bytes + record->size;
    CHECK(record->size + 4 + size <= sizeof record->bytes);
    out[0] = (uint8_t)opcode;
    out[1] = (uint8_t)(fin | rsv1 << 1);
    out[2] = (uint8_t)size;
    out[3] = (uint8_t)(size >> 8);
    if (size > 0)
        memcpy(out + 4, payload, size);
    record->size += 4 + size;
}

/* --- The model: a byte at a time, in the words of RFC 6455 section 5.2 --- */

static unsigned model_header_fault(const struct ws_decoder *rules, bool in_message,
                                   const uint8_t *h, size_t have, uint64_t *ret_length,
                                   size_t *ret_header)
{
    *ret_header = 0;
    if (have < 1)
        return 0;
    bool fin = h[0] >> 7 & 1, rsv1 = h[0] >> 6 & 1, rsv2 = h[0] >> 5 & 1, rsv3 = h[0] >> 4 & 1;
    unsigned opcode = h[0] % 16;
    bool control = opcode >= 8, starts = opcode == 1 || opcode == 2;
    if (opcode != 0 && !starts && opcode != 8 && opcode != 9 && opcode != 10)
        return 1002;
    if (rsv2 || rsv3 || (rsv1 && !(rules->allow_rsv1 && starts)))
        return 1002;
    if ((control && !fin) || (opcode == 0 && !in_message) || (starts && in_message))
        return 1002;
    if (have < 2)
        return 0;
    unsigned length7 = h[1] % 128;
    if ((h[1] >= 128) != rules->from_client)
        return 1002;
    if (control && length7 > 125)
        return 1002;
    if (opcode == 8 && length7 == 1)
        return 1002;
    uint64_t length = length7;
    size_t header = 2;
    if (length7 == 127 && have >= 3 && h[2] >= 128)
        return 1002;
    size_t extended = length7 == 126 ? 2 : length7 == 127 ? 8 : 0;
    if (have < 2 + extended)
        return 0;
    if (extended > 0) {
        length = 0;
        for (size_t i = 0; i < extended; i++)
            length = length * 256 + h[2 + i];
        header += extended;
        if (length <= 125 || (extended == 8 && length <= 65535))
            return 1002;
    }
    if (!control && length > rules->max_payload)
        return 1009;
    *ret_length = length;
    *ret_header = header + (rules->from_client ? 4 : 0);
    return 0;
}

static void run_model(const struct ws_decoder *rules, const uint8_t *data, size_t size,
                      struct record *ret)
{
    bool in_message = false;
    for (;;) {
        uint64_t length = 0;
        size_t header = 0;
        ret->refused = model_header_fault(rules, in_message, data, size, &length, &header);
        if (ret->refused != 0 || header == 0 || size < header || size - header < length)
            return;
        uint8_t payload[MAX_INPUT];
        for (size_t i = 0; i < length; i++)
            payload[i] =
                data[header + i] ^ (rules->from_client ? data[header - 4 + i % 4] : (uint8_t)0);
        unsigned opcode = data[0] % 16;
        bool fin = data[0] >= 128;
        record_frame(ret, opcode, fin, data[0] & 0x40, payload, (size_t)length);
        if (opcode < 8)
            in_message = !fin;
        data += header + length;
        size -= header + (size_t)length;
    }
}

/* --- The decoder, with `piece` bytes more at a time --- */

static void run_decoder(const struct ws_decoder *rules, const uint8_t *data, size_t size,
                        size_t piece, struct record *ret)
{
    struct ws_decoder decoder = *rules;
    size_t done = 0, have = 0, known_total = 0;
    while (have < size || piece == 0) {
        have = piece == 0 || size - have < piece ? size : have + piece;
        for (;;) {
            /* An allocation of its own, so that the sanitizer sees every byte too many. */
            size_t rest = have - done;
            char *copy = malloc(rest > 0 ? rest : 1);
            CHECK(copy != NULL);
            if (rest > 0)
                memcpy(copy, data + done, rest);
            struct ws_frame frame;
            size_t used = 0;
            enum ws_status status = WS_STATUS_NONE;
            struct ws_decoder before = decoder;
            enum ws_decode result = ws_decode(&decoder, copy, rest, &frame, &used, &status);
            if (result == WS_FRAME) {
                CHECK(used <= rest && frame.payload + frame.size == copy + used);
                CHECK(known_total == 0 || known_total == used);
                record_frame(ret, frame.opcode, frame.fin, frame.rsv1,
                             (const uint8_t *)frame.payload, frame.size);
                known_total = 0;
                done += used;
            } else {
                CHECK(before.in_message == decoder.in_message);
            }
            if (result == WS_NEED_MORE) {
                CHECK(rest == 0 || memcmp(copy, data + done, rest) == 0);
                CHECK(used == 0 || used > rest);
                CHECK(known_total == 0 || known_total == used);
                known_total = used;
            }
            free(copy);
            if (result == WS_REFUSED) {
                ret->refused = status;
                return;
            }
            if (result == WS_NEED_MORE)
                break;
        }
        if (have == size)
            return;
    }
}

static void check_same(const struct record *a, const struct record *b)
{
    CHECK(a->refused == b->refused && a->size == b->size &&
          memcmp(a->bytes, b->bytes, a->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record model, whole, pieces;
    static const uint64_t limits[4] = {UINT64_MAX, 0, 5, 300};
    if (size < 2 || size > MAX_INPUT)
        return 0;
    struct ws_decoder rules;
    ws_decode_init(&rules, limits[data[0] >> 2 & 3], data[0] & 1);
    rules.allow_rsv1 = data[0] & 2;
    size_t piece = 1 + data[1] % 40;
    data += 2;
    size -= 2;

    model.size = whole.size = pieces.size = 0;
    model.refused = whole.refused = pieces.refused = 0;
    run_model(&rules, data, size, &model);
    run_decoder(&rules, data, size, 0, &whole);
    check_same(&model, &whole);
    run_decoder(&rules, data, size, piece, &pieces);
    check_same(&model, &pieces);
    return 0;
}
