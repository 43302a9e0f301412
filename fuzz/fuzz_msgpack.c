/*
 * MessagePack to JSON and back. The first byte chooses the limits. The rest is taken twice. As MessagePack: the decoder against a reader by
 * recursive descent; what it refuses leaves no trace; what it accepts is JSON that, written and read again, is the same to the byte.
 * As a list of JSON values: written as MessagePack, to exactly the bytes that were planned, and read again it means the same.
 */
#include <math.h>
#include <stdlib.h>
#include "base/msgpack.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_INPUT ((size_t)1 << 13)
#define MAX_BLOBS 8
#define MAX_DEPTH 32

/* --- The model: what the specification and notepack allow, a value at a time --- */

struct model {
    const uint8_t *at, *end;
    unsigned max_depth, max_blobs, blobs;
    bool has_lookalike;
};

/* A number of `size` bytes behind the lead, and then that many bytes to come. */
static bool model_size(struct model *model, unsigned size, uint64_t *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < size; i++) {
        if (model->at == model->end)
            return false;
        *ret = *ret * 256 + *model->at++;
    }
    return true;
}

static bool model_bytes(struct model *model, uint64_t size)
{
    if (size > (uint64_t)(model->end - model->at))
        return false;
    model->at += size;
    return true;
}

static bool model_text(struct model *model, uint64_t size, cvn_slice *ret)
{
    const uint8_t *start = model->at;
    if (!model_bytes(model, size))
        return false;
    *ret = slice_of(start, (size_t)size);
    return utf8_is_valid(*ret);
}

static bool model_key(struct model *model, cvn_slice *ret)
{
    uint64_t size;
    if (model->at == model->end)
        return false;
    uint8_t lead = *model->at++;
    if (lead >= 0xa0 && lead <= 0xbf)
        return model_text(model, lead - 0xa0u, ret);
    return lead >= 0xd9 && lead <= 0xdb && model_size(model, 1u << (lead - 0xd9), &size) &&
           model_text(model, size, ret);
}

static bool model_blob(struct model *model, uint64_t size, unsigned depth)
{
    return model_bytes(model, size) && ++model->blobs <= model->max_blobs &&
           depth < model->max_depth;
}

static bool model_ext(struct model *model, bool fixed, uint64_t size, unsigned depth)
{
    uint64_t type, nanoseconds = 0;
    if (!model_size(model, 1, &type))
        return false;
    const uint8_t *bytes = model->at;
    if (type == 0 && !fixed)
        return model_blob(model, size, depth);
    if (!model_bytes(model, size))
        return false;
    if (type == 0)
        return size == 1 || size == 8;
    if (type != 0xff || (size != 4 && size != 8 && size != 12))
        return false;
    for (unsigned i = 0; i < 4 && size > 4; i++)
        nanoseconds = nanoseconds * 256 + bytes[i];
    if (size == 8)
        nanoseconds /= 4;
    return nanoseconds < 1000000000;
}

static bool model_value(struct model *model, unsigned depth);

static bool model_children(struct model *model, bool is_map, uint64_t count, unsigned depth)
{
    if (depth >= model->max_depth)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        cvn_slice key = {NULL, 0};
        if (is_map && !model_key(model, &key))
            return false;
        if (is_map && model->at < model->end && *model->at == 0xc3 &&
            slice_eq(key, SLICE("_placeholder")))
            model->has_lookalike = true;
        if (!model_value(model, depth + 1))
            return false;
    }
    return true;
}

