/* A list of allocations that are freed together. A configuration has some hundreds of them, all made while it is read. Main thread. */
#include "config/config_memory.h"
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct config_block {
    struct config_block *next;
    size_t size;
    alignas(max_align_t) unsigned char bytes[];
};

void *config_memory_take(struct config_memory *memory, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    struct config_block *block = calloc(1, sizeof *block + size);
    if (block == NULL)
        return NULL;
    block->size = size;
    block->next = memory->blocks;
    memory->blocks = block;
    return block->bytes;
}

char *config_memory_copy(struct config_memory *memory, const char *text, size_t length)
{
    char *copy = config_memory_take(memory, length + 1);
    if (copy != NULL && length > 0)
        memcpy(copy, text, length);
    return copy;
}

void config_memory_release(struct config_memory *memory)
{
    while (memory->blocks != NULL) {
        struct config_block *block = memory->blocks;
        memory->blocks = block->next;
        explicit_bzero(block->bytes, block->size);
        free(block);
    }
}
