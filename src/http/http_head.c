/*
 * The request head (RFC 9112 sections 2-6, RFC 9110 section 5): strict, pure, restarted from the
 * beginning with more bytes.
 *
 * Lines are judged in order as they are complete, so that what is already wrong need not be waited
 * for; what depends on several fields is judged at the end. Everything that two parsers could read
 * differently is refused. Invariant: more bytes never turn a refusal into anything else.
 */
#include "http/http_head.h"

/* " ", the target, " HTTP/1.1" and a CR. */
#define MAX_AFTER_METHOD (1 + HTTP_MAX_TARGET + 10)

enum {
    BAD_REQUEST = 400,
    URI_TOO_LONG = 414,
    EXPECTATION_FAILED = 417,
    FIELDS_TOO_LARGE = 431,
    NOT_IMPLEMENTED = 501,
    BAD_VERSION = 505
};

/* RFC 9110 section 5.6.2: letters, digits and !#$%&'*+-.^_`|~, a bit each. */
static bool is_token_char(unsigned char c)
{
    static const uint32_t set[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0};
    return set[c >> 5] >> (c & 31) & 1;
}

bool http_head_is_token(cvn_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_token_char((unsigned char)text.data[i]))
            return false;
    return text.size > 0;
}

/* Visible characters, spaces, tabs and obs-text: no control characters. */
bool http_head_is_field_value(cvn_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* --- The request line --- */

static enum http_method method_of(cvn_slice name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET},        {"POST", HTTP_POST},   {"HEAD", HTTP_HEAD},
                   {"PUT", HTTP_PUT},        {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE},
                   {"OPTIONS", HTTP_OPTIONS}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (slice_eq(name, cvn_str(methods[i].name)))
            return methods[i].method;
    return HTTP_OTHER;
}

/* Splits an absolute-form target (RFC 9112 section 3.2.2); false for other schemes and without a
 * path. */
static bool split_absolute(cvn_slice target, cvn_slice *ret_authority, cvn_slice *ret_path)
{
    size_t scheme = slice_find(target, ':');
    cvn_slice name = slice_of(target.data, scheme), rest = slice_from(target, scheme);
    if (!slice_starts_with(rest, SLICE("://")) ||
        (!slice_eq_nocase(name, SLICE("http")) && !slice_eq_nocase(name, SLICE("https"))))
        return false;
    rest = slice_from(rest, 3);
    size_t slash = slice_find(rest, '/');
    /* A '?' before the first slash: the path is empty, and the slash is the query's. */
    if (slash == rest.size || slice_find(slice_of(rest.data, slash), '?') < slash)
        return false;
    *ret_authority = slice_of(rest.data, slash);
    *ret_path = slice_from(rest, slash);
    return true;
}

/* The authority of an absolute-form target is left in head->host for judge_host. */
static int parse_target(cvn_slice target, struct http_head *head)
{
    if (target.size > HTTP_MAX_TARGET)
        return URI_TOO_LONG;
    for (size_t i = 0; i < target.size; i++) {
        unsigned char c = (unsigned char)target.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return BAD_REQUEST;
    }
    head->target = target;
    cvn_slice path = target;
    bool asterisk = slice_eq(target, SLICE("*")) && head->method == HTTP_OPTIONS;
    if (target.size == 0 ||
        (target.data[0] != '/' && !asterisk && !split_absolute(target, &head->host, &path)))
        return BAD_REQUEST;
    size_t mark = slice_find(path, '?');
    head->path = slice_of(path.data, mark);
    head->query =
        mark < path.size ? slice_from(path, mark + 1) : slice_of(path.data + path.size, 0);
    return 0;
}

static int parse_version(cvn_slice version, struct http_head *head)
{
    if (version.size != 8 || !slice_starts_with(version, SLICE("HTTP/")) ||
        version.data[6] != '.' || version.data[5] < '0' || version.data[5] > '9' ||
        version.data[7] < '0' || version.data[7] > '9')
        return BAD_REQUEST;
    if (version.data[5] != '1' || version.data[7] > '1')
        return BAD_VERSION;
    head->minor_version = (unsigned)(version.data[7] - '0');
    return 0;
}

static int parse_request_line(cvn_slice line, struct http_head *head)
{
    size_t first = slice_find(line, ' ');
    if (first == line.size)
        return BAD_REQUEST;
    head->method_name = slice_of(line.data, first);
    if (!http_head_is_token(head->method_name))
        return BAD_REQUEST;
    head->method = method_of(head->method_name);
    cvn_slice rest = slice_from(line, first + 1);
    size_t second = slice_find(rest, ' ');
    if (second == rest.size)
        return rest.size > HTTP_MAX_TARGET ? URI_TOO_LONG : BAD_REQUEST;
    int status = parse_target(slice_of(rest.data, second), head);
    return status != 0 ? status : parse_version(slice_from(rest, second + 1), head);
}

