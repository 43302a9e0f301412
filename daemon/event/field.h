/*
 * Payloads as tables: a row per field says its name, kind, bounds and where in a C struct it goes. From one table come the check of what a
 * client sent, the filled struct, and the JSON Schema of the catalogue. Pure; any thread.
 *
 *     struct send { cvn_slice content; int64_t limit; };
 *     static const struct field send_fields[] = {
 *         FIELD_TEXT(struct send, content, 1, 5000, FIELD_REQUIRED, "what is said"),
 *         FIELD_INTEGER(struct send, limit, 1, 200, 50, "so many at most"),
 *         FIELD_END};
 */
#ifndef EVENT_FIELD_H
#define EVENT_FIELD_H

#include <convene/convene.h>

enum field_kind {
    FIELD_KIND_END,
    FIELD_KIND_TEXT, /* cvn_slice, decoded, with a NUL behind it and none inside; absent: NULL data. min..max characters (code points) */
    FIELD_KIND_ID, /* the same, of min..max bytes and without control characters, for names that become part of rooms */
    FIELD_KIND_INTEGER, /* int64_t of min..max; absent: `fallback` */
    FIELD_KIND_NUMBER,  /* double of min..max; absent: `fallback` */
    FIELD_KIND_BOOLEAN, /* bool; absent: `fallback` != 0 */
    FIELD_KIND_CHOICE,  /* int: 1 for the first of `choices`, ...; absent: 0 */
    FIELD_KIND_IDS,     /* struct field_list of min..max ids */
    FIELD_KIND_JSON, /* cvn_slice: any value of at most max bytes, as it came; absent: NULL data */
    FIELD_KIND_OBJECT, /* the struct at that place, by the table `inner`; absent: all its fields are */
    FIELD_KIND_BINARY, /* cvn_slice: an attachment of min..max bytes; absent: NULL data */
};

struct field_list {
    cvn_slice *items;
    size_t count;
};

enum field_flags { FIELD_OPTIONAL = 0, FIELD_REQUIRED = 1 };

struct field {
    const char *name;
    enum field_kind kind;
    unsigned flags;
    size_t offset;
    int64_t min, max, fallback;
    const char *const *choices; /* ends with NULL */
    const struct field *inner;
    const char *help;
};

#define FIELD_ID_MAX 128
/* The name in the payload is that of the member; the *_AS forms name it otherwise. */
#define FIELD_TEXT(type, member, min, max, flags, help)                                            \
    FIELD_TEXT_AS(#member, type, member, min, max, flags, help)
#define FIELD_TEXT_AS(name, type, member, min, max, flags, help)                                   \
    {                                                                                              \
        name, FIELD_KIND_TEXT, flags, offsetof(type, member), min, max, 0, NULL, NULL, help        \
    }
#define FIELD_ID(type, member, flags, help) FIELD_ID_AS(#member, type, member, flags, help)
#define FIELD_ID_AS(name, type, member, flags, help)                                               \
    {                                                                                              \
        name, FIELD_KIND_ID, flags, offsetof(type, member), 1, FIELD_ID_MAX, 0, NULL, NULL, help   \
    }
#define FIELD_INTEGER(type, member, min, max, fallback, help)                                      \
    {                                                                                              \
#member, FIELD_KIND_INTEGER, 0, offsetof(type, member), min, max, fallback, NULL, NULL,    \
            help                                                                                   \
    }
#define FIELD_INTEGER_REQUIRED(type, member, min, max, help)                                       \
    {                                                                                              \
#member, FIELD_KIND_INTEGER, FIELD_REQUIRED, offsetof(type, member), min, max, 0, NULL,    \
            NULL, help                                                                             \
    }
#define FIELD_NUMBER(type, member, min, max, flags, help)                                          \
    {                                                                                              \
#member, FIELD_KIND_NUMBER, flags, offsetof(type, member), min, max, 0, NULL, NULL, help   \
    }
#define FIELD_BOOLEAN_AS(name, type, member, flags, fallback, help)                                \
    {                                                                                              \
        name, FIELD_KIND_BOOLEAN, flags, offsetof(type, member), 0, 0, fallback, NULL, NULL, help  \
    }
#define FIELD_CHOICE(type, member, choices, flags, help)                                           \
    {                                                                                              \
#member, FIELD_KIND_CHOICE, flags, offsetof(type, member), 0, 0, 0, choices, NULL, help    \
    }
#define FIELD_IDS_AS(name, type, member, min, max, flags, help)                                    \
    {                                                                                              \
        name, FIELD_KIND_IDS, flags, offsetof(type, member), min, max, 0, NULL, NULL, help         \
    }
#define FIELD_JSON(type, member, max_bytes, flags, help)                                           \
    {                                                                                              \
#member, FIELD_KIND_JSON, flags, offsetof(type, member), 0, max_bytes, 0, NULL, NULL, help \
    }
#define FIELD_OBJECT(type, member, table, flags, help)                                             \
    {                                                                                              \
#member, FIELD_KIND_OBJECT, flags, offsetof(type, member), 0, 0, 0, NULL, table, help      \
    }
#define FIELD_BINARY(type, member, min, max, flags, help)                                          \
    {                                                                                              \
#member, FIELD_KIND_BINARY, flags, offsetof(type, member), min, max, 0, NULL, NULL, help   \
    }
#define FIELD_END                                                                                  \
    {                                                                                              \
        NULL, FIELD_KIND_END, 0, 0, 0, 0, 0, NULL, NULL, NULL                                      \
    }

/* What is wrong with a payload; `message` reads behind the field's name: "must be ...". */
struct field_error {
    const char *field; /* NULL: the payload as a whole */
    char message[120];
};

/* Memory for what a struct points to; a payload's decoded texts need no more than its own size. */
struct field_memory {
    char *data;
    size_t size, used;
};
/* Bytes that field_parse takes at most for a payload of so many bytes. */
size_t field_memory_needed(const struct field *fields, size_t payload_size);

/* Checks `payload` (valid JSON; an empty slice counts as {}) and fills the zeroed struct at `ret`. Unknown members are nobody's business.
 * null counts as absent. `args` has the attachments. False: *ret_error says what is wrong first. */
bool field_parse(const struct field *fields, cvn_slice payload, cvn_args args,
                 struct field_memory *memory, void *ret, struct field_error *ret_error);

/* Appends the table as a JSON Schema (2020-12) object. NULL: an empty object's. */
void field_append_schema(const struct field *fields, cvn_text *text);

#endif
