/*
 * The YAML file: sections of settings, nothing deeper, read event by event so that each value has its line and column. What YAML has beyond that
 * (anchors, aliases, tags, several documents) is refused, so a small file cannot grow into a large one. A wrong entry is said and
 * skipped; only text that is no YAML, or nested deeply, ends the reading. Main thread.
 */
#include "config/config_similar.h"
#include "config/config_sources.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#define MAX_ENTRIES CONFIG_MAX_ITEMS
#define MAX_DEPTH   16 /* libyaml's time grows with the square of the depth */

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    const char *path;
    struct config_draft *draft;
    struct config_report *report;
    bool seen_rows[CONFIG_TABLE_MAX_ROWS], seen_sections[CONFIG_TABLE_MAX_ROWS];
};

#define PLACE_SIZE 400

static void place_at(const struct reader *reader, const yaml_mark_t *mark, char ret[PLACE_SIZE])
{
    snprintf(ret, PLACE_SIZE, "%.300s:%zu:%zu", reader->path, mark->line + 1, mark->column + 1);
}

static void report_yaml(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    char place[PLACE_SIZE];
    if (parser->error == YAML_READER_ERROR) {
        config_report_error(reader->report, reader->path, "byte %zu: %s", parser->problem_offset,
                            parser->problem);
        return;
    }
    place_at(reader, &parser->problem_mark, place);
    config_report_error(reader->report, place, "%s%s%s%s",
                        parser->problem != NULL ? parser->problem : "out of memory",
                        parser->context != NULL ? " (" : "",
                        parser->context != NULL ? parser->context : "",
                        parser->context != NULL ? ")" : "");
}

static void report_at(struct reader *reader, const yaml_mark_t *mark, const char *words)
{
    char place[PLACE_SIZE];
    place_at(reader, mark, place);
    config_report_error(reader->report, place, "%s", words);
}

/* The tag and anchor of the current event. */
static void check_extras(struct reader *reader)
{
    const yaml_event_t *event = &reader->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor != NULL || event->type == YAML_ALIAS_EVENT)
        report_at(reader, &event->start_mark, "anchors and aliases are not taken here");
    if (tag != NULL)
        report_at(reader, &event->start_mark, "tags are not taken here");
}

/* The next event; false when there is none, which was said. */
static bool next(struct reader *reader)
{
    if (reader->has_event)
        yaml_event_delete(&reader->event);
    reader->has_event = yaml_parser_parse(&reader->parser, &reader->event) == 1;
    if (reader->has_event)
        check_extras(reader);
    else
        report_yaml(reader);
    return reader->has_event;
}

/* Goes to the last event of the value whose first is the current one. */
static bool skip(struct reader *reader)
{
    size_t depth = 0;
    for (;;) {
        switch (reader->event.type) {
        case YAML_MAPPING_START_EVENT:
        case YAML_SEQUENCE_START_EVENT:
            if (++depth > MAX_DEPTH) {
                report_at(reader, &reader->event.start_mark, "is nested too deeply");
                return false;
            }
            break;
        case YAML_MAPPING_END_EVENT:
        case YAML_SEQUENCE_END_EVENT:
            depth--;
            break;
        default:
            break;
        }
        if (depth == 0)
            return true;
        if (!next(reader))
            return false;
    }
}

static bool is_null(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

/* The current scalar as a C string; NULL when it holds a NUL, which is said. */
static const char *scalar(struct reader *reader)
{
    const char *text = (const char *)reader->event.data.scalar.value;
    if (strlen(text) == reader->event.data.scalar.length)
        return text;
    report_at(reader, &reader->event.start_mark, "holds a NUL byte");
    return NULL;
}

/* Items of a list or map, as long as they are read. */
struct items {
    char *texts[MAX_ENTRIES];
    size_t count;
    bool failed;
};

static void add_item(struct reader *reader, struct items *items, char *text)
{
    if (text != NULL && items->count < MAX_ENTRIES) {
        items->texts[items->count++] = text;
        return;
    }
    if (!items->failed)
        report_at(reader, &reader->event.start_mark,
                  text == NULL ? "out of memory" : "too many entries");
    free(text);
    items->failed = true;
}

static void fail_item(struct reader *reader, struct items *items, const char *words)
{
    report_at(reader, &reader->event.start_mark, words);
    items->failed = true;
}

static bool read_sequence(struct reader *reader, struct items *items)
{
    while (next(reader) && reader->event.type != YAML_SEQUENCE_END_EVENT) {
        if (reader->event.type != YAML_SCALAR_EVENT) {
            fail_item(reader, items, "only single values may be in this list");
            if (!skip(reader))
                return false;
            continue;
        }
        const char *text = scalar(reader);
        if (text == NULL)
            items->failed = true;
        else
            add_item(reader, items, strdup(text));
    }
    return reader->has_event;
}

static bool has_key(const struct items *items, const char *key, char pair)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < items->count; i++)
        if (strncmp(items->texts[i], key, length) == 0 && items->texts[i][length] == pair)
            return true;
    return false;
}

