/*
 * From MessagePack to JSON text. One pass without recursion: what is open lies on a stack of fixed size, and everything that grows was paid
 * for with bytes of the input. Pure but for the growing buffer.
 */
#include "base/msgpack.h"
#include "base/number.h"
#include "base/utf8.h"

#define DATE_TYPE        0 /* of notepack, in 8 bytes: milliseconds; in any other length an ArrayBuffer */
#define TIMESTAMP_TYPE   (-1)
#define MS_PER_DAY       86400000
#define MAX_DATE_MS      8640000000000000 /* as far as a Date reaches, either way */
#define MAX_DATE_SECONDS (MAX_DATE_MS / 1000)

struct level {
    uint64_t left; /* values, or pairs of a map, that are still to come */
    bool is_map;
    bool has_any; /* something was written: a comma comes before the next */
};

struct decoding {
    cvn_slice rest;
    struct buf *json;
    struct msgpack_blobs *blobs;
    unsigned depth, max_depth;
    bool has_lookalike; /* a map that reads as a placeholder and is none */
    struct level levels[JSON_MAX_DEPTH];
};

/* --- Dates --- */

static uint64_t read_be(cvn_slice bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.size; i++)
        number = number << 8 | (unsigned char)bytes.data[i];
    return number;
}

static int64_t read_signed(cvn_slice bytes)
{
    uint64_t bits = read_be(bytes);
    return bits >> 63 ? -(int64_t)(~bits) - 1 : (int64_t)bits;
}

