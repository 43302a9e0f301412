/* Answers to another node, put into the adapter's form. Any thread. */
#include "sio/sio_asker.h"
#include "base/mem.h"

struct sio_asker *sio_asker_new(cvn_slice node, cvn_slice request)
{
    struct sio_asker *asker = mem_alloc(sizeof *asker + node.size + request.size);
    if (asker == NULL)
        return NULL;
    if (node.size > 0)
        memcpy(asker->text, node.data, node.size);
    if (request.size > 0)
        memcpy(asker->text + node.size, request.data, request.size);
    asker->node = slice_of(asker->text, node.size);
    asker->request = slice_of(asker->text + node.size, request.size);
    return asker;
}

static enum cvn_error respond(struct sio_server *server, const struct sio_asker *asker,
                              cvn_cluster_answer *answer)
{
    if (atomic_load_explicit(&server->ended, memory_order_relaxed))
        return CVN_ERR_STATE;
    answer->to = asker->node;
    answer->request = asker->request;
    return server->adapter->respond(server->adapter, answer);
}

void sio_asker_tell_count(struct sio_server *server, const struct sio_asker *asker,
                          enum cvn_error error, size_t count)
{
    respond(server, asker,
            &(cvn_cluster_answer){
                .type = CVN_CLUSTER_CLIENT_COUNT, .error = error, .client_count = count});
}

void sio_asker_tell_ack(struct sio_server *server, const struct sio_asker *asker,
                        enum cvn_error error, const char *socket_id, cvn_args args)
{
    respond(server, asker,
            &(cvn_cluster_answer){.type = CVN_CLUSTER_ACK,
                                  .error = error,
                                  .socket_id = cvn_str(socket_id),
                                  .args = args});
}

enum cvn_error sio_asker_tell_event(struct sio_server *server, const struct sio_asker *asker,
                                    enum cvn_error error, cvn_args args)
{
    return respond(
        server, asker,
        &(cvn_cluster_answer){.type = CVN_CLUSTER_SERVER_ACK, .error = error, .args = args});
}

/* --- Sockets --- */

/* Fills one description; its rooms go to *rooms, its handshake to `text`. */
static void describe(const struct cvn_remote_socket *remote, cvn_slice **rooms, struct buf *text,
                     cvn_cluster_socket *ret)
{
    size_t start = text->size;
    sio_remote_append_handshake(remote, text);
    *ret = (cvn_cluster_socket){
        .id = cvn_str(remote->id),
        .rooms = *rooms,
        .room_count = remote->room_count + 1,
        .attributes = cvn_remote_attributes(remote),
        .handshake = {NULL, text->size - start}, /* the text may still move */
    };
    const char *name = remote->rooms;
    *(*rooms)++ = ret->id;
    for (size_t i = 0; i < remote->room_count; i++) {
        cvn_slice room = cvn_str(name);
        *(*rooms)++ = room;
        name += room.size + 1;
    }
}

void sio_asker_tell_sockets(struct sio_server *server, const struct sio_asker *asker,
                            enum cvn_error error, const struct list *remotes)
{
    cvn_cluster_answer answer = {.type = CVN_CLUSTER_SOCKETS, .error = error};
    size_t count = 0, room_count = 0;
    struct buf text;
    buf_init(&text, CVN_CLUSTER_MAX_BYTES);
    LIST_FOR_EACH (node, remotes) {
        count++;
        room_count += CONTAINER_OF(node, struct cvn_remote_socket, link)->room_count + 1;
    }
    cvn_cluster_socket *sockets = mem_alloc(count * sizeof *sockets + 1);
    cvn_slice *rooms = mem_alloc(room_count * sizeof *rooms + 1), *next_room = rooms;
    if (sockets != NULL && rooms != NULL) {
        LIST_FOR_EACH (node, remotes)
            describe(CONTAINER_OF(node, struct cvn_remote_socket, link), &next_room, &text,
                     &sockets[answer.socket_count++]);
        size_t at = 0;
        for (size_t i = 0; i < count && !text.failed; i++) {
            sockets[i].handshake.data = text.data + at;
            at += sockets[i].handshake.size;
        }
        answer.sockets = sockets;
    }
    if (sockets == NULL || rooms == NULL || text.failed) {
        answer.socket_count = 0;
        answer.error = CVN_ERR_MEMORY;
    }
    respond(server, asker, &answer);
    mem_free(sockets);
    mem_free(rooms);
    buf_release(&text);
}
