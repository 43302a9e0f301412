/* See access_guard.h. What claims say is decided here; the others are asked. On a worker. */
#include "access/access_guard.h"
#include "access/access_members.h"
#include "access/access_webhook.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct access_guard {
    enum config_guard judges[RESOURCE_KINDS];
    bool has_walls; /* between tenants */
    struct access_members *members;
    struct access_webhook *webhook;
};

static const char *const names[RESOURCE_KINDS] = {
    [RESOURCE_BOARD] = "board",
    [RESOURCE_COURSE] = "course",
    [RESOURCE_CHANNEL] = "channel",
    [RESOURCE_CONVERSATION] = "conversation",
    [RESOURCE_KB] = "kb",
    [RESOURCE_DOC] = "doc",
    [RESOURCE_ANALYSIS] = "analysis",
    [RESOURCE_ORG] = "org",
    [RESOURCE_DIVISION] = "org",
};

const char *resource_name(enum resource_kind kind)
{
    return names[kind];
}

bool resource_parse(const char *name, enum resource_kind *ret)
{
    for (int kind = 0; kind < RESOURCE_DIVISION; kind++)
        if (strcmp(name, names[kind]) == 0) {
            *ret = (enum resource_kind)kind;
            return true;
        }
    return false;
}

struct access_guard *access_guard_new(const struct config *config, struct access_members *members,
                                      struct access_webhook *webhook)
{
    struct access_guard *guard = calloc(1, sizeof *guard);
    if (guard == NULL)
        return NULL;
    *guard = (struct access_guard){
        .judges =
            {
                [RESOURCE_BOARD] = config->access.board,
                [RESOURCE_COURSE] = config->access.course,
                [RESOURCE_CHANNEL] = config->access.channel,
                [RESOURCE_CONVERSATION] = config->access.conversation,
                [RESOURCE_KB] = config->access.kb,
                [RESOURCE_DOC] = config->access.doc,
                [RESOURCE_ANALYSIS] = config->access.analysis,
            },
        .has_walls = config->access.validate_scope,
        .members = members,
        .webhook = webhook,
    };
    return guard;
}

void access_guard_free(struct access_guard *guard)
{
    free(guard);
}

static bool is_in_tenant(const struct principal *principal, enum resource_kind kind, const char *id)
{
    size_t org_size = principal->org_id != NULL ? strlen(principal->org_id) : 0;
    if (org_size == 0 || strncmp(id, principal->org_id, org_size) != 0)
        return false;
    id += org_size;
    if (kind == RESOURCE_ORG)
        return *id == '\0';
    return strncmp(id, ":div:", 5) == 0 && principal_in_division(principal, id + 5);
}

/* A scope of the token that names the resource: "board:42", or "board:*" for all of its kind. */
static bool is_claimed(const struct principal *principal, enum resource_kind kind, const char *id)
{
    char scope[2 * PRINCIPAL_MAX_ID + 32];
    if (principal->role == ROLE_ADMIN ||
        (kind == RESOURCE_COURSE && principal_in_course(principal, id)))
        return true;
    int size = snprintf(scope, sizeof scope, "%s:%s", names[kind], id);
    if (size > 0 && (size_t)size < sizeof scope && principal_has_scope(principal, scope))
        return true;
    snprintf(scope, sizeof scope, "%s:*", names[kind]);
    return principal_has_scope(principal, scope);
}

void access_guard_ask(struct access_guard *guard, struct principal *principal,
                      enum resource_kind kind, const char *id, guard_fn fn, void *data)
{
    if (principal->role == ROLE_SERVICE) {
        fn(GUARD_ALLOWED, "", data);
        return;
    }
    if (kind == RESOURCE_ORG || kind == RESOURCE_DIVISION) {
        bool allowed = !guard->has_walls || is_in_tenant(principal, kind, id);
        fn(allowed ? GUARD_ALLOWED : GUARD_DENIED, "", data);
        return;
    }
    switch (guard->judges[kind]) {
    case CONFIG_GUARD_OPEN:
        fn(GUARD_ALLOWED, "", data);
        break;
    case CONFIG_GUARD_CLAIMS:
        fn(is_claimed(principal, kind, id) ? GUARD_ALLOWED : GUARD_DENIED, "", data);
        break;
    case CONFIG_GUARD_MEMBERS:
        if (principal->role == ROLE_ADMIN)
            fn(GUARD_ALLOWED, "", data);
        else
            access_members_ask(guard->members, principal, kind, id, fn, data);
        break;
    case CONFIG_GUARD_WEBHOOK:
        access_webhook_ask(guard->webhook, principal, kind, id, fn, data);
        break;
    }
}
