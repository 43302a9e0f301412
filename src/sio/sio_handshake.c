/*
 * The handshake block: kept as text, because it is kept for every idle connection and read hardly ever.
 */
#include "sio/sio_handshake.h"
#include "base/json.h"
#include "base/mem.h"
#include <time.h>

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static char *put(char *to, cvn_slice bytes)
{
    if (bytes.size > 0)
        memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

struct sio_handshake *sio_handshake_new(const struct http_head *head, const char *address,
                                        bool secure, int64_t issued_ms)
{
    cvn_slice peer = cvn_str(address);
    static atomic_uint_fast64_t last_connection;
    size_t fields = 0;
    for (size_t i = 0; i < head->field_count; i++)
        fields += head->fields[i].name.size + head->fields[i].value.size + 2;
    struct sio_handshake *handshake =
        mem_alloc(sizeof *handshake + head->target.size + fields + peer.size + 1);
    if (handshake == NULL)
        return NULL;
    atomic_init(&handshake->refs, 1);
    handshake->connection =
        atomic_fetch_add_explicit(&last_connection, 1, memory_order_relaxed) + 1;
    atomic_init(&handshake->owed, 0);
    handshake->data = NULL;
    handshake->destroy_data = NULL;
    handshake->secure = secure;
    handshake->issued_ms = issued_ms;
    handshake->cross_domain = http_head_get(head, SLICE("origin")).data != NULL;
    char *at = handshake->block;
    handshake->url = slice_of(at, head->target.size);
    at = put(at, head->target);
    handshake->fields = slice_of(at, fields);
    for (size_t i = 0; i < head->field_count; i++) {
        for (size_t k = 0; k < head->fields[i].name.size; k++)
            *at++ = to_lower(head->fields[i].name.data[k]);
        *at++ = ':';
        at = put(at, head->fields[i].value);
        *at++ = '\n';
    }
    handshake->address = slice_of(at, peer.size);
    *put(at, peer) = '\0'; /* the application gets it as a C string */
    return handshake;
}

struct sio_handshake *sio_handshake_ref(struct sio_handshake *handshake)
{
    atomic_fetch_add_explicit(&handshake->refs, 1, memory_order_relaxed);
    return handshake;
}

void sio_handshake_unref(struct sio_handshake *handshake)
{
    if (handshake == NULL ||
        atomic_fetch_sub_explicit(&handshake->refs, 1, memory_order_acq_rel) != 1)
        return;
    sio_handshake_set_data(handshake, NULL, NULL);
    mem_free(handshake);
}

void sio_handshake_set_data(struct sio_handshake *handshake, void *data,
                            void (*destroy)(void *data))
{
    void *old = handshake->data;
    void (*destroy_old)(void *) = handshake->destroy_data;
    handshake->data = data;
    handshake->destroy_data = destroy;
    if (destroy_old != NULL && old != NULL && old != data)
        destroy_old(old);
}

static bool next_field(cvn_slice *rest, cvn_slice *ret_name, cvn_slice *ret_value)
{
    if (rest->size == 0)
        return false;
    size_t colon = slice_find(*rest, ':');
    size_t end = slice_find(*rest, '\n');
    *ret_name = slice_of(rest->data, colon);
    *ret_value = slice_of(rest->data + colon + 1, end - colon - 1);
    *rest = slice_from(*rest, end + 1);
    return true;
}

cvn_slice sio_handshake_header(const struct sio_handshake *handshake, cvn_slice name)
{
    cvn_slice rest = handshake->fields, found, value;
    while (next_field(&rest, &found, &value))
        if (slice_eq_nocase(found, name))
            return value;
    return (cvn_slice){NULL, 0};
}

static cvn_slice query_of(const struct sio_handshake *handshake)
{
    size_t mark = slice_find(handshake->url, '?');
    return mark < handshake->url.size ? slice_from(handshake->url, mark + 1) : SLICE("");
}

cvn_slice sio_handshake_query(const struct sio_handshake *handshake, cvn_slice name)
{
    return http_query_get(query_of(handshake), name);
}

/* --- As JSON --- */

/* As Node shows a repeated field: cookies joined by "; ", others by ", "; each name once. */
static void append_headers(const struct sio_handshake *handshake, struct buf *buf)
{
    cvn_slice rest = handshake->fields, name, value;
    bool first = true;
    while (next_field(&rest, &name, &value)) {
        if (sio_handshake_header(handshake, name).data != value.data)
            continue; /* a repetition: already joined to the first */
        buf_append_str(buf, first ? "" : ",");
        first = false;
        json_append_string(buf, name);
        struct buf joined;
        buf_init(&joined, HTTP_MAX_HEAD * 2);
        buf_append(&joined, value);
        cvn_slice more = rest, other_name, other;
        while (next_field(&more, &other_name, &other)) {
            if (!slice_eq(other_name, name))
                continue;
            buf_append_str(&joined, slice_eq(name, SLICE("cookie")) ? "; " : ", ");
            buf_append(&joined, other);
        }
        buf_append_byte(buf, ':');
        json_append_string(buf, buf_slice(&joined));
        buf->failed = buf->failed || joined.failed;
        buf_release(&joined);
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void append_decoded(struct buf *buf, cvn_slice encoded)
{
    struct buf decoded;
    buf_init(&decoded, HTTP_MAX_TARGET);
    for (size_t i = 0; i < encoded.size; i++) {
        char c = encoded.data[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && i + 2 < encoded.size && hex_value(encoded.data[i + 1]) >= 0 &&
                   hex_value(encoded.data[i + 2]) >= 0) {
            c = (char)(hex_value(encoded.data[i + 1]) * 16 + hex_value(encoded.data[i + 2]));
            i += 2;
        }
        buf_append_byte(&decoded, c);
    }
    json_append_string(buf, buf_slice(&decoded));
    buf->failed = buf->failed || decoded.failed;
    buf_release(&decoded);
}

static void append_query(const struct sio_handshake *handshake, struct buf *buf)
{
    cvn_slice rest = query_of(handshake), name, value;
    bool first = true;
    while (http_query_next(&rest, &name, &value)) {
        if (sio_handshake_query(handshake, name).data != value.data)
            continue; /* the first of equal names counts */
        buf_append_str(buf, first ? "" : ",");
        first = false;
        append_decoded(buf, name);
        buf_append_byte(buf, ':');
        append_decoded(buf, value);
    }
}

/* JavaScript's `new Date() + ""`, in UTC. */
static void append_time(int64_t issued_ms, struct buf *buf)
{
    time_t seconds = (time_t)(issued_ms / 1000);
    struct tm parts;
    char text[80];
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "\"%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)\"",
             &parts);
    buf_append_str(buf, text);
}

bool sio_handshake_append_json(const struct sio_handshake *handshake, cvn_slice auth,
                               struct buf *buf)
{
    buf_append_str(buf, "{\"headers\":{");
    append_headers(handshake, buf);
    buf_append_str(buf, "},\"time\":");
    append_time(handshake->issued_ms, buf);
    buf_append_str(buf, ",\"address\":");
    json_append_string(buf, handshake->address);
    buf_append_str(buf, handshake->cross_domain ? ",\"xdomain\":true" : ",\"xdomain\":false");
    buf_append_str(buf, handshake->secure ? ",\"secure\":true" : ",\"secure\":false");
    buf_append_str(buf, ",\"issued\":");
    buf_append_u64(buf, (uint64_t)handshake->issued_ms);
    buf_append_str(buf, ",\"url\":");
    json_append_string(buf, handshake->url);
    buf_append_str(buf, ",\"query\":{");
    append_query(handshake, buf);
    buf_append_str(buf, "},\"auth\":");
    buf_append(buf, auth);
    buf_append_byte(buf, '}');
    return !buf->failed;
}
