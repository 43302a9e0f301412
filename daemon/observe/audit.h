/*
 * The audit trail: who was let in, refused, moved, revoked. Append-only and hash-chained: each entry holds the SHA-256 of the one before it, so
 * an entry that is changed or taken out breaks the chain (`convened audit verify`). Kept in the store; any thread, never waits. docs/audit.md
 * has the exact form.
 */
#ifndef OBSERVE_AUDIT_H
#define OBSERVE_AUDIT_H

#include "store/store.h"
#include <convene/convene.h>

struct audit;

#define AUDIT_MAX_TEXT 512 /* bytes of one field; longer ones are cut */
#define AUDIT_MAX_WAITING                                                                          \
    8192 /* entries that wait for the store; further ones are lost and counted */

struct audit_entry {
    const char *
        action; /* "connect", "connect_refused", "disconnect", "join", "join_refused", "scope_violation", "revoke_user", "admin_..." */
    const char *user_id; /* whose doing; NULL: unknown */
    const char *subject; /* what it was done to: a room, a user, a socket; NULL: nothing */
    const char *nsp;     /* NULL: none */
    const char *address; /* NULL: unknown */
    const char *code;    /* of a refusal; NULL: it was allowed */
    const char *correlation_id;
};

/* Opens the trail in the store, whose schema it brings along; the head of the chain is anchored in `data_dir`, in a file beside the database. Main thread,
 * before store_start. NULL: said to the log. */
struct audit *audit_new(struct store *store, const char *data_dir);
/* Hands over what waits and forgets the audit; the store, which is closed after this, ends it. NULL is accepted. */
void audit_free(struct audit *audit);

/* A NULL `audit` (the trail is switched off) is accepted. An entry that cannot be kept (the store does not take any for long, or memory) is counted, said to
 * the log, and an entry "audit_lost" says how many there were. */
void audit_write(struct audit *audit, const struct audit_entry *entry);
/* The same with its time, in milliseconds since 1970. */
void audit_write_at(struct audit *audit, const struct audit_entry *entry, int64_t time_ms);
/* Tries again what the store would not take, and anchors the head. Now and then, on any thread. */
void audit_sweep(struct audit *audit);

struct audit_stats {
    uint64_t written_total, lost_total;
    size_t waiting;
    int64_t head; /* number of the last entry that is kept */
};
void audit_get_stats(struct audit *audit, struct audit_stats *ret); /* zeros for NULL */

/* `convened audit verify|export ...`: argv[0] is "audit". Returns the exit status. */
int audit_command(int argc, char **argv);

#endif
