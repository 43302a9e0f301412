/* The process's one log sink. Set before threads start, read by all of them. */
#include "base/log.h"
#include <stdarg.h>
#include <stdio.h>

static void write_to_stderr(void *data, enum log_level level, const char *message)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    (void)data;
    fprintf(stderr, "convene: %s: %s\n", names[level], message);
}

static struct {
    log_fn fn;
    void *data;
    enum log_level level;
} sink = {write_to_stderr, NULL, LOG_WARN};

void log_set_sink(log_fn fn, void *data, enum log_level level)
{
    sink.fn = fn != NULL ? fn : write_to_stderr;
    sink.data = fn != NULL ? data : NULL;
    sink.level = fn != NULL ? level : LOG_WARN;
}

void log_write(enum log_level level, const char *format, ...)
{
    char message[1024];
    if (level < sink.level)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    sink.fn(sink.data, level, message);
}