/* As JSON.stringify writes a Date: ISO 8601 in UTC; null beyond what a Date can be. */
static void append_date(struct buf *json, int64_t ms)
{
    if (ms > MAX_DATE_MS || ms < -MAX_DATE_MS) {
        buf_append_str(json, "null");
        return;
    }
    int64_t days = ms / MS_PER_DAY - (ms % MS_PER_DAY < 0 ? 1 : 0);
    int time = (int)(ms - days * MS_PER_DAY);
    /* Gregorian calendar in eras of 400 years, whose years start in March so that the leap day is the last. */
    int64_t shifted = days + 719468; /* from 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int in_era = (int)(shifted - era * 146097);
    int year_in_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    int march_month = (5 * in_year + 2) / 153;
    int day = in_year - (153 * march_month + 2) / 5 + 1;
    int month = march_month < 10 ? march_month + 3 : march_month - 9;
    int year = (int)(era * 400) + year_in_era + (month <= 2 ? 1 : 0);
    buf_printf(json, year >= 0 && year <= 9999 ? "\"%04d" : "\"%+07d", year);
    buf_printf(json, "-%02d-%02dT%02d:%02d:%02d.%03dZ\"", month, day, time / 3600000,
               time / 60000 % 60, time / 1000 % 60, time % 1000);
}

/* The specification's three forms. */
static bool append_timestamp(struct buf *json, cvn_slice bytes)
{
    uint64_t nanoseconds = 0;
    int64_t seconds;
    switch (bytes.size) {
    case 4:
        seconds = (int64_t)read_be(bytes);
        break;
    case 8:
        nanoseconds = read_be(bytes) >> 34;
        seconds = (int64_t)(read_be(bytes) & (((uint64_t)1 << 34) - 1));
        break;
    case 12:
        nanoseconds = read_be(slice_of(bytes.data, 4));
        seconds = read_signed(slice_from(bytes, 4));
        break;
    default:
        return false;
    }
    if (nanoseconds > 999999999)
        return false;
    if (seconds > MAX_DATE_SECONDS || seconds < -MAX_DATE_SECONDS)
        buf_append_str(json, "null");
    else
        append_date(json, seconds * 1000 + (int64_t)(nanoseconds / 1000000));
    return true;
}

/* --- Values --- */

static bool append_blob(struct decoding *decoding, cvn_slice bytes)
{
    struct msgpack_blobs *blobs = decoding->blobs;
    if (blobs->count == blobs->max || decoding->depth == decoding->max_depth)
        return false; /* its placeholder is an object, and counts as one */
    buf_append_str(decoding->json, "{\"_placeholder\":true,\"num\":");
    buf_append_u64(decoding->json, blobs->count);
    buf_append_byte(decoding->json, '}');
    blobs->items[blobs->count++] = bytes;
    return true;
}

static bool append_ext(struct decoding *decoding, const struct msgpack_token *token)
{
    if (msgpack_is_undefined(token)) {
        buf_append_str(decoding->json, "null");
        return true;
    }
    if (token->ext == TIMESTAMP_TYPE)
        return append_timestamp(decoding->json, token->bytes);
    if (token->ext != DATE_TYPE)
        return false;
    if (!token->is_fixed)
        return append_blob(decoding, token->bytes);
    if (token->bytes.size != 8)
        return false;
    append_date(decoding->json, read_signed(token->bytes));
    return true;
}

static bool append_text(struct buf *json, cvn_slice text)
{
    if (!utf8_is_valid(text))
        return false;
    json_append_string(json, text);
    return true;
}

static bool open_container(struct decoding *decoding, const struct msgpack_token *token)
{
    bool is_map = token->type == MSGPACK_MAP;
    if (decoding->depth == decoding->max_depth)
        return false;
    decoding->levels[decoding->depth++] = (struct level){token->number, is_map, false};
    buf_append_byte(decoding->json, is_map ? '{' : '[');
    return true;
}

static bool append_value(struct decoding *decoding, const struct msgpack_token *token)
{
    struct buf *json = decoding->json;
    switch (token->type) {
    case MSGPACK_NIL:
        buf_append_str(json, "null");
        return true;
    case MSGPACK_FALSE:
        buf_append_str(json, "false");
        return true;
    case MSGPACK_TRUE:
        buf_append_str(json, "true");
        return true;
    case MSGPACK_NEGATIVE:
        buf_append_byte(json, '-');
        buf_append_u64(json, token->number);
        return true;
    case MSGPACK_UINT:
        buf_append_u64(json, token->number);
        return true;
    case MSGPACK_FLOAT:
        number_append_json(json, token->real);
        return true;
    case MSGPACK_STR:
        return append_text(json, token->bytes);
    case MSGPACK_BIN:
        return append_blob(decoding, token->bytes);
    case MSGPACK_EXT:
        return append_ext(decoding, token);
    default:
        return open_container(decoding, token);
    }
}

/* The comma, and in a map the key, before the value that comes; *ret_token is its token. An undefined member is left out, key and all:
 * then *ret_skip. */
static bool begin_child(struct decoding *decoding, struct msgpack_token *ret_token, bool *ret_skip)
{
    struct level *level = &decoding->levels[decoding->depth - 1];
    struct msgpack_token key = {0};
    level->left--;
    if (level->is_map && (!msgpack_next(&decoding->rest, &key) || key.type != MSGPACK_STR))
        return false;
    if (!msgpack_next(&decoding->rest, ret_token))
        return false;
    *ret_skip = level->is_map && msgpack_is_undefined(ret_token);
    if (*ret_skip)
        return utf8_is_valid(key.bytes);
    if (ret_token->type == MSGPACK_TRUE && slice_eq(key.bytes, SLICE("_placeholder")))
        decoding->has_lookalike = true;
    if (level->has_any)
        buf_append_byte(decoding->json, ',');
    level->has_any = true;
    if (!level->is_map)
        return true;
    if (!append_text(decoding->json, key.bytes))
        return false;
    buf_append_byte(decoding->json, ':');
    return true;
}

static bool decode(struct decoding *decoding)
{
    struct msgpack_token token;
    if (!msgpack_next(&decoding->rest, &token) || !append_value(decoding, &token))
        return false;
    while (decoding->depth > 0) {
        const struct level *level = &decoding->levels[decoding->depth - 1];
        bool skip;
        if (decoding->json->failed)
            return false;
        if (level->left == 0) {
            buf_append_byte(decoding->json, level->is_map ? '}' : ']');
            decoding->depth--;
        } else if (!begin_child(decoding, &token, &skip) ||
                   (!skip && !append_value(decoding, &token))) {
            return false;
        }
    }
    return !decoding->json->failed;
}

bool msgpack_to_json(cvn_slice *rest, unsigned max_depth, struct buf *json,
                     struct msgpack_blobs *blobs)
{
    struct decoding decoding; /* its levels need no values */
    size_t size = json->size;
    unsigned count = blobs->count;
    decoding.rest = *rest;
    decoding.json = json;
    decoding.blobs = blobs;
    decoding.depth = 0;
    decoding.has_lookalike = false;
    decoding.max_depth = max_depth < JSON_MAX_DEPTH ? max_depth : JSON_MAX_DEPTH;
    if (!decode(&decoding) || (decoding.has_lookalike && blobs->count > 0)) {
        json->size = size;
        blobs->count = count;
        return false;
    }
    *rest = decoding.rest;
    return true;
}