static bool model_value(struct model *model, unsigned depth)
{
    cvn_slice text;
    uint64_t size;
    if (model->at == model->end)
        return false;
    uint8_t lead = *model->at++;
    if (lead <= 0x7f || lead >= 0xe0 || lead == 0xc0 || lead == 0xc2 || lead == 0xc3)
        return true;
    if (lead <= 0x8f)
        return model_children(model, true, lead - 0x80u, depth);
    if (lead <= 0x9f)
        return model_children(model, false, lead - 0x90u, depth);
    if (lead <= 0xbf)
        return model_text(model, lead - 0xa0u, &text);
    if (lead >= 0xc4 && lead <= 0xc6)
        return model_size(model, 1u << (lead - 0xc4), &size) && model_blob(model, size, depth);
    if (lead >= 0xc7 && lead <= 0xc9)
        return model_size(model, 1u << (lead - 0xc7), &size) &&
               model_ext(model, false, size, depth);
    if (lead == 0xca || lead == 0xcb)
        return model_bytes(model, lead == 0xca ? 4 : 8);
    if (lead >= 0xcc && lead <= 0xd3)
        return model_bytes(model, (uint64_t)1 << ((lead - 0xcc) & 3));
    if (lead >= 0xd4 && lead <= 0xd8)
        return model_ext(model, true, (uint64_t)1 << (lead - 0xd4), depth);
    if (lead >= 0xd9 && lead <= 0xdb)
        return model_size(model, 1u << (lead - 0xd9), &size) && model_text(model, size, &text);
    if (lead == 0xdc || lead == 0xdd)
        return model_size(model, lead == 0xdc ? 2 : 4, &size) &&
               model_children(model, false, size, depth);
    return (lead == 0xde || lead == 0xdf) && model_size(model, lead == 0xde ? 2 : 4, &size) &&
           model_children(model, true, size, depth);
}

/* --- MessagePack, JSON, MessagePack, JSON --- */

/* The list as MessagePack, in a block of exactly its size. */
static char *write_planned(cvn_slice list, const cvn_slice *attachments, size_t count,
                           size_t *ret_size, size_t *ret_values)
{
    struct msgpack_plan plan;
    struct msgpack_writer counter = {NULL, 0}, writer = {NULL, 0};
    CHECK(msgpack_plan_init(&plan, list, attachments, count) == CVN_OK);
    char *bytes = malloc(plan.size + (plan.size == 0));
    CHECK(bytes != NULL);
    msgpack_put_planned(&counter, &plan);
    CHECK(counter.at == NULL && counter.size == plan.size);
    writer.at = bytes;
    msgpack_put_planned(&writer, &plan);
    CHECK(writer.size == plan.size && writer.at == bytes + plan.size);
    *ret_size = plan.size;
    *ret_values = plan.count;
    msgpack_plan_release(&plan);
    return bytes;
}

static void check_rewritten(cvn_slice json, const struct msgpack_blobs *blobs, unsigned max_depth)
{
    cvn_slice items[MAX_BLOBS];
    struct msgpack_blobs again = {items, 0, blobs->max};
    struct buf text;
    size_t size, values;
    char *bytes = write_planned(json, blobs->items, blobs->count, &size, &values);
    cvn_slice rest = slice_of(bytes, size);
    CHECK(values == 1);
    buf_init(&text, MSGPACK_JSON_MAX(size, blobs->max));
    CHECK(msgpack_to_json(&rest, max_depth, &text, &again));
    CHECK(rest.size == 0 && slice_eq(buf_slice(&text), json));
    CHECK(again.count == blobs->count);
    for (unsigned i = 0; i < again.count; i++)
        CHECK(slice_eq(again.items[i], blobs->items[i]));
    buf_release(&text);
    free(bytes);
}

static void check_accepted(cvn_slice input, cvn_slice used, cvn_slice json,
                           const struct msgpack_blobs *blobs, unsigned max_depth)
{
    cvn_slice rest = input, skipped;
    CHECK(json_is_valid(json, max_depth));
    for (unsigned i = 0; i < blobs->count; i++)
        CHECK(blobs->items[i].data >= used.data &&
              blobs->items[i].data + blobs->items[i].size <= used.data + used.size);
    CHECK(msgpack_skip(&rest, &skipped));
    CHECK(skipped.data == used.data && skipped.size == used.size);
    check_rewritten(json, blobs, max_depth);
}

