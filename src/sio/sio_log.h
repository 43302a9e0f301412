/*
 * What a namespace has emitted on one worker of late, in the order in which its sockets there got it: from this a client that was
 * away is given what it missed. Worker's thread.
 *
 * Every emit is known by its position: its lane and its number there, see sio_op.h.
 *
 * Bounded: by age, always; by bytes over all logs of the worker, where the log that grows loses its oldest entries first.
 */
#ifndef SIO_LOG_H
#define SIO_LOG_H

#include "sio/sio_op.h"

struct sio_log_entry {
    struct sio_op *op; /* a reference; NULL for a volatile emit, which is not given again */
    struct sio_position position;
    uint64_t time_ms;
    size_t bytes;
};

struct sio_log {
    struct sio_local *local;
    struct sio_log_entry *entries; /* a ring */
    size_t capacity;               /* a power of two, or 0 */
    uint64_t first, end;           /* numbers of the oldest entry and of the next one */
    uint64_t lost_ms;              /* time of the newest one that went for want of room; 0: none */
    struct timer timer;            /* drops what is too old when nothing new comes */
    struct sio_lane_view {
        uint64_t seen; /* number of the last emit applied here */
        uint64_t gone; /* of the last one that the entries do not tell of (any more) */
    } lanes[];
};

/* NULL when memory has run out. */
struct sio_log *sio_log_new(struct sio_local *local, unsigned lanes);
/* NULL is accepted. */
void sio_log_free(struct sio_log *log);

/* An emit has been delivered to the sockets of this worker. */
void sio_log_append(struct sio_log *log, const struct sio_op *op);

/* Drops everything; the worker has stopped, or it is its thread. NULL is accepted. */
void sio_log_clear(struct sio_log *log);
/* Somebody has left: when nobody is there or may come back, a dynamic namespace's log is cleared, so that the namespace can go. The
 * caller holds a reference to it. */
void sio_log_settle(struct sio_local *local);

/* Entry number `number`, from log->first up to log->end. */
static inline const struct sio_log_entry *sio_log_at(const struct sio_log *log, uint64_t number)
{
    return &log->entries[number & (log->capacity - 1)];
}

#endif
