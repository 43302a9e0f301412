/*
 * The way of a job: from any thread into a bounded queue, from there to the store's thread, and with its result back to the worker that asked.
 *
 * Answers to a worker go through its outbox: a list that belongs to the store, and at most one cvn_post at a time that says "there is mail".
 * A post that is never delivered, because the server stops, therefore loses nothing: the jobs stay in the outbox, and store_close calls their
 * `done` once the workers have ended. A post that fails for want of memory is repeated by the store's threads.
 *
 * Invariants: a job is in one place at a time (queue, batch, outbox, local list); `done` is called by whoever takes it out of the last one.
 */
#include "store/store_internal.h"
#include <stdlib.h>
#include <time.h>

#define REPOST_MS        20
#define DELIVERED_A_TURN 256

/* --- Lists --- */

void store_jobs_push(struct store_jobs *jobs, struct store_job *job)
{
    job->next = NULL;
    if (jobs->first == NULL)
        jobs->first = job;
    else
        jobs->last->next = job;
    jobs->last = job;
}

struct store_job *store_jobs_pop(struct store_jobs *jobs)
{
    struct store_job *job = jobs->first;
    if (job != NULL)
        jobs->first = job->next;
    return job;
}

static void finish(struct store_jobs *jobs)
{
    struct store_job *job;
    while ((job = store_jobs_pop(jobs)) != NULL) {
        job->done(job->result, job->data);
        free(job);
    }
}

/* --- Back: to whoever asked --- */

static void post(struct store_outbox *outbox);

/* On the worker: so many a turn, that its sockets have theirs, too. */
static void deliver(void *data)
{
    struct store_outbox *outbox = data;
    struct store_jobs jobs = {NULL, NULL};
    struct store_job *job;
    pthread_mutex_lock(&outbox->lock);
    outbox->is_posted = false;
    for (unsigned i = 0; i < DELIVERED_A_TURN && (job = store_jobs_pop(&outbox->jobs)) != NULL; i++)
        store_jobs_push(&jobs, job);
    pthread_mutex_unlock(&outbox->lock);
    post(outbox);
    finish(&jobs);
}

/* Any thread; nothing to do when there is no mail, or when it is on its way. */
static void post(struct store_outbox *outbox)
{
    struct store *store = outbox->store;
    bool has_failed = false;
    pthread_mutex_lock(&outbox->lock);
    if (outbox->jobs.first != NULL && !outbox->is_posted) {
        outbox->is_posted = cvn_post(store->server, outbox->worker, deliver, outbox) == CVN_OK;
        has_failed = !outbox->is_posted;
    }
    pthread_mutex_unlock(&outbox->lock);
    if (!has_failed)
        return;
    /* The writer tries again, when it has slept a little. */
    pthread_mutex_lock(&store->writes.lock);
    atomic_store(&store->has_unposted, true);
    pthread_cond_signal(&store->writes.changed);
    pthread_mutex_unlock(&store->writes.lock);
}

static void post_again(struct store *store)
{
    if (!atomic_exchange(&store->has_unposted, false))
        return;
    for (unsigned i = 0; i < store->worker_count; i++)
        post(&store->outboxes[i]);
}

void store_answer(struct store *store, struct store_jobs *jobs)
{
    struct store_jobs own = {NULL, NULL};
    struct store_job *job;
    bool has_mail[128] = {false}; /* cvn_options.workers is at most that */
    while ((job = store_jobs_pop(jobs)) != NULL) {
        atomic_fetch_add(&store->jobs_total, 1);
        if (job->result == STORE_BUSY || job->result == STORE_UNAVAILABLE)
            atomic_fetch_add(&store->failed_total, 1);
        atomic_fetch_sub(&store->waiting, 1);
        if (job->worker < 0) {
            store_jobs_push(&own, job);
            continue;
        }
        struct store_outbox *outbox = &store->outboxes[job->worker];
        has_mail[job->worker] = true;
        pthread_mutex_lock(&outbox->lock);
        store_jobs_push(&outbox->jobs, job);
        pthread_mutex_unlock(&outbox->lock);
    }
    for (unsigned i = 0; i < store->worker_count; i++)
        if (has_mail[i])
            post(&store->outboxes[i]);
    finish(&own);
}

void store_outbox_finish(struct store_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    struct store_jobs jobs = outbox->jobs;
    outbox->jobs = (struct store_jobs){NULL, NULL};
    pthread_mutex_unlock(&outbox->lock);
    finish(&jobs);
}