static bool decode(cvn_slice *rest, unsigned max_depth, unsigned max_blobs)
{
    cvn_slice input = *rest, items[MAX_BLOBS];
    struct msgpack_blobs blobs = {items, 0, max_blobs};
    struct buf json;
    buf_init(&json, 5 + MSGPACK_JSON_MAX(input.size, max_blobs));
    buf_append_str(&json, "front");
    bool accepted = msgpack_to_json(rest, max_depth, &json, &blobs);
    CHECK(!json.failed && memcmp(json.data, "front", 5) == 0);
    if (accepted) {
        check_accepted(input, slice_of(input.data, input.size - rest->size),
                       slice_from(buf_slice(&json), 5), &blobs, max_depth);
    } else {
        CHECK(json.size == 5 && blobs.count == 0);
        CHECK(rest->data == input.data && rest->size == input.size);
    }
    buf_release(&json);
    return accepted;
}

/* Value for value, until the first that is refused. */
static void check_msgpack(cvn_slice input, unsigned max_depth, unsigned max_blobs)
{
    cvn_slice rest = input;
    for (bool accepted = true; accepted && rest.size > 0;) {
        struct model model = {.at = (const uint8_t *)rest.data,
                              .end = (const uint8_t *)rest.data + rest.size,
                              .max_depth = max_depth,
                              .max_blobs = max_blobs};
        bool expected = model_value(&model, 0) && !(model.has_lookalike && model.blobs > 0);
        cvn_slice before = rest;
        accepted = decode(&rest, max_depth, max_blobs);
        CHECK(accepted == expected);
        if (!accepted)
            break;
        CHECK(rest.data == (const char *)model.at);
        size_t size = before.size - rest.size;
        for (size_t cut = 0; cut < size && size < 60; cut++) {
            char *copy = malloc(cut + 1); /* ends with the allocation */
            CHECK(copy != NULL);
            memcpy(copy + 1, before.data, cut);
            cvn_slice part = slice_of(copy + 1, cut);
            CHECK(!decode(&part, max_depth, max_blobs));
            free(copy);
        }
    }
}

/* --- JSON, MessagePack, JSON --- */

static double to_double(cvn_slice number)
{
    char *text = malloc(number.size + 1);
    CHECK(text != NULL);
    memcpy(text, number.data, number.size);
    text[number.size] = '\0';
    double value = strtod(text, NULL);
    free(text);
    return value;
}

static void check_same_text(cvn_slice a, cvn_slice b)
{
    struct buf first, second;
    buf_init(&first, a.size);
    buf_init(&second, b.size);
    CHECK(json_unescape(&first, a) && json_unescape(&second, b));
    CHECK(first.size == json_unescaped_size(a) && second.size == json_unescaped_size(b));
    CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
    buf_release(&first);
    buf_release(&second);
}

static bool is_placeholder(cvn_slice value, size_t count, uint64_t *ret_num)
{
    return json_type(value) == JSON_OBJECT &&
           json_type(json_get(value, SLICE("_placeholder"))) == JSON_TRUE &&
           json_to_u64(json_get(value, SLICE("num")), ret_num) && *ret_num < count;
}

/* Whether something in the value, beside true placeholders, would be taken for one; and how many true ones there are. */
static bool has_lookalike(cvn_slice value, size_t count, size_t *blobs)
{
    cvn_slice rest = json_inside(value), key, child;
    bool found = false;
    uint64_t num;
    if (is_placeholder(value, count, &num)) {
        ++*blobs;
        return false;
    }
    if (json_type(value) == JSON_ARRAY)
        while (json_next(&rest, &child))
            found |= has_lookalike(child, count, blobs);
    if (json_type(value) == JSON_OBJECT)
        while (json_next_member(&rest, &key, &child)) {
            char memory[16];
            struct buf name = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};
            if (json_type(child) == JSON_TRUE && json_unescape(&name, key) &&
                slice_eq(buf_slice(&name), SLICE("_placeholder")))
                found = true;
            found |= has_lookalike(child, count, blobs);
        }
    return found;
}

