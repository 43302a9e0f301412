/* MessagePack's values, each in its shortest form. A writer without memory counts what another one will write. Pure. */
#include "base/msgpack.h"

static void put(struct msgpack_writer *writer, cvn_slice bytes)
{
    if (writer->at != NULL && bytes.size > 0) {
        memcpy(writer->at, bytes.data, bytes.size);
        writer->at += bytes.size;
    }
    writer->size += bytes.size;
}

/* A lead byte and a number of `size` bytes, highest byte first. */
static void put_head(struct msgpack_writer *writer, unsigned lead, uint64_t number, size_t size)
{
    char head[9] = {(char)lead};
    for (size_t i = size; i > 0; i--, number >>= 8)
        head[i] = (char)(number & 0xff);
    put(writer, slice_of(head, 1 + size));
}

/* The bytes that `number` needs of 1, 2, 4 or 8, and what that adds to the lead of the one-byte format. */
static size_t number_size(uint64_t number, unsigned *ret_step)
{
    *ret_step = number <= 0xff ? 0 : number <= 0xffff ? 1 : number <= 0xffffffff ? 2 : 3;
    return (size_t)1 << *ret_step;
}

void msgpack_put_nil(struct msgpack_writer *writer)
{
    put_head(writer, 0xc0, 0, 0);
}

void msgpack_put_bool(struct msgpack_writer *writer, bool value)
{
    put_head(writer, value ? 0xc3 : 0xc2, 0, 0);
}

void msgpack_put_uint(struct msgpack_writer *writer, uint64_t number)
{
    unsigned step;
    size_t size = number_size(number, &step);
    if (number < 0x80)
        put_head(writer, (unsigned)number, 0, 0);
    else
        put_head(writer, 0xcc + step, number, size);
}

void msgpack_put_negative(struct msgpack_writer *writer, uint64_t amount)
{
    unsigned step;
    /* In two's complement n bits reach down to -2^(n-1), whose amount less one fits the n-1 bits beside the sign. */
    size_t size = number_size((amount - 1) * 2, &step);
    uint64_t bits = ~amount + 1;
    if (amount <= 32)
        put_head(writer, (unsigned)(bits & 0xff), 0, 0);
    else
        put_head(writer, 0xd0 + step, bits, size);
}

void msgpack_put_double(struct msgpack_writer *writer, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_head(writer, 0xcb, bits, 8);
}

void msgpack_put_str(struct msgpack_writer *writer, cvn_slice text)
{
    unsigned step;
    size_t size = number_size(text.size, &step);
    if (text.size < 32)
        put_head(writer, 0xa0 | (unsigned)text.size, 0, 0);
    else
        put_head(writer, 0xd9 + step, text.size, size);
    put(writer, text);
}

void msgpack_put_bin(struct msgpack_writer *writer, cvn_slice bytes)
{
    unsigned step;
    size_t size = number_size(bytes.size, &step);
    put_head(writer, 0xc4 + step, bytes.size, size);
    put(writer, bytes);
}

static void put_container(struct msgpack_writer *writer, unsigned fixed, unsigned lead,
                          size_t count)
{
    if (count < 16)
        put_head(writer, fixed | (unsigned)count, 0, 0);
    else if (count <= 0xffff)
        put_head(writer, lead, count, 2);
    else
        put_head(writer, lead + 1, count, 4);
}

void msgpack_put_array(struct msgpack_writer *writer, size_t count)
{
    put_container(writer, 0x90, 0xdc, count);
}

void msgpack_put_map(struct msgpack_writer *writer, size_t count)
{
    put_container(writer, 0x80, 0xde, count);
}

void msgpack_put_json_string(struct msgpack_writer *writer, cvn_slice string)
{
    cvn_slice plain;
    if (json_plain_string(string, &plain)) {
        msgpack_put_str(writer, plain);
        return;
    }
    /* The head for that many bytes, then the bytes straight to where they belong. */
    size_t size = json_unescaped_size(string);
    unsigned step;
    size_t head = number_size(size, &step);
    if (size < 32)
        put_head(writer, 0xa0 | (unsigned)size, 0, 0);
    else
        put_head(writer, 0xd9 + step, size, head);
    if (writer->at != NULL) {
        struct buf place = {.data = writer->at, .capacity = size, .max = size};
        json_unescape(&place, string);
        writer->at += size;
    }
    writer->size += size;
}
