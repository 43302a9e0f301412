/* Entries as text for other programs. Pure. */
#ifndef OBSERVE_AUDIT_EXPORT_H
#define OBSERVE_AUDIT_EXPORT_H

#include "observe/audit_row.h"

enum audit_format { AUDIT_JSONL, AUDIT_CSV };

/* Enough for an entry whose fields are as long as they may be and all of whose characters are escaped. */
#define AUDIT_MAX_LINE (AUDIT_FIELDS * (AUDIT_MAX_TEXT * 6 + 64) + 1024)

/* The line in front of the first entry; nothing for JSONL. */
void audit_export_head(enum audit_format format, cvn_text *text);
void audit_export_row(enum audit_format format, const struct audit_row *row, cvn_text *text);

/* "2026-11-21", "2026-11-21T10:00:00.5Z", "...+01:00" (UTC where nothing is said) or milliseconds since 1970. */
bool audit_time_parse(const char *text, int64_t *ret_ms);

#endif
