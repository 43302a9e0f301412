/*
 * A request's fields on their way to the application. The first byte says who asks, the rest are "name:value" lines. However they are written:
 * the client's address is ours or stands behind what a trusted proxy said, nothing that an untrusted client says under a proxy's names comes
 * through, and each of the fields that we write is there once.
 */
#include "http/proxy_fields.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define PEER "192.0.2.7"

struct seen {
    const struct proxy_hop *hop;
    unsigned count, fors, protos, vias, ids, connections;
};

/* As a framework with CGI's variables would read it. */
static bool is_like(cvn_slice name, const char *wanted)
{
    if (name.size != strlen(wanted))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i] == '_' ? '-' : name.data[i];
        if (tolower((unsigned char)c) != tolower((unsigned char)wanted[i]))
            return false;
    }
    return true;
}

static bool ends_with(cvn_slice value, const char *end)
{
    size_t size = strlen(end);
    return value.size >= size && memcmp(value.data + value.size - size, end, size) == 0;
}

static bool put(cvn_slice name, cvn_slice value, void *data)
{
    struct seen *seen = data;
    seen->count++;
    if (is_like(name, "X-Forwarded-For")) {
        seen->fors++;
        CHECK(ends_with(value, PEER));
        CHECK(seen->hop->is_trusted || value.size == strlen(PEER));
    }
    if (is_like(name, "X-Forwarded-Proto")) {
        seen->protos++;
        CHECK(seen->hop->is_trusted || value.size == 4);
    }
    if (is_like(name, "Via")) {
        seen->vias++;
        CHECK(ends_with(value, "1.1 me"));
    }
    if (is_like(name, "X-Request-ID")) {
        seen->ids++;
        CHECK(value.size == 2);
    }
    if (is_like(name, "Connection")) {
        seen->connections++;
        CHECK(value.size == 7);
    }
    CHECK(!is_like(name, "Transfer-Encoding") || name.data[8] == '_');
    CHECK(!is_like(name, "Content-Length") || name.data[7] == '_');
    if (!seen->hop->is_trusted)
        CHECK(!is_like(name, "X-Real-IP") && !is_like(name, "Forwarded"));
    return seen->count < 200;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_field fields[PROXY_MAX_FIELDS];
    size_t count = 0;
    if (size < 1)
        return 0;
    struct proxy_hop hop = {.peer = PEER,
                            .is_trusted = data[0] & 1,
                            .upgrades = data[0] & 4,
                            .host = cvn_str("a"),
                            .request_id = "id",
                            .via = "me"};
    char *copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    for (size_t at = 0; at < size - 1 && count < PROXY_MAX_FIELDS;) {
        const char *line = copy + at, *end = memchr(line, '\n', size - 1 - at);
        size_t length = end != NULL ? (size_t)(end - line) : size - 1 - at;
        const char *colon = memchr(line, ':', length);
        if (colon != NULL && colon > line)
            fields[count++] =
                (struct proxy_field){.name = {line, (size_t)(colon - line)},
                                     .value = {colon + 1, length - (size_t)(colon + 1 - line)}};
        at += length + 1;
    }
    struct seen seen = {.hop = &hop};
    if (proxy_fields_forward(fields, count, &hop, put, &seen)) {
        CHECK(seen.fors == 1 && seen.vias == 1 && seen.ids == 1);
        CHECK(seen.protos == 1 || hop.is_trusted);
        CHECK(seen.connections == (hop.upgrades ? 1 : 0));
    }
    proxy_fields_is_loop(fields, count, "me");
    free(copy);
    return 0;
}
