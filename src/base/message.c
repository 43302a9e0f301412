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
    for (int i = 0; i < MESSAGE_TWINS; i++)
        atomic_init(&message->twins[i], NULL);
    return message;
}

struct message *message_copy(cvn_slice bytes)
{
    struct message *message = message_new(bytes.size);
    if (message != NULL && bytes.size > 0)
        memcpy(message->data, bytes.data, bytes.size);
    return message;
}

/* Nobody else has it any more. */
static void free_message(struct message *message)
{
    for (int i = 0; i < MESSAGE_TWINS; i++) {
        struct message *twin = atomic_load_explicit(&message->twins[i], memory_order_relaxed);
        if (twin != message)
            message_unref(twin);
    }
    mem_free(message);
}

void message_unref(struct message *message)
{
    if (message != NULL && atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) == 1)
        free_message(message);
}

struct message *message_shrink(struct message *message, size_t size)
{
    size_t before = message->size;
    message->size = size;
    if (before - size < before / 4)
        return message;
    struct message *moved = mem_realloc(message, sizeof *message + size);
    return moved != NULL ? moved : message;
}

struct message *message_keep_twin(struct message *message, enum message_twin which,
                                  struct message *twin)
{
    struct message *kept = NULL;
    if (atomic_compare_exchange_strong_explicit(&message->twins[which], &kept, twin,
                                                memory_order_acq_rel, memory_order_acquire))
        return twin;
    if (twin != message)
        message_unref(twin);
    return kept;
}
