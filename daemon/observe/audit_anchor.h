/* The anchor of the chain: number and hash of an entry that was kept, in a file beside the database, so that entries that are cut off the end are missed. */
#ifndef OBSERVE_AUDIT_ANCHOR_H
#define OBSERVE_AUDIT_ANCHOR_H

#include "observe/audit_row.h"

#define AUDIT_ANCHOR_FILE "audit.head"

struct audit_anchor {
    int64_t seq; /* 0: none */
    unsigned char hash[AUDIT_HASH_SIZE];
};

enum audit_anchor_result { AUDIT_ANCHOR_READ, AUDIT_ANCHOR_MISSING, AUDIT_ANCHOR_UNREADABLE };

/* "12:9f86d0...", "12 9f86d0..." or the hash alone (seq is -1 then). */
bool audit_anchor_parse(cvn_slice text, struct audit_anchor *ret);
enum audit_anchor_result audit_anchor_read(const char *data_dir, struct audit_anchor *ret);
/* In the place of the one before, all or nothing. False: errno says why. Blocks for the disk. */
bool audit_anchor_write(const char *data_dir, const struct audit_anchor *anchor);

#endif
