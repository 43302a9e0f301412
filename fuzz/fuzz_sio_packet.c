/*
 * Socket.IO packets from outside, several in one input, parted by Engine.IO's separator. Checked: a
 * refused packet leaves no trace; the parts of an accepted one lie inside it and hold what they
 * promise; placeholders are what a walk over the whole tree finds; written again it reads the same,
 * by hand and through the encoder; and no cut-off list passes.
 */
#include <stdlib.h>
#include "sio/sio_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_ATTACHMENTS 10
#define MAX_DEPTH       40

static const struct sio_packet_limits limits = {MAX_ATTACHMENTS, MAX_DEPTH};
static const struct sio_encode_limits emits = {.max_attachments = MAX_ATTACHMENTS,
                                               .max_depth = MAX_DEPTH};

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

/* The slow way: every value of the tree, by its own. */
static bool has_good_placeholders(cvn_slice value, unsigned attachments)
{
    cvn_slice rest = json_inside(value), key, child;
    uint64_t num;
    if (json_type(value) == JSON_ARRAY) {
        while (json_next(&rest, &child))
            if (!has_good_placeholders(child, attachments))
                return false;
    } else if (json_type(value) == JSON_OBJECT) {
        if (json_type(json_get(value, SLICE("_placeholder"))) == JSON_TRUE &&
            (!sio_packet_placeholder(value, &num) || num >= attachments))
            return false;
        while (json_next_member(&rest, &key, &child))
            if (!has_good_placeholders(child, attachments))
                return false;
    }
    return true;
}

static bool list_has_good_placeholders(cvn_slice list, unsigned attachments)
{
    cvn_slice value;
    while (json_next(&list, &value))
        if (!has_good_placeholders(value, attachments))
            return false;
    return true;
}

static void check_parts(const struct sio_packet *packet, cvn_slice text)
{
    CHECK(packet->type == (enum sio_type)(text.data[0] - '0'));
    CHECK(packet->type <= SIO_BINARY_ACK && packet->type != SIO_CONNECT_ERROR);
    CHECK(is_binary(packet) ? packet->attachments >= 1 && packet->attachments <= MAX_ATTACHMENTS
                            : packet->attachments == 0);
    CHECK(packet->nsp.size > 0 && packet->nsp.data[0] == '/');
    CHECK(is_inside(packet->nsp, text) || slice_eq(packet->nsp, SLICE("/")));
    CHECK(slice_find(packet->nsp, ',') == packet->nsp.size);
    CHECK(is_inside(packet->data, text));
    CHECK(is_inside(packet->args, packet->data));
    CHECK(is_inside(packet->event, packet->data));
    CHECK(packet->has_id || packet->id == 0);
    if (packet->type == SIO_CONNECT)
        CHECK(packet->data.size == 0 ||
              (json_is_valid(packet->data, MAX_DEPTH) && json_type(packet->data) == JSON_OBJECT));
    else
        CHECK(json_is_valid_list(packet->args, MAX_DEPTH));
    if (is_binary(packet))
        CHECK(list_has_good_placeholders(packet->data, packet->attachments));
    CHECK(is_event(packet) == (packet->event.size > 0));
}

static void check_same(const struct sio_packet *a, const struct sio_packet *b)
{
    CHECK(a->type == b->type && a->attachments == b->attachments);
    CHECK(slice_eq(a->nsp, b->nsp));
    CHECK(a->has_id == b->has_id && a->id == b->id);
    CHECK(slice_eq(a->event, b->event) && slice_eq(a->args, b->args));
}

/* Its parts put together by hand. */
static void check_rewritten(const struct sio_packet *packet)
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
    size_t size = sio_text_size(&parts);
    char *text = malloc(size); /* exactly as large: a sanitizer sees one byte too many */
    struct sio_packet again;
    CHECK(text != NULL);
    sio_text_write(&parts, text);
    CHECK(sio_packet_decode(slice_of(text, size), &limits, &again));
    check_same(packet, &again);
    if (packet->type == SIO_CONNECT)
        CHECK(slice_eq(packet->data, again.data));
    free(text);
}

