/*
 * Entries to standard error. Any thread: the level and the format are atomics, an entry is put together on the stack, and one write()
 * of at most PIPE_BUF bytes brings it out, which neither files opened for appending nor pipes tear apart. A reader that does not read
 * holds up whoever logs, unless standard error is non-blocking: then entries are lost, and counted.
 */
#include "observe/log_format.h"
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

_Static_assert(LOG_MAX_ENTRY <= PIPE_BUF, "an entry is one piece");

enum face { FACE_JSON, FACE_PLAIN, FACE_COLOURS };

static struct {
    _Atomic int level, face;
    _Atomic uint64_t lost;
} sink = {LOG_INFO, FACE_JSON, 0};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static enum face face_of(enum config_log_format format)
{
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    if (format == CONFIG_LOG_JSON || (format == CONFIG_LOG_AUTO && !is_terminal))
        return FACE_JSON;
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool wants_none = no_color != NULL && no_color[0] != '\0';
    bool can = term != NULL && strcmp(term, "dumb") != 0;
    return is_terminal && can && !wants_none ? FACE_COLOURS : FACE_PLAIN;
}

void log_configure(const struct config *config)
{
    atomic_store(&sink.face, (int)face_of(config->log.format));
    log_set_level((enum log_level)config->log.level);
}

void log_set_level(enum log_level level)
{
    atomic_store(&sink.level, (int)level);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&sink.level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_parse_level(cvn_slice name, enum log_level *ret)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (name.size == strlen(level_names[i]) &&
            memcmp(name.data, level_names[i], name.size) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    if (name.size != 7 || memcmp(name.data, "warning", 7) != 0)
        return false;
    *ret = LOG_WARN;
    return true;
}

uint64_t log_lost(void)
{
    return atomic_load_explicit(&sink.lost, memory_order_relaxed);
}

void log_entry_write(enum log_level level, const char *message, const struct log_field *fields)
{
    char entry[LOG_MAX_ENTRY];
    struct timespec now;
    if (!log_is_on(level))
        return;
    int saved = errno; /* those who log of an error may still want to look at it */
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    int face = atomic_load_explicit(&sink.face, memory_order_relaxed);
    size_t size = face == FACE_JSON ? log_format_json(entry, now_ms, level, message, fields)
                                    : log_format_pretty(entry, now_ms, level, message, fields,
                                                        face == FACE_COLOURS);
    ssize_t written;
    do
        written = write(STDERR_FILENO, entry, size);
    while (written < 0 && errno == EINTR);
    if (written != (ssize_t)size)
        atomic_fetch_add_explicit(&sink.lost, 1, memory_order_relaxed);
    errno = saved;
}

void log_from_library(enum cvn_log_level level, const char *message, void *data)
{
    (void)data;
    log_entry((enum log_level)level, message, LOG_TEXT("component", "socket.io"), LOG_END);
}

/* --- Correlation ids --- */

static bool is_sane(cvn_slice id)
{
    if (id.size == 0 || id.size >= CORRELATION_ID_SIZE)
        return false;
    for (size_t i = 0; i < id.size; i++) {
        char c = id.data[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* Eight random bytes; asked of the system in batches, a batch a thread. */
static uint64_t random_number(void)
{
    static _Thread_local uint64_t batch[32];
    static _Thread_local size_t left;
    if (left == 0) {
        if (getrandom(batch, sizeof batch, 0) != (ssize_t)sizeof batch) {
            /* Early boot at most. An id need not be secret, only not be another's. */
            struct timespec now;
            clock_gettime(CLOCK_MONOTONIC, &now);
            return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (uintptr_t)batch;
        }
        left = sizeof batch / sizeof *batch;
    }
    return batch[--left];
}

void correlation_id_take(cvn_slice request_id, char ret[CORRELATION_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    if (is_sane(request_id)) {
        memcpy(ret, request_id.data, request_id.size);
        ret[request_id.size] = '\0';
        return;
    }
    uint64_t number = random_number();
    for (int i = 0; i < 16; i++, number >>= 4)
        ret[i] = digits[number & 15];
    ret[16] = '\0';
}
