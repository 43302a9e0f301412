/*
 * See access_subjects.h. Keys are chosen by outsiders, so they stand in a balanced tree (tsearch), which no choice of keys makes slow.
 * Idle subjects are a list in the order in which they were left, for the bound and the sweep.
 */
#include "access/access_subjects.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record {
    struct subject subject; /* the first: records are found and handed out by it */
    size_t users;
    struct record *before, *after; /* among the idle, while users is 0 */
    struct rate_bucket buckets[];
    /* the key's characters follow the buckets */
};

struct subjects {
    pthread_mutex_t lock;
    void *tree;
    struct record *first_idle, *last_idle;
    size_t bucket_count, count, idle, max_idle;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct subject *)a)->key, ((const struct subject *)b)->key);
}

struct subjects *subjects_new(size_t bucket_count, size_t max_idle)
{
    struct subjects *subjects = calloc(1, sizeof *subjects);
    if (subjects == NULL)
        return NULL;
    pthread_mutex_init(&subjects->lock, NULL);
    subjects->bucket_count = bucket_count;
    subjects->max_idle = max_idle;
    return subjects;
}

/* --- With the lock held --- */

static void unlink_idle(struct subjects *subjects, struct record *record)
{
    *(record->before ? &record->before->after : &subjects->first_idle) = record->after;
    *(record->after ? &record->after->before : &subjects->last_idle) = record->before;
    record->before = record->after = NULL;
    subjects->idle--;
}

static void link_idle(struct subjects *subjects, struct record *record)
{
    record->before = subjects->last_idle;
    *(record->before ? &record->before->after : &subjects->first_idle) = record;
    subjects->last_idle = record;
    subjects->idle++;
}

static void forget(struct subjects *subjects, struct record *record)
{
    unlink_idle(subjects, record);
    tdelete(&record->subject, &subjects->tree, compare);
    subjects->count--;
    free(record);
}

static struct record *add(struct subjects *subjects, const char *key)
{
    size_t buckets = subjects->bucket_count * sizeof(struct rate_bucket), size = strlen(key) + 1;
    struct record *record = calloc(1, sizeof *record + buckets + size);
    if (record == NULL)
        return NULL;
    char *copy = (char *)record->buckets + buckets;
    memcpy(copy, key, size);
    record->subject = (struct subject){.key = copy, .buckets = record->buckets};
    if (tsearch(&record->subject, &subjects->tree, compare) == NULL) {
        free(record);
        return NULL;
    }
    subjects->count++;
    return record;
}

static bool is_full(const struct subjects *subjects, struct record *record, int64_t now_us)
{
    for (size_t i = 0; i < subjects->bucket_count; i++)
        if (atomic_load_explicit(&record->buckets[i].full_at_us, memory_order_relaxed) > now_us)
            return false;
    return true;
}

/* --- Without it --- */

struct subject *subjects_enter(struct subjects *subjects, const char *key)
{
    const struct subject wanted = {.key = key};
    pthread_mutex_lock(&subjects->lock);
    struct record **found = tfind(&wanted, &subjects->tree, compare);
    struct record *record = found != NULL ? *found : NULL;
    if (record == NULL)
        record = add(subjects, key);
    else if (record->users == 0)
        unlink_idle(subjects, record);
    if (record != NULL)
        record->users++;
    pthread_mutex_unlock(&subjects->lock);
    return record != NULL ? &record->subject : NULL;
}

void subjects_leave(struct subjects *subjects, struct subject *subject)
{
    if (subject == NULL)
        return;
    struct record *record = (struct record *)subject;
    pthread_mutex_lock(&subjects->lock);
    if (--record->users == 0) {
        link_idle(subjects, record);
        if (subjects->idle > subjects->max_idle)
            forget(subjects, subjects->first_idle);
    }
    pthread_mutex_unlock(&subjects->lock);
}

void subjects_sweep(struct subjects *subjects, int64_t now_us)
{
    pthread_mutex_lock(&subjects->lock);
    for (struct record *record = subjects->first_idle, *after; record != NULL; record = after) {
        after = record->after;
        if (is_full(subjects, record, now_us))
            forget(subjects, record);
    }
    pthread_mutex_unlock(&subjects->lock);
}

size_t subjects_count(struct subjects *subjects)
{
    pthread_mutex_lock(&subjects->lock);
    size_t count = subjects->count;
    pthread_mutex_unlock(&subjects->lock);
    return count;
}

void subjects_free(struct subjects *subjects)
{
    if (subjects == NULL)
        return;
    while (subjects->first_idle != NULL)
        forget(subjects, subjects->first_idle);
    pthread_mutex_destroy(&subjects->lock);
    free(subjects);
}

void subjects_address_key(const char *address, char ret[SUBJECTS_ADDRESS_SIZE])
{
    struct in6_addr six;
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (inet_pton(AF_INET6, address, &six) != 1) {
        snprintf(ret, SUBJECTS_ADDRESS_SIZE, "%s", address);
    } else if (memcmp(&six, mapped, sizeof mapped) == 0) {
        inet_ntop(AF_INET, six.s6_addr + 12, ret, SUBJECTS_ADDRESS_SIZE);
    } else {
        memset(six.s6_addr + 8, 0, 8);
        char network[INET6_ADDRSTRLEN];
        inet_ntop(AF_INET6, &six, network, sizeof network);
        snprintf(ret, SUBJECTS_ADDRESS_SIZE, "%s/64", network);
    }
}
