/*
 * The table of all parameters. A row says everything about one: where it lies in struct config, how it is called in the file, the
 * environment and the arguments, which values it takes, and what it means. Whatever reads, prints or documents settings goes by it.
 *
 * A key is "section.name". From it follow the variable CONVENE_SECTION_NAME and the flag --section-name.
 */
#ifndef CONFIG_CONFIG_TABLE_H
#define CONFIG_CONFIG_TABLE_H

#include "config/config.h"

enum config_type {
    CONFIG_BOOL,
    CONFIG_PORT,    /* uint16_t */
    CONFIG_NUMBER,  /* uint32_t */
    CONFIG_SIZE,    /* uint64_t, bytes */
    CONFIG_MS,      /* uint32_t, milliseconds */
    CONFIG_SECONDS, /* uint32_t */
    CONFIG_WORD,    /* an enumeration */
    CONFIG_STRING,  /* const char *, NULL: not set */
    CONFIG_LIST,    /* struct config_list */
    CONFIG_RATE,    /* struct config_rate */
    CONFIG_CLASSES, /* limits.classes and limits.class_count: a map of rates */
};

/* What a number without a unit means. */
enum config_unit { CONFIG_NO_UNIT, CONFIG_UNIT_MS, CONFIG_UNIT_S, CONFIG_UNIT_PER_MINUTE };

/* A variable's name of old. */
struct config_alias {
    const char *name;
    enum config_unit unit;
};

enum {
    CONFIG_RELOADABLE = 1, /* taken over on SIGHUP */
    CONFIG_SECRET = 2,     /* never printed */
    CONFIG_NOT_IN_FILE = 4,
    CONFIG_OFF = 8,       /* "off" is zero */
    CONFIG_READABLE = 16, /* the path of a file that has to be readable */
    CONFIG_NON_EMPTY = 32,
};

struct config_row {
    const char *key;
    enum config_type type;
    unsigned flags;
    size_t offset;        /* in struct config */
    const char *fallback; /* the default, as the file would have it; NULL: not set, empty, zero */
    const char *fallback_words; /* what documentation says instead; NULL: the default itself */
    uint64_t min, max;          /* of numbers; a string's and an item's least and greatest length */
    const char *const *words;   /* of an enumeration, ends with NULL */
    const char *(*check)(const char *text); /* of a string or an item; what is wrong, or NULL */
    const char *flag;                       /* a short name besides --section-name, or NULL */
    struct config_alias aliases[2];
    const char *contents_of; /* the key of the secret that the file named here holds; or NULL */
    char pair; /* what joins the two halves of an item, whose list may be a map in the file; or 0 */
    const char *value; /* what --help calls the value */
    const char *help;
};

struct config_section {
    const char *name; /* "" for rows without a section */
    const char *help;
};

extern const struct config_row config_table_rows[];
extern const size_t config_table_count;
extern const struct config_section config_table_sections[];
extern const size_t config_table_section_count;

#define CONFIG_TABLE_MAX_ROWS 128

/* NULL: there is none. */
const struct config_row *config_table_find(const char *key);
const struct config_section *config_table_find_section(const char *name);
size_t config_table_index(const struct config_row *row);
/* Whether the row belongs to that section. */
bool config_table_is_in(const struct config_row *row, const struct config_section *section);
/* The key without its section. */
const char *config_table_name(const struct config_row *row);

#define CONFIG_NAME_SIZE 64
/* "CONVENE_SERVER_PORT" and "server-port". */
void config_table_variable(const struct config_row *row, char ret[CONFIG_NAME_SIZE]);
void config_table_flag(const struct config_row *row, char ret[CONFIG_NAME_SIZE]);

#endif
