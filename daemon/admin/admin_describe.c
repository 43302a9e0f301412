/*
 * A socket as the protocol shows it: {id, clientId, transport, nsp, data, handshake, rooms}. What would let its reader pose as the client (cookies,
 * tokens) is replaced by a word. Runs on the socket's worker.
 */
#include "access/access_proxies.h"
#include "admin/admin_internal.h"
#include <stdlib.h>
#include <time.h>

#define HIDDEN       "\"[hidden]\""
#define MAX_DATA     4096 /* bytes of a socket's attributes that are shown */
#define MAX_REPLACED 8

static const char *const secret_headers[] = {"authorization", "cookie", "proxy-authorization",
                                             "x-api-key", "x-auth-token"};
static const char *const secret_queries[] = {"access_token", "token", "api_key", "jwt"};
static const char *const brief_headers[] = {"host", "origin", "user-agent"};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

void admin_append_time(cvn_text *text, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char date[40];
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    cvn_text_printf(text, "\"%s.%03dZ\"", date, (int)(wall_ms % 1000));
}

static void append_string(cvn_text *text, const char *string)
{
    cvn_text_append_json_string(text, cvn_str(string));
}

static int by_place(const void *a, const void *b)
{
    const cvn_slice *one = a, *other = b;
    return (one->data > other->data) - (one->data < other->data);
}

/* Appends the object with the values of those keys hidden; returns how many it had. */
static size_t append_hiding(cvn_text *text, cvn_slice object, const char *const *keys, size_t count)
{
    cvn_slice values[MAX_REPLACED] = {{NULL, 0}};
    size_t found = 0;
    const char *at = object.data, *end = object.data + object.size;
    for (size_t i = 0; i < count && found < MAX_REPLACED; i++) {
        values[found] = cvn_json_get(object, keys[i]);
        found += values[found].size > 0;
    }
    qsort(values, found, sizeof *values, by_place);
    for (size_t i = 0; i < found; i++) {
        cvn_text_append_slice(text, (cvn_slice){at, (size_t)(values[i].data - at)});
        cvn_text_append(text, HIDDEN);
        at = values[i].data + values[i].size;
    }
    cvn_text_append_slice(text, (cvn_slice){at, (size_t)(end - at)});
    return found;
}

static void append_brief(cvn_text *text, cvn_slice headers)
{
    bool is_first = true;
    cvn_text_append(text, "{");
    for (size_t i = 0; i < COUNT_OF(brief_headers); i++) {
        cvn_slice value = cvn_json_get(headers, brief_headers[i]);
        if (value.size == 0)
            continue;
        cvn_text_printf(text, "%s\"%s\":", is_first ? "" : ",", brief_headers[i]);
        cvn_text_append_slice(text, value);
        is_first = false;
    }
    cvn_text_append(text, "}");
}

static void append_member(cvn_text *text, cvn_slice object, const char *name)
{
    cvn_text_printf(text, ",\"%s\":", name);
    cvn_text_append_slice(text, cvn_json_get(object, name));
}

/* The address, a JSON string, without its query when that has a secret. */
static void append_url(cvn_text *text, cvn_slice url, bool has_secret)
{
    const char *mark = has_secret ? memchr(url.data, '?', url.size) : NULL;
    cvn_text_append(text, ",\"url\":");
    cvn_text_append_slice(text, mark ? (cvn_slice){url.data, (size_t)(mark - url.data)} : url);
    cvn_text_append(text, mark ? "\"" : "");
}

static void append_handshake(cvn_text *text, const cvn_socket *socket, cvn_slice handshake,
                             bool is_brief)
{
    char address[ACCESS_ADDRESS_SIZE];
    cvn_slice headers = cvn_json_get(handshake, "headers");
    cvn_text_append(text, "{\"address\":");
    access_proxies_of_socket(socket, address); /* the client's, behind trusted proxies */
    append_string(text, address);
    cvn_text_append(text, ",\"headers\":");
    if (is_brief)
        append_brief(text, headers);
    else
        append_hiding(text, headers, secret_headers, COUNT_OF(secret_headers));
    cvn_text_append(text, ",\"query\":");
    size_t secrets = append_hiding(text, cvn_json_get(handshake, "query"), secret_queries,
                                   COUNT_OF(secret_queries));
    append_member(text, handshake, "issued");
    append_member(text, handshake, "secure");
    append_member(text, handshake, "time");
    append_url(text, cvn_json_get(handshake, "url"), secrets > 0);
    append_member(text, handshake, "xdomain");
    cvn_text_append(text, "}");
}

void admin_describe(cvn_text *text, cvn_text *scratch, const cvn_socket *socket, bool is_brief)
{
    cvn_slice data = cvn_socket_attributes(socket);
    const char *room;
    cvn_text_clear(scratch);
    cvn_socket_handshake_json(socket, scratch);
    cvn_text_append(text, "{\"id\":");
    append_string(text, cvn_socket_id(socket));
    cvn_text_printf(text, ",\"clientId\":\"%012llx\",\"transport\":\"%s\",\"nsp\":",
                    (unsigned long long)cvn_socket_connection(socket),
                    cvn_socket_transport(socket));
    append_string(text, cvn_namespace_name(cvn_socket_namespace(socket)));
    cvn_text_append(text, ",\"data\":");
    cvn_text_append_slice(text, data.size <= MAX_DATA ? data : cvn_str("{}"));
    cvn_text_append(text, ",\"handshake\":");
    append_handshake(text, socket, cvn_text_slice(scratch), is_brief);
    cvn_text_append(text, ",\"rooms\":[");
    for (size_t i = 0; (room = cvn_socket_room(socket, i)) != NULL; i++) {
        cvn_text_append(text, i > 0 ? "," : "");
        append_string(text, room);
    }
    cvn_text_append(text, "]}");
}
