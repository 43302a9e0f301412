/*
 * The limits of config.limits as the workers read them, replaced as a whole on reload without stopping anybody. Rate classes are named by
 * the modules' tables and numbered at the start. Reading: any thread, no lock.
 */
#ifndef ACCESS_LIMITS_H
#define ACCESS_LIMITS_H

#include "config/config.h"
#include <stdatomic.h>

#define LIMITS_MAX_CLASSES 64

struct access_limits;

struct access_limits *access_limits_new(void); /* NULL: no memory */
void access_limits_free(struct access_limits *limits);
/* The number of a class, 0.. ; at the start, on the main thread. NULL is the class "default". -1: too many. */
int access_limits_class(struct access_limits *limits, const char *name);
size_t access_limits_class_count(const struct access_limits *limits);
/* Takes the configured numbers over; at the start once all classes are known, and on reload. Main thread. A class without a rate of its own has that
 * of "default". */
void access_limits_reconfigure(struct access_limits *limits, const struct config *config);

struct config_rate access_limits_of_class(const struct access_limits *limits, int class);
struct config_rate access_limits_attempts_per_ip(const struct access_limits *limits);
struct config_rate access_limits_events_per_connection(const struct access_limits *limits);
struct config_rate access_limits_events_per_user(const struct access_limits *limits);
struct config_rate access_limits_events_per_ip(const struct access_limits *limits);
uint32_t access_limits_max_connections(const struct access_limits *limits);
uint32_t access_limits_max_rooms(const struct access_limits *limits);
uint32_t access_limits_max_members(const struct access_limits *limits);

#endif