/* The arguments as an application reads them. */
static void check_arguments(const struct sio_packet *packet, cvn_args args)
{
    cvn_slice rest = packet->args, value, bytes;
    size_t count = 0;
    while (json_next(&rest, &value)) {
        CHECK(json_is_valid(value, MAX_DEPTH));
        cvn_slice at = cvn_args_at(args, count++);
        CHECK(at.data == value.data && at.size == value.size);
        uint64_t num;
        if (is_binary(packet) && sio_packet_placeholder(value, &num)) {
            CHECK(cvn_args_binary(args, value, &bytes));
            CHECK(bytes.data == args.attachments[num].data);
        }
        if (count > 100)
            return;
    }
    CHECK(cvn_args_count(args) == count);
}

/* What a handler forwards comes out the same. */
static void check_forwarded(const struct sio_packet *packet)
{
    cvn_slice attachments[MAX_ATTACHMENTS];
    char memory[512];
    struct buf name = {.data = memory, .capacity = sizeof memory - 1, .max = sizeof memory - 1};
    struct sio_frames frames;
    struct sio_packet again;
    for (unsigned i = 0; i < MAX_ATTACHMENTS; i++)
        attachments[i] = slice_of("0123456789", i);
    cvn_args args = {packet->args, attachments, packet->attachments};
    check_arguments(packet, args);
    if (is_event(packet)) {
        if (json_type(packet->event) != JSON_STRING || !json_unescape(&name, packet->event) ||
            name.size == 0 || name.size > SIO_MAX_EVENT_NAME ||
            memchr(memory, '\0', name.size) != NULL)
            return; /* no name that an application could say */
        memory[name.size] = '\0';
        CHECK(!sio_packet_is_reserved(buf_slice(&name)));
    }
    CHECK(sio_encode_event(packet->nsp, is_event(packet) ? memory : NULL,
                           packet->has_id ? &packet->id : NULL, args, &emits, &frames) == CVN_OK);
    CHECK(frames.binary_count == packet->attachments);
    cvn_slice payload = message_payload(frames.text);
    CHECK(payload.data[0] == '4');
    /* One level more than the list alone: at the limit it need not pass. */
    const struct sio_packet_limits deeper = {MAX_ATTACHMENTS, MAX_DEPTH + 1};
    CHECK(sio_packet_decode(slice_from(payload, 1), &deeper, &again));
    CHECK(again.type == packet->type && again.attachments == packet->attachments);
    CHECK(slice_eq(again.nsp, packet->nsp) && slice_eq(again.args, packet->args));
    CHECK(again.has_id == packet->has_id && again.id == packet->id);
    sio_frames_release(&frames);
}

/* A list that has lost its end is none. */
static void check_prefixes(const struct sio_packet *packet, cvn_slice text)
{
    struct sio_packet cut;
    if (text.size > 100 || packet->type == SIO_CONNECT || packet->type == SIO_DISCONNECT)
        return;
    size_t end = text.size;
    while (text.data[end - 1] != ']')
        end--;
    for (size_t size = 0; size < end; size++) {
        char *copy = malloc(size + 1);
        CHECK(copy != NULL);
        memcpy(copy + 1, text.data, size); /* ends with the allocation */
        CHECK(!sio_packet_decode(slice_of(copy + 1, size), &limits, &cut));
        free(copy);
    }
}

static void check_text(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    struct sio_packet packet, untouched;
    CHECK(copy != NULL);
    if (size > 0)
        memcpy(copy + 1, data, size);
    memset(&packet, 0x5a, sizeof packet);
    memset(&untouched, 0x5a, sizeof untouched);
    cvn_slice text = slice_of(copy + 1, size);
    if (!sio_packet_decode(text, &limits, &packet)) {
        CHECK(memcmp(&packet, &untouched, sizeof packet) == 0);
    } else {
        check_parts(&packet, text);
        check_rewritten(&packet);
        if (packet.type != SIO_CONNECT && packet.type != SIO_DISCONNECT)
            check_forwarded(&packet);
        check_prefixes(&packet, text);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i <= size; i++)
        if (i == size || data[i] == EIO_SEPARATOR) {
            check_text(data + start, i - start);
            start = i + 1;
        }
    return 0;
}
