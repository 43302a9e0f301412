/*
 * The arguments, by getopt_long over names that come from the table. What getopt would print is said to the report instead, with the name that
 * was probably meant; abbreviations are refused, because what is unambiguous today need not be with the next setting. Main thread.
 */
#include "config/config_similar.h"
#include "config/config_sources.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row has at most two names, a switch each of them with "no-", too. */
#define MAX_NAMES (CONFIG_TABLE_MAX_ROWS * 4 + 16)

struct name {
    char text[CONFIG_NAME_SIZE];
    const struct config_row *row; /* NULL: no setting */
    enum config_action action;
    bool is_no;
};

struct names {
    struct name names[MAX_NAMES];
    struct option options[MAX_NAMES + 1];
    size_t count;
};

static const struct {
    const char *name;
    enum config_action action;
} actions[] = {{"check-config", CONFIG_ACTION_CHECK},
               {"print-config", CONFIG_ACTION_PRINT},
               {"print-config-docs", CONFIG_ACTION_DOCS},
               {"print-man", CONFIG_ACTION_MAN},
               {"help", CONFIG_ACTION_HELP},
               {"version", CONFIG_ACTION_VERSION}};

static void add_name(struct names *names, struct name name, int has_argument)
{
    size_t at = names->count++;
    names->names[at] = name;
    /* getopt's value is the place in the list, so that an option's row is found again. */
    names->options[at] = (struct option){names->names[at].text, has_argument, NULL, (int)at + 256};
}

static void add_row_name(struct names *names, const struct config_row *row, const char *text)
{
    struct name name = {.row = row};
    snprintf(name.text, sizeof name.text, "%s", text);
    add_name(names, name, row->type == CONFIG_BOOL ? optional_argument : required_argument);
    if (row->type != CONFIG_BOOL)
        return;
    snprintf(name.text, sizeof name.text, "no-%.50s", text);
    name.is_no = true;
    add_name(names, name, no_argument);
}

static void collect_names(struct names *names)
{
    struct name config = {.text = "config"};
    add_name(names, config, required_argument);
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        struct name name = {.action = actions[i].action};
        snprintf(name.text, sizeof name.text, "%s", actions[i].name);
        add_name(names, name, no_argument);
    }
    for (size_t i = 0; i < config_table_count; i++) {
        const struct config_row *row = &config_table_rows[i];
        char text[CONFIG_NAME_SIZE];
        config_table_flag(row, text);
        if (row->flag != NULL)
            add_row_name(names, row, row->flag);
        if (row->flag == NULL || strcmp(row->flag, text) != 0)
            add_row_name(names, row, text);
    }
}

static void report_unknown(const struct names *names, const char *argument,
                           struct config_report *report)
{
    char wrong[CONFIG_NAME_SIZE];
    struct config_similar similar;
    snprintf(wrong, sizeof wrong, "%.*s", (int)strcspn(argument, "="), argument);
    config_similar_init(&similar, strncmp(wrong, "--", 2) == 0 ? wrong + 2 : wrong);
    for (size_t i = 0; i < names->count; i++)
        config_similar_try(&similar, names->names[i].text);
    const char *best = config_similar_best(&similar);
    if (best != NULL)
        config_report_error(report, wrong, "is no option; did you mean --%s?", best);
    else
        config_report_error(report, wrong, "is no option; see convened --help");
}

/* The argument that getopt has just read: with a value of its own it is the one before. */
static const char *current_argument(char **argv)
{
    return argv[optarg != NULL && optarg == argv[optind - 1] ? optind - 2 : optind - 1];
}

static bool is_whole(const struct name *name, const char *argument)
{
    size_t length = strlen(name->text);
    return strncmp(argument, "--", 2) == 0 && strncmp(argument + 2, name->text, length) == 0 &&
           (argument[2 + length] == '\0' || argument[2 + length] == '=');
}

