/*
 * Paths and query values of requests. What matches has as many values as the pattern has names; each is UTF-8 without control characters
 * and comes back when it is encoded and matched again. The first line is the pattern.
 */
#include <stdio.h>
#include <stdlib.h>
#include "http/cors.h"
#include "http/route_path.h"
#include "observe/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_value(const char *value)
{
    char path[4 + 3 * ROUTE_MAX_VALUE + 1] = "/";
    struct route_values again;
    size_t size = strlen(value);
    CHECK(size > 0 && size <= ROUTE_MAX_VALUE && text_is_utf8(value, size));
    for (size_t i = 0; i < size; i++) {
        CHECK((unsigned char)value[i] >= 0x20 && value[i] != 0x7f);
        snprintf(path + 1 + 3 * i, 4, "%%%02X", (unsigned char)value[i]);
    }
    CHECK(route_path_match("/:name", cvn_str(path), &again));
    CHECK(again.count == 1 && strcmp(again.bytes + again.starts[0], value) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t line = end != NULL ? (size_t)(end - data) : 0, names = 0;
    char pattern[128] = "/a/:one/b/:two", decoded[64];
    struct route_values values;
    if (end != NULL && line < sizeof pattern && data[0] == '/') {
        memcpy(pattern, data, line);
        pattern[line] = '\0';
        data += line + 1;
        size -= line + 1;
    }
    char *path = malloc(size + 1);
    CHECK(path != NULL);
    if (size > 0)
        memcpy(path, data, size);
    cvn_slice slice = {path, size};
    for (const char *at = pattern; (at = strstr(at, "/:")) != NULL; at++)
        names++;
    if (route_path_match(pattern, slice, &values)) {
        CHECK(values.count == names && names <= 4);
        for (size_t i = 0; i < values.count; i++)
            check_value(values.bytes + values.starts[i]);
    }
    if (route_decode(slice, true, decoded, sizeof decoded))
        CHECK(strlen(decoded) < sizeof decoded && text_is_utf8(decoded, strlen(decoded)));
    static const char *const origins[] = {"https://*.a.example", "https://b.example"};
    cors_check(origins, 2, slice, cvn_str("a"));
    cors_check(origins, 2, cvn_str("https://a"), slice);
    free(path);
    return 0;
}
