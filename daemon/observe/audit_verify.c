/*
 * Walks the whole trail once, in one snapshot, and computes every hash again. What a chain cannot tell by itself, that entries were cut off its end or all of
 * it was written anew, anchors do: entries known from elsewhere.
 */
#include "observe/audit_verify.h"
#include <stdio.h>
#include <stdlib.h>

struct walk {
    const struct audit_anchor *anchors;
    size_t anchor_count;
    bool found[AUDIT_MAX_ANCHORS];
    struct audit_report *report;
};

static void fault(struct audit_report *report, enum audit_fault what, int64_t seq, int64_t last)
{
    report->fault = what;
    report->seq = seq;
    report->last = last;
}

static bool is_field(const struct audit_row *row, enum audit_field field, const char *text)
{
    cvn_slice found = row->fields[field];
    return found.size == strlen(text) && memcmp(found.data, text, found.size) == 0;
}

static uint64_t number_of(cvn_slice text)
{
    char digits[24] = "";
    if (text.size < sizeof digits)
        memcpy(digits, text.size > 0 ? text.data : "", text.size);
    return strtoull(digits, NULL, 10);
}

/* The row against the one before it and against itself. */
static bool check_chain(struct audit_report *report, const struct audit_row *row)
{
    unsigned char hash[AUDIT_HASH_SIZE];
    if (!audit_row_hash(row, hash))
        fault(report, AUDIT_UNREADABLE, row->seq, 0);
    else if (memcmp(hash, row->hash, sizeof hash) != 0)
        fault(report, AUDIT_CHANGED, row->seq, 0);
    else if (row->seq <= report->head.seq) /* 0 and less, in front of the first */
        fault(report, AUDIT_UNCHAINED, row->seq, 0);
    else if (row->seq != report->head.seq + 1)
        fault(report, AUDIT_MISSING, report->head.seq + 1, row->seq - 1);
    else if (memcmp(row->prev_hash, report->head.hash, AUDIT_HASH_SIZE) != 0)
        fault(report, AUDIT_UNCHAINED, row->seq, 0);
    return report->fault == AUDIT_WHOLE;
}

static bool check_anchors(struct walk *walk, const struct audit_row *row)
{
    for (size_t i = 0; i < walk->anchor_count; i++) {
        const struct audit_anchor *anchor = &walk->anchors[i];
        bool is_same = memcmp(anchor->hash, row->hash, AUDIT_HASH_SIZE) == 0;
        if (anchor->seq == row->seq && !is_same) {
            fault(walk->report, AUDIT_REPLACED, row->seq, 0);
            return false;
        }
        walk->found[i] =
            walk->found[i] || (is_same && (anchor->seq < 0 || anchor->seq == row->seq));
    }
    return true;
}

static bool walk_all(struct store_tx *tx, void *data)
{
    struct walk *walk = data;
    struct audit_report *report = walk->report;
    struct audit_row row;
    int64_t cut = 0;
    if (!audit_row_walk(tx))
        return false;
    while (audit_row_next(tx, &row)) {
        if (!check_chain(report, &row) || !check_anchors(walk, &row))
            return true;
        if (report->entries++ == 0)
            report->first_ms = row.time_ms;
        report->last_ms = row.time_ms;
        report->head.seq = row.seq;
        memcpy(report->head.hash, row.hash, AUDIT_HASH_SIZE);
        if (is_field(&row, AUDIT_ACTION, "audit_lost"))
            report->losses += number_of(row.fields[AUDIT_SUBJECT]);
        if (cut == 0 && is_field(&row, AUDIT_ACTION, "audit_cut"))
            cut = row.seq;
    }
    for (size_t i = 0; i < walk->anchor_count && report->fault == AUDIT_WHOLE; i++) {
        if (!walk->found[i] && walk->anchors[i].seq > 0)
            fault(report, AUDIT_CUT, report->head.seq, walk->anchors[i].seq);
        else if (!walk->found[i])
            fault(report, AUDIT_NOT_FOUND, 0, 0);
    }
    if (report->fault == AUDIT_WHOLE && cut != 0)
        fault(report, AUDIT_CUT_EARLIER, cut, 0);
    return !store_has_failed(tx);
}

void audit_verify(struct store *store, const struct audit_anchor *anchors, size_t anchor_count,
                  struct audit_report *ret)
{
    *ret = (struct audit_report){.fault = AUDIT_WHOLE};
    struct walk walk = {.anchors = anchors, .anchor_count = anchor_count, .report = ret};
    if (store_run(store, walk_all, &walk) != STORE_OK)
        fault(ret, AUDIT_UNREADABLE, ret->head.seq + 1, 0);
}

void audit_report_say(const struct audit_report *report, char *ret, size_t size)
{
    long long seq = report->seq, last = report->last;
    switch (report->fault) {
    case AUDIT_WHOLE:
        snprintf(ret, size, "the audit trail is whole: %lld entr%s", (long long)report->entries,
                 report->entries == 1 ? "y" : "ies");
        return;
    case AUDIT_CHANGED:
        snprintf(ret, size, "entry %lld was changed: its hash is not that of what it says", seq);
        return;
    case AUDIT_MISSING:
        if (seq == last)
            snprintf(ret, size, "entry %lld was removed", seq);
        else
            snprintf(ret, size, "entries %lld to %lld were removed", seq, last);
        return;
    case AUDIT_UNCHAINED:
        snprintf(ret, size,
                 "entry %lld does not follow the one before it: entries were reordered, replaced "
                 "or put in",
                 seq);
        return;
    case AUDIT_CUT:
        snprintf(ret, size, "the end was cut off: the last entry is %lld, but entry %lld was there",
                 seq, last);
        return;
    case AUDIT_REPLACED:
        snprintf(ret, size, "entry %lld is not the one that was there: the trail was written anew",
                 seq);
        return;
    case AUDIT_NOT_FOUND:
        snprintf(ret, size,
                 "no entry has the expected hash: the end was cut off, or the trail was "
                 "written anew");
        return;
    case AUDIT_CUT_EARLIER:
        snprintf(ret, size,
                 "entry %lld says that the end of the trail had been cut off or replaced before it",
                 seq);
        return;
    case AUDIT_UNREADABLE:
        snprintf(ret, size, "the audit trail cannot be read from entry %lld on", seq);
        return;
    }
}