static void take(struct config_flags *flags, const struct name *name)
{
    if (name->row != NULL) {
        struct config_flag_use *use = &flags->uses[flags->count++];
        use->row = name->row;
        use->value = name->is_no ? "false" : optarg != NULL ? optarg : "true";
        snprintf(use->place, sizeof use->place, "--%.60s", name->text);
    } else if (name->action != CONFIG_ACTION_RUN) {
        if (flags->action < name->action)
            flags->action = name->action;
    } else {
        flags->file = optarg;
    }
}

/* getopt reorders what it is given. */
static void scan(int argc, char **argv, const struct names *names, struct config_flags *flags,
                 struct config_report *report)
{
    int option;
    opterr = 0;
    optind = 0; /* begins anew, glibc's way */
    while ((option = getopt_long(argc, argv, ":", names->options, NULL)) != -1) {
        const char *argument = current_argument(argv);
        const struct name *name = option >= 256 ? &names->names[option - 256] : NULL;
        if (name != NULL && is_whole(name, argument)) {
            take(flags, name);
        } else if (option == ':') {
            config_report_error(report, argument, "needs a value");
        } else if (option == '?' && optopt >= 256) {
            config_report_error(report, NULL, "--%s: takes no value",
                                names->names[optopt - 256].text);
        } else if (option == '?' && optopt > 0) {
            char wrong[] = {'-', (char)optopt, '\0'};
            report_unknown(names, wrong, report);
        } else {
            report_unknown(names, argument, report);
        }
    }
    for (int i = optind; i < argc; i++)
        config_report_error(report, argv[i], "is no option; see convened --help");
}

bool config_flags_parse(struct config_draft *draft, struct config_flags *ret,
                        struct config_report *report)
{
    size_t argc = (size_t)draft->argc;
    struct names *names = calloc(1, sizeof *names);
    char **argv = calloc(argc + 1, sizeof *argv);
    struct config_flag_use *uses = calloc(argc + 1, sizeof *uses);
    bool done = names != NULL && argv != NULL && uses != NULL;
    if (done) {
        memcpy(argv, draft->argv, argc * sizeof *argv);
        collect_names(names);
        *ret = (struct config_flags){.uses = uses};
        uses = NULL;
        scan((int)argc, argv, names, ret, report);
    }
    free(uses);
    free(argv);
    free(names);
    return done;
}

static bool is_list(const struct config_row *row)
{
    return row->type == CONFIG_LIST || row->type == CONFIG_CLASSES;
}

/* A list's flag that is given often adds up: all its uses are one text with commas. */
static char *join(const struct config_flags *flags, size_t first)
{
    const struct config_row *row = flags->uses[first].row;
    size_t size = 1;
    for (size_t i = first; i < flags->count; i++)
        if (flags->uses[i].row == row)
            size += strlen(flags->uses[i].value) + 1;
    char *text = calloc(1, size);
    for (size_t i = first, used = 0; text != NULL && i < flags->count; i++)
        if (flags->uses[i].row == row)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? "," : "",
                                     flags->uses[i].value);
    return text;
}

static bool is_first(const struct config_flags *flags, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (flags->uses[i].row == flags->uses[at].row)
            return false;
    return true;
}

void config_flags_apply(const struct config_flags *flags, struct config_draft *draft,
                        struct config_report *report)
{
    for (size_t i = 0; i < flags->count; i++) {
        const struct config_flag_use *use = &flags->uses[i];
        if (!is_list(use->row)) {
            config_draft_set(draft, use->row, use->value, CONFIG_NO_UNIT, CONFIG_FROM_FLAG,
                             use->place, report);
        } else if (is_first(flags, i)) {
            char *text = join(flags, i);
            if (text == NULL)
                config_report_error(report, use->place, "out of memory");
            else
                config_draft_set(draft, use->row, text, CONFIG_NO_UNIT, CONFIG_FROM_FLAG,
                                 use->place, report);
            free(text);
        }
        if (use->row->flags & CONFIG_SECRET)
            config_report_warning(report, use->place,
                                  "everybody on this machine can read it: use %s_FILE or the file",
                                  use->row->key);
    }
}

void config_flags_release(struct config_flags *flags)
{
    free(flags->uses);
    *flags = (struct config_flags){0};
}
