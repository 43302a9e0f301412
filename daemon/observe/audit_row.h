/* An entry as it stands in the database, and the hash that chains it. Pure but for the store's rows. */
#ifndef OBSERVE_AUDIT_ROW_H
#define OBSERVE_AUDIT_ROW_H

#include "observe/audit.h"
#include "store/store.h"

#define AUDIT_HASH_SIZE 32
#define AUDIT_HEX_SIZE  (2 * AUDIT_HASH_SIZE + 1)

enum audit_field {
    AUDIT_ACTION,
    AUDIT_USER_ID,
    AUDIT_SUBJECT,
    AUDIT_NSP,
    AUDIT_ADDRESS,
    AUDIT_CODE,
    AUDIT_CORRELATION_ID,
    AUDIT_FIELDS
};

struct audit_row {
    int64_t seq, time_ms;
    cvn_slice fields[AUDIT_FIELDS]; /* no address: absent */
    unsigned char prev_hash[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
};

extern const struct store_migration audit_migrations[];
extern const size_t audit_migration_count;

/* Names of the columns and of the export's members. */
extern const char *const audit_field_names[AUDIT_FIELDS];

/* SHA-256 over the canonical form of all but row->hash. False: no memory. */
bool audit_row_hash(const struct audit_row *row, unsigned char ret[AUDIT_HASH_SIZE]);
/* Appends a row that is complete. */
bool audit_row_insert(struct store_tx *tx, const struct audit_row *row);

/* Begins to walk from the first to the last; then audit_row_next until false (the end, or store_has_failed). */
bool audit_row_walk(struct store_tx *tx);
/* `row` is valid until the next one. A hash of another size than SHA-256's is read as zeros, which is none. */
bool audit_row_next(struct store_tx *tx, struct audit_row *row);
/* Number and hash of the last row; 0 and zeros when there is none. */
bool audit_row_head(struct store_tx *tx, int64_t *ret_seq, unsigned char ret_hash[AUDIT_HASH_SIZE]);

void audit_hex(const unsigned char hash[AUDIT_HASH_SIZE], char ret[AUDIT_HEX_SIZE]);
bool audit_hex_parse(cvn_slice hex, unsigned char ret[AUDIT_HASH_SIZE]);
/* RFC 3339 in UTC, with milliseconds. */
#define AUDIT_TIME_SIZE 40
void audit_time(int64_t time_ms, char ret[AUDIT_TIME_SIZE]);

#endif
