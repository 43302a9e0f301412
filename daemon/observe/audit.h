/*
 * The audit trail: who was let in, refused, moved, revoked. Append-only and hash-chained: each entry holds the SHA-256 of the one before it, so
 * an entry that is changed or taken out breaks the chain (`convened audit verify`). Kept in the store; any thread, never waits.
 */
#ifndef OBSERVE_AUDIT_H
#define OBSERVE_AUDIT_H

#include <convene/convene.h>

struct audit;

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

/* A NULL `audit` (the trail is switched off) is accepted. An entry that cannot be kept (queue full, disk full) is counted and said to the log. */
void audit_write(struct audit *audit, const struct audit_entry *entry);

#endif
