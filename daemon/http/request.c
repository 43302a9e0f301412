/*
 * A request of ours, from its wrapping to its answer. On its worker. What the library lends for the duration of its handler is copied when
 * the credentials have to be waited for; the copy is one block.
 */
#include "http/router_internal.h"
#include "observe/clock.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_ANSWER 1024 /* of a refusal */

static void copy_cut(char *ret, size_t size, cvn_slice text)
{
    size_t length = text.size < size ? text.size : size - 1;
    if (length > 0)
        memcpy(ret, text.data, length);
    ret[length] = '\0';
}

struct router_request *request_new(struct router *router, cvn_http_request *http)
{
    struct router_request *own = calloc(1, sizeof *own);
    if (own == NULL)
        return NULL;
    own->router = router;
    own->request.http = http;
    own->started_us = clock_steady_us();
    copy_cut(own->method, sizeof own->method, cvn_http_method(http));
    copy_cut(own->path, sizeof own->path, cvn_http_path(http));
    correlation_id_take(cvn_http_header(http, "x-request-id"), own->request.correlation_id);
    access_proxies_of_request(http, own->request.address);
    return own;
}

static struct router_request *own_of(const struct request *request)
{
    return (struct router_request *)request;
}

/* --- What was asked --- */

/* The parameter at `index` of the names "a,b,c"; an empty slice behind the last. */
static cvn_slice name_at(const char *names, size_t index)
{
    for (; names != NULL; index--) {
        const char *comma = strchr(names, ',');
        if (index == 0)
            return (cvn_slice){names, comma != NULL ? (size_t)(comma - names) : strlen(names)};
        names = comma != NULL ? comma + 1 : NULL;
    }
    return (cvn_slice){NULL, 0};
}

static cvn_slice raw_query(const struct router_request *own, const char *name)
{
    for (size_t i = 0; i < ROUTER_MAX_QUERY; i++) {
        cvn_slice known = name_at(own->route != NULL ? own->route->query : NULL, i);
        if (known.data == NULL)
            break;
        if (known.size == strlen(name) && memcmp(known.data, name, known.size) == 0)
            return own->copy != NULL ? own->copy->query[i]
                                     : cvn_http_query(own->request.http, name);
    }
    return (cvn_slice){NULL, 0};
}

bool request_has_query(const struct request *request, const char *name)
{
    return raw_query(own_of(request), name).data != NULL;
}

bool request_query(const struct request *request, const char *name, char *ret, size_t size)
{
    cvn_slice raw = raw_query(own_of(request), name);
    if (raw.data != NULL && route_decode(raw, true, ret, size))
        return true;
    ret[0] = '\0';
    return false;
}

static bool is_same_name(cvn_slice name, const char *expected)
{
    if (name.size != strlen(expected))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char a = name.data[i], b = expected[i];
        if ((a >= 'A' && a <= 'Z' ? a + 32 : a) != (b >= 'A' && b <= 'Z' ? b + 32 : b))
            return false;
    }
    return true;
}

cvn_slice request_field(const struct request *request, const char *name)
{
    const struct request_copy *copy = own_of(request)->copy;
    if (copy == NULL)
        return cvn_http_header(request->http, name);
    for (size_t i = 0; i < copy->field_count; i++)
        if (is_same_name(copy->fields[i].name, name))
            return copy->fields[i].value;
    return (cvn_slice){NULL, 0};
}

cvn_slice request_body(const struct request *request)
{
    const struct request_copy *copy = own_of(request)->copy;
    return copy != NULL ? copy->body : cvn_http_body(request->http);
}

json_t *request_json(struct request *request)
{
    json_error_t error;
    cvn_slice body = request_body(request);
    if (body.size == 0) {
        json_t *none = json_object();
        if (none == NULL)
            request_answer_json(request, 503, NULL);
        return none;
    }
    json_t *json = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(json))
        return json;
    json_decref(json);
    request_refuse(request, 400, "VALIDATION", "the body is not a JSON object", 0);
    return NULL;
}

