/* What an entry of the log looks like. Pure: the time comes from the caller, and nothing is allocated. */
#ifndef OBSERVE_LOG_FORMAT_H
#define OBSERVE_LOG_FORMAT_H

#include "observe/log.h"

/*
 * Each writes one line with its newline into `ret` (LOG_MAX_ENTRY bytes; no NUL) and returns its size. Any bytes may stand in texts:
 * what is no UTF-8 becomes U+FFFD, what controls a terminal is escaped. A text is cut behind LOG_MAX_TEXT bytes, and a field that does
 * not fit is left out; either makes the entry say `truncated`.
 */
#define LOG_MAX_TEXT 1024
size_t log_format_json(char ret[LOG_MAX_ENTRY], int64_t now_ms, enum log_level level,
                       const char *message, const struct log_field *fields);
size_t log_format_pretty(char ret[LOG_MAX_ENTRY], int64_t now_ms, enum log_level level,
                         const char *message, const struct log_field *fields, bool colours);

#endif
