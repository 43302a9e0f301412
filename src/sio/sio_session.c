/*
 * Sessions that outlive their sockets. Why what is kept is enough: a client proves by its pong that it got what was sent before the ping, so
 * an emit older than one heartbeat when the connection was found dead has arrived, and younger ones stay in the log (or are known to be
 * lost, and then the client is not told that it was recovered). On the home's worker, but for the registry.
 */
#include "sio/sio_session.h"
#include "sio/sio_recovery.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/rand.h"

/* --- The registry --- */

static cvn_slice session_key(const void *value)
{
    const struct sio_session *session = value;
    return slice_of(session->pid, SIO_ID_SIZE);
}

void sio_registry_init(struct sio_registry *registry)
{
    pthread_mutex_init(&registry->lock, NULL);
    map_init(&registry->sessions, session_key);
}

void sio_registry_release(struct sio_registry *registry)
{
    map_release(&registry->sessions);
    pthread_mutex_destroy(&registry->lock);
}

struct sio_worker *sio_registry_home(struct sio_registry *registry, cvn_slice pid,
                                     const struct cvn_namespace *nsp)
{
    struct sio_worker *worker = NULL;
    pthread_mutex_lock(&registry->lock);
    const struct sio_session *session = map_get(&registry->sessions, pid);
    if (session != NULL && session->home->nsp == nsp)
        worker = session->home->worker;
    pthread_mutex_unlock(&registry->lock);
    return worker;
}

struct sio_session *sio_registry_find(struct sio_registry *registry, cvn_slice pid,
                                      const struct sio_local *local)
{
    pthread_mutex_lock(&registry->lock);
    struct sio_session *session = map_get(&registry->sessions, pid);
    if (session != NULL && session->home != local)
        session = NULL;
    pthread_mutex_unlock(&registry->lock);
    return session;
}

static struct sio_registry *registry_of(const struct sio_session *session)
{
    return &session->home->nsp->server->registry;
}

static bool enter_registry(struct sio_session *session)
{
    struct sio_registry *registry = registry_of(session);
    pthread_mutex_lock(&registry->lock);
    session->is_registered = map_put(&registry->sessions, session);
    pthread_mutex_unlock(&registry->lock);
    return session->is_registered;
}

static void leave_registry(struct sio_session *session)
{
    struct sio_registry *registry = registry_of(session);
    if (!session->is_registered)
        return;
    pthread_mutex_lock(&registry->lock);
    map_remove(&registry->sessions, session_key(session));
    pthread_mutex_unlock(&registry->lock);
    session->is_registered = false;
}

void sio_session_set_home(struct sio_session *session, struct sio_local *home)
{
    struct sio_registry *registry = registry_of(session);
    pthread_mutex_lock(&registry->lock);
    session->home = home;
    pthread_mutex_unlock(&registry->lock);
}

/* --- Life --- */

static struct wheel *wheel_of(const struct sio_session *session)
{
    return &session->home->worker->worker->wheel;
}

static void on_timer(struct timer *timer)
{
    struct sio_session *session = CONTAINER_OF(timer, struct sio_session, timer);
    if (session->socket != NULL) {
        sio_session_drop_prefix(session);
        return;
    }
    struct sio_local *local = session->home;
    struct cvn_namespace *nsp = sio_namespace_ref(local->nsp);
    sio_session_unpark(session);
    sio_session_free(session);
    sio_log_settle(local);
    sio_namespace_unref(nsp);
}

struct sio_session *sio_session_new(struct cvn_socket *socket)
{
    uint8_t bytes[15];
    struct sio_session *session = mem_zalloc(sizeof *session);
    if (session == NULL)
        return NULL;
    rand_bytes(bytes, sizeof bytes);
    base64url_encode15(bytes, session->pid);
    memcpy(session->sid, socket->id, SIO_ID_SIZE);
    session->home = socket->local;
    session->socket = socket;
    session->start = socket->local->log->end;
    session->timer.fire = on_timer;
    if (!enter_registry(session)) {
        mem_free(session);
        return NULL;
    }
    sio_namespace_ref(session->home->nsp);
    return session;
}

