/*
 * From JSON text to MessagePack. The head of an array or a map says how much is in it and comes first, so the text is seen through twice:
 * once to count, once to write. Both passes are linear in the text, however it is nested, and need no recursion. Pure but for the counts.
 *
 * The text is valid (json_scan.c): white space, commas and colons need only be stepped over, and keys are every second value of an object.
 */
#include "base/mem.h"
#include "base/msgpack.h"
#include "base/number.h"

#define IS_PLACEHOLDER 0x80000000 /* in a container's entry: the rest is the attachment's number */
#define MAX_BYTES                                                                                  \
    0x7fffffff /* of the text, of an attachment, of all together: lengths and counts fit 32 bits */

/* --- The text's tokens: brackets, strings and scalars --- */

static bool is_between(char c)
{
    return c == ' ' || c == ',' || c == ':' || c == '\n' || c == '\r' || c == '\t';
}

/* Length of the string at the front, quotes included. */
static size_t string_size(cvn_slice text)
{
    size_t end = 1;
    for (;;) {
        size_t backslashes = 0;
        end += slice_find(slice_from(text, end), '"');
        if (end >= text.size)
            return text.size;
        while (text.data[end - 1 - backslashes] == '\\')
            backslashes++; /* it stops at the opening quote at the latest */
        end++;
        if (backslashes % 2 == 0)
            return end;
    }
}

static bool next_token(cvn_slice *rest, cvn_slice *ret)
{
    size_t start = 0, size;
    while (start < rest->size && is_between(rest->data[start]))
        start++;
    cvn_slice text = slice_from(*rest, start);
    if (text.size == 0)
        return false;
    if (*text.data == '"') {
        size = string_size(text);
    } else if (memchr("[]{}", *text.data, 4) != NULL) {
        size = 1;
    } else {
        size = 1;
        while (size < text.size && !is_between(text.data[size]) && text.data[size] != ']' &&
               text.data[size] != '}')
            size++;
    }
    *ret = slice_of(text.data, size);
    *rest = slice_from(text, size);
    return true;
}

static bool is_opening(cvn_slice token)
{
    return *token.data == '[' || *token.data == '{';
}

static bool is_closing(cvn_slice token)
{
    return *token.data == ']' || *token.data == '}';
}

/* --- Scalars --- */

static void put_number(struct msgpack_writer *writer, cvn_slice text)
{
    bool negative = *text.data == '-';
    uint64_t amount;
    int64_t integer;
    if (json_to_u64(slice_from(text, negative), &amount)) {
        if (!negative) {
            msgpack_put_uint(writer, amount);
            return;
        }
        if (amount != 0 && amount <= (uint64_t)1 << 63) {
            msgpack_put_negative(writer, amount);
            return;
        }
    }
    if (!number_whole_from_json(text, &integer))
        msgpack_put_double(writer, writer->at != NULL ? number_from_json(text) : 0);
    else if (integer < 0)
        msgpack_put_negative(writer, (uint64_t)-integer);
    else
        msgpack_put_uint(writer, (uint64_t)integer);
}

static void put_scalar(struct msgpack_writer *writer, cvn_slice token)
{
    switch (*token.data) {
    case '"':
        msgpack_put_json_string(writer, token);
        break;
    case 'n':
        msgpack_put_nil(writer);
        break;
    case 't':
    case 'f':
        msgpack_put_bool(writer, *token.data == 't');
        break;
    default:
        put_number(writer, token);
        break;
    }
}

/* --- Counting --- */

enum key { KEY_OTHER, KEY_PLACEHOLDER, KEY_NUM };

/* An array or object that is open. */
struct open {
    size_t entry;       /* its place in plan->containers */
    size_t size_before; /* of what came before it */
    bool is_object;
    bool wants_key; /* an object's next token is one */
    /* Whether an object is a placeholder; the last of equal keys counts. */
    uint8_t key; /* enum key: of the member whose value comes */
    bool is_placeholder, has_num;
    uint64_t num;
};

struct counting {
    struct msgpack_plan *plan;
    struct msgpack_writer writer; /* counts */
    size_t depth;
    struct open open[JSON_MAX_DEPTH];
};

static enum cvn_error add_container(struct msgpack_plan *plan)
{
    if (plan->container_count == plan->container_capacity) {
        size_t capacity = 2 * plan->container_capacity;
        bool is_first = plan->containers == plan->few;
        uint32_t *larger =
            mem_realloc(is_first ? NULL : plan->containers, capacity * sizeof *larger);
        if (larger == NULL)
            return CVN_ERR_MEMORY;
        if (is_first)
            memcpy(larger, plan->few, sizeof plan->few);
        plan->containers = larger;
        plan->container_capacity = capacity;
    }
    plan->containers[plan->container_count++] = 0;
    return CVN_OK;
}

static enum key key_of(cvn_slice string)
{
    char memory[16];
    struct buf decoded = {.data = memory, .capacity = sizeof memory, .max = sizeof memory};
    cvn_slice name;
    if (!json_plain_string(string, &name)) {
        if (!json_unescape(&decoded, string))
            return KEY_OTHER; /* too long to be one of ours */
        name = buf_slice(&decoded);
    }
    return slice_eq(name, SLICE("_placeholder")) ? KEY_PLACEHOLDER
           : slice_eq(name, SLICE("num"))        ? KEY_NUM
                                                 : KEY_OTHER;
}

