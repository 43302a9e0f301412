/*
 * What an administrator does by HTTP, below /api/v1/admin: who is a member of what, revoking, disconnecting, the drain (docs/operations.md has
 * the table). Every change is validated, answered when it is in the store, and audited. For tokens with the role ADMIN only: no API key, no SERVICE.
 * Put together on the main thread before the server starts; the routes run on their workers.
 */
#ifndef HTTP_REST_ADMIN_H
#define HTTP_REST_ADMIN_H

#include "access/access_members.h"
#include "access/access_revocations.h"
#include "event/frame.h"
#include "http/router.h"
#include "observe/audit.h"

/* All belongs to the caller and outlives it. `audit` may be NULL. */
struct rest_admin_parts {
    cvn_server *server;
    struct router *router;
    struct frame *frame;
    struct access_members *members;
    struct access_revocations *revocations;
    struct audit *audit;
    void (*drain)(void); /* begins it; any thread */
};

struct rest_admin;

struct rest_admin *rest_admin_new(const struct rest_admin_parts *parts); /* NULL: no memory */
/* When no worker runs any more and the store is closed. NULL is accepted. */
void rest_admin_free(struct rest_admin *admin);

#endif
