/*
 * From the application's arguments to shared messages. The JSON is checked here, once, because one malformed emit would end the
 * connection of every receiver. Pure but for allocating; any thread.
 */
#include "sio/sio_encode.h"
#include "sio/sio_msgpack.h"

static struct message *encode_text(const struct sio_text *text)
{
    char *data;
    struct message *message = eio_packet_new_text(sio_text_size(text), &data);
    if (message != NULL)
        sio_text_write(text, data);
    return message;
}

struct message *sio_encode_control(enum cvn_parser parser, enum sio_type type, cvn_slice nsp,
                                   cvn_slice json)
{
    struct sio_text text = {.type = type, .nsp = nsp, .list = json};
    struct message *message = NULL;
    if (parser == CVN_PARSER_JSON)
        return encode_text(&text);
    return sio_msgpack_encode(&text, NULL, &message) == CVN_OK ? message : NULL;
}

enum cvn_error sio_encode_check_args(cvn_args args, const struct sio_encode_limits *limits)
{
    if (args.attachment_count > limits->max_attachments ||
        args.attachment_count > SIO_MAX_ATTACHMENTS)
        return CVN_ERR_LIMIT;
    if (!json_is_valid_list(args.json, limits->max_depth))
        return CVN_ERR_JSON;
    if (args.attachment_count > 0 &&
        !sio_packet_check_placeholders(args.json, (unsigned)args.attachment_count))
        return CVN_ERR_JSON;
    return CVN_OK;
}

static bool encode_binaries(cvn_args args, struct sio_frames *frames)
{
    if (args.attachment_count == 0)
        return true;
    if (!sio_frames_reserve(frames, args.attachment_count))
        return false;
    while (frames->binary_count < args.attachment_count) {
        struct message *binary = eio_packet_encode_binary(args.attachments[frames->binary_count]);
        if (binary == NULL)
            return false;
        frames->binaries[frames->binary_count++] = binary;
    }
    return true;
}

enum cvn_error sio_encode_event(cvn_slice nsp, const char *event, const uint64_t *id, cvn_args args,
                                const struct sio_encode_limits *limits, struct sio_frames *ret)
{
    char memory[SIO_MAX_EVENT_NAME * 6 + 2]; /* each byte may become an escape */
    struct buf name = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};
    enum cvn_error error = sio_encode_check_args(args, limits);
    if (error != CVN_OK)
        return error;
    if (event != NULL) {
        cvn_slice plain = cvn_str(event);
        if (plain.size == 0 || plain.size > SIO_MAX_EVENT_NAME || sio_packet_is_reserved(plain) ||
            !json_append_string(&name, plain))
            return CVN_ERR_ARGUMENT;
    }
    bool binary = args.attachment_count > 0;
    struct sio_text text = {
        .type = event != NULL ? (binary ? SIO_BINARY_EVENT : SIO_EVENT)
                              : (binary ? SIO_BINARY_ACK : SIO_ACK),
        .attachments = (unsigned)args.attachment_count,
        .nsp = nsp,
        .has_id = id != NULL,
        .id = id != NULL ? *id : 0,
        .event = buf_slice(&name),
        .list = args.json,
        .brackets = true,
    };
    if (limits->parser == CVN_PARSER_MSGPACK) {
        struct sio_frames single = {0};
        error = sio_msgpack_encode(&text, args.attachments, &single.text);
        if (error == CVN_OK)
            *ret = single;
        return error;
    }
    struct sio_frames frames = {.text = encode_text(&text)};
    if (frames.text == NULL || !encode_binaries(args, &frames)) {
        sio_frames_release(&frames);
        return CVN_ERR_MEMORY;
    }
    *ret = frames;
    return CVN_OK;
}
