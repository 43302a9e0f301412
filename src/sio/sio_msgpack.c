/*
 * Socket.IO packets in MessagePack. Decoding finds the four members that count, in whatever order they come, and only then translates the payload,
 * because its limits depend on the packet's type. Pure but for allocating; any thread.
 *
 * As JavaScript's undefined may be left out or written, nil and undefined members count as absent.
 */
#include "sio/sio_msgpack.h"
#include "base/msgpack.h"
#include "base/utf8.h"

/* The members of a packet, each still MessagePack; empty slices for those that are absent. */
struct members {
    cvn_slice type, nsp, data, id;
};

static cvn_slice *find_member(struct members *members, cvn_slice name)
{
    if (slice_eq(name, SLICE("type")))
        return &members->type;
    if (slice_eq(name, SLICE("nsp")))
        return &members->nsp;
    if (slice_eq(name, SLICE("data")))
        return &members->data;
    return slice_eq(name, SLICE("id")) ? &members->id : NULL;
}

static bool is_absent(cvn_slice value)
{
    struct msgpack_token token;
    return !msgpack_next(&value, &token) || token.type == MSGPACK_NIL ||
           msgpack_is_undefined(&token);
}

/* Other members ("options") are stepped over; one of ours that comes twice is refused. */
static bool cut_members(cvn_slice bytes, struct members *ret)
{
    struct msgpack_token token;
    if (!msgpack_next(&bytes, &token) || token.type != MSGPACK_MAP)
        return false;
    for (uint64_t left = token.number; left > 0; left--) {
        struct msgpack_token key;
        cvn_slice value;
        if (!msgpack_next(&bytes, &key) || key.type != MSGPACK_STR || !msgpack_skip(&bytes, &value))
            return false;
        cvn_slice *member = find_member(ret, key.bytes);
        if (member == NULL)
            continue;
        if (member->size > 0)
            return false;
        *member = value;
    }
    if (is_absent(ret->data))
        ret->data = slice_of(NULL, 0);
    return bytes.size == 0;
}

static bool read_uint(cvn_slice value, uint64_t *ret)
{
    struct msgpack_token token;
    if (!msgpack_next(&value, &token) || token.type != MSGPACK_UINT)
        return false;
    *ret = token.number;
    return true;
}

static bool read_nsp(cvn_slice value, cvn_slice *ret)
{
    struct msgpack_token token;
    if (!msgpack_next(&value, &token) || token.type != MSGPACK_STR ||
        !slice_starts_with(token.bytes, SLICE("/")) || !utf8_is_valid(token.bytes))
        return false;
    *ret = token.bytes;
    return true;
}

static bool read_head(const struct members *members, struct sio_packet *ret)
{
    uint64_t type;
    if (!read_uint(members->type, &type) || type > SIO_ACK || !read_nsp(members->nsp, &ret->nsp))
        return false; /* only servers send CONNECT_ERROR, and binary packets have no type of their own here */
    ret->type = (enum sio_type)type;
    ret->has_id = !is_absent(members->id);
    return !ret->has_id || read_uint(members->id, &ret->id);
}

/* The payload as JSON text. */
static bool translate(cvn_slice data, const struct sio_packet_limits *limits, unsigned max_blobs,
                      struct sio_msgpack_room *room, struct sio_packet *ret)
{
    struct msgpack_blobs blobs = {room->attachments, 0, max_blobs};
    room->json.max = MSGPACK_JSON_MAX(data.size, max_blobs);
    /* Text takes about as many bytes in both: mostly this is the only allocation. */
    size_t likely = data.size + data.size / 4 + 32;
    if (!buf_reserve(&room->json, likely < room->json.max ? likely : room->json.max) ||
        !msgpack_to_json(&data, limits->max_depth, &room->json, &blobs))
        return false;
    ret->attachments = blobs.count;
    return true;
}

/* An event or an acknowledgement. */
static bool read_list(cvn_slice data, const struct sio_packet_limits *limits,
                      struct sio_msgpack_room *room, struct sio_packet *ret)
{
    unsigned max_blobs = limits->max_attachments < SIO_MAX_ATTACHMENTS ? limits->max_attachments
                                                                       : SIO_MAX_ATTACHMENTS;
    if (!translate(data, limits, max_blobs, room, ret) ||
        json_type(buf_slice(&room->json)) != JSON_ARRAY)
        return false;
    ret->data = ret->args = json_inside(buf_slice(&room->json));
    if (ret->type == SIO_EVENT && !sio_packet_cut_event(ret))
        return false;
    if (ret->attachments > 0)
        ret->type = ret->type == SIO_EVENT ? SIO_BINARY_EVENT : SIO_BINARY_ACK;
    return true;
}

bool sio_msgpack_decode(cvn_slice bytes, const struct sio_packet_limits *limits,
                        struct sio_msgpack_room *room, struct sio_packet *ret)
{
    struct members members = {0};
    struct sio_packet packet = {0};
    buf_init(&room->json, 0);
    if (!cut_members(bytes, &members) || !read_head(&members, &packet))
        return false;
    switch (packet.type) {
    case SIO_CONNECT:
        if (members.data.size == 0)
            break;
        if (!translate(members.data, limits, 0, room, &packet) ||
            json_type(buf_slice(&room->json)) != JSON_OBJECT)
            return false;
        packet.data = buf_slice(&room->json);
        break;
    case SIO_DISCONNECT:
        if (members.data.size > 0)
            return false;
        break;
    default:
        if (members.data.size == 0 || !read_list(members.data, limits, room, &packet))
            return false;
        break;
    }
    *ret = packet;
    return true;
}

void sio_msgpack_release(struct sio_msgpack_room *room)
{
    buf_release(&room->json);
}

/* --- Encoding --- */

static void put_packet(struct msgpack_writer *writer, const struct sio_text *packet,
                       const struct msgpack_plan *payload)
{
    enum sio_type type = packet->type == SIO_BINARY_EVENT ? SIO_EVENT
                         : packet->type == SIO_BINARY_ACK ? SIO_ACK
                                                          : packet->type;
    bool has_data = packet->brackets || payload->count > 0;
    bool has_event = packet->event.size > 0;
    msgpack_put_map(writer, 2 + (size_t)has_data + (size_t)packet->has_id);
    msgpack_put_str(writer, SLICE("type"));
    msgpack_put_uint(writer, type);
    msgpack_put_str(writer, SLICE("nsp"));
    msgpack_put_str(writer, packet->nsp);
    if (packet->has_id) {
        msgpack_put_str(writer, SLICE("id"));
        msgpack_put_uint(writer, packet->id);
    }
    if (!has_data)
        return;
    msgpack_put_str(writer, SLICE("data"));
    if (packet->brackets)
        msgpack_put_array(writer, (size_t)has_event + payload->count);
    if (has_event)
        msgpack_put_json_string(writer, packet->event);
    msgpack_put_planned(writer, payload);
}

enum cvn_error sio_msgpack_encode(const struct sio_text *packet, const cvn_slice *attachments,
                                  struct message **ret)
{
    struct msgpack_plan payload;
    enum cvn_error error =
        msgpack_plan_init(&payload, packet->list, attachments, packet->attachments);
    if (error != CVN_OK)
        return error;
    struct msgpack_writer writer = {NULL, 0};
    put_packet(&writer, packet, &payload);
    struct message *message = eio_packet_new_binary(writer.size, &writer.at);
    if (message != NULL) {
        put_packet(&writer, packet, &payload);
        *ret = message;
    } else {
        error = CVN_ERR_MEMORY;
    }
    msgpack_plan_release(&payload);
    return error;
}
