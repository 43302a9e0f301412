/* JSON strings: from their escaped form to UTF-8 and back. Pure. */
#include "base/json.h"

#define REPLACEMENT 0xfffd

static unsigned hex4(const char *digits)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        value = value * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return value;
}

static size_t utf8_size(unsigned point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

static bool append_utf8(struct buf *buf, unsigned point)
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    char bytes[4];
    size_t size = utf8_size(point);
    for (size_t i = size; i-- > 1; point >>= 6)
        bytes[i] = (char)(0x80 | (point & 0x3f));
    bytes[0] = (char)(leads[size] | point);
    return buf_append(buf, slice_of(bytes, size));
}

/* The character of a \u escape, whose four digits start at `at`; a pair takes both. Returns how many bytes were used. */
static size_t decode_unicode(cvn_slice inside, size_t at, unsigned *ret_point)
{
    unsigned point = hex4(inside.data + at);
    if (point >= 0xd800 && point < 0xdc00 && at + 10 <= inside.size &&
        inside.data[at + 4] == '\\' && inside.data[at + 5] == 'u') {
        unsigned low = hex4(inside.data + at + 6);
        if (low >= 0xdc00 && low < 0xe000) {
            *ret_point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
            return 10;
        }
    }
    *ret_point = point >= 0xd800 && point < 0xe000 ? REPLACEMENT : point;
    return 4;
}

/* The character of the escape at `*at`, which is moved behind it. False when the text ends within. */
static bool decode_escape(cvn_slice inside, size_t *at, unsigned *ret_point)
{
    char kind = inside.data[*at + 1];
    *at += 2;
    *ret_point = (unsigned char)kind; /* quote, backslash, slash */
    switch (kind) {
    case 'b':
        *ret_point = '\b';
        break;
    case 'f':
        *ret_point = '\f';
        break;
    case 'n':
        *ret_point = '\n';
        break;
    case 'r':
        *ret_point = '\r';
        break;
    case 't':
        *ret_point = '\t';
        break;
    case 'u':
        if (*at + 4 > inside.size)
            return false;
        *at += decode_unicode(inside, *at, ret_point);
        break;
    default:
        break;
    }
    return true;
}

bool json_unescape(struct buf *buf, cvn_slice string)
{
    if (string.size < 2)
        return false;
    cvn_slice inside = slice_of(string.data + 1, string.size - 2);
    size_t i = 0;
    while (i < inside.size) {
        size_t run = slice_find(slice_from(inside, i), '\\');
        if (!buf_append(buf, slice_of(inside.data + i, run)))
            return false;
        i += run;
        if (i + 1 >= inside.size)
            break;
        unsigned point;
        if (!decode_escape(inside, &i, &point) || !append_utf8(buf, point))
            return false;
    }
    return true;
}

size_t json_unescaped_size(cvn_slice string)
{
    cvn_slice inside = slice_of(string.data + 1, string.size - 2);
    size_t size = 0, i = 0;
    while (i < inside.size) {
        size_t run = slice_find(slice_from(inside, i), '\\');
        unsigned point = 0;
        size += run;
        i += run;
        if (i + 1 >= inside.size || !decode_escape(inside, &i, &point))
            break;
        size += utf8_size(point);
    }
    return size;
}

/* Bytes of the valid character at the front; 0 when there is none. */
static size_t character_size(cvn_slice text)
{
    const unsigned char *b = (const unsigned char *)text.data;
    size_t size = b[0] < 0x80   ? 1
                  : b[0] < 0xc2 ? 0
                  : b[0] < 0xe0 ? 2
                  : b[0] < 0xf0 ? 3
                  : b[0] < 0xf5 ? 4
                                : 0;
    if (size == 0 || size > text.size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return size;
}

static void append_escape(struct buf *buf, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: character, letter */
    for (size_t i = 0; i + 1 < sizeof letters; i += 2) {
        if ((unsigned char)letters[i] == c) {
            char escape[2] = {'\\', letters[i + 1]};
            buf_append(buf, slice_of(escape, 2));
            return;
        }
    }
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    buf_append(buf, slice_of(escape, 6));
}

bool json_append_string(struct buf *buf, cvn_slice text)
{
    buf_append_byte(buf, '"');
    size_t run = 0; /* characters that need nothing are copied together */
    for (size_t i = 0; i < text.size;) {
        unsigned char c = (unsigned char)text.data[i];
        size_t size = character_size(slice_from(text, i));
        if (size > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += size;
            continue;
        }
        buf_append(buf, slice_of(text.data + run, i - run));
        if (size == 0)
            append_utf8(buf, REPLACEMENT);
        else
            append_escape(buf, c);
        run = ++i;
    }
    buf_append(buf, slice_from(text, run));
    buf_append_byte(buf, '"');
    return !buf->failed;
}