void sio_session_free(struct sio_session *session)
{
    if (session == NULL)
        return;
    struct cvn_namespace *nsp = session->home->nsp;
    leave_registry(session);
    if (timer_is_armed(&session->timer)) /* of a connected one; on its home */
        wheel_cancel(wheel_of(session), &session->timer);
    sio_session_drop_prefix(session);
    if (session->destroy_data != NULL && session->data != NULL)
        session->destroy_data(session->data);
    message_unref(session->attributes);
    mem_free(session->rooms);
    mem_free(session->seen);
    mem_free(session);
    sio_namespace_unref(nsp);
}

void sio_session_drop_prefix(struct sio_session *session)
{
    while (session->prefix_count > 0)
        sio_op_unref(session->prefix[--session->prefix_count]);
    mem_free(session->prefix);
    session->prefix = NULL;
}

bool sio_session_keep_rooms(struct sio_session *session)
{
    const struct cvn_socket *socket = session->socket;
    size_t size = socket->room_count * sizeof *session->rooms;
    for (uint32_t i = 0; i < socket->room_count; i++)
        size += socket->rooms[i].room->name_size + 1;
    struct sio_session_room *rooms = mem_alloc(size + 1);
    if (rooms == NULL)
        return false;
    char *to = (char *)(rooms + socket->room_count);
    for (uint32_t i = 0; i < socket->room_count; i++) {
        const struct sio_room *room = socket->rooms[i].room;
        memcpy(to, room->name, room->name_size + 1);
        rooms[i] = (struct sio_session_room){socket->rooms[i].since, slice_of(to, room->name_size)};
        to += room->name_size + 1;
    }
    mem_free(session->rooms);
    session->rooms = rooms;
    session->room_count = socket->room_count;
    return true;
}

void sio_session_park(struct sio_session *session)
{
    struct sio_local *local = session->home;
    struct sio_worker *worker = local->worker;
    const struct sio_server *server = worker->server;
    session->socket = NULL;
    session->parked_ms = worker_now_ms(worker->worker);
    wheel_arm(wheel_of(session), &session->timer, server->options.recovery.window_ms);
    list_append(&worker->parked, &session->link);
    local->parked_count++;
    if (++worker->parked_count <= server->options.recovery.max_sessions)
        return;
    struct sio_session *oldest = CONTAINER_OF(worker->parked.next, struct sio_session, link);
    sio_session_unpark(oldest);
    sio_session_free(oldest);
}

void sio_session_unpark(struct sio_session *session)
{
    wheel_cancel(wheel_of(session), &session->timer);
    list_remove(&session->link);
    session->home->parked_count--;
    session->home->worker->parked_count--;
}

/* --- What it missed --- */

/* Whether its events of a room, or of its own id, reach the session; `number` as in sio_session_room. */
static bool is_in(const struct sio_session *session, cvn_slice name, uint64_t number)
{
    if (slice_eq(name, slice_of(session->sid, SIO_ID_SIZE)))
        return true;
    for (size_t i = 0; i < session->room_count; i++)
        if (session->rooms[i].since <= number && slice_eq(session->rooms[i].name, name))
            return true;
    return false;
}

static bool is_for(const struct sio_session *session, const struct sio_op *op, uint64_t number)
{
    if (op->to_socket)
        return slice_eq(op->rooms[0], slice_of(session->sid, SIO_ID_SIZE));
    bool found = op->room_count == 0;
    for (size_t i = 0; i < op->room_count && !found; i++)
        found = is_in(session, op->rooms[i], number);
    for (size_t i = 0; i < op->except_count && found; i++)
        found = !is_in(session, op->except[i], number);
    return found;
}

bool sio_session_matches(const struct sio_session *session, const struct sio_op *op)
{
    return is_for(session, op, UINT64_MAX);
}

static bool is_at(struct sio_position a, const struct sio_position *b)
{
    return a.lane == b->lane && a.number == b->number;
}

