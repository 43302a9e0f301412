/* The environment: CONVENE_SECTION_NAME of every row, and the names that some had of old. Of several the first in the table counts. Main thread. */
#include "config/config_similar.h"
#include "config/config_sources.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PREFIX      "CONVENE_"
#define RATE_PREFIX "CONVENE_RATE_"
#define ALIASES     (sizeof((struct config_row *)0)->aliases / sizeof(struct config_alias))

/* An empty variable is as good as none: that is how container files leave one out. */
const char *config_env_get(char **environment, const char *name)
{
    size_t length = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return (*environment)[length + 1] != '\0' ? *environment + length + 1 : NULL;
    return NULL;
}

static void apply_row(char **environment, const struct config_row *row, struct config_draft *draft,
                      struct config_report *report)
{
    char name[CONFIG_NAME_SIZE];
    config_table_variable(row, name);
    const char *text = config_env_get(environment, name);
    const char *used = text != NULL ? name : NULL;
    if (text != NULL)
        config_draft_set(draft, row, text, CONFIG_NO_UNIT, CONFIG_FROM_ENVIRONMENT, name, report);
    for (size_t i = 0; i < ALIASES && row->aliases[i].name != NULL; i++) {
        const struct config_alias *alias = &row->aliases[i];
        const char *other = config_env_get(environment, alias->name);
        if (other == NULL)
            continue;
        if (used != NULL) {
            if (strcmp(other, text) != 0)
                config_report_warning(report, alias->name, "is not looked at, because %s is set",
                                      used);
            continue;
        }
        used = alias->name;
        text = other;
        config_draft_set(draft, row, other, alias->unit, CONFIG_FROM_ENVIRONMENT, alias->name,
                         report);
    }
}

/* CONVENE_RATE_TYPING=5/s: a rate class. */
static void apply_class(const char *variable, struct config_draft *draft,
                        struct config_report *report)
{
    char place[CONFIG_NAME_SIZE], item[CONFIG_NAME_SIZE * 2];
    const char *equals = strchr(variable, '=');
    size_t prefix = strlen(RATE_PREFIX), length = (size_t)(equals - variable);
    if (equals[1] == '\0')
        return;
    snprintf(place, sizeof place, "%.*s", (int)(length < 60 ? length : 60), variable);
    snprintf(item, sizeof item, "%s%s", place + prefix, equals);
    for (char *at = item; *at != '\0' && *at != '='; at++)
        *at = (char)tolower((unsigned char)*at);
    const char *items[] = {item};
    config_draft_set_items(draft, config_table_find("rate"), items, 1, CONFIG_FROM_ENVIRONMENT,
                           place, report);
}

static bool is_known(const char *name, struct config_similar *similar)
{
    /* Those that are no settings: which file, and what other programs of ours go by. */
    static const char *const others[] = {"CONVENE_CONFIG", "CONVENE_BUILD_DIR", "CONVENE_TARGET"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0)
            return true;
    config_similar_try(similar, "CONVENE_CONFIG");
    for (size_t i = 0; i < config_table_count; i++) {
        char known[CONFIG_NAME_SIZE];
        config_table_variable(&config_table_rows[i], known);
        if (strcmp(name, known) == 0)
            return true;
        config_similar_try(similar, known);
    }
    return false;
}

/* Of names that begin like ours and mean nothing: others may have such, so that is no error. */
static void warn_of_unknown(const char *variable, struct config_report *report)
{
    char name[CONFIG_NAME_SIZE];
    size_t length = strcspn(variable, "=");
    struct config_similar similar;
    if (length >= sizeof name)
        return;
    memcpy(name, variable, length);
    name[length] = '\0';
    config_similar_init(&similar, name);
    if (is_known(name, &similar))
        return;
    const char *best = config_similar_best(&similar);
    if (best != NULL)
        config_report_warning(report, name, "means nothing; did you mean %s?", best);
    else
        config_report_warning(report, name, "means nothing");
}

void config_env_apply(char **environment, struct config_draft *draft, struct config_report *report)
{
    for (size_t i = 0; i < config_table_count; i++)
        apply_row(environment, &config_table_rows[i], draft, report);
    for (; environment != NULL && *environment != NULL; environment++) {
        if (strchr(*environment, '=') == NULL)
            continue;
        if (strncmp(*environment, RATE_PREFIX, strlen(RATE_PREFIX)) == 0)
            apply_class(*environment, draft, report);
        else if (strncmp(*environment, PREFIX, strlen(PREFIX)) == 0)
            warn_of_unknown(*environment, report);
    }
}
