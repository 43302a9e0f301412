/*
 * Which offer of permessage-deflate is accepted, and the words of the answer. Pure; any thread. RFC 6455 section 9.1, RFC 7692 section 7.1.
 *
 * Whatever the client asks for, the answer forbids both sides to refer to earlier messages, as a server may: so a connection
 * needs no memory for them, and a broadcast is compressed once for all. What the client does with its own window
 * (client_max_window_bits) needs no answer then.
 */
#include "ws/ws_extension.h"
#include "base/deflater.h"

#define MAX_VALUE                                                                                  \
    8 /* characters of a parameter's value that are looked at: more than any that is valid */

/* What is left of a field. */
struct scan {
    const char *at, *end;
};

struct parameter {
    cvn_slice name;
    bool has_value;
    char value[MAX_VALUE]; /* without quotes */
    size_t value_size;     /* MAX_VALUE: longer than that */
};

/* An offer as far as it was read. */
struct offer {
    bool is_ours, is_wrong;
    bool has_server_takeover, has_client_takeover, has_client_bits;
    unsigned server_bits; /* 0: not mentioned */
};

static void skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t'))
        scan->at++;
}

/* Takes `c`, with blanks around it. */
static bool take(struct scan *scan, char c)
{
    skip_blanks(scan);
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    skip_blanks(scan);
    return true;
}

static bool is_token_char(char c)
{
    return http_head_is_token(slice_of(&c, 1));
}

static bool take_token(struct scan *scan, cvn_slice *ret)
{
    const char *start = scan->at;
    while (scan->at < scan->end && is_token_char(*scan->at))
        scan->at++;
    *ret = slice_of(start, (size_t)(scan->at - start));
    return ret->size > 0;
}

static void add_value(struct parameter *parameter, char c)
{
    if (parameter->value_size < MAX_VALUE)
        parameter->value[parameter->value_size++] = c;
}

/* Behind the first quote. What is quoted must be a token, too (RFC 6455 section 9.1). */
static bool take_quoted(struct scan *scan, struct parameter *ret)
{
    for (; scan->at < scan->end; scan->at++) {
        if (*scan->at == '"') {
            scan->at++;
            return ret->value_size > 0;
        }
        if (*scan->at == '\\' && ++scan->at == scan->end)
            return false;
        if (!is_token_char(*scan->at))
            return false;
        add_value(ret, *scan->at);
    }
    return false;
}

static bool take_value(struct scan *scan, struct parameter *ret)
{
    cvn_slice token;
    ret->has_value = true;
    if (scan->at < scan->end && *scan->at == '"') {
        scan->at++;
        return take_quoted(scan, ret);
    }
    if (!take_token(scan, &token))
        return false;
    for (size_t i = 0; i < token.size && i < MAX_VALUE; i++)
        add_value(ret, token.data[i]);
    return true;
}

/* 8 to 15, in its shortest form; 0 for anything else. */
static unsigned window_of(const struct parameter *parameter)
{
    const char *value = parameter->value;
    if (parameter->value_size == 1 && (value[0] == '8' || value[0] == '9'))
        return (unsigned)(value[0] - '0');
    if (parameter->value_size == 2 && value[0] == '1' && value[1] >= '0' && value[1] <= '5')
        return 10 + (unsigned)(value[1] - '0');
    return 0;
}

/* A parameter without value that comes once. */
static bool note_flag(bool *seen, const struct parameter *parameter)
{
    bool is_right = !*seen && !parameter->has_value;
    *seen = true;
    return is_right;
}

static bool note_server_bits(struct offer *offer, const struct parameter *parameter)
{
    bool is_first = offer->server_bits == 0;
    offer->server_bits = window_of(parameter);
    return is_first && offer->server_bits >= DEFLATER_MIN_WINDOW;
}

static bool note_client_bits(struct offer *offer, const struct parameter *parameter)
{
    bool is_first = !offer->has_client_bits;
    offer->has_client_bits = true;
    return is_first && (!parameter->has_value || window_of(parameter) != 0);
}

static bool note_parameter(struct offer *offer, const struct parameter *parameter)
{
    if (slice_eq(parameter->name, SLICE("server_no_context_takeover")))
        return note_flag(&offer->has_server_takeover, parameter);
    if (slice_eq(parameter->name, SLICE("client_no_context_takeover")))
        return note_flag(&offer->has_client_takeover, parameter);
    if (slice_eq(parameter->name, SLICE("server_max_window_bits")))
        return note_server_bits(offer, parameter);
    if (slice_eq(parameter->name, SLICE("client_max_window_bits")))
        return note_client_bits(offer, parameter);
    return false;
}

/* One extension with its parameters. False when the grammar is broken. */
static bool take_offer(struct scan *scan, struct offer *ret)
{
    cvn_slice name;
    *ret = (struct offer){0};
    if (!take_token(scan, &name))
        return false;
    ret->is_ours = slice_eq(name, SLICE("permessage-deflate"));
    while (take(scan, ';')) {
        struct parameter parameter = {.value_size = 0};
        if (!take_token(scan, &parameter.name))
            return false;
        if (take(scan, '=') && !take_value(scan, &parameter))
            return false;
        if (ret->is_ours && !note_parameter(ret, &parameter))
            ret->is_wrong = true;
    }
    return true;
}

/* A field's list. *found and *ret stay as they are once an offer was chosen. */
static bool read_field(cvn_slice value, bool *found, struct ws_extension *ret)
{
    struct scan scan = {value.data, value.data + value.size};
    skip_blanks(&scan);
    while (scan.at < scan.end) {
        struct offer offer;
        if (take(&scan, ',')) /* empty elements are allowed (RFC 9110 section 5.6.1) */
            continue;
        if (!take_offer(&scan, &offer))
            return false;
        if (!*found && offer.is_ours && !offer.is_wrong) {
            bool bounded = offer.server_bits != 0;
            *found = true;
            *ret = (struct ws_extension){
                .window_bits = bounded ? offer.server_bits : DEFLATER_MAX_WINDOW,
                .bounded = bounded,
            };
        }
        if (!take(&scan, ',') && scan.at < scan.end)
            return false;
    }
    return true;
}

bool ws_extension_choose(const struct http_head *head, struct ws_extension *ret)
{
    struct ws_extension chosen = {0};
    bool found = false;
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (slice_eq_nocase(field->name, SLICE("Sec-WebSocket-Extensions")) &&
            !read_field(field->value, &found, &chosen))
            return false;
    }
    if (found)
        *ret = chosen;
    return found;
}

bool ws_extension_answer(struct buf *buf, const struct ws_extension *agreed)
{
    buf_append(buf,
               SLICE("permessage-deflate; server_no_context_takeover; client_no_context_takeover"));
    if (agreed->bounded) {
        buf_append(buf, SLICE("; server_max_window_bits="));
        buf_append_u64(buf, agreed->window_bits);
    }
    return !buf->failed;
}
