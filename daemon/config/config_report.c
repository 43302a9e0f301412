/* Keeps lines of errors and warnings until somebody prints them. A line that memory has run out for still counts. Main thread. */
#include "config/config_report.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Nothing that a terminal obeys: control characters of ASCII, and of Latin-1 as UTF-8 writes them. */
static void make_printable(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f) {
            *at = '?';
        } else if (*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f) {
            *at++ = '?';
            *at = '?';
        }
    }
}

static void add(struct config_report *report, bool is_error, const char *place, const char *format,
                va_list args) CVN_PRINTF(4, 0);

static void add(struct config_report *report, bool is_error, const char *place, const char *format,
                va_list args)
{
    char line[CONFIG_REPORT_WIDTH];
    int head = place != NULL ? snprintf(line, sizeof line / 2, "%s: ", place) : 0;
    size_t used = head < 0                          ? 0
                  : (size_t)head >= sizeof line / 2 ? sizeof line / 2 - 1
                                                    : (size_t)head;
    vsnprintf(line + used, sizeof line - used, format, args);
    make_printable(line);
    if (is_error)
        report->errors++;
    char *copy = report->count < CONFIG_REPORT_LINES ? strdup(line) : NULL;
    if (copy == NULL) {
        report->left_out++;
        return;
    }
    report->is_error[report->count] = is_error;
    report->lines[report->count++] = copy;
}

void config_report_error(struct config_report *report, const char *place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(report, true, place, format, args);
    va_end(args);
}

void config_report_warning(struct config_report *report, const char *place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(report, false, place, format, args);
    va_end(args);
}

void config_report_release(struct config_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->lines[i]);
    *report = (struct config_report){0};
}
