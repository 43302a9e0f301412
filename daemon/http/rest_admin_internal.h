/* What rest_admin.c and rest_members.c tell each other and nobody else. */
#ifndef HTTP_REST_ADMIN_INTERNAL_H
#define HTTP_REST_ADMIN_INTERNAL_H

#include "http/rest_admin.h"
#include "http/rest_internal.h"

struct rest_admin {
    struct rest_admin_parts parts;
};

/* A request that waits for the store. */
struct pending {
    struct rest_admin *admin;
    struct request *request;
    int64_t moment; /* of a revocation */
    char text[];    /* a word to remember: the permission */
};

/* NULL: no memory, and the request has been refused. `text` may be NULL. */
struct pending *rest_admin_wait(struct rest_admin *admin, struct request *request,
                                const char *text);
/* After the store has answered: audits, with the result as its code when it is a failure; refuses the request and returns false then. Where no worker has
 * lived to hear it nothing is audited, since the trail has ended before. */
bool rest_admin_stored(struct pending *pending, enum store_result result, const char *action,
                       const char *subject);
void rest_admin_audit(struct rest_admin *admin, const struct request *request, const char *action,
                      const char *subject, const char *code);
/* Refuses a body with members of other names (`known` ends with NULL). The body is released then. */
json_t *rest_admin_body(struct request *request, const char *const *known);

bool rest_members_add(struct rest_admin *admin);

#endif
