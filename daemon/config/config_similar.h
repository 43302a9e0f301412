/* "Did you mean ...?" */
#ifndef CONFIG_CONFIG_SIMILAR_H
#define CONFIG_CONFIG_SIMILAR_H

#include <stddef.h>

/* A search for the known name that looks most like a wrong one. */
struct config_similar {
    const char *wrong;
    char best[64];
    unsigned distance;
};

void config_similar_init(struct config_similar *similar, const char *wrong);
void config_similar_try(struct config_similar *similar, const char *name);
/* NULL: none is near enough. */
const char *config_similar_best(const struct config_similar *similar);

#endif
