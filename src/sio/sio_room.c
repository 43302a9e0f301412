/*
 * Rooms of one worker: a dense array of members each, and in each socket a small array of its rooms. Both point into each other by
 * index, so that joining and leaving need no search in a room, however large. Worker's thread.
 *
 * A socket is always in the room of its own id; that one costs nothing, since the socket itself is found by its id.
 */
#include "sio/sio_log.h"
#include "sio/sio_observe.h"
#include "base/mem.h"

cvn_slice sio_room_key(const void *value)
{
    const struct sio_room *room = value;
    return slice_of(room->name, room->name_size);
}

struct sio_room *sio_room_find(const struct sio_local *local, cvn_slice name)
{
    return map_get(&local->rooms, name);
}

static struct sio_room *make_room(struct sio_local *local, cvn_slice name)
{
    struct sio_room *room = mem_zalloc(sizeof *room + name.size + 1);
    if (room == NULL)
        return NULL;
    room->name_size = (uint32_t)name.size;
    memcpy(room->name, name.data, name.size);
    if (!map_put(&local->rooms, room)) {
        mem_free(room);
        return NULL;
    }
    return room;
}

static void free_if_empty(struct sio_local *local, struct sio_room *room)
{
    if (room->count > 0)
        return;
    map_remove(&local->rooms, sio_room_key(room));
    mem_free(room->members);
    mem_free(room);
}

/* Room for one more in both arrays, so that what follows cannot fail. */
static bool reserve(struct cvn_socket *socket, struct sio_room *room)
{
    if (socket->room_count == socket->room_capacity) {
        uint32_t capacity = socket->room_capacity ? socket->room_capacity * 2 : 2;
        struct sio_membership *rooms = mem_realloc(socket->rooms, capacity * sizeof *rooms);
        if (rooms == NULL)
            return false;
        socket->rooms = rooms;
        socket->room_capacity = capacity;
    }
    if (room->count == room->capacity) {
        uint32_t capacity = room->capacity ? room->capacity * 2 : 2;
        struct sio_room_member *members = mem_realloc(room->members, capacity * sizeof *members);
        if (members == NULL)
            return false;
        room->members = members;
        room->capacity = capacity;
    }
    return true;
}

static uint32_t index_of(const struct cvn_socket *socket, const struct sio_room *room)
{
    uint32_t i = 0;
    while (i < socket->room_count && socket->rooms[i].room != room)
        i++;
    return i;
}

static bool is_own_room(const struct cvn_socket *socket, cvn_slice name)
{
    return slice_eq(name, slice_of(socket->id, SIO_ID_SIZE));
}

enum cvn_error cvn_join(cvn_socket *socket, const char *room_name)
{
    cvn_slice name = cvn_str(room_name);
    if (socket->state != SIO_SOCKET_CONNECTED)
        return CVN_ERR_STATE;
    if (name.size == 0 || name.size > UINT32_MAX)
        return CVN_ERR_ARGUMENT;
    if (is_own_room(socket, name))
        return CVN_OK;
    struct sio_local *local = socket->local;
    struct sio_room *room = sio_room_find(local, name);
    if (room != NULL && index_of(socket, room) < socket->room_count)
        return CVN_OK;
    if (socket->room_count >= local->nsp->server->options.max_rooms_per_socket)
        return CVN_ERR_LIMIT;
    if (room == NULL && (room = make_room(local, name)) == NULL)
        return CVN_ERR_MEMORY;
    if (!reserve(socket, room)) {
        free_if_empty(local, room);
        return CVN_ERR_MEMORY;
    }
    room->members[room->count] = (struct sio_room_member){socket, socket->room_count};
    socket->rooms[socket->room_count++] =
        (struct sio_membership){room, room->count++, local->log != NULL ? local->log->end : 0};
    if (sio_is_observed(local->nsp))
        sio_observe_join(socket, room->name);
    return CVN_OK;
}

/* Takes membership `index` out of both arrays, closing the gaps with their last entries. */
static void remove_membership(struct cvn_socket *socket, uint32_t index)
{
    struct sio_membership gone = socket->rooms[index];
    struct sio_room *room = gone.room;
    struct sio_room_member moved_member = room->members[--room->count];
    room->members[gone.index] = moved_member;
    moved_member.socket->rooms[moved_member.index].index = gone.index;

    struct sio_membership moved = socket->rooms[--socket->room_count];
    if (index < socket->room_count) {
        socket->rooms[index] = moved;
        moved.room->members[moved.index].index = index;
    }
    if (sio_is_observed(socket->local->nsp))
        sio_observe_leave(socket, room->name);
    free_if_empty(socket->local, room);
}

void cvn_leave(cvn_socket *socket, const char *room_name)
{
    struct sio_room *room = sio_room_find(socket->local, cvn_str(room_name));
    if (room == NULL)
        return;
    uint32_t index = index_of(socket, room);
    if (index < socket->room_count)
        remove_membership(socket, index);
}

void sio_room_leave_all(struct cvn_socket *socket)
{
    while (socket->room_count > 0)
        remove_membership(socket, socket->room_count - 1);
    mem_free(socket->rooms);
    socket->rooms = NULL;
    socket->room_capacity = 0;
}

bool cvn_socket_in_room(const cvn_socket *socket, const char *room_name)
{
    cvn_slice name = cvn_str(room_name);
    if (socket->state != SIO_SOCKET_CONNECTED && socket->state != SIO_SOCKET_LEAVING)
        return false;
    if (is_own_room(socket, name))
        return true;
    const struct sio_room *room = sio_room_find(socket->local, name);
    return room != NULL && index_of(socket, room) < socket->room_count;
}

const char *cvn_socket_room(const cvn_socket *socket, size_t index)
{
    if (socket->state != SIO_SOCKET_CONNECTED && socket->state != SIO_SOCKET_LEAVING)
        return NULL;
    if (index == 0)
        return socket->id;
    return index <= socket->room_count ? socket->rooms[index - 1].room->name : NULL;
}
