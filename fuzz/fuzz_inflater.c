/*
 * Decompression and compression. The input is taken for compressed data: what comes of it keeps to its bound, is the same each time, with any
 * room that suffices and in no less, and is what zlib makes of it. Then it is taken for a text: compressed in every format and
 * within any room it comes back. The first byte chooses the bound. Buffers have a mark behind them, as no sanitizer sees what zlib writes.
 */
#define ZLIB_CONST
#include <stdlib.h>
#include <zlib.h>
#include "base/deflater.h"
#include "base/inflater.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_TEXT 4096
#define MARK     'x'

static struct inflater inflater;
static struct deflater deflater = {.window_bits = DEFLATER_MAX_WINDOW};
static struct deflater small = {.window_bits = DEFLATER_MIN_WINDOW};

/* In a buffer of just `max` bytes. */
static enum inflater_result inflate_into(cvn_slice in, size_t max, struct buf *ret)
{
    *ret = (struct buf){.data = malloc(max + 1), .capacity = max, .max = max};
    CHECK(ret->data != NULL);
    ret->data[max] = MARK;
    enum inflater_result result = inflater_run(&inflater, in, ret);
    CHECK(ret->data[max] == MARK && ret->size <= max && ret->capacity == max);
    CHECK(result != INFLATER_NO_MEMORY);
    return result;
}

/* zlib by itself must come to the same bytes; it knows nothing of what follows a final block. */
static void check_with_zlib(cvn_slice in, cvn_slice expected)
{
    static const Bytef tail[4] = {0, 0, 0xff, 0xff};
    Bytef *out = malloc(expected.size + 1);
    z_stream stream = {0};
    CHECK(out != NULL && inflateInit2(&stream, -MAX_WBITS) == Z_OK);
    stream.next_in = (const Bytef *)in.data;
    stream.avail_in = (uInt)in.size;
    stream.next_out = out;
    stream.avail_out = (uInt)expected.size + 1;
    int status = inflate(&stream, Z_SYNC_FLUSH);
    if (status == Z_OK || status == Z_BUF_ERROR) {
        stream.next_in = tail;
        stream.avail_in = 4;
        status = inflate(&stream, Z_SYNC_FLUSH);
    }
    CHECK(status == Z_OK || status == Z_BUF_ERROR || status == Z_STREAM_END);
    CHECK(stream.total_out <= expected.size);
    if (status != Z_STREAM_END)
        CHECK(stream.total_out == expected.size);
    if (stream.total_out > 0)
        CHECK(memcmp(out, expected.data, stream.total_out) == 0);
    inflateEnd(&stream);
    free(out);
}

static void check_inflater(cvn_slice in, size_t max)
{
    struct buf first, again;
    buf_init(&first, max);
    enum inflater_result result = inflater_run(&inflater, in, &first);
    CHECK(first.size <= max && first.capacity <= max && result != INFLATER_NO_MEMORY);
    CHECK(result != INFLATER_TOO_BIG || first.size == max);
    CHECK(inflate_into(in, max, &again) == result);
    CHECK(slice_eq(buf_slice(&first), buf_slice(&again)));
    free(again.data);
    if (result == INFLATER_DONE) {
        CHECK(inflate_into(in, first.size, &again) == INFLATER_DONE);
        CHECK(slice_eq(buf_slice(&first), buf_slice(&again)));
        free(again.data);
        if (first.size > 0) {
            CHECK(inflate_into(in, first.size - 1, &again) == INFLATER_TOO_BIG);
            free(again.data);
        }
        if (in.size > 0)
            check_with_zlib(in, buf_slice(&first));
    }
    buf_release(&first);
}

static void check_message(struct deflater *with, cvn_slice text)
{
    char packed[MAX_TEXT + 100];
    struct buf whole;
    size_t size;
    CHECK(deflater_run(with, DEFLATER_MESSAGE, text, packed, sizeof packed, &size));
    CHECK(inflate_into(slice_of(packed, size), text.size, &whole) == INFLATER_DONE);
    CHECK(slice_eq(buf_slice(&whole), text));
    free(whole.data);
}

/* zlib checks the trailers. */
static void check_format(enum deflater_format format, cvn_slice text, size_t room)
{
    char *packed = malloc(room + 1);
    Bytef out[MAX_TEXT + 1];
    z_stream stream = {0};
    size_t size = room;
    CHECK(packed != NULL);
    packed[room] = MARK;
    bool done = deflater_run(&deflater, format, text, packed, room, &size);
    CHECK(packed[room] == MARK && size <= room);
    CHECK(done || room < text.size + 100);
    if (done) {
        CHECK(inflateInit2(&stream, format == DEFLATER_GZIP ? 16 + MAX_WBITS : MAX_WBITS) == Z_OK);
        stream.next_in = (const Bytef *)packed;
        stream.avail_in = (uInt)size;
        stream.next_out = out;
        stream.avail_out = sizeof out;
        CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in == 0);
        CHECK(slice_eq(slice_of(out, stream.total_out), text));
        inflateEnd(&stream);
    }
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MAX_TEXT)
        return 0;
    cvn_slice in = slice_of(data + 1, size - 1);
    check_inflater(in, (size_t)data[0] * data[0]);
    check_message(&deflater, in);
    check_message(&small, in);
    check_format(DEFLATER_GZIP, in, in.size + 100);
    check_format(DEFLATER_ZLIB, in, in.size + 100);
    check_format(DEFLATER_GZIP, in, data[0]);
    check_format(DEFLATER_ZLIB, in, data[0]);
    return 0;
}