/* "key: value" becomes "key=value" or what the row wants between the two. */
static bool read_pair(struct reader *reader, char pair, struct items *items)
{
    const char *text = scalar(reader);
    char *key = text != NULL ? strdup(text) : NULL, *item = NULL;
    if (text == NULL)
        items->failed = true;
    else if (key == NULL)
        add_item(reader, items, NULL);
    else if (strchr(key, pair) != NULL)
        fail_item(reader, items, "this name may not hold the sign between name and value");
    else if (has_key(items, key, pair))
        fail_item(reader, items, "is there twice");
    if (!next(reader)) {
        free(key);
        return false;
    }
    if (reader->event.type != YAML_SCALAR_EVENT) {
        fail_item(reader, items, "only single values may be in this map");
        free(key);
        return skip(reader);
    }
    text = scalar(reader);
    if (text == NULL || items->failed)
        items->failed = true;
    else if (asprintf(&item, "%s%c%s", key, pair, text) < 0)
        add_item(reader, items, NULL);
    else
        add_item(reader, items, item);
    free(key);
    return true;
}

static bool read_pairs(struct reader *reader, char pair, struct items *items)
{
    while (next(reader) && reader->event.type != YAML_MAPPING_END_EVENT) {
        if (reader->event.type == YAML_SCALAR_EVENT) {
            if (!read_pair(reader, pair, items))
                return false;
            continue;
        }
        fail_item(reader, items, "a name is wanted here");
        if (!skip(reader) || !next(reader) || !skip(reader))
            return false;
    }
    return reader->has_event;
}

static bool read_items(struct reader *reader, const struct config_row *row, const char *place)
{
    struct items *items = calloc(1, sizeof *items);
    if (items == NULL) {
        config_report_error(reader->report, place, "out of memory");
        return false;
    }
    bool done = reader->event.type == YAML_SEQUENCE_START_EVENT
                    ? read_sequence(reader, items)
                    : read_pairs(reader, row->pair, items);
    if (done && !items->failed)
        config_draft_set_items(reader->draft, row, (const char *const *)items->texts, items->count,
                               CONFIG_FROM_FILE, place, reader->report);
    for (size_t i = 0; i < items->count; i++) {
        explicit_bzero(items->texts[i], strlen(items->texts[i]));
        free(items->texts[i]);
    }
    free(items);
    return done;
}

static bool may_be_unset(const struct config_row *row)
{
    return row->type == CONFIG_STRING || row->type == CONFIG_LIST || row->type == CONFIG_CLASSES;
}

/* The value of a row, from its first event. */
static bool read_value(struct reader *reader, const struct config_row *row)
{
    char place[PLACE_SIZE];
    place_at(reader, &reader->event.start_mark, place);
    switch (reader->event.type) {
    case YAML_SCALAR_EVENT: {
        const char *text = scalar(reader);
        if (text == NULL)
            return true;
        if (is_null(&reader->event) && !may_be_unset(row))
            config_report_error(reader->report, place, "%s: has no value", row->key);
        else
            config_draft_set(reader->draft, row, is_null(&reader->event) ? "" : text,
                             CONFIG_NO_UNIT, CONFIG_FROM_FILE, place, reader->report);
        return true;
    }
    case YAML_SEQUENCE_START_EVENT:
        if (row->type == CONFIG_LIST)
            return read_items(reader, row, place);
        config_report_error(reader->report, place, "%s: is %s, not a list", row->key,
                            row->type == CONFIG_CLASSES ? "a map of rates" : "one value");
        return skip(reader);
    case YAML_MAPPING_START_EVENT:
        if (row->pair != '\0')
            return read_items(reader, row, place);
        config_report_error(reader->report, place, "%s: is %s, not a map", row->key,
                            row->type == CONFIG_LIST ? "a list" : "one value");
        return skip(reader);
    default: /* an alias, which was said */
        return true;
    }
}

static void report_unknown(struct reader *reader, const char *place,
                           const struct config_section *section, const char *name)
{
    struct config_similar similar;
    config_similar_init(&similar, name);
    for (size_t i = 0; i < config_table_count; i++) {
        const struct config_row *row = &config_table_rows[i];
        if (section->name[0] == '\0' ? strchr(row->key, '.') == NULL
                                     : config_table_is_in(row, section))
            config_similar_try(&similar, config_table_name(row));
    }
    for (size_t i = 0; section->name[0] == '\0' && i < config_table_section_count; i++)
        config_similar_try(&similar, config_table_sections[i].name);
    const char *best = config_similar_best(&similar);
    const char *dot = section->name[0] != '\0' ? "." : "";
    if (best != NULL) {
        config_report_error(reader->report, place, "%s%s%.60s is not known; did you mean %s?",
                            section->name, dot, name, best);
        return;
    }
    for (size_t i = 0; i < config_table_count; i++)
        if (strcmp(config_table_name(&config_table_rows[i]), name) == 0) {
            config_report_error(reader->report, place, "%s%s%.60s is not known; did you mean %s?",
                                section->name, dot, name, config_table_rows[i].key);
            return;
        }
    config_report_error(reader->report, place, "%s%s%.60s is not known", section->name, dot, name);
}

