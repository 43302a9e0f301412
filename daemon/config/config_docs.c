/* Prints docs/configuration.md: tools/check-config-docs compares it with what is committed. Main thread. */
#include "config/config_sources.h"
#include <string.h>

#define ALIASES (sizeof((struct config_row *)0)->aliases / sizeof(struct config_alias))

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "Everything that can be set of `convened`. This page is printed by `convened "
    "--print-config-docs`, out of the table\n"
    "that also reads the settings (`daemon/config/config_table.c`); the manual page "
    "`convened(8)` and `--help` are, too.\n"
    "\n"
    "## Three sources\n"
    "\n"
    "A setting has one name, written in three ways:\n"
    "\n"
    "| where | how | weight |\n"
    "|---|---|---|\n"
    "| file | `port: 3000` in the section `server:` | least |\n"
    "| environment | `CONVENE_SERVER_PORT=3000`; an empty variable is as good as none | more |\n"
    "| argument | `--server-port 3000` or `--server-port=3000` | most |\n"
    "\n"
    "Some have a shorter flag or a variable's name of old besides; these are listed below. Of "
    "several "
    "variables for one\n"
    "setting the first counts, `CONVENE_...` before the others.\n"
    "\n"
    "The file is YAML: that of `--config FILE`, else of the variable `CONVENE_CONFIG`, else "
    "`/etc/convene/convened.yaml` when it is\n"
    "there (and not with `--dev`). A setting that is not known is an error, as is one that is "
    "there "
    "twice; anchors, aliases, tags\n"
    "and more than one document are refused. At most 1 MiB is read.\n"
    "\n"
    "```yaml\n"
    "server:\n"
    "  port: 443\n"
    "  tls_cert: /etc/convene/cert.pem\n"
    "  tls_key: /etc/convene/key.pem\n"
    "  origins: [https://app.example, \"https://*.app.example\"]\n"
    "auth:\n"
    "  jwks_url: https://project.supabase.co/auth/v1/.well-known/jwks.json\n"
    "  audience: [authenticated]\n"
    "limits:\n"
    "  max_connections: 20000\n"
    "rate:\n"
    "  message: 20/min\n"
    "```\n"
    "\n"
    "`convened --check-config` reads all three sources, says everything that is wrong with its "
    "place "
    "(file, line and column; variable;\n"
    "flag) and ends with 0 or 2. `convened --print-config` prints what is in force and where each "
    "value "
    "comes from, as a file that could be\n"
    "used; secrets are left out.\n"
    "\n"
    "## Values\n"
    "\n"
    "- A **time** has a unit: `500ms`, `25s`, `10min`, `2h`, `1d`, `1.5h`. Only the variables of "
    "old take "
    "a number without one, in the unit\n"
    "  that is said with their name; a unit that is written always counts.\n"
    "- A **size** is a number of bytes or has a unit: `64kB`, `1MB` (thousands), `64KiB`, `16MiB` "
    "(powers of "
    "two).\n"
    "- A **rate** is so many in so much time: `10/min`, `5/s`, `1000/h`, `20/10s`; `off` is no "
    "limit. That "
    "many may come at once,\n"
    "  and as many again over that time.\n"
    "- A **switch** is `true` or `false` (also `yes`/`no`, `on`/`off`, `1`/`0`). `--x` turns it "
    "on, `--no-x` or "
    "`--x=false` off.\n"
    "- A **list** is a YAML list; in a variable, a flag or one YAML value its entries have commas "
    "between "
    "them. A flag may also be given\n"
    "  often. A list replaces that of a source with less weight, and the default.\n"
    "- A **map** (`rate`, `auth.role_map`, `auth.api_keys`) is a YAML map, or a list of "
    "`name=value` "
    "(`name:hash` for keys). One rate has\n"
    "  a variable, too: `CONVENE_RATE_MESSAGE=20/min`.\n"
    "- `null` or an empty text unsets a text or a list that may be without a value.\n"
    "- A **secret** belongs in a file of its own, readable by the server alone, named by the "
    "setting with "
    "`_file` behind it. Line ends\n"
    "  behind it do not count.\n"
    "\n"
    "## Reloading\n"
    "\n"
    "SIGHUP reads the file, the environment and the original arguments again. When anything is "
    "wrong, the "
    "log says what and nothing\n"
    "changes. Else settings marked R are taken over without dropping a connection, files of "
    "certificates, "
    "keys and secrets are read\n"
    "again, and the log names what differs but waits for the next start.\n"
    "\n"
    "## Roles\n"
    "\n"
    "The defaults read Supabase's tokens as well as flat ones. A role is looked for in "
    "`app_metadata.role`, "
    "which only the back end\n"
    "can write (never in `user_metadata`, which users can), then in `role`. There Supabase says "
    "`authenticated` for whoever\n"
    "logged in: no role of ours, so `auth.default_role` counts. `service_role` becomes SERVICE, "
    "and `anon` "
    "(the public key that\n"
    "every front end ships) is refused; a `role_map` of your own replaces these two, so repeat "
    "them.\n";

static void print_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("|*<", *text) != NULL)
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_other_names(FILE *out, const struct config_row *row)
{
    const char *separator = "";
    if (row->flag != NULL) {
        fprintf(out, "`--%s`", row->flag);
        separator = ", ";
    }
    for (size_t i = 0; i < ALIASES && row->aliases[i].name != NULL; i++) {
        const char *unit = config_help_unit(row->aliases[i].unit);
        fprintf(out, "%s`%s`", separator, row->aliases[i].name);
        if (unit != NULL)
            fprintf(out, " (%s)", unit);
        separator = ", ";
    }
}

static void print_row(FILE *out, const struct config_row *row)
{
    char value[160], fallback[160];
    config_help_describe(row, value, sizeof value);
    config_help_fallback(row, fallback, sizeof fallback);
    fprintf(out, "| `%s` | ", config_table_name(row));
    print_cell(out, row->help);
    fputs(" | ", out);
    print_cell(out, value);
    fputs(" | ", out);
    print_cell(out, fallback);
    fprintf(out, " | %s | ", (row->flags & CONFIG_RELOADABLE) ? "R" : "");
    print_other_names(out, row);
    fputs(" |\n", out);
}

void config_docs_print(FILE *out)
{
    fputs(introduction, out);
    for (size_t i = 0; i < config_table_section_count; i++) {
        const struct config_section *section = &config_table_sections[i];
        if (section->name[0] != '\0')
            fprintf(out, "\n## `%s`: %s\n\n", section->name, section->help);
        else
            fprintf(out, "\n## %s\n\nA flag (or `CONVENE_DEV`), not a setting of the file.\n\n",
                    section->help);
        fputs("| setting | meaning | value | default | | also |\n|---|---|---|---|---|---|\n", out);
        for (size_t j = 0; j < config_table_count; j++)
            if (config_table_is_in(&config_table_rows[j], section))
                print_row(out, &config_table_rows[j]);
    }
}