static void count_key(struct counting *counting, struct open *object, cvn_slice token)
{
    object->wants_key = false;
    object->key = KEY_OTHER;
    if (counting->plan->attachment_count > 0)
        object->key = (uint8_t)key_of(token);
    counting->plan->containers[object->entry]++;
    msgpack_put_json_string(&counting->writer, token);
}

/* What its value says about the object that a member belongs to. */
static void note_member(struct open *object, cvn_slice token)
{
    object->wants_key = true;
    if (object->key == KEY_PLACEHOLDER)
        object->is_placeholder = *token.data == 't';
    else if (object->key == KEY_NUM)
        object->has_num = json_to_u64(token, &object->num);
}

static enum cvn_error count_value(struct counting *counting, cvn_slice token)
{
    struct msgpack_plan *plan = counting->plan;
    struct open *parent = counting->depth > 0 ? &counting->open[counting->depth - 1] : NULL;
    if (parent == NULL)
        plan->count++;
    else if (parent->is_object)
        note_member(parent, token);
    else
        plan->containers[parent->entry]++;
    if (!is_opening(token)) {
        put_scalar(&counting->writer, token);
        return CVN_OK;
    }
    if (counting->depth == JSON_MAX_DEPTH)
        return CVN_ERR_LIMIT;
    bool is_object = *token.data == '{';
    counting->open[counting->depth++] = (struct open){
        .entry = plan->container_count,
        .size_before = counting->writer.size,
        .is_object = is_object,
        .wants_key = is_object,
    };
    return add_container(plan);
}

static void count_end(struct counting *counting)
{
    const struct open *open = &counting->open[--counting->depth];
    struct msgpack_plan *plan = counting->plan;
    struct msgpack_writer *writer = &counting->writer;
    if (open->is_placeholder && open->has_num && open->num < plan->attachment_count) {
        writer->size = open->size_before;
        plan->container_count = open->entry + 1; /* nothing inside is written */
        plan->containers[open->entry] = IS_PLACEHOLDER | (uint32_t)open->num;
        msgpack_put_bin(writer, plan->attachments[open->num]);
    } else if (open->is_object) {
        msgpack_put_map(writer, plan->containers[open->entry]);
    } else {
        msgpack_put_array(writer, plan->containers[open->entry]);
    }
}

static enum cvn_error count(struct counting *counting)
{
    cvn_slice rest = counting->plan->list, token;
    while (next_token(&rest, &token)) {
        struct open *top = counting->depth > 0 ? &counting->open[counting->depth - 1] : NULL;
        enum cvn_error error = CVN_OK;
        if (top != NULL && is_closing(token))
            count_end(counting);
        else if (top != NULL && top->wants_key)
            count_key(counting, top, token);
        else
            error = count_value(counting, token);
        if (error == CVN_OK && counting->writer.size > MAX_BYTES)
            error = CVN_ERR_LIMIT; /* one attachment may be in many places */
        if (error != CVN_OK)
            return error;
    }
    counting->plan->size = counting->writer.size;
    return CVN_OK;
}

enum cvn_error msgpack_plan_init(struct msgpack_plan *plan, cvn_slice list,
                                 const cvn_slice *attachments, size_t attachment_count)
{
    struct counting counting; /* `open` needs no values */
    if (list.size > MAX_BYTES || attachment_count > MAX_BYTES)
        return CVN_ERR_LIMIT;
    for (size_t i = 0; i < attachment_count; i++)
        if (attachments[i].size > MAX_BYTES)
            return CVN_ERR_LIMIT;
    plan->list = list;
    plan->attachments = attachments;
    plan->attachment_count = attachment_count;
    plan->count = plan->size = plan->container_count = 0;
    plan->containers = plan->few;
    plan->container_capacity = MSGPACK_PLAN_FEW;
    counting.plan = plan;
    counting.writer = (struct msgpack_writer){NULL, 0};
    counting.depth = 0;
    enum cvn_error error = count(&counting);
    if (error != CVN_OK)
        msgpack_plan_release(plan);
    return error;
}

void msgpack_plan_release(struct msgpack_plan *plan)
{
    if (plan->containers != plan->few)
        mem_free(plan->containers);
    plan->containers = plan->few;
    plan->container_count = 0;
}

/* --- Writing --- */

/* To the bracket that closes what has just been opened. */
static void skip_container(cvn_slice *rest)
{
    size_t depth = 1;
    cvn_slice token;
    while (depth > 0 && next_token(rest, &token)) {
        if (is_opening(token))
            depth++;
        else if (is_closing(token))
            depth--;
    }
}

void msgpack_put_planned(struct msgpack_writer *writer, const struct msgpack_plan *plan)
{
    size_t entry = 0;
    cvn_slice rest = plan->list, token;
    if (writer->at == NULL) {
        writer->size += plan->size;
        return;
    }
    while (next_token(&rest, &token)) {
        if (is_closing(token))
            continue;
        if (!is_opening(token)) {
            put_scalar(writer, token); /* keys among them */
            continue;
        }
        uint32_t count = plan->containers[entry++];
        if (count & IS_PLACEHOLDER) {
            msgpack_put_bin(writer, plan->attachments[count & ~(uint32_t)IS_PLACEHOLDER]);
            skip_container(&rest);
        } else if (*token.data == '{') {
            msgpack_put_map(writer, count);
        } else {
            msgpack_put_array(writer, count);
        }
    }
}
