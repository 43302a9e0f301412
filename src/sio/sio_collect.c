/* A growing array of references. Worker's thread. */
#include "sio/sio_collect.h"
#include "base/mem.h"

void sio_collect(struct sio_collected *collected, struct cvn_socket *socket)
{
    if (collected->count == collected->capacity) {
        size_t capacity = collected->capacity != 0 ? collected->capacity * 2 : 16;
        struct cvn_socket **sockets =
            mem_realloc(collected->sockets, capacity * sizeof(struct cvn_socket *));
        if (sockets == NULL) {
            collected->failed = true;
            return;
        }
        collected->sockets = sockets;
        collected->capacity = capacity;
    }
    collected->sockets[collected->count++] = cvn_socket_ref(socket);
}

void sio_collect_release(struct sio_collected *collected)
{
    while (collected->count > 0)
        cvn_socket_unref(collected->sockets[--collected->count]);
    mem_free(collected->sockets);
    *collected = (struct sio_collected){0};
}