struct pair {
    const cvn_slice *attachments;
    size_t count;
    const struct msgpack_blobs *blobs;
};

static void check_same(const struct pair *pair, cvn_slice a, cvn_slice b)
{
    cvn_slice rest_a = json_inside(a), rest_b = json_inside(b), key_a, key_b, child_a, child_b;
    uint64_t num, other;
    if (is_placeholder(a, pair->count, &num)) {
        CHECK(is_placeholder(b, pair->blobs->count, &other));
        CHECK(slice_eq(pair->attachments[num], pair->blobs->items[other]));
        return;
    }
    if (json_type(a) == JSON_NUMBER && isinf(to_double(a))) {
        CHECK(json_type(b) == JSON_NULL);
        return;
    }
    CHECK(json_type(a) == json_type(b));
    switch (json_type(a)) {
    case JSON_NUMBER:
        CHECK(to_double(a) == to_double(b));
        CHECK(!json_to_u64(a, &num) || (json_to_u64(b, &other) && num == other));
        CHECK(signbit(to_double(a)) == signbit(to_double(b)));
        break;
    case JSON_STRING:
        check_same_text(a, b);
        break;
    case JSON_ARRAY:
        while (json_next(&rest_a, &child_a)) {
            CHECK(json_next(&rest_b, &child_b));
            check_same(pair, child_a, child_b);
        }
        CHECK(rest_b.size == 0);
        break;
    case JSON_OBJECT:
        while (json_next_member(&rest_a, &key_a, &child_a)) {
            CHECK(json_next_member(&rest_b, &key_b, &child_b));
            check_same_text(key_a, key_b);
            check_same(pair, child_a, child_b);
        }
        CHECK(rest_b.size == 0);
        break;
    default:
        break;
    }
}

static void check_json(cvn_slice list, unsigned max_blobs)
{
    static const char memory[] = "0123456789";
    cvn_slice attachments[MAX_BLOBS], value;
    for (unsigned i = 0; i < max_blobs; i++)
        attachments[i] = slice_of(memory, i);
    size_t size, values, count = 0;
    char *bytes = write_planned(list, attachments, max_blobs, &size, &values);
    cvn_slice rest = slice_of(bytes, size);
    while (json_next(&list, &value)) {
        cvn_slice items[MAX_BLOBS];
        struct msgpack_blobs blobs = {items, 0, MAX_BLOBS};
        struct buf json;
        size_t placed = 0;
        bool lookalike = has_lookalike(value, max_blobs, &placed);
        buf_init(&json, MSGPACK_JSON_MAX(size, MAX_BLOBS));
        if (placed > MAX_BLOBS || (lookalike && placed > 0)) {
            cvn_slice skipped;
            CHECK(!msgpack_to_json(&rest, MAX_DEPTH, &json, &blobs));
            CHECK(msgpack_skip(&rest, &skipped));
        } else {
            CHECK(msgpack_to_json(&rest, MAX_DEPTH, &json, &blobs));
            CHECK(blobs.count == placed);
            check_same(&(struct pair){attachments, max_blobs, &blobs}, value, buf_slice(&json));
        }
        buf_release(&json);
        count++;
    }
    CHECK(count == values && rest.size == 0);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > MAX_INPUT)
        return 0;
    unsigned max_depth = data[0] % MAX_DEPTH, max_blobs = data[0] / MAX_DEPTH; /* 0..7 */
    char *copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, data, size);
    cvn_slice input = slice_of(copy + 1, size - 1);
    check_msgpack(input, max_depth, max_blobs);
    if (json_is_valid_list(input, MAX_DEPTH))
        check_json(input, max_blobs);
    free(copy);
    return 0;
}
