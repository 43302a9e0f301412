/*
 * The types of settings. Texts come from outside: each has a greatest length and no control characters, each number its range. What is set lies
 * in the memory of its configuration. Main thread.
 */
#include "config/config_values.h"
#include "config/config_forms.h"
#include "config/config_quantity.h"
#include <convene/types.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

_Static_assert(sizeof(enum config_guard) == sizeof(unsigned) &&
                   sizeof(enum config_log_level) == sizeof(unsigned),
               "enumerations are written as unsigned");

static void *field(const struct config_row *row, struct config *config)
{
    return (char *)config + row->offset;
}

static const void *field_of(const struct config_row *row, const struct config *config)
{
    return (const char *)config + row->offset;
}

static bool refuse(struct config_reason *ret_reason, const char *format, ...) CVN_PRINTF(2, 3);

static bool refuse(struct config_reason *ret_reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_reason->text, sizeof ret_reason->text, format, args);
    va_end(args);
    return false;
}

/* "what was written" is wrong, unless it is a secret. */
static bool refuse_text(struct config_reason *ret_reason, const struct config_row *row,
                        const char *text, const char *wrong)
{
    if (row->flags & CONFIG_SECRET)
        return refuse(ret_reason, "%s", wrong);
    return refuse(ret_reason, "\"%.80s\" %s", text, wrong);
}

static bool no_memory(struct config_reason *ret_reason)
{
    return refuse(ret_reason, "out of memory");
}

/* --- Numbers and words --- */

static bool set_bool(bool *ret, const struct config_row *row, const char *text,
                     struct config_reason *ret_reason)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (int value = 0; value < 2; value++)
            if (strcasecmp(text, words[i][value]) == 0) {
                *ret = value == 1;
                return true;
            }
    return refuse_text(ret_reason, row, text, "is neither true nor false");
}

static bool set_word(unsigned *ret, const struct config_row *row, const char *text,
                     struct config_reason *ret_reason)
{
    char known[128] = "";
    size_t used = 0;
    for (unsigned i = 0; row->words[i] != NULL; i++) {
        if (strcmp(text, row->words[i]) == 0) {
            *ret = i;
            return true;
        }
        int added =
            snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", row->words[i]);
        used += added > 0 && (size_t)added < sizeof known - used ? (size_t)added : 0;
    }
    return refuse(ret_reason, "\"%.80s\" is none of %s", text, known);
}

static const char *read_number(const struct config_row *row, const char *text,
                               enum config_unit unit, uint64_t *ret)
{
    if ((row->flags & CONFIG_OFF) && strcasecmp(text, "off") == 0) {
        *ret = 0;
        return NULL;
    }
    switch (row->type) {
    case CONFIG_SIZE:
        return config_quantity_size(text, ret);
    case CONFIG_MS:
    case CONFIG_SECONDS:
        return config_quantity_time(text, unit, ret);
    default:
        return config_quantity_number(text, ret);
    }
}

static bool refuse_range(const struct config_row *row, const char *text,
                         struct config_reason *ret_reason)
{
    char range[80] = "";
    FILE *out = fmemopen(range, sizeof range, "w");
    if (out != NULL) {
        config_values_print_number(out, row, row->min);
        fputs(" to ", out);
        config_values_print_number(out, row, row->max);
        fclose(out);
    }
    return refuse(ret_reason, "\"%.80s\" is not a %s of %s", text,
                  row->type == CONFIG_SIZE                                ? "size"
                  : row->type == CONFIG_MS || row->type == CONFIG_SECONDS ? "time"
                                                                          : "number",
                  range);
}

static bool set_number(void *place, const struct config_row *row, const char *text,
                       enum config_unit unit, struct config_reason *ret_reason)
{
    uint64_t number = 0;
    const char *wrong = read_number(row, text, unit, &number);
    if (wrong != NULL && row->type != CONFIG_PORT && row->type != CONFIG_NUMBER)
        return refuse_text(ret_reason, row, text, wrong);
    if (wrong == NULL && row->type == CONFIG_SECONDS) {
        if (number % 1000 != 0)
            return refuse_text(ret_reason, row, text, "is no whole number of seconds");
        number /= 1000;
    }
    bool is_off = (row->flags & CONFIG_OFF) && number == 0;
    if (wrong != NULL || (!is_off && (number < row->min || number > row->max)))
        return refuse_range(row, text, ret_reason);
    if (row->type == CONFIG_PORT)
        *(uint16_t *)place = (uint16_t)number;
    else if (row->type == CONFIG_SIZE)
        *(uint64_t *)place = number;
    else
        *(uint32_t *)place = (uint32_t)number;
    return true;
}