/* --- There: the queue --- */

bool store_queue_init(struct store_queue *queue)
{
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&queue->lock, NULL) != 0)
        return false;
    bool is_done = pthread_condattr_init(&attributes) == 0;
    if (is_done) {
        is_done = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                  pthread_cond_init(&queue->changed, &attributes) == 0;
        pthread_condattr_destroy(&attributes);
    }
    if (!is_done)
        pthread_mutex_destroy(&queue->lock);
    return is_done;
}

void store_queue_release(struct store_queue *queue)
{
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
}

bool store_queue_push(struct store_queue *queue, struct store_job *job)
{
    pthread_mutex_lock(&queue->lock);
    bool is_taken = !queue->closed && queue->count < STORE_MAX_WAITING;
    if (is_taken) {
        store_jobs_push(&queue->jobs, job);
        if (queue->count++ == 0)
            pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return is_taken;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Until then at most; UINT64_MAX: however long it takes. With the lock held, which it lets go of meanwhile. */
static void wait_for_change(struct store_queue *queue, uint64_t until_ms)
{
    if (until_ms == UINT64_MAX) {
        pthread_cond_wait(&queue->changed, &queue->lock);
        return;
    }
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
}

/* With the lock held. False: the time is over. */
static bool wait_for_jobs(struct store *store, struct store_queue *queue, uint32_t idle_ms)
{
    uint64_t deadline_ms = idle_ms > 0 ? now_ms() + idle_ms : UINT64_MAX;
    while (queue->count == 0 && !queue->stopping) {
        uint64_t until_ms = deadline_ms;
        if (deadline_ms != UINT64_MAX && now_ms() >= deadline_ms)
            return false;
        if (atomic_load(&store->has_unposted) && until_ms > now_ms() + REPOST_MS)
            until_ms = now_ms() + REPOST_MS;
        wait_for_change(queue, until_ms);
        pthread_mutex_unlock(&queue->lock);
        post_again(store);
        pthread_mutex_lock(&queue->lock);
    }
    return true;
}

bool store_queue_take(struct store *store, struct store_queue *queue, size_t most, uint32_t idle_ms,
                      struct store_jobs *ret)
{
    size_t taken = 0;
    *ret = (struct store_jobs){NULL, NULL};
    post_again(store);
    pthread_mutex_lock(&queue->lock);
    bool is_idle = !wait_for_jobs(store, queue, idle_ms);
    while (taken < most && queue->count > 0) {
        store_jobs_push(ret, store_jobs_pop(&queue->jobs));
        queue->count--;
        taken++;
    }
    if (taken == 0 && !is_idle)
        queue->closed = true;
    pthread_mutex_unlock(&queue->lock);
    return taken > 0 || is_idle;
}

void store_queue_stop(struct store_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

/* For jobs that came before a start that never was. */
void store_queue_abandon(struct store *store, struct store_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct store_jobs jobs = queue->jobs;
    queue->jobs = (struct store_jobs){NULL, NULL};
    queue->count = 0;
    queue->closed = true;
    pthread_mutex_unlock(&queue->lock);
    for (struct store_job *job = jobs.first; job != NULL; job = job->next)
        job->result = STORE_UNAVAILABLE;
    store_answer(store, &jobs);
}

static bool submit(struct store *store, struct store_queue *queue, int worker,
                   struct store_job what)
{
    struct store_job *job = malloc(sizeof *job);
    if (job == NULL)
        return false;
    *job = what;
    job->worker = worker;
    atomic_fetch_add(&store->waiting, 1);
    if (store_queue_push(queue, job))
        return true;
    atomic_fetch_sub(&store->waiting, 1);
    atomic_fetch_add(&store->refused_total, 1);
    free(job);
    return false;
}

static int asking_worker(const struct store *store)
{
    return store->server != NULL ? (int)cvn_worker_index(store->server) : -1;
}

bool store_write(struct store *store, store_fn fn, store_done_fn done, void *job)
{
    return submit(store, &store->writes, asking_worker(store),
                  (struct store_job){.fn = fn, .done = done, .data = job});
}

bool store_write_aside(struct store *store, store_fn fn, store_done_fn done, void *job)
{
    return submit(store, &store->writes, -1,
                  (struct store_job){.fn = fn, .done = done, .data = job});
}

bool store_read(struct store *store, store_fn fn, store_done_fn done, void *job)
{
    return submit(store, &store->reads, asking_worker(store),
                  (struct store_job){.fn = fn, .done = done, .data = job});
}
