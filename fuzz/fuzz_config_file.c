/*
 * The settings' file: whatever bytes it has, reading ends, everything that was taken is within its bounds, and what is printed of it
 * reads back as the same. The first byte chooses development mode.
 */
#include "config/config_draft.h"
#include "config/config_sources.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_INPUT ((size_t)1 << 14)

static struct config_draft *defaults(bool dev)
{
    char name[] = "convened", flag[] = "--dev", *argv[] = {name, dev ? flag : NULL, NULL};
    const struct config_input input = {dev ? 2 : 1, argv, NULL, NULL};
    struct config_report report = {0};
    struct config_draft *draft = config_draft_new(&input, &report);
    CHECK(draft != NULL);
    config_report_release(&report);
    return draft;
}

static void check_row(const struct config_row *row, const struct config *config)
{
    const char *at = (const char *)config + row->offset;
    uint64_t number = 0;
    if (row->type == CONFIG_STRING) {
        const char *text;
        memcpy(&text, at, sizeof text);
        CHECK(text == NULL || (text[0] != '\0' && strlen(text) <= row->max));
        CHECK(text == NULL || row->check == NULL || row->check(text) == NULL);
        return;
    }
    if (row->type == CONFIG_LIST) {
        struct config_list list;
        memcpy(&list, at, sizeof list);
        CHECK(list.count <= CONFIG_MAX_ITEMS);
        CHECK(list.items == NULL || list.items[list.count] == NULL);
        for (size_t i = 0; i < list.count; i++)
            CHECK(list.items[i][0] != '\0' && strlen(list.items[i]) <= row->max);
        return;
    }
    if (row->type == CONFIG_CLASSES) {
        CHECK(config->limits.class_count <= CONFIG_MAX_CLASSES);
        return;
    }
    if (row->type == CONFIG_PORT || row->type == CONFIG_BOOL || row->type == CONFIG_RATE)
        return;
    memcpy(&number, at,
           row->type == CONFIG_SIZE ? 8 : 4); /* little endian, as libFuzzer's machines */
    if (row->type == CONFIG_WORD) {
        size_t words = 0;
        while (row->words[words] != NULL)
            words++;
        CHECK(number < words);
        return;
    }
    CHECK((number >= row->min && number <= row->max) || ((row->flags & CONFIG_OFF) && number == 0));
}

static void check_printed(const struct config_draft *draft)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    CHECK(out != NULL);
    config_help_print_effective(out, draft);
    fclose(out);
    struct config_report report = {0};
    struct config_draft *again = defaults(draft->config.dev);
    config_file_parse("again", (cvn_slice){text, size}, again, &report);
    CHECK(report.errors == 0);
    for (size_t i = 0; i < config_table_count; i++) {
        const struct config_row *row = &config_table_rows[i];
        if (!(row->flags & CONFIG_SECRET))
            CHECK(config_values_equal(row, &draft->config, &again->config));
    }
    config_report_release(&report);
    config_draft_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report = {0};
    if (size == 0 || size > MAX_INPUT)
        return 0;
    struct config_draft *draft = defaults(data[0] % 2 == 0);
    config_file_parse("fuzz", (cvn_slice){(const char *)data + 1, size - 1}, draft, &report);
    config_check_complete(draft);
    for (size_t i = 0; i < config_table_count; i++)
        check_row(&config_table_rows[i], &draft->config);
    CHECK(report.count <= CONFIG_REPORT_LINES);
    for (size_t i = 0; i < report.count; i++)
        for (const char *at = report.lines[i]; *at != '\0'; at++)
            CHECK((unsigned char)*at >= 0x20 && *at != 0x7f);
    check_printed(draft);
    config_report_release(&report);
    config_draft_free(draft);
    return 0;
}
