/*
 * The one path of every client event: size, role and scope, rates, schema, then the handler. What is refused here has changed nothing. On the
 * worker of the event's socket.
 */
#include "event/frame_internal.h"
#include <stdlib.h>

#define DEFAULT_MAX_BYTES 65536

static size_t size_of(cvn_args args)
{
    size_t size = args.json.size;
    for (size_t i = 0; i < args.attachment_count; i++)
        size += args.attachments[i].size;
    return size;
}

static bool may(const struct frame_event *on, const struct principal *principal)
{
    unsigned roles = on->descriptor->roles;
    if (roles == 0 && on->module != NULL)
        roles = on->module->module->roles;
    return entry_role_may(roles, principal->role) &&
           (on->descriptor->scope == NULL || principal_has_scope(principal, on->descriptor->scope));
}

/* The rates that hold for a user and an address, over all their connections; that of the connection was asked by the filter. */
static bool take_rates(struct frame_event *on, struct member *member, uint32_t *ret_retry_ms)
{
    struct frame *frame = on->frame;
    const struct access_limits *limits = frame->limits;
    struct rate_bucket *user = member->user_subject->buckets;
    int64_t now = rate_now_us();
    const char *scope = NULL;
    if (!rate_take(&member->link->address_subject->buckets[ADDRESS_EVENTS],
                   access_limits_events_per_ip(limits), now, ret_retry_ms))
        scope = "address";
    else if (!rate_take(&user[USER_EVENTS], access_limits_events_per_user(limits), now,
                        ret_retry_ms))
        scope = "user";
    else if (!rate_take(&user[USER_CLASSES + on->rate_class],
                        access_limits_of_class(limits, on->rate_class), now, ret_retry_ms))
        scope = "class";
    if (scope != NULL)
        metric_add(frame->limited, 1, scope, NULL, NULL);
    return scope == NULL;
}

static bool is_absent(cvn_slice value)
{
    cvn_json_type type = cvn_json_type_of(value);
    return type == CVN_JSON_NONE || type == CVN_JSON_NULL;
}

/* op_id, or opId in the namespaces that write so; both have to be right. */
static bool take_op_id(struct call *call, cvn_slice payload)
{
    cvn_slice op_id = cvn_json_get(payload, "op_id"), other = cvn_json_get(payload, "opId");
    return (is_absent(other) || call_set_op_id(call, other)) &&
           (is_absent(op_id) || call_set_op_id(call, op_id));
}

static void handle(struct frame_event *on, struct member *member, const cvn_event *event)
{
    const struct event_descriptor *descriptor = on->descriptor;
    cvn_args args = cvn_event_args(event);
    cvn_slice payload = cvn_event_arg(event, 0);
    struct field_error error = {0};
    struct call *call =
        call_new(on, member, event, field_memory_needed(descriptor->fields, payload.size));
    if (call == NULL) {
        call_refuse_event(on, member, event, CALL_UNAVAILABLE, NULL, "out of memory", 1000);
        return;
    }
    if (!field_parse(descriptor->fields, payload, args, call_memory(call),
                     call_payload_writable(call), &error))
        call_fail_field(call, error.field, error.message);
    else if (descriptor->takes_op_id && !take_op_id(call, payload))
        call_fail_field(call, "op_id", "must be an id of 1 to 64 bytes without control characters");
    else
        descriptor->fn(call, on->module != NULL ? on->module->state : NULL);
    call_leave_handler(call);
}

static void on_event(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct frame_event *on = data;
    struct member *member = member_of(socket);
    const struct event_descriptor *descriptor = on->descriptor;
    uint32_t retry_ms = 0;
    if (member == NULL || !member->is_in)
        return;
    if (size_of(cvn_event_args(event)) >
        (descriptor->max_bytes ? descriptor->max_bytes : DEFAULT_MAX_BYTES))
        call_refuse_event(on, member, event, CALL_TOO_LARGE, NULL, "the payload is too large", 0);
    else if (!may(on, member->principal)) {
        member_audit(member, "event_refused", descriptor->name, "FORBIDDEN");
        call_refuse_event(on, member, event, CALL_FORBIDDEN, NULL, "not for this role or scope", 0);
    } else if (!take_rates(on, member, &retry_ms))
        call_refuse_event(on, member, event, CALL_RATE_LIMITED, NULL, "too many of these",
                          retry_ms);
    else if (cvn_args_count(cvn_event_args(event)) > 1)
        call_refuse_event(on, member, event, CALL_VALIDATION, NULL,
                          "one object is expected, and nothing else", 0);
    else
        handle(on, member, event);
}

static struct frame_event *find(struct frame_nsp *nsp, cvn_slice name)
{
    for (struct frame_event *on = nsp->events; on != NULL; on = on->next)
        if (strlen(on->descriptor->name) == name.size &&
            memcmp(on->descriptor->name, name.data, name.size) == 0)
            return on;
    return NULL;
}

/* Before all handlers: what a connection may send in all, known events or not; and an answer for those that nobody knows. */
static bool on_filter(cvn_socket *socket, const cvn_event *event, void *data)
{
    struct frame_nsp *nsp = data;
    struct member *member = member_of(socket);
    struct frame_event *on = find(nsp, cvn_event_name(event));
    struct frame_event unknown = {.descriptor = &(const struct event_descriptor){.name = "unknown"},
                                  .frame = nsp->frame,
                                  .nsp = nsp};
    uint32_t retry_ms = 0;
    if (member == NULL || !member->is_in)
        return false; /* on its way out */
    if (!rate_take(&member->link->events, access_limits_events_per_connection(nsp->frame->limits),
                   rate_now_us(), &retry_ms)) {
        metric_add(nsp->frame->limited, 1, "connection", NULL, NULL);
        call_refuse_event(on != NULL ? on : &unknown, member, event, CALL_RATE_LIMITED, NULL,
                          "too many events", retry_ms);
        return false;
    }
    if (on == NULL)
        call_refuse_event(&unknown, member, event, CALL_NOT_FOUND, NULL, "no such event", 0);
    return on != NULL;
}

bool path_register(struct frame_nsp *nsp, struct frame_module *module,
                   const struct event_descriptor *descriptor)
{
    struct frame *frame = nsp->frame;
    struct frame_event *on = calloc(1, sizeof *on);
    if (on == NULL || find(nsp, cvn_str(descriptor->name)) != NULL) {
        free(on);
        return false;
    }
    *on = (struct frame_event){
        .descriptor = descriptor,
        .module = module,
        .frame = frame,
        .nsp = nsp,
        .rate_class = access_limits_class(frame->limits, descriptor->rate_class),
        .succeeded = metric_series(frame->events, nsp->name, descriptor->name, "OK"),
        .seconds = metric_series(frame->event_seconds, nsp->name, descriptor->name, NULL),
        .next = nsp->events,
    };
    if (nsp->events == NULL)
        cvn_use_event(nsp->nsp, on_filter, nsp);
    nsp->events = on;
    return on->rate_class >= 0 && cvn_on(nsp->nsp, descriptor->name, on_event, on) == CVN_OK;
}

void path_unregister_all(struct frame_nsp *nsp)
{
    while (nsp->events != NULL) {
        struct frame_event *next = nsp->events->next;
        free(nsp->events);
        nsp->events = next;
    }
}
