/*
 * MessagePack as socket.io-msgpack-parser speaks it (notepack.io 2.2), to and from JSON text with attachments: bytes become placeholders
 * {"_placeholder":true,"num":N}, as in Socket.IO's own packets, and back. Specification:
 * github.com/msgpack/msgpack/blob/master/spec.md. Pure but for allocating; any thread.
 *
 * What JSON cannot say becomes what JSON.stringify makes of it: NaN and infinities null, undefined null and as a member nothing, a Date
 * its ISO text. Whole numbers keep all their 64 bits in JSON's digits; clients in JavaScript round those beyond 2^53.
 */
#ifndef BASE_MSGPACK_H
#define BASE_MSGPACK_H

#include "base/json.h"

/* --- Reading --- */

enum msgpack_type {
    MSGPACK_NIL,
    MSGPACK_FALSE,
    MSGPACK_TRUE,
    MSGPACK_UINT,
    MSGPACK_NEGATIVE,
    MSGPACK_FLOAT,
    MSGPACK_STR,
    MSGPACK_BIN,
    MSGPACK_ARRAY,
    MSGPACK_MAP,
    MSGPACK_EXT
};

/* One value, or the head of an array or a map. */
struct msgpack_token {
    enum msgpack_type type;
    uint64_t
        number;  /* UINT; NEGATIVE: its amount, 1..2^63; ARRAY: values that follow; MAP: pairs */
    double real; /* FLOAT */
    cvn_slice bytes; /* STR (not yet checked to be UTF-8), BIN, EXT: inside the input */
    int8_t ext;      /* EXT: its type */
    bool is_fixed;   /* EXT: of a fixed size, which notepack tells apart */
};

/* Cuts the next token off. False when the input ends before, is no MessagePack, or promises more values than bytes are left. */
bool msgpack_next(cvn_slice *rest, struct msgpack_token *ret);
/* Cuts a whole value off, only looking at its structure; any depth. */
bool msgpack_skip(cvn_slice *rest, cvn_slice *ret_value);
/* notepack's undefined. */
bool msgpack_is_undefined(const struct msgpack_token *token);

/* --- To JSON --- */

/* The JSON text of `size` bytes of MessagePack with `blobs` binaries in it is never longer. */
#define MSGPACK_JSON_MAX(size, blobs) (6 * (size_t)(size) + 40 * (size_t)(blobs))

/* The binaries found, in order; they point into the input. */
struct msgpack_blobs {
    cvn_slice *items;
    unsigned count, max;
};

/*
 * Cuts one value off `*rest` and appends it to `json`. Refused: what msgpack_next refuses, text that is no UTF-8, keys that are no text,
 * ext values other than Dates, undefined, ArrayBuffers and timestamps (type -1), nesting beyond `max_depth` (<= JSON_MAX_DEPTH),
 * binaries beyond blobs->max, a map that would pass for a placeholder beside real ones. Equal keys stay (their last one wins, as in JavaScript). False: refused, or json->failed; nothing has
 * been appended then.
 */
bool msgpack_to_json(cvn_slice *rest, unsigned max_depth, struct buf *json,
                     struct msgpack_blobs *blobs);

/* --- Writing --- */

/* Where the next byte goes; at NULL it only counts, so the same calls tell the size first and then write. */
struct msgpack_writer {
    char *at;
    size_t size; /* so far */
};

/* Each in its shortest form, lengths and counts below 2^32. */
void msgpack_put_nil(struct msgpack_writer *writer);
void msgpack_put_bool(struct msgpack_writer *writer, bool value);
void msgpack_put_uint(struct msgpack_writer *writer, uint64_t number);
void msgpack_put_negative(struct msgpack_writer *writer, uint64_t amount); /* 1..2^63 */
void msgpack_put_double(struct msgpack_writer *writer, double number);
void msgpack_put_str(struct msgpack_writer *writer, cvn_slice text);
void msgpack_put_bin(struct msgpack_writer *writer, cvn_slice bytes);
void msgpack_put_array(struct msgpack_writer *writer, size_t count); /* its head */
void msgpack_put_map(struct msgpack_writer *writer, size_t count);

/* --- From JSON --- */

#define MSGPACK_PLAN_FEW 32

/* A list of JSON values seen through once: what MessagePack has to know before it writes. Must not be moved. */
struct msgpack_plan {
    cvn_slice list;
    const cvn_slice *attachments;
    size_t attachment_count;
    size_t count; /* of the values */
    size_t size;  /* bytes of all of them as MessagePack */
    uint32_t *
        containers; /* of each array and object, in the order they open: how many values; or a placeholder's num */
    size_t container_count, container_capacity;
    uint32_t few[MSGPACK_PLAN_FEW];
};

/*
 * `list` is a VALID comma-separated list (json_is_valid_list). Objects that are placeholders of one of the attachments become its bytes,
 * others stay what they are. Numbers become integers where they are whole, else doubles; lone surrogates U+FFFD. All is borrowed until
 * the plan is released. CVN_ERR_MEMORY, CVN_ERR_LIMIT (too deep, or 2 GiB); nothing to release then.
 */
enum cvn_error msgpack_plan_init(struct msgpack_plan *plan, cvn_slice list,
                                 const cvn_slice *attachments, size_t attachment_count);
/* The values, one behind the other: plan->size bytes. */
void msgpack_put_planned(struct msgpack_writer *writer, const struct msgpack_plan *plan);
void msgpack_plan_release(struct msgpack_plan *plan);

/* A JSON string (with quotes) as text. */
void msgpack_put_json_string(struct msgpack_writer *writer, cvn_slice string);

#endif
