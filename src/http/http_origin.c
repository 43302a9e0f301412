/*
 * Origins (RFC 6454) and CORS (the Fetch standard), decided by one list for every kind of request.
 * Pure but for writing answers. Invariant: whatever is not plainly an origin of the list or of this
 * host is refused.
 */
#include "http/http_origin.h"
#include <stdio.h>

#define METHODS "GET,HEAD,PUT,PATCH,POST,DELETE" /* what the reference answers */

/* The number of Origin fields, and the last one's value. */
static size_t count_origins(const struct http_head *head, cvn_slice *ret_value)
{
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (slice_eq_nocase(head->fields[i].name, SLICE("origin"))) {
            *ret_value = head->fields[i].value;
            count++;
        }
    }
    return count;
}

static bool is_clean(cvn_slice origin)
{
    for (size_t i = 0; i < origin.size; i++)
        if ((unsigned char)origin.data[i] <= 0x20 || (unsigned char)origin.data[i] >= 0x7f)
            return false;
    return origin.size > 0;
}

/* "https://a.example:8443" → "https", "a.example:8443"; false for "null" and the like. */
static bool split(cvn_slice origin, cvn_slice *ret_scheme, cvn_slice *ret_authority)
{
    size_t colon = slice_find(origin, ':');
    cvn_slice rest = slice_from(origin, colon);
    if (!slice_starts_with(rest, SLICE("://")))
        return false;
    *ret_scheme = slice_of(origin.data, colon);
    *ret_authority = slice_from(rest, 3);
    return true;
}

/* Without the port that the scheme implies. */
static cvn_slice without_port(cvn_slice authority, cvn_slice port)
{
    if (authority.size > port.size &&
        memcmp(authority.data + authority.size - port.size, port.data, port.size) == 0)
        authority.size -= port.size;
    return authority;
}

/* The Host field names no scheme, and a proxy may have ended TLS: the origin's scheme says which
 * port is the default. */
static bool is_same_origin(cvn_slice origin, cvn_slice host)
{
    cvn_slice scheme, authority;
    if (host.size == 0 || !split(origin, &scheme, &authority))
        return false;
    bool is_https = slice_eq_nocase(scheme, SLICE("https"));
    if (!is_https && !slice_eq_nocase(scheme, SLICE("http")))
        return false;
    cvn_slice port = is_https ? SLICE(":443") : SLICE(":80");
    return slice_eq_nocase(without_port(authority, port), without_port(host, port));
}

/* Labels of a host name with the dots between them. */
static bool is_labels(cvn_slice text)
{
    char before = '.';
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool is_label =
            (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '_';
        if (!is_label && (c != '.' || before == '.'))
            return false;
        before = c;
    }
    return before != '.';
}

/* "https://" "*.a.example" allows every subdomain of a.example, not a.example itself. */
static bool matches_wildcard(cvn_slice origin, cvn_slice pattern)
{
    size_t star = slice_find(pattern, '*');
    if (star >= pattern.size)
        return false;
    cvn_slice head = slice_of(pattern.data, star), tail = slice_from(pattern, star);
    if (!slice_ends_with(head, SLICE("://")) || head.size < 4 ||
        !slice_starts_with(tail, SLICE("*.")))
        return false;
    tail = slice_from(tail, 1);
    if (origin.size <= head.size + tail.size)
        return false;
    size_t labels = origin.size - head.size - tail.size;
    return slice_eq_nocase(slice_of(origin.data, head.size), head) &&
           slice_eq_nocase(slice_from(origin, origin.size - tail.size), tail) &&
           is_labels(slice_of(origin.data + head.size, labels));
}

static bool is_listed(const struct http_origin_policy *policy, cvn_slice origin)
{
    for (size_t i = 0; i < policy->allowed_count; i++) {
        cvn_slice entry = cvn_str(policy->allowed[i]);
        if (slice_eq(entry, SLICE("*")) || slice_eq_nocase(entry, origin) ||
            matches_wildcard(origin, entry))
            return true;
    }
    return false;
}

