/* See access_limits.h. A rate is packed into one atomic number, so a reader never sees half of a new one. */
#include "access/access_limits.h"
#include <stdlib.h>
#include <string.h>

typedef _Atomic uint64_t packed_rate; /* count in the upper half */

struct access_limits {
    packed_rate attempts_per_ip, events_per_connection, events_per_user, events_per_ip;
    packed_rate classes[LIMITS_MAX_CLASSES];
    _Atomic uint32_t max_connections, max_rooms, max_members;
    char *names[LIMITS_MAX_CLASSES];
    size_t class_count;
};

static void store(packed_rate *to, struct config_rate rate)
{
    atomic_store_explicit(to, (uint64_t)rate.count << 32 | rate.per_ms, memory_order_relaxed);
}

static struct config_rate load(const packed_rate *from)
{
    uint64_t packed = atomic_load_explicit(from, memory_order_relaxed);
    return (struct config_rate){(uint32_t)(packed >> 32), (uint32_t)packed};
}

static uint32_t number(const _Atomic uint32_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

struct access_limits *access_limits_new(void)
{
    return calloc(1, sizeof(struct access_limits));
}

void access_limits_free(struct access_limits *limits)
{
    if (limits == NULL)
        return;
    for (size_t i = 0; i < limits->class_count; i++)
        free(limits->names[i]);
    free(limits);
}

int access_limits_class(struct access_limits *limits, const char *name)
{
    name = name != NULL ? name : "default";
    for (size_t i = 0; i < limits->class_count; i++)
        if (strcmp(limits->names[i], name) == 0)
            return (int)i;
    if (limits->class_count == LIMITS_MAX_CLASSES)
        return -1;
    char *copy = strdup(name);
    if (copy == NULL)
        return -1;
    limits->names[limits->class_count] = copy;
    return (int)limits->class_count++;
}

size_t access_limits_class_count(const struct access_limits *limits)
{
    return limits->class_count;
}

static bool find_rate(const struct config *config, const char *name, struct config_rate *ret)
{
    for (size_t i = 0; i < config->limits.class_count; i++)
        if (strcmp(config->limits.classes[i].name, name) == 0) {
            *ret = config->limits.classes[i].rate;
            return true;
        }
    return false;
}

void access_limits_reconfigure(struct access_limits *limits, const struct config *config)
{
    store(&limits->attempts_per_ip, config->limits.connections_per_ip);
    store(&limits->events_per_connection, config->limits.events_per_connection);
    store(&limits->events_per_user, config->limits.events_per_user);
    store(&limits->events_per_ip, config->limits.events_per_ip);
    for (size_t i = 0; i < limits->class_count; i++) {
        struct config_rate rate = {0};
        if (!find_rate(config, limits->names[i], &rate))
            find_rate(config, "default", &rate);
        store(&limits->classes[i], rate);
    }
    atomic_store(&limits->max_connections, config->limits.max_connections);
    atomic_store(&limits->max_rooms, config->limits.max_rooms_per_connection);
    atomic_store(&limits->max_members, config->limits.max_members_per_room);
}

struct config_rate access_limits_of_class(const struct access_limits *limits, int class)
{
    return load(&limits->classes[class]);
}

struct config_rate access_limits_attempts_per_ip(const struct access_limits *limits)
{
    return load(&limits->attempts_per_ip);
}

struct config_rate access_limits_events_per_connection(const struct access_limits *limits)
{
    return load(&limits->events_per_connection);
}

struct config_rate access_limits_events_per_user(const struct access_limits *limits)
{
    return load(&limits->events_per_user);
}

struct config_rate access_limits_events_per_ip(const struct access_limits *limits)
{
    return load(&limits->events_per_ip);
}

uint32_t access_limits_max_connections(const struct access_limits *limits)
{
    return number(&limits->max_connections);
}

uint32_t access_limits_max_rooms(const struct access_limits *limits)
{
    return number(&limits->max_rooms);
}

uint32_t access_limits_max_members(const struct access_limits *limits)
{
    return number(&limits->max_members);
}
