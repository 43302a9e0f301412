/*
 * Socket.IO packets in MessagePack from outside. Checked: a refused packet leaves no trace; the parts of an accepted one hold what
 * they promise; written again, by its parts and through the encoder, it reads the same; as JSON packet it is one too, of the same
 * meaning; and no cut-off packet passes.
 */
#include <stdlib.h>
#include "base/utf8.h"
#include "sio/sio_msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_INPUT       ((size_t)1 << 13)
#define MAX_ATTACHMENTS 10
#define MAX_DEPTH       40

static const struct sio_packet_limits limits = {MAX_ATTACHMENTS, MAX_DEPTH};

static bool is_binary(const struct sio_packet *packet)
{
    return packet->type == SIO_BINARY_EVENT || packet->type == SIO_BINARY_ACK;
}

static bool is_event(const struct sio_packet *packet)
{
    return packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT;
}

static bool is_inside(cvn_slice part, cvn_slice whole)
{
    return part.size == 0 ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void check_parts(const struct sio_packet *packet, const struct sio_msgpack_room *room,
                        cvn_slice bytes)
{
    CHECK(packet->type <= SIO_BINARY_ACK && packet->type != SIO_CONNECT_ERROR);
    CHECK(is_binary(packet) == (packet->attachments > 0));
    CHECK(packet->attachments <= MAX_ATTACHMENTS);
    CHECK(packet->nsp.data[0] == '/' && utf8_is_valid(packet->nsp));
    CHECK(is_inside(packet->nsp, bytes));
    CHECK(is_inside(packet->data, buf_slice(&room->json)));
    CHECK(is_inside(packet->args, packet->data) && is_inside(packet->event, packet->data));
    CHECK(packet->has_id || packet->id == 0);
    CHECK(is_event(packet) == (packet->event.size > 0));
    CHECK(packet->type != SIO_DISCONNECT || packet->data.size == 0);
    if (packet->type == SIO_CONNECT)
        CHECK(packet->data.size == 0 ||
              (json_is_valid(packet->data, MAX_DEPTH) && json_type(packet->data) == JSON_OBJECT));
    else
        CHECK(json_is_valid_list(packet->data, MAX_DEPTH - 1));
    if (packet->attachments > 0)
        CHECK(sio_packet_check_placeholders(packet->data, packet->attachments));
    for (unsigned i = 0; i < packet->attachments; i++)
        CHECK(is_inside(room->attachments[i], bytes));
}

static void check_same(const struct sio_packet *a, const struct sio_packet *b)
{
    CHECK(a->type == b->type && a->attachments == b->attachments);
    CHECK(slice_eq(a->nsp, b->nsp) && slice_eq(a->data, b->data));
    CHECK(a->has_id == b->has_id && a->id == b->id);
    CHECK(slice_eq(a->event, b->event) && slice_eq(a->args, b->args));
}

static void check_reads(const struct message *message, const struct sio_packet *packet,
                        const struct sio_msgpack_room *room)
{
    struct sio_msgpack_room other;
    struct sio_packet again;
    CHECK(message->flags & MESSAGE_BINARY);
    CHECK(sio_msgpack_decode(message_payload(message), &limits, &other, &again));
    check_same(packet, &again);
    for (unsigned i = 0; i < packet->attachments; i++)
        CHECK(slice_eq(room->attachments[i], other.attachments[i]));
    sio_msgpack_release(&other);
}

/* Its parts put together by hand. */
static void check_rewritten(const struct sio_packet *packet, const struct sio_msgpack_room *room)
{
    struct sio_text parts = {
        .type = packet->type,
        .attachments = packet->attachments,
        .nsp = packet->nsp,
        .has_id = packet->has_id,
        .id = packet->id,
        .event = packet->event,
        .list = packet->type == SIO_CONNECT ? packet->data : packet->args,
        .brackets = packet->type != SIO_CONNECT && packet->type != SIO_DISCONNECT,
    };
    struct message *message;
    if (is_event(packet) && json_type(packet->event) == JSON_NUMBER) {
        parts.event = slice_of(NULL, 0);
        parts.list =
            packet->data; /* an application says no such name; it would be one of its arguments */
    }
    CHECK(sio_msgpack_encode(&parts, room->attachments, &message) == CVN_OK);
    check_reads(message, packet, room);
    message_unref(message);
}

/* What a handler forwards comes out the same, to clients of both kinds. */
static void check_forwarded(const struct sio_packet *packet, const struct sio_msgpack_room *room)
{
    char memory[512];
    struct buf name = {.data = memory, .capacity = sizeof memory - 1, .max = sizeof memory - 1};
    struct sio_encode_limits emits = {MAX_ATTACHMENTS, MAX_DEPTH, CVN_PARSER_MSGPACK};
    struct sio_frames frames;
    struct sio_packet again;
    cvn_args args = {packet->args, room->attachments, packet->attachments};
    if (is_event(packet)) {
        if (json_type(packet->event) != JSON_STRING || !json_unescape(&name, packet->event) ||
            name.size == 0 || name.size > SIO_MAX_EVENT_NAME ||
            memchr(memory, '\0', name.size) != NULL)
            return; /* no name that an application could say */
        memory[name.size] = '\0';
    }
    const char *event = is_event(packet) ? memory : NULL;
    const uint64_t *id = packet->has_id ? &packet->id : NULL;
    CHECK(sio_encode_event(packet->nsp, event, id, args, &emits, &frames) == CVN_OK);
    CHECK(frames.binary_count == 0);
    check_reads(frames.text, packet, room);
    sio_frames_release(&frames);

    emits.parser = CVN_PARSER_JSON;
    CHECK(sio_encode_event(packet->nsp, event, id, args, &emits, &frames) == CVN_OK);
    cvn_slice text = slice_from(message_payload(frames.text), 1);
    /* A comma ends a namespace in JSON packets; ids have 18 digits at most there. */
    if (slice_find(packet->nsp, ',') == packet->nsp.size && packet->id < 1000000000000000000) {
        CHECK(sio_packet_decode(text, &limits, &again));
        CHECK(again.type == packet->type && again.attachments == packet->attachments);
        CHECK(slice_eq(again.nsp, packet->nsp) && slice_eq(again.args, packet->args));
        CHECK(again.has_id == packet->has_id && again.id == packet->id);
    }
    sio_frames_release(&frames);
}

static bool check_packet(cvn_slice bytes)
{
    struct sio_packet packet, untouched;
    struct sio_msgpack_room room;
    memset(&packet, 0x5a, sizeof packet);
    memset(&untouched, 0x5a, sizeof untouched);
    bool accepted = sio_msgpack_decode(bytes, &limits, &room, &packet);
    CHECK(!room.json.failed);
    if (!accepted) {
        CHECK(memcmp(&packet, &untouched, sizeof packet) == 0);
    } else {
        check_parts(&packet, &room, bytes);
        check_rewritten(&packet, &room);
        if (packet.type != SIO_CONNECT && packet.type != SIO_DISCONNECT)
            check_forwarded(&packet, &room);
    }
    sio_msgpack_release(&room);
    return accepted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MAX_INPUT)
        return 0;
    char *copy = malloc(size + 1);
    CHECK(copy != NULL);
    if (size > 0)
        memcpy(copy + 1, data, size); /* ends with the allocation */
    bool accepted = check_packet(slice_of(copy + 1, size));
    free(copy);
    for (size_t cut = 0; accepted && cut < size && size < 200; cut++) {
        copy = malloc(cut + 1);
        CHECK(copy != NULL);
        memcpy(copy + 1, data, cut);
        CHECK(!check_packet(slice_of(copy + 1, cut)));
        free(copy);
    }
    return 0;
}
