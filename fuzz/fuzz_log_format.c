/* Entries of the log with any bytes in them: always one line, always in its bound, and the JSON is JSON. Fields are parted by newlines. */
#include <stdlib.h>
#include <jansson.h>
#include "observe/log_format.h"
#include "observe/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_FIELDS 12

static void check_line(const char *entry, size_t size)
{
    CHECK(size > 0 && size <= LOG_MAX_ENTRY && entry[size - 1] == '\n');
    CHECK(memchr(entry, '\n', size - 1) == NULL && text_is_utf8(entry, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    struct log_field fields[MAX_FIELDS + 1];
    char *text = malloc(size + 1), entry[LOG_MAX_ENTRY];
    size_t count = 0;
    CHECK(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    char *rest = text, *message = strsep(&rest, "\n");
    for (char *field; count < MAX_FIELDS && (field = strsep(&rest, "\n")) != NULL; count++)
        fields[count] = field[0] == '#' ? LOG_NUMBER(names[count], strlen(field))
                                        : LOG_TEXT(names[count], field);
    fields[count] = LOG_END;
    size_t used = log_format_json(entry, (int64_t)size * 1000003, LOG_INFO, message, fields);
    check_line(entry, used);
    json_t *json = json_loadb(entry, used, JSON_REJECT_DUPLICATES, NULL);
    CHECK(json_is_object(json));
    json_decref(json);
    used = log_format_pretty(entry, (int64_t)size, LOG_ERROR, message, fields, size % 2 != 0);
    check_line(entry, used);
    free(text);
    return 0;
}
