/* Shared immutable bytes. Any thread. */
#include "base/message.h"
#include "base/mem.h"

struct message *message_new(size_t size)
{
    if (size > SIZE_MAX - sizeof(struct message))
        return NULL;
    struct message *message = mem_alloc(sizeof *message + size);
    if (message == NULL)
        return NULL;
    atomic_init(&message->refs, 1);
    message->prefix = 0;
    message->flags = 0;
    message->followers = 0;
    message->key = 0;
    message->size = size;
    return message;
}

struct message *message_copy(cvn_slice bytes)
{
    struct message *message = message_new(bytes.size);
    if (message != NULL && bytes.size > 0)
        memcpy(message->data, bytes.data, bytes.size);
    return message;
}

void message_unref(struct message *message)
{
    if (message != NULL && atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) == 1)
        mem_free(message);
}
