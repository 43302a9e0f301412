/*
 * Puts a configuration together: defaults, file, environment, arguments, then the files of secrets, then the check. Every source is read to its end
 * even when an earlier one was wrong, so that an operator learns of all mistakes at once. Main thread.
 */
#include "config/config_draft.h"
#include "config/config_sources.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool set_place(struct config_draft *draft, const struct config_row *row,
                      enum config_source source, const char *place, struct config_report *report)
{
    struct config_place *remembered = &draft->places[config_table_index(row)];
    char *copy = NULL;
    if (place != NULL) {
        copy = config_memory_copy(&draft->memory, place, strlen(place));
        if (copy == NULL) {
            config_report_error(report, place, "out of memory");
            return false;
        }
    }
    *remembered = (struct config_place){source, copy};
    return true;
}

/* The file's places do not name the row, flags and variables do. */
static void report_reason(const struct config_row *row, enum config_source source,
                          const char *place, const struct config_reason *reason,
                          struct config_report *report)
{
    if (source == CONFIG_FROM_FILE || place == NULL)
        config_report_error(report, place, "%s: %s", row->key, reason->text);
    else
        config_report_error(report, place, "%s", reason->text);
}

void config_draft_set(struct config_draft *draft, const struct config_row *row, const char *text,
                      enum config_unit unit, enum config_source source, const char *place,
                      struct config_report *report)
{
    struct config_target target = {&draft->config, &draft->memory};
    struct config_reason reason;
    if (config_values_set(&target, row, text, unit, &reason))
        set_place(draft, row, source, place, report);
    else
        report_reason(row, source, place, &reason, report);
}

void config_draft_set_items(struct config_draft *draft, const struct config_row *row,
                            const char *const *items, size_t count, enum config_source source,
                            const char *place, struct config_report *report)
{
    struct config_target target = {&draft->config, &draft->memory};
    struct config_reason reason;
    if (config_values_set_items(&target, row, items, count, false, &reason))
        set_place(draft, row, source, place, report);
    else
        report_reason(row, source, place, &reason, report);
}

const struct config_place *config_draft_place(const struct config_draft *draft,
                                              const struct config_row *row)
{
    return &draft->places[config_table_index(row)];
}

static void set_defaults(struct config_draft *draft, struct config_report *report)
{
    for (size_t i = 0; i < config_table_count; i++)
        if (config_table_rows[i].fallback != NULL)
            config_draft_set(draft, &config_table_rows[i], config_table_rows[i].fallback,
                             CONFIG_NO_UNIT, CONFIG_FROM_DEFAULT, NULL, report);
}

static bool copy_arguments(struct config_draft *draft, int argc, char **argv)
{
    draft->argv = config_memory_take(&draft->memory, ((size_t)argc + 1) * sizeof *draft->argv);
    for (int i = 0; draft->argv != NULL && i < argc; i++) {
        draft->argv[i] = config_memory_copy(&draft->memory, argv[i], strlen(argv[i]));
        if (draft->argv[i] == NULL)
            return false;
    }
    draft->argc = argc;
    return draft->argv != NULL;
}

/* Whether --dev (or its variable) is in force, which decides on the default file before anything is set. */
static bool wants_dev(const struct config_flags *flags, char **environment)
{
    struct config config = {0};
    struct config_memory memory = {NULL};
    struct config_target target = {&config, &memory};
    struct config_reason reason;
    const struct config_row *row = config_table_find("dev");
    const char *text = config_env_get(environment, "CONVENE_DEV");
    bool known = text != NULL && config_values_set(&target, row, text, CONFIG_NO_UNIT, &reason);
    for (size_t i = 0; i < flags->count; i++)
        if (flags->uses[i].row == row)
            known |= config_values_set(&target, row, flags->uses[i].value, CONFIG_NO_UNIT, &reason);
    return known && config.dev;
}

/* The file to read, or NULL; a file that was named has to be there, the default one need not. */
static const char *choose_file(const struct config_input *input, const struct config_flags *flags)
{
    const char *named = config_env_get(input->environment, "CONVENE_CONFIG");
    if (flags->file != NULL)
        return flags->file;
    if (named != NULL)
        return named;
    return input->default_file != NULL && !wants_dev(flags, input->environment) &&
                   access(input->default_file, F_OK) == 0
               ? input->default_file
               : NULL;
}

static void read_sources(struct config_draft *draft, const struct config_input *input,
                         const struct config_flags *flags, struct config_report *report)
{
    const char *file = choose_file(input, flags);
    set_defaults(draft, report);
    if (file != NULL) {
        draft->file = config_memory_copy(&draft->memory, file, strlen(file));
        config_file_apply(file, draft, report);
    }
    config_env_apply(input->environment, draft, report);
    config_flags_apply(flags, draft, report);
    config_secrets_apply(draft, report);
    config_check_complete(draft);
    config_check(draft, report);
}

struct config_draft *config_draft_new(const struct config_input *input,
                                      struct config_report *report)
{
    struct config_flags flags = {0};
    struct config_draft *draft = calloc(1, sizeof *draft);
    if (draft == NULL || !copy_arguments(draft, input->argc, input->argv) ||
        !config_flags_parse(draft, &flags, report)) {
        config_report_error(report, NULL, "out of memory");
        config_flags_release(&flags);
        config_draft_free(draft);
        return NULL;
    }
    draft->action = flags.action;
    if (draft->action <= CONFIG_ACTION_PRINT)
        read_sources(draft, input, &flags, report);
    config_flags_release(&flags);
    return draft;
}

void config_draft_free(struct config_draft *draft)
{
    if (draft == NULL)
        return;
    config_memory_release(&draft->memory);
    free(draft);
}

static void say_kept(const struct config_row *row, const struct config_draft *draft,
                     const struct config_draft *old, struct config_report *report)
{
    const struct config_place *place = config_draft_place(draft, row);
    char values[2][200] = {"", ""};
    const struct config_draft *drafts[2] = {draft, old};
    for (int i = 0; i < 2 && !(row->flags & CONFIG_SECRET); i++) {
        FILE *out = fmemopen(values[i], sizeof values[i], "w");
        if (out != NULL) {
            config_values_print(out, row, &drafts[i]->config);
            fclose(out);
        }
    }
    if (row->flags & CONFIG_SECRET)
        config_report_warning(report, place->text, "%s: is taken over at the next start only",
                              row->key);
    else
        config_report_warning(report, place->text,
                              "%s: %s is taken over at the next start only, %s stays", row->key,
                              values[0], values[1]);
}

bool config_draft_keep(struct config_draft *draft, const struct config_draft *old,
                       struct config_report *report)
{
    struct config_target target = {&draft->config, &draft->memory};
    for (size_t i = 0; i < config_table_count; i++) {
        const struct config_row *row = &config_table_rows[i];
        if ((row->flags & CONFIG_RELOADABLE) ||
            config_values_equal(row, &draft->config, &old->config))
            continue;
        say_kept(row, draft, old, report);
        if (!config_values_copy(&target, row, &old->config) ||
            !set_place(draft, row, old->places[i].source, old->places[i].text, report)) {
            config_report_error(report, NULL, "out of memory");
            return false;
        }
    }
    return true;
}
