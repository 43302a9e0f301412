/* Prints the manual page convened(8) in the man macros, made by the build. Main thread. */
#include "config/config_sources.h"
#include <string.h>

#ifndef CONVENE_VERSION
#define CONVENE_VERSION "unknown"
#endif

#define ALIASES (sizeof((struct config_row *)0)->aliases / sizeof(struct config_alias))

/* Text as it is to be seen: hyphens are hyphens to copy, and no line is a request by accident. */
static void print_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '\'')
            fputs("\\(aq", out);
        else if (*text == '.' && text[1] == '.')
            fputs("\\&.", out);
        else
            fputc(*text, out);
}

static void print_paragraph(FILE *out, const char *text)
{
    fputs(".PP\n", out);
    print_text(out, text);
    fputc('\n', out);
}

static void print_tag(FILE *out, const char *tag, const char *value)
{
    fputs(".TP\n.B ", out);
    print_text(out, tag);
    if (value != NULL) {
        fputs(" \\fI", out);
        print_text(out, value);
        fputs("\\fP", out);
    }
    fputc('\n', out);
}

static void print_item(FILE *out, const char *tag, const char *value, const char *text)
{
    print_tag(out, tag, value);
    print_text(out, text);
    fputc('\n', out);
}

static void print_flags(FILE *out, const struct config_row *row)
{
    char flag[CONFIG_NAME_SIZE], tag[CONFIG_NAME_SIZE * 3];
    const char *no = row->type == CONFIG_BOOL ? "[no-]" : "";
    config_table_flag(row, flag);
    if (row->flag != NULL && strcmp(row->flag, flag) != 0)
        snprintf(tag, sizeof tag, "--%s%s, --%s%s", no, row->flag, no, flag);
    else
        snprintf(tag, sizeof tag, "--%s%s", no, flag);
    print_tag(out, tag, row->value);
}

static void print_row(FILE *out, const struct config_row *row)
{
    char value[160], fallback[160];
    config_help_describe(row, value, sizeof value);
    config_help_fallback(row, fallback, sizeof fallback);
    print_flags(out, row);
    print_text(out, row->help);
    fputs(".\nDefault: ", out);
    print_text(out, fallback);
    if (row->type != CONFIG_BOOL && row->type != CONFIG_STRING && row->type != CONFIG_LIST) {
        fputs("; ", out);
        print_text(out, value);
    }
    fputs(".\n", out);
    if (row->flags & CONFIG_RELOADABLE)
        fputs("Taken over on reload.\n", out);
    for (size_t i = 0; i < ALIASES && row->aliases[i].name != NULL; i++) {
        const char *unit = config_help_unit(row->aliases[i].unit);
        fputs(i == 0 ? "Also\n.B " : "and\n.B ", out);
        print_text(out, row->aliases[i].name);
        fputc('\n', out);
        if (unit != NULL)
            fprintf(out, "(%s)\n", unit);
    }
}

static void print_options(FILE *out)
{
    fputs(".SH OPTIONS\n", out);
    print_item(out, "--config", "FILE", "The file to read.");
    print_item(out, "--check-config", NULL,
               "Read all settings, say what is wrong and where, and end with 0 or 2.");
    print_item(out, "--print-config", NULL,
               "Print what is in force and where each value comes from; secrets are left out.");
    print_item(out, "--print-config-docs", NULL, "Print the documentation of all settings.");
    print_item(out, "--print-man", NULL, "Print this page.");
    print_item(out, "--help", NULL, "Print the options.");
    print_item(out, "--version", NULL, "Print the version.");
    for (size_t i = 0; i < config_table_section_count; i++) {
        const struct config_section *section = &config_table_sections[i];
        fputs(".SS ", out);
        print_text(out, section->help);
        fputc('\n', out);
        for (size_t j = 0; j < config_table_count; j++)
            if (config_table_is_in(&config_table_rows[j], section))
                print_row(out, &config_table_rows[j]);
    }
}

void config_man_print(FILE *out)
{
    fputs(".\\\" Made by convened --print-man.\n"
          ".TH CONVENED 8 \"\" \"Convene " CONVENE_VERSION "\" \"System Administration\"\n"
          ".SH NAME\n"
          "convened \\- Socket.IO server for real\\-time collaboration\n"
          ".SH SYNOPSIS\n"
          ".B convened\n"
          "[\\fIoption\\fP ...]\n"
          ".SH DESCRIPTION\n",
          out);
    print_text(
        out, "convened serves Socket.IO clients over WebSocket and long polling: rooms, presence, "
             "messages and shared work, with tokens for authentication.\n");
    print_paragraph(
        out, "Each setting has one name, written in three ways: port in the section server of "
             "the file, CONVENE_SERVER_PORT in the environment, --server-port among the "
             "arguments. Arguments outweigh the environment, the environment the file.");
    print_paragraph(
        out, "Times are written like 500ms, 25s, 10min, 2h or 1d, sizes like 64kB, 1MB or "
             "16MiB, rates like 10/min, 5/s or off. Lists have commas between their entries, and "
             "their options may be given often. A switch is turned on by --x and off by --no-x.");
    print_options(out);
    fputs(".SH SIGNALS\n", out);
    print_item(out, "SIGHUP", NULL,
               "Read file, environment and the original arguments again, and take over what can be "
               "taken over.");
    print_item(
        out, "SIGTERM, SIGINT", NULL,
        "Stop in order: tell the clients, write everything down, end. A second one stops at once.");
    fputs(".SH EXIT STATUS\n", out);
    print_item(out, "0", NULL,
               "The server has stopped in order, or what was asked for was printed.");
    print_item(out, "1", NULL, "The server could not run: the port is taken, for example.");
    print_item(out, "2", NULL, "Something is wrong with the settings.");
    fputs(".SH FILES\n", out);
    print_item(
        out, "/etc/convene/convened.yaml", NULL,
        "The file that is read when neither --config nor CONVENE_CONFIG names another; not with "
        "--dev.");
    fputs(".SH ENVIRONMENT\n", out);
    print_item(out, "CONVENE_CONFIG", NULL, "The file to read.");
    print_item(out, "CONVENE_RATE_CLASS", NULL,
               "The rate of one class, as CONVENE_RATE_MESSAGE=20/min.");
    fputs(".PP\nAll settings, as above.\n", out);
}