enum http_origin_verdict http_origin_check(const struct http_origin_policy *policy,
                                           const struct http_head *head)
{
    cvn_slice origin = {NULL, 0};
    size_t count = count_origins(head, &origin);
    if (count == 0)
        return HTTP_ORIGIN_NONE;
    if (count > 1 || !is_clean(origin))
        return HTTP_ORIGIN_INVALID;
    /* The list comes first: a listed origin gets its CORS fields even when it is also our own. */
    if (is_listed(policy, origin))
        return HTTP_ORIGIN_ALLOWED;
    return is_same_origin(origin, head->host) ? HTTP_ORIGIN_SAME : HTTP_ORIGIN_REFUSED;
}

static bool allows_any(const struct http_origin_policy *policy)
{
    for (size_t i = 0; i < policy->allowed_count; i++)
        if (slice_eq(cvn_str(policy->allowed[i]), SLICE("*")))
            return true;
    return false;
}

static bool add_allow_origin(const struct http_origin_policy *policy, struct http_request *request,
                             enum http_origin_verdict verdict)
{
    if (verdict != HTTP_ORIGIN_ALLOWED)
        return true;
    /* With credentials browsers do not take the star. */
    cvn_slice origin = allows_any(policy) && !policy->credentials
                           ? SLICE("*")
                           : http_head_get(request->head, SLICE("origin"));
    bool added = http_request_add_field(request, SLICE("Access-Control-Allow-Origin"), origin);
    if (policy->credentials)
        added = added && http_request_add_field(request, SLICE("Access-Control-Allow-Credentials"),
                                                SLICE("true"));
    if (policy->exposed.size > 0)
        added = added && http_request_add_field(request, SLICE("Access-Control-Expose-Headers"),
                                                policy->exposed);
    return added;
}

bool http_origin_add_fields(const struct http_origin_policy *policy, struct http_request *request,
                            enum http_origin_verdict verdict)
{
    /* An answer that depends on the origin says so to caches, even where it names none. */
    bool varies = policy->allowed_count > 0 && !(allows_any(policy) && !policy->credentials);
    return (!varies || http_request_add_field(request, SLICE("Vary"), SLICE("Origin"))) &&
           add_allow_origin(policy, request, verdict);
}

bool http_origin_is_preflight(const struct http_head *head)
{
    return head->method == HTTP_OPTIONS && http_head_get(head, SLICE("origin")).data != NULL &&
           http_head_get(head, SLICE("access-control-request-method")).data != NULL;
}

static void add_max_age(const struct http_origin_policy *policy, struct http_request *request)
{
    char text[16];
    if (policy->max_age_s == 0)
        return;
    int size = snprintf(text, sizeof text, "%u", policy->max_age_s);
    http_request_add_field(request, SLICE("Access-Control-Max-Age"), slice_of(text, (size_t)size));
}

void http_origin_preflight(const struct http_origin_policy *policy, struct http_request *request)
{
    enum http_origin_verdict verdict = http_origin_check(policy, request->head);
    add_allow_origin(policy, request, verdict);
    http_request_add_field(request, SLICE("Vary"), SLICE("Origin, Access-Control-Request-Headers"));
    if (verdict == HTTP_ORIGIN_ALLOWED || verdict == HTTP_ORIGIN_SAME) {
        cvn_slice methods = policy->methods.size > 0 ? policy->methods : SLICE(METHODS);
        cvn_slice headers = policy->headers;
        if (headers.size == 0)
            headers = http_head_get(request->head, SLICE("access-control-request-headers"));
        http_request_add_field(request, SLICE("Access-Control-Allow-Methods"), methods);
        if (headers.size > 0)
            http_request_add_field(request, SLICE("Access-Control-Allow-Headers"), headers);
        add_max_age(policy, request);
    }
    http_respond(request, 204, SLICE(""), SLICE(""));
}
