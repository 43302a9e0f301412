/* The frame's life: what is put together before the server starts, taken apart after it has run; see frame.h. Main thread, unless said. */
#include "event/frame.h"
#include "access/access_proxies.h"
#include "event/frame_internal.h"
#include "event/rooms.h"
#include <stdio.h>
#include <stdlib.h>

/* Subjects that are remembered without a connection: some megabytes at most. */
#define MAX_IDLE_SUBJECTS 20000

static bool register_metrics(struct frame *frame)
{
    struct metrics *metrics = frame->parts.metrics;
    frame->events = metrics_counter(metrics, "convened_events_total",
                                    "Events from clients, by what became of them",
                                    "namespace,event,result", 2000);
    frame->event_seconds = metrics_histogram(metrics, "convened_event_duration_seconds",
                                             "From an event's arrival to its acknowledgement",
                                             "namespace,event", NULL, 500);
    frame->refused = metrics_counter(metrics, "convened_connects_refused_total",
                                     "Sockets that were not let in, by the code they were told",
                                     "namespace,code", 500);
    frame->members =
        metrics_gauge(metrics, "convened_members", "Sockets that are in", "namespace", 100);
    frame->limited =
        metrics_counter(metrics, "convened_rate_limited_total",
                        "What was refused because there was too much of it", "scope", 100);
    return frame->events && frame->event_seconds && frame->refused && frame->members &&
           frame->limited;
}

struct frame *frame_new(const struct frame_parts *parts)
{
    struct frame *frame = calloc(1, sizeof *frame);
    if (frame == NULL) {
        log_entry(LOG_ERROR, "out of memory", LOG_END);
        return NULL;
    }
    frame->parts = *parts;
    frame->limits = access_limits_new();
    frame->addresses = subjects_new(ADDRESS_BUCKETS, MAX_IDLE_SUBJECTS);
    frame->rooms = rooms_new();
    frame->checks = checks_new(frame);
    if (frame->limits == NULL || frame->addresses == NULL || frame->rooms == NULL ||
        frame->checks == NULL || !register_metrics(frame)) {
        log_entry(LOG_ERROR, "out of memory", LOG_END);
        frame_free(frame);
        return NULL;
    }
    return frame;
}

void frame_free(struct frame *frame)
{
    if (frame == NULL)
        return;
    for (size_t i = frame->module_count; i-- > 0;)
        if (frame->modules[i].module->stop != NULL && frame->modules[i].nsp != NULL &&
            !frame->modules[i].nsp->is_disabled)
            frame->modules[i].module->stop(frame->modules[i].state);
    for (size_t i = 0; i < frame->namespace_count; i++)
        path_unregister_all(&frame->namespaces[i]);
    checks_free(frame->checks);
    rooms_free(frame->rooms);
    subjects_free(frame->users);
    subjects_free(frame->addresses);
    access_limits_free(frame->limits);
    free(frame);
}

const struct frame_parts *frame_parts(const struct frame *frame)
{
    return &frame->parts;
}

/* --- Modules --- */

static bool is_disabled(const struct config *config, const char *nsp)
{
    const struct config_list *disabled = &config->server.disabled_namespaces;
    for (size_t i = 0; i < disabled->count; i++)
        if (strcmp(disabled->items[i], nsp) == 0)
            return true;
    return false;
}

static struct frame_nsp *add_namespace(struct frame *frame, const char *name, unsigned roles)
{
    for (size_t i = 0; i < frame->namespace_count; i++)
        if (strcmp(frame->namespaces[i].name, name) == 0) {
            struct frame_nsp *found = &frame->namespaces[i];
            found->roles = found->roles != 0 && roles != 0 ? found->roles | roles : 0;
            return found;
        }
    struct frame_nsp *nsp = &frame->namespaces[frame->namespace_count];
    if (frame->namespace_count == FRAME_MAX_NAMESPACES || strlen(name) >= sizeof nsp->name)
        return NULL;
    *nsp = (struct frame_nsp){
        .frame = frame,
        .nsp = cvn_of(frame->parts.server, name),
        .roles = roles,
        .is_disabled = is_disabled(frame->parts.config, name),
        .members = metric_series(frame->members, name, NULL, NULL),
    };
    snprintf(nsp->name, sizeof nsp->name, "%s", name);
    frame->namespace_count++;
    entry_register(nsp);
    for (const struct event_descriptor *own = expiry_events; own->name != NULL; own++)
        if (!nsp->is_disabled && !path_register(nsp, NULL, own))
            return NULL;
    return nsp;
}

