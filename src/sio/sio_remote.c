/* Pieces of answers: made where a socket lives or where another node's word of it arrives, read where the question was asked. */
#include "sio/sio_remote.h"
#include "base/mem.h"

static char *put(char *to, cvn_slice bytes)
{
    if (bytes.size > 0)
        memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

static char *put_text(char *to, cvn_slice text)
{
    to = put(to, text);
    *to++ = '\0';
    return to;
}

/* --- Acknowledgements --- */

struct sio_answer *sio_answer_new(cvn_slice id, cvn_slice node, cvn_args args)
{
    size_t count = args.attachment_count;
    size_t bytes = id.size + 1 + node.size + 1 + args.json.size;
    for (size_t i = 0; i < count; i++)
        bytes += args.attachments[i].size;
    size_t size = sizeof(struct sio_answer) + count * sizeof(cvn_slice) + bytes;
    struct sio_answer *answer = mem_zalloc(size);
    if (answer == NULL)
        return NULL;
    answer->size = size;
    char *to = (char *)(answer->attachments + count);
    answer->id = to;
    to = put_text(to, id);
    answer->node = to;
    to = put_text(to, node);
    answer->args.json = slice_of(to, args.json.size);
    to = put(to, args.json);
    for (size_t i = 0; i < count; i++) {
        answer->attachments[i] = slice_of(to, args.attachments[i].size);
        to = put(to, args.attachments[i]);
    }
    answer->args.attachments = answer->attachments;
    answer->args.attachment_count = count;
    return answer;
}

void sio_answer_free_all(struct list *answers)
{
    while (!list_is_empty(answers)) {
        struct sio_answer *answer = CONTAINER_OF(answers->next, struct sio_answer, link);
        list_remove(&answer->link);
        mem_free(answer);
    }
}

/* --- Sockets --- */

static struct cvn_remote_socket *remote_alloc(size_t text)
{
    struct cvn_remote_socket *remote = mem_zalloc(sizeof *remote + text);
    if (remote != NULL)
        remote->size = sizeof *remote + text;
    return remote;
}

struct cvn_remote_socket *sio_remote_new(const struct cvn_socket *socket)
{
    size_t size = SIO_ID_SIZE + 1;
    for (uint32_t i = 0; i < socket->room_count; i++)
        size += socket->rooms[i].room->name_size + 1;
    struct cvn_remote_socket *remote = remote_alloc(size);
    if (remote == NULL)
        return NULL;
    remote->worker = socket->local->worker->worker->index;
    remote->handshake = sio_handshake_ref(socket->handshake);
    remote->auth = socket->auth != NULL ? message_ref(socket->auth) : NULL;
    remote->attributes = socket->attributes != NULL ? message_ref(socket->attributes) : NULL;
    remote->node = "";
    remote->id = remote->text;
    char *to = put_text(remote->text, slice_of(socket->id, SIO_ID_SIZE));
    remote->rooms = to;
    remote->room_count = socket->room_count;
    for (uint32_t i = 0; i < socket->room_count; i++)
        to = put_text(to, sio_room_key(socket->rooms[i].room));
    return remote;
}

struct cvn_remote_socket *sio_remote_new_foreign(cvn_slice node, const cvn_cluster_socket *socket)
{
    cvn_slice attributes = socket->attributes.size > 0 ? socket->attributes : SLICE("{}");
    cvn_slice handshake = socket->handshake.size > 0 ? socket->handshake : SLICE("{}");
    if (node.size == 0)
        node = SLICE("?");
    size_t size = socket->id.size + 1 + node.size + 1 + attributes.size + handshake.size;
    for (size_t i = 0; i < socket->room_count; i++)
        size += socket->rooms[i].size + 1;
    struct cvn_remote_socket *remote = remote_alloc(size);
    if (remote == NULL)
        return NULL;
    char *to = remote->text;
    remote->id = to;
    to = put_text(to, socket->id);
    remote->node = to;
    to = put_text(to, node);
    remote->attributes_json = slice_of(to, attributes.size);
    to = put(to, attributes);
    remote->handshake_json = slice_of(to, handshake.size);
    to = put(to, handshake);
    remote->rooms = to;
    for (size_t i = 0; i < socket->room_count; i++) {
        if (slice_eq(socket->rooms[i], socket->id))
            continue;
        to = put_text(to, socket->rooms[i]);
        remote->room_count++;
    }
    return remote;
}

void sio_remote_free_all(struct list *remotes)
{
    while (!list_is_empty(remotes)) {
        struct cvn_remote_socket *remote =
            CONTAINER_OF(remotes->next, struct cvn_remote_socket, link);
        list_remove(&remote->link);
        sio_handshake_unref(remote->handshake);
        message_unref(remote->auth);
        message_unref(remote->attributes);
        mem_free(remote);
    }
}

void sio_remote_append_handshake(const cvn_remote_socket *remote, struct buf *buf)
{
    if (remote->handshake == NULL) {
        buf_append(buf, remote->handshake_json);
        return;
    }
    cvn_slice auth = remote->auth != NULL ? message_payload(remote->auth) : SLICE("{}");
    sio_handshake_append_json(remote->handshake, auth, buf);
}

/* --- What the application reads --- */

const char *cvn_remote_id(const cvn_remote_socket *remote)
{
    return remote->id;
}

const char *cvn_remote_node(const cvn_remote_socket *remote)
{
    return remote->node;
}

unsigned cvn_remote_worker(const cvn_remote_socket *remote)
{
    return remote->worker;
}

const char *cvn_remote_room(const cvn_remote_socket *remote, size_t index)
{
    if (index == 0)
        return remote->id;
    if (index > remote->room_count)
        return NULL;
    const char *name = remote->rooms;
    for (size_t i = 1; i < index; i++)
        name += strlen(name) + 1;
    return name;
}

cvn_slice cvn_remote_attributes(const cvn_remote_socket *remote)
{
    if (remote->handshake == NULL)
        return remote->attributes_json;
    return remote->attributes != NULL ? message_payload(remote->attributes) : SLICE("{}");
}
