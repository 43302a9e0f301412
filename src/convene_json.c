/* The public JSON helpers and the text builder: thin covers over base/. Pure; any thread. */
#include <convene/convene.h>
#include <math.h>
#include <stdarg.h>
#include "base/mem.h"
#include "base/number.h"
#include "sio/sio_remote.h"

struct cvn_text {
    struct buf buf;
};

cvn_json_type cvn_json_type_of(cvn_slice value)
{
    _Static_assert((int)CVN_JSON_OBJECT == (int)JSON_OBJECT, "the two enums count alike");
    return (cvn_json_type)json_type(value);
}

cvn_slice cvn_json_get(cvn_slice object, const char *key)
{
    return json_get(object, cvn_str(key));
}

bool cvn_json_string(cvn_slice value, char *ret, size_t size)
{
    ret[0] = '\0';
    if (json_type(value) != JSON_STRING)
        return false;
    struct buf decoded = {.data = ret, .capacity = size, .max = size};
    if (!json_unescape(&decoded, value) || decoded.size == size ||
        memchr(ret, '\0', decoded.size) != NULL) {
        ret[0] = '\0';
        return false;
    }
    ret[decoded.size] = '\0';
    return true;
}

bool cvn_json_integer(cvn_slice value, uint64_t *ret)
{
    uint64_t number;
    if (json_type(value) != JSON_NUMBER || !json_to_u64(value, &number) || number >= (1ULL << 53))
        return false;
    *ret = number;
    return true;
}

bool cvn_json_whole(cvn_slice value, int64_t *ret)
{
    return json_type(value) == JSON_NUMBER && number_whole_from_json(value, ret);
}

bool cvn_json_number(cvn_slice value, double *ret)
{
    double number = json_type(value) == JSON_NUMBER ? number_from_json(value) : INFINITY;
    if (isinf(number))
        return false;
    *ret = number;
    return true;
}

bool cvn_json_is_valid(cvn_slice text, unsigned max_depth)
{
    return json_is_valid(text, max_depth < JSON_MAX_DEPTH ? max_depth : JSON_MAX_DEPTH);
}

bool cvn_json_next(cvn_slice container, size_t *cursor, cvn_slice *ret_key, cvn_slice *ret_value)
{
    enum json_type type = json_type(container);
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return false;
    cvn_slice inside = json_inside(container), key = {NULL, 0};
    size_t begin = (size_t)(inside.data - container.data);
    size_t done = *cursor > begin ? *cursor - begin : 0;
    cvn_slice rest = {inside.data + done, inside.size - done};
    if (type == JSON_OBJECT ? !json_next_member(&rest, &key, ret_value)
                            : !json_next(&rest, ret_value))
        return false;
    *cursor = (size_t)(rest.data - container.data);
    if (ret_key != NULL)
        *ret_key = key;
    return true;
}

cvn_text *cvn_text_new(size_t max)
{
    cvn_text *text = mem_zalloc(sizeof *text);
    if (text != NULL)
        buf_init(&text->buf, max);
    return text;
}

void cvn_text_free(cvn_text *text)
{
    if (text == NULL)
        return;
    buf_release(&text->buf);
    mem_free(text);
}

void cvn_text_append(cvn_text *text, const char *piece)
{
    buf_append_str(&text->buf, piece);
}

void cvn_text_append_slice(cvn_text *text, cvn_slice piece)
{
    buf_append(&text->buf, piece);
}

void cvn_text_printf(cvn_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(&text->buf, format, args);
    va_end(args);
}

void cvn_text_append_json_string(cvn_text *text, cvn_slice value)
{
    json_append_string(&text->buf, value);
}

void cvn_text_clear(cvn_text *text)
{
    buf_clear(&text->buf);
}

bool cvn_text_failed(const cvn_text *text)
{
    return text->buf.failed;
}

cvn_slice cvn_text_slice(const cvn_text *text)
{
    return buf_slice(&text->buf);
}

void cvn_socket_handshake_json(const cvn_socket *socket, cvn_text *text)
{
    sio_handshake_append_json(socket->handshake, cvn_socket_auth(socket), &text->buf);
}

void cvn_remote_handshake_json(const cvn_remote_socket *remote, cvn_text *text)
{
    sio_remote_append_handshake(remote, &text->buf);
}
