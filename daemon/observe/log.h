/*
 * The log: one line an entry on standard error, a JSON object or, on a terminal, something nice to read. Any thread; an entry is one
 * write() of at most LOG_MAX_ENTRY bytes, which is what a pipe takes in one piece, so entries never mix. What makes an entry longer is
 * cut, and the entry says so.
 *
 *     log_entry(LOG_WARN, "a token was refused", LOG_TEXT("code", code), LOG_USER(principal->user_id), LOG_NUMBER("after_ms", 12), LOG_END);
 */
#ifndef OBSERVE_LOG_H
#define OBSERVE_LOG_H

#include "config/config.h"
#include <convene/convene.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

#define LOG_MAX_ENTRY 4096

struct log_field {
    const char *name; /* NULL ends the list */
    const char *text; /* of any bytes, escaped here; NULL is as good as empty */
    int64_t number;
    bool is_number; /* `number` counts */
};
#define LOG_TEXT(name, value)   ((struct log_field){(name), (value), 0, false})
#define LOG_NUMBER(name, value) ((struct log_field){(name), NULL, (int64_t)(value), true})
#define LOG_USER(user_id)       LOG_TEXT("user", user_id)
#define LOG_NSP(nsp)            LOG_TEXT("namespace", nsp)
#define LOG_EVENT(event)        LOG_TEXT("event", event)
#define LOG_CORRELATION(id)     LOG_TEXT("correlation_id", id)
#define LOG_END                 ((struct log_field){NULL, NULL, 0, false})

void log_configure(const struct config *config); /* level (again on reload) and format */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
bool log_is_on(enum log_level level);
/* "debug", "info", "warn" ("warning"), "error"; false for others. */
bool log_parse_level(cvn_slice name, enum log_level *ret);
const char *log_level_name(enum log_level level);
/* Entries that standard error would not take. */
uint64_t log_lost(void);
/* Fields that are empty texts are left out. */
#define log_entry(level, message, ...)                                                             \
    log_entry_write((level), (message), (const struct log_field[]){__VA_ARGS__})
void log_entry_write(enum log_level level, const char *message, const struct log_field *fields);
/* For cvn_options.log. */
void log_from_library(enum cvn_log_level level, const char *message, void *data);

/* A correlation id: X-Request-ID of the request when it is sane (up to 64 of [A-Za-z0-9._-]), else a new random one. */
#define CORRELATION_ID_SIZE 65
void correlation_id_take(cvn_slice request_id, char ret[CORRELATION_ID_SIZE]);

#endif
