/*
 * A configuration that is being put together, and what is remembered of it: which source each value came from, and the arguments, so that it can
 * be read again. `config` comes first: what users hold is a pointer to it.
 */
#ifndef CONFIG_CONFIG_DRAFT_H
#define CONFIG_CONFIG_DRAFT_H

#include "config/config_report.h"
#include "config/config_values.h"

/* In the order of their weight. */
enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG
};

/* Where a value came from: "FILE:LINE:COLUMN", a variable, a flag. */
struct config_place {
    enum config_source source;
    const char *text; /* NULL: the default */
};

enum config_action {
    CONFIG_ACTION_RUN,
    CONFIG_ACTION_CHECK, /* --check-config */
    CONFIG_ACTION_PRINT, /* --print-config */
    CONFIG_ACTION_HELP,
    CONFIG_ACTION_VERSION,
    CONFIG_ACTION_MAN,
    CONFIG_ACTION_DOCS
};

struct config_draft {
    struct config config;
    struct config_memory memory;
    struct config_place places[CONFIG_TABLE_MAX_ROWS]; /* by the rows' numbers */
    enum config_action action;
    const char *file; /* that was read; NULL: none */
    int argc;
    char **argv; /* a copy, that nobody reorders */
};

/* The sources. Tests have their own. */
struct config_input {
    int argc;
    char **argv;
    char **environment; /* "NAME=value", ends with NULL */
    const char *default_file;
};

/* Reads all sources and checks the result. NULL when memory has run out, which the report says; else a draft that is good only when
 * the report has no errors. */
struct config_draft *config_draft_new(const struct config_input *input,
                                      struct config_report *report);
void config_draft_free(struct config_draft *draft);

/* Takes one value over and remembers its place; or says to the report what is wrong with it. */
void config_draft_set(struct config_draft *draft, const struct config_row *row, const char *text,
                      enum config_unit unit, enum config_source source, const char *place,
                      struct config_report *report);
/* The same with the items of a list or map. */
void config_draft_set_items(struct config_draft *draft, const struct config_row *row,
                            const char *const *items, size_t count, enum config_source source,
                            const char *place, struct config_report *report);
const struct config_place *config_draft_place(const struct config_draft *draft,
                                              const struct config_row *row);
/* Rows that are not reloadable and differ from `old` keep its value; each is named to the report. */
bool config_draft_keep(struct config_draft *draft, const struct config_draft *old,
                       struct config_report *report);

#endif
