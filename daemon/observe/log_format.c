/*
 * The two faces of an entry: a JSON object (RFC 8259) with its time as RFC 3339 in UTC, and a line for people. Pure; on the thread that
 * logs. Invariant: whatever the texts hold, the result is one line of valid UTF-8, in the one case valid JSON.
 */
#include "observe/log_format.h"
#include "observe/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define TAIL_SIZE 24 /* room kept for the end of a line, whatever was cut */

struct line {
    char *bytes;
    size_t size, limit;
    bool full; /* something did not fit: all that follows is dropped until the size is set back */
};

static void put(struct line *line, const char *bytes, size_t size)
{
    if (line->full || size > line->limit - line->size) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void put_str(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Controls of C0 and C1 and DEL move cursors and colours; the marks of direction turn text around. */
static bool is_harmful(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* The text with everything harmful escaped as JSON has it. True when it was cut. */
static bool put_escaped(struct line *line, const char *text)
{
    const char *at = text, *end = text + strnlen(text, LOG_MAX_TEXT + 4);
    while (at < end) {
        uint32_t code = 0;
        char escape[8];
        size_t size = text_decode(at, (size_t)(end - at), &code);
        if (at - text + (ptrdiff_t)(size > 0 ? size : 1) > LOG_MAX_TEXT) {
            put_str(line, "...");
            return true;
        }
        if (size == 0) {
            put_str(line, "\xef\xbf\xbd");
            size = 1;
        } else if (code == '"' || code == '\\') {
            escape[0] = '\\';
            escape[1] = (char)code;
            put(line, escape, 2);
        } else if (is_harmful(code)) {
            put(line, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04" PRIx32, code));
        } else {
            put(line, at, size);
        }
        at += size;
    }
    return false;
}

static void put_time(struct line *line, int64_t now_ms)
{
    struct tm tm;
    char text[64];
    time_t seconds = (time_t)(now_ms / 1000);
    if (gmtime_r(&seconds, &tm) == NULL)
        memset(&tm, 0, sizeof tm);
    size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    size += (size_t)snprintf(text + size, sizeof text - size, ".%03dZ", (int)(now_ms % 1000));
    put(line, text, size);
}

static void put_number(struct line *line, int64_t number)
{
    char text[24];
    put(line, text, (size_t)snprintf(text, sizeof text, "%" PRId64, number));
}

/* Whether the field is there; empty texts are not. */
static bool has_value(const struct log_field *field)
{
    return field->is_number || (field->text != NULL && field->text[0] != '\0');
}

size_t log_format_json(char ret[LOG_MAX_ENTRY], int64_t now_ms, enum log_level level,
                       const char *message, const struct log_field *fields)
{
    struct line line = {.bytes = ret, .limit = LOG_MAX_ENTRY - TAIL_SIZE};
    bool is_cut;
    put_str(&line, "{\"time\":\"");
    put_time(&line, now_ms);
    put_str(&line, "\",\"level\":\"");
    put_str(&line, log_level_name(level));
    put_str(&line, "\",\"msg\":\"");
    size_t start = line.size;
    is_cut = put_escaped(&line, message);
    if (line.full) { /* nothing but escapes */
        line.size = start;
        line.full = false;
        is_cut = true;
    }
    put_str(&line, "\"");
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (!has_value(fields))
            continue;
        start = line.size;
        put_str(&line, ",\"");
        is_cut |= put_escaped(&line, fields->name);
        put_str(&line, "\":");
        if (fields->is_number) {
            put_number(&line, fields->number);
        } else {
            put_str(&line, "\"");
            is_cut |= put_escaped(&line, fields->text);
            put_str(&line, "\"");
        }
        if (line.full) {
            line.size = start;
            line.full = false;
            is_cut = true;
        }
    }
    line.limit = LOG_MAX_ENTRY;
    put_str(&line, is_cut ? ",\"truncated\":true}\n" : "}\n");
    return line.size;
}

size_t log_format_pretty(char ret[LOG_MAX_ENTRY], int64_t now_ms, enum log_level level,
                         const char *message, const struct log_field *fields, bool colours)
{
    static const char *const marks[] = {"\x1b[36mdebug", "\x1b[32minfo ", "\x1b[33mwarn ",
                                        "\x1b[31merror"};
    struct line line = {.bytes = ret, .limit = LOG_MAX_ENTRY - TAIL_SIZE};
    bool is_cut;
    put_str(&line, colours ? "\x1b[2m" : "");
    put_time(&line, now_ms);
    put_str(&line, colours ? "\x1b[0m " : " ");
    put_str(&line, marks[level] + (colours ? 0 : 5));
    put_str(&line, colours ? "\x1b[0m " : " ");
    size_t start = line.size;
    is_cut = put_escaped(&line, message);
    if (line.full) {
        line.size = start;
        line.full = false;
        is_cut = true;
    }
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (!has_value(fields))
            continue;
        start = line.size;
        put_str(&line, colours ? "  \x1b[2m" : "  ");
        is_cut |= put_escaped(&line, fields->name);
        put_str(&line, colours ? "=\x1b[0m" : "=");
        if (fields->is_number)
            put_number(&line, fields->number);
        else
            is_cut |= put_escaped(&line, fields->text);
        if (line.full) {
            line.size = start;
            line.full = false;
            is_cut = true;
        }
    }
    line.limit = LOG_MAX_ENTRY;
    put_str(&line, is_cut ? "  (truncated)\n" : "\n");
    return line.size;
}
