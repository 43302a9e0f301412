/*
 * What a contract does a little later: a thread of its own that waits and then calls. Functions from several workers meet here, so the
 * list has a lock. The thread ends with the process.
 */
#include "conformance.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct delayed {
    struct delayed *next;
    struct timespec due;
    void (*fn)(void *data);
    void *data;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct delayed *first, **last = &first; /* all wait equally long: the first is the next */

static struct delayed *take_due(void)
{
    struct delayed *delayed = NULL;
    pthread_mutex_lock(&lock);
    while (first == NULL)
        pthread_cond_wait(&changed, &lock);
    delayed = first;
    first = delayed->next;
    if (first == NULL)
        last = &first;
    pthread_mutex_unlock(&lock);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &delayed->due, NULL) != 0)
        ;
    return delayed;
}

static void *run(void *unused)
{
    for (;;) {
        struct delayed *delayed = take_due();
        delayed->fn(delayed->data);
        free(delayed);
    }
    return unused;
}

static void begin(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL) != 0)
        abort();
    pthread_detach(thread);
}

void conformance_delay(long ms, void (*fn)(void *data), void *data)
{
    struct delayed *delayed = calloc(1, sizeof *delayed);
    if (delayed == NULL)
        abort();
    pthread_once(&once, begin);
    clock_gettime(CLOCK_MONOTONIC, &delayed->due);
    delayed->due.tv_nsec += ms * 1000000;
    delayed->due.tv_sec += delayed->due.tv_nsec / 1000000000;
    delayed->due.tv_nsec %= 1000000000;
    delayed->fn = fn;
    delayed->data = data;
    pthread_mutex_lock(&lock);
    *last = delayed;
    last = &delayed->next;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}
