/*
 * The Socket.IO v5 packet: <type>[<n>-][/nsp,][ackId][JSON] (protocol revision 5). Pure: no allocation, no clock; the
 * JSON is checked once and then only cut, never built.
 */
#include "sio/sio_packet.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Cuts decimal digits off the front; false when there are none or more than fit. */
static bool cut_number(cvn_slice *rest, uint64_t *ret)
{
    size_t digits = 0;
    while (digits < rest->size && is_digit(rest->data[digits]))
        digits++;
    if (!slice_to_u64(slice_of(rest->data, digits), ret))
        return false;
    *rest = slice_from(*rest, digits);
    return true;
}

static bool decode_head(cvn_slice *rest, const struct sio_packet_limits *limits,
                        struct sio_packet *ret)
{
    if (rest->size == 0 || rest->data[0] < '0' || rest->data[0] > '6')
        return false;
    ret->type = (enum sio_type)(rest->data[0] - '0');
    *rest = slice_from(*rest, 1);
    if (ret->type == SIO_BINARY_EVENT || ret->type == SIO_BINARY_ACK) {
        uint64_t count;
        if (!cut_number(rest, &count) || count < 1 || count > limits->max_attachments)
            return false;
        if (rest->size == 0 || rest->data[0] != '-')
            return false;
        *rest = slice_from(*rest, 1);
        ret->attachments = (unsigned)count;
    }
    ret->nsp = SLICE("/");
    if (rest->size > 0 && rest->data[0] == '/') {
        size_t end = slice_find(*rest, ',');
        ret->nsp = slice_of(rest->data, end);
        *rest = slice_from(*rest, end < rest->size ? end + 1 : end);
    }
    if (rest->size > 0 && is_digit(rest->data[0])) {
        if (!cut_number(rest, &ret->id))
            return false;
        ret->has_id = true;
    }
    return true;
}

bool sio_packet_is_reserved(cvn_slice event)
{
    static const char *const reserved[] = {"connect",       "connect_error", "disconnect",
                                           "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (slice_eq(event, cvn_str(reserved[i])))
            return true;
    return false;
}

/* An event's name may hide behind escapes: decoded before it is compared. */
static bool is_reserved_json(cvn_slice string)
{
    cvn_slice plain;
    if (json_plain_string(string, &plain))
        return sio_packet_is_reserved(plain);
    char memory[256];
    struct buf name = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};
    /* A name too long for the buffer is none of the reserved ones. */
    return json_unescape(&name, string) && sio_packet_is_reserved(buf_slice(&name));
}

bool sio_packet_cut_event(struct sio_packet *packet)
{
    cvn_slice rest = packet->data;
    if (!json_next(&rest, &packet->event))
        return false;
    packet->args = rest;
    enum json_type type = json_type(packet->event);
    return type == JSON_NUMBER || (type == JSON_STRING && !is_reserved_json(packet->event));
}

bool sio_packet_decode(cvn_slice text, const struct sio_packet_limits *limits,
                       struct sio_packet *ret)
{
    struct sio_packet packet = {0};
    cvn_slice rest = text;
    if (!decode_head(&rest, limits, &packet))
        return false;
    if (rest.size > 0 && !json_is_valid(rest, limits->max_depth))
        return false;
    switch (packet.type) {
    case SIO_CONNECT:
        if (rest.size > 0 && json_type(rest) != JSON_OBJECT)
            return false;
        packet.data = rest;
        break;
    case SIO_DISCONNECT:
        if (rest.size > 0)
            return false;
        break;
    case SIO_CONNECT_ERROR:
        return false; /* only servers send it */
    default:
        if (json_type(rest) != JSON_ARRAY)
            return false;
        packet.data = packet.args = json_inside(rest);
        if ((packet.type == SIO_EVENT || packet.type == SIO_BINARY_EVENT) &&
            !sio_packet_cut_event(&packet))
            return false;
        if (packet.attachments > 0 &&
            !sio_packet_check_placeholders(packet.data, packet.attachments))
            return false;
        break;
    }
    *ret = packet;
    return true;
}

bool sio_packet_placeholder(cvn_slice value, uint64_t *ret_num)
{
    return json_type(value) == JSON_OBJECT &&
           json_type(json_get(value, SLICE("_placeholder"))) == JSON_TRUE &&
           json_to_u64(json_get(value, SLICE("num")), ret_num);
}

/* What is known of an open object while its members go by; the last of two equal keys wins. */
struct open_object {
    bool is_placeholder;
    bool has_num;
    uint64_t num;
};

