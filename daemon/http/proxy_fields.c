/*
 * Which fields go on, which end here, and which are ours to write. Pure.
 *
 * Invariants: a field that an untrusted client sent never reaches the application under a name by which proxies vouch for something, in no
 * spelling that an application's framework may take for it ("X_Forwarded_For" and "X-Forwarded-For" are one variable in CGI). Framing
 * is libcurl's business. RFC 9110 sections 7.6.1 and 7.6.3, RFC 7239.
 */
#include "http/proxy_fields.h"
#include <stdio.h>
#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_name(cvn_slice name, const char *wanted)
{
    if (name.size != strlen(wanted))
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (lower(name.data[i]) != lower(wanted[i]))
            return false;
    return true;
}

/* The same, however its dashes are written. */
static bool is_like(cvn_slice name, const char *wanted)
{
    if (name.size != strlen(wanted))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i] == '_' ? '-' : lower(name.data[i]);
        if (c != wanted[i])
            return false;
    }
    return true;
}

static cvn_slice trim(cvn_slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* Cuts the next element of a list with commas; false at the end. */
static bool next_element(cvn_slice *rest, cvn_slice *ret)
{
    if (rest->size == 0)
        return false;
    const char *comma = memchr(rest->data, ',', rest->size);
    size_t size = comma != NULL ? (size_t)(comma - rest->data) : rest->size;
    *ret = trim((cvn_slice){rest->data, size});
    size_t used = comma != NULL ? size + 1 : size;
    rest->data += used;
    rest->size -= used;
    return true;
}

static bool is_slice_nocase(cvn_slice a, cvn_slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

static bool is_named(cvn_slice list, cvn_slice name)
{
    cvn_slice element;
    while (next_element(&list, &element))
        if (is_slice_nocase(element, name))
            return true;
    return false;
}

bool proxy_fields_is_hop(cvn_slice name, const struct proxy_field *fields, size_t count)
{
    static const char *const names[] = {
        "connection",          "keep-alive",        "proxy-connection", "te",     "trailer",
        "transfer-encoding",   "upgrade",           "content-length",   "expect", "http2-settings",
        "proxy-authorization", "proxy-authenticate"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_name(name, names[i]))
            return true;
    for (size_t i = 0; i < count; i++)
        if (is_name(fields[i].name, "connection") && is_named(fields[i].value, name))
            return !is_name(name, "host"); /* which is nobody's to take away */
    return false;
}

/* What proxies say of the client: written anew here, or believed. */
static bool is_about_the_client(cvn_slice name)
{
    static const char *const names[] = {
        "x-forwarded-for", "x-forwarded-proto",  "x-forwarded-host", "x-forwarded-port",
        "x-forwarded-by",  "x-forwarded-server", "x-forwarded-ssl",  "x-forwarded-scheme",
        "x-real-ip",       "forwarded"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_like(name, names[i]))
            return true;
    return false;
}

/* --- Values that are put together --- */

struct value {
    size_t size;
    bool is_too_long;
    char bytes[PROXY_MAX_VALUE];
};

static void add(struct value *value, cvn_slice text)
{
    if (text.size > sizeof value->bytes - value->size) {
        value->is_too_long = true;
        return;
    }
    if (text.size > 0)
        memcpy(value->bytes + value->size, text.data, text.size);
    value->size += text.size;
}

static void add_element(struct value *value, cvn_slice text)
{
    if (value->size > 0)
        add(value, cvn_str(", "));
    add(value, text);
}

/* All fields of that name, joined in their order. */
static void join(struct value *ret, const struct proxy_field *fields, size_t count,
                 const char *name)
{
    ret->size = 0;
    ret->is_too_long = false;
    for (size_t i = 0; i < count; i++)
        if (is_name(fields[i].name, name) && fields[i].value.size > 0)
            add_element(ret, fields[i].value);
}

static cvn_slice find(const struct proxy_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (is_name(fields[i].name, name))
            return fields[i].value;
    return (cvn_slice){NULL, 0};
}

struct output {
    proxy_put_fn put;
    void *data;
    struct value value;
};

static bool put_value(struct output *output, const char *name)
{
    return !output->value.is_too_long &&
           output->put(cvn_str(name), (cvn_slice){output->value.bytes, output->value.size},
                       output->data);
}

/* What the application learns of the client, in the customary fields. */
static bool put_forwarded(struct output *output, const struct proxy_field *fields, size_t count,
                          const struct proxy_hop *hop)
{
    const char *scheme = hop->is_secure ? "https" : "http";
    if (!hop->is_trusted)
        count = 0; /* nothing that it says of others counts */
    cvn_slice proto = find(fields, count, "x-forwarded-proto");
    cvn_slice host = find(fields, count, "x-forwarded-host");
    join(&output->value, fields, count, "x-forwarded-for");
    add_element(&output->value, cvn_str(hop->peer));
    if (!put_value(output, "X-Forwarded-For") ||
        !output->put(cvn_str("X-Forwarded-Proto"), proto.size > 0 ? proto : cvn_str(scheme),
                     output->data))
        return false;
    if (host.size == 0)
        host = hop->host;
    if (host.size > 0 && !output->put(cvn_str("X-Forwarded-Host"), host, output->data))
        return false;
    /* The standard's own field only goes on where somebody before us uses it. */
    join(&output->value, fields, count, "forwarded");
    if (output->value.size == 0)
        return true;
    bool is_v6 = strchr(hop->peer, ':') != NULL;
    add_element(&output->value, cvn_str(is_v6 ? "for=\"[" : "for="));
    add(&output->value, cvn_str(hop->peer));
    add(&output->value, cvn_str(is_v6 ? "]\";proto=" : ";proto="));
    add(&output->value, cvn_str(scheme));
    return put_value(output, "Forwarded");
}

static bool put_via(struct output *output, const struct proxy_field *fields, size_t count,
                    const struct proxy_hop *hop)
{
    join(&output->value, fields, count, "via");
    add_element(&output->value, cvn_str("1.1 "));
    add(&output->value, cvn_str(hop->via));
    return put_value(output, "Via");
}

static bool put_upgrade(struct output *output, const struct proxy_field *fields, size_t count)
{
    join(&output->value, fields, count, "upgrade");
    return output->put(cvn_str("Connection"), cvn_str("Upgrade"), output->data) &&
           put_value(output, "Upgrade");
}

bool proxy_fields_forward(const struct proxy_field *fields, size_t count,
                          const struct proxy_hop *hop, proxy_put_fn put, void *data)
{
    struct output output = {.put = put, .data = data};
    for (size_t i = 0; i < count; i++) {
        cvn_slice name = fields[i].name;
        /* A trusted proxy writes its fields with dashes; what has none it may have let pass. */
        bool is_believed = hop->is_trusted && memchr(name.data, '_', name.size) == NULL &&
                           !is_name(name, "x-forwarded-for") &&
                           !is_name(name, "x-forwarded-proto") &&
                           !is_name(name, "x-forwarded-host") && !is_name(name, "forwarded");
        if (proxy_fields_is_hop(name, fields, count) || is_name(name, "via") ||
            is_like(name, "x-request-id") || (is_about_the_client(name) && !is_believed))
            continue;
        if (!put(name, fields[i].value, data))
            return false;
    }
    if (hop->upgrades && !put_upgrade(&output, fields, count))
        return false;
    return put_forwarded(&output, fields, count, hop) && put_via(&output, fields, count, hop) &&
           put(cvn_str("X-Request-ID"), cvn_str(hop->request_id), data);
}

/* "h2c", "HTTP/2.0", "TLS/1.0" */
static bool is_http(cvn_slice protocol)
{
    static const char *const beginnings[] = {"h2", "h3", "http", "tls"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        size_t size = strlen(beginnings[i]);
        if (protocol.size >= size && is_name((cvn_slice){protocol.data, size}, beginnings[i]))
            return true;
    }
    return false;
}

bool proxy_fields_may_upgrade(const struct proxy_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cvn_slice rest = fields[i].value, protocol;
        if (!is_name(fields[i].name, "upgrade"))
            continue;
        while (next_element(&rest, &protocol))
            if (is_http(protocol))
                return false;
    }
    return true;
}

bool proxy_fields_is_loop(const struct proxy_field *fields, size_t count, const char *via)
{
    size_t size = strlen(via);
    for (size_t i = 0; i < count; i++) {
        cvn_slice rest = fields[i].value, element;
        if (!is_name(fields[i].name, "via"))
            continue;
        while (next_element(&rest, &element))
            if (element.size >= size && memcmp(element.data + element.size - size, via, size) == 0)
                return true;
    }
    return false;
}