bool frame_add(struct frame *frame, const struct module *module)
{
    struct frame_nsp *nsp = add_namespace(frame, module->nsp, module->roles);
    if (nsp == NULL || frame->module_count == FRAME_MAX_MODULES)
        return false;
    struct frame_module *added = &frame->modules[frame->module_count++];
    *added = (struct frame_module){.module = module, .nsp = nsp, .slot = nsp->module_count++};
    if (nsp->is_disabled)
        return true;
    if (module->start != NULL && !module->start(frame, &added->state)) {
        added->nsp = NULL; /* it has nothing to stop */
        return false;
    }
    for (const struct event_descriptor *event = module->events;
         event != NULL && event->name != NULL; event++)
        if (!path_register(nsp, added, event))
            return false;
    return true;
}

bool frame_ready(struct frame *frame)
{
    access_limits_reconfigure(frame->limits, frame->parts.config);
    frame->users =
        subjects_new(USER_CLASSES + access_limits_class_count(frame->limits), MAX_IDLE_SUBJECTS);
    return frame->users != NULL;
}

void frame_reconfigure(struct frame *frame, const struct config *config)
{
    access_limits_reconfigure(frame->limits, config);
    access_proxies_reconfigure(config);
}

const struct module *frame_module(const struct frame *frame, size_t index)
{
    return index < frame->module_count ? frame->modules[index].module : NULL;
}

void *frame_module_state(const struct frame *frame, const char *name)
{
    for (size_t i = 0; i < frame->module_count; i++)
        if (strcmp(frame->modules[i].module->name, name) == 0)
            return frame->modules[i].state;
    return NULL;
}

/* --- While it runs: any thread --- */

void frame_sweep(struct frame *frame)
{
    subjects_sweep(frame->users, rate_now_us());
    subjects_sweep(frame->addresses, rate_now_us());
}

void frame_drain(struct frame *frame)
{
    atomic_store(&frame->is_draining, true);
}

bool frame_is_draining(const struct frame *frame)
{
    return atomic_load(&frame->is_draining);
}

static void disconnect_room(struct frame *frame, const char *room)
{
    for (size_t i = 0; i < frame->namespace_count; i++) {
        const cvn_target target = {.nsp = frame->namespaces[i].nsp, .rooms = {room}};
        enum cvn_error error = cvn_sockets_disconnect(&target, false);
        if (error != CVN_OK && error != CVN_ERR_STATE)
            log_entry(LOG_ERROR, "sockets could not be disconnected", LOG_TEXT("room", room),
                      LOG_TEXT("why", cvn_strerror(error)), LOG_END);
    }
}

void frame_disconnect_user(struct frame *frame, const char *user_id)
{
    char room[PRINCIPAL_MAX_ID + 8];
    snprintf(room, sizeof room, "user:%s", user_id);
    disconnect_room(frame, room);
}

void frame_disconnect_token(struct frame *frame, const char *jti)
{
    char room[PRINCIPAL_MAX_ID + 8];
    snprintf(room, sizeof room, "jti:%s", jti);
    disconnect_room(frame, room);
}

void frame_disconnect_socket(struct frame *frame, const char *socket_id)
{
    disconnect_room(frame, socket_id); /* every socket is in the room of its own id */
}

bool frame_allow(struct frame *frame, cvn_http_request *request, uint32_t *ret_retry_ms)
{
    char address[46], key[SUBJECTS_ADDRESS_SIZE];
    access_proxies_of_request(request, address);
    subjects_address_key(address, key);
    struct subject *subject = subjects_enter(frame->addresses, key);
    if (subject == NULL)
        return true; /* no memory to count with: the handshake will find out */
    struct config_rate rate = access_limits_attempts_per_ip(frame->limits);
    rate.count = rate.count > UINT32_MAX / 2 ? UINT32_MAX : rate.count * 2;
    bool allowed =
        rate_take(&subject->buckets[ADDRESS_HANDSHAKES], rate, rate_now_us(), ret_retry_ms);
    subjects_leave(frame->addresses, subject);
    if (!allowed)
        metric_add(frame->limited, 1, "handshake", NULL, NULL);
    return allowed;
}