/* The value behind a key, if it is a scalar: what stands between the colon and the next comma or bracket. */
static cvn_slice scalar_behind(cvn_slice list, size_t colon)
{
    size_t start = colon + 1, end = start;
    while (end < list.size && list.data[end] != ',' && list.data[end] != '}' &&
           list.data[end] != '{' && list.data[end] != '[' && list.data[end] != '"')
        end++;
    cvn_slice value = slice_trim(slice_of(list.data + start, end - start));
    while (value.size > 0 && (value.data[0] == '\n' || value.data[0] == '\r'))
        value = slice_trim(slice_from(value, 1));
    while (value.size > 0 &&
           (value.data[value.size - 1] == '\n' || value.data[value.size - 1] == '\r'))
        value = slice_trim(slice_of(value.data, value.size - 1));
    return value;
}

static void note_member(struct open_object *object, cvn_slice key, cvn_slice list, size_t colon)
{
    char memory[16];
    struct buf decoded = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};
    cvn_slice name;
    if (!json_plain_string(key, &name)) {
        if (!json_unescape(&decoded, key))
            return; /* too long to be one of ours */
        name = buf_slice(&decoded);
    }
    if (slice_eq(name, SLICE("_placeholder")))
        object->is_placeholder = slice_eq(scalar_behind(list, colon), SLICE("true"));
    else if (slice_eq(name, SLICE("num")))
        object->has_num = json_to_u64(scalar_behind(list, colon), &object->num);
}

/* Index behind the string that starts at `start` with its quote. */
static size_t skip_string(cvn_slice list, size_t start)
{
    size_t i = start + 1;
    while (i < list.size && list.data[i] != '"')
        i += list.data[i] == '\\' ? 2 : 1;
    return i + 1;
}

static size_t skip_space(cvn_slice list, size_t i)
{
    while (i < list.size && (list.data[i] == ' ' || list.data[i] == '\t' || list.data[i] == '\n' ||
                             list.data[i] == '\r'))
        i++;
    return i;
}

/* One pass over valid text, whatever its nesting: an attacker's depth must not multiply the work. */
bool sio_packet_check_placeholders(cvn_slice list, unsigned attachments)
{
    struct open_object objects[JSON_MAX_DEPTH];
    size_t depth = 0;
    for (size_t i = 0; i < list.size; i++) {
        char c = list.data[i];
        if (c == '"') {
            size_t end = skip_string(list, i);
            size_t colon = skip_space(list, end);
            if (depth > 0 && colon < list.size && list.data[colon] == ':')
                note_member(&objects[depth - 1], slice_of(list.data + i, end - i), list, colon);
            i = end - 1;
        } else if (c == '{' || c == '[') {
            if (depth == JSON_MAX_DEPTH)
                return false;
            objects[depth++] = (struct open_object){0};
        } else if ((c == '}' || c == ']') && depth > 0) {
            const struct open_object *object = &objects[--depth];
            if (object->is_placeholder && (!object->has_num || object->num >= attachments))
                return false;
        }
    }
    return true;
}

/* --- Writing --- */

static size_t count_digits(uint64_t number)
{
    size_t digits = 1;
    while (number >= 10) {
        number /= 10;
        digits++;
    }
    return digits;
}

static char *write_number(char *to, uint64_t number)
{
    size_t digits = count_digits(number);
    for (size_t i = digits; i > 0; i--) {
        to[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    return to + digits;
}

static char *write_slice(char *to, cvn_slice bytes)
{
    if (bytes.size > 0)
        memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

static bool has_nsp(const struct sio_text *text)
{
    return text->nsp.size > 1;
}

size_t sio_text_size(const struct sio_text *text)
{
    size_t size = 1;
    if (text->attachments > 0)
        size += count_digits(text->attachments) + 1;
    if (has_nsp(text))
        size += text->nsp.size + 1;
    if (text->has_id)
        size += count_digits(text->id);
    size += text->event.size + text->list.size;
    if (text->brackets)
        size += 2 + (text->event.size > 0 && text->list.size > 0 ? 1 : 0);
    return size;
}

void sio_text_write(const struct sio_text *text, char *ret)
{
    *ret++ = (char)('0' + text->type);
    if (text->attachments > 0) {
        ret = write_number(ret, text->attachments);
        *ret++ = '-';
    }
    if (has_nsp(text)) {
        ret = write_slice(ret, text->nsp);
        *ret++ = ',';
    }
    if (text->has_id)
        ret = write_number(ret, text->id);
    if (text->brackets)
        *ret++ = '[';
    ret = write_slice(ret, text->event);
    if (text->brackets && text->event.size > 0 && text->list.size > 0)
        *ret++ = ',';
    ret = write_slice(ret, text->list);
    if (text->brackets)
        *ret = ']';
}
