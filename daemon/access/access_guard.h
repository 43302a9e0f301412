/*
 * May this principal join that resource? Each kind of resource has its judge in the configuration (access.<kind>): the token's claims, the
 * members table, the application's webhook, or nobody ("open"). The tenant's walls stand before all of them: an organisation's and a
 * division's rooms are for those whose token names them. SERVICE may join everything.
 */
#ifndef ACCESS_GUARD_H
#define ACCESS_GUARD_H

#include "auth/principal.h"
#include "config/config.h"
#include <convene/convene.h>

struct access_members;
struct access_webhook;
struct access_guard;

enum resource_kind {
    RESOURCE_BOARD,
    RESOURCE_COURSE,
    RESOURCE_CHANNEL,
    RESOURCE_CONVERSATION,
    RESOURCE_KB,
    RESOURCE_DOC,
    RESOURCE_ANALYSIS,
    RESOURCE_ORG,
    RESOURCE_DIVISION, /* its id is "{org}:div:{division}", so that its room is org:{org}:div:{division} */
    RESOURCE_KINDS
};
/* "board", ...: rooms are "board:{id}"; those of divisions begin with "org", too. */
const char *resource_name(enum resource_kind kind);
bool resource_parse(const char *name, enum resource_kind *ret);

enum guard_answer {
    GUARD_ALLOWED,
    GUARD_DENIED,      /* FORBIDDEN */
    GUARD_UNAVAILABLE, /* who decides cannot be asked now */
};

/* `permission` is what the judge said beside yes ("view", "comment", "edit", ...); "" when it said nothing. Valid during the call. */
typedef void (*guard_fn)(enum guard_answer answer, const char *permission, void *data);

/* `members` and `webhook` may be NULL where the configuration needs none; they belong to the caller. NULL: no memory. */
struct access_guard *access_guard_new(const struct config *config, struct access_members *members,
                                      struct access_webhook *webhook);
void access_guard_free(struct access_guard *guard);
/* On a worker; `fn` is called once on the same worker, most often before this returns. The principal is kept meanwhile. */
void access_guard_ask(struct access_guard *guard, struct principal *principal,
                      enum resource_kind kind, const char *id, guard_fn fn, void *data);

#endif
