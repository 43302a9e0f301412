/* The memory of one configuration: pieces that live as long as it does, and are wiped when it goes, for some of them are secrets. */
#ifndef CONFIG_CONFIG_MEMORY_H
#define CONFIG_CONFIG_MEMORY_H

#include <stddef.h>

struct config_memory {
    struct config_block *blocks;
};

/* Zeroed; NULL when there is none. */
void *config_memory_take(struct config_memory *memory, size_t size);
/* A copy with a NUL behind it. */
char *config_memory_copy(struct config_memory *memory, const char *text, size_t length);
void config_memory_release(struct config_memory *memory);

#endif
