/* Members: made by entry.c when a socket is in, freed with the last reference. On the socket's worker, but for counting references. */
#include "event/member.h"
#include "event/frame_internal.h"
#include "event/rooms.h"
#include <stdio.h>
#include <stdlib.h>

#define ROOM_NAME_SIZE (2 * PRINCIPAL_MAX_ID + 16)

struct member *member_new(struct frame_nsp *nsp, struct link *link, cvn_socket *socket,
                          struct principal *principal)
{
    struct member *member = calloc(1, sizeof *member + nsp->module_count * sizeof(void *));
    if (member == NULL)
        return NULL;
    member->user_subject = subjects_enter(nsp->frame->users, principal->user_id);
    if (member->user_subject == NULL) {
        free(member);
        return NULL;
    }
    atomic_init(&member->refs, 1);
    member->frame = nsp->frame;
    member->nsp = nsp;
    member->link = link;
    member->socket = socket;
    member->principal = principal_ref(principal);
    return member;
}

struct member *member_ref(struct member *member)
{
    atomic_fetch_add_explicit(&member->refs, 1, memory_order_relaxed);
    return member;
}

void member_unref(struct member *member)
{
    if (member == NULL || atomic_fetch_sub_explicit(&member->refs, 1, memory_order_acq_rel) > 1)
        return;
    rooms_forget(member);
    subjects_leave(member->frame->users, member->user_subject);
    principal_unref(member->principal);
    free(member);
}

struct member *member_of(const cvn_socket *socket)
{
    return cvn_socket_data(socket);
}

cvn_socket *member_socket(const struct member *member)
{
    return member->socket;
}

const struct principal *member_principal(const struct member *member)
{
    return member->principal;
}

struct frame *member_frame(const struct member *member)
{
    return member->frame;
}

const char *member_address(const struct member *member)
{
    return member->link != NULL ? member->link->address : "";
}

const char *member_correlation_id(const struct member *member)
{
    return member->link != NULL ? member->link->correlation_id : "";
}

static void **slot_of(const struct member *member, const struct module *module)
{
    const struct frame *frame = member->frame;
    for (size_t i = 0; i < frame->module_count; i++)
        if (frame->modules[i].module == module && frame->modules[i].nsp == member->nsp)
            return (void **)&member->module_data[frame->modules[i].slot];
    return NULL;
}

void member_set_data(struct member *member, const struct module *module, void *data)
{
    void **slot = slot_of(member, module);
    if (slot != NULL)
        *slot = data;
}

void *member_data(const struct member *member, const struct module *module)
{
    void **slot = slot_of(member, module);
    return slot != NULL ? *slot : NULL;
}

void member_emit(struct member *member, const char *event, cvn_slice json)
{
    if (member->socket == NULL)
        return;
    enum cvn_error error = cvn_socket_emit(member->socket, event, cvn_json_slice(json));
    if (error != CVN_OK && error != CVN_ERR_STATE)
        log_entry(LOG_WARN, "an event could not be sent", LOG_TEXT("error", cvn_strerror(error)),
                  LOG_EVENT(event), LOG_USER(member->principal->user_id),
                  LOG_CORRELATION(member_correlation_id(member)), LOG_END);
}

void member_audit(struct member *member, const char *action, const char *subject, const char *code)
{
    if (member->link == NULL)
        return; /* an answer that came after the socket had gone, and perhaps the audit trail */
    const struct audit_entry entry = {
        .action = action,
        .user_id = member->principal->user_id,
        .subject = subject,
        .nsp = member->nsp->name,
        .address = member_address(member),
        .code = code,
        .correlation_id = member_correlation_id(member),
    };
    audit_write(member->frame->parts.audit, &entry);
}

/* --- The rooms of a principal --- */

/* Calls fn with each; false as soon as it says so. */
static bool each_own_room(const struct principal *principal,
                          bool (*fn)(const char *room, void *data), void *data)
{
    char room[ROOM_NAME_SIZE];
    snprintf(room, sizeof room, "user:%s", principal->user_id);
    if (!fn(room, data))
        return false;
    if (principal->jti != NULL) {
        snprintf(room, sizeof room, "jti:%s", principal->jti);
        if (!fn(room, data))
            return false;
    }
    if (principal->org_id == NULL)
        return true;
    snprintf(room, sizeof room, "org:%s", principal->org_id);
    if (!fn(room, data))
        return false;
    for (size_t i = 0; i < principal->division_ids.count; i++) {
        snprintf(room, sizeof room, "org:%s:div:%s", principal->org_id,
                 principal->division_ids.items[i]);
        if (!fn(room, data))
            return false;
    }
    return true;
}

static bool join(const char *room, void *data)
{
    struct member *member = data;
    return cvn_join(member->socket, room) == CVN_OK;
}

bool member_join_own_rooms(struct member *member)
{
    return each_own_room(member->principal, join, member);
}

struct wanted {
    const char *room;
};

static bool differs(const char *room, void *data)
{
    const struct wanted *wanted = data;
    return strcmp(room, wanted->room) != 0;
}

bool member_is_own_room(const struct member *member, const char *name)
{
    struct wanted wanted = {name};
    return !each_own_room(member->principal, differs, &wanted);
}

struct change {
    struct member *member;
    const struct principal *now;
};

static bool leave_unless_kept(const char *room, void *data)
{
    struct change *change = data;
    struct wanted wanted = {room};
    if (each_own_room(change->now, differs, &wanted)) /* none of the new ones is this */
        cvn_leave(change->member->socket, room);
    return true;
}

void member_leave_own_rooms(const struct member *lost, struct member *successor)
{
    struct change change = {successor, successor->principal};
    each_own_room(lost->principal, leave_unless_kept, &change);
}

bool member_set_principal(struct member *member, struct principal *principal)
{
    struct change change = {member, principal};
    each_own_room(member->principal, leave_unless_kept, &change);
    principal_ref(principal);
    principal_unref(member->principal);
    member->principal = principal;
    bool is_joined = member_join_own_rooms(member);
    rooms_check_again(member);
    return is_joined;
}