/* An entry that the worker it came from has not dealt with. */
static bool is_news(const struct sio_session *session, const struct sio_log_entry *entry)
{
    unsigned workers = session->home->nsp->server->worker_count;
    if (session->seen == NULL)
        return true;
    return sio_lane_is_shared(entry->position.lane, workers) &&
           entry->position.number > session->seen[entry->position.lane];
}

static uint64_t first_of(const struct sio_session *session)
{
    const struct sio_log *log = session->home->log;
    return session->start > log->first ? session->start : log->first;
}

static bool seek_prefix(struct sio_session *session, const struct sio_position *last)
{
    size_t i = 0;
    while (i < session->prefix_count && !is_at(session->prefix[i]->position, last))
        i++;
    if (i == session->prefix_count)
        return false;
    for (size_t k = 0; k <= i; k++)
        sio_op_unref(session->prefix[k]);
    session->prefix_count -= i + 1;
    memmove(session->prefix, session->prefix + i + 1,
            session->prefix_count * sizeof *session->prefix);
    return true;
}

/* From the end: what a client missed is young. */
static bool seek_log(struct sio_session *session, const struct sio_position *last)
{
    const struct sio_log *log = session->home->log;
    for (uint64_t i = log->end; i > first_of(session); i--) {
        const struct sio_log_entry *entry = sio_log_at(log, i - 1);
        if (is_at(entry->position, last) && is_news(session, entry)) {
            sio_session_drop_prefix(session);
            session->start = i;
            return true;
        }
    }
    return false;
}

bool sio_session_seek(struct sio_session *session, const struct sio_position *last)
{
    const struct sio_log *log = session->home->log;
    uint64_t heartbeat_ms = session->home->nsp->server->options.recovery.heartbeat_ms;
    if (last != NULL && (seek_prefix(session, last) || seek_log(session, last)))
        return session->start >= log->first || log->lost_ms == 0 ||
               log->lost_ms + heartbeat_ms < session->parked_ms;
    if (session->start >= log->first || log->lost_ms == 0)
        return true;
    return log->lost_ms + heartbeat_ms < session->parked_ms;
}

/* Whether the log no longer has something that neither of the two workers has sent. */
static bool has_gap(const struct sio_session *session)
{
    const struct sio_log *log = session->home->log;
    unsigned workers = session->home->nsp->server->worker_count;
    for (unsigned i = 0; session->seen != NULL && sio_lane_is_shared(i, workers); i++)
        if (log->lanes[i].gone > session->seen[i])
            return true;
    return false;
}

bool sio_session_collect(struct sio_session *session)
{
    const struct sio_log *log = session->home->log;
    uint64_t first = first_of(session);
    if (has_gap(session))
        return false;
    size_t most = session->prefix_count + (size_t)(log->end - first);
    struct sio_op **all = mem_alloc((most + 1) * sizeof(struct sio_op *));
    if (all == NULL)
        return false;
    size_t count = session->prefix_count;
    if (count > 0)
        memcpy(all, session->prefix, count * sizeof(struct sio_op *));
    for (uint64_t i = first; i < log->end; i++) {
        const struct sio_log_entry *entry = sio_log_at(log, i);
        if (entry->op != NULL && is_news(session, entry) && is_for(session, entry->op, i))
            all[count++] = sio_op_ref(entry->op);
    }
    mem_free(session->prefix);
    session->prefix = all;
    session->prefix_count = count;
    session->start = log->end;
    mem_free(session->seen);
    session->seen = NULL;
    return true;
}

bool sio_session_leave_home(struct sio_session *session)
{
    const struct sio_log *log = session->home->log;
    unsigned workers = session->home->nsp->server->worker_count;
    session->seen = mem_alloc((workers + 1) * sizeof *session->seen);
    if (session->seen == NULL)
        return false;
    for (unsigned i = 0; sio_lane_is_shared(i, workers); i++)
        session->seen[i] = log->lanes[i].seen;
    session->start = 0;
    for (size_t i = 0; i < session->room_count; i++)
        session->rooms[i].since = 0;
    return true;
}
