/*
 * Heads of an application's answers, line by line from memory that ends with each line. Whatever is whole has fields that can be written again:
 * names that are tokens, values without control characters, and none that belongs to the connection is forwarded.
 */
#include "http/proxy_answer.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_field(struct proxy_field field)
{
    CHECK(field.name.size > 0);
    for (size_t i = 0; i < field.name.size; i++)
        CHECK((unsigned char)field.name.data[i] > ' ' && field.name.data[i] != ':' &&
              (unsigned char)field.name.data[i] < 0x7f);
    for (size_t i = 0; i < field.value.size; i++)
        CHECK((unsigned char)field.value.data[i] >= ' ' || field.value.data[i] == '\t');
    if (field.value.size > 0)
        CHECK(field.value.data[0] != ' ' && field.value.data[field.value.size - 1] != ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct proxy_answer answer;
    struct proxy_field fields[PROXY_ANSWER_MAX_FIELDS];
    enum proxy_answer_state state = PROXY_ANSWER_EMPTY;
    memset(&answer, 0, sizeof answer);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t line = end != NULL ? (size_t)(end + 1 - data) : size;
        char *copy = malloc(line);
        CHECK(copy != NULL);
        memcpy(copy, data, line);
        enum proxy_answer_state before = state;
        state = proxy_answer_line(&answer, copy, line);
        free(copy);
        CHECK(state == answer.state);
        if (before == PROXY_ANSWER_WHOLE || before == PROXY_ANSWER_WRONG)
            CHECK(state == before);
        data += line;
        size -= line;
    }
    CHECK(answer.size <= PROXY_ANSWER_MAX_SIZE && answer.field_count <= PROXY_ANSWER_MAX_FIELDS);
    if (state != PROXY_ANSWER_WHOLE)
        return 0;
    CHECK(answer.status == 101 || (answer.status >= 200 && answer.status <= 999));
    CHECK(!answer.is_chunked || answer.length == PROXY_UNKNOWN_LENGTH);
    for (size_t i = 0; i < answer.field_count; i++)
        check_field(proxy_answer_field(&answer, i));
    size_t count = proxy_answer_forward(&answer, fields);
    CHECK(count <= answer.field_count);
    for (size_t i = 0; i < count; i++) {
        static const char *const never[] = {"Connection", "Transfer-Encoding", "Content-Length"};
        for (size_t k = 0; k < sizeof never / sizeof *never; k++)
            CHECK(fields[i].name.size != strlen(never[k]) ||
                  strncasecmp(fields[i].name.data, never[k], fields[i].name.size) != 0);
    }
    return 0;
}
