/* Where diagnostics go: one process-wide sink, set before threads start. Any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

typedef void (*log_fn)(void *data, enum log_level level, const char *message);

/* `fn` gets each message of `level` or above, without newline; NULL restores the default (standard
 * error, LOG_WARN). It is called on whichever thread logs. */
void log_set_sink(log_fn fn, void *data, enum log_level level);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
