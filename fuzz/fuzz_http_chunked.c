/*
 * The chunked coding against a model that reads the whole body by its grammar, and against itself: at once, byte by byte and in
 * pieces, each in memory that ends with it, the same body comes out, the same bytes are used, and the verdict is the same. The
 * first byte seeds the pieces; times 32 it is how many letters a byte 1 stands for, so that a small input reaches the limits.
 */
#include <stdlib.h>
#include "http/http_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_TEXT     ((size_t)20000)
#define MAX_OVERHEAD 4096 /* of extensions and trailers together */

struct outcome {
    enum http_decode result;
    size_t used; /* of a body that is whole */
    size_t size; /* of the body so far; a refusal may leave less */
    char body[MAX_TEXT];
};

/* --- The model: RFC 9112 section 7.1 --- */

struct model {
    const char *at, *end;
    size_t overhead;
    struct outcome *out;
};

/* A step went well, or the text ended in it, or was wrong: the latter two end the body. */
static bool stop(struct model *model, enum http_decode result)
{
    model->out->result = result;
    return false;
}

static bool take(struct model *model, char byte)
{
    if (model->at == model->end)
        return stop(model, HTTP_NEED_MORE);
    return *model->at++ == byte || stop(model, HTTP_REFUSED);
}

static bool is_tchar(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Text up to a CR, which is taken too; it costs a byte of overhead each, but for the CR. */
static bool take_text(struct model *model)
{
    for (; model->at < model->end && *model->at != '\r'; model->at++) {
        unsigned char c = (unsigned char)*model->at;
        if ((c < ' ' && c != '\t') || c == 0x7f || ++model->overhead > MAX_OVERHEAD)
            return stop(model, HTTP_REFUSED);
    }
    return take(model, '\r');
}

static bool take_size(struct model *model, uint64_t *ret_size)
{
    unsigned digits = 0;
    for (*ret_size = 0; model->at < model->end; digits++, model->at++) {
        static const char letters[] = "0123456789abcdef0123456789ABCDEF";
        const char *found = *model->at != '\0' ? strchr(letters, *model->at) : NULL;
        if (found == NULL)
            break;
        if (digits == 8)
            return stop(model, HTTP_REFUSED);
        *ret_size = *ret_size << 4 | (uint64_t)((found - letters) % 16);
    }
    if (model->at == model->end)
        return stop(model, HTTP_NEED_MORE);
    if (digits == 0)
        return stop(model, HTTP_REFUSED);
    bool well = *model->at == ';' ? take_text(model) : take(model, '\r');
    return well && take(model, '\n');
}

static bool take_trailers(struct model *model)
{
    while (model->at < model->end && *model->at != '\r') {
        const char *name = model->at;
        for (; model->at < model->end && is_tchar(*model->at); model->at++)
            if (++model->overhead > MAX_OVERHEAD)
                return stop(model, HTTP_REFUSED);
        if (model->at < model->end && (model->at == name || ++model->overhead > MAX_OVERHEAD))
            return stop(model, HTTP_REFUSED);
        if (!take(model, ':') || !take_text(model) || !take(model, '\n'))
            return false;
    }
    return take(model, '\r') && take(model, '\n');
}

static void model_run(cvn_slice text, struct outcome *ret)
{
    struct model model = {text.data, text.data + text.size, 0, ret};
    uint64_t chunk;
    ret->size = 0;
    while (take_size(&model, &chunk)) {
        if (chunk == 0) {
            if (take_trailers(&model)) {
                ret->result = HTTP_COMPLETE;
                ret->used = (size_t)(model.at - text.data);
            }
            return;
        }
        size_t left = (size_t)(model.end - model.at);
        size_t count = chunk < left ? (size_t)chunk : left;
        memcpy(ret->body + ret->size, model.at, count);
        ret->size += count;
        model.at += count;
        if (!take(&model, '\r') || !take(&model, '\n'))
            return;
    }
}

/* --- The decoder, in pieces --- */

/* `seed` 0: all at once; 1: byte by byte. */
static size_t next_piece(uint32_t *seed, size_t left)
{
    if (*seed == 0)
        return left;
    size_t piece = 1;
    if (*seed != 1) {
        *seed = (*seed * 1103515245 + 12345) | 2;
        piece += (*seed >> 16) % 40;
    }
    return piece < left ? piece : left;
}

static void run(cvn_slice text, uint32_t seed, struct outcome *ret)
{
    struct http_chunked decoder = {0};
    size_t done = 0;
    ret->result = HTTP_NEED_MORE;
    ret->size = 0;
    while (done < text.size && ret->result == HTTP_NEED_MORE) {
        size_t piece = next_piece(&seed, text.size - done);
        size_t body = SIZE_MAX, used = SIZE_MAX;
        char *copy = malloc(piece);
        CHECK(copy != NULL);
        memcpy(copy, text.data + done, piece);
        ret->result = http_chunked_decode(&decoder, copy, piece, &body, &used);
        if (ret->result == HTTP_REFUSED) {
            CHECK(body == SIZE_MAX && used == SIZE_MAX);
        } else {
            CHECK(used <= piece && body <= used);
            CHECK(ret->result == HTTP_COMPLETE || used == piece);
            memcpy(ret->body + ret->size, copy, body);
            ret->size += body;
            done += used;
        }
        free(copy);
    }
    ret->used = done;
}

static void check_run(cvn_slice text, uint32_t seed, const struct outcome *expected)
{
    static struct outcome outcome;
    run(text, seed, &outcome);
    CHECK(outcome.result == expected->result);
    if (outcome.result == HTTP_COMPLETE)
        CHECK(outcome.used == expected->used);
    if (outcome.result != HTTP_REFUSED)
        CHECK(outcome.size == expected->size);
    CHECK(outcome.size <= expected->size);
    CHECK(memcmp(outcome.body, expected->body, outcome.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome expected;
    static char text[MAX_TEXT];
    size_t length = 0;
    if (size < 1)
        return 0;
    for (size_t i = 1; i < size; i++) {
        size_t count = data[i] == 1 ? data[0] * (size_t)32 : 1;
        if (count > MAX_TEXT - length)
            return 0;
        memset(text + length, data[i] == 1 ? 'a' : data[i], count);
        length += count;
    }
    cvn_slice input = slice_of(text, length);
    model_run(input, &expected);
    for (uint32_t seed = 0; seed < 4; seed++)
        check_run(input, seed < 2 ? seed : seed + data[0], &expected);
    return 0;
}
