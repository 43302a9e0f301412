/*
 * The head of a response (RFC 9112 section 4, RFC 9110 section 6.4): with a length or in chunks, so
 * that nobody guesses where it ends, but for HTTP/1.0, which knows no chunks. Pure, but for allocating.
 */
#include "http/http_response.h"
#include "http/http_conn.h"
#include <inttypes.h>
#include <stdio.h>

const char *http_reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {207, "Multi-Status"},
        {208, "Already Reported"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Payload Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Entity"},
        {423, "Locked"},
        {424, "Failed Dependency"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {508, "Loop Detected"},
        {511, "Network Authentication Required"},
    };
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Unknown";
}

static char *put(char *to, cvn_slice bytes)
{
    if (bytes.size > 0)
        memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

static cvn_slice connection_field(const struct http_response *response)
{
    if (!response->keep_alive)
        return SLICE("Connection: close\r\n");
    /* What HTTP/1.1 takes for granted 1.0 wants to be told. */
    return response->minor_version == 0 ? SLICE("Connection: keep-alive\r\n") : SLICE("");
}

struct message *http_response_encode(const struct http_response *response, size_t extra,
                                     char **ret_body)
{
    char status_line[64], length[48];
    int status_size = snprintf(status_line, sizeof status_line, "HTTP/1.1 %d %s\r\n",
                               response->status, http_reason_phrase(response->status));
    int length_size = 0;
    /* These have no body by definition (RFC 9110 section 6.4.1). */
    if (response->is_chunked)
        length_size = snprintf(length, sizeof length, "Transfer-Encoding: chunked\r\n");
    else if (response->status != 204 && response->status != 304 && !response->has_no_length)
        length_size =
            snprintf(length, sizeof length, "Content-Length: %" PRIu64 "\r\n", response->body_size);
    cvn_slice type_name = response->content_type.size > 0 ? SLICE("Content-Type: ") : SLICE("");
    cvn_slice type_end = response->content_type.size > 0 ? SLICE("\r\n") : SLICE("");
    const cvn_slice parts[] = {
        slice_of(status_line, (size_t)status_size),
        type_name,
        response->content_type,
        type_end,
        slice_of(length, (size_t)length_size),
        response->fields,
        connection_field(response),
        SLICE("\r\n"),
    };
    size_t size = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        size += parts[i].size;
    struct message *message = message_new(size + extra);
    if (message == NULL)
        return NULL;
    char *to = message->data;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        to = put(to, parts[i]);
    *ret_body = to;
    return message;
}
