/* Whether the trail is whole. On the thread that has the store. */
#ifndef OBSERVE_AUDIT_VERIFY_H
#define OBSERVE_AUDIT_VERIFY_H

#include "observe/audit_anchor.h"

enum audit_fault {
    AUDIT_WHOLE,
    AUDIT_CHANGED,   /* entry `seq` does not say what it said */
    AUDIT_MISSING,   /* entries `seq` to `last` are not there */
    AUDIT_UNCHAINED, /* entry `seq` is true to itself, but was not written after the one before it */
    AUDIT_CUT,       /* the trail ends before entry `last`, which is known to have been there */
    AUDIT_REPLACED,  /* entry `seq` is not the one that is known to have been there */
    AUDIT_NOT_FOUND, /* no entry has the hash that was asked for */
    AUDIT_CUT_EARLIER, /* entry `seq` says that the trail had been cut or replaced before it was written */
    AUDIT_UNREADABLE /* the store did not answer */
};

struct audit_report {
    enum audit_fault fault; /* the first one */
    int64_t seq, last;
    int64_t entries; /* that were looked at, all of them when the trail is whole */
    int64_t first_ms, last_ms;
    uint64_t losses; /* entries that could not be kept, by what the trail itself says */
    struct audit_anchor head;
};

#define AUDIT_MAX_ANCHORS 2

/* `anchors`: entries that are known to have been there; those without a number are looked for by their hash. */
void audit_verify(struct store *store, const struct audit_anchor *anchors, size_t anchor_count,
                  struct audit_report *ret);
/* A sentence. */
void audit_report_say(const struct audit_report *report, char *ret, size_t size);

#endif