/* Whether something is there for the first time; else it is said. */
static bool is_first(struct reader *reader, bool *seen, const char *place, const char *what)
{
    if (*seen)
        config_report_error(reader->report, place, "%s is there twice", what);
    bool first = !*seen;
    *seen = true;
    return first;
}

static bool read_section(struct reader *reader, const struct config_section *section);

/* A key and its value; the key is the current event. */
static bool read_entry(struct reader *reader, const struct config_section *section)
{
    char place[PLACE_SIZE], key[CONFIG_NAME_SIZE * 2];
    place_at(reader, &reader->event.start_mark, place);
    if (reader->event.type != YAML_SCALAR_EVENT) {
        config_report_error(reader->report, place, "a name is wanted here");
        return skip(reader) && next(reader) && skip(reader);
    }
    const char *text = scalar(reader);
    char name[CONFIG_NAME_SIZE];
    snprintf(name, sizeof name, "%s", text != NULL ? text : "?");
    snprintf(key, sizeof key, "%s%s%s", section->name, section->name[0] != '\0' ? "." : "", name);
    /* "server.port" at the top is no way to write it. */
    const struct config_row *row = strchr(name, '.') == NULL ? config_table_find(key) : NULL;
    const struct config_section *inner =
        section->name[0] == '\0' && name[0] != '\0' ? config_table_find_section(name) : NULL;
    if (!next(reader))
        return false;
    if (row != NULL && (row->flags & CONFIG_NOT_IN_FILE)) {
        config_report_error(reader->report, place, "%s is no setting of the file: use --%s", key,
                            row->flag);
    } else if (row != NULL) {
        if (is_first(reader, &reader->seen_rows[config_table_index(row)], place, key))
            return read_value(reader, row);
    } else if (inner != NULL) {
        size_t index = (size_t)(inner - config_table_sections);
        if (is_first(reader, &reader->seen_sections[index], place, key))
            return read_section(reader, inner);
    } else {
        report_unknown(reader, place, section, name);
    }
    return skip(reader);
}

/* A map of entries, from its first event to its last. */
static bool read_section(struct reader *reader, const struct config_section *section)
{
    const yaml_event_t *event = &reader->event;
    if (event->type == YAML_SCALAR_EVENT && is_null(event))
        return true; /* everything below it is a comment */
    if (event->type != YAML_MAPPING_START_EVENT) {
        report_at(reader, &event->start_mark,
                  section->name[0] != '\0' ? "a section is a map of settings"
                                           : "the file is a map of sections");
        return skip(reader);
    }
    while (next(reader) && reader->event.type != YAML_MAPPING_END_EVENT)
        if (!read_entry(reader, section))
            return false;
    return reader->has_event;
}

static void read_stream(struct reader *reader)
{
    if (!next(reader)) /* the stream's start */
        return;
    if (!next(reader)) /* the document's, or the end */
        return;
    if (reader->event.type == YAML_STREAM_END_EVENT)
        return; /* nothing but comments */
    if (!next(reader) || !read_section(reader, &config_table_sections[0]) || !next(reader))
        return;
    if (next(reader) && reader->event.type != YAML_STREAM_END_EVENT)
        report_at(reader, &reader->event.start_mark, "the file is one document only");
}

void config_file_parse(const char *path, cvn_slice text, struct config_draft *draft,
                       struct config_report *report)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL || yaml_parser_initialize(&reader->parser) != 1) {
        config_report_error(report, path, "out of memory");
        free(reader);
        return;
    }
    reader->path = path;
    reader->draft = draft;
    reader->report = report;
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text.data, text.size);
    read_stream(reader);
    if (reader->has_event)
        yaml_event_delete(&reader->event);
    yaml_parser_delete(&reader->parser);
    free(reader);
}

char *config_file_read(const char *path, size_t max, size_t *ret_size, const char **ret_reason)
{
    FILE *file = fopen(path, "re");
    char *text = file != NULL ? malloc(max + 2) : NULL;
    size_t size = 0;
    const char *wrong = NULL;
    if (file == NULL) {
        *ret_reason = strerror(errno);
        return NULL;
    }
    errno = 0;
    if (text != NULL)
        size = fread(text, 1, max + 1, file);
    if (text == NULL)
        wrong = "out of memory";
    else if (ferror(file))
        wrong = strerror(errno);
    else if (size > max)
        wrong = "is too large";
    fclose(file);
    if (wrong != NULL) {
        if (text != NULL)
            explicit_bzero(text, size);
        free(text);
        *ret_reason = wrong;
        return NULL;
    }
    text[size] = '\0';
    *ret_size = size;
    return text;
}

void config_file_apply(const char *path, struct config_draft *draft, struct config_report *report)
{
    size_t size;
    const char *wrong;
    char *text = config_file_read(path, CONFIG_FILE_MAX_BYTES, &size, &wrong);
    if (text == NULL) {
        config_report_error(report, path, "cannot be read: %s", wrong);
        return;
    }
    config_file_parse(path, (cvn_slice){text, size}, draft, report);
    explicit_bzero(text, size);
    free(text);
}
