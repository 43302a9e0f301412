/*
 * The ring of recent emits. While its timer is armed it holds a reference to its namespace, so that a dynamic one, when it goes, has nothing in
 * any log that only the log's worker could drop. An emit that finds nobody who could miss it, or no memory, is only counted: then the log is as if it had been
 * dropped, which sessions notice by its time. Worker's thread.
 */
#include "sio/sio_log.h"
#include "sio/sio_recovery.h"
#include "base/mem.h"

static size_t cost_of(const struct sio_op *op)
{
    size_t bytes = sizeof *op + op->frames.text->size;
    for (size_t i = 0; i < op->frames.binary_count; i++)
        bytes += op->frames.binaries[i]->size;
    for (size_t i = 0; i < op->room_count; i++)
        bytes += sizeof *op->rooms + op->rooms[i].size;
    for (size_t i = 0; i < op->except_count; i++)
        bytes += sizeof *op->except + op->except[i].size;
    if (op->event != NULL) { /* kept beside the packet for listeners */
        bytes += op->args.json.size;
        for (size_t i = 0; i < op->args.attachment_count; i++)
            bytes += op->args.attachments[i].size;
    }
    return bytes;
}

static void drop_first(struct sio_log *log)
{
    struct sio_log_entry *entry = &log->entries[log->first & (log->capacity - 1)];
    log->local->worker->log_bytes -= entry->bytes;
    log->lanes[entry->position.lane].gone = entry->position.number;
    sio_op_unref(entry->op);
    log->first++;
}

/* What is older than any session that may still come back. */
static void drop_old(struct sio_log *log, uint64_t now_ms)
{
    uint64_t keep_ms = sio_recovery_log_ms(log->local->worker->server);
    while (log->first < log->end && sio_log_at(log, log->first)->time_ms + keep_ms < now_ms)
        drop_first(log);
}

static void on_timer(struct timer *timer)
{
    struct sio_log *log = CONTAINER_OF(timer, struct sio_log, timer);
    struct worker *worker = log->local->worker->worker;
    drop_old(log, worker_now_ms(worker));
    if (log->first < log->end)
        wheel_arm(&worker->wheel, timer, sio_recovery_log_ms(log->local->worker->server) + 1);
    else
        sio_namespace_unref(log->local->nsp); /* the log may go with it */
}

struct sio_log *sio_log_new(struct sio_local *local, unsigned lanes)
{
    struct sio_log *log = mem_zalloc(sizeof *log + lanes * sizeof log->lanes[0]);
    if (log == NULL)
        return NULL;
    log->local = local;
    log->timer.fire = on_timer;
    return log;
}

void sio_log_free(struct sio_log *log)
{
    if (log == NULL)
        return;
    if (timer_is_armed(&log->timer)) /* not that of a child, which may go on any thread */
        wheel_cancel(&log->local->worker->worker->wheel, &log->timer);
    while (log->first < log->end)
        drop_first(log);
    mem_free(log->entries);
    mem_free(log);
}

static bool make_room(struct sio_log *log)
{
    if (log->end - log->first < log->capacity)
        return true;
    size_t capacity = log->capacity != 0 ? log->capacity * 2 : 64;
    struct sio_log_entry *entries = mem_alloc(capacity * sizeof *entries);
    if (entries == NULL)
        return false;
    for (uint64_t i = log->first; i < log->end; i++)
        entries[i & (capacity - 1)] = *sio_log_at(log, i);
    mem_free(log->entries);
    log->entries = entries;
    log->capacity = capacity;
    return true;
}

static void append(struct sio_log *log, const struct sio_op *op, uint64_t now_ms)
{
    struct sio_worker *worker = log->local->worker;
    struct sio_log_entry entry = {.position = op->position, .time_ms = now_ms};
    size_t max = worker->server->options.recovery.max_bytes;
    entry.bytes = sizeof entry + (op->flags & CVN_VOLATILE ? 0 : cost_of(op));
    while (log->first < log->end && worker->log_bytes + entry.bytes > max) {
        log->lost_ms = sio_log_at(log, log->first)->time_ms;
        drop_first(log);
    }
    if (worker->log_bytes + entry.bytes > max || !make_room(log))
        goto lost;
    if (!(op->flags & CVN_VOLATILE) && (entry.op = sio_op_ref(op)) == NULL)
        goto lost;
    log->entries[log->end++ & (log->capacity - 1)] = entry;
    worker->log_bytes += entry.bytes;
    return;

lost:
    /* A hole would go unnoticed: everything before it goes too. */
    while (log->first < log->end)
        drop_first(log);
    log->lost_ms = now_ms;
    log->lanes[op->position.lane].gone = op->position.number;
}

void sio_log_append(struct sio_log *log, const struct sio_op *op)
{
    struct sio_local *local = log->local;
    struct worker *worker = local->worker->worker;
    uint64_t now_ms = worker_now_ms(worker);
    struct sio_lane_view *lane = &log->lanes[op->position.lane];
    lane->seen = op->position.number;
    drop_old(log, now_ms);
    if (local->member_count == 0 && local->parked_count == 0 && local->worker->claims == 0) {
        lane->gone = op->position.number;
        return;
    }
    append(log, op, now_ms);
    if (!timer_is_armed(&log->timer)) {
        sio_namespace_ref(local->nsp);
        wheel_arm(&worker->wheel, &log->timer, sio_recovery_log_ms(local->worker->server) + 1);
    }
}

void sio_log_clear(struct sio_log *log)
{
    if (log == NULL || !timer_is_armed(&log->timer))
        return;
    wheel_cancel(&log->local->worker->worker->wheel, &log->timer);
    while (log->first < log->end)
        drop_first(log);
    sio_namespace_unref(log->local->nsp); /* the log may go with it */
}

void sio_log_settle(struct sio_local *local)
{
    if (local->nsp->parent != NULL && local->member_count == 0 && local->parked_count == 0 &&
        local->worker->claims == 0)
        sio_log_clear(local->log);
}
