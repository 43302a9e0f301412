/*
 * Request heads against a model that reads them a character at a time: what is taken and what is not, and every part of what
 * is taken. And against themselves: whatever number of bytes has come, a head that is taken is asked more of until it is whole,
 * and what is refused stays refused. The first byte, times 128, is how many letters a byte 1 stands for, so that a small input
 * reaches the limits.
 */
#include <stdlib.h>
#include "http/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_TEXT   ((size_t)40000)
#define ALL_PIECES ((size_t)300) /* up to here every prefix is tried */

/* --- The model: RFC 9112 sections 2 to 6, a character at a time --- */

struct model {
    cvn_slice method, target, path, query, authority;
    unsigned minor;
    size_t fields;
    struct http_field field[HTTP_MAX_FIELDS];
    size_t used;
};

/* What is left of the text. */
struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *cursor, const char *text)
{
    size_t size = strlen(text);
    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, text, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

static cvn_slice take_while(struct cursor *cursor, bool (*is_good)(unsigned char))
{
    const char *start = cursor->at;
    while (cursor->at < cursor->end && is_good((unsigned char)*cursor->at))
        cursor->at++;
    return slice_of(start, (size_t)(cursor->at - start));
}

static bool is_tchar(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_target_char(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '#';
}

static bool is_value_char(unsigned char c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

static bool is_host_char(unsigned char c)
{
    return c > ' ' && c < 0x7f && strchr("/?#@,\\\"<>", c) == NULL;
}

static char small(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_word(cvn_slice text, const char *word) /* `word` in small letters */
{
    if (text.size != strlen(word))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (small(text.data[i]) != word[i])
            return false;
    return true;
}

static cvn_slice model_trim(cvn_slice text)
{
    size_t from = 0, to = text.size;
    while (from < to && (text.data[from] == ' ' || text.data[from] == '\t'))
        from++;
    while (to > from && (text.data[to - 1] == ' ' || text.data[to - 1] == '\t'))
        to--;
    return slice_of(text.data + from, to - from);
}

static bool model_lines(cvn_slice text, struct model *ret)
{
    struct cursor cursor = {text.data, text.data + text.size};
    take(&cursor, "\r\n");
    ret->method = take_while(&cursor, is_tchar);
    if (ret->method.size == 0 || !take(&cursor, " "))
        return false;
    ret->target = take_while(&cursor, is_target_char);
    if (ret->target.size == 0 || ret->target.size > HTTP_MAX_TARGET || !take(&cursor, " HTTP/1."))
        return false;
    ret->minor = take(&cursor, "0") ? 0 : 1;
    if ((ret->minor == 1 && !take(&cursor, "1")) || !take(&cursor, "\r\n"))
        return false;
    for (ret->fields = 0; !take(&cursor, "\r\n"); ret->fields++) {
        cvn_slice name = take_while(&cursor, is_tchar);
        if (name.size == 0 || !take(&cursor, ":") || ret->fields == HTTP_MAX_FIELDS)
            return false;
        cvn_slice value = take_while(&cursor, is_value_char);
        if (!take(&cursor, "\r\n"))
            return false;
        ret->field[ret->fields] = (struct http_field){name, model_trim(value)};
    }
    ret->used = (size_t)(cursor.at - text.data);
    return ret->used <= HTTP_MAX_HEAD;
}

static bool model_target(struct model *ret)
{
    struct cursor cursor = {ret->target.data, ret->target.data + ret->target.size};
    size_t colon = 0;
    ret->authority = (cvn_slice){NULL, 0};
    if (is_word(ret->target, "*")) {
        if (!slice_eq(ret->method, SLICE("OPTIONS")))
            return false;
    } else if (ret->target.data[0] != '/') {
        while (colon < ret->target.size && ret->target.data[colon] != ':')
            colon++;
        cvn_slice scheme = slice_of(ret->target.data, colon);
        cursor.at += colon;
        if ((!is_word(scheme, "http") && !is_word(scheme, "https")) || !take(&cursor, "://"))
            return false;
        const char *start = cursor.at;
        while (cursor.at < cursor.end && *cursor.at != '/' && *cursor.at != '?')
            cursor.at++;
        if (cursor.at == cursor.end || *cursor.at == '?')
            return false;
        ret->authority = slice_of(start, (size_t)(cursor.at - start));
    }
    const char *path = cursor.at;
    while (cursor.at < cursor.end && *cursor.at != '?')
        cursor.at++;
    ret->path = slice_of(path, (size_t)(cursor.at - path));
    bool asks = take(&cursor, "?");
    ret->query = slice_of(cursor.at, asks ? (size_t)(cursor.end - cursor.at) : 0);
    return true;
}

static size_t model_count(const struct model *model, const char *name, cvn_slice *ret_value)
{
    size_t count = 0;
    *ret_value = (cvn_slice){NULL, 0};
    for (size_t i = 0; i < model->fields; i++) {
        if (is_word(model->field[i].name, name)) {
            *ret_value = model->field[i].value;
            count++;
        }
    }
    return count;
}

/* *ret_host: what the request is for; the target's authority is as good as a Host where none must come. */
static bool model_host(const struct model *model, cvn_slice *ret_host)
{
    size_t hosts = model_count(model, "host", ret_host);
    if (hosts == 0)
        *ret_host = model->authority;
    if (hosts > 1 || (hosts == 0 && model->minor == 1))
        return false;
    if (hosts == 0 && model->authority.data == NULL)
        return true;
    struct cursor cursor = {ret_host->data, ret_host->data + ret_host->size};
    if (ret_host->size == 0 || take_while(&cursor, is_host_char).size != ret_host->size)
        return false;
    if (model->authority.data == NULL)
        return true;
    if (model->authority.size != ret_host->size)
        return false;
    for (size_t i = 0; i < ret_host->size; i++)
        if (small(ret_host->data[i]) != small(model->authority.data[i]))
            return false;
    return true;
}

static bool model_framing(const struct model *model)
{
    cvn_slice coding, length, expect;
    size_t codings = model_count(model, "transfer-encoding", &coding);
    size_t lengths = model_count(model, "content-length", &length);
    size_t expects = model->minor == 0 ? 0 : model_count(model, "expect", &expect);
    if (codings + lengths > 1 || expects > 1 || (expects == 1 && !is_word(expect, "100-continue")))
        return false;
    if (codings == 1)
        return model->minor == 1 && is_word(coding, "chunked");
    for (size_t i = 0; i < length.size; i++)
        if (length.data[i] < '0' || length.data[i] > '9')
            return false;
    return lengths == 0 || (length.size >= 1 && length.size <= 18);
}

/* --- What is taken is what the model reads --- */

static bool is_same_place(cvn_slice a, cvn_slice b)
{
    return a.data == b.data && a.size == b.size;
}

/* Whether a list in the fields called `name` has the word. */
static bool model_has(const struct model *model, const char *name, const char *word)
{
    for (size_t i = 0; i < model->fields; i++) {
        cvn_slice value = model->field[i].value;
        if (!is_word(model->field[i].name, name))
            continue;
        for (size_t from = 0, to = 0; from <= value.size; from = to + 1) {
            for (to = from; to < value.size && value.data[to] != ','; to++)
                continue;
            if (is_word(model_trim(slice_of(value.data + from, to - from)), word))
                return true;
        }
    }
    return false;
}

static void check_meaning(const struct http_head *head, const struct model *model)
{
    cvn_slice value;
    bool closes = model_has(model, "connection", "close");
    bool keeps = model_has(model, "connection", "keep-alive");
    CHECK(head->keep_alive == (!closes && (model->minor == 1 || keeps)));
    CHECK(head->wants_upgrade == (model->minor == 1 && model_has(model, "connection", "upgrade") &&
                                  model_count(model, "upgrade", &value) > 0));
    CHECK(head->expects_continue ==
          (model->minor == 1 && model_count(model, "expect", &value) > 0));
    CHECK(head->chunked == (model_count(model, "transfer-encoding", &value) > 0));
    CHECK(head->has_length == (model_count(model, "content-length", &value) > 0));
    CHECK(!head->chunked || !head->has_length);
    uint64_t length = 0;
    for (size_t i = 0; head->has_length && i < value.size; i++)
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    CHECK(head->content_length == length);
    CHECK(model_host(model, &value) && is_same_place(head->host, value));
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    static const enum http_method methods[] = {HTTP_GET,   HTTP_HEAD,   HTTP_POST,   HTTP_PUT,
                                               HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS};
    enum http_method method = HTTP_OTHER;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (slice_eq(model->method, cvn_str(names[i])))
            method = methods[i];
    CHECK(head->method == method);
}

static void check_query(cvn_slice query)
{
    cvn_slice rest = query, name, value;
    const char *behind = query.data;
    while (http_query_next(&rest, &name, &value)) {
        /* Pairs come in their order, apart, and inside. */
        CHECK(name.data >= behind && value.data >= name.data + name.size);
        CHECK(value.data + value.size <= query.data + query.size);
        CHECK(slice_find(name, '&') == name.size && slice_find(name, '=') == name.size);
        CHECK(slice_find(value, '&') == value.size);
        behind = value.data + value.size;
        cvn_slice first = http_query_get(query, name);
        CHECK(first.data != NULL && first.data <= value.data);
    }
}

static void check_taken(const struct http_head *head, const struct model *model)
{
    CHECK(is_same_place(head->method_name, model->method));
    CHECK(is_same_place(head->target, model->target));
    CHECK(is_same_place(head->path, model->path));
    CHECK(is_same_place(head->query, model->query));
    CHECK(head->minor_version == model->minor && head->field_count == model->fields);
    for (size_t i = 0; i < model->fields; i++) {
        CHECK(is_same_place(head->fields[i].name, model->field[i].name));
        CHECK(slice_eq(head->fields[i].value, model->field[i].value));
        CHECK(http_head_get(head, model->field[i].name).data != NULL);
    }
    check_meaning(head, model);
    check_query(head->query);
}

/* --- Pieces --- */

struct verdict {
    enum http_decode result;
    int status;
    size_t used;
};

/* The first `size` bytes, in memory that ends there; the model judges what is taken. */
static struct verdict decode(cvn_slice text, size_t size)
{
    static struct http_head head;
    static struct model model;
    cvn_slice host;
    struct verdict verdict = {.status = -1, .used = SIZE_MAX};
    char *copy = malloc(size > 0 ? size : 1);
    CHECK(copy != NULL);
    memcpy(copy, text.data, size);
    memset(&head, 0x55, sizeof head);
    verdict.result = http_head_decode(slice_of(copy, size), &head, &verdict.used, &verdict.status);
    bool good = model_lines(slice_of(copy, size), &model) && model_target(&model) &&
                model_host(&model, &host) && model_framing(&model);
    CHECK(good == (verdict.result == HTTP_COMPLETE));
    if (verdict.result == HTTP_COMPLETE) {
        CHECK(verdict.used == model.used && verdict.status == -1);
        check_taken(&head, &model);
    } else {
        CHECK(verdict.used == SIZE_MAX && head.field_count == (size_t)0x5555555555555555);
    }
    switch (verdict.status) {
    case 400:
    case 414:
    case 417:
    case 431:
    case 501:
    case 505:
        CHECK(verdict.result == HTTP_REFUSED);
        break;
    default:
        CHECK(verdict.status == -1 && verdict.result != HTTP_REFUSED);
    }
    free(copy);
    return verdict;
}

/* What `later`, which has more bytes, may be after `earlier`. */
static void check_order(struct verdict earlier, struct verdict later)
{
    if (earlier.result == HTTP_REFUSED)
        CHECK(later.result == HTTP_REFUSED);
    if (earlier.result == HTTP_COMPLETE)
        CHECK(later.result == HTTP_COMPLETE && later.used == earlier.used);
}

/* Nothing is waited for behind bytes that no head has. */
static void check_early(cvn_slice text, struct verdict verdict)
{
    if (verdict.result != HTTP_NEED_MORE)
        return;
    CHECK(text.size <= HTTP_MAX_HEAD);
    for (size_t i = 0; i < text.size; i++) {
        CHECK(text.data[i] != '\0');
        CHECK(text.data[i] != '\n' || (i > 0 && text.data[i - 1] == '\r'));
        CHECK(text.data[i] != '\r' || i + 1 == text.size || text.data[i + 1] == '\n');
    }
}

static void check_pieces(cvn_slice text)
{
    struct verdict whole = decode(text, text.size), before = {.result = HTTP_NEED_MORE};
    check_early(text, whole);
    for (size_t have = 0; have < text.size; have++) {
        /* Of a long one some, and those about the ends of lines. */
        if (text.size > ALL_PIECES && have % (text.size / 60) != 0 && text.data[have] != '\n' &&
            text.data[have - 1] != '\n')
            continue;
        struct verdict verdict = decode(text, have);
        check_early(slice_of(text.data, have), verdict);
        check_order(before, verdict);
        check_order(verdict, whole);
        if (whole.result == HTTP_COMPLETE && have < whole.used)
            CHECK(verdict.result == HTTP_NEED_MORE);
        before = verdict;
    }
    if (whole.result == HTTP_COMPLETE)
        CHECK(decode(text, whole.used).result == HTTP_COMPLETE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[MAX_TEXT];
    size_t length = 0;
    if (size < 1)
        return 0;
    for (size_t i = 1; i < size; i++) {
        size_t count = data[i] == 1 ? data[0] * (size_t)128 : 1;
        if (count > MAX_TEXT - length)
            return 0;
        memset(text + length, data[i] == 1 ? 'a' : data[i], count);
        length += count;
    }
    check_pieces(slice_of(text, length));
    return 0;
}