/* --- Fields --- */

static int parse_field(cvn_slice line, struct http_head *head)
{
    size_t colon = slice_find(line, ':');
    cvn_slice name = slice_of(line.data, colon);
    /* A line that begins with a blank (obs-fold) or has one before the colon fails here: neither is
     * a token. */
    if (colon == line.size || !http_head_is_token(name))
        return BAD_REQUEST;
    cvn_slice value = slice_trim(slice_from(line, colon + 1));
    if (!http_head_is_field_value(value))
        return BAD_REQUEST;
    if (head->field_count == HTTP_MAX_FIELDS)
        return FIELDS_TOO_LARGE;
    head->fields[head->field_count++] = (struct http_field){name, value};
    return 0;
}

/* Number of fields of that name; *ret_value is the last one's value. */
static size_t count_fields(const struct http_head *head, cvn_slice name, cvn_slice *ret_value)
{
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (slice_eq_nocase(head->fields[i].name, name)) {
            *ret_value = head->fields[i].value;
            count++;
        }
    }
    return count;
}

static bool is_host(cvn_slice host)
{
    for (size_t i = 0; i < host.size; i++) {
        unsigned char c = (unsigned char)host.data[i];
        if (c <= 0x20 || c >= 0x7f || strchr("/?#@,\\\"<>", c) != NULL)
            return false;
    }
    return host.size > 0;
}

/* What RFC 9112 section 6 makes of Transfer-Encoding and Content-Length; where it leaves a choice,
 * refused. */
static int judge_body(struct http_head *head)
{
    cvn_slice value = {NULL, 0};
    size_t codings = count_fields(head, SLICE("transfer-encoding"), &value);
    if (codings > 0) {
        if (head->minor_version == 0 || codings > 1)
            return BAD_REQUEST;
        if (!slice_eq_nocase(value, SLICE("chunked")))
            return slice_find(value, ',') < value.size ? BAD_REQUEST : NOT_IMPLEMENTED;
        head->chunked = true;
    }
    size_t lengths = count_fields(head, SLICE("content-length"), &value);
    if (lengths == 0)
        return 0;
    if (lengths > 1 || head->chunked || !slice_to_u64(value, &head->content_length))
        return BAD_REQUEST;
    head->has_length = true;
    return 0;
}

/* One host, in the Host field and in the target alike (RFC 9112 section 3.2). */
static int judge_host(struct http_head *head)
{
    cvn_slice authority = head->host;
    size_t hosts = count_fields(head, SLICE("host"), &head->host);
    bool is_absolute = authority.data != NULL;
    if (hosts > 1 || (hosts == 0 && head->minor_version == 1))
        return BAD_REQUEST;
    if ((hosts == 1 || is_absolute) && !is_host(head->host))
        return BAD_REQUEST;
    return is_absolute && !slice_eq_nocase(authority, head->host) ? BAD_REQUEST : 0;
}

static int judge_expectation(struct http_head *head)
{
    cvn_slice value = {NULL, 0};
    size_t count = count_fields(head, SLICE("expect"), &value);
    if (count == 0 ||
        head->minor_version == 0) /* 1.0 knows none: ignored by RFC 9110 section 10.1.1 */
        return 0;
    if (count > 1 || !slice_eq_nocase(value, SLICE("100-continue")))
        return EXPECTATION_FAILED;
    head->expects_continue = true;
    return 0;
}

static int judge(struct http_head *head)
{
    int status = judge_host(head);
    if (status == 0)
        status = judge_body(head);
    if (status == 0)
        status = judge_expectation(head);
    if (status != 0)
        return status;
    bool close = http_head_has_token(head, SLICE("connection"), SLICE("close"));
    bool keep = http_head_has_token(head, SLICE("connection"), SLICE("keep-alive"));
    head->keep_alive = !close && (head->minor_version == 1 || keep);
    head->wants_upgrade = head->minor_version == 1 &&
                          http_head_has_token(head, SLICE("connection"), SLICE("upgrade")) &&
                          http_head_get(head, SLICE("upgrade")).data != NULL;
    return 0;
}

/* --- Lines --- */

/* Cuts a line that ends in CR LF. HTTP_NEED_MORE: its end has not come; HTTP_REFUSED: a bare CR or
 * LF. */
