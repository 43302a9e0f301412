/*
 * Delivery of a broadcast to the sockets of one worker. The packet was encoded once; here each receiver only gets references.
 *
 * A socket that is in several of the rooms, or in an excluded one, is recognised by a mark: every broadcast that needs marks takes a
 * new stamp, so nothing has to be cleared. Delivery calls no application code, so the arrays hold still. Worker's thread.
 */
#include "sio/sio_broadcast.h"
#include "sio/sio_adapter.h"
#include "base/mem.h"

struct delivery {
    struct sio_local *local;
    const struct sio_frames *frames;
    uint64_t stamp; /* 0: nobody can come twice and nobody is excluded */
};

static void send_to(const struct delivery *delivery, struct cvn_socket *socket)
{
    if (delivery->stamp != 0) {
        if (socket->mark == delivery->stamp)
            return;
        socket->mark = delivery->stamp;
    }
    sio_socket_send(socket, delivery->frames);
}

static void mark_excluded(const struct delivery *delivery, cvn_slice name)
{
    struct cvn_socket *socket = map_get(&delivery->local->sockets, name);
    if (socket != NULL)
        socket->mark = delivery->stamp;
    const struct sio_room *room = sio_room_find(delivery->local, name);
    for (uint32_t i = 0; room != NULL && i < room->count; i++)
        room->members[i].socket->mark = delivery->stamp;
}

static void send_to_room(const struct delivery *delivery, cvn_slice name)
{
    /* A socket's id is a room of its own; others may have joined a room of that name. */
    struct cvn_socket *socket = map_get(&delivery->local->sockets, name);
    if (socket != NULL)
        send_to(delivery, socket);
    const struct sio_room *room = sio_room_find(delivery->local, name);
    for (uint32_t i = 0; room != NULL && i < room->count; i++)
        send_to(delivery, room->members[i].socket);
}

void sio_broadcast_deliver(struct sio_worker *worker, const struct sio_broadcast *broadcast)
{
    struct delivery delivery = {
        .local = &broadcast->nsp->locals[worker->worker->index],
        .frames = broadcast->frames,
    };
    if (broadcast->except_count > 0 || broadcast->room_count > 1)
        delivery.stamp = ++worker->stamp;
    for (size_t i = 0; i < broadcast->except_count; i++)
        mark_excluded(&delivery, broadcast->except[i]);
    for (size_t i = 0; i < broadcast->room_count; i++)
        send_to_room(&delivery, broadcast->rooms[i]);
    if (broadcast->room_count == 0)
        for (uint32_t i = 0; i < delivery.local->member_count; i++)
            send_to(&delivery, delivery.local->members[i]);
}

/* --- The public call --- */

/* The names of a target's two lists in one array: on the stack when they are few. */
struct names {
    cvn_slice few[2 * CVN_TARGET_ROOMS];
    cvn_slice *all;
    size_t count;
};

static size_t count_fixed(const char *const *list)
{
    size_t count = 0;
    while (count < CVN_TARGET_ROOMS && list[count] != NULL)
        count++;
    return count;
}

static void add_names(struct names *names, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        names->all[names->count++] = cvn_str(list[i]);
}

enum cvn_error cvn_emit(const cvn_target *target, const char *event, cvn_args args)
{
    struct cvn_namespace *nsp = target->nsp;
    if (nsp == NULL || event == NULL)
        return CVN_ERR_ARGUMENT;
    struct sio_server *server = nsp->server;
    if (!server->started || atomic_load_explicit(&server->ended, memory_order_relaxed))
        return CVN_ERR_STATE;

    struct sio_frames frames;
    enum cvn_error error = sio_encode_event(sio_namespace_name(nsp), event, NULL, args,
                                            &server->options.emits, &frames);
    if (error != CVN_OK)
        return error;
    if (target->flags & CVN_VOLATILE)
        sio_frames_set_volatile(&frames);

    size_t rooms = count_fixed(target->rooms), except = count_fixed(target->except);
    struct names names = {.count = 0};
    names.all = names.few;
    if (target->more_room_count + target->more_except_count > 0) {
        size_t total = rooms + except + target->more_room_count + target->more_except_count;
        names.all = mem_alloc(total * sizeof *names.all);
        if (names.all == NULL) {
            error = CVN_ERR_MEMORY;
            goto out;
        }
    }
    add_names(&names, target->rooms, rooms);
    add_names(&names, target->more_rooms, target->more_room_count);
    size_t room_count = names.count;
    add_names(&names, target->except, except);
    add_names(&names, target->more_except, target->more_except_count);

    struct sio_broadcast broadcast = {
        .nsp = nsp,
        .rooms = names.all,
        .room_count = room_count,
        .except = names.all + room_count,
        .except_count = names.count - room_count,
        .flags = target->flags,
        .frames = &frames,
    };
    error = server->adapter->broadcast(server->adapter, &broadcast);

out:
    if (names.all != names.few)
        mem_free(names.all);
    sio_frames_release(&frames);
    return error;
}
