/*
 * The sockets of one worker that an op is meant for, each once. Inline, because a broadcast walks over them on the hot path.
 *
 * A socket that is in several of the rooms, or in an excluded one, is recognised by a mark: every walk that needs marks takes a new
 * stamp, so nothing has to be cleared. The visitor calls no application code, so the arrays hold still.
 */
#ifndef SIO_SELECT_H
#define SIO_SELECT_H

#include "sio/sio_op.h"

typedef void (*sio_visit_fn)(struct cvn_socket *socket, void *data);

struct sio_selection {
    struct sio_local *local;
    uint64_t stamp; /* 0: nobody can come twice and nobody is excluded */
    sio_visit_fn visit;
    void *data;
};

static inline void sio_select_visit(const struct sio_selection *selection,
                                    struct cvn_socket *socket)
{
    if (selection->stamp != 0) {
        if (socket->mark == selection->stamp)
            return;
        socket->mark = selection->stamp;
    }
    selection->visit(socket, selection->data);
}

static inline void sio_select_exclude(const struct sio_selection *selection, cvn_slice name)
{
    struct cvn_socket *socket = map_get(&selection->local->sockets, name);
    if (socket != NULL)
        socket->mark = selection->stamp;
    const struct sio_room *room = sio_room_find(selection->local, name);
    for (uint32_t i = 0; room != NULL && i < room->count; i++)
        room->members[i].socket->mark = selection->stamp;
}

static inline void sio_select_room(const struct sio_selection *selection, cvn_slice name)
{
    /* A socket's id is a room of its own; others may have joined a room of that name. */
    struct cvn_socket *socket = map_get(&selection->local->sockets, name);
    if (socket != NULL)
        sio_select_visit(selection, socket);
    const struct sio_room *room = sio_room_find(selection->local, name);
    for (uint32_t i = 0; room != NULL && i < room->count; i++)
        sio_select_visit(selection, room->members[i].socket);
}

/* On `worker`. */
static inline void sio_select_each(struct sio_worker *worker, const struct sio_op *op,
                                   sio_visit_fn visit, void *data)
{
    struct sio_selection selection = {
        .local = &op->nsp->locals[worker->worker->index],
        .visit = visit,
        .data = data,
    };
    if (op->except_count > 0 || op->room_count > 1)
        selection.stamp = ++worker->stamp;
    for (size_t i = 0; i < op->except_count; i++)
        sio_select_exclude(&selection, op->except[i]);
    for (size_t i = 0; i < op->room_count; i++)
        sio_select_room(&selection, op->rooms[i]);
    if (op->room_count == 0)
        for (uint32_t i = 0; i < selection.local->member_count; i++)
            sio_select_visit(&selection, selection.local->members[i]);
}

#endif
