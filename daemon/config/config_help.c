/* What is printed for people at a terminal: --help, and --print-config, whose output is a file that may be used as it is. Main thread. */
#include "config/config_sources.h"
#include <string.h>

#define WIDTH  96
#define COLUMN 34 /* where the words of an option begin */

/* Words from `column` on, broken before WIDTH; `used` columns of the first line are taken. */
static void print_wrapped(FILE *out, const char *text, size_t used, size_t column)
{
    if (used >= column) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", (int)(column - used), "");
    used = column;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (used > column && used + 1 + word > WIDTH) {
            fprintf(out, "\n%*s", (int)column, "");
            used = column;
        } else if (used > column) {
            fputc(' ', out);
            used++;
        }
        fwrite(text, 1, word, out);
        used += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const char *flag, const char *value, const char *words)
{
    char head[96];
    int length = snprintf(head, sizeof head, "  --%s%s%s", flag, value != NULL ? " " : "",
                          value != NULL ? value : "");
    fputs(head, out);
    print_wrapped(out, words, (size_t)length + 1, COLUMN);
}

void config_help_fallback(const struct config_row *row, char *ret, size_t size)
{
    const char *fallback = row->fallback_words != NULL ? row->fallback_words : row->fallback;
    if (row->type == CONFIG_BOOL)
        fallback = strcmp(row->fallback, "true") == 0 ? "on" : "off";
    snprintf(ret, size, "%s", fallback != NULL ? fallback : "not set");
}

const char *config_help_unit(enum config_unit unit)
{
    switch (unit) {
    case CONFIG_UNIT_MS:
        return "milliseconds";
    case CONFIG_UNIT_S:
        return "seconds";
    case CONFIG_UNIT_PER_MINUTE:
        return "per minute";
    default:
        return NULL;
    }
}

static void describe_words(FILE *out, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++)
        fprintf(out, "%s%s", i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ", words[i]);
}

static void describe(FILE *out, const struct config_row *row)
{
    switch (row->type) {
    case CONFIG_BOOL:
        fputs("true or false", out);
        return;
    case CONFIG_WORD:
        describe_words(out, row->words);
        return;
    case CONFIG_STRING:
        fprintf(out, "%s", row->value);
        return;
    case CONFIG_LIST:
        fprintf(out, "list of %s", row->value);
        return;
    case CONFIG_RATE:
        fputs("rate or off", out);
        return;
    case CONFIG_CLASSES:
        fputs("map of rates", out);
        return;
    default:
        config_values_print_number(out, row, row->min);
        fputs((row->flags & CONFIG_OFF) && row->min > 0 ? " (or off) to " : " to ", out);
        config_values_print_number(out, row, row->max);
        return;
    }
}

void config_help_describe(const struct config_row *row, char *ret, size_t size)
{
    FILE *out = fmemopen(ret, size, "w");
    ret[0] = '\0';
    if (out == NULL)
        return;
    describe(out, row);
    fclose(out);
    ret[size - 1] = '\0';
}

static void print_row(FILE *out, const struct config_row *row)
{
    char flag[CONFIG_NAME_SIZE], name[CONFIG_NAME_SIZE + 8], words[700], fallback[160];
    char choice[160] = "";
    bool is_switch = row->type == CONFIG_BOOL;
    bool is_on = is_switch && strcmp(row->fallback, "true") == 0;
    config_help_fallback(row, fallback, sizeof fallback);
    if (row->flag != NULL)
        snprintf(flag, sizeof flag, "%s", row->flag);
    else
        config_table_flag(row, flag);
    /* A switch that is on is listed with the flag that changes something. */
    snprintf(name, sizeof name, "%s%s", is_on ? "[no-]" : "", flag);
    if (row->words != NULL)
        config_help_describe(row, choice, sizeof choice);
    bool says_default = row->fallback_words != NULL || (row->fallback != NULL && !is_switch);
    snprintf(words, sizeof words, "%s%s%s%s%s%s", row->help, choice[0] != '\0' ? ": " : "", choice,
             says_default || is_on ? " (default " : "", says_default || is_on ? fallback : "",
             says_default || is_on ? ")" : "");
    print_option(out, name, row->value, words);
}

void config_help_print(FILE *out)
{
    fputs(
        "convened, a Socket.IO server for real-time collaboration\n\n"
        "usage: convened [options]\n\n"
        "Every option is also a setting of the file, and a variable: --server-port is port in the "
        "section\nserver, and CONVENE_SERVER_PORT. Flags outweigh variables, variables the file. "
        "Times are written\n500ms, 25s, 10min, 2h or 1d; sizes 64kB, 1MB or 16MiB; rates 10/min, "
        "5/s or off. A switch x is\nturned on by --x and off by --no-x; an option of a list may "
        "be given often.\n\n",
        out);
    print_option(out, "config", "FILE",
                 "the file to read; else CONVENE_CONFIG, or /etc/convene/convened.yaml when it is "
                 "there");
    print_option(out, "check-config", NULL, "check everything, say what is wrong, and end");
    print_option(out, "print-config", NULL, "print what is in force and where it comes from");
    print_option(out, "print-config-docs", NULL, "print the documentation of all settings");
    print_option(out, "print-man", NULL, "print the manual page");
    print_option(
        out, "print-asyncapi", NULL,
        "print all events as an AsyncAPI document; with other settings, those that they leave");
    print_option(out, "help", NULL, "this text");
    print_option(out, "version", NULL, "the version");
    for (size_t i = 0; i < config_table_section_count; i++) {
        const struct config_section *section = &config_table_sections[i];
        fprintf(out, "\n%s\n", section->help);
        for (size_t j = 0; j < config_table_count; j++)
            if (config_table_is_in(&config_table_rows[j], section))
                print_row(out, &config_table_rows[j]);
    }
}

static void print_setting(FILE *out, const struct config_row *row, const struct config_draft *draft,
                          const char *indent)
{
    const struct config_place *place = config_draft_place(draft, row);
    const char *where = place->text != NULL ? place->text : "default";
    const char *kind = place->source == CONFIG_FROM_ENVIRONMENT ? "environment " : "";
    const char *name = config_table_name(row);
    if (row->flags & CONFIG_NOT_IN_FILE) {
        fprintf(out, "%s# %s: ", indent, name);
        config_values_print(out, row, &draft->config);
    } else if (!config_values_is_set(row, &draft->config)) {
        /* What has a default is not set only because it was said so. */
        fprintf(out, row->fallback != NULL ? "%s%s: null" : "%s# %s: is not set", indent, name);
    } else if (row->flags & CONFIG_SECRET) {
        fprintf(out, "%s# %s: is set, but not shown", indent, name);
    } else {
        fprintf(out, "%s%s: ", indent, name);
        config_values_print(out, row, &draft->config);
    }
    fprintf(out, "  # %s%s\n", kind, where);
}

static bool is_section_header_wanted(const struct config_section *section)
{
    return section->name[0] != '\0' && strcmp(section->name, "rate") != 0;
}

void config_help_print_effective(FILE *out, const struct config_draft *draft)
{
    for (size_t i = 0; i < config_table_section_count; i++) {
        const struct config_section *section = &config_table_sections[i];
        bool header = is_section_header_wanted(section);
        fputs(i > 0 ? "\n" : "", out);
        if (header)
            fprintf(out, "%s:\n", section->name);
        for (size_t j = 0; j < config_table_count; j++)
            if (config_table_is_in(&config_table_rows[j], section))
                print_setting(out, &config_table_rows[j], draft, header ? "  " : "");
    }
}
