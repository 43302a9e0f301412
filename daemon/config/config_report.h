/* What was found while a configuration was read: lines of errors and warnings, each with its place, up to a bound. */
#ifndef CONFIG_CONFIG_REPORT_H
#define CONFIG_CONFIG_REPORT_H

#include <convene/types.h>

#define CONFIG_REPORT_LINES 100 /* further ones are counted only */
#define CONFIG_REPORT_WIDTH 640 /* bytes of a line; what is longer is cut */

struct config_report {
    char *lines[CONFIG_REPORT_LINES];
    bool is_error[CONFIG_REPORT_LINES];
    size_t count;
    size_t errors; /* all, those without a line, too */
    size_t left_out;
};

/* "PLACE: words"; no place: the words. What is no printable text in them (they quote what outsiders wrote) becomes "?". */
void config_report_error(struct config_report *report, const char *place, const char *format, ...)
    CVN_PRINTF(3, 4);
void config_report_warning(struct config_report *report, const char *place, const char *format, ...)
    CVN_PRINTF(3, 4);
void config_report_release(struct config_report *report);

#endif
