/* The sources of a draft, each a file of its own; and what is checked when all of them are read. */
#ifndef CONFIG_CONFIG_SOURCES_H
#define CONFIG_CONFIG_SOURCES_H

#include "config/config_draft.h"

/* --- Arguments (config_flags.c) --- */

struct config_flag_use {
    const struct config_row *row;
    const char *value;
    char place[CONFIG_NAME_SIZE]; /* "--server-port" */
};

struct config_flags {
    enum config_action action;
    const char *file; /* of --config; NULL: not given */
    struct config_flag_use *uses;
    size_t count;
};

/* Reads draft->argv without setting anything, because whether and which file is read depends on it. Wrong flags are said to the report; false
 * when memory has run out. */
bool config_flags_parse(struct config_draft *draft, struct config_flags *ret,
                        struct config_report *report);
/* Sets what was found. */
void config_flags_apply(const struct config_flags *flags, struct config_draft *draft,
                        struct config_report *report);
void config_flags_release(struct config_flags *flags);

/* --- The environment (config_env.c) --- */

/* NULL: not set or empty. */
const char *config_env_get(char **environment, const char *name);
void config_env_apply(char **environment, struct config_draft *draft, struct config_report *report);

/* --- The file (config_file.c) --- */

#define CONFIG_FILE_MAX_BYTES (1u << 20)
/* Reads the YAML file. */
void config_file_apply(const char *path, struct config_draft *draft, struct config_report *report);
/* The same from memory; `path` is for the places only. */
void config_file_parse(const char *path, cvn_slice text, struct config_draft *draft,
                       struct config_report *report);
/* All of a file of at most `max` bytes, with a NUL behind them, to be wiped and freed; NULL with a reason. */
char *config_file_read(const char *path, size_t max, size_t *ret_size, const char **ret_reason);

/* --- After all of them --- */

/* Secrets whose *_file is set are read from there (config_secrets.c). */
void config_secrets_apply(struct config_draft *draft, struct config_report *report);
/* What no row can say alone (config_check.c). */
void config_check(const struct config_draft *draft, struct config_report *report);
/* Fills what depends on other values, before the check: the address with --dev. */
void config_check_complete(struct config_draft *draft);

/* --- What is printed --- */

void config_help_print(FILE *out); /* --help */
void config_help_print_effective(FILE *out, const struct config_draft *draft);
void config_man_print(FILE *out);  /* convened(8), for man */
void config_docs_print(FILE *out); /* docs/configuration.md */

/* What a value of the row looks like, in words: "1 to 128", "100ms to 1h", "debug, info, warn or error". */
void config_help_describe(const struct config_row *row, char *ret, size_t size);
/* The default in words. */
void config_help_fallback(const struct config_row *row, char *ret, size_t size);
/* The unit of an alias's bare number; NULL: none is needed. */
const char *config_help_unit(enum config_unit unit);

#endif
