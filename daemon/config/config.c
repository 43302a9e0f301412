/* What the daemon calls: loads a configuration from the process's own arguments and environment, answers what asks for words only, and loads it again on
 * SIGHUP. Main thread. */
#include "config/config_draft.h"
#include "config/config_sources.h"
#include <stdlib.h>
#include <unistd.h>

#ifndef CONVENE_VERSION
#define CONVENE_VERSION "unknown"
#endif

#define DEFAULT_FILE "/etc/convene/convened.yaml"

static const struct config_draft *draft_of(const struct config *config)
{
    return (const struct config_draft *)(const void *)config; /* its first member */
}

static void print_report(const struct config_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        fprintf(stderr, "convened: %s%s\n",
                report->is_error[i] ? "" : "warning: ", report->lines[i]);
    if (report->left_out > 0)
        fprintf(stderr, "convened: and %zu more\n", report->left_out);
}

static void print_good(const struct config_draft *draft)
{
    if (draft->file != NULL)
        printf("the configuration is good (file %s, environment and arguments)\n", draft->file);
    else
        printf("the configuration is good (no file; environment and arguments)\n");
}

/* What asks for words only, and stands above all errors. */
static bool answer(enum config_action action)
{
    switch (action) {
    case CONFIG_ACTION_HELP:
        config_help_print(stdout);
        return true;
    case CONFIG_ACTION_VERSION:
        printf("convened %s\n", CONVENE_VERSION);
        return true;
    case CONFIG_ACTION_MAN:
        config_man_print(stdout);
        return true;
    case CONFIG_ACTION_DOCS:
        config_docs_print(stdout);
        return true;
    default:
        return false;
    }
}

/* What is left to do with a draft that has no errors. */
static enum config_result finish(const struct config_draft *draft)
{
    if (draft->action == CONFIG_ACTION_CHECK)
        print_good(draft);
    else if (draft->action == CONFIG_ACTION_PRINT)
        config_help_print_effective(stdout, draft);
    return draft->action == CONFIG_ACTION_RUN ? CONFIG_RUN : CONFIG_DONE;
}

enum config_result config_load(const struct config **ret, int argc, char **argv)
{
    const struct config_input input = {argc, argv, environ, DEFAULT_FILE};
    struct config_report report = {0};
    enum config_result result = CONFIG_WRONG;
    struct config_draft *draft = config_draft_new(&input, &report);
    if (draft != NULL && answer(draft->action)) {
        result = CONFIG_DONE;
    } else {
        print_report(&report);
        if (draft != NULL && report.errors == 0)
            result = finish(draft);
    }
    if (result == CONFIG_RUN)
        *ret = &draft->config;
    else
        config_draft_free(draft);
    config_report_release(&report);
    return result;
}

static void say_report(const struct config_report *report, config_say_fn say, void *data)
{
    for (size_t i = 0; i < report->count; i++)
        say(report->is_error[i] ? CONFIG_LOG_ERROR : CONFIG_LOG_WARN, report->lines[i], data);
    if (report->left_out > 0)
        say(CONFIG_LOG_WARN, "there were more errors and warnings in the configuration", data);
}

/* A draft whose kept values and new ones do not fit together is as wrong as one that does not fit in itself. */
static bool keep_and_check(struct config_draft *draft, const struct config_draft *old,
                           struct config_report *report)
{
    struct config_report again = {0};
    if (!config_draft_keep(draft, old, report))
        return false;
    config_check(draft, &again);
    for (size_t i = 0; i < again.count; i++)
        if (again.is_error[i])
            config_report_error(report, NULL, "%s (until the next start)", again.lines[i]);
    config_report_release(&again);
    return report->errors == 0;
}

const struct config *config_reload(const struct config *old, config_say_fn say, void *data)
{
    const struct config_draft *before = draft_of(old);
    const struct config_input input = {before->argc, before->argv, environ, DEFAULT_FILE};
    struct config_report report = {0};
    struct config_draft *draft = config_draft_new(&input, &report);
    if (draft != NULL && (report.errors > 0 || !keep_and_check(draft, before, &report))) {
        config_draft_free(draft);
        draft = NULL;
    }
    say_report(&report, say, data);
    config_report_release(&report);
    return draft != NULL ? &draft->config : NULL;
}

void config_free(const struct config *config)
{
    if (config != NULL)
        config_draft_free((struct config_draft *)(void *)config);
}