/* --- Strings and lists --- */

static bool check_text(const struct config_row *row, const char *text,
                       struct config_reason *ret_reason)
{
    size_t length = strlen(text);
    if (length > row->max)
        return refuse(ret_reason, "is longer than %llu bytes", (unsigned long long)row->max);
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] < 0x20 || text[i] == 0x7f) && row->type != CONFIG_CLASSES)
            return refuse(ret_reason, "holds a control character");
    const char *wrong = row->check != NULL ? row->check(text) : NULL;
    return wrong == NULL || refuse_text(ret_reason, row, text, wrong);
}

static bool set_string(const struct config_target *target, const struct config_row *row,
                       const char *text, struct config_reason *ret_reason)
{
    const char **place = field(row, target->config);
    if (text[0] == '\0') {
        if (row->flags & CONFIG_NON_EMPTY)
            return refuse(ret_reason, "may not be empty");
        *place = NULL;
        return true;
    }
    if (!check_text(row, text, ret_reason))
        return false;
    char *copy = config_memory_copy(target->memory, text, strlen(text));
    if (copy == NULL)
        return no_memory(ret_reason);
    *place = copy;
    return true;
}

static bool set_list(const struct config_target *target, const struct config_row *row,
                     const char *const *items, size_t count, bool append,
                     struct config_reason *ret_reason)
{
    struct config_list *place = field(row, target->config);
    size_t old = append ? place->count : 0;
    if (old + count > CONFIG_MAX_ITEMS)
        return refuse(ret_reason, "has more than %d entries", CONFIG_MAX_ITEMS);
    if (old + count == 0 && (row->flags & CONFIG_NON_EMPTY))
        return refuse(ret_reason, "may not be empty");
    for (size_t i = 0; i < count; i++) {
        if (items[i][0] == '\0')
            return refuse(ret_reason, "has an empty entry");
        if (!check_text(row, items[i], ret_reason))
            return false;
    }
    const char **list = config_memory_take(target->memory, (old + count + 1) * sizeof *list);
    if (list == NULL)
        return no_memory(ret_reason);
    if (old > 0)
        memcpy(list, place->items, old * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[old + i] = config_memory_copy(target->memory, items[i], strlen(items[i]));
        if (list[old + i] == NULL)
            return no_memory(ret_reason);
    }
    *place = (struct config_list){list, old + count};
    return true;
}

/* --- Rates --- */

static bool read_class(const char *item, struct config_class_rate *ret, char name[CONFIG_NAME_SIZE],
                       struct config_reason *ret_reason)
{
    const char *equals = strchr(item, '=');
    size_t length = equals != NULL ? (size_t)(equals - item) : strlen(item);
    if (equals == NULL)
        return refuse(ret_reason, "\"%.80s\" is not a pair like message=10/min", item);
    if (length >= CONFIG_NAME_SIZE)
        length = CONFIG_NAME_SIZE - 1;
    memcpy(name, item, length);
    name[length] = '\0';
    const char *wrong = config_forms_class(name);
    if (wrong != NULL)
        return refuse(ret_reason, "\"%.40s\" %s", name, wrong);
    wrong = config_quantity_rate(equals + 1, CONFIG_NO_UNIT, &ret->rate);
    if (wrong != NULL)
        return refuse(ret_reason, "%s: \"%.80s\" %s", name, equals + 1, wrong);
    return true;
}

/* Adds classes to those that are there, or gives them another rate. */
static bool set_classes(const struct config_target *target, const char *const *items, size_t count,
                        struct config_reason *ret_reason)
{
    struct config_class_rate classes[CONFIG_MAX_CLASSES];
    size_t used = target->config->limits.class_count;
    if (used > 0)
        memcpy(classes, target->config->limits.classes, used * sizeof *classes);
    for (size_t i = 0; i < count; i++) {
        struct config_class_rate class;
        char name[CONFIG_NAME_SIZE];
        size_t at = 0;
        if (!read_class(items[i], &class, name, ret_reason))
            return false;
        while (at < used && strcmp(classes[at].name, name) != 0)
            at++;
        if (at == CONFIG_MAX_CLASSES)
            return refuse(ret_reason, "has more than %d classes", CONFIG_MAX_CLASSES);
        class.name =
            at < used ? classes[at].name : config_memory_copy(target->memory, name, strlen(name));
        if (class.name == NULL)
            return no_memory(ret_reason);
        classes[at] = class;
        used += at == used;
    }
    struct config_class_rate *copy = config_memory_take(target->memory, used * sizeof *copy);
    if (copy == NULL)
        return no_memory(ret_reason);
    if (used > 0)
        memcpy(copy, classes, used * sizeof *copy);
    target->config->limits.classes = copy;
    target->config->limits.class_count = used;
    return true;
}

