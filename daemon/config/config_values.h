/* Texts into values and back, by the type of a row. Every source and every printer goes through here. */
#ifndef CONFIG_CONFIG_VALUES_H
#define CONFIG_CONFIG_VALUES_H

#include "config/config_memory.h"
#include "config/config_table.h"
#include <stdio.h>

#define CONFIG_MAX_ITEMS   1024 /* of a list */
#define CONFIG_MAX_CLASSES 64   /* as access_limits has */

/* What is wrong with a value, to stand behind its name; never quotes a secret. */
struct config_reason {
    char text[360];
};

/* Where a value goes. */
struct config_target {
    struct config *config;
    struct config_memory *memory;
};

/* Sets the row's value from text; lists are split at commas and line ends, classes added to those that are there. False with a
 * reason, and everything as before. An empty text is no string and an empty list. */
bool config_values_set(const struct config_target *target, const struct config_row *row,
                       const char *text, enum config_unit unit, struct config_reason *ret_reason);
/* A list (or classes) from its items; `append`: behind those that are there. */
bool config_values_set_items(const struct config_target *target, const struct config_row *row,
                             const char *const *items, size_t count, bool append,
                             struct config_reason *ret_reason);
/* The value of another configuration, copied; false when memory has run out. */
bool config_values_copy(const struct config_target *target, const struct config_row *row,
                        const struct config *from);
bool config_values_equal(const struct config_row *row, const struct config *a,
                         const struct config *b);
/* Whether there is a value: a string or a list may be not set. */
bool config_values_is_set(const struct config_row *row, const struct config *config);

/* The value as the file would have it, in one line; of classes: a map. Not for secrets. */
void config_values_print(FILE *out, const struct config_row *row, const struct config *config);
/* A number of the row's type, as "25s" or "16MiB". */
void config_values_print_number(FILE *out, const struct config_row *row, uint64_t number);
/* The same text in quotes where YAML would take it for something else. */
void config_values_print_string(FILE *out, const char *text);

#endif