static char *put(char *at, cvn_slice bytes, cvn_slice *ret)
{
    *ret = (cvn_slice){bytes.data != NULL ? at : NULL, bytes.size};
    if (bytes.data != NULL && bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

bool request_keep(struct router_request *own)
{
    cvn_http_request *http = own->request.http;
    struct request_copy *copy;
    cvn_slice name, value, query[ROUTER_MAX_QUERY];
    size_t cursor = 0, fields = 0, size = cvn_http_body(http).size;
    while (cvn_http_next_header(http, &cursor, &name, &value)) {
        fields++;
        size += name.size + value.size;
    }
    for (size_t i = 0; i < ROUTER_MAX_QUERY; i++) {
        char text[64];
        cvn_slice known = name_at(own->route->query, i);
        copy_cut(text, sizeof text, known);
        query[i] = known.data != NULL ? cvn_http_query(http, text) : (cvn_slice){NULL, 0};
        size += query[i].size;
    }
    copy = malloc(sizeof *copy + fields * sizeof *copy->fields + size + 1);
    if (copy == NULL)
        return false;
    copy->fields = (void *)(copy + 1);
    copy->field_count = 0;
    char *at = (char *)(copy->fields + fields);
    at = put(at, cvn_http_body(http), &copy->body);
    for (cursor = 0; cvn_http_next_header(http, &cursor, &name, &value); copy->field_count++) {
        at = put(at, name, &copy->fields[copy->field_count].name);
        at = put(at, value, &copy->fields[copy->field_count].value);
    }
    for (size_t i = 0; i < ROUTER_MAX_QUERY; i++)
        at = put(at, query[i], &copy->query[i]);
    own->copy = copy;
    return true;
}

/* --- Answers --- */

bool request_add_field(struct request *request, const char *name, const char *value)
{
    return cvn_http_add_header(request->http, name, cvn_str(value));
}

static void tell(const struct router_request *own, int status)
{
    const char *route = own->route != NULL ? own->route->path : "none";
    int64_t took_us = clock_steady_us() - own->started_us;
    char code[12];
    snprintf(code, sizeof code, "%d", status);
    metric_add(own->router->requests, 1, own->route != NULL ? own->route->method : "other", route,
               code);
    series_observe(metric_series(own->router->durations, route, NULL, NULL), (double)took_us / 1e6);
    if (log_is_on(LOG_DEBUG))
        log_entry(LOG_DEBUG, "a request was answered", LOG_CORRELATION(own->request.correlation_id),
                  LOG_USER(own->request.principal != NULL ? own->request.principal->user_id : NULL),
                  LOG_TEXT("method", own->method), LOG_TEXT("path", own->path),
                  LOG_NUMBER("status", status), LOG_NUMBER("duration_us", took_us),
                  LOG_TEXT("address", own->request.address), LOG_END);
}

void request_answer_text(struct request *request, int status, const char *content_type,
                         cvn_slice body)
{
    struct router_request *own = own_of(request);
    request_add_field(request, "X-Request-ID", request->correlation_id);
    request_add_field(request, "Cache-Control", "no-store");
    request_add_field(request, "X-Content-Type-Options", "nosniff");
    tell(own, status);
    cvn_http_respond(request->http, status, content_type, body);
    principal_unref(request->principal);
    free(own->copy);
    free(own);
}

void request_answer(struct request *request, int status, cvn_slice json)
{
    request_answer_text(request, status, "application/json", json);
}

void request_answer_json(struct request *request, int status, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL)
        request_refuse(request, 503, "UNAVAILABLE", "there is no memory for the answer", 1000);
    else
        request_answer(request, status, cvn_str(text));
    free(text);
}

void request_refuse(struct request *request, int status, const char *code, const char *message,
                    uint32_t retry_after_ms)
{
    char seconds[12];
    cvn_text *text = cvn_text_new(MAX_ANSWER);
    if (text == NULL) {
        request_answer_text(request, status, NULL, cvn_str(NULL));
        return;
    }
    cvn_text_printf(text, "{\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":", code);
    cvn_text_append_json_string(text, cvn_str(message));
    if (retry_after_ms > 0) {
        cvn_text_printf(text, ",\"retry_after_ms\":%u", retry_after_ms);
        snprintf(seconds, sizeof seconds, "%u",
                 retry_after_ms / 1000 + (retry_after_ms % 1000 > 0));
        request_add_field(request, "Retry-After", seconds);
    }
    cvn_text_append(text, "}}");
    if (cvn_text_failed(text))
        request_answer_text(request, status, NULL, cvn_str(NULL));
    else
        request_answer(request, status, cvn_text_slice(text));
    cvn_text_free(text);
}