static bool set_rate(struct config_rate *ret, const struct config_row *row, const char *text,
                     enum config_unit unit, struct config_reason *ret_reason)
{
    const char *wrong = config_quantity_rate(text, unit, ret);
    return wrong == NULL || refuse_text(ret_reason, row, text, wrong);
}

/* --- All of them --- */

bool config_values_set_items(const struct config_target *target, const struct config_row *row,
                             const char *const *items, size_t count, bool append,
                             struct config_reason *ret_reason)
{
    return row->type == CONFIG_CLASSES ? set_classes(target, items, count, ret_reason)
                                       : set_list(target, row, items, count, append, ret_reason);
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

/* "a, b" into its items. Line ends separate as commas do, as lists from files have them. */
static bool set_split(const struct config_target *target, const struct config_row *row,
                      const char *text, struct config_reason *ret_reason)
{
    static const char *const separators = ",\n";
    char *items[CONFIG_MAX_ITEMS];
    size_t count = 0;
    char *copy = config_memory_copy(target->memory, text, strlen(text));
    if (copy == NULL)
        return no_memory(ret_reason);
    for (char *at = copy, before = '\0'; at != NULL;) {
        char *end = at + strcspn(at, separators);
        char separator = *end;
        *end = '\0';
        char *item = trim(at);
        /* A list may be empty, and so may lines, but "a,,b" is a slip. */
        if (item[0] == '\0' && before != '\n' && separator != '\n' && (before || separator))
            return refuse(ret_reason, "has an empty entry");
        if (item[0] != '\0') {
            if (count == CONFIG_MAX_ITEMS)
                return refuse(ret_reason, "has more than %d entries", CONFIG_MAX_ITEMS);
            items[count++] = item;
        }
        before = separator;
        at = separator != '\0' ? end + 1 : NULL;
    }
    return config_values_set_items(target, row, (const char *const *)items, count, false,
                                   ret_reason);
}

bool config_values_set(const struct config_target *target, const struct config_row *row,
                       const char *text, enum config_unit unit, struct config_reason *ret_reason)
{
    void *place = field(row, target->config);
    switch (row->type) {
    case CONFIG_BOOL:
        return set_bool(place, row, text, ret_reason);
    case CONFIG_WORD:
        return set_word(place, row, text, ret_reason);
    case CONFIG_STRING:
        return set_string(target, row, text, ret_reason);
    case CONFIG_LIST:
    case CONFIG_CLASSES:
        return set_split(target, row, text, ret_reason);
    case CONFIG_RATE:
        return set_rate(place, row, text, unit, ret_reason);
    default:
        return set_number(place, row, text, unit, ret_reason);
    }
}

bool config_values_is_set(const struct config_row *row, const struct config *config)
{
    const void *place = field_of(row, config);
    if (row->type == CONFIG_STRING)
        return *(const char *const *)place != NULL;
    if (row->type == CONFIG_LIST)
        return ((const struct config_list *)place)->count > 0;
    return true;
}

static size_t scalar_size(const struct config_row *row)
{
    switch (row->type) {
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_PORT:
        return sizeof(uint16_t);
    case CONFIG_SIZE:
        return sizeof(uint64_t);
    case CONFIG_RATE:
        return sizeof(struct config_rate);
    case CONFIG_WORD:
        return sizeof(unsigned);
    default:
        return sizeof(uint32_t);
    }
}

static bool copy_list(const struct config_target *target, const struct config_list *from,
                      struct config_list *ret)
{
    const char **list = config_memory_take(target->memory, (from->count + 1) * sizeof *list);
    for (size_t i = 0; list != NULL && i < from->count; i++) {
        list[i] = config_memory_copy(target->memory, from->items[i], strlen(from->items[i]));
        if (list[i] == NULL)
            return false;
    }
    if (list == NULL)
        return false;
    *ret = (struct config_list){list, from->count};
    return true;
}

static bool copy_classes(const struct config_target *target, const struct config *from)
{
    size_t count = from->limits.class_count;
    struct config_class_rate *copy = config_memory_take(target->memory, count * sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        const struct config_class_rate *class = &from->limits.classes[i];
        copy[i].rate = class->rate;
        copy[i].name = config_memory_copy(target->memory, class->name, strlen(class->name));
        if (copy[i].name == NULL)
            return false;
    }
    if (copy == NULL)
        return false;
    target->config->limits.classes = copy;
    target->config->limits.class_count = count;
    return true;
}

bool config_values_copy(const struct config_target *target, const struct config_row *row,
                        const struct config *from)
{
    const void *place = field_of(row, from);
    if (row->type == CONFIG_STRING) {
        const char *text = *(const char *const *)place;
        char *copy = text != NULL ? config_memory_copy(target->memory, text, strlen(text)) : NULL;
        if (text != NULL && copy == NULL)
            return false;
        *(const char **)field(row, target->config) = copy;
        return true;
    }
    if (row->type == CONFIG_LIST)
        return copy_list(target, place, field(row, target->config));
    if (row->type == CONFIG_CLASSES)
        return copy_classes(target, from);
    memcpy(field(row, target->config), place, scalar_size(row));
    return true;
}

static bool equal_texts(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool config_values_equal(const struct config_row *row, const struct config *a,
                         const struct config *b)
{
    const void *left = field_of(row, a), *right = field_of(row, b);
    if (row->type == CONFIG_STRING)
        return equal_texts(*(const char *const *)left, *(const char *const *)right);
    if (row->type == CONFIG_LIST) {
        const struct config_list *ours = left, *theirs = right;
        if (ours->count != theirs->count)
            return false;
        for (size_t i = 0; i < ours->count; i++)
            if (strcmp(ours->items[i], theirs->items[i]) != 0)
                return false;
        return true;
    }
    if (row->type == CONFIG_CLASSES) {
        if (a->limits.class_count != b->limits.class_count)
            return false;
        for (size_t i = 0; i < a->limits.class_count; i++) {
            const struct config_class_rate *ours = &a->limits.classes[i],
                                           *theirs = &b->limits.classes[i];
            if (strcmp(ours->name, theirs->name) != 0 || ours->rate.count != theirs->rate.count ||
                ours->rate.per_ms != theirs->rate.per_ms)
                return false;
        }
        return true;
    }
    return memcmp(left, right, scalar_size(row)) == 0;
}

/* --- Printing --- */

void config_values_print_string(FILE *out, const char *text)
{
    static const char *const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789_./:=+-";
    size_t length = strlen(text);
    if (length > 0 && strspn(text, safe) == length && strchr("_:=+-", text[0]) == NULL &&
        text[length - 1] != ':' && strcasecmp(text, "null") != 0) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            fprintf(out, "\\x%02x", (unsigned char)*text);
        else
            fputc(*text, out);
    fputc('"', out);
}

void config_values_print_number(FILE *out, const struct config_row *row, uint64_t number)
{
    if (number == 0 && (row->flags & CONFIG_OFF))
        fputs("off", out);
    else if (row->type == CONFIG_SIZE)
        config_quantity_print_size(out, number);
    else if (row->type == CONFIG_MS)
        config_quantity_print_time(out, number);
    else if (row->type == CONFIG_SECONDS)
        config_quantity_print_time(out, number * 1000);
    else
        fprintf(out, "%llu", (unsigned long long)number);
}

static void print_list(FILE *out, const struct config_list *list)
{
    fputc('[', out);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        config_values_print_string(out, list->items[i]);
    }
    fputc(']', out);
}

static void print_classes(FILE *out, const struct config *config)
{
    fputc('{', out);
    for (size_t i = 0; i < config->limits.class_count; i++) {
        fprintf(out, "%s%s: ", i > 0 ? ", " : "", config->limits.classes[i].name);
        config_quantity_print_rate(out, config->limits.classes[i].rate);
    }
    fputc('}', out);
}

void config_values_print(FILE *out, const struct config_row *row, const struct config *config)
{
    const void *place = field_of(row, config);
    switch (row->type) {
    case CONFIG_BOOL:
        fputs(*(const bool *)place ? "true" : "false", out);
        return;
    case CONFIG_WORD:
        fputs(row->words[*(const unsigned *)place], out);
        return;
    case CONFIG_STRING: {
        const char *text = *(const char *const *)place;
        config_values_print_string(out, text != NULL ? text : "");
        return;
    }
    case CONFIG_LIST:
        print_list(out, place);
        return;
    case CONFIG_CLASSES:
        print_classes(out, config);
        return;
    case CONFIG_RATE:
        config_quantity_print_rate(out, *(const struct config_rate *)place);
        return;
    case CONFIG_PORT:
        config_values_print_number(out, row, *(const uint16_t *)place);
        return;
    case CONFIG_SIZE:
        config_values_print_number(out, row, *(const uint64_t *)place);
        return;
    default:
        config_values_print_number(out, row, *(const uint32_t *)place);
        return;
    }
}