static enum http_decode cut_line(cvn_slice *rest, cvn_slice *ret_line)
{
    size_t end = slice_find(*rest, '\n');
    cvn_slice line = slice_of(rest->data, end);
    size_t cr = slice_find(line, '\r');
    if (end == rest->size)
        /* A CR may only be the last byte so far. */
        return cr + 1 < line.size ? HTTP_REFUSED : HTTP_NEED_MORE;
    if (line.size == 0 || cr != line.size - 1)
        return HTTP_REFUSED;
    *ret_line = slice_of(line.data, cr);
    *rest = slice_from(*rest, end + 1);
    return HTTP_COMPLETE;
}

static enum http_decode refuse(int status, int *ret_status)
{
    *ret_status = status;
    return HTTP_REFUSED;
}

/* No end of line yet: is it already too long, or of bytes that no line has? */
static enum http_decode judge_partial(cvn_slice data, cvn_slice partial, bool request_line,
                                      int *ret_status)
{
    if (request_line) {
        size_t space = slice_find(partial, ' ');
        cvn_slice method = slice_of(partial.data, space);
        if (partial.size > 0 && !http_head_is_token(method))
            return refuse(BAD_REQUEST, ret_status);
        if (partial.size > space + MAX_AFTER_METHOD)
            return refuse(URI_TOO_LONG, ret_status);
    }
    for (size_t i = 0; i < partial.size; i++)
        if (partial.data[i] == '\0')
            return refuse(BAD_REQUEST, ret_status);
    return data.size > HTTP_MAX_HEAD ? refuse(FIELDS_TOO_LARGE, ret_status) : HTTP_NEED_MORE;
}

enum http_decode http_head_decode(cvn_slice data, struct http_head *ret, size_t *ret_used,
                                  int *ret_status)
{
    struct http_head head;
    cvn_slice rest = data, line;
    bool request_line = true;
    /* The large array of fields is left as it is: only field_count of them mean anything. */
    memset(&head, 0, offsetof(struct http_head, fields));
    /* One empty line may come first: RFC 9112 section 2.2 asks for that leniency. */
    if (slice_starts_with(rest, SLICE("\r\n")))
        rest = slice_from(rest, 2);
    else if (slice_eq(rest, SLICE("\r")))
        return HTTP_NEED_MORE;
    for (;;) {
        switch (cut_line(&rest, &line)) {
        case HTTP_REFUSED:
            return refuse(BAD_REQUEST, ret_status);
        case HTTP_NEED_MORE:
            return judge_partial(data, rest, request_line, ret_status);
        case HTTP_COMPLETE:
            break;
        }
        if ((size_t)(rest.data - data.data) > HTTP_MAX_HEAD)
            return refuse(FIELDS_TOO_LARGE, ret_status);
        if (!request_line && line.size == 0)
            break;
        int status = request_line ? parse_request_line(line, &head) : parse_field(line, &head);
        if (status != 0)
            return refuse(status, ret_status);
        request_line = false;
    }
    int status = judge(&head);
    if (status != 0)
        return refuse(status, ret_status);
    memcpy(ret, &head,
           offsetof(struct http_head, fields) + head.field_count * sizeof head.fields[0]);
    *ret_used = (size_t)(rest.data - data.data);
    return HTTP_COMPLETE;
}

/* --- Looking things up --- */

cvn_slice http_head_get(const struct http_head *head, cvn_slice name)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (slice_eq_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    return (cvn_slice){NULL, 0};
}

bool http_head_has_token(const struct http_head *head, cvn_slice name, cvn_slice token)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (!slice_eq_nocase(head->fields[i].name, name))
            continue;
        cvn_slice rest = head->fields[i].value;
        while (rest.size > 0) {
            size_t comma = slice_find(rest, ',');
            if (slice_eq_nocase(slice_trim(slice_of(rest.data, comma)), token))
                return true;
            rest = slice_from(rest, comma < rest.size ? comma + 1 : comma);
        }
    }
    return false;
}

bool http_query_next(cvn_slice *rest, cvn_slice *ret_name, cvn_slice *ret_value)
{
    while (rest->size > 0) {
        size_t end = slice_find(*rest, '&');
        cvn_slice pair = slice_of(rest->data, end);
        *rest = slice_from(*rest, end < rest->size ? end + 1 : end);
        if (pair.size == 0)
            continue;
        size_t equals = slice_find(pair, '=');
        *ret_name = slice_of(pair.data, equals);
        *ret_value = slice_from(pair, equals < pair.size ? equals + 1 : equals);
        return true;
    }
    return false;
}

cvn_slice http_query_get(cvn_slice query, cvn_slice name)
{
    cvn_slice found, value;
    while (http_query_next(&query, &found, &value))
        if (slice_eq(found, name))
            return value;
    return (cvn_slice){NULL, 0};
}
