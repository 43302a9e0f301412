/*
 * Secrets that lie in files of their own (as Docker and systemd hand them over). Of a secret and its file the one from the weightier source
 * counts; both from one source are a mistake. Main thread.
 */
#include "config/config_sources.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_BYTES (256u << 10) /* a thousand API keys */

static const char *place_or_key(const struct config_place *place, const struct config_row *row)
{
    return place->text != NULL ? place->text : row->key;
}

static void warn_of_readers(const char *path, struct config_report *report)
{
    struct stat about;
    if (stat(path, &about) == 0 && S_ISREG(about.st_mode) && (about.st_mode & S_IROTH))
        config_report_warning(report, path, "holds a secret and is readable by everybody");
}

static void read_secret(struct config_draft *draft, const struct config_row *row,
                        const struct config_row *file_row, const char *path,
                        struct config_report *report)
{
    size_t size;
    const char *wrong = NULL;
    const struct config_place *place = config_draft_place(draft, file_row);
    char *text = config_file_read(path, MAX_BYTES, &size, &wrong);
    if (text == NULL) {
        config_report_error(report, place_or_key(place, file_row), "%s: %s", path, wrong);
        return;
    }
    size_t length = strlen(text);
    if (length != size)
        wrong = "holds a NUL byte";
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        text[--length] = '\0';
    if (wrong == NULL && length == 0)
        wrong = "is empty";
    if (wrong != NULL) {
        config_report_error(report, place_or_key(place, file_row), "%s: %s", path, wrong);
    } else {
        warn_of_readers(path, report);
        config_draft_set(draft, row, text, CONFIG_NO_UNIT, place->source, path, report);
    }
    explicit_bzero(text, size);
    free(text);
}

void config_secrets_apply(struct config_draft *draft, struct config_report *report)
{
    for (size_t i = 0; i < config_table_count; i++) {
        const struct config_row *file_row = &config_table_rows[i];
        const char *path = NULL;
        if (file_row->contents_of == NULL)
            continue;
        memcpy(&path, (const char *)&draft->config + file_row->offset, sizeof path);
        if (path == NULL)
            continue;
        const struct config_row *row = config_table_find(file_row->contents_of);
        const struct config_place *place = config_draft_place(draft, row);
        const struct config_place *file_place = config_draft_place(draft, file_row);
        bool is_set = config_values_is_set(row, &draft->config);
        if (is_set && place->source == file_place->source)
            config_report_error(report, place_or_key(file_place, file_row),
                                "%s and %s are both set", row->key, file_row->key);
        else if (!is_set || place->source < file_place->source)
            read_secret(draft, row, file_row, path, report);
    }
}
